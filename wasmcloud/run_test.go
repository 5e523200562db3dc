package wasmcloud_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

const healthy = `{"healthy":true}`

// Links of the start are put before components are served, and the provider's config and secrets come first.
func TestStartOrder(t *testing.T) {
	s := runServer(t, &server.Options{})
	h := newHost(t, s.ClientURL())
	sealed := h.handler("echo", "default", map[string]string{"subscriptions": "a"})
	sealed.SourceSecrets, sealed.TargetSecrets = h.seal(map[string]string{"client_jwt": "jwt"}), h.seal(map[string]string{"peer": "of the peer"})
	broken := h.handler("broken", "default", nil)
	broken.SourceSecrets = wasmcloud.Bytes("xkv1 and nothing else")
	h.data["link_definitions"] = []any{sealed, broken, map[string]any{"source_id": 5}, h.handler("second", "named", nil)}
	h.data["config"] = map[string]string{"k": "v"}
	h.data["secrets"] = map[string]any{"s": map[string]any{"kind": "Bytes", "value": []int{1, 2}}}
	p := &recorder{}
	p.serve = func(_ *wrpc.Conn, prefix string) error {
		p.note("serve " + prefix)
		return nil
	}
	h.start(p)
	eventually(t, "components are served", func() bool { return slices.Contains(p.seen(), "serve default."+h.provider) })
	events := p.seen()
	if last := events[len(events)-1]; last != "serve default."+h.provider {
		t.Errorf("the last of %q is not to serve", events)
	}
	slices.Sort(events)
	if diff := cmp.Diff([]string{"put source echo default", "put source second named", "serve default." + h.provider}, events); diff != "" {
		t.Errorf("what the provider was told (-want +got):\n%s", diff)
	}
	want := []wasmcloud.Settings{{Config: map[string]string{"k": "v"}, Secrets: map[string]wasmcloud.Secret{"s": credential.NewSecret([]byte{1, 2})}}}
	if diff := cmp.Diff(want, p.settings, plain); diff != "" {
		t.Errorf("the settings (-want +got):\n%s", diff)
	}
	i := slices.IndexFunc(p.links, func(l wasmcloud.Link) bool { return l.Component == "echo" })
	wantLink := wasmcloud.Link{
		Key: wasmcloud.Key{Role: wasmcloud.Source, Component: "echo", Name: "default", Namespace: "wasmcloud", Package: "messaging"}, Interfaces: []string{"handler"},
		Config: map[string]string{"subscriptions": "a"}, Secrets: map[string]wasmcloud.Secret{"client_jwt": credential.NewSecret("jwt")},
	}
	if diff := cmp.Diff(wantLink, p.links[i], plain); diff != "" {
		t.Errorf("the link (-want +got):\n%s", diff)
	}
	wantHealth := `{"healthy":false,"message":"the link ` + h.provider + `-\u003ebroken: the secrets cannot be opened: they are not sealed by this host for this provider; a link is malformed: source_id is of the wrong type, number"}`
	if got := h.health(); got != wantHealth {
		t.Errorf("health: %s\nwant %s", got, wantHealth)
	}
}

// The host that has no keys for links puts them on the subject of the provider.
func TestLinkPutOfAHostBefore11(t *testing.T) {
	s := runServer(t, &server.Options{})
	h := newHost(t, s.ClientURL())
	h.xkey = nil
	h.data["host_xkey_public_key"], h.data["provider_xkey_private_key"] = "", ""
	p := &recorder{}
	h.start(p)
	h.publish("linkdefs.put", h.handler("echo", "", nil))
	eventually(t, "the link is put", func() bool { return slices.Equal(p.seen(), []string{"put source echo default"}) })
	link := h.handler("second", "", nil)
	link.SourceSecrets = wasmcloud.Bytes("xkv1")
	h.publish("linkdefs.put", link)
	eventually(t, "health tells", func() bool { return strings.Contains(h.health(), "the host gave no key for them") })
}

