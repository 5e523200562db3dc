package sqlite

import (
	"context"
	"fmt"
	"os"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/parley-backend/parley/storage"
)

// Lock holds the lock of SQLite on a file beside the database, which is removed at the end: that of the database itself would keep writers out.
// See [storage.Locker].
func (db *DB) Lock(ctx context.Context, name string) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, wrap("Lock", "", err)
	}
	path := db.file + "-" + name
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		return nil, wrap("Lock", "", err)
	}
	c.SetBusyTimeout(0)
	if err := sqlitex.ExecuteTransient(c, "BEGIN EXCLUSIVE", nil); err != nil {
		_ = c.Close()
		if code := sqlite.ErrCode(err).ToPrimary(); code == sqlite.ResultBusy || code == sqlite.ResultLocked {
			err = &storage.Error{Kind: storage.Transient, Op: "sqlite.Lock", Err: fmt.Errorf("%s: %w", name, storage.ErrLocked)}
		}
		return nil, wrap("Lock", "", err)
	}
	return func() {
		_ = os.Remove(path)
		_ = c.Close()
	}, nil
}
