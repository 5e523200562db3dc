package postgres_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/presenter/postgres"
	"github.com/parley-backend/parley/internal/pgtest"
)

// The password changes under load, in the store before or after in the database: no query fails.
func TestI20PasswordRotatesUnderLoad(t *testing.T) {
	t.Parallel()
	b := open(t, server(t), credential.Config{TTL: time.Hour})
	pool := b.pool(t, b.config(t), postgres.Options{Drain: time.Hour})
	occupy(t, pool, 8)() // from now on a connection is made when the test wants it
	stop := load(t, 8, b.count(pool))
	alter := func(n string) { b.server.Exec(t, "ALTER ROLE "+b.a+" PASSWORD '"+password(n)+"'") }
	store := func(n string) { b.source.SetVersions(group(b.a, password(n))) }
	drained := func(generation uint64) {
		until(t, "new connections", func() bool {
			conn, err := pool.Acquire(t.Context())
			if err != nil {
				t.Errorf("Acquire failed: %v", err)
				return true
			}
			defer conn.Release()
			lease, ok := postgres.LeaseOf(conn.Conn())
			return ok && lease.Generation == generation
		})
	}

	alter("2") // nobody tells the pool: it learns from the refusal
	store("2")
	pool.Reset()
	drained(2)

	store("3") // the store is ahead of the database: the password before still works
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	pool.Reset()
	until(t, "connections of the version before", func() bool {
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Errorf("Acquire failed: %v", err)
			return true
		}
		defer conn.Release()
		lease, _ := postgres.LeaseOf(conn.Conn())
		return b.refusals.Load() > 8 && lease.Generation == 2 && pool.Stat().ConstructingConns() == 0 && pool.Stat().TotalConns() == 8
	})
	alter("3")
	pool.Reset()
	drained(3)

	alter("4") // both at once, and the store tells
	store("4")
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	pool.Reset()
	drained(4)
	if n := stop(); n < 8 {
		t.Errorf("%d queries ran, want more", n)
	}
	if total := pool.Stat().TotalConns(); total > 8 {
		t.Errorf("%d connections, want 8 at most", total)
	}
}

// Many connections are refused at one time: one reading for all of them, and each is tried twice at most.
func TestI20RefusedConnectionsShareOneReading(t *testing.T) {
	t.Parallel()
	b := open(t, server(t), credential.Config{TTL: time.Hour})
	pool := b.pool(t, b.config(t), postgres.Options{})
	b.server.Exec(t, "ALTER ROLE "+b.a+" PASSWORD '"+password("2")+"'")
	b.source.SetVersions(group(b.a, password("2")))
	b.source.Delay(200 * time.Millisecond)
	var group sync.WaitGroup
	conns := make([]interface{ Release() }, 8)
	for i := range conns {
		group.Go(func() {
			conn, err := pool.Acquire(t.Context())
			if err != nil {
				t.Errorf("Acquire failed: %v", err)
				return
			}
			conns[i] = conn
		})
	}
	group.Wait()
	for _, conn := range conns {
		if conn != nil {
			conn.Release()
		}
	}
	if fetches, dials := b.source.Fetches(), b.dials.Load(); fetches != 2 || dials > 16 {
		t.Errorf("%d readings, %d connections tried; want 2 (the first, and one for all refusals) and 16 at most", fetches, dials)
	}
}

// The login is refused and there is no other: each caller gets the refusal and the reason after one connection, and the
// source is not stormed.
func TestI20NothingToRetryWith(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		fail error
		want credential.Class
	}{
		{"the source has the same login", nil, credential.Denied},
		{"the source is down", credential.Errorf(credential.Unavailable, "sealed"), credential.Unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, server(t), credential.Config{TTL: time.Hour})
			pool := b.pool(t, b.config(t), postgres.Options{})
			b.server.Exec(t, "ALTER ROLE "+b.a+" PASSWORD '"+password("2")+"'")
			b.source.Fail(test.fail)
			began := time.Now()
			for range 8 {
				err := pool.Ping(t.Context())
				if clean(t, err); !postgres.Refused(err) || !errors.Is(err, test.want) {
					t.Fatalf("Ping = %v, want a refusal and %v", err, test.want)
				}
			}
			// The first reading, and one for all refusals of ten seconds; of a source that is down the engine's own attempts.
			limit := 2 + int(time.Since(began)/(10*time.Second))
			if test.fail != nil {
				limit += 8
			}
			if fetches, dials := b.source.Fetches(), b.dials.Load(); fetches > limit || dials != 8 {
				t.Errorf("%d readings, %d connections tried for 8 calls; want %d at most, and 8", fetches, dials, limit)
			}
		})
	}
}

