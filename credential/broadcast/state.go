package broadcast

import (
	"context"
	"slices"
	"time"

	"github.com/parley-backend/parley/credential"
)

// state is what nodes compare of one credential.
type state struct {
	Revoked string `json:"r,omitempty"` // digest of the tombstones
	Current string `json:"c,omitempty"` // of the fingerprints of the current versions
}

func stateOf(c *credential.Credential) state {
	var current []string
	for _, v := range c.Status().Versions {
		if v.State == credential.Current {
			current = append(current, v.Fingerprint)
		}
	}
	s := state{Revoked: digest(fitting(c.Tombstones()))}
	if len(current) > 0 {
		s.Current = sum(current)
	}
	return s
}

// Compare has this node compare what it knows with the others, soon: after credentials have joined the set, of which it did not
// listen to what was revoked before.
func (n *Node) Compare() { n.resync() }

// resync plans an announcement, because messages may have been missed.
func (n *Node) resync() {
	n.mu.Lock()
	n.planAnnouncement()
	n.mu.Unlock()
	n.kick()
}

// planAnnouncement plans one soon, but not sooner than a rest after the latest. n.mu is
// held.
func (n *Node) planAnnouncement() {
	at := time.Now().Add(jitter(soon))
	if earliest := n.announced.Add(rest); at.Before(earliest) {
		at = earliest
	}
	if at.Before(n.announce) {
		n.announce = at
	}
}

// due does what is due and returns how long nothing else will be.
func (n *Node) due() time.Duration {
	n.mu.Lock()
	now := time.Now()
	announce := !now.Before(n.announce)
	if announce {
		n.announced = now
		n.announce = now.Add(n.cfg.Every*3/4 + jitter(n.cfg.Every/2))
	}
	var tell []string
	for name, at := range n.replies {
		if !now.Before(at) {
			tell = append(tell, name)
			delete(n.replies, name)
			n.replied[name] = now
		}
	}
	next := n.announce
	for _, at := range n.replies {
		if at.Before(next) {
			next = at
		}
	}
	n.forget(now)
	set := n.set
	n.mu.Unlock()
	if announce {
		n.saveAgain()
		n.announceAll(set)
	}
	slices.Sort(tell)
	for _, name := range tell {
		n.tell(set, name)
	}
	return max(0, time.Until(next))
}

// announceAll publishes the states of all credentials.
func (n *Node) announceAll(set *credential.Set) {
	page := make(map[string]state)
	publish := func() {
		n.publish(n.seal(message{Kind: announced, States: page}))
		page = make(map[string]state)
	}
	for _, c := range set.All() {
		if page[c.Name()] = stateOf(c); len(page) == maxStates {
			publish()
		}
	}
	if len(page) > 0 {
		publish()
	}
}

// compare looks at what another node announced. Where its revocations are not ours,
// either side has some to tell; where its current versions are not ours, one of us has
// missed a change and reads again, and since nobody can say who, each does when it hears
// the other.
func (n *Node) compare(set *credential.Set, m message) {
	for name, theirs := range m.States {
		c := set.Get(name)
		if c == nil {
			continue
		}
		ours := stateOf(c)
		if ours.Revoked != theirs.Revoked {
			n.reply(name)
			n.mu.Lock()
			if n.behind != nil {
				n.behind[name] = true
			}
			n.mu.Unlock()
		}
		if theirs.Current != "" && ours.Current != theirs.Current && n.mayReread(name) {
			c.Noticed(credential.Notice{})
		}
	}
	n.kick()
	n.catchUp("")
}

// catchUp notes that all is known that another node knew of a credential.
func (n *Node) catchUp(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.behind, name)
	if n.behind != nil && len(n.behind) == 0 {
		n.behind = nil
		close(n.caught)
	}
}

// CaughtUp waits after Start until this node knows every revocation that another node
// knew, and reports whether that came about before ctx ended. A node that was down while
// a key was revoked elsewhere accepts it until then; a server that waits for this before
// it answers requests never does. A node that is alone has nobody to hear it from, so ctx
// should end soon: a second is plenty.
func (n *Node) CaughtUp(ctx context.Context) bool {
	select {
	case <-n.caught:
		return true
	default:
	}
	select {
	case <-n.caught:
		return true
	case <-ctx.Done():
	case <-n.ctx.Done():
	}
	return false
}

// mayReread allows one fetch because of a difference in so long as it takes to hear all
// others: nodes whose sources differ for good do not hammer them.
func (n *Node) mayReread(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.reread[name]) < n.cfg.Every/2 {
		return false
	}
	n.reread[name] = time.Now()
	return true
}

// reply plans to tell what is revoked of a credential. Nodes that would say the same at
// the same time wait for a random moment, and one that hears another say it keeps quiet.
func (n *Node) reply(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, planned := n.replies[name]; planned {
		return
	}
	at := time.Now().Add(jitter(soon))
	if earliest := n.replied[name].Add(rest); at.Before(earliest) {
		at = earliest
	}
	n.replies[name] = at
}

// tell publishes all that is revoked of a credential, in pages.
func (n *Node) tell(set *credential.Set, name string) {
	c := set.Get(name)
	if c == nil {
		return
	}
	all := fitting(c.Tombstones())
	list := pages(all)
	for i, page := range list {
		m := message{Kind: tombstones, Credential: name, Tombstones: page}
		if i == len(list)-1 {
			m.All = digest(all)
		}
		n.publish(n.seal(m))
	}
}

// settle is called after another node has told all it knows, and this node has taken it
// in: whatever makes a difference still, the other one lacks.
func (n *Node) settle(c *credential.Credential, theirs string) {
	n.catchUp(c.Name())
	if digest(fitting(c.Tombstones())) != theirs {
		n.reply(c.Name())
		n.kick()
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.replies, c.Name())
}
