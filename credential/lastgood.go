package credential

import (
	"context"
	"time"
)

// LastGood is a good reading of a credential, as it may be kept on disk for the next start. Of one that is only verified it holds
// digests, states and times, no value: whoever reads it learns which keys are accepted only if he has them. Of one that is presented it
// holds the values too, encrypted with Config.WrapKey.
type LastGood struct {
	Source   string            `json:"source"` // the places it came from; of another reference it is of no use
	Read     time.Time         `json:"read"`
	TTL      time.Duration     `json:"ttl"` // nanoseconds
	Salt     []byte            `json:"salt"`
	Versions []LastGoodVersion `json:"versions"`
	Wrapped  []byte            `json:"wrapped,omitempty"` // in place of Versions for what is presented: its versions with their values, encrypted
}

// LastGoodVersion is one version in a LastGood.
type LastGoodVersion struct {
	ID          string    `json:"id"`
	Fingerprint string    `json:"fingerprint"`
	Number      uint64    `json:"number,omitempty"`
	State       uint8     `json:"state"`
	Form        uint8     `json:"form,omitempty"`
	Digest      []byte    `json:"digest,omitempty"` // SHA-256 of the salt and the value, if that was known
	Rested      []byte    `json:"rested"`           // SHA-256 of the salt and the SHA-256 of the value
	Mark        []byte    `json:"mark"`             // HMAC-SHA256 of the SHA-256 of the value under the install key
	Created     time.Time `json:"created,omitzero"`
	Since       time.Time `json:"since"`
	NotBefore   time.Time `json:"notBefore,omitzero"` // with skew
	NotAfter    time.Time `json:"notAfter,omitzero"`  // with skew
	Until       time.Time `json:"until,omitzero"`
}

// A LastGoodStore keeps the latest good reading of each credential beyond the life of the process. It hands out nothing that it
// cannot prove to be what it was given last.
type LastGoodStore interface {
	// LoadLastGood returns what was saved for the credential, nil if nothing was, and an error when what is there must not be
	// believed.
	LoadLastGood(ctx context.Context, credential string) (*LastGood, error)
	// SaveLastGood replaces it. When it fails, what was saved before is not handed out any more, if that can be helped.
	SaveLastGood(ctx context.Context, credential string, reading LastGood) error
}

// keepEvery is how often a reading that changed nothing is saved, for its age.
const keepEvery = time.Minute

// remembered is a LastGood that may be used: it is not too old.
type remembered struct {
	set            *set
	read           instant
	fresh, trusted time.Duration
}

// remembers reports whether readings are kept: not what cannot change, and what is presented only when there is a key to encrypt its
// value with.
func (c *Credential) remembers() bool {
	cfg := c.cfg()
	return cfg.LastGood != nil && !c.info().Immutable && (!cfg.Present || cfg.WrapKey != nil)
}

// loadLastGood gets the last good reading ready. Whatever is wrong with it, it is a reading less and no failure.
func (c *Credential) loadLastGood(ctx context.Context) {
	if !c.remembers() {
		return
	}
	ignored := func(why string) {
		c.emit(Event{Kind: EventLint, Message: "the last good reading on disk is not used: " + why})
	}
	l, err := c.cfg().LastGood.LoadLastGood(ctx, c.cfg().Name)
	if err != nil {
		ignored(asError(err).Reason)
		return
	}
	if l == nil || l.Source != c.info().place() {
		return
	}
	at := c.now()
	elapsed := at.time().Sub(l.Read)
	r := &remembered{set: &set{}, fresh: max(min(c.lifetime(0), l.TTL), 2*minGap)}
	r.trusted = r.fresh + c.timing().staleMax
	switch {
	case elapsed < -skew:
		ignored("it was read in the future of this clock")
		return
	case elapsed > r.trusted && !c.cfg().Present: // as after any long stop; what is presented is good until it is refused, or ends
		return
	case len(l.Salt) != saltSize:
		ignored("it is incomplete")
		return
	}
	r.read = instant{mono: at.mono - max(elapsed, 0), wall: l.Read.UnixNano()}
	versions, err := c.remembered(ctx, l, at)
	if err != nil {
		ignored(asError(err).Reason)
		return
	}
	for _, v := range versions {
		switch v.state {
		case Current, Previous, Pending:
			r.set.live = append(r.set.live, v)
		default:
			r.set.dead = append(r.set.dead, v)
		}
	}
	copy(c.salt[:], l.Salt)
	c.lastGood = r
}

// remembered returns the versions in a reading.
func (c *Credential) remembered(ctx context.Context, l *LastGood, at instant) ([]version, error) {
	if c.cfg().Present {
		return c.unwrap(ctx, l.Wrapped, at)
	}
	versions := make([]version, len(l.Versions))
	for i := range l.Versions {
		v, ok := l.Versions[i].version(at)
		if !ok {
			return nil, Errorf(Invalid, "it is incomplete")
		}
		versions[i] = v
	}
	return versions, nil
}

