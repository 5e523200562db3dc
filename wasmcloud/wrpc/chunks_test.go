package wrpc_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// TestParametersAtEverySplit: two chunks cut anywhere, and one byte in each.
func TestParametersAtEverySplit(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	serve(t, c, nc, 0, echo)
	p := byHand(t, dial(t, s))
	params := wrpc.AppendMessage(nil, hello)
	want := [][]byte{wrpc.AppendReply(nil, wrpc.Ok[wrpc.BrokerMessage, string](hello))}
	for cut := range len(params) + 1 {
		p.say(publish.Subject(), p.inbox, nil, params[:cut])
		rx := p.handshake()
		if cut < len(params) {
			p.say(rx+".params", "", nil, params[cut:])
		}
		p.say(rx+".params", "", nil, nil)
		if got := p.results(); !cmp.Equal(got, want) {
			t.Errorf("cut at %d: the results are %x, want %x", cut, got, want)
		}
	}
	p.say(publish.Subject(), p.inbox, nil, nil)
	rx := p.handshake()
	for _, b := range params {
		p.say(rx+".params", "", nil, []byte{b})
	}
	p.say(rx+".params", "", nil, nil)
	if got := p.results(); !cmp.Equal(got, want) {
		t.Errorf("byte by byte: the results are %x, want %x", got, want)
	}
}

// TestResultsAtEverySplit is the same for the other direction.
func TestResultsAtEverySplit(t *testing.T) {
	s := run(t, server.Options{})
	c := open(t, dial(t, s), wrpc.Options{})
	p := byHand(t, dial(t, s), publish.Subject())
	results := wrpc.AppendReply(nil, wrpc.Ok[wrpc.BrokerMessage, string](hello))
	for cut := range len(results) + 1 {
		over := make(chan outcome, 1)
		go func() {
			r, err := wrpc.Invoke(t.Context(), c, publish, nil, wrpc.AppendMessage(nil, hello), wrpc.DecodeReply)
			over <- outcome{r, err}
		}()
		call := p.next()
		p.say(call.Reply, p.inbox, nil, nil)
		if cut == len(results) {
			for _, b := range results {
				p.say(call.Reply+".results", "", nil, []byte{b})
			}
		} else {
			for _, part := range [][]byte{results[:cut], results[cut:]} {
				if len(part) > 0 {
					p.say(call.Reply+".results", "", nil, part)
				}
			}
		}
		p.say(call.Reply+".results", "", nil, nil)
		if got := <-over; got.err != nil || !cmp.Equal(got.reply, wrpc.Ok[wrpc.BrokerMessage, string](hello)) {
			t.Errorf("cut at %d: Invoke = %v, %v", cut, got.reply, got.err)
		}
		if m := p.next(); m.Subject != p.inbox+".params" || len(m.Data) != 0 {
			t.Errorf("cut at %d: the client sends %d bytes to %s, want the end of the parameters", cut, len(m.Data), m.Subject)
		}
	}
}

// TestBodies sends bodies there and back, with messages of the server's maximum and smaller.
func TestBodies(t *testing.T) {
	for _, c := range []struct {
		body, payload, chunk int
	}{
		{0, 1024, 0},
		{64 << 10, 1024, 0},
		{64 << 10, 1 << 20, 777},
		{1 << 20, 64 << 10, 0},
		{1<<20 - 200, 1 << 20, 0},
		{1 << 20, 1 << 20, 0},
	} {
		t.Run(fmt.Sprintf("body %d payload %d chunk %d", c.body, c.payload, c.chunk), func(t *testing.T) {
			s := run(t, server.Options{MaxPayload: int32(c.payload)})
			nc := dial(t, s)
			conn := open(t, nc, wrpc.Options{MaxChunk: c.chunk})
			serve(t, conn, nc, 0, echo)
			client := open(t, dial(t, s), wrpc.Options{MaxChunk: c.chunk})
			body := make([]byte, c.body)
			var seed [32]byte
			must(rand.NewChaCha8(seed).Read(body))
			m := wrpc.BrokerMessage{Subject: "foo", Body: body, ReplyTo: wrpc.Some("bar")}
			header := nats.Header{wrpc.HeaderSource: {"echo"}, wrpc.HeaderLink: {"default"}}
			got, err := wrpc.Invoke(t.Context(), client, publish, header, wrpc.AppendMessage(make([]byte, 0, m.Size()), m), wrpc.DecodeReply)
			if err != nil || got.Failed || sha256.Sum256(got.Value.Body) != sha256.Sum256(body) || got.Value.Subject != "foo" || got.Value.ReplyTo != wrpc.Some("bar") {
				t.Errorf("Invoke returns a body of %d bytes, want %d, error %v", len(got.Value.Body), len(body), err)
			}
		})
	}
}

