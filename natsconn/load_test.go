package natsconn_test

import (
	"context"
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

	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/pubsub/pubsubtest"
)

// load is what a connection goes through while its login rotates.
type load struct {
	rate      int // messages a second of each kind
	plain     bool
	queue     bool
	publish   bool
	requests  int           // a second
	answer    time.Duration // that a request takes
	roundTrip time.Duration
	last      time.Duration
	rotations int
}

// The load of the contract, for a second and all at once. With PARLEY_TEST_ROTATION_LOAD=1
// TestRotationLoad is the whole of it.
func TestRotationLoses0(t *testing.T) {
	for _, rtt := range []time.Duration{0, 20 * time.Millisecond} {
		t.Run(fmt.Sprint("round trip ", rtt), func(t *testing.T) {
			load{rate: 1000, plain: true, queue: true, publish: true, requests: 100, answer: 100 * time.Millisecond, roundTrip: rtt, last: time.Second, rotations: 4}.run(t)
		})
	}
}

// 10,000 messages a second for 10 s and at least 12 rotations, without and with a round
// trip of 20 ms.
func TestRotationLoad(t *testing.T) {
	if os.Getenv("PARLEY_TEST_ROTATION_LOAD") != "1" {
		t.Skip("eighty seconds of load: set PARLEY_TEST_ROTATION_LOAD=1")
	}
	for _, rtt := range []time.Duration{0, 20 * time.Millisecond} {
		base := load{rate: 10_000, roundTrip: rtt, last: 10 * time.Second, rotations: 12, answer: 400 * time.Millisecond}
		for _, test := range []struct {
			name string
			with func(*load)
		}{
			{"queue", func(l *load) { l.queue = true }},
			{"plain", func(l *load) { l.plain = true }},
			{"publish", func(l *load) { l.publish = true }},
			{"requests", func(l *load) { l.requests = 470 }},
		} {
			l := base
			test.with(&l)
			t.Run(fmt.Sprint(test.name, " ", rtt), l.run)
		}
	}
}

// tally counts numbered messages.
type tally struct {
	mu    sync.Mutex
	times []uint8
	got   int // different ones
	twice int
	late  int // after a higher one
	top   int
}

func (c *tally) take(data []byte) {
	n := int(binary.BigEndian.Uint32(data))
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.times) <= n {
		c.times = append(c.times, 0)
	}
	if c.times[n]++; c.times[n] > 1 {
		c.twice++
		return
	}
	c.got++
	if n < c.top {
		c.late++
	}
	c.top = max(c.top, n)
}

func (c *tally) read() (got, twice, late int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got, c.twice, c.late
}

// stream publishes numbered messages at a rate and returns how many.
func (l load) stream(publish func([]byte) error) (sent, failed int) {
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		passed := time.Since(start)
		if passed > l.last {
			return sent, failed
		}
		for want := int(passed.Seconds() * float64(l.rate)); sent < want; sent++ {
			if publish(binary.BigEndian.AppendUint32(make([]byte, 0, 64), uint32(sent))) != nil {
				failed++
			}
		}
	}
}

