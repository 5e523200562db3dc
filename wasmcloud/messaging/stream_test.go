package messaging_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/messaging"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// Messages of a durable consumer are acknowledged after they were handled, given back when they were not, and none is lost or comes
// twice while the login rotates.
func TestJetStreamConsumers(t *testing.T) {
	o := operated(t, func(opts *server.Options, claims *jwt.AccountClaims) {
		opts.JetStream, opts.StoreDir = true, t.TempDir()
		claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	})
	nc := o.connect(t)
	js := must(jetstream.New(nc))
	must(js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"stream.>"}, Storage: jetstream.MemoryStorage}))
	durable := must(js.CreateConsumer(t.Context(), "S", jetstream.ConsumerConfig{Durable: "C", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 50}))
	f := start(t, wasmcloud.Settings{Config: config("cluster_uris", o.ClientURL(), "handler_retry_wait", "10ms")}, messaging.Options{})
	var refused atomic.Int64
	c := f.component("echo", func(m wrpc.BrokerMessage) wrpc.Done {
		if string(m.Body) == "again" && refused.Add(1) < 3 {
			return wrpc.Err[wrpc.Unit]("not yet")
		}
		return wrpc.Done{}
	})
	link := func() wasmcloud.Link {
		return handler("echo", "default", config("consumers", `[{"stream":"S","consumer":"C","max_messages":20,"max_bytes":100000}]`), o.user(0).secrets())
	}
	f.put(link())
	must(js.Publish(t.Context(), "stream.a", []byte("again")))
	eventually(t, "given back twice and then handled", func() bool { return refused.Load() == 3 })
	const count = 2000
	for i := range count {
		must(js.Publish(t.Context(), "stream.b", fmt.Append(nil, i)))
		if i%500 == 250 {
			f.put(link())
		}
	}
	eventually(t, "all are handled and acknowledged", func() bool {
		info := must(durable.Info(t.Context()))
		return info.NumPending == 0 && info.NumAckPending == 0
	})
	eventually(t, "the logins were handed over", func() bool { return f.host.log.count("event=nats_handover") > 0 })
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range count {
		if n := c.bodies[fmt.Sprint(i)]; n != 1 {
			t.Errorf("message %d came %d times, want once", i, n)
		}
	}
	for _, m := range c.got {
		if m.ReplyTo.Some {
			t.Fatalf("reply-to = %q, want none: it is the stream's", m.ReplyTo.Value)
		}
	}
}

// A consumer that is not there yet is asked for until it is.
func TestJetStreamConsumerAppears(t *testing.T) {
	s := run(t, &server.Options{JetStream: true, StoreDir: t.TempDir()})
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	c := f.component("echo", nil)
	f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "consumers", `[{"stream":"S","consumer":"C"}]`, "ordered", "true"), nil))
	if err := f.Health(); err == nil || !strings.Contains(err.Error(), "consumer C of stream S") {
		t.Errorf("Health = %v, want that there is no consumer", err)
	}
	js := must(jetstream.New(connect(t, s)))
	must(js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"stream.>"}, Storage: jetstream.MemoryStorage}))
	must(js.CreateConsumer(t.Context(), "S", jetstream.ConsumerConfig{Durable: "C", AckPolicy: jetstream.AckExplicitPolicy}))
	for i := range 5 {
		must(js.Publish(t.Context(), "stream.a", fmt.Append(nil, i)))
	}
	eventually(t, "all are handled", func() bool { return c.count() == 5 })
	if got, want := c.texts(), []string{"0", "1", "2", "3", "4"}; !slices.Equal(got, want) {
		t.Errorf("handled %v, want %v", got, want)
	}
	eventually(t, "health is good", func() bool { return f.Health() == nil })
}
