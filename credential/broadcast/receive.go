package broadcast

import (
	"context"
	"slices"
	"sync"
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
		n.aside(func() {
			if n.takeIn(c, m.Tombstones) && len(m.Tombstones) > 0 {
				n.send(message{Kind: confirmed, Credential: m.Credential, Of: m.Nonce})
			}
		})
	case tombstones:
		select {
		case n.pages <- m:
		default: // whoever told will tell again
		}
	}
}

// aside runs what may wait for a disk beside the handler: no revocation is held up by the
// one before it that is still being saved.
func (n *Node) aside(do func()) {
	select {
	case n.slots <- struct{}{}:
		n.work.Go(func() {
			defer func() { <-n.slots }()
			do()
		})
	default:
		do()
	}
}

// turnPages takes in what other nodes know, page by page in their order.
func (n *Node) turnPages() {
	for {
		select {
		case <-n.ctx.Done():
			return
		case m := <-n.pages:
			c := n.members().Get(m.Credential)
			if c == nil {
				continue
			}
			n.takeIn(c, m.Tombstones)
			if m.All != "" || len(m.Tombstones) == 0 {
				n.settle(c, m.All)
			}
		}
	}
}

func (n *Node) members() *credential.Set {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.set
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
// durable here. All are in effect before it waits for the first to be saved.
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
	var failed atomic.Bool
	var saves sync.WaitGroup
	for _, t := range foreign {
		switch {
		case !valid(t):
			n.stats.malformed.Add(1)
			failed.Store(true)
		case !known[identity(t)]:
			saves.Go(func() {
				if !n.save(c, t) {
					failed.Store(true)
				}
			})
		}
	}
	saves.Wait()
	return !failed.Load()
}

// save revokes one version here. Until it is saved it holds all the same, and is not
// confirmed to anybody.
func (n *Node) save(c *credential.Credential, t credential.Tombstone) bool {
	same := func(other credential.Tombstone) bool { return identity(other) == identity(t) }
	n.mu.Lock()
	if !slices.ContainsFunc(n.unsaved[c.Name()], same) {
		n.unsaved[c.Name()] = append(n.unsaved[c.Name()], t)
	}
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(n.ctx, saving)
	defer cancel()
	if err := c.Revoked(ctx, t); err != nil {
		n.stats.saveFailures.Add(1)
		n.cfg.Log.Error("a revocation by another node holds, but cannot be saved yet", "event", "broadcast_unsaved", "credential", c.Name(), "version", t.VersionID, "error", err.Error())
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.unsaved[c.Name()] = slices.DeleteFunc(n.unsaved[c.Name()], same); len(n.unsaved[c.Name()]) == 0 {
		delete(n.unsaved, c.Name())
	}
	return true
}

// saveAgain tries what could not be saved, unless the attempt before still waits.
func (n *Node) saveAgain() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.saving || len(n.unsaved) == 0 {
		return
	}
	n.saving = true
	due := make(map[string][]credential.Tombstone, len(n.unsaved))
	for name, list := range n.unsaved {
		due[name] = slices.Clone(list)
	}
	n.work.Go(func() {
		for name, list := range due {
			c := n.members().Get(name)
			for _, t := range list {
				if c != nil && !n.save(c, t) {
					break // the store is as it was
				}
			}
		}
		n.mu.Lock()
		n.saving = false
		n.mu.Unlock()
	})
}
