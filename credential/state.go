package credential

import (
	"slices"
	"time"
)

// Condition is how far a credential can be trusted: the age of its latest good
// reading, measured from the moment that reading began.
//
//	empty -> fresh -> stale -> expired      (and back to fresh with any good reading)
type Condition uint8

// The conditions of a credential.
const (
	Empty   Condition = iota // nothing was ever read
	Fresh                    // age <= ttl
	Stale                    // age <= ttl + stale_max: accepted still, ready but degraded
	Expired                  // older: nothing is accepted, every verification is Undecided
)

var conditionNames = [...]string{Empty: "empty", Fresh: "fresh", Stale: "stale", Expired: "expired"}

// String returns the lower-case name.
func (c Condition) String() string { return conditionNames[c] }

// MarshalText returns the name.
func (c Condition) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

func (snap *snapshot) condition(age time.Duration) Condition {
	switch {
	case !snap.known:
		return Empty
	case snap.trusted == 0 || age <= snap.fresh:
		return Fresh
	case age <= snap.trusted:
		return Stale
	}
	return Expired
}

// age returns the age of the reading at an instant, 0 if there is none or if it
// cannot age.
func (snap *snapshot) age(at instant) time.Duration {
	if !snap.known || snap.trusted == 0 {
		return 0
	}
	return at.since(snap.read)
}

// health is the result of the latest attempts, guarded by Credential.mu.
type health struct {
	failures  int // in a row
	last      *Error
	announced Condition // Stale or Expired, when the observer has been told
}

// absorb takes in the result of one fetch and returns what there is to tell. This
// is where it is decided what happens when a store is down: nothing that came
// wrongly ever changes the set, and only Gone (and Missing, if so configured)
// empties it. c.mu is held.
func (c *Credential) absorb(began instant, p Payload, err error) (*Error, []Event) {
	at := c.now()
	if err == nil {
		var events []Event
		if events, err = c.install(began, at, p); err == nil {
			c.plan(at, began)
			return nil, events
		}
	}
	failure := asError(err).about(c.cfg().Name)
	c.counters.failures.Add(1)
	var events []Event
	if failure.Class == Gone || failure.Class == Missing && c.cfg().OnMissing == Drop {
		events = c.vanish(began, at)
	}
	events = append(events, c.fallBack(at, failure)...)
	c.health.failures++
	c.health.last = failure
	c.suspect.Store(true)
	wait := c.planRetry(at, failure)
	events = append(events, Event{Kind: EventFailed, Class: failure.Class, Err: failure, Attempt: c.health.failures, Next: wait})
	return failure, append(events, c.announce(at)...)
}

// install puts a good payload in place.
func (c *Credential) install(began, at instant, p Payload) ([]Event, error) {
	snap := c.snap.Load()
	incoming, leftOut, err := c.accept(p, at)
	if err != nil {
		return nil, err
	}
	if lagging(incoming, snap.highest, c.info().Monotonic) {
		return nil, Errorf(Unavailable, "an older version than the one known: the source lags")
	}
	next, changes := c.succeed(incoming, at, c.terms.Load(), c.replaced)
	if err = c.cfg().Set.claim(c, next.live); err != nil {
		apart, shared := c.cfg().Set.apart(claim{c, incoming}, nil)
		if len(shared) == 0 {
			return nil, err
		}
		leftOut = append(leftOut, shared...)
		next, changes = c.succeed(apart, at, c.terms.Load(), c.replaced)
		if err = c.cfg().Set.claim(c, next.live); err != nil {
			return nil, err
		}
	}
	return append(c.adopt(next, changes, began, p), c.without(leftOut)...), nil
}

// without tells what was left out of a reading, when that is news. c.mu is held.
func (c *Credential) without(leftOut []string) []Event {
	var events []Event
	for _, message := range leftOut {
		if !slices.Contains(c.leftOut, message) {
			events = append(events, Event{Kind: EventLint, Message: message})
		}
	}
	c.leftOut = leftOut
	return events
}

// succeed returns the set that follows what is accepted now. When moved is set, it is the time at which the credential began to
// read from this source: what it accepted before goes by that, and the numbers of the source before mean nothing.
func (c *Credential) succeed(incoming []version, at instant, t *terms, moved time.Time) (*set, []change) {
	snap := c.snap.Load()
	base := snap.set
	if !snap.known && c.lastGood != nil { // what this node accepted before it stopped, it accepts for the overlap
		base = c.recall(at)
	}
	if !moved.IsZero() {
		base = base.adrift(at, snap.condition(snap.age(at)) == Expired)
	}
	next, changes := base.follow(incoming, at, rules{overlap: t.timing.overlap, previous: t.Previous, revoked: c.isRevoked(), moved: moved})
	if v, has := next.current(); !snap.known && len(base.live) > 0 && len(changes) == 0 && has {
		changes = []change{{EventInstalled, v}}
	}
	return next, changes
}

