package messaging

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/parley-backend/parley/wasmcloud"
)

// counters count what a link did.
type counters struct {
	received, handled, retried, dropped atomic.Uint64
	failedBy                            [failureKinds]atomic.Uint64
	published, publishErrors            atomic.Uint64
	requested, requestErrors            atomic.Uint64
}

func (c *counters) failed(kind failureKind) { c.failedBy[kind].Add(1) }

func (c *counters) failures() (n uint64) {
	for i := range c.failedBy {
		n += c.failedBy[i].Load()
	}
	return n
}

// LinkStats are the numbers of one link since it was made.
type LinkStats struct {
	wasmcloud.Key
	Title     string // for people
	Connected bool

	Received uint64            // messages from NATS
	Handled  uint64            // … that the component has handled
	Failed   map[string]uint64 // … that it has not, by kind: error, not_running, timeout, failed
	Retried  uint64            // calls that were made again
	Dropped  uint64            // messages that came while too many waited
	InFlight int               // messages with the component now
	Pending  int               // messages that wait, those in flight not counted

	Published, PublishErrors uint64 // by the component
	Requested, RequestErrors uint64
}

// Stats returns the numbers of all links, in the order of their titles; after Drain what they were at the end.
func (p *Provider) Stats() []LinkStats {
	p.mu.Lock()
	all := append(slices.Collect(maps.Values(p.links)), p.drained...)
	p.mu.Unlock()
	lookAt(all)
	stats := make([]LinkStats, len(all))
	for i, l := range all {
		stats[i] = l.stats()
	}
	slices.SortFunc(stats, func(a, b LinkStats) int { return strings.Compare(a.Title, b.Title) })
	return stats
}

func (l *link) stats() LinkStats {
	c := &l.count
	s := LinkStats{
		Key: l.key, Title: l.title, Received: c.received.Load(), Handled: c.handled.Load(), Failed: make(map[string]uint64),
		Retried: c.retried.Load(), InFlight: l.gate.inside(),
		Published: c.published.Load(), PublishErrors: c.publishErrors.Load(), Requested: c.requested.Load(), RequestErrors: c.requestErrors.Load(),
	}
	for kind := range failureKinds {
		s.Failed[kind.String()] = c.failedBy[kind].Load()
	}
	var waiting int
	waiting, s.Dropped = l.waiting()
	s.Pending = max(0, waiting)
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Connected = l.seen.connected && !l.ended
	return s
}

// waiting is how many messages wait for the gate, and how many were dropped because too many did.
func (l *link) waiting() (pending int, dropped uint64) {
	dropped = l.count.dropped.Load()
	if subs := l.listened.Load(); subs != nil {
		for _, sub := range *subs {
			pending += sub.Pending()
			dropped += uint64(sub.Dropped())
		}
	}
	return pending, dropped
}
