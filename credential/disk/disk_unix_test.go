//go:build unix

package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/disk"
)

func TestMain(m *testing.M) {
	if mode, dir, ok := strings.Cut(os.Getenv(childMode), ":"); ok {
		if err := child(mode, dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, dir string) *disk.Folder {
	t.Helper()
	f, err := disk.Open(t.Context(), dir)
	if err != nil {
		t.Fatalf("Open(%s): %v", dir, err)
	}
	return f
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

var (
	first  = credential.Tombstone{VersionID: "v1", Mark: strings.Repeat("ab", 32), Revoked: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)}
	second = credential.Tombstone{VersionID: "v2", Revoked: time.Date(2026, 1, 3, 3, 4, 5, 6, time.UTC)}
)

func TestRevocationsOutliveTheProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "keys")
	f := open(t, dir)
	for _, s := range []struct {
		name      string
		tombstone credential.Tombstone
	}{{"masterKey", first}, {"masterKey", second}, {"masterKey", first}, {"restAPIKey", second}} {
		if err := f.Revocations.Save(t.Context(), s.name, s.tombstone); err != nil {
			t.Fatalf("Save(%s, %v): %v", s.name, s.tombstone, err)
		}
	}
	again := open(t, dir)
	if !bytes.Equal(again.InstallKey.Reveal(), f.InstallKey.Reveal()) {
		t.Error("the second Open made another install key")
	}
	for name, want := range map[string][]credential.Tombstone{"masterKey": {first, second}, "restAPIKey": {second}, "clientKey": nil} {
		got, err := again.Revocations.Load(t.Context(), name)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("Load(%s) = %v %v, want %v", name, got, err, want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("mode of %s = %v, want 0600", e.Name(), info.Mode().Perm())
		}
		names = append(names, e.Name())
	}
	if want := []string{"installKey", "installKey.lock", "revocations", "revocations.lock"}; !cmp.Equal(names, want) {
		t.Errorf("files = %v, want %v", names, want)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder = %v %v, want 0700", info.Mode().Perm(), err)
	}
}

// Whatever is wrong with a file, the answer is an error and never "nothing is revoked".
func TestOpenRefuses(t *testing.T) {
	const damaged = "revocations is damaged, was changed by hand, or belongs to another install key"
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  string // with DIR for the folder
	}{
		{"removed", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "revocations")); err != nil {
				t.Fatal(err)
			}
		}, "DIR/revocations, the list of revoked keys, is missing: put it back from a copy"},
		{"empty", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "revocations"), "") },
			`DIR/revocations is damaged: it does not begin with "parley revocations 2"`},
		{"cut short", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "revocations")
			text := read(t, path)
			write(t, path, text[:len(text)-20])
		}, "DIR/" + damaged},
		{"changed", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "revocations")
			write(t, path, strings.Replace(read(t, path), "v1", "v9", 1))
		}, "DIR/" + damaged},
		{"emptied by hand", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "revocations")
			line, _, _ := strings.Cut(read(t, path), "\n")
			write(t, path, line+"\n{}\n")
		}, "DIR/" + damaged},
		{"of another folder", func(t *testing.T, dir string) {
			other := t.TempDir()
			open(t, other)
			write(t, filepath.Join(dir, "revocations"), read(t, filepath.Join(other, "revocations")))
		}, "DIR/" + damaged},
		{"another install key", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "installKey"), strings.Repeat("another", 9))
		}, "DIR/" + damaged},
		{"short install key", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "installKey"), "short\n") },
			"DIR/installKey is too short to be an install key: put it back from a copy"},
		{"no install key", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "installKey")); err != nil {
				t.Fatal(err)
			}
		}, "DIR/revocations is there, but the install key that it was written with is missing: put that back from a copy"},
		{"a folder", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "revocations")
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, "DIR/revocations cannot be read: is a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := open(t, dir).Revocations.Save(t.Context(), "masterKey", first); err != nil {
				t.Fatal(err)
			}
			test.spoil(t, dir)
			_, err := disk.Open(t.Context(), dir)
			if want := strings.ReplaceAll(test.want, "DIR", dir); err == nil || err.Error() != want {
				t.Errorf("Open = %v, want %s", err, want)
			}
		})
	}
}

// A file that is spoilt while the process runs makes Load and Save fail, and Save does not mend it.
func TestSpoiltLater(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir).Revocations
	path := filepath.Join(dir, "revocations")
	write(t, path, "nonsense")
	if _, err := r.Load(t.Context(), "masterKey"); !errors.Is(err, credential.Misconfigured) {
		t.Errorf("Load = %v, want Misconfigured", err)
	}
	if err := r.Save(t.Context(), "masterKey", first); !errors.Is(err, credential.Unavailable) {
		t.Errorf("Save = %v, want Unavailable", err)
	}
	if got := read(t, path); got != "nonsense" {
		t.Errorf("after Save the file holds %q, want what it held", got)
	}
}

