package credential

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Credential owns one secret and its versions: it fetches, validates, caches,
// refreshes, rotates and revokes them, and answers whether a presented value is
// one of them. It lives outside all request state; one goroutine keeps it fresh,
// and any number of goroutines read from its snapshot without a lock.
type Credential struct {
	terms      atomic.Pointer[terms]
	installKey Secret
	salt       [saltSize]byte
	epoch      time.Time

	snap     atomic.Pointer[snapshot]
	suspect  atomic.Bool  // the latest attempt failed
	nextAt   atomic.Int64 // instant.mono of the next attempt, 0 if none is planned
	lastUse  atomic.Int64 // instant.mono of the latest verification, for on-demand sources
	resting  atomic.Bool  // an on-demand source is not asked because nobody asks us
	counters counters
	miss     missGuard

	wake   chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu        sync.Mutex // guards what follows, and every replacement of snap
	state     lifecycle
	health    health
	fallback  string        // the place that supplied the set, when it is not the first of a Chain
	ttl       time.Duration // with the store's hint
	hint      time.Duration
	source    uint64    // grows when Replace brings another source
	replaced  time.Time // when it did, until the new source has answered
	dunned    bool      // EventOverdue was told …
	dunnedAt  time.Duration
	looping   bool
	endWatch  context.CancelFunc
	flight    *flight
	again     bool          // fetch once more after the flight: something changed meanwhile
	told      bool          // peers caused the flight: they know what it will find
	lastStart time.Duration // instant.mono of the latest fetch, valid if fetched
	fetched   bool
	lastFetch time.Time
	lastTook  time.Duration
	hung      *call // the fetch that was abandoned and has not returned
	wanted    uint64
	wantTries int
	refused   refusal
	revoked   []Tombstone
	listeners []*listener
	notify    sync.Mutex  // serialises listeners
	rotating  sync.Mutex  // held while a new value is written
	lastGood  *remembered // of an earlier process, until the first answer of this one
	leftOut   []string    // of the latest reading, and why

	keeping sync.Mutex // guards what follows
	kept    *snapshot  // was saved last
	unkept  bool       // … or could not be saved, which was told
}

type lifecycle uint8

const (
	made lifecycle = iota
	running
	stopped
)

// New makes a credential. It reads an Immutable source at once, and does no other
// I/O: that is Start's part. A credential in a Set leaves it again if New fails.
func New(cfg Config) (*Credential, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Role == "" {
		cfg.Role = cfg.Name
	}
	c := &Credential{installKey: cfg.InstallKey, epoch: time.Now(), wake: make(chan struct{}, 1)}
	c.terms.Store(cfg.terms())
	c.ttl = c.timing().ttl
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if c.installKey.Len() == 0 {
		random := make([]byte, 32)
		_, _ = rand.Read(random) // never fails
		c.installKey = NewSecret(random)
	}
	_, _ = rand.Read(c.salt[:])
	c.snap.Store(newSnapshot(&set{}, 0))
	ctx, cancel := context.WithTimeout(c.ctx, c.timing().fetchTimeout)
	defer cancel()
	if err := c.load(ctx); err != nil {
		c.cancel()
		return nil, err
	}
	if err := cfg.Set.join(c); err != nil { // from here on others find it, and tell it what is revoked
		c.cancel()
		return nil, err
	}
	if err := c.prepare(ctx); err != nil {
		c.cancel()
		cfg.Set.leave(c)
		return nil, err
	}
	return c, nil
}

// load reads what an earlier process has left.
func (c *Credential) load(ctx context.Context) error {
	if err := c.loadRevoked(ctx); err != nil {
		return err
	}
	c.loadLastGood(ctx)
	return nil
}

// prepare reads an immutable source.
func (c *Credential) prepare(ctx context.Context) error {
	for _, warning := range c.lint() {
		c.emit(Event{Kind: EventLint, Message: warning})
	}
	if !c.info().Immutable {
		return nil
	}
	c.counters.fetches.Add(1)
	payload, err := c.cfg().Source.Fetch(ctx)
	c.mu.Lock()
	began := c.now()
	c.lastFetch = began.time()
	failure, events := c.absorb(began, payload, err)
	c.mu.Unlock()
	c.emit(events...)
	if failure != nil {
		return failure
	}
	c.forget()
	return nil
}

// forget lets go of an immutable source that was read: a literal's value need not stay in memory for our sake.
func (c *Credential) forget() {
	if c.info().Immutable && !c.cfg().Present {
		t := *c.terms.Load()
		t.Source = nil
		c.terms.Store(&t)
	}
}

