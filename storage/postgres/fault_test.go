package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/internal/pgtest"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// durable are the settings of a server that keeps what it acknowledged.
var durable = map[string]string{"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}

func thing() *schema.Class {
	c := schema.New("Thing")
	c.Fields["n"] = schema.Field{Type: schema.Number}
	c.Fields["s"] = schema.Field{Type: schema.String}
	return c
}

func save(t *testing.T, db *DB, class *schema.Class) *schema.Class {
	t.Helper()
	if err := db.SaveClass(context.Background(), class); err != nil {
		t.Fatalf("SaveClass(%s) = %v", class.Name, err)
	}
	return class
}

func object(class, id string, fields ...any) *parse.Object {
	return parse.NewObject(class, append([]any{"objectId", id, "createdAt", parse.Date(0), "updatedAt", parse.Date(0)}, fields...)...)
}

func byID(id string) query.Node {
	return &query.Constraint{Key: "objectId", Op: query.Eq, Arg: id}
}

// ids returns the ids of what a query finds.
func ids(t *testing.T, db *DB, class *schema.Class, q *query.Find) []string {
	t.Helper()
	var list []string
	for o, err := range db.Find(context.Background(), class, q) {
		if err != nil {
			t.Fatalf("Find(%s) = %v", query.Print(q.Where), err)
		}
		list = append(list, o.ID())
	}
	return list
}

// kill ends the connections of a database of the tests, but for the one that asks.
func kill(t *testing.T, server *pgtest.Server, name string) {
	t.Helper()
	server.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '"+name+"'")
}

// TestKilledConnections: connections that the server ended while they were idle are noticed by nobody.
func TestKilledConnections(t *testing.T) {
	server := pgtest.Shared(t)
	db := open(t, Config{URI: server.Schema(t) + "&application_name=idle"})
	class := save(t, db, thing())
	ctx := context.Background()
	for i := range 20 {
		id := fmt.Sprint("x", i)
		err := db.Create(ctx, class, object("Thing", id, "n", 1.0))
		for errors.Is(err, storage.Unavailable) { // it was told that nothing is known, so it tries again
			if err = db.Create(ctx, class, object("Thing", id, "n", 1.0)); errors.Is(err, storage.Duplicate) {
				err = nil
			}
		}
		if err != nil {
			t.Fatalf("Create = %v", err)
		}
		kill(t, server, "idle")
		if n, err := db.Count(ctx, class, nil); n != int64(i+1) || err != nil {
			t.Fatalf("Count() after the connections were ended = %d, %v, want %d", n, err, i+1)
		}
		kill(t, server, "idle")
		if err := db.Transact(ctx, func(ctx context.Context, tx storage.Store) error {
			_, err := tx.Count(ctx, class, nil)
			return err
		}); err != nil {
			t.Fatalf("Transact after the connections were ended = %v", err)
		}
	}
}

// TestKilledInTransaction: a transaction whose connection ends is Unavailable, and nothing of it is stored.
func TestKilledInTransaction(t *testing.T) {
	server := pgtest.Shared(t)
	db := open(t, Config{URI: server.Schema(t) + "&application_name=busy"})
	class := save(t, db, thing())
	err := db.Transact(context.Background(), func(ctx context.Context, tx storage.Store) error {
		if err := tx.Create(ctx, class, object("Thing", "x")); err != nil {
			t.Errorf("Create = %v", err)
		}
		kill(t, server, "busy")
		err := tx.Create(ctx, class, object("Thing", "y"))
		if !errors.Is(err, storage.Unavailable) {
			t.Errorf("Create on a connection that was ended = %v, want Unavailable", err)
		}
		for _, err := range tx.Find(ctx, class, &query.Find{Limit: -1}) {
			if !errors.Is(err, storage.Unavailable) {
				t.Errorf("Find on a connection that was ended = %v, want Unavailable", err)
			}
		}
		return nil // even if the caller goes on as if nothing had been
	})
	if !errors.Is(err, storage.Unavailable) {
		t.Errorf("Transact = %v, want Unavailable", err)
	}
	if got := ids(t, db, class, &query.Find{Limit: -1}); len(got) != 0 {
		t.Errorf("the objects of a transaction that was ended = %v, want none", got)
	}
}

// TestRestart: while the server stops, crashes and starts, what was acknowledged is stored; the rest is Unavailable; afterwards all works.
func TestRestart(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Own: true, Settings: durable})
	db := open(t, Config{URI: server.URI("", "", ""), AcquireTimeout: 5 * time.Second})
	class := save(t, db, thing())
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var stored []string
	restarted := make(chan struct{})
	enough := sync.OnceFunc(func() { close(restarted) })
	for worker := range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("w%dx%d", worker, i)
				switch err := db.Create(ctx, class, object("Thing", id, "n", 1.0)); {
				case err == nil:
					mu.Lock()
					if stored = append(stored, id); len(stored) > 40 {
						enough()
					}
					mu.Unlock()
				case !errors.Is(err, storage.Unavailable):
					t.Errorf("Create(%s) = %v, want Unavailable", id, err)
				}
			}
		})
	}
	<-restarted
	server.Restart(t)
	server.Crash(t)
	cancel()
	wg.Wait()
	found := map[string]bool{}
	for _, id := range ids(t, db, class, &query.Find{Limit: -1}) {
		found[id] = true
	}
	for _, id := range stored {
		if !found[id] {
			t.Errorf("%s was acknowledged and is gone", id)
		}
	}
	if err := db.Create(context.Background(), class, object("Thing", "after")); err != nil {
		t.Errorf("Create after the restart = %v", err)
	}
}

