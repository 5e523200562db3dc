package messaging

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-backend/parley/natsconn"
)

const (
	clientName  = "NATS Messaging Provider" // what the original is listed as
	dialWait    = 5 * time.Second
	replaceWait = 5 * time.Second // for the connection that is to take over from one that works
	lingerWait  = time.Minute     // for what is under way on one that was replaced
	leaveWait   = 30 * time.Second
	spread      = 50 * time.Millisecond
	lookWait    = 5 * time.Second
)

// wire is a connection of a link and what is subscribed to on it. Its maps are guarded by link.serial.
type wire struct {
	conn   *natsconn.Conn
	made   [32]byte // settings.connection
	login  *kept
	use    gate // of the connection: requests, publishes and messages under way
	cancel context.CancelFunc

	subs      map[wanted]*natsconn.Subscription
	consumers map[consumer]*natsconn.Consumer
}

// wanted is a subscription that is wanted, for the nth time: strict_compat has one twice.
type wanted struct {
	subscription
	nth int
}

// open makes a connection. That no server answers is no error.
func (l *link) open(s *settings) (*wire, error) {
	secure, err := s.tls.build()
	if err != nil {
		return nil, err
	}
	login, err := l.p.keeper.take(l.ctx, l.title, s.login)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(l.ctx)
	w := &wire{made: s.connection, login: login, cancel: cancel, subs: make(map[wanted]*natsconn.Subscription), consumers: make(map[consumer]*natsconn.Consumer)}
	w.use.size = math.MaxInt
	cfg := natsconn.Config{
		Servers: s.servers, Name: clientName, TLS: secure, TLSFirst: s.tls.first, AllowDuplicates: s.allowDuplicates,
		QueuePrefix: "wc." + token(l.p.host.InstanceID()), Spread: spread, Log: l.log, Options: options(ctx, s),
	}
	if login != nil {
		cfg.Credential = login.presenter
	}
	if w.conn, err = natsconn.Open(ctx, cfg); err != nil {
		cancel()
		l.p.keeper.release(login)
		return nil, err
	}
	return w, nil
}

// options are what natsconn does not know of.
func options(ctx context.Context, s *settings) []nats.Option {
	all := []nats.Option{nats.SetCustomDialer(dialer{ctx})}
	if s.users != nil {
		all = append(all, func(o *nats.Options) error { // natsconn takes no URL with a user: what is in one cannot rotate
			o.Url, o.Servers = "", slices.Clone(s.users)
			return nil
		})
	}
	if s.inboxPrefix != "" {
		all = append(all, nats.CustomInboxPrefix(s.inboxPrefix))
	}
	if s.ping > 0 {
		all = append(all, nats.PingInterval(s.ping))
	}
	return all
}

// dialer gives up when the connection is not wanted any more. nats.go would go on for its whole time-out.
type dialer struct{ ctx context.Context }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialWait}).DialContext(d.ctx, network, address)
}

// reconcile makes what is in use be like the settings that are wanted. What works stays in use until what takes its place does. It
// is called with l.serial held; an error means that it is worth another attempt later.
func (l *link) reconcile() error {
	s := l.settings.Load()
	l.gate.resize(s.maxInFlight)
	w := l.wire.Load()
	switch {
	case w == nil:
		next, err := l.open(s)
		if err != nil {
			return err
		}
		l.use(next)
		close(l.first)
		return l.subscribe(next, s)
	case w.made != s.connection:
		return l.replace(w, s)
	}
	var failed error
	if w.login != nil && s.login.kind == directLogin {
		failed = w.login.change(l.ctx, s.login)
	}
	return errors.Join(failed, l.subscribe(w, s))
}

// replace puts another connection in the place of one that works.
func (l *link) replace(w *wire, s *settings) error {
	next, err := l.open(s)
	if err != nil {
		return err
	}
	if err = l.connected(next); err == nil {
		err = l.subscribe(next, s)
	}
	if err != nil && l.usable(w) {
		next.cancel()
		l.p.work.Go(func() { l.retire(l.p.ctx, next) })
		return fmt.Errorf("the changed settings are not in use: %w", err)
	}
	flush, cancel := context.WithTimeout(l.ctx, lookWait)
	_ = w.conn.Flush(flush) // so that nothing overtakes what was published before
	cancel()
	l.use(next)
	l.p.work.Go(func() {
		ctx, cancel := context.WithTimeout(l.p.ctx, lingerWait)
		defer cancel()
		l.retire(ctx, w)
	})
	l.log.Info("connected as the changed settings say", "event", "messaging_replaced")
	return err
}

func (l *link) usable(w *wire) bool { return w.conn.NATS().IsConnected() }

