package vault_test

import (
	"fmt"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/vault"
)

// Two keys of one secret: they share a client, and so a token.
func ExampleOpener() {
	sources := credential.Registry{"vault": vault.Opener()}
	for _, name := range []string{"masterKey", "maintenanceKey"} {
		cfg := credential.Config{Name: name}
		reference := "vault://secret/parley?addr=https://vault.internal:8200&auth=approle" +
			"&role_id_file=/run/secrets/vault-role&secret_id_file=/run/secrets/vault-secret#" + name
		if err := sources.Configure(&cfg, reference); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(name, cfg.Source.Info().Location)
	}
	// Output:
	// masterKey https://vault.internal:8200/secret/parley
	// maintenanceKey https://vault.internal:8200/secret/parley
}
