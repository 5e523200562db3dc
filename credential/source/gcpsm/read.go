package gcpsm

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash/crc32"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-backend/parley/credential"
)

const (
	// lookBack is how many versions before the latest are looked at to find the value
	// before. A secret with several fields has versions in which this one did not change.
	lookBack = 4
	// blindFor is how long the service is not asked for a list that it refused.
	blindFor = time.Hour
)

// The states of a version in the service's words.
const (
	stateEnabled   = "ENABLED"
	stateDisabled  = "DISABLED"
	stateDestroyed = "DESTROYED"
)

// listed is a version without its value.
type listed struct {
	number  uint64
	state   string
	created time.Time
}

// reading is one version.
type reading struct {
	version credential.Version
	keys    credential.Payload // what it holds, if that is several keys
	closed  string             // the state for which its value cannot be had, "" if it can
}

// Fetch reads the latest version and the value before it, so that the overlap is the
// same on a server that has just started (without the right to list versions it is not).
// If the latest is disabled everything is Gone,
// until it is enabled again or followed by another; if it is destroyed its value is
// revoked for good. A secret that does not exist is Missing.
func (s *source) Fetch(ctx context.Context) (credential.Payload, error) {
	payload, err := s.fetch(ctx)
	s.mu.Lock()
	s.missing = errors.Is(err, credential.Missing)
	if errors.Is(err, credential.Denied) {
		s.blind = time.Time{} // who mends that may allow the list, too
	}
	s.mu.Unlock()
	return payload, err
}

func (s *source) fetch(ctx context.Context) (credential.Payload, error) {
	versions, err := s.list(ctx)
	if err != nil {
		return credential.Payload{}, err
	}
	now, err := s.newest(ctx, versions)
	if err != nil {
		return credential.Payload{}, err
	}
	number := now.version.Number
	base := s.advance(&now.version)
	if now.closed != "" {
		return s.ended(now, base)
	}
	if s.decoder.Several() {
		for i := range now.keys.Versions {
			now.keys.Versions[i].Number = now.version.Number
		}
		return now.keys, nil
	}
	payload := credential.Payload{Versions: []credential.Version{now.version}}
	current := &payload.Versions[0]
	mark := s.digester.Version(current)
	found := false
	for _, v := range s.earlier(versions, number, base) {
		if found && v.state == stateEnabled {
			continue // superseded long ago: the engine knows what it accepted
		}
		before, err := s.access(ctx, v)
		if err != nil {
			if errors.Is(err, credential.Unavailable) || ctx.Err() != nil {
				return credential.Payload{}, err
			}
			break // it may not be read, or has not the field
		}
		before.version.Number += base
		if before.closed == "" && s.digester.Version(&before.version) == mark {
			current.Created = before.version.Created // it has been current since then
			continue
		}
		if stated, told := s.before(before, mark); told {
			payload.Versions = append(payload.Versions, stated)
		}
		if found = true; s.isBlind() {
			break // each further one would cost a request
		}
	}
	s.remember(payload.Versions)
	return payload, nil
}

// list returns the versions, newest first, or none if our account may not list them.
func (s *source) list(ctx context.Context) ([]listed, error) {
	if s.isBlind() {
		return nil, nil
	}
	path, query := s.parent+"/versions", "pageSize="+strconv.Itoa(1+lookBack)
	if s.pinned > 0 {
		path, query = path+"/"+strconv.FormatUint(s.pinned, 10), ""
	}
	answer, err := s.client.do(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	defer clear(answer.Body)
	if answer.Status == http.StatusForbidden {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.blind = time.Now()
		return nil, nil
	}
	if answer.Status != http.StatusOK {
		return nil, s.client.refuse(answer, s.parent)
	}
	var page struct {
		stated            // one version
		Versions []stated `json:"versions"`
	}
	if json.Unmarshal(answer.Body, &page) != nil {
		return nil, unreadable()
	}
	if s.pinned > 0 {
		page.Versions = []stated{page.stated}
	}
	var versions []listed
	for _, v := range page.Versions {
		number, ok := s.number(v.Name)
		if !ok {
			return nil, unreadable()
		}
		versions = append(versions, listed{number, v.State, v.Created})
	}
	if len(versions) == 0 {
		return nil, credential.Errorf(credential.Missing, "%s: the secret has no version", s.parent)
	}
	slices.SortStableFunc(versions, func(a, b listed) int { return cmp.Compare(b.number, a.number) })
	return versions, nil
}

// stated is a version in the service's words.
type stated struct {
	Name    string    `json:"name"`
	State   string    `json:"state"`
	Created time.Time `json:"createTime"`
}

// number returns the number at the end of a name. The project in it may be written in
// another way than in the reference.
func (s *source) number(name string) (uint64, bool) {
	_, text, found := strings.Cut(name, "/versions/")
	number, err := strconv.ParseUint(text, 10, 63)
	return number, found && err == nil && number > 0
}

func (s *source) isBlind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.blind.IsZero() && time.Since(s.blind) < blindFor
}

