package access

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

func protecting(class string, groups map[string][]string) *schema.Class {
	c := schema.New(class)
	c.Fields["owner"] = schema.Field{Type: schema.Pointer, TargetClass: "_User"}
	c.Fields["friends"] = schema.Field{Type: schema.Array}
	if groups != nil {
		c.CLP = &schema.CLP{ProtectedFields: groups}
	}
	return c
}

func ptr(id string) parse.Pointer { return parse.Pointer{ClassName: "_User", ObjectID: id} }

// What each kind of caller does not see of an object that alice owns and whose friends are alice and bob.
func TestMask(t *testing.T) {
	type groups = map[string][]string
	owned := func(class string) *parse.Object {
		return parse.NewObject(class, "objectId", "o1", "owner", ptr("alice"), "friends", []any{ptr("alice"), ptr("bob")}, "a", 1.0, "b", 2.0, "c", 3.0, "email", "e")
	}
	me := parse.NewObject("_User", "objectId", "alice", "email", "e", "a", 1.0)
	a, ab, abc := []string{"a"}, []string{"a", "b"}, []string{"a", "b", "c"}
	for _, test := range []struct {
		name   string
		rules  Rules
		class  *schema.Class
		object *parse.Object // owned when nil
		// what anonymous, alice and admin (bob) do not see; keys see everything.
		anonymous, alice, admin []string
	}{
		{name: "no permissions", class: protecting("C", nil)},
		{name: "no groups", class: protecting("C", groups{})},
		{name: "everybody", class: protecting("C", groups{"*": ab}), anonymous: ab, alice: ab, admin: ab},
		{name: "everybody from nothing", class: protecting("C", groups{"*": {}, "authenticated": ab})},
		{name: "logged in only", class: protecting("C", groups{"authenticated": ab}), alice: ab, admin: ab},
		{name: "logged in see more", class: protecting("C", groups{"*": abc, "authenticated": a}), anonymous: abc, alice: a, admin: a},
		{name: "groups share nothing", class: protecting("C", groups{"*": a, "authenticated": {"b"}}), anonymous: a},
		{name: "a role sees more", class: protecting("C", groups{"*": ab, "role:admin": a, "role:other": {}}), anonymous: ab, alice: ab, admin: a},
		{name: "a role sees all", class: protecting("C", groups{"*": ab, "role:admin": {}}), anonymous: ab, alice: ab},
		{name: "a user sees more", class: protecting("C", groups{"*": ab, "alice": {"b"}}), anonymous: ab, alice: []string{"b"}, admin: ab},
		{name: "the owner sees more", class: protecting("C", groups{"*": ab, "userField:owner": a}), anonymous: ab, alice: a, admin: ab},
		{name: "the owner sees all", class: protecting("C", groups{"*": ab, "userField:owner": {}}), anonymous: ab, admin: ab},
		{name: "friends see more", class: protecting("C", groups{"*": ab, "userField:friends": {"b"}}), anonymous: ab, alice: []string{"b"}, admin: []string{"b"}},
		{name: "owner and friends", class: protecting("C", groups{"*": abc, "userField:owner": ab, "userField:friends": {"b", "c"}}), anonymous: abc, alice: []string{"b"}, admin: []string{"b", "c"}},
		{name: "an owner group alone hides nothing", class: protecting("C", groups{"userField:owner": ab})}, // measured
		{name: "a group named by a word of operations", class: protecting("C", groups{"requiresAuthentication": ab})},

		{name: "options", rules: Rules{ProtectedFields: map[string]map[string][]string{"C": {"*": a}}}, class: protecting("C", groups{"*": {"b"}}), anonymous: []string{"b", "a"}, alice: []string{"b", "a"}, admin: []string{"b", "a"}},
		{name: "options without permissions", rules: Rules{ProtectedFields: map[string]map[string][]string{"C": {"*": a}}}, class: protecting("C", nil), anonymous: a, alice: a, admin: a},
		{name: "options of a role without permissions", rules: Rules{ProtectedFields: map[string]map[string][]string{"C": {"role:admin": a}}}, class: protecting("C", nil)},
		{name: "options of another class", rules: Rules{ProtectedFields: map[string]map[string][]string{"D": {"*": a}}}, class: protecting("C", nil)},

		{name: "e-mail of others", class: protecting("_User", nil), anonymous: []string{"email"}, alice: []string{"email"}, admin: []string{"email"}},
		{name: "own e-mail", class: protecting("_User", nil), object: me, anonymous: []string{"email"}, admin: []string{"email"}},
		{name: "own e-mail, owners like others", rules: Rules{OwnersLikeOthers: true}, class: protecting("_User", nil), object: me, anonymous: []string{"email"}, alice: []string{"email"}, admin: []string{"email"}},
		{name: "e-mail beside options", rules: Rules{ProtectedFields: map[string]map[string][]string{"_User": {"*": a}}}, class: protecting("_User", nil), object: me, anonymous: []string{"a", "email"}, admin: []string{"a", "email"}},
		{name: "e-mail replaced by options", rules: Rules{OwnersLikeOthers: true, ProtectedFields: map[string]map[string][]string{"_User": {"*": a}}}, class: protecting("_User", nil), object: me, anonymous: a, alice: a, admin: a},
		{name: "own object of another class", class: protecting("C", groups{"*": a}), object: parse.NewObject("C", "objectId", "alice", "a", 1.0), anonymous: a, alice: a, admin: a},
	} {
		object := test.object
		if object == nil {
			object = owned(test.class.Name)
		}
		for _, c := range callers {
			var want []string
			switch c.caller {
			case anonymous:
				want = test.anonymous
			case alice:
				want = test.alice
			case admin:
				want = test.admin
			}
			mask := test.rules.Mask(c.caller, test.class)
			if got := mask.Hides(object); !slices.Equal(got, want) {
				t.Errorf("%s: %s does not see %v, want %v", test.name, c.name, got, want)
			}
		}
	}
}