// A first start that was interrupted between its two files is a first start again.
func TestInterruptedFirstStart(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if err := os.Remove(filepath.Join(dir, "installKey")); err != nil {
		t.Fatal(err)
	}
	f := open(t, dir)
	if err := f.Revocations.Save(t.Context(), "masterKey", first); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, dir).Revocations.Load(t.Context(), "masterKey")
	if err != nil || !cmp.Equal(got, []credential.Tombstone{first}) {
		t.Errorf("Load = %v %v, want %v", got, err, first)
	}
}

func TestLookMakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if f, err := disk.Look(dir); f != nil || err != nil {
		t.Errorf("Look = %v %v, want nil nil", f, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Look made the folder: %v", err)
	}
}

// Several folders on one directory stand for several processes: none loses what another wrote.
func TestConcurrentSaves(t *testing.T) {
	dir := t.TempDir()
	var folders [4]*disk.Folder
	var wg sync.WaitGroup
	for i := range folders {
		wg.Go(func() { folders[i], _ = disk.Open(context.Background(), dir) })
	}
	wg.Wait()
	const each = 10
	for i, f := range folders {
		if f == nil {
			t.Fatal("a first start beside others failed")
		}
		wg.Go(func() {
			for n := range each {
				tombstone := credential.Tombstone{VersionID: fmt.Sprintf("v%d-%d", i, n)}
				if err := f.Revocations.Save(context.Background(), "masterKey", tombstone); err != nil {
					t.Errorf("Save: %v", err)
				}
			}
		})
	}
	wg.Wait()
	got, err := open(t, dir).Revocations.Load(t.Context(), "masterKey")
	if err != nil || len(got) != each*len(folders) {
		t.Errorf("Load = %d tombstones %v, want %d", len(got), err, each*len(folders))
	}
}

// While another process holds the lock, Save waits as long as its context allows, and then nothing was revoked.
func TestSaveGivesUp(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir).Revocations
	release := hold(t, filepath.Join(dir, "revocations.lock"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Save(ctx, "masterKey", first); !errors.Is(err, credential.Unavailable) {
		t.Errorf("Save = %v, want Unavailable", err)
	}
	release()
	if got, err := r.Load(t.Context(), "masterKey"); err != nil || got != nil {
		t.Errorf("Load = %v %v, want nothing", got, err)
	}
}

// I2: a revocation that was acknowledged wins over everything, also in the next process, with the source down at first and then
// still delivering the revoked value.
func TestI2RevocationOutlivesTheProcess(t *testing.T) {
	const stolen, fresh = "the-stolen-key-of-thirty-two-letters", "the-fresh-key-of-thirty-two-letters"
	dir := t.TempDir()
	source := func(value string, err error) credential.Source {
		return credential.Func(func(context.Context) (string, error) { return value, err })
	}
	begin := func(s credential.Source) *credential.Credential {
		f := open(t, dir)
		c, err := credential.New(credential.Config{Name: "masterKey", Source: s, Startup: credential.Degraded, InstallKey: f.InstallKey, Store: f.Revocations})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Stop)
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := begin(source(stolen, nil))
	id := before.Verify(stolen).VersionID
	if id == "" {
		t.Fatal("the key is not accepted before it is revoked")
	}
	if err := before.Revoke(t.Context(), id); err != nil {
		t.Fatalf("Revoke: %v", err)
	}
	before.Stop()

	down := begin(source("", errors.New("down")))
	if d := down.VerifyContext(t.Context(), stolen); d.OK() {
		t.Errorf("with the source down: %+v, want no Accept", d)
	}
	down.Stop()
	back := begin(source(stolen, nil))
	if d := back.VerifyContext(t.Context(), stolen); d.Verdict != credential.Reject || d.Reason != credential.ReasonRevoked {
		t.Errorf("with the source back: %v %v, want reject revoked", d.Verdict, d.Reason)
	}
	back.Stop()
	literal := begin(credential.Literal(stolen))
	if d := literal.Verify(stolen); d.Verdict != credential.Reject || d.Reason != credential.ReasonRevoked {
		t.Errorf("as a literal: %v %v, want reject revoked", d.Verdict, d.Reason)
	}
	if d := begin(credential.Literal(fresh)).Verify(fresh); !d.OK() {
		t.Errorf("another value: %v %v, want accept", d.Verdict, d.Reason)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("parley revocations 2 00\n{}\n"))
	f.Add([]byte("parley revocations 2 " + strings.Repeat("00", 32) + "\n{}\n"))
	f.Add([]byte(""))
	dir := f.TempDir()
	folder, err := disk.Open(context.Background(), dir)
	if err != nil {
		f.Fatal(err)
	}
	if err := folder.Revocations.Save(context.Background(), "masterKey", first); err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(dir, "revocations")
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := disk.Look(dir); (err == nil) != bytes.Equal(data, good) {
			t.Errorf("Look at %q = %v; only %q was written with the key", data, err, good)
		}
	})
}
