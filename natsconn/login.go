package natsconn

import (
	"bytes"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential"
)

// Login is what a NATS server is shown: a JWT and the seed that signs the server's
// nonce, or the seed alone (an nkey), or a user and a password, or a token.
type Login struct {
	JWT       credential.Secret // who has a bearer JWT needs no seed
	Seed      credential.Secret
	Public    string    // the public key of a Seed without a JWT
	Issued    time.Time // of the JWT
	NotBefore time.Time // of the JWT; zero if it has none
	Expires   time.Time // of the JWT; zero if it does not

	User     string
	Password credential.Secret

	Token credential.Secret
}

// Decode makes a Login of one generation of a credential, for credential.NewPresenter:
//
//	fields jwt and seed, or nkey (a seed), or user and password, or token
//	a value that is the text of a .creds file, or the seed of a user: SU…
//	any other value is a token
//
// Whatever else is among the fields is ignored. Half of a pair, two ways to log in at
// once, a JWT that is none or of another user than the seed are Invalid.
func Decode(m credential.Material) (Login, error) { return login(m.Value, m.Fields) }

// Check refuses what Decode would, for credential.Config.Check: so it never displaces a
// login that works.
func Check(value credential.Secret, fields map[string]credential.Secret) error {
	_, err := login(value, fields)
	return err
}

func login(value credential.Secret, fields map[string]credential.Secret) (Login, error) {
	has := func(name string) bool { return fields[name].Len() > 0 }
	pair := func(a, b string) (bool, error) {
		if has(a) != has(b) {
			return false, credential.Errorf(credential.Invalid, "a NATS login has one of %s and %s, and needs both", a, b)
		}
		return has(a), nil
	}
	signed, err := pair("jwt", "seed")
	if err != nil {
		return Login{}, err
	}
	named, err := pair("user", "password")
	if err != nil {
		return Login{}, err
	}
	ways := 0
	for _, way := range []bool{signed, has("nkey"), named, has("token")} {
		if way {
			ways++
		}
	}
	switch {
	case ways > 1:
		return Login{}, credential.Errorf(credential.Invalid, "a NATS login has more than one of: jwt and seed, nkey, user and password, token")
	case signed:
		return bySeed(text(fields["jwt"]), fields["seed"])
	case has("nkey"):
		return byKey(fields["nkey"])
	case named:
		return Login{User: text(fields["user"]), Password: fields["password"]}, nil
	case has("token"):
		return Login{Token: fields["token"]}, nil
	case value.Len() == 0:
		return Login{}, credential.Errorf(credential.Invalid, "a NATS login has none of: jwt and seed, nkey, user and password, token")
	}
	return ofFile(value)
}

func text(s credential.Secret) string { return strings.TrimSpace(string(s.Reveal())) }

// ofFile takes the text of a .creds file apart. What has none of its marks is a token.
func ofFile(value credential.Secret) (Login, error) {
	content := value.Reveal()
	defer clear(content)
	if !bytes.Contains(content, []byte("-----BEGIN")) {
		if l, err := byKey(value); err == nil { // as a token it would be told to the server
			return l, nil
		}
		return Login{Token: value}, nil
	}
	token, err := nkeys.ParseDecoratedJWT(content)
	if err != nil {
		return Login{}, credential.Errorf(credential.Invalid, "a NATS credentials file without a JWT")
	}
	pair, err := nkeys.ParseDecoratedUserNKey(content)
	if err != nil {
		return Login{}, credential.Errorf(credential.Invalid, "a NATS credentials file without the seed of a user")
	}
	defer pair.Wipe()
	seed, err := pair.Seed()
	if err != nil {
		return Login{}, credential.Errorf(credential.Invalid, "a NATS credentials file without the seed of a user")
	}
	defer clear(seed)
	return bySeed(token, credential.NewSecret(seed))
}

// byKey makes the login of a seed alone.
func byKey(seed credential.Secret) (Login, error) {
	kept := seed.Reveal()
	defer clear(kept)
	raw := bytes.TrimSpace(kept)
	pair, err := nkeys.FromSeed(raw)
	if err != nil {
		return Login{}, credential.Errorf(credential.Invalid, "the nkey of a NATS login is not the seed of a user")
	}
	defer pair.Wipe()
	public, err := pair.PublicKey()
	if err != nil || !nkeys.IsValidPublicUserKey(public) {
		return Login{}, credential.Errorf(credential.Invalid, "the nkey of a NATS login is not the seed of a user")
	}
	return Login{Seed: credential.NewSecret(raw), Public: public}, nil
}

// bySeed checks that the seed is that of the user in the JWT.
func bySeed(token string, seed credential.Secret) (Login, error) {
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return Login{}, credential.Errorf(credential.Invalid, "the JWT of a NATS login is not that of a user")
	}
	raw := bytes.TrimSpace(seed.Reveal())
	defer clear(raw)
	pair, err := nkeys.FromSeed(raw)
	if err != nil {
		return Login{}, credential.Errorf(credential.Invalid, "the seed of a NATS login is none")
	}
	defer pair.Wipe()
	if public, err := pair.PublicKey(); err != nil || public != claims.Subject {
		return Login{}, credential.Errorf(credential.Invalid, "the seed of a NATS login is not that of the user in the JWT")
	}
	l := Login{JWT: credential.NewSecret(token), Seed: credential.NewSecret(raw), Issued: time.Unix(claims.IssuedAt, 0)}
	if claims.Expires > 0 {
		l.Expires = time.Unix(claims.Expires, 0)
	}
	if claims.NotBefore > 0 {
		l.NotBefore = time.Unix(claims.NotBefore, 0)
	}
	return l, nil
}

// nkey is what nats.go must know before it asks for anything else.
func (l Login) nkey() string { return l.Public }

func (l Login) ended(now time.Time) bool { return !l.Expires.IsZero() && !now.Before(l.Expires) }

// untimely says what a person should know of a JWT whose time it is not.
func (l Login) untimely(now time.Time) string {
	switch {
	case l.ended(now):
		return "has ended already"
	case now.Before(l.NotBefore):
		return "is not valid yet"
	}
	return ""
}

// due returns when to replace a login that ends, with a random number in [0, 1).
func (l Login) due(random float64) time.Time {
	margin, jitter := renewal(l.Expires.Sub(l.Issued))
	return l.Expires.Add(-margin - time.Duration(random*float64(jitter)))
}

// sign answers the server's challenge.
func (l Login) sign(nonce []byte) ([]byte, error) {
	raw := l.Seed.Reveal()
	defer clear(raw)
	pair, err := nkeys.FromSeed(raw)
	if err != nil {
		return nil, credential.Errorf(credential.Invalid, "the seed of a NATS login is none")
	}
	defer pair.Wipe()
	return pair.Sign(nonce)
}

// renewal returns how long before a login ends it should be replaced, and how much of
// that is for a random moment: a fifth of its life or 30 s, but never more than half.
func renewal(life time.Duration) (margin, spread time.Duration) {
	margin = min(max(life/5, 30*time.Second), life/2)
	return margin, margin / 2
}