func TestMaskNeeds(t *testing.T) {
	class := protecting("C", map[string][]string{"*": {"a"}, "userField:owner": {}, "userField:friends": {}})
	if got, want := (Rules{}).Mask(alice, class).Needs(), []string{"friends", "owner"}; !slices.Equal(got, want) {
		t.Errorf("Needs() for alice = %v, want %v", got, want)
	}
	for _, caller := range []*auth.Caller{anonymous, master} {
		if got := (Rules{}).Mask(caller, class).Needs(); len(got) != 0 {
			t.Errorf("Needs() for %+v = %v, want none", caller, got)
		}
	}
}

func TestLeadsTo(t *testing.T) {
	for _, test := range []struct {
		name  string
		value any
		want  bool
	}{
		{"pointer", ptr("alice"), true},
		{"other pointer", ptr("bob"), false},
		{"pointer to another class", parse.Pointer{ClassName: "C", ObjectID: "alice"}, false},
		{"included", parse.NewObject("_User", "objectId", "alice"), true},
		{"array", []any{1.0, nil, ptr("bob"), ptr("alice")}, true},
		{"array of others", []any{ptr("bob")}, false},
		{"array in an array", []any{[]any{ptr("alice")}}, false},
		{"text", "alice", false},
		{"nothing", nil, false},
	} {
		if got := leadsTo(test.value, "alice"); got != test.want {
			t.Errorf("leadsTo(%s) = %v, want %v", test.name, got, test.want)
		}
	}
}

func eq(key string) query.Node { return &query.Constraint{Key: key, Op: query.Eq, Arg: 1.0} }

