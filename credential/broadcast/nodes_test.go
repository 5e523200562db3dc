package broadcast_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/broadcast"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/pubsub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	keyA = "aaaa-key-of-the-first-version-aaaa"
	keyB = "bbbb-key-of-the-second-version-bbb"
)

var installKey = credential.NewSecret("the install key of all three nodes")

// link is a node's way to the bus: it can be cut, and remembers what went over it.
type link struct {
	pubsub.Bus
	mu    sync.Mutex
	cut   bool
	gap   func()
	sent  [][]byte
	taken int
}

func (l *link) Publish(ctx context.Context, subject string, data []byte) error {
	l.mu.Lock()
	l.sent = append(l.sent, data)
	cut := l.cut
	l.mu.Unlock()
	if cut {
		return pubsub.ErrOffline
	}
	return l.Bus.Publish(ctx, subject, data)
}

func (l *link) Subscribe(subject string, handler func(pubsub.Message)) (pubsub.Subscription, error) {
	return l.Bus.Subscribe(subject, func(m pubsub.Message) {
		l.mu.Lock()
		cut := l.cut
		l.mu.Unlock()
		if !cut {
			handler(m)
		}
	})
}

func (l *link) Gaps(missed func()) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gap = missed
	return func() {}
}

func (l *link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

// fresh returns the messages since the last call.
func (l *link) fresh() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := slices.Clone(l.sent[l.taken:])
	l.taken = len(l.sent)
	return out
}

// store is a credential.Store that can fail.
type store struct {
	mu    sync.Mutex
	saved map[string][]credential.Tombstone
	err   error
	hang  chan struct{} // Save waits until it is closed
}

func (s *store) Load(_ context.Context, name string) ([]credential.Tombstone, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.saved[name]), nil
}

func (s *store) Save(_ context.Context, name string, t credential.Tombstone) error {
	s.mu.Lock()
	hang := s.hang
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if !slices.Contains(s.saved[name], t) {
		s.saved[name] = append(s.saved[name], t)
	}
	return nil
}

func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// node is one of several with a masterKey from one source.
type node struct {
	*broadcast.Node
	key   *credential.Credential
	set   *credential.Set
	link  *link
	store *store
	log   *record
}

// record is a log to read.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// begin starts a node. The store is that of a node before it, or nil.
func begin(t *testing.T, bus pubsub.Bus, name string, source credential.Source, kept *store, install credential.Secret) *node {
	t.Helper()
	if kept == nil {
		kept = &store{saved: make(map[string][]credential.Tombstone)}
	}
	n := &node{set: &credential.Set{}, link: &link{Bus: bus}, store: kept, log: &record{}}
	var err error
	if n.Node, err = broadcast.New(broadcast.Config{Bus: n.link, InstallKey: install, Node: name, Log: slog.New(slog.NewTextHandler(n.log, nil))}); err != nil {
		t.Fatal(err)
	}
	n.key, err = credential.New(credential.Config{
		Name: "masterKey", Source: source, TTL: time.Hour, InstallKey: install, Set: n.set, Store: kept, Peers: n.Node, Startup: credential.Degraded,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.set.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context(), n.set); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.stop)
	return n
}

func (n *node) stop() {
	n.Stop()
	n.set.Stop()
}

func three(t *testing.T) (*pubsub.Local, *credentialtest.Source, []*node) {
	t.Helper()
	bus := pubsub.NewLocal(pubsub.LocalConfig{})
	t.Cleanup(func() { _ = bus.Close() })
	source := credentialtest.New(credential.Info{}, keyA)
	var nodes []*node
	for i := range 3 {
		nodes = append(nodes, begin(t, bus, fmt.Sprint("n", i), source, nil, installKey))
	}
	pass(3 * time.Second) // they meet
	for _, n := range nodes {
		n.link.fresh()
	}
	return bus, source, nodes
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func said(d credential.Decision) string { return d.Verdict.String() + " " + d.Reason.String() }

func expect(t *testing.T, when string, nodes []*node, key, want string) {
	t.Helper()
	for i, n := range nodes {
		if got := said(n.key.Verify(key)); got != want {
			t.Errorf("%s: node %d: Verify(%.4s) = %s, want %s", when, i, key, got, want)
		}
	}
}

func revoke(t *testing.T, n *node, key string) {
	t.Helper()
	if err := n.key.Revoke(t.Context(), n.key.Verify(key).VersionID); err != nil {
		t.Fatalf("Revoke: %v", err)
	}
}
