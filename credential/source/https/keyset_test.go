package https_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-backend/parley/credential"
)

// A keyset may be larger than one value, and is read again by its ETag like one.
func TestKeyset(t *testing.T) {
	keys := `{"note":"` + strings.Repeat("n", 100<<10) + `","keys":[{"id":"a","value":"` + keyA + `"},{"id":"b","value":"` + keyB + `","state":"disabled"}]}`
	served := &shelf{status: http.StatusOK, etags: true, value: keys}
	server := serve(t, served.ServeHTTP)
	source := open(t, server.URL+"/keys?format=keyset")
	for range 2 {
		payload, err := source.Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if v := payload.Versions; payload.Form != credential.Keyset || len(v) != 2 || string(v[0].Value.Reveal()) != keyA || v[1].ID != "b" || v[1].State != credential.Disabled {
			t.Errorf("Fetch = %+v, want the two keys of the set", payload)
		}
	}
	if _, err := open(t, server.URL+"/keys#note").Fetch(t.Context()); !errors.Is(err, credential.Invalid) {
		t.Errorf("Fetch of one value from a larger document = %v, want Invalid", err)
	}
	served.set(strings.Repeat(" ", 4<<20+1), http.StatusOK)
	if _, err := source.Fetch(t.Context()); !errors.Is(err, credential.Invalid) {
		t.Errorf("Fetch of more than 4 MiB = %v, want Invalid", err)
	}
}
