package pubsub

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

const defaultQueue = 1024

// LocalConfig describes a Local; the zero value works.
type LocalConfig struct {
	// Node is the name that messages carry.
	Node string
	// Queue is how many messages wait for one subscriber at most: 1024 by default.
	Queue int
}

// Local is the bus of one process. An idle subscription costs no goroutine, and a
// message to a subject that nobody subscribed to costs a look into a map.
type Local struct {
	cfg  LocalConfig
	gaps gaps

	mu       sync.RWMutex
	closed   bool
	subjects map[string][]*subscription // a list is replaced, never changed
}

// NewLocal makes a bus of this process alone.
func NewLocal(cfg LocalConfig) *Local {
	if cfg.Queue <= 0 {
		cfg.Queue = defaultQueue
	}
	return &Local{cfg: cfg, subjects: make(map[string][]*subscription)}
}

var _ Bus = (*Local)(nil)

// Publish implements Bus.
func (l *Local) Publish(_ context.Context, subject string, data []byte) error {
	return l.Deliver(Message{Subject: subject, Data: data, Node: l.cfg.Node, Local: true})
}

// Deliver gives a message to the subscribers of this process: what a bus that stands on
// this one received from another node. It does not wait for them.
func (l *Local) Deliver(m Message) error {
	l.mu.RLock()
	list, closed := l.subjects[m.Subject], l.closed
	l.mu.RUnlock()
	if list == nil { // a subject that somebody subscribed to has been checked
		if err := CheckSubject(m.Subject); err != nil {
			return err
		}
	}
	if closed {
		return ErrClosed
	}
	for _, s := range list {
		s.push(m)
	}
	return nil
}

// Subscribe implements Bus.
func (l *Local) Subscribe(subject string, handler func(Message)) (Subscription, error) {
	if err := CheckSubject(subject); err != nil {
		return nil, err
	}
	s := &subscription{bus: l, subject: subject, handler: handler, limit: l.cfg.Queue}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	l.subjects[subject] = append(slices.Clone(l.subjects[subject]), s)
	return s, nil
}

// Subscribed reports whether the subject has a subscriber.
func (l *Local) Subscribed(subject string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.subjects[subject]) > 0
}

func (l *Local) leave(s *subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(l.subjects[s.subject]), func(other *subscription) bool { return other == s })
	if len(rest) == 0 {
		delete(l.subjects, s.subject)
	} else {
		l.subjects[s.subject] = rest
	}
}

// Gaps implements Bus.
func (l *Local) Gaps(missed func()) (end func()) { return l.gaps.listen(missed) }

// Gap tells all subscribers that they may have missed messages: what a bus that stands
// on this one noticed of the network.
func (l *Local) Gap() {
	l.mu.RLock()
	for _, list := range l.subjects {
		for _, s := range list {
			s.missed.Add(1)
		}
	}
	l.mu.RUnlock()
	l.gaps.tell()
}

// Close implements Bus.
func (l *Local) Close() error {
	l.mu.Lock()
	l.closed = true
	var all []*subscription
	for _, list := range l.subjects {
		all = append(all, list...)
	}
	l.mu.Unlock()
	for _, s := range all {
		s.Stop()
	}
	l.gaps.close()
	return nil
}

// subscription is a bounded queue and, while there is something in it, a goroutine.
type subscription struct {
	bus     *Local
	subject string
	handler func(Message)
	limit   int
	missed  atomic.Uint64

	mu      sync.Mutex
	queue   []Message
	full    bool          // since the last gap that was told
	running chan struct{} // closed when the goroutine ends; nil while there is none
	stopped bool
}

func (s *subscription) push(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
	case len(s.queue) >= s.limit:
		if !s.full { // one gap, however much is missed before there is room again
			s.full = true
			s.missed.Add(1)
			s.bus.gaps.tell()
		}
	default:
		s.full = false
		s.queue = append(s.queue, m)
		if s.running == nil {
			s.running = make(chan struct{})
			go s.run(s.running)
		}
	}
}

// run calls the handler for what is queued, and ends when nothing is.
func (s *subscription) run(done chan struct{}) {
	defer close(done)
	var batch []Message
	for {
		s.mu.Lock()
		clear(batch) // lets go of the data
		batch, s.queue = s.queue, batch[:0]
		if len(batch) == 0 || s.stopped {
			s.running = nil
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		for i := range batch {
			if i > 0 && s.ended() {
				break
			}
			s.handler(batch[i])
		}
	}
}

func (s *subscription) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// Gaps implements Subscription.
func (s *subscription) Gaps() uint64 { return s.missed.Load() }

// Stop implements Subscription.
func (s *subscription) Stop() {
	s.bus.leave(s)
	s.mu.Lock()
	s.stopped, s.queue = true, nil
	running := s.running
	s.mu.Unlock()
	if running != nil {
		<-running
	}
}

// gaps calls those who want to hear of gaps, on a goroutine that lives while there is
// something to tell.
type gaps struct {
	mu        sync.Mutex
	listeners []*gapListener
	closed    bool
}

type gapListener struct {
	call    func()
	again   bool
	ended   bool
	running chan struct{}
}

func (g *gaps) listen(call func()) (end func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := &gapListener{call: call, ended: g.closed}
	if !g.closed {
		g.listeners = append(g.listeners, l)
	}
	return func() { g.end(l) }
}

func (g *gaps) end(l *gapListener) {
	g.mu.Lock()
	l.ended = true
	g.listeners = slices.DeleteFunc(g.listeners, func(other *gapListener) bool { return other == l })
	running := l.running
	g.mu.Unlock()
	if running != nil {
		<-running
	}
}

func (g *gaps) tell() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.listeners {
		l.again = true
		if l.running == nil {
			l.running = make(chan struct{})
			go g.run(l, l.running)
		}
	}
}

func (g *gaps) run(l *gapListener, done chan struct{}) {
	defer close(done)
	for {
		g.mu.Lock()
		if !l.again || l.ended {
			l.running = nil
			g.mu.Unlock()
			return
		}
		l.again = false
		g.mu.Unlock()
		l.call()
	}
}

func (g *gaps) close() {
	g.mu.Lock()
	g.closed = true
	all := slices.Clone(g.listeners)
	g.mu.Unlock()
	for _, l := range all {
		g.end(l)
	}
}