// lint returns what is configured and cannot have an effect.
func (c *Credential) lint() []string {
	warnings := slices.Clone(c.info().Warnings)
	if linter, can := c.cfg().Source.(Linter); can {
		warnings = append(warnings, linter.Lint()...)
	}
	if c.info().Immutable && c.cfg().TTL > 0 {
		warnings = append(warnings, "ttl has no effect: a "+c.info().Scheme+" source never changes while the process runs")
	}
	if c.timing().overlap > 0 && c.timing().overlap < c.timing().ttl {
		warnings = append(warnings, "overlap is shorter than ttl: a replaced version may end before another node has noticed")
	}
	if cfg := c.cfg(); cfg.Present && cfg.LastGood != nil && cfg.WrapKey == nil && !c.info().Immutable {
		warnings = append(warnings, "no reading is kept for a start at which the source does not answer: there is no key to encrypt it with")
	}
	return warnings
}

// Name returns the name of the credential.
func (c *Credential) Name() string { return c.cfg().Name }

// Start begins to fetch and, depending on Config.Startup, waits for material. Of
// ctx it uses the end of that wait only; what runs in the background runs until
// Stop. A second Start does nothing; after Stop, or when it fails, the credential
// cannot be started again.
func (c *Credential) Start(ctx context.Context) error {
	c.mu.Lock()
	switch {
	case c.state == stopped:
		c.mu.Unlock()
		return Errorf(Misconfigured, "started after it was stopped").about(c.cfg().Name)
	case c.state == running || c.info().Immutable:
		c.state = running
		c.mu.Unlock()
		return nil
	}
	c.state = running
	c.background()
	c.mu.Unlock()
	c.emit(Event{Kind: EventStarted})
	if err := c.begin(ctx); err != nil {
		c.Stop()
		return err
	}
	return nil
}

// background starts what keeps the credential up to date, or has it follow another source. c.mu is held.
func (c *Credential) background() {
	if !c.looping {
		c.looping = true
		c.work.Add(1)
		go c.run()
	}
	if c.endWatch != nil {
		c.endWatch()
		c.endWatch = nil
	}
	if watcher, ok := c.cfg().Source.(Watcher); ok {
		var ctx context.Context
		ctx, c.endWatch = context.WithCancel(c.ctx)
		c.work.Add(1)
		go c.watch(ctx, watcher)
	}
}

// begin carries out the startup policy.
func (c *Credential) begin(ctx context.Context) error {
	if c.cfg().Startup == Lazy {
		return nil
	}
	deadline, cancel := context.WithTimeout(ctx, c.timing().startupWait)
	defer cancel()
	for failure := c.await(deadline, false, minGap); ; {
		if failure == nil || failure.Class == Misconfigured {
			return failure.orNil()
		}
		if c.cfg().Startup == Degraded {
			return ctx.Err()
		}
		if (failure.Class == Unavailable || failure.Class == Denied) && c.trusts() {
			return nil // by the last good reading
		}
		if failure.Class != Unavailable {
			return failure
		}
		planned := time.Duration(c.nextAt.Load())
		if !c.untilRetry(deadline) {
			if err := c.lastFailure(); err != nil { // says more than "timed out"
				return err
			}
			return failure
		}
		failure = c.attempt(deadline, planned)
	}
}

// attempt returns the outcome of the attempt that was planned, whoever began it: the loop wakes at the same moment, and two attempts
// in the place of one would double the back-off.
func (c *Credential) attempt(ctx context.Context, planned time.Duration) *Error {
	c.mu.Lock()
	over, last := c.flight == nil && c.lastStart >= planned, c.health.last
	c.mu.Unlock()
	if over {
		return last
	}
	return c.await(ctx, false, minGap)
}

// orNil returns an untyped nil for a nil *Error.
func (e *Error) orNil() error {
	if e == nil {
		return nil
	}
	return e
}

// Stop ends everything in the background and returns when it has ended; a source
// that ignores its context is left behind. Verification goes on working with
// what is in memory, for as long as it is trusted. Further calls do nothing.
func (c *Credential) Stop() {
	c.mu.Lock()
	was := c.state
	told := c.looping
	c.state = stopped
	c.cancel() // under the lock: launch starts no goroutine after it
	c.mu.Unlock()
	c.work.Wait()
	if was == running && told {
		c.emit(Event{Kind: EventStopped})
	}
}

// Refresh fetches now and returns how it went. The reading begins after Refresh was
// called: what was stored before the call is seen.
func (c *Credential) Refresh(ctx context.Context) error {
	if c.info().Immutable {
		return nil
	}
	return c.await(ctx, true, pushGap).orNil()
}

// Tombstone records that a version was revoked: by its id and by a keyed digest
// of its value, so that the same value is refused under another id too. It holds
// nothing secret.
type Tombstone struct {
	VersionID string    `json:"versionId"`
	Mark      string    `json:"mark,omitempty"` // hex HMAC-SHA256 of the value under the install key; without it the id decides
	Revoked   time.Time `json:"revoked"`
}

