package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func compile(t *testing.T, code *Code, log *bytes.Buffer) *Hooks {
	t.Helper()
	h, err := code.Compile(Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestErrors(t *testing.T) {
	inner := parse.Errorf(123, "coded")
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"none", nil, ""},
		{"text", errors.New("nope"), "141 nope"},
		{"no text", errors.New(""), "141 Script failed. Unknown error."},
		{"a code with a text", inner, "123 coded"},
		{"a wrapped one", fmt.Errorf("while saving: %w", inner), "123 coded: while saving: 123 coded"},
		{"a code", parse.ObjectNotFound, "101 OBJECT_NOT_FOUND"},
		{"of another context", context.Canceled, "141 context canceled"},
	} {
		var code Code
		code.Define("f", func(context.Context, *FunctionRequest) (any, error) { return nil, c.err })
		_, _, err := compile(t, &code, &bytes.Buffer{}).Call(t.Context(), &FunctionRequest{Function: "f"})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: Call() = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestResultThatIsNoValue(t *testing.T) {
	var code Code
	code.Define("f", func(context.Context, *FunctionRequest) (any, error) { return func() {}, nil })
	_, _, err := compile(t, &code, &bytes.Buffer{}).Call(t.Context(), &FunctionRequest{Function: "f"})
	if !errors.Is(err, parse.ScriptFailed) || !strings.Contains(err.Error(), "cannot be encoded") {
		t.Errorf("Call() = %v, want 141", err)
	}
}

func TestPanicIsContained(t *testing.T) {
	var code Code
	code.BeforeSave("A", func(context.Context, *SaveRequest) error { panic("at the disco") })
	var log bytes.Buffer
	err := compile(t, &code, &log).Run(t.Context(), BeforeSave, "A", &SaveRequest{})
	if err == nil || err.Error() != "141 Script failed. Unknown error." {
		t.Errorf("Run() = %v, want 141", err)
	}
	for _, part := range []string{"panic in cloud code", "beforeSave of A", "at the disco", "run_test.go"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log has no %q: %s", part, log.String())
		}
	}
}

// Whoever asks is answered in time, whether the function looks at its context or not.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		code := Code{Timeout: time.Second}
		release := make(chan struct{})
		code.Define("deaf", func(context.Context, *FunctionRequest) (any, error) { <-release; return "late", nil })
		code.Define("polite", func(ctx context.Context, _ *FunctionRequest) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
		h := compile(t, &code, &bytes.Buffer{})
		for _, name := range []string{"deaf", "polite"} {
			began := time.Now()
			result, given, err := h.Call(t.Context(), &FunctionRequest{Function: name})
			if !errors.Is(err, parse.Timeout) || result != nil || given || time.Since(began) != time.Second {
				t.Errorf("Call(%s) = %v, %v after %v, want code 124 after 1s", name, result, err, time.Since(began))
			}
		}
		close(release)
		synctest.Wait()
	})
}

// server is a [Server] that only calls functions and counts finds.
type server struct {
	hooks     *Hooks
	exclusive bool
	mu        sync.Mutex
	busy      bool
	overlap   bool
}

func (s *server) Get(context.Context, string, string, *query.Find) (*parse.Object, error) {
	return nil, nil
}
func (s *server) Find(context.Context, *query.Find) ([]*parse.Object, error) {
	s.mu.Lock()
	s.overlap = s.overlap || s.busy
	s.busy = true
	s.mu.Unlock()
	s.mu.Lock()
	s.busy = false
	s.mu.Unlock()
	return nil, nil
}
func (s *server) Count(_ context.Context, q *query.Find) (int64, error) { return int64(q.Limit), nil }
func (s *server) Create(_ context.Context, _ string, data *parse.Map) (*parse.Map, error) {
	return parse.NewMap("objectId", "new", "createdAt", "1970-01-01T00:00:00.000Z", "n", 2.0, "gone", parse.Delete{}, "sent", string(parse.Marshal(data))), nil
}
func (s *server) Update(_ context.Context, _, _ string, data *parse.Map) (*parse.Map, error) {
	return parse.NewMap("updatedAt", "1970-01-01T00:00:01.000Z", "sent", string(parse.Marshal(data))), nil
}
func (s *server) Delete(context.Context, string, string) error { return nil }
func (s *server) Call(ctx context.Context, function string, params *parse.Map) (any, error) {
	req := &FunctionRequest{Function: function, Params: params}
	req.Bind(s, s.exclusive)
	result, _, err := s.hooks.Call(ctx, req)
	return result, err
}
func (s *server) AsMaster() Server                               { return s }
func (s *server) AsUser(context.Context, string) (Server, error) { return s, nil }
func (s *server) WithContext(*parse.Map) Server                  { return s }

