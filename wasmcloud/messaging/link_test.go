package messaging_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/messaging"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// connections are how many of the provider's there are and ever were.
func connections(s *server.Server) (now int, ever uint64) {
	z := must(s.Connz(nil))
	for _, c := range z.Conns {
		if c.Name == "NATS Messaging Provider" {
			now++
		}
	}
	return now, must(s.Varz(nil)).TotalConnections
}

// A link whose server is down is kept, health and log say so, and it delivers when the server appears.
func TestFailedLinkIsRetried(t *testing.T) {
	s := run(t, &server.Options{})
	port := s.Addr().(*net.TCPAddr).Port
	s.Shutdown()
	s.WaitForShutdown()
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	c := f.component("echo", nil)
	f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in"), nil))
	eventually(t, "health says that the link is not connected, and why", func() bool {
		err := f.Health()
		return err != nil && strings.Contains(err.Error(), "link messaging->echo: not connected: dial tcp")
	})
	if n := f.host.log.count("not connected to NATS yet"); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
	again := run(t, &server.Options{Port: port})
	f.delivers(c, connect(t, again), "in", "the server is there")
	if err := f.Health(); err != nil {
		t.Errorf("Health = %v, want nil", err)
	}
}

// Health answers at once while a link cannot even be dialled, and the other links work.
func TestHealthDoesNotWaitForLinks(t *testing.T) {
	hole := must(net.Listen("tcp", "127.0.0.1:0")) // accepts and never says a word
	t.Cleanup(func() { _ = hole.Close() })
	s := run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	c := f.component("echo", nil)
	put := make(chan error, 1)
	go func() {
		put <- f.PutLink(context.Background(), handler("stuck", "default", config("cluster_uris", "nats://"+hole.Addr().String(), "subscriptions", "in"), nil))
	}()
	eventually(t, "the link is known", func() bool { return f.Health() != nil })
	f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in"), nil))
	f.delivers(c, connect(t, s), "in", "the other link")
	for range 20 {
		begun := time.Now()
		err := f.Health()
		if took := time.Since(begun); took > time.Second { // it takes 50 ms; the dial takes 5 s
			t.Errorf("Health took %v, want no dial to be waited for", took)
		}
		if err == nil || !strings.Contains(err.Error(), "messaging->stuck") || strings.Contains(err.Error(), "messaging->echo") {
			t.Fatalf("Health = %v, want the stuck link alone", err)
		}
	}
	if err := <-put; err != nil {
		t.Errorf("PutLink = %v, want nil: it is tried again", err)
	}
}

// An equal link that is put again changes nothing. New subscriptions come and go on the connection that there is. Other servers get a
// connection before the one before is drained.
func TestChangedLinkIsAppliedInPlace(t *testing.T) {
	first, second := run(t, &server.Options{}), run(t, &server.Options{})
	a, b := connect(t, first), connect(t, second)
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	c := f.component("echo", nil)
	f.put(handler("echo", "default", config("cluster_uris", first.ClientURL(), "subscriptions", "one"), nil))
	f.delivers(c, a, "one", "one")
	_, ever := connections(first)

	f.put(handler("echo", "default", config("cluster_uris", first.ClientURL(), "subscriptions", "one"), nil))
	f.put(handler("echo", "default", config("CLUSTER_URIS", " "+first.ClientURL()+" ", "subscriptions", "one,one"), nil)) // the same in other words
	f.put(handler("echo", "default", config("cluster_uris", first.ClientURL(), "subscriptions", "two,three|q", "max_in_flight", "3"), nil))
	f.delivers(c, a, "two", "two")
	f.delivers(c, a, "three", "three")
	eventually(t, "nobody subscribes to one", func() bool {
		_, err := a.Request("one", nil, time.Second)
		return err == nats.ErrNoResponders
	})
	if now, since := connections(first); now != 1 || since != ever {
		t.Errorf("%d connections, %d made since, want 1 and none", now, since-ever)
	}
	f.put(handler("echo", "default", config("cluster_uris", second.ClientURL(), "subscriptions", "two"), nil))
	f.delivers(c, b, "two", "on the second server")
	eventually(t, "the connection before is closed", func() bool { now, _ := connections(first); return now == 0 })
}

