package secrets

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential"
)

// Kind says how a value is handed out.
type Kind uint8

// The kinds of values.
const (
	Text   Kind = iota // as string_secret
	Bytes              // as binary_secret; its Credential is Config.Binary
	Base64             // kept as text in base64, handed out as binary_secret
)

// kinds are the names in a configuration.
var kinds = [...]string{Text: "text", Bytes: "bytes", Base64: "base64"}

func (k Kind) String() string {
	if int(k) >= len(kinds) {
		return "unknown"
	}
	return kinds[k]
}

// ParseKind reads the name of a kind; "" is Text.
func ParseKind(name string) (Kind, bool) {
	i := max(0, slices.Index(kinds[:], name))
	return Kind(i), name == "" || kinds[i] == name
}

// Key is one thing that can be asked for: a stored credential, or a login that is minted.
type Key struct {
	Credential *credential.Credential // with Config.Present; nil for Mint
	Kind       Kind
	Mint       *Mint
}

func (k Key) check() error {
	switch {
	case int(k.Kind) >= len(kinds):
		return errors.New("the kind is unknown")
	case k.Mint == nil:
		return nil
	case k.Kind != Text:
		return errors.New("a login that is minted is text")
	}
	return k.Mint.check()
}

// held is a Key in use.
type held struct {
	Key
	presenter *credential.Presenter[credential.Material]
	signing   *credential.Presenter[signer] // of a Mint, in the place of presenter
	revoked   []string                      // ids and fingerprints
}

// hold makes a Key ready for use.
func (k Key) hold(revoked []string) (*held, error) {
	h := &held{Key: k, revoked: revoked}
	var err error
	if k.Mint != nil {
		h.signing, err = credential.NewPresenter(k.Mint.Signing, decodeSigning)
	} else {
		h.presenter, err = credential.NewPresenter(k.Credential, func(m credential.Material) (credential.Material, error) { return m, nil })
	}
	return h, err
}

type standing = credential.Standing[credential.Material]

// ofVersion is in a request: none, current, previous, an id or a fingerprint.
const (
	wantsCurrent  = "current"
	wantsPrevious = "previous"
)

// available returns the versions that there are, after waiting for the first.
func (h *held) available(ctx context.Context) ([]standing, *Error) {
	_, err := h.presenter.Acquire(ctx)
	if all := h.presenter.Standing(); len(all) > 0 {
		return all, nil
	}
	return nil, upstream(err)
}

// upstream says why a source does not supply. The words of the source stay here: they may name places that a host need not know.
func upstream(err error) *Error {
	var known *credential.Error
	switch {
	case errors.As(err, &known) && (known.Class == credential.Missing || known.Class == credential.Gone):
		return refuse(SecretNotFound, "its source has none")
	case errors.As(err, &known):
		return refuse(UpstreamError, "the source of the key does not supply it: %s", known.Class.String())
	}
	return refuse(UpstreamError, "the source of the key does not supply it")
}

// version picks one of the versions.
func (h *held) version(all []standing, wanted string) (standing, *Error) {
	pick := func(fits func(standing) bool) (standing, *Error) {
		i := slices.IndexFunc(all, fits)
		switch {
		case i < 0:
			return standing{}, h.ended(wanted)
		case h.isRevoked(all[i].VersionID, all[i].Fingerprint):
			return standing{}, refuse(Other, "the version is revoked")
		}
		return all[i], nil
	}
	switch wanted {
	case "", wantsCurrent:
		return pick(func(v standing) bool { return v.State == credential.Current })
	case wantsPrevious:
		return pick(func(v standing) bool { return v.State == credential.Previous })
	}
	return pick(func(v standing) bool { return v.VersionID == wanted || v.Fingerprint == wanted })
}

// isRevoked reports whether a version by one of its names is.
func (h *held) isRevoked(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(h.revoked, name) })
}

// ended says why a version is not handed out.
func (h *held) ended(wanted string) *Error {
	for _, v := range h.Credential.Status().Versions {
		if v.ID == wanted || v.Fingerprint == wanted {
			return refuse(Other, "the version is %s", v.State)
		}
	}
	return refuse(SecretNotFound, "no such version")
}

// partners are fields of one login: who gets one of them needs the other of the same version.
var partners = [][2]string{{"jwt", "seed"}, {"user", "password"}, {"username", "password"}}

