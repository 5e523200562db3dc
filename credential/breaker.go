package credential

import (
	"context"
	"errors"
	"sync"
	"time"
)

// The numbers of an instance.
const (
	instanceFetches  = 4 // secrets that are read from it at a time
	instanceFailures = 3 // in a row, by two who asked at least, before it is left alone
)

// instances are the stores that the members of a Set read from, by Info.Instance.
type instances struct {
	mu  sync.Mutex
	all map[string]*instance
}

// instance is one store that several credentials read from. It bounds what they ask of it together: a few at a time, and while it
// does not answer one alone on behalf of all. A store that gives some secrets and not others is not down: what one credential alone
// fails to read is its own affair, and of those who wait, one that could be read goes first: its answer lets all in.
//
//	closed --(failures in a row, or the store's Retry-After)--> open
//	open   --(back-off is over)--> one attempt; those who come meanwhile wait for its result
//	open   --(any answer)--> closed
type instance struct {
	places chan struct{}

	mu       sync.Mutex
	failures int
	open     bool
	next     time.Time     // of the attempt, when open
	probe    chan struct{} // closed when the attempt under way has ended; nil if there is none
	last     *Error
	failed   map[*Credential]bool      // whose latest fetch failed
	waiting  map[*Credential]time.Time // when they come again
}

// instance returns the store of that name, nil for one that is not shared.
func (s *Set) instance(name string) *instance {
	if s == nil || name == "" {
		return nil
	}
	s.stores.mu.Lock()
	defer s.stores.mu.Unlock()
	in := s.stores.all[name]
	if in == nil {
		in = &instance{places: make(chan struct{}, instanceFetches), failed: make(map[*Credential]bool), waiting: make(map[*Credential]time.Time)}
		if s.stores.all == nil {
			s.stores.all = make(map[string]*instance)
		}
		s.stores.all[name] = in
	}
	return in
}

// forget is told that a credential is no more.
func (s *Set) forget(c *Credential) {
	s.stores.mu.Lock()
	defer s.stores.mu.Unlock()
	for _, in := range s.stores.all {
		in.mu.Lock()
		delete(in.failed, c)
		delete(in.waiting, c)
		in.mu.Unlock()
	}
}

// place waits until fewer than instanceFetches read from the store, and returns what gives the place back. The wait is not part of
// a fetch's time: that others read long is no failure of the store.
func (in *instance) place(ctx context.Context) (leave func()) {
	if in == nil {
		return func() {}
	}
	select {
	case in.places <- struct{}{}:
		return func() { <-in.places }
	case <-ctx.Done():
		return func() {}
	}
}

// asking goes with the context of a fetch to the source that is asked in the end, past a Chain.
type asking struct {
	set     *Set
	by      *Credential
	urgent  bool // an operator or the store itself asked for it: not to be held back
	refused bool // see Refused
}

type askingKey struct{}

func (a asking) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, askingKey{}, a)
}

// ask is Source.Fetch within the bounds of the source's instance.
func ask(ctx context.Context, s Source) (Payload, error) {
	a, _ := ctx.Value(askingKey{}).(asking)
	in := a.set.instance(s.Info().Instance)
	if _, several := s.(interface{ parts() []Source }); several || in == nil {
		return s.Fetch(ctx)
	}
	alone, err := in.enter(ctx, a)
	if err != nil {
		return Payload{}, err
	}
	var once sync.Once
	leave := func(err error) { once.Do(func() { in.leave(ctx, a.by, alone, err) }) }
	stop := context.AfterFunc(ctx, func() { leave(ctx.Err()) }) // a fetch that ignores its end keeps nobody waiting
	defer stop()
	defer func() { leave(Errorf(Unavailable, "the source panicked")) }()
	payload, err := s.Fetch(ctx)
	leave(err)
	return payload, err
}

// enter returns nil when the store may be asked; alone says that it is for all.
func (in *instance) enter(ctx context.Context, a asking) (alone bool, err error) {
	for {
		in.mu.Lock()
		left := time.Until(in.next)
		under := in.probe
		switch {
		case !in.open || a.urgent:
			in.mu.Unlock()
			return false, nil
		case under == nil && left <= 0 && in.yields(a.by):
			held := in.held(minGap)
			in.mu.Unlock()
			return false, held
		case under == nil && left <= 0:
			in.probe = make(chan struct{})
			delete(in.waiting, a.by)
			in.mu.Unlock()
			return true, nil
		case under == nil:
			held := in.held(left)
			in.waiting[a.by] = in.next
			in.mu.Unlock()
			return false, held
		}
		held := in.held(max(left, minGap))
		in.mu.Unlock()
		select {
		case <-under:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return false, ctx.Err()
			}
			return false, held
		}
	}
}

// doubt is how little it says of the store that this credential cannot be read from it: least when it could, and more when it was never
// asked for than when it could not. in.mu is held.
func (in *instance) doubt(by *Credential) int {
	switch {
	case in.failed[by]:
		return 2
	case !by.snap.Load().known:
		return 1
	}
	return 0
}

// yields reports whether another one is to make the attempt that is due, whose answer says more. Who does not come within the minimum
// gap does not count. in.mu is held.
func (in *instance) yields(by *Credential) bool {
	mine := in.doubt(by)
	for other, comes := range in.waiting {
		switch {
		case time.Since(comes) >= minGap:
			delete(in.waiting, other)
		case in.doubt(other) < mine:
			return true
		}
	}
	return false
}

// held is the error of a fetch that was not made, with the time to make it.
func (in *instance) held(left time.Duration) *Error {
	return &Error{Class: Unavailable, Reason: "left alone until it answers again: " + in.last.Reason, RetryAfter: left, held: true}
}

// leave takes in how a fetch went.
func (in *instance) leave(ctx context.Context, by *Credential, alone bool, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if alone {
		close(in.probe)
		in.probe = nil
	}
	if err == nil || asError(err).Class != Unavailable {
		in.failures, in.open = 0, false
		delete(in.failed, by)
		clear(in.waiting)
		return
	}
	if errors.Is(ctx.Err(), context.Canceled) { // stopping is not a failure of the store
		return
	}
	failure := asError(err)
	in.failed[by] = true
	if in.open && !alone && failure.RetryAfter == 0 { // began before, or was urgent: says nothing new
		return
	}
	in.failures++
	in.last = failure
	if in.failures >= instanceFailures && len(in.failed) > 1 || failure.RetryAfter > 0 {
		in.open = true
		in.next = time.Now().Add(backOff(in.failures, retryCap, failure.RetryAfter))
	}
}
