package secrets

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// serve answers one request, whatever it is.
func (b *Backend) serve(m *nats.Msg) {
	if m.Reply == "" {
		return
	}
	began := time.Now()
	of := &access{}
	header, data, refused := b.guarded(m, of)
	if refused != nil {
		header, data = nil, b.clear(refused)
	}
	b.audit.record(of, refused, b.cfg.Now())
	b.respond(m, header, data)
	o := Observation{Outcome: Served, Duration: time.Since(began)}
	if refused != nil {
		o.Outcome = string(refused.Code)
	}
	if _, known := b.terms.Load().keys[of.key]; known {
		o.Key = of.key
	}
	b.cfg.Observe(o)
}

// guarded is get for a request that breaks it: one request must not end the others.
func (b *Backend) guarded(m *nats.Msg, of *access) (header nats.Header, data []byte, refused *Error) {
	defer func() {
		if p := recover(); p != nil {
			b.cfg.Log.Error("a request could not be worked on", "event", "wasmcloud_secret_panic", "type", fmt.Sprintf("%T", p)) // its text may quote anything
			refused = refuse(Other, "the request could not be worked on")
		}
	}()
	return b.get(m, of)
}

// get is the way of a request: open it, find out who asks, ask the rules, read, seal.
func (b *Backend) get(m *nats.Msg, of *access) (nats.Header, []byte, *Error) {
	sender, text, refused := b.opened(m)
	if refused != nil {
		return nil, nil, refused
	}
	defer clear(text)
	r, refused := parseRequest(text)
	if refused != nil {
		return nil, nil, refused
	}
	of.key, of.field = r.Key, value(r.Field)
	terms := b.terms.Load()
	if of.asker, refused = b.authenticate(&terms.Terms, r); refused != nil {
		return nil, nil, refused
	}
	if refused = r.checkPolicy(); refused != nil {
		return nil, nil, refused
	}
	if refused = terms.authorize(of.asker, r.Key); refused != nil {
		return nil, nil, refused
	}
	h := terms.keys[r.Key]
	if h == nil {
		return nil, nil, refuse(SecretNotFound, "there is no such key")
	}
	ctx, cancel := context.WithTimeout(b.ctx, b.cfg.Timeout)
	defer cancel()
	var s *secret
	if h.Mint != nil {
		s, refused = b.minted(ctx, h, r, of)
	} else {
		s, refused = b.stored(ctx, h, r, of)
	}
	if refused != nil {
		return nil, nil, refused
	}
	of.version = s.Version
	return b.sealed(sender, s)
}

// opened returns the key of the sender and what it sealed.
func (b *Backend) opened(m *nats.Msg) (sender string, text []byte, refused *Error) {
	senders := m.Header[hostKeyHeader]
	switch {
	case len(senders) != 1:
		return "", nil, refuse(InvalidHeaders, "the header %s is there %d times", hostKeyHeader, len(senders))
	case !isCurveKey(senders[0]):
		return "", nil, refuse(InvalidXKey, "the header %s holds no public curve key", hostKeyHeader)
	case len(m.Data) > b.cfg.MaxRequest:
		return "", nil, refuse(InvalidPayload, "larger than %d bytes", b.cfg.MaxRequest)
	}
	var keys []Transit
	for _, v := range b.transit.Standing() {
		keys = append(keys, v.Value)
	}
	if len(keys) == 0 {
		return "", nil, refuse(UpstreamError, "there is no transit key")
	}
	text, refused = open(m.Data, senders[0], keys)
	return senders[0], text, refused
}

// stored reads a credential.
func (b *Backend) stored(ctx context.Context, h *held, r *request, of *access) (*secret, *Error) {
	all, refused := h.available(ctx)
	if refused != nil {
		return nil, refused
	}
	wanted, name := value(r.Version), value(r.Field)
	v, refused := h.version(all, wanted)
	if refused != nil {
		return nil, refused
	}
	if name != "" && (wanted == "" || wanted == wantsCurrent) {
		v = b.rounds.choose(roundKey{of.asker, r.Key}, name, b.cfg.Now(), v, all, func(v standing) bool { return h.isRevoked(v.VersionID, v.Fingerprint) })
	}
	raw, refused := field(v.Value, name)
	if refused != nil {
		return nil, refused
	}
	defer clear(raw)
	return h.Kind.answer(v.VersionID, raw)
}

// minted makes a login. Its version is the public key of the user, which is the same for its JWT and its seed.
func (b *Backend) minted(ctx context.Context, h *held, r *request, of *access) (*secret, *Error) {
	by, err := h.signing.Acquire(ctx)
	if err != nil {
		return nil, upstream(err)
	}
	if h.isRevoked(by.VersionID) {
		return nil, refuse(Other, "the signing key is revoked")
	}
	login, refused := h.Mint.login(by.Value, b.cfg.MintKey, of.asker, r.Key, b.cfg.Now())
	if refused != nil {
		return nil, refused
	}
	defer clear(login.seed)
	if wanted := value(r.Version); wanted != "" && wanted != wantsCurrent && wanted != login.user {
		return nil, refuse(SecretNotFound, "a login that is minted has no other version")
	}
	raw, refused := login.field(value(r.Field))
	if refused != nil {
		return nil, refused
	}
	defer clear(raw)
	of.expires, of.token = login.expires, login.id
	return h.Kind.answer(login.user, raw)
}

// sealed is the answer to a request that was granted.
func (b *Backend) sealed(recipient string, s *secret) (nats.Header, []byte, *Error) {
	text, err := json.Marshal(response{Secret: s})
	clear(s.Binary)
	if err != nil {
		return nil, nil, refuse(EncryptionError, "the answer could not be written")
	}
	defer clear(text)
	data, public, refused := seal(text, recipient, b.cfg.random)
	if refused != nil {
		return nil, nil, refused
	}
	const headers = 256 // more than those of an answer
	if most := b.cfg.Conn.NATS().MaxPayload(); most > 0 && int64(len(data)+headers) > most {
		return nil, nil, refuse(Other, "the value is larger than a message of this NATS may be")
	}
	return nats.Header{replyKeyHeader: {public}}, data, nil
}

// clear is the answer to a request that was refused.
func (b *Backend) clear(refused *Error) []byte {
	text, err := json.Marshal(response{Error: refused})
	if err != nil { // strings cannot fail
		return []byte(`{"error":"` + string(refused.Code) + `"}`)
	}
	return text
}
