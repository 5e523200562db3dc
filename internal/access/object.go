package access

import (
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/query"
)

// Readable is the condition that the ACL of a stored object lets the caller read it, nil for a privileged caller. An object
// without `_rperm` is public, one with an empty `_rperm` nobody's.
func Readable(caller *auth.Caller) query.Node { return listed(caller, "_rperm") }

// Writable is [Readable] for changing and deleting, over `_wperm`.
func Writable(caller *auth.Caller) query.Node { return listed(caller, "_wperm") }

func listed(caller *auth.Caller, key string) query.Node {
	if caller.Privileged() {
		return nil
	}
	names := caller.Entities()
	entities := make([]any, 1, 1+len(names)) // nil first: a missing list matches
	for _, name := range names {
		entities = append(entities, name)
	}
	return &query.Constraint{Key: key, Op: query.In, Arg: entities}
}
