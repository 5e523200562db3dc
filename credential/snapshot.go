package credential

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// snapshot is what readers see: one set and how old it is. It is immutable but
// for the mark that a reader leaves when a clock has jumped.
type snapshot struct {
	*set
	digests []digest         // of set.live, side by side: readers compare them all
	index   map[digest]int32 // instead, when there are many: place in set.live, or below 0 the place in set.dead
	atRest  bool             // of some version only the SHA-256 is known: then all are known by theirs

	generation uint64  // grows with every change of the set
	presented  uint64  // the generation in which the version to present last changed
	known      bool    // has there ever been an answer
	withdrawn  bool    // there is no source any more: what is live ends, nothing else is accepted
	read       instant // when the reading began that confirmed the set
	fresh      time.Duration
	trusted    time.Duration // 0: for ever
	jumped     atomic.Bool
}

// scanned is up to how many versions are compared one by one. Beyond it a map
// finds the digest; an attacker does not know the salt and so cannot walk it.
const scanned = 32

func newSnapshot(s *set, generation uint64) *snapshot {
	snap := &snapshot{set: s, generation: generation}
	for _, list := range [][]version{s.live, s.dead} {
		for i := range list {
			snap.atRest = snap.atRest || list[i].digest == digest{} && list[i].rested != digest{}
		}
	}
	if len(s.live)+len(s.dead) > scanned {
		snap.index = make(map[digest]int32, len(s.live)+len(s.dead))
		for i := range s.dead {
			snap.index[*s.dead[i].known(snap.atRest)] = int32(-1 - i)
		}
		for i := range s.live {
			snap.index[*s.live[i].known(snap.atRest)] = int32(i)
		}
		return snap
	}
	snap.digests = make([]digest, len(s.live))
	for i := range s.live {
		snap.digests[i] = *s.live[i].known(snap.atRest)
	}
	return snap
}

// with returns a copy of snap that holds s.
func (snap *snapshot) with(s *set, changed bool) *snapshot {
	generation := snap.generation
	if changed {
		generation++
	}
	next := newSnapshot(s, generation)
	next.presented = snap.presented
	before, had := snap.current()
	if after, has := s.current(); had != has || before.mark != after.mark {
		next.presented = generation
		if has && after.usage != nil {
			after.shown.Store(generation)
		}
	}
	next.known, next.withdrawn, next.read, next.fresh, next.trusted = snap.known, snap.withdrawn, snap.read, snap.fresh, snap.trusted
	return next
}

// sum returns what a presented value is known by here.
func (snap *snapshot) sum(salt *[saltSize]byte, presented string) digest {
	if snap.atRest {
		once := unsalted(presented)
		return salted(salt, once[:])
	}
	return salted(salt, presented)
}

// match returns the version with the sum, nil if there is none, and whether it is live.
// It looks at all live ones, whichever matches.
func (snap *snapshot) match(sum *digest) (v *version, live bool) {
	if snap.index != nil {
		return snap.lookUp(sum)
	}
	hit := -1
	for i := range snap.digests {
		hit = subtle.ConstantTimeSelect(snap.digests[i].equal(sum), i, hit)
	}
	if hit >= 0 {
		return &snap.live[hit], true
	}
	for i := range snap.dead {
		if snap.dead[i].known(snap.atRest).equal(sum) == 1 {
			return &snap.dead[i], false
		}
	}
	return nil, false
}

// lookUp is match by the map.
func (snap *snapshot) lookUp(sum *digest) (v *version, live bool) {
	at, found := snap.index[*sum]
	switch {
	case !found:
		return nil, false
	case at < 0:
		return &snap.dead[-1-at], false
	}
	return &snap.live[at], true
}

// equal returns 1 if both are equal and 0 otherwise, in constant time. It compares
// words where subtle.ConstantTimeCompare compares bytes, which with three versions
// is a sixth of a verification.
func (d *digest) equal(other *digest) int {
	var differ uint64
	for i := 0; i < len(d); i += 8 {
		differ |= binary.LittleEndian.Uint64(d[i:]) ^ binary.LittleEndian.Uint64(other[i:])
	}
	return int(1 ^ (differ|-differ)>>63)
}

// saltSize keeps keys of up to 39 bytes within one block of SHA-256.
const saltSize = 16

// salted returns the salted SHA-256 of value. The time depends on the number of
// blocks only, and hashing both sides makes comparing them independent of where
// they differ. Plain SHA-256 suffices because keys are random, not passwords;
// MinLength and the warning for short values are for those who chose otherwise.
//
// It takes a string from a request and bytes from a source, so that neither has
// to be copied to where the other kind lives.
func salted[T string | []byte](salt *[saltSize]byte, value T) digest {
	switch { // room on the stack for any usual key, and little of it to be zeroed for most
	case len(value) <= 112:
		var buffer [saltSize + 112]byte
		return saltedIn(buffer[:], salt, value)
	case len(value) <= 496:
		var buffer [saltSize + 496]byte
		return saltedIn(buffer[:], salt, value)
	}
	return saltedIn(make([]byte, saltSize+len(value)), salt, value)
}

// unsalted returns the SHA-256 of what was presented.
func unsalted(presented string) digest {
	switch {
	case len(presented) <= 112:
		var buffer [112]byte
		return unsaltedIn(buffer[:], presented)
	case len(presented) <= 496:
		var buffer [496]byte
		return unsaltedIn(buffer[:], presented)
	}
	return unsaltedIn(make([]byte, len(presented)), presented)
}

func unsaltedIn(buffer []byte, presented string) digest {
	n := copy(buffer, presented)
	sum := sha256.Sum256(buffer[:n])
	clear(buffer[:n])
	return sum
}

func saltedIn[T string | []byte](buffer []byte, salt *[saltSize]byte, value T) digest {
	copy(buffer, salt[:])
	n := saltSize + copy(buffer[saltSize:], value)
	sum := sha256.Sum256(buffer[:n])
	clear(buffer[:n])
	return sum
}
