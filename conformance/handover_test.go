package conformance

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/internal/pgtest"
)

// handover is a database as Parse Server 9.10.0 left it on PostgreSQL 15: written through its REST API by a script, with users who
// exist nowhere else, and dumped by pg_dump without owners, grants and settings. The exchanges beside it are what Parse Server
// then answered on it.
const handover = "testdata/handover"

// TestHandover: on a database that Parse Server wrote, Parley answers as Parse Server did.
func TestHandover(t *testing.T) {
	uri := pgtest.Shared(t).Database(t)
	sql, err := os.ReadFile(filepath.Join(handover, "parse-server-9.10.0.sql"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, uri)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.PgConn().Exec(ctx, string(sql)).ReadAll()
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"reads.txt"} {
		text, err := os.ReadFile(filepath.Join(handover, name))
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		r := &Runner{BaseURL: newLoggingServer(t, f.Options, uri, slog.New(slog.DiscardHandler)), Client: client(t), Expect: (*Exchange).ExpectedOnPostgres}
		failures, err := r.Run(ctx, f)
		for _, failure := range failures {
			t.Error(failure)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
