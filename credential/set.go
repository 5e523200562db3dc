package credential

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
)

// A Set holds credentials that never share a value unless they have the same
// role: a master key that is also somebody's API key would give the API key's
// holders everything. A reading that breaks this rule is refused as Invalid. A
// Set also starts, stops and lists its members. The zero Set is ready for use.
type Set struct {
	replacing sync.Mutex // held by Replace

	mu      sync.Mutex
	key     []byte
	members []member
	stores  instances
}

// claim is what a credential is about to accept.
type claim struct {
	*Credential
	live []version
}

type member struct {
	*Credential
	claims []digest // sorted
}

// secret returns the key under which values are compared across credentials.
func (s *Set) secret() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == nil {
		s.key = make([]byte, 32)
		_, _ = rand.Read(s.key) // never fails
	}
	return s.key
}

// join makes c a member.
func (s *Set) join(c *Credential) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.members {
		if m.cfg().Name == c.cfg().Name {
			return Errorf(Misconfigured, "a second credential of that name").about(c.cfg().Name)
		}
	}
	s.members = append(s.members, member{Credential: c})
	return nil
}

// leave undoes join.
func (s *Set) leave(c *Credential) {
	if s == nil {
		return
	}
	defer s.forget(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = slices.DeleteFunc(s.members, func(m member) bool { return m.Credential == c })
}

// claim replaces what c holds by the live versions, all or nothing.
func (s *Set) claim(c *Credential, live []version) error {
	if s.holds(c, live) { // as after most readings: nothing to compare with everybody
		return nil
	}
	return s.claimAll(claim{c, live})
}

// apart returns the versions that c may accept beside what the other roles hold, after the changes that are under way, and what was
// left out: what a store tells of values that are not current, and that are current elsewhere, is no reason to refuse the current one.
func (s *Set) apart(c claim, under []claim) (versions []version, leftOut []string) {
	if !slices.ContainsFunc(c.live, version.beside) {
		return c.live, nil
	}
	s.mu.Lock()
	others := slices.DeleteFunc(slices.Clone(s.members), func(m member) bool { return m.cfg().Role == c.cfg().Role })
	s.mu.Unlock()
	for i, m := range others {
		if at := slices.IndexFunc(under, func(o claim) bool { return o.Credential == m.Credential }); at >= 0 {
			others[i].claims = marks(under[at].live)
		}
	}
	for _, v := range c.live {
		own := marks([]version{v})
		at := slices.IndexFunc(others, func(m member) bool { return meet(m.claims, own) })
		if at >= 0 && v.beside() {
			leftOut = append(leftOut, leaveOut(v.id, Errorf(Invalid, "equal to the value of %s", others[at].Name())))
		} else {
			versions = append(versions, v)
		}
	}
	return versions, leftOut
}

// holds reports whether c has claimed exactly these versions.
func (s *Set) holds(c *Credential, live []version) bool {
	if s == nil {
		return false
	}
	claims := marks(live)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.members, func(m member) bool { return m.Credential == c })
	return i >= 0 && slices.Equal(s.members[i].claims, claims)
}

// claimAll replaces what several credentials hold, all or nothing.
func (s *Set) claimAll(all ...claim) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	after := slices.Clone(s.members)
	claims := make([][]digest, len(all))
	for n, one := range all {
		claims[n] = marks(one.live)
		if i := slices.IndexFunc(after, func(m member) bool { return m.Credential == one.Credential }); i >= 0 {
			after[i].claims = claims[n]
		}
	}
	for n, one := range all {
		for _, m := range after {
			if m.Credential == one.Credential || m.cfg().Role == one.cfg().Role {
				continue
			}
			if meet(m.claims, claims[n]) {
				return Errorf(Invalid, "equal to the value of %s", m.Name()).about(one.Name())
			}
		}
	}
	s.members = after
	return nil
}

// marks are the digests of versions that are compared. What was recalled from disk has no claim, but the mark: of credentials with
// one install key that is as good.
func marks(live []version) []digest {
	claims := make([]digest, 0, 2*len(live))
	for i := range live {
		if live[i].claim != (digest{}) {
			claims = append(claims, live[i].claim)
		}
		claims = append(claims, live[i].mark)
	}
	slices.SortFunc(claims, compareDigests)
	return claims
}

// meet reports whether the same digest is in both.
func meet(a, b []digest) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return slices.ContainsFunc(a, func(d digest) bool {
		_, found := slices.BinarySearchFunc(b, d, compareDigests)
		return found
	})
}

func compareDigests(a, b digest) int { return bytes.Compare(a[:], b[:]) }

// All returns the members in the order in which they were made, without those that were withdrawn and accept nothing any more.
func (s *Set) All() []*Credential {
	return slices.DeleteFunc(s.everyone(), func(c *Credential) bool {
		snap := c.snap.Load()
		return snap.withdrawn && len(snap.live) == 0
	})
}

func (s *Set) everyone() []*Credential {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Credential, len(s.members))
	for i, m := range s.members {
		all[i] = m.Credential
	}
	return all
}

// lookup returns the member of that name, withdrawn or not.
func (s *Set) lookup(name string) *Credential {
	for _, c := range s.everyone() {
		if c.Name() == name {
			return c
		}
	}
	return nil
}

// Get returns the member of that name, nil if there is none.
func (s *Set) Get(name string) *Credential {
	for _, c := range s.All() {
		if c.cfg().Name == name {
			return c
		}
	}
	return nil
}

// Start starts all members at once, so that it takes as long as the slowest. If
// any fails it stops all and returns the errors joined.
func (s *Set) Start(ctx context.Context) error {
	all := s.All()
	failures := make([]error, len(all))
	var group sync.WaitGroup
	for i, c := range all {
		group.Go(func() { failures[i] = c.Start(ctx) })
	}
	group.Wait()
	err := errors.Join(failures...)
	if err != nil {
		s.Stop()
	}
	return err
}

// Stop stops all members and returns when their goroutines have ended.
func (s *Set) Stop() {
	var group sync.WaitGroup
	for _, c := range s.everyone() {
		group.Go(c.Stop)
	}
	group.Wait()
}
