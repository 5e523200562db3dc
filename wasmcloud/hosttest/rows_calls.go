package hosttest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// What components call: publish and request, and the protocol under them.

// wireOrder plays a component message by message.
func wireOrder(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{})
	p := b.start(h, ProviderOptions{Links: []Link{Consumer("echo", "cluster_uris", s.URL())}})
	b.publishes(p, h.Component("echo", Ok), s, "default")
	serve(b, s, "svc.echo", "pong")
	for _, test := range []struct {
		function       string
		params, result []byte // a result is not compared if it is nil
	}{
		{wrpc.PublishFunction, []byte("\x07foo.bar\x05hello\x00"), []byte{0}},
		{wrpc.PublishFunction, []byte("\x07foo.bar\x05hello\x01\x0a_INBOX.abc"), []byte{0}},
		{wrpc.PublishFunction, []byte("\x01a\x00\x00"), []byte{0}},
		{wrpc.RequestFunction, []byte("\x08svc.echo\x04ping\xd0\x0f"), nil},
	} {
		nc := h.o.Server.Connect()
		inbox := nats.NewInbox()
		sub, err := nc.SubscribeSync(inbox + ".>")
		if err != nil {
			b.Fatal(err)
		}
		reply := inbox + ".c"
		next := func() *nats.Msg {
			m, err := sub.NextMsg(30 * time.Second)
			if err != nil {
				b.Fatalf("%s: the exchange goes no further: %v", test.function, err)
			}
			return m
		}
		call := &nats.Msg{Subject: "default." + p.ID + ".wrpc.0.0.1." + wrpc.ConsumerInstance + "." + test.function, Reply: reply, Data: test.params,
			Header: nats.Header{wrpc.HeaderSource: {"echo"}, wrpc.HeaderLink: {"default"}}}
		if err := nc.PublishMsg(call); err != nil {
			b.Fatal(err)
		}
		handshake := next()
		if handshake.Subject != reply || handshake.Reply == "" || len(handshake.Data) != 0 {
			b.Errorf("%s: the first answer is %q to %s with reply %q, want the handshake", test.function, handshake.Data, handshake.Subject, handshake.Reply)
		}
		if err := nc.Publish(handshake.Reply+".params", nil); err != nil {
			b.Fatal(err)
		}
		var result []byte
		for {
			m := next()
			if m.Subject == reply && m.Reply != "" && len(m.Data) == 0 { // again, because the end of the parameters was slow
				continue
			}
			if m.Subject != reply+".results" {
				b.Errorf("%s: a message to %s, want only results", test.function, m.Subject)
			}
			if len(m.Data) == 0 {
				break
			}
			result = append(result, m.Data...)
		}
		if test.result != nil && !bytes.Equal(result, test.result) {
			b.Errorf("%s: the result is %x, want %x", test.function, result, test.result)
		}
		if d := wrpc.NewDecoder(result); test.result == nil {
			if r := wrpc.DecodeReply(d); d.Err() != nil || d.Left() != 0 || r.Failed || string(r.Value.Body) != "pong" {
				b.Errorf("request: the result %x is %v (%v)", result, r, d.Err())
			}
		}
	}
}

// serve answers requests to a subject of a server with a body.
func serve(b *bed, s *Server, subject, body string) {
	b.Helper()
	nc := s.Connect()
	if _, err := nc.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond([]byte(body)) }); err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.Fatal(err)
	}
}