// TestServerGone: a server that is not there is Unavailable at once, and is found again when it is back.
func TestServerGone(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Own: true})
	db := open(t, Config{URI: server.URI("", "", "")})
	class := save(t, db, thing())
	server.Stop(t)
	ctx := context.Background()
	calls := map[string]error{
		"Create":    db.Create(ctx, class, object("Thing", "x")),
		"SaveClass": db.SaveClass(ctx, class),
		"Ping":      db.Ping(ctx),
		"Transact":  db.Transact(ctx, func(context.Context, storage.Store) error { return nil }),
	}
	_, calls["Count"] = db.Count(ctx, class, nil)
	_, calls["Update"] = db.Update(ctx, class, nil, parse.NewMap("n", 1.0), -1)
	_, calls["Delete"] = db.Delete(ctx, class, nil, -1)
	_, calls["Classes"] = db.Classes(ctx)
	_, calls["Open"] = Open(ctx, Config{URI: server.URI("", "", "")})
	for name, err := range calls {
		if !errors.Is(err, storage.Unavailable) {
			t.Errorf("%s without a server = %v, want Unavailable", name, err)
		}
	}
	server.Restart(t)
	if err := db.Ping(ctx); err != nil {
		t.Errorf("Ping() when the server is back = %v", err)
	}
}

// TestNoConnection: who gets no connection in time is told that the database is Unavailable, and nobody else notices.
func TestNoConnection(t *testing.T) {
	db := open(t, Config{MaxConns: 1, AcquireTimeout: 500 * time.Millisecond})
	class := save(t, db, thing())
	err := db.Transact(context.Background(), func(ctx context.Context, tx storage.Store) error {
		if _, err := db.Count(ctx, class, nil); !errors.Is(err, storage.Unavailable) || !errors.Is(err, storage.ErrBusy) {
			t.Errorf("Count without a free connection = %v, want Unavailable", err)
		}
		return tx.Create(ctx, class, object("Thing", "x"))
	})
	if err != nil {
		t.Errorf("Transact = %v", err)
	}
	if n, err := db.Count(context.Background(), class, nil); n != 1 || err != nil {
		t.Errorf("Count() = %d, %v, want 1", n, err)
	}
}

// TestTooManyConnections: a server that takes no more connections is Unavailable.
func TestTooManyConnections(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Own: true})
	server.Exec(t, "CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 1", "CREATE SCHEMA few AUTHORIZATION few")
	db := open(t, Config{URI: server.URI("few", "few", "") + "&search_path=few"})
	class := save(t, db, thing())
	err := db.Transact(context.Background(), func(ctx context.Context, tx storage.Store) error {
		_, err := db.Count(ctx, class, nil)
		return err
	})
	if !errors.Is(err, storage.Unavailable) {
		t.Errorf("Count with too many connections = %v, want Unavailable", err)
	}
}

// TestVisitorsShareThePool: reads that hand out objects while they hold a connection leave one to their visitors.
func TestVisitorsShareThePool(t *testing.T) {
	db := open(t, Config{MaxConns: 2})
	class := save(t, db, thing())
	var objects []*parse.Object
	for i := range 3 * page {
		objects = append(objects, object("Thing", fmt.Sprintf("x%04d", i), "n", float64(i)))
	}
	ctx := context.Background()
	if err := db.Create(ctx, class, objects...); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			seen := 0
			for o, err := range db.Find(ctx, class, &query.Find{Limit: -1}) {
				if err != nil {
					t.Errorf("Find = %v", err)
					return
				}
				if seen++; seen%100 == 0 {
					if n, err := db.Count(ctx, class, byID(o.ID())); n != 1 || err != nil {
						t.Errorf("Count(%s) = %d, %v, want 1", o.ID(), n, err)
					}
				}
			}
			if seen != len(objects) {
				t.Errorf("a visitor saw %d objects, want %d", seen, len(objects))
			}
		})
	}
	wg.Wait()
}

