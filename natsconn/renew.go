package natsconn

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/parley-backend/parley/credential"
)

// run connects anew when there is a reason to.
func (c *Conn) run() {
	if c.cfg.Credential == nil {
		return
	}
	end := c.cfg.Credential.OnChange(func(_, _ credential.Lease[Login]) { c.changed() })
	defer end()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var renew plan
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.wake:
		case <-timer.C:
		}
		if c.refused.Swap(false) {
			c.replace("refused")
		}
		timer.Reset(c.step(&renew))
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
	c.mu.Lock()
	using, since, again := c.using, c.since, c.again
	c.mu.Unlock()
	now := time.Now()
	wait := time.Hour
	if !again.IsZero() {
		if left := again.Sub(now); left > 0 {
			wait = left
		} else {
			c.mu.Lock()
			c.again = time.Time{}
			c.mu.Unlock()
			c.reconnect("changed")
		}
	}
	if since.IsZero() || using.Value.Expires.IsZero() {
		return wait
	}
	if renew.generation != using.Generation || !renew.since.Equal(since) {
		margin, jitter := renewal(using.Value.Expires.Sub(using.Value.Issued))
		at := using.Value.Expires.Add(-margin - time.Duration(rand.Float64()*float64(jitter)))
		*renew = plan{generation: using.Generation, since: since, at: at}
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
	c.mu.Lock()
	if c.again.IsZero() {
		c.again = time.Now()
		if !c.since.IsZero() { // what works may go on for a moment
			c.again = c.again.Add(time.Duration(rand.Float64() * float64(spread)))
		}
	}
	c.mu.Unlock()
	c.kick()
}

// replace asks for another login in the place of the one in use, and connects with it.
func (c *Conn) replace(why string) {
	c.mu.Lock()
	generation := c.using.Generation
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.ctx, askWait)
	defer cancel()
	if _, err := c.cfg.Credential.Rejected(ctx, generation); err != nil {
		if c.ctx.Err() == nil {
			level := slog.LevelDebug // it is asked again every few seconds
			if time.Since(c.warned) > warnGap {
				level, c.warned = slog.LevelWarn, time.Now()
			}
			c.cfg.Log.Log(c.ctx, level, "the NATS login is "+why+" and there is no other", "event", "nats_login", "reason", why, "generation", generation, "error", err.Error())
		}
		return
	}
	c.reconnect(why)
}

// reconnect connects anew unless the newest generation is in use already.
func (c *Conn) reconnect(why string) {
	ctx, cancel := context.WithTimeout(c.ctx, acquireWait)
	defer cancel()
	lease, err := c.cfg.Credential.Acquire(ctx)
	c.mu.Lock()
	current := c.using.Generation == lease.Generation && !c.since.IsZero()
	c.mu.Unlock()
	if err != nil || current {
		return
	}
	c.cfg.Log.Info("connecting to NATS with a new login", "event", "nats_login", "reason", why, "version", lease.VersionID, "generation", lease.Generation)
	_ = c.conn.ForceReconnect() // fails only when closed
}
