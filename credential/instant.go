package credential

import "time"

// An instant is one moment on both clocks. Durations are measured on the one
// that says more: the monotonic clock stands still while a machine sleeps, the
// wall clock can be set back. So neither of the two can prolong trust.
type instant struct {
	mono time.Duration // since the credential was made
	wall int64         // Unix nanoseconds
}

func (c *Credential) now() instant {
	now := time.Now()
	at := instant{mono: now.Sub(c.epoch)}
	if c.cfg().Wall != nil {
		now = c.cfg().Wall()
	}
	at.wall = now.UnixNano()
	return at
}

func (at instant) since(earlier instant) time.Duration {
	return max(at.mono-earlier.mono, time.Duration(at.wall-earlier.wall))
}

func (at instant) time() time.Time { return time.Unix(0, at.wall) }

// A bound is a moment in the future after which something is over. It is given
// on the wall clock and pinned to the monotonic one when it is set, and passed
// as soon as either clock says so. The zero bound is never passed.
type bound struct {
	instant
	set bool
}

// boundAt returns the bound at the wall time, seen from the instant at.
func boundAt(wall time.Time, at instant) bound {
	nano := wall.UnixNano()
	left := time.Duration(nano - at.wall)
	return bound{set: true, instant: instant{mono: at.mono + left, wall: nano}}
}

func (b bound) passed(at instant) bool {
	return b.set && (at.mono >= b.mono || at.wall >= b.wall)
}

// left returns how long it is until b is passed on an undisturbed clock.
func (b bound) left(at instant) time.Duration {
	return min(b.mono-at.mono, time.Duration(b.wall-at.wall))
}

func earlier(a, b bound) bound {
	if !a.set || b.set && b.wall < a.wall {
		return b
	}
	return a
}

// wallTime returns the wall time of b, zero if it is not set.
func (b bound) wallTime() time.Time {
	if !b.set {
		return time.Time{}
	}
	return b.time()
}
