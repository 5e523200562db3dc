package credential

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Material is one generation of a credential in plain, for a Presenter's decoder:
// the value and the fields that were read together with it.
type Material struct {
	Value      Secret
	Fields     map[string]Secret
	VersionID  string
	Generation uint64
	NotAfter   time.Time // zero for none
}

// Lease is what a Presenter hands out: a value, and the generation to name when it
// is refused.
type Lease[T any] struct {
	Value      T
	VersionID  string
	Generation uint64
	NotAfter   time.Time // do not use it after; zero for no bound
}

// A Presenter hands out the current value of a credential to whoever must show
// it to a third party: a database, a bus, a mail server. Presenting an old value is
// no risk, so it hands out the last one for as long as nobody refused it.
type Presenter[T any] struct {
	c      *Credential
	decode func(Material) (T, error)

	mu    sync.Mutex
	lease Lease[T] // of the latest generation decoded
	ready bool
}

// NewPresenter makes a presenter on a credential with Config.Present. decode makes of
// one generation what the consumer needs; what it refuses should be refused by
// Config.Check already, so that it never displaces a good value.
func NewPresenter[T any](c *Credential, decode func(Material) (T, error)) (*Presenter[T], error) {
	if !c.cfg.Present {
		return nil, Errorf(Misconfigured, "made for verifying: its plain value is not kept").about(c.cfg.Name)
	}
	return &Presenter[T]{c: c, decode: decode}, nil
}

// Present makes a Presenter of the plain value.
func Present(c *Credential) (*Presenter[Secret], error) {
	return NewPresenter(c, func(m Material) (Secret, error) { return m.Value, nil })
}

// Acquire returns the current value. It waits only when there is none yet or when
// it is past its NotAfter.
func (p *Presenter[T]) Acquire(ctx context.Context) (Lease[T], error) {
	snap := p.c.snap.Load()
	p.c.used(p.c.now())
	if _, usable := p.c.presentable(snap); !usable {
		if !p.c.info.Immutable {
			p.c.join(ctx)
		}
		snap = p.c.snap.Load()
	}
	return p.from(snap)
}

// Rejected is told that the value of a generation was refused, and returns what to
// try instead, once. If there is a newer generation that is it; otherwise the
// source is asked, at most once in ten seconds and together with all others whose
// value was refused. If that brings nothing new the error is Denied: the refusal
// is the answer, and nobody retries in a loop against a service that is broken.
func (p *Presenter[T]) Rejected(ctx context.Context, generation uint64) (Lease[T], error) {
	if snap := p.c.snap.Load(); snap.presented > generation {
		return p.from(snap)
	}
	if err := p.c.refetch(ctx, generation); err != nil {
		return Lease[T]{}, err
	}
	snap := p.c.snap.Load()
	if snap.presented <= generation {
		return Lease[T]{}, Errorf(Denied, "refused, and the source has no other value").about(p.c.cfg.Name)
	}
	p.c.reacted(generation, snap)
	return p.from(snap)
}

// OnChange calls change after every change of the value that is presented, with
// the generation before (zero if there was none) and after; one call at a time, on
// the engine's goroutine, so it should return soon. The returned function ends it.
func (p *Presenter[T]) OnChange(change func(before, after Lease[T])) (end func()) {
	return p.c.listen(func(before, after *snapshot) {
		now, err := p.from(after)
		if err != nil {
			return
		}
		var then Lease[T]
		if v, ok := before.current(); ok {
			then, _ = p.decoded(v, before.presented)
		}
		change(then, now)
	})
}

func (p *Presenter[T]) from(snap *snapshot) (Lease[T], error) {
	v, usable := p.c.presentable(snap)
	if !usable {
		if err := p.c.lastFailure(); err != nil {
			return Lease[T]{}, err
		}
		return Lease[T]{}, Errorf(Unavailable, "no current version").about(p.c.cfg.Name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ready && p.lease.Generation == snap.presented {
		return p.lease, nil
	}
	lease, err := p.decoded(v, snap.presented)
	if err == nil && lease.Generation > p.lease.Generation {
		p.lease, p.ready = lease, true
	}
	return lease, err
}

func (p *Presenter[T]) decoded(v version, generation uint64) (Lease[T], error) {
	lease := Lease[T]{VersionID: v.id, Generation: generation}
	if v.notAfter.set {
		lease.NotAfter = v.notAfter.wallTime().Add(-skew)
	}
	value, err := p.decode(Material{Value: v.value, Fields: v.fields, VersionID: v.id, Generation: generation, NotAfter: lease.NotAfter})
	if err != nil {
		return Lease[T]{}, Errorf(Invalid, "%s", asError(err).Reason).about(p.c.cfg.Name)
	}
	lease.Value = value
	return lease, nil
}

// presentable returns the version to present. Its overlap and age do not matter,
// its own end does.
func (c *Credential) presentable(snap *snapshot) (version, bool) {
	v, ok := snap.current()
	return v, ok && !v.notAfter.passed(c.now())
}

// refusal is the latest refetch that a refusal caused.
type refusal struct {
	generation uint64
	at         time.Duration
	set        bool
}

// reacted tells, once per refused generation, that asking again helped.
func (c *Credential) reacted(generation uint64, snap *snapshot) {
	c.mu.Lock()
	first := c.refused.set && c.refused.generation == generation
	c.refused.set = c.refused.set && !first
	c.mu.Unlock()
	if first {
		c.emit(Event{Kind: EventReactive, Generation: snap.generation})
	}
}

// refetch asks the source because a generation was refused.
func (c *Credential) refetch(ctx context.Context, generation uint64) error {
	if c.info.Immutable {
		return nil
	}
	c.mu.Lock()
	now := c.now().mono
	f := c.flight
	recent := c.refused.set && c.refused.generation == generation && now-c.refused.at < refusedEvery
	if recent && f == nil || f == nil && c.health.failures > 0 && now < time.Duration(c.nextAt.Load()) {
		c.mu.Unlock()
		return nil
	}
	if !recent {
		c.refused = refusal{generation: generation, at: now, set: true}
	}
	under := f != nil && f.begun && !recent
	if f == nil {
		f = c.launch(minGap)
	}
	c.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		return asError(ctx.Err()).about(c.cfg.Name)
	}
	if under && c.snap.Load().presented <= generation { // it may have read before the change
		return c.await(ctx, false, minGap).orNil()
	}
	return f.err.orNil()
}

// listener is one OnChange.
type listener struct {
	call func(before, after *snapshot)
}

func (c *Credential) listen(call func(before, after *snapshot)) (end func()) {
	l := &listener{call: call}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners = append(slices.Clone(c.listeners), l)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.listeners = slices.DeleteFunc(slices.Clone(c.listeners), func(other *listener) bool { return other == l })
	}
}

// changed calls the listeners if another value is presented. No lock is held but
// the one that keeps the calls in order.
func (c *Credential) changed(before, after *snapshot) {
	if before.presented == after.presented {
		return
	}
	c.mu.Lock()
	listeners := c.listeners
	c.mu.Unlock()
	if len(listeners) == 0 {
		return
	}
	c.notify.Lock()
	defer c.notify.Unlock()
	for _, l := range listeners {
		func() {
			defer func() { _ = recover() }() // a listener must not stop the engine
			l.call(before, after)
		}()
	}
}
