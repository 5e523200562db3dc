package wasmcloud_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for and never expects to.
const patience = 30 * time.Second

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never happens: %s", what)
		}
	}
}

func runServer(t testing.TB, o *server.Options) *server.Server {
	t.Helper()
	o.Host, o.NoSigs, o.NoLog = "127.0.0.1", true, true
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	s := must(server.NewServer(o))
	go s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	return s
}

// operator signs for a server in JWT mode.
type operator struct {
	*server.Server
	account nkeys.KeyPair
}

func operated(t testing.TB) *operator {
	t.Helper()
	root := must(nkeys.CreateOperator())
	o := &operator{account: must(nkeys.CreateAccount())}
	claims := jwt.NewAccountClaims(must(o.account.PublicKey()))
	resolver := &server.MemAccResolver{}
	if err := resolver.Store(claims.Subject, must(claims.Encode(root))); err != nil {
		t.Fatal(err)
	}
	trusted := must(jwt.DecodeOperatorClaims(must(jwt.NewOperatorClaims(must(root.PublicKey())).Encode(root))))
	o.Server = runServer(t, &server.Options{TrustedOperators: []*jwt.OperatorClaims{trusted}, AccountResolver: resolver})
	return o
}

// user makes a user whose JWT ends after so long, 0 for never.
func (o *operator) user(life time.Duration, with ...func(*jwt.UserClaims)) (token, seed string) {
	pair := must(nkeys.CreateUser())
	claims := jwt.NewUserClaims(must(pair.PublicKey()))
	if life > 0 {
		claims.Expires = time.Now().Add(life).Unix()
	}
	for _, f := range with {
		f(claims)
	}
	return must(claims.Encode(o.account)), string(must(pair.Seed()))
}

