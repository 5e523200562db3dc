package wrpc_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// sees waits for a message to subject, which comes next but for handshakes, and returns it.
func (p *peer) sees(subject string) *nats.Msg {
	p.Helper()
	for {
		if m := <-p.got; m.Subject == subject {
			return m
		} else if m.Subject != p.inbox {
			p.Fatalf("the server sends %d bytes to %s, want a message to %s", len(m.Data), m.Subject, subject)
		}
	}
}

// repeatedTo waits for the handshake that is sent again, passes over what comes before, and returns how many bytes of results those were.
func (p *peer) repeatedTo(first string) (rx string, early int) {
	p.Helper()
	for {
		m := <-p.got
		switch {
		case m.Subject == p.inbox && m.Reply == first: // lost
		case m.Subject == p.inbox && m.Reply == first+".again" && len(m.Data) == 0:
			return m.Reply, early
		case m.Subject == p.inbox+".results" && len(m.Data) > 0:
			early += len(m.Data)
		default:
			p.Fatalf("the server sends %d bytes to %s with reply %q, want the handshake again", len(m.Data), m.Subject, m.Reply)
		}
	}
}

// TestHandshakeThatIsLost: a client that has dropped the first handshake and what came behind it gets both again, and ends as
// if nothing had been; with results in one message and in several, parameters in one and in several, and a failure.
func TestHandshakeThatIsLost(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{MaxChunk: 40})
	serve(t, c, nc, 0, echo)
	long := wrpc.BrokerMessage{Subject: "foo", Body: bytes.Repeat([]byte("x"), 100)}
	ok := func(m wrpc.BrokerMessage) []byte {
		return wrpc.AppendReply(nil, wrpc.Ok[wrpc.BrokerMessage, string](m))
	}
	for _, x := range []struct {
		name   string
		params [][]byte
		early  int // bytes of results before the client has shown that it is ready
		want   [][]byte
	}{
		{"short", [][]byte{wrpc.AppendMessage(nil, hello)}, len(ok(hello)), [][]byte{ok(hello)}},
		{"long results", [][]byte{wrpc.AppendMessage(nil, long)}, 0, slices.Collect(slices.Chunk(ok(long), 40))},
		{"long parameters", [][]byte{wrpc.AppendMessage(nil, hello)[:4], wrpc.AppendMessage(nil, hello)[4:9], wrpc.AppendMessage(nil, hello)[9:]}, 0, [][]byte{ok(hello)}},
		{"does not decode", [][]byte{{1, 0xff, 0, 0}}, 0, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := byHand(t, dial(t, s))
			p.say(publish.Subject(), p.inbox, nil, x.params[0])
			rx, early := p.repeatedTo(p.handshake())
			if early != x.early {
				t.Errorf("%d bytes of results come before the client is ready, want %d", early, x.early)
			}
			for _, part := range x.params[1:] {
				p.say(rx+".params", "", nil, part)
			}
			p.say(rx+".params", "", nil, nil)
			if diff := cmp.Diff(x.want, p.results()); diff != "" {
				t.Errorf("results, -want +got:\n%s", diff)
			}
		})
	}
}

// TestEndWaitsForTheClient: results in one message come at once, their end and longer ones when the client has ended its
// parameters, and nothing comes twice. What a client sends behind parameters that were whole is passed over.
func TestEndWaitsForTheClient(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{MaxChunk: 40})
	serve(t, c, nc, 0, echo)
	for _, m := range []wrpc.BrokerMessage{hello, {Subject: "foo", Body: bytes.Repeat([]byte("x"), 100)}} {
		p := byHand(t, dial(t, s))
		want := wrpc.AppendReply(nil, wrpc.Ok[wrpc.BrokerMessage, string](m))
		p.say(publish.Subject(), p.inbox, nil, wrpc.AppendMessage(nil, m))
		rx := p.handshake()
		var got []byte
		if len(want) <= 40 {
			got = p.sees(p.inbox + ".results").Data
		}
		p.say(rx+".params", "", nil, []byte("more"))
		if n, _, _ := c.Held(); n == 0 {
			t.Error("nothing is held before the client has ended its parameters")
		}
		p.say(rx+".params", "", nil, nil)
		for more := p.sees(p.inbox + ".results").Data; len(more) > 0; more = p.sees(p.inbox + ".results").Data {
			got = append(got, more...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("the results are %x, want %x", got, want)
		}
		empty(t, c)
	}
}

// TestClientThatNeverEnds its parameters gets its result once, and is forgotten.
func TestClientThatNeverEnds(t *testing.T) {
	s := run(t, server.Options{})
	nc := dial(t, s)
	c := open(t, nc, wrpc.Options{})
	serve(t, c, nc, 0, echo)
	p := byHand(t, dial(t, s))
	p.say(publish.Subject(), p.inbox, nil, wrpc.AppendMessage(nil, hello))
	p.handshake()
	want := [][]byte{wrpc.AppendReply(nil, wrpc.Ok[wrpc.BrokerMessage, string](hello))}
	if got := p.results(); !cmp.Equal(got, want) {
		t.Errorf("the results are %x, want %x", got, want)
	}
	empty(t, c)
}
