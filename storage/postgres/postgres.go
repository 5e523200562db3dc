package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-backend/parley/credential"
	presenter "github.com/parley-backend/parley/credential/presenter/postgres"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// Config says which database and how. Only URI is required.
type Config struct {
	// URI of the database: postgres://user:password@host:port/database?option=value, with the options of package pgxpool (sslmode,
	// pool_max_conns, …) and those of Parse Server that have one of the same meaning (ssl, max, min, …).
	URI string
	// Login, if set, replaces user and password of the URI by a login that rotates; Rotation are its options.
	Login    *credential.Presenter[presenter.Login]
	Rotation presenter.Options
	// MaxConns is how many connections there are at most; 0 stands for what the URI says, or four for each core, at least 10.
	MaxConns int
	// MinConns are kept open even when nobody needs them.
	MinConns int
	// IdleTime and LifeTime are after what time a connection is closed that is not used, or at all; 0 stands for what the URI says, or
	// half an hour and an hour.
	IdleTime, LifeTime time.Duration
	// ConnectTimeout is how long making a connection may take; 0 stands for what the URI says, or 2 minutes.
	ConnectTimeout time.Duration
	// StatementTimeout ends a statement that takes longer; 0 for none.
	StatementTimeout time.Duration
	// Settings are parameters of the server for each connection, as lock_timeout or application_name.
	Settings map[string]string
	// TLS of the connections.
	TLS TLS
	// SlowQuery is how long a statement may take before the log tells of it; 0 for never.
	SlowQuery time.Duration
	// Replicas take reads; see [DB.From].
	Replicas []Replica
	// ReadPreference is that of reads which name none; "" stands for PRIMARY.
	ReadPreference string
	// MaxStaleness is how far a replica may be behind before it is not read from; 0 stands for 30 seconds.
	MaxStaleness time.Duration
	// Measure is how often it is measured how far replicas are behind; 0 stands for each second.
	Measure time.Duration
	// NoIndex are names of indexes of system classes that are not made; of [AuthDataIndexes], those of all providers.
	NoIndex []string
	// AcquireTimeout is how long to wait for a connection; 0 stands for 10 seconds.
	AcquireTimeout time.Duration
	// NoListen leaves [DB.Watch] without a connection, for a pooler between here and the server that does not carry LISTEN.
	NoListen bool
	// LockTimeout is how long a change of a table waits for those who use it; 0 stands for 10 seconds.
	LockTimeout time.Duration
	// replica: it is not to be written to.
	replica bool
	// Logger gets what no caller is told; nil discards it.
	Logger *slog.Logger
}

// DB is an open database: a [storage.Adapter] and [storage.Explainer].
type DB struct {
	cfg     Config
	log     *slog.Logger
	pool    pool
	dialect sqlgen.Postgres
	// single is how a connection is made that is not of the pool.
	single *pgx.ConnConfig
	// sender is how this process is called in what it tells other nodes.
	sender string
	// long admits reads that keep their connection while objects are handed out.
	long chan struct{}

	layouts   sync.Map // class name -> *sqlgen.Layout
	providers sync.Map // authentication providers whose ids are known to have an index
	// seen are the classes as this process last read or wrote them; see SaveClass.
	seen   map[string]*schema.Class
	seenMu sync.Mutex
	closed atomic.Bool

	replicas *replicas // nil for none
}

// pool is what *pgxpool.Pool and *presenter.Pool have in common.
type pool interface {
	Acquire(ctx context.Context) (*pgxpool.Conn, error)
	Stat() *pgxpool.Stat
	Close()
	Reset()
}

// Open connects to a database and makes the table _SCHEMA when there is none. To tables that Parse Server made it adds what they lack. Errors are *[storage.Error]: Unavailable for a database
// that does not answer or refuses the login, Unsupported for one that is too old or has another encoding than UTF-8.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	db := &DB{cfg: withDefaults(cfg), seen: map[string]*schema.Class{}, sender: "parley-" + rand.Text()}
	db.log = db.cfg.Logger
	config, err := configure(db.cfg)
	if err != nil {
		return nil, &storage.Error{Kind: storage.Unsupported, Op: "postgres.Open", Err: err}
	}
	db.single = config.ConnConfig.Copy()
	db.single.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler { // a wait that is given up needs no word to the server
		return &pgconn.DeadlineContextWatcherHandler{Conn: conn.Conn()}
	}
	db.long = make(chan struct{}, max(1, int(config.MaxConns)/2))
	if cfg.Login != nil {
		db.pool, err = presenter.NewPool(ctx, config, cfg.Login, cfg.Rotation)
	} else {
		db.pool, err = pgxpool.NewWithConfig(ctx, config)
	}
	if err != nil {
		return nil, wrap("Open", "", err)
	}
	if err := db.outside(ctx, db.prepare); err != nil {
		db.pool.Close()
		return nil, wrap("Open", "", err)
	}
	if db.replicas, err = db.openReplicas(ctx); err != nil {
		db.pool.Close()
		return nil, err
	}
	return db, nil
}

