package wasmcloud_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/file"
	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// echoing serves a function that returns its parameters.
func echoing() *recorder {
	return &recorder{serve: func(c *wrpc.Conn, prefix string) error {
		_, err := wrpc.Serve(c, wrpc.Export[[]byte]{
			Function: wrpc.Function{Prefix: prefix, Name: "echo"}, Decode: (*wrpc.Decoder).Bytes,
			Handle: func(_ context.Context, _ nats.Header, b []byte) ([]byte, error) { return wrpc.AppendBytes(nil, b), nil },
		})
		return err
	}}
}

// component serves a function that returns its parameters, as a component would, on a connection of its own.
func component(t testing.TB, nc *nats.Conn, name string) (headers func() []nats.Header) {
	t.Helper()
	c := must(wrpc.New(nc, wrpc.Options{Timeout: patience}))
	t.Cleanup(c.Close)
	var mu sync.Mutex
	var all []nats.Header
	must(wrpc.Serve(c, wrpc.Export[[]byte]{
		Function: wrpc.Function{Prefix: "default." + name, Name: "handle"}, Decode: (*wrpc.Decoder).Bytes,
		Handle: func(_ context.Context, h nats.Header, b []byte) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, h)
			return wrpc.AppendBytes(nil, b), nil
		},
	}))
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() []nats.Header {
		mu.Lock()
		defer mu.Unlock()
		return append([]nats.Header(nil), all...)
	}
}

func asUser(token, seed string) nats.Option { return nats.UserJWTAndSeed(token, seed) }

// callBoth calls the provider, and has it call a component.
func callBoth(t testing.TB, h *host, caller *wrpc.Conn) error {
	params := wrpc.AppendBytes(nil, []byte("hello"))
	got, err := caller.Invoke(t.Context(), wrpc.Function{Prefix: "default." + h.provider, Name: "echo"}, nil, params)
	if err == nil && string(got) != string(params) {
		err = errors.New("another answer")
	}
	if err != nil {
		return err
	}
	_, err = h.Invoke(t.Context(), "echo", wrpc.Function{Name: "handle"}, nil, params)
	return err
}

// The lattice is reached without a login, with JWT and seed, and with the user in the address.
func TestLatticeLogins(t *testing.T) {
	o := operated(t)
	token, seed := o.user(0)
	anonymous := runServer(t, &server.Options{})
	named := runServer(t, &server.Options{Username: "u", Password: "p"})
	withToken := runServer(t, &server.Options{Authorization: "a token"})
	for _, test := range []struct {
		name, url string
		login     nats.Option
		data      map[string]any
	}{
		{"anonymous", anonymous.ClientURL(), nil, nil},
		{"JWT and seed", o.ClientURL(), asUser(token, seed), map[string]any{"lattice_rpc_user_jwt": token, "lattice_rpc_user_seed": seed + "\n"}},
		{"no scheme", anonymous.ClientURL(), nil, map[string]any{"lattice_rpc_url": strings.TrimPrefix(anonymous.ClientURL(), "nats://")}},
		{"user in the address", named.ClientURL(), nats.UserInfo("u", "p"), map[string]any{"lattice_rpc_url": strings.Replace(named.ClientURL(), "//", "//u:p@", 1)}},
		{"token in the address", withToken.ClientURL(), nats.Token("a token"), map[string]any{"lattice_rpc_url": strings.Replace(withToken.ClientURL(), "//", "//a%20token@", 1)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var options []nats.Option
			if test.login != nil {
				options = append(options, test.login)
			}
			h := newHost(t, test.url, options...)
			for key, value := range test.data {
				h.data[key] = value
			}
			h.start(echoing())
			if got := h.health(); got != healthy {
				t.Errorf("health: %s", got)
			}
			for _, secret := range []string{seed, token, "a token", "u:p"} {
				if strings.Contains(h.log.String(), secret) {
					t.Errorf("the log has a secret")
				}
			}
		})
	}
}

// The JWT in the host data has a user whose rights are those that a lattice needs, and no more.
func TestLatticeRightsThatAreNeeded(t *testing.T) {
	o := operated(t)
	h := newHost(t, o.ClientURL(), asUser(o.user(0)))
	token, seed := o.user(0, func(c *jwt.UserClaims) {
		c.Sub.Allow.Add("wasmbus.rpc.default."+h.provider+".>", "wasmbus.rpc.default."+must(h.xkey.PublicKey())+".linkdefs.put", "default."+h.provider+".wrpc.>", "_INBOX.>")
		c.Pub.Allow.Add("default.*.wrpc.>", "_INBOX.>")
	})
	h.data["lattice_rpc_user_jwt"], h.data["lattice_rpc_user_seed"] = token, seed
	p := echoing()
	h.start(p)
	component(t, h.nc, "echo")
	caller := must(wrpc.New(h.nc, wrpc.Options{Timeout: patience}))
	t.Cleanup(caller.Close)
	eventually(t, "calls both ways", func() bool { return callBoth(t, h, caller) == nil })
	h.publish("linkdefs.put", h.handler("echo", "", nil))
	eventually(t, "the link is put", func() bool { return len(p.seen()) == 1 })
	if text := h.log.String(); strings.Contains(strings.ToLower(text), "violation") {
		t.Errorf("the server refused something:\n%s", text)
	}
}

