package hosttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// How messages come to components.

func handleMessage(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{})
	p := b.start(h, ProviderOptions{Links: []Link{Handler("echo", "cluster_uris", s.URL(), "subscriptions", "x", "handler_timeout", "300ms", "max_in_flight", "1")}})
	b.subscribed(s, "x", 1)
	nc, told := s.Connect(), len(p.Log.String())
	// Nobody serves the component: that is an error of the message, and of nothing else.
	if err := nc.Publish("x", []byte("lost")); err != nil {
		b.Fatal(err)
	}
	Eventually(b, "the log tells of a component that does not run", func() bool { return strings.Contains(p.Log.String()[told:], "echo") })
	echo := h.Component("echo", Ok)
	m := &nats.Msg{Subject: "x", Reply: "back", Data: []byte("hello"), Header: nats.Header{"traceparent": {parent}}}
	if err := nc.PublishMsg(m); err != nil {
		b.Fatal(err)
	}
	Eventually(b, "the component is called", func() bool { return echo.Count() > 0 })
	d := echo.Got()[len(echo.Got())-1]
	want := wrpc.BrokerMessage{Subject: "x", Body: []byte("hello"), ReplyTo: wrpc.Some("back")}
	if got := d.Message; got.Subject != want.Subject || string(got.Body) != "hello" || got.ReplyTo != want.ReplyTo {
		b.Errorf("it is called with %v, want %v", got, want)
	}
	for name, value := range map[string]string{wrpc.HeaderSource: p.ID, wrpc.HeaderTarget: "echo"} {
		if got := d.Header[name]; !slices.Equal(got, []string{value}) {
			b.Errorf("its header %s is %q, want %q", name, got, value)
		}
	}
	if trace := strings.Join(d.Header["traceparent"], ""); !strings.Contains(trace, parent[3:35]) {
		b.Errorf("its trace is %q, want that of the message", trace)
	}
	// A component that never answers holds up what follows for no longer than its time.
	echo.Behave(Silent)
	before := echo.Count()
	if err := nc.Publish("x", []byte("unanswered")); err != nil {
		b.Fatal(err)
	}
	Eventually(b, "the component is called and says nothing", func() bool { return echo.Count() == before+1 })
	echo.Behave(Ok)
	b.delivers(s, "x", echo)
}

func subscriptions(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{})
	links := []Link{Handler("echo", "cluster_uris", s.URL(), "subscriptions", " one.*, two.>,jobs|workers ,one.*,, ")}
	b.start(h, ProviderOptions{Links: links})
	b.start(h, ProviderOptions{Links: links}) // a second instance of the same provider
	echo := h.Component("echo", Ok)
	for _, subject := range []string{"one.*", "two.>", "jobs"} {
		b.subscribed(s, subject, 2)
	}
	nc := s.Connect()
	const jobs = 100
	for i := range jobs {
		if err := nc.Publish("jobs", fmt.Append(nil, i)); err != nil {
			b.Fatal(err)
		}
	}
	for _, subject := range []string{"one.a", "one.a.b", "two.a.b"} {
		if err := nc.Publish(subject, []byte("x")); err != nil {
			b.Fatal(err)
		}
	}
	count := func() map[string]int {
		n := map[string]int{}
		for _, d := range echo.Got() {
			n[d.Message.Subject]++
		}
		return n
	}
	want := map[string]int{"jobs": jobs, "one.a": 2, "two.a.b": 2} // each instance has subscribed; a job is for one of them
	Eventually(b, "all messages come", func() bool { return len(echo.Got()) >= jobs+4 })
	if got := fmt.Sprint(count()); got != fmt.Sprint(want) {
		b.Errorf("messages by subject: %v, want %v", got, want)
	}
}

func backPressure(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{})
	uri := s.URL()
	b.start(h, ProviderOptions{Links: []Link{
		Handler("bounded", "cluster_uris", uri, "subscriptions", "x", "max_in_flight", "4"), Handler("in-order", "cluster_uris", uri, "subscriptions", "x", "ordered", "true")}})
	gate := NewGate()
	bounded, ordered := h.Component("bounded", gate.Handle), h.Component("in-order", Ok)
	b.subscribed(s, "x", 2)
	nc := s.Connect()
	const burst = 5000
	var want []string
	for i := range burst {
		want = append(want, fmt.Sprint(i))
		if err := nc.Publish("x", []byte(want[i])); err != nil {
			b.Fatal(err)
		}
	}
	Eventually(b, "the bound is reached", func() bool { return bounded.Count() == 4 })
	Eventually(b, "the component in order has all, while the other one holds its messages", func() bool { return ordered.Count() == burst })
	if got := ordered.Bodies(); !slices.Equal(got, want) {
		b.Error("the component in order does not have the messages in order")
	}
	gate.Open()
	Eventually(b, "nothing is lost", func() bool { return bounded.Count() == burst })
	if got := bounded.Most(); got != 4 {
		b.Errorf("%d messages were handled at the same time, want 4", got)
	}
}

func handlerErrors(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{})
	p := b.start(h, ProviderOptions{Links: []Link{Handler("echo", "cluster_uris", s.URL(), "subscriptions", "x")}})
	h.Component("echo", Erring("the-widget-is-bent"))
	b.subscribed(s, "x", 1)
	if err := s.Connect().Publish("x", nil); err != nil {
		b.Fatal(err)
	}
	Eventually(b, "the component's error is in the log", func() bool { return strings.Contains(p.Log.String(), "the-widget-is-bent") })
}

// jetStream: what a component fails at comes again, and what it has handled does not.
func jetStream(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{JetStream: true})
	js, err := jetstream.New(s.Connect())
	if err != nil {
		b.Fatal(err)
	}
	stream, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	if err != nil {
		b.Fatal(err)
	}
	durable, err := stream.CreateConsumer(b.Context(), jetstream.ConsumerConfig{Durable: "worker", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	p := b.start(h, ProviderOptions{Links: []Link{Handler("echo", "cluster_uris", s.URL(), "consumers", `[{"stream":"ORDERS","consumer":"worker","max_messages":10}]`)}})
	var mu sync.Mutex
	refused := map[string]bool{}
	echo := h.Component("echo", func(_ context.Context, d Delivery) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if n := string(d.Message.Body); !refused[n] {
			refused[n] = true
			return "not yet", nil
		}
		return "", nil
	})
	const orders = 20
	for i := range orders {
		if _, err := js.Publish(b.Context(), "orders.new", fmt.Append(nil, i)); err != nil {
			b.Fatal(err)
		}
	}
	settled := func() bool {
		info, err := durable.Info(b.Context())
		return err == nil && info.NumAckPending == 0 && info.NumPending == 0
	}
	Eventually(b, "everything is acknowledged", settled)
	seen := map[string]int{}
	for _, body := range echo.Bodies() {
		seen[body]++
	}
	for i := range orders {
		if n := seen[fmt.Sprint(i)]; n != 2 {
			b.Errorf("order %d came %d times, want twice: it failed once", i, n)
		}
	}
	if b.Failed() {
		return
	}
	// The link moves to another instance: what was acknowledged stays so.
	p.Kill()
	before := echo.Count()
	b.start(h, ProviderOptions{Links: p.Links()})
	if _, err := js.Publish(b.Context(), "orders.new", []byte("last")); err != nil {
		b.Fatal(err)
	}
	Eventually(b, "the last order is handled", func() bool { return slices.Contains(echo.Bodies(), "last") && settled() })
	for _, body := range echo.Bodies()[before:] {
		if body != "last" {
			b.Errorf("%s came again", body)
		}
	}
}
