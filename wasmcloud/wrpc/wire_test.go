package wrpc_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

func (v vector) function(t *testing.T) wrpc.Function {
	t.Helper()
	prefix, _, ok := strings.Cut(v.Subject, ".wrpc.")
	f := wrpc.Function{Prefix: prefix, Instance: v.ServerName, Name: v.Function}
	if !ok || f.Subject() != v.Subject {
		t.Fatalf("the subject of %+v is %s, want %s", f, f.Subject(), v.Subject)
	}
	return f
}

// sent are the messages of one side, whose payloads are those of whole: long ones are cut short in the file.
func (v vector) sent(direction string, last string, whole []byte) (all []frame) {
	for _, f := range v.Wire {
		if f.Direction == direction && (last == "" || strings.HasSuffix(f.Subject, last)) {
			all = append(all, f)
		}
	}
	for i, f := range all {
		all[i].PayloadHex = string(whole[:f.PayloadLen])
		whole = whole[f.PayloadLen:]
	}
	return all
}

// TestVectorsServed: a client sends its messages of the capture, and gets those of the server.
func TestVectorsServed(t *testing.T) {
	s := run(t, server.Options{MaxPayload: 1024})
	nc := dial(t, s)
	for _, v := range load(t).Vectors {
		if v.Name == "no responders (component not running anywhere)" {
			continue // nobody serves; TestVectorsInvoked
		}
		t.Run(v.Name, func(t *testing.T) {
			c := open(t, nc, wrpc.Options{})
			var seen calls[nats.Header]
			handle := func(h nats.Header, params []byte) ([]byte, error) {
				seen.add(h)
				if !bytes.Equal(params, unhex(t, v.ParamsHex)) {
					t.Errorf("the parameters are %x, want %s", params, v.ParamsHex)
				}
				if v.ResultHex == "" {
					return nil, errors.New("component not linked")
				}
				return v.result(t), nil
			}
			var served *wrpc.Served
			if v.Function == wrpc.RequestFunction {
				served = must(wrpc.Serve(c, wrpc.Export[wrpc.RequestParams]{Function: v.function(t), Queue: v.Queue, Decode: wrpc.DecodeRequest, Handle: func(_ context.Context, h nats.Header, p wrpc.RequestParams) ([]byte, error) {
					return handle(h, wrpc.AppendRequest(nil, p))
				}}))
			} else {
				served = must(wrpc.Serve(c, wrpc.Export[wrpc.BrokerMessage]{Function: v.function(t), Queue: v.Queue, Decode: wrpc.DecodeMessage, Handle: func(_ context.Context, h nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
					return handle(h, wrpc.AppendMessage(nil, m))
				}}))
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			p := byHand(t, dial(t, s))
			ours := v.sent("client->server", "", unhex(t, v.ParamsHex))
			p.say(v.Subject, p.inbox, ours[0].Headers, []byte(ours[0].PayloadHex))
			rx := p.handshake()
			for _, f := range ours[1:] {
				p.say(rx+strings.TrimPrefix(f.Subject, "{SERVER_RX}"), "", nil, []byte(f.PayloadHex))
			}
			var want [][]byte
			for _, f := range v.sent("server->client", ".results", unhex(t, v.ResultHex)) {
				if f.PayloadLen > 0 {
					want = append(want, []byte(f.PayloadHex))
				}
			}
			if diff := cmp.Diff(want, p.results()); diff != "" {
				t.Errorf("results, -want +got:\n%s", diff)
			}
			if diff := cmp.Diff([]nats.Header{ours[0].Headers}, seen.list()); diff != "" {
				t.Errorf("headers, -want +got:\n%s", diff)
			}
			if err := served.Drain(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestVectorsInvoked: a server sends its messages of the capture, and gets those of the client.
func TestVectorsInvoked(t *testing.T) {
	s := run(t, server.Options{MaxPayload: 1024})
	nc := dial(t, s)
	for _, v := range load(t).Vectors {
		t.Run(v.Name, func(t *testing.T) {
			c := open(t, nc, wrpc.Options{})
			header := nats.Header(v.Wire[0].Headers)
			type outcome struct {
				result []byte
				err    error
			}
			over := make(chan outcome, 1)
			invoke := func() {
				data, err := c.Invoke(t.Context(), v.function(t), header, v.params(t))
				over <- outcome{data, err}
			}
			if v.Wire[0].Direction == "nats-server->client" {
				invoke()
				if got := <-over; got.err != wrpc.ErrNoServer {
					t.Errorf("Invoke = %x, %v, want %v", got.result, got.err, wrpc.ErrNoServer)
				}
				return
			}
			server := dial(t, s)
			p := byHand(t, server, v.Subject)
			go invoke()
			first := p.next()
			rx := p.inbox
			p.say(first.Reply, rx, nil, nil)
			params := slices.Clone(first.Data)
			if diff := cmp.Diff(header, first.Header); diff != "" || first.Subject != v.Subject {
				t.Errorf("the call goes to %s, want %s; header, -want +got:\n%s", first.Subject, v.Subject, diff)
			}
			for {
				m := p.next()
				if m.Subject == rx+".knock" && len(m.Data) == 0 && len(params) == len(first.Data) { // which no server listens to
					continue
				}
				if m.Subject != rx+".params" || m.Reply != "" || len(m.Header) > 0 {
					t.Errorf("the client sends to %s with reply %q and header %v, want only parameters", m.Subject, m.Reply, m.Header)
				}
				if len(m.Data) == 0 {
					break
				}
				params = append(params, m.Data...)
			}
			if !bytes.Equal(params, unhex(t, v.ParamsHex)) {
				t.Errorf("the parameters are %x, want %s", params, v.ParamsHex)
			}
			for _, f := range v.sent("server->client", ".results", unhex(t, v.ResultHex)) {
				p.say(first.Reply+".results", "", nil, []byte(f.PayloadHex))
			}
			if got := <-over; got.err != nil || !bytes.Equal(got.result, unhex(t, v.ResultHex)) {
				t.Errorf("Invoke = %x, %v, want %s", got.result, got.err, v.ResultHex)
			}
		})
	}
}

// TestSubject: what is empty is left out with its dot.
func TestSubject(t *testing.T) {
	for _, c := range []struct {
		f    wrpc.Function
		want string
	}{
		{publish, "default.VPROVIDER.wrpc.0.0.1.wasmcloud:messaging/consumer@0.2.0.publish"},
		{wrpc.Function{Instance: "a:b/c", Name: "f"}, "wrpc.0.0.1.a:b/c.f"},
		{wrpc.Function{Prefix: "p", Name: "f"}, "p.wrpc.0.0.1.f"},
	} {
		if got := c.f.Subject(); got != c.want {
			t.Errorf("Subject(%+v) = %s, want %s", c.f, got, c.want)
		}
	}
}