// The server may come later than the provider.
func TestLatticeServerComesLater(t *testing.T) {
	s := runServer(t, &server.Options{})
	h := newHost(t, s.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	port := s.Addr().(*net.TCPAddr).Port
	s.Shutdown()
	s.WaitForShutdown()
	h.run(t.Context(), echoing())
	eventually(t, "the provider has started", func() bool { return strings.Contains(h.log.String(), "the provider has started") })
	runServer(t, &server.Options{Port: port})
	eventually(t, "health is answered", func() bool {
		answer, err := h.request("health", nil, time.Second)
		return err == nil && answer == healthy
	})
}

// creds writes a credentials file as a whole.
func creds(t testing.TB, path, token, seed string) {
	t.Helper()
	text := must(jwt.FormatUserConfig(token, []byte(seed)))
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// The login of the lattice comes from a credentials file that the provider's config names. It rotates while calls go both ways, and a
// JWT that has ended is shown to nobody: no call fails, none is handled twice, and what the host says is heard throughout.
func TestLatticeCredentialsRotateUnderCalls(t *testing.T) {
	o := operated(t)
	token, seed := o.user(0)
	h := newHost(t, o.ClientURL(), asUser(token, seed))
	path := filepath.Join(t.TempDir(), "lattice.creds")
	const life = 8 * time.Second
	first, firstSeed := o.user(life)
	creds(t, path, first, firstSeed)
	h.data["config"] = map[string]string{"lattice_credentials": "file://" + path + "?ttl=1s"}
	h.options.Sources = credential.Registry{"file": file.Open}
	p := echoing()
	h.start(p)
	handled := component(t, dial(t, o.ClientURL(), asUser(token, seed)), "echo")
	caller := must(wrpc.New(dial(t, o.ClientURL(), asUser(token, seed)), wrpc.Options{Timeout: patience}))
	t.Cleanup(caller.Close)
	eventually(t, "the first call", func() bool { return callBoth(t, h, caller) == nil })
	before := len(handled())

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var work sync.WaitGroup
	var calls atomic.Int64
	for range 8 {
		work.Go(func() {
			for ctx.Err() == nil {
				if err := callBoth(t, h, caller); err != nil {
					t.Errorf("a call during rotation: %v", err)
					return
				}
				calls.Add(1)
			}
		})
	}
	begun := time.Now()
	rotations := 0
	for time.Since(begun) < life+time.Second || rotations < 3 {
		next, nextSeed := o.user(life)
		connected := strings.Count(h.log.String(), "handed over to a new NATS connection")
		creds(t, path, next, nextSeed)
		eventually(t, "a hand-over", func() bool { return strings.Count(h.log.String(), "handed over to a new NATS connection") > connected })
		rotations++
		h.publish("linkdefs.put", h.handler("c", "", map[string]string{"n": strings.Repeat("x", rotations)}))
		h.publish("linkdefs.del", h.handler("d", "", nil))
		h.publish("linkdefs.put", h.handler("d", "", nil))
		if got := h.health(); got != healthy {
			t.Errorf("health during rotation: %s", got)
		}
	}
	stop()
	work.Wait()
	if got := int64(len(handled()) - before); got != calls.Load() {
		t.Errorf("the component handled %d calls of %d", got, calls.Load())
	}
	eventually(t, "the last links", func() bool {
		seen := p.seen()
		last := map[string]string{}
		for _, event := range seen {
			words := strings.Fields(event)
			last[words[2]] = words[0]
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		longest := 0
		for _, l := range p.links {
			longest = max(longest, len(l.Config["n"]))
		}
		return last["c"] == "put" && last["d"] == "put" && longest == rotations
	})
	eventually(t, "the server has one connection of the provider", func() bool {
		n := 0
		for _, c := range must(o.Connz(&server.ConnzOptions{})).Conns {
			if c.Name == "parley-provider" {
				n++
			}
		}
		return n == 1
	})
	t.Logf("%d calls each way during %d rotations", calls.Load(), rotations)
}

// Where a config update names another source for the login of the lattice, that is in use without a restart.
func TestLatticeCredentialsChangeByConfigUpdate(t *testing.T) {
	o := operated(t)
	h := newHost(t, o.ClientURL(), asUser(o.user(0)))
	folder := t.TempDir()
	names := []string{filepath.Join(folder, "one.creds"), filepath.Join(folder, "two.creds")}
	var users []string
	for _, name := range names {
		token, seed := o.user(0)
		creds(t, name, token, seed)
		users = append(users, must(jwt.DecodeUserClaims(token)).Subject)
	}
	h.data["config"] = map[string]string{"Lattice_Credentials": "file://" + names[0]}
	h.options.Sources = credential.Registry{"file": file.Open}
	h.start(echoing())
	connected := func() string {
		for _, c := range must(o.Connz(&server.ConnzOptions{Username: true})).Conns {
			if c.Name == "parley-provider" {
				return c.AuthorizedUser
			}
		}
		return ""
	}
	if got := connected(); got != users[0] {
		t.Errorf("connected as %s, want %s", got, users[0])
	}
	h.publish("config.update", map[string]string{"lattice_credentials": "file://" + names[1]})
	eventually(t, "connected as the other", func() bool { return connected() == users[1] })
	h.publish("config.update", map[string]string{"lattice_credentials": "nowhere://x"})
	eventually(t, "health tells", func() bool { return strings.Contains(h.health(), "lattice_credentials: ") })
}

// The login of the lattice is refused: the one before stays in use and health says why.
func TestLatticeLoginIsRefused(t *testing.T) {
	o := operated(t)
	h := newHost(t, o.ClientURL(), asUser(o.user(0)))
	path := filepath.Join(t.TempDir(), "lattice.creds")
	token, seed := o.user(0)
	creds(t, path, token, seed)
	h.data["config"] = map[string]string{"lattice_credentials": "file://" + path + "?ttl=1s"}
	h.options.Sources = credential.Registry{"file": file.Open}
	h.start(echoing())
	stranger := operated(t)
	token, seed = stranger.user(0)
	creds(t, path, token, seed)
	eventually(t, "health tells", func() bool {
		got := h.health()
		return strings.HasPrefix(got, `{"healthy":false,"message":"lattice: `) && strings.Contains(got, "efused")
	})
	token, seed = o.user(0)
	creds(t, path, token, seed)
	eventually(t, "health is well", func() bool { return h.health() == healthy })
}

// A component is called with the headers of the contract, and the trace of the caller, or else of the message.
func TestInvokeSetsHeaders(t *testing.T) {
	s := runServer(t, &server.Options{})
	h := newHost(t, s.ClientURL())
	h.start(echoing())
	headers := component(t, h.nc, "echo")
	params := wrpc.AppendBytes(nil, []byte("x"))
	given := nats.Header{"traceparent": {traceparent}, "tracestate": {"a=b"}, "source-id": {"forged"}, "own": {"1", "2"}}
	if _, err := h.Invoke(t.Context(), "echo", wrpc.Function{Prefix: "ignored", Name: "handle"}, given, params); err != nil {
		t.Fatal(err)
	}
	if given.Get("source-id") != "forged" || len(given) != 4 {
		t.Errorf("the headers of the caller became %v", given)
	}
	if _, err := h.Invoke(wasmcloud.ExtractTrace(t.Context(), given), "echo", wrpc.Function{Name: "handle"}, nil, params); err != nil {
		t.Fatal(err)
	}
	want := []nats.Header{
		{"source-id": {h.provider}, "target-id": {"echo"}, "traceparent": {traceparent}, "tracestate": {"a=b"}, "own": {"1", "2"}},
		{"source-id": {h.provider}, "target-id": {"echo"}, "traceparent": {traceparent}, "tracestate": {"a=b"}},
	}
	if diff := cmp.Diff(want, headers()); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if _, err := h.Invoke(t.Context(), "nobody", wrpc.Function{Name: "handle"}, nil, params); !errors.Is(err, wrpc.ErrNoServer) {
		t.Errorf("Invoke of nobody = %v, want %v", err, wrpc.ErrNoServer)
	}
	if _, err := h.Invoke(t.Context(), "a.>", wrpc.Function{Name: "handle"}, nil, params); err == nil {
		t.Error("Invoke of a wildcard works")
	}
	if h.ProviderID() != h.provider || h.InstanceID() != "6b1b5f0e-6e1f-4f0a-9d0a-000000000001" || h.Lattice() != "default" {
		t.Errorf("the host says %q, %q, %q", h.ProviderID(), h.InstanceID(), h.Lattice())
	}
}
