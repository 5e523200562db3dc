package credential

import (
	"context"
	"time"
)

// A Verifier answers whether a presented value is a credential. It is the face of
// a Credential that a server's request path sees.
type Verifier interface {
	// Verify answers from memory, in constant time, without I/O, locks or
	// allocation.
	Verify(presented string) Decision
	// VerifyContext answers like Verify, and where that would be "unknown" or
	// "undecided" first asks the source once, together with everyone else
	// who wants to know, within the limits of Config.
	VerifyContext(ctx context.Context, presented string) Decision
}

// Verdict is one of three answers.
type Verdict uint8

// The verdicts. The zero value is not Accept.
const (
	// Undecided: there is no material that may be trusted. Answer 503 with
	// Retry-After, never 401 or 403, and never accept.
	Undecided Verdict = iota
	Reject
	Accept
)

var verdictNames = [...]string{Undecided: "undecided", Reject: "reject", Accept: "accept"}

// String returns "undecided", "reject" or "accept".
func (v Verdict) String() string { return verdictNames[v] }

// MarshalText returns the name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Reason says why.
type Reason uint8

// The reasons.
const (
	ReasonMatch      Reason = iota // accepted
	ReasonAbsent                   // nothing was presented, or white space
	ReasonUnknown                  // not a value of this credential
	ReasonPending                  // a version whose time has not come
	ReasonRetired                  // a version whose deadline has passed
	ReasonDisabled                 // a version that the store disabled or deleted
	ReasonRevoked                  // a revoked version
	ReasonEmpty                    // undecided: there is no live version
	ReasonExpired                  // undecided: the latest good reading is too old
	ReasonUnassigned               // there is no such credential (any more)
	reasons
)

var reasonNames = [reasons]string{"match", "absent", "unknown", "pending", "retired", "disabled", "revoked", "empty", "expired", "unassigned"}

// String returns the name used in logs and metric labels.
func (r Reason) String() string { return reasonNames[r] }

// MarshalText returns the name.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Decision is the answer of a Verifier and all that an audit needs to know of it.
type Decision struct {
	Verdict    Verdict
	Reason     Reason
	Credential string
	VersionID  string // of the matching version, "" if none matches
	State      State  // of that version
	Generation uint64
	Age        time.Duration // of the reading that the answer relies on
	Stale      bool          // older than its time to live
	RetryAfter time.Duration // when Undecided: until the next attempt
}

// OK reports whether the presented value is accepted.
func (d Decision) OK() bool { return d.Verdict == Accept }

// Verify implements Verifier. A nil *Credential rejects everything.
func (c *Credential) Verify(presented string) Decision {
	if c == nil {
		return Decision{Verdict: Reject, Reason: ReasonUnassigned}
	}
	var d Decision
	c.decide(&d, presented)
	c.counters.decided[d.Reason].Add(1)
	return d
}

// VerifyContext implements Verifier. It returns at once unless the source might
// know better: a caller without a key never waits.
func (c *Credential) VerifyContext(ctx context.Context, presented string) Decision {
	if c == nil {
		return Decision{Verdict: Reject, Reason: ReasonUnassigned}
	}
	var d Decision
	c.decide(&d, presented)
	if d.Reason != ReasonAbsent && !c.info().Immutable && len(presented) <= maxValue {
		c.insist(ctx, &d, presented)
	}
	c.counters.decided[d.Reason].Add(1)
	return d
}

// decide looks the presented value up in the snapshot.
func (c *Credential) decide(d *Decision, presented string) {
	snap := c.snap.Load()
	*d = Decision{Credential: c.cfg().Name, Generation: snap.generation}
	if blank(presented) {
		d.Verdict, d.Reason = Reject, ReasonAbsent
		return
	}
	if len(presented) > maxValue { // longer than any value can be
		d.Verdict, d.Reason = Reject, ReasonUnknown
		return
	}
	at := c.now()
	c.used(at)
	d.Age = snap.age(at)
	condition := snap.condition(d.Age)
	d.Stale = condition >= Stale
	if d.Stale && c.resting.Load() {
		condition = Expired // nobody looked since: only VerifyContext, which asks, may accept
	}
	if d.Stale && time.Duration(at.wall-snap.read.wall)-(at.mono-snap.read.mono) > time.Second && !snap.jumped.Swap(true) {
		c.kick() // the loop sleeps by the other clock
	}
	sum := snap.sum(&c.salt, presented)
	v, live := snap.match(&sum)
	if live {
		d.VersionID, d.State = v.id, v.state
		c.judge(d, v, at, condition)
		return
	}
	if v != nil {
		d.VersionID, d.State = v.id, v.state
		d.Verdict, d.Reason = Reject, deadReasons[v.state]
		c.mark(v, at)
		return
	}
	switch {
	case snap.withdrawn:
		d.Verdict, d.Reason = Reject, ReasonUnassigned
	case condition == Expired:
		d.Verdict, d.Reason, d.RetryAfter = Undecided, ReasonExpired, c.retryIn(at)
	case len(snap.live) == 0:
		d.Verdict, d.Reason, d.RetryAfter = Undecided, ReasonEmpty, c.retryIn(at)
	default:
		d.Verdict, d.Reason = Reject, ReasonUnknown
	}
}

var deadReasons = [...]Reason{Retired: ReasonRetired, Disabled: ReasonDisabled, Revoked: ReasonRevoked}

// judge decides on a live version whose bytes were presented.
func (c *Credential) judge(d *Decision, v *version, at instant, condition Condition) {
	switch {
	case v.until.passed(at) || v.notAfter.passed(at):
		d.Verdict, d.Reason, d.State = Reject, ReasonRetired, Retired
		c.kick() // the loop has not filed it yet
	case v.state == Pending && !v.notBefore.passed(at):
		d.Verdict, d.Reason = Reject, ReasonPending
	case condition == Expired:
		d.Verdict, d.Reason, d.RetryAfter = Undecided, ReasonExpired, c.retryIn(at)
	default:
		d.Verdict, d.Reason = Accept, ReasonMatch
		if v.state == Pending {
			d.State = Current // its time has come; the loop has not filed it yet
		}
		v.uses.Add(1)
		if second := uint64(at.wall) / uint64(time.Second); v.last.Load() != second {
			v.last.Store(second)
		}
		if v.state == Previous {
			c.counters.acceptedPrev.Add(1)
			c.mark(v, at)
		}
	}
}

// mark has the loop tell, now and then, that a version is still presented.
func (c *Credential) mark(v *version, at instant) {
	warned := v.warned.Load()
	now := int64(at.mono/time.Second) + 1
	if (warned == 0 || now-warned >= int64(previousWarning/time.Second)) && v.warned.CompareAndSwap(warned, now) {
		v.unannounced.Store(true)
		c.kick()
	}
}

// used remembers that an on-demand source is in use, and wakes it.
func (c *Credential) used(at instant) {
	if !c.timing().onDemand {
		return
	}
	if last := time.Duration(c.lastUse.Load()); at.mono-last > minGap/4 {
		c.lastUse.Store(int64(at.mono))
	}
	if c.resting.Load() {
		c.kick()
	}
}

func (c *Credential) retryIn(at instant) time.Duration {
	return max(time.Second, time.Duration(c.nextAt.Load())-at.mono)
}

// blank reports whether a presented value is empty or white space. Nothing such
// ever equals a secret, whatever a source yields.
func blank(presented string) bool {
	for i := range len(presented) {
		switch presented[i] {
		case ' ', '\t', '\n', '\r', '\v', '\f', 0:
		default:
			return false
		}
	}
	return true
}
