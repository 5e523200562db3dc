package natsbus_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// door is a TCP proxy that can be shut: what is connected through it is cut, and what
// connects is cut at once.
type door struct {
	net.Listener
	to   string
	work sync.WaitGroup

	mu     sync.Mutex
	closed bool
	all    map[net.Conn]bool
}

func listen(t *testing.T, to string) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{Listener: l, to: to, all: make(map[net.Conn]bool)}
	d.work.Go(d.serve)
	t.Cleanup(func() {
		_ = l.Close()
		d.shut()
		d.work.Wait()
	})
	return d
}

func (d *door) serve() {
	for {
		in, err := d.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", d.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		d.mu.Lock()
		closed := d.closed
		if !closed {
			d.all[in], d.all[out] = true, true
		}
		d.mu.Unlock()
		if closed {
			_, _ = in.Close(), out.Close()
			continue
		}
		for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
			d.work.Go(func() {
				_, _ = io.Copy(pair[0], pair[1])
				_, _ = pair[0].Close(), pair[1].Close()
			})
		}
	}
}

func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for c := range d.all {
		_ = c.Close()
	}
	clear(d.all)
}

func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = false
}
