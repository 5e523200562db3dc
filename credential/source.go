package credential

import (
	"context"
	"time"
)

// A Source says where a credential comes from. It reads; the engine does all the
// rest: when to ask, what to believe, how long to trust it. Implementations are
// safe for use by several goroutines. The suite credentialtest.TestSource
// checks what is promised here.
type Source interface {
	// Fetch reads the present state of the secret. It honours ctx, and
	// returns either a Payload or an error, best an *Error (see Errorf); any
	// other error counts as Unavailable and its text is dropped. The Secrets in
	// the payload belong to the caller, who wipes them.
	Fetch(ctx context.Context) (Payload, error)

	// Info describes the source. It does no I/O and always answers the same.
	Info() Info
}

// Refused reports whether a fetch is made because somebody refused the value that is
// presented. A source whose store makes a value for us, and which would hand out the
// same one again, asks for another; any other source need not care.
func Refused(ctx context.Context) bool {
	how, _ := ctx.Value(askingKey{}).(asking)
	return how.refused
}

// A Watcher is a Source that can tell of changes. Watching makes changes known
// sooner and is never relied on: the time to live is the fallback.
type Watcher interface {
	Source

	// Watch calls changed whenever the secret may have changed since the latest
	// Fetch, also if that was before Watch was called. It returns nil after ctx
	// has ended, and an error when it can watch no longer (the engine calls it
	// again, backing off). It must not call changed after it returned.
	Watch(ctx context.Context, changed func(Notice)) error
}

// A Linter is a Source that can tell when what surrounds it keeps its value from changing.
type Linter interface {
	Source

	// Lint returns what an operator should know, none if all is well. It is asked once,
	// when the credential is made, and may look at this machine but not at a network.
	Lint() []string
}

// Notice is what a Watcher knows of a change.
type Notice struct {
	// Number is the number of the version that exists now, when the source is
	// Monotonic and the notice said so. The engine fetches until it sees it, a
	// few times: a notice may arrive before the value is readable.
	Number uint64
}

// Info describes a Source to the engine and to an operator.
type Info struct {
	Scheme   string `json:"scheme"`             // "file", "env", "func", …
	Location string `json:"location,omitempty"` // path, variable's name, …: what an operator may read; never a secret

	// Instance names the store behind the source, the same for all secrets that are
	// read from it: what the credentials of a Set ask of one instance is bounded
	// together, see docs/credentials.md. "" for a source that shares nothing.
	Instance string `json:"-"`
	// Immutable: the value cannot change while the process lives (a literal,
	// the environment). It is read once, by New; nothing runs in the background.
	Immutable bool `json:"immutable,omitempty"`
	// Monotonic: Version.Number is set and only grows. Lower numbers come from
	// a replica that lags and are ignored. Otherwise version ids are opaque and
	// the source is followed wherever it goes, also back.
	Monotonic bool `json:"monotonic,omitempty"`
	// Uncached: without Config.TTL a value is asked for again after one second
	// (what Parse Server documents for a function without masterKeyTtl),
	// and only while the credential is in use.
	Uncached bool `json:"uncached,omitempty"`
	// Timeout replaces the default time-out of a fetch, 5 s.
	Timeout time.Duration `json:"-"`
	// Warnings are told once at start: "for development only", …
	Warnings []string `json:"warnings,omitempty"`
}

// Payload is one consistent reading of a secret: all its versions at one moment.
// A payload replaces what was known before, it is never merged into it: a version
// that is not in it has been rotated away (and is accepted for the overlap).
type Payload struct {
	// Versions in the source's order of preference; the first current one is
	// what a Presenter hands out.
	Versions []Version
	// TTL is the store's own hint of how long this reading may be used, 0 if
	// it gave none. It can shorten Config.TTL, within MinTTL and MaxTTL.
	TTL time.Duration
	// Form says what it means that a version is not in the payload.
	Form Form
	// Fallback is set by a Chain when not its first source supplied this.
	Fallback *Fallback
}

