package pattern

import (
	"sync"
	"testing"
)

func TestLazy(t *testing.T) {
	l := New(`^[a-z]{1,3}$`)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for text, want := range map[string]bool{"abc": true, "": false, "abcd": false} {
				if got := l.MatchString(text); got != want {
					t.Errorf("MatchString(%q) = %v, want %v", text, got, want)
				}
			}
		})
	}
	group.Wait()
}
