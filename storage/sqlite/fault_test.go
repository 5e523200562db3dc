package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/storage"
)

// raw opens a file as another program would, and ends with the test.
func raw(t *testing.T, file string, statements ...string) *conn {
	t.Helper()
	c, err := connect(file, statements...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !c.closed() {
			if err := c.close(); err != nil {
				t.Error(err)
			}
		}
	})
	return c
}

func (c *conn) closed() bool { return c.stmts == nil }

func closeConn(t *testing.T, c *conn) {
	t.Helper()
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	db := open(t, Config{MaxSize: 400 << 10})
	class := save(t, db, gameScore())
	ctx := context.Background()
	big := strings.Repeat("x", 10000)
	stored := 0
	var err error
	for stored < 1000 {
		if err = db.Create(ctx, class, object(fmt.Sprint(stored), "player", big)); err != nil {
			break
		}
		stored++
	}
	if storage.KindOf(err) != storage.Unavailable || !strings.Contains(err.Error(), "the disk is full") {
		t.Fatalf("Create on a full disk = %v, want Unavailable that says so", err)
	}
	if n, err := db.Count(ctx, class, nil); n != int64(stored) || err != nil || stored == 0 {
		t.Errorf("Count = %d, %v, want %d", n, err, stored)
	}
	// In a group, what still fits is stored, and what does not is told so.
	release := hold(t, db)
	results := make(chan error, 2)
	for i, player := range []string{big + big, "small"} {
		go func() { results <- db.Create(ctx, class, object("group"+player[:1], "player", player)) }()
		waitQueued(db, i+1)
	}
	release()
	var kinds [2]int
	for range 2 {
		if err := <-results; err == nil {
			kinds[0]++
		} else if storage.KindOf(err) == storage.Unavailable {
			kinds[1]++
		}
	}
	if kinds != [2]int{1, 1} {
		t.Errorf("stored and refused = %v, want one each", kinds)
	}
	// Room is made, and writing goes on.
	if n, err := db.Delete(ctx, class, nil, stored/2); n != int64(stored/2) || err != nil {
		t.Fatalf("Delete = %d, %v, want %d", n, err, stored/2)
	}
	if err := db.Create(ctx, class, object("again", "player", big)); err != nil {
		t.Errorf("Create after room was made = %v", err)
	}
}

func TestLockedByAnotherProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "parley.db")
	db := open(t, Config{Path: file, BusyTimeout: 10 * time.Millisecond})
	class := save(t, db, gameScore())
	ctx := context.Background()
	other := raw(t, file, "BEGIN IMMEDIATE")
	err := db.Create(ctx, class, object("a"))
	if storage.KindOf(err) != storage.Unavailable || !strings.Contains(err.Error(), "locked by another process") {
		t.Errorf("Create = %v, want Unavailable that says so", err)
	}
	if n, err := db.Count(ctx, class, nil); n != 0 || err != nil {
		t.Errorf("Count while another writes = %d, %v, want 0", n, err)
	}
	// Those who wait behind each other wait for the lock once, together.
	release := hold(t, db)
	results := make(chan error)
	for i := range 20 {
		go func() { results <- db.Create(ctx, class, object(fmt.Sprint(i))) }()
	}
	waitQueued(db, 20)
	release()
	for range 20 {
		if err := <-results; storage.KindOf(err) != storage.Unavailable {
			t.Errorf("Create in a group = %v, want Unavailable", err)
		}
	}
	if err := other.script("COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := db.Create(ctx, class, object("a")); err != nil {
		t.Errorf("Create after the lock is gone = %v", err)
	}
	closeConn(t, other)
}

