package config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/credential"
	presenter "github.com/parley-backend/parley/credential/presenter/postgres"
	"github.com/parley-backend/parley/credential/source"
	"github.com/parley-backend/parley/internal/migrate"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/memory"
	"github.com/parley-backend/parley/storage/postgres"
	"github.com/parley-backend/parley/storage/sqlite"
)

// database is what databaseURI and databaseCredentials say.
type database struct {
	path  string             // of the SQLite file, sqlite.Memory, or memoryStore
	uri   string             // of PostgreSQL, "" for none
	login *credential.Config // of PostgreSQL; nil for what the URI says
	// options are what databaseOptions say of PostgreSQL.
	options  postgres.Config
	replicas []replica
}

const memoryStore = "memory:"

// uriSchemes are those of databases: with them, databaseURI is no reference.
var uriSchemes = []string{"sqlite", "memory", "postgres", "postgresql", "mongodb", "mongodb+srv"}

// database reads both options. The registry opens their references.
func (v *Values) database(registry credential.Registry) (database, error) {
	d, err := v.place(registry)
	if err != nil {
		return d, Problem{"databaseURI", err.Error()}
	}
	if d.replicas, err = v.replicas(registry); err != nil {
		return d, err
	}
	texts := v.Secret("databaseCredentials")
	switch {
	case len(texts) == 0:
		return d, nil
	case d.uri == "" || d.login != nil:
		return d, Problem{"databaseCredentials", "is the login for a databaseURI that begins with postgres://"}
	}
	d.login, err = databaseLogin("databaseCredentials", registry, texts)
	if err != nil {
		return d, Problem{"databaseCredentials", err.Error()}
	}
	return d, nil
}

func databaseLogin(name string, registry credential.Registry, texts []string) (*credential.Config, error) {
	cfg := &credential.Config{Name: name, Kind: credential.API, Present: true, Check: presenter.Check}
	return cfg, registry.ConfigureChain(cfg, texts)
}

// place reads databaseURI.
func (v *Values) place(registry credential.Registry) (database, error) {
	texts := v.Secret("databaseURI")
	if len(texts) == 0 {
		return database{path: filepath.Join(v.String("dataDir"), "parley.db")}, nil
	}
	if len(texts) > 1 || credential.IsReference(texts[0], uriSchemes...) {
		login, err := databaseLogin("databaseURI", registry, texts)
		return database{uri: "postgres:///", login: login}, err
	}
	uri := texts[0]
	scheme, rest, _ := strings.Cut(uri, ":")
	switch {
	case uri == memoryStore, uri == "memory://":
		return database{path: memoryStore}, nil
	case uri == "sqlite::memory:", uri == "sqlite://:memory:":
		return database{path: sqlite.Memory}, nil
	case scheme == "sqlite":
		path := strings.TrimPrefix(rest, "//")
		if path == "" {
			return database{}, errors.New("names no file; write sqlite://PATH")
		}
		return database{path: path}, nil
	case scheme == "postgres" || scheme == "postgresql":
		if _, err := pgx.ParseConfig(uri); err != nil { // its text may quote the password
			return database{}, errors.New("is not understood; write postgres://USER:PASSWORD@HOST:PORT/DATABASE")
		}
		return database{uri: uri}, nil
	case scheme == "mongodb" || scheme == "mongodb+srv":
		return database{}, errors.New("MongoDB is not available in this version; write sqlite://PATH or postgres://…")
	}
	return database{}, errors.New(`is none of "sqlite://PATH", "sqlite::memory:", "memory:" and "postgres://…", nor a reference to the latter`)
}

// StoreIsRemote reports whether the database is a server, which Parley may need a credential for.
func (b *Built) StoreIsRemote() bool { return b.database.uri != "" }

// OpenStore opens the database that databaseURI names, in the data folder by default. One that is remote is opened after OpenKeys, and
// after OpenNATS, where its login may be.
func (b *Built) OpenStore(ctx context.Context, log *slog.Logger) (storage.Adapter, error) {
	switch d := b.database; {
	case d.uri != "":
		cfg, err := b.postgres(ctx, log)
		if err != nil {
			return nil, err
		}
		db, err := postgres.Open(ctx, cfg)
		if err != nil {
			return nil, err // not a nil *DB in an interface
		}
		return db, nil
	case d.path == memoryStore:
		return memory.New(), nil
	case d.path != sqlite.Memory:
		if err := os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
			return nil, fmt.Errorf("the folder of the database cannot be made: %w", err)
		}
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: b.database.path, Logger: log})
	if err != nil {
		return nil, err
	}
	return db, nil
}

// OpenDatabase opens the database that databaseURI and databaseCredentials would name with these texts, for a command that works on more than
// one. A file has to be there unless it is made. The function that is returned closes the database and ends what presents its login.
func OpenDatabase(ctx context.Context, uri, login string, make bool, log *slog.Logger) (db storage.Adapter, name string, end func(), err error) {
	_, b, err := lone(uri, login)
	if err != nil {
		return nil, "", nil, err
	}
	name = b.database.name()
	if path := b.database.path; path == memoryStore || path == sqlite.Memory {
		return nil, "", nil, Problem{"databaseURI", "is a database in memory, which ends with this command"}
	} else if path != "" && !make {
		if _, err := os.Stat(path); err != nil { // opening would make an empty one
			return nil, "", nil, fmt.Errorf("there is no database at %s", path)
		}
	}
	if db, err = b.OpenStore(ctx, log); err != nil {
		b.Close()
		return nil, "", nil, err
	}
	end = func() {
		_ = db.Close()
		b.Close()
	}
	if identified, ok := db.(storage.Identified); ok {
		identity, err := identified.Identity(ctx)
		if err != nil {
			end()
			return nil, "", nil, err
		}
		name = cmp.Or(identity, name)
	}
	return db, name, end, nil
}

