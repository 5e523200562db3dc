package config

import (
	"slices"
	"testing"
)

// The workers of cloud code get the environment without what holds credentials of the server.
func TestHarmless(t *testing.T) {
	environ := []string{
		"PATH=/bin", "OF_THE_APP=kept", "PARSE_SERVER_MASTER_KEY=env:NAMED", "NAMED=x", "PARSE_SERVER_WEBHOOK_KEY=x", "DATABASE_URI=x", "PARSE_SERVER_DATABASE_URI=postgres://x",
		"PARSE_SERVER_REST_API_KEY=x", "FALLBACK=x", "BEARER=x", "VAULT_TOKEN=x", "VAULT_ADDR=kept",
	}
	v := &Values{set: map[string]any{
		"masterKey": "env:NAMED?overlap=1h", "restAPIKey": []string{"file:///run/key", "{env:FALLBACK}"}, "clientKey": "https://secrets.example/key?bearer_env=BEARER",
		"javascriptKey": "vault://secret/app#key", "other": map[string]any{"list": []any{"env:NAMED", 5.0}}, "appName": "OF_THE_APP",
	}}
	if got, want := v.harmless(environ), []string{"PATH=/bin", "OF_THE_APP=kept", "VAULT_ADDR=kept"}; !slices.Equal(got, want) {
		t.Errorf("harmless() = %v, want %v", got, want)
	}
}
