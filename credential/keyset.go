package credential

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A keyset is a JSON document that states several keys, each with all that is to be known
// of it:
//
//	{
//	  "keys": [
//	    { "id": "mobile-2026", "sha256": "9b74c9897bac770ffc029102a200c5de…", "created": "2026-01-05T09:00:00Z" },
//	    { "id": "mobile-2025", "sha256": "37268335dd6931045bdcdf92623ff819…", "state": "previous", "until": "2026-02-01T00:00:00Z" },
//	    { "id": "partner", "value": "e07b5a63c1d49f2c41d8", "notAfter": "2026-12-31T23:59:59Z" },
//	    { "id": "lost", "sha256": "mnTJiXuscHD/ApECogDF3…", "state": "revoked" }
//	  ]
//	}
//
// It is read strictly: a mistake in one key refuses all of it, because what the mistake was
// meant to say is not known, and the keys from before stay. Errors name a key by its place
// in the list, counted from 1, and quote nothing: a secret may be anywhere.
//
// The members of the document; each is there once at most.
var keysetMembers = map[string]func(*keyset, []byte) string{
	"keys":  (*keyset).takeKeys,
	"count": (*keyset).takeCount,
	"note":  func(_ *keyset, value []byte) string { return isText(value) },
}

// keyMembers are the members of a key.
var keyMembers = map[string]func(*key, []byte) string{
	"id":        (*key).takeID,
	"value":     (*key).takeValue,
	"sha256":    (*key).takeDigest,
	"state":     (*key).takeState,
	"created":   timeMember("created", func(k *key) *time.Time { return &k.Created }),
	"notBefore": timeMember("notBefore", func(k *key) *time.Time { return &k.NotBefore }),
	"notAfter":  timeMember("notAfter", func(k *key) *time.Time { return &k.NotAfter }),
	"until":     timeMember("until", func(k *key) *time.Time { return &k.Until }),
	"note":      func(_ *key, value []byte) string { return isText(value) },
}

// keyStates are what "state" may say; without it a key is current, from its notBefore on.
var keyStates = map[string]State{"current": Current, "previous": Previous, "pending": Pending, "disabled": Disabled, "revoked": Revoked}

// The limits of several keys in one reading. One key has that of every value, maxValue.
const (
	maxPayload  = 4 << 20 // bytes
	maxVersions = 20_000
)

// maxID is how long an id may be, in bytes. Ids are in logs and metrics.
const maxID = 128

type keyset struct {
	versions []Version
	ids      map[string]int // the place of each
	listed   bool
	count    int // -1 if it is not stated
	failed   int // the key in which the problem is, 0 if in none
}

// parseKeyset reads a keyset from valid JSON.
func parseKeyset(text []byte) ([]Version, error) {
	k := keyset{count: -1, ids: make(map[string]int)}
	problem := k.take(text)
	if problem == "" {
		return k.versions, nil
	}
	Payload{Versions: k.versions}.wipe()
	if k.failed > 0 {
		return nil, Errorf(Invalid, "keyset: key %d: %s", k.failed, problem)
	}
	return nil, Errorf(Invalid, "keyset: %s", problem)
}

func (k *keyset) take(text []byte) (problem string) {
	if problem := members(text, keysetMembers, k); problem != "" {
		return problem
	}
	switch {
	case !k.listed:
		return "it has no keys"
	case len(k.versions) == 0:
		return "its list of keys is empty"
	case k.count >= 0 && k.count != len(k.versions):
		return "it has " + strconv.Itoa(len(k.versions)) + " keys, and its count says otherwise"
	}
	return ""
}

// members takes the members of an object, each by its row of the table.
func members[T any](object []byte, table map[string]func(T, []byte) string, into T) (problem string) {
	s := scanner{text: object}
	if s.next() != '{' {
		return "not an object"
	}
	taken := make([]string, 0, len(table))
	for s.more('}') {
		name, ok := unquoted(s.value())
		value := s.value()
		take, known := table[string(name)]
		if !ok || !known {
			return "an unknown member"
		}
		for _, earlier := range taken {
			if earlier == string(name) {
				return "the same member twice"
			}
		}
		taken = append(taken, string(name))
		if problem := take(into, value); problem != "" {
			return problem
		}
	}
	return ""
}

func (k *keyset) takeKeys(list []byte) (problem string) {
	s := scanner{text: list}
	if s.next() != '[' {
		return "its keys are not a list"
	}
	k.listed = true
	k.versions = make([]Version, 0, min(bytes.Count(list, []byte("{")), maxVersions))
	for s.more(']') {
		if len(k.versions) == maxVersions {
			k.failed = 0
			return "it has more than " + strconv.Itoa(maxVersions) + " keys"
		}
		k.failed = len(k.versions) + 1
		one := key{}
		problem := members(s.value(), keyMembers, &one)
		k.versions = append(k.versions, one.Version)
		if problem == "" {
			problem = one.check()
		}
		if problem != "" {
			return problem
		}
		if earlier, twice := k.ids[one.ID]; twice {
			return "the id of key " + strconv.Itoa(earlier)
		}
		k.ids[one.ID] = k.failed
	}
	k.failed = 0
	return k.telling()
}

