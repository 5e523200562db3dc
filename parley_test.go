package parley_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/internal/pgtest"
	"github.com/parley-backend/parley/storage/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(withPostgres{m}) }

// withPostgres ends the PostgreSQL server of the tests before goroutines are counted.
type withPostgres struct{ m *testing.M }

func (w withPostgres) Run() int { return pgtest.Main(w.m) }

const masterKey = "a master key that is long enough to be no joke"

// newServer makes a server over the memory adapter.
func newServer(t *testing.T, change ...func(*parley.Config)) *parley.Server {
	t.Helper()
	store := memory.New()
	cfg := parley.Config{AppID: "app", MasterKey: credential.Literal(masterKey), Store: store, AllowClientClassCreation: true}
	for _, f := range change {
		f(&cfg)
	}
	s, err := parley.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		s.Close() // twice is as good as once
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// running is a server on a listener of its own.
type running struct {
	address string
	stop    context.CancelFunc
	ended   chan error
}

func run(t *testing.T, s *parley.Server) *running {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{listener.Addr().String(), cancel, make(chan error, 1)}
	go func() { r.ended <- s.Run(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		select {
		case <-r.ended:
		case <-time.After(time.Minute):
			t.Error("Run does not return")
		}
	})
	return r
}

func ask(t *testing.T, h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "/parse"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:5"
	r.Header.Set("X-Parse-Application-Id", "app")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestNewRefuses names what a server cannot be without.
func TestNewRefuses(t *testing.T) {
	store := memory.New()
	defer store.Close()
	key := credential.Literal(masterKey)
	for _, c := range []struct {
		name string
		cfg  parley.Config
		want string
	}{
		{"nothing", parley.Config{}, "appId is required\nmasterKey is required\na Store is required"},
		{"bad proxies", parley.Config{AppID: "a", MasterKey: key, Store: store, TrustProxy: -1.0}, "trustProxy: "},
		{"bad addresses", parley.Config{AppID: "a", MasterKey: key, Store: store, MasterKeyIPs: []string{"x"}}, `masterKeyIps: "x" is neither an IP address nor a CIDR range`},
		{"one value for two roles", parley.Config{AppID: "a", MasterKey: key, MaintenanceKey: credential.Literal(masterKey), Store: store}, "maintenanceKey"},
		{"a source that fails", parley.Config{AppID: "a", Store: store, MasterKey: credential.Func(func(context.Context) (string, error) {
			return "", credential.Errorf(credential.Missing, "there is none")
		})}, "there is none"},
		{"an empty key", parley.Config{AppID: "a", Store: store, MasterKey: credential.Literal("")}, "masterKey"},
	} {
		s, err := parley.New(t.Context(), c.cfg)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), masterKey) {
			t.Errorf("New with %s = %v, want %q", c.name, err, c.want)
		}
	}
}

// TestKeysRotate gives the server a source that changes its mind.
func TestKeysRotate(t *testing.T) {
	var mu sync.Mutex
	value, failure := "the first value of this key", error(nil)
	s := newServer(t, func(c *parley.Config) {
		c.MasterKey = credential.Func(func(context.Context) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			return value, failure
		})
	})
	as := func(key string) int { return ask(t, s, "GET", "/schemas", "", "X-Parse-Master-Key", key).Code }
	if got := as("the first value of this key"); got != 200 {
		t.Fatalf("with the first key = %d", got)
	}
	mu.Lock()
	value = "the second value of this key"
	mu.Unlock()
	if got := as("the second value of this key"); got != 200 {
		t.Errorf("the new key at once = %d, want 200", got)
	}
	if got := as("the first value of this key"); got != 200 {
		t.Errorf("the old key during the overlap = %d, want 200", got)
	}
	status := s.Credentials().All()[0].Status()
	if len(status.Versions) != 2 || status.Name != "masterKey" {
		t.Errorf("status = %+v, want two versions", status)
	}
	mu.Lock()
	failure = errors.New("the store is down")
	mu.Unlock()
	if w := ask(t, s, "GET", "/classes/A", ""); w.Code != 200 {
		t.Errorf("a request without a key while the source is down = %d", w.Code)
	}
	if got := as("the second value of this key"); got != 200 {
		t.Errorf("the key while the source is down = %d, want 200", got)
	}
	if got := as("a wrong value of this key"); got != 403 {
		t.Errorf("a wrong key while the source is down = %d, want 403", got)
	}
}

