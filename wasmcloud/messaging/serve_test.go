package messaging_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
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
	f.put(source("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in.*"), nil))
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
