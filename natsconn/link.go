package natsconn

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
)

const (
	delayBase = 50 * time.Millisecond // between two rounds over all servers, doubling
	delayCap  = 2 * time.Second
)

// link is one connection. It reconnects by itself when it is lost, with whatever login
// is right at that moment.
type link struct {
	c  *Conn
	nc *nats.Conn

	unconfirmed atomic.Bool   // something was published since the latest flush
	reconnects  atomic.Uint64 // at the latest flush

	leave func(context.Context) // of Config.OnConn; nil for nothing

	busy atomic.Int64  // requests and handlers that need it
	idle chan struct{} // told when busy becomes 0

	mu         sync.Mutex
	fresh      bool                    // shows the newest login, whatever is known of it
	using      credential.Lease[Login] // shown in the latest connect
	since      time.Time               // … which succeeded; zero while it has not
	nkey       string                  // in the options of nc
	violations map[string]struct{}     // subscriptions that the server refused, as it said it
	full       bool                    // the server said that there are too many subscriptions
	last       error                   // noted
	noted      chan struct{}           // closed when last changes
}

// connect makes a link. Without retry the first attempt decides.
func (c *Conn) connect(servers []string, retry bool) (*link, error) {
	l := &link{c: c, idle: make(chan struct{}, 1), noted: make(chan struct{}), violations: make(map[string]struct{}), fresh: !retry}
	options := append(l.options(), nats.RetryOnFailedConnect(retry))
	if !retry {
		options = append(options, nats.DontRandomize()) // the order means something
	}
	nc, err := nats.Connect(strings.Join(servers, ","), append(options, c.cfg.Options...)...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		return l, err
	}
	l.nc, l.fresh = nc, false
	if !retry { // its callback may come late
		l.since = time.Now()
	}
	return l, nil
}

