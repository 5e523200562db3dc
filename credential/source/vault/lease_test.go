package vault_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/vault"
)

// borrowed is the user of a reading of the fake's database engine.
type borrowed struct {
	user   int
	number uint64
}

// user fetches, and checks that the reading ends within a lease.
func user(t *testing.T, source credential.Source, most time.Duration) borrowed {
	t.Helper()
	payload, err := source.Fetch(t.Context())
	if err != nil {
		t.Fatalf("Fetch failed: %v", err)
	}
	v := payload.Versions[0]
	var b borrowed
	if _, err := fmt.Sscanf(string(v.Fields["username"].Reveal())+" "+string(v.Fields["password"].Reveal()), "v-approle-parley-%d", &b.user); err != nil {
		t.Fatal(err)
	}
	if got, want := string(v.Fields["password"].Reveal()), fmt.Sprintf("canary-password-%d", b.user); got != want {
		t.Errorf("the password of user %d is that of another", b.user)
	}
	b.number = v.Number
	if left := time.Until(v.NotAfter); left > most || payload.TTL > most || left <= 0 || payload.TTL <= 0 {
		t.Errorf("user %d ends in %v, TTL %v; want at most %v", b.user, left, payload.TTL, most)
	}
	for _, field := range v.Fields {
		field.Wipe() // as the engine does
	}
	return b
}

const database = "vault://database/creds/parley?addr=ADDR&token_file=TOKEN&format=json"

// A user stays as long as Vault prolongs his lease to at least half of its length, and then there is another.
func TestLeaseIsProlonged(t *testing.T) {
	f, b := startFake(t)
	source := b.open(t, vault.Opener(), database)
	for i, step := range []struct {
		prolongs int
		want     borrowed
		asked    string
	}{
		{0, borrowed{1, 1}, ""},
		{60, borrowed{1, 1}, "database/creds/parley/1 60"},
		{30, borrowed{1, 1}, "database/creds/parley/1 60"},
		{29, borrowed{2, 2}, "database/creds/parley/1 60"},
		{60, borrowed{2, 2}, "database/creds/parley/2 60"},
		{400, borrowed{3, 3}, "database/creds/parley/2 60"}, // revoked, or its largest length is over
	} {
		f.with(func() { f.prolongs, f.asked = step.prolongs, nil })
		if got := user(t, source, time.Minute); got != step.want {
			t.Errorf("fetch %d yields %v, want %v", i+1, got, step.want)
		}
		f.with(func() {
			if got := fmt.Sprint(f.asked); got != fmt.Sprintf("[%s]", step.asked) {
				t.Errorf("fetch %d asks to prolong %s, want %s", i+1, got, step.asked)
			}
		})
	}
	f.with(func() { f.prolongs = 503 })
	if _, err := source.Fetch(t.Context()); !errors.Is(err, credential.Unavailable) {
		t.Errorf("while Vault is sealed Fetch = %v, want Unavailable", err)
	}
	f.with(func() { f.prolongs = 60 })
	if got, want := user(t, source, time.Minute), (borrowed{3, 3}); got != want {
		t.Errorf("after that Fetch yields %v, want %v", got, want)
	}
}

// However many ask at the same time, it is one user.
func TestLeaseIsShared(t *testing.T) {
	f, b := startFake(t)
	source := b.open(t, vault.Opener(), database)
	for range 2 {
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if got, want := user(t, source, time.Minute), (borrowed{1, 1}); got != want {
					t.Errorf("Fetch yields %v, want %v", got, want)
				}
			})
		}
		group.Wait()
	}
	f.with(func() {
		if f.leases != 1 {
			t.Errorf("%d users were made, want 1", f.leases)
		}
	})
}

// A policy that does not let us prolong: the user is not replaced at each fetch, but when half of his lease is over.
func TestLeaseMayNotBeProlonged(t *testing.T) {
	f, b := startFake(t)
	f.with(func() { f.prolongs, f.lease = 403, 60 })
	source := b.open(t, vault.Opener(), database)
	for range 3 {
		if got, want := user(t, source, time.Minute), (borrowed{1, 1}); got != want {
			t.Errorf("Fetch yields %v, want %v", got, want)
		}
	}
	f.with(func() {
		if len(f.asked) != 1 {
			t.Errorf("asked %d times, want once", len(f.asked))
		}
		f.lease = 1
	})
	source = b.open(t, vault.Opener(), database)
	began := time.Now()
	for first := user(t, source, time.Second); user(t, source, time.Second) == first; {
		if time.Since(began) > 30*time.Second {
			t.Fatal("the user stays")
		}
	}
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("there is another user after %v, want half of a second", took)
	}
}

