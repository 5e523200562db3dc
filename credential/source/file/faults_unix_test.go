//go:build unix

package file_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/file"
)

// watched starts a credential on a file.
func watched(t *testing.T, path string) (*credential.Credential, *credentialtest.Recorder) {
	t.Helper()
	seen := &credentialtest.Recorder{}
	c, err := credential.New(credential.Config{Name: "key", Source: file.New(path, 10*time.Millisecond), TTL: time.Hour, Previous: 50, Observer: seen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, seen
}

// until waits until a condition holds, which it does after a few looks at the file.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("10 s later: not %s", what)
		}
	}
}

func key(n int) string { return fmt.Sprintf("key-of-generation-%04d-of-the-volume", n) }

// Each generation of a mounted volume is noticed and is one event; nothing else is: no key of the past, no failure, no torn value.
func TestOneEventForEachChange(t *testing.T) {
	volume := credentialtest.Kubelet{Dir: t.TempDir()}
	volume.Write(t, map[string]string{"key": key(0), "other": "x"})
	c, seen := watched(t, filepath.Join(volume.Dir, "key"))
	const changes = 10
	for n := 1; n <= changes; n++ {
		volume.Write(t, map[string]string{"key": key(n), "other": "x"})
		until(t, "accepted as current", func() bool { d := c.Verify(key(n)); return d.OK() && d.State == credential.Current })
		volume.Write(t, map[string]string{"key": key(n), "other": fmt.Sprint(n)}) // another file of the volume changed: no event
	}
	until(t, "noticed", func() bool { return seen.Count(credential.EventRotated) == changes })
	for kind, want := range map[credential.EventKind]int{credential.EventInstalled: 1, credential.EventRotated: changes, credential.EventFlapping: 0, credential.EventFailed: 0} {
		if got := seen.Count(kind); got != want {
			t.Errorf("%d events %v for %d changes, want %d", got, kind, changes, want)
		}
	}
	for n := range changes {
		if d := c.Verify(key(n)); d.State != credential.Previous || !d.OK() {
			t.Errorf("Verify(generation %d) = %+v, want accept previous", n, d)
		}
	}
}

// A file mounted by subPath is the file of the first generation for ever: that is neither a failure nor a change.
func TestSubPathNeverChanges(t *testing.T) {
	volume := credentialtest.Kubelet{Dir: t.TempDir()}
	volume.Write(t, map[string]string{"key": key(0)})
	mounted := filepath.Join(t.TempDir(), "key")
	if err := os.Link(filepath.Join(volume.Dir, "..generation_1", "key"), mounted); err != nil {
		t.Fatal(err)
	}
	c, seen := watched(t, mounted)
	before := len(seen.Events())
	for n := 1; n <= 3; n++ {
		volume.Write(t, map[string]string{"key": key(n)})
		if err := c.Refresh(t.Context()); err != nil {
			t.Errorf("Refresh = %v, want nil", err)
		}
	}
	if d := c.Verify(key(0)); !d.OK() || d.State != credential.Current {
		t.Errorf("Verify(the first) = %+v, want accept current", d)
	}
	if events := seen.Events()[before:]; len(events) != 0 {
		t.Errorf("%d events, the first %v; want none", len(events), events[0].Kind)
	}
}

// Without a free file descriptor nothing can be read: the key before stays, and the next one is noticed when there is one again.
func TestOutOfDescriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, key(0))
	c, _ := watched(t, path)
	replacement := path + ".new"
	write(t, replacement, key(1))
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 1
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	defer restore()
	rename(t, replacement, path)
	err := c.Refresh(t.Context())
	if class := c.Status().Class; class != credential.Unavailable || err == nil {
		t.Errorf("Refresh = %v (%v), want unavailable", err, class)
	}
	if d := c.Verify(key(0)); !d.OK() {
		t.Errorf("Verify(the key before) = %+v, want accept", d)
	}
	restore()
	if err := c.Refresh(t.Context()); err != nil {
		t.Errorf("Refresh with descriptors = %v, want nil", err)
	}
	if d := c.Verify(key(1)); !d.OK() || d.State != credential.Current {
		t.Errorf("Verify(the new key) = %+v, want accept current", d)
	}
}
