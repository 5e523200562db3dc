package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/internal/access"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/installation"
	"github.com/parley-backend/parley/internal/job"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/internal/role"
	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/internal/session"
	"github.com/parley-backend/parley/internal/user"
	"github.com/parley-backend/parley/internal/webhook"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// key is a Verifier of one value that never changes.
type key string

func (k key) Verify(presented string) credential.Decision {
	if presented == string(k) {
		return credential.Decision{Verdict: credential.Accept}
	}
	return credential.Decision{Verdict: credential.Reject}
}

func (k key) VerifyContext(_ context.Context, presented string) credential.Decision {
	return k.Verify(presented)
}

// world is an application over the memory adapter, served over loopback.
type world struct {
	t      *testing.T
	server *Server
	http   *httptest.Server
	log    *lines
	store  storage.Adapter
}

// newWorld serves an application. change may replace every part of its configuration.
func newWorld(t *testing.T, change ...func(*Config)) *world {
	w := &world{t: t, log: &lines{}, store: storage.Checked(memory.New())}
	all, err := schemas.Load(t.Context(), w.store)
	if err != nil {
		t.Fatal(err)
	}
	roles := role.New(role.Config{Store: w.store, Schemas: all})
	sessions := session.New(session.Config{Store: w.store, Schemas: all, Roles: roles})
	users := user.New(user.Config{Schemas: all, Sessions: sessions})
	rules := access.Rules{AllowClassCreation: true, ProtectedFields: map[string]map[string][]string{"_User": {"*": {"email"}}}}
	objects := object.New(object.Config{Store: w.store, Schemas: all, Rules: rules, Behaviors: map[string]object.Behavior{
		"_User": users, "_Session": sessions, "_Role": roles, "_Installation": installation.New(installation.Config{}),
	}})
	code, err := (*cloud.Code)(nil).Compile(cloud.Options{})
	if err != nil {
		t.Fatal(err)
	}
	hooks, err := webhook.New(webhook.Config{Store: w.store, Schemas: all, Hooks: code})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Webhooks: hooks, Cloud: code, Jobs: job.New(job.Config{Store: w.store, Schemas: all, Hooks: code}),
		AppID: "app", MountPath: "/parse", Version: "9.9.9", Log: slog.New(slog.NewTextHandler(w.log, nil)), Store: w.store, Schemas: all,
		Users: users, Sessions: sessions, Objects: objects, Rules: rules,
		Keys: &auth.Keys{
			Master: auth.Key{Verifier: key("mk"), IPs: auth.Loopback()}, ReadOnly: auth.Key{Verifier: key("ro"), IPs: auth.Anywhere()},
			Maintenance: auth.Key{Verifier: key("mt"), IPs: auth.Loopback()}, Log: slog.New(slog.NewTextHandler(w.log, nil)),
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	w.server = New(cfg)
	w.http = httptest.NewServer(w.server)
	t.Cleanup(func() {
		w.http.Close()
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// lines is what was logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// answer is an answer as its client sees it.
type answer struct {
	status int
	header http.Header
	text   string
}

// get returns a member of the answer, nil when it is no object.
func (a answer) get(name string) any {
	var m map[string]any
	_ = json.Unmarshal([]byte(a.text), &m)
	return m[name]
}

var master = []string{"X-Parse-Master-Key", "mk"}

// ask sends a request to a path below the mount path. Headers come in pairs; the application id is sent unless it is named.
func (w *world) ask(method, path, body string, headers ...string) answer {
	w.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, w.http.URL+"/parse"+path, reader)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("X-Parse-Application-Id", "app")
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	return w.send(r)
}

func (w *world) send(r *http.Request) answer {
	w.t.Helper()
	response, err := w.http.Client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// want fails unless the answer has a status and a text.
func (w *world) want(what string, a answer, status int, text string) {
	w.t.Helper()
	if a.status != status || a.text != text {
		w.t.Errorf("%s = %d %s, want %d %s", what, a.status, a.text, status, text)
	}
}

const (
	unauthorized     = `{"error":"unauthorized"}`
	permissionDenied = `{"error":"Permission denied"}`
	denied119        = `{"code":119,"error":"Permission denied"}`
)

func (w *world) signUp(name string) (id, token string) {
	w.t.Helper()
	a := w.ask("POST", "/users", `{"username":"`+name+`","password":"p"}`)
	if a.status != http.StatusCreated {
		w.t.Fatalf("sign-up = %d %s", a.status, a.text)
	}
	return a.get("objectId").(string), a.get("sessionToken").(string)
}