// TestLargestBody: a body of 64 MiB is what the default of MaxBody is made for.
func TestLargestBody(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	serve(t, c, nc, 0, func(_ context.Context, _ nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
		sum := sha256.Sum256(m.Body)
		return wrpc.AppendBytes(nil, sum[:]), nil
	})
	m := wrpc.BrokerMessage{Subject: "foo", Body: make([]byte, 64<<20)}
	must(rand.NewChaCha8([32]byte{}).Read(m.Body))
	client := open(t, dial(t, s), wrpc.Options{})
	got, err := wrpc.Invoke(t.Context(), client, publish, nil, wrpc.AppendMessage(make([]byte, 0, m.Size()), m), (*wrpc.Decoder).Bytes)
	if want := sha256.Sum256(m.Body); err != nil || !bytes.Equal(got, want[:]) {
		t.Errorf("the server has got a body of SHA-256 %x, want %x, error %v", got, want, err)
	}
}

// TestHeaderLeavesNoRoom is an error before anything is sent.
func TestHeaderLeavesNoRoom(t *testing.T) {
	s := run(t, server.Options{MaxPayload: 1024})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	serve(t, c, nc, 0, done)
	header := nats.Header{"x": {strings.Repeat("y", 1024)}}
	if _, err := c.Invoke(t.Context(), publish, header, nil); err != wrpc.ErrHeader {
		t.Errorf("Invoke = %v, want %v", err, wrpc.ErrHeader)
	}
}

// TestEveryHeaderSize: whatever room the header leaves, the call arrives whole.
func TestEveryHeaderSize(t *testing.T) {
	s := run(t, server.Options{MaxPayload: 1024})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	serve(t, c, nc, 0, echo)
	m := wrpc.BrokerMessage{Subject: "s", Body: bytes.Repeat([]byte("0123456789"), 150)}
	header := nats.Header{"a": {"b", "c"}, "Trace-Parent": {""}}
	for n := range 1000 {
		header["Trace-Parent"][0] = strings.Repeat("t", n)
		got, err := wrpc.Invoke(t.Context(), c, publish, header, wrpc.AppendMessage(nil, m), wrpc.DecodeReply)
		if errors.Is(err, wrpc.ErrHeader) && n > 900 {
			return
		}
		if err != nil || !bytes.Equal(got.Value.Body, m.Body) {
			t.Fatalf("a header value of %d bytes: body of %d bytes, error %v", n, len(got.Value.Body), err)
		}
	}
	t.Error("no header was too large")
}

// TestSlowClient: results wait for nobody, and a client that reads them late gets all.
func TestSlowClient(t *testing.T) {
	s := run(t, server.Options{MaxPayload: 1024})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	serve(t, c, nc, 0, echo)
	fast := open(t, dial(t, s), wrpc.Options{})
	slow := byHand(t, dial(t, s))
	m := wrpc.BrokerMessage{Subject: "s", Body: bytes.Repeat([]byte("0123456789"), 60<<10/10)}
	params := wrpc.AppendMessage(nil, m)
	slow.say(publish.Subject(), slow.inbox, nil, params[:1000])
	rx := slow.handshake()
	for part := range slices.Chunk(params[1000:], 500) {
		slow.say(rx+".params", "", nil, part)
		if _, err := wrpc.Invoke(t.Context(), fast, publish, nil, wrpc.AppendMessage(nil, hello), wrpc.DecodeReply); err != nil {
			t.Fatal(err)
		}
	}
	slow.say(rx+".params", "", nil, nil)
	got := wrpc.DecodeReply(wrpc.NewDecoder(bytes.Join(slow.results(), nil)))
	if !bytes.Equal(got.Value.Body, m.Body) {
		t.Errorf("the slow client gets %d bytes, want %d", len(got.Value.Body), len(m.Body))
	}
}

// TestRandomChunks: any number of cuts in the parameters of many calls at once, their messages mixed.
func TestRandomChunks(t *testing.T) {
	s := run(t, server.Options{MaxPayload: 1024})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	serve(t, c, nc, 0, echo)
	p := byHand(t, dial(t, s))
	random := rand.New(rand.NewPCG(4, 20))
	type call struct {
		rest []byte
		rx   string
	}
	var open []*call
	want := map[string]int{}
	for i := range 50 {
		m := wrpc.BrokerMessage{Subject: fmt.Sprint("call ", i), Body: make([]byte, random.IntN(5000))}
		want[m.Subject] = len(m.Body)
		params := wrpc.AppendMessage(nil, m)
		p.say(publish.Subject(), p.inbox, nil, params[:5])
		open = append(open, &call{params[5:], p.handshake()})
	}
	for len(open) > 0 {
		i := random.IntN(len(open))
		n := min(len(open[i].rest), 1+random.IntN(1024))
		p.say(open[i].rx+".params", "", nil, open[i].rest[:n])
		if open[i].rest = open[i].rest[n:]; n == 0 {
			open = slices.Delete(open, i, i+1)
			got := wrpc.DecodeReply(wrpc.NewDecoder(bytes.Join(p.results(), nil))).Value
			if len(got.Body) != want[got.Subject] {
				t.Errorf("%s comes back with %d bytes, want %d", got.Subject, len(got.Body), want[got.Subject])
			}
			delete(want, got.Subject)
		}
	}
	if len(want) > 0 {
		t.Errorf("no answer to %v", want)
	}
}
