package parley_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/pubsub"
)

// TestReload changes the keys of a server and the addresses that they may be used from.
func TestReload(t *testing.T) {
	const other, maintenance, client, another = "another master key of this test", "a maintenance key of this test", "a client key of this test", "another client key of this test"
	s := newServer(t)
	reload := func(wantErr string, change func(*parley.Config)) {
		t.Helper()
		cfg := parley.Config{MasterKey: credential.Literal(masterKey)}
		change(&cfg)
		if err := s.Reload(t.Context(), cfg); (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Fatalf("Reload = %v, want %q", err, wantErr)
		}
	}
	expect := func(when string, want int, path string, headers ...string) {
		t.Helper()
		if w := ask(t, s, "GET", path, "", headers...); w.Code != want {
			t.Errorf("%s: %s with %q = %d %s, want %d", when, path, headers, w.Code, w.Body, want)
		}
	}
	master := func(key string) []string { return []string{"X-Parse-Master-Key", key} }

	expect("at first", 200, "/schemas", master(masterKey)...)
	reload("", func(c *parley.Config) { c.MasterKey = credential.Literal(other) })
	expect("another literal", 200, "/schemas", master(other)...)
	expect("the one before drains", 200, "/schemas", master(masterKey)...)

	reload("", func(c *parley.Config) { c.MasterKeyIPs = []string{"10.0.0.1"} })
	expect("from elsewhere", 403, "/schemas", master(masterKey)...)
	expect("a drained one from elsewhere", 403, "/schemas", master(other)...)
	for _, bad := range []struct {
		want   string
		change func(*parley.Config)
	}{
		{"masterKey is required", func(c *parley.Config) { c.MasterKey = nil }},
		{"is neither an IP address nor a CIDR range", func(c *parley.Config) { c.MaintenanceKeyIPs = []string{"x"} }},
		{"equal to the value of", func(c *parley.Config) { c.MaintenanceKey = credential.Literal(masterKey) }},
	} {
		reload(bad.want, bad.change)
		expect("after "+bad.want, 403, "/schemas", master(masterKey)...)
	}
	reload("", func(c *parley.Config) { c.MaintenanceKey = credential.Literal(maintenance) })
	expect("mended", 200, "/schemas", master(masterKey)...)
	if names := names(s); names != "masterKey maintenanceKey" {
		t.Errorf("the keys are %q", names)
	}

	expect("no client key is asked for", 200, "/classes/A")
	reload("", func(c *parley.Config) { c.RESTAPIKey = credential.Literal(client) })
	expect("without the client key", 403, "/classes/A")
	expect("with it", 200, "/classes/A", "X-Parse-REST-API-Key", client)
	reload("", func(c *parley.Config) { c.ClientKey = credential.Literal(another) })
	expect("without a client key", 403, "/classes/A")
	expect("with the removed one", 200, "/classes/A", "X-Parse-REST-API-Key", client)
	expect("with the other", 200, "/classes/A", "X-Parse-Client-Key", another)
	reload("", func(c *parley.Config) {})
	expect("none is asked for any more", 200, "/classes/A")
	reload("", func(c *parley.Config) {
		c.RESTAPIKey = credential.Literal(another)
		c.Credentials = map[string]credential.Config{"restAPIKey": {Overlap: credential.None}}
	})
	expect("back with another value and no overlap: what was promised stays", 200, "/classes/A", "X-Parse-REST-API-Key", client)
	expect("the new value", 200, "/classes/A", "X-Parse-REST-API-Key", another)
}

func names(s *parley.Server) string {
	var all []string
	for _, c := range s.Credentials().All() {
		all = append(all, c.Name())
	}
	return strings.Join(all, " ")
}

