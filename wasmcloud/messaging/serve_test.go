package messaging_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/messaging"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// A message goes from NATS to a component, and one of a component to NATS.
func TestPublishAndHandleMessage(t *testing.T) {
	s := run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	c := f.component("echo", nil)
	f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in.*"), nil))
	f.put(target("echo", "default", config("cluster_uris", s.ClientURL()), nil))
	nc := connect(t, s)
	out := must(nc.SubscribeSync("out"))
	_ = nc.Flush()

	if err := nc.PublishRequest("in.a", "answers", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the component has the message", func() bool { return c.count() == 1 })
	want := []wrpc.BrokerMessage{{Subject: "in.a", Body: []byte("hello"), ReplyTo: wrpc.Some("answers")}}
	if diff := cmp.Diff(want, c.messages()); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
	done, err := f.publish("echo", "default", wrpc.BrokerMessage{Subject: "out", Body: []byte("bye"), ReplyTo: wrpc.Some("back")})
	if err != nil || done.Failed {
		t.Fatalf("publish = %v, %v, want ok", done, err)
	}
	m := must(out.NextMsgWithContext(t.Context()))
	if got := (nats.Msg{Subject: m.Subject, Reply: m.Reply, Data: m.Data}); got.Subject != "out" || got.Reply != "back" || string(got.Data) != "bye" {
		t.Errorf("published = %v, want out, back, bye", got)
	}
	if err := f.Health(); err != nil {
		t.Errorf("Health = %v, want nil", err)
	}
}

// What components are told when a call does not work is what the original tells them, and the time of a request is what the component
// says.
func TestRequest(t *testing.T) {
	s := run(t, &server.Options{MaxPayload: 1024})
	strictly := start(t, wasmcloud.Settings{Config: config("cluster_uris", s.ClientURL(), "strict_compat", "true")}, messaging.Options{})
	f := start(t, wasmcloud.Settings{Config: config("cluster_uris", s.ClientURL())}, messaging.Options{})
	bounded := start(t, wasmcloud.Settings{Config: config("cluster_uris", s.ClientURL(), "max_request_timeout", "20ms")}, messaging.Options{})
	nc := connect(t, s)
	must(nc.Subscribe("echo", func(m *nats.Msg) { _ = m.Respond(append([]byte("re: "), m.Data...)) }))
	must(nc.Subscribe("silent", func(*nats.Msg) {}))
	must(nc.Subscribe("slow", func(m *nats.Msg) { time.AfterFunc(11*time.Second, func() { _ = m.Respond([]byte("at last")) }) }))
	_ = nc.Flush()
	for _, one := range []*fixture{strictly, f, bounded} {
		one.put(target("c", "default", nil, nil))
	}
	large := make([]byte, 2000)
	for _, test := range []struct {
		name string
		on   *fixture
		in   wrpc.RequestParams
		want string // the answer, or the error after a bang
	}{
		{"an answer", f, wrpc.RequestParams{Subject: "echo", Body: []byte("x"), TimeoutMillis: 30000}, "re: x"},
		{"the longest time", f, wrpc.RequestParams{Subject: "echo", Body: []byte("x"), TimeoutMillis: 1<<32 - 1}, "re: x"},
		{"no time", f, wrpc.RequestParams{Subject: "echo", Body: []byte("x")}, "!nats request timed out: deadline has elapsed"},
		{"nobody answers", f, wrpc.RequestParams{Subject: "silent", TimeoutMillis: 30}, "!nats request timed out: deadline has elapsed"},
		{"bounded", bounded, wrpc.RequestParams{Subject: "silent", TimeoutMillis: 1<<32 - 1}, "!nats request timed out: deadline has elapsed"},
		{"nobody is there", f, wrpc.RequestParams{Subject: "nowhere", TimeoutMillis: 30000}, "!nats send error: no responders: no responders"},
		{"too large", f, wrpc.RequestParams{Subject: "echo", Body: large, TimeoutMillis: 30000}, "!nats send error: max payload size exceeded"},
		{"longer than 10 s", f, wrpc.RequestParams{Subject: "slow", TimeoutMillis: 60000}, "at last"},
		{"longer than 10 s in the strict way", strictly, wrpc.RequestParams{Subject: "slow", TimeoutMillis: 60000}, "!nats send error: request timed out: deadline has elapsed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			reply, err := test.on.request("c", "default", test.in)
			if err != nil {
				t.Fatal(err)
			}
			got := string(reply.Value.Body)
			if reply.Failed {
				got = "!" + reply.Err
			}
			if got != test.want {
				t.Errorf("request = %q, want %q", got, test.want)
			}
			if !reply.Failed && !strings.HasPrefix(reply.Value.Subject, "_INBOX.") {
				t.Errorf("subject of the answer = %q, want an inbox", reply.Value.Subject)
			}
		})
	}
}

