package sqlite

import (
	"testing"

	"github.com/parley-backend/parley/storage/storagetest"
)

func TestSameAsMatch(t *testing.T) {
	storagetest.SameAsMatch(t, open(t, Config{Path: Memory, Readers: 1}))
}
