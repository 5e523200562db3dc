package messaging_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source"
	"github.com/parley-backend/parley/credential/source/file"
	"github.com/parley-backend/parley/credential/source/natskv"
	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/messaging"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

const fromConfig = "event=messaging_secret"

// Secrets first for client_jwt and client_seed, then config with exactly one warning, and only if the value that is used comes from
// config. The users of the places have names, so that the server says which login was taken.
func TestSecretsFirst(t *testing.T) {
	o := operated(t)
	who := func(name string) pair { return o.user(0, func(c *jwt.UserClaims) { c.Name = name }) }
	linkSecret, linkConfig, ownSecret, ownConfig := who("link secret"), who("link config"), who("own secret"), who("own config")
	none := pair{}
	for _, test := range []struct {
		name                                   string
		linkSecret, linkConfig, ownSec, ownCfg pair
		want                                   string
		warnings                               int
		keys                                   string
	}{
		{"secret", linkSecret, none, none, none, "link secret", 0, ""},
		{"config", none, linkConfig, none, none, "link config", 1, `keys="client_jwt, client_seed"`},
		{"both", linkSecret, linkConfig, none, none, "link secret", 0, ""},
		{"provider secret", none, none, ownSecret, none, "own secret", 0, ""},
		{"provider config", none, none, none, ownConfig, "own config", 1, `keys="client_jwt, client_seed"`},
		{"provider both", none, none, ownSecret, ownConfig, "own secret", 0, ""},
		{"link config over provider secret", none, linkConfig, ownSecret, none, "link config", 1, `keys="client_jwt, client_seed"`},
		{"all", linkSecret, linkConfig, ownSecret, ownConfig, "link secret", 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			own := wasmcloud.Settings{Config: config("cluster_uris", o.ClientURL())}
			if test.ownCfg != none {
				own.Config = test.ownCfg.config("cluster_uris", o.ClientURL())
			}
			if test.ownSec != none {
				own.Secrets = test.ownSec.secrets()
			}
			f := start(t, own, messaging.Options{})
			c := f.component("echo", nil)
			l := handler("echo", "default", config("subscriptions", test.name+".x"), nil)
			l.Config["subscriptions"] = "in"
			if test.linkConfig != none {
				l.Config = test.linkConfig.config("subscriptions", "in")
			}
			if test.linkSecret != none {
				l.Secrets = test.linkSecret.secrets()
			}
			f.put(l)
			f.put(l) // an equal one says nothing
			f.delivers(c, o.connect(t), "in", "connected")
			if got := o.names(); got != test.want {
				t.Errorf("connected as %q, want %q", got, test.want)
			}
			if got := f.host.log.lines(fromConfig); len(got) != test.warnings || test.warnings > 0 && !strings.Contains(got[0], test.keys) {
				t.Errorf("warnings = %q, want %d with %s", got, test.warnings, test.keys)
			}
		})
	}
}

// names are the names of the users that are connected as provider.
func (o *operator) names() string {
	var all []string
	for _, c := range must(o.Connz(&server.ConnzOptions{Username: true})).Conns {
		if c.Name == "NATS Messaging Provider" {
			claims := must(jwt.DecodeUserClaims(c.JWT))
			all = append(all, claims.Name)
		}
	}
	return strings.Join(all, " ")
}

// No warning for an anonymous link: config supplied nothing that should be a secret.
func TestNoWarningForAnonymousLinks(t *testing.T) {
	s := run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in"), nil))
	f.put(target("echo", "default", config("cluster_uris", s.ClientURL()), secrets("unrelated", "something")))
	if got := f.host.log.lines("level=WARN"); len(got) != 0 {
		t.Errorf("warnings = %q, want none", got)
	}
}

// In the strict way each key that is not in a secret is warned of, and a pair may come from two places.
func TestStrictCompatWarnsOfEach(t *testing.T) {
	o := operated(t)
	u := o.user(0)
	f := start(t, wasmcloud.Settings{Config: config("strict_compat", "true")}, messaging.Options{})
	c := f.component("echo", nil)
	f.put(handler("echo", "default", config("cluster_uris", o.ClientURL(), "subscriptions", "in", "client_seed", u.seed), secrets("client_jwt", u.jwt)))
	f.delivers(c, o.connect(t), "in", "connected")
	if got := f.host.log.lines(fromConfig); len(got) != 1 || !strings.Contains(got[0], "client_seed") {
		t.Errorf("warnings = %q, want one of client_seed", got)
	}
}