// A link that is put on the provider's key comes with its secrets; on the provider's own subject it is not looked at.
func TestLinkPutAndDelete(t *testing.T) {
	s := runServer(t, &server.Options{})
	h := newHost(t, s.ClientURL())
	p := &recorder{}
	h.start(p)
	if err := h.nc.Publish("wasmbus.rpc.default."+h.provider+".linkdefs.put", []byte(`{"source_id":"`+h.provider+`","target":"hint"}`)); err != nil {
		t.Fatal(err)
	}
	consumer := wasmcloud.LinkDefinition{SourceID: "echo", Target: h.provider, Name: "second", Namespace: "wasmcloud", Package: "messaging", TargetConfig: map[string]string{"k": "v"}}
	consumer.TargetSecrets = h.seal(map[string]string{"client_seed": "of ours"})
	h.publish("linkdefs.put", h.handler("echo", "", nil))
	eventually(t, "the first", func() bool { return len(p.seen()) == 1 })
	h.publish("linkdefs.put", consumer)
	eventually(t, "the second", func() bool { return len(p.seen()) == 2 })
	h.publish("linkdefs.del", h.handler("echo", "", nil))
	eventually(t, "the third", func() bool { return len(p.seen()) == 3 })
	h.publish("linkdefs.del", consumer)
	eventually(t, "the fourth", func() bool { return len(p.seen()) == 4 })
	want := []string{"put source echo default", "put target echo second", "del source echo default", "del target echo second"}
	if diff := cmp.Diff(want, p.seen()); diff != "" {
		t.Errorf("what the provider was told (-want +got):\n%s", diff)
	}
	if got := string(p.links[1].Secrets["client_seed"].Reveal()); got != "of ours" || len(p.links[1].Secrets) != 1 {
		t.Errorf("%d secrets, client_seed %q, want one, %q", len(p.links[1].Secrets), got, "of ours")
	}
	if strings.Contains(h.log.String(), "of ours") {
		t.Error("the log has a secret")
	}
}

// A link that is stuck holds up no other, nor health.
func TestHealthWhileALinkIsStuck(t *testing.T) {
	s := runServer(t, &server.Options{})
	h := newHost(t, s.ClientURL())
	h.data["link_definitions"] = []any{h.handler("stuck", "", nil)}
	p := &recorder{
		health: func() error { return errors.New("link nats->stuck: not connected") },
		put: func(ctx context.Context, l wasmcloud.Link) error {
			if l.Component == "stuck" {
				<-ctx.Done()
			}
			return ctx.Err()
		},
	}
	h.start(p) // a health check is answered while the first link is being put
	h.publish("linkdefs.put", h.handler("echo", "", nil))
	eventually(t, "the other link", func() bool { return slices.Contains(p.seen(), "put source echo default") })
	if got, want := h.health(), `{"healthy":false,"message":"link nats-\u003estuck: not connected"}`; got != want {
		t.Errorf("health: %s, want %s", got, want)
	}
}

// A provider that does not say how it is does not keep the host waiting.
func TestHealthOfASilentProvider(t *testing.T) {
	s := runServer(t, &server.Options{})
	h := newHost(t, s.ClientURL())
	release := make(chan struct{})
	h.start(&recorder{health: func() error { <-release; return nil }})
	defer close(release)
	if got, want := h.health(), `{"healthy":false,"message":"the provider does not say how it is"}`; got != want {
		t.Errorf("health: %s, want %s", got, want)
	}
}

