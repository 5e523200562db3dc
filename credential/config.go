package credential

import (
	"context"
	"time"
)

// The numbers of the engine. Section "Defaults" of docs/credentials.md is this
// list in words.
const (
	defaultTTL       = 5 * time.Minute
	minGap           = time.Second            // between the starts of two fetches that no push asked for
	pushGap          = 100 * time.Millisecond // the same when a watcher or an operator asked
	idleAfter        = 10 * time.Second       // an uncached source rests when nobody has asked for so long
	refreshFrom      = 0.70                   // refresh ahead at U[0.70, 0.90] of the time to live
	refreshTo        = 0.90
	defaultTimeout   = 5 * time.Second
	abandonGrace     = 100 * time.Millisecond // for a source to notice that its context ended
	retryBase        = 500 * time.Millisecond
	retryCap         = 60 * time.Second
	retryAfterCap    = 5 * time.Minute // the most that a store's Retry-After is believed
	skew             = 60 * time.Second
	defaultPrevious  = 2
	defaultStartWait = 30 * time.Second
	missBurst        = 3
	missRefill       = 10 * time.Second
	missWait         = 2 * time.Second
	missRemembered   = 1024
	defaultNegTTL    = 10 * time.Second
	refusedEvery     = 10 * time.Second // one refetch per so long for a refused generation
	refusedBurst     = 3                // and so many at once for any number of generations
	leaseFrom        = 0.65             // refresh ahead of the end of a presented value at U[0.65, 0.80] of its lease
	leaseTo          = 0.80
	maxValue         = 64 << 10 // bytes of one version
	weakLength       = 16
	deadRemembered   = 16 // retired versions that are still recognised, to tell retired from unknown
	previousWarning  = time.Minute
)

// None is how to say "zero" where the zero value of an option means its default.
const None time.Duration = -1

// Kind chooses defaults.
type Kind uint8

// The kinds of credentials.
const (
	// Master keys, the maintenance key and the read-only master key: stale for
	// 1 h at most, overlap 10 min.
	Master Kind = iota
	// API keys: 24 h each.
	API
	// Webhook keys: 24 h each.
	Webhook
)

var kinds = [...]struct {
	name                           string
	staleMax, overlap, rotateEvery time.Duration
}{
	Master:  {"master", time.Hour, 10 * time.Minute, 30 * day},
	API:     {"api", day, day, 90 * day},
	Webhook: {"webhook", day, day, 365 * day},
}

const day = 24 * time.Hour

// String returns "master", "api" or "webhook".
func (k Kind) String() string { return kinds[k].name }

// MarshalText returns the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Startup says what happens when there is no usable material at start.
type Startup uint8

// The startup policies.
const (
	// Require: Start fails. While the source is Unavailable it tries again for
	// Config.StartupWait first; every other class fails at once.
	Require Startup = iota
	// Degraded: Start makes one attempt and succeeds either way; until there
	// is material every verification is Undecided.
	Degraded
	// Lazy: nothing is fetched before the first key is presented.
	Lazy
)

var startupNames = [...]string{Require: "require", Degraded: "degraded", Lazy: "lazy"}

// String returns the name used in a reference: require, degraded or lazy.
func (s Startup) String() string { return startupNames[s] }

// Trim says what is cut off a value before it is used.
type Trim uint8

// The ways to trim.
const (
	// TrimNewline cuts one newline ("\n" or "\r\n") off the end, which editors
	// and echo leave there.
	TrimNewline Trim = iota
	// TrimNone cuts nothing.
	TrimNone
)

// OnMissing says what Missing does to the material in memory.
type OnMissing uint8

// The reactions to Missing.
const (
	// Retain keeps the last good set while it is not too old.
	Retain OnMissing = iota
	// Drop treats Missing as Gone.
	Drop
)

