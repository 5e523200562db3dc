package file_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/file"
)

const (
	keyA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	keyB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// volume is a directory such as the kubelet keeps for a mounted secret: the names
// lead through the link ..data into a directory that is replaced as a whole.
type volume struct {
	dir string
	n   int
}

func (v *volume) put(t *testing.T, value string) {
	t.Helper()
	v.n++
	generation := fmt.Sprintf("..2026_01_01_%d", v.n)
	if err := os.Mkdir(filepath.Join(v.dir, generation), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(v.dir, generation, "key"), value)
	if err := os.Symlink(generation, filepath.Join(v.dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	rename(t, filepath.Join(v.dir, "..data_tmp"), filepath.Join(v.dir, "..data"))
	if v.n == 1 {
		if err := os.Symlink("..data/key", filepath.Join(v.dir, "key")); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.RemoveAll(filepath.Join(v.dir, fmt.Sprintf("..2026_01_01_%d", v.n-1))); err != nil {
		t.Fatal(err)
	}
}

// replacers are the ways in which a file gets new content.
var replacers = []struct {
	name string
	put  func(t *testing.T) (path string, put func(t *testing.T, value string))
}{
	{"TruncateAndWrite", func(t *testing.T) (string, func(*testing.T, string)) {
		path := filepath.Join(t.TempDir(), "key")
		return path, func(t *testing.T, value string) { write(t, path, value+"\n") }
	}},
	{"RewriteInPlace", func(t *testing.T) (string, func(*testing.T, string)) {
		path := filepath.Join(t.TempDir(), "key")
		return path, func(t *testing.T, value string) {
			f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte(value), 0); err != nil {
				t.Fatal(err)
			}
			if err := f.Truncate(int64(len(value))); err != nil {
				t.Fatal(err)
			}
		}
	}},
	{"RenameOver", func(t *testing.T) (string, func(*testing.T, string)) {
		path := filepath.Join(t.TempDir(), "key")
		return path, func(t *testing.T, value string) {
			write(t, path+".new", value)
			rename(t, path+".new", path)
		}
	}},
	{"RemoveAndCreate", func(t *testing.T) (string, func(*testing.T, string)) {
		path := filepath.Join(t.TempDir(), "key")
		return path, func(t *testing.T, value string) {
			_ = os.Remove(path)
			write(t, path, value)
		}
	}},
	{"KubernetesVolume", func(t *testing.T) (string, func(*testing.T, string)) {
		v := &volume{dir: t.TempDir()}
		return filepath.Join(v.dir, "key"), v.put
	}},
	{"DirectoryReplaced", func(t *testing.T) (string, func(*testing.T, string)) {
		root := t.TempDir()
		dir := filepath.Join(root, "secrets")
		return filepath.Join(dir, "key"), func(t *testing.T, value string) {
			if err := os.Mkdir(dir+".new", 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir+".new", "key"), value)
			if _, err := os.Stat(dir); err == nil {
				rename(t, dir, dir+".old")
			}
			rename(t, dir+".new", dir)
			if err := os.RemoveAll(dir + ".old"); err != nil {
				t.Fatal(err)
			}
		}
	}},
}

// Every way of replacing a file passes the whole suite.
func TestSource(t *testing.T) {
	for _, replacer := range replacers {
		t.Run(replacer.name, func(t *testing.T) {
			credentialtest.TestSource(t, credentialtest.Harness{Open: func(t *testing.T, value string) credentialtest.Store {
				path, put := replacer.put(t)
				put(t, value)
				return credentialtest.Store{
					Source: file.New(path, 20*time.Millisecond),
					Put:    put,
					Remove: func(t *testing.T) {
						if err := os.Rename(path, path+".away"); err != nil {
							t.Fatal(err)
						}
						t.Cleanup(func() { _ = os.Remove(path + ".away") })
						if strings.Contains(replacer.name, "Kubernetes") || strings.Contains(replacer.name, "Directory") {
							// The name itself comes back with the next Put.
							restore(t, path)
						}
					},
				}
			}})
		})
	}
}

// restore keeps the name of a volume as a link to what the next Put brings.
func restore(t *testing.T, path string) {
	t.Helper()
	dir := filepath.Dir(path)
	if _, err := os.Lstat(filepath.Join(dir, "..data")); err != nil {
		return
	}
	if err := os.Remove(path + ".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "..data"), filepath.Join(dir, "..gone")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("..data/key", path); err != nil {
		t.Fatal(err)
	}
}

// Who writes a file in several steps leaves it empty or partial in between. None of
// that is ever read, and the notice does not come more often than the file changes.
func TestNeverTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, keyA)
	source := file.New(path, 10*time.Millisecond)
	stop := make(chan struct{})
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			value := []string{keyA, keyB}[i%2]
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
			if err != nil {
				t.Error(err)
				return
			}
			for part := range 4 {
				time.Sleep(time.Millisecond)
				_, _ = f.WriteString(value[part*8 : part*8+8])
			}
			f.Close()
			time.Sleep(60 * time.Millisecond)
		}
	}()
	read := 0
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); {
		payload, err := source.Fetch(t.Context())
		if err != nil {
			t.Fatalf("Fetch failed: %v", err)
		}
		if got := string(payload.Versions[0].Value.Reveal()); got != keyA && got != keyB {
			t.Fatalf("Fetch = %q, want one of the whole values", got)
		}
		read++
	}
	close(stop)
	<-written
	if read == 0 {
		t.Error("nothing was read")
	}
}