func TestCheckQuery(t *testing.T) {
	class := protecting("C", map[string][]string{"*": {"a"}, "role:admin": {}})
	users := protecting("_User", nil)
	byID := func(id string) query.Node {
		return &query.Constraint{Key: "objectId", Op: query.Eq, Arg: id}
	}
	refused := "119 This user is not allowed to query a on class C"
	for _, test := range []struct {
		name   string
		caller *auth.Caller
		class  *schema.Class
		find   query.Find
		want   string
	}{
		{"nothing", alice, class, query.Find{}, ""},
		{"other field", alice, class, query.Find{Where: eq("b"), Order: []query.Order{{Key: "b"}}}, ""},
		{"field with the same beginning", alice, class, query.Find{Where: eq("ab")}, ""},
		{"where", alice, class, query.Find{Where: eq("a")}, refused},
		{"where, anonymous", anonymous, class, query.Find{Where: eq("a")}, refused},
		{"where, role", admin, class, query.Find{Where: eq("a")}, ""},
		{"where, master", master, class, query.Find{Where: eq("a")}, ""},
		{"where, maintenance", maintenance, class, query.Find{Where: eq("a")}, ""},
		{"dotted", alice, class, query.Find{Where: eq("a.b.c")}, "119 This user is not allowed to query a.b.c on class C"},
		{"in And", alice, class, query.Find{Where: query.And{eq("b"), eq("a")}}, refused},
		{"in Or in Nor", alice, class, query.Find{Where: query.Nor{query.Or{eq("b"), eq("a")}}}, refused},
		{"sub-query", alice, class, query.Find{Where: &query.SubQuery{Key: "a"}}, refused},
		{"related", alice, class, query.Find{Where: &query.RelatedTo{Key: "a"}}, ""}, // a key of another class: CheckRelated
		{"order", alice, class, query.Find{Order: []query.Order{{Key: "b"}, {Key: "a", Descending: true}}}, "119 This user is not allowed to sort by a on class C"},
		{"order, dotted", alice, class, query.Find{Order: []query.Order{{Key: "a.b"}}}, "119 This user is not allowed to sort by a.b on class C"},
		{"no class", alice, nil, query.Find{Where: eq("a")}, ""},
		{"authData, an id", alice, users, query.Find{Where: eq("authData.p.id")}, ""},
		{"authData, several ids", alice, users, query.Find{Where: &query.Constraint{Key: "authData.p.id", Op: query.In, Arg: []any{"x"}}}, ""},
		{"authData, linked", alice, users, query.Find{Where: &query.Constraint{Key: "authData.p", Op: query.Exists, Arg: true}}, ""},
		{"authData, guessed", alice, users, query.Find{Where: &query.Constraint{Key: "authData.p.id", Op: query.Match}}, "119 This user is not allowed to query authData.p.id on class _User"},
		{"authData, begins with", alice, users, query.Find{Where: query.Or{eq("b"), &query.Constraint{Key: "authData.p.id", Op: query.StartsWith}}}, "119 This user is not allowed to query authData.p.id on class _User"},
		{"authData, less than", anonymous, users, query.Find{Where: &query.Constraint{Key: "authData.p.id", Op: query.Lt, Arg: "x"}}, "119 This user is not allowed to query authData.p.id on class _User"},
		{"authData, another member", alice, users, query.Find{Where: eq("authData.p.secret")}, "119 This user is not allowed to query authData.p.secret on class _User"},
		{"authData, sub-query", alice, users, query.Find{Where: &query.SubQuery{Key: "authData.p.id"}}, "119 This user is not allowed to query authData.p.id on class _User"},
		{"authData, order", alice, users, query.Find{Order: []query.Order{{Key: "authData.p.secret"}}}, "119 This user is not allowed to sort by authData.p.secret on class _User"},
		{"own authData", alice, users, query.Find{Where: query.And{byID("alice"), eq("authData.p.secret")}}, ""},
		{"authData, master", master, users, query.Find{Where: eq("authData.p.secret")}, ""},
		{"authData of another class", alice, class, query.Find{Where: eq("authData.p.secret")}, ""},
		{"e-mail", alice, users, query.Find{Where: eq("email")}, "119 This user is not allowed to query email on class _User"},
		{"own e-mail", alice, users, query.Find{Where: query.And{byID("alice"), eq("email")}}, ""},
		{"e-mail of another", alice, users, query.Find{Where: query.And{byID("bob"), eq("email")}}, "119 This user is not allowed to query email on class _User"},
		{"e-mail of oneself or another", alice, users, query.Find{Where: query.Or{byID("alice"), eq("email")}}, "119 This user is not allowed to query email on class _User"},
		{"e-mail of nobody", anonymous, users, query.Find{Where: query.And{byID(""), eq("email")}}, "119 This user is not allowed to query email on class _User"},
	} {
		got := ""
		if err := (Rules{}).CheckQuery(test.caller, test.class, &test.find); err != nil {
			got = err.Error()
			if e := err.(*parse.Error); e.Message != "Permission denied" {
				t.Errorf("%s: CheckQuery tells the client %q, want Permission denied", test.name, e.Message)
			}
		}
		if got != test.want {
			t.Errorf("%s: CheckQuery = %q, want %q", test.name, got, test.want)
		}
	}
	own := query.Find{Where: query.And{byID("alice"), eq("email")}}
	if err := (Rules{OwnersLikeOthers: true}).CheckQuery(alice, users, &own); err == nil {
		t.Error("CheckQuery of the own e-mail where owners are like others = nil, want an error")
	}
}