func (l *LastGoodVersion) version(at instant) (version, bool) {
	v := version{id: l.ID, fingerprint: l.Fingerprint, number: l.Number, form: Form(l.Form), state: State(l.State), created: l.Created, since: l.Since, usage: &usage{}}
	complete := copy(v.rested[:], l.Rested) == len(v.rested) && (len(l.Digest) == 0 || copy(v.digest[:], l.Digest) == len(v.digest)) && copy(v.mark[:], l.Mark) == len(v.mark) && v.state <= Revoked && v.form <= Keyset
	for _, b := range []struct {
		to   *bound
		wall time.Time
	}{{&v.notBefore, l.NotBefore}, {&v.notAfter, l.NotAfter}, {&v.until, l.Until}} {
		*b.to = farBound(b.wall, 0, at)
	}
	return v, complete
}

// recall returns the remembered set as it is now: deadlines have passed, versions were revoked. c.mu is held.
func (c *Credential) recall(at instant) *set {
	now, _ := c.lastGood.set.end(Revoked, at, c.isRevoked())
	now, _ = now.settle(at)
	return now
}

// fallBack puts the remembered reading in place when the source does not answer at a cold start: its age counts
// from when it was read, and it is trusted no longer than if the process had never stopped. c.mu is held.
func (c *Credential) fallBack(at instant, failure *Error) []Event {
	snap := c.snap.Load()
	silent := failure.Class == Unavailable || failure.Class == Denied || failure.Class == Missing && c.cfg().OnMissing == Retain
	if snap.known || c.lastGood == nil || !silent {
		return nil
	}
	now, r := c.recall(at), c.lastGood
	c.lastGood = nil
	if c.cfg().Present && len(now.live) == 0 { // its lease has ended
		return nil
	}
	if err := c.cfg().Set.claim(c, now.live); err != nil {
		return []Event{{Kind: EventLint, Message: "the last good reading on disk is not used: " + asError(err).Reason}}
	}
	placed := snap.with(now, true)
	placed.known, placed.read, placed.fresh, placed.trusted = true, r.read, r.fresh, r.trusted
	c.snap.Store(placed)
	return []Event{{Kind: EventLastGood, Generation: placed.generation, Age: placed.age(at), Class: failure.Class}}
}

// trusts reports whether keys are accepted, or there is something to present, although the source did not answer.
func (c *Credential) trusts() bool {
	snap := c.snap.Load()
	if _, usable := c.presentable(snap); c.cfg().Present && usable {
		return true
	}
	condition := snap.condition(snap.age(c.now()))
	return len(snap.live) > 0 && (condition == Fresh || condition == Stale)
}

// keep saves what a fetch has led to, and what followed meanwhile. No lock is held: nobody waits for the disk.
func (c *Credential) keep(ended bool) {
	c.keeping.Lock()
	defer c.keeping.Unlock()
	c.mu.Lock()
	snap, place := c.snap.Load(), c.info().place()
	c.mu.Unlock()
	if !c.remembers() || !snap.known && !ended {
		return
	}
	if c.kept != nil && c.kept.generation == snap.generation && snap.read.since(c.kept.read) < keepEvery {
		return
	}
	reading := LastGood{Source: place, Read: snap.read.time().UTC(), TTL: snap.fresh, Salt: c.salt[:]}
	if !snap.known {
		reading.Read = c.now().time().UTC()
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.timing().fetchTimeout)
	defer cancel()
	var err error
	if c.cfg().Present {
		reading.Wrapped, err = c.wrap(ctx, snap)
	} else {
		for _, list := range [][]version{snap.live, snap.dead} {
			for i := range list {
				reading.Versions = append(reading.Versions, list[i].lastGood())
			}
		}
	}
	if err == nil {
		err = c.cfg().LastGood.SaveLastGood(ctx, c.cfg().Name, reading)
	}
	if err != nil && !c.unkept && c.ctx.Err() == nil {
		c.emit(Event{Kind: EventLint, Message: "the last good reading cannot be kept for the next start: " + asError(err).Reason})
	}
	if c.unkept = err != nil; err == nil {
		c.kept = snap
	}
}

func (v *version) lastGood() LastGoodVersion {
	l := LastGoodVersion{ID: v.id, Fingerprint: v.fingerprint, Number: v.number, Form: uint8(v.form), State: uint8(v.state), Rested: v.rested[:], Mark: v.mark[:],
		Created: v.created, Since: v.since.UTC(), NotBefore: v.notBefore.wallTime().UTC(), NotAfter: v.notAfter.wallTime().UTC(), Until: v.until.wallTime().UTC()}
	if v.digest != (digest{}) {
		l.Digest = v.digest[:]
	}
	return l
}
