package messaging

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// progressGap is how often the stream is told that a message is still being handled, so that it does not come again meanwhile:
// a third of the time that a consumer gives by default.
const progressGap = 10 * time.Second

const heartbeat = time.Second // of the server, while it has no message for a consumer

// What a message of JetStream is answered with, over the connection that it came on or the one that took over from it.
const (
	acknowledged = "+ACK"
	givenBack    = "-NAK"
	inProgress   = "+WPI"
)

// pulling are the options of a consumer: it is asked for no more than the component handles at a time, unless config says otherwise.
func (l *link) pulling(c consumer, s *settings) []jetstream.PullConsumeOpt {
	messages := c.MaxMessages
	if messages == 0 {
		messages = s.maxInFlight
		if s.ordered {
			messages = 1
		}
	}
	watch := jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		if errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrBadRequest) {
			l.lose(c, err)
		}
	})
	// When the server says nothing for two of these, messages are asked for again. The library does not ask while a request of
	// its own is being sent (pull.go of nats.go 1.55: checkPending and fetchInProgress); where the messages asked for, with ordered
	// a single one, come and are handled in that moment, nothing else has it ask.
	all := []jetstream.PullConsumeOpt{watch, jetstream.PullHeartbeat(heartbeat)}
	if c.MaxBytes > 0 {
		return append(all, jetstream.PullMaxMessagesWithBytesLimit(messages, c.MaxBytes))
	}
	return append(all, jetstream.PullMaxMessages(messages))
}

// lose notes that a consumer is not there any more. It is asked for again until it is.
func (l *link) lose(c consumer, err error) {
	l.mu.Lock()
	l.gone[c] = true
	l.mu.Unlock()
	l.fail(fmt.Errorf("consumer %s of stream %s: %w", c.Consumer, c.Stream, err))
	l.again()
}

// lost reports, once, whether a consumer was lost.
func (l *link) lost(c consumer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := l.gone[c]
	delete(l.gone, c)
	return gone
}

// streamed takes a message of a consumer. It is acknowledged when the component has handled it.
func (l *link) streamed(w *wire, m jetstream.Msg) {
	l.count.received.Add(1)
	_ = w.use.enter(context.Background()) // never full
	if err := l.gate.enter(l.calls); err != nil {
		w.use.leave() // the stream sends it again
		return
	}
	handle := func() {
		defer w.use.leave()
		defer l.gate.leave()
		l.settle(w, m)
	}
	if l.settings.Load().ordered {
		handle()
		return
	}
	go handle() // counted by the gate
}

func (l *link) settle(w *wire, m jetstream.Msg) {
	s := l.settings.Load()
	ended := make(chan struct{})
	defer close(ended)
	progress := time.AfterFunc(progressGap, func() {
		for {
			_ = w.conn.Publish(m.Reply(), []byte(inProgress)) // without it the message may come twice
			select {
			case <-ended:
				return
			case <-time.After(progressGap):
			}
		}
	})
	failure := l.deliver(s, wrpc.BrokerMessage{Subject: m.Subject(), Body: m.Data()}, nats.Header(m.Headers()))
	progress.Stop()
	answer := acknowledged
	if failure != nil {
		answer = fmt.Sprintf(`%s {"delay": %d}`, givenBack, l.delay(s, m).Nanoseconds())
		l.count.failed(failure.kind)
		l.tell(s, failure, m.Subject())
	} else {
		l.count.handled.Add(1)
	}
	if err := w.conn.Publish(m.Reply(), []byte(answer)); err != nil {
		l.log.Warn("a message of JetStream could not be acknowledged, it will come again", "event", "messaging_ack", "error", err.Error())
	}
}

// delay is how long the stream keeps a message that failed: longer each time that it came.
func (l *link) delay(s *settings, m jetstream.Msg) time.Duration {
	wait := s.retryWait
	if about, err := m.Metadata(); err == nil {
		for n := about.NumDelivered; n > 1 && wait < retryCap; n-- {
			wait *= 2
		}
	}
	return min(wait, max(retryCap, s.retryWait))
}
