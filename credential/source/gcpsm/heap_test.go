package gcpsm_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// elsewhere is a service with one secret, the hidden key.
var elsewhere http.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path == "/token":
		fmt.Fprint(w, `{"access_token":"ya29.other","token_type":"Bearer","expires_in":3600}`)
	case strings.HasSuffix(r.URL.Path, "/versions"):
		fmt.Fprint(w, `{"versions":[{"name":"projects/1/secrets/parley/versions/1","state":"ENABLED","createTime":"2026-01-01T00:00:00Z"}]}`)
	default:
		fmt.Fprintf(w, `{"name":"projects/1/secrets/parley/versions/1","payload":{"data":%q}}`, base64.StdEncoding.EncodeToString(credentialtest.HiddenKey()))
	}
}

// I14: the heap of a process that verifies a key of the service does not hold the key, neither as
// it is nor in base64.
func TestI14HeapHoldsNoPlainKey(t *testing.T) {
	f := &fake{addr: credentialtest.ServeElsewhere(t)}
	credentialtest.TestMemory(t, func() credential.Source { return f.source(t, "") })
}
