package object

import (
	"context"
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// fetched is one query for included objects: all pointers of one class that stand at one depth and are to be shown with
// the same fields.
type fetched struct {
	class         string
	keys, exclude []string
	ids           []any
	seen          map[string]bool
	byID          map[string]*parse.Object
	// paths that share the query; with more than one each works on copies of its own, because a longer path may include more
	// into the objects of one of them.
	paths int
}

// path is one include path with the queries that its pointers need, by class.
type path struct {
	query.Path
	queries map[string]*fetched
	// copies of shared objects that belong to this path.
	copies map[parse.Pointer]*parse.Object
}

// include replaces pointers by the objects that they point to, level by level, so that each level needs one query per class. What the
// caller may not read disappears: the field, or the element of the array.
func (r *reading) include(ctx context.Context, objects []*parse.Object) error {
	if len(r.q.Include) == 0 || len(objects) == 0 {
		return nil
	}
	for depth := 1; ; depth++ {
		var paths []*path
		deeper := false
		for _, p := range r.q.Include {
			switch {
			case len(p) == depth:
				paths = append(paths, &path{Path: p})
			case len(p) > depth:
				deeper = true
			}
		}
		if err := r.includeLevel(ctx, objects, paths); err != nil {
			return err
		}
		if !deeper {
			return nil
		}
	}
}

func (r *reading) includeLevel(ctx context.Context, objects []*parse.Object, paths []*path) error {
	var queries []*fetched
	for _, p := range paths {
		for _, object := range objects {
			collect(object, p.Path, func(target parse.Pointer) {
				f := p.queries[target.ClassName]
				if f == nil {
					f = r.queryFor(&queries, p, target.ClassName)
				}
				if !f.seen[target.ObjectID] {
					f.seen[target.ObjectID] = true
					f.ids = append(f.ids, target.ObjectID)
				}
			})
		}
	}
	for _, f := range queries {
		if err := r.fetchIncluded(ctx, f); err != nil {
			return err
		}
	}
	for _, p := range paths {
		if p.queries == nil {
			continue
		}
		for _, object := range objects {
			p.replaceIn(object)
		}
	}
	return nil
}

// queryFor returns the query of a path for one class, shared with the paths of this level that show the same fields.
func (r *reading) queryFor(queries *[]*fetched, p *path, class string) *fetched {
	keys, exclude := below(p.Path, r.q.Keys, false), below(p.Path, r.q.ExcludeKeys, true)
	i := slices.IndexFunc(*queries, func(f *fetched) bool {
		return f.class == class && slices.Equal(f.keys, keys) && slices.Equal(f.exclude, exclude)
	})
	if i < 0 {
		i = len(*queries)
		*queries = append(*queries, &fetched{class: class, keys: keys, exclude: exclude, seen: map[string]bool{}})
	}
	f := (*queries)[i]
	f.paths++
	if p.queries == nil {
		p.queries = make(map[string]*fetched, 1)
		p.copies = make(map[parse.Pointer]*parse.Object)
	}
	p.queries[class] = f
	return f
}

// below returns what keys say about the fields right below a path; with last, only keys that end there count.
func below(p query.Path, keys []string, last bool) []string {
	var fields []string
	for _, key := range keys {
		parts := strings.Split(key, ".")
		if len(parts) <= len(p) || last && len(parts) != len(p)+1 || !slices.Equal(parts[:len(p)], p) {
			continue
		}
		if field := parts[len(p)]; !slices.Contains(fields, field) {
			fields = append(fields, field)
		}
	}
	return fields
}

// fetchIncluded reads the objects of one query with the rights of the caller: class-level "get", ACL, protected fields.
func (r *reading) fetchIncluded(ctx context.Context, f *fetched) error {
	where := &query.Constraint{Key: "objectId", Op: query.In, Arg: f.ids}
	if len(f.ids) == 1 {
		where = ofID(f.ids[0].(string))
	}
	q := &query.Find{ClassName: f.class, Where: where, Limit: -1, Keys: f.keys, ExcludeKeys: f.exclude, ReadPreference: r.q.ReadPreference}
	if r.q.IncludeReadPreference != "" {
		q.ReadPreference = r.q.IncludeReadPreference
	}
	if _, exists := r.Objects.class(f.class); !exists {
		return nil
	}
	found, err := r.read(ctx, r.caller, q, schema.OpGet)
	if err != nil {
		return err
	}
	f.byID = make(map[string]*parse.Object, len(found.Objects))
	for _, object := range found.Objects {
		if f.class == schema.UserClass && !r.caller.Master { // even the own user, as Parse Server has it
			object.Delete("authData")
			object.Delete("sessionToken")
		}
		f.byID[object.ID()] = object
	}
	return nil
}

// collect visits the pointers that a path leads to: through objects, and through every element of arrays.
func collect(v any, p query.Path, visit func(parse.Pointer)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			collect(e, p, visit)
		}
	case parse.Pointer:
		if len(p) == 0 {
			visit(v)
		}
	case *parse.Map:
		if len(p) > 0 {
			collect(v.Get(p[0]), p[1:], visit)
		}
	case *parse.Object:
		if len(p) > 0 {
			collect(v.Get(p[0]), p[1:], visit)
		}
	}
}

