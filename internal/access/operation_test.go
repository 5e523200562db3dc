package access

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

func user(id string, roles ...string) *auth.Caller {
	return &auth.Caller{User: parse.NewObject("_User", "objectId", id), Roles: roles}
}

var (
	master      = &auth.Caller{Master: true}
	readOnly    = &auth.Caller{Master: true, ReadOnly: true}
	maintenance = &auth.Caller{Maintenance: true}
	anonymous   = &auth.Caller{}
	alice       = user("alice")
	admin       = user("bob", "role:admin")
)

// callers are all kinds of callers that permissions tell apart.
var callers = []struct {
	name   string
	caller *auth.Caller
}{
	{"master", master}, {"readOnly", readOnly}, {"maintenance", maintenance}, {"anonymous", anonymous}, {"alice", alice}, {"admin", admin},
}

func pointsAt(field, id string) query.Node {
	return &query.Constraint{Key: field, Op: query.Eq, Arg: parse.Pointer{ClassName: "_User", ObjectID: id}}
}

// classWith returns a class with a pointer, an array and these permissions.
func classWith(clp *schema.CLP) *schema.Class {
	class := schema.New("C")
	class.Fields["owner"] = schema.Field{Type: schema.Pointer, TargetClass: "_User"}
	class.Fields["friends"] = schema.Field{Type: schema.Array}
	class.Fields["secret"] = schema.Field{Type: schema.String}
	class.CLP = clp
	return class
}

// outcome is what an operation comes to, in one word or the condition.
func outcome(node query.Node, err error) string {
	switch e, _ := err.(*parse.Error); {
	case e != nil && e.Message != "Permission denied":
		return "unexpected text " + e.Message
	case e != nil:
		return fmt.Sprint(int(e.Code))
	case node == nil:
		return "ok"
	}
	if or, ok := node.(query.Or); ok {
		text := "none"
		for i, part := range or {
			if i == 0 {
				text = outcome(part, nil)
			} else {
				text += "|" + outcome(part, nil)
			}
		}
		return text
	}
	c := node.(*query.Constraint)
	if list, ok := c.Arg.([]any); ok {
		return c.Key + "[" + list[0].(parse.Pointer).ObjectID + "]"
	}
	return c.Key + "=" + c.Arg.(parse.Pointer).ObjectID
}

