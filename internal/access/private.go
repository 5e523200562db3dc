package access

import (
	"strings"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

// Strip removes from a stored object what the caller never reads, in place: internal fields (those that begin with "_") unless the caller
// has the maintenance key; of a _User the password, hashed or not, and the session token, whoever asks; and its authData
// unless it is the caller's own or the caller is privileged. It comes after `_rperm` and `_wperm` became the ACL.
func Strip(caller *auth.Caller, object *parse.Object) {
	if object.ClassName == schema.UserClass {
		for _, name := range []string{"password", "_hashed_password", "sessionToken", "_session_token"} {
			object.Delete(name)
		}
		if !caller.Privileged() && (object.ID() == "" || object.ID() != caller.UserID()) {
			object.Delete("authData")
			dropPrefixed(object, schema.AuthDataPrefix)
		}
	}
	if !caller.Maintenance {
		dropPrefixed(object, "_")
	}
}

func dropPrefixed(object *parse.Object, prefix string) {
	var names []string
	for name := range object.All() {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		object.Delete(name)
	}
}
