package parse

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestApplyPath(t *testing.T) {
	tests := []struct {
		old    string // "" is Absent
		path   string
		change any
		want   string
		code   Code
	}{
		{`1`, "", 2.0, `2`, 0}, {`1`, "", Increment{2}, `3`, 0}, {``, "", Increment{2}, `2`, 0}, {`1`, "", Delete{}, ``, 0}, {`1`, "", nil, `null`, 0},
		{`{"a":{"b":1}}`, "a.b", 2.0, `{"a":{"b":2}}`, 0}, {`{"a":{"b":1}}`, "z", 9.0, `{"a":{"b":1},"z":9}`, 0},
		{`{"a":1,"b":2}`, "a", Delete{}, `{"b":2}`, 0}, {`{"a":{"b":1}}`, "a.b", Delete{}, `{"a":{}}`, 0}, {`{"a":1}`, "x.y", Delete{}, `{"a":1}`, 0},
		{`{"n":1}`, "n", Increment{5}, `{"n":6}`, 0}, {`{}`, "n", Increment{5}, `{"n":5}`, 0}, {`{}`, "a.b.n", Increment{5}, `{"a":{"b":{"n":5}}}`, 0},
		{``, "a.b", 1.0, `{"a":{"b":1}}`, 0}, {`null`, "a", 1.0, `{"a":1}`, 0}, {`{"a":null}`, "a.b", 1.0, `{"a":{"b":1}}`, 0}, {``, "0.x", 1.0, `{"0":{"x":1}}`, 0},
		{``, "a", Delete{}, ``, 0}, {`null`, "a", Delete{}, `null`, 0},
		{`[{"x":1},{"x":2}]`, "1.x", 9.0, `[{"x":1},{"x":9}]`, 0}, {`[1,2]`, "0", Increment{1}, `[2,2]`, 0}, {`[1]`, "3", 4.0, `[1,null,null,4]`, 0},
		{`[1,2,3]`, "1", Delete{}, `[1,null,3]`, 0}, {`[1]`, "5", Delete{}, `[1]`, 0}, {`[1]`, "1.a", 2.0, `[1,{"a":2}]`, 0}, {`[[1]]`, "0.0", 2.0, `[[2]]`, 0},
		{`{"l":[1]}`, "l", Add{list(2.0)}, `{"l":[1,2]}`, 0}, {`{}`, "l", Add{list(2.0)}, `{"l":[2]}`, 0}, {`{"l":[1,2]}`, "l", Remove{list(1.0)}, `{"l":[2]}`, 0},
		{`[1]`, "x", 1.0, ``, IncorrectType}, {`[1]`, "-1", 1.0, ``, IncorrectType}, {`[1]`, "01", 1.0, ``, IncorrectType}, {`[1]`, "+1", 1.0, ``, IncorrectType},
		{`[1]`, "99999999", 1.0, ``, IncorrectType}, {`5`, "a", 1.0, ``, IncorrectType}, {`"s"`, "a", Delete{}, ``, IncorrectType}, {`{"a":5}`, "a.b", 1.0, ``, IncorrectType},
		{`{"a":"x"}`, "a", Increment{1}, ``, IncorrectType}, {`{"p":{"__type":"Pointer","className":"C","objectId":"x"}}`, "p.objectId", "y", ``, IncorrectType},
		{`{}`, "a.", 1.0, ``, InvalidKeyName}, {`{}`, ".a", 1.0, ``, InvalidKeyName},
	}
	for _, tt := range tests {
		old, path := stored(t, tt.old), splitPath(tt.path)
		before := Clone(old)
		got, err := ApplyPath(old, path, tt.change)
		if tt.code != 0 {
			if !errors.Is(err, tt.code) {
				t.Errorf("ApplyPath(%s, %s, %v) = %v, %v, want code %d", tt.old, tt.path, tt.change, got, err, tt.code)
			}
		} else if want := stored(t, tt.want); err != nil || got != any(Absent{}) && !sameValue(got, want) || (got == any(Absent{})) != (tt.want == "") {
			t.Errorf("ApplyPath(%s, %s, %v) = %v, %v, want %s", tt.old, tt.path, tt.change, got, err, tt.want)
		}
		if !Equal(old, before) {
			t.Errorf("ApplyPath(%s, %s, %v) changed its argument to %v", tt.old, tt.path, tt.change, old)
		}
	}
}

func stored(t *testing.T, text string) any {
	t.Helper()
	if text == "" {
		return Absent{}
	}
	v, err := Decode([]byte(text), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func splitPath(path string) []string {
	if path == "" {
		return nil
	}
	return strings.Split(path, ".")
}

func TestApplyChanges(t *testing.T) {
	fields := NewMap("s", "a", "o", NewMap("n", 1.0), "l", list(1.0))
	shallow := fields.shallow()
	changes := NewMap("s", Delete{}, "o.n", Increment{2}, "o.m", 5.0, "l.0", "x", "l", Add{list(2.0)}, "new", Increment{1}, "gone.x", Delete{}, "z.y.x", nil)
	if err := ApplyChanges(shallow, changes); err != nil {
		t.Fatal(err)
	}
	if want := NewMap("o", NewMap("n", 3.0, "m", 5.0), "l", list("x", 2.0), "new", 1.0, "z", NewMap("y", NewMap("x", nil))); !sameValue(shallow, want) {
		t.Errorf("ApplyChanges(%s) = %s, want %s", Marshal(changes), Marshal(shallow), Marshal(want))
	}
	if want := NewMap("s", "a", "o", NewMap("n", 1.0), "l", list(1.0)); !sameValue(fields, want) {
		t.Errorf("ApplyChanges changed the values of a shallow copy's original: %s", Marshal(fields))
	}
	if err := ApplyChanges(shallow, NewMap("o", Increment{1})); !errors.Is(err, IncorrectType) {
		t.Errorf("ApplyChanges of Increment to an Object = %v, want code %d", err, IncorrectType)
	}
}

// Setting a member and reading it by the same path gives the value back, and nothing else changes.
func TestApplyPathSetsOneMember(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "0", "1"}), 0, 4).Draw(t, "path")
		old := anyValue(2).Draw(t, "old")
		got, err := ApplyPath(old, path, "new")
		if err != nil {
			return
		}
		for _, name := range path {
			switch container := got.(type) {
			case *Map:
				got = container.Get(name)
			case []any:
				got = container[name[0]-'0']
			}
		}
		if got != "new" {
			t.Fatalf("ApplyPath(%s, %v, new) holds %v there", Marshal(old), path, got)
		}
	})
}
