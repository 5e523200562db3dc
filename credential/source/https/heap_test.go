package https_test

import (
	"net/http"
	"testing"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// shelfElsewhere has the hidden key, with an ETag or without.
var shelfElsewhere http.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/tagged" {
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	_, _ = w.Write(credentialtest.HiddenKey())
}

// I14: the heap of a process that verifies a key of a web server does not hold the key: no connection keeps what came over it.
func TestI14HeapHoldsNoPlainKey(t *testing.T) {
	url := credentialtest.ServeElsewhere(t)
	for _, path := range []string{"/key", "/tagged"} {
		t.Run(path, func(t *testing.T) {
			credentialtest.TestMemory(t, func() credential.Source { return open(t, url+path) })
		})
	}
}
