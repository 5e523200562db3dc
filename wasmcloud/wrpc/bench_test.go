package wrpc_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

func BenchmarkAppendMessage(b *testing.B) {
	for _, size := range []int{64, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			m := wrpc.BrokerMessage{Subject: "foo.bar", Body: make([]byte, size), ReplyTo: wrpc.Some("_INBOX.abc")}
			buffer := make([]byte, 0, m.Size())
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				wrpc.AppendMessage(buffer, m)
			}
		})
	}
}

func BenchmarkDecodeMessage(b *testing.B) {
	for _, size := range []int{64, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			data := wrpc.AppendMessage(nil, wrpc.BrokerMessage{Subject: "foo.bar", Body: make([]byte, size), ReplyTo: wrpc.Some("_INBOX.abc")})
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				d := wrpc.NewDecoder(data)
				if wrpc.DecodeMessage(d); d.Err() != nil {
					b.Fatal(d.Err())
				}
			}
		})
	}
}

// BenchmarkInvoke is a publish between two connections to a server in the same process: one after the other, and many at once.
func BenchmarkInvoke(b *testing.B) {
	s := run(b, server.Options{})
	nc := dial(b, s)
	c := open(b, nc, wrpc.Options{})
	serve(b, c, nc, 0, done)
	client := open(b, dial(b, s), wrpc.Options{})
	header := nats.Header{wrpc.HeaderSource: {"echo"}, wrpc.HeaderLink: {"default"}}
	for _, size := range []int{64, 64 << 10, 4 << 20} {
		m := wrpc.BrokerMessage{Subject: "foo.bar", Body: bytes.Repeat([]byte("x"), size)}
		once := func(b *testing.B) {
			r, err := wrpc.Invoke(b.Context(), client, publish, header, wrpc.AppendMessage(make([]byte, 0, m.Size()), m), wrpc.DecodeDone)
			if err != nil || r.Failed {
				b.Error(r, err)
			}
		}
		b.Run(fmt.Sprintf("%d/one", size), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				once(b)
			}
		})
		if size > 1<<20 {
			continue // many of them are more than MaxHeld
		}
		b.Run(fmt.Sprintf("%d/many", size), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			b.SetParallelism(32)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					once(b)
				}
			})
		})
	}
}