func (l *link) options() []nats.Option {
	cfg := &l.c.cfg
	all := []nats.Option{
		nats.Name(cfg.Name), nats.Timeout(dialWait),
		nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(), nats.CustomReconnectDelay(delay),
		nats.ConnectHandler(func(nc *nats.Conn) {
			l.reconnects.Store(nc.Stats().Reconnects) // what waited for the first connection was not lost
			l.connected()
		}),
		nats.ReconnectHandler(func(*nats.Conn) { l.connected() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { l.disconnected(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { l.failed(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.failed(err) }),
	}
	if cfg.TLS != nil {
		all = append(all, nats.Secure(cfg.TLS))
	}
	if cfg.TLSFirst {
		all = append(all, nats.TLSHandshakeFirst())
	}
	if cfg.Credential != nil {
		all = append(all, l.present)
	}
	return all
}

func delay(rounds int) time.Duration {
	limit := min(delayCap, delayBase<<min(rounds, 10))
	return limit/2 + time.Duration(rand.Int64N(int64(limit/2)))
}

// errShape fails one attempt to connect: a login with an nkey and one without need other
// options, and the attempt began with those of the login before. The next one has them.
var errShape = errors.New("natsconn: another kind of login")

// present has the server shown one generation in each connect. nats.go asks for the user
// first, then for the JWT, the signature and the token, in one goroutine: what the first
// question finds answers them all, so that two generations are never mixed.
func (l *link) present(o *nats.Options) error {
	var lease credential.Lease[Login]
	var failure error
	o.UserInfo = func() (string, string) {
		if lease, failure = l.choose(); failure != nil {
			return "", ""
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if want := lease.Value.nkey(); want != l.nkey {
			failure = errShape
			if l.nc != nil { // nats.go holds the lock of its options in a connect
				l.shape(&l.nc.Opts, want, &lease, &failure)
			}
			return "", ""
		}
		l.using, l.since = lease, time.Time{}
		return lease.Value.User, string(lease.Value.Password.Reveal())
	}
	o.SignatureCB = func(nonce []byte) ([]byte, error) {
		if failure != nil {
			return nil, failure
		}
		return lease.Value.sign(nonce)
	}
	o.TokenHandler = func() string {
		if failure != nil {
			return ""
		}
		return string(lease.Value.Token.Reveal())
	}
	nkey := ""
	if first, err := l.choose(); err == nil {
		nkey = first.Value.nkey()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shape(o, nkey, &lease, &failure)
	return nil
}

// shape sets the options that nats.go reads before it asks for anything: an nkey, or the
// question for a JWT, but not both.
func (l *link) shape(o *nats.Options, nkey string, lease *credential.Lease[Login], failure *error) {
	o.Nkey, o.UserJWT, l.nkey = nkey, nil, nkey
	if nkey == "" {
		o.UserJWT = func() (string, error) { return text(lease.Value.JWT), *failure }
	}
}

// choose returns the login to show: the newest, unless the server refused that one and
// the one before still works.
func (l *link) choose() (credential.Lease[Login], error) {
	ctx, cancel := context.WithTimeout(l.c.ctx, acquireWait)
	defer cancel()
	lease, err := l.c.cfg.Credential.Acquire(ctx)
	if err != nil {
		return lease, err
	}
	l.mu.Lock()
	fresh := l.fresh
	l.mu.Unlock()
	l.c.state.Lock()
	defer l.c.state.Unlock()
	if good := l.c.good; !fresh && lease.Generation == l.c.bad && good.Generation != 0 && !good.Value.ended(time.Now()) && !l.c.cfg.Credential.Revoked(good) {
		return good, nil
	}
	return lease, nil
}

func (l *link) login() (using credential.Lease[Login], since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.using, l.since
}

// inUse reports whether it is the connection that others use, not one that came and has
// not taken over, or was replaced.
func (l *link) inUse() bool {
	l.c.mu.RLock()
	defer l.c.mu.RUnlock()
	return l.c.link == l || l.c.link == nil
}

func (l *link) connected() {
	l.mu.Lock()
	l.since = time.Now()
	lease := l.using
	clear(l.violations)
	l.full = false
	l.mu.Unlock()
	if l.inUse() {
		l.c.accepted(lease)
	}
	l.c.cfg.Log.Info("connected to NATS", "event", "nats_connected", "version", lease.VersionID, "generation", lease.Generation)
	l.c.kick()
}

func (l *link) disconnected(err error) {
	l.mu.Lock()
	l.since = time.Time{}
	l.mu.Unlock()
	if l.c.ctx.Err() != nil || !l.inUse() {
		return
	}
	reason := "a new login"
	if err != nil {
		reason = err.Error()
	}
	l.c.cfg.Log.Info("disconnected from NATS", "event", "nats_disconnected", "reason", reason)
}

// failed is told of what went wrong, in a connect or later.
func (l *link) failed(err error) {
	if l.inUse() {
		l.c.state.Lock()
		l.c.latest = err
		l.c.state.Unlock()
	}
	switch {
	case refusal(err):
		using, _ := l.login()
		l.c.rejected(using.Generation, err)
		if l.inUse() {
			l.c.refused.Store(true)
			l.c.kick()
		}
		return
	case errors.Is(err, nats.ErrPermissionViolation), errors.Is(err, nats.ErrMaxSubscriptionsExceeded):
		l.note(err)
		l.c.kick()
	}
	l.c.cfg.Log.Debug("NATS failed", "event", "nats_failed", "error", err.Error())
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

// note keeps what the server said against a subscription.
func (l *link) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, what, about := strings.Cut(err.Error(), "for Subscription to "); about {
		what, _, _ = strings.Cut(what, ` (sid "`) // of a subscription that it has taken away
		l.violations[what] = struct{}{}
	}
	l.full = l.full || errors.Is(err, nats.ErrMaxSubscriptionsExceeded)
	l.last = err
	close(l.noted)
	l.noted = make(chan struct{})
}

// confirm waits until the server has seen all that was sent, and what it said against
// it has been noted. The library tells of errors in another goroutine than the one that
// sees the end of a flush, but the latest of them it has by then.
func (l *link) confirm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, confirmWait)
	defer cancel()
	if err := l.nc.FlushWithContext(ctx); err != nil {
		return err
	}
	latest := l.nc.LastError()
	if !errors.Is(latest, nats.ErrPermissionViolation) && !errors.Is(latest, nats.ErrMaxSubscriptionsExceeded) {
		return nil
	}
	for {
		l.mu.Lock()
		last, noted := l.last, l.noted
		l.mu.Unlock()
		if last == latest {
			return nil
		}
		select {
		case <-noted:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// publishing notes that something is published.
func (l *link) publishing() *nats.Conn {
	if !l.unconfirmed.Load() { // most of the time it is, and a write would cost other cores
		l.unconfirmed.Store(true)
	}
	return l.nc
}

// overfull reports, once, whether the server refused a subscription as one too many.
func (l *link) overfull() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.full
	l.full = false
	return full
}

// flush is Conn.Flush, when something was published since the one before, and after so
// many reconnects.
func (l *link) flush(ctx context.Context, published bool, reconnects uint64) error {
	err := nats.ErrDisconnected
	if l.nc.IsConnected() {
		err = l.nc.FlushWithContext(ctx)
	}
	if err == nil && l.nc.Stats().Reconnects != reconnects {
		err = nats.ErrDisconnected
	}
	if err != nil {
		if published {
			l.unconfirmed.Store(true)
		}
		return err
	}
	if before := l.reconnects.Swap(reconnects); before != reconnects && published {
		return ErrUnconfirmed
	}
	return nil
}

func (l *link) begin() { l.busy.Add(1) }

func (l *link) end() {
	if l.busy.Add(-1) == 0 {
		select {
		case l.idle <- struct{}{}:
		default:
		}
	}
}
