package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// Config says which file and how. Only Path is required.
type Config struct {
	// Path of the file, which is made when it does not exist (mode 0600), or Memory.
	Path string
	// Readers is how many queries run at once; 0 stands for the number of cores, at least 4.
	Readers int
	// BusyTimeout is how long to wait for the lock of another process; 0 stands for 5 seconds.
	BusyTimeout time.Duration
	// MaxGroup bounds the writes that share a transaction; 0 stands for 512.
	MaxGroup int
	// MaxSize bounds the file, in bytes; a write beyond it fails as on a full disk. 0 for no bound.
	MaxSize int64
	// Logger gets what no caller is told; nil discards it.
	Logger *slog.Logger
	// Committed, if set, is called by the writer after each transaction with the number of writes that it held.
	Committed func(writes int)
}

// Memory is the path of a database that ends with its Close. It is a private file in the directory for temporary
// files, without any fsync, so that reads and writes are as parallel as on any other.
const Memory = ":memory:"

// What marks a file as ours. A newer format has a higher version.
const (
	applicationID = 0x5061726c // "Parl"
	formatVersion = 1
)

// DB is an open database: a [storage.Adapter], [storage.Explainer] and [storage.Backuper].
type DB struct {
	cfg     Config
	log     *slog.Logger
	file    string
	scratch string // directory to be removed on Close, for Memory
	writer  *writer
	readers *pool

	aliases atomic.Pointer[map[[2]string]string]
	layouts sync.Map // class name -> *sqlgen.Layout
	// seen are the classes as this process last read or wrote them; see SaveClass.
	seen   map[string]*schema.Class
	seenMu sync.Mutex
	closed atomic.Bool
}

// Open opens a database, and makes it when there is none. Errors are *[storage.Error]: Unavailable for a file that
// cannot be read, written or locked, Corrupt for one that is damaged, not of Parley, or of a newer version.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	db := &DB{cfg: withDefaults(cfg), file: cfg.Path, seen: map[string]*schema.Class{}}
	db.log = db.cfg.Logger
	db.aliases.Store(&map[[2]string]string{})
	if err := db.open(ctx); err != nil {
		return nil, wrap("Open", "", errors.Join(err, db.removeScratch()))
	}
	return db, nil
}

func withDefaults(cfg Config) Config {
	if cfg.Readers <= 0 {
		cfg.Readers = max(4, runtime.GOMAXPROCS(0))
	}
	if cfg.BusyTimeout <= 0 {
		cfg.BusyTimeout = 5 * time.Second
	}
	if cfg.MaxGroup <= 0 {
		cfg.MaxGroup = 512
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

func (db *DB) open(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if db.file == Memory {
		dir, err := os.MkdirTemp("", "parley-memory-")
		if err != nil {
			return unavailable("no directory for temporary files", err)
		}
		db.scratch, db.file = dir, filepath.Join(dir, "memory.db")
	}
	if err := makeFile(db.file); err != nil {
		return err
	}
	c, err := db.connect(false)
	if err != nil {
		return err
	}
	if err := db.prepareFile(c); err != nil {
		return errors.Join(err, c.close())
	}
	if err := db.loadAliases(c); err != nil {
		return errors.Join(err, c.close())
	}
	db.readers = newPool(db.cfg.Readers, func() (*conn, error) { return db.connect(true) })
	first, err := db.readers.get(ctx)
	if err != nil {
		return errors.Join(err, c.close())
	}
	db.readers.put(first)
	db.writer = newWriter(c, db.cfg.MaxGroup, db.cfg.Committed, db.log)
	return nil
}

// makeFile creates the file, so that nobody else may read it: SQLite gives its other files the same mode.
func makeFile(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		if info, err := os.Stat(file); err == nil && info.IsDir() {
			return unavailable(fmt.Sprintf("%s is a directory", file), nil)
		}
		return nil
	case err != nil:
		return unavailable("the database file cannot be made", err)
	}
	return f.Close()
}

func unavailable(text string, err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", text, err)
	} else {
		err = errors.New(text)
	}
	return &storage.Error{Kind: storage.Unavailable, Op: "sqlite.Open", Err: err}
}

// connect opens one connection.
func (db *DB) connect(readOnly bool) (*conn, error) {
	return connect(db.file, db.pragmas(readOnly)...)
}

