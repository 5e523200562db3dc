package access

import (
	"strings"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Strip removes from a stored object what the caller never reads, in place: internal fields (those that begin with "_") unless the caller
// has the maintenance key; of a _User the password, hashed or not, and the session token, whoever asks; and its authData
// unless it is the caller's own or the caller is privileged; of a _Session the token from the read-only master key, which
// could write as the user with it. It comes after `_rperm` and `_wperm` became the ACL.
func Strip(caller *auth.Caller, object *parse.Object) {
	if object.ClassName == schema.UserClass {
		for _, name := range []string{"password", "_hashed_password", "sessionToken", "_session_token"} {
			object.Delete(name)
		}
		if !caller.Privileged() && (object.ID() == "" || object.ID() != caller.UserID()) {
			object.Delete("authData")
		}
		dropPrefixed(object, schema.AuthDataPrefix) // authData is how they are shown
	}
	if object.ClassName == schema.SessionClass && caller.ReadOnly {
		object.Delete("sessionToken")
	}
	if !caller.Maintenance {
		dropPrefixed(object, "_")
	}
}

// tokens are the fields whose value is all that it takes to act as a user.
var tokens = []string{"sessionToken", "_session_token", "_perishable_token", "_email_verify_token"}

// CheckTokens refuses the read-only master key a question about a token of a user or a session (code 119): who could find out
// a token, piece by piece, could write as its user.
func CheckTokens(caller *auth.Caller, class *schema.Class, q *query.Find) error {
	if !caller.ReadOnly || class.Name != schema.UserClass && class.Name != schema.SessionClass {
		return nil
	}
	if err := checkWhere(q.Where, tokens, class.Name); err != nil {
		return err
	}
	for _, o := range q.Order {
		if protects(tokens, o.Key) {
			return notQueryable(o.Key, class.Name)
		}
	}
	return nil
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
