package config

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/pubsub/natsbus"
)

// natsOptions are what the options nats and node say.
type natsOptions struct {
	servers []string
	login   *credential.Config // Name, Source and Present are set
	client  tlsFiles
	prefix  string
	node    string
	cluster natsbus.ClusterConfig // without its password
	routes  tlsFiles
}

// embedded reports whether this process runs a NATS server of its own.
func (o *natsOptions) embedded() bool { return o.cluster.Listen != "" }

// tlsFiles name files in PEM. They are read at each handshake, so that a certificate is replaced by replacing its files.
type tlsFiles struct{ ca, cert, key string }

func (b *builder) nats(registry credential.Registry) natsOptions {
	v := b.v
	o := natsOptions{
		servers: v.List("nats.servers"), prefix: v.String("nats.prefix"), node: v.String("node"),
		client: tlsFiles{v.String("nats.caFile"), v.String("nats.certFile"), v.String("nats.keyFile")},
		routes: tlsFiles{v.String("nats.cluster.caFile"), v.String("nats.cluster.certFile"), v.String("nats.cluster.keyFile")},
	}
	o.cluster = natsbus.ClusterConfig{
		Name: v.String("nats.cluster.name"), Listen: v.String("nats.cluster.listen"), Routes: v.List("nats.cluster.routes"), Advertise: v.String("nats.cluster.advertise"),
	}
	for _, server := range o.servers {
		if u, err := url.Parse(server); err != nil || u.Host == "" || u.User != nil {
			b.problem("nats.servers", "must be addresses like nats://host:4222, without a user in them")
		}
	}
	if texts := v.Secret("nats.credentials"); len(texts) > 0 {
		cfg := &credential.Config{Name: "nats.credentials", Kind: credential.API, Present: true, Trim: credential.TrimNewline, Startup: credential.Degraded, Check: natsconn.Check}
		if err := registry.ConfigureChain(cfg, texts); err != nil {
			b.problem("nats.credentials", "%v", err)
		}
		o.login = cfg
		if len(o.servers) == 0 {
			b.problem("nats.credentials", "is for nats.servers, which names none")
		}
	}
	if len(o.servers) > 0 && o.embedded() {
		b.problem("nats.servers", "stands for a NATS of its own; nats.cluster is for those that run in the servers themselves")
	}
	for _, f := range []struct {
		option string
		tlsFiles
	}{{"nats.certFile", o.client}, {"nats.cluster.certFile", o.routes}} {
		if (f.cert == "") != (f.key == "") {
			b.problem(f.option, "needs its key, and the key needs it")
		}
	}
	if len(o.cluster.Routes) > 0 && o.cluster.Listen == "" {
		b.problem("nats.cluster.routes", "needs nats.cluster.listen")
	}
	for _, address := range append([]string{o.cluster.Listen, o.cluster.Advertise}, o.cluster.Routes...) {
		if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
			b.problem("nats.cluster", "an address is not host:port")
		}
	}
	return o
}

// natsLink is the connection that references to nats-kv share. It is there from Build on, and connected from OpenNATS on.
type natsLink struct {
	mu   sync.Mutex
	conn *nats.Conn
	of   *natsLink // another one that stands for it
}

func (l *natsLink) connect(context.Context) (*nats.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.of != nil:
		return l.of.connect(context.Background())
	case l.conn == nil:
		return nil, credential.Errorf(credential.Unavailable, "the connection to NATS is not open")
	}
	return l.conn, nil
}

func (l *natsLink) set(conn *nats.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
}

// standFor has the sources that were built with other use this link.
func (l *natsLink) standFor(other *natsLink) {
	other.mu.Lock()
	defer other.mu.Unlock()
	other.of = l
}

// NATS is the bus of a server and what it runs on.
type NATS struct {
	bus    *natsbus.Bus
	conn   *natsconn.Conn
	inside *nats.Conn
	server *natsbus.Server
	link   *natsLink
}

