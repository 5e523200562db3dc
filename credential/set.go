package credential

import (
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
	mu      sync.Mutex
	key     []byte
	members []member
}

type member struct {
	*Credential
	claims []digest
}

// mark returns the digest under which a value is compared across credentials.
func (s *Set) mark(value []byte) digest {
	s.mu.Lock()
	if s.key == nil {
		s.key = make([]byte, 32)
		_, _ = rand.Read(s.key) // never fails
	}
	key := s.key
	s.mu.Unlock()
	return keyed(key, value)
}

// join makes c a member.
func (s *Set) join(c *Credential) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.members {
		if m.cfg.Name == c.cfg.Name {
			return Errorf(Misconfigured, "a second credential of that name").about(c.cfg.Name)
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = slices.DeleteFunc(s.members, func(m member) bool { return m.Credential == c })
}

// claim replaces what c holds by the live versions, all or nothing.
func (s *Set) claim(c *Credential, live []version) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var claims []digest
	for i := range live { // what was recalled from disk has no claim, but the mark: of credentials with one install key that is as good
		if live[i].claim != (digest{}) {
			claims = append(claims, live[i].claim)
		}
		claims = append(claims, live[i].mark)
	}
	own := -1
	for i, m := range s.members {
		if m.Credential == c {
			own = i
			continue
		}
		if m.cfg.Role == c.cfg.Role {
			continue
		}
		if slices.ContainsFunc(m.claims, func(d digest) bool { return slices.Contains(claims, d) }) {
			return Errorf(Invalid, "equal to the value of %s", m.cfg.Name)
		}
	}
	if own >= 0 {
		s.members[own].claims = claims
	}
	return nil
}

// All returns the members in the order in which they were made.
func (s *Set) All() []*Credential {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Credential, len(s.members))
	for i, m := range s.members {
		all[i] = m.Credential
	}
	return all
}

// Get returns the member of that name, nil if there is none.
func (s *Set) Get(name string) *Credential {
	for _, c := range s.All() {
		if c.cfg.Name == name {
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
	for _, c := range s.All() {
		group.Go(c.Stop)
	}
	group.Wait()
}
