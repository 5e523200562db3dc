package keysapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/disk"
	"github.com/parley-backend/parley/credential/source/file"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/keysapi"
	"github.com/parley-backend/parley/parse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	keyA    = "canary-aaaa-of-the-keys-api-tests-01"
	keyB    = "canary-bbbb-of-the-keys-api-tests-02"
	literal = "canary-cccc-of-the-keys-api-tests-03"
)

// fixture is the API over a master key in a file and a client key that is a literal.
type fixture struct {
	*keysapi.API
	set  *credential.Set
	path string
	log  *bytes.Buffer
}

var (
	owner  = &auth.Caller{Master: true, IP: netip.MustParseAddr("10.1.2.3")}
	reader = &auth.Caller{Master: true, ReadOnly: true, IP: netip.MustParseAddr("10.1.2.4")}
)

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{set: &credential.Set{}, path: filepath.Join(t.TempDir(), "master"), log: &bytes.Buffer{}}
	f.put(t, keyA)
	folder, err := disk.Open(t.Context(), filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]credential.Source{"masterKey": file.New(f.path, 0), "restAPIKey": credential.Literal(literal)} {
		_, err := credential.New(credential.Config{Name: name, Source: source, Set: f.set, InstallKey: folder.InstallKey, Store: folder.Revocations})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.set.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.set.Stop)
	drop := func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.Attr{}
		}
		return a
	}
	f.API = keysapi.New(keysapi.Config{Sets: []*credential.Set{f.set}, Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{ReplaceAttr: drop}))})
	return f
}

func (f *fixture) put(t *testing.T, value string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(f.path+".new", []byte(value), 0o600), os.Rename(f.path+".new", f.path)); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) version(t *testing.T, name, value string) string {
	t.Helper()
	d := f.set.Get(name).Verify(value)
	if d.VersionID == "" {
		t.Fatalf("%s does not know the value: %v %v", name, d.Verdict, d.Reason)
	}
	return d.VersionID
}

// logged returns what the audit log holds since it was last asked, without its trailing newline.
func (f *fixture) logged() string {
	text := strings.TrimSuffix(f.log.String(), "\n")
	f.log.Reset()
	return text
}

func text(t *testing.T, m *parse.Map) string {
	t.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestStatus(t *testing.T) {
	f := newFixture(t)
	m, err := f.Status(t.Context(), reader)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Results []struct {
			Name, Condition string
			Source          struct{ Scheme, Location string }
			Versions        []struct{ ID, State string }
		}
	}
	answer := text(t, m)
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Results) != 2 {
		t.Fatalf("Status = %s, want two keys", answer)
	}
	for _, k := range got.Results {
		value, location := literal, ""
		if k.Name == "masterKey" {
			value, location = keyA, f.path
		}
		if k.Condition != "fresh" || k.Source.Location != location || len(k.Versions) != 1 || k.Versions[0].ID != f.version(t, k.Name, value) || k.Versions[0].State != "current" {
			t.Errorf("status = %+v, want one current version, fresh, from %q", k, location)
		}
	}
	if strings.Contains(answer, "canary") {
		t.Errorf("the status holds a value: %s", answer)
	}
	if got, want := f.logged(), `level=INFO msg=keys action=status credential="" ip=10.1.2.4 route="GET /keys" key=readOnlyMasterKey`; got != want {
		t.Errorf("log = %s, want %s", got, want)
	}
}

func TestRefresh(t *testing.T) {
	f := newFixture(t)
	f.put(t, keyB)
	m, err := f.Refresh(t.Context(), owner, "masterKey", &parse.Map{})
	if err != nil || m.String("name") != "masterKey" || m.String("condition") != "fresh" {
		t.Fatalf("Refresh = %v %v, want a status", m, err)
	}
	if d := f.set.Get("masterKey").Verify(keyB); !d.OK() {
		t.Errorf("after Refresh the new key is %v %v, want accept", d.Verdict, d.Reason)
	}
	if got, want := f.logged(), `level=INFO msg=keys action=refresh credential=masterKey ip=10.1.2.3 route="POST /keys/:name/refresh" key=masterKey`; got != want {
		t.Errorf("log = %s, want %s", got, want)
	}
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	_, err = f.Refresh(t.Context(), owner, "masterKey", &parse.Map{})
	want := "credential masterKey: missing: " + f.path + ": no such file or directory"
	var refusal *auth.Refusal
	if !errors.As(err, &refusal) || refusal.Status != 502 || refusal.Message != want {
		t.Errorf("Refresh without the file = %v, want 502 %s", err, want)
	}
}

