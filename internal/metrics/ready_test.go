package metrics

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parley-backend/parley/cloud/node"
	"github.com/parley-backend/parley/credential"
)

// TestReady asks whether the server is ready while one credential after another is not: required ones decide, others make it
// degraded; the answer names the class of an error, and no value and no place.
func TestReady(t *testing.T) {
	const canary = "canary-of-the-ready-test-5Kq2"
	var down [3]bool
	source := func(i int) credential.Source {
		return credential.Func(func(context.Context) (string, error) {
			if down[i] {
				return "", credential.Errorf(credential.Missing, "none at %s", "store.example") // ends a start at once
			}
			return canary + string(rune('0'+i)), nil
		})
	}
	for _, test := range []struct {
		name   string
		down   [3]bool // master: required; rest: degraded; client: lazy
		status int
		want   string
	}{
		{"all well", [3]bool{}, 200, `{"ready":true,"degraded":false,"credentials":[` +
			`{"name":"masterKey","condition":"fresh","required":true,"ready":true,"degraded":false,"error":"none","overdue":false},` +
			`{"name":"restAPIKey","condition":"fresh","required":false,"ready":true,"degraded":false,"error":"none","overdue":false},` +
			`{"name":"clientKey","condition":"empty","required":false,"ready":true,"degraded":false,"error":"none","overdue":false}]}`},
		{"a degraded key is missing", [3]bool{1: true}, 200, `{"ready":true,"degraded":true,"credentials":[` +
			`{"name":"masterKey","condition":"fresh","required":true,"ready":true,"degraded":false,"error":"none","overdue":false},` +
			`{"name":"restAPIKey","condition":"empty","required":false,"ready":false,"degraded":false,"error":"missing","overdue":false},` +
			`{"name":"clientKey","condition":"empty","required":false,"ready":true,"degraded":false,"error":"none","overdue":false}]}`},
		{"the required key is missing", [3]bool{0: true}, 503, `{"ready":false,"degraded":true,"credentials":[` +
			`{"name":"masterKey","condition":"empty","required":true,"ready":false,"degraded":false,"error":"missing","overdue":false},` +
			`{"name":"restAPIKey","condition":"fresh","required":false,"ready":true,"degraded":false,"error":"none","overdue":false},` +
			`{"name":"clientKey","condition":"empty","required":false,"ready":true,"degraded":false,"error":"none","overdue":false}]}`},
	} {
		down = test.down
		set := &credential.Set{}
		for i, cfg := range []credential.Config{{Name: "masterKey"}, {Name: "restAPIKey", Startup: credential.Degraded}, {Name: "clientKey", Startup: credential.Lazy}} {
			cfg.Source, cfg.Set = source(i), set
			c, err := credential.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(t.Context()); (err != nil) != (i == 0 && test.down[0]) {
				t.Errorf("%s: Start(%s) = %v", test.name, cfg.Name, err)
			}
		}
		m := New()
		m.Credentials(set, nil)
		w := httptest.NewRecorder()
		m.Ready().ServeHTTP(w, httptest.NewRequest("GET", "/ready", nil))
		if got := strings.TrimSpace(w.Body.String()); w.Code != test.status || got != test.want {
			t.Errorf("%s: /ready = %d %s, want %d %s", test.name, w.Code, got, test.status, test.want)
		}
		set.Stop()
	}
}

// TestReadyOfCloudCode: a worker that is not there makes the server degraded, and no more than that.
func TestReadyOfCloudCode(t *testing.T) {
	for _, c := range []struct {
		status node.Status
		is     bool
		want   string
	}{
		{node.Status{}, false, `{"ready":true,"degraded":false,"credentials":[]}`},
		{node.Status{Workers: 2, Ready: 2}, true, `{"ready":true,"degraded":false,"credentials":[],"cloudCode":{"workers":2,"ready":2}}`},
		{node.Status{Workers: 2}, true, `{"ready":true,"degraded":true,"credentials":[],"cloudCode":{"workers":2,"ready":0}}`},
	} {
		m := New()
		m.Cloud(func() (node.Status, bool) { return c.status, c.is })
		w := httptest.NewRecorder()
		m.Ready().ServeHTTP(w, httptest.NewRequest("GET", "/ready", nil))
		if got := strings.TrimSpace(w.Body.String()); w.Code != 200 || got != c.want {
			t.Errorf("/ready = %d %s, want 200 %s", w.Code, got, c.want)
		}
	}
}
