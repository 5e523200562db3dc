package parley_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/storage/memory"
)

func cloudServer(t *testing.T, code *cloud.Code) (*parley.Server, error) {
	t.Helper()
	s, err := parley.New(t.Context(), parley.Config{
		AppID: "app", MasterKey: credential.Literal("mk-0123456789"), Store: memory.New(), AllowClientClassCreation: true, Cloud: code,
	})
	if err == nil {
		t.Cleanup(s.Close)
	}
	return s, err
}

func post(s *parley.Server, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/parse"+path, strings.NewReader(body))
	r.Header.Set("X-Parse-Application-Id", "app")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// The rate limits of validators count like those of the server.
func TestCloudRateLimits(t *testing.T) {
	var code cloud.Code
	limit := cloud.Validator{RateLimit: &cloud.RateLimit{Count: 1, Window: time.Hour, Message: "slow down", IncludeInternal: true}}
	code.Define("f", func(context.Context, *cloud.FunctionRequest) (any, error) { return 1, nil }, limit)
	code.BeforeSave("_User", func(context.Context, *cloud.SaveRequest) error { return nil }, limit)
	s, err := cloudServer(t, &code)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{"/functions/f", `{}`, 200}, {"/functions/f", `{}`, 429}, {"/functions/g", `{}`, 400},
		{"/users", `{"username":"a","password":"p"}`, 201}, {"/classes/_User", `{"username":"b","password":"p"}`, 429}, {"/classes/A", `{}`, 201},
	} {
		w := post(s, c.path, c.body)
		if w.Code != c.status || c.status == 429 && w.Body.String() != `{"code":100,"error":"slow down"}` {
			t.Errorf("POST %s = %d %s, want %d", c.path, w.Code, w.Body, c.status)
		}
	}
}

// Cloud code that is wrong keeps the server from starting, and says where it is wrong.
func TestCloudCodeThatIsWrong(t *testing.T) {
	var code cloud.Code
	code.BeforeSave("_Session", func(context.Context, *cloud.SaveRequest) error { return nil })
	if _, err := cloudServer(t, &code); err == nil || !strings.HasPrefix(err.Error(), "cloudcode_test.go:") {
		t.Errorf("New() = %v, want the line of the registration", err)
	}
}

// The program itself may ask the server.
func TestServerClient(t *testing.T) {
	s, err := cloudServer(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, ctx := s.Client(), t.Context()
	o := parse.NewObject("Game", "score", 1, "ACL", parse.ACL{})
	if err := c.Save(ctx, o); err != nil {
		t.Fatal(err)
	}
	o.Set("score", parse.Increment{Amount: 4})
	if err := c.Save(ctx, o); err != nil || o.Get("score") != 5.0 {
		t.Errorf("Save() = %v, score %v, want 5", err, o.Get("score"))
	}
	found, err := c.First(ctx, &query.Find{ClassName: "Game"})
	if err != nil || found.Get("score") != 5.0 || found.ID() != o.ID() {
		t.Errorf("First() = %v, %v", found, err)
	}
	if err := c.Delete(ctx, "Game", o.ID()); err != nil {
		t.Errorf("Delete() = %v", err)
	}
	if n, err := c.Count(ctx, &query.Find{ClassName: "Game"}); n != 0 || err != nil {
		t.Errorf("Count() = %d, %v, want 0", n, err)
	}
}

// A login by authData runs beforeLogin once its data is validated; nobody learns of a session, and sees no token.
func TestBeforeLoginByAuthData(t *testing.T) {
	var code cloud.Code
	banned, seen := false, 0
	code.BeforeLogin(func(_ context.Context, req *cloud.LoginRequest) error {
		seen++
		if req.Object.Has("sessionToken") || req.Object.ID() == "" {
			t.Errorf("beforeLogin sees %s", parse.Marshal(req.Object))
		}
		if banned {
			return parse.Errorf(parse.ObjectNotFound, "banned")
		}
		return nil
	})
	s, err := cloudServer(t, &code)
	if err != nil {
		t.Fatal(err)
	}
	anonymous := `{"authData":{"anonymous":{"id":"0000-1111"}}}`
	if w := post(s, "/users", anonymous); w.Code != http.StatusCreated || seen != 0 {
		t.Fatalf("sign-up = %d %s after %d triggers", w.Code, w.Body, seen)
	}
	if w := post(s, "/users", anonymous); w.Code != http.StatusOK || seen != 1 {
		t.Errorf("login = %d %s after %d triggers, want 200 after 1", w.Code, w.Body, seen)
	}
	sessions := func() int64 {
		n, err := s.Client().Count(t.Context(), &query.Find{ClassName: "_Session"})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := sessions()
	banned = true
	if w := post(s, "/users", anonymous); w.Body.String() != `{"code":101,"error":"banned"}` || sessions() != before {
		t.Errorf("login of a banned user = %d %s, %d sessions, want 101 and %d", w.Code, w.Body, sessions(), before)
	}
}

// A validator is asked however a function is called: alone, in a batch, by other code, and by a batch that asks for a save.
func TestNoWayAroundValidators(t *testing.T) {
	var code cloud.Code
	ran := 0
	master := cloud.Validator{RequireMaster: true}
	code.Define("guarded", func(context.Context, *cloud.FunctionRequest) (any, error) { ran++; return 1, nil }, master)
	code.BeforeSave("Guarded", func(context.Context, *cloud.SaveRequest) error { ran++; return nil }, master)
	code.Define("nested", func(ctx context.Context, req *cloud.FunctionRequest) (any, error) {
		return req.AsCaller().Call(ctx, "guarded", nil)
	})
	code.Define("saves", func(ctx context.Context, req *cloud.FunctionRequest) (any, error) {
		return nil, req.AsCaller().Save(ctx, parse.NewObject("Guarded", "a", 1))
	})
	s, err := cloudServer(t, &code)
	if err != nil {
		t.Fatal(err)
	}
	const refused = `"code":142,"error":"Validation failed. Master key is required to complete this request."`
	for _, c := range [][2]string{
		{"/functions/guarded", `{}`}, {"/functions/guarded", `{"master":true,"_method":"POST"}`}, {"/functions/nested", `{}`}, {"/functions/saves", `{}`}, {"/classes/Guarded", `{"a":1}`},
		{"/batch", `{"requests":[{"method":"POST","path":"/parse/functions/guarded","body":{}}]}`},
		{"/batch", `{"requests":[{"method":"POST","path":"/parse/functions/nested","body":{"_MasterKey":"mk"}}]}`},
		{"/batch", `{"requests":[{"method":"POST","path":"/parse/classes/Guarded","body":{"a":1}}]}`},
		{"/batch", `{"transaction":true,"requests":[{"method":"POST","path":"/parse/classes/Guarded","body":{"a":1}}]}`},
	} {
		if w := post(s, c[0], c[1]); !strings.Contains(w.Body.String(), refused) {
			t.Errorf("POST %s %s = %s, want %s", c[0], c[1], w.Body, refused)
		}
	}
	if ran != 0 {
		t.Errorf("the code ran %d times", ran)
	}
}
