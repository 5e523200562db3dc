package credential

import (
	"context"
	"math/rand/v2"
	"time"
)

// A flight is one attempt to fetch, shared by everyone who wants one. There is at
// most one per credential. Before it has begun it may wait for the minimum gap.
type flight struct {
	source  uint64 // Credential.source when it was launched
	begun   bool   // the source has been asked; guarded by Credential.mu
	urgent  bool   // an operator or the store wants it; guarded by Credential.mu
	refused bool   // what is presented was refused; guarded by Credential.mu
	hurry   chan struct{}
	done    chan struct{}
	err     *Error // valid after done
	moved   bool   // valid after done: its source was replaced, and what it read, if anything, does not count
}

// call is one call of Source.Fetch.
type call struct {
	result chan result // buffered, so that a late result blocks nobody
}

type result struct {
	payload Payload
	err     error
}

// run is the one goroutine that keeps a credential fresh.
func (c *Credential) run() {
	defer c.work.Done()
	timer := time.NewTimer(c.tick())
	defer timer.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-timer.C:
		case <-c.wake:
		}
		timer.Reset(c.tick())
	}
}

// kick makes the loop look again. It never blocks.
func (c *Credential) kick() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// tick does what is due and returns how long nothing else will be.
func (c *Credential) tick() time.Duration {
	c.mu.Lock()
	at := c.now()
	before := c.snap.Load()
	events := c.settle(at)
	if c.due(at) {
		c.launch(minGap)
	}
	after := c.snap.Load()
	wait := c.idleFor(at)
	c.mu.Unlock()
	c.emit(events...)
	c.changed(before, after)
	return wait
}

// due reports whether a fetch should begin, and puts an on-demand source to rest
// that nobody uses.
func (c *Credential) due(at instant) bool {
	if c.flight != nil || c.info().Immutable {
		return false
	}
	snap := c.snap.Load()
	next := time.Duration(c.nextAt.Load())
	if c.timing().onDemand && snap.known && at.mono-time.Duration(c.lastUse.Load()) > idleAfter {
		if next > 0 && at.mono >= next {
			c.nextAt.Store(0)
			c.resting.Store(true)
		}
		return false
	}
	switch {
	case c.resting.Load():
		return true
	case next > 0 && at.mono >= next:
		return true
	}
	// The wall clock jumped, or the machine slept: refresh early. While the
	// source fails, the back-off decides.
	return c.health.failures == 0 && snap.condition(snap.age(at)) >= Stale && next > 0
}

// idleFor returns how long the loop may sleep.
func (c *Credential) idleFor(at instant) time.Duration {
	wait := 24 * time.Hour
	snap := c.snap.Load()
	if next := time.Duration(c.nextAt.Load()); next > 0 && c.flight == nil {
		wait = min(wait, next-at.mono)
	}
	if move, found := snap.nextMove(at); found {
		wait = min(wait, move)
	}
	if c.health.failures > 0 && snap.known && snap.trusted > 0 && c.health.announced < Expired {
		for _, limit := range []time.Duration{snap.fresh, snap.trusted} {
			if left := limit - snap.age(at); left >= 0 {
				wait = min(wait, left+1)
				break
			}
		}
	}
	return max(wait, time.Millisecond)
}

// plan sets the time of the next attempt after a good one: ahead of the end of
// freshness, at a random moment so that the nodes of a cluster spread out.
// Jitter only ever makes a refresh earlier than the bound that was promised.
func (c *Credential) plan(at, began instant) {
	next := began.mono + jitter(refreshFrom, refreshTo, c.ttl)
	if end, bounded := c.leaseEnd(began); bounded {
		next = min(next, end)
	}
	if c.wanted > c.snap.Load().highest && c.wantTries < 5 {
		next = at.mono + pushGap<<c.wantTries // notified, but not readable yet
		c.wantTries++
	} else {
		c.wanted = 0
	}
	if c.info().Immutable {
		next = 0
	} else {
		next = max(next, began.mono+minGap, 1)
	}
	c.nextAt.Store(int64(next))
}

// leaseEnd returns when the value that is presented must be asked for again because it
// ends: at 0.80 of its lease at the latest, whatever the time to live. The lease
// began when the store made the value, if it says when; after 0.65 of it, and if it
// does not say, what is left of it counts.
func (c *Credential) leaseEnd(began instant) (time.Duration, bool) {
	v, has := c.snap.Load().current()
	if !has || !v.notAfter.set || !c.cfg().Present {
		return 0, false
	}
	left := v.notAfter.left(began)
	if left <= 0 {
		return 0, false
	}
	age := began.time().Sub(v.created)
	if v.created.IsZero() || age < 0 || float64(age) >= leaseFrom*float64(age+left) {
		age = 0
	}
	return began.mono + jitter(leaseFrom, leaseTo, age+left) - age, true
}

