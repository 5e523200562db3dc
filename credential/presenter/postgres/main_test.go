package postgres_test

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/presenter/postgres"
	"github.com/parley-backend/parley/internal/pgtest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "6") // they wait, most of the time
	code := m.Run()
	for _, end := range shared.ends {
		end()
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// shared is one server for all tests that do not stop it.
var shared struct {
	once   sync.Once
	server *pgtest.Server
	ends   []func()
}

// keeper is a test whose clean-up waits for the last test.
type keeper struct{ testing.TB }

func (k keeper) Cleanup(end func()) { shared.ends = append(shared.ends, end) }

func server(t *testing.T) *pgtest.Server {
	t.Helper()
	shared.once.Do(func() { shared.server = pgtest.Start(keeper{t}, pgtest.Options{}) })
	if shared.server == nil {
		t.Skip("there is no PostgreSQL: the first test says why")
	}
	return shared.server
}

// canary is part of every password in these tests; it must be in no error.
const canary = "canary-4f1d"

// bed is a database, and a credential with a login to it.
type bed struct {
	server *pgtest.Server
	source *credentialtest.Source
	*credential.Credential
	login *credential.Presenter[postgres.Login]

	a, b   string // users
	things string // a table of both

	dials, refusals atomic.Int64
}

func password(n string) string { return canary + "-password-" + n }

// group is a version with user and password.
func group(user, password string) credential.Version {
	return credential.Version{ID: user + "/" + password[len(password)-1:], Fields: map[string]credential.Secret{
		"username": credential.NewSecret(user), "password": credential.NewSecret(password),
	}}
}

var beds atomic.Int64

// open makes two roles and a table of its own, and a credential whose source holds the first one's login.
func open(t *testing.T, server *pgtest.Server, cfg credential.Config) *bed {
	t.Helper()
	n := beds.Add(1)
	b := &bed{server: server, a: fmt.Sprintf("parley_test_a%d", n), b: fmt.Sprintf("parley_test_b%d", n), things: fmt.Sprintf("parley_test_things%d", n)}
	b.server.Exec(t, "DROP TABLE IF EXISTS "+b.things, "DROP ROLE IF EXISTS "+b.a, "DROP ROLE IF EXISTS "+b.b,
		"CREATE ROLE "+b.a+" LOGIN PASSWORD '"+password("1")+"'", "CREATE ROLE "+b.b+" LOGIN PASSWORD '"+password("b")+"'",
		"CREATE TABLE "+b.things+" (n int)", "GRANT ALL ON "+b.things+" TO "+b.a, "GRANT ALL ON "+b.things+" TO "+b.b)
	b.source = credentialtest.New(credential.Info{}, "")
	b.source.SetVersions(group(b.a, password("1")))
	cfg.Name, cfg.Source, cfg.Present, cfg.Check = "database", b.source, true, postgres.Check
	var err error
	if b.Credential, err = credential.New(cfg); err != nil {
		t.Fatal(err)
	}
	if b.login, err = postgres.Presenter(b.Credential); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b
}

// config returns a configuration that counts connections and refusals; its login is wrong.
func (b *bed) config(t *testing.T) *pgxpool.Config {
	t.Helper()
	config, err := pgxpool.ParseConfig(b.server.URI("nobody", "nothing", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 8
	config.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { b.dials.Add(1); return nil }
	config.ConnConfig.OnPgError = func(_ *pgconn.PgConn, err *pgconn.PgError) bool {
		if err.Code == "28P01" || err.Code == "28000" {
			b.refusals.Add(1)
		}
		return err.SeverityUnlocalized != "FATAL"
	}
	return config
}

func (b *bed) pool(t *testing.T, config *pgxpool.Config, o postgres.Options) *postgres.Pool {
	t.Helper()
	pool, err := postgres.NewPool(t.Context(), config, b.login, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// load runs queries on n goroutines until the returned function is called, which returns how many there were. Each that
// fails is an error of the test.
func load(t *testing.T, n int, query func(context.Context) error) (stop func() int64) {
	t.Helper()
	var done atomic.Bool
	var count, failed atomic.Int64
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			for !done.Load() {
				count.Add(1)
				if err := query(t.Context()); err != nil && failed.Add(1) <= 3 {
					t.Errorf("a query failed: %v", err)
				}
			}
		})
	}
	return func() int64 {
		done.Store(true)
		group.Wait()
		if failed.Load() > 0 {
			t.Errorf("%d of %d queries failed, want 0", failed.Load(), count.Load())
		}
		return count.Load()
	}
}

// until waits for a condition; what it waits for is counted by the database or by the pool.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// sessions counts the connections of a user that the server sees.
func (b *bed) sessions(t *testing.T, user string) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.server.URI("", "", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", user).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (b *bed) count(pool *postgres.Pool) func(context.Context) error {
	return func(ctx context.Context) error {
		var n int
		return pool.QueryRow(ctx, "SELECT count(*) FROM "+b.things).Scan(&n)
	}
}

func clean(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("no error")
	} else if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), url.QueryEscape(canary)) {
		t.Error("the error holds the password")
	}
}
