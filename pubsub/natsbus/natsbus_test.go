package natsbus_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/pubsub"
	"github.com/parley-backend/parley/pubsub/natsbus"
	"github.com/parley-backend/parley/pubsub/pubsubtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const queue = 64

func begin(t *testing.T, cfg natsbus.ServerConfig) *natsbus.Server {
	t.Helper()
	s, err := natsbus.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func bus(t *testing.T, conn *nats.Conn, cfg natsbus.Config) *natsbus.Bus {
	t.Helper()
	t.Cleanup(conn.Close)
	cfg.Queue = queue
	b, err := natsbus.New(conn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func inside(t *testing.T, s *natsbus.Server) *nats.Conn {
	t.Helper()
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestInProcess(t *testing.T) {
	pubsubtest.TestBus(t, queue, func(t *testing.T) []pubsub.Bus {
		s := begin(t, natsbus.ServerConfig{})
		return []pubsub.Bus{bus(t, inside(t, s), natsbus.Config{Node: "n1"}), bus(t, inside(t, s), natsbus.Config{Node: "n2"})}
	})
}

func TestExternalServer(t *testing.T) {
	pubsubtest.TestBus(t, queue, func(t *testing.T) []pubsub.Bus {
		s := begin(t, natsbus.ServerConfig{Listen: "127.0.0.1:0", User: "parley", Password: credential.NewSecret("the password of the bus")})
		var all []pubsub.Bus
		for i := range 3 {
			conn, err := nats.Connect("nats://"+s.Addr(), nats.UserInfo("parley", "the password of the bus"))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, bus(t, conn, natsbus.Config{Node: fmt.Sprint("n", i), Prefix: "installation.one"}))
		}
		return all
	})
}

// cluster starts three servers with one password between them; the others find each other by the first.
func cluster(t *testing.T) []*natsbus.Server {
	t.Helper()
	var all []*natsbus.Server
	for i := range 3 {
		c := &natsbus.ClusterConfig{Listen: "127.0.0.1:0", User: "route", Password: credential.NewSecret("the password of the routes")}
		if i > 0 {
			c.Routes = []string{all[0].ClusterAddr()}
		}
		all = append(all, begin(t, natsbus.ServerConfig{ServerName: fmt.Sprint("n", i), Cluster: c}))
	}
	pubsubtest.Eventually(t, "the cluster is whole", func() bool {
		return !slices.ContainsFunc(all, func(s *natsbus.Server) bool { return s.Peers() != 2 })
	})
	return all
}

func TestClusterOfThree(t *testing.T) {
	servers := cluster(t)
	pubsubtest.TestBus(t, queue, func(t *testing.T) []pubsub.Bus {
		var all []pubsub.Bus
		for i, s := range servers {
			all = append(all, bus(t, inside(t, s), natsbus.Config{Node: fmt.Sprint("n", i)}))
		}
		return all
	})
}

// Two installations that share a server do not hear each other, and a stranger's message
// has no node.
func TestPrefix(t *testing.T) {
	s := begin(t, natsbus.ServerConfig{})
	one, two := bus(t, inside(t, s), natsbus.Config{Prefix: "one"}), bus(t, inside(t, s), natsbus.Config{Prefix: "two"})
	defer one.Close()
	defer two.Close()
	got := make(chan pubsub.Message, 10)
	for _, b := range []*natsbus.Bus{one, two} {
		if _, err := b.Subscribe("x", func(m pubsub.Message) { got <- m }); err != nil {
			t.Fatal(err)
		}
	}
	stranger := inside(t, s)
	defer stranger.Close()
	if err := stranger.Publish("two.m.x", []byte("stranger")); err != nil {
		t.Fatal(err)
	}
	if m := <-got; m.Subject != "x" || string(m.Data) != "stranger" || m.Node != "" || m.Local {
		t.Errorf("got %+v", m)
	}
	if err := one.Publish(t.Context(), "x", []byte("one")); err != nil {
		t.Fatal(err)
	}
	if m := <-got; string(m.Data) != "one" || !m.Local {
		t.Errorf("got %+v", m)
	}
	if len(got) != 0 {
		t.Errorf("the other installation got %+v", <-got)
	}
	if _, err := natsbus.New(stranger, natsbus.Config{Prefix: "a.>"}); !errors.Is(err, pubsub.ErrSubject) {
		t.Errorf("a wildcard as prefix: %v, want ErrSubject", err)
	}
}

// A node whose connection was lost says so when it publishes, serves its own
// subscribers, and has a gap when the connection is back.
func TestConnectionLost(t *testing.T) {
	s := begin(t, natsbus.ServerConfig{Listen: "127.0.0.1:0"})
	door := listen(t, s.Addr())
	conn, err := nats.Connect("nats://"+door.Addr().String(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	away, home := bus(t, conn, natsbus.Config{Node: "away"}), bus(t, inside(t, s), natsbus.Config{Node: "home"})
	defer away.Close()
	defer home.Close()
	var got atomic.Int32
	sub, err := away.Subscribe("x", func(pubsub.Message) { got.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	door.shut()
	pubsubtest.Eventually(t, "Publish says that others cannot be reached", func() bool {
		return errors.Is(away.Publish(t.Context(), "x", nil), pubsub.ErrOffline)
	})
	pubsubtest.Eventually(t, "its own subscribers are served", func() bool { return got.Load() > 0 })
	before := sub.Gaps()
	door.open()
	pubsubtest.Eventually(t, "it has a gap", func() bool { return sub.Gaps() > before })
	seen := got.Load()
	pubsubtest.Eventually(t, "the subscription works on", func() bool {
		return home.Publish(t.Context(), "x", nil) == nil && got.Load() > seen
	})
}

// Servers that lose each other for a while: the connections in the processes stay, and
// yet both sides notice that they may have missed something.
func TestRouteLost(t *testing.T) {
	one := begin(t, natsbus.ServerConfig{Cluster: &natsbus.ClusterConfig{Listen: "127.0.0.1:0"}})
	door := listen(t, one.ClusterAddr())
	two := begin(t, natsbus.ServerConfig{Cluster: &natsbus.ClusterConfig{Listen: "127.0.0.1:0", Routes: []string{door.Addr().String()}}})
	var gaps [2]atomic.Int32
	for i, s := range []*natsbus.Server{one, two} {
		b := bus(t, inside(t, s), natsbus.Config{Beat: 20 * time.Millisecond})
		defer b.Close()
		defer b.Gaps(func() { gaps[i].Add(1) })()
	}
	met := func() bool { return gaps[0].Load() > 0 && gaps[1].Load() > 0 }
	pubsubtest.Eventually(t, "they meet", met)
	door.shut()
	pubsubtest.Eventually(t, "they have lost each other", func() bool { return one.Peers() == 0 && two.Peers() == 0 })
	gaps[0].Store(0)
	gaps[1].Store(0)
	door.open()
	pubsubtest.Eventually(t, "both have a gap", met)
}

// A server that others can reach lets nobody in without a password.
func TestUnsafeServers(t *testing.T) {
	password := credential.NewSecret("the password")
	verifying := &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert}
	const open = "beyond loopback, and would let in anybody: it needs a user and a password, or TLS that verifies "
	in := func(c natsbus.ClusterConfig) natsbus.ServerConfig { return natsbus.ServerConfig{Cluster: &c} }
	for _, test := range []struct {
		name string
		cfg  natsbus.ServerConfig
		want string // "" for none
	}{
		{"nothing", natsbus.ServerConfig{}, ""},
		{"loopback", natsbus.ServerConfig{Listen: "127.0.0.1:0"}, ""},
		{"loopback 6", natsbus.ServerConfig{Listen: "[::1]:0"}, ""},
		{"localhost", natsbus.ServerConfig{Listen: "localhost:0"}, ""},
		{"everywhere", natsbus.ServerConfig{Listen: ":4222"}, "the NATS server listens on :4222, " + open + "clients"},
		{"beyond", natsbus.ServerConfig{Listen: "10.0.0.1:4222"}, "the NATS server listens on 10.0.0.1:4222, " + open + "clients"},
		{"TLS of the server alone", natsbus.ServerConfig{Listen: "[::]:0", TLS: &tls.Config{}}, "the NATS server listens on [::]:0, " + open + "clients"},
		{"TLS both ways", natsbus.ServerConfig{Listen: ":0", TLS: verifying}, ""},
		{"password", natsbus.ServerConfig{Listen: ":0", User: "u", Password: password}, ""},
		{"no password", natsbus.ServerConfig{Listen: ":0", User: "u"}, "clients of the NATS server need both a user and a password"},
		{"its own user", natsbus.ServerConfig{Listen: ":0", User: "parley-inside", Password: password}, "the user parley-inside of the NATS server is its own"},
		{"no port", natsbus.ServerConfig{Listen: "127.0.0.1"}, `the address of the NATS server is not of the form host:port: "127.0.0.1"`},
		{"bad port", natsbus.ServerConfig{Listen: "127.0.0.1:x"}, `the port of the NATS server is not a number from 0 to 65535: "127.0.0.1:x"`},
		{"cluster on loopback", in(natsbus.ClusterConfig{Listen: "127.0.0.1:0"}), ""},
		{"cluster nowhere", in(natsbus.ClusterConfig{}), "a cluster needs an address to listen on for the other nodes"},
		{"cluster everywhere", in(natsbus.ClusterConfig{Listen: "0.0.0.0:6222"}), "the NATS cluster listens on 0.0.0.0:6222, " + open + "the other nodes"},
		{"cluster by name", in(natsbus.ClusterConfig{Listen: "node1:6222"}), "the NATS cluster listens on node1:6222, " + open + "the other nodes"},
		{"cluster, TLS of the server alone", in(natsbus.ClusterConfig{Listen: ":6222", TLS: &tls.Config{}}), "the NATS cluster listens on :6222, " + open + "the other nodes"},
		{"cluster, TLS both ways", in(natsbus.ClusterConfig{Listen: ":6222", TLS: verifying}), ""},
		{"cluster with password", in(natsbus.ClusterConfig{Listen: ":6222", User: "u", Password: password}), ""},
		{"cluster without user", in(natsbus.ClusterConfig{Listen: ":6222", Password: password}), "the NATS cluster needs both a user and a password"},
		{"bad route", in(natsbus.ClusterConfig{Listen: "127.0.0.1:0", Routes: []string{"node2"}}), `the address of a route of the NATS cluster is not of the form host:port: "node2"`},
		{"route to any port", in(natsbus.ClusterConfig{Listen: "127.0.0.1:0", Routes: []string{"node2:0"}}), `a route of the NATS cluster, "node2:0", needs a host and a port`},
	} {
		_, err := natsbus.NewServer(test.cfg)
		got := ""
		if err != nil {
			got = strings.TrimPrefix(err.Error(), "credential: config: ")
			if !errors.Is(err, credential.Misconfigured) {
				t.Errorf("%s: %v is not Misconfigured", test.name, err)
			}
		}
		if got != test.want {
			t.Errorf("%s: NewServer = %q, want %q", test.name, got, test.want)
		}
	}
}

// The port that a clustered server cannot do without lets in nobody.
func TestClusterPortIsClosed(t *testing.T) {
	log := &record{}
	s := begin(t, natsbus.ServerConfig{
		Cluster: &natsbus.ClusterConfig{Listen: "127.0.0.1:0", User: "route", Password: credential.NewSecret("the password of the routes")},
		Log:     slog.New(slog.NewTextHandler(log, nil)),
	})
	if s.Addr() != "" {
		t.Errorf("Addr = %q, want none", s.Addr())
	}
	if conn, err := nats.Connect("nats://" + natsbus.Port(s)); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a client without a password: %v, want %v", err, nats.ErrAuthorization)
		if err == nil {
			conn.Close()
		}
	}
	stranger := natsbus.ClusterConfig{Listen: "127.0.0.1:0", User: "route", Password: credential.NewSecret("another"), Routes: []string{s.ClusterAddr()}}
	begin(t, natsbus.ServerConfig{Cluster: &stranger})
	pubsubtest.Eventually(t, "the route is refused", func() bool { return strings.Contains(log.String(), "authentication error") })
	if s.Peers() != 0 {
		t.Error("a server with another password is let in")
	}
	if text := log.String(); strings.Contains(text, "another") || strings.Contains(text, "the password") {
		t.Errorf("the log holds a password: %s", text)
	}
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

func TestServerLifecycle(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s, err := natsbus.NewServer(natsbus.ServerConfig{Listen: taken.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Connect(); err == nil {
		t.Error("a connection to a server that does not run")
	}
	if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("Start on a port that is taken = %v, want that it is in use", err)
	}
	s.Stop()
	log := &record{}
	s = begin(t, natsbus.ServerConfig{ServerName: "node 1.example", StoreDir: t.TempDir(), Log: slog.New(slog.NewTextHandler(log, nil))})
	if err := s.Start(t.Context()); err != nil {
		t.Errorf("a second Start: %v", err)
	}
	conn := inside(t, s)
	defer conn.Close()
	js, err := conn.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(&nats.KeyValueConfig{Bucket: "secrets"}); err != nil {
		t.Errorf("JetStream: %v", err)
	}
	if name := conn.ConnectedServerName(); name != "node_1_example" {
		t.Errorf("the server's name = %q, want node_1_example", name)
	}
	s.Stop()
	s.Stop()
	if text := log.String(); text != "" {
		t.Errorf("a server as it should be tells an operator: %s", text)
	}
	if err := s.Start(t.Context()); err == nil {
		t.Error("Start after Stop succeeds")
	}
}

func BenchmarkBetweenNodes(b *testing.B) {
	s, err := natsbus.NewServer(natsbus.ServerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer s.Stop()
	var nodes [2]*natsbus.Bus
	for i := range nodes {
		conn, err := s.Connect()
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		if nodes[i], err = natsbus.New(conn, natsbus.Config{}); err != nil {
			b.Fatal(err)
		}
		defer nodes[i].Close()
	}
	got := make(chan struct{}, 1)
	if _, err := nodes[1].Subscribe("x", func(pubsub.Message) { got <- struct{}{} }); err != nil {
		b.Fatal(err)
	}
	if err := nodes[1].Publish(b.Context(), "x", nil); err != nil {
		b.Fatal(err)
	}
	<-got
	for b.Loop() {
		if err := nodes[0].Publish(b.Context(), "x", []byte("data")); err != nil {
			b.Fatal(err)
		}
		<-got
	}
}
