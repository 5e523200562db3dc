package https_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/https"
)

const (
	keyA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	keyB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func TestMain(m *testing.M) {
	if credentialtest.Elsewhere(shelfElsewhere, false) {
		return
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, text string) credential.Source {
	t.Helper()
	return credentialtest.Open(t, https.Open, text)
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func value(t *testing.T, s credential.Source) string {
	t.Helper()
	return credentialtest.Value(t, s)
}

// shelf is a server that has one secret.
type shelf struct {
	mu     sync.Mutex
	value  string
	status int
	etags  bool
}

func (s *shelf) set(value string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value, s.status = value, status
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != http.StatusOK {
		http.Error(w, "the secret is "+s.value, s.status) // an answer that gossips
		return
	}
	if s.etags {
		w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprint(len(s.value), s.value[:13])))
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(s.value))
}

func TestSource(t *testing.T) {
	for _, etags := range []bool{false, true} {
		t.Run(fmt.Sprintf("ETag=%v", etags), func(t *testing.T) {
			credentialtest.TestSource(t, credentialtest.Harness{Open: func(t *testing.T, value string) credentialtest.Store {
				s := &shelf{value: value, status: http.StatusOK, etags: etags}
				server := serve(t, s.ServeHTTP)
				return credentialtest.Store{
					Source: open(t, server.URL+"/key"),
					Put:    func(_ *testing.T, value string) { s.set(value, http.StatusOK) },
					Remove: func(*testing.T) { s.set(value, http.StatusNotFound) },
					Break: func(*testing.T) func() {
						s.set(value, http.StatusServiceUnavailable)
						return func() { s.set(value, http.StatusOK) }
					},
				}
			}})
		})
	}
}

func TestStatus(t *testing.T) {
	for _, test := range []struct {
		status     int
		retryAfter string
		want       error
		wait       time.Duration
	}{
		{401, "", credential.Denied, 0},
		{403, "", credential.Denied, 0},
		{404, "", credential.Missing, 0},
		{410, "", credential.Gone, 0},
		{429, "7", credential.Unavailable, 7 * time.Second},
		{500, "", credential.Unavailable, 0},
		{502, "-1", credential.Unavailable, 0},
		{503, "120", credential.Unavailable, 2 * time.Minute},
		{503, "Thu, 01 Jan 2015 00:00:00 GMT", credential.Unavailable, 0},
		{503, "soon", credential.Unavailable, 0},
		{204, "", credential.Unavailable, 0},
		{304, "", credential.Unavailable, 0},
		{400, "", credential.Unavailable, 0},
	} {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if test.retryAfter != "" {
				w.Header().Set("Retry-After", test.retryAfter)
			}
			w.WriteHeader(test.status)
		})
		_, err := open(t, server.URL).Fetch(t.Context())
		var failure *credential.Error
		if !errors.Is(err, test.want) || !errors.As(err, &failure) || failure.RetryAfter != test.wait {
			t.Errorf("status %d, Retry-After %q: %v, want %v after %v", test.status, test.retryAfter, err, test.want, test.wait)
		}
	}
}

func TestRetryAfterADate(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	_, err := open(t, server.URL).Fetch(t.Context())
	var failure *credential.Error
	if !errors.As(err, &failure) || failure.RetryAfter < 50*time.Minute || failure.RetryAfter > time.Hour {
		t.Errorf("Fetch = %v, want to be asked again in an hour", err)
	}
}

// An answer that has not changed is not sent again, and yields the same value and date.
func TestETag(t *testing.T) {
	var sent, saved atomic.Int32
	var content atomic.Value
	content.Store(keyA)
	date := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		now := content.Load().(string)
		w.Header().Set("ETag", `"`+now[:1]+`"`)
		if r.Header.Get("If-None-Match") == `"`+now[:1]+`"` {
			saved.Add(1)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		sent.Add(1)
		w.Header().Set("Last-Modified", date.Format(http.TimeFormat))
		_, _ = w.Write([]byte(now))
	})
	source := open(t, server.URL+"/key")
	for i, want := range []string{keyA, keyA, keyB, keyB, keyA} {
		content.Store(want)
		payload, err := source.Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		version := payload.Versions[0]
		if got := string(version.Value.Reveal()); got != want || !version.Created.Equal(date) {
			t.Errorf("fetch %d = %s of %v, want %s of %v", i, got, version.Created, want, date)
		}
		version.Value.Wipe()
		if text := fmt.Sprintf("%+v %#v", source, source); strings.Contains(text, want) {
			t.Error("the source keeps the value as text")
		}
	}
	if sent.Load() != 3 || saved.Load() != 2 {
		t.Errorf("sent %d times, saved %d times; want 3 and 2", sent.Load(), saved.Load())
	}
}

