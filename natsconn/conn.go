package natsconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/parley-backend/parley/credential"
)

const (
	acquireWait   = 200 * time.Millisecond // in the path of a connect, which nothing slow may hold up
	dialWait      = 5 * time.Second
	confirmWait   = 5 * time.Second // for the server's answer to what was sent
	flushWait     = time.Second
	defaultSpread = 500 * time.Millisecond
	defaultLinger = time.Minute
	defaultQueue  = "parley"
)

// Config describes a Conn. Only Servers is needed.
type Config struct {
	// Servers are URLs, nats://host:port or tls://host:port, without a user in them.
	Servers []string
	// Name is what the server lists the connection as.
	Name string
	// Credential supplies the logins, nil for none. Make it with Decode, of a credential
	// with Check.
	Credential *credential.Presenter[Login]
	// TLS has the CA and the certificate of the client, nil for what the URLs say alone.
	TLS *tls.Config
	// TLSFirst has the handshake come before anything that the server says; it must be
	// configured so as well.
	TLSFirst bool

	// InPlace has a new login take effect by a reconnect of the one connection there is,
	// for users of NATS that keep a *nats.Conn: what others publish meanwhile is missed.
	InPlace bool
	// AllowDuplicates says what to do where the server refuses the queue group of a plain
	// subscription. If set, such a subscription may get a message twice during a
	// hand-over. If not, there is none: a new login takes effect as with InPlace.
	AllowDuplicates bool
	// QueuePrefix begins the names of the queue groups of plain subscriptions, "parley"
	// if empty: <prefix>.<id of the Conn>.<number>. A user whose permissions name queue
	// groups needs <prefix>.>.
	QueuePrefix string
	// Spread is the time within which a new login is taken over after it was stored, at
	// random, so that many nodes do not connect at once: 500 ms by default.
	Spread time.Duration
	// Linger is how long a connection that was replaced stays for the requests and the
	// handlers that began on it, at most: a minute by default, and no longer than until
	// a second before its login ends.
	Linger time.Duration

	// OnConn, if set, is told of every connection before it is used: of the first, and of
	// each that is to take over. It may subscribe on it for itself; the server's answer to
	// that is waited for with the rest, and where it refuses what it did not refuse on the
	// connection in use, or OnConn returns an error, that one stays. An error for the first
	// is the error of Open. It must not call methods of the Conn.
	//
	// leave, if not nil, is called when the connection has been replaced, or has not taken
	// over: it ends what was subscribed, and returns when nothing needs the connection any
	// more, or when ctx ends, by Linger. It is not called for the connection in use at Close.
	// After a reconnect a connection has its subscriptions again: OnConn is not called.
	OnConn func(nc *nats.Conn) (leave func(ctx context.Context), err error)

	Log *slog.Logger
	// Options are applied last. They must not replace the handlers of connects and
	// errors, nor the way to log in.
	Options []nats.Option
}

// Conn is a connection to NATS: one, and for the time of a hand-over two.
type Conn struct {
	cfg Config
	id  string // unique; in the names of queue groups

	ctx     context.Context
	cancel  context.CancelFunc
	work    sync.WaitGroup
	wake    chan struct{}
	refused atomic.Bool // the server did not accept the login that is in use
	warned  time.Time   // used by run only, like told
	told    time.Time

	// mu is held for reading while something is handed to the connection in use, and for
	// writing while another one takes its place.
	mu     sync.RWMutex
	link   *link
	closed bool

	// interests is held while subscriptions change, and during a hand-over. It is taken
	// before mu.
	interests sync.Mutex
	subs      map[*Subscription]struct{}
	consumers map[*Consumer]struct{}
	retired   map[*link]struct{} // guarded by mu
	number    int                // of the latest private queue group

	// state is taken last.
	state   sync.Mutex
	again   time.Time               // when to take over a newer generation; zero for never
	backoff time.Duration           // after a hand-over that failed
	good    credential.Lease[Login] // accepted last, and not refused since
	bad     uint64                  // the generation refused last
	trouble error                   // why the newest generation is not in use; nil if it is
	lacking error                   // subscriptions that the server refuses
	latest  error                   // of the latest attempt to connect; nil after one that succeeded
}

