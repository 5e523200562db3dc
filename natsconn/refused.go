package natsconn

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// refusals is what run knows of subscriptions that the server refuses: at a reconnect, or while a connection lasts, when the
// permissions of the account change.
type refusals struct {
	of   *link
	wait time.Duration // until they are tried again, doubling
	at   time.Time     // when; zero while nothing is refused
}

const named = 3 // subjects in one message

// review does without the queue groups that the server refuses, and tries what it refuses altogether again from time to time. It
// returns how long nothing else is to be done. Of what OnConn subscribed it only tells: that comes back with the next connect.
func (c *Conn) review(before *refusals) time.Duration {
	const idle = time.Hour
	c.interests.Lock()
	defer c.interests.Unlock()
	c.mu.RLock()
	l := c.link
	c.mu.RUnlock()
	if !l.nc.IsConnected() {
		return idle
	}
	if before.of != l {
		*before = refusals{of: l}
	}
	now := time.Now()
	if !before.at.IsZero() && !before.at.After(now) {
		c.retry(l)
		before.at = time.Time{}
	}
	var subjects []string
	for s := range c.subs {
		refused := s.on[l] == nil || l.refuses(s)
		if refused && s.on[l] != nil && s.queue == "" && !s.plain {
			refused = s.without(l) != nil
		}
		s.refused.Store(refused)
		if refused {
			subjects = append(subjects, fmt.Sprintf("%q", s.subject))
		}
	}
	c.lack(l, subjects)
	switch {
	case len(subjects) == 0:
		*before = refusals{of: l}
		return idle
	case before.at.IsZero():
		before.wait = min(max(againFirst, 2*before.wait), againLast)
		before.at = now.Add(before.wait)
	}
	return time.Until(before.at)
}

// retry subscribes again to what is refused, at first with the queue groups that make hand-overs exact.
func (c *Conn) retry(l *link) {
	for s := range c.subs {
		if !s.refused.Load() {
			continue
		}
		if on := s.on[l]; on != nil {
			_ = on.Unsubscribe() // the server does not have it
			delete(s.on, l)
		}
		l.forget(s)
		s.plain = s.never
		_ = s.attach(l) // fails only where the connection is closed
	}
	_ = l.confirm(c.ctx) // where it fails, so has the connection
}

// lack has Health tell of what is refused, and the log.
func (c *Conn) lack(l *link, subjects []string) {
	others := c.others(l)
	for _, what := range others {
		c.warn("the NATS login may not subscribe", "subject", what)
	}
	if c.cfg.OnConn != nil {
		subjects = append(subjects, others...)
	}
	var lacking error
	if len(subjects) > 0 {
		slices.Sort(subjects)
		text := strings.Join(subjects[:min(named, len(subjects))], ", ")
		if more := len(subjects) - named; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		c.warn("the NATS login may not subscribe", "subject", text)
		lacking = refusedBy(nats.ErrPermissionViolation, "the login may not subscribe to "+text)
	}
	c.state.Lock()
	defer c.state.Unlock()
	c.lacking = lacking
}