// A file that never stops changing ends with the context, not with half a value. On a machine so busy that the writer itself
// pauses, the file was quiet and may be read; then the test is made again.
func TestEverChanging(t *testing.T) {
	const pause = 40 * time.Millisecond // less than the quiet that a young file needs
	for range 20 {
		longest, err := fetchWhileWriting(t)
		if errors.Is(err, credential.Unavailable) {
			return
		}
		if longest < pause {
			t.Fatalf("Fetch of a file that changed every %v or sooner = %v, want Unavailable", longest, err)
		}
	}
	t.Skip("the machine is too busy to write to a file without pauses")
}

// fetchWhileWriting fetches a file that is written to all the time, and returns the longest pause between two writes.
func fetchWhileWriting(t *testing.T) (longest time.Duration, err error) {
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, keyA)
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		last := time.Now()
		for i := 0; !stop.Load(); i++ {
			_ = os.WriteFile(path, bytes.Repeat([]byte{'a' + byte(i%26)}, 32+i%7), 0o600)
			longest = max(longest, time.Since(last))
			last = time.Now()
			time.Sleep(5 * time.Millisecond)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = file.New(path, 0).Fetch(ctx)
	stop.Store(true)
	<-done
	return longest, err
}

func TestFailures(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "huge"), strings.Repeat("x", 64<<10+1))
	write(t, filepath.Join(dir, "largest"), strings.Repeat("x", 64<<10))
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		want error
	}{
		{"absent", credential.Missing},
		{"absent/key", credential.Missing},
		{"huge", credential.Invalid},
		{"largest", nil},
		{"pipe", credential.Invalid},
		{".", credential.Invalid},
	} {
		if _, err := file.New(filepath.Join(dir, test.name), 0).Fetch(t.Context()); !errors.Is(err, test.want) {
			t.Errorf("Fetch(%s) = %v, want %v", test.name, err, test.want)
		}
	}
}

// The engine's view of a file through its whole life: replaced, emptied, spoilt, gone
// and back. Bad content never displaces a good key.
func TestLifeOfAKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, keyA+"\n")
	recorder := &credentialtest.Recorder{}
	c, err := credential.New(credential.Config{Name: "masterKey", Source: file.New(path, 20*time.Millisecond), Observer: recorder})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.Stop()

	write(t, path, keyB+"\n")
	waitFor(t, "the new key", func() bool { return c.Verify(keyB).OK() })
	if d := c.Verify(keyA); d.State != credential.Previous || !d.OK() {
		t.Errorf("Verify(old) = %+v, want Accept as previous", d)
	}
	for _, bad := range []string{"", "\n", "   \n", "\uFEFF" + keyA, keyA + "\x00", keyA + "\n" + keyB, " " + keyA, keyA + "\t\n", "\xff\xfe"} {
		failures := c.Status().Counters.Failures
		write(t, path, bad)
		waitFor(t, fmt.Sprintf("refusal of %q", bad), func() bool { return c.Status().Counters.Failures > failures })
		if s := c.Status(); s.Class != credential.Invalid || !c.Verify(keyB).OK() {
			t.Errorf("with %q in the file: class %v, Verify = %v; want invalid and accept", bad, s.Class, c.Verify(keyB).Verdict)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "missing", func() bool { return c.Status().Class == credential.Missing })
	if !c.Verify(keyB).OK() {
		t.Error("a file that is missing took the key away")
	}
	write(t, path, keyB)
	waitFor(t, "recovery", func() bool { return c.Status().Failures == 0 })
	if got := c.Status().Generation; got != 2 {
		t.Errorf("generation = %d, want 2: nothing changed but the newline", got)
	}
}

