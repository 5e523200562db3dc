package natsconn

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const consumeAgain = 100 * time.Millisecond // after a request for messages failed, doubling

// A Consumer handles the messages of a durable consumer of JetStream.
type Consumer struct {
	c       *Conn
	stream  string
	durable string
	handler func(jetstream.Msg)
	opts    []jetstream.PullConsumeOpt

	handling sync.Mutex // held while the handler runs
	moving   sync.Mutex // held while a hand-over goes on

	next jetstream.Consumer // found for a hand-over; guarded by Conn.interests

	mu     sync.Mutex
	active jetstream.ConsumeContext // nil while a hand-over goes on, and after the end
	ended  bool
}

// Consume has handler called for each message of a durable pull consumer, which must be
// there. In a hand-over the messages that were sent already are handled and acknowledged
// on the connection on which they came before others are asked for: the handler is called
// for one at a time, and an acknowledgement in the handler reaches the server. ctx
// bounds the look-up; the opts are those of jetstream.Consumer.Consume.
func (c *Conn) Consume(ctx context.Context, stream, durable string, handler func(jetstream.Msg), opts ...jetstream.PullConsumeOpt) (*Consumer, error) {
	s := &Consumer{c: c, stream: stream, durable: durable, handler: handler, opts: opts}
	c.interests.Lock()
	defer c.interests.Unlock()
	c.mu.RLock()
	l := c.link
	c.mu.RUnlock()
	found, err := s.find(ctx, l)
	if err != nil {
		return nil, err
	}
	if s.active, err = found.Consume(s.one, s.opts...); err != nil {
		return nil, err
	}
	c.consumers[s] = struct{}{}
	return s, nil
}

func (s *Consumer) find(ctx context.Context, l *link) (jetstream.Consumer, error) {
	js, err := jetstream.New(l.nc)
	if err != nil {
		return nil, err
	}
	return js.Consumer(ctx, s.stream, s.durable)
}

// findConsumers makes sure that the next connection may use them.
func (c *Conn) findConsumers(next *link) error {
	for s := range c.consumers {
		ctx, cancel := context.WithTimeout(c.ctx, confirmWait)
		found, err := s.find(ctx, next)
		cancel()
		if err != nil {
			return unfitFor(err, "the new login cannot use the consumer "+s.durable)
		}
		s.next = found
	}
	return nil
}

// moveConsumers returns what ends them on the old connection and has them go on on the
// next one.
func (c *Conn) moveConsumers(old, next *link) (move func()) {
	consumers, wait := keys(c.consumers), c.linger(old)
	found := make([]jetstream.Consumer, len(consumers))
	for i, s := range consumers {
		found[i], s.next = s.next, nil
	}
	old.begin()
	return func() {
		defer old.end()
		ctx, cancel := context.WithTimeout(c.ctx, wait)
		defer cancel()
		var all sync.WaitGroup
		for i, s := range consumers {
			all.Go(func() { s.move(ctx, found[i]) })
		}
		all.Wait()
	}
}

// move ends on one connection, and then begins on another.
func (s *Consumer) move(ctx context.Context, found jetstream.Consumer) {
	s.moving.Lock() // the hand-over before may still be waiting for a handler
	defer s.moving.Unlock()
	s.mu.Lock()
	active := s.active
	s.active = nil
	s.mu.Unlock()
	if active != nil {
		drained(ctx, active)
	}
	for wait := consumeAgain; !s.resume(found); wait = min(2*wait, delayCap) {
		select {
		case <-time.After(wait):
		case <-s.c.ctx.Done():
			return
		}
	}
}

// drained waits until what was sent has been handled. What is not by the end of ctx is
// sent again, when the consumer's time for an acknowledgement is over.
func drained(ctx context.Context, active jetstream.ConsumeContext) {
	active.Drain()
	select {
	case <-active.Closed():
	case <-ctx.Done():
		active.Stop()
	}
}

// resume reports whether there is nothing left to do.
func (s *Consumer) resume(found jetstream.Consumer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return true
	}
	active, err := found.Consume(s.one, s.opts...)
	if err != nil {
		s.c.cfg.Log.Warn("a JetStream consumer cannot go on yet", "event", "nats_consumer", "consumer", s.durable, "error", err.Error())
		return false
	}
	s.active = active
	return true
}

// one calls the handler.
func (s *Consumer) one(m jetstream.Msg) {
	s.handling.Lock()
	defer s.handling.Unlock()
	s.handler(m)
}

// Drain asks for no more messages and returns when those that were sent have been
// handled, or with the error of ctx. Do not call it in the handler.
func (s *Consumer) Drain(ctx context.Context) error {
	s.c.interests.Lock()
	delete(s.c.consumers, s)
	s.c.interests.Unlock()
	s.mu.Lock()
	s.ended = true
	active := s.active
	s.active = nil
	s.mu.Unlock()
	if active != nil {
		drained(ctx, active)
	}
	s.moving.Lock() // a hand-over that drains
	defer s.moving.Unlock()
	return ctx.Err()
}

// end asks for no more and drops what was sent.
func (s *Consumer) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.active != nil {
		s.active.Stop()
		s.active = nil
	}
}
