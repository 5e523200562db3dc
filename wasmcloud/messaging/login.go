package messaging

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/natsconn"
)

// loginKind is how a login gets to the connection.
type loginKind int

const (
	noLogin        loginKind = iota
	directLogin              // the values are there
	referenceLogin           // a source has them
	urlLogin                 // they are in the URLs
)

func (k loginKind) String() string {
	return [...]string{"none", "direct", "reference", "url"}[k]
}

// login is which login a link uses.
type login struct {
	kind      loginKind
	reference string                       // of a referenceLogin
	value     credential.Secret            // of a directLogin: the text of a .creds file or a token
	fields    map[string]credential.Secret // of a directLogin, as natsconn.Decode takes them
	digest    [32]byte                     // of a directLogin
	from      string                       // "link secrets", "link config", …
	shown     natsconn.Login               // of a directLogin, what can be told of it
}

var (
	errHalf = errors.New("must provide both client_jwt and client_seed, together in one place") // the original's words begin so, too
	errTwo  = errors.New("more than one way to log in is given in one place: nats_creds, client_jwt and client_seed, nkey, user and password, or token")
)

// chooseLogin takes the login from the first place that has one: of each level credentials, then its secrets, its config, and the users
// in its cluster_uris (uris is the name of the level that those in use come from). A login is never put together from two places.
func (s *settings) chooseLogin(levels []level, uris, linkName string) error {
	for _, l := range levels {
		if reference, _, given := l.get("credentials"); given {
			s.login = login{kind: referenceLogin, reference: reference, from: l.name}
			return checkReference(reference)
		}
		half := false
		for _, secret := range []bool{true, false} {
			fields, value, err := l.direct(secret, linkName)
			switch {
			case errors.Is(err, errHalf):
				half = true // the other place may have both
				continue
			case err != nil:
				return err
			case fields == nil && value.Len() == 0:
				continue
			}
			if half {
				s.notes = append(s.notes, "its secrets have one of client_jwt and client_seed, which is not used")
			}
			if !secret {
				for _, k := range keys {
					if k.group == loginGroup && k.secret && l.config[k.name] != "" {
						s.supplied(k.name, l)
					}
				}
			}
			return s.direct(fields, value, l.name+map[bool]string{true: " secrets", false: " config"}[secret])
		}
		if half {
			return errHalf
		}
		if s.users != nil && uris == l.name {
			s.login = login{kind: urlLogin, from: l.name}
			if _, secret, _ := l.get("cluster_uris"); !secret {
				s.supplied("cluster_uris", l)
			}
			return nil
		}
	}
	s.users = nil
	return nil
}

// direct makes the login of what was found in one place, and checks it: nothing is told a server that cannot be right.
func (s *settings) direct(fields map[string]credential.Secret, value credential.Secret, from string) error {
	shown, err := natsconn.Decode(credential.Material{Value: value, Fields: fields})
	if why := (*credential.Error)(nil); errors.As(err, &why) {
		return fmt.Errorf("in the %s: %s", from, why.Reason)
	}
	s.users = nil
	s.login = login{kind: directLogin, fields: fields, value: value, from: from, shown: shown}
	parts := [][]byte{value.Reveal()}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		parts = append(parts, []byte(name), fields[name].Reveal())
	}
	s.login.digest = digest(parts...)
	for _, part := range parts {
		clear(part)
	}
	return nil
}

// untimely says what a person should know of a JWT whose time it is not.
func (l login) untimely(now time.Time) string {
	switch {
	case !l.shown.Expires.IsZero() && !now.Before(l.shown.Expires):
		return "its JWT has ended at " + l.shown.Expires.UTC().Format(time.RFC3339)
	case now.Before(l.shown.NotBefore):
		return "its JWT is not valid before " + l.shown.NotBefore.UTC().Format(time.RFC3339)
	}
	return ""
}

