package object

import (
	"context"
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// resolve turns a condition into one that the database can answer: sub-queries become the values that they find, with the rights
// of this caller, and questions about relations become questions about objectId. What clients ask about _rperm gives way to the
// condition of the ACL, as in Parse Server, and authData is where it is stored.
func (r *reading) resolve(ctx context.Context, where query.Node) (query.Node, error) {
	if !r.caller.Privileged() {
		where = withoutReaders(where)
	}
	if !r.unresolved(where) {
		return where, nil
	}
	return query.Rewrite(where, func(n query.Node) (query.Node, error) {
		switch n := n.(type) {
		case *query.RelatedTo:
			return r.members(ctx, r.caller, n)
		case *query.SubQuery:
			c, err := r.subQuery(ctx, n)
			if err != nil || !r.isRelation(c.Key) {
				return c, err
			}
			return r.owners(ctx, r.class, c)
		case *query.Constraint:
			switch {
			case r.isRelation(n.Key):
				return r.owners(ctx, r.class, n)
			case r.isAuthData(n.Key):
				stored := *n
				stored.Key = schema.AuthDataPrefix + strings.TrimPrefix(n.Key, "authData.")
				return &stored, nil
			}
		}
		return n, nil
	})
}

// withoutReaders leaves out what stands about _rperm at the top of a condition.
func withoutReaders(where query.Node) query.Node {
	about := func(n query.Node) bool {
		c, ok := n.(*query.Constraint)
		return ok && c.Key == readers
	}
	if about(where) {
		return nil
	}
	if and, ok := where.(query.And); ok && slices.ContainsFunc(and, about) {
		return slices.DeleteFunc(slices.Clone(and), about)
	}
	return where
}

func (r *reading) isAuthData(key string) bool {
	return r.class.Name == schema.UserClass && strings.HasPrefix(key, "authData.")
}

// unresolved tells whether a condition holds something that resolve would replace. Most hold nothing.
func (r *reading) unresolved(where query.Node) bool {
	found := false
	query.Walk(where, func(n query.Node) bool {
		switch n := n.(type) {
		case *query.RelatedTo, *query.SubQuery:
			found = true
		case *query.Constraint:
			found = found || r.isRelation(n.Key) || r.isAuthData(n.Key)
		}
		return !found
	})
	return found
}

func (r *reading) isRelation(key string) bool { return r.class.Fields[key].Type == schema.Relation }

// subQuery runs a sub-query and returns the constraint that its result means: In or Nin of pointers to what it finds, or of the
// values of one field.
func (r *reading) subQuery(ctx context.Context, n *query.SubQuery) (*query.Constraint, error) {
	q := n.Find
	q.Skip, q.Order, q.Count = 0, nil, false
	q.Keys, q.ExcludeKeys, q.Include, q.IncludeAll = []string{"objectId"}, nil, nil, false
	if n.Select != "" {
		q.Keys = []string{query.Root(n.Select)}
	}
	if q.ReadPreference == "" {
		q.ReadPreference = r.q.SubqueryReadPreference
	}
	found, err := r.read(ctx, r.caller, &q, schema.OpFind)
	if err != nil {
		return nil, err
	}
	values := make([]any, 0, len(found.Objects))
	for _, object := range found.Objects {
		if n.Select == "" {
			values = append(values, object.Pointer())
		} else if v, ok := member(object, n.Select); ok {
			values = append(values, v)
		}
	}
	op := query.In
	if n.Negated {
		op = query.Nin
	}
	return &query.Constraint{Key: n.Key, Op: op, Arg: values}, nil
}

// member returns what a dotted key leads to, through objects only.
func member(object *parse.Object, key string) (any, bool) {
	name, rest, dotted := strings.Cut(key, ".")
	v, ok := object.Lookup(name)
	for dotted && ok {
		name, rest, dotted = strings.Cut(rest, ".")
		switch container := v.(type) {
		case *parse.Map:
			v, ok = container.Lookup(name)
		case parse.Pointer:
			v, ok = container.ObjectID, name == "objectId"
		default:
			ok = false
		}
	}
	return v, ok
}