// A link with an empty config uses its secrets. The provider's are the defaults.
func TestSecretsOnlyLink(t *testing.T) {
	o := operated(t)
	f := start(t, wasmcloud.Settings{Config: config("cluster_uris", o.ClientURL(), "subscriptions", "in")}, messaging.Options{})
	c := f.component("echo", nil)
	f.put(handler("echo", "default", nil, o.user(0).secrets()))
	f.delivers(c, o.connect(t), "in", "secrets only")
}

// Other names and forms of the same secrets.
func TestSecretAliases(t *testing.T) {
	o := operated(t)
	u, other := o.user(0), o.user(0)
	for name, given := range map[string]map[string]wasmcloud.Secret{
		"prefixed":                secrets("prod.nats.client_jwt", u.jwt, "prod.nats.client_seed", u.seed),
		"two, one like the link":  secrets("mine.client_jwt", u.jwt, "mine.client_seed", u.seed, "b.client_jwt", other.jwt, "b.client_seed", other.seed),
		"in upper case":           secrets("CLIENT_JWT", u.jwt, "CLIENT_SEED", u.seed),
		"with white space":        secrets("client_jwt", u.jwt+"\n", "client_seed", " "+u.seed+"\n"),
		"the text of a file":      secrets("nats_creds", u.creds()),
		"plain beside a prefixed": secrets("client_jwt", u.jwt, "client_seed", u.seed, "x.client_jwt", "unused", "x.client_seed", "unused"),
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, wasmcloud.Settings{}, messaging.Options{})
			c := f.component("echo", nil)
			f.put(handler("echo", "mine", config("cluster_uris", o.ClientURL(), "subscriptions", "in"), given))
			f.delivers(c, o.connect(t), "in", name)
		})
	}
}

// JWT and seed are taken from one place as a pair, and what cannot be right is told before a connect: by the name of the link, never
// by the secret.
func TestJWTAndSeedFromOnePlace(t *testing.T) {
	o := operated(t)
	a, b := o.user(0), o.user(0)
	for _, test := range []struct {
		name    string
		config  map[string]string
		secrets map[string]wasmcloud.Secret
		want    string
	}{
		{"a seed of another user", nil, secrets("client_jwt", a.jwt, "client_seed", b.seed), "in the link secrets: the seed of a NATS login is not that of the user in the JWT"},
		{"half in secrets, half in config", config("client_seed", a.seed), secrets("client_jwt", a.jwt), "must provide both client_jwt and client_seed, together in one place"},
		{"a JWT alone", config("client_jwt", a.jwt), nil, "must provide both client_jwt and client_seed, together in one place"},
		{"a seed alone", nil, secrets("client_seed", a.seed), "must provide both client_jwt and client_seed, together in one place"},
		{"a prefixed half", nil, secrets("x.client_seed", a.seed), "must provide both client_jwt and client_seed, together in one place"},
		{"no JWT", nil, secrets("client_jwt", "not a JWT at all", "client_seed", a.seed), "in the link secrets: the JWT of a NATS login is not that of a user"},
		{"no seed", nil, secrets("client_jwt", a.jwt, "client_seed", "not a seed at all"), "in the link secrets: the seed of a NATS login is none"},
		{"two ways", nil, secrets("client_jwt", a.jwt, "client_seed", a.seed, "token", "a token beside it"), "more than one way to log in is given in one place: nats_creds, client_jwt and client_seed, nkey, user and password, or token"},
		{"several pairs", nil, secrets("a.client_jwt", a.jwt, "a.client_seed", a.seed, "b.client_jwt", b.jwt, "b.client_seed", b.seed), "the secrets have several pairs of client_jwt and client_seed: a, b; name one of them like the link, or give the link only one"},
		{"a literal as reference", config("credentials", "the secret itself"), nil, "credentials is not a reference like file:///run/nats.creds"},
		{"a reference to nowhere", config("credentials", "nowhere://x"), nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, wasmcloud.Settings{Config: config("cluster_uris", o.ClientURL())}, messaging.Options{})
			f.know(test.config, test.secrets)
			err := f.PutLink(t.Context(), handler("echo", "default", test.config, test.secrets))
			health := f.Health()
			if health == nil || !strings.Contains(health.Error(), "messaging->echo") {
				t.Errorf("Health = %v, want the link", health)
			}
			if test.want == "" { // another attempt may find a source
				if err != nil {
					t.Errorf("PutLink = %v, want nil", err)
				}
				return
			}
			if want := "messaging: link messaging->echo: " + test.want; err == nil || err.Error() != want {
				t.Errorf("PutLink = %v, want %s", err, want)
			}
			if got := must(o.Connz(nil)).NumConns; got != 0 {
				t.Errorf("%d connections, want none", got)
			}
		})
	}
}

