package natsconn_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-backend/parley/pubsub/pubsubtest"
)

// streamed is a server with a stream and a durable consumer on it, and a connection that
// does not rotate.
func streamed(t *testing.T) (*operator, jetstream.JetStream) {
	t.Helper()
	o := operated(t, func(opts *server.Options, c *jwt.AccountClaims) {
		opts.JetStream, opts.StoreDir = true, t.TempDir()
		c.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	})
	token, seed := o.user(0)
	direct := must(nats.Connect(o.ClientURL(), nats.UserJWTAndSeed(token, seed)))
	t.Cleanup(direct.Close)
	js := must(jetstream.New(direct))
	must(js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "jobs", Subjects: []string{"jobs.>"}, Storage: jetstream.MemoryStorage}))
	must(js.CreateConsumer(t.Context(), "jobs", jetstream.ConsumerConfig{Durable: "worker", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second, MaxAckPending: -1}))
	return o, js
}

// A durable consumer gets each message once and in order, over hand-overs.
func TestConsumerIsHandedOver(t *testing.T) {
	o, js := streamed(t)
	f := open(t, o.ClientURL(), &minting{operator: o})
	pubsubtest.Eventually(t, "connected", func() bool { return f.Generation() == 1 })
	var mu sync.Mutex
	var got []int
	must(f.Consume(t.Context(), "jobs", "worker", func(m jetstream.Msg) {
		mu.Lock()
		got = append(got, must(strconv.Atoi(string(m.Data()))))
		mu.Unlock()
		if err := m.Ack(); err != nil {
			t.Errorf("Ack = %v", err)
		}
	}, jetstream.PullMaxMessages(50)))
	const all, rotations = 2000, 5
	var work sync.WaitGroup
	work.Go(func() {
		for i := range all {
			must(js.PublishAsync("jobs.x", []byte(strconv.Itoa(i))))
			if i%4 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	})
	for i := range rotations {
		f.rotate(t, uint64(i+2))
	}
	work.Wait()
	pubsubtest.Eventually(t, "all are handled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) >= all
	})
	pubsubtest.Eventually(t, "all are acknowledged", func() bool {
		info := must(must(js.Consumer(t.Context(), "jobs", "worker")).Info(t.Context()))
		return info.AckFloor.Stream == all && info.NumAckPending == 0 && info.NumRedelivered == 0
	})
	mu.Lock()
	defer mu.Unlock()
	for i, n := range got {
		if n != i {
			t.Fatalf("message %d is %d, want each once and in order", i, n)
		}
	}
	if len(got) != all {
		t.Errorf("%d handled, want %d", len(got), all)
	}
	if n := f.log.count("event=nats_handover"); n < rotations {
		t.Errorf("%d hand-overs, want %d", n, rotations)
	}
}

// A handler that takes long ends, and acknowledges, on the connection where its message
// came; the rest comes on the next.
func TestConsumerWithASlowHandler(t *testing.T) {
	o, js := streamed(t)
	f := open(t, o.ClientURL(), &minting{operator: o})
	pubsubtest.Eventually(t, "connected", func() bool { return f.Generation() == 1 })
	begun, goOn := make(chan string), make(chan struct{})
	c := must(f.Consume(t.Context(), "jobs", "worker", func(m jetstream.Msg) {
		begun <- string(m.Data())
		<-goOn
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Errorf("the acknowledgement of %s: %v", m.Data(), err)
		}
	}, jetstream.PullMaxMessages(1)))
	for i := range 3 {
		must(js.Publish(t.Context(), "jobs.x", []byte(fmt.Sprint(i))))
	}
	for i := range 3 {
		if got := <-begun; got != fmt.Sprint(i) {
			t.Errorf("message %d = %s", i, got)
		}
		f.rotate(t, uint64(i+2)) // while the handler runs
		goOn <- struct{}{}
	}
	if err := c.Drain(t.Context()); err != nil {
		t.Errorf("Drain = %v", err)
	}
	info := must(must(js.Consumer(t.Context(), "jobs", "worker")).Info(t.Context()))
	if info.AckFloor.Stream != 3 || info.NumRedelivered != 0 {
		t.Errorf("acknowledged up to %d with %d sent again, want 3 and 0", info.AckFloor.Stream, info.NumRedelivered)
	}
	must(js.Publish(t.Context(), "jobs.x", nil))
	f.rotate(t, 5) // nothing asks for it any more
	select {
	case <-begun:
		t.Error("a message after Drain")
	default:
	}
}

// A consumer that is not there is an error at once; one that the new login may not use
// keeps the login before.
func TestConsumerIsRefused(t *testing.T) {
	o, js := streamed(t)
	source := &minting{operator: o}
	f := open(t, o.ClientURL(), source)
	pubsubtest.Eventually(t, "connected", func() bool { return f.Generation() == 1 })
	if _, err := f.Consume(t.Context(), "jobs", "nobody", func(jetstream.Msg) {}); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("Consume = %v, want %v", err, jetstream.ErrConsumerNotFound)
	}
	got := make(chan jetstream.Msg, 1)
	must(f.Consume(t.Context(), "jobs", "worker", func(m jetstream.Msg) {
		_ = m.Ack()
		got <- m
	}))
	if err := js.DeleteConsumer(t.Context(), "jobs", "worker"); err != nil {
		t.Fatal(err)
	}
	_ = f.key.Refresh(t.Context())
	pubsubtest.Eventually(t, "it is told", func() bool { return errors.Is(f.Health(), jetstream.ErrConsumerNotFound) })
	if got := f.Generation(); got != 1 {
		t.Errorf("Generation = %d, want 1", got)
	}
}
