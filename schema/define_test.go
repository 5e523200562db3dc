package schema

import (
	"testing"

	"github.com/parley-backend/parley/parse"
)

const (
	openPermissions   = `{"ACL":{"*":{"read":true,"write":true}},"find":{"*":true},"get":{"*":true},"count":{"*":true},"create":{"*":true},"update":{"*":true},"delete":{"*":true},"addField":{"*":true},"protectedFields":{"*":[]}}`
	masterPermissions = `{"find":{},"get":{},"count":{},"create":{},"update":{},"delete":{},"addField":{},"protectedFields":{}}`
	defaultFields     = `"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"}`
)

// What POST /schemas answers; the texts and forms are those that Parse Server gave to the same requests.
func TestDefine(t *testing.T) {
	for _, test := range []struct{ name, body, want, err string }{
		{name: "C", body: `{}`, want: `{"className":"C","fields":{` + defaultFields + `,"ACL":{"type":"ACL"}},"classLevelPermissions":` + openPermissions + `}`},
		{name: "C", body: `{"classLevelPermissions":null,"fields":null,"indexes":null}`, want: `{"className":"C","fields":{` + defaultFields + `,"ACL":{"type":"ACL"}},"classLevelPermissions":` + openPermissions + `}`},
		{name: "C", body: `{"classLevelPermissions":{}}`, want: `{"className":"C","fields":{` + defaultFields + `,"ACL":{"type":"ACL"}},"classLevelPermissions":` + masterPermissions + `}`},
		{name: "Sch", body: `{"className":"Sch","fields":{"a":{"type":"String","required":true,"defaultValue":"z"},"p":{"type":"Pointer","targetClass":"_User"},"arr":{"type":"Array"}},"classLevelPermissions":{"find":{"requiresAuthentication":true},"get":{"*":true},"create":{"*":true},"update":{"pointerFields":["p"]},"delete":{},"addField":{},"protectedFields":{"*":["a"]}},"indexes":{"ix":{"a":1}}}`,
			want: `{"className":"Sch","fields":{` + defaultFields + `,"a":{"type":"String","required":true,"defaultValue":"z"},"arr":{"type":"Array"},"p":{"type":"Pointer","targetClass":"_User"},"ACL":{"type":"ACL"}},"classLevelPermissions":{"find":{"requiresAuthentication":true},"get":{"*":true},"count":{},"create":{"*":true},"update":{"pointerFields":["p"]},"delete":{},"addField":{},"protectedFields":{"*":["a"]}},"indexes":{"ix":{"a":1}}}`},
		{name: "C", body: `{"fields":{"p":{"type":"Pointer","targetClass":"_User"},"q":{"type":"Array"},"g":{"type":"GeoPoint"}},"classLevelPermissions":{"ACL":{"currentUser":{"read":true}},"readUserFields":["p"],"find":{"pointerFields":[]}},"indexes":{"k":{"_p_p":1,"q":-1},"l":{"g":"2dsphere"}}}`,
			want: `{"className":"C","fields":{` + defaultFields + `,"g":{"type":"GeoPoint"},"p":{"type":"Pointer","targetClass":"_User"},"q":{"type":"Array"},"ACL":{"type":"ACL"}},"classLevelPermissions":{"find":{"pointerFields":[]},"get":{},"count":{},"create":{},"update":{},"delete":{},"addField":{},"protectedFields":{},"readUserFields":["p"],"ACL":{"currentUser":{"read":true}}},"indexes":{"k":{"p":1,"q":-1},"l":{"g":"2dsphere"}}}`},
		{name: "_Role", body: `{"fields":{"x":{"type":"Date","defaultValue":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}}}}`,
			want: `{"className":"_Role","fields":{` + defaultFields + `,"name":{"type":"String"},"users":{"type":"Relation","targetClass":"_User"},"roles":{"type":"Relation","targetClass":"_Role"},"x":{"type":"Date","defaultValue":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}},"ACL":{"type":"ACL"}},"classLevelPermissions":` + openPermissions + `}`},

		{name: "_Bad", body: `{}`, err: "103 Invalid classname: _Bad, classnames can only have alphanumeric characters and _, and must start with an alpha character "},
		{name: "C", body: `{"fields":5}`, err: "107 invalid JSON"},
		{name: "C", body: `{"fields":{"className":{"type":"String"}}}`, err: "105 invalid field name: className"},
		{name: "C", body: `{"fields":{"_x":{"type":"String"}}}`, err: "105 invalid field name: _x"},
		{name: "C", body: `{"fields":{"a.b":{"type":"String"}}}`, err: "105 invalid field name: a.b"},
		{name: "C", body: `{"fields":{"objectId":{"type":"String"}}}`, err: "136 field objectId cannot be added"},
		{name: "_User", body: `{"fields":{"email":{"type":"String"}}}`, err: "136 field email cannot be added"},
		{name: "C", body: `{"fields":{"a":"String"}}`, err: "107 invalid JSON"},
		{name: "C", body: `{"fields":{"a":{}}}`, err: "107 invalid JSON"},
		{name: "C", body: `{"fields":{"a":{"__op":"Delete"}}}`, err: "107 invalid JSON"},
		{name: "C", body: `{"fields":{"a":{"type":"Foo"}}}`, err: "111 invalid field type: Foo"},
		{name: "C", body: `{"fields":{"a":{"type":"ACL"}}}`, err: "111 invalid field type: ACL"},
		{name: "C", body: `{"fields":{"a":{"type":"Pointer"}}}`, err: "135 type Pointer needs a class name"},
		{name: "C", body: `{"fields":{"a":{"type":"Relation","targetClass":""}}}`, err: "135 type Relation needs a class name"},
		{name: "C", body: `{"fields":{"a":{"type":"Pointer","targetClass":5}}}`, err: "107 invalid JSON"},
		{name: "C", body: `{"fields":{"a":{"type":"Pointer","targetClass":"_x"}}}`, err: "103 Invalid classname: _x, classnames can only have alphanumeric characters and _, and must start with an alpha character "},
		{name: "C", body: `{"fields":{"a":{"type":"Number","defaultValue":"x"}}}`, err: "111 schema mismatch for C.a default value; expected Number but got String"},
		{name: "C", body: `{"fields":{"a":{"type":"Number","defaultValue":null}}}`, err: "111 schema mismatch for C.a default value; expected Number but got null"},
		{name: "C", body: `{"fields":{"a":{"type":"Number","required":false},"b":{"type":"Number","required":"yes"}}}`, want: `{"className":"C","fields":{` + defaultFields + `,"a":{"type":"Number","required":false},"b":{"type":"Number"},"ACL":{"type":"ACL"}},"classLevelPermissions":` + openPermissions + `}`},
		{name: "C", body: `{"fields":{"a":{"type":"Relation","targetClass":"B","defaultValue":{}}}}`, err: "111 schema mismatch for C.a default value; expected Relation<B> but got Object"},
		{name: "C", body: `{"fields":{"a":{"type":"Pointer","targetClass":"D","defaultValue":{"__type":"Pointer","className":"E","objectId":"x"}}}}`, err: "111 schema mismatch for C.a default value; expected Pointer<D> but got Pointer<E>"},
		{name: "C", body: `{"fields":{"a":{"type":"Date","defaultValue":{"__type":"Date"}}}}`, err: "111 This is not a valid Date"},
		{name: "C", body: `{"fields":{"a":{"type":"Number","defaultValue":{"__op":"Increment","amount":1}}}}`, err: "107 invalid JSON"},
		{name: "C", body: `{"fields":{"a":{"type":"Object","defaultValue":{"a.b":1}}}}`, err: "121 Nested keys should not contain the '$' or '.' characters"},
		{name: "C", body: `{"fields":{"a":{"type":"Relation","targetClass":"B","required":true}}}`, err: "111 The 'required' option is not applicable for Relation<B>"},
		{name: "C", body: `{"fields":{"a":{"type":"Relation","targetClass":"B","defaultValue":{"__type":"Relation","className":"B"}}}}`, err: "111 The 'default value' option is not applicable for Relation<B>"},
		{name: "C", body: `{"fields":{"a":{"type":"GeoPoint"},"b":{"type":"GeoPoint"}}}`, err: "111 currently, only one GeoPoint field may exist in an object. Adding b when a already exists."},
		{name: "C", body: `{"indexes":{"x":{"nope":1}}}`, err: "102 Field nope does not exist, cannot add index."},
		{name: "C", body: `{"indexes":{"x":{"__op":"Delete"}}}`, err: "102 Index x does not exist, cannot delete."},
		{name: "C", body: `{"indexes":{"x":{}}}`, err: "102 Index x is invalid, fields are missing."},
		{name: "C", body: `{"indexes":{"x":{"createdAt":"foo"}}}`, err: "102 Index x is invalid, foo is not a type of index."},
		{name: "C", body: `{"indexes":{"_id_":{"objectId":1}}}`, err: "102 Index _id_ exists, cannot update."},
	} {
		class, err := Define(test.name, decodeMap(t, test.body), false)
		got := ""
		if err == nil {
			got = string(parse.Marshal(CreatedJSON(class)))
		}
		if got != test.want || text(err) != test.err {
			t.Errorf("Define(%s, %s) =\n\t%s, %q, want\n\t%s, %q", test.name, test.body, got, text(err), test.want, test.err)
		}
	}
}