// planRetry sets the time of the next attempt after a failed one, backing off up to
// min(60 s, ttl), and returns how long that is from now.
func (c *Credential) planRetry(at instant, failure *Error) time.Duration {
	wait := backOff(c.health.failures, min(retryCap, c.ttl), failure.RetryAfter)
	if failure.held { // the attempt is everybody's
		wait = failure.RetryAfter
	}
	c.nextAt.Store(int64(at.mono + wait))
	return wait
}

// backOff returns the wait after so many failures in a row: doubling up to limit, and
// no shorter than the store wished.
//
// The jitter is U[0.5,1], and U[0.75,1] at the cap: so an outage of an hour sees
// fewer than 130 attempts, and a failing credential is asked for no more often than
// a healthy one whose ttl is the cap.
func backOff(failures int, limit, retryAfter time.Duration) time.Duration {
	delay := retryBase << min(failures-1, 10)
	wait := jitter(0.5, 1, delay)
	if delay >= limit {
		wait = jitter(0.75, 1, limit)
	}
	return max(wait, min(retryAfter, retryAfterCap))
}

// lifetime returns the time to live with the store's hint.
func (c *Credential) lifetime(hint time.Duration) time.Duration {
	ttl := c.timing().ttl
	if hint > 0 && hint < ttl {
		ttl = hint
	}
	if c.cfg().MaxTTL > 0 {
		ttl = min(ttl, c.cfg().MaxTTL)
	}
	return max(ttl, c.cfg().MinTTL, minGap)
}

func jitter(from, to float64, of time.Duration) time.Duration {
	return time.Duration((from + (to-from)*rand.Float64()) * float64(of))
}

// launch returns the flight there is, or a new one that will begin no sooner than
// gap after the latest fetch. c.mu is held.
func (c *Credential) launch(gap time.Duration) *flight {
	if f := c.flight; f != nil {
		f.urgent = f.urgent || gap < minGap
		if !f.begun && gap < minGap && f.hurry != nil {
			close(f.hurry)
			f.hurry = nil
		}
		return f
	}
	f := &flight{source: c.source, urgent: gap < minGap, hurry: make(chan struct{}), done: make(chan struct{})}
	if c.info().Immutable { // it is read when it comes, and never again
		close(f.done)
		return f
	}
	if c.ctx.Err() != nil {
		f.err = &Error{Class: Unavailable, Reason: "stopped", Subject: c.cfg().Name, cause: context.Canceled}
		close(f.done)
		return f
	}
	c.flight = f
	var delay time.Duration
	if c.fetched {
		delay = c.lastStart + gap - c.now().mono
	}
	c.work.Add(1)
	go c.fly(f, delay, f.hurry)
	return f
}

// fly carries out one flight.
func (c *Credential) fly(f *flight, delay time.Duration, hurry <-chan struct{}) {
	defer c.work.Done()
	if delay > 0 {
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-hurry:
		case <-c.ctx.Done():
		}
		timer.Stop()
	}
	leave := c.cfg().Set.instance(c.info().Instance).place(c.ctx)
	c.mu.Lock()
	if f.source != c.source {
		c.mu.Unlock()
		leave()
		c.land(f, c.now(), result{})
		return
	}
	f.begun = true
	how := asking{set: c.cfg().Set, by: c, urgent: f.urgent, refused: f.refused}
	began := c.now()
	c.lastStart, c.fetched, c.lastFetch = began.mono, true, began.time()
	hung := c.hung != nil
	c.mu.Unlock()
	if hung {
		leave()
		c.land(f, began, result{err: Errorf(Unavailable, "a fetch that ignored its time-out has not returned yet")})
		return
	}
	c.counters.fetches.Add(1)
	r := c.fetch(how)
	leave()
	c.land(f, began, r)
}

// fetch calls the source and returns after the time-out at the latest, whatever
// the source does. A call that ignores its context is left behind; no other call
// is made until it has returned, so there is never more than one.
func (c *Credential) fetch(how asking) result {
	ctx, cancel := context.WithTimeout(c.ctx, c.timing().fetchTimeout)
	defer cancel()
	this := &call{result: make(chan result, 1)}
	go c.call(how.with(ctx), this)
	select {
	case r := <-this.result:
		return r
	case <-ctx.Done():
	}
	grace := time.NewTimer(abandonGrace)
	defer grace.Stop()
	select {
	case r := <-this.result:
		return r
	case <-grace.C:
	}
	c.mu.Lock()
	select {
	case r := <-this.result: // at the last moment
		c.mu.Unlock()
		return r
	default:
	}
	c.hung = this
	c.mu.Unlock()
	c.counters.abandoned.Add(1)
	c.emit(Event{Kind: EventAbandoned})
	return result{err: context.Cause(ctx)}
}

