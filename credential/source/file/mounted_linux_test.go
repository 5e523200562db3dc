package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/parley-backend/parley/credential"
)

// Lines such as a container sees.
const mountinfo = `1021 950 0:52 / / rw,relatime master:351 - overlay overlay rw
1029 1021 0:67 / /etc/creds ro,relatime - tmpfs tmpfs rw,size=7926732k
1030 1021 0:68 /..2026_01_01_10_00_00.1/masterKey /etc/parley/masterKey ro,relatime - tmpfs tmpfs rw
1031 1021 8:1 /srv/a\040key /run/a\040key rw,relatime - ext4 /dev/sda1 rw
`

func TestIsMountPoint(t *testing.T) {
	for path, want := range map[string]bool{
		"/etc/parley/masterKey": true,
		"/run/a key":            true,
		"/etc/parley":           false,
		"/etc/creds/masterKey":  false,
		"/run/a":                false,
	} {
		if got := isMountPoint(mountinfo, path); got != want {
			t.Errorf("isMountPoint(%s) = %v, want %v", path, got, want)
		}
	}
}

// A file that is really mounted over another one is warned of, and no other is.
func TestLint(t *testing.T) {
	dir := t.TempDir()
	plain, mounted := filepath.Join(dir, "plain"), filepath.Join(dir, "mounted")
	for _, path := range []string{plain, mounted} {
		if err := os.WriteFile(path, []byte(strings.Repeat("k", 32)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := New(plain, 0).(credential.Linter).Lint(); got != nil {
		t.Errorf("Lint of a file = %q, want none", got)
	}
	if got := New(filepath.Join(dir, "none"), 0).(credential.Linter).Lint(); got != nil {
		t.Errorf("Lint of a file that is not there = %q, want none", got)
	}
	if err := unix.Mount(plain, mounted, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("this process may not mount: %v", err)
	}
	defer func() {
		if err := unix.Unmount(mounted, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(mounted, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{mounted, link} {
		want := []string{path + " is mounted by itself, as with subPath in Kubernetes: a file that takes its place is not seen here, mount the folder that it is in"}
		if diff := cmp.Diff(want, New(path, 0).(credential.Linter).Lint()); diff != "" {
			t.Errorf("Lint of %s (-want +got):\n%s", path, diff)
		}
	}
}
