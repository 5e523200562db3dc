//go:build unix

package disk_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/disk"
)

// An install key that is kept elsewhere: the folder holds a mark of it, and is bound to it as soon as something is revoked.
func TestInstallKeyKeptElsewhere(t *testing.T) {
	one, other := credential.NewSecret(strings.Repeat("one.", 10)), credential.NewSecret(strings.Repeat("other.", 10))
	openWith := func(dir string, key credential.Secret) (*disk.Folder, string) {
		f, err := disk.OpenWith(t.Context(), dir, key)
		if err != nil {
			return nil, strings.ReplaceAll(err.Error(), dir, "DIR")
		}
		return f, ""
	}
	const missing = "DIR/revocations is there, but the install key that it was written with is missing: put that back from a copy"
	dir := t.TempDir()
	f, problem := openWith(dir, one)
	if problem != "" || string(f.InstallKey.Reveal()) != string(one.Reveal()) {
		t.Fatalf("OpenWith in an empty folder = %v, %s", f, problem)
	}
	if kept := read(t, filepath.Join(dir, "installKey")); !strings.HasPrefix(kept, "elsewhere ") || strings.Contains(kept, "one.") {
		t.Errorf("the file of the install key holds %q, want a mark of it", kept)
	}
	if _, err := disk.Open(t.Context(), dir); err == nil || !strings.HasSuffix(err.Error(), "says that the install key is kept elsewhere, and none is configured") {
		t.Errorf("Open without the key = %v", err)
	}
	if f, problem = openWith(dir, other); problem != "" {
		t.Fatalf("another key while nothing is revoked: %s", problem)
	}
	if err := f.Revocations.Save(t.Context(), "masterKey", first); err != nil {
		t.Fatal(err)
	}
	if _, problem = openWith(dir, one); problem != missing {
		t.Errorf("another key after a revocation = %q, want %q", problem, missing)
	}
	if f, problem = openWith(dir, other); problem != "" {
		t.Fatalf("the same key again: %s", problem)
	}
	if all, err := f.Revocations.Load(t.Context(), "masterKey"); err != nil || len(all) != 1 {
		t.Errorf("Load = %v, %v, want the one revocation", all, err)
	}

	// A folder with its own key: the same key may be configured from now on, another one as long as nothing is revoked.
	dir = t.TempDir()
	own := open(t, dir)
	if err := own.Revocations.Save(t.Context(), "masterKey", first); err != nil {
		t.Fatal(err)
	}
	if _, problem = openWith(dir, own.InstallKey); problem != "" {
		t.Errorf("its own key, configured: %s", problem)
	}
	if _, problem = openWith(dir, one); problem != missing {
		t.Errorf("another key than its own = %q, want %q", problem, missing)
	}
	if _, problem = openWith(t.TempDir(), credential.NewSecret("short")); problem != "the install key is too short: it needs 32 characters" {
		t.Errorf("a short key = %q", problem)
	}
}
