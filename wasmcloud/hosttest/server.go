package hosttest

import (
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// ServerOptions describe a Server. The zero value is one that lets anybody in.
type ServerOptions struct {
	JWT        bool                     // users log in with JWTs, which User makes
	JetStream  bool                     // in a folder of the test
	MaxPayload int32                    // bytes of a message; 1 MiB if zero
	TLS        *tls.Config              // nil for none
	TLSFirst   bool                     // the handshake comes before everything
	Account    func(*jwt.AccountClaims) // changes the account of all users, for limits
	Change     func(*server.Options)    // changes anything else
}

// Server is a NATS server inside the process, on a port of the loopback interface that stays the same when it is stopped and started.
type Server struct {
	t        testing.TB
	opts     server.Options
	operator nkeys.KeyPair
	account  nkeys.KeyPair
	resolver *server.MemAccResolver

	mu     sync.Mutex
	claims *jwt.AccountClaims
	run    *server.Server
}

// NewServer starts a server that ends with the test.
func NewServer(t testing.TB, o ServerOptions) *Server {
	t.Helper()
	s := &Server{t: t, opts: server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, MaxPayload: o.MaxPayload}}
	if o.TLS != nil {
		s.opts.TLSConfig, s.opts.TLSTimeout, s.opts.TLSHandshakeFirst = o.TLS, 10, o.TLSFirst
	}
	if o.JetStream {
		s.opts.JetStream, s.opts.StoreDir = true, t.TempDir()
	}
	if o.JWT {
		s.trust(o)
	}
	if o.Change != nil {
		o.Change(&s.opts)
	}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// trust makes an operator and an account.
func (s *Server) trust(o ServerOptions) {
	s.t.Helper()
	s.operator, s.account, s.resolver = must(s.t, nkeys.CreateOperator), must(s.t, nkeys.CreateAccount), &server.MemAccResolver{}
	s.claims = jwt.NewAccountClaims(must(s.t, s.account.PublicKey))
	if o.Account != nil {
		o.Account(s.claims)
	}
	if o.JetStream {
		s.claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	}
	own := must(s.t, func() (string, error) {
		return jwt.NewOperatorClaims(must(s.t, s.operator.PublicKey)).Encode(s.operator)
	})
	trusted := must(s.t, func() (*jwt.OperatorClaims, error) { return jwt.DecodeOperatorClaims(own) })
	s.opts.TrustedOperators, s.opts.AccountResolver = []*jwt.OperatorClaims{trusted}, s.resolver
	system := jwt.NewAccountClaims(must(s.t, must(s.t, nkeys.CreateAccount).PublicKey))
	s.opts.SystemAccount = system.Subject
	for _, c := range []*jwt.AccountClaims{system, s.claims} {
		if err := s.resolver.Store(c.Subject, must(s.t, func() (string, error) { return c.Encode(s.operator) })); err != nil {
			s.t.Fatal(err)
		}
	}
}

func must[T any](t testing.TB, f func() (T, error)) T {
	t.Helper()
	v, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Start starts the server again, on its port and with what it had stored.
func (s *Server) Start() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	opts := s.opts // the server changes them
	run, err := server.NewServer(&opts)
	if err != nil {
		s.t.Fatalf("the NATS server: %v", err)
	}
	go run.Start()
	if !run.ReadyForConnections(30 * time.Second) {
		s.t.Fatal("the NATS server does not start")
	}
	s.run = run
	s.opts.Port = run.Addr().(*net.TCPAddr).Port
}

// Stop stops the server.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != nil {
		s.run.Shutdown()
		s.run.WaitForShutdown()
	}
}

// Address is host:port.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.opts.Port)) }

// URL is nats://host:port, or tls://host:port.
func (s *Server) URL() string {
	if s.opts.TLSConfig != nil {
		return "tls://" + s.Address()
	}
	return "nats://" + s.Address()
}

// Running is the server as its module knows it. It is another one after Start.
func (s *Server) Running() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

// Login is what a user logs in with.
type Login struct {
	JWT, Seed string
	Public    string // key
}