// CheckDatabase looks at the database that databaseURI and databaseCredentials would name with these texts: what of it would not carry over into Parley,
// or from SQLite into PostgreSQL. A database of PostgreSQL is not changed.
func CheckDatabase(ctx context.Context, uri, login string, log *slog.Logger) ([]storage.Finding, error) {
	values, b, err := lone(uri, login)
	if err != nil {
		return nil, err
	}
	if !values.wantsPostgres() {
		db, _, end, err := OpenDatabase(ctx, uri, login, false, log)
		if err != nil {
			return nil, err
		}
		defer end()
		return migrate.Check(ctx, db, (*postgres.DB)(nil).Capabilities())
	}
	defer b.Close()
	cfg, err := b.postgres(ctx, log)
	if err != nil {
		return nil, err
	}
	return postgres.Inspect(ctx, cfg)
}

// lone reads two options as if there were no others.
func lone(uri, login string) (*Values, *Built, error) {
	flags := map[string]string{"databaseURI": uri}
	if login != "" {
		flags["databaseCredentials"] = login
	}
	values, err := Read(Input{Flags: flags})
	if err != nil {
		return nil, nil, err
	}
	b := &Built{nats: &natsLink{}}
	b.database, err = values.database(source.All())
	return values, b, err
}

// name tells which database it is, without user and password.
func (d database) name() string {
	if d.uri == "" {
		path, err := filepath.Abs(d.path)
		if err != nil {
			path = d.path
		}
		return "sqlite://" + path
	}
	parsed, err := pgx.ParseConfig(d.uri)
	if err != nil || d.uri == "postgres:///" {
		return "postgres"
	}
	return fmt.Sprintf("postgres://%s:%d/%s", parsed.Host, parsed.Port, parsed.Database)
}

// lookAtStore tells whether the database can be opened, if there is one, and leaves no trace.
func (b *Built) lookAtStore(ctx context.Context) error {
	d := b.database
	switch {
	case d.uri != "":
		return b.lookAtPostgres(ctx)
	case d.path == memoryStore || d.path == sqlite.Memory:
		return nil
	}
	if _, err := os.Stat(d.path); err != nil {
		return nil // it will be made
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: d.path})
	if err != nil {
		return Problem{"databaseURI", err.Error()}
	}
	return db.Close()
}

// lookTime is how long a check waits for a database.
const lookTime = 10 * time.Second

func (b *Built) lookAtPostgres(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	cfg, err := b.postgres(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if err := postgres.Look(ctx, cfg); err != nil {
		return Problem{"databaseURI", "the database does not let Parley in: " + err.Error()}
	}
	return nil
}

// postgres returns how the database is opened, and begins to present its login.
func (b *Built) postgres(ctx context.Context, log *slog.Logger) (postgres.Config, error) {
	d := b.database
	cfg := d.options
	cfg.URI, cfg.Logger = d.uri, log
	if d.login != nil {
		c, err := b.present(ctx, *d.login, log)
		if err != nil {
			return cfg, err
		}
		if cfg.Login, err = presenter.Adjusted(c, cfg.TLS.Apply); err != nil {
			return cfg, Problem{d.login.Name, err.Error()}
		}
	}
	return cfg, b.presentTo(ctx, &cfg, log)
}

// StorePath returns the path of the SQLite file that the options name, for the commands that work on the file.
func (v *Values) StorePath() (string, error) {
	d, err := v.database(source.All())
	switch {
	case err != nil:
		return "", err
	case d.uri != "":
		return "", Problem{"databaseURI", "is a PostgreSQL database: use its own tools, pg_dump and pg_restore"}
	case d.path == memoryStore || d.path == sqlite.Memory:
		return "", Problem{"databaseURI", "is a database in memory, which has no file"}
	}
	return d.path, nil
}

// present makes and starts a credential that is shown to others.
func (b *Built) present(ctx context.Context, cfg credential.Config, log *slog.Logger) (*credential.Credential, error) {
	if b.Config.Presented == nil {
		b.Config.Presented = &credential.Set{}
	}
	cfg.Set, cfg.Observer = b.Config.Presented, credential.Log(log)
	if b.folder != nil {
		b.rememberOne(&cfg)
	}
	c, err := credential.New(cfg)
	if err == nil {
		err = c.Start(ctx)
	}
	if err != nil {
		return nil, Problem{cfg.Name, err.Error()}
	}
	return c, nil
}

// Close stops the credentials that OpenNATS and OpenStore have begun to present. Call it last.
func (b *Built) Close() {
	if b.Config.Presented != nil {
		b.Config.Presented.Stop()
	}
}