// Every kind of caller against every kind of grant and every operation (contract parse-api.md, 2.6). A row gives, for the callers
// anonymous, alice and admin (user bob, role admin), what find, get and count, then update and delete, then create, then addField on
// update, then addField on create come to; keys may always.
func TestOperationMatrix(t *testing.T) {
	entities := func(names ...string) schema.Grant {
		g := schema.Grant{Entities: map[string]bool{}}
		for _, name := range names {
			g.Entities[name] = true
		}
		return g
	}
	withPointers := func(g schema.Grant, fields ...string) schema.Grant {
		g.PointerFields = fields
		return g
	}
	loggedIn := schema.Grant{RequiresAuthentication: true}
	// Columns: read, write, create, addField of an update, addField of a create.
	type row [5]string
	all := func(what string) row { return row{what, what, what, what, what} }
	both := row{"ok", "ok", "ok", "ok", "ok"}
	for _, test := range []struct {
		name                    string
		grant                   schema.Grant
		missing                 bool // the operation is not among the permissions
		readFields, writeFields []string
		anonymous, alice, admin row
	}{
		{name: "no permission for the operation", missing: true, anonymous: both, alice: both, admin: both},
		{name: "nobody", grant: schema.Grant{}, anonymous: all("119"), alice: all("119"), admin: all("119")},
		{name: "everybody", grant: entities("*"), anonymous: both, alice: both, admin: both},
		{name: "a user", grant: entities("alice"), anonymous: all("119"), alice: both, admin: all("119")},
		{name: "a role", grant: entities("role:admin"), anonymous: all("119"), alice: all("119"), admin: both},
		{name: "a user and a role", grant: entities("alice", "role:admin"), anonymous: all("119"), alice: both, admin: both},
		{name: "an entity that is false", grant: schema.Grant{Entities: map[string]bool{"*": false, "alice": false}}, anonymous: all("119"), alice: all("119"), admin: all("119")},
		{name: "logged in", grant: loggedIn, anonymous: all("101"), alice: both, admin: both},
		{name: "logged in, or everybody", grant: schema.Grant{RequiresAuthentication: true, Entities: map[string]bool{"*": true}}, anonymous: both, alice: both, admin: both},
		{name: "pointer", grant: withPointers(schema.Grant{}, "owner"),
			anonymous: row{"none", "none", "119", "none", "119"},
			alice:     row{"owner=alice", "owner=alice", "119", "owner=alice", "119"},
			admin:     row{"owner=bob", "owner=bob", "119", "owner=bob", "119"}},
		{name: "array", grant: withPointers(schema.Grant{}, "friends"),
			anonymous: row{"none", "none", "119", "none", "119"},
			alice:     row{"friends[alice]", "friends[alice]", "119", "friends[alice]", "119"},
			admin:     row{"friends[bob]", "friends[bob]", "119", "friends[bob]", "119"}},
		{name: "both", grant: withPointers(schema.Grant{}, "owner", "friends"),
			anonymous: row{"none", "none", "119", "none", "119"},
			alice:     row{"owner=alice|friends[alice]", "owner=alice|friends[alice]", "119", "owner=alice|friends[alice]", "119"},
			admin:     row{"owner=bob|friends[bob]", "owner=bob|friends[bob]", "119", "owner=bob|friends[bob]", "119"}},
		{name: "a pointer that is gone", grant: withPointers(schema.Grant{}, "was"),
			anonymous: row{"none", "none", "119", "none", "119"},
			alice:     row{"none", "none", "119", "none", "119"},
			admin:     row{"none", "none", "119", "none", "119"}},
		{name: "pointer, or a role", grant: withPointers(entities("role:admin"), "owner"),
			anonymous: row{"none", "none", "119", "none", "119"},
			alice:     row{"owner=alice", "owner=alice", "119", "owner=alice", "119"},
			admin:     both},
		{name: "pointer and logged in", grant: withPointers(loggedIn, "owner"), // measured: the pointer narrows
			anonymous: all("101"),
			alice:     row{"owner=alice", "owner=alice", "ok", "owner=alice", "ok"},
			admin:     row{"owner=bob", "owner=bob", "ok", "owner=bob", "ok"}},
		{name: "readUserFields", grant: schema.Grant{}, readFields: []string{"owner"},
			anonymous: row{"none", "119", "119", "119", "119"},
			alice:     row{"owner=alice", "119", "119", "119", "119"},
			admin:     row{"owner=bob", "119", "119", "119", "119"}},
		{name: "writeUserFields", grant: schema.Grant{}, writeFields: []string{"friends"},
			anonymous: row{"119", "none", "119", "none", "119"},
			alice:     row{"119", "friends[alice]", "119", "friends[alice]", "119"},
			admin:     row{"119", "friends[bob]", "119", "friends[bob]", "119"}},
		{name: "pointer and the same group", grant: withPointers(schema.Grant{}, "owner"), readFields: []string{"owner", "friends"}, writeFields: []string{"owner"},
			anonymous: row{"none", "none", "119", "none", "119"},
			alice:     row{"owner=alice|friends[alice]", "owner=alice", "119", "owner=alice", "119"},
			admin:     row{"owner=bob|friends[bob]", "owner=bob", "119", "owner=bob", "119"}},
		{name: "everybody, beside groups", grant: entities("*"), readFields: []string{"owner"}, writeFields: []string{"owner"}, anonymous: both, alice: both, admin: both},
	} {
		clp := &schema.CLP{Operations: map[schema.Operation]schema.Grant{}, ReadUserFields: test.readFields, WriteUserFields: test.writeFields}
		if !test.missing {
			for _, op := range schema.Operations {
				clp.Operations[op] = test.grant
			}
		}
		class := classWith(clp)
		rows := map[string]row{"anonymous": test.anonymous, "alice": test.alice, "admin": test.admin}
		for _, c := range callers {
			want, limited := rows[c.name]
			if !limited {
				want = both
			}
			for op, column := range map[schema.Operation]int{schema.OpFind: 0, schema.OpGet: 0, schema.OpCount: 0, schema.OpUpdate: 1, schema.OpDelete: 1, schema.OpCreate: 2} {
				if got := outcome(Operation(c.caller, class, op)); got != want[column] {
					t.Errorf("%s: Operation(%s, %s) = %s, want %s", test.name, c.name, op, got, want[column])
				}
			}
			if got := outcome(AddField(c.caller, class, true)); got != want[3] {
				t.Errorf("%s: AddField(%s, update) = %s, want %s", test.name, c.name, got, want[3])
			}
			if got := outcome(AddField(c.caller, class, false)); got != want[4] {
				t.Errorf("%s: AddField(%s, create) = %s, want %s", test.name, c.name, got, want[4])
			}
		}
	}
}

