package messaging_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/pubsub/pubsubtest"
	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/messaging"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// run starts a NATS server for a test.
func run(t testing.TB, opts *server.Options) *server.Server {
	t.Helper()
	opts.Host, opts.NoSigs, opts.NoLog = "127.0.0.1", true, true
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	s := must(server.NewServer(opts))
	go s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	return s
}

func connect(t testing.TB, s *server.Server, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc := must(nats.Connect(s.ClientURL(), options...))
	t.Cleanup(nc.Close)
	return nc
}

// operator signs for a server in JWT mode.
type operator struct {
	t        testing.TB
	root     nkeys.KeyPair
	account  nkeys.KeyPair
	claims   *jwt.AccountClaims
	resolver *server.MemAccResolver
	*server.Server
}

func operated(t testing.TB, with ...func(*server.Options, *jwt.AccountClaims)) *operator {
	t.Helper()
	o := &operator{t: t, root: must(nkeys.CreateOperator()), account: must(nkeys.CreateAccount()), resolver: &server.MemAccResolver{}}
	o.claims = jwt.NewAccountClaims(must(o.account.PublicKey()))
	trusted := must(jwt.DecodeOperatorClaims(must(jwt.NewOperatorClaims(must(o.root.PublicKey())).Encode(o.root))))
	opts := &server.Options{TrustedOperators: []*jwt.OperatorClaims{trusted}, AccountResolver: o.resolver}
	for _, f := range with {
		f(opts, o.claims)
	}
	if opts.JetStream { // it belongs to the system account
		system := jwt.NewAccountClaims(must(must(nkeys.CreateAccount()).PublicKey()))
		opts.SystemAccount = system.Subject
		if err := o.resolver.Store(system.Subject, must(system.Encode(o.root))); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.resolver.Store(o.claims.Subject, must(o.claims.Encode(o.root))); err != nil {
		t.Fatal(err)
	}
	o.Server = run(t, opts)
	return o
}

// pair is a JWT and its seed.
type pair struct{ jwt, seed, public string }

// user makes a user whose JWT ends after so long; 0 for never.
func (o *operator) user(life time.Duration, with ...func(*jwt.UserClaims)) pair {
	key := must(nkeys.CreateUser())
	claims := jwt.NewUserClaims(must(key.PublicKey()))
	if life != 0 {
		claims.Expires = time.Now().Add(life).Unix()
	}
	for _, f := range with {
		f(claims)
	}
	return pair{must(claims.Encode(o.account)), string(must(key.Seed())), claims.Subject}
}

func (o *operator) connect(t testing.TB) *nats.Conn {
	p := o.user(0)
	return connect(t, o.Server, nats.UserJWTAndSeed(p.jwt, p.seed))
}

// revoke has the server refuse a user.
func (o *operator) revoke(public string) {
	o.t.Helper()
	o.claims.Revoke(public)
	encoded := must(o.claims.Encode(o.root))
	if err := o.resolver.Store(o.claims.Subject, encoded); err != nil {
		o.t.Fatal(err)
	}
	o.UpdateAccountClaims(must(o.LookupAccount(o.claims.Subject)), must(jwt.DecodeAccountClaims(encoded)))
}

func (p pair) secrets() map[string]wasmcloud.Secret {
	return secrets("client_jwt", p.jwt, "client_seed", p.seed)
}

func (p pair) config(more ...string) map[string]string {
	return config(append(more, "client_jwt", p.jwt, "client_seed", p.seed)...)
}

func (p pair) creds() string {
	return string(must(jwt.FormatUserConfig(p.jwt, []byte(p.seed))))
}

func secrets(pairs ...string) map[string]wasmcloud.Secret {
	m := make(map[string]wasmcloud.Secret)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = credential.NewSecret(pairs[i+1])
	}
	return m
}

