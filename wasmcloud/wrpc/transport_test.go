package wrpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
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

var hello = wrpc.BrokerMessage{Subject: "foo.bar", Body: []byte("hello"), ReplyTo: wrpc.Some("_INBOX.abc")}

// TestConcurrentCalls: each gets its own result, in messages that are mixed with those of all others.
func TestConcurrentCalls(t *testing.T) {
	s := run(t, server.Options{MaxPayload: 4096})
	nc := dial(t, s)
	server := open(t, nc, wrpc.Options{})
	serve(t, server, nc, 64, echo)
	client := open(t, dial(t, s), wrpc.Options{})
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			m := wrpc.BrokerMessage{Subject: fmt.Sprint(i), Body: bytes.Repeat([]byte{byte(i)}, i*10)}
			got, err := wrpc.Invoke(t.Context(), client, publish, nil, wrpc.AppendMessage(nil, m), wrpc.DecodeReply)
			if err != nil || got.Value.Subject != m.Subject || !bytes.Equal(got.Value.Body, m.Body) {
				t.Errorf("call %d: subject %q, %d bytes, error %v", i, got.Value.Subject, len(got.Value.Body), err)
			}
		})
	}
	all.Wait()
	empty(t, server)
	empty(t, client)
}

// TestOneHandlerKeepsTheOrder, in use and while it is drained.
func TestOneHandlerKeepsTheOrder(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	var seen calls[string]
	begun, release := make(chan struct{}, 1), make(chan struct{})
	served := serve(t, c, nc, 1, func(ctx context.Context, h nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
		select {
		case begun <- struct{}{}:
		default:
		}
		<-release
		seen.add(m.Subject)
		return done(ctx, h, m)
	})
	p := byHand(t, dial(t, s))
	var want []string
	for i := range 200 {
		want = append(want, fmt.Sprint(i))
		p.say(publish.Subject(), p.inbox, nil, wrpc.AppendMessage(nil, wrpc.BrokerMessage{Subject: want[i]}))
	}
	if err := p.Flush(); err != nil { // the server has them, and sends them before it confirms that there are no more
		t.Fatal(err)
	}
	<-begun
	before := s.NumSubscriptions()
	drained := make(chan error, 1)
	go func() { drained <- served.Drain(t.Context()) }()
	eventually(t, "not served any more", func() bool { return s.NumSubscriptions() == before-1 })
	close(release)
	if err := <-drained; err != nil {
		t.Errorf("Drain = %v", err)
	}
	if diff := cmp.Diff(want, seen.list()); diff != "" {
		t.Errorf("the order, -want +got:\n%s", diff)
	}
}

// TestStalledCallHoldsUpNobody, and it is given up after the time-out.
func TestStalledCallHoldsUpNobody(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{Timeout: 300 * time.Millisecond})
	serve(t, c, nc, 1, done)
	params := wrpc.AppendMessage(nil, hello)
	stalled := byHand(t, dial(t, s))
	stalled.say(publish.Subject(), stalled.inbox, nil, params[:3])
	stalled.handshake()
	client := open(t, dial(t, s), wrpc.Options{})
	for range 10 {
		if _, err := wrpc.Invoke(t.Context(), client, publish, nil, params, wrpc.DecodeDone); err != nil {
			t.Errorf("beside a stalled call: %v", err)
		}
	}
	if got := stalled.results(); got != nil {
		t.Errorf("the stalled call gets %x, want no result", got)
	}
}

