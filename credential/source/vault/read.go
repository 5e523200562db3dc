package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/internal/origin"
)

// lookBack is how many versions before the latest are looked at to find the value
// before. A secret with several fields has versions in which this one did not change.
const lookBack = 4

type source struct {
	mount, path string
	kv          string // "1", "2", or "" to ask
	pinned      uint64
	decoder     credential.Decoder
	client      *client
	digester    credential.Digester

	leasing chan struct{} // held by who looks at lease
	lease   *lease        // of what was handed out, nil if it has none

	mu sync.Mutex
	// engine is what Vault said is mounted there.
	engine *engine
	// latest is the newest version read, created its time. A lower number that was
	// created later is another secret under the same name, and counts from base on.
	latest, base uint64
	created      time.Time
	// delivered are the values of the versions that were handed out, as digests.
	delivered map[uint64][32]byte
}

// engine is where a path leads.
type engine struct {
	mount, path string // of version 2 of the key/value engine
	versioned   bool
	keyValue    bool // of either version: it keeps what is written
}

// Info: version numbers only grow. An engine without versions is given numbers here.
func (s *source) Info() credential.Info {
	location := s.client.addr + "/" + s.mount + "/" + s.path
	if s.client.namespace != "" {
		location = s.client.addr + "/" + s.client.namespace + "/" + s.mount + "/" + s.path
	}
	return credential.Info{Scheme: "vault", Location: location, Instance: s.client.addr, Monotonic: true}
}

// Fetch reads the latest version and the value before it, so that the overlap is the
// same on a server that has just started. A deleted version is Gone, a destroyed one
// is revoked for good, a secret that does not exist is Missing.
func (s *source) Fetch(ctx context.Context) (credential.Payload, error) {
	e, err := s.locate(ctx)
	if err != nil {
		return credential.Payload{}, err
	}
	var payload credential.Payload
	if e.versioned {
		payload, err = s.readVersions(ctx, e)
	} else {
		payload, err = s.readPlain(ctx, e)
	}
	if errors.Is(err, credential.Missing) {
		s.mu.Lock()
		s.engine = nil // perhaps another engine is mounted there now
		s.mu.Unlock()
	}
	if err != nil {
		return credential.Payload{}, err
	}
	if left := s.client.left(ctx); left > 0 && (payload.TTL == 0 || left < payload.TTL) {
		payload.TTL = left // come back in time to renew the token
	}
	return payload, nil
}

// locate says which engine is mounted where.
func (s *source) locate(ctx context.Context) (engine, error) {
	switch s.kv {
	case "1":
		return engine{keyValue: true}, nil
	case "2":
		return engine{mount: s.mount, path: s.path, versioned: true, keyValue: true}, nil
	}
	s.mu.Lock()
	known := s.engine
	s.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	answer, err := s.client.get(ctx, "sys/internal/ui/mounts/"+s.mount+"/"+s.path)
	if err != nil {
		return engine{}, err
	}
	defer clear(answer.Body)
	if answer.Status != http.StatusOK {
		return engine{}, s.refuse(answer)
	}
	var found struct {
		Data struct {
			Path    string `json:"path"`
			Type    string `json:"type"`
			Options struct {
				Version string `json:"version"`
			} `json:"options"`
		} `json:"data"`
	}
	if json.Unmarshal(answer.Body, &found) != nil {
		return engine{}, unreadable()
	}
	e := engine{mount: strings.Trim(found.Data.Path, "/"), keyValue: found.Data.Type == "kv" || found.Data.Type == "generic"}
	e.versioned = e.keyValue && found.Data.Options.Version == "2"
	var within bool
	e.path, within = strings.CutPrefix(s.mount+"/"+s.path, e.mount+"/")
	if e.versioned && (!within || e.path == "") {
		return engine{}, unreadable()
	}
	if s.pinned > 0 && !e.versioned {
		return engine{}, wrong("option version wants version 2 of the engine")
	}
	s.mu.Lock()
	s.engine = &e
	s.mu.Unlock()
	return e, nil
}

// reply is Vault's answer to a read of a secret; in version 2 of the engine data holds
// data and metadata.
type reply struct {
	Data          json.RawMessage `json:"data"`
	LeaseID       string          `json:"lease_id"`
	LeaseDuration int64           `json:"lease_duration"`
	Renewable     bool            `json:"renewable"`
}

// lasts returns how long the lease is, 0 if there is none.
func (r *reply) lasts() time.Duration {
	return time.Duration(min(max(r.LeaseDuration, 0), 10*365*24*3600)) * time.Second
}

// reading is one version of version 2 of the engine.
type reading struct {
	version   credential.Version
	keys      credential.Payload // instead, where the secret holds several
	deleted   bool
	destroyed bool
}

