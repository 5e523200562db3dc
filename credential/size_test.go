package credential

import (
	"testing"
	"unsafe"
)

// Every version, and what counts its use, begins at a cache line: else it would depend on a version's place how many lines a
// verification touches, and so its time, and two processors that verify two keys would wait for each other.
func TestVersionsBeginAtCacheLines(t *testing.T) {
	const line = 64
	if v, u := unsafe.Sizeof(version{}), unsafe.Sizeof(usage{}); v%line != 0 || u%line != 0 {
		t.Errorf("a version has %d bytes and its usage %d, want multiples of %d", v, u, line)
	}
}
