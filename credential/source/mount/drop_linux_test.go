package mount_test

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// drop takes the right to read every file from this thread, which root has. The
// thread ends with its goroutine.
func drop(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Setfsuid(65534); err != nil {
		t.Error(err)
	}
}