func unreadable() error {
	return credential.Errorf(credential.Unavailable, "the service sent an answer that cannot be read")
}

// newest reads the version that is current. The list and the name "latest" may be
// behind for a while; the number that a write returned never is.
func (s *source) newest(ctx context.Context, versions []listed) (reading, error) {
	s.mu.Lock()
	written := s.written
	s.mu.Unlock()
	var newest listed
	switch {
	case s.pinned > 0 && len(versions) == 0:
		newest.number = s.pinned
	case len(versions) > 0:
		newest = versions[0]
	}
	if s.pinned == 0 && len(versions) > 0 && newest.number < written.number && !newest.created.After(written.created) {
		newest = written
	}
	r, err := s.access(ctx, newest)
	if err == nil && s.pinned == 0 && len(versions) == 0 && r.version.Number < written.number && !s.renewed() {
		return s.access(ctx, written)
	}
	return r, err
}

// renewed reports whether the secret was away: then its numbers begin anew.
func (s *source) renewed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.missing
}

// access reads a value, that of the latest version for number 0. Of a version that is known to be closed
// the service is not asked.
func (s *source) access(ctx context.Context, v listed) (reading, error) {
	name := "latest"
	if v.number > 0 {
		name = strconv.FormatUint(v.number, 10)
	}
	r := reading{version: credential.Version{ID: name, Number: v.number, Created: v.created}}
	if v.state != "" && v.state != stateEnabled {
		r.closed = v.state
		return r, nil
	}
	answer, err := s.client.do(ctx, http.MethodGet, s.parent+"/versions/"+name+":access", "", nil)
	if err != nil {
		return reading{}, err
	}
	defer clear(answer.Body)
	if r.closed = closed(answer, v.state); r.closed != "" {
		return r, nil
	}
	if answer.Status != http.StatusOK {
		return reading{}, s.client.refuse(answer, s.parent)
	}
	var whole struct {
		Name    string `json:"name"`
		Payload struct {
			Data   rawString `json:"data"`
			CRC32C string    `json:"dataCrc32c"`
		} `json:"payload"`
	}
	defer func() { clear(whole.Payload.Data) }()
	if json.Unmarshal(answer.Body, &whole) != nil {
		return reading{}, unreadable()
	}
	number, ok := s.number(whole.Name)
	if !ok || v.number > 0 && number != v.number {
		return reading{}, unreadable()
	}
	r.version.ID, r.version.Number = strconv.FormatUint(number, 10), number
	content := make([]byte, base64.StdEncoding.DecodedLen(len(whole.Payload.Data)))
	defer clear(content)
	n, err := base64.StdEncoding.Decode(content, whole.Payload.Data)
	switch {
	case err != nil:
		return reading{}, unreadable()
	case n > maxPayload:
		return reading{}, credential.Errorf(credential.Invalid, "%s: larger than %d bytes", s.parent, maxPayload)
	case whole.Payload.CRC32C != "" && whole.Payload.CRC32C != checksum(content[:n]):
		return reading{}, credential.Errorf(credential.Unavailable, "%s: the payload does not have its checksum", s.parent)
	}
	if r.keys, err = s.decoder.Payload(content[:n], r.version); err == nil && !s.decoder.Several() {
		r.version = r.keys.Versions[0]
	}
	return r, err
}