func random(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// chunks: the lattice takes messages of 1 KiB only, and components send in pieces of any size.
func chunks(b *bed) {
	h, s := b.lattice(ServerOptions{MaxPayload: 1024}), NewServer(b, ServerOptions{MaxPayload: 8 << 20})
	p := b.start(h, ProviderOptions{Links: []Link{Consumer("echo", "cluster_uris", s.URL()), Handler("echo", "cluster_uris", s.URL(), "subscriptions", "to.echo")}})
	echo := h.Component("echo", Ok)
	b.subscribed(s, "to.echo", 1)
	b.publishes(p, echo, s, "default")
	nc := s.Connect()
	sub, err := nc.SubscribeSync("large")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := nc.Subscribe("reflect", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.Fatal(err)
	}
	for _, chunk := range []int{100, 1000, 0} {
		conn, err := wrpc.New(h.Conn(), wrpc.Options{MaxChunk: chunk, Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(conn.Close)
		sizes := []int{1, 900, 5000, 1 << 20}
		if chunk == 100 {
			sizes = sizes[:3]
		}
		for _, size := range sizes {
			body := random(size)
			done, err := wrpc.Invoke(b.Context(), conn, echo.function(p, wrpc.PublishFunction), echo.header(""), wrpc.AppendMessage(nil, wrpc.BrokerMessage{Subject: "large", Body: body}), wrpc.DecodeDone)
			if err != nil || done.Failed {
				b.Fatalf("Publish of %d bytes in pieces of %d = %v, %v", size, chunk, done, err)
			}
			if m, err := sub.NextMsg(time.Minute); err != nil || sha256.Sum256(m.Data) != sha256.Sum256(body) {
				b.Fatalf("%d bytes in pieces of %d do not arrive as they were sent: %v", size, chunk, err)
			}
			r := wrpc.RequestParams{Subject: "reflect", Body: body, TimeoutMillis: 60_000}
			reply, err := wrpc.Invoke(b.Context(), conn, echo.function(p, wrpc.RequestFunction), echo.header(""), wrpc.AppendRequest(nil, r), wrpc.DecodeReply)
			if err != nil || reply.Failed || !bytes.Equal(reply.Value.Body, body) {
				b.Fatalf("Request of %d bytes in pieces of %d: %v, %v, or another body", size, chunk, reply.Err, err)
			}
			before := echo.Count()
			if err := nc.Publish("to.echo", body); err != nil {
				b.Fatal(err)
			}
			Eventually(b, "the component gets a large message", func() bool { return echo.Count() > before })
			if got := echo.Got()[before].Message.Body; !bytes.Equal(got, body) {
				b.Fatalf("the component gets %d bytes, or other ones, want %d", len(got), size)
			}
		}
	}
}

func callErrors(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{})
	p := b.start(h, ProviderOptions{Links: []Link{Consumer("echo", "cluster_uris", s.URL())}})
	echo, stranger := h.Component("echo", Ok), h.Component("stranger", Ok)
	b.publishes(p, echo, s, "default")
	if done, err := stranger.Publish(b.Context(), p, "", wrpc.BrokerMessage{Subject: "x"}); !errors.Is(err, wrpc.ErrNoResult) {
		b.Errorf("Publish of a component that is not linked = %v, %v, want no result", done, err)
	}
	message := wrpc.AppendMessage(nil, wrpc.BrokerMessage{Subject: "x"})
	for name, header := range map[string]nats.Header{"no headers": nil, "no source": {wrpc.HeaderLink: {"default"}}} {
		if result, err := echo.Call(b.Context(), p, wrpc.PublishFunction, header, message); err != nil || len(result) != 0 {
			b.Errorf("%s: the result is %x, %v, want none", name, result, err)
		}
	}
	b.publishes(p, echo, s, "default")
}

// malformed are parameters that do not decode.
var malformed = map[string]string{
	"nothing":                 "",
	"a truncated length":      "\xff",
	"an overlong length":      "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
	"a length beyond the end": "\x05ab",
	"a huge length":           "\xff\xff\xff\xff\x0f",
	"no UTF-8":                "\x02\xff\xfe\x00\x00",
	"an option of 2":          "\x01a\x00\x02",
	"a subject alone":         "\x01a",
}

func malformedInput(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{})
	p := b.start(h, ProviderOptions{Links: []Link{Consumer("echo", "cluster_uris", s.URL())}})
	echo := h.Component("echo", Ok)
	b.publishes(p, echo, s, "default")
	for name, params := range malformed {
		for _, function := range []string{wrpc.PublishFunction, wrpc.RequestFunction} {
			if name == "an option of 2" && function == wrpc.RequestFunction {
				continue // is a request
			}
			if result, err := echo.Call(b.Context(), p, function, echo.header(""), []byte(params)); err != nil || len(result) != 0 {
				b.Errorf("%s: the result of %s is %x, %v, want none", name, function, result, err)
			}
		}
	}
	for _, what := range []string{"linkdefs.put", "linkdefs.del", "config.update"} {
		for _, text := range []string{"", "null", "[]", "{", `{"source_id":1}`, `{"source_id":"a","target":"b"}`, "\xff\xfe", strings.Repeat("[", 10_000)} {
			p.Send(what, []byte(text))
		}
	}
	p.PutLink(Handler("bad", "cluster_uris", "::not an address::", "subscriptions", "x"))
	p.PutLink(Consumer("after", "cluster_uris", s.URL()))
	b.publishes(p, h.Component("after", Ok), s, "default")
	b.publishes(p, echo, s, "default")
	if p.Starts() != 1 {
		b.Errorf("it was started %d times", p.Starts())
	}
}

func oneInbox(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{})
	p := b.start(h, ProviderOptions{Links: []Link{Consumer("echo", "cluster_uris", s.URL()), Handler("echo", "cluster_uris", s.URL(), "subscriptions", "x")}})
	echo := h.Component("echo", Ok)
	b.subscribed(s, "x", 1)
	b.publishes(p, echo, s, "default")
	subscriptions := func() (n int) {
		for _, c := range h.o.Server.Clients() {
			n += int(c.NumSubs)
		}
		return n
	}
	b.delivers(s, "x", echo)
	before := subscriptions()
	for range 50 {
		if done, err := echo.Publish(b.Context(), p, "", wrpc.BrokerMessage{Subject: "y"}); err != nil || done.Failed {
			b.Fatalf("Publish = %v, %v", done, err)
		}
		b.delivers(s, "x", echo)
	}
	if got := subscriptions(); got > before {
		b.Errorf("%d subscriptions in the lattice after a hundred calls, and %d before", got, before)
	}
}

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func publishCalls(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{MaxPayload: 4096})
	p := b.start(h, ProviderOptions{Links: []Link{Consumer("echo", "cluster_uris", s.URL())}})
	echo := h.Component("echo", Ok)
	b.publishes(p, echo, s, "default")
	nc := s.Connect()
	sub, err := nc.SubscribeSync(">")
	if err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.Fatal(err)
	}
	type arrived struct {
		Subject, Reply, Body string
		Headers              bool
	}
	for _, test := range []struct {
		m    wrpc.BrokerMessage
		want arrived
	}{
		{wrpc.BrokerMessage{Subject: "a.b", Body: []byte("hello")}, arrived{"a.b", "", "hello", true}},
		{wrpc.BrokerMessage{Subject: "a.b"}, arrived{"a.b", "", "", true}},
		{wrpc.BrokerMessage{Subject: "a.b", Body: []byte("x"), ReplyTo: wrpc.Some("back")}, arrived{"a.b", "back", "x", true}},
		{wrpc.BrokerMessage{Subject: "$SYS.a", Body: []byte("x")}, arrived{"$SYS.a", "", "x", false}},
		{wrpc.BrokerMessage{Subject: "$SYS.a", Body: []byte("x"), ReplyTo: wrpc.Some("back")}, arrived{"$SYS.a", "back", "x", false}},
	} {
		header := echo.header("")
		header["traceparent"] = []string{parent}
		result, err := echo.Call(b.Context(), p, wrpc.PublishFunction, header, wrpc.AppendMessage(nil, test.m))
		if err != nil || !bytes.Equal(result, []byte{0}) {
			b.Errorf("Publish(%v) = %x, %v, want ok", test.m, result, err)
			continue
		}
		m, err := sub.NextMsg(time.Minute)
		if err != nil {
			b.Fatal(err)
		}
		got := arrived{m.Subject, m.Reply, string(m.Data), strings.Contains(strings.Join(m.Header["traceparent"], ""), parent[3:35])}
		if diff := cmp.Diff(test.want, got); diff != "" {
			b.Errorf("Publish(%v): -want +got:\n%s", test.m, diff)
		}
	}
	done, err := echo.Publish(b.Context(), p, "", wrpc.BrokerMessage{Subject: "a", Body: make([]byte, 5000)})
	if want := wrpc.Err[wrpc.Unit]("max payload size exceeded"); err != nil || done != want {
		b.Errorf("Publish of too much = %v, %v, want %v", done, err, want)
	}
}

