package parse

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A Map behaves as a list of names and a Go map, below and above the size from which it keeps an index.
func TestMapModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, model, order := &Map{}, map[string]any{}, []string{}
		name := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("k", rapid.IntRange(0, 2*indexFrom).Draw(t, "k")) })
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				k, v := name.Draw(t, "name"), rapid.Int().Draw(t, "value")
				if _, ok := model[k]; !ok {
					order = append(order, k)
				}
				m.Set(k, v)
				model[k] = v
			},
			"delete": func(t *rapid.T) {
				k := name.Draw(t, "name")
				_, had := model[k]
				if got := m.Delete(k); got != had {
					t.Fatalf("Delete(%s) = %v, want %v", k, got, had)
				}
				delete(model, k)
				order = slices.DeleteFunc(order, func(s string) bool { return s == k })
			},
			"copy": func(t *rapid.T) { m = m.shallow() },
			"": func(t *rapid.T) {
				if !slices.Equal(m.Keys(), order) || m.Len() != len(order) {
					t.Fatalf("Keys() = %v, want %v", m.Keys(), order)
				}
				k := name.Draw(t, "name")
				got, ok := m.Lookup(k)
				want, has := model[k]
				if got != want || ok != has || m.Has(k) != has {
					t.Fatalf("Lookup(%s) = %v, %v, want %v, %v", k, got, ok, want, has)
				}
			},
		})
	})
}

func TestEqual(t *testing.T) {
	values := []any{
		nil, true, false, 0.0, 1.0, "", "1", list(), list(1.0), list(nil), NewMap(), NewMap("a", nil), NewMap("a", 1.0), Date(0), Date(1), Pointer{"C", "x"}, Pointer{"C", "y"},
		Relation{"C"}, GeoPoint{0, 0}, GeoPoint{0, 1}, Polygon{}, Polygon{{0, 0}}, File{Name: "a"}, File{Name: "b"}, Bytes{}, Bytes{1}, ACL{}, ACL{"*": {Read: true}},
		NewObject("C"), NewObject("D"), NewObject("C", "a", 1.0), Increment{1}, Increment{2}, Add{}, Add{list(1.0)}, AddUnique{}, Delete{}, Batch{}, Absent{},
	}
	for i, a := range values {
		for j, b := range values {
			if got := Equal(a, Clone(b)); got != (i == j) {
				t.Errorf("Equal(%T%v, %T%v) = %v", a, a, b, b, got)
			}
		}
	}
	if !Equal(File{"a", "u"}, File{"a", "v"}) || !Equal(NewMap("a", 1.0, "b", 2.0), NewMap("b", 2.0, "a", 1.0)) {
		t.Error("files of one name, or members in another order, are not equal")
	}
}