// Config describes a Credential. Only Name and Source are needed; a zero option
// means its default, None means zero.
type Config struct {
	// Name identifies the credential in decisions, logs, metrics and status,
	// for instance "masterKey".
	Name string
	// Role is what the credential is for, Name if empty. Two roles in one Set
	// never share a value; two credentials of one role may.
	Role   string
	Kind   Kind
	Source Source

	// TTL is how long a reading counts as fresh: 5 min by default, and for a
	// function "not cached": one second, while in use.
	TTL            time.Duration
	MinTTL, MaxTTL time.Duration // clamp the hint of the store; 0 for no clamp
	// StaleMax is how much longer a verifier trusts it after that while the
	// source fails. A presenter hands the last value out until it is refused.
	StaleMax time.Duration
	// Overlap is how long a version is accepted after another replaced it.
	Overlap time.Duration
	// RotateEvery is how old a value may become before its rotation is overdue, which is told and never enforced: 30 days for a
	// Master, 90 for an API key, 365 for a Webhook key.
	RotateEvery time.Duration
	// Previous is how many replaced versions are kept at most, 2 by default.
	Previous int
	// FetchTimeout ends a fetch: Info.Timeout or 5 s by default.
	FetchTimeout time.Duration
	Startup      Startup
	StartupWait  time.Duration // 30 s by default
	OnMissing    OnMissing
	Trim         Trim
	// MinLength refuses shorter values, in bytes. Values below 16 bytes are
	// warned of in any case.
	MinLength int
	// Check looks at a value, and at the fields that came with it, before it is
	// installed; an error refuses the whole reading. It must not keep them.
	Check func(value Secret, fields map[string]Secret) error
	// NegativeTTL is how long an unknown key is remembered as unknown, so that
	// presenting it again causes no fetch: 10 s by default.
	NegativeTTL time.Duration
	// NoMissRefresh turns off the fetch for an unknown key in VerifyContext.
	NoMissRefresh bool
	// Present keeps the plain value for a Presenter. Without it only salted
	// digests stay in memory.
	Present bool
	// Binary takes values and fields as the bytes that they are, which need not be text:
	// nothing is trimmed, and only what is empty is refused. Of what is verified it has no effect.
	Binary bool

	// InstallKey keys the fingerprints, so that they are the same on all
	// nodes and cannot be guessed from a log. Random per process if empty.
	InstallKey Secret
	// Set holds the credentials that must not share a value with this one.
	Set *Set
	// Store makes revocations durable. It needs an InstallKey.
	Store Store
	// LastGood keeps the latest good reading, as digests, for a cold start at
	// which the source does not answer. It needs an InstallKey.
	LastGood LastGoodStore
	// WrapKey returns the key, of at least 32 bytes, that LastGood needs for a credential that is
	// presented: its values are kept encrypted. It is asked for when they are written and
	// read, so it must be at hand while the source is down. Without it they are not kept.
	WrapKey func(ctx context.Context) (Secret, error)
	// Peers hear of changes and revocations that this node finds or makes.
	Peers Peers
	// Observer hears of every change of state.
	Observer Observer
	// Wall replaces the wall clock, for tests. Durations always run on the
	// monotonic clock.
	Wall func() time.Time
}

// terms are a Config and what follows from it. A Credential replaces them as a whole.
type terms struct {
	Config
	info   Info
	timing timing
}

// terms returns the terms of a Config that is in order.
func (c *Config) terms() *terms {
	t := &terms{Config: *c, info: c.Source.Info()}
	t.timing = c.timing(t.info)
	if t.Previous == 0 {
		t.Previous = defaultPrevious
	}
	return t
}

// cfg returns the options that hold now. Who needs several at one moment keeps what it returned.
func (c *Credential) cfg() *Config { return &c.terms.Load().Config }

// info describes the source that is read now.
func (c *Credential) info() *Info { return &c.terms.Load().info }

// timing returns the durations that hold now.
func (c *Credential) timing() *timing { return &c.terms.Load().timing }

// timing is a Config's durations after defaults.
type timing struct {
	ttl, staleMax, overlap, fetchTimeout, startupWait, negativeTTL, rotateEvery time.Duration
	onDemand                                                                    bool
}

func (c *Config) timing(info Info) timing {
	pick := func(value, fallback time.Duration) time.Duration {
		switch {
		case value < 0:
			return 0
		case value == 0:
			return fallback
		}
		return value
	}
	timeout := pick(info.Timeout, defaultTimeout)
	t := timing{
		ttl:          pick(c.TTL, defaultTTL),
		staleMax:     pick(c.StaleMax, kinds[c.Kind].staleMax),
		overlap:      pick(c.Overlap, kinds[c.Kind].overlap),
		fetchTimeout: pick(c.FetchTimeout, timeout),
		startupWait:  pick(c.StartupWait, defaultStartWait),
		negativeTTL:  pick(c.NegativeTTL, defaultNegTTL),
		rotateEvery:  pick(c.RotateEvery, kinds[c.Kind].rotateEvery),
	}
	if info.Uncached && c.TTL <= 0 {
		t.onDemand, t.ttl = true, minGap
	}
	t.ttl = max(t.ttl, minGap)
	if t.fetchTimeout == 0 {
		t.fetchTimeout = timeout
	}
	return t
}

// check returns what is wrong with the options, nil if nothing is.
func (c *Config) check() error {
	switch {
	case c.Name == "":
		return Errorf(Misconfigured, "a credential needs a name")
	case c.Source == nil:
		return Errorf(Misconfigured, "no source").about(c.Name)
	case int(c.Kind) >= len(kinds) || int(c.Startup) >= len(startupNames):
		return Errorf(Misconfigured, "unknown kind or startup policy").about(c.Name)
	case c.MaxTTL > 0 && c.MinTTL > c.MaxTTL:
		return Errorf(Misconfigured, "min_ttl is larger than max_ttl").about(c.Name)
	case c.Previous < 0 || c.MinLength < 0:
		return Errorf(Misconfigured, "a count is negative").about(c.Name)
	case c.LastGood != nil && c.InstallKey.Len() == 0:
		return Errorf(Misconfigured, "a store of the last good reading needs an install key").about(c.Name)
	case c.Store != nil && c.InstallKey.Len() == 0:
		return Errorf(Misconfigured, "a store of revocations needs an install key").about(c.Name)
	}
	return nil
}