// The server is away, or says no for another reason: the source is not asked.
func TestOtherErrorsAskNobody(t *testing.T) {
	t.Parallel()
	b := open(t, pgtest.Start(t, pgtest.Options{Own: true}), credential.Config{TTL: time.Hour})
	config := b.config(t)
	config.ConnConfig.Database = "nowhere"
	if err := b.pool(t, config, postgres.Options{}).Ping(t.Context()); err == nil || postgres.Refused(err) {
		t.Errorf("Ping of a database that does not exist = %v, want an error that is no refusal", err)
	}
	pool := b.pool(t, b.config(t), postgres.Options{})
	if _, err := pool.Exec(t.Context(), "SELECT nonsense"); err == nil || postgres.Refused(err) {
		t.Errorf("Exec of nonsense = %v, want an error that is no refusal", err)
	}
	b.server.Stop(t)
	if err := pool.Ping(t.Context()); err == nil || postgres.Refused(err) {
		t.Errorf("Ping of a server that is stopped = %v, want an error that is no refusal", err)
	}
	if got := b.source.Fetches(); got != 1 {
		t.Errorf("%d readings, want 1", got)
	}
}

// Two users in turn: the connections of the first end within the drain, and none is left behind; its role can be dropped.
func TestUsersSwitchUnderLoad(t *testing.T) {
	t.Parallel()
	b := open(t, server(t), credential.Config{TTL: time.Hour})
	pool := b.pool(t, b.config(t), postgres.Options{Drain: 300 * time.Millisecond, Sweep: 20 * time.Millisecond})
	stop := load(t, 8, b.count(pool))
	until(t, "connections of a", func() bool { return b.sessions(t, b.a) > 0 })
	for _, next := range []struct{ user, password, before string }{{b.b, "b", b.a}, {b.a, "1", b.b}, {b.b, "b", b.a}} {
		b.source.SetVersions(group(next.user, password(next.password)))
		if err := b.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, "the end of the connections of "+next.before, func() bool { return b.sessions(t, next.before) == 0 })
	}
	b.server.Exec(t, "REVOKE ALL ON "+b.things+" FROM "+b.a, "DROP ROLE "+b.a)
	stop()
	if sessions, total := b.sessions(t, b.b), pool.Stat().TotalConns(); sessions == 0 || sessions > int(total) {
		t.Errorf("%d sessions of b, %d connections in the pool; want as many, and some", sessions, total)
	}
	pool.Close()
	until(t, "the end of all connections", func() bool { return b.sessions(t, b.b) == 0 })
}

// The role is dropped while its connections are open and being drained: the first statement that fails ends all of them.
func TestRoleDroppedWhileConnectionsAreOpen(t *testing.T) {
	t.Parallel()
	b := open(t, server(t), credential.Config{TTL: time.Hour})
	pool := b.pool(t, b.config(t), postgres.Options{Drain: time.Hour, Sweep: time.Hour})
	occupy(t, pool, 8)()
	if got := b.sessions(t, b.a); got != 8 {
		t.Fatalf("%d sessions of a, want 8", got)
	}
	b.source.SetVersions(group(b.b, password("b")))
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.server.Exec(t, "REVOKE ALL ON "+b.things+" FROM "+b.a, "DROP ROLE "+b.a)
	err := b.count(pool)(t.Context())
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		t.Fatalf("a query without rights = %v, want an error of the server", err)
	}
	for range 20 {
		if err := b.count(pool)(t.Context()); err != nil {
			t.Errorf("a query after that = %v, want none that fails", err)
		}
	}
	if got := b.source.Fetches(); got != 2 {
		t.Errorf("%d readings, want 2", got)
	}
}

// occupy takes n connections at one time; the returned function gives them back.
func occupy(t *testing.T, pool *postgres.Pool, n int) (release func()) {
	t.Helper()
	var all []interface{ Release() }
	for range n {
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			for _, conn := range all { // or the pool waits for them
				conn.Release()
			}
			t.Fatalf("Acquire failed: %v", err)
		}
		all = append(all, conn)
	}
	return func() {
		for _, conn := range all {
			conn.Release()
		}
		until(t, "idle connections", func() bool { return pool.Stat().IdleConns() >= int32(n) })
	}
}

// A revoked login: idle connections end at once, those in use when they are given back, and there is a clear error.
func TestRevoked(t *testing.T) {
	t.Parallel()
	b := open(t, server(t), credential.Config{TTL: time.Hour})
	pool := b.pool(t, b.config(t), postgres.Options{Drain: time.Hour, Sweep: 20 * time.Millisecond})
	occupy(t, pool, 3)()
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lease, _ := postgres.LeaseOf(conn.Conn())
	if err := b.Revoke(t.Context(), lease.VersionID); err != nil {
		t.Fatal(err)
	}
	until(t, "the end of the idle connections", func() bool { return b.sessions(t, b.a) == 1 })
	conn.Release()
	until(t, "the end of the one in use", func() bool { return b.sessions(t, b.a) == 0 })
	if err := pool.Ping(t.Context()); !errors.Is(err, credential.Unavailable) {
		t.Errorf("Ping = %v, want Unavailable", err)
	}
	b.source.SetVersions(group(b.b, password("b")))
	if err := pool.Ping(t.Context()); err != nil {
		t.Errorf("Ping with another login = %v", err)
	}
}

