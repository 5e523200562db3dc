package postgres

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/parley-backend/parley/internal/pgtest"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/storagetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// open opens a database in an empty schema. That no connection is held when it is closed is part of each test.
func open(t *testing.T, cfg Config) *DB {
	t.Helper()
	if cfg.URI == "" {
		cfg.URI = pgtest.Shared(t).Schema(t)
	}
	db, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Closing one that the server ended takes its time, and one may be measuring how far replicas are behind: neither is a loan.
		busy := cfg.Login != nil || len(cfg.Replicas) > 0
		for try := 0; busy && db.pool.Stat().AcquiredConns() != 0 && try < 5000; try++ {
			time.Sleep(time.Millisecond)
		}
		if n := db.pool.Stat().AcquiredConns(); n != 0 {
			t.Errorf("%d connections are held at the end", n)
		}
		if n := len(db.long); n != 0 {
			t.Errorf("%d places for long reads are held at the end", n)
		}
		if err := db.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return db
}

func TestAdapter(t *testing.T) {
	storagetest.TestAdapter(t, func(t *testing.T) storage.Adapter { return open(t, Config{}) })
}

func TestSameAsMatch(t *testing.T) { storagetest.SameAsMatch(t, open(t, Config{})) }