// TestLostChunk: parameters of which one chunk is missing do not decode, and results of
// which the end is missing end the call with the time-out.
func TestLostChunk(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	serve(t, c, nc, 0, done)
	params := wrpc.AppendMessage(nil, hello)
	p := byHand(t, dial(t, s))
	p.say(publish.Subject(), p.inbox, nil, params[:3])
	rx := p.handshake()
	p.say(rx+".params", "", nil, params[10:])
	p.say(rx+".params", "", nil, nil)
	if got := p.results(); got != nil {
		t.Errorf("the results are %x, want none", got)
	}

	q := byHand(t, dial(t, s), handleMessage.Subject())
	over := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	go func() {
		_, err := c.Invoke(ctx, handleMessage, nil, params)
		over <- err
	}()
	call := q.next()
	q.say(call.Reply, q.inbox, nil, nil)
	q.say(call.Reply+".results", "", nil, []byte{0})
	if err := <-over; !errors.Is(err, wrpc.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Invoke = %v, want %v", err, wrpc.ErrTimeout)
	}
	empty(t, c)
	q.say(call.Reply+".results", "", nil, nil) // late
}

// TestSilentServer: with the time-out of the Options, a deadline and a cancelled context.
func TestSilentServer(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	byHand(t, dial(t, s), handleMessage.Subject())
	params := wrpc.AppendMessage(nil, hello)

	c := open(t, nc, wrpc.Options{Timeout: 50 * time.Millisecond})
	if _, err := c.Invoke(t.Context(), handleMessage, nil, params); !errors.Is(err, wrpc.ErrTimeout) {
		t.Errorf("Invoke without a deadline = %v, want %v", err, wrpc.ErrTimeout)
	}
	patient := open(t, nc, wrpc.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := patient.Invoke(ctx, handleMessage, nil, params); !errors.Is(err, wrpc.ErrTimeout) {
		t.Errorf("Invoke with a deadline = %v, want %v", err, wrpc.ErrTimeout)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := patient.Invoke(ctx, handleMessage, nil, params); !errors.Is(err, context.Canceled) || errors.Is(err, wrpc.ErrTimeout) {
		t.Errorf("Invoke with a cancelled context = %v, want %v", err, context.Canceled)
	}
}

// TestGivenUpCallEndsItsParameters: the server need not wait for what does not come.
func TestGivenUpCallEndsItsParameters(t *testing.T) {
	s := run(t, server.Options{})
	c := open(t, dial(t, s), wrpc.Options{MaxChunk: 512})
	p := byHand(t, dial(t, s), handleMessage.Subject())
	over := make(chan error, 1)
	go func() {
		_, err := c.Invoke(t.Context(), handleMessage, nil, make([]byte, 4096))
		over <- err
	}()
	call := p.next()
	p.say(call.Reply+".results", "", nil, nil) // before the handshake, which some servers may do
	p.say(call.Reply, p.inbox, nil, nil)
	if err := <-over; err != nil {
		t.Errorf("Invoke = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := c.Invoke(ctx, handleMessage, nil, make([]byte, 4096))
		over <- err
	}()
	for call = p.next(); call.Subject != handleMessage.Subject(); { // the end of the first one's parameters
		call = p.next()
	}
	p.say(call.Reply, p.inbox, nil, nil)
	for m := p.next(); len(m.Data) != 0; m = p.next() {
		if m.Subject != p.inbox+".params" {
			t.Fatalf("the client sends to %s", m.Subject)
		}
	}
	cancel()
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Errorf("Invoke = %v, want %v", err, context.Canceled)
	}
}

// TestAnswersOfNATS: what stands in the place of a handshake.
func TestAnswersOfNATS(t *testing.T) {
	s := run(t, server.Options{})
	c := open(t, dial(t, s), wrpc.Options{})
	if _, err := c.Invoke(t.Context(), handleMessage, nil, nil); err != wrpc.ErrNoServer {
		t.Errorf("nobody serves: Invoke = %v, want %v", err, wrpc.ErrNoServer)
	}
	p := byHand(t, dial(t, s), handleMessage.Subject())
	for _, x := range []struct {
		header nats.Header
		reply  string
		want   string
		is     error
	}{
		{nats.Header{"Status": {"503"}}, "", wrpc.ErrNoServer.Error(), wrpc.ErrNoServer},
		{nats.Header{"Status": {"408"}, "Description": {"Request Timeout"}}, "", "wrpc: NATS answers 408 Request Timeout", context.DeadlineExceeded},
		{nats.Header{"Status": {"500"}, "Description": {"x"}}, "r", "wrpc: NATS answers 500 x", nil},
		{nil, "", "wrpc: the other side broke the protocol: an answer without a subject for parameters", wrpc.ErrProtocol},
	} {
		over := make(chan error, 1)
		go func() {
			_, err := c.Invoke(t.Context(), handleMessage, nil, nil)
			over <- err
		}()
		p.say(p.next().Reply, x.reply, x.header, nil)
		if err := <-over; err == nil || err.Error() != x.want || x.is != nil && !errors.Is(err, x.is) {
			t.Errorf("%v: Invoke = %v, want %s", x.header, err, x.want)
		}
	}
}

// TestFailuresAreContained: an error, a panic while handling or decoding, and parameters
// that do not decode get a handshake and no result, and the next call is served.
func TestFailuresAreContained(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	var log bytes.Buffer
	c := open(t, nc, wrpc.Options{Log: logTo(&log)})
	must(wrpc.Serve(c, wrpc.Export[string]{
		Function: publish,
		Decode: func(d *wrpc.Decoder) string {
			s := d.Text()
			if s == "decode" {
				panic("decoding")
			}
			return s
		},
		Handle: func(_ context.Context, _ nats.Header, how string) ([]byte, error) {
			switch how {
			case "error":
				return []byte("with a result"), errors.New("component not linked")
			case "panic":
				panic("handling")
			}
			return wrpc.AppendString(nil, how), nil
		},
	}))
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	p := byHand(t, dial(t, s))
	for _, x := range []struct {
		params []byte
		want   [][]byte
	}{
		{wrpc.AppendString(nil, "error"), nil},
		{wrpc.AppendString(nil, "panic"), nil},
		{wrpc.AppendString(nil, "decode"), nil},
		{[]byte{1, 0xff}, nil},
		{wrpc.AppendString(nil, "fine"), [][]byte{[]byte("\x04fine")}},
		{append(wrpc.AppendString(nil, "and more"), 1, 2, 3), [][]byte{[]byte("\x08and more")}},
	} {
		p.say(publish.Subject(), p.inbox, nil, x.params)
		p.handshake()
		if got := p.results(); !cmp.Equal(got, x.want) {
			t.Errorf("%q: the results are %q, want %q", x.params, got, x.want)
		}
	}
	client := open(t, dial(t, s), wrpc.Options{})
	if _, err := wrpc.Invoke(t.Context(), client, publish, nil, wrpc.AppendString(nil, "error"), (*wrpc.Decoder).Text); err != wrpc.ErrNoResult {
		t.Errorf("Invoke = %v, want %v", err, wrpc.ErrNoResult)
	}
	var e *wrpc.DecodeError
	if _, err := wrpc.Invoke(t.Context(), client, publish, nil, wrpc.AppendString(nil, "fine"), (*wrpc.Decoder).Bool); !errors.As(err, &e) {
		t.Errorf("Invoke of another type = %v, want a DecodeError", err)
	}
	empty(t, c)
	for _, want := range []string{"component not linked", "panic: handling", "panic: decoding", "string at byte 0: the text is not UTF-8"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, &log)
		}
	}
}