// An error of a link, and a malformed one, are told until there is better news; other links are not touched.
func TestLinksThatCannotWork(t *testing.T) {
	s := runServer(t, &server.Options{})
	h := newHost(t, s.ClientURL())
	p := &recorder{put: func(_ context.Context, l wasmcloud.Link) error {
		if l.Config["bad"] != "" {
			return errTest
		}
		return nil
	}}
	h.start(p)
	if got := h.health(); got != healthy {
		t.Fatalf("health: %s", got)
	}
	const secret = "SUAverysecret"
	h.publish("linkdefs.put", h.handler("echo", "", map[string]string{"bad": secret}))
	want := `{"healthy":false,"message":"the link ` + h.provider + `-\u003eecho: as the test wants it"}`
	eventually(t, "health tells", func() bool { return h.health() == want })
	h.publish("linkdefs.put", h.handler("echo", "", nil))
	eventually(t, "it works now", func() bool { return h.health() == healthy })
	h.publish("linkdefs.put", h.handler("echo", "", map[string]string{"bad": secret}))
	eventually(t, "health tells again", func() bool { return h.health() == want })
	h.publish("linkdefs.del", h.handler("echo", "", nil))
	eventually(t, "it is gone", func() bool { return h.health() == healthy })

	h.publish("linkdefs.put", []byte(`{"source_id":"`+h.provider+`","target":"x","source_config":{"a":["`+secret+`"]}}`))
	h.publish("linkdefs.put", []byte("\x00\xff"))
	h.publish("linkdefs.put", wasmcloud.LinkDefinition{SourceID: "a", Target: "b"})
	h.publish("linkdefs.del", []byte("[]"))
	h.publish("linkdefs.put", h.handler("other", "", nil))
	eventually(t, "the link behind them", func() bool { return slices.Contains(p.seen(), "put source other default") })
	want = `{"healthy":false,"message":"a link is malformed: source_config is of the wrong type, array; a link is not a JSON object; the link a-\u003eb is not one of the provider ` + h.provider + `"}`
	if got := h.health(); got != want {
		t.Errorf("health: %s\nwant %s", got, want)
	}
	if strings.Contains(h.log.String(), secret) {
		t.Error("the log has a secret")
	}
}

// Each host ends its own provider, of several with one id; what is under way ends first, and then the host has its answer.
func TestShutdownOnlyOfItsOwnHost(t *testing.T) {
	s := runServer(t, &server.Options{})
	var hosts []*host
	var providers []*recorder
	for range 2 {
		h := newHost(t, s.ClientURL())
		if len(hosts) > 0 {
			h.provider = hosts[0].provider
			h.data["provider_key"] = h.provider
		}
		begun := make(chan struct{})
		var finished bool
		p := &recorder{}
		p.serve = func(c *wrpc.Conn, prefix string) error {
			_, err := wrpc.Serve(c, wrpc.Export[struct{}]{
				Function: wrpc.Function{Prefix: prefix, Name: "slow-" + h.id}, Decode: func(*wrpc.Decoder) struct{} { return struct{}{} },
				Handle: func(context.Context, nats.Header, struct{}) ([]byte, error) {
					close(begun)
					time.Sleep(100 * time.Millisecond) // it takes so long; nothing waits for it
					finished = true
					return []byte{0}, nil
				},
			})
			return err
		}
		h.options.Shutdown = patience
		h.start(p)
		hosts, providers = append(hosts, h), append(providers, p)
		if len(hosts) < 2 {
			continue
		}
		// The second one is ended while it handles a call.
		caller := must(wrpc.New(dial(t, s.ClientURL()), wrpc.Options{Timeout: patience}))
		t.Cleanup(caller.Close)
		result := make(chan error, 1)
		call := func() error {
			_, err := caller.Invoke(t.Context(), wrpc.Function{Prefix: "default." + h.provider, Name: "slow-" + h.id}, nil, []byte{0})
			return err
		}
		go func() {
			for {
				err := call()
				if errors.Is(err, wrpc.ErrNoServer) { // it serves in a moment
					continue
				}
				result <- err
				return
			}
		}()
		<-begun
		answer, err := h.request("default.shutdown", map[string]string{"host_id": h.id}, patience)
		if err != nil || answer != "shutting down" || !finished {
			t.Errorf("shutdown: %q, %v, after the call: %v", answer, err, finished)
		}
		if err := <-result; err != nil {
			t.Errorf("the call that was under way: %v", err)
		}
		if err := <-h.ended; err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	}
	// The first one has heard of it too, and goes on.
	for _, body := range []any{map[string]string{"host_id": "NOBODY"}, map[string]string{}, "text", []int{1}} {
		if answer, err := hosts[0].request("default.shutdown", body, 20*time.Millisecond); err == nil {
			t.Errorf("shutdown of %v is answered with %q", body, answer)
		}
	}
	if got := hosts[0].health(); got != healthy {
		t.Errorf("health of the first: %s", got)
	}
	if slices.Contains(providers[0].seen(), "drain") || !slices.Contains(providers[1].seen(), "drain") {
		t.Errorf("drained: the first %q, the second %q", providers[0].seen(), providers[1].seen())
	}
	select {
	case err := <-hosts[0].ended:
		t.Errorf("Run() of the first = %v", err)
	default:
	}
}

