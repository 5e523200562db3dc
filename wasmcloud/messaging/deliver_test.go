package messaging_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
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

// Wildcards, queue groups, a list with white space and repetitions, and two instances of the provider: each plain subscription gets its
// copy in each instance, and a queue group one in all. Overlapping subjects are two subscriptions, as ever.
func TestSubscriptions(t *testing.T) {
	s := run(t, &server.Options{})
	lattice := run(t, &server.Options{})
	a := startOn(t, lattice, wasmcloud.Settings{}, messaging.Options{})
	b := startOn(t, lattice, wasmcloud.Settings{}, messaging.Options{})
	c := a.component("echo", nil)
	for _, f := range []*fixture{a, b} {
		f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", " plain , plain, wild.*.x,all.>,, queue|workers,over.*,over.a"), nil))
	}
	nc := connect(t, s)
	for _, subject := range []string{"plain", "wild.1.x", "wild.1.y", "all.a.b.c", "queue", "over.a", "elsewhere"} {
		if err := nc.Publish(subject, []byte(subject)); err != nil {
			t.Fatal(err)
		}
	}
	_ = nc.Publish("plain", []byte("end"))
	_ = nc.Flush()
	want := map[string]int{"plain": 2, "wild.1.x": 2, "all.a.b.c": 2, "queue": 1, "over.a": 4, "end": 2}
	eventually(t, "all have arrived", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.got) >= 13
	})
	got := map[string]int{}
	for _, text := range c.texts() {
		got[text]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
}

// max_in_flight bounds the calls at a time; what is beyond waits, and a burst loses none: 100,000 messages without the race detector.
func TestBurstWithASlowComponent(t *testing.T) {
	s := run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	open := make(chan struct{})
	c := f.component("echo", func(wrpc.BrokerMessage) wrpc.Done {
		<-open
		return wrpc.Done{}
	})
	f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in", "max_in_flight", "8"), nil))
	nc := connect(t, s)
	const burst = heavyBurst
	for i := range burst {
		if err := nc.Publish("in", binary.BigEndian.AppendUint32(nil, uint32(i))); err != nil {
			t.Fatal(err)
		}
	}
	_ = nc.Flush()
	eventually(t, "eight are with the component and the others wait", func() bool {
		st := f.Stats()[0]
		return c.count() == 8 && st.InFlight == 8 && st.Pending >= burst-20
	})
	if err := f.Health(); err != nil {
		t.Errorf("Health = %v while messages wait, want nil", err)
	}
	more := handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in", "max_in_flight", "64"), nil)
	f.put(more)
	eventually(t, "64 are with the component", func() bool { return c.count() == 64 && f.Stats()[0].InFlight == 64 })
	close(open)
	c.exactly(t, burst)
	c.mu.Lock()
	top := c.top
	c.mu.Unlock()
	if top > 65 { // one may be told of its end before the component has counted it
		t.Errorf("%d calls at a time, want at most 64", top)
	}
	eventually(t, "all are counted", func() bool { return f.Stats()[0].Handled == burst })
}

// What is over the limit of those that wait is dropped, counted, and told by health.
func TestSlowConsumerIsReported(t *testing.T) {
	s := run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	open := make(chan struct{})
	c := f.component("echo", func(wrpc.BrokerMessage) wrpc.Done {
		<-open
		return wrpc.Done{}
	})
	f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in", "max_in_flight", "1", "max_pending", "10"), nil))
	nc := connect(t, s)
	for i := range 100 {
		_ = nc.Publish("in", fmt.Append(nil, i))
	}
	_ = nc.Flush()
	eventually(t, "the first is with the component, 10 wait and the others are dropped", func() bool {
		st := f.Stats()[0]
		return c.count() == 1 && st.Dropped >= 88 // 1 in flight, 1 that waits for it, at most 10 in the list
	})
	if err := f.Health(); err == nil || !strings.Contains(err.Error(), "slow consumer") {
		t.Errorf("Health = %v, want a slow consumer", err)
	}
	close(open)
	eventually(t, "those that waited are handled", func() bool {
		st := f.Stats()[0]
		return st.Handled+st.Dropped == 100
	})
}