// TestLazyKey serves without a key that never came: whoever presents one is told to wait, everybody else notices nothing.
func TestLazyKey(t *testing.T) {
	s := newServer(t, func(c *parley.Config) {
		c.ReadOnlyMasterKey = credential.Func(func(context.Context) (string, error) { return "", errors.New("down") })
		c.Credentials = map[string]credential.Config{"readOnlyMasterKey": {Startup: credential.Lazy}}
	})
	if w := ask(t, s, "GET", "/classes/A", ""); w.Code != 200 {
		t.Errorf("without a key = %d %s", w.Code, w.Body)
	}
	if w := ask(t, s, "GET", "/schemas", "", "X-Parse-Master-Key", masterKey); w.Code != 200 {
		t.Errorf("with the master key = %d %s", w.Code, w.Body)
	}
	w := ask(t, s, "GET", "/schemas", "", "X-Parse-Master-Key", "who knows")
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Body.String() != `{"error":"key verification is unavailable"}` {
		t.Errorf("with a key that cannot be judged = %d %s, want 503", w.Code, w.Body)
	}
	if w := ask(t, s, "GET", "/health", ""); w.Code != 200 || w.Body.String() != `{"status":"ok"}` {
		t.Errorf("health = %d %s, want the state and nothing else", w.Code, w.Body)
	}
}

// TestSecurityReport judges two configurations: what is off by default, and what an operator should not do.
func TestSecurityReport(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*parley.Config)
		failed []string
	}{
		{"good", func(c *parley.Config) {
			c.AllowClientClassCreation, c.BatchLimit = false, 50
			c.Query.Limits = parley.QueryLimits{QueryDepth: 5, SubqueryDepth: 3, SubqueryLimit: 1000, IncludeDepth: 5, IncludeCount: 20}
		}, nil},
		{"bad", func(c *parley.Config) {
			c.MasterKey = credential.Literal("short")
			c.MasterKeyIPs, c.SecurityCheckLog, c.Query.PublicExplain, c.Users.PublicUsers = []string{"0.0.0.0/0"}, true, true, true
			c.ReadOnlyMasterKey = credential.Literal("another key that is long enough")
		}, []string{"Secure master key", "Security log disabled", "Client class creation disabled", "Users are created without public access", "Public database explain disabled",
			"Read-only master key IP range restricted", "Master key IP range restricted", "Request complexity limits enabled"}},
	} {
		var log bytes.Buffer
		s := newServer(t, c.change, func(cfg *parley.Config) { cfg.SecurityCheck, cfg.Log = true, slog.New(slog.NewTextHandler(&log, nil)) })
		key := masterKey
		if c.name == "bad" {
			key = "short"
		}
		var answer struct {
			Report struct {
				State  string
				Groups []struct {
					Checks []struct{ Title, State, Warning, Solution string }
				}
			}
		}
		w := ask(t, s, "GET", "/security", "", "X-Parse-Master-Key", key)
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%s: %d %s: %v", c.name, w.Code, w.Body, err)
		}
		var failed []string
		for _, check := range answer.Report.Groups[0].Checks {
			if check.State == "fail" {
				failed = append(failed, check.Title)
				if check.Warning == "" || check.Solution == "" {
					t.Errorf("%s: %s fails without a warning or a solution", c.name, check.Title)
				}
				if c.name == "bad" && !strings.Contains(log.String(), check.Title) {
					t.Errorf("the log does not tell of %s", check.Title)
				}
			}
		}
		if fmt.Sprint(failed) != fmt.Sprint(c.failed) {
			t.Errorf("%s: failed checks = %q, want %q", c.name, failed, c.failed)
		}
	}
}

