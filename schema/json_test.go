package schema

import (
	"testing"

	"github.com/parley-backend/parley/parse"
)

// Rows of _SCHEMA as Parse Server 9 on PostgreSQL wrote them, and the class they stand for.
var storedRows = []struct{ row, want string }{
	{`{"fields": {"email": {"type": "String"}, "_rperm": {"type": "Array", "contents": {"type": "String"}}, "_wperm": {"type": "Array", "contents": {"type": "String"}}, "authData": {"type": "Object"}, "objectId": {"type": "String"}, "username": {"type": "String"}, "createdAt": {"type": "Date"}, "updatedAt": {"type": "Date"}, "emailVerified": {"type": "Boolean"}, "_hashed_password": {"type": "String"}}, "className": "_User"}`,
		`{"className":"_User","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"ACL":{"type":"ACL"},"username":{"type":"String"},"password":{"type":"String"},"email":{"type":"String"},"emailVerified":{"type":"Boolean"},"authData":{"type":"Object"}},"classLevelPermissions":` + openPermissions + `}`},
	{`{"fields": {"_rperm": {"type": "Array", "contents": {"type": "String"}}, "_wperm": {"type": "Array", "contents": {"type": "String"}}, "a": {"type":"String","required":true,"defaultValue":"z"}, "p": {"type":"Pointer","targetClass":"_User"}, "objectId": {"type": "String"}, "createdAt": {"type": "Date"}, "updatedAt": {"type": "Date"}}, "indexes": {"ix": {"a": 1}, "_id_": {"_id": 1}, "h": {"a": "hashed"}}, "className": "ZqA", "classLevelPermissions": {"find": {}, "get": {"*": true}, "readUserFields": ["p"]}}`,
		`{"className":"ZqA","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"ACL":{"type":"ACL"},"a":{"type":"String","required":true,"defaultValue":"z"},"p":{"type":"Pointer","targetClass":"_User"}},"classLevelPermissions":{"find":{},"get":{"*":true},"count":{},"create":{},"update":{},"delete":{},"addField":{},"protectedFields":{},"readUserFields":["p"]},"indexes":{"h":{"a":"hashed"},"ix":{"a":1},"_id_":{"_id":1}}}`},
	{`{"className":"O","fields":{"n":{"type":"Number","required":false,"defaultValue":null}}}`,
		`{"className":"O","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"ACL":{"type":"ACL"},"n":{"type":"Number","required":false}},"classLevelPermissions":` + openPermissions + `}`},
	{`{"className":"P","fields":{"p":{"type":"Pointer","targetClass":"a-b"}}}`,
		`{"className":"P","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"ACL":{"type":"ACL"},"p":{"type":"Pointer","targetClass":"a-b"}},"classLevelPermissions":` + openPermissions + `}`},
	{`{"className":"_Role","fields":{}}`,
		`{"className":"_Role","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"ACL":{"type":"ACL"},"name":{"type":"String"},"users":{"type":"Relation","targetClass":"_User"},"roles":{"type":"Relation","targetClass":"_Role"}},"classLevelPermissions":` + openPermissions + `}`},
}

func TestUnmarshal(t *testing.T) {
	for _, test := range storedRows {
		class, err := Unmarshal([]byte(test.row))
		if err != nil {
			t.Errorf("Unmarshal(%s): %v", test.row, err)
			continue
		}
		if got := string(parse.Marshal(ToJSON(class))); got != test.want {
			t.Errorf("Unmarshal(%s) =\n\t%s, want\n\t%s", test.row, got, test.want)
		}
		again, err := Unmarshal(Marshal(class))
		if err != nil || !again.Equal(class) {
			t.Errorf("Unmarshal(Marshal(%s)) = %v, %v, want the same class", test.want, again, err)
		}
		fromAnswer, err := FromJSON(ToJSON(class))
		if err != nil || !fromAnswer.Equal(class) {
			t.Errorf("FromJSON(ToJSON(%s)) = %v, %v, want the same class", test.want, fromAnswer, err)
		}
	}
}

