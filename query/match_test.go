package query_test

import (
	"testing"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/query/querytest"
)

// scan answers a query by looking at every object, as package query alone can.
func scan(objects []*parse.Object) querytest.Finder {
	return func(f *query.Find) ([]*parse.Object, error) {
		m, err := query.Compile(f.Where)
		if err != nil {
			return nil, err
		}
		var found []*parse.Object
		for _, o := range objects {
			ok, err := m.Match(o)
			if err != nil {
				return nil, err
			}
			if ok {
				found = append(found, o)
			}
		}
		if err := query.Sort(found, f); err != nil {
			return nil, err
		}
		found = found[min(f.Skip, len(found)):]
		if f.Limit >= 0 {
			found = found[:min(f.Limit, len(found))]
		}
		return found, nil
	}
}

func TestCorpus(t *testing.T) {
	querytest.Run(t, func(t *testing.T, s querytest.Suite) querytest.Finder { return scan(s.Objects) })
}

// TestMatchIncluded checks that an included object is as good as the pointer that it stands for, as a live query sees it.
func TestMatchIncluded(t *testing.T) {
	pointer := parse.Pointer{ClassName: "Other", ObjectID: "x"}
	included := parse.NewObject("Other", "objectId", "x", "name", "n", "inner", parse.NewMap("k", 1.0))
	o := parse.NewObject("C", "p", included, "list", []any{included, pointer})
	for _, c := range []struct {
		where query.Node
		want  bool
	}{
		{eq("p", pointer), true},
		{eq("p", included), true},
		{eq("p", parse.Pointer{ClassName: "Other", ObjectID: "y"}), false},
		{eq("list", pointer), true},
		{eq("p.name", "n"), true},
		{eq("p.inner.k", 1.0), true},
		{eq("p.objectId", "x"), true},
		{eq("list.objectId", "x"), true},
		{eq("list.1.className", "Other"), true},
		{&query.Constraint{Key: "p", Op: query.In, Arg: []any{included}}, true},
		{&query.Constraint{Key: "p", Op: query.Nin, Arg: []any{pointer}}, false},
		{&query.Constraint{Key: "p", Op: query.Ne, Arg: pointer}, false},
		{&query.Constraint{Key: "p", Op: query.Exists, Arg: true}, true},
		{&query.Constraint{Key: "p", Op: query.Gte, Arg: pointer}, true},
		{&query.Constraint{Key: "list", Op: query.All, Arg: []any{pointer, included}}, true},
		{&query.Constraint{Key: "list", Op: query.ContainedBy, Arg: []any{pointer}}, true},
	} {
		got, err := query.Matches(c.where, o)
		if err != nil || got != c.want {
			t.Errorf("Matches(%s) = %v, %v, want %v", query.Print(c.where), got, err, c.want)
		}
	}
}
