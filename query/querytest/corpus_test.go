package querytest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

func TestParse(t *testing.T) {
	got, err := Parse("file", []byte(`
# A comment.
class C
field n Number
field p Pointer Other
object a {"n":1}

== things
{"n":{"$gt":0}} order=-n skip=1 limit=2 -> a b
{} privileged -> none
{"n":{"$in":5}} -> ! 107 bad $in value
`))
	if err != nil {
		t.Fatal(err)
	}
	created := parse.DateOf(Epoch)
	want := []Suite{{
		File: "file",
		Class: &schema.Class{Name: "C", Fields: map[string]schema.Field{
			"objectId": {Type: schema.String}, "createdAt": {Type: schema.Date}, "updatedAt": {Type: schema.Date},
			"ACL": {Type: schema.ACL}, "n": {Type: schema.Number}, "p": {Type: schema.Pointer, TargetClass: "Other"},
		}},
		Objects: []*parse.Object{parse.NewObject("C", "objectId", "a", "createdAt", created, "updatedAt", created, "n", 1.0)},
		Cases: []Case{
			{File: "file", Line: 9, Section: "things", Where: `{"n":{"$gt":0}}`, Order: "-n", Skip: 1, Limit: 2, Want: []string{"a", "b"}},
			{File: "file", Line: 10, Section: "things", Where: `{}`, Limit: -1, Privileged: true},
			{File: "file", Line: 11, Section: "things", Where: `{"n":{"$in":5}}`, Limit: -1, Err: &parse.Error{Code: 107, Message: "bad $in value"}},
		},
	}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *parse.Object) bool { return a.Equal(b) })); diff != "" {
		t.Errorf("Parse differs (-want +got):\n%s", diff)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"field n Number":              "f.txt:1: no class yet",
		"class C\nfield n":            "f.txt:2: field wants a name, a type and maybe a class",
		"class C\nobject a {\"n\":1}": "f.txt:2: class C has no field n",
		"class C\nwhat is this":       `f.txt:2: cannot read "what is this"`,
		"class C\n{} a b":             "f.txt:2: a case needs ->",
		"class C\n{} ->":              "f.txt:2: say what is found, or none",
		"class C\n{} oder=n -> none":  `f.txt:2: unknown parameter "oder=n"`,
		"class C\n{} limit=x -> none": `f.txt:2: strconv.Atoi: parsing "x": invalid syntax`,
		"class C\n{} -> ! x bad":      `f.txt:2: strconv.Atoi: parsing "x": invalid syntax`,
		"class C\nfield g GeoPoint\nobject a {\"g\":{\"__type\":\"GeoPoint\"}}": "f.txt:3: malformed GeoPoint",
	} {
		_, err := Parse("f", []byte(text))
		if err == nil || err.Error() != want {
			t.Errorf("Parse(%q) = %v, want %s", text, err, want)
		}
	}
}

// TestLoad checks that the corpus is found and that its cases are of the size that a reader relies on.
func TestLoad(t *testing.T) {
	suites, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, s := range suites {
		cases += len(s.Cases)
	}
	if cases < 500 {
		t.Errorf("Load finds %d cases, want at least 500", cases)
	}
	t.Logf("%d cases in %d suites", cases, len(suites))
}