func TestRevoke(t *testing.T) {
	f := newFixture(t)
	old := f.version(t, "masterKey", keyA)
	f.put(t, keyB)
	if _, err := f.Refresh(t.Context(), owner, "masterKey", &parse.Map{}); err != nil {
		t.Fatal(err)
	}
	f.logged()
	m, err := f.Revoke(t.Context(), owner, "masterKey", parse.NewMap("version", old))
	if err != nil || !strings.Contains(text(t, m), `"state":"revoked"`) {
		t.Fatalf("Revoke = %v %v, want a status with a revoked version", m, err)
	}
	if d := f.set.Get("masterKey").Verify(keyA); d.Reason != credential.ReasonRevoked {
		t.Errorf("the revoked key is %v %v, want reject revoked", d.Verdict, d.Reason)
	}
	if got, want := f.logged(), `level=INFO msg=keys action=revoke credential=masterKey ip=10.1.2.3 route="POST /keys/:name/revoke" key=masterKey version=`+old; got != want {
		t.Errorf("log = %s, want %s", got, want)
	}
	// A literal can be revoked, too.
	if _, err := f.Revoke(t.Context(), owner, "restAPIKey", parse.NewMap("version", f.version(t, "restAPIKey", literal))); err != nil {
		t.Errorf("Revoke of a literal = %v, want none", err)
	}
}

func TestRotate(t *testing.T) {
	f := newFixture(t)
	m, err := f.Rotate(t.Context(), owner, "masterKey", &parse.Map{})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := os.ReadFile(f.path)
	if err != nil || len(stored) != 40 || bytes.Equal(stored, []byte(keyA)) {
		t.Fatalf("the file holds %d bytes (%v), want a new value of 40", len(stored), err)
	}
	id := f.version(t, "masterKey", string(stored))
	if m.String("name") != "masterKey" || m.String("version") != id || m.Has("value") || m.String("deadline") == "" {
		t.Errorf("Rotate = %s, want name, version %s, deadline and no value", text(t, m), id)
	}
	if got, want := f.logged(), `level=INFO msg=keys action=rotate credential=masterKey ip=10.1.2.3 route="POST /keys/:name/rotate" key=masterKey version=`+id+` force=false show=false`; got != want {
		t.Errorf("log = %s, want %s", got, want)
	}

	var refusal *auth.Refusal
	if _, err = f.Rotate(t.Context(), owner, "masterKey", &parse.Map{}); !errors.As(err, &refusal) || refusal.Status != 409 {
		t.Errorf("a second rotation = %v, want 409", err)
	}
	f.logged()
	m, err = f.Rotate(t.Context(), owner, "masterKey", parse.NewMap("force", true, "show", true))
	if err != nil {
		t.Fatal(err)
	}
	value := m.String("value")
	if d := f.set.Get("masterKey").Verify(value); !d.OK() || d.State != credential.Current || d.VersionID != m.String("version") {
		t.Errorf("the value that was shown is %v %v, want accept current", d.Verdict, d.Reason)
	}
	if strings.Contains(f.logged(), value) {
		t.Error("the log holds the new value")
	}
}

// Every refusal has its code or status, changes nothing, and is in the audit log without the words of the caller.
func TestRefusals(t *testing.T) {
	type act = func(context.Context, *auth.Caller, string, *parse.Map) (*parse.Map, error)
	f := newFixture(t)
	for _, test := range []struct {
		action string
		do     act
		key    string
		body   *parse.Map
		want   parse.Code
	}{
		{"refresh", f.Refresh, "canary-no-key", &parse.Map{}, parse.ObjectNotFound},
		{"refresh", f.Refresh, "masterKey", parse.NewMap("canary", 1.0), parse.InvalidJSON},
		{"revoke", f.Revoke, "canary-no-key", parse.NewMap("version", "x"), parse.ObjectNotFound},
		{"revoke", f.Revoke, "masterKey", &parse.Map{}, parse.InvalidJSON},
		{"revoke", f.Revoke, "masterKey", parse.NewMap("version", 1.0), parse.InvalidJSON},
		{"revoke", f.Revoke, "masterKey", parse.NewMap("version", "canary-no-version"), parse.ObjectNotFound},
		{"rotate", f.Rotate, "canary-no-key", &parse.Map{}, parse.ObjectNotFound},
		{"rotate", f.Rotate, "masterKey", parse.NewMap("forse", true), parse.InvalidJSON},
		{"rotate", f.Rotate, "masterKey", parse.NewMap("force", "yes"), parse.InvalidJSON},
		{"rotate", f.Rotate, "masterKey", parse.NewMap("show", nil), parse.InvalidJSON},
		{"rotate", f.Rotate, "restAPIKey", parse.NewMap("force", true), parse.OperationForbidden},
	} {
		m, err := test.do(t.Context(), owner, test.key, test.body)
		if m != nil || !errors.Is(err, test.want) {
			t.Errorf("%s %s %s = %v %v, want %v", test.action, test.key, text(t, test.body), m, err, test.want)
		}
		line := f.logged()
		if !strings.HasPrefix(line, "level=WARN msg=keys action="+test.action+" ") || !strings.Contains(line, " error=") || strings.Contains(line, "canary") {
			t.Errorf("%s %s: log = %s, want a warning without the words of the caller", test.action, test.key, line)
		}
	}
	if d := f.set.Get("masterKey").Verify(keyA); !d.OK() || d.State != credential.Current {
		t.Errorf("after all refusals the key is %v %v, want accept current", d.Verdict, d.Reason)
	}
}
