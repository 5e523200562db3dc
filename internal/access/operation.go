package access

import (
	"slices"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Reading returns which operation a read with this condition is: a get when it asks for nothing but one objectId, otherwise a find.
// A query that counts needs OpCount besides.
func Reading(where query.Node) schema.Operation {
	if and, ok := where.(query.And); ok && len(and) == 1 {
		where = and[0]
	}
	if c, ok := where.(*query.Constraint); ok && c.Key == "objectId" && c.Op == query.Eq {
		if _, ok := c.Arg.(string); ok {
			return schema.OpGet
		}
	}
	return schema.OpFind
}

// Operation tells whether the class-level permissions admit the caller to an operation (contract parse-api.md, 2.6). The node is a
// condition that the objects must meet besides, nil for none: pointer permissions admit the user only to the objects
// whose fields lead to it, and nobody who is not logged in to any.
//
// Refusals are code 101 where the operation requires authentication, and 119 otherwise. class is nil for a class that does not exist:
// that one is open. Adding fields is [AddField].
func Operation(caller *auth.Caller, class *schema.Class, op schema.Operation) (query.Node, error) {
	return operation(caller, class, op, op == schema.OpUpdate)
}

// AddField is [Operation] for a write that adds fields to the class: pointer permissions admit to it on an update only, because
// the object of a create leads to nobody yet.
func AddField(caller *auth.Caller, class *schema.Class, update bool) (query.Node, error) {
	return operation(caller, class, schema.OpAddField, update)
}

// Evolve returns what package schemas asks before a write adds to the schema. extra, which may be nil for a create, receives the
// condition that the object of an update has to meet besides.
func (r Rules) Evolve(caller *auth.Caller, update bool, extra *query.Node) func(class *schema.Class, isNew bool, newFields []string) error {
	return func(class *schema.Class, isNew bool, newFields []string) error {
		if isNew {
			return r.UnknownClass(caller, class.Name)
		}
		if len(newFields) == 0 {
			return nil
		}
		node, err := AddField(caller, class, update)
		if err == nil && extra != nil {
			*extra = query.AndOf(*extra, node)
		}
		return err
	}
}

func operation(caller *auth.Caller, class *schema.Class, op schema.Operation, update bool) (query.Node, error) {
	if caller.Privileged() || class == nil || class.CLP == nil {
		return nil, nil
	}
	grant, limited := class.CLP.Operations[op]
	if !limited || granted(caller, grant) {
		return nil, nil
	}
	fields := pointerFields(class.CLP, grant, op)
	if grant.RequiresAuthentication {
		if caller.UserID() == "" {
			return nil, parse.Denied(parse.ObjectNotFound, "Permission denied, user needs to be authenticated.")
		}
		// Pointer permissions that stand beside it narrow what a logged-in user reaches, as in Parse Server.
		if len(fields) == 0 || op == schema.OpCreate || op == schema.OpAddField && !update {
			return nil, nil
		}
		return pointsAtUser(caller, class, fields), nil
	}
	if len(fields) == 0 || op == schema.OpCreate || op == schema.OpAddField && !update {
		return nil, parse.Denied(parse.OperationForbidden, "Permission denied for action %s on class %s.", op, class.Name)
	}
	return pointsAtUser(caller, class, fields), nil
}

// granted tells whether the operation is open to everybody, to the user or to one of its roles.
func granted(caller *auth.Caller, grant schema.Grant) bool {
	if grant.Entities[parse.Public] {
		return true
	}
	id := caller.UserID()
	if id == "" || len(grant.Entities) == 0 {
		return false
	}
	return grant.Entities[id] || slices.ContainsFunc(caller.Roles, func(role string) bool { return grant.Entities[role] })
}

// pointerFields returns the fields whose users are admitted: those of the operation, then those of all reads or writes.
func pointerFields(clp *schema.CLP, grant schema.Grant, op schema.Operation) []string {
	group := clp.WriteUserFields
	if reads(op) {
		group = clp.ReadUserFields
	}
	if len(grant.PointerFields) == 0 {
		return group
	}
	fields := slices.Clone(grant.PointerFields)
	for _, name := range group {
		if !slices.Contains(fields, name) {
			fields = append(fields, name)
		}
	}
	return fields
}

// pointsAtUser is the condition that one of the fields leads to the user: a Pointer is it, an Array contains it. A field that the class
// no longer has leads to nobody.
func pointsAtUser(caller *auth.Caller, class *schema.Class, fields []string) query.Node {
	id := caller.UserID()
	if id == "" {
		return query.Never()
	}
	var either query.Or
	for _, name := range fields {
		switch class.Fields[name].Type {
		case schema.Pointer:
			either = append(either, &query.Constraint{Key: name, Op: query.Eq, Arg: userPointer(id)})
		case schema.Array:
			either = append(either, &query.Constraint{Key: name, Op: query.All, Arg: []any{userPointer(id)}})
		}
	}
	if len(either) == 1 {
		return either[0]
	}
	return either
}
