package azkv

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/parley-backend/parley/credential"
)

const (
	// lookBack is how many versions before the newest are looked at to find the value
	// before. A secret with several fields has versions in which this one did not change.
	lookBack = 4
	// maxPages bounds the list of versions: 25 to a page.
	maxPages = 40
	// blindFor is how long the vault is not asked for a list that it refused.
	blindFor = time.Hour
	// skew is what the engine allows a clock to be wrong about not-before.
	skew = time.Minute
	// remembered is how many versions that were handed out are known again.
	remembered = 16
)

// reading is one version.
type reading struct {
	version credential.Version
	keys    credential.Payload // what it holds, if that is several keys
	closed  bool               // disabled: its value cannot be had
}

// Fetch reads the newest version and the value before it, so that the overlap is the
// same on a server that has just started. If the newest is disabled everything is Gone,
// until it is enabled again or followed by another; so it is while the secret is deleted
// and can be recovered. A secret that does not exist is Missing. While the time of the
// newest version has not come it is pending, and the one before is current.
func (s *source) Fetch(ctx context.Context) (credential.Payload, error) {
	defer s.client.rest()
	newest, err := s.get(ctx, s.pinned)
	switch {
	case errors.Is(err, credential.Missing):
		return credential.Payload{}, s.deleted(ctx, err)
	case err != nil:
		return credential.Payload{}, err
	case newest.closed:
		return credential.Payload{}, credential.Errorf(credential.Gone, "%s: the version is disabled", s.Info().Location)
	case s.decoder.Several():
		return newest.keys, nil
	case s.pinned != "":
		return credential.Payload{Versions: []credential.Version{newest.version}}, nil
	}
	earlier, err := s.before(ctx, newest.version.ID)
	if err != nil {
		return credential.Payload{}, err
	}
	payload, err := s.follow(ctx, newest, earlier)
	if err != nil {
		return credential.Payload{}, err
	}
	s.remember(payload.Versions)
	return payload, nil
}