func TestPermissionErrors(t *testing.T) {
	const fields = `{"fields":{"p":{"type":"Pointer","targetClass":"_User"},"d":{"type":"Pointer","targetClass":"D"},"a":{"type":"Array"},"s":{"type":"String"}},"classLevelPermissions":`
	for _, test := range []struct{ clp, want string }{
		{`5`, "107 '5' is not a valid value for class level permissions - must be an object"},
		{`"x"`, "107 0 is not a valid operation for class level permissions"},
		{`{"foo":{}}`, "107 foo is not a valid operation for class level permissions"},
		{`{"find":5}`, "107 '5' is not a valid value for class level permissions find - must be an object"},
		{`{"find":null}`, "107 'null' is not a valid value for class level permissions find - must be an object"},
		{`{"find":[]}`, ""},
		{`{"find":["x"]}`, "107 'x' is not a valid value for class level permissions acl find:0"},
		{`{"find":{"bad entity":true}}`, "107 'bad entity' is not a valid key for class level permissions"},
		{`{"find":{"":true}}`, "107 '' is not a valid key for class level permissions"},
		{`{"find":{"a_b":true}}`, "107 'a_b' is not a valid key for class level permissions"},
		{`{"find":{"authenticated!":true}}`, "107 'authenticated!' is not a valid key for class level permissions"},
		{`{"find":{"role:my role":true,"abc123":true,"*":true,"requiresAuthentication":true}}`, ""},
		{`{"find":{"*":false}}`, "107 'false' is not a valid value for class level permissions acl find:*"},
		{`{"find":{"*":{"a":1}}}`, "107 '[object Object]' is not a valid value for class level permissions acl find:*"},
		{`{"find":{"*":[1,null,["x"]]}}`, "107 '1,,x' is not a valid value for class level permissions acl find:*"},
		{`{"find":{"pointerFields":"p"}}`, "107 'p' is not a valid value for find[pointerFields] - expected an array."},
		{`{"find":{"pointerFields":[5]}}`, "107 '5' is not a valid column for class level pointer permissions [object Object]"},
		{`{"find":{"pointerFields":["s"]}}`, "107 's' is not a valid column for class level pointer permissions [object Object]"},
		{`{"find":{"pointerFields":["d"]}}`, "107 'd' is not a valid column for class level pointer permissions [object Object]"},
		{`{"find":{"pointerFields":["nope"]}}`, "107 'nope' is not a valid column for class level pointer permissions [object Object]"},
		{`{"find":{"pointerFields":["p","a"]}}`, ""},
		{`{"readUserFields":{}}`, "107 '[object Object]' is not a valid value for class level permissions readUserFields - must be an array"},
		{`{"readUserFields":["s"]}`, "107 's' is not a valid column for class level pointer permissions readUserFields"},
		{`{"writeUserFields":[null]}`, "107 'null' is not a valid column for class level pointer permissions writeUserFields"},
		{`{"protectedFields":[1]}`, "107 '1' is not a valid value for protectedFields[0] - expected an array."},
		{`{"protectedFields":{"bad x":["s"]}}`, "107 'bad x' is not a valid key for class level permissions"},
		{`{"protectedFields":{"requiresAuthentication":["s"]}}`, ""},
		{`{"protectedFields":{"*":5}}`, "107 '5' is not a valid value for protectedFields[*] - expected an array."},
		{`{"protectedFields":{"*":["objectId"]}}`, "107 Default field 'objectId' can not be protected"},
		{`{"protectedFields":{"*":["x"]}}`, "107 Field 'x' in protectedFields:* does not exist"},
		{`{"protectedFields":{"*":["s"],"authenticated":[],"role:x":["p"],"userField:p":["a"],"uid":[]}}`, ""},
		{`{"ACL":{"*":5}}`, "107 '5' is not a valid value for class level permissions acl"},
		{`{"ACL":{"*":{"foo":true}}}`, "107 'foo' is not a valid key for class level permissions acl"},
		{`{"ACL":{"*":{"read":1}}}`, "107 '1' is not a valid value for class level permissions acl"},
		{`{"ACL":{"no one":{"read":true}}}`, "107 'no one' is not a valid key for class level permissions"},
	} {
		_, err := Define("C", decodeMap(t, fields+test.clp+"}"), false)
		if got := text(err); got != test.want {
			t.Errorf("Define with permissions %s: %q, want %q", test.clp, got, test.want)
		}
	}
	if _, err := Define("C", decodeMap(t, `{"classLevelPermissions":{"find":{"any-id!":true}}}`), true); err != nil {
		t.Errorf("Define with a custom user id: %v, want nil", err)
	}
}

