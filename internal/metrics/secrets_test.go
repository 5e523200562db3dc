package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-backend/parley/wasmcloud/secrets"
)

// TestSecrets counts requests for secrets by key and outcome.
func TestSecrets(t *testing.T) {
	m := New()
	observe := m.Secrets()
	for range 3 {
		observe(secrets.Observation{Outcome: secrets.Served, Key: "prod/nats", Duration: time.Millisecond})
	}
	observe(secrets.Observation{Outcome: string(secrets.Unauthorized), Duration: time.Second})
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{
		`parley_wasmcloud_secrets_requests_total{key="prod/nats",outcome="served"} 3`,
		`parley_wasmcloud_secrets_requests_total{key="",outcome="Unauthorized"} 1`,
		`parley_wasmcloud_secrets_request_seconds_count 4`,
	} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}
