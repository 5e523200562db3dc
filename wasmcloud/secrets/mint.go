package secrets

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential"
)

// Mint makes NATS logins: for each request a JWT that ends soon, for a user who belongs to the one who asks.
type Mint struct {
	// Signing is the seed SA… of the account or of one of its signing keys, with Config.Present and CheckSigning.
	Signing *credential.Credential
	// Account is the public key A… of the account, if Signing is not its own key.
	Account string
	// TTL is how long a JWT is valid, one hour if zero, at least a second.
	TTL time.Duration
	// Scoped says that Signing is a scoped signing key: what its users may do is said by the account, and Permissions is empty.
	Scoped      bool
	Permissions Permissions
}

// Permissions of the users. In a subject {entity} stands for the public key of the component or provider. All empty is everything that
// the account may do.
type Permissions struct {
	PublishAllow, PublishDeny     []string
	SubscribeAllow, SubscribeDeny []string
	// Responses lets a user answer so many messages for each one that it got, -1 for any number; 0 for none.
	Responses int
}

const defaultLife = time.Hour

func (p Permissions) all() [][]string {
	return [][]string{p.PublishAllow, p.PublishDeny, p.SubscribeAllow, p.SubscribeDeny}
}

func (m *Mint) check() error {
	switch {
	case m.Account != "" && !nkeys.IsValidPublicAccountKey(m.Account):
		return errors.New("the account is not the public key of one, A…")
	case m.TTL != 0 && m.TTL < time.Second:
		return errors.New("the ttl is shorter than a second")
	case m.Scoped && (len(slices.Concat(m.Permissions.all()...)) > 0 || m.Permissions.Responses != 0):
		return errors.New("a scoped signing key brings the permissions: none can be said here")
	}
	for _, subject := range slices.Concat(m.Permissions.all()...) {
		if n := len(strings.Fields(subject)); n != 1 && n != 2 { // a subject, or one and a queue group
			return errors.New("a subject in the permissions is none")
		}
	}
	return nil
}

// signer signs for users.
type signer struct {
	public string
	seed   credential.Secret
}

// decodeSigning makes a signer of a seed SA….
func decodeSigning(m credential.Material) (signer, error) {
	wrong := credential.Errorf(credential.Invalid, "the signing key is not the seed of an account, which begins with SA")
	raw := m.Value.Reveal()
	defer clear(raw)
	pair, err := nkeys.FromSeed(bytes.TrimSpace(raw))
	if err != nil {
		return signer{}, wrong
	}
	defer pair.Wipe()
	public, err := pair.PublicKey()
	if err != nil || !nkeys.IsValidPublicAccountKey(public) {
		return signer{}, wrong
	}
	return signer{public: public, seed: credential.NewSecret(bytes.TrimSpace(raw))}, nil
}

// CheckSigning refuses what is no seed of an account, for credential.Config.Check.
func CheckSigning(value credential.Secret, _ map[string]credential.Secret) error {
	_, err := decodeSigning(credential.Material{Value: value})
	return err
}

// minted is a login.
type minted struct {
	token   string
	seed    []byte // the caller wipes it
	user    string // public key
	id      string // of the JWT
	expires time.Time
}

// login makes a login for the one who asks.
func (m *Mint) login(by signer, secret credential.Secret, who asker, key string, now time.Time) (*minted, *Error) {
	failed := refuse(Other, "the login could not be made")
	user, err := userKey(secret, who, key)
	if err != nil {
		return nil, failed
	}
	defer user.Wipe()
	public, err := user.PublicKey()
	if err != nil {
		return nil, failed
	}
	claims := jwt.NewUserClaims(public)
	claims.Name = key + " " + who.entity
	claims.Expires = m.expires(now).Unix()
	if m.Account != "" && m.Account != by.public {
		claims.IssuerAccount = m.Account
	}
	if m.Scoped {
		claims.SetScoped(true)
	} else {
		m.Permissions.apply(claims, who)
	}
	raw := by.seed.Reveal()
	pair, err := nkeys.FromSeed(raw)
	clear(raw)
	if err != nil {
		return nil, failed
	}
	defer pair.Wipe()
	token, err := claims.Encode(pair)
	if err != nil {
		return nil, failed
	}
	seed, err := user.Seed()
	if err != nil {
		return nil, failed
	}
	return &minted{token: token, seed: bytes.Clone(seed), user: public, id: claims.ID, expires: time.Unix(claims.Expires, 0)}, nil
}

// expires is the end of a JWT that is made now. JWTs end at whole seconds: at the next one, so that none is shorter than the TTL.
func (m *Mint) expires(now time.Time) time.Time {
	life := m.TTL
	if life == 0 {
		life = defaultLife
	}
	return now.Add(life + time.Second - 1).Truncate(time.Second)
}

// userKey returns the key of the user that belongs to who asks. It follows from a secret that all instances share, so that a JWT and a
// seed that are asked for one by one belong together, whoever answers and whatever happens in between. Without a JWT that is valid it
// opens nothing.
func userKey(secret credential.Secret, who asker, key string) (nkeys.KeyPair, error) {
	raw := secret.Reveal()
	defer clear(raw)
	info := fmt.Sprintf("parley wasmcloud user %q %q %q %q %q %q", who.hostIssuer, who.host, who.issuer, who.entity, who.application, key)
	derived, err := hkdf.Key(sha256.New, raw, nil, info, 32)
	if err != nil {
		return nil, err
	}
	defer clear(derived)
	return nkeys.FromRawSeed(nkeys.PrefixByteUser, derived)
}

func (p Permissions) apply(claims *jwt.UserClaims, who asker) {
	named := func(subjects []string) jwt.StringList {
		out := make(jwt.StringList, 0, len(subjects))
		for _, s := range subjects {
			out = append(out, strings.ReplaceAll(s, "{entity}", who.entity)) // letters and digits: it was parsed as a key
		}
		return out
	}
	claims.Pub.Allow, claims.Pub.Deny = named(p.PublishAllow), named(p.PublishDeny)
	claims.Sub.Allow, claims.Sub.Deny = named(p.SubscribeAllow), named(p.SubscribeDeny)
	if p.Responses != 0 {
		claims.Resp = &jwt.ResponsePermission{MaxMsgs: p.Responses, Expires: time.Minute}
	}
}

// field is what of a login was asked for.
func (m *minted) field(name string) ([]byte, *Error) {
	switch name {
	case "", "creds":
		return credsFile(credential.NewSecret(m.token), credential.NewSecret(m.seed))
	case "jwt":
		return []byte(m.token), nil
	case "seed":
		return bytes.Clone(m.seed), nil
	case "user":
		return []byte(m.user), nil
	}
	return nil, refuse(SecretNotFound, "a login that is minted has the fields jwt, seed, creds and user")
}