// get reads one version, the newest for "".
func (s *source) get(ctx context.Context, id string) (reading, error) {
	r := reading{version: credential.Version{ID: id}}
	response, err := s.client.GetSecret(ctx, s.name, id, nil)
	if err != nil {
		code, failure := s.client.failed(ctx, s.Info().Location, err)
		if r.closed = code == codeDisabled; r.closed {
			return r, nil
		}
		return reading{}, failure
	}
	if response.ID == nil || response.Value == nil || response.ID.Version() == "" || id != "" && response.ID.Version() != id {
		return reading{}, credential.Errorf(credential.Unavailable, "%s: the vault sent an answer that cannot be read", s.Info().Location)
	}
	r.version.ID = response.ID.Version()
	if a := response.Attributes; a != nil {
		if r.closed = a.Enabled != nil && !*a.Enabled; r.closed {
			return r, nil
		}
		r.version.Created, r.version.NotBefore, r.version.NotAfter = orZero(a.Created), orZero(a.NotBefore), orZero(a.Expires)
		if r.version.NotBefore.After(r.version.Created) {
			r.version.Created = r.version.NotBefore // it is current since then
		}
	}
	content := []byte(*response.Value)
	defer clear(content)
	if r.keys, err = s.decoder.Payload(content, r.version); err == nil && !s.decoder.Several() {
		r.version = r.keys.Versions[0]
	}
	return r, err
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// deleted tells a secret that was deleted and can be recovered from one that never was.
func (s *source) deleted(ctx context.Context, missing error) error {
	if _, err := s.client.GetDeletedSecret(ctx, s.name, nil); err == nil {
		return credential.Errorf(credential.Gone, "%s: the secret was deleted", s.Info().Location)
	} else if _, failure := s.client.failed(ctx, s.name, err); errors.Is(failure, credential.Unavailable) || ctx.Err() != nil {
		return failure
	}
	return missing
}

// before returns the ids of the versions before the newest one, newest first. The vault is
// asked once for each new version.
func (s *source) before(ctx context.Context, newest string) ([]string, error) {
	s.mu.Lock()
	known, earlier := s.newest == newest, s.earlier
	blind := !s.blind.IsZero() && time.Since(s.blind) < blindFor
	var handed []string
	for _, id := range slices.Backward(s.handed) {
		if id != newest {
			handed = append(handed, id)
		}
	}
	s.mu.Unlock()
	if known {
		return earlier, nil
	}
	if blind {
		return handed, nil
	}
	earlier, err := s.list(ctx, newest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, credential.Denied) {
		s.blind = time.Now()
		return handed, nil
	}
	if err == nil {
		s.newest, s.earlier = newest, earlier
	}
	return earlier, err
}

// list asks for all versions: they come in no order.
func (s *source) list(ctx context.Context, newest string) ([]string, error) {
	type listed struct {
		id      string
		created time.Time
	}
	var all []listed
	var latest time.Time
	pager := s.client.NewListSecretPropertiesVersionsPager(s.name, nil)
	for page := 0; pager.More(); page++ {
		if page == maxPages {
			return nil, credential.Errorf(credential.Unavailable, "%s: too many versions", s.Info().Location)
		}
		next, err := pager.NextPage(ctx)
		if err != nil {
			_, failure := s.client.failed(ctx, s.Info().Location, err)
			return nil, failure
		}
		for _, v := range next.Value {
			if v == nil || v.ID == nil || v.Attributes == nil || v.ID.Version() == "" {
				continue
			}
			all = append(all, listed{v.ID.Version(), orZero(v.Attributes.Created)})
			if v.ID.Version() == newest {
				latest = orZero(v.Attributes.Created)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b listed) int { return cmp.Compare(b.created.UnixNano(), a.created.UnixNano()) })
	var earlier []string
	for _, v := range all {
		// One that came after the newest was read is seen at the next fetch.
		if v.id != newest && !v.created.After(latest) && len(earlier) < lookBack {
			earlier = append(earlier, v.id)
		}
	}
	return earlier, nil
}

// follow walks back from the newest version to the current one and to the value before it.
func (s *source) follow(ctx context.Context, newest reading, earlier []string) (credential.Payload, error) {
	var payload credential.Payload
	var pending []credential.Version
	var current *credential.Version
	var mark [32]byte
	r := newest
	for i := 0; ; i++ {
		done := false
		switch {
		case r.closed:
			if v, told := s.ended(r, mark); told {
				payload.Versions = append(payload.Versions, v)
			}
			done = true
		case current == nil && time.Until(r.version.NotBefore) > skew:
			r.version.State = credential.Pending
			pending = append(pending, r.version)
		case current == nil:
			payload.Versions = append(payload.Versions, r.version)
			current, mark = &payload.Versions[0], s.digester.Version(&r.version)
		case s.digester.Version(&r.version) == mark:
			current.Created = r.version.Created // it has been current since then
		default:
			r.version.State = credential.Previous
			payload.Versions = append(payload.Versions, r.version)
			done = true
		}
		if done || i == len(earlier) {
			break
		}
		var err error
		if r, err = s.get(ctx, earlier[i]); errors.Is(err, credential.Unavailable) || ctx.Err() != nil {
			return credential.Payload{}, err
		} else if err != nil {
			break // it may not be read, or has not the field
		}
	}
	// The current version comes first, also if a pending one has the same value.
	payload.Versions = append(payload.Versions, pending...)
	return payload, nil
}

// ended states a disabled version before the current one. That is told only if it was
// handed out and is not the value that is current.
func (s *source) ended(r reading, current [32]byte) (credential.Version, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mark, handed := s.delivered[r.version.ID]
	return credential.Version{ID: r.version.ID, State: credential.Disabled}, handed && mark != current
}

// remember notes what is handed out, the latest few.
func (s *source) remember(versions []credential.Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.delivered == nil {
		s.delivered = make(map[string][32]byte)
	}
	for i := range slices.Backward(versions) {
		v := &versions[i]
		if _, known := s.delivered[v.ID]; known || v.State == credential.Disabled {
			continue
		}
		s.delivered[v.ID] = s.digester.Version(v)
		s.handed = append(s.handed, v.ID)
	}
	for len(s.handed) > remembered {
		delete(s.delivered, s.handed[0])
		s.handed = s.handed[1:]
	}
}
