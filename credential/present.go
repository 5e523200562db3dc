package credential

import (
	"context"
	"fmt"
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
	if !c.cfg().Present {
		return nil, Errorf(Misconfigured, "made for verifying: its plain value is not kept").about(c.cfg().Name)
	}
	return &Presenter[T]{c: c, decode: decode}, nil
}

// Present makes a Presenter of the plain value.
func Present(c *Credential) (*Presenter[Secret], error) {
	return NewPresenter(c, func(m Material) (Secret, error) { return m.Value, nil })
}

// Acquire returns the current value. It waits only when there is none yet or when
// it is past its NotAfter: nothing is handed out after that.
func (p *Presenter[T]) Acquire(ctx context.Context) (Lease[T], error) {
	snap := p.c.snap.Load()
	p.c.used(p.c.now())
	if _, usable := p.c.presentable(snap); !usable {
		if !p.c.info().Immutable {
			p.c.join(ctx)
		}
		snap = p.c.snap.Load()
	}
	return p.from(snap)
}

// Rejected is told that the value of a generation was refused, and returns what to
// try instead, once. If there is a newer generation that is it; otherwise the
// source is asked, together with all others whose value was refused: at most once in
// ten seconds for one generation, and for any number of generations three times at
// once and then once in ten seconds. If that brings nothing new the error is Denied, or
// says why the source could not be asked: the refusal is the answer, and nobody
// retries in a loop against a service that is broken.
func (p *Presenter[T]) Rejected(ctx context.Context, generation uint64) (Lease[T], error) {
	if snap := p.c.snap.Load(); snap.presented > generation {
		if _, usable := p.c.presentable(snap); usable {
			return p.from(snap)
		}
	}
	failure := p.c.refetch(ctx, generation)
	snap := p.c.snap.Load()
	if _, usable := p.c.presentable(snap); usable && snap.presented > generation {
		p.c.reacted(generation, snap)
		return p.from(snap)
	}
	if failure != nil {
		if failure.cause != nil && ctx.Err() != nil {
			return Lease[T]{}, failure
		}
		why := Errorf(failure.Class, "refused, and asking its source again failed: %s", failure.Reason)
		why.cause = failure.cause
		return Lease[T]{}, why.about(p.c.cfg().Name)
	}
	return Lease[T]{}, Errorf(Denied, "refused, and the source has no other value").about(p.c.cfg().Name)
}

// Instead is Rejected, and where that has nothing newer the version before, for as long
// as its overlap lasts. It is what to retry with, once: a value that was stored a moment
// before the service took it over is refused, and the one before still works; of two
// users in turn the other one does.
func (p *Presenter[T]) Instead(ctx context.Context, generation uint64) (Lease[T], error) {
	lease, err := p.Rejected(ctx, generation)
	if err == nil || ctx.Err() != nil {
		return lease, err
	}
	snap := p.c.snap.Load()
	if snap.presented > generation {
		return Lease[T]{}, err
	}
	at := p.c.now()
	for i := range snap.live {
		v := &snap.live[i]
		if v.state == Previous && !v.until.passed(at) && !v.notAfter.passed(at) {
			if before, wrong := p.decoded(*v, v.shown.Load()); wrong == nil {
				return before, nil
			}
		}
	}
	return Lease[T]{}, err
}

// Revoked reports whether the value of a lease was revoked or disabled since, by an
// operator or by its store: what was opened with it should be closed.
func (p *Presenter[T]) Revoked(lease Lease[T]) bool {
	for _, v := range p.c.snap.Load().dead {
		if v.id == lease.VersionID && (v.state == Revoked || v.state == Disabled) {
			return true
		}
	}
	return false
}

// Standing is a version that may be presented.
type Standing[T any] struct {
	Lease[T]
	State       State // Current, or Previous while the overlap lasts
	Fingerprint string
}

