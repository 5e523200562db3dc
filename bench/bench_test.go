package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	ten := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for _, c := range []struct {
		values []int
		p      int
		want   int
	}{{ten, 50, 5}, {ten, 99, 10}, {ten, 90, 9}, {ten, 1, 1}, {ten[:1], 50, 1}, {ten[:1], 99, 1}, {ten[:3], 50, 2}} {
		if got := percentile(c.values, c.p); got != c.want {
			t.Errorf("percentile(%v, %d) = %v, want %v", c.values, c.p, got, c.want)
		}
	}
}

func TestMedianTakesEachValueByItself(t *testing.T) {
	samples := []sample{{rate: 3, p50: 10, p99: 7, cpu: 0.1}, {rate: 1, p50: 30, p99: 9, cpu: 0.3}, {rate: 2, p50: 20, p99: 8, cpu: 0.5}}
	if got, want := median(samples), (sample{rate: 2, p50: 20, p99: 8, cpu: 0.3}); got != want {
		t.Errorf("median(%v) = %v, want %v", samples, got, want)
	}
	if low, high := spread(samples); low != 1 || high != 3 {
		t.Errorf("spread(%v) = %v, %v, want 1, 3", samples, low, high)
	}
}

// The small client reads what net/http writes, several answers on one connection.
func TestWire(t *testing.T) {
	large := strings.Repeat("x", 100000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/length":
			w.Header().Set("Content-Length", "100000")
			w.Write([]byte(large))
		case "/chunked":
			for range 3 {
				w.Write([]byte(large))
				w.(http.Flusher).Flush()
			}
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		default:
			w.WriteHeader(http.StatusTeapot)
			w.Write([]byte(r.Method))
		}
	}))
	defer s.Close()
	w, err := dial(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	for _, c := range []struct {
		method, path string
		body         []byte
		status, size int
	}{
		{"GET", "/length", nil, 200, 100000}, {"GET", "/chunked", nil, 200, 300000}, {"GET", "/empty", nil, 204, 0},
		{"DELETE", "/other", nil, 418, 6}, {"POST", "/other", []byte("{}"), 418, 4}, {"GET", "/length", nil, 200, 100000},
	} {
		status, size, err := w.do(request(nil, c.method, c.path, "X-One: 1\r\n", c.body))
		if status != c.status || size != c.size || err != nil {
			t.Errorf("%s %s = %d, %d, %v, want %d, %d", c.method, c.path, status, size, err, c.status, c.size)
		}
	}
}

func TestFilledServersOfferEveryOperation(t *testing.T) {
	pg := database{host: "127.0.0.1", port: 1, user: "postgres"}
	for name, peers := range map[string][]*peer{
		"pocketbase": {parleyPeer("d"), pocketbasePeer("d", false), pocketbasePeer("d", true)},
		"postgres":   {parleyOnPostgres("d", pg, classesOf(options{suite: "postgres"})), parseServerPeer("d", "node", pg, classesOf(options{suite: "postgres"}))},
		"growth":     {parleyOnPostgres("d", pg, classesOf(options{suite: "growth"})), parseServerPeer("d", "node", pg, classesOf(options{suite: "growth"}))},
	} {
		for _, p := range peers {
			works := p.works([]string{"id"})
			for _, op := range suites[name].operations {
				if works[op.name] == nil {
					t.Errorf("%s: %s does not %s", name, p.name, op.name)
				}
				if (op.proof == "") != (op.name == "mixed") || (op.times == 0) != (op.proof == "") {
					t.Errorf("%s: no proof of %s", name, op.name)
				}
			}
		}
	}
}

func TestServerKnowsWhatItsProcessUses(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	s := server{cmd: &exec.Cmd{Process: self}}
	before, err := s.cpu()
	if err != nil {
		t.Fatal(err)
	}
	for after := before; after < before+50*time.Millisecond; {
		if after, err = s.cpu(); err != nil {
			t.Fatal(err)
		}
	}
	now, err := s.memory("VmRSS")
	if err != nil {
		t.Fatal(err)
	}
	most, err := s.memory("VmHWM")
	if err != nil || now <= 0 || most < now/2 {
		t.Errorf("memory = %d now, %d at most, %v", now, most, err)
	}
}