// The lease of a login ends and the source is down: connections end before, and no login is shown after.
func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	b := open(t, server(t), credential.Config{TTL: time.Hour})
	v := group(b.b, password("b"))
	v.NotAfter = time.Now().Add(5 * time.Second)
	b.source.SetVersions(v)
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	pool := b.pool(t, b.config(t), postgres.Options{Sweep: 20 * time.Millisecond})
	occupy(t, pool, 4)()
	b.source.Fail(credential.Errorf(credential.Unavailable, "sealed"))
	if got := b.sessions(t, b.b); got != 4 {
		t.Errorf("%d sessions of b, want 4", got)
	}
	until(t, "the end of the connections", func() bool { return b.sessions(t, b.b) == 0 })
	until(t, "the end of the lease", func() bool { return time.Now().After(v.NotAfter) })
	if err := pool.Ping(t.Context()); !errors.Is(err, credential.Unavailable) {
		t.Errorf("Ping after the lease = %v, want Unavailable", err)
	}
	b.source.Fail(nil)
	b.source.SetVersions(group(b.a, password("1")))
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := pool.Ping(t.Context()); err != nil {
		t.Errorf("Ping with a new login = %v", err)
	}
}

// Every way to use a pool gives its connection back, and mends a refusal.
func TestPoolMethods(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		use  func(ctx context.Context, b *bed, pool *postgres.Pool) error
	}{
		{"Ping", func(ctx context.Context, b *bed, pool *postgres.Pool) error { return pool.Ping(ctx) }},
		{"Exec", func(ctx context.Context, b *bed, pool *postgres.Pool) error {
			_, err := pool.Exec(ctx, "INSERT INTO "+b.things+" VALUES (1)")
			return err
		}},
		{"Query", func(ctx context.Context, b *bed, pool *postgres.Pool) error {
			rows, err := pool.Query(ctx, "SELECT n FROM "+b.things)
			if err != nil {
				return err
			}
			got, err := pgx.CollectRows(rows, pgx.RowTo[int])
			if err == nil && (len(got) != 1 || got[0] != 1) {
				t.Errorf("Query = %v, want 1", got)
			}
			return err
		}},
		{"QueryRow", func(ctx context.Context, b *bed, pool *postgres.Pool) error {
			var n int
			return pool.QueryRow(ctx, "SELECT n FROM "+b.things).Scan(&n)
		}},
		{"SendBatch", func(ctx context.Context, b *bed, pool *postgres.Pool) error {
			batch := &pgx.Batch{}
			batch.Queue("INSERT INTO " + b.things + " VALUES (2)")
			return pool.SendBatch(ctx, batch).Close()
		}},
		{"SendBatch with a transaction", func(ctx context.Context, b *bed, pool *postgres.Pool) error {
			batch := &pgx.Batch{}
			batch.BeginTx(pgx.TxOptions{})
			batch.Queue("INSERT INTO " + b.things + " VALUES (2)")
			sent := pool.SendBatch(ctx, batch)
			return errors.Join(sent.Close(), sent.Tx().Commit(ctx))
		}},
		{"Begin", func(ctx context.Context, b *bed, pool *postgres.Pool) error {
			return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "INSERT INTO "+b.things+" VALUES (3)")
				return err
			})
		}},
		{"CopyFrom", func(ctx context.Context, b *bed, pool *postgres.Pool) error {
			n, err := pool.CopyFrom(ctx, pgx.Identifier{b.things}, []string{"n"}, pgx.CopyFromRows([][]any{{4}, {5}}))
			if err == nil && n != 2 {
				t.Errorf("CopyFrom = %d, want 2", n)
			}
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, server(t), credential.Config{TTL: time.Hour})
			b.server.Exec(t, "INSERT INTO "+b.things+" VALUES (1)")
			config := b.config(t)
			config.MaxConns = 1
			dial, rotate := config.ConnConfig.DialFunc, sync.Once{}
			config.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
				rotate.Do(func() { // the first login is chosen, and has not been shown yet
					b.server.Exec(t, "ALTER ROLE "+b.a+" PASSWORD '"+password("2")+"'")
					b.source.SetVersions(group(b.a, password("2")))
					if err := b.Refresh(ctx); err != nil {
						t.Error(err)
					}
				})
				return dial(ctx, network, addr)
			}
			pool := b.pool(t, config, postgres.Options{})
			if err := test.use(t.Context(), b, pool); err != nil {
				t.Errorf("%s failed: %v", test.name, err)
			}
			if dials, refusals := b.dials.Load(), b.refusals.Load(); dials != 2 || refusals != 1 {
				t.Errorf("%d connections tried, %d refused; want 2, 1", dials, refusals)
			}
			until(t, "the connection", func() bool { return pool.Stat().IdleConns() == 1 })
			if total := pool.Stat().TotalConns(); total != 1 {
				t.Errorf("%d connections, want 1", total)
			}
		})
	}
}
