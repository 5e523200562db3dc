package natskv

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-backend/parley/credential"
)

// heartbeat is how often JetStream shows a watcher that it is there. After twice that the watch is lost.
const heartbeat = 5 * time.Second

// Watch implements credential.Watcher. It begins with the latest revision, so that a change is known that was made before. When
// it may have missed something, because the connection was lost or the bucket is gone, it gives notice without a number.
func (s *source) Watch(ctx context.Context, changed func(credential.Notice)) error {
	for {
		again, err := s.follow(ctx, changed)
		switch {
		case ctx.Err() != nil:
			return nil
		case again:
			changed(credential.Notice{})
			continue
		}
		return err
	}
}

// follow watches until something is in the way of it. Again is true after the connection was lost and is there again.
func (s *source) follow(ctx context.Context, changed func(credential.Notice)) (again bool, err error) {
	b, err := s.reach(ctx)
	if err != nil {
		return false, err
	}
	back := b.conn.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer b.conn.RemoveStatusListener(back)
	var consumer jetstream.Consumer
	err = b.ask(ctx, func(ctx context.Context) (err error) {
		consumer, err = b.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
			Description: "a watch of Parley", FilterSubject: b.subject, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
			AckPolicy: jetstream.AckNonePolicy, HeadersOnly: true, MemoryStorage: true, Replicas: 1, InactiveThreshold: 4 * heartbeat,
		})
		return err
	})
	if err != nil {
		return false, err
	}
	messages, err := consumer.Messages(jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return false, s.failed(ctx, err)
	}
	defer messages.Stop()
	inner, cancel := context.WithCancel(ctx)
	var reconnected atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case status := <-back:
			reconnected.Store(status == nats.CONNECTED)
			cancel()
		case <-inner.Done():
		}
	}()
	defer func() { cancel(); <-ended }()
	if unread := consumer.CachedInfo().NumPending == 0; unread && s.expects() {
		changed(credential.Notice{}) // what was read is not there any more
	}
	for {
		m, err := messages.Next(jetstream.NextContext(inner))
		if inner.Err() != nil {
			return reconnected.Load(), credential.Errorf(credential.Unavailable, "the connection to NATS was lost")
		}
		if err != nil {
			changed(credential.Notice{})
			return false, credential.Errorf(credential.Unavailable, "the watch on the bucket %s was lost", s.bucket)
		}
		meta, err := m.Metadata()
		if err != nil {
			continue // not a message of a stream
		}
		if number, news := s.news(b.made, meta.Sequence.Stream); news {
			changed(credential.Notice{Number: number})
		}
	}
}

// expects reports whether the latest reading found something.
func (s *source) expects() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.seen.made.IsZero()
}

// news reports whether a revision is another than the one that was read, and returns its number, 0 if that is not known.
func (s *source) news(made time.Time, revision uint64) (number uint64, news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.seen
	switch {
	case last.made.IsZero():
		return revision, true
	case !made.Equal(last.made) || revision < last.revision:
		return 0, true
	}
	return last.base + revision, revision != last.revision
}
