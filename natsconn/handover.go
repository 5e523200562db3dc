package natsconn

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
)

const (
	// A server that was about to hand out a message when the second connection subscribed
	// may still give it to the first: it decided before. That is over in a moment, but on
	// a busy machine not at once. Servers that must tell each other need longer.
	settleWait = 100 * time.Millisecond
	othersWait = 300 * time.Millisecond
	quietWait  = 2 * time.Second // for a moment without requests, before a reconnect in place
	beforeEnd  = time.Second     // before its login ends, a replaced connection is closed
)

// Why a hand-over was not done.
var (
	errInPlace = errors.New("natsconn: the new login takes effect in place")
	errSick    = errors.New("natsconn: the connection in use does not answer")
)

// unfit says what a login cannot do that the one in use can. The server accepts it.
type unfit struct {
	what string
	err  error
}

func unfitFor(err error, what string) error { return &unfit{what, err} }

func (u *unfit) Error() string { return "natsconn: " + u.what + ": " + u.err.Error() }

func (u *unfit) Unwrap() error { return u.err }

// handOver replaces the connection in use by one with the newest login. When it fails,
// the connection in use stays as it was, and nothing is lost.
func (c *Conn) handOver(why string) error {
	c.mu.RLock()
	old := c.link
	c.mu.RUnlock()
	if c.cfg.InPlace {
		return errInPlace
	}
	next, err := c.connect(c.order(old), false)
	if err != nil {
		using, _ := next.login()
		if refusal(err) {
			c.rejected(using.Generation, err)
		}
		if errors.Is(err, nats.ErrMaxAccountConnectionsExceeded) || errors.Is(err, nats.ErrMaxConnectionsExceeded) {
			return errInPlace // there is no room for two
		}
		return err
	}
	c.interests.Lock()
	defer c.interests.Unlock()
	if err = c.prepare(old, next); err == nil {
		err = c.swap(old, next)
	}
	if err != nil {
		c.leave(next)
		c.work.Go(func() { c.retire(next, settleWait) }) // what it got is handled, too
		return err
	}
	lease, _ := next.login()
	c.accepted(lease)
	c.cfg.Log.Info("handed over to a new NATS connection", "event", "nats_handover", "reason", why, "version", lease.VersionID, "generation", lease.Generation)
	c.leave(old)
	settle := settleWait
	if old.nc.ConnectedServerId() != next.nc.ConnectedServerId() {
		settle = othersWait
	}
	move := c.moveConsumers(old, next)
	c.work.Go(move)
	c.work.Go(func() { c.retire(old, settle) })
	return nil
}

// order is the servers, the one in use first. Between two connections to one server the
// hand-over of a queue group is exact; others hear of it a moment later.
func (c *Conn) order(old *link) []string {
	servers := slices.Clone(c.cfg.Servers)
	in, err := url.Parse(old.nc.ConnectedUrl())
	if err != nil || in.Host == "" {
		return servers
	}
	at := slices.IndexFunc(servers, func(server string) bool {
		u, err := url.Parse(server)
		return err == nil && u.Host == in.Host
	})
	switch {
	case at >= 0:
		servers[0], servers[at] = servers[at], servers[0]
	case c.cfg.TLS == nil && !c.cfg.TLSFirst && in.Scheme != "tls": // it told its address itself; its certificate may not
		servers = append([]string{in.Scheme + "://" + in.Host}, servers...)
	}
	return servers
}

// prepare subscribes on the next connection and makes sure of it.
func (c *Conn) prepare(old, next *link) error {
	for s := range c.subs {
		if s.refused.Load() {
			s.plain = s.never
			if err := s.attach(next); err != nil { // perhaps the next login may
				return err
			}
			continue
		}
		if s.on[old] == nil {
			continue
		}
		if s.plain && s.queue == "" && !c.cfg.AllowDuplicates {
			return errInPlace
		}
		if err := s.attach(next); err != nil {
			return err
		}
	}
	if err := next.introduce(); err != nil {
		return err
	}
	if err := next.confirm(c.ctx); err != nil {
		return err
	}
	if what := c.strange(old, next); what != "" {
		return unfitFor(nats.ErrPermissionViolation, "the new login may not subscribe to "+what)
	}
	if next.overfull() {
		return unfitFor(nats.ErrMaxSubscriptionsExceeded, "the new login may not have all subscriptions")
	}
	for s := range c.subs {
		if s.on[next] == nil || !next.refuses(s) || old.refuses(s) || s.refused.Load() {
			continue
		}
		if s.queue != "" || s.plain || !next.allows(c.ctx, s.subject) {
			return unfitFor(nats.ErrPermissionViolation, "the new login may not subscribe to "+s.subject)
		}
		if !c.cfg.AllowDuplicates {
			return errInPlace
		}
		if err := s.without(next); err != nil {
			return err
		}
	}
	return c.findConsumers(next)
}