// Our own token comes from a file or the environment, is read anew for each fetch, and
// goes to no other host.
func TestToken(t *testing.T) {
	var seen atomic.Value
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Get("Authorization") + "|" + r.Header.Get("X-Api-Key") + "|" + r.URL.RawQuery)
		_, _ = w.Write([]byte(keyA))
	})
	path := filepath.Join(t.TempDir(), "token")
	t.Setenv("PARLEY_TEST_TOKEN", "from-env")
	for _, test := range []struct{ token, options, want string }{
		{"", "", "||"},
		{"", "?query=" + "a%3Db%26c%3Dd%2520e", "||a=b&c=d%20e"},
		{"one\n", "?bearer_file=" + path, "Bearer one||"},
		{"two", "?bearer_file=" + path, "Bearer two||"},
		{"three", "?header=x-api-key&bearer_file=" + path, "|three|"},
		{"", "?bearer_env=PARLEY_TEST_TOKEN", "Bearer from-env||"},
	} {
		if err := os.WriteFile(path, []byte(test.token), 0o600); err != nil {
			t.Fatal(err)
		}
		value(t, open(t, server.URL+"/key"+test.options))
		if got := seen.Load(); got != test.want {
			t.Errorf("with %s the server sees %s, want %s", test.options, got, test.want)
		}
	}
	for _, options := range []string{"?bearer_env=PARLEY_TEST_UNSET", "?bearer_file=/nowhere/token"} {
		if _, err := open(t, server.URL+options).Fetch(t.Context()); !errors.Is(err, credential.Denied) {
			t.Errorf("Fetch with %s = %v, want Denied", options, err)
		}
	}
	if err := os.WriteFile(path, []byte("secret\ntoken"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, server.URL+"?bearer_file="+path).Fetch(t.Context())
	if !errors.Is(err, credential.Denied) || strings.Contains(err.Error(), "secret") {
		t.Errorf("Fetch with a token of two lines = %v, want Denied without the token", err)
	}
}

// A redirect to another place is not followed, least of all with our token.
func TestRedirect(t *testing.T) {
	var elsewhere atomic.Int32
	other := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		_, _ = w.Write([]byte(keyB))
	})
	t.Setenv("PARLEY_TEST_TOKEN", "token")
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/within":
			http.Redirect(w, r, "/key", http.StatusFound)
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case "/scheme":
			http.Redirect(w, r, "https://"+r.Host+"/key", http.StatusMovedPermanently)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		default:
			_, _ = w.Write([]byte(keyA))
		}
	})
	if got := value(t, open(t, server.URL+"/within?bearer_env=PARLEY_TEST_TOKEN")); got != keyA {
		t.Errorf("a redirect within the server yields %q", got)
	}
	for _, path := range []string{"/away", "/scheme", "/round"} {
		if _, err := open(t, server.URL+path+"?bearer_env=PARLEY_TEST_TOKEN").Fetch(t.Context()); !errors.Is(err, credential.Unavailable) {
			t.Errorf("Fetch(%s) = %v, want Unavailable", path, err)
		}
	}
	if elsewhere.Load() != 0 {
		t.Error("the other host was asked")
	}
}

// What a server can do to one who listens to it.
func TestBadAnswers(t *testing.T) {
	bomb := func() []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(make([]byte, 10<<20))
		_ = z.Close()
		return b.Bytes()
	}()
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		want    error
	}{
		{"Largest", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), 64<<10)) }, nil},
		{"TooLarge", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), 64<<10+1)) }, credential.Invalid},
		{"Endless", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 4096)); err != nil {
					return
				}
			}
		}, credential.Invalid},
		{"SaysMore", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000000")
			_, _ = w.Write([]byte(keyA))
		}, credential.Invalid},
		{"SaysSlightlyMore", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(keyA))
		}, credential.Unavailable},
		{"Bomb", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		}, credential.Invalid},
		{"HugeHeader", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, credential.Unavailable},
		{"Aborted", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, credential.Unavailable},
		{"NotHTTP", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = conn.Write([]byte("220 " + keyA + " ready\r\n"))
			_ = conn.Close()
		}, credential.Unavailable},
		{"Chunked", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(keyA[:10]))
			w.(http.Flusher).Flush()
			_, _ = w.Write([]byte(keyA[10:]))
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := open(t, serve(t, test.handler).URL).Fetch(t.Context())
			if !errors.Is(err, test.want) {
				t.Errorf("Fetch = %v, want %v", err, test.want)
			}
			if err != nil && strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), keyA) {
				t.Errorf("the error shows what came: %v", err)
			}
		})
	}
}

