package sqlite

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// TestErrorOfAFunctionEndsTheStatement checks that what Go cannot decide about a value is an error of the query, and never a match: the
// condition may be the one that keeps an object from a caller.
func TestErrorOfAFunctionEndsTheStatement(t *testing.T) {
	ctx := context.Background()
	db := open(t, Config{})
	class := schema.New("C")
	class.Fields["s"] = schema.Field{Type: schema.String}
	class.Fields["o"] = schema.Field{Type: schema.Object}
	class = save(t, db, class)
	for _, id := range []string{"a", "b", "c"} {
		if err := db.Create(ctx, class, object(id, "s", strings.Repeat("a", 40)+"!", "o", parse.NewMap("m", 1.0))); err != nil {
			t.Fatal(err)
		}
	}
	slow := &query.Constraint{Key: "s", Op: query.Match, Arg: &query.Regex{Pattern: "(?=a)^(a+)+$"}}
	for name, where := range map[string]query.Node{"match": slow, "nor": query.Nor{slow}, "or": query.Or{slow, &query.Constraint{Key: "s", Op: query.Eq, Arg: "x"}}} {
		found := 0
		var err error
		for _, e := range db.Find(ctx, class, &query.Find{ClassName: "C", Where: where, Limit: -1}) {
			if err = e; err == nil {
				found++
			}
		}
		if found != 0 || !errors.Is(err, parse.Timeout) {
			t.Errorf("Find by a pattern that takes too long, in %s = %d objects, %v, want none and code 124", name, found, err)
		}
		if n, err := db.Count(ctx, class, where); n != 0 || !errors.Is(err, parse.Timeout) {
			t.Errorf("Count by a pattern that takes too long, in %s = %d, %v, want 0 and code 124", name, n, err)
		}
	}

	// A value that is damaged in the file.
	if err := db.writer.do(ctx, &job{run: func(c *conn) error { return c.script(`UPDATE "C" SET "o" = '{' WHERE "objectId" = 'b'`) }}); err != nil {
		t.Fatal(err)
	}
	member := &query.Constraint{Key: "o.m", Op: query.Eq, Arg: 2.0}
	if n, err := db.Count(ctx, class, member); err == nil {
		t.Errorf("Count by a member of a damaged value = %d, want an error", n)
	}
	if n, err := db.Delete(ctx, class, query.And{&query.Constraint{Key: "objectId", Op: query.Eq, Arg: "b"}, member}, 1); err == nil {
		t.Errorf("Delete by a member of a damaged value = %d, want an error", n)
	}
	if n, err := db.Count(ctx, class, nil); n != 3 || err != nil {
		t.Errorf("Count of all objects afterwards = %d, %v, want 3", n, err)
	}
}