// call runs Source.Fetch, and survives what it does.
func (c *Credential) call(ctx context.Context, this *call) {
	r := result{err: Errorf(Unavailable, "the source panicked")} // also for runtime.Goexit
	defer func() {
		_ = recover() // its text may quote the secret
		this.result <- r
		c.mu.Lock()
		late := c.hung == this
		if late {
			c.hung = nil
		}
		c.mu.Unlock()
		if late {
			c.emit(Event{Kind: EventReturned})
			c.kick()
		}
	}()
	payload, err := ask(ctx, c.cfg().Source)
	r = result{payload: payload, err: err}
}

// land takes in the result of a flight and lets go of those who wait for it.
func (c *Credential) land(f *flight, began instant, r result) {
	c.mu.Lock()
	var events []Event
	before := c.snap.Load()
	if f.source == c.source {
		c.lastTook = c.now().mono - began.mono
	}
	if f.source != c.source {
		f.moved = true
	} else if r.err != nil && c.ctx.Err() != nil { // stopping is not a failure of the source
		f.err = asError(c.ctx.Err()).about(c.cfg().Name)
	} else {
		f.err, events = c.absorb(began, r.payload, r.err)
	}
	after := c.snap.Load()
	c.flight = nil
	told := c.told
	c.told = false
	c.resting.Store(false) // not before: until now memory was not to be relied on
	if c.again {
		c.again = false
		c.launch(pushGap)
	}
	c.mu.Unlock()
	c.emit(events...)
	close(f.done)
	c.kick()
	c.changed(before, after)
	if c.cfg().Peers != nil && !told && before.known && after.generation != before.generation {
		c.cfg().Peers.Changed(c.cfg().Name, Notice{Number: after.highest})
	}
	c.keep(f.err != nil && (f.err.Class == Gone || f.err.Class == Missing && c.cfg().OnMissing == Drop))
}

// await waits for a flight. With newer it is one that begins after the call, so
// that it sees what was stored before.
func (c *Credential) await(ctx context.Context, newer bool, gap time.Duration) *Error {
	for {
		c.mu.Lock()
		under := c.flight != nil && c.flight.begun
		f := c.launch(gap)
		c.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return asError(ctx.Err()).about(c.cfg().Name)
		}
		switch {
		case f.moved:
		case !under || !newer:
			return f.err
		default:
			newer = false // the next flight begins after this one ended
		}
	}
}

// untilRetry waits until the planned attempt is due; false if ctx ends before.
func (c *Credential) untilRetry(ctx context.Context) bool {
	timer := time.NewTimer(time.Duration(c.nextAt.Load()) - c.now().mono)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-c.ctx.Done():
	}
	return false
}

func (c *Credential) lastFailure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.health.last.orNil()
}

// watch keeps a Watcher watching until Stop.
func (c *Credential) watch(ctx context.Context, w Watcher) {
	defer c.work.Done()
	for failures := 0; ctx.Err() == nil; failures++ {
		began := time.Now()
		err := c.watchOnce(ctx, w)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > retryCap {
			failures = 0
		}
		c.emit(Event{Kind: EventWatchLost, Err: asError(err).about(c.cfg().Name), Class: asError(err).Class})
		timer := time.NewTimer(jitter(0.5, 1, min(retryCap, retryBase<<min(failures, 10))))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// watchOnce calls Watch and survives what it does. One that ignores its context is
// left behind.
func (c *Credential) watchOnce(ctx context.Context, w Watcher) error {
	ended := make(chan error, 1)
	go func() {
		var err error = Errorf(Unavailable, "the watcher panicked")
		defer func() {
			_ = recover() // its text may quote the secret
			ended <- err
		}()
		if err = w.Watch(ctx, func(n Notice) { c.noticed(n, false) }); err == nil {
			err = Errorf(Unavailable, "the watcher returned")
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace := time.NewTimer(abandonGrace)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
	}
	return ctx.Err()
}

// Noticed is told by a peer that the secret may have changed: it is read again, soon and
// together with what else asked for it. It does not wait.
func (c *Credential) Noticed(n Notice) {
	if !c.info().Immutable {
		c.noticed(n, true)
	}
}

// noticed is called by a watcher or for a peer: the secret may have changed.
func (c *Credential) noticed(n Notice, peer bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != running {
		return
	}
	if c.cfg().Startup == Lazy && !c.fetched {
		return
	}
	if n.Number > 0 {
		if n.Number <= c.snap.Load().highest {
			return
		}
		c.wanted, c.wantTries = max(c.wanted, n.Number), 0
	}
	if c.flight != nil && c.flight.begun {
		c.again = true // it may have read too early
		return
	}
	c.told = peer && (c.flight == nil || c.told)
	c.launch(pushGap)
}