// A body that comes drop by drop ends with the context.
func TestSlowBody(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("x"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := open(t, server.URL).Fetch(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Fetch = %v, want the deadline", err)
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(keyA)) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	dir := t.TempDir()
	good, other, empty := filepath.Join(dir, "good.pem"), filepath.Join(dir, "other.pem"), filepath.Join(dir, "empty.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for path, content := range map[string][]byte{good: certificate, other: certificate[:0], empty: nil} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := value(t, open(t, server.URL+"?ca_file="+good)); got != keyA {
		t.Errorf("with the right certificate Fetch = %q", got)
	}
	_, err := open(t, server.URL).Fetch(t.Context())
	if !errors.Is(err, credential.Unavailable) || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("with the certificates of the system Fetch = %v, want one that is not trusted", err)
	}
	for _, path := range []string{empty, filepath.Join(dir, "absent.pem")} {
		if _, err := open(t, server.URL+"?ca_file="+path).Fetch(t.Context()); !errors.Is(err, credential.Misconfigured) {
			t.Errorf("with %s Fetch = %v, want Misconfigured", path, err)
		}
	}
	source := open(t, server.URL+"?ca_file="+other) // replaced while the server runs
	if _, err := source.Fetch(t.Context()); !errors.Is(err, credential.Misconfigured) {
		t.Errorf("with an empty file Fetch = %v, want Misconfigured", err)
	}
	if err := os.WriteFile(other, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := value(t, source); got != keyA {
		t.Errorf("with the file written Fetch = %q", got)
	}
}

func TestNobodyThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	if _, err := open(t, server.URL).Fetch(t.Context()); !errors.Is(err, credential.Unavailable) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("Fetch = %v, want a refused connection", err)
	}
}

func TestField(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"data":{"key":"` + keyA + `"}}`))
	})
	if got := value(t, open(t, server.URL+"/all#/data/key")); got != keyA {
		t.Errorf("Fetch = %q, want %q", got, keyA)
	}
}

func TestOpen(t *testing.T) {
	for _, test := range []struct {
		reference, location string
		want                error
	}{
		{"https://store.example/v1/key", "https://store.example/v1/key", nil},
		{"https://store.example:8443", "https://store.example:8443", nil},
		{"https://[2001:db8::1]:8443/key", "https://[2001:db8::1]:8443/key", nil},
		{"http://localhost:80/key", "http://localhost:80/key", nil},
		{"http://127.8.8.8/key", "http://127.8.8.8/key", nil},
		{"http://[::1]/key", "http://[::1]/key", nil},
		{"http://store.example/key?allow_http=store.example", "http://store.example/key", nil},
		{"http://store.example:80/key?allow_http=STORE.example", "http://store.example:80/key", nil},
		{"http://store.example/key", "", credential.Misconfigured},
		{"http://store.example/key?allow_http=other.example", "", credential.Misconfigured},
		{"http://localhost.example/key", "", credential.Misconfigured},
		{"http://10.0.0.1/key", "", credential.Misconfigured},
		{"https:///key", "", credential.Misconfigured},
		{"https:store.example/key", "", credential.Misconfigured},
		{"https://:443/key", "", credential.Misconfigured},
		{"https://a b/key", "", credential.Misconfigured},
		{"https://store.example/key?bearer_file=token", "", credential.Misconfigured},
		{"https://store.example/key?bearer_file=/t&bearer_env=T", "", credential.Misconfigured},
		{"https://store.example/key?header=X-Key", "", credential.Misconfigured},
		{"https://store.example/key?bearer_env=T&header=X:Key", "", credential.Misconfigured},
		{"https://store.example/key?token=x", "", credential.Misconfigured},
		{"http://localhost/key?ca_file=/ca.pem", "", credential.Misconfigured},
		{"https://store.example/key?cert_file=/c&key_file=/k&server_name=store", "https://store.example/key", nil},
		{"https://store.example/key?cert_file=/c", "", credential.Misconfigured},
		{"https://store.example/key?key_file=/k", "", credential.Misconfigured},
		{"http://localhost/key?cert_file=/c&key_file=/k", "", credential.Misconfigured},
		{"http://localhost/key?server_name=store", "", credential.Misconfigured},
	} {
		ref, err := credential.ParseReference(test.reference)
		if err != nil {
			t.Errorf("ParseReference(%s) failed: %v", test.reference, err)
			continue
		}
		source, err := https.Open(ref)
		if !errors.Is(err, test.want) {
			t.Errorf("Open(%s) = %v, want %v", test.reference, err, test.want)
		} else if err == nil && source.Info().Location != test.location {
			t.Errorf("Open(%s) reads %s, want %s", test.reference, source.Info().Location, test.location)
		}
	}
}
