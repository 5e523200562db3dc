package credential

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// An Observer hears of every change of state of a credential, one call per
// change. It is called on the engine's goroutines, never while a key is being
// verified; it should return soon, and must not call back into the credential.
type Observer interface {
	Observe(Event)
}

// Event is one change of state. Fields that do not apply are zero. No field ever
// holds a value; ids and fingerprints are safe to log.
type Event struct {
	Time       time.Time // wall clock
	Kind       EventKind
	Credential string
	Role       string
	Source     Info

	VersionID   string
	Fingerprint string
	State       State // the version's new state
	Generation  uint64
	Deadline    time.Time // when a previous version ends

	Class   Class // of a failure
	Err     error
	Attempt int           // failures in a row
	Next    time.Duration // until the next attempt
	Age     time.Duration
	Uses    uint64
	Message string // of a warning
}

// EventKind says what happened.
type EventKind uint8

// The kinds of events.
const (
	EventInstalled    EventKind = iota + 1 // the first version came into use
	EventRotated                           // another version became current
	EventPending                           // a version is known whose time has not come
	EventPromoted                          // its time came
	EventFlapping                          // a previous version became current again
	EventRestored                          // a disabled version came back
	EventRetired                           // the deadline of a previous version passed
	EventPrevious                          // a key of a list or keyset is previous now, or has another deadline
	EventOverflow                          // a version was retired early: more rotations within the overlap than Config.Previous
	EventDisabled                          // the store disabled or deleted a version
	EventRevoked                           // a version was revoked for good
	EventFailed                            // an attempt failed; Class says how
	EventRecovered                         // the first good reading after that
	EventStale                             // the latest good reading is older than ttl
	EventExpired                           // … older than ttl + stale_max
	EventAbandoned                         // a fetch ignored its context and was left behind
	EventReturned                          // it came back
	EventWatchLost                         // a watcher failed; the time to live takes over until it works again
	EventPreviousUsed                      // a previous version was presented; at most once a minute and version
	EventDeadUsed                          // a retired, disabled or revoked one was
	EventReactive                          // a presenter's refusal led to a newer version
	EventWeak                              // a value is short
	EventOverdue                           // the value is older than Config.RotateEvery; at most once a day
	EventLint                              // a configuration that cannot do what it seems to
	EventFallback                          // not the first source of a Chain, but a fallback supplied the value
	EventReplaced                          // Set.Replace: it reads from another source
	EventWithdrawn                         // Set.Replace: it was removed; what was accepted before ends after the overlap
	EventLastGood                          // the source does not answer at a cold start: the last good reading on disk is in use
	EventStarted
	EventStopped
	eventKinds
)

// endings are the events of versions that reach a final state.
var endings = map[State]EventKind{Retired: EventRetired, Disabled: EventDisabled, Revoked: EventRevoked}

