package wrpc_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// blocking serves calls that wait for release, or for the end of their context if it may come.
func blocking(begun chan<- struct{}, release <-chan struct{}) func(context.Context, nats.Header, wrpc.BrokerMessage) ([]byte, error) {
	return func(ctx context.Context, h nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
		begun <- struct{}{}
		select {
		case <-release:
			return echo(ctx, h, m)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func invoke(t *testing.T, c *wrpc.Conn) <-chan outcome {
	over := make(chan outcome, 1)
	go func() {
		r, err := wrpc.Invoke(t.Context(), c, publish, nil, wrpc.AppendMessage(nil, hello), wrpc.DecodeReply)
		over <- outcome{r, err}
	}()
	return over
}

// TestDrainFinishesCalls: what is being handled, what waits for a handler, what is still
// sending its parameters, and what a handler invokes itself. Nothing new is served.
func TestDrainFinishesCalls(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	begun, release := make(chan struct{}, 10), make(chan struct{})
	handle := blocking(begun, release)
	serve(t, c, nc, 2, func(ctx context.Context, h nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
		result, err := handle(ctx, h, m)
		if _, other := c.Invoke(ctx, handleMessage, nil, nil); other != wrpc.ErrNoServer {
			t.Errorf("invoked by a handler while draining: %v, want %v", other, wrpc.ErrNoServer)
		}
		return result, err
	})
	clients := dial(t, s)
	var whole []*peer
	params := wrpc.AppendMessage(nil, hello)
	for range 5 {
		p := byHand(t, clients)
		p.say(publish.Subject(), p.inbox, nil, params)
		whole = append(whole, p)
	}
	p := byHand(t, clients)
	p.say(publish.Subject(), p.inbox, nil, params[:4])
	if err := clients.Flush(); err != nil { // the server has all of them
		t.Fatal(err)
	}
	<-begun
	<-begun
	drained := make(chan error, 1)
	before := s.NumSubscriptions()
	go func() { drained <- c.Drain(t.Context()) }()
	eventually(t, "not served any more", func() bool { return s.NumSubscriptions() == before-1 })
	if _, err := open(t, clients, wrpc.Options{}).Invoke(t.Context(), publish, nil, params); err != wrpc.ErrNoServer {
		t.Errorf("a new call: %v, want %v", err, wrpc.ErrNoServer)
	}
	rx := p.handshake()
	p.say(rx+".params", "", nil, params[4:])
	p.say(rx+".params", "", nil, nil)
	close(release)
	want := [][]byte{wrpc.AppendReply(nil, wrpc.Ok[wrpc.BrokerMessage, string](hello))}
	for i, p := range whole {
		p.handshake()
		if got := p.results(); !cmp.Equal(got, want) {
			t.Errorf("the results of call %d are %x, want %x", i, got, want)
		}
	}
	if got := p.results(); !cmp.Equal(got, want) {
		t.Errorf("the results of the late parameters are %x, want %x", got, want)
	}
	if err := <-drained; err != nil {
		t.Errorf("Drain = %v", err)
	}
	if _, err := c.Invoke(t.Context(), publish, nil, params); err != wrpc.ErrClosed {
		t.Errorf("Invoke after Drain = %v, want %v", err, wrpc.ErrClosed)
	}
	if _, err := wrpc.Serve(c, wrpc.Export[wrpc.BrokerMessage]{Function: publish, Decode: wrpc.DecodeMessage, Handle: echo}); err != wrpc.ErrClosed {
		t.Errorf("Serve after Drain = %v, want %v", err, wrpc.ErrClosed)
	}
	if err := c.Drain(t.Context()); err != nil {
		t.Errorf("the second Drain = %v", err)
	}
}

// TestDrainGivesUp when its context ends: handlers are told, and callers hear at once.
func TestDrainGivesUp(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	begun := make(chan struct{}, 10)
	serve(t, c, nc, 0, blocking(begun, nil))
	client := open(t, dial(t, s), wrpc.Options{})
	over := invoke(t, client)
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "wrpc: 1 calls were not over in time") {
		t.Errorf("Drain = %v, want one call that was not over", err)
	}
	if got := <-over; got.err != wrpc.ErrNoResult {
		t.Errorf("Invoke = %v, want %v", got.err, wrpc.ErrNoResult)
	}
}

// TestCloseEndsCalls that are invoked, served, waiting for a handler, or not yet complete.
func TestCloseEndsCalls(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	begun := make(chan struct{}, 10)
	serve(t, c, nc, 1, blocking(begun, nil))
	p := byHand(t, dial(t, s), handleMessage.Subject())
	params := wrpc.AppendMessage(nil, hello)
	p.say(publish.Subject(), p.inbox, nil, params[:4])
	p.handshake()
	q := byHand(t, p.Conn)
	q.say(publish.Subject(), q.inbox, nil, params)
	<-begun
	r := byHand(t, p.Conn)
	r.say(publish.Subject(), r.inbox, nil, params)
	if err := r.Flush(); err != nil { // the server has it, and sends it before it confirms that there are no more
		t.Fatal(err)
	}
	mine := make(chan error, 1)
	go func() {
		_, err := c.Invoke(t.Context(), handleMessage, nil, params)
		mine <- err
	}()
	p.next()
	c.Close()
	c.Close()
	if err := <-mine; err != wrpc.ErrClosed {
		t.Errorf("Invoke = %v, want %v", err, wrpc.ErrClosed)
	}
	if got := p.results(); got != nil {
		t.Errorf("the call without all of its parameters gets %x, want no result", got)
	}
	for _, p := range []*peer{q, r} {
		p.handshake()
		if got := p.results(); got != nil {
			t.Errorf("a call gets %x, want no result", got)
		}
	}
}

// TestDrainOneFunction leaves the others.
func TestDrainOneFunction(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	served := serve(t, c, nc, 0, echo)
	must(wrpc.Serve(c, wrpc.Export[wrpc.BrokerMessage]{Function: handleMessage, Decode: wrpc.DecodeMessage, Handle: echo}))
	if err := served.Drain(t.Context()); err != nil {
		t.Errorf("Drain = %v", err)
	}
	if err := served.Drain(t.Context()); err != nil {
		t.Errorf("the second Drain = %v", err)
	}
	params := wrpc.AppendMessage(nil, hello)
	if _, err := c.Invoke(t.Context(), publish, nil, params); err != wrpc.ErrNoServer {
		t.Errorf("the drained function: %v, want %v", err, wrpc.ErrNoServer)
	}
	if _, err := c.Invoke(t.Context(), handleMessage, nil, params); err != nil {
		t.Errorf("the other function: %v", err)
	}
}

// TestClosedConnection: NATS is gone before the Conn is.
func TestClosedConnection(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	serve(t, c, nc, 0, echo)
	nc.Close()
	if _, err := c.Invoke(t.Context(), publish, nil, nil); !errors.Is(err, wrpc.ErrClosed) {
		t.Errorf("Invoke = %v, want %v", err, wrpc.ErrClosed)
	}
	if err := c.Drain(t.Context()); err != nil {
		t.Errorf("Drain = %v", err)
	}
	if _, err := wrpc.New(nc, wrpc.Options{}); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("New = %v, want %v", err, nats.ErrConnectionClosed)
	}
}

// TestReconnect: the inbox and the functions are there again.
func TestReconnect(t *testing.T) {
	s := run(t, server.Options{})
	again := make(chan struct{}, 1)
	nc := dial(t, s, nats.ReconnectWait(time.Millisecond), nats.ReconnectHandler(func(*nats.Conn) { again <- struct{}{} }))
	c := open(t, nc, wrpc.Options{})
	serve(t, c, nc, 0, echo)
	if err := s.DisconnectClientByID(must(nc.GetClientID())); err != nil {
		t.Fatal(err)
	}
	<-again
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := <-invoke(t, c); got.err != nil {
		t.Errorf("Invoke = %v", got.err)
	}
}

// TestInboxPrefix: a client that may use no other inbox and nothing else.
func TestInboxPrefix(t *testing.T) {
	allow := func(subjects ...string) *server.SubjectPermission { return &server.SubjectPermission{Allow: subjects} }
	s := run(t, server.Options{Users: []*server.User{
		{Username: "provider", Password: "p", Permissions: &server.Permissions{
			Publish: allow("default.*.wrpc.>", "_INBOX.>"), Subscribe: allow("default.VPROVIDER.wrpc.>", "_private.p.>"),
		}},
		{Username: "host", Password: "h"},
	}})
	refused := make(chan error, 10)
	nc := dial(t, s, nats.UserInfo("provider", "p"), nats.CustomInboxPrefix("_private.p"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	c := open(t, nc, wrpc.Options{})
	host := dial(t, s, nats.UserInfo("host", "h"))
	h := open(t, host, wrpc.Options{MaxChunk: 256})
	must(wrpc.Serve(h, wrpc.Export[wrpc.BrokerMessage]{Function: handleMessage, Decode: wrpc.DecodeMessage, Handle: echo}))
	if err := host.Flush(); err != nil {
		t.Fatal(err)
	}
	serve(t, c, nc, 0, echo)
	m := wrpc.BrokerMessage{Subject: "s", Body: bytes.Repeat([]byte("x"), 1000)}
	for _, side := range []struct {
		from *wrpc.Conn
		to   wrpc.Function
	}{{c, handleMessage}, {h, publish}} {
		got, err := wrpc.Invoke(t.Context(), side.from, side.to, nil, wrpc.AppendMessage(nil, m), wrpc.DecodeReply)
		if err != nil || !cmp.Equal(got.Value, m) {
			t.Errorf("Invoke %s: %d bytes, error %v", side.to.Name, len(got.Value.Body), err)
		}
	}
	select {
	case err := <-refused:
		t.Errorf("the server refuses: %v", err)
	default:
	}
}

// TestHandOver: the function moves from one connection to the next ten times under load,
// always served by the new one before the old one is drained. Every call is handled once.
func TestHandOver(t *testing.T) {
	s := run(t, server.Options{})
	var handled atomic.Int64
	handle := func(ctx context.Context, h nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
		handled.Add(1)
		return echo(ctx, h, m)
	}
	start := func() *wrpc.Conn {
		nc := dial(t, s)
		c := open(t, nc, wrpc.Options{})
		serve(t, c, nc, 4, handle)
		return c
	}
	server := start()
	client := open(t, dial(t, s), wrpc.Options{MaxChunk: 300})
	stop := make(chan struct{})
	var work sync.WaitGroup
	var invoked atomic.Int64
	for i := range 8 {
		work.Go(func() {
			m := wrpc.BrokerMessage{Subject: "s", Body: make([]byte, i*100)} // from one message to three
			for {
				select {
				case <-stop:
					return
				default:
				}
				invoked.Add(1)
				got, err := wrpc.Invoke(t.Context(), client, publish, nil, wrpc.AppendMessage(nil, m), wrpc.DecodeReply)
				if errors.Is(err, wrpc.ErrNoServer) { // not done: NATS chose the old one before it heard of the new one, and was slow to send
					invoked.Add(-1)
					continue
				}
				if err != nil || len(got.Value.Body) != len(m.Body) {
					t.Errorf("Invoke = %d bytes, %v", len(got.Value.Body), err)
				}
			}
		})
	}
	for i := range 10 {
		eventually(t, "calls are handled", func() bool { return handled.Load() > int64(i)*100 })
		old := server
		server = start()
		if err := old.Drain(t.Context()); err != nil {
			t.Errorf("Drain = %v", err)
		}
	}
	close(stop)
	work.Wait()
	if handled.Load() != invoked.Load() {
		t.Errorf("%d calls were handled, want %d", handled.Load(), invoked.Load())
	}
}

// TestStopServingLeavesTheRest: what is being handled goes on, functions can be invoked, and calls go to whoever else serves.
func TestStopServingLeavesTheRest(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	begun, release := make(chan struct{}, 1), make(chan struct{})
	serve(t, c, nc, 1, blocking(begun, release))
	first := invoke(t, open(t, dial(t, s), wrpc.Options{}))
	<-begun
	if err := c.StopServing(t.Context()); err != nil {
		t.Fatalf("StopServing() = %v", err)
	}
	if _, err := c.Invoke(t.Context(), publish, nil, wrpc.AppendMessage(nil, hello)); !errors.Is(err, wrpc.ErrNoServer) {
		t.Errorf("Invoke of what was served = %v, want %v", err, wrpc.ErrNoServer)
	}
	close(release)
	if got := <-first; got.err != nil {
		t.Errorf("the call that was being handled: %v", got.err)
	}
	if err := c.Drain(t.Context()); err != nil {
		t.Errorf("Drain() = %v", err)
	}
	if _, err := c.Invoke(t.Context(), publish, nil, nil); !errors.Is(err, wrpc.ErrClosed) {
		t.Errorf("Invoke after Drain = %v, want %v", err, wrpc.ErrClosed)
	}
}