func connect(file string, pragmas ...string) (*conn, error) {
	flags := sqlite.OpenReadWrite | sqlite.OpenPrivateCache
	sql, err := sqlite.OpenConn(file, flags)
	if err != nil {
		return nil, err
	}
	c := &conn{sql: sql, stmts: map[string]*sqlite.Stmt{}}
	c.rearm()
	if err := c.register(); err != nil {
		return nil, errors.Join(err, c.close())
	}
	sql.SetBusyTimeout(5 * time.Second)
	if err := c.script(pragmas...); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// pragmas are the settings of a connection. A reader shares the page cache of the system through the memory map and needs
// little of its own; foreign keys, triggers and views are not used.
func (db *DB) pragmas(readOnly bool) []string {
	list := []string{
		"PRAGMA busy_timeout=" + strconv.FormatInt(db.cfg.BusyTimeout.Milliseconds(), 10),
		"PRAGMA mmap_size=1073741824",
		"PRAGMA temp_store=MEMORY",
		"PRAGMA trusted_schema=ON", // the unique indexes without case call parley_fold
	}
	if readOnly {
		return append(list, "PRAGMA cache_size=-2000", "PRAGMA query_only=ON")
	}
	list = append(list, "PRAGMA cache_size=-16000", "PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=4000", "PRAGMA journal_size_limit=67108864")
	if db.scratch != "" {
		return append(list, "PRAGMA synchronous=OFF")
	}
	return append(list, "PRAGMA synchronous=FULL")
}

// prepareFile checks that the file is ours and makes the tables of a new one.
func (db *DB) prepareFile(c *conn) error {
	if db.cfg.MaxSize > 0 {
		rows, err := c.query("PRAGMA page_size")
		if err != nil {
			return err
		}
		size, err := strconv.ParseInt(rows[0][0], 10, 64)
		if err != nil {
			return err
		}
		if err := c.script("PRAGMA max_page_count=" + strconv.FormatInt(max(1, db.cfg.MaxSize/size), 10)); err != nil {
			return err
		}
	}
	isNew, err := checkFormat(c, "main")
	if err != nil || !isNew {
		return err
	}
	if err := c.script("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	// Another process may have been faster.
	if isNew, err = checkFormat(c, "main"); err == nil && isNew {
		err = c.script(
			"PRAGMA application_id="+strconv.Itoa(applicationID),
			"PRAGMA user_version="+strconv.Itoa(formatVersion),
			`CREATE TABLE "_SCHEMA" ("className" TEXT NOT NULL PRIMARY KEY, "schema" TEXT NOT NULL) STRICT`,
			`CREATE TABLE "_ALIAS" ("class" TEXT NOT NULL, "field" TEXT NOT NULL, "name" TEXT NOT NULL, PRIMARY KEY ("class", "field")) STRICT`,
		)
	}
	if err != nil {
		return errors.Join(err, c.script("ROLLBACK"))
	}
	return c.script("COMMIT")
}

// checkFormat tells whether the file is empty. A file of something else or of a newer version is an error.
func checkFormat(c *conn, database string) (isNew bool, err error) {
	var numbers [3]int64
	for i, text := range []string{"PRAGMA " + database + ".application_id", "PRAGMA " + database + ".user_version", "SELECT count(*) FROM " + database + ".sqlite_schema"} {
		rows, err := c.query(text)
		if err != nil {
			return false, err
		}
		if numbers[i], err = strconv.ParseInt(rows[0][0], 10, 64); err != nil {
			return false, err
		}
	}
	id, version, tables := numbers[0], numbers[1], numbers[2]
	switch {
	case id == 0 && version == 0 && tables == 0:
		return true, nil
	case id != applicationID:
		return false, corrupt("the file is an SQLite database, but not one of Parley")
	case version > formatVersion:
		return false, corrupt(fmt.Sprintf("the file was written by a newer version of Parley (format %d, this version knows %d)", version, formatVersion))
	}
	return false, nil
}

func corrupt(text string) error {
	return &storage.Error{Kind: storage.Corrupt, Op: "sqlite.Open", Err: errors.New(text)}
}

// layout returns where a class is stored.
func (db *DB) layout(class *schema.Class) *sqlgen.Layout {
	if known, ok := db.layouts.Load(class.Name); ok {
		if l := known.(*sqlgen.Layout); l.Class == class {
			return l
		}
	}
	l := sqlgen.NewLayout(sqlgen.SQLite{Aliases: *db.aliases.Load()}, class)
	db.layouts.Store(class.Name, l)
	return l
}

// Capabilities tells what SQLite can do.
func (db *DB) Capabilities() storage.Capabilities {
	return storage.Capabilities{Name: "sqlite", Durable: db.scratch == "", Transactions: true, Shared: db.scratch == ""}
}

// Ping reads from the file.
func (db *DB) Ping(ctx context.Context) error {
	return wrap("Ping", "", db.read(ctx, func(c *conn) error { return c.exec(`SELECT 1 FROM "_SCHEMA" LIMIT 1`) }))
}

// Close waits for the writes that wait and for the reads that run, and closes the file.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	err := errors.Join(db.readers.close(), db.writer.close())
	return wrap("Close", "", errors.Join(err, db.removeScratch()))
}

func (db *DB) removeScratch() error {
	if db.scratch == "" {
		return nil
	}
	return os.RemoveAll(db.scratch)
}
