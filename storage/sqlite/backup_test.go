package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-backend/parley/storage"
)

// names returns the names of the files in a directory.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

func countIn(t *testing.T, file string) int {
	t.Helper()
	db, err := Open(context.Background(), Config{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	n := len(find(t, db, gameScore(), all()))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBackup copies a database while it is written to: the copy is one moment of it.
func TestBackup(t *testing.T) {
	db := open(t, Config{})
	ctx := context.Background()
	class := save(t, db, gameScore())
	users := save(t, db, uniqueClass())
	if err := db.Create(ctx, users, role("r", "Name")); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				stopped <- n
				return
			default:
				err := db.Transact(ctx, func(ctx context.Context, tx storage.Store) error {
					return errors.Join(tx.Create(ctx, class, object(fmt.Sprint(n, "a"))), tx.Create(ctx, class, object(fmt.Sprint(n, "b"))))
				})
				if err != nil {
					t.Error(err)
				}
			}
		}
	}()
	dir := t.TempDir()
	file := filepath.Join(dir, "copy.db")
	for range 5 {
		if err := db.BackupOver(ctx, file); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	written := 2 * <-stopped
	if n := countIn(t, file); n%2 != 0 || n > written {
		t.Errorf("the copy has %d objects of %d, want pairs", n, written)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode of the copy = %v, %v, want 0600", info.Mode(), err)
	}
	before := countIn(t, file)
	if err := db.Backup(ctx, file); !errors.Is(err, fs.ErrExist) || storage.KindOf(err) != storage.Unavailable {
		t.Errorf("Backup over a file = %v, want that it exists", err)
	}
	if n := countIn(t, file); n != before {
		t.Errorf("the refused Backup changed the file: %d objects, want %d", n, before)
	}
	if err := db.Backup(ctx, filepath.Join(dir, "missing", "copy.db")); storage.KindOf(err) != storage.Unavailable {
		t.Errorf("Backup into no directory = %v, want Unavailable", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := db.Backup(cancelled, filepath.Join(dir, "other.db")); !errors.Is(err, context.Canceled) {
		t.Errorf("Backup with an ended context = %v", err)
	}
	if got := names(t, dir); got != "copy.db" {
		t.Errorf("files = %q, want copy.db", got)
	}
}

func TestRestore(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	backup, file := filepath.Join(dir, "backup.db"), filepath.Join(dir, "parley.db")
	filled(t, backup, 3)
	if err := Restore(ctx, backup, file); err != nil {
		t.Fatalf("Restore to a new file = %v", err)
	}
	if n := countIn(t, file); n != 3 {
		t.Errorf("restored %d objects, want 3", n)
	}
	db, err := Open(ctx, Config{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Create(ctx, gameScore(), object("later")); err != nil {
		t.Fatal(err)
	}
	if err := Restore(ctx, backup, file); storage.KindOf(err) != storage.Unavailable || !strings.Contains(err.Error(), "in use") {
		t.Errorf("Restore over an open database = %v, want Unavailable that says so", err)
	}
	if n := len(find(t, db, gameScore(), all())); n != 4 {
		t.Errorf("after the refused Restore: %d objects, want 4", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Restore(ctx, backup, file); err != nil {
		t.Fatalf("Restore = %v", err)
	}
	if n := countIn(t, file); n != 3 {
		t.Errorf("restored %d objects, want 3", n)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode of the restored file = %v, %v, want 0600", info.Mode(), err)
	}
	if got := names(t, dir); got != "backup.db parley.db" {
		t.Errorf("files = %q, want backup.db parley.db", got)
	}
}

func TestRestoreRefuses(t *testing.T) {
	ctx := context.Background()
	for name, spoil := range map[string]func(t *testing.T, file string){
		"damaged": damage,
		"no database": func(t *testing.T, file string) {
			if err := os.WriteFile(file, []byte(strings.Repeat("text ", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"empty": func(t *testing.T, file string) {
			if err := os.Truncate(file, 0); err != nil {
				t.Fatal(err)
			}
		},
		"newer": func(t *testing.T, file string) { closeConn(t, raw(t, file, "PRAGMA user_version=99")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			backup, file := filepath.Join(dir, "backup.db"), filepath.Join(dir, "parley.db")
			filled(t, backup, 40)
			filled(t, file, 1)
			spoil(t, backup)
			if err := Restore(ctx, backup, file); storage.KindOf(err) != storage.Corrupt {
				t.Errorf("Restore = %v, want Corrupt", err)
			}
			if n := countIn(t, file); n != 1 {
				t.Errorf("after the refused Restore: %d objects, want 1", n)
			}
			if got := names(t, dir); got != "backup.db parley.db" {
				t.Errorf("files = %q, want backup.db parley.db", got)
			}
		})
	}
	if err := Restore(ctx, filepath.Join(t.TempDir(), "missing"), "x"); storage.KindOf(err) != storage.Unavailable || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Restore of no file = %v, want Unavailable", err)
	}
}

// TestRestoreOverDamage: the damaged file is kept beside the restored one, and its log is not taken for that of the restored.
func TestRestoreOverDamage(t *testing.T) {
	dir := t.TempDir()
	backup, file := filepath.Join(dir, "backup.db"), filepath.Join(dir, "parley.db")
	filled(t, backup, 3)
	for name, content := range map[string]string{file: "no database at all, but long enough to look at", file + "-wal": "a log"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Restore(context.Background(), backup, file); err != nil {
		t.Fatal(err)
	}
	if n := countIn(t, file); n != 3 {
		t.Errorf("restored %d objects, want 3", n)
	}
	got := names(t, dir)
	if !strings.Contains(got, "parley.db.damaged-") || strings.Contains(got, "parley.db-wal") {
		t.Errorf("files = %q, want the damaged one put aside", got)
	}
}