// With ordered the messages of a subscription are handled one after the other, in the order in which the server sent them.
func TestOrdered(t *testing.T) {
	s := run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	c := f.component("echo", func(m wrpc.BrokerMessage) wrpc.Done {
		if m.Body[0]%3 == 0 {
			time.Sleep(time.Millisecond) // would be overtaken by the next one
		}
		return wrpc.Done{}
	})
	f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in", "ordered", "true"), nil))
	nc := connect(t, s)
	var want []string
	for i := range byte(200) {
		want = append(want, string([]byte{i}))
		_ = nc.Publish("in", []byte{i})
	}
	eventually(t, "all are handled", func() bool { return c.count() == len(want) })
	if got := c.texts(); !slices.Equal(got, want) || c.top != 1 {
		t.Errorf("handled %q with %d at a time, want them in order, one at a time", got, c.top)
	}
}

// An err of the component is logged and counted by its kind; with handler_error=reply whoever asked hears of it; with handler_retries it
// is tried again.
func TestHandlerErrors(t *testing.T) {
	s := run(t, &server.Options{})
	nc := connect(t, s)
	boom := func(wrpc.BrokerMessage) wrpc.Done { return wrpc.Err[wrpc.Unit]("boom") }
	var tries atomic.Int64
	var sleepy = make(chan struct{})
	defer close(sleepy)
	for _, test := range []struct {
		name   string
		config map[string]string
		answer func(wrpc.BrokerMessage) wrpc.Done
		absent bool
		failed map[string]uint64
		reply  nats.Header
	}{
		{"log", nil, boom, false, map[string]uint64{"error": 1, "not_running": 0, "timeout": 0, "failed": 0}, nil},
		{"reply", config("handler_error", "reply"), boom, false, map[string]uint64{"error": 1, "not_running": 0, "timeout": 0, "failed": 0}, nats.Header{"Nats-Service-Error": {"boom"}, "Nats-Service-Error-Code": {"500"}}},
		{"not running", config("handler_error", "reply"), nil, true, map[string]uint64{"error": 0, "not_running": 1, "timeout": 0, "failed": 0}, nats.Header{"Nats-Service-Error": {"the component echo does not run anywhere in the lattice"}, "Nats-Service-Error-Code": {"503"}}},
		{"timeout", config("handler_error", "reply", "handler_timeout", "50ms"), func(wrpc.BrokerMessage) wrpc.Done { <-sleepy; return wrpc.Done{} }, false, map[string]uint64{"error": 0, "not_running": 0, "timeout": 1, "failed": 0}, nats.Header{"Nats-Service-Error": {"the component echo did not answer within 50ms"}, "Nats-Service-Error-Code": {"504"}}},
		{"trap", config("handler_error", "reply"), func(wrpc.BrokerMessage) wrpc.Done { panic("trap") }, false, map[string]uint64{"error": 0, "not_running": 0, "timeout": 0, "failed": 1}, nats.Header{"Nats-Service-Error": {"wrpc: the server has failed and sent no result"}, "Nats-Service-Error-Code": {"500"}}},
		{"retry", config("handler_retries", "3", "handler_retry_wait", "1ms"), func(wrpc.BrokerMessage) wrpc.Done {
			if tries.Add(1) < 3 {
				return wrpc.Err[wrpc.Unit]("not yet")
			}
			return wrpc.Done{}
		}, false, map[string]uint64{"error": 0, "not_running": 0, "timeout": 0, "failed": 0}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, wasmcloud.Settings{}, messaging.Options{})
			if !test.absent {
				f.component("echo", test.answer)
			}
			link := handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in"), nil)
			for k, v := range test.config {
				link.Config[k] = v
			}
			f.put(link)
			inbox := nc.NewInbox()
			answers := must(nc.SubscribeSync(inbox))
			_ = nc.PublishRequest("in", inbox, []byte("x"))
			eventually(t, "the message is counted", func() bool {
				st := f.Stats()[0]
				return st.Received == 1 && st.InFlight == 0
			})
			if diff := cmp.Diff(test.failed, f.Stats()[0].Failed); diff != "" {
				t.Errorf("Failed (-want +got):\n%s", diff)
			}
			logged := f.host.log.count("event=messaging_failed")
			if want := test.failed["error"] + test.failed["not_running"] + test.failed["timeout"] + test.failed["failed"]; uint64(logged) != want {
				t.Errorf("%d lines of the log, want %d", logged, want)
			}
			if test.reply != nil {
				m := must(answers.NextMsgWithContext(t.Context()))
				if diff := cmp.Diff(test.reply, m.Header); diff != "" {
					t.Errorf("answer (-want +got):\n%s", diff)
				}
			}
		})
	}
	if got := tries.Load(); got != 3 {
		t.Errorf("%d tries, want 3", got)
	}
}

