package access

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Every kind of class against every kind of key and every operation.
func TestClass(t *testing.T) {
	operations := []schema.Operation{schema.OpFind, schema.OpCount, schema.OpGet, schema.OpCreate, schema.OpUpdate, schema.OpDelete}
	type table map[schema.Operation]string
	volatile := func(class string) table {
		rows := table{}
		for _, op := range operations {
			rows[op] = "119 Clients aren't allowed to perform the " + string(op) + " operation on the " + class + " collection."
		}
		return rows
	}
	forClients := map[string]table{
		"C": {}, "_User": {}, "_Role": {}, "_Session": {}, "_Product": {},
		"_Installation": {
			schema.OpFind:   "119 Clients aren't allowed to perform the find operation on the installation collection.",
			schema.OpCount:  "119 Clients aren't allowed to perform the count operation on the installation collection.",
			schema.OpDelete: "119 Clients aren't allowed to perform the delete operation on the installation collection.",
		},
		"_Join:users:_Role": volatile("_Join:users:_Role"),
	}
	for _, class := range schema.SystemClasses() {
		if schema.IsVolatile(class) {
			forClients[class] = volatile(class)
		}
	}
	forReadOnly := table{
		schema.OpCreate: "119 read-only masterKey isn't allowed to perform the create operation.",
		schema.OpUpdate: "119 read-only masterKey isn't allowed to perform the update operation.",
		schema.OpDelete: "119 read-only masterKey isn't allowed to perform the delete operation.",
	}
	for class, clients := range forClients {
		for _, c := range callers {
			want := clients
			switch c.caller {
			case master, maintenance:
				want = table{}
			case readOnly:
				want = forReadOnly
			}
			for _, op := range operations {
				err := Class(c.caller, class, op)
				got := ""
				if err != nil {
					got = err.Error()
					if e := err.(*parse.Error); e.Message != "Permission denied" {
						t.Errorf("Class(%s, %s, %s) tells the client %q, want Permission denied", c.name, class, op, e.Message)
					}
				}
				if got != want[op] {
					t.Errorf("Class(%s, %s, %s) = %q, want %q", c.name, class, op, got, want[op])
				}
			}
		}
	}
}

func TestChange(t *testing.T) {
	for _, c := range callers {
		want := ""
		if c.caller == readOnly {
			want = "119 read-only masterKey isn't allowed to create a schema."
		}
		got := ""
		if err := Change(c.caller, "create a schema"); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("Change(%s) = %q, want %q", c.name, got, want)
		}
	}
}

func TestUnknownClass(t *testing.T) {
	const refused = "119 This user is not allowed to access non-existent class: C"
	for _, c := range callers {
		for _, test := range []struct {
			rules Rules
			class string
			want  string
		}{
			{Rules{}, "C", refused},
			{Rules{}, "_Session", ""},
			{Rules{AllowClassCreation: true}, "C", ""},
		} {
			want := test.want
			if c.caller.Privileged() {
				want = ""
			}
			got := ""
			if err := test.rules.UnknownClass(c.caller, test.class); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%+v.UnknownClass(%s, %s) = %q, want %q", test.rules, c.name, test.class, got, want)
			}
		}
	}
}

func TestSessions(t *testing.T) {
	for _, test := range []struct {
		name   string
		caller *auth.Caller
		want   query.Node
		err    string
	}{
		{"master", master, nil, ""},
		{"readOnly", readOnly, nil, ""},
		{"maintenance", maintenance, nil, "209 Invalid session token"},
		{"anonymous", anonymous, nil, "209 Invalid session token"},
		{"alice", alice, pointsAt("user", "alice"), ""},
	} {
		got, err := Sessions(test.caller)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if diff := cmp.Diff(test.want, got); diff != "" || text != test.err {
			t.Errorf("Sessions(%s): %q, want %q; (-want +got):\n%s", test.name, text, test.err, diff)
		}
	}
}
