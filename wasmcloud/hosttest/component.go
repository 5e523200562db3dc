package hosttest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// Delivery is a message that a component was called with.
type Delivery struct {
	Header  nats.Header
	Message wrpc.BrokerMessage
	Running int // calls of the component at this moment, this one included
}

// Handle is how a component handles a message. What it returns is the error of handle-message, "" for none; with an error the call
// fails in a way that WIT has no word for.
type Handle func(ctx context.Context, d Delivery) (string, error)

// Ok handles every message at once.
func Ok(context.Context, Delivery) (string, error) { return "", nil }

// Silent never answers.
func Silent(ctx context.Context, _ Delivery) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

// Failing ends each call without a result.
func Failing(context.Context, Delivery) (string, error) {
	return "", errors.New("hosttest: the component fails")
}

// Erring answers each message with an error.
func Erring(text string) Handle {
	return func(context.Context, Delivery) (string, error) { return text, nil }
}

// Slow takes so long for each message.
func Slow(d time.Duration) Handle {
	return func(ctx context.Context, _ Delivery) (string, error) {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(d):
			return "", nil
		}
	}
}

// Gate holds every message until Open is called.
type Gate struct {
	once sync.Once
	open chan struct{}
}

// NewGate makes a closed gate.
func NewGate() *Gate { return &Gate{open: make(chan struct{})} }

// Open lets everything through from now on.
func (g *Gate) Open() { g.once.Do(func() { close(g.open) }) }

// Handle is a Handle.
func (g *Gate) Handle(ctx context.Context, _ Delivery) (string, error) {
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-g.open:
		return "", nil
	}
}

// Component is a component in the lattice: it answers handle-message, remembers what it was called with, and calls providers.
type Component struct {
	ID string

	h    *Host
	conn *wrpc.Conn
	stop sync.Once

	mu      sync.Mutex
	handle  Handle
	got     []Delivery
	running int
	most    int
}

// Component starts a component, which ends with the test. An id without a component that runs is one that nobody serves.
func (h *Host) Component(id string, handle Handle) *Component {
	h.t.Helper()
	conn, err := wrpc.New(h.nc, wrpc.Options{Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.t.Fatal(err)
	}
	c := &Component{ID: id, h: h, conn: conn, handle: handle}
	_, err = wrpc.Serve(conn, wrpc.Export[wrpc.BrokerMessage]{
		Function: wrpc.Function{Prefix: h.Lattice + "." + id, Instance: wrpc.HandlerInstance, Name: wrpc.HandleMessageFunction},
		Decode:   wrpc.DecodeMessage, Handle: c.serve, MaxHandlers: 1 << 16,
	})
	if err == nil {
		err = h.nc.Flush()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(c.Stop)
	return c
}

func (c *Component) serve(ctx context.Context, header nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
	m.Body = bytes.Clone(m.Body)
	c.mu.Lock()
	c.running++
	c.most = max(c.most, c.running)
	d := Delivery{Header: maps.Clone(header), Message: m, Running: c.running}
	c.got = append(c.got, d)
	handle := c.handle
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running--
	}()
	text, err := handle(ctx, d)
	if err != nil {
		return nil, err
	}
	if text != "" {
		return wrpc.AppendDone(nil, wrpc.Err[wrpc.Unit](text)), nil
	}
	return wrpc.AppendDone(nil, wrpc.Done{}), nil
}

// Stop has nobody serve the component any more.
func (c *Component) Stop() {
	c.stop.Do(func() {
		c.conn.Close()
		_ = c.h.nc.Flush()
	})
}

// Behave changes how messages are handled that come from now on.
func (c *Component) Behave(handle Handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handle = handle
}

// Got is what the component was called with, in the order in which the calls began.
func (c *Component) Got() []Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

// Bodies are those of Got, as text.
func (c *Component) Bodies() []string {
	var all []string
	for _, d := range c.Got() {
		all = append(all, string(d.Message.Body))
	}
	return all
}

// Count is how many messages have come.
func (c *Component) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got)
}

// Most is how many messages were handled at the same time, at most.
func (c *Component) Most() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.most
}

// Publish calls publish of the provider, over the link of that name.
func (c *Component) Publish(ctx context.Context, p *Provider, link string, m wrpc.BrokerMessage) (wrpc.Done, error) {
	return wrpc.Invoke(ctx, c.conn, c.function(p, wrpc.PublishFunction), c.header(link), wrpc.AppendMessage(nil, m), wrpc.DecodeDone)
}

// Request calls request of the provider, over the link of that name.
func (c *Component) Request(ctx context.Context, p *Provider, link string, r wrpc.RequestParams) (wrpc.Reply, error) {
	return wrpc.Invoke(ctx, c.conn, c.function(p, wrpc.RequestFunction), c.header(link), wrpc.AppendRequest(nil, r), wrpc.DecodeReply)
}

// Call calls a function of the provider with any bytes for parameters, and returns those of the result.
func (c *Component) Call(ctx context.Context, p *Provider, function string, header nats.Header, params []byte) ([]byte, error) {
	return c.conn.Invoke(ctx, c.function(p, function), header, params)
}

func (c *Component) function(p *Provider, name string) wrpc.Function {
	return wrpc.Function{Prefix: c.h.Lattice + "." + p.ID, Instance: wrpc.ConsumerInstance, Name: name}
}

func (c *Component) header(link string) nats.Header {
	return nats.Header{wrpc.HeaderSource: {c.ID}, wrpc.HeaderLink: {or(link, "default")}}
}