// TestReloadHearsWhatIsRevoked adds a key to a second server that was revoked on a first one while the second did not have it.
func TestReloadHearsWhatIsRevoked(t *testing.T) {
	const client = "a client key of this test"
	bus := pubsub.NewLocal(pubsub.LocalConfig{})
	defer bus.Close()
	onBus := func(c *parley.Config) {
		c.Bus, c.InstallKey = bus, credential.NewSecret("the install key of both servers of this test")
	}
	one := newServer(t, onBus, func(c *parley.Config) { c.RESTAPIKey = credential.Literal(client) })
	two := newServer(t, onBus)
	key := one.Credentials().Get("restAPIKey")
	if err := key.Revoke(t.Context(), key.Status().Versions[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := two.Reload(t.Context(), parley.Config{MasterKey: credential.Literal(masterKey), RESTAPIKey: credential.Literal(client)}); err != nil {
		t.Fatal(err)
	}
	d := two.Credentials().Get("restAPIKey").Verify(client)
	for deadline := time.Now().Add(20 * time.Second); d.OK() && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		d = two.Credentials().Get("restAPIKey").Verify(client)
	}
	if d.Reason != credential.ReasonRevoked {
		t.Errorf("the second server says %v, want revoked", d.Reason)
	}
}

// TestColdStartPolicies starts servers whose sources do not answer: what needs a key that is not there yet is 503 with Retry-After, never 401 or
// 403, and everything else works.
func TestColdStartPolicies(t *testing.T) {
	for _, policy := range []credential.Startup{credential.Degraded, credential.Lazy} {
		var up atomic.Bool
		source := credential.Func(func(context.Context) (string, error) {
			if !up.Load() {
				return "", credential.Errorf(credential.Unavailable, "down")
			}
			return masterKey, nil
		})
		client := credential.Func(func(context.Context) (string, error) {
			if !up.Load() {
				return "", credential.Errorf(credential.Denied, "no")
			}
			return "a client key of this test", nil
		})
		s := newServer(t, func(c *parley.Config) {
			c.MasterKey, c.RESTAPIKey = source, client
			c.Credentials = map[string]credential.Config{"masterKey": {Startup: policy}, "restAPIKey": {Startup: policy}}
		})
		for _, c := range []struct {
			path    string
			headers []string
			want    int
		}{
			{"/health", nil, 200},
			{"/classes/A", nil, 403}, // nothing is presented: no source is asked
			{"/schemas", []string{"X-Parse-Master-Key", masterKey}, 503},
			{"/schemas", []string{"X-Parse-Master-Key", "a wrong key"}, 503},
			{"/classes/A", []string{"X-Parse-REST-API-Key", "a client key of this test"}, 503},
		} {
			w := ask(t, s, "GET", c.path, "", c.headers...)
			if w.Code != c.want || (w.Header().Get("Retry-After") != "") != (c.want == 503) {
				t.Errorf("%s: %s with %q = %d %s (Retry-After %q), want %d", policy, c.path, c.headers, w.Code, w.Body, w.Header().Get("Retry-After"), c.want)
			}
			if c.want == 503 && strings.TrimSpace(w.Body.String()) != `{"error":"key verification is unavailable"}` {
				t.Errorf("%s: %s = %s", policy, c.path, w.Body)
			}
		}
		up.Store(true)
		for deadline := time.Now().Add(time.Minute); ask(t, s, "GET", "/schemas", "", "X-Parse-Master-Key", masterKey).Code != 200; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the key is not accepted after its source came back", policy)
			}
		}
	}
}

// dated is a source whose value was made at some time.
type dated struct{ created time.Time }

func (d dated) Fetch(context.Context) (credential.Payload, error) {
	return credential.Payload{Versions: []credential.Version{{Value: credential.NewSecret(masterKey), Created: d.created}}}, nil
}

func (dated) Info() credential.Info { return credential.Info{Scheme: "dated"} }

// TestSecurityRotation has /security look at the age of each key.
func TestSecurityRotation(t *testing.T) {
	for _, c := range []struct {
		age  time.Duration
		want string
	}{{24 * time.Hour, "success"}, {31 * 24 * time.Hour, "fail"}} {
		s := newServer(t, func(cfg *parley.Config) {
			cfg.MasterKey, cfg.RESTAPIKey = dated{time.Now().Add(-c.age)}, credential.Literal("a client key of this test")
			cfg.SecurityCheck = true
		})
		w := ask(t, s, "GET", "/security", "", "X-Parse-Master-Key", masterKey)
		var answer struct {
			Report struct {
				Groups []struct {
					Name   string
					Checks []struct{ Title, State, Warning string }
				}
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
		got := map[string]string{}
		for _, g := range answer.Report.Groups[1:] {
			for _, check := range g.Checks {
				got[g.Name+": "+check.Title] = check.State
				if due := time.Now().Add(30*24*time.Hour - c.age).UTC().Format(time.DateOnly); check.State == "fail" && !strings.Contains(check.Warning, due) {
					t.Errorf("the warning is %q, want %s in it", check.Warning, due)
				}
			}
		}
		if len(got) != 2 || got["Rotation of privileged keys: masterKey rotated in time"] != c.want || got["Rotation of client keys: restAPIKey rotated in time"] != "success" {
			t.Errorf("at %v the checks are %v", c.age, got)
		}
	}
}