func TestUnmarshalErrors(t *testing.T) {
	for _, test := range []struct{ row, want string }{
		{``, "Unexpected end, expected a value in JSON at position 0"},
		{`[]`, "Expected an object in JSON at position 0"},
		{`{}`, "103 Invalid classname: , classnames can only have alphanumeric characters and _, and must start with an alpha character "},
		{`{"className":"C","fields":{"a":{"type":"Foo"}}}`, "111 invalid field type: Foo"},
		{`{"className":"C","fields":{"r":{"type":"Relation","targetClass":"a-b"}}}`, "103 Invalid classname: a-b, classnames can only have alphanumeric characters and _, and must start with an alpha character "},
		{`{"className":"C","fields":{"a-b":{"type":"String"}}}`, "105 invalid field name: a-b"},
		{`{"className":"_Role","fields":{"name":{"type":"Number"}}}`, "111 schema mismatch for _Role.name; expected String but got Number"},
		{`{"className":"C","classLevelPermissions":{"find":true}}`, "107 'true' is not a valid value for class level permissions find - must be an object"},
	} {
		_, err := Unmarshal([]byte(test.row))
		if got := text(err); got != test.want {
			t.Errorf("Unmarshal(%s): %q, want %q", test.row, got, test.want)
		}
	}
}

func TestMarshal(t *testing.T) {
	class, err := Define("_User", decodeMap(t, `{"fields":{"n":{"type":"Number","required":true}},"indexes":{"x":{"n":-1}},"classLevelPermissions":{"find":{"role:a":true}}}`), false)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"className":"_User","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"username":{"type":"String"},"email":{"type":"String"},"emailVerified":{"type":"Boolean"},"authData":{"type":"Object"},"n":{"type":"Number","required":true},` +
		`"_rperm":{"type":"Array","contents":{"type":"String"}},"_wperm":{"type":"Array","contents":{"type":"String"}},"_hashed_password":{"type":"String"}},` +
		`"classLevelPermissions":{"find":{"role:a":true},"get":{},"count":{},"create":{},"update":{},"delete":{},"addField":{},"protectedFields":{}},"indexes":{"x":{"n":-1}}}`
	if got := string(Marshal(class)); got != want {
		t.Errorf("Marshal(_User) =\n\t%s, want\n\t%s", got, want)
	}
}

// Whatever a database holds is read or refused, and what is read is written back without loss.
func FuzzUnmarshal(f *testing.F) {
	for _, test := range storedRows {
		f.Add([]byte(test.row))
		f.Add([]byte(test.want))
	}
	f.Add([]byte(`{"className":"_Join:users:_Role","fields":{"relatedId":{"type":"String"},"x":{"type":"Bytes"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		class, err := Unmarshal(data)
		if err != nil {
			return
		}
		again, err := Unmarshal(Marshal(class))
		if err != nil {
			t.Fatalf("Unmarshal(Marshal(Unmarshal(%q))): %v; marshalled %s", data, err, Marshal(class))
		}
		if !again.Equal(class) {
			t.Fatalf("Unmarshal(Marshal(Unmarshal(%q))) = %s, want %s", data, Marshal(again), Marshal(class))
		}
	})
}

// A request of the schema API never breaks anything, and what it makes can be stored.
func FuzzChange(f *testing.F) {
	f.Add([]byte(`{"fields":{"a":{"type":"String","required":true,"defaultValue":"z"},"n":{"__op":"Delete"}},"classLevelPermissions":{"find":{"pointerFields":["u"]},"protectedFields":{"userField:u":["n"]},"ACL":{"currentUser":{"read":true}}},"indexes":{"x":{"n":1},"y":{"u":"text"}}}`))
	f.Add([]byte(`{"classLevelPermissions":{"readUserFields":["u"],"find":["a"],"get":{"*":null}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		body, err := parse.DecodeMap(data, parse.Limits{})
		if err != nil {
			return
		}
		class := New("C")
		class.Fields["n"] = Field{Type: Number}
		class.Fields["u"] = Field{Type: Array}
		class.Indexes = map[string]Index{"i": {{Field: "n", Kind: "1"}}}
		before := class.Clone()
		changed, err := Change(class, body, true)
		if !class.Equal(before) {
			t.Fatalf("Change(%q) changed the class it was given", data)
		}
		if err != nil {
			return
		}
		again, err := Unmarshal(Marshal(changed))
		if err != nil || !again.Equal(changed) {
			t.Fatalf("Unmarshal(Marshal(Change(%q))) = %v, %v, want %s", data, again, err, Marshal(changed))
		}
	})
}
