package broadcast

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/pubsub"
)

// receive takes one message from the bus.
func (n *Node) receive(raw pubsub.Message) {
	m, refused := n.open(raw.Data)
	if refused != nil {
		n.refuse(refused, raw.Node)
		return
	}
	if m.From == n.self {
		return
	}
	n.mu.Lock()
	set, fresh := n.set, n.seen.add(m.Nonce)
	n.mu.Unlock()
	if !fresh {
		n.stats.replayed.Add(1)
		return
	}
	n.stats.received.Add(1)
	n.meet(m)
	switch m.Kind {
	case announced:
		n.compare(set, m)
		return
	case confirmed:
		n.confirm(m)
		return
	case left:
		n.mu.Lock()
		delete(n.peers, m.From)
		n.mu.Unlock()
		return
	}
	c := set.Get(m.Credential)
	if c == nil {
		n.stats.unknown.Add(1)
		return
	}
	switch m.Kind {
	case changed, refresh:
		n.notice(c, m)
	case revoked:
		if n.takeIn(c, m.Tombstones) && len(m.Tombstones) > 0 {
			n.send(message{Kind: confirmed, Credential: m.Credential, Of: m.Nonce})
		}
	case tombstones:
		n.takeIn(c, m.Tombstones)
		if m.All != "" || len(m.Tombstones) == 0 {
			n.settle(c, m.All)
		}
	}
}

// refuse counts what is no message of this installation, and tells of it.
func (n *Node) refuse(counter *atomic.Uint64, node string) {
	if counter.Add(1); counter == &n.stats.unauthentic {
		n.warn("broadcast_unauthentic", "a message about credentials is not authentic: another node has another install key", "from", node, "count", counter.Load())
		return
	}
	n.warn("broadcast_malformed", "a message about credentials cannot be read: another node runs another version", "from", node, "count", counter.Load())
}

// notice has a credential read anew.
func (n *Node) notice(c *credential.Credential, m message) {
	if off := time.Since(time.UnixMilli(m.Time)).Abs(); off > window {
		n.stats.late.Add(1)
		n.warn("broadcast_late", "the clock of another node is wrong, or that of this one: its notices of changed credentials do not count", "from", m.Node, "off", off.Round(time.Second))
		return
	}
	if m.Kind == refresh {
		m.Number = 0 // whatever the version: it was asked for
	}
	c.Noticed(credential.Notice{Number: m.Number})
}

// takeIn puts foreign revocations into effect, and reports whether all of them are
// durable here.
func (n *Node) takeIn(c *credential.Credential, foreign []credential.Tombstone) bool {
	known := make(map[string]bool)
	for _, t := range c.Tombstones() {
		known[identity(t)] = true
	}
	n.mu.Lock()
	for _, t := range n.unsaved[c.Name()] {
		known[identity(t)] = false
	}
	n.mu.Unlock()
	durable := true
	for _, t := range foreign {
		if !valid(t) {
			n.stats.malformed.Add(1)
			durable = false
			continue
		}
		if !known[identity(t)] {
			durable = n.save(c, t) && durable
		}
	}
	return durable
}

// save revokes one version here. If it cannot be saved it holds all the same, and is
// saved later.
func (n *Node) save(c *credential.Credential, t credential.Tombstone) bool {
	ctx, cancel := context.WithTimeout(n.ctx, saving)
	defer cancel()
	err := c.Revoked(ctx, t)
	n.mu.Lock()
	same := func(other credential.Tombstone) bool { return identity(other) == identity(t) }
	rest := slices.DeleteFunc(n.unsaved[c.Name()], same)
	if err != nil {
		rest = append(rest, t)
	}
	if n.unsaved[c.Name()] = rest; len(rest) == 0 {
		delete(n.unsaved, c.Name())
	}
	n.mu.Unlock()
	if err != nil {
		n.stats.saveFailures.Add(1)
		n.cfg.Log.Error("a revocation by another node holds, but cannot be saved yet", "event", "broadcast_unsaved", "credential", c.Name(), "version", t.VersionID, "error", err.Error())
	}
	return err == nil
}

// saveAgain tries what could not be saved.
func (n *Node) saveAgain() {
	n.mu.Lock()
	set := n.set
	due := make(map[string][]credential.Tombstone, len(n.unsaved))
	for name, list := range n.unsaved {
		due[name] = slices.Clone(list)
	}
	n.mu.Unlock()
	for name, list := range due {
		c := set.Get(name)
		for _, t := range list {
			if c != nil && !n.save(c, t) {
				break // the store is as it was
			}
		}
	}
}
