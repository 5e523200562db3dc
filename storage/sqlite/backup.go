package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/parley-backend/parley/storage"
)

// Backup copies the database, as it is at one moment, into a new file (mode 0600) while reads and writes go on. The file appears
// whole or not at all. One that exists is not touched: that is an Unavailable error that errors.Is finds fs.ErrExist in.
func (db *DB) Backup(ctx context.Context, file string) error {
	return wrap("Backup", "", db.backup(ctx, file, false))
}

// BackupOver is Backup that replaces a file that exists.
func (db *DB) BackupOver(ctx context.Context, file string) error {
	return wrap("Backup", "", db.backup(ctx, file, true))
}

func (db *DB) backup(ctx context.Context, file string, overwrite bool) error {
	if _, err := os.Lstat(file); err == nil && !overwrite {
		return &storage.Error{Kind: storage.Unavailable, Op: "sqlite.Backup", Err: fmt.Errorf("%s: %w", file, fs.ErrExist)}
	}
	c, err := connect(db.file, "PRAGMA trusted_schema=ON")
	if err != nil {
		return err
	}
	partial, err := copyInto(ctx, c, file)
	if err := errors.Join(err, c.close()); err != nil {
		return errors.Join(err, remove(partial))
	}
	if overwrite {
		err = os.Rename(partial, file)
	} else if err = os.Link(partial, file); err == nil { // unlike a rename, a link replaces nothing
		err = os.Remove(partial)
	}
	if err != nil {
		return errors.Join(unavailable("the backup cannot be put in place", err), remove(partial))
	}
	return syncDirectory(file)
}

// copyInto writes a copy of a database into a new file beside the given one and waits until it is on disk.
func copyInto(ctx context.Context, c *conn, file string) (partial string, err error) {
	partial = file + ".partial-" + rand.Text()
	if err := makeFile(partial); err != nil {
		return "", err
	}
	done := c.watch(ctx)
	_, err = c.query("VACUUM INTO ?1", partial)
	done()
	if err != nil {
		return partial, interrupted(ctx, err)
	}
	f, err := os.OpenFile(partial, os.O_RDWR, 0)
	if err != nil {
		return partial, unavailable("the copy cannot be opened", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return partial, unavailable("the copy cannot be written", err)
	}
	return partial, nil
}

func remove(file string) error {
	if file == "" {
		return nil
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDirectory makes the name of a file last.
func syncDirectory(file string) error {
	d, err := os.Open(filepath.Dir(file))
	if err != nil {
		return unavailable("the directory cannot be opened", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return unavailable("the directory cannot be written", err)
	}
	return nil
}

// Restore puts a copy of the database in the file from, usually made by [DB.Backup], in place of the file to. Before it replaces
// anything it checks from in full (Corrupt when it is damaged, not of Parley or of a newer version) and that no process has to
// open (Unavailable). It replaces to at once; a file to that is no readable database is kept with ".damaged" and the time behind its name.
func Restore(ctx context.Context, from, to string) error {
	return wrap("Restore", "", restore(ctx, from, to))
}

func restore(ctx context.Context, from, to string) error {
	source, err := openForCheck(from)
	if err != nil {
		return err
	}
	err = checkWhole(ctx, source)
	partial := ""
	if err == nil {
		partial, err = copyInto(ctx, source, to)
	}
	if err := errors.Join(err, source.close()); err != nil {
		return errors.Join(err, remove(partial))
	}
	release, err := claim(to)
	if err != nil {
		return errors.Join(err, remove(partial))
	}
	if err := os.Rename(partial, to); err != nil {
		return errors.Join(unavailable("the restored file cannot be put in place", err), release(), remove(partial))
	}
	return errors.Join(release(), syncDirectory(to))
}

func openForCheck(file string) (*conn, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, unavailable("the backup cannot be read", err)
	}
	return connect(file, "PRAGMA trusted_schema=ON", "PRAGMA query_only=OFF")
}

// checkWhole reads every page of a database.
func checkWhole(ctx context.Context, c *conn) error {
	isNew, err := checkFormat(c, "main")
	if err != nil {
		return err
	}
	if isNew {
		return corrupt("the file is empty")
	}
	done := c.watch(ctx)
	rows, err := c.query("PRAGMA integrity_check(3)")
	done()
	if err != nil {
		return interrupted(ctx, err)
	}
	if len(rows) != 1 || rows[0][0] != "ok" {
		problems := make([]string, len(rows))
		for i, row := range rows {
			problems[i] = row[0]
		}
		return corrupt("the file is damaged: " + strings.Join(problems, "; "))
	}
	return nil
}

// claim makes sure that nobody has a database open, and that it is one file without a log. Nobody can open it until release is called.
func claim(file string) (release func() error, err error) {
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		// A log without its database would be taken for that of the restored one.
		return func() error { return nil }, setAside(file)
	}
	c, err := connect(file, "PRAGMA busy_timeout=500", "PRAGMA locking_mode=EXCLUSIVE")
	if err == nil {
		err = c.claim()
		if err == nil {
			return c.close, nil
		}
		err = errors.Join(err, c.close())
	}
	switch wrapped := wrap("Restore", "", err); {
	case errors.Is(wrapped, storage.Corrupt):
		return func() error { return nil }, setAside(file)
	default:
		return nil, wrapped
	}
}

// claim turns the log off, which needs that nobody else has the file open, and takes the lock.
func (c *conn) claim() error {
	rows, err := c.query("PRAGMA journal_mode=DELETE")
	if err == nil && (len(rows) != 1 || rows[0][0] != "delete") {
		err = errors.New("the log is still in use")
	}
	if err == nil {
		err = c.script("BEGIN EXCLUSIVE")
	}
	if code := sqlite.ErrCode(err).ToPrimary(); err != nil && code != sqlite.ResultCorrupt && code != sqlite.ResultNotADB {
		return unavailable("the database is in use; stop the process that has it open", err)
	}
	return err
}

// setAside renames a file that is no readable database, and what belongs to it.
func setAside(file string) error {
	suffix := ".damaged-" + time.Now().UTC().Format("20060102T150405")
	for _, part := range []string{"-wal", "-shm", "-journal", ""} {
		if err := os.Rename(file+part, file+suffix+part); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return unavailable("the damaged file cannot be put aside", err)
		}
	}
	return nil
}