// A function that calls itself is stopped, whichever context it hands on.
func TestDepth(t *testing.T) {
	for name, handOn := range map[string]func(context.Context) context.Context{
		"its own context": func(ctx context.Context) context.Context { return ctx },
		"another":         func(context.Context) context.Context { return context.Background() },
	} {
		t.Run(name, func(t *testing.T) {
			var code Code
			calls := 0
			code.Define("f", func(ctx context.Context, req *FunctionRequest) (any, error) {
				calls++
				return req.AsCaller().Call(handOn(ctx), "f", nil)
			})
			s := &server{hooks: compile(t, &code, &bytes.Buffer{})}
			_, err := s.Call(t.Context(), "f", nil)
			if !errors.Is(err, parse.ScriptFailed) || !strings.Contains(err.Error(), "more than 32 times") || calls != maxDepth {
				t.Errorf("Call() = %v after %d calls, want 141 after %d", err, calls, maxDepth)
			}
		})
	}
}

// The clients of a transaction work one after the other, and end with the function.
func TestExclusiveClients(t *testing.T) {
	var code Code
	var kept *Client
	s := &server{exclusive: true}
	code.Define("f", func(ctx context.Context, req *FunctionRequest) (any, error) {
		kept = req.AsMaster()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 100 {
					if _, err := kept.Find(ctx, &query.Find{}); err != nil {
						t.Errorf("Find() = %v", err)
					}
				}
			})
		}
		all.Wait()
		return nil, nil
	})
	s.hooks = compile(t, &code, &bytes.Buffer{})
	if _, err := s.Call(t.Context(), "f", nil); err != nil || s.overlap {
		t.Errorf("Call() = %v, overlapping %v, want neither", err, s.overlap)
	}
	if _, err := kept.Find(t.Context(), &query.Find{}); !errors.Is(err, parse.ScriptFailed) {
		t.Errorf("Find() after the end = %v, want 141", err)
	}
}

func TestClientSave(t *testing.T) {
	c := NewClient(&server{})
	o := parse.NewObject("A", "n", parse.Increment{Amount: 2}, "gone", 1, "list", []int{1}, "r", parse.Relation{ClassName: "B"})
	if err := c.Save(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	want := parse.NewObject("A", "list", []int{1}, "r", parse.Relation{ClassName: "B"}, "objectId", "new", "createdAt", parse.Date(0), "n", 2.0,
		"sent", `{"n":{"__op":"Increment","amount":2},"gone":1,"list":[1]}`, "updatedAt", parse.Date(0))
	o.Delete("list")
	want.Delete("list")
	if !o.Equal(want) {
		t.Errorf("Save() left %s, want %s", parse.Marshal(o), parse.Marshal(want))
	}
	two := parse.NewObject("A", "objectId", "x", "createdAt", parse.Date(5), "n", 1)
	if err := c.Save(t.Context(), two); err != nil || two.String("sent") != `{"n":1}` || two.Get("updatedAt") != parse.Date(1000) {
		t.Errorf("Save() of an update left %s, %v", parse.Marshal(two), err)
	}
	if err := c.Save(t.Context(), parse.NewObject("A", "f", func() {})); !errors.Is(err, parse.InvalidJSON) {
		t.Errorf("Save() of a function = %v, want 107", err)
	}
}

func TestDirty(t *testing.T) {
	req := &SaveRequest{
		Object:   parse.NewObject("A", "objectId", "x", "same", 1.0, "given", 2.0, "set", 3.0),
		Original: parse.NewObject("A", "objectId", "x", "same", 1.0, "given", 2.0, "removed", 1.0),
		Given:    []string{"given"},
	}
	if got := fmt.Sprint(req.DirtyKeys()); got != "[given set removed]" || req.IsNew() || req.Dirty("same") || !req.Dirty("removed") {
		t.Errorf("DirtyKeys() = %s, want [given set removed]", got)
	}
}
