package credential

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"
)

// Replace puts a new configuration of all credentials of the set into effect while they are in use: all of it, or, when it
// returns an error, nothing of it. Each Config is told by its Name:
//
//   - A member of that name takes the options. Its age, versions, usage and counters stay. With another Source it reads from there
//     from now on: what was accepted before is a previous version, unless the new source has it too, and its deadline is the
//     overlap from now. The new source is read first, and what it says is checked like any reading; Config.Startup
//     says whether the change is refused when it does not answer. A source that is equal to the one there is, as == has it,
//     is no change.
//   - A name that is new is made and started as by New and Start.
//   - A member without a Config is withdrawn: what was accepted before ends after its overlap, and everything else is rejected.
//     It may come back with a later Replace.
//
// Name, Kind, Role, Present, InstallKey, Set, Store, LastGood, Peers, Observer and Wall of a member stay what they are. Readers
// hold on to their *Credential and never wait. Just before the first of them sees a change, when nothing can fail any
// more, publish is called, if it is not nil, with what finds a member by its name; it must not wait for a credential of the
// set.
//
// Replace waits for the slowest of the new sources; when it is called twice, the second waits for the first.
func (s *Set) Replace(ctx context.Context, configs []Config, publish func(find func(name string) *Credential)) error {
	s.replacing.Lock()
	defer s.replacing.Unlock()
	r := &replacement{set: s, publish: publish}
	if err := r.compare(configs); err != nil {
		return err
	}
	if err := r.read(ctx); err != nil {
		r.undo()
		return err
	}
	if err := r.commit(); err != nil {
		r.undo()
		return err
	}
	return nil
}

// replacement is one call of Replace.
type replacement struct {
	set     *Set
	publish func(find func(name string) *Credential)
	changes []*reconfiguration
	added   []Config
	made    []*Credential
}

// reconfiguration is what happens to one member.
type reconfiguration struct {
	*Credential
	to    *terms
	was   Info
	moved bool // it reads from another source, or from none

	// What the new source said, when it was asked.
	began    instant
	read     bool
	incoming []version
	leftOut  []string
	payload  Payload // of a verifier without its values

	// What follows from it.
	at      instant
	before  *snapshot
	next    *set
	changes []change
	events  []Event
}

// compare finds out what is to be done, and whether it can be.
func (r *replacement) compare(configs []Config) error {
	var problems []error
	named := make(map[string]bool, len(configs))
	for _, cfg := range configs {
		if err := cfg.check(); err != nil {
			problems = append(problems, err)
			continue
		}
		if named[cfg.Name] {
			problems = append(problems, Errorf(Misconfigured, "a second credential of that name").about(cfg.Name))
		}
		named[cfg.Name] = true
		c := r.set.lookup(cfg.Name)
		if c == nil {
			cfg.Set = r.set
			r.added = append(r.added, cfg)
			continue
		}
		to, err := c.cfg().become(cfg)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		moved := !same(c.cfg().Source, cfg.Source)
		if next := chained(cfg.Source); next != nil && moved {
			next.continues(c.supplier())
		}
		r.changes = append(r.changes, &reconfiguration{Credential: c, to: to, moved: moved})
	}
	for _, c := range r.set.everyone() {
		if !named[c.Name()] && !c.snap.Load().withdrawn {
			to := *c.terms.Load()
			to.Source, to.info = nil, Info{Scheme: "none", Immutable: true}
			r.changes = append(r.changes, &reconfiguration{Credential: c, to: &to, moved: true})
		}
	}
	return errors.Join(problems...)
}

// become returns the terms of a Config for a credential that has this one.
func (c *Config) become(next Config) (*terms, error) {
	if next.Role == "" {
		next.Role = next.Name
	}
	if next.Role != c.Role || next.Kind != c.Kind || next.Present != c.Present {
		return nil, Errorf(Misconfigured, "its kind, its role, and whether it is presented cannot change").about(c.Name)
	}
	next.InstallKey, next.Set, next.Store, next.LastGood = c.InstallKey, c.Set, c.Store, c.LastGood
	next.Peers, next.Observer, next.Wall = c.Peers, c.Observer, c.Wall
	return next.terms(), nil
}

// same reports whether two sources are one and the same.
func same(a, b Source) bool {
	if a == nil || b == nil {
		return false
	}
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	return va.Type() == vb.Type() && va.Comparable() && vb.Comparable() && a == b
}