// TestStrayFrames: what comes twice, late, or to no known place changes nothing.
func TestStrayFrames(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	serve(t, c, nc, 0, echo)
	params := wrpc.AppendMessage(nil, hello)
	results := wrpc.AppendReply(nil, wrpc.Ok[wrpc.BrokerMessage, string](hello))

	p := byHand(t, dial(t, s))
	p.say(publish.Subject(), "", nil, params) // no subject for an answer
	p.say(publish.Subject(), p.inbox, nil, params[:5])
	rx := p.handshake()
	for _, to := range []string{rx, rx + ".results", rx + ".params.0", rx + ".params.0.1", rx + ".drain", rx + "0.params"} {
		p.say(to, p.inbox, nil, []byte("stray"))
		p.say(to, "", nil, nil)
	}
	p.say(rx+".params", "", nil, params[5:])
	for range 3 {
		p.say(rx+".params", "", nil, nil)
	}
	p.say(rx+".params", "", nil, []byte("late"))
	if got := p.results(); !cmp.Equal(got, [][]byte{results}) {
		t.Errorf("the results are %x, want %x", got, results)
	}

	q := byHand(t, dial(t, s), handleMessage.Subject())
	over := make(chan []byte, 1)
	go func() {
		over <- must(c.Invoke(t.Context(), handleMessage, nil, params))
	}()
	call := q.next()
	q.say(call.Reply, q.inbox, nil, nil)
	q.say(call.Reply, q.inbox+".second", nil, nil)
	for _, to := range []string{".params", ".results.0", ".results.0.0", ".error", "0.results"} {
		q.say(call.Reply+to, "", nil, []byte("stray"))
		q.say(call.Reply+to, "", nil, nil)
	}
	q.say(call.Reply+".results", "", nil, results)
	q.say(call.Reply+".results", "", nil, nil)
	q.say(call.Reply+".results", "", nil, []byte("late"))
	if got := <-over; !bytes.Equal(got, results) {
		t.Errorf("Invoke = %x, want %x", got, results)
	}
	if m := q.next(); m.Subject != q.inbox+".params" || len(m.Data) != 0 {
		t.Errorf("the client sends %d bytes to %s, want one end of the parameters", len(m.Data), m.Subject)
	}
}

