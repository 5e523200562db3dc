// Package broadcast connects the credentials of one node with those of the same names
// on the other nodes, over a pubsub.Bus: what one of them reads anew the others read,
// too, and what is revoked on one is revoked on all.
//
//	broadcast.go  the owner: New, Start, Stop, and what a node tells
//	receive.go    what a node does with what it hears
//	state.go      how nodes that missed something find out: they compare
//	confirm.go    how many others have taken in a revocation
//	wire.go       the messages, and how they are authenticated
//
// The bus may lose anything, and nothing is lost by that: each node announces from time
// to time, and whenever it may have missed something, which revocations it knows and
// which versions are current; who knows more says so. A revocation is never taken back,
// so the exchange ends. No secret goes over the bus: a tombstone holds an HMAC.
package broadcast

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/pubsub"
)

const (
	// Subject is where on the bus the messages go.
	Subject = "credentials"

	defaultEvery = time.Minute
	soon         = 100 * time.Millisecond // the jitter of what many nodes would do at once
	rest         = time.Second            // between two announcements of a node, and between two answers of it about one credential
	outbox       = 256                    // messages that wait for the bus
	inbox        = 64                     // pages that wait to be taken in, and revocations that are being saved
	saving       = 5 * time.Second        // for one foreign revocation
	window       = 2 * time.Minute        // how far the clocks of two nodes may differ for a notice to count
	complainGap  = time.Minute            // between two warnings of one kind
	confirmWait  = 250 * time.Millisecond // within which a revocation is to be in force on all nodes
)

// Config describes a Node. Bus and InstallKey are needed.
type Config struct {
	Bus pubsub.Bus
	// InstallKey authenticates the messages. It is the same on all nodes; a node with
	// another one is not heard.
	InstallKey credential.Secret
	// Node is the name of this node in the logs of the others.
	Node string
	// Every is the time between two announcements, give or take a quarter: 1 min by
	// default.
	Every time.Duration
	Log   *slog.Logger
}

// Node is this node among the others. It implements credential.Peers from the moment it
// is made; it sends and hears between Start and Stop.
type Node struct {
	cfg  Config
	key  credential.Secret
	self string // of this Node value: a process that starts again is another node
	out  chan []byte
	wake chan struct{}

	pages  chan message  // to be taken in, in order
	slots  chan struct{} // of what runs aside
	caught chan struct{} // closed when this node knows what another one knew when it started

	ctx    context.Context // until Stop
	cancel context.CancelFunc
	work   sync.WaitGroup
	stats  counters

	mu        sync.Mutex // guards what follows
	state     lifecycle
	set       *credential.Set
	announce  time.Time            // when the next announcement is due
	announced time.Time            // the latest
	replies   map[string]time.Time // credentials of which somebody should hear what we know: due
	replied   map[string]time.Time // the latest
	reread    map[string]time.Time // when a difference last made us read again
	unsaved   map[string][]credential.Tombstone
	saving    bool            // unsaved ones are being tried again
	behind    map[string]bool // credentials of which others were heard to know something else; nil once caught up
	peers     map[string]peer // by Node value
	waiting   []*waiting
	seen      nonces
	complain  map[string]time.Time
}

type lifecycle uint8

const (
	made lifecycle = iota
	running
	stopped
)

var _ credential.Peers = (*Node)(nil)

// New makes a node. It does nothing on the bus before Start; what it is told until then
// waits.
func New(cfg Config) (*Node, error) {
	switch {
	case cfg.Bus == nil:
		return nil, credential.Errorf(credential.Misconfigured, "a broadcast needs a bus")
	case cfg.InstallKey.Len() == 0:
		return nil, credential.Errorf(credential.Misconfigured, "several nodes need an install key that they share")
	}
	if cfg.Every <= 0 {
		cfg.Every = defaultEvery
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	secret := cfg.InstallKey.Reveal()
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("parley credential broadcast 1"))
	clear(secret)
	n := &Node{
		cfg: cfg, key: credential.NewSecret(mac.Sum(nil)), self: rand.Text(), out: make(chan []byte, outbox), wake: make(chan struct{}, 1), pages: make(chan message, inbox), slots: make(chan struct{}, inbox), caught: make(chan struct{}),
		replies: make(map[string]time.Time), replied: make(map[string]time.Time), reread: make(map[string]time.Time),
		unsaved: make(map[string][]credential.Tombstone), peers: make(map[string]peer), behind: make(map[string]bool), complain: make(map[string]time.Time),
	}
	n.cfg.InstallKey = credential.Secret{}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n, nil
}

