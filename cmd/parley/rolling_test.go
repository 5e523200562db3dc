package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestI17RollingRestart has three servers behind a balancer, under load with the key before and the key after a rotation. Each is
// restarted in turn, several times, during the overlap: no request fails, with either key. PARLEY_TEST_REQUESTS says how many
// requests it makes at least, 20,000 when it is not set; `make test-backends` asks for a million.
func TestI17RollingRestart(t *testing.T) {
	t.Parallel()
	least := int64(20_000)
	if text := os.Getenv("PARLEY_TEST_REQUESTS"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		least = n
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "master")
	write(t, path, firstKey)
	b := &balancer{nodes: make([]*node, 3)}
	start := func(i int) *process {
		return startServer(t, dir, "--appId="+appID, "--masterKey=file://"+path+"?overlap=1h&ttl=2s", "--databaseURI=sqlite://"+filepath.Join(dir, "shared.db"),
			"--dataDir="+filepath.Join(dir, fmt.Sprint("node", i)), "--allowClientClassCreation=true", "--metricsAddress=127.0.0.1:0")
	}
	for i := range b.nodes {
		b.nodes[i] = &node{}
		b.nodes[i].process.Store(start(i))
		b.nodes[i].in.Store(true)
	}
	made := b.nodes[0].process.Load().do(http.StatusCreated, http.MethodPost, "/classes/Rolling", `{"a":1}`, "X-Parse-Master-Key", firstKey)
	object := "/classes/Rolling/" + made.body["objectId"].(string)
	for _, n := range b.nodes { // each has seen the first key before it is rotated
		n.process.Load().await("the first key", func() bool {
			a, err := n.process.Load().try(http.MethodGet, object, "", "X-Parse-Master-Key", firstKey)
			return err == nil && a.status == http.StatusOK
		})
	}
	write(t, path, secondKey)

	stop := make(chan struct{})
	var load sync.WaitGroup
	for i := range 8 {
		key := []string{firstKey, secondKey}[i%2]
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					b.ask(object, key)
				}
			}
		})
	}
	began, restarts := time.Now(), 0
	for round := 0; round < 2 || b.asked.Load() < least; round++ {
		for i, n := range b.nodes {
			n.leave()
			n.process.Load().end()
			n.process.Store(start(i))
			n.in.Store(true)
			restarts++
			served := n.served.Load()
			eventually(t, "the node to serve again", func() bool { return n.served.Load() > served+least/100 || t.Failed() })
		}
		if failure := b.failure.Load(); failure != nil {
			break
		}
	}
	close(stop)
	load.Wait()
	if failure := b.failure.Load(); failure != nil {
		t.Fatalf("after %d requests: %s", b.asked.Load(), *failure)
	}
	t.Logf("%d requests, 0 failed, %d restarts, in %v", b.asked.Load(), restarts, time.Since(began).Round(time.Second))
}

// balancer sends requests to the nodes that are in, in turn.
type balancer struct {
	nodes   []*node
	next    atomic.Uint64
	asked   atomic.Int64
	failure atomic.Pointer[string]
}

// node is one server behind the balancer.
type node struct {
	process atomic.Pointer[process]
	in      atomic.Bool
	busy    atomic.Int64
	served  atomic.Int64
}

// leave takes the node out, and returns when it has answered what it was asked.
func (n *node) leave() {
	n.in.Store(false)
	for n.busy.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
}

func (b *balancer) ask(path, key string) {
	for {
		n := b.nodes[b.next.Add(1)%uint64(len(b.nodes))]
		n.busy.Add(1)
		if !n.in.Load() {
			n.busy.Add(-1)
			continue
		}
		a, err := n.process.Load().try(http.MethodGet, path, "", "X-Parse-Master-Key", key)
		n.busy.Add(-1)
		n.served.Add(1)
		b.asked.Add(1)
		if err != nil || a.status != http.StatusOK {
			failure := fmt.Sprintf("GET %s = %d %s %v, want 200", path, a.status, a.text, err)
			b.failure.CompareAndSwap(nil, &failure)
		}
		return
	}
}
