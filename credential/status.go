package credential

import "time"

// Status is everything about a credential but its value: for a status command,
// an endpoint, a readiness check and a collector of metrics.
type Status struct {
	Name       string        `json:"name"`
	Role       string        `json:"role"`
	Kind       Kind          `json:"kind"`
	Source     Info          `json:"source"`
	Condition  Condition     `json:"condition"`
	Required   bool          `json:"required"`           // by Config.Startup: without it there is no start
	Ready      bool          `json:"ready"`              // fresh or stale, with a live version; or lazy and not asked for yet
	Degraded   bool          `json:"degraded"`           // ready, but stale, failing or supplied by a fallback
	Suspect    bool          `json:"suspect"`            // the latest attempt failed
	Invalid    bool          `json:"invalid"`            // … because the reading was refused
	Hanging    bool          `json:"hanging"`            // a fetch that ignored its time-out has not returned
	Fallback   string        `json:"fallback,omitempty"` // of a Chain: the place that supplied the value in place of the first
	Failures   int           `json:"failures"`           // attempts failed in a row
	LastError  string        `json:"lastError,omitempty"`
	Class      Class         `json:"class"` // of LastError
	TTL        time.Duration `json:"ttl"`   // nanoseconds, like Age
	Age        time.Duration `json:"age"`
	LastFetch  time.Time     `json:"lastFetch,omitzero"`
	LastTook   time.Duration `json:"lastTook"` // of that fetch, nanoseconds
	NextFetch  time.Time     `json:"nextFetch,omitzero"`
	Generation uint64        `json:"generation"`
	Withdrawn  bool          `json:"withdrawn,omitempty"` // removed from the configuration; what was accepted before is, until its deadline
	// RotationDue is when the oldest current version should have been replaced, by Config.RotateEvery; zero if never.
	RotationDue time.Time       `json:"rotationDue,omitzero"`
	Overdue     bool            `json:"overdue,omitempty"` // that is over
	Versions    []VersionStatus `json:"versions"`          // live ones first
	Counters    Counters        `json:"counters"`
}

// VersionStatus is one version in a Status.
type VersionStatus struct {
	ID          string    `json:"id"`
	Fingerprint string    `json:"fingerprint"` // 48 bits of an HMAC under the install key
	State       State     `json:"state"`
	Created     time.Time `json:"created,omitzero"`  // by the source
	Since       time.Time `json:"since"`             // in this state, as noticed here
	Deadline    time.Time `json:"deadline,omitzero"` // when acceptance ends
	NotBefore   time.Time `json:"notBefore,omitzero"`
	NotAfter    time.Time `json:"notAfter,omitzero"`
	LastUsed    time.Time `json:"lastUsed,omitzero"`
	Uses        uint64    `json:"uses"`
}

// Counters count from the making of a Credential.
type Counters struct {
	Fetches          uint64               `json:"fetches"`
	Failures         uint64               `json:"failures"`
	Abandoned        uint64               `json:"abandoned"`
	AcceptedCurrent  uint64               `json:"acceptedCurrent"`
	AcceptedPrevious uint64               `json:"acceptedPrevious"`
	Decisions        map[Reason]uint64    `json:"decisions"`   // answers given, by reason
	MissFetches      uint64               `json:"missFetches"` // caused by an unknown key
	MissLimited      uint64               `json:"missLimited"` // not caused: the limit was reached
	Changes          map[EventKind]uint64 `json:"changes"`     // of versions
}