func requestCalls(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{})
	p := b.start(h, ProviderOptions{Links: []Link{Consumer("echo", "cluster_uris", s.URL())}})
	echo := h.Component("echo", Ok)
	b.publishes(p, echo, s, "default")
	nc := s.Connect()
	for subject, answer := range map[string]func(*nats.Msg){
		"echo":   func(m *nats.Msg) { _ = m.Respond(append([]byte("got "), m.Data...)) },
		"silent": func(*nats.Msg) {},
		"late":   func(m *nats.Msg) { time.AfterFunc(11*time.Second, func() { _ = m.Respond([]byte("late")) }) },
	} {
		if _, err := nc.Subscribe(subject, answer); err != nil {
			b.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		b.Fatal(err)
	}
	for _, test := range []struct {
		r          wrpc.RequestParams
		want, fail string
	}{
		{wrpc.RequestParams{Subject: "echo", Body: []byte("ping"), TimeoutMillis: 30_000}, "got ping", ""},
		{wrpc.RequestParams{Subject: "echo", TimeoutMillis: 4294967295}, "got ", ""},
		{wrpc.RequestParams{Subject: "late", TimeoutMillis: 50_000}, "late", ""},
		{wrpc.RequestParams{Subject: "silent", TimeoutMillis: 50}, "", "nats request timed out: deadline has elapsed"},
		{wrpc.RequestParams{Subject: "silent", TimeoutMillis: 0}, "", "nats request timed out: deadline has elapsed"},
		{wrpc.RequestParams{Subject: "nobody", TimeoutMillis: 30_000}, "", "nats send error: no responders: no responders"},
	} {
		reply, err := echo.Request(b.Context(), p, "", test.r)
		if err != nil || string(reply.Value.Body) != test.want || reply.Err != test.fail || reply.Failed != (test.fail != "") {
			b.Errorf("Request(%v) = %q, error %q, %v, want %q, error %q", test.r, reply.Value.Body, reply.Err, err, test.want, test.fail)
		}
	}
}

func inboxPrefix(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{JWT: true})
	l := s.User(0, func(c *jwt.UserClaims) {
		c.Sub.Allow.Add("custom.>")
		c.Pub.Allow.Add("svc", "hosttest.published")
	})
	p := b.start(h, ProviderOptions{Links: []Link{Consumer("echo", "cluster_uris", s.URL(), "custom_inbox_prefix", "custom.inbox").WithLogin(l)}})
	echo := h.Component("echo", Ok)
	b.publishes(p, echo, s, "default")
	nc := s.Connect()
	subjects := make(chan string, 1)
	if _, err := nc.Subscribe("svc", func(m *nats.Msg) {
		subjects <- m.Reply
		_ = m.Respond([]byte("pong"))
	}); err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.Fatal(err)
	}
	reply, err := echo.Request(b.Context(), p, "", wrpc.RequestParams{Subject: "svc", TimeoutMillis: 30_000})
	if err != nil || reply.Failed || string(reply.Value.Body) != "pong" {
		b.Fatalf("Request = %v, %v", reply, err)
	}
	if got := <-subjects; !strings.HasPrefix(got, "custom.inbox.") {
		b.Errorf("the answer went to %s, want custom.inbox.>", got)
	}
}
