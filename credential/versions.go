package credential

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

type digest [32]byte

// version is what the engine knows of one version. It does not change once it
// is in a set; only the usage behind it counts on.
type version struct {
	id          string // the store's, or the fingerprint
	fingerprint string
	number      uint64
	digest      digest // salted, of the value, for verifying; none if only its SHA-256 is known
	rested      digest // salted, of the SHA-256 of the value
	mark        digest // HMAC of the SHA-256 under the install key: what the bytes are known by here and in the store of revocations
	claim       digest // the same under the Set's key, to tell roles apart
	value       Secret // presenters only
	fields      map[string]Secret

	form      Form // of the reading that it was in last
	state     State
	created   time.Time
	since     time.Time // when it took its state, as noticed here
	notBefore bound
	notAfter  bound // with skew
	until     bound // when acceptance ends: the overlap's deadline or notAfter
	*usage
}

// known returns the digest by which v is known, atRest or by its value.
func (v *version) known(atRest bool) *digest {
	if atRest {
		return &v.rested
	}
	return &v.digest
}

// beside is Version.aside of what was accepted.
func (v version) beside() bool {
	return v.form == Latest && (v.state == Previous || v.state == Pending)
}

// usage outlives the sets that a version is in.
type usage struct {
	uses, last  atomic.Uint64 // accepted verifications; Unix seconds of the latest
	warned      atomic.Int64  // Unix seconds of the latest warning that it is still in use
	unannounced atomic.Bool   // used since; the loop is to say so
	shown       atomic.Uint64 // the generation in which it was presented last, 0 for never
	_           [24]byte      // to a whole cache line, see TestVersionsBeginAtCacheLines
}

// set is everything known of a credential at one moment.
type set struct {
	live    []version // current, previous (newest first), pending
	dead    []version // retired (the latest few), disabled, revoked
	highest uint64    // the highest number seen
}

// current returns the version that a presenter hands out.
func (s *set) current() (version, bool) {
	if len(s.live) == 0 || s.live[0].state != Current {
		return version{}, false
	}
	return s.live[0], true
}

// roll is a set by the bytes of its versions and by their ids.
type roll struct {
	marks map[digest]*version
	ids   map[string]*version
}

// roll lists live versions before dead ones. It is valid as long as the set does not change.
func (s *set) roll() roll {
	n := len(s.live) + len(s.dead)
	r := roll{marks: make(map[digest]*version, n), ids: make(map[string]*version, n)}
	for _, list := range [][]version{s.live, s.dead} {
		for i := range list {
			v := &list[i]
			if _, known := r.marks[v.mark]; !known {
				r.marks[v.mark] = v
			}
			if _, known := r.ids[v.id]; !known {
				r.ids[v.id] = v
			}
		}
	}
	return r
}

// find returns the version with the same bytes, or, if there are none to compare,
// with the same id; nil if there is none.
func (r roll) find(v *version) *version {
	if v.mark == (digest{}) {
		return r.ids[v.id]
	}
	return r.marks[v.mark]
}

// change is one event of a transition from set to set.
type change struct {
	kind EventKind
	version
}

// rules are the options that govern a transition.
type rules struct {
	overlap  time.Duration
	previous int
	revoked  func(*version) bool // has an operator revoked it?
	moved    time.Time           // when another source took over, which ends what the one before said
}

// follow returns the set after a payload: the versions of the source replace what
// was there, and what was current and is no longer stays as previous until its
// deadline. The result depends on its arguments alone.
func (s *set) follow(incoming []version, at instant, r rules) (*set, []change) {
	next := &set{highest: s.highest, live: make([]version, 0, len(incoming))}
	before := s.roll()
	var changes []change
	var out []version // what used to be accepted and is not current any more
	for _, v := range incoming {
		next.highest = max(next.highest, v.number)
		known := before.find(&v)
		seen := known != nil
		v = v.inherit(known, at)
		if r.revoked(&v) {
			v.state = Revoked
		}
		switch {
		case v.state == Revoked || v.state == Disabled:
			if seen || v.mark != (digest{}) {
				next.dead = append(next.dead, v)
			}
			if seen && known.state != v.state {
				changes = append(changes, change{endings[v.state], v})
			}
		case v.state == Retired:
			next.dead = append(next.dead, v)
		case v.notAfter.passed(at):
			next.dead = append(next.dead, v.become(Retired, at))
			if seen && known.state != Retired {
				changes = append(changes, change{EventRetired, v})
			}
		case v.state == Previous:
			out = append(out, v)
		case v.notBefore.set && !v.notBefore.passed(at):
			next.live = append(next.live, v.become(Pending, at))
		case v.state == Pending && !v.notBefore.set: // the source will say when
			next.live = append(next.live, v)
		default:
			next.live = append(next.live, v.become(Current, at))
		}
	}
	changes = append(changes, s.arrivals(before, next)...)
	for _, v := range s.leftBehind(next, out) {
		if v.form != Keyset || len(incoming) == 0 || incoming[0].form != Keyset || !r.moved.IsZero() {
			out = append(out, v)
			continue
		}
		v = v.become(Retired, at) // a keyset says itself what is accepted
		next.dead = append(next.dead, v)
		changes = append(changes, change{EventRetired, v})
	}
	changes = append(changes, next.overlap(before, out, at, r)...)
	next.remember(s.dead)
	next.sort()
	return next, changes
}