// Status returns the present status.
func (c *Credential) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.now()
	snap := c.snap.Load()
	age := snap.age(at)
	s := Status{
		Name: c.cfg().Name, Role: c.cfg().Role, Kind: c.cfg().Kind, Source: *c.info(),
		Condition: snap.condition(age), Suspect: c.health.failures > 0, Hanging: c.hung != nil, Fallback: c.fallback, Failures: c.health.failures,
		TTL: c.ttl, Age: age, LastFetch: c.lastFetch, LastTook: c.lastTook, Generation: snap.generation, Counters: c.counters.read(),
	}
	s.Required, s.Withdrawn = c.cfg().Startup == Require, snap.withdrawn
	if due, ok := c.rotationDue(snap); ok {
		s.RotationDue, s.Overdue = due, !at.time().Before(due)
	}
	if c.health.last != nil {
		s.LastError, s.Class = c.health.last.Error(), c.health.last.Class
		s.Invalid = c.health.last.Class == Invalid
	}
	if next := time.Duration(c.nextAt.Load()); next > 0 {
		s.NextFetch = at.time().Add(next - at.mono)
	}
	usable := len(snap.live) > 0 && (s.Condition == Fresh || s.Condition == Stale)
	if c.cfg().Present || c.resting.Load() {
		usable = len(snap.live) > 0 // presented until refused; read again when somebody asks
	}
	s.Ready = usable || c.cfg().Startup == Lazy && !c.fetched
	s.Degraded = s.Ready && (s.Suspect || s.Condition == Stale || s.Fallback != "")
	for _, list := range [][]version{snap.live, snap.dead} {
		for i := range list {
			s.Versions = append(s.Versions, list[i].status(at, c.leeway()))
		}
	}
	return s
}

// rotationDue returns when the oldest of the current versions should be replaced: its age counts from its creation by the source, or
// else from when it was first seen as current.
func (c *Credential) rotationDue(snap *snapshot) (due time.Time, ok bool) {
	every := c.timing().rotateEvery
	if every == 0 {
		return time.Time{}, false
	}
	for i := range snap.live {
		v := &snap.live[i]
		if v.state != Current {
			continue
		}
		from := v.created
		if from.IsZero() {
			from = v.since
		}
		if at := from.Add(every); !ok || at.Before(due) {
			due, ok = at, true
		}
	}
	return due, ok
}

// overdueEvery is how often it is told that a rotation is overdue.
const overdueEvery = day

// overdue tells that a rotation is, once a day. c.mu is held.
func (c *Credential) overdue(snap *snapshot, at instant) []Event {
	due, ok := c.rotationDue(snap)
	if !ok || at.time().Before(due) || c.dunned && at.mono-c.dunnedAt < overdueEvery {
		return nil
	}
	c.dunned, c.dunnedAt = true, at.mono
	return []Event{{Kind: EventOverdue, Generation: snap.generation, Deadline: due}}
}

func (v *version) status(at instant, leeway time.Duration) VersionStatus {
	s := VersionStatus{ID: v.id, Fingerprint: v.fingerprint, State: v.state, Created: v.created, Since: v.since,
		Deadline: v.until.wallTime(), Uses: v.uses.Load()}
	if v.state != Retired && v.until.passed(at) {
		s.State = Retired
	}
	if v.notBefore.set {
		s.NotBefore = v.notBefore.wallTime().Add(leeway)
	}
	if v.notAfter.set {
		s.NotAfter = v.notAfter.wallTime().Add(-leeway)
	}
	if last := v.last.Load(); last > 0 {
		s.LastUsed = time.Unix(int64(last), 0)
	}
	return s
}

func (n *counters) read() Counters {
	out := Counters{
		Fetches: n.fetches.Load(), Failures: n.failures.Load(), Abandoned: n.abandoned.Load(),
		AcceptedPrevious: n.acceptedPrev.Load(),
		MissFetches:      n.missFetches.Load(), MissLimited: n.missLimited.Load(),
		Decisions: make(map[Reason]uint64), Changes: make(map[EventKind]uint64),
	}
	for reason := range reasons {
		out.Decisions[reason] = n.decided[reason].Load()
	}
	out.AcceptedCurrent = out.Decisions[ReasonMatch] - min(out.AcceptedPrevious, out.Decisions[ReasonMatch])
	for kind := EventInstalled; kind < eventKinds; kind++ {
		if count := n.events[kind].Load(); count > 0 {
			out.Changes[kind] = count
		}
	}
	return out
}
