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

// BenchmarkCreateMany measures 1000 objects stored by one call, which is COPY, by batches of 99, which are statements sent together, and one by one.
func BenchmarkCreateMany(b *testing.B) {
	for _, size := range []int{1000, copyFrom - 1, 1} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			db, err := Open(b.Context(), Config{URI: pgtest.Shared(b).Schema(b)})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			class := thing()
			if err := db.SaveClass(b.Context(), class); err != nil {
				b.Fatal(err)
			}
			n := 0
			for b.Loop() {
				for done := 0; done < 1000; done += size {
					var objects []*parse.Object
					for range min(size, 1000-done) {
						n++
						objects = append(objects, object("Thing", fmt.Sprintf("x%09d", n), "n", float64(n), "s", "some text"))
					}
					if err := db.Create(b.Context(), class, objects...); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "objects/s")
		})
	}
}