// One half in the secrets and a pair in config: the pair is used.
func TestHalfInSecretsPairInConfig(t *testing.T) {
	o := operated(t)
	u := o.user(0)
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	c := f.component("echo", nil)
	f.put(handler("echo", "default", u.config("cluster_uris", o.ClientURL(), "subscriptions", "in"), secrets("client_jwt", o.user(0).jwt)))
	f.delivers(c, o.connect(t), "in", "the pair of config")
	if n := f.host.log.count("which is not used"); n != 1 {
		t.Errorf("%d notes on the half that is not used, want 1", n)
	}
}

// A JWT that has ended or is not valid yet is warned of when the link is put.
func TestUntimelyJWTsAreWarnedOf(t *testing.T) {
	o := operated(t)
	for what, u := range map[string]pair{
		"its JWT has ended at":         o.user(-time.Hour),
		"its JWT is not valid before ": o.user(0, func(c *jwt.UserClaims) { c.NotBefore = time.Now().Add(time.Hour).Unix() }),
	} {
		f := start(t, wasmcloud.Settings{}, messaging.Options{})
		f.put(handler("echo", "default", config("cluster_uris", o.ClientURL(), "subscriptions", "in"), u.secrets()))
		if n := f.host.log.count(what); n != 1 {
			t.Errorf("%d warnings %q, want 1", n, what)
		}
		eventually(t, "health says that the login is refused", func() bool { return f.Health() != nil })
	}
}

// Users, passwords, tokens and nkeys.
func TestOtherWaysToLogIn(t *testing.T) {
	key := must(nkeys.CreateUser())
	users := run(t, &server.Options{Users: []*server.User{{Username: "u", Password: "a long password"}}, Nkeys: []*server.NkeyUser{{Nkey: must(key.PublicKey())}}})
	tokens := run(t, &server.Options{Authorization: "a long token of words"})
	withUser := strings.Replace(users.ClientURL(), "://", "://u:a%20long%20password@", 1)
	withToken := strings.Replace(tokens.ClientURL(), "://", "://a%20long%20token%20of%20words@", 1)
	for _, test := range []struct {
		name     string
		config   map[string]string
		secrets  map[string]wasmcloud.Secret
		warnings int
	}{
		{"user and password as secrets", config("cluster_uris", users.ClientURL()), secrets("user", "u", "password", "a long password"), 0},
		{"the user in config", config("cluster_uris", users.ClientURL(), "user", "u"), secrets("password", "a long password"), 0},
		{"both in config", config("cluster_uris", users.ClientURL(), "username", "u", "password", "a long password"), nil, 1},
		{"an nkey", config("cluster_uris", users.ClientURL()), secrets("nkey", string(must(key.Seed()))), 0},
		{"a token", config("cluster_uris", tokens.ClientURL()), secrets("token", "a long token of words"), 0},
		{"a user in the URL", config("cluster_uris", withUser), nil, 1},
		{"a user in the URL, which is a secret", nil, secrets("cluster_uris", withUser), 0},
		{"a token in the URL, behind a server that is down", config("cluster_uris", "nats://127.0.0.1:1,"+withToken), nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, wasmcloud.Settings{}, messaging.Options{})
			f.put(target("echo", "default", test.config, test.secrets))
			eventually(t, "connected", func() bool { return f.Health() == nil })
			done, err := f.publish("echo", "default", wrpc.BrokerMessage{Subject: "out"})
			if err != nil || done.Failed {
				t.Errorf("publish = %v, %v, want ok", done, err)
			}
			if got := f.host.log.lines(fromConfig); len(got) != test.warnings {
				t.Errorf("warnings = %q, want %d", got, test.warnings)
			}
		})
	}
}

