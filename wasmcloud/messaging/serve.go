package messaging

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

const (
	requestHandlers = 8192             // a request may wait for long, and must not hold up others
	strictRequest   = 10 * time.Second // the bound of the original
	confirmWait     = 5 * time.Second
)

// The errors that components see. Their texts are those of the original.
const (
	tooLarge       = "max payload size exceeded"
	notSent        = "failed to send message"
	requestTimeout = "nats request timed out: deadline has elapsed"
	strictTimeout  = "nats send error: request timed out: deadline has elapsed"
	noResponders   = "nats send error: no responders: no responders"
	requestFailed  = "nats send error: "
)

// Serve is that of wasmcloud.Provider: it serves publish and request.
func (p *Provider) Serve(conn *wrpc.Conn, prefix string) error {
	function := func(name string) wrpc.Function {
		return wrpc.Function{Prefix: prefix, Instance: wrpc.ConsumerInstance, Name: name}
	}
	publish := wrpc.Export[wrpc.BrokerMessage]{Function: function(wrpc.PublishFunction), Decode: wrpc.DecodeMessage, Handle: p.publish}
	served, err := wrpc.Serve(conn, publish)
	if err != nil {
		return err
	}
	request := wrpc.Export[wrpc.RequestParams]{Function: function(wrpc.RequestFunction), Decode: wrpc.DecodeRequest, Handle: p.request, MaxHandlers: requestHandlers}
	if _, err := wrpc.Serve(conn, request); err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), confirmWait)
		defer cancel()
		return errors.Join(err, served.Drain(ctx))
	}
	return nil
}

// caller finds the link over which a component calls. Without the header link-name it is default, or the only one there is.
func (p *Provider) caller(header nats.Header) (*link, error) {
	if len(header) == 0 {
		return nil, errors.New("no component in request")
	}
	component := "<unknown>"
	if ids := header["source-id"]; len(ids) > 0 {
		component = ids[0]
	}
	name := ""
	if names := header["link-name"]; len(names) > 0 {
		name = names[0]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.links[p.keyOf(wasmcloud.Key{Role: wasmcloud.Target, Component: component, Name: name})]; l != nil {
		return l, nil
	}
	var only *link
	for key, l := range p.links {
		if key.Role == wasmcloud.Target && key.Component == component && (name == "" || key.Name == name) {
			if only != nil {
				return nil, fmt.Errorf("component not linked: %s has several links and none is named default", component)
			}
			only = l
		}
	}
	if only == nil {
		return nil, fmt.Errorf("component not linked: %s", component)
	}
	return only, nil
}

// linked is caller and its connection, which stays open until it is released.
func (p *Provider) linked(ctx context.Context, header nats.Header) (*link, *wire, error) {
	l, err := p.caller(header)
	if err != nil {
		return nil, nil, err
	}
	w := l.hold(ctx)
	if w == nil {
		return nil, nil, fmt.Errorf("component not linked: the link %s has no connection", l.title)
	}
	return l, w, nil
}

// bare reports whether a message is sent without headers: those to the system of the server are.
func bare(subject string) bool { return strings.HasPrefix(subject, "$SYS") }

// outgoing are the headers of a message that a component sends: the trace of ctx, or else the one that came with the call.
func outgoing(ctx context.Context, header nats.Header) nats.Header {
	out := traced(header)
	if out == nil {
		out = make(nats.Header, 2)
	}
	wasmcloud.InjectTrace(ctx, out)
	if len(out) == 0 {
		return nil
	}
	return out
}

// publish is consumer.publish.
func (p *Provider) publish(ctx context.Context, header nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
	l, w, err := p.linked(ctx, header)
	if err != nil {
		return nil, err
	}
	defer w.release()
	s := l.settings.Load()
	out := &nats.Msg{Subject: m.Subject, Data: m.Body}
	if m.ReplyTo.Some {
		out.Reply = m.ReplyTo.Value
	}
	if !bare(m.Subject) || s.strict && !m.ReplyTo.Some {
		out.Header = outgoing(ctx, header)
	}
	if err = w.conn.PublishMsg(out); err == nil && s.flush {
		err = w.conn.Flush(ctx)
	}
	if err != nil {
		l.count.publishErrors.Add(1)
		text := notSent
		if errors.Is(err, nats.ErrMaxPayload) {
			text = tooLarge
		}
		l.log.Debug("a message was not published", "event", "messaging_publish", "subject", m.Subject, "error", err.Error())
		return wrpc.AppendDone(nil, wrpc.Err[wrpc.Unit](text)), nil
	}
	l.count.published.Add(1)
	return wrpc.AppendDone(nil, wrpc.Done{}), nil
}

// request is consumer.request.
func (p *Provider) request(ctx context.Context, header nats.Header, r wrpc.RequestParams) ([]byte, error) {
	l, w, err := p.linked(ctx, header)
	if err != nil {
		return nil, err
	}
	defer w.release()
	s := l.settings.Load()
	wait, late := time.Duration(r.TimeoutMillis)*time.Millisecond, requestTimeout
	if s.maxRequest > 0 {
		wait = min(wait, s.maxRequest)
	}
	if s.strict && wait > strictRequest {
		wait, late = strictRequest, strictTimeout
	}
	out := &nats.Msg{Subject: r.Subject, Data: r.Body}
	if !bare(r.Subject) {
		out.Header = outgoing(ctx, header)
	}
	answer, err := w.ask(ctx, out, wait)
	if err != nil {
		l.count.requestErrors.Add(1)
		return wrpc.AppendReply(nil, wrpc.Err[wrpc.BrokerMessage](requestError(err, late))), nil
	}
	l.count.requested.Add(1)
	message := wrpc.BrokerMessage{Subject: answer.Subject, Body: answer.Data, ReplyTo: wrpc.Option[string]{Value: answer.Reply, Some: answer.Reply != ""}}
	return wrpc.AppendReply(make([]byte, 0, 1+message.Size()), wrpc.Ok[wrpc.BrokerMessage, string](message)), nil
}

// ask sends a request. Without any time to wait it is still sent.
func (w *wire) ask(ctx context.Context, m *nats.Msg, wait time.Duration) (*nats.Msg, error) {
	if wait == 0 {
		m.Reply = w.conn.NATS().NewInbox()
		if err := w.conn.PublishMsg(m); err != nil {
			return nil, err
		}
		return nil, context.DeadlineExceeded
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return w.conn.RequestMsg(ctx, m)
}

func requestError(err error, late string) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return late
	case errors.Is(err, nats.ErrNoResponders):
		return noResponders
	case errors.Is(err, nats.ErrMaxPayload):
		return requestFailed + tooLarge
	}
	return requestFailed + clip(err.Error())
}
