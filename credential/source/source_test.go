package source_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source"
)

func TestEverySourceOpensItsOwnScheme(t *testing.T) {
	sources := source.All()
	want := []string{"awskms", "awssm", "awsssm", "azkv", "cred", "env", "exec", "file", "gcpsm", "http", "https", "k8s-mount", "static", "vault"}
	if diff := cmp.Diff(want, sources.Schemes()); diff != "" {
		t.Errorf("All().Schemes() (-want +got):\n%s", diff)
	}
	for _, text := range []string{
		"awssm://prod/parse#masterKey", "env:PARLEY_TEST_KEY", "file:///run/secrets/key", "exec:/bin/true", "https://secrets.example/key", "static:value",
	} {
		cfg := credential.Config{Name: "key"}
		if err := sources.Configure(&cfg, text); err != nil {
			t.Errorf("Configure(%q) = %v", text, err)
			continue
		}
		scheme := text[:slices.Index([]byte(text), ':')]
		if got := cfg.Source.Info().Scheme; got != scheme {
			t.Errorf("Configure(%q): a source of the scheme %q, want %q", text, got, scheme)
		}
	}
}
