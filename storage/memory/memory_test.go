package memory_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/memory"
	"github.com/parley-backend/parley/storage/storagetest"
)

// The clock of regexp2 runs on for a moment after the last regular expression with a time-out, and stops by itself.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2.runClock"))
}

func TestAdapter(t *testing.T) {
	storagetest.TestAdapter(t, func(*testing.T) storage.Adapter { return memory.New() })
}
