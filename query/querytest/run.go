package querytest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// Finder answers a query on the class and the objects of a suite.
type Finder func(f *query.Find) ([]*parse.Object, error)

// Run runs the whole corpus. start makes a Finder that holds the objects of a suite; it is called once per suite.
func Run(t *testing.T, start func(t *testing.T, s Suite) Finder) {
	suites, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range suites {
		t.Run(s.File+"/"+s.Class.Name, func(t *testing.T) {
			find := start(t, s)
			for _, c := range s.Cases {
				t.Run(c.Name(), func(t *testing.T) { runCase(t, s, c, find) })
			}
		})
	}
}

func runCase(t *testing.T, s Suite, c Case, find Finder) {
	f, err := c.Find(s.Class)
	var found []*parse.Object
	if err == nil {
		found, err = find(f)
	}
	if c.Err != nil {
		var got *parse.Error
		if !errors.As(err, &got) || got.Code != c.Err.Code || got.Message != c.Err.Message {
			t.Fatalf("Find(%s) = %v, want error %v", c.Where, err, c.Err)
		}
		return
	}
	if err != nil {
		t.Fatalf("Find(%s) = %v, want %v", c.Where, err, c.Want)
	}
	var ids []string
	for _, o := range found {
		ids = append(ids, o.ID())
	}
	if diff := cmp.Diff(c.Want, ids); diff != "" {
		t.Errorf("Find(%s order=%s skip=%d limit=%d) = %v, want %v", c.Where, c.Order, c.Skip, c.Limit, ids, c.Want)
	}
}