// TestMemoryIsBounded for one call and for all together, both where it is invoked and where it is served.
func TestMemoryIsBounded(t *testing.T) {
	s := run(t, server.Options{MaxPayload: 4096})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{MaxBody: 64 << 10, MaxHeld: 128 << 10})
	serve(t, c, nc, 0, done)
	big := wrpc.AppendMessage(nil, wrpc.BrokerMessage{Subject: "s", Body: make([]byte, 70<<10)})
	client := open(t, dial(t, s), wrpc.Options{})
	if _, err := wrpc.Invoke(t.Context(), client, publish, nil, big, wrpc.DecodeDone); err != wrpc.ErrNoResult {
		t.Errorf("parameters over MaxBody: Invoke = %v, want %v", err, wrpc.ErrNoResult)
	}
	if _, err := c.Invoke(t.Context(), publish, nil, big); err != wrpc.ErrTooLarge {
		t.Errorf("own parameters over MaxBody: Invoke = %v, want %v", err, wrpc.ErrTooLarge)
	}

	// The first of them holds what the others would need.
	var peers [3]*peer
	var rx [3]string
	for i := range peers {
		peers[i] = byHand(t, dial(t, s))
		peers[i].say(publish.Subject(), peers[i].inbox, nil, big[:4000])
		rx[i] = peers[i].handshake()
		for part := range slices.Chunk(big[4000:36000], 4000) {
			peers[i].say(rx[i]+".params", "", nil, part)
		}
		if i == 0 {
			eventually(t, "the first call is held", func() bool { n, _, _ := c.Held(); return n > 64<<10 })
		} else if got := peers[i].results(); got != nil {
			t.Errorf("a call over MaxHeld gets %x, want no result", got)
		}
	}
	peers[0].say(rx[0]+".params", "", nil, big[36000:36001])
	peers[0].say(rx[0]+".params", "", nil, nil)
	if got := peers[0].results(); got != nil {
		t.Errorf("a call without its last bytes gets %x, want no result", got)
	}
	empty(t, c)
	if _, err := wrpc.Invoke(t.Context(), client, publish, nil, wrpc.AppendMessage(nil, hello), wrpc.DecodeDone); err != nil {
		t.Errorf("afterwards: Invoke = %v", err)
	}

	q := byHand(t, dial(t, s), handleMessage.Subject())
	over := make(chan error, 1)
	go func() {
		_, err := c.Invoke(t.Context(), handleMessage, nil, nil)
		over <- err
	}()
	call := q.next()
	for range 17 {
		q.say(call.Reply+".results", "", nil, make([]byte, 4096))
	}
	if err := <-over; err != wrpc.ErrTooLarge {
		t.Errorf("results over MaxBody: Invoke = %v, want %v", err, wrpc.ErrTooLarge)
	}
}