// The headers of a trace go from the user's message to the component, and from the component's call to the user's message.
func TestTraceHeaders(t *testing.T) {
	s := run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	c := f.component("echo", nil)
	f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in"), nil))
	f.put(target("echo", "default", config("cluster_uris", s.ClientURL()), nil))
	nc := connect(t, s)
	trace := nats.Header{"traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, "tracestate": {"a=b"}}
	_ = nc.PublishMsg(&nats.Msg{Subject: "in", Header: nats.Header{"traceparent": trace["traceparent"], "tracestate": trace["tracestate"], "other": {"x"}}})
	eventually(t, "handled", func() bool { return c.count() == 1 })
	want := nats.Header{"source-id": {"messaging"}, "target-id": {"echo"}, "traceparent": trace["traceparent"], "tracestate": trace["tracestate"]}
	if diff := cmp.Diff(want, c.headers[0]); diff != "" {
		t.Errorf("headers of the call (-want +got):\n%s", diff)
	}
	all := must(nc.SubscribeSync("out.>"))
	sys := must(nc.SubscribeSync("$SYS.x.>"))
	_ = nc.Flush()
	call := func(m wrpc.BrokerMessage) {
		header := nats.Header{"source-id": {"echo"}, "traceparent": trace["traceparent"], "tracestate": trace["tracestate"]}
		if _, err := wrpc.Invoke(t.Context(), f.caller, wrpc.Function{Prefix: "default.messaging", Instance: wrpc.ConsumerInstance, Name: wrpc.PublishFunction}, header, wrpc.AppendMessage(nil, m), wrpc.DecodeDone); err != nil {
			t.Fatal(err)
		}
	}
	for _, reply := range []wrpc.Option[string]{{}, wrpc.Some("r")} {
		call(wrpc.BrokerMessage{Subject: "out.a", ReplyTo: reply})
		call(wrpc.BrokerMessage{Subject: "$SYS.x.y", ReplyTo: reply})
		if diff := cmp.Diff(trace, must(all.NextMsgWithContext(t.Context())).Header); diff != "" {
			t.Errorf("headers of the message (-want +got):\n%s", diff)
		}
		if got := must(sys.NextMsgWithContext(t.Context())).Header; len(got) != 0 {
			t.Errorf("headers to $SYS with reply %v = %v, want none", reply, got)
		}
	}
}

// Where the login may not use the queue group of a plain subscription, the link does without, and a rotation is a reconnect, or with
// allow_duplicates a hand-over in which a message may come twice.
func TestPrivateQueueGroupRefused(t *testing.T) {
	o := operated(t)
	for duplicates, event := range map[string]string{"false": "event=nats_disconnected", "true": "event=nats_handover"} {
		t.Run("allow_duplicates "+duplicates, func(t *testing.T) {
			f := start(t, wasmcloud.Settings{Config: config("cluster_uris", o.ClientURL(), "allow_duplicates", duplicates)}, messaging.Options{})
			c := f.component("echo", nil)
			link := func(name string) wasmcloud.Link {
				u := o.user(0, func(c *jwt.UserClaims) {
					c.Name = name
					c.Sub.Allow.Add("in", "_INBOX.>")
					c.Sub.Deny.Add("in wc.>")
				})
				return handler("echo", "default", config("subscriptions", "in"), u.secrets())
			}
			f.put(link("first"))
			nc := o.connect(t)
			f.delivers(c, nc, "in", "without the group")
			f.put(link("second"))
			eventually(t, "the second login is in use", func() bool { return o.names() == "second" && f.host.log.count(event) > 0 })
			f.delivers(c, nc, "in", "after the rotation")
		})
	}
}

// A login that may not subscribe is told of, and the link is tried again until it may.
func TestSubscriptionRefused(t *testing.T) {
	o := operated(t)
	f := start(t, wasmcloud.Settings{Config: config("cluster_uris", o.ClientURL())}, messaging.Options{})
	c := f.component("echo", nil)
	allowed := func(subject string) map[string]wasmcloud.Secret {
		return o.user(0, func(c *jwt.UserClaims) { c.Sub.Allow.Add(subject, "_INBOX.>") }).secrets()
	}
	f.put(handler("echo", "default", config("subscriptions", "in,also"), allowed("also")))
	if err := f.Health(); err == nil || !strings.Contains(err.Error(), "subscribe to in: nats: permissions violation") {
		t.Errorf("Health = %v, want that it may not subscribe to in", err)
	}
	nc := o.connect(t)
	f.delivers(c, nc, "also", "the other subscription works")
	f.put(handler("echo", "default", config("subscriptions", "in,also"), allowed(">")))
	f.delivers(c, nc, "in", "with a login that may")
	eventually(t, "health is good", func() bool { return f.Health() == nil })
}
