package secrets_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/wasmcloud/claims"
	"github.com/parley-backend/parley/wasmcloud/secrets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// serve starts a NATS server.
func serve(t testing.TB, opts *server.Options) *server.Server {
	t.Helper()
	opts.Host, opts.Port, opts.NoSigs, opts.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	s := must(server.NewServer(opts))
	go s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not get ready")
	}
	return s
}

func connect(t testing.TB, url string, with ...func(*natsconn.Config)) *natsconn.Conn {
	t.Helper()
	cfg := natsconn.Config{Servers: []string{url}, Name: "test", Spread: time.Millisecond}
	for _, change := range with {
		change(&cfg)
	}
	conn := must(natsconn.Open(t.Context(), cfg))
	t.Cleanup(conn.Close)
	return conn
}

// store is a source that a test changes.
type store struct {
	mu      sync.Mutex
	payload credential.Payload
	err     error
}

func keeps(versions ...credential.Version) *store {
	return &store{payload: credential.Payload{Versions: versions}}
}

func text(id, value string) credential.Version {
	return credential.Version{ID: id, Value: credential.NewSecret(value)}
}

func fields(id string, pairs ...string) credential.Version {
	v := credential.Version{ID: id, Fields: map[string]credential.Secret{}}
	for i := 0; i < len(pairs); i += 2 {
		v.Fields[pairs[i]] = credential.NewSecret(pairs[i+1])
	}
	return v
}

func (s *store) Info() credential.Info { return credential.Info{Scheme: "test"} }

func (s *store) Fetch(context.Context) (credential.Payload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return credential.Payload{}, s.err
	}
	out := credential.Payload{Form: s.payload.Form}
	for _, v := range s.payload.Versions { // the engine owns what it is given
		v.Value = credential.NewSecret(v.Value.Reveal())
		kept := v.Fields
		v.Fields = nil
		for name, f := range kept {
			if v.Fields == nil {
				v.Fields = map[string]credential.Secret{}
			}
			v.Fields[name] = credential.NewSecret(f.Reveal())
		}
		out.Versions = append(out.Versions, v)
	}
	return out, nil
}

func (s *store) put(err error, versions ...credential.Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.payload.Versions, s.err = versions, err
}

// hold makes and starts a credential.
func hold(t testing.TB, source credential.Source, with ...func(*credential.Config)) *credential.Credential {
	t.Helper()
	cfg := credential.Config{Name: "test", Source: source, Kind: credential.API, TTL: time.Hour, Present: true, Startup: credential.Degraded, InstallKey: credential.NewSecret("an install key of the tests, long enough")}
	for _, change := range with {
		change(&cfg)
	}
	c := must(credential.New(cfg))
	t.Cleanup(c.Stop)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func binary(cfg *credential.Config) { cfg.Binary = true }

// lattice is who asks: an account that signs, one that nobody trusts, and what they signed.
type lattice struct {
	issuer, stranger *claims.Key
	provider         *claims.Key
	host             *claims.Key
	hostIssuer       *claims.Key
}

func newLattice() *lattice {
	return &lattice{
		issuer: claims.Generate(claims.Account), stranger: claims.Generate(claims.Account), provider: claims.Generate(claims.Provider),
		host: claims.Generate(claims.Host), hostIssuer: claims.Generate(claims.Account),
	}
}

func (l *lattice) entity(with ...func(*claims.Claims)) string {
	return l.signed(l.issuer, with...)
}

func (l *lattice) signed(by *claims.Key, with ...func(*claims.Claims)) string {
	c := claims.Claims{Subject: l.provider.Public(), Provider: &claims.ProviderClaims{Name: "messaging", Vendor: "test", TargetHashes: map[string]string{}}}
	for _, change := range with {
		change(&c)
	}
	return must(c.Encode(by))
}

func (l *lattice) hostToken(with ...func(*claims.Claims)) string {
	c := claims.Claims{Subject: l.host.Public(), Host: &claims.HostClaims{Name: "test", Labels: map[string]string{"self_signed": "true"}}}
	for _, change := range with {
		change(&c)
	}
	return must(c.Encode(l.hostIssuer))
}

// bed is a backend at work and a client of it.
type bed struct {
	*lattice
	url      string
	backend  *secrets.Backend
	conn     *natsconn.Conn // of the backend
	client   *secrets.Client
	transit  *credential.Credential
	transits *store // of transit
	log      *record

	mu   sync.Mutex
	seen []secrets.Observation
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

var mintKey = credential.NewSecret("the key that user keys follow from, of the tests")

// start serves keys that every entity of the lattice may read.
func start(t testing.TB, keys map[string]secrets.Key, with ...func(*secrets.Config, *secrets.Terms)) *bed {
	t.Helper()
	b := &bed{lattice: newLattice(), log: &record{}}
	b.url = serve(t, &server.Options{}).ClientURL()
	b.transits = keeps(credential.Version{ID: "1", Value: must(secrets.NewTransit())})
	b.transit = hold(t, b.transits, func(c *credential.Config) { c.Check = secrets.CheckTransit })
	b.conn = connect(t, b.url)
	b.backend = b.instance(t, b.conn, keys, with...)
	b.client = b.asks(connect(t, b.url))
	return b
}

// instance starts a backend.
func (b *bed) instance(t testing.TB, conn *natsconn.Conn, keys map[string]secrets.Key, with ...func(*secrets.Config, *secrets.Terms)) *secrets.Backend {
	t.Helper()
	cfg := secrets.Config{
		Conn: conn, Name: "test", Transit: b.transit, MintKey: mintKey, Log: slog.New(slog.NewTextHandler(b.log, nil)),
		Observe: func(o secrets.Observation) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.seen = append(b.seen, o)
		},
	}
	terms := b.terms(keys)
	for _, change := range with {
		change(&cfg, &terms)
	}
	backend := must(secrets.New(cfg, terms))
	if err := backend.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = backend.Drain(ctx) // again, where the test did
	})
	return backend
}