// Changed servers that do not answer leave the connection that works in use, and health says so.
func TestChangedServersThatDoNotAnswer(t *testing.T) {
	s := run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	c := f.component("echo", nil)
	f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in"), nil))
	f.put(handler("echo", "default", config("cluster_uris", "nats://127.0.0.1:1", "subscriptions", "in"), nil))
	f.delivers(c, connect(t, s), "in", "still there")
	if err := f.Health(); err == nil || !strings.Contains(err.Error(), "the changed settings are not in use: not connected") {
		t.Errorf("Health = %v, want that the change is not in use", err)
	}
	f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in"), nil))
	eventually(t, "health is good", func() bool { return f.Health() == nil })
}

// A config update of the provider is merged into all links, and only those that it changes connect again.
func TestConfigUpdate(t *testing.T) {
	first, second := run(t, &server.Options{}), run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{Config: config("cluster_uris", first.ClientURL(), "subscriptions", "in")}, messaging.Options{})
	c, d := f.component("follows", nil), f.component("stays", nil)
	f.put(handler("follows", "default", nil, nil))
	f.put(handler("stays", "default", config("cluster_uris", first.ClientURL()), nil))
	f.delivers(c, connect(t, first), "in", "at first")
	_, ever := connections(first)
	update := wasmcloud.Settings{Config: config("cluster_uris", second.ClientURL(), "subscriptions", "in,more")}
	if err := f.Configure(t.Context(), update); err != nil {
		t.Fatal(err)
	}
	f.delivers(c, connect(t, second), "more", "updated")
	eventually(t, "the link has left the first server", func() bool { now, _ := connections(first); return now == 1 })
	f.delivers(d, connect(t, first), "more", "the other one has the subscription too")
	if _, since := connections(first); since != ever+1 { // that of this test
		t.Errorf("%d connections were made, want that of the test alone", since-ever)
	}
	bad := wasmcloud.Settings{Config: config("cluster_uris", second.ClientURL(), "max_in_flight", "none")}
	if err := f.Configure(t.Context(), bad); err == nil {
		t.Error("Configure with a malformed number = nil, want an error")
	}
	f.delivers(c, connect(t, second), "more", "what was before stays in use")
	if err := f.Health(); err == nil {
		t.Error("Health = nil, want the malformed config")
	}
	if err := f.Configure(t.Context(), update); err != nil {
		t.Errorf("Configure = %v, want nil", err)
	}
	eventually(t, "health is good", func() bool { return f.Health() == nil })
}

// Two named links of one component have connections of their own. One of them is deleted, and the other goes on.
func TestNamedLinks(t *testing.T) {
	first, second := run(t, &server.Options{}), run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	c := f.component("echo", nil)
	one, two := config("cluster_uris", first.ClientURL(), "grace", "0s"), config("cluster_uris", second.ClientURL())
	f.put(target("echo", "one", one, nil))
	f.put(target("echo", "two", two, nil))
	one["subscriptions"], two["subscriptions"] = "in", "in"
	f.put(handler("echo", "one", one, nil))
	f.put(handler("echo", "two", two, nil))
	a, b := connect(t, first), connect(t, second)
	for link, nc := range map[string]*nats.Conn{"one": a, "two": b} {
		got := must(nc.SubscribeSync("out"))
		_ = nc.Flush()
		if done, err := f.publish("echo", link, wrpc.BrokerMessage{Subject: "out", Body: []byte(link)}); err != nil || done.Failed {
			t.Fatalf("publish over %s = %v, %v, want ok", link, done, err)
		}
		if m := must(got.NextMsgWithContext(t.Context())); string(m.Data) != link {
			t.Errorf("published %q over %s", m.Data, link)
		}
	}
	f.delivers(c, a, "in", "over one")
	f.remove(handler("echo", "one", nil, nil))
	f.remove(target("echo", "one", nil, nil))
	eventually(t, "the first server has no connection", func() bool { now, _ := connections(first); return now == 0 })
	f.delivers(c, b, "in", "over two")
	if _, err := f.publish("echo", "one", wrpc.BrokerMessage{Subject: "out"}); err == nil {
		t.Error("publish over the link that was deleted has an answer, want none")
	}
	if _, err := f.publish("nobody", "default", wrpc.BrokerMessage{Subject: "out"}); err == nil {
		t.Error("publish of a component without a link has an answer, want none")
	}
	if n := f.host.log.count("component not linked: nobody"); n != 1 {
		t.Errorf("%d lines say that the component is not linked, want 1", n)
	}
}