// adopt puts a set in place that a good reading has led to.
func (c *Credential) adopt(next *set, changes []change, began instant, p Payload) []Event {
	placed := c.snap.Load().with(next, len(changes) > 0)
	placed.known, placed.withdrawn, placed.read = true, false, began
	c.lastGood, c.replaced = nil, time.Time{}
	c.hint = p.TTL
	c.ttl = c.lifetime(c.hint)
	c.bound(placed)
	c.snap.Store(placed)

	events := c.tell(placed, changes)
	for _, v := range p.Versions {
		if n := v.Value.Len(); n > 0 && n < weakLength && len(changes) > 0 {
			events = append(events, Event{Kind: EventWeak, Generation: placed.generation})
			break
		}
	}
	if c.health.failures > 0 || c.health.announced > Fresh {
		events = append(events, Event{Kind: EventRecovered, Generation: placed.generation, Attempt: c.health.failures})
	}
	if f := p.Fallback; f != nil && c.fallback == "" {
		failure := asError(f.Err)
		events = append(events, Event{Kind: EventFallback, Generation: placed.generation, Class: failure.Class, Err: failure, Message: f.Source.place()})
	}
	c.fallback = p.Fallback.place()
	c.health = health{}
	c.suspect.Store(false)
	return events
}

func lagging(incoming []version, highest uint64, monotonic bool) bool {
	if !monotonic {
		return false
	}
	var newest uint64
	for i := range incoming {
		newest = max(newest, incoming[i].number)
	}
	return newest < highest
}

// vanish refuses every version from now on. It is an answer of the store like any
// other, so it renews the age.
func (c *Credential) vanish(began, at instant) []Event {
	c.lastGood = nil
	snap := c.snap.Load()
	next, changes := snap.end(Disabled, at, func(*version) bool { return true })
	_ = c.cfg().Set.claim(c, nil)
	placed := snap.with(next, len(changes) > 0)
	placed.read = began
	c.snap.Store(placed)
	return c.tell(placed, changes)
}

// announce tells once that the set has become stale or expired.
func (c *Credential) announce(at instant) []Event {
	snap := c.snap.Load()
	condition := snap.condition(snap.age(at))
	if condition < Stale || condition <= c.health.announced {
		return nil
	}
	c.health.announced = condition
	kind := EventStale
	if condition == Expired {
		kind = EventExpired
	}
	return []Event{{Kind: kind, Generation: snap.generation, Age: snap.age(at)}}
}

// settle lets time do its part: deadlines pass, pending versions become current,
// a stale set expires. c.mu is held.
func (c *Credential) settle(at instant) []Event {
	snap := c.snap.Load()
	next, changes := snap.set.settle(at)
	if len(changes) > 0 {
		_ = c.cfg().Set.claim(c, next.live) // fewer than before: cannot collide
		snap = snap.with(next, true)
		c.snap.Store(snap)
	}
	events := c.tell(snap, changes)
	if c.health.failures > 0 {
		events = append(events, c.announce(at)...)
	}
	events = append(events, c.overdue(snap, at)...)
	return append(events, c.usageEvents(snap)...)
}

// usageEvents tells of replaced versions that are still presented, so that an
// operator knows when it is safe to end the overlap.
func (c *Credential) usageEvents(snap *snapshot) []Event {
	var events []Event
	for _, list := range [][]version{snap.live, snap.dead} {
		for i := range list {
			v := &list[i]
			if !v.unannounced.Load() || !v.unannounced.Swap(false) {
				continue
			}
			kind := EventPreviousUsed
			if v.state != Previous {
				kind = EventDeadUsed
			}
			events = append(events, Event{Kind: kind, VersionID: v.id, State: v.state, Generation: snap.generation, Uses: v.uses.Load(), Deadline: v.until.wallTime()})
		}
	}
	return events
}

func (c *Credential) tell(snap *snapshot, changes []change) []Event {
	events := make([]Event, 0, len(changes))
	for _, ch := range changes {
		c.counters.count(ch.kind)
		events = append(events, Event{Kind: ch.kind, VersionID: ch.id, Fingerprint: ch.fingerprint, State: ch.state,
			Generation: snap.generation, Deadline: ch.until.wallTime()})
	}
	return events
}
