package object

import (
	"context"
	"fmt"
	"testing"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// onEachBench runs a benchmark over each database, without the checks of package storage.
func onEachBench(b *testing.B, f func(b *testing.B, o *bed)) {
	for name, open := range adapters {
		b.Run(name, func(b *testing.B) { f(b, newBed(b, open(b))) })
	}
}

// tenFields is the object of the benchmarks of docs/benchmarks.md.
func tenFields(i int) *parse.Map {
	return parse.NewMap("title", fmt.Sprint("title ", i), "body", "some text of a usual length, not too long", "n", float64(i), "score", 0.5, "flag", true,
		"at", parse.Date(1e12), "tags", []any{"a", "b"}, "meta", parse.NewMap("k", "v"), "place", parse.GeoPoint{Latitude: 1, Longitude: 2},
		"owner", parse.Pointer{ClassName: schema.UserClass, ObjectID: "abcdefghij"})
}

func (b *bed) stock(n int) (ids []string) {
	b.t.Helper()
	for i := range n {
		saved, err := b.Create(context.Background(), public, "Bench", tenFields(i))
		if err != nil {
			b.t.Fatal(err)
		}
		ids = append(ids, saved.Body.String("objectId"))
	}
	return ids
}

func BenchmarkCreate(b *testing.B) {
	onEachBench(b, func(b *testing.B, o *bed) {
		o.stock(1)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, err := o.Create(context.Background(), alice, "Bench", tenFields(i)); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

func BenchmarkUpdate(b *testing.B) {
	onEachBench(b, func(b *testing.B, o *bed) {
		ids := o.stock(100)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, err := o.Update(context.Background(), alice, "Bench", ids[i%len(ids)], parse.NewMap("title", "other", "n", parse.Increment{Amount: 1})); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

func BenchmarkGet(b *testing.B) {
	onEachBench(b, func(b *testing.B, o *bed) {
		ids := o.stock(100)
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			if _, err := o.Get(context.Background(), alice, "Bench", ids[i%len(ids)], nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkFind20(b *testing.B) {
	onEachBench(b, func(b *testing.B, o *bed) {
		o.stock(100)
		q := &query.Find{ClassName: "Bench", Where: &query.Constraint{Key: "n", Op: query.Gte, Arg: 40.0}, Order: []query.Order{{Key: "n"}}, Limit: 20}
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			found, err := o.Find(context.Background(), alice, q)
			if err != nil || len(found.Objects) != 20 {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkTriggers is BenchmarkCreate with a beforeSave and an afterSave that change nothing.
func BenchmarkTriggers(b *testing.B) {
	nothing := func(context.Context, *cloud.SaveRequest) error { return nil }
	with := withCode(b, func(code *cloud.Code) { code.BeforeSave("Bench", nothing); code.AfterSave("Bench", nothing) })
	for name, open := range adapters {
		b.Run(name, func(b *testing.B) {
			o := newBed(b, open(b), with)
			o.stock(1)
			b.ReportAllocs()
			for i := range b.N {
				if _, err := o.Create(context.Background(), alice, "Bench", tenFields(i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
