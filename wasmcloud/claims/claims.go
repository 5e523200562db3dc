package claims

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Claims are what a JWT says. One of Component, Provider, Host and Account is set, the one of the subject's kind; none for a subject of
// another kind.
type Claims struct {
	ID        string    // jti; Encode makes one from the rest if it is empty
	Issuer    string    // public key; Encode sets it
	Subject   string    // public key of what the claims are about
	IssuedAt  time.Time // seconds
	NotBefore time.Time // seconds; zero for at once
	Expires   time.Time // seconds; zero for never

	Component *ComponentClaims
	Provider  *ProviderClaims
	Host      *HostClaims
	Account   *AccountClaims
}

// The claims of each kind of subject. Members are in the order of their names in JSON, which makes Encode deterministic.
type (
	// ComponentClaims are those of a component.
	ComponentClaims struct {
		CallAlias string   `json:"call_alias,omitempty"`
		Hash      string   `json:"hash"` // of the component without its claims: SHA-256 in upper-case hexadecimal
		Name      string   `json:"name,omitempty"`
		Provider  bool     `json:"prov"`
		Revision  int32    `json:"rev"`
		Tags      []string `json:"tags,omitempty"`
		Version   string   `json:"ver,omitempty"`
	}
	// ProviderClaims are those of a provider archive.
	ProviderClaims struct {
		ConfigSchema json.RawMessage   `json:"config_schema,omitempty"`
		Name         string            `json:"name,omitempty"`
		Revision     int32             `json:"rev"`
		TargetHashes map[string]string `json:"target_hashes"` // by target: SHA-256 in upper-case hexadecimal
		Vendor       string            `json:"vendor"`
		Version      string            `json:"ver,omitempty"`
	}
	// HostClaims are those of a host, which it signs itself with a key made for it: they prove nothing.
	HostClaims struct {
		Labels map[string]string `json:"labels"`
		Name   string            `json:"name,omitempty"`
	}
	// AccountClaims are those of an account.
	AccountClaims struct {
		Name         string   `json:"name,omitempty"`
		ValidSigners []string `json:"valid_signers,omitempty"`
	}
)

// Why a JWT is not accepted. No error holds a part of the JWT except public keys.
var (
	ErrMalformed = errors.New("claims: malformed")
	ErrSignature = errors.New("claims: the signature is not that of the issuer")
	ErrExpired   = errors.New("claims: expired")
	ErrNotYet    = errors.New("claims: not valid yet")
	ErrIssuer    = errors.New("claims: not an issuer that is accepted")
	ErrKind      = errors.New("claims: the subject is not of a kind that is accepted")
)

// MaxToken is the longest JWT that is read, in bytes.
const MaxToken = 256 << 10

// header is that of every wascap JWT: readers compare both members.
const header = `{"typ":"jwt","alg":"Ed25519"}`

// revision is the only one of the claims' format in wasmCloud 1.x.
const revision = 3

var segment = base64.RawURLEncoding.Strict()

// issuers says who signs for which kind of subject.
var issuers = map[Kind][]Kind{
	Component: {Account},
	Provider:  {Account},
	Host:      {Account, Cluster, Operator},
	Cluster:   {Operator},
	Account:   {Operator},
	Operator:  {Operator},
}

// payload is the JSON of Claims.
type payload struct {
	Expires   *int64          `json:"exp,omitempty"`
	IssuedAt  int64           `json:"iat"`
	Issuer    string          `json:"iss"`
	ID        string          `json:"jti"`
	NotBefore *int64          `json:"nbf,omitempty"`
	Subject   string          `json:"sub"`
	Meta      json.RawMessage `json:"wascap,omitempty"`
	Revision  int             `json:"wascap_revision"`
}

