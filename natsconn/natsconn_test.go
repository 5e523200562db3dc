package natsconn_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/pubsub/pubsubtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// operator signs for a server in JWT mode.
type operator struct {
	t        testing.TB
	root     nkeys.KeyPair
	account  nkeys.KeyPair
	claims   *jwt.AccountClaims
	resolver *server.MemAccResolver
	*server.Server
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
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

// user makes a user whose JWT ends after so long; 0 for never.
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

// minting is a source that makes a new user for every reading.
type minting struct {
	*operator
	life  time.Duration
	mu    sync.Mutex
	with  []func(*jwt.UserClaims)
	count int
	down  bool
}

func (m *minting) Info() credential.Info { return credential.Info{Scheme: "test"} }

func (m *minting) Fetch(context.Context) (credential.Payload, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return credential.Payload{}, credential.Errorf(credential.Unavailable, "down")
	}
	m.count++
	token, seed := m.user(m.life, m.with...)
	v := credential.Version{ID: strconv.Itoa(m.count), Fields: map[string]credential.Secret{"jwt": credential.NewSecret(token), "seed": credential.NewSecret(seed)}}
	return credential.Payload{Versions: []credential.Version{v}}, nil
}

// change has the next users be others.
func (m *minting) change(with ...func(*jwt.UserClaims)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.with = with
}

func (m *minting) setDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
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

func (r *record) count(what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.text.String(), what)
}

type fixture struct {
	*natsconn.Conn
	key *credential.Credential
	log *record
	got atomic.Int64 // messages to "subject"
}

// open connects with the logins of a source.
func open(t *testing.T, url string, source credential.Source, with ...func(*natsconn.Config)) *fixture {
	t.Helper()
	f := &fixture{log: &record{}}
	var err error
	f.key, err = credential.New(credential.Config{Name: "nats", Source: source, TTL: time.Hour, Present: true, Check: natsconn.Check, Startup: credential.Degraded})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.key.Stop)
	if err := f.key.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	presenter := must(credential.NewPresenter(f.key, natsconn.Decode))
	cfg := natsconn.Config{
		Servers: []string{url}, Name: "test", Credential: presenter, Spread: time.Millisecond,
		Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, change := range with {
		change(&cfg)
	}
	f.Conn, err = natsconn.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	if _, err := f.Subscribe("subject", func(*nats.Msg) { f.got.Add(1) }); err != nil {
		t.Fatal(err)
	}
	return f
}

// works checks that the subscription made at the beginning still delivers.
func (f *fixture) works(t *testing.T, when string) {
	t.Helper()
	before := f.got.Load()
	pubsubtest.Eventually(t, when+": the subscription delivers", func() bool {
		if err := f.Publish("subject", nil); err != nil {
			t.Fatalf("%s: Publish: %v", when, err)
		}
		return f.got.Load() > before
	})
	if f.NATS().IsClosed() {
		t.Errorf("%s: the connection is closed", when)
	}
}

func value(text string) credential.Version {
	return credential.Version{Value: credential.NewSecret(text)}
}

func pair(a, first, b, second string) credential.Version {
	return credential.Version{Fields: map[string]credential.Secret{a: credential.NewSecret(first), b: credential.NewSecret(second)}}
}

// A JWT is replaced before it ends, again and again, and the server never has to refuse.
func TestJWTIsRenewedBeforeItEnds(t *testing.T) {
	o := operated(t)
	f := open(t, o.ClientURL(), &minting{operator: o, life: 4 * time.Second})
	pubsubtest.Eventually(t, "the second generation", func() bool { return f.Generation() == 2 })
	f.works(t, "renewed")
	if n := f.log.count("reason=refused") + f.log.count("xpired"); n != 0 {
		t.Errorf("%d refusals, want none", n)
	}
}

// The store is down when the JWT ends: the connection is lost, not closed, and comes back
// with the store.
func TestStoreDownWhenTheJWTEnds(t *testing.T) {
	o := operated(t)
	source := &minting{operator: o, life: 2 * time.Second}
	f := open(t, o.ClientURL(), source)
	f.works(t, "at first")
	source.setDown(true)
	pubsubtest.Eventually(t, "the server refuses the JWT", func() bool { return f.log.count("reason=refused") > 0 && f.Generation() == 0 })
	if f.NATS().IsClosed() {
		t.Fatal("the connection is closed")
	}
	source.setDown(false)
	pubsubtest.Eventually(t, "connected again", func() bool { return f.Generation() > 1 })
	f.works(t, "store back")
}

