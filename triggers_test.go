package parley_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/cloud/node"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// scenario is a trigger, a function or a job, and how it comes to run.
type scenario struct {
	kind  cloud.Kind // "function" and "job", too
	class string     // or the name of the function or the job
	// method, path and body run it over HTTP; ID stands for an object of class A. What it answers when the code agrees begins with passes, what it
	// answers when the code refuses is refused.
	method, path, body string
	headers            []string
	passes, refused    string
	// request is what it runs on where there is no route yet: it runs through [cloud.Hooks] then.
	request func() any
}

// watching is no trigger of a class: there may be many, and none refuses anything.
const watching cloud.Kind = "onLiveQueryEvent"

const no = `400 {"code":141,"error":"no"}`

// scenarios are all kinds of triggers, with every class that is none among them, and functions and jobs.
func scenarios(master, session []string) []scenario {
	object := func() *parse.Object { return parse.NewObject("A", "objectId", "abcdefghij", "a", 1.0) }
	find := func() *query.Find { return &query.Find{ClassName: "A", Limit: 100} }
	file := func() any {
		return &cloud.FileRequest{File: &cloud.File{Name: "a.txt", ContentType: "text/plain", Data: []byte("text")}, Size: 4}
	}
	return []scenario{
		{kind: "function", class: "f", method: "POST", path: "/functions/f", body: `{}`, passes: `200 {"result":"done"}`, refused: no},
		{kind: "job", class: "j", method: "POST", path: "/jobs/j", body: `{}`, headers: master, passes: `200 {}`, refused: `200 {}`},
		{kind: cloud.BeforeSave, class: "A", method: "POST", path: "/classes/A", body: `{"a":1}`, passes: `201 {`, refused: no},
		{kind: cloud.AfterSave, class: "A", method: "PUT", path: "/classes/A/ID", body: `{"a":2}`, passes: `200 {`, refused: `200 {`},
		{kind: cloud.BeforeDelete, class: "A", method: "DELETE", path: "/classes/A/ID", passes: `200 {}`, refused: no},
		{kind: cloud.AfterDelete, class: "A", method: "DELETE", path: "/classes/A/ID", passes: `200 {}`, refused: no},
		{kind: cloud.BeforeFind, class: "A", method: "GET", path: "/classes/A", passes: `200 {"results":[`, refused: no},
		{kind: cloud.AfterFind, class: "A", method: "GET", path: "/classes/A/ID", passes: `200 {"a":1`, refused: no},
		{kind: cloud.BeforeLogin, class: "_User", method: "POST", path: "/login", body: `{"username":"ann","password":"p"}`, passes: `200 {`, refused: no},
		{kind: cloud.AfterLogin, class: "_User", method: "POST", path: "/login", body: `{"username":"ann","password":"p"}`, passes: `200 {`, refused: no},
		{kind: cloud.AfterLogout, class: "_Session", method: "POST", path: "/logout", body: `{}`, headers: session, passes: `200 {}`, refused: no},
		{kind: cloud.BeforeSave, class: cloud.ConfigClass, method: "PUT", path: "/config", body: `{"params":{"a":1}}`, headers: master, passes: `200 {"result":true}`, refused: no},
		{kind: cloud.AfterSave, class: cloud.ConfigClass, method: "PUT", path: "/config", body: `{"params":{"a":2}}`, headers: master, passes: `200 {"result":true}`, refused: no},
		// The server has no mails, files and live queries yet.
		{kind: cloud.BeforePasswordResetRequest, class: "_User", request: func() any {
			return &cloud.PasswordResetRequest{Object: parse.NewObject("_User", "objectId", "abcdefghij", "username", "ann")}
		}},
		{kind: cloud.BeforeSave, class: cloud.FileClass, request: file},
		{kind: cloud.AfterSave, class: cloud.FileClass, request: file},
		{kind: cloud.BeforeDelete, class: cloud.FileClass, request: file},
		{kind: cloud.AfterDelete, class: cloud.FileClass, request: file},
		{kind: cloud.BeforeFind, class: cloud.FileClass, request: file},
		{kind: cloud.AfterFind, class: cloud.FileClass, request: file},
		{kind: cloud.BeforeConnect, class: cloud.ConnectClass, request: func() any { return &cloud.ConnectRequest{Clients: 1} }},
		{kind: cloud.BeforeSubscribe, class: "A", request: func() any { return &cloud.SubscribeRequest{Query: find()} }},
		{kind: cloud.AfterEvent, class: "A", request: func() any {
			return &cloud.EventRequest{Event: "update", Object: object(), Original: object(), Send: true}
		}},
		{kind: watching, request: func() any { return &cloud.LiveEventRequest{Event: "connect", Clients: 1} }},
	}
}

