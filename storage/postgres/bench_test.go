package postgres

import (
	"context"
	"fmt"
	"testing"

	"github.com/parley-backend/parley/internal/pgtest"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// BenchmarkStore measures single calls on a local server, and for comparison the bare statement of a read by id.
func BenchmarkStore(b *testing.B) {
	db, err := Open(b.Context(), Config{URI: pgtest.Shared(b).Schema(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	class := thing()
	if err := db.SaveClass(b.Context(), class); err != nil {
		b.Fatal(err)
	}
	var objects []*parse.Object
	for i := range 1000 {
		objects = append(objects, object("Thing", fmt.Sprintf("x%04d", i), "n", float64(i), "s", "some text"))
	}
	if err := db.Create(b.Context(), class, objects...); err != nil {
		b.Fatal(err)
	}
	get := &query.Find{Where: byID("x0500"), Limit: 1}
	calls := []struct {
		name string
		run  func(ctx context.Context, i int) error
	}{
		{"get", func(ctx context.Context, _ int) error {
			for _, err := range db.Find(ctx, class, get) {
				return err
			}
			return nil
		}},
		{"bare", func(ctx context.Context, _ int) error {
			return db.outside(ctx, func(ctx context.Context, s *session) error {
				st, err := db.layout(class).Select(get)
				if err != nil {
					return err
				}
				_, err = s.exec(ctx, st.SQL, st.Args...)
				return err
			})
		}},
		{"increment", func(ctx context.Context, _ int) error {
			_, err := db.Update(ctx, class, byID("x0500"), parse.NewMap("n", parse.Increment{Amount: 1}), 1)
			return err
		}},
		{"create", func(ctx context.Context, i int) error {
			return db.Create(ctx, class, object("Thing", fmt.Sprintf("y%09d", i), "n", 1.0, "s", "some text"))
		}},
	}
	for _, call := range calls {
		made := 0
		b.Run(call.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				made++
				if err := call.run(b.Context(), made); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
