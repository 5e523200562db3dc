package credential

import (
	"context"
	"sync"
	"time"
)

// insist lets the source speak before an answer that it might change: the cache
// is empty or expired, an on-demand source has rested, or the key is unknown
// because it was rotated a moment ago.
func (c *Credential) insist(ctx context.Context, d *Decision, presented string) {
	if c.timing().onDemand && d.Stale && d.Reason != ReasonExpired && !c.suspect.Load() {
		wait, cancel := context.WithTimeout(ctx, missWait)
		c.await(wait, false, minGap)
		cancel()
		c.decide(d, presented)
	}
	if d.Reason == ReasonExpired || d.Reason == ReasonEmpty && d.Generation == 0 {
		if !c.join(ctx) {
			return
		}
		c.decide(d, presented)
	}
	if d.Reason == ReasonUnknown && !c.cfg().NoMissRefresh {
		wait, cancel := context.WithTimeout(ctx, missWait)
		defer cancel()
		c.lookAgain(wait, d, presented)
	}
}

// join waits for the flight there is, or for a new one unless the source is being
// left alone after a failure.
func (c *Credential) join(ctx context.Context) bool {
	c.mu.Lock()
	f := c.flight
	if f == nil {
		if c.health.failures > 0 && c.now().mono < time.Duration(c.nextAt.Load()) {
			c.mu.Unlock()
			return false
		}
		f = c.launch(minGap)
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// lookAgain refreshes on an unknown key: one coalesced fetch, rate-limited, and
// not again for a key that the source did not know a moment ago. So a rotated key
// works at once on a node that has not noticed, and whoever tries random keys
// causes no more fetches than the bucket allows.
func (c *Credential) lookAgain(ctx context.Context, d *Decision, presented string) {
	sum := salted(&c.salt, presented)
	for {
		c.mu.Lock()
		at := c.now()
		f := c.flight
		under := f != nil && f.begun // it may have read before the key was stored
		if f == nil {
			if c.down(at) || !c.miss.allow(&sum, at.mono) {
				c.mu.Unlock()
				c.counters.missLimited.Add(1)
				return
			}
			c.counters.missFetches.Add(1)
			f = c.launch(minGap)
		}
		c.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return
		}
		if c.decide(d, presented); d.Reason != ReasonUnknown {
			return
		}
		if !under {
			if f.err == nil {
				c.miss.remember(&sum, c.now().mono, c.timing().negativeTTL)
			}
			return
		}
	}
}

// down reports whether the source is being left alone because it did not answer. One that answered, if only that the secret
// is missing or unusable, may be asked: a file that is removed and written anew is missing for a moment.
func (c *Credential) down(at instant) bool {
	if c.health.failures == 0 || at.mono >= time.Duration(c.nextAt.Load()) {
		return false
	}
	return c.health.last == nil || c.health.last.Class == Unavailable || c.health.last.Class == Denied
}

// missGuard limits the fetches that unknown keys cause.
type missGuard struct {
	mu     sync.Mutex
	spent  float64 // tokens taken from the bucket
	at     time.Duration
	until  map[digest]time.Duration // keys that the source did not know
	recent []digest                 // in the order of arrival; a ring once it is full
	next   int
}

// allow reports whether the key may cause a fetch, and if so takes a token.
func (g *missGuard) allow(sum *digest, now time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now < g.until[*sum] {
		return false
	}
	g.spent = max(0, g.spent-float64(now-g.at)/float64(missRefill))
	g.at = now
	if g.spent > missBurst-1 {
		return false
	}
	g.spent++
	return true
}

func (g *missGuard) remember(sum *digest, now, ttl time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.until == nil {
		g.until = make(map[digest]time.Duration)
	}
	if _, known := g.until[*sum]; !known {
		if len(g.recent) < missRemembered {
			g.recent = append(g.recent, *sum)
		} else {
			delete(g.until, g.recent[g.next])
			g.recent[g.next] = *sum
			g.next = (g.next + 1) % missRemembered
		}
	}
	g.until[*sum] = now + ttl
}