// director decides what each trigger does, and hears of all that run: those in Go call it, webhooks are its URLs, JavaScript fetches them.
type director struct {
	*httptest.Server
	mu     sync.Mutex
	ran    []string
	refuse string
}

func newDirector(t *testing.T) *director {
	d := &director{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		what := strings.TrimPrefix(r.URL.Path, "/")
		if err := d.decide(what); err != nil {
			json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
		} else if strings.HasPrefix(what, "function") {
			io.WriteString(w, `{"success":"done"}`)
		} else {
			io.WriteString(w, `{}`)
		}
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *director) decide(what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ran = append(d.ran, what)
	if what == d.refuse {
		return errors.New("no")
	}
	return nil
}

func (d *director) begin(refuse string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ran, d.refuse = nil, refuse
}

func (d *director) times(what string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(d.ran), func(other string) bool { return other != what }))
}

func (s scenario) what() string { return string(s.kind) + "/" + strings.TrimPrefix(s.class, "@") }

// The ways in which each of them can be registered.
var ways = map[string]func(t *testing.T, d *director, all []scenario) *parley.Server{
	"Go": func(t *testing.T, d *director, all []scenario) *parley.Server {
		var code cloud.Code
		for _, s := range all {
			switch s.kind {
			case "function":
				code.Define(s.class, func(context.Context, *cloud.FunctionRequest) (any, error) { return "done", d.decide(s.what()) })
			case "job":
				code.Job(s.class, func(context.Context, *cloud.JobRequest) error { return d.decide(s.what()) })
			case watching:
				code.OnLiveQueryEvent(func(context.Context, *cloud.LiveEventRequest) error { return d.decide(s.what()) })
			default:
				code.On(s.kind, s.class, func(context.Context, any) error { return d.decide(s.what()) })
			}
		}
		return hookServer(t, func(c *parley.Config) { c.Cloud = &code })
	},
	"webhook": func(t *testing.T, d *director, all []scenario) *parley.Server {
		server, rc := hookServer(t), &receiver{}
		for _, s := range all {
			switch s.kind {
			case "function":
				rc.function(t, server, s.class, d.URL+"/"+s.what())
			case "job", watching: // Parse has no hooks of these
			default:
				rc.trigger(t, server, s.class, string(s.kind), d.URL+"/"+s.what())
			}
		}
		return server
	},
	"JavaScript": func(t *testing.T, d *director, all []scenario) *parley.Server {
		dir := t.TempDir()
		var main strings.Builder
		fmt.Fprintf(&main, "const ask = what => async () => { const a = await (await fetch('%s/' + what)).json(); if (a.error) { throw a.error; } return a.success; };\n", d.URL)
		for _, s := range all {
			handler := fmt.Sprintf("ask('%s'));\n", s.what())
			class := map[string]string{cloud.FileClass: "Parse.File", cloud.ConfigClass: "Parse.Config"}[s.class]
			if class == "" {
				class = "'" + s.class + "'"
			}
			switch s.kind {
			case "function":
				main.WriteString("Parse.Cloud.define(" + class + ", " + handler)
			case "job", cloud.BeforeSubscribe:
				main.WriteString("Parse.Cloud." + string(s.kind) + "(" + class + ", " + handler)
			case cloud.AfterEvent:
				main.WriteString("Parse.Cloud.afterLiveQueryEvent(" + class + ", " + handler)
			case cloud.BeforeLogin, cloud.AfterLogin, cloud.AfterLogout, cloud.BeforePasswordResetRequest, cloud.BeforeConnect, watching:
				main.WriteString("Parse.Cloud." + string(s.kind) + "(" + handler)
			default:
				main.WriteString("Parse.Cloud." + string(s.kind) + "(" + class + ", " + handler)
			}
		}
		return nodeServer(t, dir, main.String())
	},
}

// nodeServer is a server with cloud code in JavaScript. Without Node and the SDK the test is skipped.
func nodeServer(t *testing.T, dir, main string, change ...func(*parley.Config)) *parley.Server {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node.js is not installed: cloud code in JavaScript needs it")
	}
	modules, err := filepath.Abs("interop/jssdk/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "parse")); err != nil {
		t.Skip("the SDK is not installed: run `make deps`")
	}
	file := filepath.Join(dir, "main.js")
	if err := os.WriteFile(file, []byte(main), 0o600); err != nil {
		t.Fatal(err)
	}
	return hookServer(t, append([]func(*parley.Config){func(c *parley.Config) {
		c.JavaScript = &node.Options{Main: file, Env: append(os.Environ(), "NODE_PATH="+modules), Timeout: time.Minute}
	}}, change...)...)
}