// The host has its answer in time also when what is under way does not end.
func TestShutdownDoesNotWaitForWhatDoesNotEnd(t *testing.T) {
	s := runServer(t, &server.Options{})
	for _, test := range []struct {
		name   string
		config map[string]string
	}{{"default", nil}, {"configured", map[string]string{"SHUTDOWN_TIMEOUT_MS": "400"}}} {
		h := newHost(t, s.ClientURL())
		h.data["config"] = test.config
		var given time.Duration
		p := &recorder{drain: func(ctx context.Context) error {
			end, _ := ctx.Deadline()
			given = time.Until(end)
			<-ctx.Done()
			return ctx.Err()
		}}
		h.start(p)
		answer, err := h.request("default.shutdown", map[string]string{"host_id": h.id}, patience)
		if err != nil || answer != "shutting down" {
			t.Errorf("%s: shutdown: %q, %v", test.name, answer, err)
		}
		most := 200 * time.Millisecond // four fifths of 250 ms
		if test.config != nil {
			most = 320 * time.Millisecond
		}
		if given > most || given < 0 {
			t.Errorf("%s: %v for the provider, want at most %v", test.name, given, most)
		}
		if err := <-h.ended; err != nil {
			t.Errorf("%s: Run() = %v, want nil", test.name, err)
		}
	}
}

// A signal ends the provider like a shutdown, without an answer.
func TestTheEndOfTheContext(t *testing.T) {
	s := runServer(t, &server.Options{})
	h := newHost(t, s.ClientURL())
	p := &recorder{}
	h.start(p)
	h.stop()
	if err := <-h.ended; err != nil {
		t.Errorf("Run() = %v, want nil", err)
	}
	if !slices.Contains(p.seen(), "drain") {
		t.Error("the provider was not drained")
	}
}

// A config update is the whole config. One that is equal, as hosts send it after the start, changes nothing; one that the provider
// does not take is told by health.
func TestConfigUpdate(t *testing.T) {
	s := runServer(t, &server.Options{})
	h := newHost(t, s.ClientURL())
	h.data["config"] = map[string]string{"a": "1"}
	h.data["secrets"] = map[string]any{"s": map[string]any{"kind": "String", "value": "t"}}
	p := &recorder{configure: func(s wasmcloud.Settings) error {
		if s.Config["a"] == "bad" {
			return errTest
		}
		return nil
	}}
	h.start(p)
	count := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.settings)
	}
	h.publish("config.update", map[string]string{"a": "1"})
	h.publish("config.update", []byte("{"))
	h.publish("config.update", map[string]string{"b": "2"})
	eventually(t, "the second config", func() bool { return count() == 2 })
	h.publish("config.update", map[string]string{"a": "bad"})
	want := `{"healthy":false,"message":"the config of the provider: as the test wants it"}`
	eventually(t, "health tells", func() bool { return h.health() == want })
	h.publish("config.update", map[string]string{"b": "2"})
	eventually(t, "health is well", func() bool { return h.health() == healthy })
	secrets := map[string]wasmcloud.Secret{"s": credential.NewSecret("t")}
	settings := []wasmcloud.Settings{{Config: map[string]string{"a": "1"}, Secrets: secrets}, {Config: map[string]string{"b": "2"}, Secrets: secrets}, {Config: map[string]string{"a": "bad"}, Secrets: secrets}}
	p.mu.Lock()
	defer p.mu.Unlock()
	if diff := cmp.Diff(settings, p.settings, plain); diff != "" {
		t.Errorf("the settings (-want +got):\n%s", diff)
	}
}

