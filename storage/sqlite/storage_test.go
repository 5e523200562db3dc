package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/storagetest"
)

func TestAdapter(t *testing.T) {
	storagetest.TestAdapter(t, func(t *testing.T) storage.Adapter {
		db, err := Open(context.Background(), Config{Path: filepath.Join(t.TempDir(), "parley.db")})
		if err != nil {
			t.Fatal(err)
		}
		return db
	})
}
