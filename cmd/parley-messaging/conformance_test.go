package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/parley-backend/parley/wasmcloud/hosttest"
)

// The binary, as go build makes it, against the list of features; or the one that PARLEY_TEST_PROVIDER names.
func TestConformance(t *testing.T) {
	launch := hosttest.Program(t, func() string {
		path := filepath.Join(t.TempDir(), "parley-messaging")
		if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
		return path
	})
	hosttest.TestProvider(t, launch, hosttest.TestOptions{})
}