// The original does not tell links of a component apart: the last one counts.
func TestStrictCompatKnowsOneLinkOfAComponent(t *testing.T) {
	first, second := run(t, &server.Options{}), run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{Config: config("strict_compat", "true")}, messaging.Options{})
	f.put(target("echo", "one", config("cluster_uris", first.ClientURL()), nil))
	f.put(target("echo", "two", config("cluster_uris", second.ClientURL()), nil))
	got := must(connect(t, second).SubscribeSync("out"))
	_ = got.SetPendingLimits(10, 1000)
	eventually(t, "what is published over one is on the second server", func() bool {
		if done, err := f.publish("echo", "one", wrpc.BrokerMessage{Subject: "out"}); err != nil || done.Failed {
			t.Fatalf("publish = %v, %v, want ok", done, err)
		}
		_, err := got.NextMsg(50 * time.Millisecond)
		return err == nil
	})
}

// A link that is deleted and put again within the grace loses nothing and delivers nothing twice, whether its login changes or not.
// Messages go on meanwhile, 10,000 a second without the race detector.
func TestDeleteAndPut(t *testing.T) {
	o := operated(t)
	nc := o.connect(t)
	for _, queue := range []string{"", "|workers"} {
		t.Run("subscription "+queue, func(t *testing.T) {
			f := start(t, wasmcloud.Settings{Config: config("cluster_uris", o.ClientURL(), "grace", "30s")}, messaging.Options{})
			c := f.component("echo", nil)
			link := func() wasmcloud.Link {
				return handler("echo", "default", config("subscriptions", "load"+queue), o.user(0, func(c *jwt.UserClaims) { c.Name = "x" }).secrets())
			}
			f.put(link())
			stop := make(chan struct{})
			var sent int
			var work sync.WaitGroup
			work.Go(func() { sent = stream(t, nc, "load", heavyRate, stop) })
			for i := range 5 {
				l := link()
				f.remove(l)
				f.put(l)
				f.remove(l)
				f.put(l) // the same once more
				eventually(t, "the login was handed over", func() bool { return f.host.log.count("event=nats_handover") == i+1 })
			}
			close(stop)
			work.Wait()
			c.exactly(t, sent)
		})
	}
}

// stream publishes numbered messages at a rate until stop, and returns how many.
func stream(t testing.TB, nc *nats.Conn, subject string, rate int, stop <-chan struct{}) (sent int) {
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		for want := int(time.Since(begun).Seconds() * float64(rate)); sent < want; sent++ {
			if err := nc.Publish(subject, binary.BigEndian.AppendUint32(nil, uint32(sent))); err != nil {
				t.Error(err)
				return sent
			}
		}
		select {
		case <-stop:
			_ = nc.Flush()
			return sent
		default:
		}
	}
}