// TestDroppedMessages: when NATS drops what the inbox is sent, the calls that may miss a
// part end at once, and the next one is served.
func TestDroppedMessages(t *testing.T) {
	s := run(t, server.Options{})
	slow := make(chan error, 1)
	nc := dial(t, s, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case slow <- err:
		default:
		}
	}))
	c := open(t, nc, wrpc.Options{MaxHeld: 32 << 10})
	p := byHand(t, dial(t, s), handleMessage.Subject())
	over := make(chan error, 1)
	call := func() {
		_, err := c.Invoke(t.Context(), handleMessage, nil, nil)
		over <- err
	}
	go call()
	m := p.next()
	release := c.Hold()
	for range 40 {
		p.say(m.Reply+".results", "", nil, make([]byte, 1<<10))
	}
	if err := <-slow; err != nats.ErrSlowConsumer {
		t.Errorf("NATS says %v, want %v", err, nats.ErrSlowConsumer)
	}
	release()
	eventually(t, "messages are delivered again", func() bool {
		p.say(m.Reply+".results.0", "", nil, nil)
		return len(over) > 0
	})
	// The call may also have got all that it may hold before the missing part.
	if err := <-over; err != wrpc.ErrLost && err != wrpc.ErrFull {
		t.Errorf("Invoke = %v, want %v", err, wrpc.ErrLost)
	}
	go call()
	m = p.next()
	p.say(m.Reply, p.inbox, nil, nil)
	p.say(m.Reply+".results", "", nil, nil)
	if err := <-over; err != nil {
		t.Errorf("the next call: Invoke = %v", err)
	}
}

// TestHandlersAreBounded: never more at once, and all of them in the end.
func TestHandlersAreBounded(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	var now, most, all atomic.Int64
	serve(t, c, nc, 3, func(ctx context.Context, h nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		all.Add(1)
		runtime.Gosched()
		return done(ctx, h, m)
	})
	client := open(t, dial(t, s), wrpc.Options{MaxChunk: 128}) // some in one message, some in more
	var work sync.WaitGroup
	for i := range 300 {
		work.Go(func() {
			m := wrpc.BrokerMessage{Subject: "s", Body: make([]byte, i)}
			if _, err := wrpc.Invoke(t.Context(), client, publish, nil, wrpc.AppendMessage(nil, m), wrpc.DecodeDone); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	if all.Load() != 300 || most.Load() > 3 {
		t.Errorf("%d calls were handled, at most %d at once, want 300 and 3", all.Load(), most.Load())
	}
}

// TestAround: it is called in the place of the handler, with the function and the headers, and decides on the result.
func TestAround(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	type key struct{}
	var told wrpc.Function
	var source string
	c := open(t, nc, wrpc.Options{Around: func(ctx context.Context, f wrpc.Function, h nats.Header, handle func(context.Context) ([]byte, error)) ([]byte, error) {
		told, source = f, h.Get(wrpc.HeaderSource)
		return handle(context.WithValue(ctx, key{}, "seen"))
	}})
	serve(t, c, nc, 1, func(ctx context.Context, h nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
		if ctx.Value(key{}) != "seen" {
			t.Error("the handler has another context")
		}
		return echo(ctx, h, m)
	})
	_, err := open(t, dial(t, s), wrpc.Options{}).Invoke(t.Context(), publish, nats.Header{wrpc.HeaderSource: {"echo"}}, wrpc.AppendMessage(nil, hello))
	if err != nil || told != publish || source != "echo" {
		t.Errorf("Around was told of %v by %q (%v), want %v by echo", told, source, err, publish)
	}
}
