package file_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/file"
)

// Where the process has no descriptors left a change is noticed all the same, and is read
// as soon as there is one. The key before stays.
func TestWithoutDescriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, keyA)
	write(t, path+".new", keyB)
	yesterday := time.Now().Add(-24 * time.Hour) // the file need not settle
	for _, name := range []string{path, path + ".new"} {
		if err := os.Chtimes(name, yesterday, yesterday); err != nil {
			t.Fatal(err)
		}
	}
	recorder := &credentialtest.Recorder{}
	c, err := credential.New(credential.Config{Name: "masterKey", Source: file.New(path, 10*time.Millisecond), Observer: recorder})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.Stop()

	restore := exhaust(t)
	defer restore()
	rename(t, path+".new", path)
	waitFor(t, "failure", func() bool { return c.Status().Failures > 0 })
	if s := c.Status(); s.Class != credential.Unavailable || !c.Verify(keyA).OK() {
		t.Errorf("without descriptors: class %v, Verify(old) = %v; want unavailable, accept", s.Class, c.Verify(keyA).Verdict)
	}
	restore()
	waitFor(t, "the new key", func() bool { return c.Verify(keyB).OK() })
}

// exhaust lets the process open no more files, until the returned function is called.
func exhaust(t *testing.T) (restore func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	limit := before
	limit.Cur = 1 // descriptors from this number on cannot be opened
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(os.DevNull); !errors.Is(err, unix.EMFILE) {
		t.Errorf("Open = %v, want EMFILE", err)
		_ = f.Close()
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}
}

// Watching needs no change notification of the system, and so none of its instances, of
// which there are few: a watched file opens nothing.
func TestWatchOpensNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, keyA)
	source := file.New(path, 10*time.Millisecond)
	noticed := make(chan struct{}, 100)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- source.Watch(ctx, func(credential.Notice) { noticed <- struct{}{} }) }()
	if _, err := source.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, path, keyB)
	<-noticed
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && (strings.Contains(to, "inotify") || strings.HasPrefix(to, filepath.Dir(path))) {
			t.Errorf("descriptor %s is %s", entry.Name(), to)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