// exactly checks that the component got each of so many numbered messages, and none twice.
func (c *component) exactly(t testing.TB, sent int) (lost, twice int) {
	t.Helper()
	for c.count() < sent { // as long as some come
		before := c.count()
		eventually(t, "more messages have arrived", func() bool { return c.count() > before })
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range sent {
		switch n := c.bodies[string(binary.BigEndian.AppendUint32(nil, uint32(i)))]; {
		case n == 0:
			lost++
		case n > 1:
			twice++
		}
	}
	if lost != 0 || twice != 0 {
		t.Errorf("of %d messages %d are lost and %d came twice, want none", sent, lost, twice)
	}
	return lost, twice
}

// Without a new put the link ends when the grace is over.
func TestDeletedLinkEnds(t *testing.T) {
	s := run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	c := f.component("echo", nil)
	l := handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in", "grace", "10ms"), nil)
	f.put(l)
	f.delivers(c, connect(t, s), "in", "before")
	f.remove(l)
	f.remove(l) // twice is no error, and neither is one that never was
	f.remove(handler("nobody", "default", nil, nil))
	eventually(t, "the connection is closed", func() bool { now, _ := connections(s); return now == 0 })
	f.put(l)
	f.delivers(c, connect(t, s), "in", "a new link")
}

// What is under way when the provider drains is finished; then nothing is left.
func TestDrainWaitsForHandlers(t *testing.T) {
	s := run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	began, finish := make(chan struct{}), make(chan struct{})
	c := f.component("echo", func(wrpc.BrokerMessage) wrpc.Done {
		began <- struct{}{}
		<-finish
		return wrpc.Done{}
	})
	f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in"), nil))
	_ = connect(t, s).Publish("in", []byte("slow"))
	<-began
	drained := make(chan error, 1)
	go func() { drained <- f.Drain(t.Context()) }()
	eventually(t, "nothing new begins", func() bool {
		return f.PutLink(t.Context(), handler("new", "default", config("cluster_uris", s.ClientURL()), nil)) != nil
	})
	select {
	case err := <-drained:
		t.Fatalf("Drain = %v while a handler runs, want that it waits", err)
	default:
	}
	close(finish)
	if err := <-drained; err != nil || c.count() != 1 {
		t.Errorf("Drain = %v with %d handled, want nil and 1", err, c.count())
	}
	if err := f.PutLink(t.Context(), handler("echo", "default", nil, nil)); err == nil {
		t.Error("PutLink after Drain = nil, want an error")
	}
}

// A drain whose time is over gives up what is left, and says so.
func TestDrainGivesUp(t *testing.T) {
	s := run(t, &server.Options{})
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	began, finish := make(chan struct{}), make(chan struct{})
	f.component("echo", func(wrpc.BrokerMessage) wrpc.Done {
		close(began)
		<-finish
		return wrpc.Done{}
	})
	defer close(finish)
	f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in"), nil))
	_ = connect(t, s).Publish("in", nil)
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := f.Drain(ctx); err != context.DeadlineExceeded {
		t.Errorf("Drain = %v, want %v", err, context.DeadlineExceeded)
	}
	eventually(t, "the connection is closed", func() bool { now, _ := connections(s); return now == 0 })
}

// Keys that mean nothing are told once, with the closest one that does.
func TestUnknownKeys(t *testing.T) {
	f := start(t, wasmcloud.Settings{Config: config("OTEL_TRACES_SAMPLER", "always_on", "lattice_credentials", "x", "cluster_uri", "a:1")}, messaging.Options{Known: []string{"lattice_credentials"}})
	l := handler("echo", "default", config("subscription", "a", "Grace", "0s", "wholly_unrelated", "1"), nil)
	f.put(l)
	f.put(l)
	var got []string
	for _, line := range f.host.log.lines("event=messaging_unknown") {
		_, message, _ := strings.Cut(line, "msg=")
		message, _, _ = strings.Cut(message, " event=")
		got = append(got, strings.ReplaceAll(message, `\"`, "'"))
	}
	want := fmt.Sprint([]string{
		`"config has keys that mean nothing: 'cluster_uri' (did you mean cluster_uris?)"`,
		`"config has keys that mean nothing: 'subscription' (did you mean subscriptions?), 'wholly_unrelated'" link=messaging->echo`,
	})
	if fmt.Sprint(got) != want {
		t.Errorf("warnings = %v, want %v", got, want)
	}
}
