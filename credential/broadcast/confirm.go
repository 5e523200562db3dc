package broadcast

import (
	"context"
	"time"
)

// peer is another node.
type peer struct {
	name  string
	heard time.Time
}

// waiting is a revocation made here that others are to confirm.
type waiting struct {
	credential, nonce string
	by                map[string]bool // Node values
	more              chan struct{}   // closed and replaced with each confirmation
}

const maxWaiting = 64 // of the latest revocations

// meet notes that another node lives. One that was not known hears what this node has
// to say, so that it need not wait for that until the next announcement.
func (n *Node) meet(m message) {
	n.mu.Lock()
	_, known := n.peers[m.From]
	n.peers[m.From] = peer{name: m.Node, heard: time.Now()}
	if !known && n.state == running {
		n.planAnnouncement()
	}
	n.mu.Unlock()
	if !known {
		n.kick()
		n.cfg.Log.Info("another node shares the credentials", "event", "broadcast_peer", "node", m.Node)
	}
}

// forget drops nodes that were not heard for three announcements. n.mu is held.
func (n *Node) forget(now time.Time) {
	for id, p := range n.peers {
		if now.Sub(p.heard) > 4*n.cfg.Every {
			delete(n.peers, id)
		}
	}
}

func (n *Node) heard() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.peers)
}

func (n *Node) expect(name, nonce string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting = append(n.waiting, &waiting{credential: name, nonce: nonce, by: make(map[string]bool), more: make(chan struct{})})
	if len(n.waiting) > maxWaiting {
		n.waiting = n.waiting[1:]
	}
}

func (n *Node) confirm(m message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.waiting {
		if w.nonce == m.Of && !w.by[m.From] {
			w.by[m.From] = true
			close(w.more)
			w.more = make(chan struct{})
		}
	}
}

// Confirmations returns how many other nodes have made the latest revocation of the
// credential by this node durable, and how many other nodes are known. It waits until
// all have, for 250 ms at most; who has not answered by then gets the revocation from
// the announcements, at the latest.
func (n *Node) Confirmations(ctx context.Context, name string) (confirmed, known int) {
	ctx, cancel := context.WithTimeout(ctx, confirmWait)
	defer cancel()
	for {
		n.mu.Lock()
		var latest *waiting
		for _, w := range n.waiting {
			if w.credential == name {
				latest = w
			}
		}
		known = len(n.peers)
		if latest == nil {
			n.mu.Unlock()
			return 0, known
		}
		confirmed = len(latest.by)
		more := latest.more
		n.mu.Unlock()
		if confirmed >= known {
			return confirmed, max(known, confirmed)
		}
		select {
		case <-more:
		case <-ctx.Done():
			return confirmed, known
		}
	}
}