// Form says what it means that a version which was accepted is not in a Payload any
// more.
type Form uint8

// The forms of a payload.
const (
	// Latest: one secret, perhaps with what it was before. The version was replaced: it is
	// accepted for the overlap, and of those Config.Previous at most.
	Latest Form = iota
	// List: several keys side by side. The key was taken out or replaced: it is
	// accepted for the overlap, however many there are.
	List
	// Keyset: several keys, of each of which the payload says itself what it is and
	// until when. The key is accepted no more, from this reading on. No value is in it
	// twice, unless to refuse it.
	Keyset
)

// Version is one version of a secret as a source states it.
type Version struct {
	// ID is the store's name for the version, "" if the store has none; then
	// the engine names it by its fingerprint.
	ID string
	// Number orders the versions of a Monotonic source.
	Number uint64
	// State is one of Current (the zero value), Previous, Pending, Disabled and
	// Revoked. A source that knows only one value says Current; the engine
	// remembers what was current before. Several current versions are several
	// keys that are all valid.
	State State
	// Value is the secret, empty for Disabled and Revoked versions whose value
	// can no longer be read.
	Value Secret
	// Digest is the SHA-256 of the secret, in the place of Value, where a store keeps
	// nothing else. It serves to verify and never to present, and no rule about the
	// value itself (Config.MinLength, Config.Check) can be applied to it.
	Digest [32]byte
	// Fields are further values that change together with Value (user and
	// password, JWT and seed). Kept for presenting only.
	Fields map[string]Secret
	// Created is when the store made this version the current one; zero if
	// unknown. The deadline of the version before it is computed from it, so
	// that all nodes agree.
	Created time.Time
	// NotBefore and NotAfter bound the validity, zero for no bound. Where keys are
	// verified both are allowed 60 s of clock skew; what is presented ends in time.
	NotBefore, NotAfter time.Time
	// Until is the deadline of a Previous version, where the source states it; zero for
	// the one that follows from the overlap.
	Until time.Time
}

// State is the state of a version.
//
//	pending -> current -> previous (until its deadline) -> retired
//	disabled: refused, the source may bring it back
//	revoked:  refused for good, whatever a source says
type State uint8

// The states of a version.
const (
	Current State = iota
	Previous
	Pending
	Retired
	Disabled
	Revoked
)

var stateNames = [...]string{Current: "current", Previous: "previous", Pending: "pending", Retired: "retired", Disabled: "disabled", Revoked: "revoked"}

// String returns the lower-case name used in logs, metrics and status.
func (s State) String() string {
	if int(s) >= len(stateNames) {
		return "unknown"
	}
	return stateNames[s]
}

// MarshalText returns the name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Func makes a Source of a function that returns the value:
//
//	parley.Config{MasterKey: credential.Func(fetch)}
//
// The function is called by the engine only, one call at a time. An error made
// with Errorf is understood and logged; of any other only the Go type is told.
func Func(fetch func(ctx context.Context) (string, error)) Source {
	return funcSource{fetch: fetch}
}

type funcSource struct {
	fetch func(ctx context.Context) (string, error)
}

func (s funcSource) Fetch(ctx context.Context) (Payload, error) {
	if s.fetch == nil {
		return Payload{}, Errorf(Misconfigured, "the function is nil")
	}
	value, err := s.fetch(ctx)
	if err != nil {
		return Payload{}, err
	}
	return Payload{Versions: []Version{{Value: NewSecret(value)}}}, nil
}

func (s funcSource) Info() Info { return Info{Scheme: "func", Uncached: true} }

// Literal makes a Source of a value that never changes. It costs nothing in the
// background.
func Literal(value string) Source {
	return literalSource{value: NewSecret(value)}
}

type literalSource struct {
	value Secret
}

func (s literalSource) Fetch(context.Context) (Payload, error) {
	return Payload{Versions: []Version{{Value: NewSecret(s.value.raw())}}}, nil
}

func (s literalSource) Info() Info { return Info{Scheme: "literal", Immutable: true} }