// Standing returns every version that may be presented, without waiting: the current ones in the order of the source, then
// those before, the newest first. It is for who must tell versions apart, or open what was sealed for an earlier one;
// Acquire is for everybody else. A version that cannot be decoded is left out.
func (p *Presenter[T]) Standing() []Standing[T] {
	snap, at := p.c.snap.Load(), p.c.now()
	all := make([]Standing[T], 0, len(snap.live))
	for i := range snap.live {
		v := &snap.live[i]
		if v.state != Current && v.state != Previous || v.until.passed(at) || v.notAfter.passed(at) {
			continue
		}
		generation := v.shown.Load()
		if i == 0 && v.state == Current {
			generation = snap.presented
		}
		if lease, err := p.decoded(*v, generation); err == nil {
			all = append(all, Standing[T]{Lease: lease, State: v.state, Fingerprint: v.fingerprint})
		}
	}
	return all
}

// Name returns the name of the credential.
func (p *Presenter[T]) Name() string { return p.c.cfg().Name }

// Use does something with the current value. When refused says that do failed because
// of the value, do is called once more, with what Instead has. The error is that of do;
// when there was nothing to retry with, it wraps the reason as well.
func Use[T any](ctx context.Context, p *Presenter[T], do func(ctx context.Context, value T) error, refused func(error) bool) error {
	lease, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	if err = do(ctx, lease.Value); err == nil || !refused(err) {
		return err
	}
	next, why := p.Instead(ctx, lease.Generation)
	if why != nil {
		return fmt.Errorf("%w (%w)", err, why)
	}
	return do(ctx, next.Value)
}

// OnChange calls change after every change of the value that is presented, with
// the generation before and after; one call at a time, on the engine's goroutine, so
// it should return soon. Where there was or is nothing to present (at first, or after
// what was presented was revoked or deleted) the lease is zero, its Generation 0.
// The returned function ends it.
func (p *Presenter[T]) OnChange(change func(before, after Lease[T])) (end func()) {
	return p.c.listen(func(before, after *snapshot) {
		var then, now Lease[T]
		if _, has := after.current(); has {
			var err error
			if now, err = p.from(after); err != nil {
				return
			}
		}
		if v, had := before.current(); had {
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
		return Lease[T]{}, Errorf(Unavailable, "no current version").about(p.c.cfg().Name)
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
		lease.NotAfter = v.notAfter.wallTime()
	}
	value, err := p.decode(Material{Value: v.value, Fields: v.fields, VersionID: v.id, Generation: generation, NotAfter: lease.NotAfter})
	if err != nil {
		return Lease[T]{}, Errorf(Invalid, "%s", asError(err).Reason).about(p.c.cfg().Name)
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
	spent      float64 // of the bucket over all generations, at the time at
}

// allow reports whether a refused generation may cause a fetch, and if so notes it. A
// source that mints a new value for each fetch makes each refusal one of a new
// generation, so there is a bucket for all of them together, too.
func (r *refusal) allow(generation uint64, now time.Duration) bool {
	if r.set && r.generation == generation && now-r.at < refusedEvery {
		return false
	}
	spent := max(0, r.spent-float64(now-r.at)/float64(refusedEvery))
	if spent > refusedBurst-1 {
		return false
	}
	*r = refusal{generation: generation, at: now, set: true, spent: spent + 1}
	return true
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

// refetch asks the source because a generation was refused. It returns when a reading
// that began after the refusal has ended, or at once when none may begin now; its error
// is that of the latest reading.
func (c *Credential) refetch(ctx context.Context, generation uint64) *Error {
	if c.info().Immutable {
		return nil
	}
	for refusedAt := c.now().mono; ; {
		c.mu.Lock()
		f := c.flight
		if f == nil {
			read := c.fetched && c.lastStart >= refusedAt // all that was under way has landed
			rests := c.health.failures > 0 && c.now().mono < time.Duration(c.nextAt.Load())
			if read || rests || !c.refused.allow(generation, c.now().mono) {
				last := c.health.last
				c.mu.Unlock()
				return last
			}
			f = c.launch(minGap)
		}
		sees := !f.begun || c.lastStart >= refusedAt
		if sees { // whoever began it: what it brings is owed to the refusal
			c.refused.allow(generation, c.now().mono)
			f.refused = true // of no effect if it has begun
		}
		c.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return asError(ctx.Err()).about(c.cfg().Name)
		}
		if sees || c.snap.Load().presented > generation {
			return f.err
		}
	}
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
