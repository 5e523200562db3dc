package natsconn_test

import (
	"encoding/binary"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/pubsub/pubsubtest"
)

// In a cluster the second connection goes to the server of the first, so that what is
// published at another server is not lost either. When that server is gone, it goes
// elsewhere.
func TestHandOverInACluster(t *testing.T) {
	member := func(name string, routes ...*url.URL) *server.Server {
		return run(t, &server.Options{
			ServerName: name, Routes: routes, Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: server.RANDOM_PORT},
			Users: []*server.User{{Username: "a", Password: "the password of a"}, {Username: "b", Password: "the password of b"}},
		})
	}
	first := member("one")
	all := []*server.Server{first, member("two", must(url.Parse("nats://"+first.ClusterAddr().String())))}
	pubsubtest.Eventually(t, "the cluster is whole", func() bool { return all[0].NumRoutes() > 0 && all[1].NumRoutes() > 0 })
	source := credentialtest.New(credential.Info{}, "unused")
	versions := []credential.Version{pair("user", "a", "password", "the password of a"), pair("user", "b", "password", "the password of b")}
	source.SetVersions(versions[0])
	f := open(t, all[0].ClientURL(), source, func(cfg *natsconn.Config) { cfg.Servers = append(cfg.Servers, all[1].ClientURL()) })
	f.works(t, "at first")
	at := f.NATS().ConnectedServerName()
	mine, other := all[0], all[1]
	if at == "two" {
		mine, other = other, mine
	}
	direct := must(nats.Connect(other.ClientURL(), nats.UserInfo("a", "the password of a"), nats.DontRandomize()))
	defer direct.Close()
	c := &tally{}
	must(f.QueueSubscribe("load", "workers", func(m *nats.Msg) { c.take(m.Data) }))
	pubsubtest.Eventually(t, "the other server knows", func() bool { return direct.Publish("load", binary.BigEndian.AppendUint32(nil, 0)) == nil && has(c) })
	const sent = 2000
	var work sync.WaitGroup
	work.Go(func() {
		for i := 1; i < sent; i++ {
			_ = direct.Publish("load", binary.BigEndian.AppendUint32(nil, uint32(i)))
			if i%4 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	})
	generation := uint64(1)
	for range 4 {
		source.SetVersions(versions[generation%2])
		generation++
		f.rotate(t, generation)
		if now := f.NATS().ConnectedServerName(); now != at {
			t.Errorf("handed over to server %s, want %s", now, at)
		}
	}
	work.Wait()
	pubsubtest.Eventually(t, fmt.Sprint("all ", sent, " have come"), func() bool { got, _, _ := c.read(); return got == sent })
	c.mu.Lock()
	for n, times := range c.times[1:] { // 0 was to find out
		if times != 1 {
			t.Errorf("message %d came %d times", n+1, times)
		}
	}
	c.mu.Unlock()
	mine.Shutdown()
	mine.WaitForShutdown()
	pubsubtest.Eventually(t, "connected to the other server", func() bool { return f.Generation() > 0 && f.NATS().ConnectedServerName() == other.Name() })
	source.SetVersions(versions[generation%2])
	f.rotate(t, generation+1)
	f.works(t, "the server is gone")
}

func has(c *tally) bool {
	got, _, _ := c.read()
	return got > 0
}

func BenchmarkPublish(b *testing.B) {
	s := run(b, &server.Options{})
	conn := must(natsconn.Open(b.Context(), natsconn.Config{Servers: []string{s.ClientURL()}}))
	defer conn.Close()
	plain := must(nats.Connect(s.ClientURL()))
	defer plain.Close()
	data := make([]byte, 64)
	for _, way := range []struct {
		name    string
		publish func(string, []byte) error
	}{{"natsconn", conn.Publish}, {"nats.go", plain.Publish}} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := way.publish("subject", data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSubscribe(b *testing.B) {
	s := run(b, &server.Options{})
	conn := must(natsconn.Open(b.Context(), natsconn.Config{Servers: []string{s.ClientURL()}}))
	defer conn.Close()
	plain := must(nats.Connect(s.ClientURL()))
	defer plain.Close()
	got := make(chan struct{}, 1<<16)
	must(conn.Subscribe("natsconn", func(*nats.Msg) { got <- struct{}{} }))
	must(plain.Subscribe("nats.go", func(*nats.Msg) { got <- struct{}{} }))
	data := make([]byte, 64)
	for _, subject := range []string{"natsconn", "nats.go"} {
		b.Run(subject, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for range 100 {
					if err := plain.Publish(subject, data); err != nil {
						b.Fatal(err)
					}
				}
				for range 100 {
					<-got
				}
			}
		})
	}
}
