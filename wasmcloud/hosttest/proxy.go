package hosttest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy stands between a client and a server and makes the network worse.
type Proxy struct {
	door   net.Listener
	server string
	delay  atomic.Int64 // of each direction
	hole   atomic.Bool
	down   atomic.Bool
	work   sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool
}

// NewProxy listens on the loopback interface for connections to server, which is host:port. It ends with the test.
func NewProxy(t testing.TB, server string) *Proxy {
	t.Helper()
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{door: door, server: server, open: map[net.Conn]bool{}}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		_ = door.Close()
		p.down.Store(true)
		p.Cut()
		p.work.Wait()
	})
	return p
}

// URL is nats://host:port of the proxy.
func (p *Proxy) URL() string { return "nats://" + p.door.Addr().String() }

// Delay has each direction take so long: the round trip is twice that. It holds for what is sent from now on.
func (p *Proxy) Delay(oneWay time.Duration) { p.delay.Store(int64(oneWay)) }

// Cut ends all connections. New ones are let through.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
}

// Refuse ends all connections, and new ones at once, until it is called with false.
func (p *Proxy) Refuse(on bool) {
	p.down.Store(on)
	if on {
		p.Cut()
	}
}

// Swallow has everything that is sent go nowhere, while the connections stay, until it is called with false.
func (p *Proxy) Swallow(on bool) { p.hole.Store(on) }

func (p *Proxy) accept() {
	for {
		in, err := p.door.Accept()
		if err != nil {
			return
		}
		if p.down.Load() {
			_ = in.Close()
			continue
		}
		out, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = in.Close()
			continue
		}
		if !p.keep(in, out) {
			continue
		}
		p.work.Go(func() { p.carry(in, out) })
		p.work.Go(func() { p.carry(out, in) })
	}
}

// keep remembers a pair, unless it came while the proxy went down.
func (p *Proxy) keep(pair ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range pair {
		if p.down.Load() {
			_ = c.Close()
			continue
		}
		p.open[c] = true
	}
	return !p.down.Load()
}

// carry copies one direction. Reading and writing overlap, so that a delay does not cost throughput.
func (p *Proxy) carry(from, to net.Conn) {
	type piece struct {
		data []byte
		due  time.Time
	}
	way := make(chan piece, 4096)
	var work sync.WaitGroup
	work.Go(func() {
		for next := range way {
			time.Sleep(time.Until(next.due))
			if p.hole.Load() {
				continue
			}
			if _, err := to.Write(next.data); err != nil {
				_ = from.Close()
			}
		}
		_ = to.Close()
	})
	for {
		data := make([]byte, 32<<10)
		n, err := from.Read(data)
		if n > 0 {
			way <- piece{data[:n], time.Now().Add(time.Duration(p.delay.Load()))}
		}
		if err != nil {
			break
		}
	}
	close(way)
	work.Wait()
	_ = from.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, from)
}

// BlackHole is the URL of an address that takes connections and never says a word.
func BlackHole(t testing.TB) string {
	t.Helper()
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := door.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = door.Close()
		work.Wait()
		for _, c := range open {
			_ = c.Close()
		}
	})
	return "nats://" + door.Addr().String()
}
