package env_test

import (
	"testing"

	"github.com/parley-backend/parley/credential"
)

// A variable may hold a document.
func TestDocument(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	t.Setenv("PARLEY_TEST_KEYS", `{"one":"`+key+`","set":{"keys":[{"id":"a","value":"`+key+`"},{"id":"b","state":"revoked"}]}}`)
	for _, test := range []struct {
		reference string
		form      credential.Form
		versions  int
	}{{"env:PARLEY_TEST_KEYS#one", credential.Latest, 1}, {"env:PARLEY_TEST_KEYS?format=keyset#set", credential.Keyset, 2}} {
		source, err := open(t, test.reference)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := source.Fetch(t.Context())
		if err != nil || payload.Form != test.form || len(payload.Versions) != test.versions || string(payload.Versions[0].Value.Reveal()) != key {
			t.Errorf("Fetch(%s) = %+v %v, want %d versions of form %d", test.reference, payload, err, test.versions, test.form)
		}
	}
}