// read asks the new sources, all at once.
func (r *replacement) read(ctx context.Context) error {
	failures := make([]error, len(r.changes)+len(r.added))
	var group sync.WaitGroup
	for i, change := range r.changes {
		if change.moved && change.to.Source != nil {
			group.Go(func() { failures[i] = change.ask(ctx) })
		}
	}
	made := make([]*Credential, len(r.added))
	for i, cfg := range r.added {
		group.Go(func() {
			c, err := New(cfg)
			if err == nil {
				made[i] = c
				err = c.Start(ctx)
			}
			failures[len(r.changes)+i] = err
		})
	}
	group.Wait()
	for _, c := range made {
		if c != nil {
			r.made = append(r.made, c)
		}
	}
	return errors.Join(failures...)
}

// undo takes away the credentials that were added.
func (r *replacement) undo() {
	for _, c := range r.made {
		r.set.leave(c)
		c.Stop()
	}
}

// ask reads the new source, on a credential that nobody verifies with. It fails when the change must be refused.
func (n *reconfiguration) ask(ctx context.Context) error {
	n.mu.Lock()
	untouched := n.to.Startup == Lazy && !n.fetched && !n.to.info.Immutable
	n.mu.Unlock()
	if untouched {
		return nil
	}
	trial := &Credential{installKey: n.installKey, epoch: n.epoch, salt: n.salt, wake: make(chan struct{}, 1)}
	trial.terms.Store(n.to)
	trial.snap.Store(newSnapshot(&set{}, 0))
	trial.ctx, trial.cancel = context.WithCancel(ctx)
	defer trial.cancel()
	defer context.AfterFunc(n.ctx, trial.cancel)() // Stop ends it, too
	deadline, cancel := context.WithTimeout(trial.ctx, n.to.timing.startupWait)
	defer cancel()
	for attempt := 1; ; attempt++ {
		failure := n.askOnce(trial)
		switch {
		case failure == nil:
			return nil
		case failure.Class == Invalid || failure.Class == Gone || failure.Class == Misconfigured || n.to.info.Immutable:
			return failure
		case n.to.Startup != Require && ctx.Err() == nil:
			return nil // what was read before holds until it is too old
		case failure.Class != Unavailable:
			return failure
		}
		timer := time.NewTimer(backOff(attempt, retryCap, failure.RetryAfter))
		select {
		case <-timer.C:
		case <-deadline.Done():
			timer.Stop()
			return failure
		}
	}
}

func (n *reconfiguration) askOnce(trial *Credential) *Error {
	leave := n.to.Set.instance(n.to.info.Instance).place(trial.ctx)
	n.began = n.now()
	n.counters.fetches.Add(1)
	r := trial.fetch(asking{set: n.to.Set, by: n.Credential, urgent: true})
	leave()
	if r.err == nil {
		n.incoming, n.leftOut, r.err = trial.accept(r.payload, n.now())
	}
	if r.err != nil {
		n.counters.failures.Add(1)
		return asError(r.err).about(n.Name())
	}
	n.read, n.payload = true, r.payload
	return nil
}

// commit puts everything in place, or nothing. While it does it holds the locks of all members that change, so that no other
// reading comes in between.
func (r *replacement) commit() error {
	for _, n := range r.changes {
		n.mu.Lock()
	}
	err := r.decide()
	if err == nil {
		if r.publish != nil {
			r.publish(r.set.lookup)
		}
		for _, n := range r.changes {
			n.apply()
		}
	}
	for _, n := range r.changes {
		n.mu.Unlock()
	}
	if err != nil {
		return err
	}
	for _, n := range r.changes {
		n.emit(n.events...)
		after := n.snap.Load()
		n.changed(n.before, after)
		n.kick()
		if n.moved {
			n.keep(n.to.Source == nil)
		}
	}
	return nil
}

