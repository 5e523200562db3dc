package wrpc_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	publish       = wrpc.Function{Prefix: "default.VPROVIDER", Instance: wrpc.ConsumerInstance, Name: wrpc.PublishFunction}
	handleMessage = wrpc.Function{Prefix: "default.echo", Instance: wrpc.HandlerInstance, Name: wrpc.HandleMessageFunction}
)

// patience bounds what a test waits for and never expects to.
const patience = 30 * time.Second

// logTo is a log in a buffer, which may be read when nothing is under way.
func logTo(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, nil))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func run(t testing.TB, o server.Options) *server.Server {
	t.Helper()
	o.Host, o.NoSigs, o.NoLog = "127.0.0.1", true, true
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	s := must(server.NewServer(&o))
	go s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	return s
}

func dial(t testing.TB, s *server.Server, o ...nats.Option) *nats.Conn {
	t.Helper()
	closed := make(chan struct{})
	nc := must(nats.Connect(s.ClientURL(), append(o, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...))
	t.Cleanup(func() {
		nc.Close()
		<-closed
	})
	return nc
}

// open returns a Conn that must hold nothing at the end of the test.
func open(t testing.TB, nc *nats.Conn, o wrpc.Options) *wrpc.Conn {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	c := must(wrpc.New(nc, o))
	t.Cleanup(func() {
		empty(t, c)
		c.Close()
	})
	return c
}

func empty(t testing.TB, c *wrpc.Conn) {
	t.Helper()
	var held, calls, receivers int
	eventually(t, "nothing is held", func() bool {
		held, calls, receivers = c.Held()
		return held == 0 && calls == 0 && receivers == 0
	})
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(time.Millisecond)
	}
}

// serve serves publish on c, until the end of the test.
func serve(t testing.TB, c *wrpc.Conn, nc *nats.Conn, handlers int, handle func(context.Context, nats.Header, wrpc.BrokerMessage) ([]byte, error)) *wrpc.Served {
	t.Helper()
	s := must(wrpc.Serve(c, wrpc.Export[wrpc.BrokerMessage]{Function: publish, Decode: wrpc.DecodeMessage, Handle: handle, MaxHandlers: handlers}))
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return s
}

func echo(_ context.Context, _ nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
	return wrpc.AppendReply(nil, wrpc.Ok[wrpc.BrokerMessage, string](m)), nil
}

func done(context.Context, nats.Header, wrpc.BrokerMessage) ([]byte, error) {
	return wrpc.AppendDone(nil, wrpc.Done{}), nil
}

// outcome is what Invoke has returned.
type outcome struct {
	reply wrpc.Reply
	err   error
}

// peer speaks the protocol by hand.
type peer struct {
	testing.TB
	*nats.Conn
	inbox string
	got   chan *nats.Msg
}

func byHand(t testing.TB, nc *nats.Conn, subjects ...string) *peer {
	t.Helper()
	p := &peer{TB: t, Conn: nc, inbox: nats.NewInbox(), got: make(chan *nats.Msg, 1<<16)}
	for _, subject := range append(subjects, p.inbox, p.inbox+".>") {
		must(nc.ChanSubscribe(subject, p.got))
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *peer) next() *nats.Msg {
	p.Helper()
	for {
		select {
		case m := <-p.got:
			if strings.HasSuffix(m.Reply, ".again") { // a handshake that is sent again, because a test is slow to answer the first or does not
				continue
			}
			return m
		case <-time.After(patience):
			p.Fatal("the other side sends nothing")
			return nil
		}
	}
}

func (p *peer) say(subject, reply string, header nats.Header, data []byte) {
	p.Helper()
	if err := p.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Header: header, Data: data}); err != nil {
		p.Fatal(err)
	}
}

// results reads a handshake, checks it, and reads chunks of results up to the end.
func (p *peer) results() (chunks [][]byte) {
	p.Helper()
	for {
		m := p.next()
		if m.Subject != p.inbox+".results" {
			p.Fatalf("the server sends to %s, want results", m.Subject)
		}
		if len(m.Data) == 0 {
			return chunks
		}
		chunks = append(chunks, m.Data)
	}
}

// handshake reads the first answer of a server and returns the subject for parameters.
func (p *peer) handshake() string {
	p.Helper()
	m := p.next()
	if m.Subject != p.inbox || m.Reply == "" || len(m.Data) != 0 {
		p.Fatalf("the server sends %q with reply %q and %d bytes first, want a handshake", m.Subject, m.Reply, len(m.Data))
	}
	return m.Reply
}

// calls collects what a handler has seen.
type calls[T any] struct {
	mu  sync.Mutex
	all []T
}

func (c *calls[T]) add(v T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, v)
}

func (c *calls[T]) list() []T {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]T(nil), c.all...)
}
