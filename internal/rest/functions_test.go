package rest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/internal/access"
	"github.com/parley-backend/parley/internal/object"
)

// coded is a world with cloud code; its objects have no behaviors.
func coded(t *testing.T, register func(code *cloud.Code), change ...func(*Config)) *world {
	var code cloud.Code
	register(&code)
	return newWorld(t, append(change, func(cfg *Config) {
		hooks, err := code.Compile(cloud.Options{Log: cfg.Log})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Objects = object.New(object.Config{Store: cfg.Store, Schemas: cfg.Schemas, Rules: access.Rules{AllowClassCreation: true}, Cloud: hooks})
	})...)
}

// No key and no session token reaches cloud code, by whichever header.
func TestCloudCodeSeesNoKeys(t *testing.T) {
	var seen http.Header
	w := coded(t, func(code *cloud.Code) {
		code.BeforeSave("A", func(_ context.Context, req *cloud.SaveRequest) error { seen = req.Headers; return nil })
	})
	a := w.ask("POST", "/classes/A", `{}`, "X-Parse-Master-Key", "mk", "X-Parse-Client-Key", "ck", "X-Parse-JavaScript-Key", "jk", "X-Parse-REST-API-Key", "rk",
		"X-Parse-Windows-Key", "wk", "Cookie", "c=1", "Authorization", "Bearer t", "X-Parse-Session-Token", "r:1", "X-Own", "kept")
	if a.status != http.StatusCreated || seen.Get("X-Own") != "kept" || seen.Get("X-Parse-Application-Id") != "app" {
		t.Errorf("answer %d %s, headers %v, want 201 with X-Own", a.status, a.text, seen)
	}
	for _, name := range secret {
		if seen.Get(name) != "" {
			t.Errorf("cloud code sees %s: %v", name, seen)
		}
	}
	for _, value := range []string{"mk", "ck", "jk", "rk", "wk", "c=1", "Bearer t", "r:1"} {
		for name, values := range seen {
			if strings.Join(values, "") == value {
				t.Errorf("cloud code sees %s: %s", name, value)
			}
		}
	}
}

// A function that hangs holds up its caller no longer than the time-out says, and a panic is one failed call.
func TestFunctionsThatMisbehave(t *testing.T) {
	release := make(chan struct{})
	left := make(chan struct{})
	w := coded(t, func(code *cloud.Code) {
		code.Timeout = 10 * time.Millisecond
		code.Define("hang", func(context.Context, *cloud.FunctionRequest) (any, error) { <-release; close(left); return nil, nil })
		code.Define("panic", func(context.Context, *cloud.FunctionRequest) (any, error) { panic("boom") })
		code.Define("status", func(_ context.Context, req *cloud.FunctionRequest) (any, error) { req.Status = 42; return nil, nil })
		code.Define("a/b.c", func(_ context.Context, req *cloud.FunctionRequest) (any, error) { return req.Params, nil })
	})
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/functions/hang", `{}`, 400, `{"code":124,"error":"The request was not completed in time."}`},
		{"/functions/panic", `{}`, 400, `{"code":141,"error":"Script failed. Unknown error."}`},
		{"/functions/status", `{}`, 400, `{"code":141,"error":"42 is no status of an answer."}`},
		{"/functions/a/b.c?q=1&l=1&l=2", `{"p":{"__type":"Pointer","className":"A","objectId":"x"}}`, 200,
			`{"result":{"p":{"__type":"Pointer","className":"A","objectId":"x"},"l":["1","2"],"q":"1"}}`},
		{"/functions/a%2Fb.c", `{}`, 200, `{"result":{}}`},
		{"/functions/nope", `{}`, 400, `{"code":141,"error":"Invalid function: \"nope\""}`},
	} {
		w.want("POST "+c.path, w.ask("POST", c.path, c.body), c.status, c.want)
	}
	close(release)
	<-left
	for _, part := range []string{"panic in cloud code", "boom", "was not done in time"} {
		if !strings.Contains(w.log.String(), part) {
			t.Errorf("the log has no %q", part)
		}
	}
}
