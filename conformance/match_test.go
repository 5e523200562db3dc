package conformance

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCompare(t *testing.T) {
	m := &matcher{
		vars:     map[string]string{"id": "abcdefghij", "url": "http://h/parse"},
		anyOrder: []string{"set", "deep.set"},
		now:      time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
	}
	for _, c := range []struct {
		want, got string
		diff      []string
	}{
		{`{"a":1,"b":[true,null,"x"]}`, `{"b":[true,null,"x"],"a":1}`, nil},
		{`1`, `1.0`, []string{"body = 1.0, want 1"}},
		{`{"a":1}`, `{"a":"1"}`, []string{`a = "1", want 1`}},
		{`{"a":1}`, `{"b":1}`, []string{"a is missing, want 1", "b = 1, want it absent"}},
		{`{"a":null}`, `{}`, []string{"a is missing, want null"}},
		{`[1,2]`, `[2,1]`, []string{"0 = 2, want 1", "1 = 1, want 2"}},
		{`[1,2]`, `[1]`, []string{"body = [1], want [1,2]"}},
		{`{"set":[1,2,2]}`, `{"set":[2,1,2]}`, nil},
		{`{"set":[1,2,2]}`, `{"set":[2,1,1]}`, []string{"set has no 2", "set has 1, want it absent"}},
		{`{"deep":{"set":[{"a":1},{"b":2}]}}`, `{"deep":{"set":[{"b":2},{"a":1}]}}`, nil},
		{`{"${id}":{"read":true}}`, `{"abcdefghij":{"read":true}}`, nil},
		{`"${url}/files/${id}"`, `"http://h/parse/files/abcdefghij"`, nil},
		{`"${other}"`, `"abcdefghij"`, []string{`body = "abcdefghij", want "${other}"`}},
		{`"<id>"`, `"A1b2C3d4E5"`, nil},
		{`"<id>"`, `"A1b2"`, []string{`body = "A1b2", want "<id>"`}},
		{`"<id>"`, `5`, []string{`body = 5, want "<id>"`}},
		{`"x/<id>"`, `"x/A1b2C3d4E5"`, nil},
		{`"<token>"`, `"r:0123456789abcdef0123456789abcdef"`, nil},
		{`"<token>"`, `"0123456789abcdef0123456789abcdef"`, []string{`body = "0123456789abcdef0123456789abcdef", want "<token>"`}},
		{`"<name>"`, `"bUwQTRog4RgsEX9oi6GLxUYNK"`, nil},
		{`"a <any> b"`, `"a whatever b"`, nil},
		{`"<date>"`, `"2026-05-01T12:00:01.000Z"`, nil},
		{`"<date>"`, `"2026-05-01T12:00:01Z"`, []string{`body = "2026-05-01T12:00:01Z", want "<date>"`}},
		{`"<date>"`, `"2026-05-01T13:00:01.000Z"`, []string{`body = "2026-05-01T13:00:01.000Z", want "<date>"`}},
		{`"<date+3600s>"`, `"2026-05-01T13:00:01.000Z"`, nil},
		{`{}`, `{bad`, []string{"body is not JSON: {bad"}},
	} {
		if diff := cmp.Diff(c.diff, m.compare(c.want, c.got)); diff != "" {
			t.Errorf("compare(%s, %s) differs (-want +got):\n%s", c.want, c.got, diff)
		}
	}
}

func TestCapture(t *testing.T) {
	const body = `{"results":[{"objectId":"x"}],"n":1}`
	for _, c := range []struct{ path, want, err string }{
		{"results.0.objectId", "x", ""},
		{"results.1.objectId", "", "capture results.1.objectId: no element 1"},
		{"n", "", "capture n: no string there"},
		{"n.a", "", "capture n.a: no string there"},
	} {
		got, err := capture(body, c.path)
		message := ""
		if err != nil {
			message = err.Error()
		}
		if got != c.want || message != c.err {
			t.Errorf("capture(%s) = %q, %q, want %q, %q", c.path, got, message, c.want, c.err)
		}
	}
}
