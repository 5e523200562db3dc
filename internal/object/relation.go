package object

import (
	"context"
	"errors"
	"strings"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// The members of the relation field f of class C are objects of the class "_Join:f:C", one for each pair of ids.
const (
	owningID  = "owningId"
	relatedID = "relatedId"
)

// relationChange is what a save does to one relation field: no object stands in both lists.
type relationChange struct {
	field       string
	add, remove []parse.Pointer
}

// detachRelations takes the relation operators out of the data. Nothing else can be written to a Relation: a value of
// the type says nothing, and neither its removal nor null takes members out (as on MongoDB, where the field is not stored).
// The removal of a field that is not there goes with them.
func (o *Objects) detachRelations(_ context.Context, s *Save) error {
	for _, name := range s.Data.Keys() {
		v := s.Data.Get(name)
		if op, ok := v.(parse.Op); ok {
			if add, remove, ok := parse.RelationChange(op); ok {
				s.Data.Delete(name)
				if strings.Contains(name, ".") {
					return parse.Errorf(parse.InvalidKeyName, "Invalid field name: %s.", name)
				}
				if err := checkMembers(s.Class, name, add, remove); err != nil {
					return err
				}
				if len(add)+len(remove) == 0 {
					return parse.Errorf(parse.InvalidJSON, "a relation operator must name at least one object")
				}
				s.relations = append(s.relations, relationChange{name, add, remove})
				continue
			}
		}
		_, relation := v.(parse.Relation)
		_, removal := v.(parse.Delete)
		f, known := s.Class.Field(query.Root(name))
		if relation || f.Type == schema.Relation || removal && (!known || s.IsCreate()) {
			s.Data.Delete(name)
		}
	}
	return nil
}

// checkMembers refuses objects of another class than the relation has: the schema looked at the first one only.
func checkMembers(class *schema.Class, name string, lists ...[]parse.Pointer) error {
	f := class.Fields[name]
	for _, list := range lists {
		for _, p := range list {
			if f.Type != schema.Relation || p.ClassName != f.TargetClass {
				got := schema.Field{Type: schema.Relation, TargetClass: p.ClassName}
				return parse.Errorf(parse.IncorrectType, "schema mismatch for %s.%s; expected %s but got %s", class.Name, name, f, got)
			}
		}
	}
	return nil
}

// writeRelations makes the members of the relations what the operators say. Adding a member twice and removing one that is
// not there change nothing. It runs inside a transaction, so that two writers cannot both add one pair.
func (o *Objects) writeRelations(ctx context.Context, s *Save) error {
	for _, change := range s.relations {
		join := o.join(s.ClassName, change.field)
		if len(change.remove) > 0 {
			if _, err := o.store.Delete(ctx, join, pairs(s.ID, change.remove), -1); err != nil {
				return err
			}
		}
		if len(change.add) == 0 {
			continue
		}
		present := make(map[string]bool, len(change.add))
		if !s.IsCreate() { // a new object has no members yet
			q := &query.Find{ClassName: join.Name, Where: pairs(s.ID, change.add), Limit: -1}
			for row, err := range o.store.Find(ctx, join, q) {
				if err != nil {
					return err
				}
				present[row.String(relatedID)] = true
			}
		}
		rows := make([]*parse.Object, 0, len(change.add))
		for _, p := range change.add {
			if !present[p.ObjectID] {
				rows = append(rows, parse.NewObject(join.Name, "objectId", parse.NewID(parse.IDSize), relatedID, p.ObjectID, owningID, s.ID))
			}
		}
		if len(rows) > 0 {
			if err := o.store.Create(ctx, join, rows...); err != nil {
				return err
			}
		}
	}
	return nil
}

func pairs(owner string, members []parse.Pointer) query.Node {
	ids := make([]any, len(members))
	for i, p := range members {
		ids[i] = p.ObjectID
	}
	return query.And{
		&query.Constraint{Key: owningID, Op: query.Eq, Arg: owner},
		&query.Constraint{Key: relatedID, Op: query.In, Arg: ids},
	}
}

// clearRelations removes the members of all relations of an object that was deleted: an object that gets the same id later
// (allowCustomObjectId) must not inherit them.
func (o *Objects) clearRelations(ctx context.Context, class *schema.Class, id string) error {
	for _, name := range o.plan(class).relations {
		join := o.join(class.Name, name)
		where := query.Node(nil)
		if id != "" {
			where = &query.Constraint{Key: owningID, Op: query.Eq, Arg: id}
		}
		if _, err := o.store.Delete(ctx, join, where, -1); err != nil {
			return err
		}
	}
	return nil
}

// members returns the condition of $relatedTo: the objectId is one of the members of the relation. A caller that cannot read
// the owner learns nothing of its relations, not even whether one given object is a member.
func (o *Objects) members(ctx context.Context, caller *auth.Caller, n *query.RelatedTo) (query.Node, error) {
	owner, exists := o.cfg.Schemas.Class(n.Object.ClassName)
	if !exists || owner.Fields[n.Key].Type != schema.Relation {
		return query.Never(), nil
	}
	if !caller.Privileged() {
		if err := o.cfg.Rules.CheckRelated(caller, owner, n.Key); err != nil {
			return nil, err
		}
		readable, err := o.readable(ctx, caller, n.Object)
		if err != nil || !readable {
			return query.Never(), err
		}
	}
	ids, err := o.pluck(ctx, o.join(owner.Name, n.Key), relatedID, &query.Constraint{Key: owningID, Op: query.Eq, Arg: n.Object.ObjectID})
	if err != nil {
		return nil, err
	}
	return &query.Constraint{Key: "objectId", Op: query.In, Arg: ids}, nil
}

// readable tells whether the caller may read one object.
func (o *Objects) readable(ctx context.Context, caller *auth.Caller, p parse.Pointer) (bool, error) {
	q := &query.Find{ClassName: p.ClassName, Where: ofID(p.ObjectID), Limit: 1, Keys: []string{"objectId"}}
	found, err := o.read(ctx, caller, q, schema.OpGet)
	if errors.Is(err, parse.OperationForbidden) || errors.Is(err, parse.ObjectNotFound) {
		return false, nil
	}
	return err == nil && len(found.Objects) > 0, err
}

// owners turns a constraint on a Relation field into one on objectId: the owners of the given members, or not those. What is no
// pointer is in no relation.
func (o *Objects) owners(ctx context.Context, class *schema.Class, n *query.Constraint) (query.Node, error) {
	var members []any
	op := query.In
	switch n.Op {
	case query.Eq:
		members = []any{n.Arg}
	case query.Ne:
		members, op = []any{n.Arg}, query.Nin
	case query.In:
		members, _ = n.Arg.([]any)
	case query.Nin:
		members, op = nil, query.Nin
		members, _ = n.Arg.([]any)
	default:
		return query.Never(), nil
	}
	ids := make([]any, 0, len(members))
	for _, m := range members {
		if p, ok := m.(parse.Pointer); ok {
			ids = append(ids, p.ObjectID)
		}
	}
	if len(ids) == 0 && op == query.In {
		return query.Never(), nil
	}
	owners, err := o.pluck(ctx, o.join(class.Name, n.Key), owningID, &query.Constraint{Key: relatedID, Op: query.In, Arg: ids})
	if err != nil {
		return nil, err
	}
	return &query.Constraint{Key: "objectId", Op: op, Arg: owners}, nil
}

// pluck returns the values of one String field of the objects of a join class.
func (o *Objects) pluck(ctx context.Context, class *schema.Class, field string, where query.Node) ([]any, error) {
	values := []any{}
	for row, err := range o.store.Find(ctx, class, &query.Find{ClassName: class.Name, Where: where, Limit: -1, Keys: []string{field}}) {
		if err != nil {
			return nil, err
		}
		values = append(values, row.Get(field))
	}
	return values, nil
}