// replaceIn replaces the pointers of the path in an object that belongs to this reading.
func (p *path) replaceIn(object *parse.Object) {
	name := p.Path[0]
	v, ok := object.Lookup(name)
	if !ok {
		return
	}
	switch w, keep := p.replace(v, p.Path[1:]); {
	case !keep:
		object.Delete(name)
	case w != nil:
		object.Set(name, w)
	}
}

// replace returns what stands in place of v: nil for what stays as it is, and keep false for what disappears. Values inside
// of stored objects are shared and therefore copied, included objects are changed in place.
func (p *path) replace(v any, rest query.Path) (w any, keep bool) {
	switch v := v.(type) {
	case []any:
		return p.replaceElements(v, rest)
	case parse.Pointer:
		if len(rest) > 0 {
			return nil, true
		}
		object := p.target(v)
		if object == nil {
			return nil, false
		}
		return object, true
	case *parse.Map:
		return p.replaceMember(v, rest)
	case *parse.Object:
		if len(rest) > 0 {
			inner := path{Path: rest, queries: p.queries, copies: p.copies}
			inner.replaceIn(v)
		}
	}
	return nil, true
}

func (p *path) replaceElements(list []any, rest query.Path) (any, bool) {
	var out []any
	for i, e := range list {
		w, keep := p.replace(e, rest)
		if out == nil && (w != nil || !keep) {
			out = append(make([]any, 0, len(list)), list[:i]...)
		}
		switch {
		case !keep:
		case w != nil:
			out = append(out, w)
		case out != nil:
			out = append(out, e)
		}
	}
	if out == nil {
		return nil, true
	}
	return out, true
}

func (p *path) replaceMember(m *parse.Map, rest query.Path) (any, bool) {
	if len(rest) == 0 {
		return nil, true
	}
	v, ok := m.Lookup(rest[0])
	if !ok {
		return nil, true
	}
	w, keep := p.replace(v, rest[1:])
	if w == nil && keep {
		return nil, true
	}
	c := (&parse.Object{Map: *m}).Shallow()
	if keep {
		c.Set(rest[0], w)
	} else {
		c.Delete(rest[0])
	}
	return &c.Map, true
}

// target returns the object that a pointer of this path is replaced by, nil when the caller may not read it.
func (p *path) target(pointer parse.Pointer) *parse.Object {
	f := p.queries[pointer.ClassName]
	if f == nil {
		return nil
	}
	object := f.byID[pointer.ObjectID]
	if object == nil || f.paths == 1 {
		return object
	}
	if c, ok := p.copies[pointer]; ok {
		return c
	}
	c := object.Shallow()
	p.copies[pointer] = c
	return c
}