func config(pairs ...string) map[string]string {
	m := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// record is a log to read.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *record) count(what string) int { return strings.Count(r.String(), what) }

// lines returns those that hold a text.
func (r *record) lines(what string) []string {
	var all []string
	for line := range strings.Lines(r.String()) {
		if strings.Contains(line, what) {
			all = append(all, line)
		}
	}
	return all
}

// host is a host as far as the provider sees it, on a lattice of its own.
type host struct {
	t        testing.TB
	instance string
	log      record
	lattice  *nats.Conn
	rpc      *wrpc.Conn
}

func (h *host) Invoke(ctx context.Context, component string, f wrpc.Function, header nats.Header, params []byte) ([]byte, error) {
	f.Prefix = "default." + component
	full := nats.Header{"source-id": {"messaging"}, "target-id": {component}}
	for name, values := range header {
		full[name] = values
	}
	return h.rpc.Invoke(ctx, f, full, params)
}

func (h *host) ProviderID() string { return "messaging" }
func (h *host) InstanceID() string { return h.instance }
func (h *host) Lattice() string    { return "default" }
func (h *host) Log() *slog.Logger {
	return slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// fixture is a provider on a lattice.
type fixture struct {
	*messaging.Provider
	t       testing.TB
	host    *host
	lattice *server.Server
	caller  *wrpc.Conn // as a component

	mu    sync.Mutex
	known []string // secrets, which must not be in the log
}

// start makes a provider that is served, with a provider config.
func start(t testing.TB, own wasmcloud.Settings, o messaging.Options) *fixture {
	t.Helper()
	return startOn(t, run(t, &server.Options{}), own, o)
}

func startOn(t testing.TB, lattice *server.Server, own wasmcloud.Settings, o messaging.Options) *fixture {
	t.Helper()
	h := &host{t: t, instance: fmt.Sprintf("instance-%d", time.Now().UnixNano())}
	h.lattice = connect(t, lattice)
	h.rpc = must(wrpc.New(h.lattice, wrpc.Options{Log: h.Log()}))
	t.Cleanup(h.rpc.Close)
	f := &fixture{t: t, host: h, lattice: lattice, Provider: messaging.New(h, o)}
	if err := f.Configure(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	if err := f.Serve(h.rpc, "default.messaging"); err != nil {
		t.Fatal(err)
	}
	_ = h.lattice.Flush()
	f.caller = must(wrpc.New(connect(t, lattice), wrpc.Options{Log: h.Log()}))
	t.Cleanup(f.caller.Close)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.Drain(ctx); err != nil {
			t.Errorf("Drain = %v", err)
		}
		if leaked := credentialtest.Leaks(h.log.String(), f.known...); len(leaked) > 0 {
			t.Errorf("the log holds %d secrets", len(leaked))
		} else if t.Failed() {
			t.Log(h.log.String())
		}
	})
	f.know(own.Config, own.Secrets)
	return f
}

// know has the log searched for what must not be in it.
func (f *fixture) know(config map[string]string, secrets map[string]wasmcloud.Secret) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range []string{"client_jwt", "client_seed", "nats_creds", "password", "token", "nkey"} {
		f.known = append(f.known, config[name])
	}
	for _, s := range secrets {
		f.known = append(f.known, string(s.Reveal()))
	}
}

// handler is a link over which the component gets messages, target one over which it sends them.
func handler(component, name string, config map[string]string, secrets map[string]wasmcloud.Secret) wasmcloud.Link {
	return wasmcloud.Link{Key: wasmcloud.Key{Role: wasmcloud.Source, Component: component, Name: name, Namespace: "wasmcloud", Package: "messaging"}, Interfaces: []string{"handler"}, Config: config, Secrets: secrets}
}

func target(component, name string, config map[string]string, secrets map[string]wasmcloud.Secret) wasmcloud.Link {
	l := handler(component, name, config, secrets)
	l.Role, l.Interfaces = wasmcloud.Target, []string{"consumer"}
	return l
}

func (f *fixture) put(l wasmcloud.Link) {
	f.t.Helper()
	f.know(l.Config, l.Secrets)
	if err := f.PutLink(f.t.Context(), l); err != nil {
		f.t.Fatalf("PutLink(%v) = %v, want nil", l.Key, err)
	}
}

