// Package natsconn is a connection to NATS whose credential changes while it is in use.
// It shows the server what a Presenter hands out at the moment of each connect, connects
// anew when there is a newer generation, before a JWT ends and after a refusal, and is
// never closed by anything but Close.
//
//	conn.go   the connection: Open, Close, what the server is shown
//	renew.go  when it connects anew
//	login.go  what a login may look like
package natsconn

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
)

const (
	acquireWait = 200 * time.Millisecond // in the path of a connect, which nothing slow may hold up
	dialWait    = 5 * time.Second
	delayBase   = 50 * time.Millisecond // between two rounds over all servers, doubling
	delayCap    = 2 * time.Second
	spread      = 500 * time.Millisecond // after a change, so that many nodes do not reconnect at once
	askWait     = 10 * time.Second       // for the source to supply another login
	flushWait   = time.Second
	warnGap     = time.Minute // between two warnings that there is no other login
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
	TLS        *tls.Config
	Log        *slog.Logger
	// Options are applied last. They must not replace the handlers of connects and
	// errors, nor the way to log in.
	Options []nats.Option
}

// Conn is a connection to NATS.
type Conn struct {
	cfg  Config
	conn *nats.Conn

	ctx     context.Context
	cancel  context.CancelFunc
	work    sync.WaitGroup
	wake    chan struct{}
	refused atomic.Bool // the server did not accept the login that is in use
	warned  time.Time   // used by run only

	mu    sync.Mutex
	using credential.Lease[Login] // shown in the latest connect
	since time.Time               // … which succeeded; zero while it has not
	again time.Time               // when to connect anew because of a newer generation; zero for never
}

// Open connects. That no server answers, that the server refuses, or that there is no
// login yet is no error: the connection is then not connected yet, like one that was
// lost, and goes on trying until Close. ctx bounds the wait for a first login.
func Open(ctx context.Context, cfg Config) (*Conn, error) {
	if len(cfg.Servers) == 0 {
		return nil, credential.Errorf(credential.Misconfigured, "no address of a NATS server")
	}
	for _, server := range cfg.Servers {
		u, err := url.Parse(server)
		if err != nil || u.Host == "" {
			return nil, credential.Errorf(credential.Misconfigured, "an address of a NATS server is not of the form nats://host:port")
		}
		if u.User != nil {
			return nil, credential.Errorf(credential.Misconfigured, "the address of the NATS server %s holds a user: make that a credential of its own", u.Host)
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Conn{cfg: cfg, wake: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if cfg.Credential != nil {
		_, _ = cfg.Credential.Acquire(ctx) // asks the source; the connect below takes what there is
		if err := ctx.Err(); err != nil {
			c.cancel()
			return nil, err
		}
	}
	var err error
	if c.conn, err = nats.Connect(strings.Join(cfg.Servers, ","), c.options()...); err != nil {
		c.cancel()
		return nil, err
	}
	c.work.Go(c.run)
	return c, nil
}

// NATS returns the connection itself. It is the same for the life of the Conn, and not
// to be closed.
func (c *Conn) NATS() *nats.Conn { return c.conn }

// Generation returns the generation of the credential that the server accepted, 0 while
// not connected and without a credential.
func (c *Conn) Generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		return 0
	}
	return c.using.Generation
}

// Close ends the connection, after what was published has been handed to the server if
// that takes no longer than a second. A second Close does nothing.
func (c *Conn) Close() {
	c.cancel()
	c.work.Wait()
	if c.conn.IsConnected() {
		_ = c.conn.FlushTimeout(flushWait) // it ends either way
	}
	c.conn.Close()
}

func (c *Conn) options() []nats.Option {
	all := []nats.Option{
		nats.Name(c.cfg.Name), nats.Timeout(dialWait),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(), nats.CustomReconnectDelay(delay),
		nats.ConnectHandler(func(*nats.Conn) { c.connected() }), nats.ReconnectHandler(func(*nats.Conn) { c.connected() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { c.disconnected(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { c.failed(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.failed(err) }),
	}
	if c.cfg.TLS != nil {
		all = append(all, nats.Secure(c.cfg.TLS))
	}
	if c.cfg.Credential != nil {
		all = append(all, c.present)
	}
	return append(all, c.cfg.Options...)
}

func delay(rounds int) time.Duration {
	limit := min(delayCap, delayBase<<min(rounds, 10))
	return limit/2 + time.Duration(rand.Int64N(int64(limit/2)))
}

// present has the server shown one generation in each connect. nats.go asks for the user
// first, then for the JWT, the signature and the token, in one goroutine: what the first
// question finds answers them all, so that two generations are never mixed.
func (c *Conn) present(o *nats.Options) error {
	var lease credential.Lease[Login]
	var failure error
	o.UserInfo = func() (string, string) {
		ctx, cancel := context.WithTimeout(c.ctx, acquireWait)
		defer cancel()
		if lease, failure = c.cfg.Credential.Acquire(ctx); failure == nil {
			c.mu.Lock()
			c.using, c.since = lease, time.Time{}
			c.mu.Unlock()
		}
		return lease.Value.User, string(lease.Value.Password.Reveal())
	}
	o.UserJWT = func() (string, error) { return lease.Value.JWT, failure }
	o.SignatureCB = func(nonce []byte) ([]byte, error) { return lease.Value.sign(nonce) }
	o.TokenHandler = func() string { return string(lease.Value.Token.Reveal()) }
	return nil
}

func (c *Conn) connected() {
	c.mu.Lock()
	c.since = time.Now()
	lease := c.using
	c.mu.Unlock()
	c.cfg.Log.Info("connected to NATS", "event", "nats_connected", "version", lease.VersionID, "generation", lease.Generation)
	c.kick()
}

func (c *Conn) disconnected(err error) {
	c.mu.Lock()
	c.since = time.Time{}
	c.mu.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	reason := "a new login"
	if err != nil {
		reason = err.Error()
	}
	c.cfg.Log.Info("disconnected from NATS", "event", "nats_disconnected", "reason", reason)
}

// failed is told of what went wrong, in a connect or later.
func (c *Conn) failed(err error) {
	if refusal(err) {
		c.refused.Store(true)
		c.kick()
		return
	}
	c.cfg.Log.Debug("NATS failed", "event", "nats_failed", "error", err.Error())
}

// refusal reports whether it is the login that the server does not accept.
func refusal(err error) bool {
	for _, one := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// kick makes the loop look again. It never blocks.
func (c *Conn) kick() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
