// Package credentialtest is for testing with credentials: a source that does what a
// script says, a wall clock that jumps, an observer that remembers, and the suite
// that every source passes.
package credentialtest

import (
	"context"
	"sync"
	"time"

	"github.com/parley-backend/parley/credential"
)

// Source is a credential.Watcher that answers as told and counts. It is made by New;
// its methods may be called at any time from any goroutine.
type Source struct {
	info credential.Info

	mu       sync.Mutex
	versions []plain
	ttl      time.Duration
	err      error
	panics   any
	delay    time.Duration
	hang     chan struct{}
	fetches  int
	active   int
	highest  int
	watchers map[int]func(credential.Notice)
	watched  int
	times    []time.Time
	changes  int // of the answer
	read     int // changes at the latest fetch
}

// plain is a Version whose values are copied for each fetch, because the engine
// wipes what it is given.
type plain struct {
	credential.Version
	value  credential.Secret
	fields map[string]credential.Secret
}

// New makes a source that yields value as its current version. The info says what it
// is, and is complete without a location.
func New(info credential.Info, value string) *Source {
	if info.Scheme == "" {
		info.Scheme = "test"
	}
	s := &Source{info: info, watchers: make(map[int]func(credential.Notice))}
	s.Set(value)
	return s
}

// Set makes value the only version, without an id.
func (s *Source) Set(value string) {
	s.SetVersions(credential.Version{Value: credential.NewSecret(value)})
}

// SetVersions sets the whole answer and ends a failure.
func (s *Source) SetVersions(versions ...credential.Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	s.versions, s.err, s.panics = nil, nil, nil
	for _, v := range versions {
		p := plain{Version: v, value: credential.NewSecret(v.Value.Reveal())}
		for name, field := range v.Fields {
			if p.fields == nil {
				p.fields = make(map[string]credential.Secret)
			}
			p.fields[name] = credential.NewSecret(field.Reveal())
		}
		s.versions = append(s.versions, p)
	}
}

// SetTTL sets the hint of the answers.
func (s *Source) SetTTL(ttl time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ttl = ttl
}

// Fail makes fetches fail with err, until Set or Fail(nil).
func (s *Source) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Panic makes fetches panic with value, until Set.
func (s *Source) Panic(value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.panics = value
}

// Delay makes fetches take so long, or until their context ends. The answer is
// chosen before the delay: what is set meanwhile is not seen.
func (s *Source) Delay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// Hang makes fetches that begin from now on ignore their context and stay until the
// returned function is called.
func (s *Source) Hang() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hang := make(chan struct{})
	s.hang = hang
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hang = nil
		close(hang)
	})
}

// Notify tells those who watch.
func (s *Source) Notify(n credential.Notice) {
	s.mu.Lock()
	var all []func(credential.Notice)
	for _, changed := range s.watchers {
		all = append(all, changed)
	}
	s.mu.Unlock()
	for _, changed := range all {
		changed(n)
	}
}

// Fetches returns how many fetches have begun.
func (s *Source) Fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

// Times returns when they began.
func (s *Source) Times() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.times...)
}

// Concurrent returns the largest number of fetches that ran at one time.
func (s *Source) Concurrent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.highest
}

// Info implements credential.Source.
func (s *Source) Info() credential.Info { return s.info }

// Fetch implements credential.Source.
func (s *Source) Fetch(ctx context.Context) (credential.Payload, error) {
	s.mu.Lock()
	s.fetches++
	s.read = s.changes
	s.times = append(s.times, time.Now())
	s.active++
	s.highest = max(s.highest, s.active)
	err, delay, hang, panics := s.err, s.delay, s.hang, s.panics
	payload := credential.Payload{TTL: s.ttl}
	for _, p := range s.versions {
		v := p.Version
		v.Value = credential.NewSecret(p.value.Reveal())
		if p.fields != nil {
			v.Fields = make(map[string]credential.Secret)
			for name, field := range p.fields {
				v.Fields[name] = credential.NewSecret(field.Reveal())
			}
		}
		payload.Versions = append(payload.Versions, v)
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.active--
	}()
	if hang != nil {
		<-hang
	}
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return credential.Payload{}, ctx.Err()
		}
	}
	if panics != nil {
		panic(panics)
	}
	if err != nil {
		return credential.Payload{}, err
	}
	return payload, ctx.Err()
}

// Watch implements credential.Watcher.
func (s *Source) Watch(ctx context.Context, changed func(credential.Notice)) error {
	s.mu.Lock()
	id := s.watched
	s.watched++
	s.watchers[id] = changed
	unread := s.fetches > 0 && s.read != s.changes
	s.mu.Unlock()
	if unread {
		changed(credential.Notice{})
	}
	<-ctx.Done()
	s.mu.Lock()
	delete(s.watchers, id)
	s.mu.Unlock()
	return nil
}

// Clock is a wall clock that can be moved against the monotonic one. The zero Clock
// is right.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration
}

// Now returns the time on the clock; pass it as credential.Config.Wall.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

// Step moves the clock by d, also backwards.
func (c *Clock) Step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// Recorder is a credential.Observer that remembers. The zero Recorder is ready.
type Recorder struct {
	mu     sync.Mutex
	events []credential.Event
}

// Observe implements credential.Observer.
func (r *Recorder) Observe(e credential.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Events returns what was observed.
func (r *Recorder) Events() []credential.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]credential.Event(nil), r.events...)
}

// Count returns how many events of the kind were observed.
func (r *Recorder) Count(kind credential.EventKind) int {
	n := 0
	for _, e := range r.Events() {
		if e.Kind == kind {
			n++
		}
	}
	return n
}
