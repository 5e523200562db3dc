package access

import (
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Class tells whether the caller may use the class for an operation at all, before any permission is looked at (contract
// parse-api.md, 1.3 and 2.4): clients use no volatile class and no join class, they neither find nor delete
// installations, and the read-only master key changes nothing. All refusals are code 119.
func Class(caller *auth.Caller, class string, op schema.Operation) error {
	if !caller.Privileged() {
		if schema.IsVolatile(class) || schema.IsJoin(class) {
			return parse.Denied(parse.OperationForbidden, "Clients aren't allowed to perform the %s operation on the %s collection.", op, class)
		}
		if class == schema.InstallationClass && (op == schema.OpFind || op == schema.OpCount || op == schema.OpDelete) {
			return parse.Denied(parse.OperationForbidden, "Clients aren't allowed to perform the %s operation on the installation collection.", op)
		}
	}
	if caller.ReadOnly && !reads(op) {
		return parse.Denied(parse.OperationForbidden, "read-only masterKey isn't allowed to perform the %s operation.", op)
	}
	return nil
}

func reads(op schema.Operation) bool {
	return op == schema.OpFind || op == schema.OpGet || op == schema.OpCount
}

// Change refuses the read-only master key what changes something else than an object, such as the schema or the
// configuration (code 119). What completes "isn't allowed to": "create a schema".
func Change(caller *auth.Caller, what string) error {
	if caller.ReadOnly {
		return parse.Denied(parse.OperationForbidden, "read-only masterKey isn't allowed to %s.", what)
	}
	return nil
}

// UnknownClass tells whether the caller may read or write a class that does not exist: privileged callers may, and everybody where
// clients may create classes; system classes always exist in this sense. The refusal is code 119.
func (r Rules) UnknownClass(caller *auth.Caller, class string) error {
	if r.AllowClassCreation || caller.Privileged() || schema.IsSystem(class) {
		return nil
	}
	return parse.Denied(parse.OperationForbidden, "This user is not allowed to access non-existent class: %s", class)
}

// Sessions returns the condition under which the caller may read, change or delete objects of class _Session: they are those of its
// user. It is nil for the master key. Anybody else without user, the maintenance key too, is refused with code 209.
func Sessions(caller *auth.Caller) (query.Node, error) {
	if caller.Master {
		return nil, nil
	}
	id := caller.UserID()
	if id == "" {
		return nil, parse.Denied(parse.InvalidSessionToken, "Invalid session token")
	}
	return &query.Constraint{Key: "user", Op: query.Eq, Arg: userPointer(id)}, nil
}

func userPointer(id string) parse.Pointer {
	return parse.Pointer{ClassName: schema.UserClass, ObjectID: id}
}
