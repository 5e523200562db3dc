// Package natsbus is a pubsub.Bus over NATS, and a NATS server inside the process for
// installations that have no other.
//
//	bus.go      the bus on a connection
//	beat.go     how a node notices that it may have missed messages
//	server.go   the server inside the process, alone or as one of a cluster
//	options.go  what is a safe configuration of it
package natsbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/parley-backend/parley/pubsub"
)

const (
	defaultPrefix = "parley"
	defaultBeat   = time.Second
	// header says who published: an id that is new with each Bus, a space, the name of
	// the node.
	header = "Parley-Node"
)

// Config describes a Bus; the zero value works.
type Config struct {
	// Node is the name of this node, for people.
	Node string
	// Prefix is the first token, or tokens, of every NATS subject of the bus: "parley" by
	// default. Messages go to <prefix>.m.<subject>, signs of life to <prefix>.beat.
	// Installations that share a NATS account need different ones.
	Prefix string
	// Queue is how many messages wait for one subscriber at most: 1024 by default.
	Queue int
	// Beat is the time between two signs of life, 1 s by default. A loss is noticed
	// after about as long.
	Beat time.Duration
	Log  *slog.Logger
}

// Bus is a pubsub.Bus on a NATS connection. Subscribers of this process are called
// directly; what they get does not travel over NATS to them a second time.
type Bus struct {
	cfg   Config
	conn  *nats.Conn
	local *pubsub.Local
	id    string
	stamp nats.Header // of every message; only read

	mu       sync.Mutex
	closed   bool
	interest map[string]*interest // by subject

	beats *beats
}

// interest is the one NATS subscription of all local subscriptions to a subject.
type interest struct {
	sub     *nats.Subscription
	users   int
	dropped int // read by the callback only
}

var _ pubsub.Bus = (*Bus)(nil)

// New makes a bus on a connection, which need not be connected yet and stays the
// caller's: it is closed after the bus.
func New(conn *nats.Conn, cfg Config) (*Bus, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = defaultPrefix
	}
	if err := pubsub.CheckSubject(cfg.Prefix); err != nil {
		return nil, fmt.Errorf("the prefix %q of the bus: %w", cfg.Prefix, err)
	}
	if cfg.Beat <= 0 {
		cfg.Beat = defaultBeat
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Node = strings.Map(printable, cfg.Node)
	id := nuid.Next()
	b := &Bus{
		cfg: cfg, conn: conn, id: id, interest: make(map[string]*interest),
		local: pubsub.NewLocal(pubsub.LocalConfig{Node: cfg.Node, Queue: cfg.Queue}),
		stamp: nats.Header{header: []string{id + " " + cfg.Node}},
	}
	var err error
	if b.beats, err = startBeats(b); err != nil {
		return nil, fmt.Errorf("the bus cannot subscribe: %w", err)
	}
	return b, nil
}

// printable keeps a name within one line of a header.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return '_'
	}
	return r
}

// Publish implements pubsub.Bus.
func (b *Bus) Publish(ctx context.Context, subject string, data []byte) error {
	if err := b.local.Publish(ctx, subject, data); err != nil {
		return err
	}
	if !b.conn.IsConnected() { // the buffer of the connection would deliver it much later, or never
		return pubsub.ErrOffline
	}
	err := b.conn.PublishMsg(&nats.Msg{Subject: b.subject(subject), Header: b.stamp, Data: data})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("pubsub: a message of %d bytes is too large for the NATS server", len(data))
	}
	return pubsub.ErrOffline
}

func (b *Bus) subject(subject string) string { return b.cfg.Prefix + ".m." + subject }

// Subscribe implements pubsub.Bus.
func (b *Bus) Subscribe(subject string, handler func(pubsub.Message)) (pubsub.Subscription, error) {
	own, err := b.local.Subscribe(subject, handler)
	if err != nil {
		return nil, err
	}
	if err := b.gain(subject); err != nil {
		own.Stop()
		return nil, err
	}
	return &subscription{Subscription: own, leave: sync.OnceFunc(func() { b.lose(subject) })}, nil
}

// gain subscribes at NATS for the first who is interested.
func (b *Bus) gain(subject string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return pubsub.ErrClosed
	}
	in := b.interest[subject]
	if in == nil {
		in = &interest{}
		var err error
		if in.sub, err = b.conn.Subscribe(b.subject(subject), func(m *nats.Msg) { b.receive(in, subject, m) }); err != nil {
			return fmt.Errorf("the bus cannot subscribe: %w", err)
		}
		b.interest[subject] = in
	}
	in.users++
	return nil
}

// lose ends the NATS subscription with the last who was interested.
func (b *Bus) lose(subject string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := b.interest[subject]
	if in == nil {
		return
	}
	if in.users--; in.users == 0 {
		_ = in.sub.Unsubscribe() // fails only where the connection is closed, and then it has ended already
		delete(b.interest, subject)
	}
}

// receive takes a message that came over NATS. It never blocks: the queues are those of
// the local bus.
func (b *Bus) receive(in *interest, subject string, m *nats.Msg) {
	from, node, _ := strings.Cut(m.Header.Get(header), " ")
	if from == b.id {
		return // its subscribers here have it
	}
	_ = b.local.Deliver(pubsub.Message{Subject: subject, Data: m.Data, Node: node}) // fails only when the bus is closed
	if dropped, err := m.Sub.Dropped(); err == nil && dropped > in.dropped {
		in.dropped = dropped // the connection's own queue was full
		b.local.Gap()
	}
}

// Gaps implements pubsub.Bus.
func (b *Bus) Gaps(missed func()) (end func()) { return b.local.Gaps(missed) }

// Close implements pubsub.Bus. The connection stays open.
func (b *Bus) Close() error {
	b.mu.Lock()
	b.closed = true
	for subject, in := range b.interest {
		_ = in.sub.Unsubscribe() // as in lose
		delete(b.interest, subject)
	}
	b.mu.Unlock()
	b.beats.stop()
	return b.local.Close()
}

// subscription is a local one that also ends the interest.
type subscription struct {
	pubsub.Subscription
	leave func()
}

func (s *subscription) Stop() {
	s.leave()
	s.Subscription.Stop()
}