// What PUT /schemas answers.
func TestChange(t *testing.T) {
	const base = `{"fields":{"a":{"type":"String"},"g":{"type":"GeoPoint"},"p":{"type":"Pointer","targetClass":"_User"},"q":{"type":"Array"}},"classLevelPermissions":{},"indexes":{"k":{"a":1},"kp":{"p":1,"a":-1}}}`
	const fields = `"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"ACL":{"type":"ACL"}`
	answer := func(own, clp, indexes string) string {
		return `{"className":"C","fields":{` + fields + own + `},"classLevelPermissions":` + clp + `,"indexes":{` + indexes + `"_id_":{"_id":1}}}`
	}
	const own = `,"a":{"type":"String"},"g":{"type":"GeoPoint"},"p":{"type":"Pointer","targetClass":"_User"},"q":{"type":"Array"}`
	for _, test := range []struct{ body, want, err string }{
		{body: `{}`, want: answer(own, masterPermissions, `"k":{"a":1},"kp":{"p":1,"a":-1},`)},
		{body: `{"fields":{"objectId":{"type":"String"},"ACL":{"type":"ACL"},"a":{"type":"String"}}}`, want: answer(own, masterPermissions, `"k":{"a":1},"kp":{"p":1,"a":-1},`)},
		{body: `{"fields":{"b":{"type":"Number"}},"indexes":{"ix2":{"b":-1}}}`,
			want: answer(`,"a":{"type":"String"},"b":{"type":"Number"},"g":{"type":"GeoPoint"},"p":{"type":"Pointer","targetClass":"_User"},"q":{"type":"Array"}`, masterPermissions, `"ix2":{"b":-1},"k":{"a":1},"kp":{"p":1,"a":-1},`)},
		{body: `{"fields":{"q":{"type":"Array","required":true,"defaultValue":[1]}},"classLevelPermissions":null}`,
			want: answer(`,"a":{"type":"String"},"g":{"type":"GeoPoint"},"p":{"type":"Pointer","targetClass":"_User"},"q":{"type":"Array","required":true,"defaultValue":[1]}`, openPermissions, `"k":{"a":1},"kp":{"p":1,"a":-1},`)},
		{body: `{"fields":{"p":{"__op":"Delete"}},"indexes":{"k":{"__op":"Delete"}}}`, // the index over p goes with it
			want: `{"className":"C","fields":{` + fields + `,"a":{"type":"String"},"g":{"type":"GeoPoint"},"q":{"type":"Array"}},"classLevelPermissions":` + masterPermissions + `}`},
		{body: `{"fields":{"p":{"__op":"Delete"}},"indexes":{"kp":{"__op":"Delete"}}}`,
			want: answer(`,"a":{"type":"String"},"g":{"type":"GeoPoint"},"q":{"type":"Array"}`, masterPermissions, `"k":{"a":1},`)},
		{body: `{"classLevelPermissions":{"find":{"*":true}}}`,
			want: answer(own, `{"find":{"*":true},"get":{},"count":{},"create":{},"update":{},"delete":{},"addField":{},"protectedFields":{}}`, `"k":{"a":1},"kp":{"p":1,"a":-1},`)},

		{body: `{"fields":{"a":{"type":"Number"}}}`, err: "255 Field a exists, cannot update."},
		{body: `{"fields":{"a":null}}`, err: "255 Field a exists, cannot update."},
		{body: `{"fields":{"x":{"__op":"Delete"}}}`, err: "255 Field x does not exist, cannot delete."},
		{body: `{"fields":{"_x":{"type":"String"},"x":{"__op":"Delete"}}}`, err: "255 Field x does not exist, cannot delete."},
		{body: `{"fields":{"objectId":{"__op":"Delete"}}}`, err: "136 field objectId cannot be changed"},
		{body: `{"fields":{"p":{"type":"Pointer","targetClass":"Other"}}}`, err: "111 schema mismatch for C.p; expected Pointer<_User> but got Pointer<Other>"},
		{body: `{"fields":{"q":{"type":"Array","defaultValue":5}}}`, err: "111 schema mismatch for C.q default value; expected Array but got Number"},
		{body: `{"fields":{"g2":{"type":"GeoPoint"}}}`, err: "111 currently, only one GeoPoint field may exist in an object. Adding g2 when g already exists."},
		{body: `{"fields":{"length":{"type":"String"}}}`, err: "105 invalid field name: length"},
		{body: `{"classLevelPermissions":{"protectedFields":{"*":["a","x"]}}}`, err: "107 Field 'x' in protectedFields:* does not exist"},
		{body: `{"fields":{"a":{"__op":"Delete"}},"classLevelPermissions":{"protectedFields":{"*":["a"]}}}`, err: "107 Field 'a' in protectedFields:* does not exist"},
		{body: `{"indexes":{"k":{"a":1}}}`, err: "102 Index k exists, cannot update."},
		{body: `{"indexes":{"_id_":{"__op":"Delete"}}}`, err: "102 Index _id_ does not exist, cannot delete."},
	} {
		class, err := Define("C", decodeMap(t, base), false)
		if err != nil {
			t.Fatal(err)
		}
		before := class.Clone()
		changed, err := Change(class, decodeMap(t, test.body), false)
		got := ""
		if err == nil {
			got = string(parse.Marshal(ToJSON(changed)))
		}
		if got != test.want || text(err) != test.err {
			t.Errorf("Change(%s) =\n\t%s, %q, want\n\t%s, %q", test.body, got, text(err), test.want, test.err)
		}
		if !class.Equal(before) {
			t.Errorf("Change(%s) changed the class it was given to %s", test.body, parse.Marshal(ToJSON(class)))
		}
	}
}

