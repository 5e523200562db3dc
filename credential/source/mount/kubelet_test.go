package mount_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// kubelet writes a volume as the kubelet's atomic writer does: each state into a directory
// of its own, whose name begins with its time, then the link ..data renamed over the old
// one, then the old directory removed. The names that users see are links through ..data,
// made after the first swap.
type kubelet struct {
	dir string
	n   int
	now string // the directory of the present state
}

func newVolume(t testing.TB, keys map[string]string) *kubelet {
	t.Helper()
	k := &kubelet{dir: t.TempDir()}
	k.put(t, keys)
	return k
}

func (k *kubelet) put(t testing.TB, keys map[string]string) {
	t.Helper()
	if err := k.write(keys); err != nil {
		t.Fatal(err)
	}
}

func (k *kubelet) write(keys map[string]string) error {
	k.n++
	generation := fmt.Sprintf("%s%09d", time.Now().UTC().Format("..2006_01_02_15_04_05."), k.n)
	for name, content := range keys {
		path := filepath.Join(k.dir, generation, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(k.dir, generation), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(generation, filepath.Join(k.dir, "..data_tmp")); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(k.dir, "..data_tmp"), filepath.Join(k.dir, "..data")); err != nil {
		return err
	}
	old := k.now
	k.now = filepath.Join(k.dir, generation)
	for name := range keys {
		for filepath.Dir(name) != "." {
			name = filepath.Dir(name)
		}
		if _, err := os.Lstat(filepath.Join(k.dir, name)); err != nil {
			if err := os.Symlink(filepath.Join("..data", name), filepath.Join(k.dir, name)); err != nil {
				return err
			}
		}
	}
	if old == "" {
		return nil
	}
	return os.RemoveAll(old)
}
