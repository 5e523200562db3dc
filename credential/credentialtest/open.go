package credentialtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/parley-backend/parley/credential"
)

// Open makes the source of a reference.
func Open(t testing.TB, opener credential.Opener, reference string) credential.Source {
	t.Helper()
	ref, err := credential.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	source, err := opener(ref)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// Value fetches, and returns the value of the first version.
func Value(t testing.TB, source credential.Source) string {
	t.Helper()
	payload, err := source.Fetch(t.Context())
	if err != nil {
		t.Fatalf("Fetch failed: %v", err)
	}
	return string(payload.Versions[0].Value.Reveal())
}

// Start makes a credential and starts it; it is stopped when the test ends.
func Start(t testing.TB, cfg credential.Config) *credential.Credential {
	t.Helper()
	c, err := credential.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// WriteFile writes a file that only we may read, in a folder of the test, and returns its path.
func WriteFile(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