func (l load) run(t *testing.T) {
	o := operated(t)
	token, seed := o.user(0)
	direct := must(nats.Connect(o.ClientURL(), nats.UserJWTAndSeed(token, seed)))
	defer direct.Close()
	f := open(t, slow(t, strings.TrimPrefix(o.ClientURL(), "nats://"), l.roundTrip/2), &minting{operator: o})
	pubsubtest.Eventually(t, "connected", func() bool { return f.Generation() == 1 })

	var work sync.WaitGroup
	var checks []func()
	check := func(what string, c *tally, sent *int) {
		checks = append(checks, func() {
			patient(func() bool { got, _, _ := c.read(); return got >= *sent })
			got, twice, late := c.read()
			t.Logf("%s: %d sent, %d lost, %d twice, %d overtaken", what, *sent, *sent-got, twice, late)
			if got != *sent || twice != 0 {
				c.mu.Lock()
				for n := range *sent {
					if n >= len(c.times) || c.times[n] == 0 {
						t.Logf("missing %d", n)
					}
				}
				c.mu.Unlock()
				t.Errorf("%s: of %d sent %d are lost and %d came twice, want none", what, *sent, *sent-got, twice)
			}
			if what == "published" && late != 0 {
				t.Errorf("published: %d overtaken, want none", late)
			}
		})
	}
	if l.queue || l.plain {
		sent := new(int)
		if l.queue {
			c := &tally{}
			must(f.QueueSubscribe("load", "workers", func(m *nats.Msg) { c.take(m.Data) }))
			check("queue", c, sent)
		}
		if l.plain {
			c := &tally{}
			must(f.Subscribe("load", func(m *nats.Msg) { c.take(m.Data) }))
			check("plain", c, sent)
		}
		work.Go(func() {
			var failed int
			if *sent, failed = l.stream(func(data []byte) error { return direct.Publish("load", data) }); failed > 0 {
				t.Errorf("%d of %d messages could not be published", failed, *sent)
			}
		})
	}
	if l.publish {
		c, sent := &tally{}, new(int)
		must(direct.Subscribe("published", func(m *nats.Msg) { c.take(m.Data) }))
		_ = direct.Flush()
		check("published", c, sent)
		work.Go(func() {
			var failed int
			if *sent, failed = l.stream(func(data []byte) error { return f.Publish("published", data) }); failed > 0 {
				t.Errorf("%d of %d publishes failed", failed, *sent)
			}
			if err := f.Flush(t.Context()); err != nil {
				t.Errorf("Flush = %v", err)
			}
		})
	}
	if l.requests > 0 {
		must(direct.Subscribe("ask", func(m *nats.Msg) { time.AfterFunc(l.answer, func() { _ = m.Respond(m.Data) }) }))
		_ = direct.Flush()
		work.Go(func() { l.ask(t, f.Conn) })
	}
	rotated := l.rotate(t, f)
	work.Wait()
	for _, c := range checks {
		c()
	}
	if rotated < l.rotations {
		t.Errorf("%d rotations, want %d", rotated, l.rotations)
	}
	t.Logf("%d rotations", rotated)
	if n := f.log.count("event=nats_disconnected"); n != 0 {
		t.Errorf("the connection in use was lost %d times, want never", n)
	}
}

// patient waits while there may be something to come.
func patient(holds func() bool) {
	for end := time.Now().Add(10 * time.Second); !holds() && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
}

func (l load) ask(t *testing.T, c *natsconn.Conn) {
	var asking sync.WaitGroup
	var failed atomic.Int64
	asked := 0
	for start := time.Now(); time.Since(start) < l.last; time.Sleep(time.Millisecond) {
		for want := int(time.Since(start).Seconds() * float64(l.requests)); asked < want; asked++ {
			data := fmt.Sprint(asked)
			asking.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if m, err := c.Request(ctx, "ask", []byte(data)); err != nil || string(m.Data) != data {
					failed.Add(1)
				}
			})
		}
	}
	asking.Wait()
	t.Logf("requests: %d asked, %d failed", asked, failed.Load())
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, want none", n, asked)
	}
}

// rotate has the source supply other logins, evenly over the time, and returns how many
// hand-overs there were.
func (l load) rotate(t *testing.T, f *fixture) int {
	start := time.Now()
	for i := range l.rotations {
		time.Sleep(time.Until(start.Add(l.last * time.Duration(i+1) / time.Duration(l.rotations+1))))
		if err := f.key.Refresh(t.Context()); err != nil {
			t.Errorf("Refresh = %v", err)
		}
		pubsubtest.Eventually(t, "the new generation is in use", func() bool { return f.Generation() == uint64(i+2) })
	}
	pubsubtest.Eventually(t, "every hand-over was told of", func() bool { return f.log.count("event=nats_handover") >= l.rotations })
	return f.log.count("event=nats_handover")
}

// slow is a way to a server on which everything takes a while, in each direction.
func slow(t testing.TB, server string, oneWay time.Duration) (url string) {
	t.Helper()
	door := must(net.Listen("tcp", "127.0.0.1:0"))
	var work sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		_ = door.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		work.Wait()
	})
	work.Go(func() {
		for {
			in, err := door.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", server)
			if err != nil {
				_ = in.Close()
				continue
			}
			mu.Lock()
			open = append(open, in, out)
			mu.Unlock()
			work.Go(func() { carry(in, out, oneWay) })
			work.Go(func() { carry(out, in, oneWay) })
		}
	})
	return "nats://" + door.Addr().String()
}

func carry(from, to net.Conn, oneWay time.Duration) {
	type piece struct {
		data []byte
		due  time.Time
	}
	way := make(chan piece, 4096)
	var work sync.WaitGroup
	work.Go(func() {
		defer to.Close()
		for p := range way {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close()
			}
		}
	})
	for {
		data := make([]byte, 32<<10)
		n, err := from.Read(data)
		if n > 0 {
			way <- piece{data[:n], time.Now().Add(oneWay)}
		}
		if err != nil {
			close(way)
			break
		}
	}
	work.Wait()
}