// TestTwoProcesses: two adapters on one file see each other's objects, fields and classes.
func TestTwoProcesses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "parley.db")
	a, b := open(t, Config{Path: file}), open(t, Config{Path: file})
	ctx := context.Background()
	class := save(t, a, gameScore())
	if err := a.Create(ctx, class, object("1", "score", 1.0)); err != nil {
		t.Fatal(err)
	}
	if got := find(t, b, class, all()); len(got) != 1 || got[0].Get("score") != 1.0 {
		t.Fatalf("the other process finds %v", got)
	}
	// b adds a field that a does not know, a one that b does not know: the result is the union.
	if _, err := b.Classes(ctx); err != nil {
		t.Fatal(err)
	}
	fromA, fromB := gameScore(), gameScore()
	fromA.Fields["a"] = class.Fields["score"]
	fromB.Fields["b"] = class.Fields["player"]
	save(t, b, fromB)
	save(t, a, fromA)
	classes, err := b.Classes(ctx)
	if err != nil || len(classes) != 1 || classes[0].Fields["a"] != fromA.Fields["a"] || classes[0].Fields["b"] != fromB.Fields["b"] {
		t.Fatalf("Classes = %v, %v, want one with both fields", classes, err)
	}
	if err := a.Create(ctx, fromA, object("2", "a", 2.0)); err != nil {
		t.Fatal(err)
	}
	if err := b.Create(ctx, classes[0], object("3", "a", 3.0, "b", "three")); err != nil {
		t.Fatal(err)
	}
	// b drops a field; a still asks with the class that has it.
	if _, err := b.Classes(ctx); err != nil {
		t.Fatal(err)
	}
	save(t, b, fromB)
	got := find(t, a, fromA, &query.Find{Where: &query.Constraint{Key: "a", Op: query.Ne, Arg: 2.0}, Order: []query.Order{{Key: "a"}}, Limit: -1})
	if len(got) != 3 || got[1].Has("a") {
		t.Errorf("Find with a dropped field = %v, want three objects without it", got)
	}
	if n, err := a.Count(ctx, fromA, &query.Constraint{Key: "a", Op: query.Eq, Arg: 2.0}); n != 0 || err != nil {
		t.Errorf("Count with a dropped field = %d, %v, want 0", n, err)
	}
	if err := b.DropClass(ctx, class.Name); err != nil {
		t.Fatal(err)
	}
	if got := find(t, a, fromA, all()); len(got) != 0 {
		t.Errorf("Find in a dropped class = %v, want none", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	write := func(content string) func(t *testing.T, file string) {
		return func(t *testing.T, file string) {
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	database := func(statements ...string) func(t *testing.T, file string) {
		return func(t *testing.T, file string) {
			db, err := Open(context.Background(), Config{Path: file})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			closeConn(t, raw(t, file, statements...))
		}
	}
	for _, test := range []struct {
		name string
		make func(t *testing.T, file string)
		kind storage.Kind
		text string
	}{
		{"text", write(strings.Repeat("this is no database ", 100)), storage.Corrupt, "not an SQLite database"},
		{"newer", database("PRAGMA user_version=2"), storage.Corrupt, "written by a newer version of Parley (format 2, this version knows 1)"},
		{"foreign", database("PRAGMA application_id=7"), storage.Corrupt, "not one of Parley"},
		{"directory", func(t *testing.T, file string) {
			if err := os.Mkdir(file, 0o700); err != nil {
				t.Fatal(err)
			}
		}, storage.Unavailable, "is a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "parley.db")
			test.make(t, file)
			before, _ := os.ReadFile(file)
			db, err := Open(context.Background(), Config{Path: file})
			if err == nil {
				t.Fatal(errors.Join(errors.New("Open succeeded"), db.Close()))
			}
			if storage.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.text) {
				t.Errorf("Open = %v, want %v with %q", err, test.kind, test.text)
			}
			if after, _ := os.ReadFile(file); !bytes.Equal(before, after) && test.name != "newer" && test.name != "foreign" {
				t.Error("Open changed a file that it refused")
			}
		})
	}
	for name, path := range map[string]string{"no directory": "/nowhere/at/all/parley.db", "not writable": "/proc/parley.db"} {
		if _, err := Open(context.Background(), Config{Path: path}); storage.KindOf(err) != storage.Unavailable || !strings.Contains(err.Error(), "cannot be made") {
			t.Errorf("%s: Open = %v, want Unavailable that says so", name, err)
		}
	}
}

// damage overwrites the middle of a closed database.
func damage(t *testing.T, file string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	// From the third page on, but for the last: what is left has the right size and a good header.
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xA5}, int(info.Size())-3*4096), 2*4096); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// filled makes a closed database with some objects.
func filled(t *testing.T, file string, objects int) {
	t.Helper()
	db, err := Open(context.Background(), Config{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	class := save(t, db, gameScore())
	for i := range objects {
		if err := db.Create(context.Background(), class, object(fmt.Sprint(i), "player", strings.Repeat("x", 2000))); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "parley.db")
	filled(t, file, 50)
	damage(t, file)
	db, err := Open(context.Background(), Config{Path: file})
	if err != nil {
		if storage.KindOf(err) != storage.Corrupt {
			t.Errorf("Open = %v, want Corrupt", err)
		}
		return
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	var got error
	for _, err := range db.Find(context.Background(), gameScore(), all()) {
		got = err
	}
	if storage.KindOf(got) != storage.Corrupt || !strings.Contains(got.Error(), "damaged") {
		t.Errorf("Find = %v, want Corrupt that says so", got)
	}
}

func TestFileIsPrivate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "parley.db")
	db := open(t, Config{Path: file})
	class := save(t, db, gameScore())
	if err := db.Create(context.Background(), class, object("a")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, file + "-wal", file + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("mode of %s = %v, want %v", filepath.Base(name), info.Mode(), fs.FileMode(0o600))
		}
	}
}

func TestMemoryLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	db, err := Open(context.Background(), Config{Path: Memory})
	if err != nil {
		t.Fatal(err)
	}
	if c := db.Capabilities(); c.Durable || c.Shared {
		t.Errorf("Capabilities = %+v, want neither durable nor shared", c)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestErrorsHaveAKind: each result of SQLite that a user can cause has a kind and a text of our own.
func TestErrorsHaveAKind(t *testing.T) {
	for code := range meanings {
		err := wrap("Test", "C", code.ToError())
		var e *storage.Error
		if !errors.As(err, &e) || e.Op != "sqlite.Test" || e.Class != "C" || sqlite.ErrCode(err) != code {
			t.Errorf("wrap(%v) = %#v", code, err)
		}
		if code != sqlite.ResultConstraint && !strings.Contains(err.Error(), meanings[code].text) {
			t.Errorf("wrap(%v) = %v, want %q in it", code, err, meanings[code].text)
		}
	}
	for _, err := range []error{parse.Errorf(parse.InvalidQuery, "no"), &storage.Error{Kind: storage.Transient}} {
		if got := wrap("Test", "", err); !errors.Is(got, err) {
			t.Errorf("wrap(%v) = %v, which hides it", err, got)
		}
	}
}

func TestTooLargeForSQLite(t *testing.T) {
	db := open(t, Config{})
	class := save(t, db, gameScore())
	_, err := db.Count(context.Background(), class, slowNode(40000))
	if storage.KindOf(err) != storage.Unsupported {
		t.Errorf("Count with 40,000 constraints = %v, want Unsupported", err)
	}
	// A list is one argument, however long.
	list := make([]any, 100000)
	for i := range list {
		list[i] = fmt.Sprint(i)
	}
	if n, err := db.Count(context.Background(), class, &query.Constraint{Key: "player", Op: query.In, Arg: list}); n != 0 || err != nil {
		t.Errorf("Count with a list of 100,000 = %d, %v, want 0", n, err)
	}
}
