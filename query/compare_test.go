package query

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/parse"
)

// TestCompare states the order of values: each line is greater than the one before, the values of a line are equal.
func TestCompare(t *testing.T) {
	order := [][]any{
		{nil},
		{math.NaN()},
		{-math.MaxFloat64},
		{-1.0},
		{0.0, math.Copysign(0, -1)},
		{5e-324},
		{1.0},
		{math.MaxFloat64},
		{""},
		{"\x00"},
		{"A"},
		{"Other$a", parse.Pointer{ClassName: "Other", ObjectID: "a"}, parse.NewObject("Other", "objectId", "a", "x", 1.0)},
		{parse.Pointer{ClassName: "Other", ObjectID: "b"}},
		{"a", parse.File{Name: "a", URL: "http://x/"}},
		{"aa"},
		{"b"},
		{"\uffff"},
		{"😀"}, // beyond U+FFFF also by the bytes of UTF-8, unlike by the units of UTF-16
		{parse.NewMap()},
		{parse.NewMap("b", nil)},
		{parse.NewMap("a", 1.0)},
		{parse.NewMap("a", 1.0, "b", 1.0), parse.NewMap("b", 1.0, "a", 1.0)},
		{parse.NewMap("a", 2.0)},
		{parse.NewMap("b", 1.0)},
		{parse.NewMap("a", "x")},
		{parse.ACL{"*": {Read: true}}, parse.NewMap("*", parse.NewMap("write", false, "read", true))},
		{parse.NewMap("*", parse.NewMap("read", true, "write", true))},
		{[]any{}},
		{[]any{nil}},
		{[]any{1.0}},
		{[]any{1.0, nil}},
		{[]any{1.0, 2.0}, parse.GeoPoint{Latitude: 2, Longitude: 1}},
		{[]any{2.0}},
		{parse.Bytes("")},
		{parse.Bytes("b")},
		{parse.Bytes("aa")},
		{false},
		{true},
		{parse.Date(-1)},
		{parse.Date(0)},
		{parse.Date(1)},
	}
	for i, line := range order {
		for j, other := range order {
			for _, a := range line {
				for _, b := range other {
					want := min(1, max(-1, i-j))
					if got := Compare(a, b); got != want {
						t.Errorf("Compare(%#v, %#v) = %d, want %d", a, b, got, want)
					}
				}
			}
		}
	}
}

func TestSortKey(t *testing.T) {
	o := parse.NewObject("C", "n", 5.0, "null", nil, "list", []any{3.0, "x", 1.0}, "empty", []any{},
		"docs", []any{parse.NewMap("k", 2.0), parse.NewMap("k", 7.0), parse.NewMap("j", 0.0)}, "o", parse.NewMap("k", true, "l", []any{4.0, 9.0}))
	for _, c := range []struct {
		key        string
		descending bool
		want       any
		ok         bool
	}{
		{"n", false, 5.0, true}, {"null", false, nil, true}, {"nope", true, nil, true}, {"n.x", false, nil, true},
		{"list", false, 1.0, true}, {"list", true, "x", true}, {"list.1", false, "x", true}, {"list.9", false, nil, true},
		{"empty", false, nil, false}, {"empty", true, nil, false}, {"empty.x", false, nil, true},
		{"docs.k", false, nil, true}, {"docs.k", true, 7.0, true}, {"docs.0.k", false, 2.0, true},
		{"o.k", false, true, true}, {"o.l", false, 4.0, true}, {"o.l", true, 9.0, true}, {"o.nope", false, nil, true},
	} {
		got, ok := SortKey(o, c.key, c.descending)
		if !cmp.Equal(got, c.want) || ok != c.ok {
			t.Errorf("SortKey(%s, %v) = %v, %v, want %v, %v", c.key, c.descending, got, ok, c.want, c.ok)
		}
	}
}

func TestNewSorterRefusesWrongOperands(t *testing.T) {
	for _, c := range []*Constraint{{Key: "g", Op: Near, Arg: 1.0}, {Key: "s", Op: Search, Arg: "dog"}} {
		if err := Sort(nil, &Find{Where: And{c}}); err == nil {
			t.Errorf("Sort by %v of a %T succeeds", c.Op, c.Arg)
		}
	}
}

// TestSorterCompare checks that two objects compare as Sort puts them, also by distance and by rank.
func TestSorterCompare(t *testing.T) {
	objects := []*parse.Object{
		parse.NewObject("C", "objectId", "a", "g", parse.GeoPoint{Latitude: 5}, "s", "x dog y z", "n", 1.0),
		parse.NewObject("C", "objectId", "b", "g", parse.GeoPoint{Latitude: 1}, "s", "dog dog", "n", 2.0),
		parse.NewObject("C", "objectId", "c", "s", "dog", "n", 1.0),
	}
	near := &Constraint{Key: "g", Op: Near, Arg: &NearSphere{MaxRadians: -1}}
	search := &Constraint{Key: "s", Op: Search, Arg: &Text{Term: "dog"}}
	for _, c := range []struct {
		find Find
		want []string
	}{
		{Find{}, []string{"a", "b", "c"}},
		{Find{Where: And{near, search}}, []string{"b", "a", "c"}},
		{Find{Where: near, Order: []Order{{Key: "n", Descending: true}}}, []string{"b", "a", "c"}},
		{Find{Where: search, Order: []Order{{Key: ScoreKey, Descending: true}}}, []string{"b", "c", "a"}},
		{Find{Where: search, Order: []Order{{Key: "n"}, {Key: ScoreKey, Descending: true}}}, []string{"c", "a", "b"}},
		{Find{Order: []Order{{Key: ScoreKey, Descending: true}}}, []string{"a", "b", "c"}},
		{Find{Order: []Order{{Key: "objectId", Descending: true}}}, []string{"c", "b", "a"}},
	} {
		sorter, err := NewSorter(&c.find)
		if err != nil {
			t.Fatal(err)
		}
		sorted := slices.Clone(objects)
		slices.Reverse(sorted)
		sorter.Sort(sorted)
		var got []string
		for _, o := range sorted {
			got = append(got, o.ID())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("Sort(%s, %v) = %v, want %v", Print(c.find.Where), c.find.Order, got, c.want)
		}
		if !slices.IsSortedFunc(sorted, sorter.Compare) {
			t.Errorf("Compare(%s, %v) disagrees with Sort", Print(c.find.Where), c.find.Order)
		}
	}
}