func dial(t testing.TB, url string, o ...nats.Option) *nats.Conn {
	t.Helper()
	closed := make(chan struct{})
	nc := must(nats.Connect(url, append(o, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...))
	t.Cleanup(func() {
		nc.Close()
		<-closed
	})
	return nc
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

// host stands in for a wasmCloud host with one provider.
type host struct {
	t        testing.TB
	nc       *nats.Conn
	id       string
	lattice  string
	provider string
	own      nkeys.KeyPair // nil before wasmCloud 1.1
	xkey     nkeys.KeyPair // of the provider
	data     map[string]any
	log      *record
	ended    chan error
	stop     context.CancelFunc
	options  wasmcloud.Options
	*wasmcloud.Runtime
}

// newHost is a host that has not started its provider yet. Its data may be changed before.
func newHost(t testing.TB, url string, o ...nats.Option) *host {
	t.Helper()
	h := &host{
		t: t, nc: dial(t, url, o...), lattice: "default", provider: "nats-" + nats.NewInbox()[7:13], log: &record{}, ended: make(chan error, 1),
		id: must(must(nkeys.CreateServer()).PublicKey()), own: must(nkeys.CreateCurveKeys()), xkey: must(nkeys.CreateCurveKeys()),
	}
	h.data = map[string]any{
		"host_id": h.id, "lattice_rpc_prefix": h.lattice, "lattice_rpc_url": url, "provider_key": h.provider, "env_values": map[string]string{}, "link_definitions": []any{},
		"host_xkey_public_key": must(h.own.PublicKey()), "provider_xkey_private_key": string(must(h.xkey.Seed())), "instance_id": "6b1b5f0e-6e1f-4f0a-9d0a-000000000001", "log_level": "debug",
	}
	return h
}

// start runs the provider as a host does, and returns when it answers health.
func (h *host) start(p wasmcloud.Provider) *host {
	h.t.Helper()
	h.run(h.t.Context(), p)
	eventually(h.t, "the provider answers", func() bool {
		select {
		case err := <-h.ended:
			h.t.Fatalf("Run() = %v\n%s", err, h.log)
		default:
		}
		_, err := h.request("health", nil, time.Second)
		return err == nil && strings.Contains(h.log.String(), "the provider has started")
	})
	return h
}

func (h *host) run(ctx context.Context, p wasmcloud.Provider) {
	ctx, h.stop = context.WithCancel(ctx)
	o := h.options
	o.Stdin, o.Stderr = strings.NewReader(encode(string(must(json.Marshal(h.data))))+"\r\n"), h.log
	made := make(chan *wasmcloud.Runtime, 1)
	o.New = func(r *wasmcloud.Runtime) (wasmcloud.Provider, error) {
		made <- r
		return p, nil
	}
	over := make(chan struct{})
	go func() {
		h.ended <- wasmcloud.Run(ctx, o)
		close(over)
	}()
	h.t.Cleanup(func() {
		h.stop()
		<-over
	})
	select {
	case h.Runtime = <-made:
	case <-over:
	}
}

func (h *host) subject(what string) string {
	to := h.provider
	if what == "linkdefs.put" && h.xkey != nil {
		to = must(h.xkey.PublicKey())
	}
	return "wasmbus.rpc." + h.lattice + "." + to + "." + what
}

func (h *host) request(what string, body any, wait time.Duration) (string, error) {
	m, err := h.nc.Request(h.subject(what), must(json.Marshal(body)), wait)
	if err != nil {
		return "", err
	}
	return string(m.Data), nil
}

func (h *host) publish(what string, body any) {
	h.t.Helper()
	data, is := body.([]byte)
	if !is {
		data = must(json.Marshal(body))
	}
	if err := h.nc.Publish(h.subject(what), data); err != nil {
		h.t.Fatal(err)
	}
}

// health asks as a host does, which waits 2 s.
func (h *host) health() string {
	h.t.Helper()
	answer, err := h.request("health", nil, 2*time.Second)
	if err != nil {
		h.t.Fatalf("no answer to health: %v", err)
	}
	return answer
}

// seal encrypts secrets of kind String for the provider.
func (h *host) seal(secrets map[string]string) wasmcloud.Bytes {
	values := map[string]any{}
	for name, value := range secrets {
		values[name] = map[string]string{"kind": "String", "value": value}
	}
	return must(h.own.Seal(must(json.Marshal(values)), must(h.xkey.PublicKey())))
}

// handler is a link of which the provider is the source.
func (h *host) handler(component, name string, config map[string]string) wasmcloud.LinkDefinition {
	return wasmcloud.LinkDefinition{
		SourceID: h.provider, Target: component, Name: name, Namespace: "wasmcloud", Package: "messaging", Interfaces: []string{"handler"},
		SourceConfig: config, TargetConfig: map[string]string{},
	}
}

// recorder is a Provider that remembers, and does what its functions say.
type recorder struct {
	mu       sync.Mutex
	events   []string
	links    []wasmcloud.Link
	settings []wasmcloud.Settings
	serves   int

	configure func(wasmcloud.Settings) error
	put       func(context.Context, wasmcloud.Link) error
	health    func() error
	drain     func(context.Context) error
	serve     func(*wrpc.Conn, string) error
}

func (r *recorder) note(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

func (r *recorder) seen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.events...)
}

func (r *recorder) Configure(_ context.Context, s wasmcloud.Settings) error {
	r.mu.Lock()
	r.settings = append(r.settings, s)
	r.mu.Unlock()
	if r.configure != nil {
		return r.configure(s)
	}
	return nil
}

func (r *recorder) PutLink(ctx context.Context, l wasmcloud.Link) error {
	r.mu.Lock()
	r.links = append(r.links, l)
	r.mu.Unlock()
	r.note("put " + l.Role.String() + " " + l.Component + " " + l.Name)
	if r.put != nil {
		return r.put(ctx, l)
	}
	return nil
}

func (r *recorder) DeleteLink(_ context.Context, l wasmcloud.Link) error {
	r.note("del " + l.Role.String() + " " + l.Component + " " + l.Name)
	return nil
}

func (r *recorder) Serve(c *wrpc.Conn, prefix string) error {
	r.mu.Lock()
	r.serves++
	r.mu.Unlock()
	if r.serve != nil {
		return r.serve(c, prefix)
	}
	return nil
}

func (r *recorder) Health() error {
	if r.health != nil {
		return r.health()
	}
	return nil
}

func (r *recorder) Drain(ctx context.Context) error {
	r.note("drain")
	if r.drain != nil {
		return r.drain(ctx)
	}
	return nil
}

var errTest = errors.New("as the test wants it")
