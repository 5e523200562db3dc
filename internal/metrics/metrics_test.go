package metrics

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/internal/rest"
)

// TestMetrics counts some requests and looks at a key in its overlap: names, labels and numbers, and never a value.
func TestMetrics(t *testing.T) {
	const first, second = "canary-one-8Fk2mQz7", "canary-two-Wp4sVn6J"
	value := first
	set := &credential.Set{}
	key, err := credential.New(credential.Config{Name: "masterKey", Role: "masterKey", Kind: credential.Master, Set: set,
		Source: credential.Func(func(context.Context) (string, error) { return value, nil })})
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer set.Stop()
	value = second
	for _, presented := range []string{first, second, first, first, "canary-wrong"} {
		key.VerifyContext(t.Context(), presented)
	}
	m := New()
	m.Credentials(set)
	m.Observe(rest.Observation{Route: "/classes/:class", Method: "GET", Status: 200, Duration: 3 * time.Millisecond})
	m.Observe(rest.Observation{Route: "/classes/:class", Method: "GET", Status: 200, Duration: 300 * time.Millisecond})
	m.Observe(rest.Observation{Method: "POST", Status: 404, Duration: time.Second})

	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("answer = %d %s", w.Code, w.Header().Get("Content-Type"))
	}
	for _, line := range []string{
		`parley_http_requests_total{method="GET",route="/classes/:class",status="200"} 2`,
		`parley_http_requests_total{method="POST",route="none",status="404"} 1`,
		`parley_http_request_seconds_count{method="GET",route="/classes/:class"} 2`,
		`parley_http_request_seconds_bucket{method="GET",route="/classes/:class",le="0.005"} 1`,
		`parley_credential_ready{credential="masterKey"} 1`,
		`parley_credential_consecutive_failures{credential="masterKey"} 0`,
		`parley_credential_previous_uses_total{credential="masterKey"} 2`,
		`parley_credential_versions{credential="masterKey",state="current"} 1`,
		`parley_credential_versions{credential="masterKey",state="previous"} 1`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("the metrics do not hold %s", line)
		}
	}
	for _, name := range []string{"parley_credential_age_seconds", "parley_credential_fetches_total", "parley_credential_decisions_total", "go_goroutines", "process_resident_memory_bytes"} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("the metrics do not hold %s", name)
		}
	}
	if strings.Contains(text, "canary") {
		t.Errorf("the metrics hold a key:\n%s", text)
	}
}