// TestMountPath serves at other places, and says so in Location and in the URLs of files.
func TestMountPath(t *testing.T) {
	s := newServer(t, func(c *parley.Config) { c.MountPath = "/" })
	r := httptest.NewRequest("GET", "/health", nil)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("at the root = %d %s", w.Code, w.Body)
	}
	s = newServer(t, func(c *parley.Config) { c.PublicServerURL = "https://example.com/api" })
	made := ask(t, s, "POST", "/classes/A", `{"f":{"__type":"File","name":"a.txt"}}`)
	if got := made.Header().Get("Location"); !strings.HasPrefix(got, "https://example.com/api/classes/A/") {
		t.Errorf("Location = %s", got)
	}
	if got := ask(t, s, "GET", "/classes/A", "").Body.String(); !strings.Contains(got, `"url":"https://example.com/api/files/app/a.txt"`) {
		t.Errorf("an object with a file = %s, want its URL", got)
	}
}

// TestSlowClients cuts off who sends one byte and then nothing, in the headers or in the body, and lets others pass meanwhile.
func TestSlowClients(t *testing.T) {
	s := newServer(t, func(c *parley.Config) {
		c.Timeouts = parley.Timeouts{ReadHeader: 300 * time.Millisecond, Read: 600 * time.Millisecond, Idle: 300 * time.Millisecond, MaxHeaderBytes: 4 << 10}
	})
	r := run(t, s)
	for _, c := range []struct{ name, text, want string }{
		{"headers", "GET /parse/health HTTP/1.1\r\nHost: x\r\nX-", ""},
		{"body", "POST /parse/classes/A HTTP/1.1\r\nHost: x\r\nX-Parse-Application-Id: app\r\nContent-Length: 100\r\n\r\n{", "HTTP/1.1 400 Bad Request"},
		{"silence", "", ""},
	} {
		conn, err := net.Dial("tcp", r.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(c.text)); err != nil {
			t.Fatal(err)
		}
		if response, err := http.Get("http://" + r.address + "/parse/health"); err != nil {
			t.Errorf("%s: somebody else: %v", c.name, err)
		} else {
			response.Body.Close()
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil { // a server that waits for ever fails here
			t.Fatal(err)
		}
		all, err := io.ReadAll(conn)
		if err != nil {
			t.Errorf("%s: the connection was not closed: %v", c.name, err)
		}
		if !strings.HasPrefix(string(all), c.want) || c.want == "" && strings.Contains(string(all), " 200 ") {
			t.Errorf("%s: answer %q, want %q", c.name, all, c.want)
		}
		conn.Close()
	}
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /parse/health HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", 16<<10))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, " 431 ") {
		t.Errorf("headers that are too long = %q, %v, want 431", line, err)
	}
}

// TestRun serves over TCP, compressed for who wants that, and stops when it is told to.
func TestRun(t *testing.T) {
	s := newServer(t)
	r := run(t, s)
	post := func(path, body string) *http.Response {
		request, err := http.NewRequest("POST", "http://"+r.address+"/parse"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Parse-Application-Id", "app")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	response := post("/classes/A", `{"text":"`+strings.Repeat("long ", 1000)+`"}`)
	response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("create = %d", response.StatusCode)
	}
	response = post("/classes/A", `{"_method":"GET"}`)
	text, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || !response.Uncompressed || !strings.Contains(string(text), "long long") {
		t.Errorf("a long answer: uncompressed by the client %v, %d bytes, %v", response.Uncompressed, len(text), err)
	}
	r.stop()
	err = <-r.ended
	r.ended <- err
	if err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if _, err := net.Dial("tcp", r.address); err == nil {
		t.Error("the listener still listens")
	}
	s.Close()
	if w := ask(t, s, "GET", "/health", ""); w.Code != 503 || w.Body.String() != `{"status":"error"}` {
		t.Errorf("health of a closed server = %d %s", w.Code, w.Body)
	}
	if w := ask(t, s, "GET", "/classes/A", ""); w.Code != 500 || w.Body.String() != `{"code":1,"error":"Invalid server state: error"}` {
		t.Errorf("a request to a closed server = %d %s", w.Code, w.Body)
	}
}
