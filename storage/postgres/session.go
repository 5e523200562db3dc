package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/storage"
)

// session is one connection, in the hands of one goroutine.
type session struct {
	conn *pgx.Conn
	// inTx says that a transaction is open that somebody else ends.
	inTx bool
}

// tries is how often something is done anew that failed because of a conflict with another writer.
const tries = 10

var errClosed = errors.New("the database is closed")

// acquire takes a connection from the pool. It waits no longer than Config.AcquireTimeout.
func (db *DB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	if db.closed.Load() {
		return nil, errClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeoutCause(ctx, db.cfg.AcquireTimeout, storage.ErrBusy)
	defer cancel()
	conn, err := db.pool.Acquire(limited)
	if err != nil && ctx.Err() == nil && context.Cause(limited) == storage.ErrBusy {
		return nil, fmt.Errorf("%w (%v)", storage.ErrBusy, err) // not a deadline of the caller
	}
	return conn, err
}

// outside runs fn on a connection of its own.
func (db *DB) outside(ctx context.Context, fn func(ctx context.Context, s *session) error) error {
	conn, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	err = fn(ctx, &session{conn: conn.Conn()})
	if err != nil && ctx.Err() == nil && (broken(err) || readOnly(err)) {
		db.pool.Reset() // whatever ended this connection has likely ended the others: the next try meets none of them
	}
	if stale(err) {
		_ = conn.Conn().DeallocateAll(ctx) // a connection on which that fails is of no use to the next one either
	}
	return interrupted(ctx, err)
}

// reading runs fn, and once more when its connection broke.
func (db *DB) reading(ctx context.Context, fn func(ctx context.Context, s *session) error) error {
	for try := 1; ; try++ {
		err := db.outside(ctx, fn)
		if err == nil || ctx.Err() != nil || !(again(err) && try < tries || (broken(err) || stale(err)) && try < 3) {
			return err
		}
	}
}

// writing runs fn, and anew when nothing of it can have been stored and it may do better the next time.
func (db *DB) writing(ctx context.Context, fn func(ctx context.Context, s *session) error) error {
	for try := 1; ; try++ {
		err := db.outside(ctx, fn)
		if err == nil || ctx.Err() != nil || !(again(err) && try < tries || (unsent(err) || stale(err) || readOnly(err)) && try < 3) {
			return err
		}
	}
}

// script runs statements without arguments, in one message.
func (s *session) script(ctx context.Context, sql string) error {
	_, err := s.conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// row reads one row.
func (s *session) row(ctx context.Context, sql string, args []any, targets ...any) error {
	return s.conn.QueryRow(ctx, sql, args...).Scan(targets...)
}

// exec runs a statement and returns how many rows it touched.
func (s *session) exec(ctx context.Context, sql string, args ...any) (int64, error) {
	tag, err := s.conn.Exec(ctx, sql, args...)
	return tag.RowsAffected(), err
}

// names returns the first column of all rows.
func (s *session) names(ctx context.Context, sql string, args ...any) ([]string, error) {
	rows, err := s.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// atomically runs fn in a transaction, in that of the session if it has one.
func (s *session) atomically(ctx context.Context, fn func() error) error {
	if s.inTx {
		return fn()
	}
	if err := s.script(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED"); err != nil {
		return err
	}
	s.inTx = true
	done := false
	defer func() { // also when fn panics
		s.inTx = false
		if !done {
			s.rollback(ctx)
		}
	}()
	if err := fn(); err != nil {
		return err
	}
	err := s.commit(ctx)
	done = err == nil
	return err
}

// lastWords is how long the end of a transaction may take.
const lastWords = 10 * time.Second

// commit ends a transaction. It is not interrupted: nobody would know what became of it.
func (s *session) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	results, err := s.conn.PgConn().Exec(ctx, "COMMIT").ReadAll()
	if err == nil && (len(results) != 1 || results[0].CommandTag.String() != "COMMIT") {
		return errors.New("the transaction was rolled back because a statement in it failed")
	}
	return err
}

// rollback ends a transaction without effect. A connection on which that fails is closed, which has the same effect.
func (s *session) rollback(ctx context.Context) {
	if s.conn.IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if err := s.script(ctx, "ROLLBACK"); err != nil {
		_ = s.conn.Close(ctx)
	}
}

// bind turns arguments of package sqlgen into those of pgx, in place.
func bind(args []any) []any {
	for i, arg := range args {
		switch v := arg.(type) {
		case parse.GeoPoint:
			args[i] = pgtype.Point{P: pgtype.Vec2{X: v.Longitude, Y: v.Latitude}, Valid: true}
		case parse.Polygon:
			ring := pgtype.Polygon{P: make([]pgtype.Vec2, len(v)), Valid: true}
			for j, p := range v {
				ring.P[j] = pgtype.Vec2{X: p.Longitude, Y: p.Latitude}
			}
			args[i] = ring
		}
	}
	return args
}