// introduce tells OnConn of a connection.
func (l *link) introduce() (err error) {
	if l.c.cfg.OnConn == nil {
		return nil
	}
	l.leave, err = l.c.cfg.OnConn(l.nc)
	return err
}

// strange returns what the server refuses on the next connection only, and is not a Subscription: what OnConn subscribed to.
func (c *Conn) strange(old, next *link) string {
	before := old.refusals()
	for _, what := range c.others(next) {
		if !slices.Contains(before, what) {
			return what
		}
	}
	return ""
}

// allows reports whether a plain subscription is accepted. What it gets is dropped: the
// connection in use gets it as well.
func (l *link) allows(ctx context.Context, subject string) bool {
	probe, err := l.nc.Subscribe(subject, func(*nats.Msg) {})
	if err != nil {
		return false
	}
	defer func() { _ = probe.Unsubscribe() }() // fails only where the connection is closed
	return l.confirm(ctx) == nil && !l.refused(subject, "")
}

// swap has everything that is published from now on go to the next connection. It waits
// until the server has what was published before, so that nothing overtakes it.
func (c *Conn) swap(old, next *link) error {
	if old.nc.FlushTimeout(confirmWait) != nil { // most of it, while nobody waits
		return errSick
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !old.nc.IsConnected() || old.nc.FlushTimeout(flushWait) != nil {
		return errSick
	}
	if !next.nc.IsConnected() || c.ctx.Err() != nil {
		return nats.ErrDisconnected
	}
	if old.unconfirmed.Load() && old.reconnects.Load() != old.nc.Stats().Reconnects {
		next.unconfirmed.Store(true) // the next Flush tells of a loss before
		next.reconnects.Store(^uint64(0))
	}
	c.link = next
	return nil
}

// leave notes that a connection is not to be used any more, but still open.
func (c *Conn) leave(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired[l] = struct{}{}
}

// retire closes a connection that was replaced when nothing needs it any more.
func (c *Conn) retire(l *link, settle time.Duration) {
	defer l.nc.Close()
	defer func() {
		c.mu.Lock()
		delete(c.retired, l)
		c.mu.Unlock()
	}()
	using, _ := l.login()
	ctx, cancel := context.WithTimeout(c.ctx, c.linger(l))
	defer cancel()
	select {
	case <-time.After(settle):
	case <-c.ctx.Done():
	}
	c.detach(l)
	if l.leave != nil {
		l.leave(ctx)
	}
	_ = l.emptied(c.ctx) // where it is lost, so is what was on its way
	for l.busy.Load() > 0 {
		select {
		case <-l.idle:
		case <-ctx.Done():
			if c.ctx.Err() == nil {
				c.cfg.Log.Warn("a replaced NATS connection is closed while it is used", "event", "nats_linger", "generation", using.Generation, "requests", l.busy.Load())
			}
			return
		}
	}
	if l.nc.IsConnected() {
		_ = l.nc.FlushTimeout(flushWait) // answers of the last handlers
	}
}

// detach asks the server for no more messages on a connection. What it has sent still
// arrives.
func (c *Conn) detach(l *link) {
	c.interests.Lock()
	defer c.interests.Unlock()
	for s := range c.subs {
		if on := s.on[l]; on != nil {
			_ = on.Drain() // fails only where the connection is closed
			delete(s.on, l)
		}
	}
}

// linger is how long a connection that was replaced may stay.
func (c *Conn) linger(l *link) time.Duration {
	using, _ := l.login()
	if end := using.Value.Expires; !end.IsZero() {
		return max(0, min(c.cfg.Linger, time.Until(end)-beforeEnd))
	}
	return c.cfg.Linger
}

// inPlace has the connection in use reconnect, if possible when no request is waiting.
func (c *Conn) inPlace(l *link) {
	if l.nc.IsConnected() && !c.cfg.InPlace {
		wait := time.NewTimer(min(quietWait, c.linger(l)))
		defer wait.Stop()
	quiet:
		for l.busy.Load() > 0 {
			select {
			case <-l.idle:
			case <-wait.C:
				break quiet
			case <-c.ctx.Done():
				return
			}
		}
	}
	_ = l.nc.ForceReconnect() // fails only when closed
}

// accepted notes that the server took a login.
func (c *Conn) accepted(lease credential.Lease[Login]) {
	c.state.Lock()
	defer c.state.Unlock()
	c.latest = nil
	if lease.Generation >= c.good.Generation {
		c.good = lease
	}
	if c.bad <= lease.Generation { // not after the one before has been taken up again
		c.bad, c.trouble = 0, nil
	}
}

// rejected notes that it did not. Of a login older than the one in use, on a connection
// that was replaced, that is no news.
func (c *Conn) rejected(generation uint64, err error) {
	c.state.Lock()
	defer c.state.Unlock()
	if generation < c.good.Generation {
		return
	}
	if generation == c.good.Generation {
		c.good = credential.Lease[Login]{}
	}
	if generation >= c.bad {
		c.bad = generation
	}
	c.trouble = refusedBy(err, "the newest login is refused")
}
