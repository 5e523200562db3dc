package object

import (
	"context"
	"iter"
	"strings"

	"github.com/parley-backend/parley/internal/access"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Aggregate runs a pipeline, or a distinct; master key only. The results are *parse.Map documents, or the distinct values. The stages
// that a database does better (what to match, in which order, how many) are part of its query, the rest runs over its objects.
func (o *Objects) Aggregate(ctx context.Context, caller *auth.Caller, class string, p *query.Pipeline) ([]any, error) {
	results, err := o.aggregate(ctx, caller, class, p)
	return results, clientError(err)
}

func (o *Objects) aggregate(ctx context.Context, caller *auth.Caller, className string, p *query.Pipeline) ([]any, error) {
	if !caller.Master {
		return nil, parse.Denied(parse.OperationForbidden, "unauthorized: master key is required")
	}
	class, exists := o.class(className)
	if !exists {
		return []any{}, nil
	}
	if strings.HasPrefix(p.Distinct, "_") {
		return []any{}, nil // internal fields are no part of any answer
	}
	find, stages := query.Split(p.Stages)
	if p.Distinct != "" {
		find, stages = &query.Find{Where: p.Where, Limit: -1, Keys: []string{query.Root(p.Distinct)}}, nil
	}
	find.ClassName, find.Hint, find.Comment, find.ReadPreference = class.Name, p.Hint, p.Comment, p.ReadPreference
	r := &reading{Objects: o, caller: caller, q: *find, class: class, op: schema.OpFind}
	var err error
	if r.q.Where, err = r.resolve(ctx, find.Where); err != nil {
		return nil, err
	}
	if err := access.CheckTokens(caller, class, find); err != nil {
		return nil, err
	}
	if p.Explain {
		return o.explainPipeline(ctx, class, &r.q)
	}
	objects := o.from(r.q.ReadPreference).Find(ctx, class, &r.q)
	if caller.ReadOnly && class.Name == schema.SessionClass {
		objects = withoutTokens(caller, objects)
	}
	if p.Distinct != "" {
		return query.Distinct(objects, p.Distinct)
	}
	documents, err := query.Run(stages, objects)
	if err != nil {
		return nil, err
	}
	results := make([]any, len(documents))
	for i, m := range p.Answer(documents) {
		results[i] = m
	}
	return results, nil
}

// withoutTokens are sessions as the read-only master key reads them.
func withoutTokens(caller *auth.Caller, sessions iter.Seq2[*parse.Object, error]) iter.Seq2[*parse.Object, error] {
	return func(yield func(*parse.Object, error) bool) {
		for session, err := range sessions {
			if err == nil {
				access.Strip(caller, session)
			}
			if !yield(session, err) {
				return
			}
		}
	}
}

// explainPipeline returns the plan of what the database does for a pipeline.
func (o *Objects) explainPipeline(ctx context.Context, class *schema.Class, q *query.Find) ([]any, error) {
	explainer, ok := o.cfg.Store.(storage.Explainer)
	if !ok {
		return nil, errNoPlan
	}
	plan, err := explainer.Explain(ctx, class, q)
	return []any{plan}, err
}

var errNoPlan = parse.Errorf(parse.InvalidQuery, "This database does not explain queries.")
