package rest

import (
	"context"

	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// classHandlers are the routes of the objects of one class, or of the class that the path names.
type classHandlers struct{ class string }

func (c classHandlers) of(r *request) string {
	if c.class != "" {
		return c.class
	}
	return r.params.get("class")
}

func (c classHandlers) find(ctx context.Context, s *Server, r *request) (*reply, error) {
	q, err := query.ParseFind(r.parameters(), s.queryOptions(r))
	if err != nil {
		return nil, err
	}
	q.ClassName = c.of(r)
	found, err := r.objects.Find(ctx, r.caller, q)
	if err != nil {
		return nil, err
	}
	if q.Explain {
		return &reply{body: parse.NewMap("results", found.Explain)}, nil
	}
	items := make([]any, len(found.Objects))
	for i, o := range found.Objects {
		if c.class == "_Audience" {
			decodeAudience(o)
		}
		if found.ClassName != "" && found.ClassName != q.ClassName {
			o.Set("className", found.ClassName)
		}
		items[i] = parse.Bare{Object: o}
	}
	body := results(items)
	if q.Count {
		body.body.(*parse.Map).Set("count", float64(found.Count))
	}
	return body, nil
}

func (c classHandlers) get(ctx context.Context, s *Server, r *request) (*reply, error) {
	params := r.parameters()
	for name := range params.All() {
		if !getParameters[name] {
			return nil, parse.Errorf(parse.InvalidQuery, "Improper encode of parameter")
		}
	}
	var q *query.Find
	if params.Len() > 0 {
		var err error
		if q, err = query.ParseFind(params, s.queryOptions(r)); err != nil {
			return nil, err
		}
	}
	o, err := r.objects.Get(ctx, r.caller, c.of(r), r.params.get("id"), q)
	if err != nil {
		return nil, err
	}
	if c.class == "_Audience" {
		decodeAudience(o)
	}
	if c.of(r) == "_User" && r.caller.User != nil && o.ID() == r.caller.UserID() {
		o.Set("sessionToken", r.caller.SessionToken)
	}
	return &reply{body: parse.Bare{Object: o}}, nil
}

func (c classHandlers) create(ctx context.Context, _ *Server, r *request) (*reply, error) {
	saved, err := r.objects.Create(ctx, r.caller, c.of(r), r.body)
	if err != nil {
		return nil, err
	}
	return savedReply(saved), nil
}

func (c classHandlers) update(ctx context.Context, _ *Server, r *request) (*reply, error) {
	saved, err := r.objects.Update(ctx, r.caller, c.of(r), r.params.get("id"), r.body)
	if err != nil {
		return nil, err
	}
	return savedReply(saved), nil
}

func (c classHandlers) remove(ctx context.Context, _ *Server, r *request) (*reply, error) {
	if err := r.objects.Delete(ctx, r.caller, c.of(r), r.params.get("id")); err != nil {
		return nil, err
	}
	return empty(), nil
}

func savedReply(saved *object.Saved) *reply {
	return &reply{status: saved.Status, body: saved.Body, location: saved.Location}
}

func aggregate(ctx context.Context, s *Server, r *request) (*reply, error) {
	if r.caller.ReadOnly && s.cfg.NoAggregationForReadOnly {
		return nil, parse.Denied(parse.OperationForbidden, "read-only masterKey isn't allowed to aggregate")
	}
	class, _ := s.cfg.Schemas.Class(r.params.get("class"))
	p, err := query.ParsePipeline(r.parameters(), class, s.queryOptions(r))
	if err != nil {
		return nil, err
	}
	items, err := r.objects.Aggregate(ctx, r.caller, r.params.get("class"), p)
	if err != nil {
		return nil, err
	}
	return results(items), nil
}

func purge(ctx context.Context, _ *Server, r *request) (*reply, error) {
	if err := r.objects.Purge(ctx, r.caller, r.params.get("class")); err != nil {
		return nil, err
	}
	return empty(), nil
}

// decodeAudience shows the query of a push audience as JSON; it is stored as its text.
func decodeAudience(o *parse.Object) {
	if m, err := parse.DecodeMap([]byte(o.String("query")), parse.Limits{}); err == nil {
		o.Set("query", m)
	}
}

// parameters are the parameters of a read: the members of the body of a POST with _method=GET, overridden by the query string,
// whose values are JSON where they can be read as such.
func (r *request) parameters() *parse.Map {
	if r.rawQuery == "" {
		return r.body
	}
	params := r.body.Clone()
	for name, value := range query.ParamsFromQuery(r.rawQuery).All() {
		params.Set(name, value)
	}
	return params
}

// queryOptions are the limits that apply to the caller: none of the complexity limits to privileged ones.
func (s *Server) queryOptions(r *request) query.Options {
	o := s.cfg.Query
	o.Now = s.cfg.Now()
	o.Privileged = r.caller.Privileged()
	return o
}

// What a get may be asked with.
var getParameters = map[string]bool{
	"keys": true, "include": true, "excludeKeys": true, "readPreference": true, "includeReadPreference": true, "subqueryReadPreference": true,
}
