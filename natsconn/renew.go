package natsconn

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/parley-backend/parley/credential"
)

const (
	askWait    = 10 * time.Second // for the source to supply another login
	warnGap    = time.Minute      // between two warnings that there is no other login
	againFirst = time.Second      // after a hand-over that failed, doubling
	againLast  = 30 * time.Second
)

// run connects anew when there is a reason to.
func (c *Conn) run() {
	if c.cfg.Credential != nil {
		end := c.cfg.Credential.OnChange(func(_, _ credential.Lease[Login]) { c.changed() })
		defer end()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var renew plan
	var refused refusals
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.wake:
		case <-timer.C:
		}
		wait := c.review(&refused)
		if c.cfg.Credential != nil {
			if c.refused.Swap(false) {
				c.replace("refused")
			}
			wait = min(wait, c.step(&renew))
		}
		timer.Reset(wait)
	}
}

// plan is when to replace the login of one generation before it ends.
type plan struct {
	generation uint64
	since      time.Time
	at         time.Time // zero: it does not end
}

// step does what is due and returns how long nothing else will be.
func (c *Conn) step(renew *plan) time.Duration {
	wait := time.Hour
	now := time.Now()
	c.state.Lock()
	again := c.again
	if !again.IsZero() && !again.After(now) {
		c.again = time.Time{}
	}
	c.state.Unlock()
	if !again.IsZero() {
		if left := again.Sub(now); left > 0 {
			wait = left
		} else if next := c.reconnect("changed"); next > 0 {
			wait = next
		}
	}
	c.mu.RLock()
	l := c.link
	c.mu.RUnlock()
	using, since := l.login()
	if since.IsZero() || using.Value.Expires.IsZero() {
		return wait
	}
	if renew.generation != using.Generation || !renew.since.Equal(since) {
		*renew = plan{generation: using.Generation, since: since, at: using.Value.due(rand.Float64())}
	}
	if left := time.Until(renew.at); left > 0 {
		return min(wait, left)
	}
	c.replace("ending")
	// If the source had something newer, the next connect plans anew. If not, it is asked
	// again; and once the login has ended the server says so, which is a refusal.
	renew.at = time.Now().Add(max(time.Second, time.Until(using.Value.Expires)/4))
	return min(wait, time.Until(renew.at))
}

// changed is told of a newer generation.
func (c *Conn) changed() {
	c.mu.RLock()
	l := c.link
	c.mu.RUnlock()
	at := time.Now()
	if _, since := l.login(); !since.IsZero() { // what works may go on for a moment
		at = at.Add(time.Duration(rand.Float64() * float64(c.cfg.Spread)))
	}
	c.state.Lock()
	c.backoff = 0
	if c.again.IsZero() || at.Before(c.again) {
		c.again = at
	}
	c.state.Unlock()
	c.kick()
}

// replace asks for another login in the place of the one in use, and connects with it.
func (c *Conn) replace(why string) {
	c.mu.RLock()
	using, _ := c.link.login()
	c.mu.RUnlock()
	ctx, cancel := context.WithTimeout(c.ctx, askWait)
	defer cancel()
	if what := using.Value.untimely(time.Now()); what != "" && time.Since(c.told) > warnGap {
		c.told = time.Now()
		c.cfg.Log.Warn("the NATS login that was shown "+what, "event", "nats_login", "version", using.VersionID, "generation", using.Generation)
	}
	if _, err := c.cfg.Credential.Rejected(ctx, using.Generation); err != nil {
		c.warn("the NATS login is "+why+" and there is no other", "reason", why, "generation", using.Generation, "error", err.Error())
		return
	}
	c.reconnect(why)
}

// warn warns, but of all that is tried again every few seconds only once in a minute.
func (c *Conn) warn(message string, args ...any) {
	if c.ctx.Err() != nil {
		return
	}
	level := slog.LevelDebug
	if time.Since(c.warned) > warnGap {
		level, c.warned = slog.LevelWarn, time.Now()
	}
	c.cfg.Log.Log(c.ctx, level, message, append([]any{"event", "nats_login"}, args...)...)
}

// reconnect takes the newest generation into use unless it is already: by a hand-over
// while the connection works, by another attempt while it does not. It returns when to
// try again, 0 for not.
func (c *Conn) reconnect(why string) time.Duration {
	ctx, cancel := context.WithTimeout(c.ctx, acquireWait)
	defer cancel()
	lease, err := c.cfg.Credential.Acquire(ctx)
	c.mu.RLock()
	l := c.link
	c.mu.RUnlock()
	using, since := l.login()
	if err != nil || using.Generation == lease.Generation && !since.IsZero() {
		return 0
	}
	c.cfg.Log.Info("connecting to NATS with a new login", "event", "nats_login", "reason", why, "version", lease.VersionID, "generation", lease.Generation)
	if !l.nc.IsConnected() {
		c.inPlace(l)
		return 0
	}
	switch err = c.handOver(why); {
	case err == nil:
		return 0
	case errors.Is(err, errInPlace):
		c.inPlace(l)
		return 0
	}
	c.warn("the NATS login cannot be taken over yet, the one before stays in use", "reason", why, "generation", lease.Generation, "error", err.Error())
	return c.later(lease.Generation, err)
}

// later plans another attempt after a hand-over that failed.
func (c *Conn) later(generation uint64, err error) time.Duration {
	c.state.Lock()
	defer c.state.Unlock()
	if lacking := (*unfit)(nil); errors.As(err, &lacking) { // a connection that is lost is made again with the one before
		c.bad = generation
	}
	what := "the newest login is not in use"
	if refusal(err) {
		what = "the newest login is refused"
	}
	c.trouble = refusedBy(err, what)
	c.backoff = min(max(againFirst, 2*c.backoff), againLast)
	wait := c.backoff/2 + time.Duration(rand.Int64N(int64(c.backoff/2)))
	if at := time.Now().Add(wait); c.again.IsZero() || at.Before(c.again) {
		c.again = at
	}
	return wait
}