// inherit carries over what is known of the same bytes: usage, the time of the
// last change of state, the deadline. The same bytes under another id are the
// same version. known is nil for a version that is new.
func (v version) inherit(known *version, at instant) version {
	if known == nil {
		v.usage, v.since = &usage{}, at.time()
		return v
	}
	if v.mark == (digest{}) { // a tombstone without its value
		v.digest, v.rested, v.mark, v.claim, v.fingerprint = known.digest, known.rested, known.mark, known.claim, known.fingerprint
	}
	v.usage, v.since = known.usage, known.since
	if v.notAfter.set && v.notAfter.wall == known.notAfter.wall {
		v.notAfter = known.notAfter // pinned when first seen: a wall clock set back cannot move it
	}
	stated := v.until.set // by the source itself
	if v.state == Previous && (stated && v.until.wall == known.until.wall && known.until.set || !stated && known.state == Previous) {
		v.until = known.until
	}
	if v.state != known.state {
		v.since = at.time()
	}
	if known.state == Revoked || v.state == Previous && known.state == Retired && (!stated || v.until.passed(at)) {
		v.state = known.state
	}
	return v
}

func (v version) become(state State, at instant) version {
	if v.state != state {
		v.state, v.since = state, at.time()
	}
	if state == Current {
		v.until = v.notAfter
	}
	return v
}

// arrivals are the events of what is current now and was not before.
func (s *set) arrivals(before roll, next *set) []change {
	var changes []change
	_, had := s.current()
	for _, v := range next.live {
		known := before.find(&v)
		seen := known != nil
		switch {
		case v.state == Pending && !seen:
			changes = append(changes, change{EventPending, v})
		case v.state != Current || seen && known.state == Current:
		case seen && known.state == Previous:
			changes = append(changes, change{EventFlapping, v})
		case seen && known.state == Disabled:
			changes = append(changes, change{EventRestored, v})
		case seen && known.state == Pending:
			changes = append(changes, change{EventPromoted, v})
		case v.form == Latest && (had || seen):
			changes = append(changes, change{EventRotated, v})
		default:
			changes = append(changes, change{EventInstalled, v})
		}
	}
	return changes
}

// leftBehind returns the versions that were accepted and are in the new reading
// neither as live nor as dead nor in listed.
func (s *set) leftBehind(next *set, listed []version) []version {
	mentioned := make(map[digest]bool, len(next.live)+len(next.dead)+len(listed))
	for _, list := range [][]version{next.live, next.dead, listed} {
		for i := range list {
			mentioned[list[i].mark] = true
		}
	}
	var out []version
	for _, v := range s.live {
		if !mentioned[v.mark] && v.state != Pending {
			out = append(out, v)
		}
	}
	return out
}

// overlap files the outgoing versions under previous with their deadlines, or
// under retired when the deadline has passed or there are too many.
//
// The deadline is that of the rotation, not of its discovery: the moment at
// which the new version was created plus the overlap, so that nodes which notice
// at different times agree. A store's clock is not believed beyond the skew. A list
// was rotated when it was stored, whether or not a key is new in it. When another source
// took over, that ended what had been accepted until then, and nothing else.
func (s *set) overlap(before roll, out []version, at instant, r rules) []change {
	rotated := at.time()
	for _, v := range s.live {
		known := before.find(&v)
		if v.state == Current && !v.created.IsZero() && (v.form == List || known == nil || known.state != Current) {
			rotated = v.created
			break
		}
	}
	latest := at.time().Add(r.overlap + skew)
	var changes []change
	for i := range out {
		if out[i].state != Previous || !out[i].until.set {
			deadline := rotated
			if known := before.find(&out[i]); !r.moved.IsZero() && known != nil && (known.state == Current || known.state == Previous) {
				deadline = r.moved
			}
			if deadline = deadline.Add(r.overlap); deadline.After(latest) {
				deadline = latest
			}
			out[i] = out[i].become(Previous, at)
			out[i].until = boundAt(deadline, at)
		}
		out[i].until = earlier(out[i].notAfter, out[i].until)
	}
	slices.SortStableFunc(out, before.newestFirst)
	kept := 0
	for _, v := range out {
		known := before.find(&v)
		wasLive := known != nil && (known.state == Current || known.state == Previous)
		switch {
		case v.until.passed(at):
			s.dead = append(s.dead, v.become(Retired, at))
			if wasLive {
				changes = append(changes, change{EventRetired, v})
			}
		case v.form == Latest && kept == r.previous:
			s.dead = append(s.dead, v.become(Retired, at))
			if wasLive {
				changes = append(changes, change{EventOverflow, v})
			}
		case v.form == Latest:
			kept++
			s.live = append(s.live, v)
		default:
			s.live = append(s.live, v)
			if known == nil || known.state != Previous || known.until.wall != v.until.wall {
				changes = append(changes, change{EventPrevious, v})
			}
		}
	}
	return changes
}