// Default columns of a system class keep their type and may get options.
func TestChangeSystemClass(t *testing.T) {
	class, err := Change(New("_User"), decodeMap(t, `{"fields":{"email":{"type":"String","required":true},"nick":{"type":"String"}}}`), false)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"className":"_User","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"ACL":{"type":"ACL"},"username":{"type":"String"},"password":{"type":"String"},"email":{"type":"String","required":true},"emailVerified":{"type":"Boolean"},"authData":{"type":"Object"},"nick":{"type":"String"}},"classLevelPermissions":` + openPermissions + `}`
	if got := string(parse.Marshal(ToJSON(class))); got != want {
		t.Errorf("ToJSON(_User) =\n\t%s, want\n\t%s", got, want)
	}
	_, err = Change(class, decodeMap(t, `{"fields":{"username":{"__op":"Delete"}}}`), false)
	if got, want := text(err), "136 field username cannot be changed"; got != want {
		t.Errorf("Change deleting username: %q, want %q", got, want)
	}
	if got, want := string(parse.Marshal(ToJSON(New("_GlobalConfig")))), `{"className":"_GlobalConfig","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"ACL":{"type":"ACL"},"params":{"type":"Object"},"masterKeyOnly":{"type":"Object"}},"classLevelPermissions":{}}`; got != want {
		t.Errorf("ToJSON(_GlobalConfig) = %s, want %s", got, want)
	}
}