// A request without time is sent all the same.
func TestRequestWithoutTimeIsSent(t *testing.T) {
	s := run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{Config: config("cluster_uris", s.ClientURL())}, messaging.Options{})
	f.put(target("c", "default", nil, nil))
	nc := connect(t, s)
	sub := must(nc.SubscribeSync("out"))
	_ = nc.Flush()
	if _, err := f.request("c", "default", wrpc.RequestParams{Subject: "out", Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if m := must(sub.NextMsgWithContext(t.Context())); string(m.Data) != "x" || m.Reply == "" {
		t.Errorf("sent %q with reply %q, want x and an inbox", m.Data, m.Reply)
	}
}

// The errors of publish, and its confirmation by the server.
func TestPublishErrors(t *testing.T) {
	s := run(t, &server.Options{MaxPayload: 1024})
	f := start(t, wasmcloud.Settings{Config: config("cluster_uris", s.ClientURL())}, messaging.Options{})
	f.put(target("buffer", "default", nil, nil))
	f.put(target("server", "default", config("publish_flush", "server"), nil))
	ok := wrpc.Done{}
	for _, component := range []string{"buffer", "server"} {
		for _, test := range []struct {
			m    wrpc.BrokerMessage
			want wrpc.Done
		}{
			{wrpc.BrokerMessage{Subject: "a", Body: []byte("x")}, ok},
			{wrpc.BrokerMessage{Subject: "a"}, ok},
			{wrpc.BrokerMessage{Subject: "a", Body: make([]byte, 2000)}, wrpc.Err[wrpc.Unit]("max payload size exceeded")},
			{wrpc.BrokerMessage{Subject: ""}, wrpc.Err[wrpc.Unit]("failed to send message")},
		} {
			got, err := f.publish(component, "default", test.m)
			if err != nil || got != test.want {
				t.Errorf("publish of %s to %q = %v, %v, want %v", component, test.m.Subject, got, err, test.want)
			}
		}
	}
	s.Shutdown()
	s.WaitForShutdown()
	eventually(t, "the connections are lost", func() bool { return f.Health() != nil && !f.Stats()[0].Connected && !f.Stats()[1].Connected })
	for component, want := range map[string]wrpc.Done{"buffer": ok, "server": wrpc.Err[wrpc.Unit]("failed to send message")} {
		if got, err := f.publish(component, "default", wrpc.BrokerMessage{Subject: "a"}); err != nil || got != want {
			t.Errorf("publish of %s without a server = %v, %v, want %v", component, got, err, want)
		}
	}
}

// A login that allows one prefix for inboxes alone.
func TestCustomInboxPrefix(t *testing.T) {
	o := operated(t)
	u := o.user(0, func(c *jwt.UserClaims) {
		c.Sub.Allow.Add("mine.inbox.>")
		c.Pub.Allow.Add("echo")
	})
	f := start(t, wasmcloud.Settings{Config: config("cluster_uris", o.ClientURL(), "custom_inbox_prefix", "mine.inbox")}, messaging.Options{})
	f.put(target("c", "default", nil, u.secrets()))
	nc := o.connect(t)
	must(nc.Subscribe("echo", func(m *nats.Msg) { _ = m.Respond([]byte(m.Reply[:10])) }))
	_ = nc.Flush()
	reply, err := f.request("c", "default", wrpc.RequestParams{Subject: "echo", TimeoutMillis: 30000})
	if err != nil || reply.Failed || string(reply.Value.Body) != "mine.inbox" {
		t.Errorf("request = %v, %v, want mine.inbox", reply, err)
	}
}

// A call without headers, without source-id, and without link-name where there is one link and where there are two.
func TestWhoCalls(t *testing.T) {
	s := run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{Config: config("cluster_uris", s.ClientURL())}, messaging.Options{})
	f.put(target("one", "only", nil, nil))
	f.put(target("two", "a", nil, nil))
	f.put(target("two", "b", nil, nil))
	for _, test := range []struct {
		header nats.Header
		want   string // in the log; "" for an answer
	}{
		{nil, "no component in request"},
		{nats.Header{"other": {"x"}}, "component not linked: <unknown>"},
		{nats.Header{"source-id": {"one"}}, ""},
		{nats.Header{"source-id": {"one"}, "link-name": {"only"}}, ""},
		{nats.Header{"source-id": {"one"}, "link-name": {"default"}}, "component not linked: one"},
		{nats.Header{"source-id": {"two"}, "link-name": {"b"}}, ""},
		{nats.Header{"source-id": {"two"}}, "component not linked: two has several links and none is named default"},
	} {
		_, err := wrpc.Invoke(t.Context(), f.caller, wrpc.Function{Prefix: "default.messaging", Instance: wrpc.ConsumerInstance, Name: wrpc.PublishFunction}, test.header, wrpc.AppendMessage(nil, wrpc.BrokerMessage{Subject: "a"}), wrpc.DecodeDone)
		if (err == nil) != (test.want == "") || f.host.log.count(test.want) == 0 {
			t.Errorf("publish with %v = %v, want an answer: %v, and in the log %q", test.header, err, test.want == "", test.want)
		}
	}
}
