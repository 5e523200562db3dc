package credentialtest_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-backend/parley/credential/credentialtest"
)

func TestLeaks(t *testing.T) {
	const secret, other = "s3cret/with+signs?\"", "another-secret"
	inJSON, err := json.Marshal(map[string]string{"key": secret})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		secret, "before" + secret + "after", string(inJSON), fmt.Sprintf("%q", secret), url.QueryEscape(secret), url.PathEscape(secret),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))), fmt.Sprintf("%x", secret),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte("user:" + secret + ":x")),
	} {
		if got := credentialtest.Leaks(text, other, secret); !slices.Equal(got, []string{secret}) {
			t.Errorf("Leaks(%q) = %q, want the secret", text, got)
		}
	}
	for _, text := range []string{"", "s3cret", "REDACTED", secret[1:]} {
		if got := credentialtest.Leaks(text, secret, "", "short"); got != nil {
			t.Errorf("Leaks(%q) = %q, want none", text, got)
		}
	}
}

// Wherever a secret stands in what is encoded, it is found.
func TestLeaksInsideBase64(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringN(8, 60, -1).Draw(t, "secret")
		inside := rapid.String().Draw(t, "before") + secret + rapid.String().Draw(t, "after")
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding} {
			if credentialtest.Leaks(encoding.EncodeToString([]byte(inside)), secret) == nil {
				t.Fatalf("%q is not found in the base64 of %q", secret, inside)
			}
		}
	})
}
