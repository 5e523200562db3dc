package awssm_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/awssm"
	"github.com/parley-backend/parley/credential/source/internal/awstest"
)

// elsewhere is an AWS with one secret, the hidden key.
var elsewhere http.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	text, _ := io.ReadAll(r.Body)
	switch {
	case strings.Contains(string(text), "AWSPREVIOUS"):
		w.WriteHeader(400)
		fmt.Fprint(w, `{"__type":"ResourceNotFoundException"}`)
	case strings.HasPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager."):
		fmt.Fprintf(w, `{"VersionId":"1","SecretString":"{\"masterKey\":\"%s\"}","CreatedDate":1700000000}`, credentialtest.HiddenKey())
	default:
		fmt.Fprintf(w, `{"Parameter":{"Version":1,"Type":"SecureString","Value":"%s","LastModifiedDate":1700000000}}`, credentialtest.HiddenKey())
	}
}

// I14: the heap of a process that verifies a key that AWS has does not hold the key: neither the SDK nor a connection keeps it.
func TestI14HeapHoldsNoPlainKey(t *testing.T) {
	b := &awstest.Bed{URL: credentialtest.ServeElsewhere(t)}
	for name, open := range map[string]func() credential.Source{
		"awssm":  func() credential.Source { return b.Open(t, awssm.Opener(), "awssm://x#masterKey") },
		"awsssm": func() credential.Source { return b.Open(t, awssm.ParameterOpener(), "awsssm:///x") },
	} {
		t.Run(name, func(t *testing.T) { credentialtest.TestMemory(t, open) })
	}
}
