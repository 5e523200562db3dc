package messaging

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

const (
	retryCap   = 30 * time.Second
	tellGap    = time.Second // between two lines of the log about messages of one link
	textLimit  = 512         // of what a component says
	errorText  = "Nats-Service-Error"
	errorState = "Nats-Service-Error-Code"
)

var handleMessage = wrpc.Function{Instance: wrpc.HandlerInstance, Name: wrpc.HandleMessageFunction}

// arrived takes a message of a subscription. While the gate is full it waits, and so do the messages behind it.
func (l *link) arrived(w *wire, m *nats.Msg) {
	l.count.received.Add(1)
	_ = w.use.enter(context.Background()) // never full
	if err := l.gate.enter(l.calls); err != nil {
		w.use.leave()
		l.count.dropped.Add(1)
		return
	}
	handle := func() {
		defer w.use.leave()
		defer l.gate.leave()
		l.handle(w, m)
	}
	if l.settings.Load().ordered {
		handle()
		return
	}
	go handle() // counted by the gate
}

// handle has the component handle a message, as often as the settings say.
func (l *link) handle(w *wire, m *nats.Msg) {
	s := l.settings.Load()
	message := wrpc.BrokerMessage{Subject: m.Subject, Body: m.Data, ReplyTo: wrpc.Option[string]{Value: m.Reply, Some: m.Reply != ""}}
	failure := l.attempts(s, message, m.Header)
	if failure == nil {
		l.count.handled.Add(1)
		return
	}
	l.count.failed(failure.kind)
	l.tell(s, failure, m.Subject)
	if s.replyErrors && m.Reply != "" {
		answer := &nats.Msg{Subject: m.Reply, Header: nats.Header{errorText: {failure.Error()}, errorState: {strconv.Itoa(failure.kind.state())}}}
		if err := w.conn.PublishMsg(answer); err != nil {
			l.log.Warn("the error of a component could not be sent", "event", "messaging_reply", "error", err.Error())
		}
	}
}

func (l *link) attempts(s *settings, message wrpc.BrokerMessage, header nats.Header) *failure {
	wait := s.retryWait
	for attempt := 0; ; attempt++ {
		failure := l.deliver(s, message, header)
		if failure == nil || attempt >= s.retries || l.calls.Err() != nil {
			return failure
		}
		l.count.retried.Add(1)
		select {
		case <-time.After(wait):
		case <-l.calls.Done():
			return failure
		}
		wait = min(2*wait, retryCap)
	}
}

// failureKind says why a message was not handled.
type failureKind int

// The kinds, as they are counted.
const (
	componentError failureKind = iota // the component returned err
	notRunning                        // nobody serves the function: the component does not run
	timedOut
	callFailed // anything else: the component trapped, the lattice is gone
	failureKinds
)

func (k failureKind) String() string {
	return [...]string{"error", "not_running", "timeout", "failed"}[k]
}

// state is the code of the answer, in the manner of NATS services.
func (k failureKind) state() int {
	return [...]int{500, 503, 504, 500}[k]
}

type failure struct {
	kind failureKind
	text string
}

func (f *failure) Error() string { return f.text }

// deliver calls the component once, and waits for its answer at most handler_timeout.
func (l *link) deliver(s *settings, message wrpc.BrokerMessage, header nats.Header) *failure {
	ctx, cancel := context.WithTimeout(l.calls, s.handlerTimeout)
	defer cancel()
	params := wrpc.AppendMessage(make([]byte, 0, message.Size()), message)
	results, err := l.p.host.Invoke(ctx, l.key.Component, handleMessage, traced(header), params)
	if err == nil && len(results) == 0 {
		err = wrpc.ErrNoResult
	}
	if err == nil {
		d := wrpc.NewDecoder(results)
		done := wrpc.DecodeDone(d)
		if err = d.Err(); err == nil {
			if done.Failed {
				return &failure{componentError, clip(done.Err)}
			}
			return nil
		}
	}
	switch {
	case errors.Is(err, wrpc.ErrNoServer):
		return &failure{notRunning, fmt.Sprintf("the component %s does not run anywhere in the lattice", l.key.Component)}
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{timedOut, fmt.Sprintf("the component %s did not answer within %v", l.key.Component, s.handlerTimeout)}
	}
	return &failure{callFailed, clip(err.Error())}
}

// clip shortens what somebody else wrote.
func clip(text string) string {
	if len(text) <= textLimit {
		return text
	}
	cut := textLimit
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// traced are the headers of a trace, which go from user messages to calls and back.
func traced(header nats.Header) nats.Header {
	var out nats.Header
	for _, name := range []string{"traceparent", "tracestate"} {
		if values := header[name]; len(values) > 0 {
			if out == nil {
				out = make(nats.Header, 2)
			}
			out[name] = values
		}
	}
	return out
}

// tell logs a failure, at most one in a second for a link; how many there were is in each line.
func (l *link) tell(s *settings, f *failure, subject string) {
	now := time.Now().UnixNano()
	last := l.told.Load()
	if now-last < int64(tellGap) || !l.told.CompareAndSwap(last, now) {
		return
	}
	l.log.Warn("a message was not handled", "event", "messaging_failed", "kind", f.kind.String(), "subject", subject, "error", f.text, "failures", l.count.failures())
}
