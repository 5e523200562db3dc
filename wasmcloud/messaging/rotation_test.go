package messaging_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/messaging"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// rotationLoad is what a provider goes through while the logins of its links rotate, component included.
type rotationLoad struct {
	rate      int // messages a second
	last      time.Duration
	roundTrip time.Duration
	rotations int
	requests  int // a second
	answer    time.Duration
}

// The load in small, always.
func TestRotationLosesNothing(t *testing.T) {
	for _, rtt := range []time.Duration{0, 20 * time.Millisecond} {
		t.Run(fmt.Sprint("round trip ", rtt), func(t *testing.T) {
			rotationLoad{rate: 1000, last: time.Second, roundTrip: rtt, rotations: 3, requests: 50, answer: 50 * time.Millisecond}.run(t, "|workers")
		})
	}
}

// 10,000 messages a second for 10 s and at least 12 rotations, without and with a round trip of 20 ms.
func TestRotationLoad(t *testing.T) {
	if os.Getenv("PARLEY_TEST_ROTATION_LOAD") != "1" {
		t.Skip("eighty seconds of load: set PARLEY_TEST_ROTATION_LOAD=1")
	}
	for _, rtt := range []time.Duration{0, 20 * time.Millisecond} {
		for name, queue := range map[string]string{"queue": "|workers", "plain": ""} {
			t.Run(fmt.Sprint(name, " ", rtt), func(t *testing.T) {
				rotationLoad{rate: 10_000, last: 10 * time.Second, roundTrip: rtt, rotations: 12, answer: 400 * time.Millisecond}.run(t, queue)
			})
		}
		t.Run(fmt.Sprint("requests and publishes ", rtt), func(t *testing.T) {
			rotationLoad{last: 10 * time.Second, roundTrip: rtt, rotations: 12, requests: 470, answer: 400 * time.Millisecond}.run(t, "")
		})
	}
}

func (r rotationLoad) run(t *testing.T, queue string) {
	o := operated(t)
	address := slowed(t, strings.TrimPrefix(o.ClientURL(), "nats://"), r.roundTrip/2)
	f := start(t, wasmcloud.Settings{Config: config("cluster_uris", "nats://"+address)}, messaging.Options{})
	c := f.component("echo", nil)
	direct := o.connect(t)
	must(direct.Subscribe("ask", func(m *nats.Msg) { time.AfterFunc(r.answer, func() { _ = m.Respond(m.Data) }) }))
	outside := &component{bodies: make(map[string]int)}
	must(direct.Subscribe("out", func(m *nats.Msg) {
		outside.mu.Lock()
		defer outside.mu.Unlock()
		outside.got = append(outside.got, wrpc.BrokerMessage{})
		outside.bodies[string(m.Data)]++
	}))
	_ = direct.Flush()
	links := func() {
		f.put(handler("echo", "default", config("subscriptions", "in"+queue), o.user(0).secrets()))
		f.put(target("echo", "default", nil, o.user(0).secrets()))
	}
	links()

	stop := make(chan struct{})
	var work sync.WaitGroup
	var sent, published, asked int
	var failed atomic.Int64
	if r.rate > 0 {
		work.Go(func() { sent = stream(t, direct, "in", r.rate, stop) })
	}
	if r.requests > 0 {
		work.Go(func() { asked, published = r.call(f, stop, &failed) })
	}
	handovers := func() int { return f.host.log.count("event=nats_handover") / 2 }
	begun := time.Now()
	for i := 1; i <= r.rotations || time.Since(begun) < r.last; i++ {
		links()
		eventually(t, "the logins are handed over", func() bool { return handovers() >= min(i, r.rotations) })
		if pause := time.Until(begun.Add(time.Duration(i) * r.last / time.Duration(r.rotations+1))); pause > 0 {
			time.Sleep(pause) // the rotations are spread over the time
		}
	}
	close(stop)
	work.Wait()
	lost, twice := c.exactly(t, sent)
	unpublished, _ := outside.exactly(t, published)
	if n := failed.Load(); n != 0 {
		t.Errorf("%d of %d requests and %d publishes failed, want none", n, asked, published)
	}
	if n := handovers(); n < r.rotations {
		t.Errorf("%d rotations, want %d", n, r.rotations)
	}
	if n := f.host.log.count("event=nats_disconnected"); n != 0 {
		t.Errorf("%d connections were lost, want none", n)
	}
	t.Logf("%d rotations; %d messages, %d lost, %d twice; %d requests and %d publishes, %d failed, %d lost", handovers(), sent, lost, twice, asked, published, failed.Load(), unpublished)
}

// call requests and publishes as the component does, at a rate, and returns how often.
func (r rotationLoad) call(f *fixture, stop <-chan struct{}, failed *atomic.Int64) (asked, published int) {
	var work sync.WaitGroup
	defer work.Wait()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		for want := int(time.Since(begun).Seconds() * float64(r.requests)); asked < want; asked++ {
			body := fmt.Append(nil, asked)
			work.Go(func() {
				reply, err := f.request("echo", "default", wrpc.RequestParams{Subject: "ask", Body: body, TimeoutMillis: 30000})
				if err != nil || reply.Failed || string(reply.Value.Body) != string(body) {
					f.t.Logf("request = %v, %v", reply, err)
					failed.Add(1)
				}
			})
			done, err := f.publish("echo", "default", wrpc.BrokerMessage{Subject: "out", Body: binary.BigEndian.AppendUint32(nil, uint32(published))})
			if err != nil || done.Failed {
				f.t.Logf("publish = %v, %v", done, err)
				failed.Add(1)
			}
			published++
		}
		select {
		case <-stop:
			return asked, published
		default:
		}
	}
}

// slowed is an address at which a server answers so much later, in each direction.
func slowed(t testing.TB, target string, delay time.Duration) string {
	t.Helper()
	if delay == 0 {
		return target
	}
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	var work sync.WaitGroup
	t.Cleanup(work.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	work.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			work.Go(func() { late(upstream, client, delay) })
			work.Go(func() { late(client, upstream, delay) })
		}
	})
	return listener.Addr().String()
}

// late copies with a delay, at any rate.
func late(to, from net.Conn, delay time.Duration) {
	type chunk struct {
		data []byte
		due  time.Time
	}
	queue := make(chan chunk, 1<<16)
	go func() { // ends with from
		defer close(queue)
		for {
			data := make([]byte, 32<<10)
			n, err := from.Read(data)
			if n > 0 {
				queue <- chunk{data[:n], time.Now().Add(delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	for c := range queue {
		time.Sleep(time.Until(c.due))
		if _, err := to.Write(c.data); err != nil {
			_ = from.Close()
		}
	}
	_ = to.Close()
}
