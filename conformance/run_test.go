package conformance

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const conversation = `server {}

## one

- create
  > POST /classes/A [master; session tok; X-Foo: bar] {"a":1}
  = id objectId
- get
  > GET /classes/A/${id}?where={"a":"b%20c"} [-X-Parse-Application-Id]
  ~ header x-seen
- page
  > DELETE /page raw ""
`

// echo answers each request of the conversation in its own way.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch {
	case r.Method == "POST":
		w.Header().Set("Location", "http://"+r.Host+"/parse/classes/A/A1b2C3d4E5")
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(201)
		io.WriteString(w, `{"objectId":"A1b2C3d4E5","key":"`+r.Header.Get("X-Parse-Master-Key")+`","s":"`+r.Header.Get("X-Parse-Session-Token")+r.Header.Get("X-Foo")+`","body":`+string(body)+`,"u":"0a1B2c3D4e"}`)
	case r.Method == "GET":
		w.Header().Set("X-Seen", r.URL.Query().Get("where"))
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"path":"`+r.URL.Path+`","app":"`+r.Header.Get("X-Parse-Application-Id")+`","objectId":"ZZZZZ11111"}`)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(404)
		io.WriteString(w, "<p>")
	}
}

// TestRun records a conversation, replays it, and replays it against a server
// that answers otherwise.
func TestRun(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	f, err := Parse("f", []byte(conversation))
	if err != nil {
		t.Fatal(err)
	}
	r := &Runner{BaseURL: server.URL + "/parse", Client: client(t), Record: func(e *Exchange, a *Answer) { e.Want = a }}
	if failures, err := r.Run(context.Background(), f); len(failures) > 0 || err != nil {
		t.Fatalf("Run() recording = %v, %v, want nothing", failures, err)
	}
	var got []string
	for _, e := range f.Exchanges {
		got = append(got, e.Want.String())
	}
	want := []string{
		`201 {"objectId":"${id}","key":"mk-master-0123456789abcdef","s":"tokbar","body":{"a":1},"u":"0a1B2c3D4e"} {location: ${url}/classes/A/${id}}`,
		`200 {"path":"/parse/classes/A/${id}","app":"","objectId":"<id>"} {x-seen: {"a":"b c"}}`,
		`404 (text/html)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}

	r = &Runner{BaseURL: server.URL + "/parse", Client: client(t)}
	if failures, err := r.Run(context.Background(), f); len(failures) > 0 || err != nil {
		t.Errorf("Run() = %v, %v, want nothing", failures, err)
	}
	f.Exchanges[0].Parley, f.Exchanges[0].Divergence = &Answer{Status: 200}, "a test"
	f.Exchanges[2].Want = nil
	failures, err := r.Run(context.Background(), f)
	if err != nil || len(failures) != 2 {
		t.Fatalf("Run() = %v, %v, want two failures", failures, err)
	}
	differences := []string{
		`answer = ` + failures[0].Got + `, want 200 -`,
		`header location = "` + server.URL + `/parse/classes/A/A1b2C3d4E5", want it absent`,
		`status = 201, want 200`,
	}
	if diff := cmp.Diff(differences, failures[0].Differences); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"nothing is recorded"}, failures[1].Differences); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}
