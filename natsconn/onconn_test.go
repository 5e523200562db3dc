package natsconn_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/pubsub/pubsubtest"
)

// guest is a user of Config.OnConn that subscribes on each connection for itself.
type guest struct {
	mu     sync.Mutex
	told   []*nats.Conn
	left   []*nats.Conn
	fail   error
	handle nats.MsgHandler
}

func (g *guest) onConn(nc *nats.Conn) (func(context.Context), error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told = append(g.told, nc)
	if g.fail != nil {
		return nil, g.fail
	}
	sub, err := nc.QueueSubscribe("guest", "guests", g.handle)
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(ended) })
	return func(ctx context.Context) {
		g.mu.Lock()
		g.left = append(g.left, nc)
		g.mu.Unlock()
		_ = sub.Drain() // fails where the connection is closed, and then it has ended
		select {
		case <-ended:
		case <-ctx.Done():
		}
	}, nil
}

func (g *guest) counts() (told, left int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.told), len(g.left)
}

// What OnConn subscribes to is handed over like a Subscription: every message comes, once.
func TestOnConnIsToldBeforeTheHandOver(t *testing.T) {
	o := operated(t)
	seen := make([]atomic.Int32, 200_000)
	g := &guest{handle: func(m *nats.Msg) {
		n, err := strconv.Atoi(string(m.Data))
		if err != nil {
			t.Error(err)
			return
		}
		seen[n].Add(1)
	}}
	f := open(t, o.ClientURL(), &minting{operator: o}, func(cfg *natsconn.Config) { cfg.OnConn = g.onConn })
	f.works(t, "at first")
	token, seed := o.user(0)
	outside := must(nats.Connect(o.ClientURL(), nats.UserJWTAndSeed(token, seed)))
	t.Cleanup(outside.Close)
	if err := f.NATS().Flush(); err != nil { // the guest's subscription is there
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var sent int
	var work sync.WaitGroup
	work.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for sent+10 < len(seen) {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			for range 5 {
				if err := outside.Publish("guest", []byte(strconv.Itoa(sent))); err != nil {
					t.Error(err)
					return
				}
				sent++
			}
		}
	})
	const rotations = 4
	for i := range rotations {
		before := f.Generation()
		if err := f.key.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		pubsubtest.Eventually(t, "the next generation", func() bool { return f.Generation() > before })
		pubsubtest.Eventually(t, "the one before is left", func() bool { _, left := g.counts(); return left == i+1 })
	}
	close(stop)
	work.Wait()
	if err := outside.Flush(); err != nil {
		t.Fatal(err)
	}
	var lost, twice int
	pubsubtest.Eventually(t, "all messages", func() bool {
		lost, twice = 0, 0
		for i := range sent {
			switch n := seen[i].Load(); {
			case n == 0:
				lost++
			case n > 1:
				twice++
			}
		}
		return lost == 0
	})
	if twice != 0 {
		t.Errorf("%d of %d messages came twice, want none", twice, sent)
	}
	if told, left := g.counts(); told != rotations+1 || left != rotations {
		t.Errorf("told of %d connections and of the end of %d, want %d and %d", told, left, rotations+1, rotations)
	}
}

// A connection that OnConn does not accept does not take over, and is left.
func TestOnConnRefusesTheHandOver(t *testing.T) {
	o := operated(t)
	g := &guest{handle: func(*nats.Msg) {}}
	f := open(t, o.ClientURL(), &minting{operator: o}, func(cfg *natsconn.Config) { cfg.OnConn = g.onConn })
	f.works(t, "at first")
	g.mu.Lock()
	g.fail = errors.New("not now")
	g.mu.Unlock()
	if err := f.key.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	pubsubtest.Eventually(t, "Health tells", func() bool { err := f.Health(); return err != nil && strings.Contains(err.Error(), "not now") })
	if got := f.Generation(); got != 1 {
		t.Errorf("Generation() = %d, want 1: the connection before stays", got)
	}
	f.works(t, "refused")
	g.mu.Lock()
	g.fail = nil
	g.mu.Unlock()
	pubsubtest.Eventually(t, "taken over later", func() bool { return f.Generation() == 2 && f.Health() == nil })
	f.works(t, "taken over")
}

// A login that may not subscribe to what OnConn does is not taken over.
func TestOnConnSubscribesToWhatIsForbidden(t *testing.T) {
	o := operated(t)
	source := &minting{operator: o}
	g := &guest{handle: func(*nats.Msg) {}}
	f := open(t, o.ClientURL(), source, func(cfg *natsconn.Config) { cfg.OnConn = g.onConn })
	f.works(t, "at first")
	source.change(func(c *jwt.UserClaims) { c.Sub.Deny.Add("guest") })
	if err := f.key.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	pubsubtest.Eventually(t, "Health tells", func() bool { return errors.Is(f.Health(), nats.ErrPermissionViolation) })
	if got := f.Generation(); got != 1 {
		t.Errorf("Generation() = %d, want 1: the connection before stays", got)
	}
	f.works(t, "forbidden")
	pubsubtest.Eventually(t, "what did not take over is left", func() bool { told, left := g.counts(); return told > 1 && left > 0 })
}

// The first connection is told of like the others.
func TestOnConnRefusesTheFirst(t *testing.T) {
	o := operated(t)
	g := &guest{fail: errors.New("not at all")}
	_, err := natsconn.Open(t.Context(), natsconn.Config{Servers: []string{o.ClientURL()}, OnConn: g.onConn})
	if !errors.Is(err, g.fail) {
		t.Errorf("Open = %v, want %v", err, g.fail)
	}
	if !g.told[0].IsClosed() {
		t.Error("the connection is open")
	}
}
