package sqlgen

import (
	"testing"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

func BenchmarkInsert(b *testing.B) {
	l := NewLayout(SQLite{}, thing())
	o := parse.NewObject("Thing", "objectId", "x", "createdAt", parse.Date(1), "updatedAt", parse.Date(1), "n", 1.0, "s", "y", "b", true,
		"d", parse.Date(1), "a", []any{1.0}, "f", parse.File{Name: "f"}, "p", parse.Pointer{ClassName: "Other", ObjectID: "x"})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Insert(o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSelect(b *testing.B) {
	l := NewLayout(SQLite{}, thing())
	q := &query.Find{Limit: 20, Order: []query.Order{{Key: "n"}}, Where: query.And{
		&query.Constraint{Key: "s", Op: query.Eq, Arg: "x"},
		&query.Constraint{Key: "_rperm", Op: query.In, Arg: []any{nil, "*", "u"}},
	}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Select(q); err != nil {
			b.Fatal(err)
		}
	}
}