func (f *fixture) remove(l wasmcloud.Link) {
	f.t.Helper()
	if err := f.DeleteLink(f.t.Context(), wasmcloud.Link{Key: l.Key}); err != nil {
		f.t.Fatalf("DeleteLink(%v) = %v, want nil", l.Key, err)
	}
}

// publish calls consumer.publish as a component.
func (f *fixture) publish(component, link string, m wrpc.BrokerMessage) (wrpc.Done, error) {
	header := nats.Header{"source-id": {component}, "link-name": {link}}
	return wrpc.Invoke(f.t.Context(), f.caller, wrpc.Function{Prefix: "default.messaging", Instance: wrpc.ConsumerInstance, Name: wrpc.PublishFunction}, header, wrpc.AppendMessage(nil, m), wrpc.DecodeDone)
}

// request calls consumer.request as a component.
func (f *fixture) request(component, link string, p wrpc.RequestParams) (wrpc.Reply, error) {
	header := nats.Header{"source-id": {component}, "link-name": {link}}
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	return wrpc.Invoke(ctx, f.caller, wrpc.Function{Prefix: "default.messaging", Instance: wrpc.ConsumerInstance, Name: wrpc.RequestFunction}, header, wrpc.AppendRequest(nil, p), wrpc.DecodeReply)
}

// delivers checks that a message to subject reaches the component.
func (f *fixture) delivers(c *component, nc *nats.Conn, subject, when string) {
	f.t.Helper()
	before := c.count()
	eventually(f.t, when+": the component gets a message", func() bool {
		if err := nc.Publish(subject, []byte(when)); err != nil {
			f.t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond) // a message a moment, not a flood
		return c.count() > before
	})
}

// component is one that handles messages.
type component struct {
	mu       sync.Mutex
	got      []wrpc.BrokerMessage
	headers  []nats.Header
	bodies   map[string]int
	now, top int // calls at the same time
	answer   func(m wrpc.BrokerMessage) wrpc.Done
}

// component serves handle-message on the lattice.
func (f *fixture) component(id string, answer func(m wrpc.BrokerMessage) wrpc.Done) *component {
	f.t.Helper()
	nc := connect(f.t, f.lattice)
	conn := must(wrpc.New(nc, wrpc.Options{Log: slog.New(slog.DiscardHandler)}))
	f.t.Cleanup(func() { // the provider waits for the answers of calls that have come
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = conn.Drain(ctx) // some handlers never return
	})
	c := &component{bodies: make(map[string]int), answer: answer}
	must(wrpc.Serve(conn, wrpc.Export[wrpc.BrokerMessage]{
		Function: wrpc.Function{Prefix: "default." + id, Instance: wrpc.HandlerInstance, Name: wrpc.HandleMessageFunction},
		Decode:   wrpc.DecodeMessage, Handle: c.handle,
	}))
	if err := nc.Flush(); err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (c *component) handle(_ context.Context, header nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
	m.Body = append([]byte(nil), m.Body...)
	c.mu.Lock()
	c.now++
	c.top = max(c.top, c.now)
	c.got = append(c.got, m)
	c.headers = append(c.headers, header)
	c.bodies[string(m.Body)]++
	c.mu.Unlock()
	done := wrpc.Done{}
	if c.answer != nil {
		done = c.answer(m)
	}
	c.mu.Lock()
	c.now--
	c.mu.Unlock()
	return wrpc.AppendDone(nil, done), nil
}

func (c *component) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got)
}

func (c *component) messages() []wrpc.BrokerMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]wrpc.BrokerMessage(nil), c.got...)
}

// texts are the bodies in the order of arrival.
func (c *component) texts() []string {
	var all []string
	for _, m := range c.messages() {
		all = append(all, string(m.Body))
	}
	return all
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	pubsubtest.Eventually(t, what, holds)
}

// replaceFile puts another file in the place of one, at once.
func replaceFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
