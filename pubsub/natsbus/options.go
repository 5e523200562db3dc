package natsbus

import (
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/parley-backend/parley/credential"
)

// ServerConfig describes a Server. The zero value is a server that only its own process
// can reach.
type ServerConfig struct {
	// ServerName is unique in the cluster; random if empty. What NATS allows in no name
	// is replaced by '_'.
	ServerName string
	// Listen is where clients of other processes connect, "host:port" with port 0 for any free
	// one; "" for nowhere. Beyond loopback it needs a User and Password or TLS that
	// demands a client's certificate.
	Listen string
	// User and Password are what such clients present.
	User     string
	Password credential.Secret
	TLS      *tls.Config
	// Cluster makes it one server of several; nil for one alone.
	Cluster *ClusterConfig
	// StoreDir turns JetStream on, with its files there.
	StoreDir string
	Log      *slog.Logger
}

// ClusterConfig says how a server and the others of its cluster find and trust each
// other. A message that one of them accepts reaches the clients of all.
type ClusterConfig struct {
	// Name is the same on all servers: "parley" if empty.
	Name string
	// Listen is where the other servers connect, "host:port"; beyond loopback it needs
	// a User and Password, or TLS that demands and verifies the other's certificate.
	Listen string
	// Routes are the addresses of other servers of the cluster, "host:port" each. One
	// that can be reached suffices: it tells of the rest.
	Routes []string
	// User and Password are what servers present to each other, the same on all.
	User     string
	Password credential.Secret
	TLS      *tls.Config
	// Advertise is the address at which others reach this server where that is not the
	// one it listens on: "host:port".
	Advertise string
}

// inside is the user of this process.
const inside = "parley-inside"

// options makes the server's options, or says what is wrong as a Misconfigured error.
func (cfg *ServerConfig) options() (opts *server.Options, password string, err error) {
	password = rand.Text()
	opts = &server.Options{
		ServerName: strings.Map(named, cfg.ServerName), NoSigs: true, DontListen: cfg.Listen == "" && cfg.Cluster == nil,
		JetStream: cfg.StoreDir != "", StoreDir: cfg.StoreDir, MaxControlLine: server.MAX_CONTROL_LINE_SIZE,
		Users: []*server.User{{Username: inside, Password: password}},
	}
	// A server that does not listen has no routes either, so one that is only in a
	// cluster listens where only its own machine can reach it, and knows one user.
	opts.Host, opts.Port = "127.0.0.1", server.RANDOM_PORT
	if cfg.Listen != "" {
		if opts.Host, opts.Port, err = place("the NATS server", cfg.Listen); err != nil {
			return nil, "", err
		}
		if err := cfg.clients(opts); err != nil {
			return nil, "", err
		}
	}
	if cfg.Cluster != nil {
		if err := cfg.Cluster.options(opts); err != nil {
			return nil, "", err
		}
	}
	return opts, password, nil
}

// named keeps a character of a server's name: NATS uses it in subjects and files.
func named(r rune) rune {
	if r <= ' ' || r == 0x7f || strings.ContainsRune(`.*>/\`, r) {
		return '_'
	}
	return r
}

// clients sets who may connect from outside the process.
func (cfg *ServerConfig) clients(opts *server.Options) error {
	opts.TLSConfig, opts.TLS, opts.TLSVerify = cfg.TLS, cfg.TLS != nil, verifies(cfg.TLS)
	opts.TLSTimeout = handshake.Seconds()
	switch {
	case cfg.User == inside:
		return credential.Errorf(credential.Misconfigured, "the user %s of the NATS server is its own", inside)
	case (cfg.User == "") != (cfg.Password.Len() == 0):
		return credential.Errorf(credential.Misconfigured, "clients of the NATS server need both a user and a password")
	case cfg.User != "":
		opts.Users = append(opts.Users, &server.User{Username: cfg.User, Password: string(cfg.Password.Reveal())})
	case !loopback(opts.Host) && !verifies(cfg.TLS):
		return credential.Errorf(credential.Misconfigured, "the NATS server listens on %s, beyond loopback, and would let in anybody: it needs a user and a password, or TLS that verifies clients", cfg.Listen)
	default:
		const anybody = "anybody"
		opts.Users = append(opts.Users, &server.User{Username: anybody, Password: rand.Text()})
		opts.NoAuthUser = anybody
	}
	return nil
}

const (
	handshake  = 5 * time.Second
	routePing  = 5 * time.Second // a route that died in silence is noticed after three
	routeTries = 1 << 30         // a peer that is down is tried for as long as it takes
)

func (cfg *ClusterConfig) options(opts *server.Options) error {
	c := &opts.Cluster
	c.Name, c.Username, c.Password = cfg.Name, cfg.User, string(cfg.Password.Reveal())
	// Clients elsewhere are not told of an address that only this machine can reach.
	c.Advertise, c.NoAdvertise = cfg.Advertise, loopback(opts.Host)
	c.TLSConfig, c.TLSTimeout, c.AuthTimeout = cfg.TLS, handshake.Seconds(), handshake.Seconds()
	c.PingInterval, c.MaxPingsOut, c.ConnectRetries = routePing, 2, routeTries
	if c.Name == "" {
		c.Name = "parley"
	}
	if cfg.Listen == "" {
		return credential.Errorf(credential.Misconfigured, "a cluster needs an address to listen on for the other nodes")
	}
	var err error
	if c.Host, c.Port, err = place("the NATS cluster", cfg.Listen); err != nil {
		return err
	}
	switch {
	case (cfg.User == "") != (cfg.Password.Len() == 0):
		return credential.Errorf(credential.Misconfigured, "the NATS cluster needs both a user and a password")
	case cfg.User == "" && !loopback(c.Host) && !verifies(cfg.TLS):
		return credential.Errorf(credential.Misconfigured, "the NATS cluster listens on %s, beyond loopback, and would let in anybody: it needs a user and a password, or TLS that verifies the other nodes", cfg.Listen)
	}
	for _, route := range cfg.Routes {
		host, port, err := place("a route of the NATS cluster", route)
		if err != nil {
			return err
		}
		if host == "" || port <= 0 {
			return credential.Errorf(credential.Misconfigured, "a route of the NATS cluster, %q, needs a host and a port", route)
		}
		u := &url.URL{Scheme: "nats-route", Host: net.JoinHostPort(host, strconv.Itoa(port))}
		if cfg.User != "" {
			u.User = url.UserPassword(cfg.User, c.Password)
		}
		opts.Routes = append(opts.Routes, u)
	}
	return nil
}

// place splits an address. Port 0 means any that is free.
func place(what, address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, credential.Errorf(credential.Misconfigured, "the address of %s is not of the form host:port: %q", what, address)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, credential.Errorf(credential.Misconfigured, "the port of %s is not a number from 0 to 65535: %q", what, address)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	if host == "" {
		host = "0.0.0.0"
	}
	return host, port, nil
}

// loopback reports whether only this machine can reach the host. A name counts only if
// it is localhost: what another resolves to may change.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func verifies(cfg *tls.Config) bool {
	return cfg != nil && cfg.ClientAuth == tls.RequireAndVerifyClientCert
}
