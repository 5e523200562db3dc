package vault_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/vault"
)

// Two keys of one secret: they share a client, and so a token. A web server stands for
// Vault here; without the option addr it is the one at VAULT_ADDR.
func ExampleOpener() {
	store := httptest.NewServer(standIn())
	defer store.Close()
	folder, err := os.MkdirTemp("", "login")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	role, secret := filepath.Join(folder, "role"), filepath.Join(folder, "secret")
	_ = os.WriteFile(role, []byte("59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8\n"), 0o600)
	_ = os.WriteFile(secret, []byte("84896a0c-1347-aa90-a4f6-aca8b7558780\n"), 0o600)

	sources := credential.Registry{"vault": vault.Opener()}
	for name, key := range map[string]string{"masterKey": "9f2c41d8e07b5a63c1d4", "maintenanceKey": "5b0e77c2d94a1f38e6a7"} {
		cfg := credential.Config{Name: name}
		reference := "vault://secret/parley?kv=2&addr=" + store.URL + "&auth=approle&role_id_file=" + role + "&secret_id_file=" + secret + "#" + name
		if err := sources.Configure(&cfg, reference); err != nil {
			fmt.Println(err)
			return
		}
		c, err := credential.New(cfg)
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := c.Start(context.Background()); err != nil {
			fmt.Println(err)
			return
		}
		defer c.Stop()
		d := c.Verify(key)
		fmt.Println(d.Verdict, name, "version", d.VersionID)
	}
	// Unordered output:
	// accept masterKey version 1
	// accept maintenanceKey version 1
}

func standIn() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/auth/approle/login", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"auth":{"client_token":"hvs.example","lease_duration":3600,"renewable":true}}`)
	})
	mux.HandleFunc("GET /v1/secret/data/parley", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"data":{"data":{"masterKey":"9f2c41d8e07b5a63c1d4","maintenanceKey":"5b0e77c2d94a1f38e6a7"},"metadata":{"version":1,"created_time":"2026-01-01T00:00:00Z"}}}`)
	})
	return mux
}