func TestCheckRelated(t *testing.T) {
	class := protecting("C", map[string][]string{"*": {"r"}})
	for _, c := range callers {
		want := "119 This user is not allowed to query r on class C"
		if c.caller.Privileged() {
			want = ""
		}
		got := ""
		if err := (Rules{}).CheckRelated(c.caller, class, "r"); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("CheckRelated(%s, r) = %q, want %q", c.name, got, want)
		}
		if err := (Rules{}).CheckRelated(c.caller, class, "s"); err != nil {
			t.Errorf("CheckRelated(%s, s) = %v, want nil", c.name, err)
		}
		if err := (Rules{}).CheckRelated(c.caller, nil, "r"); err != nil {
			t.Errorf("CheckRelated(%s) of no class = %v, want nil", c.name, err)
		}
	}
}

// Once a group of the caller hides anything at all, belonging to one more group never hides more; the master key sees everything;
// and what a mask hides, no query may decide.
func TestBelongingNeverHides(t *testing.T) {
	fields := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.ID)
	names := []string{"authenticated", "alice", "role:admin", "userField:owner", "userField:friends"}
	rapid.Check(t, func(t *rapid.T) {
		groups := map[string][]string{"*": fields.Draw(t, "*")}
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(t, "groups") {
			groups[name] = fields.Draw(t, name)
		}
		object := parse.NewObject("C", "objectId", "o", "owner", ptr(rapid.SampledFrom([]string{"alice", "bob"}).Draw(t, "owner")), "friends", []any{ptr("bob")})
		class := protecting("C", groups)
		c := rapid.SampledFrom(callers).Draw(t, "caller")
		before := Rules{}.Mask(c.caller, class).Hides(object)
		if c.caller.Privileged() && len(before) > 0 {
			t.Fatalf("%s does not see %v", c.name, before)
		}
		for _, name := range before {
			if err := (Rules{}).CheckQuery(c.caller, class, &query.Find{Where: eq(name)}); err == nil {
				t.Fatalf("%s may query %s, which it does not see", c.name, name)
			}
		}
		more := rapid.SampledFrom(names).Draw(t, "more")
		if _, ok := groups[more]; ok {
			return
		}
		groups[more] = fields.Draw(t, more)
		after := Rules{}.Mask(c.caller, protecting("C", groups)).Hides(object)
		for _, name := range after {
			if !slices.Contains(before, name) {
				t.Fatalf("adding group %s %v hides %s from %s: %s", more, groups[more], name, c.name, cmp.Diff(before, after))
			}
		}
	})
}

// The permissions in the answer to PUT /schemas/_User, as recorded, and those of a class with permissions of its own.
func TestShown(t *testing.T) {
	const open = `"find":{"*":true},"get":{"*":true},"count":{"*":true},"create":{"*":true},"update":{"*":true},"delete":{"*":true},"addField":{"*":true},`
	options := Rules{ProtectedFields: map[string]map[string][]string{"C": {"role:a": {"friends"}, "*": {"owner"}}}}
	for _, test := range []struct {
		name  string
		rules Rules
		class *schema.Class
		want  string // "" for the class itself
	}{
		{"users", Rules{}, schema.New("_User"), `{` + open + `"protectedFields":{"*":["email"]},"ACL":{"*":{"read":true,"write":true}}}`},
		{"options", options, protecting("C", map[string][]string{"*": {"friends"}}), `{` + open + `"protectedFields":{"*":["friends","owner"],"role:a":["friends"]}}`},
		{"no options", Rules{}, protecting("C", map[string][]string{"*": {"friends"}}), ""},
		{"volatile", Rules{ProtectedFields: map[string]map[string][]string{"_JobStatus": {"*": {"params"}}}}, schema.New("_JobStatus"), ""},
	} {
		before := test.class.Clone()
		shown := test.rules.Shown(test.class)
		if test.want == "" {
			if shown != test.class {
				t.Errorf("%s: Shown is a copy, want the class itself", test.name)
			}
			continue
		}
		if got := string(parse.Marshal(schema.ToJSON(shown).Get("classLevelPermissions"))); got != test.want {
			t.Errorf("%s: Shown has %s, want %s", test.name, got, test.want)
		}
		if !test.class.Equal(before) {
			t.Errorf("%s: Shown changed the class", test.name)
		}
	}
}
