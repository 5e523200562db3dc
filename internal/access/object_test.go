package access

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

func TestReadableAndWritable(t *testing.T) {
	for _, test := range []struct {
		name   string
		caller *auth.Caller
		want   []any
	}{
		{"master", master, nil},
		{"readOnly", readOnly, nil},
		{"maintenance", maintenance, nil},
		{"anonymous", anonymous, []any{nil, "*"}},
		{"alice", alice, []any{nil, "*", "alice"}},
		{"admin", admin, []any{nil, "*", "bob", "role:admin"}},
	} {
		var readable, writable query.Node
		if test.want != nil {
			readable = &query.Constraint{Key: "_rperm", Op: query.In, Arg: test.want}
			writable = &query.Constraint{Key: "_wperm", Op: query.In, Arg: test.want}
		}
		if diff := cmp.Diff(readable, Readable(test.caller)); diff != "" {
			t.Errorf("Readable(%s) (-want +got):\n%s", test.name, diff)
		}
		if diff := cmp.Diff(writable, Writable(test.caller)); diff != "" {
			t.Errorf("Writable(%s) (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestStrip(t *testing.T) {
	stored := func(class string) *parse.Object {
		return parse.NewObject(class, "objectId", "alice", "username", "a", "password", "p", "sessionToken", "r:1", "authData", parse.NewMap("x", 1.0),
			"_hashed_password", "h", "_session_token", "r:2", "_auth_data_x", parse.NewMap(), "_perishable_token", "t", "_rperm", []any{})
	}
	internal := []string{"_perishable_token", "_rperm"} // what providers know is shown as authData
	for _, test := range []struct {
		name   string
		caller *auth.Caller
		want   []string
	}{
		{"master", master, []string{"objectId", "username", "authData"}},
		{"readOnly", readOnly, []string{"objectId", "username", "authData"}},
		{"maintenance", maintenance, append([]string{"objectId", "username", "authData"}, internal...)},
		{"anonymous", anonymous, []string{"objectId", "username"}},
		{"alice", alice, []string{"objectId", "username", "authData"}},
		{"admin", admin, []string{"objectId", "username"}},
	} {
		object := stored("_User")
		Strip(test.caller, object)
		if diff := cmp.Diff(test.want, object.Keys()); diff != "" {
			t.Errorf("Strip(%s) of a _User leaves (-want +got):\n%s", test.name, diff)
		}
		object = stored("C")
		Strip(test.caller, object)
		want := []string{"objectId", "username", "password", "sessionToken", "authData"}
		if test.caller == maintenance {
			want = stored("C").Keys()
		}
		if diff := cmp.Diff(want, object.Keys()); diff != "" {
			t.Errorf("Strip(%s) of a C leaves (-want +got):\n%s", test.name, diff)
		}
	}
}

// An object without id is nobody's own, least of all that of a caller without user.
func TestStripWithoutID(t *testing.T) {
	for _, caller := range []*auth.Caller{anonymous, user("")} {
		object := parse.NewObject("_User", "authData", parse.NewMap())
		Strip(caller, object)
		if object.Has("authData") {
			t.Errorf("Strip(%+v) leaves the authData of an object without id", caller)
		}
	}
}
