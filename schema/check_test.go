package schema

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/parse"
)

// decode reads a JSON document that a test wrote.
func decode(t testing.TB, text string) any {
	t.Helper()
	v, err := parse.Decode([]byte(text), parse.Limits{})
	if err != nil {
		t.Fatalf("Decode(%s): %v", text, err)
	}
	return v
}

func decodeMap(t testing.TB, text string) *parse.Map {
	t.Helper()
	return decode(t, text).(*parse.Map)
}

// text is an error as a client reads it, "" for none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestTypeOf(t *testing.T) {
	for _, test := range []struct {
		value string
		want  Field
		err   string
	}{
		{`null`, Field{}, ""},
		{`true`, Field{Type: Boolean}, ""},
		{`1.5`, Field{Type: Number}, ""},
		{`"s"`, Field{Type: String}, ""},
		{`[1]`, Field{Type: Array}, ""},
		{`{"a":1}`, Field{Type: Object}, ""},
		{`{"__type":""}`, Field{Type: Object}, ""},
		{`{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}`, Field{Type: Date}, ""},
		{`{"__type":"Pointer","className":"C","objectId":"x"}`, Field{Type: Pointer, TargetClass: "C"}, ""},
		{`{"__type":"Relation","className":"C"}`, Field{Type: Relation, TargetClass: "C"}, ""},
		{`{"__type":"GeoPoint","latitude":1,"longitude":2}`, Field{Type: GeoPoint}, ""},
		{`{"__type":"Polygon","coordinates":[[0,0],[0,1],[1,1]]}`, Field{Type: Polygon}, ""},
		{`{"__type":"File","name":"f.txt"}`, Field{Type: File}, ""},
		{`{"__type":"Bytes","base64":"AA=="}`, Field{Type: Bytes}, ""},
		{`{"__op":"Increment","amount":1}`, Field{Type: Number}, ""},
		{`{"__op":"Add","objects":[1]}`, Field{Type: Array}, ""},
		{`{"__op":"AddUnique","objects":[1]}`, Field{Type: Array}, ""},
		{`{"__op":"Remove","objects":[1]}`, Field{Type: Array}, ""},
		{`{"__op":"Delete"}`, Field{}, ""},
		{`{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"C","objectId":"x"}]}`, Field{Type: Relation, TargetClass: "C"}, ""},
		{`{"__op":"RemoveRelation","objects":[{"__type":"Pointer","className":"C","objectId":"x"}]}`, Field{Type: Relation, TargetClass: "C"}, ""},
		{`{"__op":"AddRelation","objects":[]}`, Field{}, ""},
		{`{"__op":"Batch","ops":[{"__op":"AddRelation","objects":[]},{"__op":"RemoveRelation","objects":[{"__type":"Pointer","className":"C","objectId":"x"}]}]}`, Field{Type: Relation, TargetClass: "C"}, ""},
		{`{"__op":"Foo"}`, Field{}, "108 The Foo operator is not supported yet."},
		{`{"__type":"Foo"}`, Field{}, "111 This is not a valid Foo"},
		{`{"__type":"Object","className":"C","objectId":"x"}`, Field{}, "111 This is not a valid Object"},
		{`{"__type":"Pointer","objectId":"x"}`, Field{}, "111 This is not a valid Pointer"},
		{`{"__type":"Relation"}`, Field{}, "111 This is not a valid Relation"},
		{`{"__type":"Date","iso":"never"}`, Field{}, "111 This is not a valid Date"},
		{`{"__type":"GeoPoint","latitude":1}`, Field{}, "111 This is not a valid GeoPoint"},
		{`{"__type":5}`, Field{}, "111 This is not a valid 5"},
	} {
		got, err := TypeOf(decode(t, test.value))
		if got != test.want || text(err) != test.err {
			t.Errorf("TypeOf(%s) = %+v, %q, want %+v, %q", test.value, got, text(err), test.want, test.err)
		}
	}
	if got, err := TypeOf(parse.ACL{}); got != (Field{Type: ACL}) || err != nil {
		t.Errorf("TypeOf(ACL) = %v, %v, want an ACL", got, err)
	}
}