// read reads one version, the latest for 0.
func (s *source) read(ctx context.Context, e engine, number uint64) (reading, error) {
	query := ""
	if number > 0 {
		query = url.Values{"version": {strconv.FormatUint(number, 10)}}.Encode()
	}
	answer, _, err := s.client.do(ctx, request{path: e.mount + "/data/" + e.path, query: query, limit: s.limit()})
	if err != nil {
		return reading{}, err
	}
	defer clear(answer.Body)
	if answer.Status != http.StatusOK && answer.Status != http.StatusNotFound {
		return reading{}, s.refuse(answer)
	}
	var whole reply
	var inner struct {
		Data     json.RawMessage `json:"data"`
		Metadata struct {
			Version   uint64 `json:"version"`
			Created   string `json:"created_time"`
			Deleted   string `json:"deletion_time"`
			Destroyed bool   `json:"destroyed"`
		} `json:"metadata"`
	}
	defer func() { clear(whole.Data); clear(inner.Data) }()
	if json.Unmarshal(answer.Body, &whole) != nil {
		return reading{}, unreadable()
	}
	if whole.Data != nil && json.Unmarshal(whole.Data, &inner) != nil {
		return reading{}, unreadable()
	}
	meta := inner.Metadata
	if answer.Status == http.StatusNotFound && meta.Version == 0 {
		return reading{}, s.refuse(answer)
	}
	if meta.Version == 0 {
		return reading{}, unreadable()
	}
	r := reading{version: credential.Version{ID: strconv.FormatUint(meta.Version, 10), Number: meta.Version}}
	r.version.Created, _ = time.Parse(time.RFC3339Nano, meta.Created)
	if answer.Status == http.StatusNotFound {
		r.destroyed = meta.Destroyed
		r.deleted = !meta.Destroyed
		return r, nil
	}
	r.version.NotAfter, _ = time.Parse(time.RFC3339Nano, meta.Deleted) // a deletion that is to come
	if s.decoder.Several() {
		r.keys, err = s.decoder.Payload(inner.Data, r.version)
		return r, err
	}
	return r, s.decoder.Decode(inner.Data, &r.version)
}

// limit is the largest answer: what the decoder may be given, quoted, and the other fields.
func (s *source) limit() int { return maxAnswer + 2*(s.decoder.Limit()-credential.Decoder{}.Limit()) }

// readVersions reads version 2 of the engine.
func (s *source) readVersions(ctx context.Context, e engine) (credential.Payload, error) {
	now, err := s.read(ctx, e, s.pinned)
	if err != nil {
		return credential.Payload{}, err
	}
	if now.deleted || now.destroyed {
		return s.ended(now)
	}
	number := now.version.Number
	base := s.advance(&now.version)
	if s.decoder.Several() { // they say themselves, or the engine knows, what was before
		for i := range now.keys.Versions {
			now.keys.Versions[i].Number = now.version.Number
		}
		return now.keys, nil
	}
	payload := credential.Payload{Versions: []credential.Version{now.version}}
	current := &payload.Versions[0]
	mark := s.digester.Version(current)
	for back := uint64(1); s.pinned == 0 && back <= lookBack && back < number; back++ {
		before, err := s.read(ctx, e, number-back)
		if err != nil {
			if errors.Is(err, credential.Unavailable) || ctx.Err() != nil {
				return credential.Payload{}, err
			}
			break // it was removed, may not be read, or has not the field
		}
		before.version.Number += base
		if !before.deleted && !before.destroyed && s.digester.Version(&before.version) == mark {
			current.Created = before.version.Created // it has been current since then
			continue
		}
		if v, told := s.before(before, mark); told {
			payload.Versions = append(payload.Versions, v)
		}
		break
	}
	s.remember(payload.Versions)
	return payload, nil
}

// advance notes the latest version, gives it its number among all that were under this
// name, and returns what was added to it.
func (s *source) advance(v *credential.Version) (base uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pinned > 0 {
		return 0
	}
	if v.Number < s.latest && v.Created.After(s.created) {
		s.base += s.latest
		clear(s.delivered)
		s.latest, s.created = v.Number, v.Created
	} else if v.Number >= s.latest {
		s.latest, s.created = v.Number, v.Created
	}
	v.Number += s.base
	return s.base
}

// before states the version before the current one. Its end is told only if it was
// handed out and is not the value that is current.
func (s *source) before(r reading, current [32]byte) (credential.Version, bool) {
	r.version.State = credential.Previous
	if !r.deleted && !r.destroyed {
		return r.version, true
	}
	r.version.State = credential.Disabled
	if r.destroyed {
		r.version.State = credential.Revoked
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mark, handed := s.delivered[r.version.Number]
	return r.version, handed && mark != current
}

// ended is the answer when the latest version was deleted or destroyed: nothing is
// accepted any more. A destroyed version that was handed out is revoked for good.
func (s *source) ended(now reading) (credential.Payload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	number := now.version.Number + s.base
	if _, handed := s.delivered[number]; !now.destroyed || !handed {
		how := "deleted"
		if now.destroyed {
			how = "destroyed"
		}
		return credential.Payload{}, credential.Errorf(credential.Gone, "%s/%s: version %s was %s", s.mount, s.path, now.version.ID, how)
	}
	now.version.State, now.version.Number = credential.Revoked, number
	versions := []credential.Version{now.version}
	for _, earlier := range slices.Sorted(maps.Keys(s.delivered)) {
		if earlier != number {
			versions = append(versions, credential.Version{ID: strconv.FormatUint(earlier-s.base, 10), Number: earlier, State: credential.Disabled})
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

// refuse says what a status of Vault means: 503 is sealed, 429, 472 and 473 are nodes
// that stand by, 412 one that lags, and all of them are Unavailable.
func (s *source) refuse(answer origin.Answer) error {
	failure := s.client.origin.Refuse(answer)
	switch answer.Status {
	case http.StatusNotFound:
		failure.Reason = "Vault has no secret at " + s.mount + "/" + s.path
	case http.StatusServiceUnavailable:
		failure.Reason = "Vault is sealed or not ready (status 503)"
	case http.StatusTooManyRequests, 472, 473:
		failure.Reason = fmt.Sprintf("Vault is busy or standing by (status %d)", answer.Status)
	}
	return failure
}
