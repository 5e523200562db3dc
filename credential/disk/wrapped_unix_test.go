//go:build unix

package disk_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/disk"
)

const (
	canaryOne = "canary-one-of-what-is-presented-51f0"
	canaryTwo = "canary-two-of-what-is-presented-a2c7"
	wrapping  = "canary-wrapping-key-of-the-disk-tests"
)

// presented makes a credential that is presented and kept in a folder.
func presented(folder *disk.Folder, source credential.Source, seen credential.Observer) (*credential.Credential, error) {
	return credential.New(credential.Config{Name: "databaseURI", Present: true, Source: source, Observer: seen,
		InstallKey: folder.InstallKey, Store: folder.Revocations, LastGood: folder.LastGood,
		WrapKey: func(context.Context) (credential.Secret, error) { return credential.NewSecret(wrapping), nil }})
}

// restored returns what a process presents that starts while the source is down, "" for nothing, and what it says of the file.
func restored(t *testing.T, dir string) (value, warning string) {
	t.Helper()
	source := credentialtest.New(credential.Info{}, "")
	source.Fail(credential.Errorf(credential.Denied, "not now")) // as a store that is down, but a start without a last good reading ends at once
	seen := &credentialtest.Recorder{}
	c, err := presented(open(t, dir), source, seen)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	started := c.Start(t.Context())
	for _, e := range seen.Events() {
		if e.Kind == credential.EventLint {
			warning = e.Message
		}
	}
	present, err := credential.Present(c)
	if err != nil {
		t.Fatal(err)
	}
	lease, err := present.Acquire(t.Context())
	if (started == nil) != (err == nil) {
		t.Errorf("Start = %v, but Acquire = %v", started, err)
	}
	return string(lease.Value.Reveal()), warning
}

// searchFolder looks for plain values in every file of a folder, those that a crash left behind included.
func searchFolder(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if leaked := credentialtest.Leaks(read(t, filepath.Join(dir, e.Name())), canaryOne, canaryTwo, wrapping); leaked != nil {
			t.Errorf("%s holds %q", e.Name(), leaked)
		}
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v %v, want 0600", e.Name(), info.Mode(), err)
		}
	}
}

// What is presented is there after a restart with the store down; an older copy of the file, and one that was changed, are not used.
func TestWrappedReadingOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lastGood-databaseURI")
	source := credentialtest.New(credential.Info{}, canaryOne)
	c, err := presented(open(t, dir), source, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first reading on disk", func() bool { _, err := os.Stat(path); return err == nil })
	older := read(t, path)
	source.Set(canaryTwo)
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Stop()
	searchFolder(t, dir)
	if got, warning := restored(t, dir); got != canaryTwo || warning != "" {
		t.Errorf("after a restart %q is presented (%s), want the latest value", got, warning)
	}
	latest := read(t, path)
	for _, spoilt := range []struct{ text, want string }{
		{older, "the last good reading on disk is not used: " + path + " is an older copy"},
		{latest[:len(latest)/2], "the last good reading on disk is not used: " + path + " is damaged, was changed by hand, or belongs to another install key"},
	} {
		write(t, path, spoilt.text)
		if got, warning := restored(t, dir); got != "" || warning != spoilt.want {
			t.Errorf("%q is presented (%s), want nothing and %q", got, warning, spoilt.want)
		}
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// childMode names what a copy of the test program does in place of the tests.
const childMode = "PARLEY_TEST_DISK_CHILD"

// child saves readings until it is killed, and on a full disk.
func child(mode, dir string) error {
	folder, err := disk.Open(context.Background(), dir)
	if err != nil {
		return err
	}
	source := credentialtest.New(credential.Info{}, canaryOne)
	seen := &credentialtest.Recorder{}
	c, err := presented(folder, source, seen)
	if err != nil {
		return err
	}
	defer c.Stop()
	if err := c.Start(context.Background()); err != nil {
		return err
	}
	fmt.Println("started")
	if mode == "full" {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 16, Max: 16}); err != nil {
			return err
		}
		source.Set(canaryTwo)
		if err := c.Refresh(context.Background()); err != nil {
			return err
		}
		for range 60_000 {
			for _, e := range seen.Events() {
				if e.Kind == credential.EventLint {
					fmt.Println(e.Message)
					return nil
				}
			}
			time.Sleep(time.Millisecond)
		}
		return errors.New("nothing was told of the full disk")
	}
	for i := 0; ; i++ {
		source.Set([]string{canaryTwo, canaryOne}[i%2])
		if err := c.Refresh(context.Background()); err != nil {
			return err
		}
	}
}

func spawnChild(t *testing.T, mode, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), childMode+"="+mode+":"+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "started" {
		t.Fatalf("the child says %q", lines.Text())
	}
	return cmd, lines
}

// A process that is killed while it writes leaves one whole reading, the one before or the one after.
func TestKilledWhileWrapping(t *testing.T) {
	dir := t.TempDir()
	seen := map[string]int{}
	for range 10 {
		cmd, _ := spawnChild(t, "kill", dir)
		path := filepath.Join(dir, "lastGood-databaseURI")
		eventually(t, "a reading on disk", func() bool { _, err := os.Stat(path); return err == nil })
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond) // anywhere in the writing
		cmd.Process.Kill()
		cmd.Wait()
		got, warning := restored(t, dir)
		if got != canaryOne && got != canaryTwo || warning != "" {
			t.Fatalf("after a kill %q is presented: %s", got, warning)
		}
		seen[got]++
		searchFolder(t, dir)
	}
	t.Logf("presented after a kill: %v", seen)
}

// On a full disk the reading before is not left behind as if it were the latest, and what was told says why.
func TestWrappingOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	cmd, lines := spawnChild(t, "full", dir)
	lines.Scan()
	if want := "the last good reading cannot be kept for the next start: "; !strings.HasPrefix(lines.Text(), want) || !strings.Contains(lines.Text(), "file too large") {
		t.Errorf("told: %q, want %q and the words of the system", lines.Text(), want)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the child: %v", err)
	}
	if got, warning := restored(t, dir); got != "" || warning != "" {
		t.Errorf("%q is presented (%s), want nothing", got, warning)
	}
	searchFolder(t, dir)
}
