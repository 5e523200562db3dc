package sqlite

import (
	"context"
	"slices"
	"testing"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/query/querytest"
)

// TestCorpus runs the corpus of query cases on SQL, and checks that Count agrees with Find.
func TestCorpus(t *testing.T) {
	querytest.Run(t, func(t *testing.T, s querytest.Suite) querytest.Finder {
		ctx := context.Background()
		db := open(t, Config{})
		save(t, db, s.Class)
		// Stored in another order than that of their ids.
		objects := slices.Clone(s.Objects)
		slices.Reverse(objects)
		if err := db.Create(ctx, s.Class, objects...); err != nil {
			t.Fatal(err)
		}
		return func(f *query.Find) (found []*parse.Object, err error) {
			for o, err := range db.Find(ctx, s.Class, f) {
				if err != nil {
					return nil, err
				}
				found = append(found, o)
			}
			n, err := db.Count(ctx, s.Class, f.Where)
			if err != nil {
				return nil, err
			}
			if f.Skip == 0 && f.Limit < 0 && n != int64(len(found)) {
				t.Errorf("Count(%s) = %d, want %d", query.Print(f.Where), n, len(found))
			}
			return found, nil
		}
	})
}