// TestCanceledStatement: a statement that waits for a lock ends with its context; nothing of it is stored and its connection is used on.
func TestCanceledStatement(t *testing.T) {
	db := open(t, Config{MaxConns: 2})
	class := save(t, db, thing())
	ctx := context.Background()
	if err := db.Create(ctx, class, object("Thing", "x", "n", 1.0)); err != nil {
		t.Fatal(err)
	}
	err := db.Transact(ctx, func(ctx context.Context, tx storage.Store) error {
		if _, err := tx.Update(ctx, class, byID("x"), parse.NewMap("s", "locked"), 1); err != nil {
			return err
		}
		for _, change := range []any{parse.Increment{Amount: 1}, 5.0} {
			short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
			_, err := db.Update(short, class, byID("x"), parse.NewMap("n", change), 1)
			cancel()
			if !errors.Is(err, storage.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Update of a locked object = %v, want Unavailable and DeadlineExceeded", err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for o, err := range db.Find(ctx, class, &query.Find{Where: byID("x"), Limit: 1}) {
		if err != nil || o.Get("n") != 1.0 || o.Get("s") != "locked" {
			t.Errorf("the object = %v, %v, want n 1 and s locked", o, err)
		}
	}
	if n := db.pool.Stat().NewConnsCount(); n > 2 {
		t.Errorf("%d connections were made, want 2: one that was interrupted is used on", n)
	}
}

// TestCloseEndsAll: nothing runs on after Close.
func TestCloseEndsAll(t *testing.T) {
	uri := pgtest.Shared(t).Schema(t)
	ignore := goleak.IgnoreCurrent()
	db, err := Open(context.Background(), Config{URI: uri})
	if err != nil {
		t.Fatal(err)
	}
	class := save(t, db, thing())
	for range db.Find(context.Background(), class, &query.Find{Limit: -1}) {
	}
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Errorf("Close() = %v", err)
	}
	if err := db.Ping(context.Background()); !errors.Is(err, storage.Unavailable) {
		t.Errorf("Ping() after Close = %v, want Unavailable", err)
	}
	goleak.VerifyNone(t, ignore)
}

// TestFailover: of two hosts in the URI one takes writes; when it is gone and the other takes its place, the database is found there, and what
// was acknowledged is there, too. A primary that became read-only refuses writes, and the next try goes elsewhere.
func TestFailover(t *testing.T) {
	first := pgtest.Start(t, pgtest.Options{Own: true, Settings: map[string]string{"synchronous_standby_names": "*", "synchronous_commit": "local"}})
	second := first.Replica(t)
	first.Exec(t, "ALTER SYSTEM SET synchronous_commit = 'remote_apply'", "SELECT pg_reload_conf()")
	user, password := first.Admin()
	uri := fmt.Sprintf("postgres://%s:%s@%s,%s/postgres?sslmode=disable", user, password, second.Addr(), first.Addr())
	db := open(t, Config{URI: uri, AcquireTimeout: 5 * time.Second})
	class := save(t, db, thing())
	ctx := context.Background()
	if err := db.Create(ctx, class, object("Thing", "x")); err != nil {
		t.Fatalf("Create with a replica first = %v", err)
	}
	first.Stop(t)
	second.Exec(t, "SELECT pg_promote()")
	create := func(id string) {
		t.Helper()
		deadline := time.Now().Add(patience)
		for {
			err := db.Create(ctx, class, object("Thing", id))
			if err == nil || errors.Is(err, storage.Duplicate) {
				return
			}
			if !errors.Is(err, storage.Unavailable) || time.Now().After(deadline) {
				t.Fatalf("Create(%s) = %v, want Unavailable until there is a primary", id, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	second.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")
	create("y")
	if got := ids(t, db, class, &query.Find{Limit: -1}); len(got) != 2 {
		t.Errorf("the objects after the failover = %v, want x and y", got)
	}
	// Connections that are open take no writes any more, new ones do.
	second.Exec(t, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	for err := error(nil); !errors.Is(err, storage.Unavailable); {
		_, err = db.Update(ctx, class, byID("x"), parse.NewMap("n", 1.0), 1)
	}
	second.Exec(t, "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
	create("z")
}

// TestNoConnectionIsLeaked: whatever ends a call — its context, its visitor, a panic, an error, the server — its connection is free again: the server
// counts no more of them than the pool may have, none of them in a transaction, and after Close none at all.
func TestNoConnectionIsLeaked(t *testing.T) {
	server := pgtest.Shared(t)
	const most = 4
	db := open(t, Config{URI: server.Schema(t) + "&application_name=leak", MaxConns: most, StatementTimeout: time.Second})
	class := save(t, db, thing())
	ctx := context.Background()
	var objects []*parse.Object
	for i := range 2 * page {
		objects = append(objects, object("Thing", fmt.Sprintf("x%04d", i), "n", float64(i)))
	}
	if err := db.Create(ctx, class, objects...); err != nil {
		t.Fatal(err)
	}
	deeds := []func(ctx context.Context, i int){
		func(ctx context.Context, i int) { _ = db.Create(ctx, class, object("Thing", fmt.Sprint("y", i))) },
		func(ctx context.Context, i int) { _ = db.Create(ctx, class, objects...) }, // COPY of what is there
		func(ctx context.Context, i int) {
			for range db.Find(ctx, class, &query.Find{Limit: -1}) {
				break
			}
		},
		func(ctx context.Context, i int) {
			defer func() { _ = recover() }()
			for range db.Find(ctx, class, &query.Find{Limit: -1}) {
				panic("a visitor")
			}
		},
		func(ctx context.Context, i int) {
			defer func() { _ = recover() }()
			_ = db.Transact(ctx, func(ctx context.Context, tx storage.Store) error {
				_ = tx.Create(ctx, class, objects[0])
				panic("a transaction")
			})
		},
		func(ctx context.Context, i int) {
			_ = db.Transact(ctx, func(ctx context.Context, tx storage.Store) error {
				_, err := tx.Update(ctx, class, byID("x0001"), parse.NewMap("n", parse.Increment{Amount: 1}), 1)
				return err
			})
		},
		func(ctx context.Context, i int) {
			_ = db.Snapshot(ctx, func(ctx context.Context, r storage.Reader) error { return errors.New("enough") })
		},
		func(ctx context.Context, i int) { _, _ = db.Explain(ctx, class, &query.Find{Limit: 1}) },
	}
	var wg sync.WaitGroup
	for worker := range 2 * most {
		wg.Go(func() {
			for i := range 40 {
				short, cancel := ctx, context.CancelFunc(func() {})
				if i%3 == 0 {
					short, cancel = context.WithTimeout(ctx, time.Duration(i)*time.Millisecond)
				}
				deeds[(worker+i)%len(deeds)](short, worker*1000+i)
				cancel()
			}
		})
	}
	for range 5 {
		kill(t, server, "leak")
	}
	wg.Wait()
	if n := db.pool.Stat().AcquiredConns(); n != 0 {
		t.Errorf("%d connections are in use when nobody uses any", n)
	}
	backends := func(condition string) (n int) {
		t.Helper()
		conn, err := pgx.Connect(ctx, server.URI("", "", ""))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'leak'"+condition).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, "the server has no more connections than the pool", func() bool { return backends("") <= most })
	eventually(t, "no connection is in a transaction", func() bool { return backends(" AND state LIKE 'idle in transaction%'") == 0 })
	unlock, err := db.Lock(ctx, "something")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := db.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
	eventually(t, "a closed database has no connection", func() bool { return backends("") == 0 })
}

// TestLock: one at a time, until it is given back or its connection ends; another schema is another database.
func TestLock(t *testing.T) {
	uri := pgtest.Shared(t).Schema(t)
	one, two, other := open(t, Config{URI: uri}), open(t, Config{URI: uri}), open(t, Config{})
	unlock, err := one.Lock(t.Context(), "copying")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Lock(t.Context(), "copying"); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("Lock of what is held = %v, want %v", err, storage.ErrLocked)
	}
	for _, free := range []func() (func(), error){
		func() (func(), error) { return two.Lock(t.Context(), "else") },
		func() (func(), error) { return other.Lock(t.Context(), "copying") },
	} {
		if end, err := free(); err != nil {
			t.Errorf("Lock of what nobody holds = %v", err)
		} else {
			end()
		}
	}
	unlock()
	eventually(t, "the lock is free", func() bool {
		end, err := two.Lock(t.Context(), "copying")
		if err == nil {
			end()
		}
		return err == nil
	})
	a, err := one.Identity(t.Context())
	b, _ := two.Identity(t.Context())
	c, _ := other.Identity(t.Context())
	if err != nil || a == "" || a != b || a == c {
		t.Errorf("Identity = %q, %q and %q, %v, want the first two the same", a, b, c, err)
	}
}
