package metrics

import (
	"context"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-backend/parley/cloud/node"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/internal/rest"
	"github.com/prometheus/client_golang/prometheus"
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

// TestDocumented compares the metrics with the table in docs/operate.md: names and labels.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	told := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `(parley_[a-z_]+)(?:{([a-z,]*)})?` \\|").FindAllSubmatch(page, -1) {
		told[string(row[1])+" "+sorted(string(row[2]))] = true
	}
	m := New()
	m.Credentials(&credential.Set{})
	m.Cloud(func() (node.Status, bool) { return node.Status{}, false })
	all := make(chan *prometheus.Desc, 100)
	m.registry.Describe(all)
	close(all)
	have := make(map[string]bool)
	described := regexp.MustCompile(`fqName: "(parley_[a-z_]+)".*variableLabels: {([a-z,]*)}`)
	for d := range all {
		if f := described.FindStringSubmatch(d.String()); f != nil {
			have[f[1]+" "+sorted(f[2])] = true
		}
	}
	if len(have) < 11 || !maps.Equal(told, have) {
		t.Errorf("docs/operate.md tells of %q, want %q", slices.Sorted(maps.Keys(told)), slices.Sorted(maps.Keys(have)))
	}
}

func sorted(labels string) string {
	names := strings.Split(labels, ",")
	slices.Sort(names)
	return strings.Join(names, ",")
}