// direct finds the login that is in the secrets or in the config of a level, nothing if none is.
func (l level) direct(secret bool, linkName string) (fields map[string]credential.Secret, value credential.Secret, err error) {
	get := func(name string) credential.Secret {
		if secret {
			return trimmed(l.secrets[name])
		}
		return credential.NewSecret(l.config[name])
	}
	token, seed := get("client_jwt"), get("client_seed")
	if secret && token.Len() == 0 && seed.Len() == 0 {
		if token, seed, err = l.prefixed(linkName); err != nil {
			return nil, value, err
		}
	}
	ways := 0
	if creds := get("nats_creds"); creds.Len() > 0 {
		if ways++; !strings.Contains(string(creds.Reveal()), "-----BEGIN") {
			return nil, value, errors.New("nats_creds is not the text of a .creds file")
		}
		value = creds
	}
	half := (token.Len() > 0) != (seed.Len() > 0)
	if token.Len() > 0 && seed.Len() > 0 {
		ways++
		fields = map[string]credential.Secret{"jwt": token, "seed": seed}
	}
	if nkey := get("nkey"); nkey.Len() > 0 {
		ways++
		fields = map[string]credential.Secret{"nkey": nkey}
	}
	if user, password := get("user"), get("password"); user.Len() > 0 || password.Len() > 0 && secret && l.config["user"] != "" {
		if user.Len() == 0 {
			user = credential.NewSecret(l.config["user"]) // a name is no secret: it may stand in config
		}
		if password.Len() > 0 {
			ways++
			fields = map[string]credential.Secret{"user": user, "password": password}
		} else if !secret {
			return nil, value, errors.New("user needs password, in the same place")
		}
	}
	if word := get("token"); word.Len() > 0 {
		ways++
		fields = map[string]credential.Secret{"token": word}
	}
	switch {
	case ways > 1:
		return nil, value, errTwo
	case ways == 0 && half:
		return nil, value, errHalf
	}
	return fields, value, nil
}

func trimmed(s credential.Secret) credential.Secret {
	raw := s.Reveal()
	defer clear(raw)
	return credential.NewSecret(bytes.TrimSpace(raw))
}

// prefixed finds the secrets <anything>.client_jwt and <anything>.client_seed: by the command line of the host only one
// reference can be named client_jwt. Of several pairs it takes the one named like the link.
func (l level) prefixed(linkName string) (token, seed credential.Secret, err error) {
	var pairs []string
	half := false
	for _, name := range slices.Sorted(maps.Keys(l.secrets)) {
		prefix, of, _ := cutLast(name, ".")
		if of != "client_jwt" && of != "client_seed" {
			continue
		}
		both := l.secrets[prefix+".client_jwt"].Len() > 0 && l.secrets[prefix+".client_seed"].Len() > 0
		half = half || !both
		if both && !slices.Contains(pairs, prefix) {
			pairs = append(pairs, prefix)
		}
	}
	if len(pairs) > 1 && slices.Contains(pairs, strings.ToLower(linkName)) {
		pairs = []string{strings.ToLower(linkName)}
	}
	switch {
	case len(pairs) > 1:
		return token, seed, fmt.Errorf("the secrets have several pairs of client_jwt and client_seed: %s; name one of them like the link, or give the link only one", strings.Join(pairs, ", "))
	case len(pairs) == 1:
		return trimmed(l.secrets[pairs[0]+".client_jwt"]), trimmed(l.secrets[pairs[0]+".client_seed"]), nil
	case half:
		return token, seed, errHalf
	}
	return token, seed, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	at := strings.LastIndex(s, sep)
	if at < 0 {
		return "", s, false
	}
	return s[:at], s[at+len(sep):], true
}

// checkReference refuses what would be taken for a token.
func checkReference(text string) error {
	if !credential.IsReference(text) {
		return errors.New("credentials is not a reference like file:///run/nats.creds")
	}
	if _, err := credential.ParseReference(text); err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	return nil
}