func TestOperationWithoutPermissions(t *testing.T) {
	for _, c := range callers {
		for _, op := range schema.Operations {
			for name, class := range map[string]*schema.Class{"no class": nil, "no permissions": classWith(nil)} {
				if got := outcome(Operation(c.caller, class, op)); got != "ok" {
					t.Errorf("%s: Operation(%s, %s) = %s, want ok", name, c.name, op, got)
				}
			}
		}
	}
}

func TestOperationReasons(t *testing.T) {
	class := classWith(&schema.CLP{Operations: map[schema.Operation]schema.Grant{schema.OpFind: {}, schema.OpGet: {RequiresAuthentication: true}}})
	_, err := Operation(alice, class, schema.OpFind)
	if diff := cmp.Diff(&parse.Error{Code: 119, Message: "Permission denied", Reason: "Permission denied for action find on class C."}, err); diff != "" {
		t.Errorf("Operation(alice, find) (-want +got):\n%s", diff)
	}
	_, err = Operation(anonymous, class, schema.OpGet)
	if diff := cmp.Diff(&parse.Error{Code: 101, Message: "Permission denied", Reason: "Permission denied, user needs to be authenticated."}, err); diff != "" {
		t.Errorf("Operation(anonymous, get) (-want +got):\n%s", diff)
	}
}

func TestReading(t *testing.T) {
	byID := &query.Constraint{Key: "objectId", Op: query.Eq, Arg: "x"}
	for _, test := range []struct {
		name  string
		where query.Node
		want  schema.Operation
	}{
		{"everything", nil, schema.OpFind},
		{"one id", byID, schema.OpGet},
		{"one id in an And", query.And{byID}, schema.OpGet},
		{"one id and more", query.And{byID, &query.Constraint{Key: "a", Op: query.Eq, Arg: 1.0}}, schema.OpFind},
		{"other operator", &query.Constraint{Key: "objectId", Op: query.Ne, Arg: "x"}, schema.OpFind},
		{"no string", &query.Constraint{Key: "objectId", Op: query.Eq, Arg: nil}, schema.OpFind},
		{"other field", &query.Constraint{Key: "a", Op: query.Eq, Arg: "x"}, schema.OpFind},
		{"Or", query.Or{byID}, schema.OpFind},
	} {
		if got := Reading(test.where); got != test.want {
			t.Errorf("Reading(%s) = %s, want %s", test.name, got, test.want)
		}
	}
}

