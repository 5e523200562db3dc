package natsbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
)

// startWait is how long a server may take to listen.
const startWait = 10 * time.Second

// Server is a NATS server inside the process. It is a node's own: every node of an
// installation without a NATS of its own runs one, and together they are a cluster.
type Server struct {
	cfg      ServerConfig
	opts     *server.Options
	password credential.Secret

	mu      sync.Mutex
	running *server.Server
	stopped bool
}

// NewServer checks the configuration; what is wrong with it is a credential.Misconfigured
// error.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	opts, password, err := cfg.options()
	if err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, opts: opts, password: credential.NewSecret(password)}, nil
}

// Start returns when the server accepts connections. That the other servers of its
// cluster can be reached is not waited for. A second Start does nothing; after Stop, or
// when it failed, the server cannot be started again.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		return errors.New("the NATS server was stopped")
	case s.running != nil:
		return nil
	}
	running, err := server.NewServer(s.opts)
	if err != nil {
		return fmt.Errorf("the NATS server: %w", err)
	}
	log := &serverLog{log: s.cfg.Log, fatal: make(chan string, 1)}
	running.SetLoggerV2(log, false, false, false)
	go running.Start()
	if err := ready(ctx, running, log.fatal); err != nil {
		s.stopped = true
		running.Shutdown()
		running.WaitForShutdown()
		return err
	}
	s.running = running
	return nil
}

func ready(ctx context.Context, running *server.Server, fatal <-chan string) error {
	for deadline := time.Now().Add(startWait); !running.ReadyForConnections(50 * time.Millisecond); {
		select {
		case text := <-fatal:
			return fmt.Errorf("the NATS server does not start: %s", text)
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the NATS server does not start within %v", startWait)
		}
	}
	return nil
}

// Stop ends the server and its connections and returns when it has ended. A second Stop
// does nothing.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.running != nil {
		s.running.Shutdown()
		s.running.WaitForShutdown()
		s.running = nil
	}
}

// Connect returns a connection within the process, which needs no port, no password
// and no TLS. The caller closes it before Stop.
func (s *Server) Connect(options ...nats.Option) (*nats.Conn, error) {
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	if running == nil {
		return nil, errors.New("the NATS server does not run")
	}
	all := append([]nats.Option{nats.InProcessServer(running), nats.UserInfo(inside, string(s.password.Reveal())), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(), nats.Name(inside)}, options...)
	return nats.Connect("", all...)
}

// Addr returns where clients connect, "host:port"; "" while it does not run, or if it
// only runs for this process.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil || s.cfg.Listen == "" || s.running.Addr() == nil {
		return ""
	}
	return s.running.Addr().String()
}

// ClusterAddr returns where other servers connect, "host:port"; "" while it does not
// run or without a cluster.
func (s *Server) ClusterAddr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil || s.running.ClusterAddr() == nil {
		return ""
	}
	return s.running.ClusterAddr().String()
}

// Peers returns how many other servers of the cluster are connected.
func (s *Server) Peers() int {
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	if running == nil {
		return 0
	}
	peers, err := running.Routez(&server.RoutezOptions{})
	if err != nil {
		return 0
	}
	ids := make(map[string]bool)
	for _, route := range peers.Routes { // a pool of several for each peer
		ids[route.RemoteID] = true
	}
	return len(ids)
}

// serverLog writes the server's log as structured records. What it notices is for
// debugging; what it warns of is for an operator.
type serverLog struct {
	log   *slog.Logger
	fatal chan string
}

func (l *serverLog) say(level slog.Level, format string, values []any) {
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	l.log.Log(context.Background(), level, "nats-server: "+strings.TrimSpace(fmt.Sprintf(format, values...)), "event", "nats_server")
}

func (l *serverLog) Noticef(format string, values ...any) { l.say(slog.LevelDebug, format, values) }
func (l *serverLog) Errorf(format string, values ...any)  { l.say(slog.LevelError, format, values) }
func (l *serverLog) Debugf(format string, values ...any)  { l.say(slog.LevelDebug, format, values) }
func (l *serverLog) Tracef(string, ...any)                {}

// Warnf leaves out the advice to write hashes of passwords into a configuration file:
// these come from a secret store, or are random and live as long as the process.
func (l *serverLog) Warnf(format string, values ...any) {
	if !strings.HasPrefix(format, "Plaintext passwords detected") {
		l.say(slog.LevelWarn, format, values)
	}
}

// Fatalf does not end the process: Start returns what it says.
func (l *serverLog) Fatalf(format string, values ...any) {
	l.say(slog.LevelError, format, values)
	select {
	case l.fatal <- fmt.Sprintf(format, values...):
	default:
	}
}
