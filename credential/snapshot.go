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
	digests []digest       // of set.live, side by side: readers compare them all
	index   map[digest]int // instead, when there are many

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
	snap := &snapshot{set: s, generation: generation, digests: make([]digest, len(s.live))}
	for i := range s.live {
		snap.digests[i] = s.live[i].digest
	}
	if len(s.live) > scanned {
		snap.index = make(map[digest]int, len(s.live))
		for i, sum := range snap.digests {
			snap.index[sum] = i
		}
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
	if after, has := s.current(); had != has || before.digest != after.digest {
		next.presented = generation
		if has && after.usage != nil {
			after.shown.Store(generation)
		}
	}
	next.known, next.withdrawn, next.read, next.fresh, next.trusted = snap.known, snap.withdrawn, snap.read, snap.fresh, snap.trusted
	return next
}

// match returns the index of the live version with the digest, or -1. It looks
// at all of them, whichever matches.
func (snap *snapshot) match(sum *digest) int {
	if snap.index != nil {
		if i, found := snap.index[*sum]; found {
			return i
		}
		return -1
	}
	hit := -1
	for i := range snap.digests {
		hit = subtle.ConstantTimeSelect(snap.digests[i].equal(sum), i, hit)
	}
	return hit
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

// fate returns why a key that is not live is refused: because it once was.
func (snap *snapshot) fate(sum *digest) (*version, bool) {
	for i := range snap.dead {
		if snap.dead[i].digest.equal(sum) == 1 {
			return &snap.dead[i], true
		}
	}
	return nil, false
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

func saltedIn[T string | []byte](buffer []byte, salt *[saltSize]byte, value T) digest {
	copy(buffer, salt[:])
	n := saltSize + copy(buffer[saltSize:], value)
	sum := sha256.Sum256(buffer[:n])
	clear(buffer[:n])
	return sum
}
