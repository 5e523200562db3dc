//go:build unix

package disk_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
)

func TestLastGood(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lastGood-masterKey")
	older := credential.LastGood{Source: "file:/key", Read: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), TTL: time.Minute, Salt: []byte("0123456789abcdef"), Versions: []credential.LastGoodVersion{
		{ID: "v1", Fingerprint: "fp-1", Number: 7, State: 1, Digest: []byte("d"), Mark: []byte("m"), Until: time.Date(2026, 1, 2, 4, 0, 0, 0, time.UTC)},
	}}
	newer := older
	newer.Read = older.Read.Add(time.Minute)
	load := func(name string) (*credential.LastGood, error) {
		return open(t, dir).LastGood.LoadLastGood(t.Context(), name)
	}
	save := func(name string, reading credential.LastGood) {
		t.Helper()
		if err := open(t, dir).LastGood.SaveLastGood(t.Context(), name, reading); err != nil {
			t.Fatal(err)
		}
	}

	if got, err := load("masterKey"); got != nil || err != nil {
		t.Errorf("Load before a Save = %v %v, want nothing", got, err)
	}
	save("masterKey", older)
	oldCopy := read(t, path)
	save("masterKey", newer)
	save("../odd name", older)
	for name, want := range map[string]credential.LastGood{"masterKey": newer, "../odd name": older} {
		if got, err := load(name); err != nil || got == nil || !cmp.Equal(*got, want) {
			t.Errorf("Load(%s) = %v %v, want %v", name, got, err, want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode = %v %v, want 0600", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "lastGood-..%2Fodd%20name")); err != nil {
		t.Errorf("an odd name leaves the folder: %v", err)
	}

	good := read(t, path)
	for _, spoilt := range []struct{ name, text, want string }{
		{"an older copy", oldCopy, "credential: invalid: " + path + " is an older copy"},
		{"damaged", strings.Replace(good, `"state":1`, `"state":0`, 1), "credential: invalid: " + path + " is damaged, was changed by hand, or belongs to another install key"},
		{"of another key", read(t, filepath.Join(dir, "lastGood-..%2Fodd%20name")), "credential: invalid: " + path + ` is damaged: it does not begin with "parley lastGood-masterKey 2"`},
		{"empty", "", "credential: invalid: " + path + ` is damaged: it does not begin with "parley lastGood-masterKey 2"`},
	} {
		write(t, path, spoilt.text)
		if got, err := load("masterKey"); got != nil || err == nil || err.Error() != spoilt.want {
			t.Errorf("%s: Load = %v %v, want %s", spoilt.name, got, err, spoilt.want)
		}
	}
	write(t, path, good)
	write(t, filepath.Join(dir, "lastGood"), "nonsense")
	if got, err := load("masterKey"); got != nil || !errors.Is(err, credential.Invalid) {
		t.Errorf("without the serial numbers: Load = %v %v, want Invalid", got, err)
	}
	// The numbers begin anew above those of every copy.
	save("masterKey", newer)
	write(t, path, oldCopy)
	if got, err := load("masterKey"); got != nil || !errors.Is(err, credential.Invalid) {
		t.Errorf("an older copy after that: Load = %v %v, want Invalid", got, err)
	}
}

// A reading that cannot be saved takes the one before with it: it may say less than that one accepts.
func TestLastGoodThatCannotBeSaved(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir).LastGood
	if err := l.SaveLastGood(t.Context(), "masterKey", credential.LastGood{}); err != nil {
		t.Fatal(err)
	}
	release := hold(t, filepath.Join(dir, "lastGood.lock"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.SaveLastGood(ctx, "masterKey", credential.LastGood{}); !errors.Is(err, credential.Unavailable) {
		t.Errorf("Save = %v, want Unavailable", err)
	}
	if _, err := l.LoadLastGood(ctx, "masterKey"); !errors.Is(err, credential.Unavailable) {
		t.Errorf("Load = %v, want Unavailable", err)
	}
	release()
	if got, err := l.LoadLastGood(t.Context(), "masterKey"); got != nil || err != nil {
		t.Errorf("Load = %v %v, want nothing", got, err)
	}
}