// What a host cannot have meant ends the process at once, and says why.
func TestRunRefuses(t *testing.T) {
	s := runServer(t, &server.Options{})
	for _, test := range []struct {
		change map[string]any
		want   string
		start  bool // a *StartError
	}{
		{map[string]any{"provider_key": ""}, `the host data names no provider that can be called: provider_key is ""`, true},
		{map[string]any{"provider_key": "a b"}, `the host data names no provider that can be called: provider_key is "a b"`, true},
		{map[string]any{"lattice_rpc_prefix": "a.>"}, `the host data names no lattice: lattice_rpc_prefix is "a.>"`, true},
		{map[string]any{"provider_xkey_private_key": "SXnone"}, "provider_xkey_private_key in the host data is not the seed of a curve key", true},
		{map[string]any{"lattice_rpc_user_jwt": "ey"}, "the host data has a JWT for the lattice and no seed for it", false},
		{map[string]any{"lattice_rpc_user_jwt": "ey", "lattice_rpc_user_seed": "SU"}, "the login of the lattice in the host data: credential: invalid: the JWT of a NATS login is not that of a user", false},
		{map[string]any{"config": map[string]string{"LATTICE_CREDENTIALS": "vault://a#b"}}, `lattice_credentials: credential lattice: config: unknown scheme "vault": known are `, false},
	} {
		h := newHost(t, s.ClientURL())
		for key, value := range test.change {
			h.data[key] = value
		}
		h.run(t.Context(), &recorder{})
		err := <-h.ended
		var start *wasmcloud.StartError
		if err == nil || err.Error() != test.want || errors.As(err, &start) != test.start {
			t.Errorf("Run() with %v = %v, want %s", test.change, err, test.want)
		}
	}
	h := newHost(t, s.ClientURL())
	p := &recorder{configure: func(wasmcloud.Settings) error { return errTest }}
	h.run(t.Context(), p)
	if err := <-h.ended; !errors.Is(err, errTest) {
		t.Errorf("Run() with a config that is refused = %v, want %v", err, errTest)
	}
	if err := wasmcloud.Run(t.Context(), wasmcloud.Options{Stdin: strings.NewReader("\n"), Stderr: &record{}}); !errors.Is(err, wasmcloud.ErrNoHostData) {
		t.Errorf("Run() without host data = %v, want %v", err, wasmcloud.ErrNoHostData)
	}
}

// A flood of puts for one link, while it is being put, ends with the last one.
func TestManyPutsOfOneLink(t *testing.T) {
	s := runServer(t, &server.Options{})
	h := newHost(t, s.ClientURL())
	release := make(chan struct{})
	p := &recorder{put: func(ctx context.Context, l wasmcloud.Link) error {
		if l.Config["n"] == "first" {
			<-release
		}
		return nil
	}}
	h.start(p)
	h.publish("linkdefs.put", h.handler("echo", "", map[string]string{"n": "first"}))
	eventually(t, "the first", func() bool { return len(p.seen()) == 1 })
	const last = 1000
	for i := range last + 1 {
		h.publish("linkdefs.put", h.handler("echo", "", map[string]string{"n": fmt.Sprint(i)}))
	}
	h.publish("linkdefs.put", h.handler("other", "", nil))
	eventually(t, "the link behind them", func() bool { return slices.Contains(p.seen(), "put source other default") })
	close(release)
	eventually(t, "the last put", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.links[len(p.links)-1].Config["n"] == fmt.Sprint(last)
	})

}
