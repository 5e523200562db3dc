package credentialtest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Kubelet writes the files of a secret into a folder the way the kubelet of Kubernetes fills a mounted volume: all files of one
// generation lie in a folder of their own, the link ..data names it, each file is a link through ..data, and a new generation
// comes into place by renaming that one link.
//
//	volume/..data -> ..generation_2
//	volume/..generation_2/key
//	volume/key    -> ..data/key
type Kubelet struct {
	// Dir is the volume, a folder that exists.
	Dir string

	generation int
}

// Write replaces the secret as a whole. The folder of the generation before is removed at the end, as the kubelet does: whoever
// is between two of its files then finds that the second is gone.
func (k *Kubelet) Write(t testing.TB, files map[string]string) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	before := fmt.Sprintf("..generation_%d", k.generation)
	k.generation++
	now := fmt.Sprintf("..generation_%d", k.generation)
	must(os.Mkdir(filepath.Join(k.Dir, now), 0o700))
	for name, content := range files {
		must(os.WriteFile(filepath.Join(k.Dir, now, name), []byte(content), 0o600))
	}
	must(os.Symlink(now, filepath.Join(k.Dir, "..data_tmp")))
	must(os.Rename(filepath.Join(k.Dir, "..data_tmp"), filepath.Join(k.Dir, "..data")))
	for name := range files {
		link := filepath.Join(k.Dir, name)
		if _, err := os.Lstat(link); os.IsNotExist(err) {
			must(os.Symlink(filepath.Join("..data", name), link))
		}
	}
	links, err := os.ReadDir(k.Dir)
	must(err)
	for _, link := range links {
		if _, still := files[link.Name()]; !still && link.Type()&os.ModeSymlink != 0 && link.Name() != "..data" {
			must(os.Remove(filepath.Join(k.Dir, link.Name())))
		}
	}
	must(os.RemoveAll(filepath.Join(k.Dir, before)))
}
