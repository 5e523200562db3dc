package messaging

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	viewWait  = 50 * time.Millisecond // for connections that are in the middle of something
	slowSpell = time.Minute           // how long a link that dropped messages is told of
	listed    = 8                     // links in one message
)

// sight is what was last seen of a link's connection. To look at one may take as long as it dials.
type sight struct {
	looking   bool
	connected bool
	trouble   error
	since     time.Time // of trouble
	dropped   uint64
	slow      time.Time // when messages were dropped last, as far as was seen
}

// Health is that of wasmcloud.Provider: which links do not work, why, and since when.
func (p *Provider) Health() error {
	p.mu.Lock()
	all := slices.Collect(maps.Values(p.links))
	problem, since := p.problem, p.since
	p.mu.Unlock()
	lookAt(all)
	var texts []string
	for _, l := range all {
		if text := l.health(); text != "" {
			texts = append(texts, text)
		}
	}
	slices.Sort(texts)
	if more := len(texts) - listed; more > 0 {
		texts = append(texts[:listed], fmt.Sprintf("and %d links more", more))
	}
	if problem != nil && len(all) == 0 {
		texts = append(texts, fmt.Sprintf("provider config: %v since %s", problem, stamp(since)))
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// lookAt looks at all links at once. Those that are in the middle of something are as they were seen before.
func lookAt(all []*link) {
	looks := make([]<-chan struct{}, 0, len(all))
	for _, l := range all {
		looks = append(looks, l.look())
	}
	limit := time.After(viewWait)
	for _, done := range looks {
		select {
		case <-done:
		case <-limit:
			return
		}
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// health is what is wrong with a link, "" if nothing is.
func (l *link) health() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var reason string
	since := l.seen.since
	switch {
	case l.problem != nil:
		reason, since = l.problem.Error(), l.since
	case l.seen.trouble != nil:
		reason = l.seen.trouble.Error()
	case l.wire.Load() == nil:
		reason, since = "not connected yet", l.seen.since
	case !l.seen.slow.IsZero() && time.Since(l.seen.slow) < slowSpell:
		return fmt.Sprintf("link %s: slow consumer: %d messages dropped, the last of them before %s", l.title, l.seen.dropped, stamp(l.seen.slow))
	default:
		return ""
	}
	if since.IsZero() {
		return fmt.Sprintf("link %s: %s", l.title, reason)
	}
	return fmt.Sprintf("link %s: %s since %s", l.title, reason, stamp(since))
}

// look has the connection looked at, in the background, and returns what is closed when that is done.
func (l *link) look() <-chan struct{} {
	done := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen.looking || l.ended {
		close(done)
		return done
	}
	l.seen.looking = true
	l.p.work.Go(func() { // ends when nats.go has dialled, at the latest
		defer close(done)
		l.see()
	})
	return done
}

func (l *link) see() {
	var connected bool
	var failed error
	if w := l.wire.Load(); w != nil {
		if err := w.conn.Health(); err != nil {
			failed = trouble(w.conn, err)
		}
		connected = w.conn.NATS().IsConnected()
	}
	_, dropped := l.waiting()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen.looking, l.seen.connected = false, connected
	if failed != nil && l.seen.trouble == nil {
		l.seen.since = time.Now()
	}
	l.seen.trouble = failed
	if dropped > l.seen.dropped {
		l.seen.dropped, l.seen.slow = dropped, time.Now()
	}
}
