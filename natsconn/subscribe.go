package natsconn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// A Subscription gets messages from whatever connection is in use. Its handler is called
// for one message at a time.
type Subscription struct {
	c       *Conn
	subject string
	queue   string // the caller's; empty for a plain one
	handler func(*nats.Msg)

	// These are guarded by Conn.interests.
	private string // the queue group that makes hand-overs of a plain one exact
	never   bool   // there are no hand-overs, and no need for that group
	plain   bool   // never, or the server refuses the group
	refused atomic.Bool
	on      map[*link]*nats.Subscription

	mu       sync.Mutex
	waiting  []arrival
	pending  int // in waiting and taken from it, not handled yet
	bytes    int
	running  bool
	ended    bool          // nothing more is accepted
	settled  chan struct{} // closed when there is nothing left to handle; nil while nobody asks
	dropped  int
	maxCount int
	maxBytes int
}

type arrival struct {
	m *nats.Msg
	l *link
}

// Subscribe has handler called for every message to a subject, which may hold wildcards.
// It returns when the server has accepted it, or at once while there is no connection.
// The error wraps nats.ErrPermissionViolation or nats.ErrMaxSubscriptionsExceeded when
// the server does not.
func (c *Conn) Subscribe(subject string, handler func(*nats.Msg)) (*Subscription, error) {
	return c.subscribe(subject, "", "", handler)
}

// SubscribeAs is Subscribe with a name for the queue group of its own, for two Conns of
// which one takes over from the other: while both are subscribed under one name each message
// comes to one of them. No one else may use the name.
func (c *Conn) SubscribeAs(subject, private string, handler func(*nats.Msg)) (*Subscription, error) {
	if private == "" {
		return nil, nats.ErrBadQueueName
	}
	return c.subscribe(subject, "", private, handler)
}

// QueueSubscribe is Subscribe as a member of a queue group.
func (c *Conn) QueueSubscribe(subject, queue string, handler func(*nats.Msg)) (*Subscription, error) {
	if queue == "" {
		return nil, nats.ErrBadQueueName
	}
	return c.subscribe(subject, queue, "", handler)
}

func (c *Conn) subscribe(subject, queue, private string, handler func(*nats.Msg)) (*Subscription, error) {
	s := &Subscription{
		c: c, subject: subject, queue: queue, private: private, handler: handler, on: make(map[*link]*nats.Subscription),
		maxCount: nats.DefaultSubPendingMsgsLimit, maxBytes: nats.DefaultSubPendingBytesLimit,
	}
	c.interests.Lock()
	defer c.interests.Unlock()
	c.mu.RLock()
	l, closed := c.link, c.closed
	c.mu.RUnlock()
	if closed || c.ctx.Err() != nil {
		return nil, nats.ErrConnectionClosed
	}
	if queue == "" && private == "" {
		c.number++
		s.private = fmt.Sprintf("%s.%s.%d", c.cfg.QueuePrefix, c.id, c.number)
		s.never = c.cfg.InPlace || c.cfg.Credential == nil
		s.plain = s.never
	}
	if err := s.attach(l); err != nil {
		return nil, err
	}
	if l.nc.IsConnected() && l.confirm(c.ctx) == nil && (l.refuses(s) || l.overfull()) {
		if err := s.without(l); err != nil {
			l.forget(s)
			return nil, err
		}
	}
	c.subs[s] = struct{}{}
	return s, nil
}

// group is the queue group at the server.
func (s *Subscription) group() string {
	if s.queue == "" && !s.plain {
		return s.private
	}
	return s.queue
}

// attach subscribes on a link.
func (s *Subscription) attach(l *link) error {
	on, err := l.nc.QueueSubscribe(s.subject, s.group(), func(m *nats.Msg) { s.arrived(arrival{m, l}) })
	if err != nil {
		return err
	}
	_ = on.SetPendingLimits(-1, -1) // the limits are those of the Subscription
	s.on[l] = on
	return nil
}

// without subscribes again without the private queue group that the server refused. If
// that is not what it refused, it is the subscription.
func (s *Subscription) without(l *link) error {
	_ = s.on[l].Unsubscribe() // the server does not have it
	delete(s.on, l)
	if !l.refuses(s) {
		return fmt.Errorf("natsconn: subscribe to %s: %w", s.subject, nats.ErrMaxSubscriptionsExceeded)
	}
	if s.queue == "" && !s.plain {
		s.plain = true
		s.c.cfg.Log.Warn("the NATS server refuses queue groups of plain subscriptions: hand-overs are not exact", "event", "nats_queue_refused", "subject", s.subject, "queue", s.private)
		if err := s.attach(l); err != nil {
			return err
		}
		if l.confirm(s.c.ctx) != nil || !l.refuses(s) {
			return nil
		}
		_ = s.on[l].Unsubscribe()
		delete(s.on, l)
	}
	return fmt.Errorf("natsconn: subscribe to %s: %w", s.subject, nats.ErrPermissionViolation)
}

// refuses reports whether the server has said that it does not accept the subscription.
func (l *link) refuses(s *Subscription) bool { return l.refused(s.subject, s.group()) }

func (l *link) refused(subject, group string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, refused := l.violations[quoted(subject, group)]
	return refused
}

