package auth

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/parley-backend/parley/credential"
)

// key is a credential.Verifier of scripted answers that counts how often it may have asked its source.
type key struct {
	accepts   string
	undecided bool
	asked     int
}

func (k *key) Verify(presented string) credential.Decision {
	switch {
	case k.undecided:
		return credential.Decision{Verdict: credential.Undecided}
	case presented == k.accepts:
		return credential.Decision{Verdict: credential.Accept}
	}
	return credential.Decision{Verdict: credential.Reject}
}

func (k *key) VerifyContext(_ context.Context, presented string) credential.Decision {
	k.asked++
	return k.Verify(presented)
}

var (
	local  = netip.MustParseAddr("127.0.0.1")
	remote = netip.MustParseAddr("203.0.113.1")
)

func TestPrivileged(t *testing.T) {
	for _, c := range []struct {
		name      string
		presented Presented
		from      netip.Addr
		down      bool
		want      Rights
		status    int
	}{
		{"nothing", Presented{}, remote, false, NoRights, 0},
		{"nothing while the sources are down", Presented{}, remote, true, NoRights, 0},
		{"master", Presented{Master: "m"}, local, false, MasterRights, 0},
		{"master from afar", Presented{Master: "m"}, remote, false, MasterRights, 403},
		{"read-only", Presented{Master: "ro"}, remote, false, ReadOnlyRights, 0},
		{"maintenance", Presented{Maintenance: "mt"}, local, false, MaintenanceRights, 0},
		{"maintenance from afar", Presented{Maintenance: "mt"}, remote, false, MaintenanceRights, 403},
		{"maintenance before master", Presented{Maintenance: "mt", Master: "m"}, local, false, MaintenanceRights, 0},
		{"wrong maintenance, right master", Presented{Maintenance: "x", Master: "m"}, local, false, MasterRights, 0},
		{"wrong", Presented{Master: "x"}, local, false, NoRights, 0},
		{"a master key is no maintenance key", Presented{Maintenance: "m"}, local, false, NoRights, 0},
		{"wrong while the sources are down", Presented{Master: "x"}, local, true, NoRights, 503},
	} {
		keys := &Keys{
			Master:      Key{&key{accepts: "m", undecided: c.down}, Loopback()},
			ReadOnly:    Key{&key{accepts: "ro", undecided: c.down}, Anywhere()},
			Maintenance: Key{&key{accepts: "mt", undecided: c.down}, Loopback()},
		}
		got, err := keys.Privileged(t.Context(), c.presented, c.from)
		status := 0
		var refusal *Refusal
		if errors.As(err, &refusal) {
			status = refusal.Status
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got != c.want || status != c.status {
			t.Errorf("%s: Privileged = %v, HTTP %d, want %v, HTTP %d", c.name, got, status, c.want, c.status)
		}
	}
}

func TestPrivilegedAsksNoSourceWithoutNeed(t *testing.T) {
	master, readOnly, maintenance, client := &key{accepts: "m"}, &key{accepts: "ro"}, &key{accepts: "mt"}, &key{accepts: "c"}
	keys := &Keys{
		Master: Key{master, Loopback()}, ReadOnly: Key{readOnly, Anywhere()}, Maintenance: Key{maintenance, Loopback()},
		Clients: []ClientKey{{"restAPIKey", client}},
	}
	for _, p := range []Presented{{}, {Master: "m"}, {Master: "ro"}} {
		if _, err := keys.Privileged(t.Context(), p, local); err != nil {
			t.Fatal(err)
		}
	}
	if err := keys.Client(t.Context(), Presented{Clients: map[string]string{"restAPIKey": "c"}}); err != nil {
		t.Fatal(err)
	}
	if n := master.asked + readOnly.asked + maintenance.asked + client.asked; n != 0 {
		t.Errorf("known keys and no key at all let the sources be asked %d times, want 0", n)
	}
}

func TestClientKeys(t *testing.T) {
	rest, js := &key{accepts: "r"}, &key{accepts: "j"}
	for _, c := range []struct {
		name   string
		keys   []ClientKey
		sent   map[string]string
		status int
	}{
		{"none configured", nil, nil, 0},
		{"one configured, none sent", []ClientKey{{"restAPIKey", rest}}, nil, 403},
		{"right", []ClientKey{{"restAPIKey", rest}}, map[string]string{"restAPIKey": "r"}, 0},
		{"wrong", []ClientKey{{"restAPIKey", rest}}, map[string]string{"restAPIKey": "j"}, 403},
		{"of another kind", []ClientKey{{"restAPIKey", rest}}, map[string]string{"javascriptKey": "r"}, 403},
		{"one of two is enough", []ClientKey{{"restAPIKey", rest}, {"javascriptKey", js}}, map[string]string{"restAPIKey": "x", "javascriptKey": "j"}, 0},
		{"cannot be judged", []ClientKey{{"restAPIKey", &key{undecided: true}}}, map[string]string{"restAPIKey": "r"}, 503},
	} {
		err := (&Keys{Clients: c.keys}).Client(t.Context(), Presented{Clients: c.sent})
		status := 0
		var refusal *Refusal
		if errors.As(err, &refusal) {
			status = refusal.Status
		}
		if status != c.status {
			t.Errorf("%s: HTTP %d (%v), want %d", c.name, status, err, c.status)
		}
	}
}