// A user whom the database refused is not handed out again, also when his lease goes on.
func TestLeaseIsRefused(t *testing.T) {
	f, b := startFake(t)
	c := credentialtest.Start(t, credential.Config{Name: "database", Present: true, Source: b.open(t, vault.Opener(), database)})
	p, err := credential.NewPresenter(c, func(m credential.Material) (string, error) { return string(m.Fields["username"].Reveal()), nil })
	if err != nil {
		t.Fatal(err)
	}
	lease, err := p.Acquire(t.Context())
	if err != nil || lease.Value != "v-approle-parley-1" {
		t.Fatalf("Acquire = %v, %v; want the first user", lease.Value, err)
	}
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, err := p.Acquire(t.Context()); err != nil || again.Value != lease.Value || again.Generation != lease.Generation {
		t.Errorf("after a refresh Acquire = %v, %v; want the same user", again, err)
	}
	if next, err := p.Rejected(t.Context(), lease.Generation); err != nil || next.Value != "v-approle-parley-2" {
		t.Errorf("Rejected = %v, %v; want the second user", next.Value, err)
	}
	f.with(func() {
		if f.leases != 2 {
			t.Errorf("%d users were made, want 2", f.leases)
		}
	})
}

// A user ends with the token that he was made with. So there is a new token when less than half of its life is left, and with it a
// new user, while both before still work.
func TestLeaseEndsWithToken(t *testing.T) {
	f, b := startFake(t)
	f.with(func() { f.ttl, f.lease, f.prolongs = 2*time.Second, 3600, 3600 })
	t.Setenv("VAULT_ROLE_ID", fakeRoleID)
	t.Setenv("VAULT_SECRET_ID", fakeSecretID)
	source := b.open(t, vault.Opener(), "vault://database/creds/parley?addr=ADDR&auth=approle&format=json")
	began := time.Now()
	first := user(t, source, 2*time.Second)
	f.with(func() { f.frozen = true })
	next := first
	for next == first {
		if time.Since(began) > 30*time.Second {
			t.Fatal("the user stays")
		}
		next = user(t, source, 2*time.Second)
	}
	took := time.Since(began)
	f.with(func() {
		if alive := time.Until(f.tokens["hvs.canary-token-1"].ends) > 0; f.logins != 2 || !alive || took < 900*time.Millisecond {
			t.Errorf("%d logins, the next user after %v, the first token is alive: %v; want 2, after a second, and alive", f.logins, took, alive)
		}
	})
	if want := (borrowed{2, 2}); next != want {
		t.Errorf("the next user is %v, want %v", next, want)
	}
	f.with(func() { // another token, for whatever reason
		for name := range f.tokens {
			if name != "root" {
				delete(f.tokens, name)
			}
		}
		f.ttl = time.Hour
	})
	if got, want := user(t, source, time.Hour), (borrowed{3, 3}); got != want {
		t.Errorf("with another token Fetch yields %v, want %v", got, want)
	}
}

// A key/value engine says how long a reading may be used, too, but that is no lease.
func TestNoLease(t *testing.T) {
	f, b := startFake(t)
	f.with(func() { f.plain["p"] = map[string]any{"masterKey": keyA} })
	source := b.open(t, vault.Opener(), "vault://old/p?addr=ADDR&token_file=TOKEN#masterKey")
	for range 2 {
		payload, err := source.Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if v := payload.Versions[0]; !v.NotAfter.IsZero() || payload.TTL != 768*time.Hour {
			t.Errorf("TTL %v, ends at %v; want 768 h and no end", payload.TTL, v.NotAfter)
		}
	}
	f.with(func() {
		if len(f.asked) > 0 {
			t.Errorf("asked to prolong %v", f.asked)
		}
	})
}
