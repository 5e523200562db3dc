package storagetest

import (
	"context"
	"testing"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/query/querytest"
	"github.com/parley-backend/parley/storage"
)

// runCorpus asks the adapter every query of the corpus; each one is counted too.
func runCorpus(t *testing.T, open func(t *testing.T) storage.Adapter) {
	querytest.Run(t, func(t *testing.T, corpus querytest.Suite) querytest.Finder {
		s := newSuite(t, open)
		s.save(corpus.Class)
		if err := s.Create(s.ctx, corpus.Class, corpus.Objects...); err != nil {
			t.Fatalf("Create = %v", err)
		}
		ctx := context.WithoutCancel(s.ctx)
		return func(f *query.Find) ([]*parse.Object, error) {
			found, err := collect(ctx, s.Adapter, corpus.Class, f)
			if err != nil || f.Skip > 0 || f.Limit >= 0 {
				return found, err
			}
			if n, err := s.Count(ctx, corpus.Class, f.Where); err != nil || n != int64(len(found)) {
				t.Errorf("Count(%s) = %d, %v, want %d", query.Print(f.Where), n, err, len(found))
			}
			return found, nil
		}
	})
}
