package vault_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/vault"
)

// vaultElsewhere has the hidden key as the third of a secret's versions, in both versions of the engine.
var vaultElsewhere http.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
	switch path := strings.TrimPrefix(r.URL.Path, "/v1/"); {
	case strings.HasPrefix(path, "auth/approle/"):
		fmt.Fprint(w, `{"auth":{"client_token":"other","lease_duration":3600,"renewable":true}}`)
	case strings.HasPrefix(path, "sys/internal/ui/mounts/old"):
		fmt.Fprint(w, `{"data":{"path":"old/","type":"kv","options":{"version":"1"}}}`)
	case strings.HasPrefix(path, "sys/internal/ui/mounts/"):
		fmt.Fprint(w, `{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`)
	case strings.HasPrefix(path, "old/"):
		fmt.Fprintf(w, `{"lease_duration":2764800,"data":{"masterKey":%q}}`, credentialtest.HiddenKey())
	case r.URL.Query().Get("version") == "1":
		fmt.Fprintf(w, `{"data":{"data":{"masterKey":%q},"metadata":{"version":1,"created_time":"2026-01-01T00:00:00Z"}}}`, "first-"+string(credentialtest.HiddenKey()))
	default:
		fmt.Fprintf(w, `{"data":{"data":{"masterKey":%q},"metadata":{"version":2,"created_time":"2026-01-02T00:00:00Z"}}}`, credentialtest.HiddenKey())
	}
}

// I14: the heap of a process that verifies a key of Vault does not hold the key: no connection keeps what came over it.
func TestI14HeapHoldsNoPlainKey(t *testing.T) {
	url := credentialtest.ServeElsewhere(t)
	t.Setenv("VAULT_ADDR", url)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("token"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, reference := range []string{"vault://secret/parley?kv=2&token_file=TOKEN#masterKey", "vault://old/parley?kv=1&token_file=TOKEN#masterKey"} {
		t.Run(reference, func(t *testing.T) {
			credentialtest.TestMemory(t, func() credential.Source {
				return credentialtest.Open(t, vault.Opener(), strings.Replace(reference, "TOKEN", token, 1))
			})
		})
	}
}
