package wrpc

import (
	"context"
	"errors"
	"strings"

	"github.com/nats-io/nats.go"
)

// Headers of a call. NATS compares them with regard to case, so Header.Set of net/http does not make them.
const (
	HeaderSource = "source-id" // the component or provider that calls
	HeaderTarget = "target-id" // the one that is called
	HeaderLink   = "link-name" // "default" if missing
)

// Function is what is called.
type Function struct {
	Prefix   string // {lattice}.{id of the component or provider}
	Instance string // an interface of WIT with its version: ConsumerInstance
	Name     string // in WIT
}

// Subject is {prefix}.wrpc.0.0.1.{instance}.{name}. An empty prefix or instance is left out with its dot.
func (f Function) Subject() string {
	parts := make([]string, 0, 4)
	if f.Prefix != "" {
		parts = append(parts, f.Prefix)
	}
	parts = append(parts, "wrpc.0.0.1")
	if f.Instance != "" {
		parts = append(parts, f.Instance)
	}
	return strings.Join(append(parts, f.Name), ".")
}

// Invoke calls f with the encoded parameters and decodes its result. See Conn.Invoke for
// the errors; ErrNoResult and *DecodeError are the two that it adds.
func Invoke[R any](ctx context.Context, c *Conn, f Function, header nats.Header, params []byte, decode func(*Decoder) R) (R, error) {
	data, err := c.Invoke(ctx, f, header, params)
	var none R
	if err != nil {
		return none, err
	}
	d := NewDecoder(data)
	r := decode(d)
	switch {
	case d.Err() == nil:
		return r, nil
	case len(data) == 0:
		return none, ErrNoResult
	}
	return none, d.Err()
}

// Invoke calls f with the encoded parameters and returns the encoded results, which are
// empty if the server has failed. It ends when ctx does, or after Options.Timeout if
// ctx has no deadline: with ErrTimeout after a deadline, with the error of ctx if it was
// cancelled. The server does not learn of it, and may have done its work: whoever
// invokes again may do it twice. ErrNoServer says that it was not done. Params and header
// must not change before Invoke returns.
func (c *Conn) Invoke(ctx context.Context, f Function, header nats.Header, params []byte) ([]byte, error) {
	if len(params) > c.o.MaxBody {
		return nil, ErrTooLarge
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.o.Timeout)
		defer cancel()
	}
	r, err := c.receive("results")
	if err != nil {
		return nil, err
	}
	defer r.close()

	reply := c.inbox.subject(r.token)
	room := c.chunk() - len(reply) - headerSize(header)
	if room < 0 {
		return nil, ErrHeader
	}
	first := params[:min(len(params), room)]
	rest := params[len(first):]
	if err := c.nats.PublishMsg(&nats.Msg{Subject: f.Subject(), Reply: reply, Header: header, Data: first}); err != nil {
		return nil, sent(err)
	}
	return c.converse(ctx, r, rest)
}

// converse waits for the handshake, sends the rest of the parameters, and waits for the results.
func (c *Conn) converse(ctx context.Context, r *receiver, rest []byte) ([]byte, error) {
	over := func() bool {
		select {
		case <-r.done: // the server needs no more
			return true
		default:
			return ctx.Err() != nil
		}
	}
	answered := r.answered
	// The end of the parameters is sent in any case, so that the server does not wait for the rest of a call that is over.
	end := func() error {
		select {
		case peer := <-answered:
			return c.send(peer+".params", nil, over)
		default:
			return nil
		}
	}
	for {
		select {
		case peer := <-answered:
			answered = nil
			if len(rest) > 0 {
				if err := c.knock(peer); err != nil {
					return nil, sent(err)
				}
			}
			if err := c.send(peer+".params", rest, over); err != nil {
				return nil, sent(err)
			}
		case <-r.done:
			if err := end(); err != nil {
				return nil, sent(err)
			}
			return r.result()
		case <-ctx.Done():
			why := ctx.Err()
			if errors.Is(why, context.DeadlineExceeded) {
				why = ErrTimeout
			}
			return nil, errors.Join(why, end())
		}
	}
}

// knocks is how many empty messages precede parameters after the handshake: one call in 2^24 is still missed.
const knocks = 24

// knock sends empty messages to a subject below that of the server that nobody subscribes to. A server on wrpc-transport-nats
// 0.29 hands its subscriptions for a call to the task that distributes messages, and sends its handshake without waiting. The
// task takes from that queue or the next message by chance, and passes over a message without a subscription. These are what
// it passes over, instead of parameters, for which it would wait then, with all calls behind this one.
func (c *Conn) knock(peer string) error {
	for range knocks {
		if err := c.nats.Publish(peer+".knock", nil); err != nil {
			return err
		}
	}
	return nil
}

// sent is the error of publishing.
func sent(err error) error {
	if errors.Is(err, nats.ErrConnectionClosed) {
		return errors.Join(ErrClosed, err)
	}
	return err
}

// headerSize is how many bytes a header has in a message, which count as payload.
func headerSize(header nats.Header) int {
	if len(header) == 0 {
		return 0
	}
	n := len("NATS/1.0\r\n\r\n")
	for name, values := range header {
		for _, v := range values {
			n += len(name) + len(": ") + len(v) + len("\r\n")
		}
	}
	return n
}