// The password of a user changes: the server drops the connection, the refusal causes one
// fetch, and the new password is in use.
func TestI20PasswordChangesAtTheServer(t *testing.T) {
	opts := &server.Options{Username: "parley", Password: "the first password"}
	s := run(t, opts)
	source := credentialtest.New(credential.Info{}, "unused")
	source.SetVersions(pair("user", "parley", "password", "the first password"))
	f := open(t, s.ClientURL(), source)
	f.works(t, "at first")
	before := source.Fetches()
	source.SetVersions(pair("user", "parley", "password", "the second password"))
	changed := *opts
	changed.Password = "the second password"
	if err := s.ReloadOptions(&changed); err != nil {
		t.Fatal(err)
	}
	pubsubtest.Eventually(t, "connected with the second password", func() bool { return f.Generation() == 2 })
	f.works(t, "changed")
	if got := source.Fetches() - before; got != 1 {
		t.Errorf("%d fetches, want 1", got)
	}
}

// The source has another login while the old one still works: it is in use soon, without
// a refusal.
func TestChangeOfTheSource(t *testing.T) {
	s := run(t, &server.Options{Users: []*server.User{{Username: "a", Password: "the password of a"}, {Username: "b", Password: "the password of b"}}})
	source := credentialtest.New(credential.Info{}, "unused")
	source.SetVersions(pair("user", "a", "password", "the password of a"))
	f := open(t, s.ClientURL(), source)
	f.works(t, "at first")
	source.SetVersions(pair("user", "b", "password", "the password of b"))
	source.Notify(credential.Notice{})
	pubsubtest.Eventually(t, "connected as b", func() bool { return f.Generation() == 2 })
	f.works(t, "changed")
	pubsubtest.Eventually(t, "the server sees one connection, of b", func() bool {
		clients := must(s.Connz(&server.ConnzOptions{Username: true}))
		return len(clients.Conns) == 1 && clients.Conns[0].AuthorizedUser == "b"
	})
	if n := f.log.count("reason=refused"); n != 0 {
		t.Errorf("%d refusals, want none", n)
	}
}

func inPlace(cfg *natsconn.Config) { cfg.InPlace = true }

// I7: whenever a connect happens, JWT and seed are of one generation.
func TestI7JWTAndSeedOfOneGeneration(t *testing.T) {
	o := operated(t)
	f := open(t, o.ClientURL(), &minting{operator: o}, inPlace)
	f.works(t, "at first")
	stop := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = f.key.Refresh(t.Context())
			}
		}
	})
	for range 40 {
		if err := f.NATS().ForceReconnect(); err != nil {
			t.Fatal(err)
		}
		pubsubtest.Eventually(t, "connected", func() bool { return f.Generation() > 0 })
	}
	close(stop)
	work.Wait()
	f.works(t, "rotated")
	if n := f.log.count("reason=refused"); n != 0 {
		t.Errorf("%d refusals, want none", n)
	}
}

// Neither a server nor a login is there at first.
func TestNothingIsThereAtFirst(t *testing.T) {
	first := run(t, &server.Options{Authorization: "the token"})
	port := first.Addr().String()
	first.Shutdown()
	first.WaitForShutdown()
	source := credentialtest.New(credential.Info{}, "the token")
	source.Fail(credential.Errorf(credential.Unavailable, "down"))
	f := open(t, "nats://"+port, source)
	if f.Generation() != 0 || f.NATS().IsClosed() {
		t.Error("connected to nothing, or closed")
	}
	number := must(strconv.Atoi(port[strings.LastIndex(port, ":")+1:]))
	run(t, &server.Options{Authorization: "the token", Port: number})
	source.SetVersions(value("the token"))
	_ = f.key.Refresh(t.Context())
	pubsubtest.Eventually(t, "connected", func() bool { return f.Generation() == 1 })
	f.works(t, "all there")
}

