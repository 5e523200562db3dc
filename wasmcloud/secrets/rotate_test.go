package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/wasmcloud/secrets"
)

// TestMintedLoginRotates uses logins that live for two seconds, one after the other, on a connection to a server in operator mode: every
// request through it is answered, over several generations.
func TestMintedLoginRotates(t *testing.T) {
	operator, account := must(nkeys.CreateOperator()), must(nkeys.CreateAccount())
	resolver := &server.MemAccResolver{}
	claims := jwt.NewAccountClaims(must(account.PublicKey()))
	if err := resolver.Store(claims.Subject, must(claims.Encode(operator))); err != nil {
		t.Fatal(err)
	}
	trusted := must(jwt.DecodeOperatorClaims(must(jwt.NewOperatorClaims(must(operator.PublicKey())).Encode(operator))))
	target := serve(t, &server.Options{TrustedOperators: []*jwt.OperatorClaims{trusted}, AccountResolver: resolver})

	signing := hold(t, keeps(text("1", string(must(account.Seed())))))
	b := start(t, map[string]secrets.Key{"login": {Mint: &secrets.Mint{Signing: signing, TTL: 2 * time.Second}}})
	login := hold(t, b.client.Source("login"), func(c *credential.Config) {
		c.Check, c.MinTTL = natsconn.Check, 0
	})
	conn := connect(t, target.ClientURL(), func(c *natsconn.Config) {
		c.Credential = must(credential.NewPresenter(login, natsconn.Decode))
	})
	echo, err := conn.QueueSubscribe("echo", "q", func(m *nats.Msg) { _ = conn.Respond(m, m.Data) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = echo.Unsubscribe() }()
	first := conn.Generation()
	asked := 0
	for deadline := time.Now().Add(2 * patience); conn.Generation() < first+4; asked++ {
		if time.Now().After(deadline) {
			t.Fatalf("after %d requests the connection is at generation %d, and began at %d", asked, conn.Generation(), first)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		m, err := conn.Request(ctx, "echo", fmt.Append(nil, asked))
		cancel()
		if err != nil || string(m.Data) != fmt.Sprint(asked) {
			t.Fatalf("request %d = %v, %v", asked, m, err)
		}
	}
}

// TestRotationIsTold: whoever holds a key as a source has the new value at once, without asking from time to time.
func TestRotationIsTold(t *testing.T) {
	s := keeps(text("one", "value one"))
	key := hold(t, s)
	b := start(t, map[string]secrets.Key{"prod/key": {Credential: key}})
	heard := make(chan string, 8)
	if _, err := b.client.Conn.Subscribe("wasmcloud.secrets.v1alpha1.test.rotated.>", func(m *nats.Msg) { heard <- m.Subject + " " + string(m.Data) }); err != nil {
		t.Fatal(err)
	}
	copied := hold(t, b.client.Source("prod/key"))
	presenter := must(credential.Present(copied))
	present := func() string {
		lease, err := presenter.Acquire(t.Context())
		if err != nil {
			return err.Error()
		}
		return string(lease.Value.Reveal())
	}
	eventually(t, func() bool { return present() == "value one" }, "the first value is held")
	s.put(nil, text("two", "value two"))
	if err := key.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return present() == "value two" }, "the second value is held")
	terms := b.terms(map[string]secrets.Key{"prod/key": {Credential: key}})
	terms.Revoked.Versions = map[string][]string{"prod/key": {"one"}}
	if err := b.backend.Replace(terms); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"key":"prod/key","version":"two"}`, `{"key":"prod/key","version":"one","revoked":true}`} {
		select {
		case got := <-heard:
			if want = "wasmcloud.secrets.v1alpha1.test.rotated.prod/key " + want; got != want {
				t.Errorf("told %s, want %s", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("not told: %s", want)
		}
	}
}

// TestStoredPair asks for the JWT and the seed of a stored login one by one while it rotates: both are of one version.
func TestStoredPair(t *testing.T) {
	pairs := map[string]string{} // seeds by JWT
	version := func(n int) credential.Version {
		_, token, seed := creds(fmt.Sprint(n))
		pairs[token] = seed
		return fields(fmt.Sprint(n), "jwt", token, "seed", seed)
	}
	s := keeps(version(0))
	key := hold(t, s, func(c *credential.Config) { c.Previous = 20 }) // more than anybody rotates within two seconds
	b := start(t, map[string]secrets.Key{"login": {Credential: key}})
	for n := 1; n <= 10; n++ {
		token := b.get(t, b.client, "login", "jwt")
		s.put(nil, version(n))
		if err := key.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if seed := b.get(t, b.client, "login", "seed"); seed != pairs[token] {
			t.Fatalf("rotation %d: the seed is not that of the JWT", n)
		}
	}
}

// TestDrain: what has come is answered, what comes later finds nobody.
func TestDrain(t *testing.T) {
	release := make(chan struct{})
	var waiting atomic.Int64
	slow := credential.Func(func(ctx context.Context) (string, error) {
		waiting.Add(1)
		select {
		case <-release:
			return "the value", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
	c := hold(t, slow, func(c *credential.Config) { c.Startup = credential.Lazy })
	b := start(t, map[string]secrets.Key{"slow": {Credential: c}}, func(c *secrets.Config, _ *secrets.Terms) { c.InFlight = 2 })
	var group sync.WaitGroup
	var served, sent atomic.Int64
	tap, err := b.client.Conn.Subscribe("wasmcloud.secrets.v1alpha1.test.get", func(*nats.Msg) { sent.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		group.Go(func() {
			a, err := b.client.Get(t.Context(), "slow", "", "")
			if err != nil || string(a.Value.Reveal()) != "the value" {
				t.Errorf("Get during Drain = %v", err)
				return
			}
			served.Add(1)
		})
	}
	eventually(t, func() bool { return waiting.Load() > 0 && sent.Load() == 8 }, "the requests are there, and the source is asked")
	if err := tap.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	drained := make(chan error, 1)
	go func() { drained <- b.backend.Drain(t.Context()) }()
	close(release)
	group.Wait()
	if err := <-drained; err != nil || served.Load() != 8 {
		t.Errorf("Drain = %v with %d of 8 served", err, served.Load())
	}
	if _, err := b.client.Get(t.Context(), "slow", "", ""); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("Get after Drain = %v, want %v", err, nats.ErrNoResponders)
	}
}