// Start begins to send and to hear for the credentials of the set, also those that join
// it later. A second Start does nothing; after Stop it is an error.
func (n *Node) Start(ctx context.Context, set *credential.Set) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.state == stopped:
		return errors.New("the broadcast was stopped")
	case n.state == running:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	sub, err := n.cfg.Bus.Subscribe(Subject, n.receive)
	if err != nil {
		return err
	}
	end := n.cfg.Bus.Gaps(func() { n.resync() })
	n.state, n.set, n.announce = running, set, time.Now()
	n.work.Go(n.turnPages)
	n.work.Go(func() {
		n.run()
		end()
		sub.Stop()
	})
	return nil
}

// Stop says good-bye and returns when everything in the background has ended. A second
// Stop does nothing but wait.
func (n *Node) Stop() {
	n.mu.Lock()
	first, ran := n.state != stopped, n.state == running
	n.state = stopped
	n.mu.Unlock()
	if first && ran {
		n.flush()
		n.publish(n.seal(message{Kind: left}))
	}
	n.cancel()
	n.work.Wait()
}

// Changed implements credential.Peers: the others read the credential anew.
func (n *Node) Changed(name string, notice credential.Notice) {
	n.send(message{Kind: changed, Credential: name, Number: notice.Number})
}

// Revoked implements credential.Peers: the others take the revocation in.
func (n *Node) Revoked(name string, tombstone credential.Tombstone) {
	m := message{Kind: revoked, Credential: name, Tombstones: fitting([]credential.Tombstone{tombstone})}
	m.Nonce = nonce()
	n.expect(name, m.Nonce)
	n.send(m)
}

// Refresh has every other node read the credential anew, soon: what an operator asked of
// this node.
func (n *Node) Refresh(name string) {
	n.send(message{Kind: refresh, Credential: name})
}

// send hands a message to the goroutine that publishes. It never waits: what does not
// fit is lost as it could be on the way, and the next announcement makes up for it.
func (n *Node) send(m message) {
	select {
	case n.out <- n.seal(m):
	default:
		n.stats.unsent.Add(1)
		n.resync()
	}
}

// run publishes what is to be sent, and does what is due.
func (n *Node) run() {
	timer := time.NewTimer(n.due())
	defer timer.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case data := <-n.out:
			n.publish(data)
			continue
		case <-n.wake:
		case <-timer.C:
		}
		timer.Reset(n.due())
	}
}

// flush publishes what waits.
func (n *Node) flush() {
	for {
		select {
		case data := <-n.out:
			n.publish(data)
		default:
			return
		}
	}
}

func (n *Node) publish(data []byte) {
	n.stats.sent.Add(1)
	if err := n.cfg.Bus.Publish(n.ctx, Subject, data); err != nil {
		n.stats.unsent.Add(1) // the gap that follows makes up for it
		n.cfg.Log.Debug("credentials: other nodes were not reached", "event", "broadcast_unsent", "error", err.Error())
	}
}

// kick makes the loop look again. It never blocks.
func (n *Node) kick() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// warn tells of something at most once a minute.
func (n *Node) warn(event, text string, attrs ...any) {
	n.mu.Lock()
	again := time.Since(n.complain[event]) < complainGap
	if !again {
		n.complain[event] = time.Now()
	}
	n.mu.Unlock()
	if !again {
		n.cfg.Log.Warn(text, append([]any{"event", event}, attrs...)...)
	}
}

func jitter(of time.Duration) time.Duration {
	return time.Duration(mathrand.Float64() * float64(of))
}