// Each source that a reference may name keeps the login fresh on a host that never pushes one: a login that is replaced is handed over
// to, and no connection is lost. Two links with one reference read it once.
func TestCredentialsReference(t *testing.T) {
	for _, test := range []struct {
		name string
		open func(t *testing.T, sources credential.Registry) (reference string, store func(pair))
	}{
		{"file", func(t *testing.T, _ credential.Registry) (string, func(pair)) {
			path := filepath.Join(t.TempDir(), "nats.creds")
			return "file://" + filepath.ToSlash(path), func(p pair) { replaceFile(t, path, p.creds()) }
		}},
		{"k8s-mount", func(t *testing.T, _ credential.Registry) (string, func(pair)) {
			volume := &credentialtest.Kubelet{Dir: t.TempDir()}
			return "k8s-mount://" + filepath.ToSlash(volume.Dir) + "?fields=jwt,seed", func(p pair) { volume.Write(t, map[string]string{"jwt": p.jwt, "seed": p.seed}) }
		}},
		{"exec", func(t *testing.T, _ credential.Registry) (string, func(pair)) {
			path := filepath.Join(t.TempDir(), "nats.creds")
			return "exec:///bin/cat?ttl=1s&arg=" + filepath.ToSlash(path), func(p pair) { replaceFile(t, path, p.creds()) }
		}},
		{"http", func(t *testing.T, _ credential.Registry) (string, func(pair)) {
			var now atomic.Pointer[pair]
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_ = json.NewEncoder(w).Encode(map[string]string{"jwt": now.Load().jwt, "seed": now.Load().seed})
			}))
			t.Cleanup(web.Close)
			return web.URL + "/creds?format=json&ttl=1s&allow_http=127.0.0.1", func(p pair) { now.Store(&p) }
		}},
		{"vault", func(t *testing.T, _ credential.Registry) (string, func(pair)) {
			var now atomic.Pointer[pair]
			version := new(atomic.Int64)
			store := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Vault-Token") != "the token of the vault" {
					http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
					return
				}
				_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{
					"data":     map[string]string{"jwt": now.Load().jwt, "seed": now.Load().seed},
					"metadata": map[string]any{"version": version.Load(), "created_time": time.Now().UTC().Format(time.RFC3339Nano)},
				}})
			})
			web := httptest.NewServer(store)
			t.Cleanup(web.Close)
			t.Setenv("VAULT_ADDR", web.URL)
			t.Setenv("VAULT_TOKEN", "the token of the vault")
			return "vault://secret/nats?format=json&ttl=1s&kv=2", func(p pair) { now.Store(&p); version.Add(1) }
		}},
		{"nats-kv", func(t *testing.T, sources credential.Registry) (string, func(pair)) {
			nc := connect(t, run(t, &server.Options{JetStream: true, StoreDir: t.TempDir()}))
			bucket := must(must(jetstream.New(nc)).CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "creds", Storage: jetstream.MemoryStorage}))
			sources["nats-kv"] = natskv.Opener(func(context.Context) (*nats.Conn, error) { return nc, nil })
			return "nats-kv://creds/messaging", func(p pair) { must(bucket.Put(t.Context(), "messaging", []byte(p.creds()))) }
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := operated(t)
			first, second := o.user(0, func(c *jwt.UserClaims) { c.Name = "first" }), o.user(0, func(c *jwt.UserClaims) { c.Name = "second" })
			sources := source.All()
			reference, store := test.open(t, sources)
			store(first)
			f := start(t, wasmcloud.Settings{Config: config("cluster_uris", o.ClientURL())}, messaging.Options{Sources: sources})
			f.know(nil, secrets("a", first.seed, "b", second.seed, "c", first.jwt, "d", second.jwt))
			c := f.component("echo", nil)
			f.put(handler("echo", "default", config("subscriptions", "in", "credentials", reference), nil))
			f.put(target("echo", "default", config("credentials", reference), nil))
			nc := o.connect(t)
			f.delivers(c, nc, "in", "the first")
			eventually(t, "both links are connected", func() bool { return o.names() == "first first" })
			store(second)
			eventually(t, "the second login is in use", func() bool { return o.names() == "second second" })
			f.delivers(c, nc, "in", "the second")
			if n := f.host.log.count("event=nats_disconnected"); n != 0 {
				t.Errorf("%d connections were lost, want none", n)
			}
			if n := f.host.log.count("event=started"); n != 1 {
				t.Errorf("%d credentials were started, want one for both links", n)
			}
		})
	}
}