func TestCheckValue(t *testing.T) {
	class := New("C")
	class.Fields["n"] = Field{Type: Number}
	class.Fields["s"] = Field{Type: String}
	class.Fields["o"] = Field{Type: Object}
	class.Fields["a"] = Field{Type: Array}
	class.Fields["p"] = Field{Type: Pointer, TargetClass: "D"}
	class.Fields["r"] = Field{Type: Relation, TargetClass: "D"}
	const nested = "121 Nested keys should not contain the '$' or '.' characters"
	for _, test := range []struct{ key, value, want string }{
		{"n", `1`, ""},
		{"n", `null`, ""},
		{"n", `{"__op":"Delete"}`, ""},
		{"n", `{"__op":"Increment","amount":1}`, ""},
		{"n", `"s"`, "111 schema mismatch for C.n; expected Number but got String"},
		{"n", `{"__op":"Add","objects":[1]}`, "111 schema mismatch for C.n; expected Number but got Array"},
		{"n", `{"__type":"Foo"}`, "111 This is not a valid Foo"},
		{"p", `{"__type":"Pointer","className":"D","objectId":"x"}`, ""},
		{"p", `{"__type":"Pointer","className":"E","objectId":"x"}`, "111 schema mismatch for C.p; expected Pointer<D> but got Pointer<E>"},
		{"p", `"x"`, "111 schema mismatch for C.p; expected Pointer<D> but got String"},
		{"s", `{"__type":"Pointer","className":"D","objectId":"x"}`, "111 schema mismatch for C.s; expected String but got Pointer<D>"},
		{"r", `{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"E","objectId":"x"}]}`, "111 schema mismatch for C.r; expected Relation<D> but got Relation<E>"},
		{"r", `[]`, "111 schema mismatch for C.r; expected Relation<D> but got Array"},
		{"unknown", `1`, ""},
		{"objectId", `1`, "111 schema mismatch for C.objectId; expected String but got Number"},
		{"createdAt", `"2026"`, "111 schema mismatch for C.createdAt; expected Date but got String"},
		{"ACL", `5`, ""},
		{"_rperm", `["*"]`, ""},
		{"_rperm", `"*"`, "111 schema mismatch for C._rperm; expected Array but got String"},
		{"o.k", `1`, ""},
		{"o.k.l", `{"__op":"Increment","amount":1}`, ""},
		{"o.k", `{"__op":"Delete"}`, ""},
		{"o.0", `1`, "111 schema mismatch for C.o; expected Object but got Array"},
		{"a.0.x", `1`, ""},
		{"a.x", `1`, "111 schema mismatch for C.a; expected Array but got Object"},
		{"n.x", `1`, "111 schema mismatch for C.n; expected Number but got Object"},
		{"o", `{"a.b":1}`, nested},
		{"o", `{"a":{"$b":1}}`, nested},
		{"o.k", `{"a.b":1}`, nested},
		{"a", `[[{"a.b":1}]]`, nested},
		{"a", `{"__op":"AddUnique","objects":[{"a$":1}]}`, nested},
		{"unknown", `{"a.b":1}`, nested},
	} {
		if got := text(CheckValue(class, test.key, decode(t, test.value))); got != test.want {
			t.Errorf("CheckValue(%s, %s) = %q, want %q", test.key, test.value, got, test.want)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"A": true, "a_1": true, "_User": true, "_Idempotency": true, "_Join:f:C": true, "_Join:users:_Role": true,
		"": false, "_Bad": false, "9x": false, "A-b": false, "Ä": false, "length": false, "className": false,
		"_Hooks": false, "_GlobalConfig": false, "_Join:f": false, "_Join::C": false, "_Join:f:C:D": false, "_Join:f-:C": false,
	} {
		if got := ValidClassName(name); got != want {
			t.Errorf("ValidClassName(%q) = %v, want %v", name, got, want)
		}
	}
	if got, want := text(CheckClassName("_Bad")), "103 Invalid classname: _Bad, classnames can only have alphanumeric characters and _, and must start with an alpha character "; got != want {
		t.Errorf("CheckClassName(_Bad) = %q, want %q", got, want)
	}
	got := map[string]string{}
	for _, key := range []string{"a", "a_1", "a.b", "a.0.b", "ACL", "_a", "1a", "length", "className", "a-b", "", "a.", ".a", "a..b"} {
		got[key] = text(CheckFieldName("C", key))
	}
	want := map[string]string{
		"a": "", "a_1": "", "a.b": "", "a.0.b": "", "ACL": "",
		"_a": "105 Invalid field name: _a.", "1a": "105 Invalid field name: 1a.", "length": "105 Invalid field name: length.",
		"className": "105 Invalid field name: className.", "a-b": "105 Invalid field name: a-b.", "": "105 Invalid field name: .",
		"a.": "105 Invalid field name: a..", ".a": "105 Invalid field name: .", "a..b": "105 Invalid field name: a..b.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("CheckFieldName (-want +got):\n%s", diff)
	}
	if err := CheckFieldName("_Hooks", "className"); err != nil {
		t.Errorf("CheckFieldName(_Hooks, className) = %v, want nil", err)
	}
}