func (b *bed) terms(keys map[string]secrets.Key) secrets.Terms {
	return secrets.Terms{Issuers: []string{b.issuer.Public()}, Keys: keys, Rules: []secrets.Rule{{Keys: []string{"*"}}}}
}

func (b *bed) asks(conn *natsconn.Conn) *secrets.Client {
	return &secrets.Client{Conn: conn, Name: "test", Entity: b.entity(), Host: b.hostToken()}
}

// observed waits for so many requests to be counted and returns their outcomes.
func (b *bed) observed(t testing.TB, n int) []secrets.Observation {
	t.Helper()
	var seen []secrets.Observation
	eventually(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		seen = b.seen
		return len(seen) >= n
	}, "requests are counted")
	return seen
}

func eventually(t testing.TB, true func() bool, what string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !true(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in %v: %s", patience, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// raw is a request as the protocol has it, for those that no client of ours would make.
type raw struct {
	header  nats.Header
	payload []byte
	own     nkeys.KeyPair
}

// seal makes a raw request of any text.
func (b *bed) seal(t testing.TB, text string) *raw {
	t.Helper()
	m := must(b.client.Conn.Request(t.Context(), "wasmcloud.secrets.v1alpha1.test.server_xkey", nil))
	own := must(nkeys.CreateCurveKeys())
	return &raw{
		header:  nats.Header{"WasmCloud-Host-Xkey": {must(own.PublicKey())}},
		payload: must(own.Seal([]byte(text), string(m.Data))), own: own,
	}
}

// ask returns the error of the answer as the JSON that it is, or what was sealed.
func (b *bed) ask(t testing.TB, r *raw) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m := must(b.client.Conn.RequestMsg(ctx, &nats.Msg{Subject: "wasmcloud.secrets.v1alpha1.test.get", Header: r.header, Data: r.payload}))
	if sender := m.Header.Get("Server-Response-Xkey"); sender != "" {
		return string(must(r.own.Open(m.Data, sender)))
	}
	return string(m.Data)
}

// question is the JSON of a request.
func (b *bed) question(with ...func(map[string]any)) string {
	q := map[string]any{
		"key": "key", "field": nil, "version": nil,
		"context": map[string]any{"entity_jwt": b.entity(), "host_jwt": b.hostToken(), "application": map[string]any{"name": nil, "policy": ""}},
	}
	for _, change := range with {
		change(q)
	}
	return string(must(json.Marshal(q)))
}

func inContext(name string, value any) func(map[string]any) {
	return func(q map[string]any) { q["context"].(map[string]any)[name] = value }
}

func member(name string, value any) func(map[string]any) {
	return func(q map[string]any) { q[name] = value }
}