// field takes a field out of a version: a field of its source, a part of a NATS credentials file, or a member of a JSON object, where
// a name that begins with a slash is a JSON pointer. Without a name it is the whole: the value, or the fields as a JSON object. The
// bytes belong to the caller, who wipes them.
func field(m credential.Material, name string) ([]byte, *Error) {
	if name == "" {
		if m.Value.Len() > 0 || len(m.Fields) == 0 {
			return m.Value.Reveal(), nil
		}
		return object(m.Fields), nil
	}
	if f, has := m.Fields[name]; has {
		return f.Reveal(), nil
	}
	if token, seed := m.Fields["jwt"], m.Fields["seed"]; name == "creds" && token.Len() > 0 && seed.Len() > 0 {
		return credsFile(token, seed)
	}
	content := m.Value.Reveal()
	defer clear(content)
	if bytes.Contains(content, []byte("-----BEGIN NATS USER JWT-----")) {
		return ofCreds(content, name)
	}
	return member(content, name)
}

// object is a JSON object of texts.
func object(fields map[string]credential.Secret) []byte {
	out := []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(fields)) {
		if i > 0 {
			out = append(out, ',')
		}
		key, _ := json.Marshal(name) // a string cannot fail
		out = append(append(out, key...), ':')
		raw := fields[name].Reveal()
		text, _ := json.Marshal(string(raw))
		clear(raw)
		out = append(out, text...)
		clear(text)
	}
	return append(out, '}')
}

func credsFile(token, seed credential.Secret) ([]byte, *Error) {
	raw := seed.Reveal()
	defer clear(raw)
	text, err := jwt.FormatUserConfig(string(token.Reveal()), raw)
	if err != nil {
		return nil, refuse(Other, "the fields jwt and seed make no credentials file")
	}
	return text, nil
}

// ofCreds takes a NATS credentials file apart.
func ofCreds(content []byte, name string) ([]byte, *Error) {
	switch name {
	case "creds":
		return bytes.Clone(content), nil
	case "jwt":
		if token, err := nkeys.ParseDecoratedJWT(content); err == nil {
			return []byte(token), nil
		}
	case "seed":
		if pair, err := nkeys.ParseDecoratedNKey(content); err == nil {
			defer pair.Wipe()
			if seed, err := pair.Seed(); err == nil {
				return bytes.Clone(seed), nil // it is the pair's own
			}
		}
	}
	return nil, refuse(SecretNotFound, "no such field in the credentials file")
}

// member finds a member of a JSON document: a string is what it stands for, anything else is its JSON.
func member(content []byte, name string) ([]byte, *Error) {
	none := refuse(SecretNotFound, "no such field")
	at := json.RawMessage(bytes.Clone(content))
	path := []string{name}
	if pointer, is := strings.CutPrefix(name, "/"); is {
		path = strings.Split(pointer, "/")
		for i, token := range path {
			path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		}
	}
	for _, step := range path {
		next, ok := child(at, step)
		clear(at)
		if !ok {
			return nil, none
		}
		at = next
	}
	var text string
	if len(at) > 0 && at[0] == '"' && json.Unmarshal(at, &text) == nil {
		clear(at)
		return []byte(text), nil
	}
	return at, nil
}

func child(in json.RawMessage, step string) (json.RawMessage, bool) {
	in = bytes.TrimSpace(in)
	if len(in) == 0 {
		return nil, false
	}
	switch in[0] {
	case '{':
		var members map[string]json.RawMessage
		if json.Unmarshal(in, &members) != nil {
			return nil, false
		}
		at, has := members[step]
		return at, has
	case '[':
		var elements []json.RawMessage
		i, err := strconv.Atoi(step)
		if err != nil || strconv.Itoa(i) != step || json.Unmarshal(in, &elements) != nil || i >= len(elements) || i < 0 {
			return nil, false
		}
		return elements[i], true
	}
	return nil, false
}

// has reports whether a version has a field.
func has(m credential.Material, name string) bool {
	raw, refused := field(m, name)
	clear(raw)
	return refused == nil
}

// answer makes what is sent of the bytes of a value.
func (k Kind) answer(version string, raw []byte) (*secret, *Error) {
	s := &secret{Version: version}
	switch k {
	case Bytes:
		s.Binary = append(numbers{}, raw...)
		return s, nil
	case Base64:
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			if decoded, err := encoding.DecodeString(string(bytes.TrimSpace(raw))); err == nil {
				s.Binary = append(numbers{}, decoded...)
				clear(decoded)
				return s, nil
			}
		}
		return nil, refuse(Other, "the value is not base64")
	}
	if !utf8.Valid(raw) {
		return nil, refuse(Other, "the value is not text: its kind is to be bytes")
	}
	text := string(raw)
	s.String = &text
	return s, nil
}