// Open connects. That no server answers, that the server refuses, or that there is no
// login yet is no error: the connection is then not connected yet, like one that was
// lost, and goes on trying until Close. ctx bounds the wait for a first login.
func Open(ctx context.Context, cfg Config) (*Conn, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	c := &Conn{
		cfg: cfg, id: nuid.Next(), wake: make(chan struct{}, 1),
		subs: make(map[*Subscription]struct{}), consumers: make(map[*Consumer]struct{}), retired: make(map[*link]struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if cfg.Credential != nil {
		_, _ = cfg.Credential.Acquire(ctx) // asks the source; the connect below takes what there is
		if err := ctx.Err(); err != nil {
			c.cancel()
			return nil, err
		}
	}
	l, err := c.connect(cfg.Servers, true)
	if err != nil {
		c.cancel()
		return nil, err
	}
	c.mu.Lock() // its callbacks look already
	c.link = l
	c.mu.Unlock()
	if err := l.introduce(); err != nil {
		c.cancel()
		l.nc.Close()
		return nil, err
	}
	c.work.Go(c.run)
	return c, nil
}

func (cfg *Config) complete() error {
	if len(cfg.Servers) == 0 {
		return credential.Errorf(credential.Misconfigured, "no address of a NATS server")
	}
	for _, server := range cfg.Servers {
		u, err := url.Parse(server)
		if err != nil || u.Host == "" {
			return credential.Errorf(credential.Misconfigured, "an address of a NATS server is not of the form nats://host:port")
		}
		if u.User != nil {
			return credential.Errorf(credential.Misconfigured, "the address of the NATS server %s holds a user: make that a credential of its own", u.Host)
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.QueuePrefix == "" {
		cfg.QueuePrefix = defaultQueue
	}
	if cfg.Spread <= 0 {
		cfg.Spread = defaultSpread
	}
	if cfg.Linger <= 0 {
		cfg.Linger = defaultLinger
	}
	return nil
}

// NATS returns the connection that is in use at the moment. With InPlace, and without a
// Credential, it is the same for the life of the Conn; otherwise it is closed some time
// after a hand-over. It is not to be closed by the caller.
func (c *Conn) NATS() *nats.Conn {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.link.nc
}

// Hold returns the connection in use and has it stay open until release is called, for
// an exchange that must begin and end on one connection. Linger still bounds it.
func (c *Conn) Hold() (conn *nats.Conn, release func()) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	l := c.link
	l.begin()
	return l.nc, sync.OnceFunc(l.end)
}

// Generation returns the generation of the credential that the server accepted, 0 while
// not connected and without a credential.
func (c *Conn) Generation() uint64 {
	c.mu.RLock()
	l := c.link
	c.mu.RUnlock()
	using, since := l.login()
	if since.IsZero() {
		return 0
	}
	return using.Generation
}

// Health returns nil while connected with the newest login and all subscriptions, and
// otherwise why not: the connection may well work with the login before then.
func (c *Conn) Health() error {
	c.mu.RLock()
	connected := c.link.nc.IsConnected()
	c.mu.RUnlock()
	c.state.Lock()
	defer c.state.Unlock()
	switch {
	case c.trouble != nil:
		return c.trouble
	case !connected:
		return nats.ErrDisconnected
	}
	return c.lacking
}

// LastError returns why the latest attempt to connect failed, nil after one that succeeded.
func (c *Conn) LastError() error {
	c.state.Lock()
	defer c.state.Unlock()
	return c.latest
}

// Publish sends a message. While there is no connection it waits in the buffer of the
// connection (8 MB, nats.ReconnectBufSize); with the buffer full the error is
// nats.ErrReconnectBufExceeded. Only Flush tells that the server has it.
func (c *Conn) Publish(subject string, data []byte) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.link.publishing().Publish(subject, data)
}

// PublishMsg is Publish with headers and a reply subject.
func (c *Conn) PublishMsg(m *nats.Msg) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.link.publishing().PublishMsg(m)
}

// Respond answers a message that a Subscription got. Unlike m.Respond it works when the
// connection on which the message came has been replaced since.
func (c *Conn) Respond(m *nats.Msg, data []byte) error {
	if m.Reply == "" {
		return nats.ErrMsgNoReply
	}
	return c.Publish(m.Reply, data)
}

// Request sends a message and waits for the answer, on one connection: a hand-over
// meanwhile does not disturb it. Errors are those of nats.go: nats.ErrNoResponders, the
// end of ctx, nats.ErrDisconnected where the connection was reconnected in place.
func (c *Conn) Request(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	return c.RequestMsg(ctx, &nats.Msg{Subject: subject, Data: data})
}

// RequestMsg is Request with headers.
func (c *Conn) RequestMsg(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	conn, release := c.Hold()
	defer release()
	return conn.RequestMsgWithContext(ctx, m)
}

// ErrUnconfirmed is the error of a Flush after a loss of the connection: some of what was
// published since the Flush before may not have reached the server.
var ErrUnconfirmed = errors.New("natsconn: the connection was lost, and perhaps what was published before")

// Flush returns when the server has all that was published before. It does not wait for
// a connection: nats.ErrDisconnected while there is none. It waits 5 s unless ctx has a
// deadline.
func (c *Conn) Flush(ctx context.Context) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, confirmWait)
		defer cancel()
	}
	c.mu.Lock() // nothing is being handed over now: what has been is seen by the flush
	l := c.link
	published, reconnects := l.unconfirmed.Swap(false), l.nc.Stats().Reconnects
	c.mu.Unlock()
	return l.flush(ctx, published, reconnects)
}

