package session

import (
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

// User turns a stored user into the one that a Caller carries and triggers see: its ACL and authData in place of what
// they are stored as, no password, nothing internal.
func User(stored *parse.Object) *parse.Object {
	user := parse.NewObject(schema.UserClass)
	for _, name := range []string{"objectId", "createdAt", "updatedAt"} { // the order of answers
		if value, ok := stored.Lookup(name); ok {
			user.Set(name, value)
		}
	}
	authData := &parse.Map{}
	var readers, writers []string
	private := false
	for name, value := range stored.All() {
		provider, isAuthData := strings.CutPrefix(name, schema.AuthDataPrefix)
		switch {
		case name == "_rperm":
			readers, private = texts(value), true
		case name == "_wperm":
			writers, private = texts(value), true
		case isAuthData:
			if value != nil {
				authData.Set(provider, value)
			}
		case strings.HasPrefix(name, "_"), name == "password", name == "sessionToken":
		default:
			user.Set(name, value)
		}
	}
	if authData.Len() > 0 {
		user.Set("authData", authData)
	}
	if private {
		user.Set("ACL", parse.ACLOf(readers, writers))
	}
	return user
}

func texts(list any) []string {
	values, _ := list.([]any)
	names := make([]string, 0, len(values))
	for _, v := range values {
		if name, ok := v.(string); ok {
			names = append(names, name)
		}
	}
	return names
}
