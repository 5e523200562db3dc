package mount

import (
	"path/filepath"
	"strings"
	"testing"
)

// A name that is taken for a key stays within its volume, and is not one of the kubelet's own.
func FuzzIsKey(f *testing.F) {
	for _, name := range []string{"a", "a/b", "*", "..data", "../a", "a/../../b", "/a", ".", "", "a//b", "..", ".hidden", "a/..data"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !isKey(name) {
			return
		}
		path := filepath.Join("/volume", name)
		if path != "/volume/"+name || strings.HasPrefix(name, "..") {
			t.Errorf("isKey(%q) = true: it leads to %s", name, path)
		}
	})
}