// Drain ends the subscriptions, waits until their handlers have had what arrived, and
// closes. What was published has then reached the server. When ctx ends before that, it
// closes at once and returns the error of ctx.
func (c *Conn) Drain(ctx context.Context) error {
	defer c.Close()
	c.interests.Lock()
	subs, consumers := keys(c.subs), keys(c.consumers)
	c.interests.Unlock()
	var failed error
	for _, s := range subs {
		failed = errors.Join(failed, s.leave())
	}
	for _, s := range subs {
		failed = errors.Join(failed, s.settle(ctx))
	}
	for _, s := range consumers {
		failed = errors.Join(failed, s.Drain(ctx))
	}
	if err := c.Flush(ctx); err != nil && !errors.Is(err, ErrUnconfirmed) {
		failed = errors.Join(failed, err)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return failed
}

func keys[K comparable](m map[K]struct{}) []K {
	all := make([]K, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	return all
}

// Close ends the connection, after what was published has been handed to the server if
// that takes no longer than a second. Handlers that run are not waited for. A second
// Close does nothing.
func (c *Conn) Close() {
	c.cancel()
	c.work.Wait() // retired connections end with it
	c.interests.Lock()
	subs, consumers := keys(c.subs), keys(c.consumers)
	clear(c.subs)
	clear(c.consumers)
	c.interests.Unlock()
	for _, s := range consumers {
		s.end()
	}
	c.mu.Lock()
	l, before := c.link, c.closed
	c.closed = true
	c.mu.Unlock()
	if !before && l.nc.IsConnected() {
		_ = l.nc.FlushTimeout(flushWait) // it ends either way
	}
	l.nc.Close()
	for _, s := range subs {
		s.stop()
	}
}

// kick makes the loop look again. It never blocks.
func (c *Conn) kick() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func refusedBy(err error, what string) error {
	return fmt.Errorf("natsconn: %s: %w", what, err)
}