// Creds is the content of a .creds file.
func (l Login) Creds() string {
	text, err := jwt.FormatUserConfig(l.JWT, []byte(l.Seed))
	if err != nil {
		return ""
	}
	return string(text)
}

// User makes a user whose JWT ends after so long, or never for 0. The changes are for permissions and limits. The server must be one
// with ServerOptions.JWT.
func (s *Server) User(life time.Duration, changes ...func(*jwt.UserClaims)) Login {
	s.t.Helper()
	pair := must(s.t, nkeys.CreateUser)
	c := jwt.NewUserClaims(must(s.t, pair.PublicKey))
	if life != 0 {
		c.Expires = time.Now().Add(life).Unix()
	}
	for _, change := range changes {
		change(c)
	}
	token := must(s.t, func() (string, error) { return c.Encode(s.account) })
	return Login{JWT: token, Seed: string(must(s.t, pair.Seed)), Public: c.Subject}
}

// Revoke has the server refuse a user from now on, and end its connections.
func (s *Server) Revoke(public string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims.Revoke(public)
	token := must(s.t, func() (string, error) { return s.claims.Encode(s.operator) })
	if err := s.resolver.Store(s.claims.Subject, token); err != nil {
		s.t.Fatal(err)
	}
	account := must(s.t, func() (*server.Account, error) { return s.run.LookupAccount(s.claims.Subject) })
	s.run.UpdateAccountClaims(account, must(s.t, func() (*jwt.AccountClaims, error) { return jwt.DecodeAccountClaims(token) }))
}

// Connect opens a connection that may do everything, and that ends with the test.
func (s *Server) Connect(options ...nats.Option) *nats.Conn {
	s.t.Helper()
	if s.opts.Username != "" {
		options = append(options, nats.UserInfo(s.opts.Username, s.opts.Password))
	}
	all := []nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond), nats.ReconnectJitter(0, 0), nats.RetryOnFailedConnect(true), nats.Name("hosttest")}
	if s.account != nil {
		l := s.User(0)
		all = append(all, nats.UserJWTAndSeed(l.JWT, l.Seed))
	}
	if s.opts.TLSConfig != nil {
		all = append(all, nats.Secure(&tls.Config{InsecureSkipVerify: true})) //nolint:gosec // a test's own server
		if s.opts.TLSHandshakeFirst {
			all = append(all, nats.TLSHandshakeFirst())
		}
	}
	nc, err := nats.Connect(s.URL(), append(all, options...)...)
	if err != nil {
		s.t.Fatalf("connecting to the NATS server of the test: %v", err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// Clients are the open connections whose name is not that of this package's own, as the server tells of them.
func (s *Server) Clients() []*server.ConnInfo {
	s.t.Helper()
	all, err := s.Running().Connz(&server.ConnzOptions{Subscriptions: true, Username: true})
	if err != nil {
		s.t.Fatal(err)
	}
	var clients []*server.ConnInfo
	for _, c := range all.Conns {
		if c.Name != "hosttest" {
			clients = append(clients, c)
		}
	}
	return clients
}

// Accepted is how many connections there have been since the start.
func (s *Server) Accepted() uint64 {
	s.t.Helper()
	v, err := s.Running().Varz(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return v.TotalConnections
}

// Eventually polls until something holds. A machine may be slow: only after a minute the test fails, and says what it waited for.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (s *Server) String() string { return fmt.Sprintf("NATS server on %s", s.Address()) }

// Subscriptions is how often Clients have subscribed to a subject.
func (s *Server) Subscriptions(subject string) int {
	s.t.Helper()
	all, err := s.Running().Connz(&server.ConnzOptions{Subscriptions: true})
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	for _, c := range all.Conns {
		if c.Name == "hosttest" {
			continue
		}
		for _, sub := range c.Subs {
			if sub == subject {
				n++
			}
		}
	}
	return n
}

// user is a change that makes a server know one user.
func user(name, password string) func(*server.Options) {
	return func(o *server.Options) { o.Username, o.Password = name, password }
}