// telling says which id is the value of a key: ids are in logs.
func (k *keyset) telling() (problem string) {
	ids := make(map[[32]byte]int, len(k.ids))
	for id, place := range k.ids {
		ids[sha256.Sum256([]byte(id))] = place
	}
	for i := range k.versions {
		v := &k.versions[i]
		place := k.ids[string(v.Value.raw())]
		if v.Digest != ([32]byte{}) {
			place = ids[v.Digest]
		}
		switch k.failed = place; place {
		case 0:
		case i + 1:
			return "its id is its value"
		default:
			return "its id is the value of a key"
		}
	}
	return ""
}

func (k *keyset) takeCount(value []byte) (problem string) {
	count, err := strconv.ParseUint(string(value), 10, 31)
	if err != nil {
		return "its count is not a whole number"
	}
	k.count = int(count)
	return ""
}

// key is one key of a keyset.
type key struct {
	Version
	hashed bool
}

// check looks at what the members say together.
func (k *key) check() (problem string) {
	ended := k.State == Disabled || k.State == Revoked
	plain := k.Value.Len() > 0
	switch {
	case k.ID == "":
		return "it has no id"
	case plain && k.hashed:
		return "it has both a value and its sha256"
	case !plain && !k.hashed && !ended:
		return "it has neither a value nor its sha256"
	case !k.NotBefore.IsZero() && !k.NotAfter.IsZero() && !k.NotBefore.Before(k.NotAfter):
		return "its notAfter is not later than its notBefore"
	case k.State == Previous && k.Until.IsZero():
		return "a previous key needs to say until when"
	case k.State != Previous && !k.Until.IsZero():
		return "only a previous key has an until; of another it is notAfter"
	}
	return ""
}

func (k *key) takeID(value []byte) (problem string) {
	id, ok := unquoted(value)
	if !ok || len(id) == 0 || len(id) > maxID || !utf8.Valid(id) || bytes.ContainsFunc(id, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "its id is not text of 1 to " + strconv.Itoa(maxID) + " bytes that can be printed"
	}
	k.ID = string(id)
	return ""
}

func (k *key) takeValue(value []byte) (problem string) {
	text, ok := unquoted(value)
	if !ok || len(text) == 0 {
		return "its value is not text, or is empty"
	}
	k.Value = sealed(text)
	return ""
}

// weakDigests are of what nobody can have meant as a key, and of what a digest is before
// it was computed.
var weakDigests = map[[32]byte]bool{sha256.Sum256(nil): true, sha256.Sum256([]byte("\n")): true, sha256.Sum256([]byte("\r\n")): true, sha256.Sum256([]byte(" ")): true}

func (k *key) takeDigest(value []byte) (problem string) {
	text, ok := unquoted(value)
	if ok {
		k.Digest, ok = parseDigest(string(text))
	}
	switch {
	case !ok:
		return "its sha256 is not 32 bytes in hexadecimal or base64"
	case weakDigests[k.Digest] || bytes.Count(k.Digest[:], k.Digest[:1]) == len(k.Digest):
		return "its sha256 is not that of a key"
	}
	k.hashed = true
	return ""
}

// parseDigest reads 64 hexadecimal digits, or base64 in either alphabet, padded or not.
func parseDigest(text string) (sum [32]byte, ok bool) {
	var decoded []byte
	var err error
	if len(text) == hex.EncodedLen(len(sum)) {
		decoded, err = hex.DecodeString(text)
	} else {
		text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimSuffix(text, "="))
		decoded, err = base64.RawStdEncoding.Strict().DecodeString(text)
	}
	return sum, err == nil && copy(sum[:], decoded) == len(sum) && len(decoded) == len(sum)
}

func (k *key) takeState(value []byte) (problem string) {
	name, ok := unquoted(value)
	if ok {
		k.State, ok = keyStates[string(name)]
	}
	if !ok {
		return "its state is none of current, previous, pending, disabled and revoked"
	}
	return ""
}

// timeMember takes a time of RFC 3339 that has an effect: one before 1970 is a mistake.
func timeMember(name string, target func(*key) *time.Time) func(*key, []byte) string {
	return func(k *key, value []byte) string {
		text, ok := unquoted(value)
		when, err := time.Parse(time.RFC3339, string(text))
		if !ok || err != nil || when.Unix() <= 0 {
			return "its " + name + " is not a time as in 2026-01-31T09:00:00Z"
		}
		*target(k) = when
		return ""
	}
}

func isText(value []byte) (problem string) {
	if value[0] != '"' {
		return "a note that is not text"
	}
	return ""
}

// parseLines reads one key from each line. Lines that are blank or begin with # are none.
func parseLines(text []byte) (keys []Version, err error) {
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		if first := bytes.TrimSpace(line); len(first) == 0 || first[0] == '#' {
			continue
		}
		if len(keys) == maxVersions {
			return keys, Errorf(Invalid, "more than %d lines with keys", maxVersions)
		}
		keys = append(keys, Version{Value: NewSecret(line)})
	}
	if len(keys) == 0 {
		return nil, Errorf(Invalid, "no line with a key")
	}
	return keys, nil
}
