package parse

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// MaxName is the length in bytes of the longest name of a class or a field that a client may make up.
const MaxName = 255

// FieldName tells whether a name may be that of a field a client adds to a class: a letter, then letters, digits
// and underscores, [MaxName] in all; not "length", and not "className" except in _Hooks (contract parse-api.md, 2.3).
func FieldName(name, class string) bool {
	return identifier(name) && name != "length" && (name != "className" || class == "_Hooks")
}

// ClassName tells whether a name may be that of a class a client makes. The names of the system classes, which begin
// with an underscore, are the business of package schema.
func ClassName(name string) bool {
	return identifier(name) && name != "length" && name != "className"
}

func identifier(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case i > 0 && ('0' <= c && c <= '9' || c == '_'):
		default:
			return false
		}
	}
	return name != "" && len(name) <= MaxName
}

// ReservedField tells whether every class has a field of this name, which no client may define.
func ReservedField(name string) bool {
	switch name {
	case "objectId", "createdAt", "updatedAt", "ACL":
		return true
	}
	return false
}

// ObjectID tells whether a text has the form of the ids that Parley makes: letters and digits.
func ObjectID(id string) bool {
	for i := 0; i < len(id); i++ {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') {
			return false
		}
	}
	return id != ""
}

// JoinClass returns the class that holds the members of the relation field of a class: "_Join:field:Class".
func JoinClass(field, class string) string { return "_Join:" + field + ":" + class }

// SplitJoinClass is the inverse of [JoinClass].
func SplitJoinClass(name string) (field, class string, ok bool) {
	rest, ok := strings.CutPrefix(name, "_Join:")
	if !ok {
		return "", "", false
	}
	field, class, ok = strings.Cut(rest, ":")
	if !ok || !words(field) || !words(class) {
		return "", "", false
	}
	return field, class, true
}

func words(name string) bool { return identifier("a"+name) && name != "" }

const alphanumerics = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// IDSize is the length of an objectId when the option objectIdSize does not say.
const IDSize = 10

// NewID returns a random text of letters and digits, each equally likely: an objectId of [IDSize] characters,
// or the 25 characters of a token that is mailed.
func NewID(size int) string {
	// A byte is used when it falls below the largest multiple of 62: taking it modulo 62 otherwise would favour some.
	const fair = 256 - 256%len(alphanumerics)
	id := make([]byte, 0, size)
	var buf [32]byte
	for len(id) < size {
		rand.Read(buf[:]) // never fails: crypto/rand ends the program instead
		for _, b := range buf {
			if int(b) < fair && len(id) < size {
				id = append(id, alphanumerics[int(b)%len(alphanumerics)])
			}
		}
	}
	return string(id)
}

// NewSessionToken returns "r:" and 32 random hexadecimal digits.
func NewSessionToken() string {
	var b [16]byte
	rand.Read(b[:])
	return "r:" + hex.EncodeToString(b[:])
}
