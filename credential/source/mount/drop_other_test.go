//go:build !linux

package mount_test

import "testing"

func drop(t *testing.T) {
	t.Helper()
	t.Error("run the tests as a user: no mode keeps root from reading")
}
