package credentialtest

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Leaks returns which of the secrets can be read from text: as they are, quoted for JSON or Go, escaped for a URL, in hexadecimal,
// or in base64 of either alphabet, also inside something longer that was encoded. Secrets shorter than eight bytes are not looked
// for. Use it on whatever a program wrote while it knew them.
func Leaks(text string, secrets ...string) []string {
	var found []string
	for _, secret := range secrets {
		if len(secret) >= 8 && slices.ContainsFunc(writings(secret), func(w string) bool { return strings.Contains(text, w) }) {
			found = append(found, secret)
		}
	}
	return found
}

// writings are the ways in which a secret may be written.
func writings(secret string) []string {
	quoted := strconv.Quote(secret)
	all := []string{secret, quoted[1 : len(quoted)-1], url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret)))}
	// In base64 a text looks different after one, two or three other bytes. What the bytes before and after it have a part in is
	// left out: the rest is the same wherever it stands.
	for shift := range 3 {
		padded := append(make([]byte, shift), secret...)
		padded = padded[:len(padded)/3*3]
		encoded := base64.StdEncoding.EncodeToString(padded)
		if shift > 0 {
			encoded = encoded[4:]
		}
		all = append(all, encoded, strings.NewReplacer("+", "-", "/", "_").Replace(encoded))
	}
	return all
}