// Encode signs the claims. The same claims signed with the same key are the same bytes. IssuedAt is the present time if it is zero.
func (c Claims) Encode(issuer *Key) (string, error) {
	kind, _, err := ParsePublic(c.Subject)
	if err != nil {
		return "", fmt.Errorf("%w: the subject: %w", ErrMalformed, err)
	}
	if !slices.Contains(issuers[kind], issuer.Kind()) {
		return "", fmt.Errorf("%w: the key of one %v does not sign for one %v", ErrIssuer, issuer.Kind(), kind)
	}
	if c.IssuedAt.IsZero() {
		c.IssuedAt = time.Now()
	}
	p := payload{Expires: seconds(c.Expires), IssuedAt: c.IssuedAt.Unix(), Issuer: issuer.Public(), ID: c.ID, NotBefore: seconds(c.NotBefore), Subject: c.Subject, Revision: revision}
	if meta := c.meta(kind); meta != nil {
		if p.Meta, err = json.Marshal(meta); err != nil {
			return "", fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	body, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if p.ID == "" {
		sum := sha256.Sum256(body)
		p.ID = encoding.EncodeToString(sum[:16])
		body, _ = json.Marshal(p)
	}
	signed := segment.EncodeToString([]byte(header)) + "." + segment.EncodeToString(body)
	token := signed + "." + segment.EncodeToString(issuer.Sign([]byte(signed)))
	if len(token) > MaxToken {
		return "", fmt.Errorf("%w: it is longer than %d bytes", ErrMalformed, MaxToken)
	}
	return token, nil
}

// meta is the claims for a kind of subject, nil for none.
func (c Claims) meta(kind Kind) any {
	switch {
	case kind == Component && c.Component != nil:
		return c.Component
	case kind == Provider && c.Provider != nil:
		p := *c.Provider
		p.TargetHashes = present(p.TargetHashes)
		return p
	case kind == Host && c.Host != nil:
		h := *c.Host
		h.Labels = present(h.Labels)
		return h
	case kind == Account && c.Account != nil:
		return c.Account
	}
	return nil
}

// present is m, or an empty map: readers want an object.
func present(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// Decode reads a JWT and verifies that the issuer that it names has signed it. Neither the times are checked nor whether that issuer is
// to be believed: see Policy. The errors are ErrMalformed, ErrSignature and ErrIssuer.
func Decode(token string) (Claims, error) {
	if len(token) > MaxToken {
		return Claims{}, fmt.Errorf("%w: it is longer than %d bytes", ErrMalformed, MaxToken)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Claims{}, fmt.Errorf("%w: it has %d parts in place of 3", ErrMalformed, len(parts))
	}
	raw := make([][]byte, 3)
	for i, part := range parts {
		if strings.ContainsAny(part, "\r\n") { // which the decoder would pass over
			return Claims{}, fmt.Errorf("%w: a line break", ErrMalformed)
		}
		var err error
		if raw[i], err = segment.DecodeString(part); err != nil {
			return Claims{}, fmt.Errorf("%w: part %d is not base64", ErrMalformed, i+1)
		}
	}
	if err := checkHeader(raw[0]); err != nil {
		return Claims{}, err
	}
	var p payload
	if err := json.Unmarshal(raw[1], &p); err != nil {
		return Claims{}, fmt.Errorf("%w: the claims are not the JSON of claims", ErrMalformed)
	}
	c, err := p.claims()
	if err != nil {
		return Claims{}, err
	}
	kind, public, err := ParsePublic(p.Issuer)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: the issuer: %w", ErrMalformed, err)
	}
	subject, _, _ := ParsePublic(p.Subject) // claims has checked it
	if !slices.Contains(issuers[subject], kind) {
		return Claims{}, fmt.Errorf("%w: the key of one %v does not sign for one %v", ErrIssuer, kind, subject)
	}
	if !ed25519.Verify(public, []byte(parts[0]+"."+parts[1]), raw[2]) {
		return Claims{}, ErrSignature
	}
	return c, nil
}

// checkHeader wants the two members of header, and no other that could change the meaning of the rest.
func checkHeader(raw []byte) error {
	var h struct {
		Type      *string `json:"typ"`
		Algorithm *string `json:"alg"`
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil || h.Type == nil || h.Algorithm == nil || *h.Type != "jwt" || *h.Algorithm != "Ed25519" {
		return fmt.Errorf("%w: the header is not %s", ErrMalformed, header)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the header is not %s", ErrMalformed, header)
	}
	return nil
}

func (p payload) claims() (Claims, error) {
	kind, _, err := ParsePublic(p.Subject)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: the subject: %w", ErrMalformed, err)
	}
	if p.Revision != revision {
		return Claims{}, fmt.Errorf("%w: the claims are of revision %d, and %d is known", ErrMalformed, p.Revision, revision)
	}
	c := Claims{ID: p.ID, Issuer: p.Issuer, Subject: p.Subject, IssuedAt: time.Unix(p.IssuedAt, 0).UTC()}
	for _, t := range []struct {
		from *int64
		to   *time.Time
	}{{p.NotBefore, &c.NotBefore}, {p.Expires, &c.Expires}} {
		if t.from != nil {
			*t.to = time.Unix(*t.from, 0).UTC()
		}
	}
	if p.Meta == nil || string(p.Meta) == "null" {
		return c, nil
	}
	var meta any
	switch kind {
	case Component:
		c.Component = new(ComponentClaims)
		meta = c.Component
	case Provider:
		c.Provider = new(ProviderClaims)
		meta = c.Provider
	case Host:
		c.Host = new(HostClaims)
		meta = c.Host
	case Account:
		c.Account = new(AccountClaims)
		meta = c.Account
	default:
		return c, nil
	}
	if err := json.Unmarshal(p.Meta, meta); err != nil {
		return Claims{}, fmt.Errorf("%w: the claims are not those of one %v", ErrMalformed, kind)
	}
	return c, nil
}

// Valid compares the times of the claims with now. The errors are ErrExpired and ErrNotYet.
func (c Claims) Valid(now time.Time) error {
	if !c.Expires.IsZero() && !now.Before(c.Expires) {
		return fmt.Errorf("%w at %s", ErrExpired, c.Expires.UTC().Format(time.RFC3339))
	}
	if !c.NotBefore.IsZero() && now.Before(c.NotBefore) {
		return fmt.Errorf("%w, but at %s", ErrNotYet, c.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// Policy says which JWTs are accepted. The zero value accepts every one that its own issuer has signed and that is in time.
type Policy struct {
	Issuers []string         // public keys; any if empty
	Kinds   []Kind           // of the subject; any if empty
	Now     func() time.Time // time.Now if nil
}

// Verify decodes a JWT and checks it. The errors are those of Decode and Claims.Valid, ErrIssuer and ErrKind.
func (p Policy) Verify(token string) (Claims, error) {
	c, err := Decode(token)
	if err != nil {
		return Claims{}, err
	}
	if len(p.Issuers) > 0 && !slices.Contains(p.Issuers, c.Issuer) {
		return Claims{}, fmt.Errorf("%w: %s", ErrIssuer, c.Issuer)
	}
	if kind, _, _ := ParsePublic(c.Subject); len(p.Kinds) > 0 && !slices.Contains(p.Kinds, kind) {
		return Claims{}, fmt.Errorf("%w: %v", ErrKind, kind)
	}
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	if err := c.Valid(now()); err != nil {
		return Claims{}, err
	}
	return c, nil
}

func seconds(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	s := t.Unix()
	return &s
}
