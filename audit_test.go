package parley

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/storage/memory"
)

// TestI19EveryDecisionIsAudited presents keys in every place and compares what the audit was told with what was decided.
func TestI19EveryDecisionIsAudited(t *testing.T) {
	const master, readOnly, maintenance, client, other = "canary-master-key-of-the-audit", "canary-read-only-key-of-the-audit", "canary-maintenance-of-the-audit", "canary-client-key-of-the-audit", "canary-some-other-key"
	var told []string
	var log bytes.Buffer
	s, err := New(t.Context(), Config{
		AppID: "app", Store: memory.New(), MasterKey: credential.Literal(master), ReadOnlyMasterKey: credential.Literal(readOnly),
		MaintenanceKey: credential.Literal(maintenance), RESTAPIKey: credential.Literal(client), MasterKeyIPs: []string{"10.0.0.1"}, MaintenanceKeyIPs: []string{"10.0.0.1"},
		Log: slog.New(slog.NewTextHandler(&log, nil)), AuditLog: AuditAll, Node: "n1",
		Audit: func(a Audit) {
			told = append(told, fmt.Sprintf("%s %s %s %v %s %s %s %d", a.Key, a.Decision.Verdict, a.Decision.Reason, a.WrongAddress, a.IP, a.Method, a.Route, a.Status))
			if a.Decision.OK() && (a.Decision.VersionID == "" || a.Decision.Generation == 0) || a.RequestID == "" {
				t.Errorf("the audit of %s lacks its version, generation or request: %+v", a.Key, a)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct {
		name, method, path, body, ip string
		headers                      []string
		want                         []string
	}{
		{"no key", "GET", "/classes/A", "", "10.0.0.1", nil, nil},
		{"the master key", "GET", "/schemas", "", "10.0.0.1", []string{"X-Parse-Master-Key", master}, []string{"masterKey accept match false 10.0.0.1 GET /schemas 200"}},
		{"from elsewhere", "GET", "/schemas", "", "10.0.0.2", []string{"X-Parse-Master-Key", master}, []string{"masterKey accept match true 10.0.0.2 GET /schemas 403"}},
		{"the read-only one", "GET", "/classes/A", "", "10.0.0.2", []string{"X-Parse-Master-Key", readOnly}, []string{"readOnlyMasterKey accept match false 10.0.0.2 GET /classes/:class 200"}},
		{"the maintenance key", "GET", "/classes/A", "", "10.0.0.1", []string{"X-Parse-Maintenance-Key", maintenance}, []string{"maintenanceKey accept match false 10.0.0.1 GET /classes/:class 200"}},
		{"none of them", "GET", "/schemas", "", "10.0.0.1", []string{"X-Parse-Master-Key", other}, []string{"masterKey reject unknown false 10.0.0.1 GET /schemas 403"}},
		{"a client key", "GET", "/config", "", "10.0.0.1", []string{"X-Parse-REST-API-Key", client}, []string{"restAPIKey accept match false 10.0.0.1 GET /config 200"}},
		{"a wrong client key", "GET", "/classes/A", "", "10.0.0.1", []string{"X-Parse-REST-API-Key", other}, []string{"restAPIKey reject unknown false 10.0.0.1 GET /classes/:class 403"}},
		{"in the body", "POST", "/schemas", `{"_ApplicationId":"app","_MasterKey":"` + master + `","_method":"GET"}`, "10.0.0.1", []string{"X-Parse-Application-Id", ""}, []string{"masterKey accept match false 10.0.0.1 GET /schemas 200"}},
	} {
		told = nil
		r := httptest.NewRequest(c.method, "/parse"+c.path, strings.NewReader(c.body))
		r.RemoteAddr = c.ip + ":1"
		r.Header.Set("X-Parse-Application-Id", "app")
		for i := 0; i < len(c.headers); i += 2 {
			r.Header.Set(c.headers[i], c.headers[i+1])
		}
		s.ServeHTTP(httptest.NewRecorder(), r)
		if diff := cmp.Diff(c.want, told); diff != "" {
			t.Errorf("%s (-want +told):\n%s", c.name, diff)
		}
	}
	if n := strings.Count(log.String(), `msg="key presented" server=n1 `); n != 8 {
		t.Errorf("the log has %d records, want 8:\n%s", n, log.String())
	}
	if strings.Contains(log.String(), "canary") {
		t.Errorf("the log holds a key:\n%s", log.String())
	}
}

// What is refused again and again is written once a minute, with how often; and strangers cannot fill the memory.
func TestRefusalsAreCounted(t *testing.T) {
	var log bytes.Buffer
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	drop := func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case "key", "reason", "ip", "times":
			return a
		}
		return slog.Attr{}
	}
	a := &auditor{log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: drop})), now: func() time.Time { return now }}
	refuse := func(ip string, reason credential.Reason) {
		e := Audit{IP: netip.MustParseAddr(ip), Status: http.StatusForbidden}
		e.Key, e.Decision = "masterKey", credential.Decision{Verdict: credential.Reject, Reason: reason}
		a.write(e)
	}
	written := func(want string) {
		t.Helper()
		if got := log.String(); got != want {
			t.Errorf("written:\n%swant:\n%s", got, want)
		}
		log.Reset()
	}
	accepted := Audit{}
	accepted.Key, accepted.Decision = "masterKey", credential.Decision{Verdict: credential.Accept}
	a.write(accepted)
	for range 5 {
		refuse("10.0.0.1", credential.ReasonUnknown)
	}
	refuse("10.0.0.1", credential.ReasonRevoked)
	refuse("10.0.0.2", credential.ReasonUnknown)
	written("key=masterKey reason=unknown ip=10.0.0.1\nkey=masterKey reason=revoked ip=10.0.0.1\nkey=masterKey reason=unknown ip=10.0.0.2\n")
	now = now.Add(time.Minute)
	refuse("10.0.0.1", credential.ReasonUnknown)
	refuse("10.0.0.1", credential.ReasonUnknown)
	written("key=masterKey reason=unknown ip=10.0.0.1 times=5\n")
	for i := range 5000 {
		refuse(fmt.Sprintf("10.1.%d.%d", i/250, i%250), credential.ReasonUnknown)
	}
	if got := strings.Count(log.String(), "\n"); len(a.silent) > refusalsKept+1 || got > refusalsKept+1 || !strings.Contains(log.String(), "ip=many\n") {
		t.Errorf("5000 addresses made %d entries and %d records, want about %d, and one for all others", len(a.silent), got, refusalsKept)
	}
	log.Reset()
	now = now.Add(2 * time.Minute)
	refuse("10.0.0.1", credential.ReasonUnknown)
	written("key=masterKey reason=unknown ip=10.0.0.1 times=2\n")
}

func TestAuditLogNames(t *testing.T) {
	for text, want := range map[string]AuditLog{"refused": AuditRefused, "all": AuditAll, "none": AuditNone} {
		var got AuditLog = 99
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("UnmarshalText(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	var got AuditLog
	if err := got.UnmarshalText([]byte("some")); err == nil {
		t.Error(`UnmarshalText("some") = nil, want an error`)
	}
}