func TestEvolve(t *testing.T) {
	locked := classWith(&schema.CLP{Operations: map[schema.Operation]schema.Grant{schema.OpAddField: {}}})
	owners := classWith(&schema.CLP{Operations: map[schema.Operation]schema.Grant{schema.OpAddField: {PointerFields: []string{"owner"}}}})
	closed, open := Rules{}, Rules{AllowClassCreation: true}
	for _, test := range []struct {
		name   string
		rules  Rules
		caller *auth.Caller
		class  *schema.Class
		isNew  bool
		fields []string
		update bool
		want   string
	}{
		{"new class", closed, alice, schema.New("C"), true, []string{"a"}, false, "119"},
		{"new class without fields", closed, anonymous, schema.New("C"), true, nil, false, "119"},
		{"new class, allowed", open, anonymous, schema.New("C"), true, []string{"a"}, false, "ok"},
		{"new class, master", closed, master, schema.New("C"), true, []string{"a"}, false, "ok"},
		{"new class, maintenance", closed, maintenance, schema.New("C"), true, []string{"a"}, false, "ok"},
		{"field of an open class", closed, anonymous, classWith(nil), false, []string{"a"}, false, "ok"},
		{"field of a locked class", open, alice, locked, false, []string{"a"}, false, "119"},
		{"no field of a locked class", open, alice, locked, false, nil, false, "ok"},
		{"field of a locked class, master", closed, master, locked, false, []string{"a"}, false, "ok"},
		{"field by pointer, create", open, alice, owners, false, []string{"a"}, false, "119"},
		{"field by pointer, update", open, alice, owners, false, []string{"a"}, true, "owner=alice"},
	} {
		var extra query.Node
		err := test.rules.Evolve(test.caller, test.update, &extra)(test.class, test.isNew, test.fields)
		if got := outcome(extra, err); got != test.want {
			t.Errorf("%s: Evolve = %s, want %s", test.name, got, test.want)
		}
	}
	if err := open.Evolve(alice, true, nil)(owners, false, []string{"a"}); err != nil {
		t.Errorf("Evolve without a place for the condition: %v, want nil", err)
	}
}

// grants draws what an operation may grant.
func grants() *rapid.Generator[schema.Grant] {
	return rapid.Custom(func(t *rapid.T) schema.Grant {
		g := schema.Grant{Entities: map[string]bool{}}
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"*", "alice", "bob", "role:admin", "role:other"}), rapid.ID).Draw(t, "entities") {
			g.Entities[name] = true
		}
		g.PointerFields = rapid.SliceOfDistinct(rapid.SampledFrom([]string{"owner", "friends", "was"}), rapid.ID).Draw(t, "pointers")
		g.RequiresAuthentication = rapid.Bool().Draw(t, "requiresAuthentication")
		return g
	})
}

// reach is how far an outcome goes: refused, some objects, all objects.
func reach(what string) int {
	switch what {
	case "101", "119":
		return 0
	case "none":
		return 1
	case "ok":
		return 3
	}
	return 2
}

// To grant an operation to one more user, role or everybody takes it from nobody.
func TestGrantingNeverRemoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grant := grants().Draw(t, "grant")
		op := rapid.SampledFrom(schema.Operations).Draw(t, "op")
		entity := rapid.SampledFrom([]string{"*", "alice", "bob", "role:admin", "role:other"}).Draw(t, "entity")
		c := rapid.SampledFrom(callers).Draw(t, "caller")
		before := outcome(Operation(c.caller, classWith(&schema.CLP{Operations: map[schema.Operation]schema.Grant{op: grant}}), op))
		more := schema.Grant{Entities: map[string]bool{entity: true}, PointerFields: grant.PointerFields, RequiresAuthentication: grant.RequiresAuthentication}
		for name := range grant.Entities {
			more.Entities[name] = true
		}
		after := outcome(Operation(c.caller, classWith(&schema.CLP{Operations: map[schema.Operation]schema.Grant{op: more}}), op))
		if reach(after) < reach(before) {
			t.Fatalf("granting %s to %s took it from %s: %s, was %s (grant %+v)", op, entity, c.name, after, before, grant)
		}
		if c.caller.Privileged() && after != "ok" {
			t.Fatalf("%s may not %s: %s", c.name, op, after)
		}
		if stands := slices.Contains(c.caller.Entities(), entity); stands && after != "ok" {
			t.Fatalf("%s was granted %s by %s and gets %s", c.name, op, entity, after)
		}
	})
}