// connected waits until there is a connection.
func (l *link) connected(w *wire) error {
	ctx, cancel := context.WithTimeout(l.ctx, replaceWait)
	defer cancel()
	for {
		nc := w.conn.NATS()
		changed := nc.StatusChanged(nats.CONNECTED)
		if nc.IsConnected() {
			nc.RemoveStatusListener(changed)
			return nil
		}
		select {
		case <-changed:
			nc.RemoveStatusListener(changed)
		case <-ctx.Done():
			nc.RemoveStatusListener(changed)
			return trouble(w.conn, nats.ErrDisconnected)
		}
	}
}

// use has everything go over a connection from now on.
func (l *link) use(w *wire) { l.wire.Store(w) }

// hold returns the connection in use, which stays open until release is called; nil if there is none. For the first one it waits a moment.
func (l *link) hold(ctx context.Context) *wire {
	select {
	case <-l.first:
	case <-l.ctx.Done():
	case <-ctx.Done():
	case <-time.After(dialWait):
	}
	for {
		w := l.wire.Load()
		if w == nil || w.use.enter(context.Background()) != nil {
			return nil
		}
		if l.wire.Load() == w {
			return w
		}
		w.use.leave() // it was replaced: nobody may be waiting for this one
	}
}

func (w *wire) release() { w.use.leave() }

// subscribe has exactly the subscriptions and consumers that are wanted. New ones come first.
func (l *link) subscribe(w *wire, s *settings) error {
	var failed error
	want := make(map[wanted]bool)
	for _, one := range s.subscriptions {
		key := wanted{subscription: one}
		for want[key] {
			key.nth++
		}
		want[key] = true
		if w.subs[key] == nil {
			sub, err := l.subscribeOne(w, key)
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			w.subs[key] = sub
		}
		w.subs[key].SetPendingLimits(s.maxPending, s.maxPendingBytes)
	}
	failed = errors.Join(failed, l.consume(w, s))
	for key, sub := range w.subs {
		if !want[key] {
			delete(w.subs, key)
			l.leave(sub.Drain)
		}
	}
	for key, sub := range w.consumers {
		if !slices.Contains(s.consumers, key) {
			delete(w.consumers, key)
			l.leave(sub.Drain)
		}
	}
	l.listened.Store(new(slices.Collect(maps.Values(w.subs))))
	return failed
}

func (l *link) leave(drain func(context.Context) error) {
	l.p.work.Go(func() {
		ctx, cancel := context.WithTimeout(l.calls, leaveWait)
		defer cancel()
		_ = drain(ctx) // what is not handled by then is dropped with the subscription
	})
}

func (l *link) subscribeOne(w *wire, key wanted) (*natsconn.Subscription, error) {
	handler := func(m *nats.Msg) { l.arrived(w, m) }
	if key.queue != "" {
		return w.conn.QueueSubscribe(key.subject, key.queue, handler)
	}
	return w.conn.SubscribeAs(key.subject, l.private(key), handler)
}

// private is the queue group of a plain subscription: the same on the connection that takes over, and another one in every process.
func (l *link) private(key wanted) string {
	return "wc." + token(l.p.host.InstanceID()) + "." + short(l.key.Component, l.key.Name, l.key.Namespace, l.key.Package, key.subject, strconv.Itoa(key.nth))
}

// consume has the JetStream consumers that are wanted.
func (l *link) consume(w *wire, s *settings) error {
	var failed error
	for _, c := range s.consumers {
		if w.consumers[c] != nil && l.lost(c) {
			l.leave(w.consumers[c].Drain)
			delete(w.consumers, c)
		}
		if w.consumers[c] != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(l.ctx, lookWait)
		got, err := w.conn.Consume(ctx, c.Stream, c.Consumer, func(m jetstream.Msg) { l.streamed(w, m) }, l.pulling(c, s)...)
		cancel()
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("consumer %s of stream %s: %w", c.Consumer, c.Stream, err))
			continue
		}
		w.consumers[c] = got
	}
	return failed
}

// retire ends a connection: nothing more comes, and what is under way may finish until ctx ends.
func (l *link) retire(ctx context.Context, w *wire) {
	stop := context.AfterFunc(ctx, w.conn.Close)
	defer stop()
	done := make(chan struct{})
	n := 0
	for _, sub := range w.subs {
		n++
		go func() { _ = sub.Drain(ctx); done <- struct{}{} }() // with ctx ended the rest is dropped
	}
	for _, sub := range w.consumers {
		n++
		go func() { _ = sub.Drain(ctx); done <- struct{}{} }()
	}
	for range n {
		<-done
	}
	if w.use.empty(ctx) == nil {
		_ = w.conn.Flush(ctx) // it is closed either way
	}
	w.conn.Close()
	w.cancel()
	l.p.keeper.release(w.login)
}

// trouble is why a connection does not work, in the words of the library.
func trouble(conn *natsconn.Conn, err error) error {
	if !errors.Is(err, nats.ErrDisconnected) {
		return err
	}
	if last := conn.LastError(); last != nil && !errors.Is(last, err) {
		return fmt.Errorf("not connected: %w", last)
	}
	return errors.New("not connected")
}