// rawString is a JSON string in memory that can be wiped.
type rawString []byte

// UnmarshalJSON implements json.Unmarshaler.
func (r *rawString) UnmarshalJSON(text []byte) error {
	if len(text) < 2 || text[0] != '"' {
		return errors.New("gcpsm: not a string")
	}
	if bytes.IndexByte(text, '\\') >= 0 { // base64 needs no escapes, but = and / may have one
		var plain string
		err := json.Unmarshal(text, &plain)
		*r = rawString(plain)
		return err
	}
	*r = append((*r)[:0], text[1:len(text)-1]...)
	return nil
}

// checksum is the CRC-32C in the service's notation.
func checksum(content []byte) string {
	return strconv.FormatUint(uint64(crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli))), 10)
}

// earlier returns the versions before the current one, newest first. Without a list it is
// not known when the current one came, so only those count that were handed out by this
// process: else each start would accept the version before for another overlap.
func (s *source) earlier(versions []listed, current, base uint64) []listed {
	if s.pinned > 0 {
		return nil
	}
	var before []listed
	for _, v := range versions {
		if v.number < current {
			before = append(before, v)
		}
	}
	if len(versions) > 0 {
		return before
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for back := uint64(1); back <= lookBack && back < current; back++ {
		if _, handed := s.delivered[current-back+base]; handed {
			before = append(before, listed{number: current - back})
		}
	}
	return before
}

// advance notes the latest version, gives it its number among all that were under this
// name, and returns what was added to it.
func (s *source) advance(v *credential.Version) (base uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pinned > 0 || v.Number == 0 {
		return 0
	}
	if v.Number < s.latest && (s.missing || v.Created.After(s.created)) {
		s.base += s.latest
		clear(s.delivered)
		s.latest, s.created, s.written = v.Number, v.Created, listed{}
	} else if v.Number >= s.latest {
		s.latest, s.created = v.Number, v.Created
	}
	v.Number += s.base
	return s.base
}

// before states a version before the current one. Its end is told only if it was
// handed out and is not the value that is current.
func (s *source) before(r reading, current [32]byte) (credential.Version, bool) {
	r.version.State = credential.Previous
	if r.closed == "" {
		return r.version, true
	}
	r.version.State = credential.Disabled
	if r.closed == stateDestroyed {
		r.version.State = credential.Revoked
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mark, handed := s.delivered[r.version.Number]
	return r.version, handed && mark != current
}

// ended is the answer when the latest version is closed: nothing is accepted any more. A
// destroyed version that was handed out is revoked for good.
func (s *source) ended(now reading, base uint64) (credential.Payload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, handed := s.delivered[now.version.Number]; now.closed != stateDestroyed || !handed {
		how := "disabled"
		if now.closed == stateDestroyed {
			how = "destroyed"
		}
		return credential.Payload{}, credential.Errorf(credential.Gone, "%s: version %s is %s", s.parent, now.version.ID, how)
	}
	now.version.State = credential.Revoked
	versions := []credential.Version{now.version}
	for _, earlier := range slices.Sorted(maps.Keys(s.delivered)) {
		if earlier != now.version.Number {
			versions = append(versions, credential.Version{ID: strconv.FormatUint(earlier-base, 10), Number: earlier, State: credential.Disabled})
		}
	}
	return credential.Payload{Versions: versions}, nil
}

// remember notes what is handed out, the latest few.
func (s *source) remember(versions []credential.Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.delivered == nil {
		s.delivered = make(map[uint64][32]byte)
	}
	for i := range versions {
		if v := &versions[i]; v.State == credential.Current || v.State == credential.Previous {
			s.delivered[v.Number] = s.digester.Version(v)
		}
	}
	for _, number := range slices.Sorted(maps.Keys(s.delivered)) {
		if len(s.delivered) > 2*lookBack {
			delete(s.delivered, number)
		}
	}
}
