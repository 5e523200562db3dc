package vault

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/parley-backend/parley/credential"
)

// lease is a secret that Vault made for us and takes back when nobody prolongs the lease,
// or when the token ends that it was made with.
type lease struct {
	id        string
	version   credential.Version // with copies of its values
	whole     time.Duration      // as it was granted
	ends      time.Time
	renewable bool
	token     uint64 // the generation of the token
}

// readPlain reads an engine without versions. Each new content gets the next number. What
// has a lease is kept as long as that can be prolonged: another read would make another
// secret.
func (s *source) readPlain(ctx context.Context, e engine) (credential.Payload, error) {
	if !e.keyValue { // one at a time: who comes second is given what the first got
		select {
		case s.leasing <- struct{}{}:
			defer func() { <-s.leasing }()
		case <-ctx.Done():
			return credential.Payload{}, ctx.Err()
		}
		if payload, kept, err := s.prolong(ctx); kept || err != nil {
			return payload, err
		}
	}
	asked := time.Now() // Vault's clock began then at the earliest
	answer, by, err := s.client.do(ctx, request{path: s.mount + "/" + s.path, limit: s.limit(), lasting: !e.keyValue})
	if err != nil {
		return credential.Payload{}, err
	}
	defer clear(answer.Body)
	if answer.Status != http.StatusOK {
		return credential.Payload{}, s.refuse(answer)
	}
	var whole reply
	defer func() { clear(whole.Data) }()
	if json.Unmarshal(answer.Body, &whole) != nil || whole.Data == nil {
		return credential.Payload{}, unreadable()
	}
	var version credential.Version
	leased := whole.LeaseID != "" && whole.lasts() > 0
	if leased {
		version.NotAfter = by.bound(asked.Add(whole.lasts()))
	}
	payload, err := s.decoder.Payload(whole.Data, version)
	if err != nil {
		return credential.Payload{}, err
	}
	payload.TTL = whole.lasts()
	mark := s.digester.Bytes(whole.Data)
	if !s.decoder.Several() {
		mark = s.digester.Version(&payload.Versions[0])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.delivered[s.latest] != mark {
		s.latest++
		s.delivered = map[uint64][32]byte{s.latest: mark}
	}
	for i := range payload.Versions {
		payload.Versions[i].Number = s.latest
	}
	if !e.keyValue {
		s.keep(nil)
	}
	if leased && !e.keyValue && !s.decoder.Several() {
		payload.TTL = time.Until(version.NotAfter)
		s.keep(&lease{id: whole.LeaseID, version: copied(payload.Versions[0]), whole: whole.lasts(), ends: version.NotAfter, renewable: whole.Renewable, token: by.generation})
	}
	return payload, nil
}

// keep remembers the lease of what is handed out, in place of the one before.
func (s *source) keep(l *lease) {
	if s.lease != nil {
		wipe(s.lease.version)
	}
	s.lease = l
}

// bound returns end, or the end of the token if that comes first.
func (t *token) bound(end time.Time) time.Time {
	if t.lease > 0 && t.ends.Before(end) {
		return t.ends
	}
	return end
}

// prolong hands out the secret that has a lease once more, prolonged as much as Vault
// allows. It does not (kept is false) when the secret was refused, when Vault has taken it
// back, when its lease cannot be brought to half of its length again, or when our token is
// another: then it is time for the next one, while this one still works.
func (s *source) prolong(ctx context.Context) (payload credential.Payload, kept bool, err error) {
	l := s.lease
	if l == nil || credential.Refused(ctx) || !time.Now().Before(l.ends) {
		return credential.Payload{}, false, nil
	}
	leave, err := s.client.enter(ctx)
	if err != nil {
		return credential.Payload{}, false, err
	}
	defer leave()
	by, err := s.client.ready(ctx, 0, true)
	if err != nil || by.generation != l.token {
		return credential.Payload{}, false, err
	}
	asked := time.Now()
	granted := l.ends.Sub(asked)
	if l.renewable {
		if granted, err = s.renew(ctx, l, by); err != nil {
			return credential.Payload{}, false, err
		}
	}
	if granted < l.whole/2 {
		return credential.Payload{}, false, nil
	}
	l.ends = by.bound(asked.Add(granted))
	version := copied(l.version)
	version.NotAfter = l.ends
	return credential.Payload{Versions: []credential.Version{version}, TTL: time.Until(l.ends)}, true, nil
}

// renew asks Vault for the whole length of the lease again, and returns what it grants, 0
// if the lease is over: Vault answers with 400 when it was revoked, is past its largest
// length, or when the database does not know the user any more. Where our policy does not
// allow to renew (403), the secret is used for the first half of its lease.
func (s *source) renew(ctx context.Context, l *lease, by token) (time.Duration, error) {
	text, err := json.Marshal(map[string]any{"lease_id": l.id, "increment": int64(l.whole / time.Second)})
	if err != nil {
		return 0, unreadable()
	}
	answer, err := s.client.ask(ctx, request{method: http.MethodPut, path: "sys/leases/renew", body: text}, by.value)
	if err != nil {
		return 0, err
	}
	defer clear(answer.Body)
	switch answer.Status {
	case http.StatusOK:
		var granted reply
		if json.Unmarshal(answer.Body, &granted) != nil {
			return 0, unreadable()
		}
		return granted.lasts(), nil
	case http.StatusBadRequest, http.StatusNotFound:
		return 0, nil
	case http.StatusForbidden:
		l.renewable = false
		return time.Until(l.ends), nil
	}
	return 0, s.refuse(answer)
}

// copied returns v with values of its own: the engine wipes what it is given.
func copied(v credential.Version) credential.Version {
	own := func(secret credential.Secret) credential.Secret {
		text := secret.Reveal()
		defer clear(text)
		return credential.NewSecret(text)
	}
	v.Value = own(v.Value)
	fields := v.Fields
	v.Fields = nil
	for name, field := range fields {
		if v.Fields == nil {
			v.Fields = make(map[string]credential.Secret)
		}
		v.Fields[name] = own(field)
	}
	return v
}

func wipe(v credential.Version) {
	v.Value.Wipe()
	for _, field := range v.Fields {
		field.Wipe()
	}
}