// newestFirst orders replaced versions: what has just been replaced, and then by deadline. The time since when a version is in its
// state is of no use for that, a wall clock that was set back makes the newest look old.
func (r roll) newestFirst(a, b version) int {
	was := func(v *version) int {
		if known := r.find(v); known != nil && known.state == Previous {
			return 1
		}
		return 0
	}
	if n := was(&a) - was(&b); n != 0 {
		return n
	}
	return cmp.Compare(b.until.mono, a.until.mono)
}

// remember keeps the dead of before that the source does not mention: the revoked
// ones for good, of the others the latest few, to tell a retired key from an
// unknown one.
func (s *set) remember(dead []version) {
	if len(dead) == 0 {
		return
	}
	room := max(0, deadRemembered-len(s.dead))
	now := s.roll()
	for _, v := range dead {
		if now.find(&v) != nil {
			continue
		}
		if v.state == Revoked {
			s.dead = append(s.dead, v)
		} else if room > 0 {
			room--
			s.dead = append(s.dead, v)
		}
	}
}

// sort brings the live versions into the order current, previous, pending, and
// keeps the source's order among the current ones.
func (s *set) sort() {
	if slices.IsSortedFunc(s.live, func(a, b version) int { return int(a.state) - int(b.state) }) {
		return
	}
	sorted := make([]version, 0, len(s.live))
	for _, state := range [...]State{Current, Previous, Pending} {
		for i := range s.live {
			if s.live[i].state == state {
				sorted = append(sorted, s.live[i])
			}
		}
	}
	s.live = sorted
}

// settle returns the set after time has passed: deadlines retire versions, a
// pending one whose time has come becomes current. It returns s itself when
// nothing changes.
func (s *set) settle(at instant) (*set, []change) {
	if !s.due(at) {
		return s, nil
	}
	next := &set{highest: s.highest}
	var changes []change
	for _, v := range s.live {
		switch {
		case v.over(at):
			v = v.become(Retired, at)
			next.dead = append(next.dead, v)
			changes = append(changes, change{EventRetired, v})
		case v.state == Pending && v.notBefore.passed(at):
			v = v.become(Current, at)
			next.live = append(next.live, v)
			changes = append(changes, change{EventPromoted, v})
		default:
			next.live = append(next.live, v)
		}
	}
	next.remember(s.dead)
	next.sort()
	return next, changes
}

// due reports whether settle has something to do.
func (s *set) due(at instant) bool {
	for i := range s.live {
		if v := &s.live[i]; v.over(at) || v.state == Pending && v.notBefore.passed(at) {
			return true
		}
	}
	return false
}

// over reports whether the time of v has passed.
func (v *version) over(at instant) bool { return v.until.passed(at) || v.notAfter.passed(at) }

// end returns the set in which the versions that match have reached a final state.
func (s *set) end(state State, at instant, matches func(*version) bool) (*set, []change) {
	next := &set{highest: s.highest}
	var changes []change
	for _, v := range s.live {
		if !matches(&v) {
			next.live = append(next.live, v)
			continue
		}
		v = v.become(state, at)
		next.dead = append(next.dead, v)
		changes = append(changes, change{endings[state], v})
	}
	for _, v := range s.dead {
		if matches(&v) && v.state != state && v.state != Revoked {
			v = v.become(state, at)
			next.dead = append(next.dead, v)
			changes = append(changes, change{endings[state], v})
		}
	}
	next.remember(s.dead)
	return next, changes
}

// nextMove returns how long it is until settle has something to do.
func (s *set) nextMove(at instant) (time.Duration, bool) {
	var soonest time.Duration
	found := false
	for _, v := range s.live {
		b := earlier(v.until, v.notAfter)
		if v.state == Pending && v.notBefore.set {
			b = earlier(b, v.notBefore)
		}
		if b.set && (!found || b.left(at) < soonest) {
			soonest, found = b.left(at), true
		}
	}
	return soonest, found
}