// forget has the server's answer to a subscription be none, with its queue group and without.
func (l *link) forget(s *Subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, group := range []string{s.queue, s.private} {
		delete(l.violations, quoted(s.subject, group))
	}
}

// refusals returns all subscriptions that the server has refused.
func (l *link) refusals() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return keys(l.violations)
}

// others returns those that are not of a Subscription.
func (c *Conn) others(l *link) []string {
	ours := make(map[string]bool, len(c.subs))
	for s := range c.subs {
		ours[quoted(s.subject, s.group())] = true
	}
	return slices.DeleteFunc(l.refusals(), func(what string) bool { return ours[what] })
}

// quoted is a subscription as the server writes it.
func quoted(subject, group string) string {
	if group == "" {
		return fmt.Sprintf("%q", subject)
	}
	return fmt.Sprintf("%q using queue %q", subject, group)
}

// arrived takes a message from a connection. It never blocks.
func (s *Subscription) arrived(a arrival) {
	size := len(a.m.Subject) + len(a.m.Reply) + len(a.m.Data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended && s.settled == nil {
		return
	}
	if s.maxCount > 0 && s.pending >= s.maxCount || s.maxBytes > 0 && s.bytes+size > s.maxBytes {
		if s.dropped++; s.dropped&(s.dropped-1) == 0 { // 1, 2, 4, 8 …
			s.c.cfg.Log.Warn("messages dropped: the handler is too slow", "event", "nats_dropped", "subject", s.subject, "dropped", s.dropped)
		}
		return
	}
	a.l.begin()
	s.waiting = append(s.waiting, a)
	s.pending++
	s.bytes += size
	if !s.running {
		s.running = true
		go s.handle()
	}
}

// handle calls the handler until nothing is left.
func (s *Subscription) handle() {
	for {
		s.mu.Lock()
		batch := s.waiting
		s.waiting = nil
		if len(batch) == 0 {
			s.running = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		for _, a := range batch {
			s.one(a)
		}
	}
}

func (s *Subscription) one(a arrival) {
	size := len(a.m.Subject) + len(a.m.Reply) + len(a.m.Data) // before the handler may change it
	defer func() {
		a.l.end()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pending--
		s.bytes -= size
		if s.pending == 0 && s.settled != nil {
			close(s.settled)
			s.settled = nil
		}
	}()
	s.mu.Lock()
	unwanted := s.ended && s.settled == nil
	s.mu.Unlock()
	if !unwanted {
		s.handler(a.m)
	}
}

// Unsubscribe ends the subscription. What waits for the handler is dropped.
func (s *Subscription) Unsubscribe() error {
	s.stop()
	s.c.interests.Lock()
	defer s.c.interests.Unlock()
	delete(s.c.subs, s)
	var failed error
	for l, on := range s.on {
		if err := on.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrBadSubscription) {
			failed = err
		}
		delete(s.on, l)
	}
	return failed
}

// Drain ends the subscription and returns when the handler has had what arrived before,
// or with the error of ctx. Do not call it in the handler.
func (s *Subscription) Drain(ctx context.Context) error {
	if err := s.leave(); err != nil {
		return err
	}
	return s.settle(ctx)
}

// leave asks the server for no more, and returns when what it has sent has arrived.
func (s *Subscription) leave() error {
	s.c.interests.Lock()
	delete(s.c.subs, s)
	var failed error
	links := s.c.leaving()
	for l, on := range s.on {
		if err := on.Drain(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			failed = err
		}
		if !slices.Contains(links, l) {
			links = append(links, l)
		}
	}
	clear(s.on)
	s.c.interests.Unlock() // a handler may be waiting for it
	for _, l := range links {
		if l.nc.IsConnected() {
			_ = l.emptied(s.c.ctx) // where it is lost, so is what was on its way
		}
	}
	return failed
}

// leaving returns the connections that were replaced and are not closed yet.
func (c *Conn) leaving() []*link {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return keys(c.retired)
}

// emptied waits until what the server had sent before is with the subscriptions.
func (l *link) emptied(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, confirmWait)
	defer cancel()
	if err := l.confirm(ctx); err != nil {
		return err
	}
	done := make(chan struct{})
	if err := l.nc.Barrier(func() { close(done) }); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Subscription) settle(ctx context.Context) error {
	s.mu.Lock()
	s.ended = true
	if s.pending == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.settled == nil {
		s.settled = make(chan struct{})
	}
	settled := s.settled
	s.mu.Unlock()
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		s.stop()
		return ctx.Err()
	}
}

// stop drops what waits.
func (s *Subscription) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.settled != nil {
		close(s.settled)
		s.settled = nil
	}
}

// Refused reports whether the server has refused the subscription since it was made, for
// the permissions of a login that came later.
func (s *Subscription) Refused() bool { return s.refused.Load() }

// Subject returns the subject as it was given.
func (s *Subscription) Subject() string { return s.subject }

// SetPendingLimits bounds what waits for the handler: 524,288 messages and 64 MB by
// default, a number below 1 for no bound. What arrives beyond is dropped.
func (s *Subscription) SetPendingLimits(messages, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxCount, s.maxBytes = messages, bytes
}

// Pending returns how many messages have arrived and not been handled.
func (s *Subscription) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending
}

// Dropped returns how many messages were dropped because of the limits.
func (s *Subscription) Dropped() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}
