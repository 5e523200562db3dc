package schema

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/parse"
)

// The table of system classes is the one of contract parse-api.md, 2.4, in its order.
func TestSystemClasses(t *testing.T) {
	want := []string{"_User", "_Installation", "_Role", "_Session", "_Product", "_PushStatus", "_JobStatus", "_JobSchedule",
		"_Hooks", "_GlobalConfig", "_GraphQLConfig", "_Audience", "_Idempotency"}
	if got := SystemClasses(); !slices.Equal(got, want) {
		t.Errorf("SystemClasses() = %v, want %v", got, want)
	}
	var volatile []string
	for _, name := range want {
		if !IsSystem(name) {
			t.Errorf("IsSystem(%s) = false, want true", name)
		}
		if IsVolatile(name) {
			volatile = append(volatile, name)
		}
	}
	if want := []string{"_PushStatus", "_JobStatus", "_JobSchedule", "_Hooks", "_GlobalConfig", "_GraphQLConfig", "_Audience", "_Idempotency"}; !slices.Equal(volatile, want) {
		t.Errorf("volatile classes = %v, want %v", volatile, want)
	}
	for _, name := range []string{"C", "_Bad", "_Join:users:_Role", ""} {
		if IsSystem(name) || IsVolatile(name) {
			t.Errorf("IsSystem(%q) or IsVolatile, want neither", name)
		}
	}
}

// What a row of the table names has to exist in its class, or an adapter would index or require a field that is not there.
func TestSystemTableIsClosed(t *testing.T) {
	for _, name := range append(SystemClasses(), "C", "_Join:f:C") {
		class := New(name)
		stored := class.Stored()
		for _, field := range RequiredColumns(name) {
			if _, ok := class.Fields[field]; !ok {
				t.Errorf("RequiredColumns(%s) names %s, which the class lacks", name, field)
			}
		}
		var indexed []string
		for _, ix := range UniqueIndexes(name) {
			indexed = append(indexed, ix.Fields...)
		}
		for _, ix := range LookupIndexes(name) {
			indexed = append(indexed, ix.Fields...)
		}
		for _, key := range indexed {
			root, _, _ := strings.Cut(key, ".")
			_, known := stored[root]
			if _, internal := InternalField(name, root); !known && !internal {
				t.Errorf("an index of %s names %s, which is not stored", name, key)
			}
		}
		for field, f := range Internal(name) {
			if got, ok := InternalField(name, field); !ok || got.Type != f.Type {
				t.Errorf("InternalField(%s, %s) = %v, %v, want %v", name, field, got, ok, f)
			}
		}
	}
}

func TestUniqueIndexes(t *testing.T) {
	want := map[string][]UniqueIndex{
		"_User": {
			{Name: "_User_unique_username", Fields: []string{"username"}, Sparse: true},
			{Name: "case_insensitive_username", Fields: []string{"username"}, CaseInsensitive: true, Sparse: true},
			{Name: "_User_unique_email", Fields: []string{"email"}, Sparse: true},
			{Name: "case_insensitive_email", Fields: []string{"email"}, CaseInsensitive: true, Sparse: true},
			{Name: "_User_unique_authData_anonymous_id", Fields: []string{"_auth_data_anonymous.id"}, Sparse: true},
		},
		"_Role":             {{Name: "_Role_unique_name", Fields: []string{"name"}, Sparse: true}},
		"_Idempotency":      {{Name: "_Idempotency_unique_reqId", Fields: []string{"reqId"}, Sparse: true}},
		"_Join:users:_Role": {{Name: "_Join:users:_Role_pair", Fields: []string{"owningId", "relatedId"}}},
	}
	got := map[string][]UniqueIndex{}
	for _, class := range append(SystemClasses(), "C", "_Join:users:_Role") {
		if list := UniqueIndexes(class); len(list) > 0 {
			got[class] = list
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("UniqueIndexes (-want +got):\n%s", diff)
	}
}

func TestStored(t *testing.T) {
	stored := func(class string) []string { return slices.Sorted(maps.Keys(New(class).Stored())) }
	for class, want := range map[string][]string{
		"C":     {"_rperm", "_wperm", "createdAt", "objectId", "updatedAt"},
		"_Role": {"_rperm", "_wperm", "createdAt", "name", "objectId", "updatedAt"},
		"_User": {"_account_lockout_expires_at", "_email_verify_token", "_email_verify_token_expires_at", "_failed_login_count",
			"_hashed_password", "_password_changed_at", "_password_history", "_perishable_token", "_perishable_token_expires_at",
			"_rperm", "_session_token", "_tombstone", "_wperm", "createdAt", "email", "emailVerified", "objectId", "updatedAt", "username"},
		"_Join:users:_Role": {"objectId", "owningId", "relatedId"},
	} {
		if diff := cmp.Diff(want, stored(class)); diff != "" {
			t.Errorf("New(%s).Stored() (-want +got):\n%s", class, diff)
		}
	}
	for _, test := range []struct {
		class, name string
		want        Field
		ok          bool
	}{
		{"_User", "_auth_data_facebook", Field{Type: Object}, true},
		{"_User", "_auth_data_", Field{}, false},
		{"_User", "_failed_login_count", Field{Type: Number}, true},
		{"C", "_failed_login_count", Field{}, false},
		{"C", "_auth_data_facebook", Field{}, false},
		{"C", "_wperm", Field{Type: Array}, true},
		{"C", "objectId", Field{}, false},
		{"_Join:f:C", "_rperm", Field{}, false},
	} {
		if got, ok := InternalField(test.class, test.name); got != test.want || ok != test.ok {
			t.Errorf("InternalField(%s, %s) = %v, %v, want %v, %v", test.class, test.name, got, ok, test.want, test.ok)
		}
	}
}

func TestCloneIsDeep(t *testing.T) {
	class, err := Define("C", decodeMap(t, `{"fields":{"a":{"type":"String"},"u":{"type":"Array"}},"indexes":{"x":{"a":1}},
		"classLevelPermissions":{"find":{"*":true,"pointerFields":["u"]},"protectedFields":{"*":["a"]},"ACL":{"*":{"read":true}},"readUserFields":["u"]}}`), false)
	if err != nil {
		t.Fatal(err)
	}
	before := string(parse.Marshal(ToJSON(class)))
	c := class.Clone()
	if !c.Equal(class) {
		t.Errorf("Clone() = %s, want %s", parse.Marshal(ToJSON(c)), before)
	}
	c.Fields["b"] = Field{Type: Number}
	c.Indexes["x"][0].Field = "b"
	c.Indexes["y"] = Index{{Field: "b", Kind: "1"}}
	c.CLP.Operations[OpFind].Entities["me"] = true
	c.CLP.Operations[OpFind].PointerFields[0] = "b"
	c.CLP.Operations[OpGet] = Grant{RequiresAuthentication: true}
	c.CLP.ProtectedFields["*"][0] = "b"
	c.CLP.ACL["*"] = Grants{}
	c.CLP.ReadUserFields[0] = "b"
	if after := string(parse.Marshal(ToJSON(class))); after != before {
		t.Errorf("after changing the clone the class is %s, want %s", after, before)
	}
}