// The source does not answer when the link is put: it begins to work when it does.
func TestCredentialsAppearLater(t *testing.T) {
	o := operated(t)
	u := o.user(0)
	path := filepath.Join(t.TempDir(), "late.creds")
	f := start(t, wasmcloud.Settings{Config: config("cluster_uris", o.ClientURL())}, messaging.Options{Sources: credential.Registry{"file": file.Open}})
	c := f.component("echo", nil)
	f.put(handler("echo", "default", config("subscriptions", "in", "credentials", "file://"+filepath.ToSlash(path)+"?ttl=1s"), nil))
	if err := f.Health(); err == nil {
		t.Error("Health = nil, want that there is no login")
	}
	replaceFile(t, path, u.creds())
	f.delivers(c, o.connect(t), "in", "later")
}

// Another secret for a link that is put again is handed over to: the connection is replaced and not lost.
func TestRotationByPut(t *testing.T) {
	o := operated(t)
	f := start(t, wasmcloud.Settings{Config: config("cluster_uris", o.ClientURL())}, messaging.Options{})
	c := f.component("echo", nil)
	nc := o.connect(t)
	for i := range 4 {
		name := fmt.Sprint("generation-", i)
		f.put(handler("echo", "default", config("subscriptions", "in"), o.user(0, func(c *jwt.UserClaims) { c.Name = name }).secrets()))
		eventually(t, name+" is in use", func() bool { return o.names() == name })
		f.delivers(c, nc, "in", name)
	}
	if n := f.host.log.count("event=nats_disconnected"); n != 0 {
		t.Errorf("%d connections were lost, want none", n)
	}
}

// The login is revoked while the new one is at hand: the link goes on with it.
func TestRevocation(t *testing.T) {
	o := operated(t)
	first, second := o.user(0), o.user(0)
	path := credentialtest.WriteFile(t, "nats.creds", []byte(first.creds()))
	f := start(t, wasmcloud.Settings{Config: config("cluster_uris", o.ClientURL())}, messaging.Options{Sources: credential.Registry{"file": file.Open}})
	c := f.component("echo", nil)
	f.put(handler("echo", "default", config("subscriptions", "in", "credentials", "file://"+filepath.ToSlash(path)+"?ttl=1h"), nil))
	nc := o.connect(t)
	f.delivers(c, nc, "in", "before")
	replaceFile(t, path, second.creds())
	o.revoke(first.public)
	f.delivers(c, nc, "in", "after")
	eventually(t, "health is good", func() bool { return f.Health() == nil })
}

// The store is down when the JWT ends: the connection is not given up, and comes back with a fresh one.
func TestStoreDownPastExpiry(t *testing.T) {
	o := operated(t)
	path := credentialtest.WriteFile(t, "nats.creds", []byte(o.user(2*time.Second).creds()))
	f := start(t, wasmcloud.Settings{Config: config("cluster_uris", o.ClientURL())}, messaging.Options{Sources: credential.Registry{"file": file.Open}})
	c := f.component("echo", nil)
	f.put(handler("echo", "default", config("subscriptions", "in", "credentials", "file://"+filepath.ToSlash(path)+"?ttl=1s"), nil))
	nc := o.connect(t)
	f.delivers(c, nc, "in", "before")
	eventually(t, "the JWT has ended", func() bool { return f.Health() != nil && o.names() == "" })
	replaceFile(t, path, o.user(0).creds())
	f.delivers(c, nc, "in", "after")
}