// OpenNATS opens the connection to NATS that the options ask for, and the server inside the process, and sets the Bus of the
// Config. That no server answers is no error: the connection goes on trying. Without such options it returns nil. Call it after
// OpenKeys, and Close after the server has been closed.
func (b *Built) OpenNATS(ctx context.Context, log *slog.Logger) (*NATS, error) {
	o := &b.natsOptions
	if len(o.servers) == 0 && !o.embedded() {
		return nil, nil
	}
	n := &NATS{link: b.nats}
	if err := n.open(ctx, b, log); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

func (n *NATS) open(ctx context.Context, b *Built, log *slog.Logger) (err error) {
	o := &b.natsOptions
	node := o.node
	if node == "" {
		node, _ = os.Hostname() // a node without a name is known by its id
	}
	var conn *nats.Conn
	if o.embedded() {
		if err = n.serve(ctx, b, node, log); err != nil {
			return err
		}
		if n.inside, err = n.server.Connect(nats.Name("parley "+node), nats.MaxReconnects(-1)); err != nil {
			return fmt.Errorf("nats: the server inside this process does not answer: %w", err)
		}
		conn = n.inside
	} else {
		cfg := natsconn.Config{Servers: o.servers, Name: "parley " + node, InPlace: true, Log: log} // the bus and nats-kv keep its *nats.Conn
		if cfg.TLS, err = o.client.client(); err != nil {
			return Problem{"nats.caFile", err.Error()}
		}
		if cfg.Credential, err = n.login(ctx, b, log); err != nil {
			return err
		}
		if n.conn, err = natsconn.Open(ctx, cfg); err != nil {
			return Problem{"nats.servers", err.Error()}
		}
		conn = n.conn.NATS()
	}
	if n.bus, err = natsbus.New(conn, natsbus.Config{Node: node, Prefix: o.prefix, Log: log}); err != nil {
		return Problem{"nats.prefix", err.Error()}
	}
	if n.conn != nil {
		n.link.set(conn)
	}
	b.Config.Bus, b.Config.Node = n.bus, node
	return nil
}

// look is OpenNATS for a check: it connects to a NATS outside, and starts none inside.
func (b *Built) look(ctx context.Context) (*NATS, error) {
	log := slog.New(slog.DiscardHandler)
	if !b.natsOptions.embedded() {
		return b.OpenNATS(ctx, log)
	}
	if _, err := b.natsOptions.routes.mutual(); err != nil {
		return nil, Problem{"nats.cluster.certFile", err.Error()}
	}
	return nil, nil
}

// login makes the credential that NATS is shown.
func (n *NATS) login(ctx context.Context, b *Built, log *slog.Logger) (*credential.Presenter[natsconn.Login], error) {
	if b.natsOptions.login == nil {
		return nil, nil
	}
	c, err := b.present(ctx, *b.natsOptions.login, log)
	if err != nil {
		return nil, err
	}
	return credential.NewPresenter(c, natsconn.Decode)
}

// serve starts the NATS server inside the process.
func (n *NATS) serve(ctx context.Context, b *Built, node string, log *slog.Logger) (err error) {
	o := &b.natsOptions
	// NATS wants names that differ; node is for people, and two machines may have one host name.
	cfg := natsbus.ServerConfig{ServerName: node + "-" + rand.Text()[:8], Log: log}
	cluster := o.cluster
	cfg.Cluster = &cluster
	cluster.User = "parley"
	if cluster.Password, err = b.routePassword(); err != nil {
		return err
	}
	if cluster.TLS, err = o.routes.mutual(); err != nil {
		return Problem{"nats.cluster.certFile", err.Error()}
	}
	if n.server, err = natsbus.NewServer(cfg); err != nil {
		return Problem{"nats.cluster", err.Error()}
	}
	if err = n.server.Start(ctx); err != nil {
		return Problem{"nats.cluster.listen", err.Error()}
	}
	return nil
}

// routePassword is what the servers of a cluster present to each other: it follows from the install key, which they share.
func (b *Built) routePassword() (credential.Secret, error) {
	if b.folder == nil {
		return credential.Secret{}, errors.New("nats.cluster: the install key is not open")
	}
	key := b.folder.InstallKey.Reveal()
	defer clear(key)
	derived, err := hkdf.Key(sha256.New, key, nil, "parley nats routes", 32)
	if err != nil {
		return credential.Secret{}, err
	}
	return credential.NewSecret(hex.EncodeToString(derived)), nil
}

// Close ends the bus, the connection and the server. A nil NATS has nothing to close.
func (n *NATS) Close() {
	if n == nil {
		return
	}
	n.link.set(nil)
	if n.bus != nil {
		_ = n.bus.Close() // nothing is lost that was not lost before
	}
	if n.conn != nil {
		n.conn.Close()
	}
	if n.inside != nil {
		n.inside.Close()
	}
	if n.server != nil {
		n.server.Stop()
	}
}

// client returns what a client of a TLS server needs, nil when no file is named.
func (f tlsFiles) client() (*tls.Config, error) {
	if f == (tlsFiles{}) {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.ca != "" {
		pool, err := readPool(f.ca)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = pool
	}
	if f.cert != "" {
		if _, err := tls.LoadX509KeyPair(f.cert, f.key); err != nil {
			return nil, err
		}
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(f.cert, f.key)
			return &pair, err
		}
	}
	return cfg, nil
}

// mutual returns what servers need that check each other's certificate, nil when no file is named.
func (f tlsFiles) mutual() (*tls.Config, error) {
	cfg, err := f.client()
	if cfg == nil || err != nil {
		return nil, err
	}
	if f.ca == "" || f.cert == "" {
		return nil, errors.New("servers check each other: a certificate, its key and the CA are all needed")
	}
	cfg.ClientCAs, cfg.ClientAuth = cfg.RootCAs, tls.RequireAndVerifyClientCert
	cfg.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		return &pair, err
	}
	return cfg, nil
}

func readPool(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}

// installKeyWait is how long a start waits for a configured install key.
const installKeyWait = 30 * time.Second

// readInstallKey reads the option installKey; an empty Secret when it is not set.
func (b *Built) readInstallKey(ctx context.Context) (credential.Secret, error) {
	if b.installKey == nil {
		return credential.Secret{}, nil
	}
	cfg := *b.installKey
	cfg.StartupWait = installKeyWait
	c, err := credential.New(cfg)
	if err != nil {
		return credential.Secret{}, err
	}
	defer c.Stop()
	if err := c.Start(ctx); err != nil {
		return credential.Secret{}, err
	}
	p, err := credential.Present(c)
	if err != nil {
		return credential.Secret{}, err
	}
	lease, err := p.Acquire(ctx)
	return lease.Value, err
}