var eventTable = [eventKinds]struct {
	name    string
	level   slog.Level
	message string
}{
	EventInstalled:    {"installed", slog.LevelInfo, "credential installed"},
	EventRotated:      {"rotated", slog.LevelInfo, "credential rotated"},
	EventPending:      {"pending", slog.LevelInfo, "credential version pending"},
	EventPromoted:     {"promoted", slog.LevelInfo, "pending credential version is current"},
	EventFlapping:     {"flapping", slog.LevelWarn, "credential rotated back to a previous version"},
	EventRestored:     {"restored", slog.LevelWarn, "disabled credential version restored by its source"},
	EventRetired:      {"retired", slog.LevelInfo, "credential version retired"},
	EventPrevious:     {"previous", slog.LevelInfo, "credential version accepted until its deadline"},
	EventOverflow:     {"overflow", slog.LevelWarn, "credential version retired before its deadline: too many rotations"},
	EventDisabled:     {"disabled", slog.LevelWarn, "credential version disabled by its source"},
	EventRevoked:      {"revoked", slog.LevelWarn, "credential version revoked"},
	EventFailed:       {"failed", slog.LevelWarn, "credential source failed"},
	EventRecovered:    {"recovered", slog.LevelInfo, "credential source recovered"},
	EventStale:        {"stale", slog.LevelWarn, "credential is stale"},
	EventExpired:      {"expired", slog.LevelError, "credential expired: nothing is accepted until its source answers"},
	EventAbandoned:    {"abandoned", slog.LevelError, "credential source hangs and ignores its context"},
	EventReturned:     {"returned", slog.LevelInfo, "hanging credential source returned"},
	EventWatchLost:    {"watch_lost", slog.LevelWarn, "credential source cannot be watched"},
	EventPreviousUsed: {"previous_used", slog.LevelWarn, "previous credential version still used"},
	EventDeadUsed:     {"dead_used", slog.LevelWarn, "ended credential version presented"},
	EventReactive:     {"reactive", slog.LevelInfo, "credential refetched after a refusal"},
	EventWeak:         {"weak", slog.LevelWarn, "credential is shorter than 16 bytes"},
	EventOverdue:      {"overdue", slog.LevelWarn, "credential should have been rotated"},
	EventLint:         {"lint", slog.LevelWarn, "credential configuration"},
	EventFallback:     {"fallback", slog.LevelWarn, "credential supplied by a fallback"},
	EventLastGood:     {"last_good", slog.LevelWarn, "credential source does not answer: the last good reading on disk is in use"},
	EventReplaced:     {"replaced", slog.LevelInfo, "credential reads from another source"},
	EventWithdrawn:    {"withdrawn", slog.LevelWarn, "credential removed from the configuration"},
	EventStarted:      {"started", slog.LevelDebug, "credential started"},
	EventStopped:      {"stopped", slog.LevelDebug, "credential stopped"},
}

// String returns the name used in logs and metric labels.
func (k EventKind) String() string {
	if k == 0 || k >= eventKinds {
		return "unknown"
	}
	return eventTable[k].name
}

// MarshalText returns the name.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Log returns an Observer that writes each event as one structured record.
func Log(logger *slog.Logger) Observer { return logObserver{logger} }

type logObserver struct {
	logger *slog.Logger
}

func (o logObserver) Observe(e Event) {
	row := eventTable[e.Kind]
	level := row.level
	if e.Kind == EventFailed && e.Class != Unavailable {
		level = slog.LevelError // someone has to act; waiting will not help
	}
	attrs := []slog.Attr{slog.String("event", row.name), slog.String("credential", e.Credential)}
	add := func(present bool, attr slog.Attr) {
		if present {
			attrs = append(attrs, attr)
		}
	}
	add(e.VersionID != "", slog.String("version", e.VersionID))
	add(e.VersionID != "", slog.String("state", e.State.String()))
	add(e.Generation > 0, slog.Uint64("generation", e.Generation))
	add(!e.Deadline.IsZero(), slog.Time("deadline", e.Deadline))
	add(e.Class != 0, slog.String("class", e.Class.String()))
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	add(e.Attempt > 0, slog.Int("attempt", e.Attempt))
	add(e.Next > 0, slog.Duration("next", e.Next))
	add(e.Age > 0, slog.Duration("age", e.Age))
	add(e.Uses > 0, slog.Uint64("uses", e.Uses))
	add(e.Message != "" && e.Kind != EventFallback, slog.String("warning", e.Message))
	add(e.Message != "" && e.Kind == EventFallback, slog.String("fallback", e.Message))
	add(true, slog.String("source", e.Source.Scheme))
	o.logger.LogAttrs(context.Background(), level, row.message, attrs...)
}

// emit hands events to the observer. The caller holds no lock.
func (c *Credential) emit(events ...Event) {
	if c.cfg().Observer == nil {
		return
	}
	for _, e := range events {
		e.Time, e.Credential, e.Role, e.Source = c.now().time(), c.cfg().Name, c.cfg().Role, *c.info()
		c.cfg().Observer.Observe(e)
	}
}

// counters count for the life of a Credential.
type counters struct {
	fetches, failures, abandoned atomic.Uint64
	acceptedPrev                 atomic.Uint64
	decided                      [reasons]atomic.Uint64 // by Reason
	missFetches, missLimited     atomic.Uint64
	events                       [eventKinds]atomic.Uint64
}

func (n *counters) count(kind EventKind) { n.events[kind].Add(1) }