// A Store keeps revocations beyond the life of the process, and may share them
// between nodes.
type Store interface {
	// Load returns what was saved for the credential, nothing if nothing was.
	Load(ctx context.Context, credential string) ([]Tombstone, error)
	// Save returns when the tombstone is durable.
	Save(ctx context.Context, credential string, tombstone Tombstone) error
}

// Peers are the other nodes that hold the same credentials. Their methods are called on
// the engine's goroutines and by Revoke, with no lock held; they must not wait for an
// answer. What they bring from there is for Noticed and Revoked.
type Peers interface {
	// Changed is told that a reading brought another set of versions, unless peers
	// caused the reading. The first reading of a process is no change.
	Changed(credential string, n Notice)
	// Revoked is told of a revocation that is durable here.
	Revoked(credential string, tombstone Tombstone)
}

// Revoke refuses a version for good, named by its id or fingerprint: at once,
// overlap or not, and whatever the source says from now on. With a Store the
// revocation is durable before Revoke returns nil. When it returns an error nothing
// has changed. An id that several accepted versions have is Invalid.
func (c *Credential) Revoke(ctx context.Context, versionID string) error {
	named := func(v *version) bool { return v.id == versionID || v.fingerprint == versionID }
	c.mu.Lock()
	known := c.snap.Load().set
	var target *version
	for _, list := range [][]version{known.live, known.dead} {
		if i := slices.IndexFunc(list, func(v version) bool { return named(&v) }); i >= 0 && target == nil {
			target = &list[i]
		}
	}
	c.mu.Unlock()
	another := func(v version) bool { return named(&v) && v.mark != target.mark }
	if target != nil && slices.ContainsFunc(known.live, another) {
		return Errorf(Invalid, "several versions have that id: name the one by its fingerprint").about(c.cfg().Name)
	}
	if target == nil {
		return Errorf(Missing, "no such version").about(c.cfg().Name)
	}
	tombstone := Tombstone{VersionID: target.id, Mark: hex.EncodeToString(target.mark[:]), Revoked: c.now().time().UTC()}
	if c.cfg().Store != nil {
		if err := c.cfg().Store.Save(ctx, c.cfg().Name, tombstone); err != nil {
			return asError(err).about(c.cfg().Name)
		}
	}
	c.refuse(tombstone)
	if c.cfg().Peers != nil {
		c.cfg().Peers.Revoked(c.cfg().Name, tombstone)
	}
	return nil
}

// Revoked takes in a revocation that was made durable elsewhere, by another node for
// instance. It holds at once; that it is durable here, too, is what a nil error says. The
// version need not be known here yet. After an error it can be told again, and is saved
// again.
func (c *Credential) Revoked(ctx context.Context, tombstone Tombstone) error {
	c.refuse(tombstone)
	if c.cfg().Store == nil {
		return nil
	}
	if err := c.cfg().Store.Save(ctx, c.cfg().Name, tombstone); err != nil {
		return asError(err).about(c.cfg().Name)
	}
	return nil
}

// Tombstones returns every revocation of this credential.
func (c *Credential) Tombstones() []Tombstone {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.revoked)
}

// refuse puts a revocation into effect. One that is known already changes nothing.
func (c *Credential) refuse(tombstone Tombstone) {
	same := func(t Tombstone) bool {
		return t.Mark == tombstone.Mark && (t.Mark != "" || t.VersionID == tombstone.VersionID)
	}
	c.mu.Lock()
	if slices.ContainsFunc(c.revoked, same) {
		c.mu.Unlock()
		return
	}
	c.revoked = append(c.revoked, tombstone)
	before := c.snap.Load()
	next, changes := before.end(Revoked, c.now(), c.isRevoked())
	_ = c.cfg().Set.claim(c, next.live) // fewer than before: cannot collide
	after := before.with(next, len(changes) > 0)
	c.snap.Store(after)
	events := c.tell(after, changes)
	c.mu.Unlock()
	c.emit(events...)
	c.changed(before, after)
}

func (c *Credential) loadRevoked(ctx context.Context) error {
	if c.cfg().Store == nil {
		return nil
	}
	tombstones, err := c.cfg().Store.Load(ctx, c.cfg().Name)
	if err != nil {
		return asError(err).about(c.cfg().Name)
	}
	c.revoked = tombstones
	return nil
}

// isRevoked returns what tells the revoked versions. It is called with c.mu held, or
// before c is shared.
func (c *Credential) isRevoked() func(*version) bool {
	marks, ids := make(map[string]bool, len(c.revoked)), make(map[string]bool)
	for _, t := range c.revoked {
		if t.Mark == "" {
			ids[t.VersionID] = true
		} else {
			marks[t.Mark] = true
		}
	}
	return func(v *version) bool {
		return len(ids) > 0 && ids[v.id] || len(marks) > 0 && marks[hex.EncodeToString(v.mark[:])]
	}
}