// A file that may not be read is not a revocation.
func TestDenied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, keyA)
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	source, result := file.New(path, 0), make(chan error)
	go func() {
		if _, err := os.ReadFile(path); err == nil {
			drop(t)
		}
		_, err := source.Fetch(context.Background())
		result <- err
	}()
	if err := <-result; !errors.Is(err, credential.Denied) {
		t.Errorf("Fetch of an unreadable file = %v, want Denied", err)
	}
}

// A key that was prepared yesterday and moved into place now begins now: the overlap
// of the one before it counts from here.
func TestCreatedIsWhenTheFileCameIntoPlace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	write(t, path, keyA)
	source := file.New(path, 0)
	if _, err := source.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-time.Second) // the clock of the file system is coarser
	yesterday := time.Now().Add(-24 * time.Hour)
	write(t, path+".new", keyB)
	if err := os.Chtimes(path+".new", yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	rename(t, path+".new", path)
	payload, err := source.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if created := payload.Versions[0].Created; created.Before(before) {
		t.Errorf("Created = %v, want not before %v", created, before)
	}
	again, err := source.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !again.Versions[0].Created.Equal(payload.Versions[0].Created) {
		t.Errorf("Created moved from %v to %v without a change", payload.Versions[0].Created, again.Versions[0].Created)
	}
}

// A whole directory that was prepared earlier begins when it is moved into place: what
// it replaces was seen until then.
func TestCreatedIsNotBeforeTheOldContentWasSeen(t *testing.T) {
	root := t.TempDir()
	for dir, key := range map[string]string{"old": keyA, "new": keyB} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, dir, "key"), key)
	}
	source := file.New(filepath.Join(root, "old", "key"), 0)
	if _, err := source.Fetch(t.Context()); err != nil { // takes longer than the file system's clock is coarse
		t.Fatal(err)
	}
	seen := time.Now()
	if _, err := source.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	rename(t, filepath.Join(root, "old"), filepath.Join(root, "away"))
	rename(t, filepath.Join(root, "new"), filepath.Join(root, "old"))
	payload, err := source.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if created := payload.Versions[0].Created; created.Before(seen) {
		t.Errorf("Created = %v, want not before %v", created, seen)
	}
}

func TestOpen(t *testing.T) {
	for _, test := range []struct {
		reference, location string
		want                error
	}{
		{"file:///run/secrets/master", "/run/secrets/master", nil},
		{"file:/run/secrets/master", "/run/secrets/master", nil},
		{"file://localhost/run/key", "/run/key", nil},
		{"file:///run/a%20key?ttl=1m&poll=1s", "/run/a key", nil},
		{"{file:///run/key}", "/run/key", nil},
		{"file://run/key", "", credential.Misconfigured},
		{"file:key", "", credential.Misconfigured},
		{"file:///run/keys.json#masterKey", "/run/keys.json", nil},
		{"file:///run/keys.json?poll=1s#/a/0", "/run/keys.json", nil},
		{"file:///run/key?format=keyset", "/run/key", nil},
		{"file:///run/key?format=raw#field", "", credential.Misconfigured},
		{"file:///run/key?poll=1s&poll=2s", "", credential.Misconfigured},
		{"file:///run/key?poll=1ms", "", credential.Misconfigured},
		{"file:///run/key?pol=1s", "", credential.Misconfigured},
	} {
		ref, err := credential.ParseReference(test.reference)
		if err != nil {
			t.Errorf("ParseReference(%s) failed: %v", test.reference, err)
			continue
		}
		source, err := file.Open(ref)
		if !errors.Is(err, test.want) {
			t.Errorf("Open(%s) = %v, want %v", test.reference, err, test.want)
		} else if err == nil && source.Info().Location != test.location {
			t.Errorf("Open(%s) reads %s, want %s", test.reference, source.Info().Location, test.location)
		}
	}
}

// One document may hold the keys of several credentials.
func TestField(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	write(t, path, `{"masterKey": "`+keyA+`", "webhookKey": "`+keyB+`"}`)
	for reference, want := range map[string]string{"#masterKey": keyA, "#/webhookKey": keyB} {
		ref, err := credential.ParseReference("file://" + path + reference)
		if err != nil {
			t.Fatal(err)
		}
		source, err := file.Open(ref)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := source.Fetch(t.Context())
		if err != nil {
			t.Fatalf("Fetch(%s) failed: %v", reference, err)
		}
		if got := string(payload.Versions[0].Value.Reveal()); got != want {
			t.Errorf("Fetch(%s) = %q, want %q", reference, got, want)
		}
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("no %s", what)
		}
	}
}
