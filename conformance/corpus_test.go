package conformance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = `# What it shows.
server {"a":1}

## things

# A comment.
- create
  > POST /classes/A?x={"a":1} [master; X-Foo: [1]; -X-Bar] {"a": [1, "]"]}
  = id objectId
  ~ any order results
  ~ header retry-after
  < 201 {"objectId":"${id}"} {location: ${url}/x | retry-after: 1}
  ! divergence: because
  <! 404 (text/html)
  ! postgres: tables
  <postgres 405 -
- second
  > POST /classes/A raw "{\"bad"
  < 200 text "O\"K" {retry-after: 2}
- third
  > GET /classes/A
  < 204 -
`

func sampleFile() *File {
	return &File{
		Name:     "sample",
		Comments: []string{"What it shows."},
		Options:  `{"a":1}`,
		Exchanges: []*Exchange{{
			Section: "things", Name: "create", Line: 7, Comments: []string{"A comment."},
			Method: "POST", Path: `/classes/A?x={"a":1}`, Caller: []string{"master", "X-Foo: [1]", "-X-Bar"}, Body: `{"a": [1, "]"]}`,
			Captures: []Capture{{"id", "objectId"}}, AnyOrder: []string{"results"}, Headers: []string{"retry-after"},
			Want:       &Answer{Status: 201, Kind: JSONBody, Body: `{"objectId":"${id}"}`, Headers: map[string]string{"location": "${url}/x", "retry-after": "1"}},
			Divergence: "because",
			Parley:     &Answer{Status: 404, Kind: OtherBody, Body: "text/html"},
			Reason:     "tables",
			Postgres:   &Answer{Status: 405},
		}, {
			Name: "second", Line: 17, Method: "POST", Path: "/classes/A", Body: `{"bad`, Raw: true,
			Want: &Answer{Status: 200, Kind: TextBody, Body: `O"K`, Headers: map[string]string{"retry-after": "2"}},
		}, {
			Name: "third", Line: 20, Method: "GET", Path: "/classes/A", Want: &Answer{Status: 204},
		}},
	}
}

func TestParse(t *testing.T) {
	got, err := Parse("sample", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleFile(), got); diff != "" {
		t.Errorf("Parse(sample) differs (-want +got):\n%s", diff)
	}
	if got, want := string(got.Format()), sample; got != want {
		t.Errorf("Format() = %s\nwant %s", got, want)
	}
}

func TestParseErrors(t *testing.T) {
	const start = "server {}\n- x\n> GET /a\n"
	for _, c := range []struct{ text, want string }{
		{"", "f: no server line"},
		{"server 5", "f:1: server options are not a JSON object"},
		{"server {}\nserver {}", "f:2: the server line comes first, and once"},
		{"- x", "f:1: an exchange needs a name and stands after the server line"},
		{"server {}\n< 200", `f:2: line belongs to no exchange: "< 200"`},
		{"server {}\n- x", "f:2: exchange without a request"},
		{start + "> GET /b", "f:4: second request"},
		{start + "< 99", `f:4: bad status "99"`},
		{start + "< 200 {bad", "f:4: body of the answer is not JSON: invalid character 'b' looking for beginning of object key string"},
		{start + "< 200 {} location", `f:4: headers of an answer stand in braces: "location"`},
		{start + "<! 200 {}", "f:2: a divergence needs its reason and its answer"},
		{start + "! divergence: x", "f:2: a divergence needs its reason and its answer"},
		{start + "? x", `f:4: unknown mark "?"`},
		{start + "~ sorted", `f:4: unknown remark "sorted"`},
		{start + "= 1 a", `f:4: a capture is a name and a path: "1 a"`},
		{start + "## end", "f: a comment or a section at the end belongs to no exchange"},
		{"server {}\n- x\n> GET a", "f:3: a request is a method and a path that starts with /"},
		{"server {}\n- x\n> GET /a [b", "f:3: no ] after the caller"},
		{"server {}\n- x\n> GET /a [b;]", "f:3: empty item in brackets"},
		{"server {}\n- x\n> POST /a {", "f:3: body is not JSON: {"},
	} {
		if _, err := Parse("f", []byte(c.text)); err == nil || err.Error() != c.want {
			t.Errorf("Parse(%q) = %v, want %s", c.text, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		first, err := Parse("f", text)
		if err != nil {
			return
		}
		printed := first.Format()
		second, err := Parse("f", printed)
		if err != nil {
			t.Fatalf("Parse(Format(Parse(%q))): %v", text, err)
		}
		if again := second.Format(); string(again) != string(printed) {
			t.Errorf("Format is not stable:\n%s\nand\n%s", printed, again)
		}
	})
}

// TestCorpus checks the files themselves: each is as Format prints it and each
// exchange has a recorded answer, a unique name in its section and only known
// variables.
func TestCorpus(t *testing.T) {
	total := 0
	for _, f := range corpus(t) {
		text, err := os.ReadFile(filepath.Join("testdata", f.Name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(f.Format()), string(text)); diff != "" {
			t.Errorf("%s is not as Format prints it:\n%s", f.Name, diff)
		}
		known, names := map[string]bool{"url": true}, map[string]int{}
		for _, e := range f.Exchanges {
			total++
			if e.Want == nil {
				t.Errorf("%s:%d: %s has no recorded answer", f.Name, e.Line, e.Name)
			}
			if e.Section != "" {
				clear(names)
			}
			if first := names[e.Name]; first > 0 {
				t.Errorf("%s:%d: %s has the name of line %d", f.Name, e.Line, e.Name, first)
			}
			names[e.Name] = e.Line
			for _, m := range variable.FindAllStringSubmatch(e.Path+e.Body+strings.Join(e.Caller, " "), -1) {
				if !known[m[1]] {
					t.Errorf("%s:%d: %s uses ${%s} before it is captured", f.Name, e.Line, e.Name, m[1])
				}
			}
			for _, c := range e.Captures {
				known[c.Name] = true
			}
		}
	}
	t.Logf("%d exchanges", total)
}