// decide computes what each member will accept, and whether they may do so together. All locks are held.
func (r *replacement) decide() error {
	var claims []claim
	for _, n := range r.changes {
		if n.state != running {
			return Errorf(Misconfigured, "not running").about(n.Name())
		}
		n.at, n.before = n.now(), n.snap.Load()
		if !n.moved {
			continue
		}
		if n.read || n.to.Source == nil {
			n.next, n.changes = n.succeed(n.incoming, n.at, n.to, n.at.time())
			claims = append(claims, claim{n.Credential, n.next.live})
		}
	}
	err := r.set.claimAll(claims...)
	if err == nil {
		return nil
	}
	for i := range claims { // what stores tell of the past may be in the way
		n := r.change(claims[i].Credential)
		apart, shared := r.set.apart(claim{n.Credential, n.incoming}, claims)
		if len(shared) > 0 {
			n.incoming, n.leftOut = apart, append(n.leftOut, shared...)
			n.next, n.changes = n.succeed(n.incoming, n.at, n.to, n.at.time())
			claims[i].live = n.next.live
		}
	}
	return r.set.claimAll(claims...)
}

// change returns what happens to a member that changes.
func (r *replacement) change(c *Credential) *reconfiguration {
	return r.changes[slices.IndexFunc(r.changes, func(n *reconfiguration) bool { return n.Credential == c })]
}

// apply makes one member what was decided. Its lock is held.
func (n *reconfiguration) apply() {
	n.was = *n.info()
	n.terms.Store(n.to)
	if !n.moved {
		n.retime()
		return
	}
	n.source++ // what is under way to the source before does not count any more
	n.hung, n.wanted, n.told = nil, 0, false
	switch {
	case n.to.Source == nil:
		placed := n.before.with(n.next, len(n.changes) > 0)
		placed.withdrawn, placed.fresh, placed.trusted = true, 0, 0
		n.snap.Store(placed)
		n.lastGood, n.fallback, n.health = nil, "", health{}
		n.suspect.Store(false)
		n.nextAt.Store(0)
		n.resting.Store(false)
		n.events = append(n.tell(placed, n.changes), Event{Kind: EventWithdrawn, Generation: placed.generation})
	case n.read:
		n.events = append(n.adopt(n.next, n.changes, n.began, n.payload), n.without(n.leftOut)...)
		if was := n.was.place(); len(n.changes) > 0 || was != n.to.info.place() { // a literal is read anew to see whether it is the same
			n.events = append(n.events, Event{Kind: EventReplaced, Generation: n.snap.Load().generation})
		}
		n.lastStart, n.fetched, n.lastFetch = n.began.mono, true, n.began.time()
		n.resting.Store(false)
		n.plan(n.at, n.began)
		n.forget()
	default: // it has not answered yet: what was read before holds until it does, or is too old
		n.replaced = n.at.time()
		kept := *n.before.set
		kept.highest = 0
		placed := n.before.with(&kept, false)
		placed.withdrawn = false
		n.ttl = n.lifetime(0)
		if placed.trusted == 0 {
			placed.read = n.at
		}
		n.bound(placed)
		n.snap.Store(placed)
		if n.fetched || placed.known {
			n.nextAt.Store(int64(max(n.at.mono, 1)))
		}
		n.events = []Event{{Kind: EventReplaced, Generation: placed.generation}}
	}
	n.background()
}

// adrift returns the set as another source inherits it: numbers mean nothing there, nor do ids, which the other may use for something
// else. What the source before had not confirmed for too long is not accepted any more.
func (s *set) adrift(at instant, expired bool) *set {
	next := &set{}
	for _, v := range s.live {
		v.id = v.fingerprint
		if expired {
			next.dead = append(next.dead, v.become(Retired, at))
		} else {
			next.live = append(next.live, v)
		}
	}
	for _, v := range s.dead {
		if v.mark != (digest{}) {
			v.id = v.fingerprint
			next.dead = append(next.dead, v)
		}
	}
	return next
}

// retime puts other durations into effect. The deadlines of previous versions stay: they were promised.
func (n *reconfiguration) retime() {
	n.ttl = n.lifetime(n.hint)
	if !n.before.known || n.to.info.Immutable {
		return
	}
	placed := n.before.with(n.before.set, false)
	n.bound(placed)
	n.snap.Store(placed)
	if n.health.failures == 0 && n.nextAt.Load() > 0 {
		n.plan(n.at, placed.read)
	}
}

// bound sets how long a snapshot is fresh and trusted.
func (c *Credential) bound(snap *snapshot) {
	snap.fresh, snap.trusted = 0, 0
	if t := c.timing(); !c.info().Immutable {
		snap.fresh = max(c.ttl, 2*minGap) // refreshing each second is not being stale in between
		snap.trusted = snap.fresh + t.staleMax
	}
}