// Look connects to a database and leaves it as it is: whether Open would be let in. Its errors are for an operator; they may name the user and
// the host.
func Look(ctx context.Context, cfg Config) error {
	config, err := configure(withDefaults(cfg))
	if err != nil {
		return err
	}
	conn, err := dial(ctx, config.ConnConfig, cfg.Login)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// dial opens one connection.
func dial(ctx context.Context, config *pgx.ConnConfig, login *credential.Presenter[presenter.Login]) (*pgx.Conn, error) {
	if login != nil {
		return presenter.Connect(ctx, config, login)
	}
	return pgx.ConnectConfig(ctx, config)
}

func withDefaults(cfg Config) Config {
	if cfg.AcquireTimeout <= 0 {
		cfg.AcquireTimeout = 10 * time.Second
	}
	if cfg.MaxStaleness <= 0 {
		cfg.MaxStaleness = 30 * time.Second
	}
	if cfg.Measure <= 0 {
		cfg.Measure = time.Second
	}
	if cfg.LockTimeout <= 0 {
		cfg.LockTimeout = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

// oldest is the least version of PostgreSQL, as server_version_num.
const oldest = 130000

// prepare looks at the database and makes _SCHEMA.
func (db *DB) prepare(ctx context.Context, s *session) error {
	var version int
	var encoding, name string
	var icu bool
	err := s.row(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), COALESCE(current_schema(), ''),
		EXISTS (SELECT 1 FROM pg_catalog.pg_collation WHERE collname = 'und-x-icu')`, nil, &version, &encoding, &name, &icu)
	switch {
	case err != nil:
		return err
	case version < oldest:
		return unsupported(fmt.Sprintf("PostgreSQL %d.%d is too old, version 13 is needed", version/10000, version%10000))
	case encoding != "UTF8":
		return unsupported("the encoding of the database is " + encoding + ", UTF8 is needed")
	case name == "":
		return unsupported("the database has no schema that this role may use: look at its search_path")
	}
	db.dialect = sqlgen.Postgres{Schema: name}
	if icu {
		db.dialect.FoldCollation = `pg_catalog."und-x-icu"`
	}
	table := db.dialect.Table("_SCHEMA")
	var there bool
	if err := s.row(ctx, "SELECT to_regclass($1) IS NOT NULL", []any{table}, &there); err != nil {
		return err
	}
	if there {
		return db.adopt(ctx, s)
	}
	return s.atomically(ctx, func() error {
		if err := db.lockTables(ctx, s); err != nil {
			return err
		}
		return s.script(ctx, "CREATE TABLE IF NOT EXISTS "+table+` ("className" varchar(120), "schema" jsonb, "isParseClass" boolean, PRIMARY KEY ("className"))`)
	})
}

func unsupported(text string) error {
	return &storage.Error{Kind: storage.Unsupported, Op: "postgres.Open", Err: errors.New(text)}
}

// layout returns where a class is stored.
func (db *DB) layout(class *schema.Class) *sqlgen.Layout {
	if known, ok := db.layouts.Load(class.Name); ok {
		if l := known.(*sqlgen.Layout); l.Class == class {
			return l
		}
	}
	l := sqlgen.NewLayout(db.dialect, class)
	db.layouts.Store(class.Name, l)
	return l
}

// Capabilities tells what PostgreSQL can do.
func (db *DB) Capabilities() storage.Capabilities {
	return storage.Capabilities{Name: "postgres", Durable: true, Transactions: true, Shared: true, NoNUL: true, NoNull: true, OldestDate: sqlgen.OldestPostgresDate}
}

// Ping asks the database for _SCHEMA.
func (db *DB) Ping(ctx context.Context) error {
	err := db.reading(ctx, func(ctx context.Context, s *session) error {
		return s.script(ctx, "SELECT 1 FROM "+db.dialect.Table("_SCHEMA")+" LIMIT 1")
	})
	return wrap("Ping", "", err)
}

// Close waits for what runs and closes all connections.
func (db *DB) Close() error {
	if !db.closed.Swap(true) {
		db.replicas.close()
		db.pool.Close()
	}
	return nil
}