// Each kind of trigger runs in each of the ways: it agrees, and it refuses. What has a route runs over HTTP.
func TestEveryTriggerInEveryWay(t *testing.T) {
	master := []string{"X-Parse-Master-Key", hookMaster}
	for way, register := range ways {
		t.Run(way, func(t *testing.T) {
			d := newDirector(t)
			server := register(t, d, scenarios(nil, nil))
			if got := hookAsk(t, server, "POST", "/users", `{"username":"ann","password":"p"}`); !strings.HasPrefix(got, "201 ") {
				t.Fatal(got)
			}
			for _, refuse := range []bool{false, true} {
				for i, s := range scenarios(nil, nil) {
					if way == "webhook" && (s.kind == "job" || s.kind == watching) {
						continue
					}
					d.begin("")
					var user struct{ SessionToken string }
					if s.kind == cloud.AfterLogout {
						_ = json.Unmarshal(ask(t, server, "POST", "/login", `{"username":"ann","password":"p"}`, restKey...).Body.Bytes(), &user)
					}
					s = scenarios(master, []string{"X-Parse-Session-Token", user.SessionToken})[i]
					id := strings.Split(hookAsk(t, server, "POST", "/classes/A", `{"a":1}`), `"`)[3]
					if refuse {
						d.begin(s.what())
					} else {
						d.begin("")
					}
					s.run(t, server, d, id, refuse)
				}
			}
		})
	}
}

// run runs the scenario: once its code has run, and the answer is the one that it should be.
func (s scenario) run(t *testing.T, server *parley.Server, d *director, id string, refuse bool) {
	t.Helper()
	if s.request != nil {
		err := dispatch(t, server.Hooks(), s)
		var told *parse.Error
		if s.kind != watching && refuse != (errors.As(err, &told) && told.Code == parse.ScriptFailed && told.Message == "no") || !refuse && err != nil {
			t.Errorf("%s = %v, refused is %t", s.what(), err, refuse)
		}
	} else {
		got, want := hookAsk(t, server, s.method, strings.Replace(s.path, "ID", id, 1), s.body, s.headers...), s.passes
		if refuse {
			want = s.refused
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s %s with %s, refused is %t = %s, want %s", s.method, s.path, s.what(), refuse, got, want)
		}
	}
	if s.kind == "job" {
		eventually(t, func() bool { return d.times(s.what()) == 1 })
	}
	if n := d.times(s.what()); n != 1 {
		t.Errorf("%s ran %d times, want once", s.what(), n)
	}
}

// dispatch runs a trigger that has no route as a service that had one would.
func dispatch(t *testing.T, hooks *cloud.Hooks, s scenario) error {
	if s.kind != watching && !hooks.Has(s.kind, s.class) {
		t.Errorf("%s is not registered", s.what())
	}
	ctx, c := t.Context(), parse.NewMap()
	server := cloud.Server(nil)
	switch req := s.request().(type) {
	case *cloud.PasswordResetRequest:
		req.Context = c
		req.Bind(server, false)
		return hooks.Run(ctx, s.kind, s.class, req)
	case *cloud.FileRequest:
		req.Context = c
		req.Bind(server, false)
		return hooks.Run(ctx, s.kind, s.class, req)
	case *cloud.ConnectRequest:
		req.Context = c
		req.Bind(server, false)
		return hooks.Run(ctx, s.kind, s.class, req)
	case *cloud.SubscribeRequest:
		req.Context = c
		req.Bind(server, false)
		return hooks.Run(ctx, s.kind, s.class, req)
	case *cloud.EventRequest:
		req.Context = c
		req.Bind(server, false)
		return hooks.Run(ctx, s.kind, s.class, req)
	}
	if req, ok := s.request().(*cloud.LiveEventRequest); ok {
		req.Context = c
		req.Bind(server, false)
		hooks.Watch(ctx, req)
		return nil
	}
	t.Fatalf("%s has another request", s.what())
	return nil
}

// Every kind is among the scenarios, with every class that it can have besides those of objects.
func TestScenariosAreAll(t *testing.T) {
	all := scenarios(nil, nil)
	for _, kind := range cloud.Kinds() {
		for _, class := range []string{"A", "_User", "_Session", cloud.FileClass, cloud.ConfigClass, cloud.ConnectClass} {
			possible := cloud.Possible(kind, class) == nil
			object := class == "_User" && cloud.Possible(kind, "A") == nil // is one class among the others
			if there := slices.ContainsFunc(all, func(s scenario) bool { return s.kind == kind && s.class == class }); there != possible && !object {
				t.Errorf("%s of %s is possible: %t, among the scenarios: %t", kind, class, possible, there)
			}
		}
	}
}
