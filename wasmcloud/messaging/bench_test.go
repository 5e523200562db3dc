package messaging_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/messaging"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// What a publish costs: by nats.go alone, which is done when the message is in its buffer; by nats.go when each is answered, as a call is;
// and as a call of a component through the provider, also in multiples of the two. Everything runs in one process.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{64, 64 << 10} {
		s := run(b, &server.Options{})
		body := make([]byte, size)
		var buffered, answered time.Duration // of one
		b.Run(fmt.Sprint("nats.go ", size), func(b *testing.B) {
			nc := connect(b, s)
			b.SetBytes(int64(size))
			for b.Loop() {
				if err := nc.Publish("out", body); err != nil {
					b.Fatal(err)
				}
			}
			_ = nc.Flush()
			buffered = b.Elapsed() / time.Duration(b.N)
		})
		b.Run(fmt.Sprint("nats.go answered ", size), func(b *testing.B) {
			nc, other := connect(b, s), connect(b, s)
			must(other.Subscribe("answered", func(m *nats.Msg) { _ = m.Respond(nil) }))
			_ = other.Flush()
			b.SetBytes(int64(size))
			b.SetParallelism(64)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := nc.Request("answered", body, time.Minute); err != nil {
						b.Error(err)
					}
				}
			})
			answered = b.Elapsed() / time.Duration(b.N)
		})
		b.Run(fmt.Sprint("provider ", size), func(b *testing.B) {
			f := start(b, wasmcloud.Settings{Config: config("cluster_uris", s.ClientURL())}, messaging.Options{})
			f.put(target("c", "default", nil, nil))
			header := nats.Header{"source-id": {"c"}, "link-name": {"default"}}
			publish := wrpc.Function{Prefix: "default.messaging", Instance: wrpc.ConsumerInstance, Name: wrpc.PublishFunction}
			params := wrpc.AppendMessage(nil, wrpc.BrokerMessage{Subject: "out", Body: body})
			b.SetBytes(int64(size))
			b.SetParallelism(64)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := wrpc.Invoke(b.Context(), f.caller, publish, header, params, wrpc.DecodeDone); err != nil {
						b.Error(err)
					}
				}
			})
			one := b.Elapsed() / time.Duration(b.N)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "publishes/s")
			if buffered > 0 && answered > 0 { // not with -bench of this one alone
				b.ReportMetric(float64(one)/float64(buffered), "x-nats.go")
				b.ReportMetric(float64(one)/float64(answered), "x-nats.go-answered")
			}
		})
	}
}

// What a message to a component costs, from NATS to its answer.
func BenchmarkHandleMessage(b *testing.B) {
	s := run(b, &server.Options{})
	f := start(b, wasmcloud.Settings{Config: config("cluster_uris", s.ClientURL())}, messaging.Options{})
	under := make(chan struct{}, 10_000) // what waits is bounded, as at a publisher that hears of its messages
	f.component("echo", func(wrpc.BrokerMessage) wrpc.Done {
		<-under
		return wrpc.Done{}
	})
	f.put(handler("echo", "default", config("subscriptions", "in"), nil))
	nc := connect(b, s)
	b.SetBytes(64)
	b.ResetTimer()
	for range b.N {
		under <- struct{}{}
		if err := nc.Publish("in", make([]byte, 64)); err != nil {
			b.Fatal(err)
		}
	}
	eventually(b, "all are handled", func() bool { return f.Stats()[0].Handled == uint64(b.N) })
}

// What 1,000 links hold in memory, of this process with the server in it.
func BenchmarkLinks(b *testing.B) {
	for range b.N {
		b.StopTimer()
		s := run(b, &server.Options{})
		f := start(b, wasmcloud.Settings{Config: config("cluster_uris", s.ClientURL())}, messaging.Options{})
		before := resident()
		b.StartTimer()
		const links = 1000
		for i := range links {
			f.put(handler(fmt.Sprint("c", i), "default", config("subscriptions", fmt.Sprint("in.", i)), nil))
		}
		b.StopTimer()
		b.ReportMetric(float64(resident()-before)/1e6/float64(b.N), "MB/1000links")
	}
}

// resident is the memory in use, stacks included.
func resident() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
