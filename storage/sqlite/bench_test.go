package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// benchClass has ten fields, one of them indexed.
func benchClass() *schema.Class {
	c := schema.New("Bench")
	for i := range 4 {
		c.Fields[fmt.Sprintf("n%d", i)] = schema.Field{Type: schema.Number}
		c.Fields[fmt.Sprintf("s%d", i)] = schema.Field{Type: schema.String}
	}
	c.Fields["flag"] = schema.Field{Type: schema.Boolean}
	c.Fields["owner"] = schema.Field{Type: schema.Pointer, TargetClass: "_User"}
	c.Indexes = map[string]schema.Index{"group": {{Field: "n0", Kind: "1"}, {Field: "n1", Kind: "1"}}}
	return c
}

func benchObject(i int) *parse.Object {
	o := parse.NewObject("Bench", "objectId", fmt.Sprintf("id%08d", i), "createdAt", parse.Date(i), "updatedAt", parse.Date(i))
	for k := range 4 {
		o.Set(fmt.Sprintf("n%d", k), float64(i%(1000*(k+1))))
		o.Set(fmt.Sprintf("s%d", k), fmt.Sprintf("value %d of %d", k, i))
	}
	o.Set("flag", i%2 == 0)
	o.Set("owner", parse.Pointer{ClassName: "_User", ObjectID: "u"})
	return o
}

func benchDB(b *testing.B, objects int) (*DB, *schema.Class) {
	db := open(b, Config{})
	class := save(b, db, benchClass())
	var batch []*parse.Object
	for i := range objects {
		batch = append(batch, benchObject(i))
		if len(batch) == 1000 || i == objects-1 {
			if err := db.Create(context.Background(), class, batch...); err != nil {
				b.Fatal(err)
			}
			batch = nil
		}
	}
	return db, class
}

// measure starts the clock, and reports the processor time of an operation besides: it says more than the wall on a busy machine.
func measure(b *testing.B) {
	used := func() (total time.Duration) {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	b.ReportAllocs()
	b.ResetTimer()
	b.Cleanup(func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") })
}

func BenchmarkCreate(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			db, class := benchDB(b, 0)
			var next atomic.Int64
			measure(b)
			b.SetParallelism(max(1, clients/2))
			if clients == 1 {
				for b.Loop() {
					if err := db.Create(context.Background(), class, benchObject(int(next.Add(1)))); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := db.Create(context.Background(), class, benchObject(int(next.Add(1)))); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func BenchmarkGet(b *testing.B) {
	db, class := benchDB(b, 100000)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	measure(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := 0
			for _, err := range db.Find(ctx, class, &query.Find{Where: byID(fmt.Sprintf("id%08d", rand.IntN(100000))), Limit: 1}) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != 1 {
				b.Fatal(n)
			}
		}
	})
}

func BenchmarkFind20(b *testing.B) {
	db, class := benchDB(b, 100000)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	measure(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			q := &query.Find{Where: query.And{
				&query.Constraint{Key: "n0", Op: query.Eq, Arg: float64(rand.IntN(1000))},
				&query.Constraint{Key: "_rperm", Op: query.In, Arg: []any{nil, "*", "u1", "role:a"}},
			}, Order: []query.Order{{Key: "n1"}}, Limit: 20}
			n := 0
			for _, err := range db.Find(ctx, class, q) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != 20 {
				b.Fatal(n)
			}
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	for _, kind := range []string{"set", "increment"} {
		b.Run(kind, func(b *testing.B) {
			db, class := benchDB(b, 100000)
			measure(b)
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					changes := parse.NewMap("s0", "new", "updatedAt", parse.Date(5))
					if kind == "increment" {
						changes.Set("n3", parse.Increment{Amount: 1})
					}
					got, err := db.Update(context.Background(), class, byID(fmt.Sprintf("id%08d", rand.IntN(100000))), changes, 1)
					if err != nil || len(got) != 1 {
						b.Fatal(got, err)
					}
				}
			})
		})
	}
}
