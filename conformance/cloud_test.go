package conformance

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/cloud/node"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// TestCloud replays testdata/cloud, which was recorded with main.js, against Parley with the same code in Go.
func TestCloud(t *testing.T) {
	for _, database := range []struct{ name, uri string }{
		{"memory", "memory:"},
		{"sqlite", "sqlite::memory:"},
		{"postgres", postgresURI},
	} {
		t.Run(database.name, func(t *testing.T) {
			t.Parallel()
			f := cloudCorpus(t)
			r := &Runner{BaseURL: newCloudServer(t, f.Options, database.uri, slog.New(slog.DiscardHandler), twin()), Client: client(t)}
			if database.uri == postgresURI {
				r.Expect = (*Exchange).ExpectedOnPostgres
			}
			failures, err := r.Run(context.Background(), f)
			for _, failure := range failures {
				t.Error(failure)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestCloudJavaScript replays all of testdata/cloud with the very code that it was recorded with: functions, triggers, jobs, and the hooks,
// which call a web server of the test.
func TestCloudJavaScript(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node.js is not installed: cloud code in JavaScript needs it")
	}
	modules, err := filepath.Abs("../interop/jssdk/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "parse")); err != nil {
		t.Skip("the SDK is not installed: run `make deps`")
	}
	for _, path := range cloudPaths(t) {
		for _, database := range []struct{ name, uri string }{
			{"memory", "memory:"},
			{"sqlite", "sqlite::memory:"},
			{"postgres", postgresURI},
		} {
			t.Run(strings.TrimSuffix(filepath.Base(path), ".txt")+"/"+database.name, func(t *testing.T) {
				t.Parallel()
				f := cloudFile(t, path)
				url := newServerWith(t, f.Options, database.uri, slog.New(slog.NewTextHandler(watched{t, "the log"}, nil)), func(c *parley.Config) {
					if code := CloudCode(path); code != "" {
						c.JavaScript = &node.Options{Main: code, Env: append(os.Environ(), "NODE_PATH="+modules)}
					}
				})
				sink := httptest.NewServer(Sink())
				t.Cleanup(sink.Close)
				r := &Runner{BaseURL: url, Client: client(t), Vars: map[string]string{"sink": sink.URL}}
				if database.uri == postgresURI {
					r.Expect = (*Exchange).ExpectedOnPostgres
				}
				failures, err := r.Run(context.Background(), f)
				for _, failure := range failures {
					t.Error(failure)
				}
				if err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// twin is main.js in Go.
func twin() *cloud.Code {
	code := &cloud.Code{}
	twinFunctions(code)
	twinValidators(code)
	twinSaves(code)
	twinDeletes(code)
	twinFinds(code)
	twinUsers(code)
	return code
}

func twinFunctions(code *cloud.Code) {
	code.Define("hello", func(_ context.Context, req *cloud.FunctionRequest) (any, error) {
		name := req.Params.String("name")
		if name == "" {
			name = "x"
		}
		return struct {
			Hi     string     `json:"hi"`
			Master bool       `json:"master"`
			Ctx    *parse.Map `json:"ctx"`
		}{name, req.Master, req.Context}, nil
	})
	fails := func(err error) cloud.Function {
		return func(context.Context, *cloud.FunctionRequest) (any, error) { return nil, err }
	}
	code.Define("fail", fails(parse.Errorf(1234, "custom")))
	code.Define("failstr", fails(errors.New("plain")))
	code.Define("failerr", fails(errors.New("err")))
	code.Define("nothing", fails(nil))
	code.Define("values", func(context.Context, *cloud.FunctionRequest) (any, error) {
		return parse.NewMap("d", parse.Date(0), "g", parse.GeoPoint{Latitude: 1, Longitude: 2}, "list", []any{1, "a", nil, true}, "n", 1.5,
			"p", parse.Pointer{ClassName: "Thing", ObjectID: "abcdefghij"}), nil
	})
	code.Define("express", func(_ context.Context, req *cloud.FunctionRequest) (any, error) {
		req.Status = 202
		req.Header.Set("x-a", "b")
		return map[string]int{"a": 1}, nil
	})
	code.Define("echo", params)
	code.Define("who", func(_ context.Context, req *cloud.FunctionRequest) (any, error) {
		who := parse.NewMap("user", nil, "installation", nil, "readOnly", req.ReadOnly, "name", req.Function)
		if req.User != nil {
			who.Set("user", req.User.String("username"))
		}
		if req.InstallationID != "" {
			who.Set("installation", req.InstallationID)
		}
		return who, nil
	})
	code.Define("count", func(ctx context.Context, req *cloud.FunctionRequest) (any, error) {
		as := req.AsCaller()
		if req.Params.Get("master") == true {
			as = req.AsMaster()
		}
		return as.Count(ctx, &query.Find{ClassName: "Secret", Where: equal("a", 1.0)})
	})
}

func equal(key string, value any) query.Node {
	return &query.Constraint{Key: key, Op: query.Eq, Arg: value}
}

func params(_ context.Context, req *cloud.FunctionRequest) (any, error) { return req.Params, nil }

func twinValidators(code *cloud.Code) {
	ok := func(context.Context, *cloud.FunctionRequest) (any, error) { return "ok", nil }
	code.Define("vUser", ok, cloud.Validator{RequireUser: true})
	code.Define("vMaster", ok, cloud.Validator{RequireMaster: true})
	code.Define("vBoth", ok, cloud.Validator{RequireUser: true, ValidateMasterKey: true})
	code.Define("vAny", ok, cloud.Validator{RequireAnyUserRoles: []string{"a", "b"}})
	code.Define("vAll", ok, cloud.Validator{RequireAllUserRoles: []string{"a", "b"}})
	code.Define("vKeys", ok, cloud.Validator{RequireUserKeys: []cloud.Field{{Name: "phone"}}})
	code.Define("vKeyOptions", ok, cloud.Validator{RequireUser: true, RequireUserKeys: []cloud.Field{{Name: "phone", Options: []any{"1", "2"}, Error: "wrong phone"}}})
	code.Define("vList", params, cloud.Validator{Fields: []cloud.Field{{Name: "a", Required: true}, {Name: "b", Required: true}}})
	above2 := func(_ context.Context, v any) error {
		if n, _ := v.(float64); n <= 2 {
			return cloud.ErrInvalid
		}
		return nil
	}
	code.Define("vFields", params, cloud.Validator{Fields: []cloud.Field{
		{Name: "a", Type: cloud.Text, Required: true},
		{Name: "n", Type: cloud.Number, Default: 5},
		{Name: "o", Type: cloud.Text, Options: []any{"x", "y"}},
		{Name: "l", Type: cloud.Array},
		{Name: "m", Type: cloud.Object},
		{Name: "f", Type: cloud.Boolean},
		{Name: "c", Valid: above2, Error: "too small"},
		{Name: "e", Valid: above2},
		{Name: "t", Valid: func(context.Context, any) error { return errors.New("thrown") }},
	}})
	code.Define("vFunction", ok, cloud.Validator{Check: func(_ context.Context, in cloud.Validation) error {
		if !in.Params.Has("a") {
			return errors.New("no a")
		}
		return nil
	}})
	code.Define("vError", ok, cloud.Validator{Check: func(context.Context, cloud.Validation) error { return parse.Errorf(77, "own code") }})
}

func twinSaves(code *cloud.Code) {
	code.BeforeSave("Trig", func(_ context.Context, req *cloud.SaveRequest) error {
		o := req.Object
		switch {
		case parse.Truthy(o.Get("bad")):
			return errors.New("nope")
		case parse.Truthy(o.Get("badcode")):
			return parse.Errorf(123, "coded")
		case parse.Truthy(o.Get("empty")):
			return errors.New("")
		}
		switch o.String("how") {
		case "add":
			o.Set("added", "by-before")
		case "same":
			o.Set("x", o.Get("x"))
		case "change":
			o.Set("x", 99)
		case "unset":
			o.Delete("x")
		case "increment":
			o.Set("n", parse.Increment{Amount: 10})
		case "acl":
			o.Set("ACL", parse.ACL{parse.Public: {Read: true}})
		case "pointer":
			o.Set("p", parse.Pointer{ClassName: "Plain", ObjectID: "abcdefghij"})
		case "date":
			o.Set("at", parse.Date(0))
		case "look":
			seen := parse.NewMap("keys", keys(req), "n", o.Get("n"), "x", o.Get("x"), "was", nil, "isNew", req.IsNew(), "master", req.Master)
			if req.Original != nil {
				seen.Set("was", req.Original.Get("x"))
			}
			o.Set("seen", seen)
		case "ctx":
			o.Set("ctx", req.Context)
		}
		return nil
	})
	code.AfterSave("After", func(_ context.Context, req *cloud.SaveRequest) error {
		if req.Object.Has("bad") {
			return errors.New("too late")
		}
		if req.Object.Has("extra") {
			req.Object.Set("late", "yes")
		}
		return nil
	})
	code.BeforeSave("Both", func(_ context.Context, req *cloud.SaveRequest) error {
		req.Object.Set("b", 1)
		req.Context.Set("from", "before")
		return nil
	})
	code.AfterSave("Both", func(ctx context.Context, req *cloud.SaveRequest) error {
		line := parse.NewObject("BothLog", "ctx", req.Context, "was", nil, "b", req.Object.Get("b"))
		if req.Original != nil {
			line.Set("was", req.Original.Get("a"))
		}
		return req.AsMaster().Save(ctx, line)
	})
	code.BeforeSave("VSave", func(context.Context, *cloud.SaveRequest) error { return nil }, cloud.Validator{RequireUser: true, Fields: []cloud.Field{
		{Name: "c", Constant: true, Default: "k"}, {Name: "a", Required: true, Type: cloud.Text}, {Name: "d", Default: "dd"},
	}})
	code.BeforeSave("Skip", func(_ context.Context, req *cloud.SaveRequest) error {
		req.Object.Set("ran", true)
		return nil
	}, cloud.Validator{SkipWithMasterKey: true})
}

func keys(req *cloud.SaveRequest) []string {
	var keys []string
	for _, name := range []string{"how", "n", "seen", "x"} {
		if name != "seen" && req.Dirty(name) {
			keys = append(keys, name)
		}
	}
	return keys
}

func twinDeletes(code *cloud.Code) {
	code.BeforeDelete("Del", func(_ context.Context, req *cloud.DeleteRequest) error {
		if req.Object.Has("keep") {
			return errors.New("kept")
		}
		return nil
	})
	code.AfterDelete("Del", func(ctx context.Context, req *cloud.DeleteRequest) error {
		if req.Object.Has("bad") {
			return errors.New("gone anyway")
		}
		return req.AsMaster().Save(ctx, parse.NewObject("DelLog", "a", req.Object.Get("a")))
	})
	code.BeforeDelete("VSave", func(context.Context, *cloud.DeleteRequest) error { return nil }, cloud.Validator{RequireMaster: true})
}

func twinFinds(code *cloud.Code) {
	code.BeforeFind("BF", func(_ context.Context, req *cloud.FindRequest) error {
		req.Query.Where = query.AndOf(req.Query.Where, equal("public", true))
		req.Query.Limit = 2
		return nil
	})
	code.BeforeFind("BFNo", func(context.Context, *cloud.FindRequest) error { return errors.New("not this") })
	code.BeforeFind("BFObjects", func(_ context.Context, req *cloud.FindRequest) error {
		req.Objects = []*parse.Object{parse.NewObject("BFObjects", "x", "made")}
		return nil
	})
	code.AfterFind("AF", func(_ context.Context, req *cloud.FoundRequest) error {
		var shown []*parse.Object
		for _, o := range req.Objects {
			o.Set("af", len(req.Objects))
			if !o.Has("hide") {
				shown = append(shown, o)
			}
		}
		req.Objects = shown
		return nil
	})
	code.AfterFind("AFNo", func(context.Context, *cloud.FoundRequest) error { return parse.Errorf(55, "not shown") })
	code.BeforeFind("VFind", func(context.Context, *cloud.FindRequest) error { return nil }, cloud.Validator{RequireUser: true})
}

func twinUsers(code *cloud.Code) {
	code.BeforeSave("_User", func(_ context.Context, req *cloud.SaveRequest) error {
		if req.Object.String("username") == "blocked" {
			return errors.New("no such name")
		}
		if req.IsNew() {
			req.Object.Set("greeting", "hi")
		}
		return nil
	})
	code.BeforeLogin(func(_ context.Context, req *cloud.LoginRequest) error {
		if req.Object.Has("banned") {
			return parse.Errorf(999, "banned")
		}
		return nil
	})
	code.AfterLogin(func(ctx context.Context, req *cloud.LoginRequest) error {
		return req.AsMaster().Save(ctx, parse.NewObject("LoginLog", "who", req.Object.String("username"), "user", req.User.ID() == req.Object.ID()))
	})
	code.AfterLogout(func(ctx context.Context, req *cloud.LogoutRequest) error {
		return req.AsMaster().Save(ctx, parse.NewObject("LogoutLog", "hasUser", req.Object.Has("user"), "user", req.User != nil))
	})
}