func TestOpenRefuses(t *testing.T) {
	for _, test := range []struct {
		servers []string
		want    string
	}{
		{nil, "credential: config: no address of a NATS server"},
		{[]string{"host:4222"}, "credential: config: an address of a NATS server is not of the form nats://host:port"},
		{[]string{"nats://u:secret@host:4222"}, "credential: config: the address of the NATS server host:4222 holds a user: make that a credential of its own"},
	} {
		_, err := natsconn.Open(t.Context(), natsconn.Config{Servers: test.servers})
		if err == nil || err.Error() != test.want {
			t.Errorf("Open(%q) = %v, want %s", test.servers, err, test.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	key := must(credential.New(credential.Config{Name: "nats", Source: credentialtest.New(credential.Info{}, "x"), Present: true}))
	defer key.Stop()
	if _, err := natsconn.Open(ctx, natsconn.Config{Servers: []string{"nats://127.0.0.1:1"}, Credential: must(credential.NewPresenter(key, natsconn.Decode))}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with an ended context = %v, want that it is canceled", err)
	}
}

func TestDecode(t *testing.T) {
	account := must(nkeys.CreateAccount())
	o := &operator{t: t, account: account}
	token, seed := o.user(time.Hour)
	_, otherSeed := o.user(time.Hour)
	file := string(must(jwt.FormatUserConfig(token, []byte(seed))))
	claims := must(jwt.DecodeUserClaims(token))
	fields := func(pairs ...string) map[string]credential.Secret {
		m := map[string]credential.Secret{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = credential.NewSecret(pairs[i+1])
		}
		return m
	}
	signed := fmt.Sprint(token, seed, "", "", "", claims.Expires)
	for _, test := range []struct {
		name   string
		value  string
		fields map[string]credential.Secret
		want   string // all of the login; or an error
	}{
		{"jwt and seed", "", fields("jwt", token, "seed", seed), signed},
		{"with white space", "", fields("jwt", token+"\n", "seed", seed+"\n"), signed},
		{"with other fields", "ignored", fields("jwt", token, "seed", seed, "note", "x"), signed},
		{"a .creds file", file, nil, signed},
		{"user and password", "", fields("user", "u", "password", "p"), fmt.Sprint("", "", "u", "p", "", 0)},
		{"token", "", fields("token", "t"), fmt.Sprint("", "", "", "", "t", 0)},
		{"a value", "t", nil, fmt.Sprint("", "", "", "", "t", 0)},
		{"nkey", "", fields("nkey", seed), fmt.Sprint("", seed, "", "", "", 0)},
		{"a seed alone", seed + "\n", nil, fmt.Sprint("", seed, "", "", "", 0)},
		{"nkey and token", "", fields("nkey", seed, "token", "t"), "has more than one of: jwt and seed, nkey, user and password, token"},
		{"the nkey of an account", "", fields("nkey", string(must(account.Seed()))), "the nkey of a NATS login is not the seed of a user"},
		{"no nkey", "", fields("nkey", "SU"), "the nkey of a NATS login is not the seed of a user"},
		{"nothing", "", nil, "has none of: jwt and seed, nkey, user and password, token"},
		{"other fields", "", fields("note", "x"), "has none of: jwt and seed, nkey, user and password, token"},
		{"jwt alone", "", fields("jwt", token), "has one of jwt and seed, and needs both"},
		{"password alone", "", fields("password", "p"), "has one of user and password, and needs both"},
		{"two ways", "", fields("token", "t", "user", "u", "password", "p"), "has more than one of: jwt and seed, nkey, user and password, token"},
		{"the seed of another", "", fields("jwt", token, "seed", otherSeed), "the seed of a NATS login is not that of the user in the JWT"},
		{"no JWT", "", fields("jwt", "x.y.z", "seed", seed), "the JWT of a NATS login is not that of a user"},
		{"no seed", "", fields("jwt", token, "seed", "SU"), "the seed of a NATS login is none"},
		{"half a file", file[:len(file)/2], nil, "a NATS credentials file without the seed of a user"},
	} {
		secret := credential.NewSecret(test.value)
		l, err := natsconn.Decode(credential.Material{Value: secret, Fields: test.fields})
		got := ""
		if err != nil {
			got = strings.TrimPrefix(strings.TrimPrefix(err.Error(), "credential: invalid: "), "a NATS login ")
		} else {
			expires := int64(0)
			if !l.Expires.IsZero() {
				expires = l.Expires.Unix()
			}
			got = fmt.Sprint(string(l.JWT.Reveal()), string(l.Seed.Reveal()), l.User, string(l.Password.Reveal()), string(l.Token.Reveal()), expires)
		}
		if got != test.want {
			t.Errorf("%s: Decode = %s, want %s", test.name, got, test.want)
		}
		if check := natsconn.Check(secret, test.fields); (check == nil) != (err == nil) || err != nil && !errors.Is(err, credential.Invalid) {
			t.Errorf("%s: Check = %v, Decode = %v, want the same, and Invalid", test.name, check, err)
		}
		if leaks := credentialtest.Leaks(fmt.Sprintf("%v %+v", l.Seed, err), seed, otherSeed, token); len(leaks) > 0 {
			t.Errorf("%s: it prints %d secrets", test.name, len(leaks))
		}
	}
}

func FuzzDecode(f *testing.F) {
	o := &operator{account: must(nkeys.CreateAccount())}
	token, seed := o.user(time.Hour)
	f.Add("", token, seed)
	f.Add(string(must(jwt.FormatUserConfig(token, []byte(seed)))), "", "")
	f.Add("token", "", "")
	f.Add("-----BEGIN NATS USER JWT-----\n\n------END NATS USER JWT------\n", "", "")
	f.Fuzz(func(t *testing.T, text, token, seed string) {
		fields := map[string]credential.Secret{"jwt": credential.NewSecret(token), "seed": credential.NewSecret(seed)}
		l, err := natsconn.Decode(credential.Material{Value: credential.NewSecret(text), Fields: fields})
		if err != nil && !errors.Is(err, credential.Invalid) {
			t.Errorf("Decode = %v, want an Invalid error", err)
		}
		if err == nil && (string(l.JWT.Reveal())+l.Public == "") != (l.Seed.Len() == 0) {
			t.Errorf("Decode(%q, %q, %q) has half of a pair", text, token, seed)
		}
	})
}
