package query

import (
	"errors"
	"iter"
	"testing"

	"github.com/parley-backend/parley/parse"
)

// TestPipelineBudget runs pipelines that make far more of their objects than memory holds, and one that is merely busy.
func TestPipelineBudget(t *testing.T) {
	objects := func(yield func(*parse.Object, error) bool) {
		for i := range 1000 {
			if !yield(parse.NewObject("C", "objectId", parse.NewID(10), "n", float64(i), "s", "0123456789abcdef"), nil) {
				return
			}
		}
	}
	repeat := func(n int, stage *parse.Map) []any {
		list := make([]any, n)
		for i := range list {
			list[i] = stage
		}
		return list
	}
	group := parse.NewMap("$group", parse.NewMap("_id", nil, "all", parse.NewMap("$push", "$n")))
	twins := parse.NewMap("$addFields", parse.NewMap("x", "$all", "y", "$all", "z", "$all"))
	unwind := func(field string) *parse.Map { return parse.NewMap("$unwind", "$"+field) }
	for _, c := range []struct {
		name   string
		stages []any
		want   error
		count  int
	}{
		{"busy", []any{group, twins, unwind("x"), parse.NewMap("$count", "n")}, nil, 1},
		{"product", []any{group, twins, unwind("x"), unwind("y"), unwind("z"), parse.NewMap("$count", "n")}, errLargePipeline, 0},
		{"doubled text", repeat(60, parse.NewMap("$addFields", parse.NewMap("s", parse.NewMap("$concat", []any{"$s", "$s"})))), errLargeDocument, 0},
		{"doubled list", repeat(60, parse.NewMap("$addFields", parse.NewMap("n", []any{"$n", "$n"}))), errLargeDocument, 0},
		{"doubled id", append(repeat(19, parse.NewMap("$project", parse.NewMap("n", []any{"$n", "$n"}))),
			parse.NewMap("$group", parse.NewMap("_id", []any{"$n", "$n", "$n"}))), errLargeDocument, 0},
	} {
		p, err := ParsePipeline(parse.NewMap("pipeline", c.stages), nil, Options{Privileged: true})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Run(p.Stages, iter.Seq2[*parse.Object, error](objects))
		if !errors.Is(err, c.want) || len(got) != c.count {
			t.Errorf("%s: Run = %d documents, %v, want %d, %v", c.name, len(got), err, c.count, c.want)
		}
	}
}
