package secrets_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/wasmcloud/claims"
	"github.com/parley-backend/parley/wasmcloud/secrets"
)

func signingKey() (public string, seed credential.Version) {
	account := must(nkeys.CreateAccount())
	return must(account.PublicKey()), text(must(account.PublicKey()), string(must(account.Seed())))
}

func (b *bed) get(t testing.TB, client *secrets.Client, key, field string) string {
	t.Helper()
	got, err := client.Get(t.Context(), key, field, "")
	if err != nil {
		t.Fatalf("Get(%s, %s) = %v", key, field, err)
	}
	return string(got.Value.Reveal())
}

// TestMint: a login with its permissions, in all its fields.
func TestMint(t *testing.T) {
	public, seed := signingKey()
	account := must(must(nkeys.CreateAccount()).PublicKey())
	signing := hold(t, keeps(seed), func(c *credential.Config) { c.Check = secrets.CheckSigning })
	b := start(t, map[string]secrets.Key{
		"own": {Mint: &secrets.Mint{Signing: signing, TTL: time.Minute, Permissions: secrets.Permissions{
			PublishAllow: []string{"out.{entity}"}, PublishDeny: []string{"out.*.no"}, SubscribeAllow: []string{"in.> workers"}, SubscribeDeny: []string{"in.x"}, Responses: 3,
		}}},
		"scoped": {Mint: &secrets.Mint{Signing: signing, Account: account, Scoped: true}},
	})
	began := time.Now()
	login := must(natsconn.Decode(credential.Material{Value: credential.NewSecret(b.get(t, b.client, "own", ""))}))
	c := must(jwt.DecodeUserClaims(string(login.JWT.Reveal())))
	want := jwt.UserPermissionLimits{Permissions: jwt.Permissions{
		Pub:  jwt.Permission{Allow: jwt.StringList{"out." + b.provider.Public()}, Deny: jwt.StringList{"out.*.no"}},
		Sub:  jwt.Permission{Allow: jwt.StringList{"in.> workers"}, Deny: jwt.StringList{"in.x"}},
		Resp: &jwt.ResponsePermission{MaxMsgs: 3, Expires: time.Minute},
	}, Limits: jwt.Limits{UserLimits: jwt.UserLimits{Src: jwt.CIDRList{}}, NatsLimits: jwt.NatsLimits{Subs: -1, Data: -1, Payload: -1}}}
	got := c.UserPermissionLimits
	if diff := cmp.Diff(want.Permissions, got.Permissions); diff != "" || c.Issuer != public || c.IssuerAccount != "" || c.Name != "own "+b.provider.Public() {
		t.Errorf("the JWT is of %s for %s, called %s, permissions (-want +got):\n%s", c.Issuer, c.IssuerAccount, c.Name, diff)
	}
	if end := time.Unix(c.Expires, 0); end.Before(began.Add(time.Minute)) || end.After(time.Now().Add(time.Minute+time.Second)) {
		t.Errorf("the JWT ends %v after it was asked for, want a minute", end.Sub(began))
	}
	if got := b.get(t, b.client, "own", "user"); got != c.Subject {
		t.Errorf("the field user is %s, want %s", got, c.Subject)
	}
	scoped := must(jwt.DecodeUserClaims(b.get(t, b.client, "scoped", "jwt")))
	if scoped.IssuerAccount != account || !scoped.HasEmptyPermissions() {
		t.Errorf("with a scoped key the JWT is for the account %s with permissions of its own, want %s and none", scoped.IssuerAccount, account)
	}
}

// TestMintOneGeneration: JWT and seed that are asked for one by one belong together: in any order, with any number of requests in
// between, at two instances, after the signing key rotated and after the backend restarted.
func TestMintOneGeneration(t *testing.T) {
	_, first := signingKey()
	s := keeps(first)
	signing := hold(t, s)
	keys := map[string]secrets.Key{"login": {Mint: &secrets.Mint{Signing: signing}}}
	b := start(t, keys)
	second := b.instance(t, connect(t, b.url), keys) // of one queue group
	check := func(when, token, seed string) {
		t.Helper()
		login, err := natsconn.Decode(credential.Material{Fields: map[string]credential.Secret{"jwt": credential.NewSecret(token), "seed": credential.NewSecret(seed)}})
		if err != nil || login.Expires.IsZero() {
			t.Errorf("%s: JWT and seed are no login: %v", when, err)
		}
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 10 {
				token, _ := b.client.Get(t.Context(), "login", "jwt", "")
				seed, _ := b.client.Get(t.Context(), "login", "seed", "")
				check("at once", string(token.Value.Reveal()), string(seed.Value.Reveal()))
			}
		})
	}
	group.Wait()
	token := b.get(t, b.client, "login", "jwt")
	_, next := signingKey()
	s.put(nil, next)
	if err := signing.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := second.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.backend.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.instance(t, b.conn, keys)
	check("after a rotation and a restart", token, b.get(t, b.client, "login", "seed"))
	if again := b.get(t, b.client, "login", "jwt"); again == token {
		t.Error("the JWT is not fresh")
	}

	// Others get other users: of another host, of another entity, of another application.
	user := b.get(t, b.client, "login", "user")
	other := newLattice()
	component := claims.Claims{Subject: claims.Generate(claims.Component).Public(), Component: &claims.ComponentClaims{Hash: "00"}}
	for name, change := range map[string]func(*secrets.Client){
		"host":        func(c *secrets.Client) { c.Host = other.hostToken() },
		"entity":      func(c *secrets.Client) { c.Entity = must(component.Encode(b.issuer)) },
		"application": func(c *secrets.Client) { c.Application = "another" },
	} {
		client := b.asks(b.client.Conn)
		change(client)
		if b.get(t, client, "login", "user") == user {
			t.Errorf("another %s gets the same user", name)
		}
	}
}
