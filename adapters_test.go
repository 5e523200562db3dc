package parley_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/internal/pgtest"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/memory"
	"github.com/parley-backend/parley/storage/postgres"
	"github.com/parley-backend/parley/storage/sqlite"
)

// onEach runs a test once for each adapter. store opens the database of that run; each server of an application gets one of its own.
func onEach(t *testing.T, test func(t *testing.T, store func() storage.Adapter)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		store := closing(t, memory.New(), nil)
		test(t, func() storage.Adapter { return store })
	})
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "parley.db")
		test(t, func() storage.Adapter {
			db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
			return closing(t, db, err)
		})
	})
	t.Run("postgres", func(t *testing.T) {
		uri := pgtest.Shared(t).Schema(t)
		test(t, func() storage.Adapter { return openPostgres(t, uri) })
	})
}

func openPostgres(t *testing.T, uri string) storage.Adapter {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URI: uri, MaxConns: 4})
	return closing(t, db, err)
}

// closing has a database that was opened closed when the test ends.
func closing(t *testing.T, store storage.Adapter, err error) storage.Adapter {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return store
}

// handedOver is the address of a database as Parse Server left it.
func handedOver(t *testing.T) string {
	t.Helper()
	uri := pgtest.Shared(t).Database(t)
	sql, err := os.ReadFile(filepath.Join("conformance", "testdata", "handover", "parse-server-9.10.0.sql"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.PgConn().Exec(t.Context(), string(sql)).ReadAll()
	if err := errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	return uri
}
