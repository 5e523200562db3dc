package postgres

import (
	"context"
	"iter"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Transact runs fn in a transaction of the level SERIALIZABLE. Each call in it has a savepoint, to which the transaction goes
// back when the call fails: PostgreSQL would end it. See [storage.Adapter].
func (db *DB) Transact(ctx context.Context, fn func(ctx context.Context, tx storage.Store) error) error {
	conn, err := db.begin(ctx)
	if err != nil {
		return wrap("Transact", "", err)
	}
	defer conn.Release()
	s := &session{conn: conn.Conn(), inTx: true}
	open := true
	defer func() { // also when fn panics
		if open {
			s.rollback(ctx)
		}
	}()
	if err := fn(ctx, &tx{db: db, session: s}); err != nil {
		if readOnly(err) || broken(err) && ctx.Err() == nil {
			db.pool.Reset() // the next try meets none of the connections to a server that was replaced
		}
		return err
	}
	if err := s.commit(ctx); err != nil {
		return wrap("Transact", "", err)
	}
	open = false
	return nil
}

// begin takes a connection and begins a transaction on it; on another one if it was gone, for nothing was done yet.
func (db *DB) begin(ctx context.Context) (*pgxpool.Conn, error) {
	for try := 1; ; try++ {
		conn, err := db.acquire(ctx)
		if err == nil {
			s := &session{conn: conn.Conn(), inTx: true}
			if err = s.script(ctx, "BEGIN ISOLATION LEVEL SERIALIZABLE; SAVEPOINT parley"); err == nil {
				return conn, nil
			}
			conn.Release()
		}
		if ctx.Err() != nil || !broken(err) || try == 3 {
			return nil, interrupted(ctx, err)
		}
		db.pool.Reset()
	}
}

// recover goes back to the savepoint after a statement of a transaction failed; outside of one there is nothing to do.
func (s *session) recover(ctx context.Context) error {
	if !s.inTx {
		return nil
	}
	return s.script(ctx, "ROLLBACK TO SAVEPOINT parley")
}

// tx is the store of a transaction.
type tx struct {
	db      *DB
	session *session
}

// step runs one call, and makes a new savepoint behind it or goes back to the one before it.
func (t *tx) step(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := fn()
	if stale(err) && t.session.recover(ctx) == nil && t.session.conn.DeallocateAll(ctx) == nil {
		err = fn()
	}
	if err == nil {
		return interrupted(ctx, t.session.script(ctx, "RELEASE SAVEPOINT parley; SAVEPOINT parley"))
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if e := t.session.recover(after); e != nil {
		_ = t.session.conn.Close(after) // nothing more can be written in a transaction whose state is unknown
	}
	return interrupted(ctx, err)
}

func (t *tx) Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error] {
	return func(yield func(*parse.Object, error) bool) {
		f := &finder{db: t.db, layout: t.db.layout(class), q: q, yield: yield, inTx: true}
		f.end(t.step(ctx, func() error { return f.run(ctx, t.session) }))
	}
}

func (t *tx) Count(ctx context.Context, class *schema.Class, where query.Node) (n int64, err error) {
	err = t.step(ctx, func() (err error) {
		n, err = t.session.count(ctx, t.db.layout(class), where)
		return err
	})
	return n, wrap("Count", class.Name, err)
}

func (t *tx) Create(ctx context.Context, class *schema.Class, objects ...*parse.Object) error {
	w, err := t.db.create(class, objects)
	return wrap("Create", class.Name, w.explain("Create", t.write(ctx, w, err)))
}

func (t *tx) Update(ctx context.Context, class *schema.Class, where query.Node, changes storage.Changes, limit int) ([]*parse.Object, error) {
	w, err := t.db.update(class, where, changes, limit)
	if err := t.write(ctx, w, err); err != nil {
		return nil, wrap("Update", class.Name, w.explain("Update", err))
	}
	return w.objects, nil
}

func (t *tx) Delete(ctx context.Context, class *schema.Class, where query.Node, limit int) (int64, error) {
	w, err := t.db.delete(class, where, limit)
	if err := t.write(ctx, w, err); err != nil {
		return 0, wrap("Delete", class.Name, w.explain("Delete", err))
	}
	return w.count, nil
}

// write runs a write that was prepared, unless that failed.
func (t *tx) write(ctx context.Context, w *write, err error) error {
	if err != nil {
		return err
	}
	return t.step(ctx, func() error { return w.do(ctx, t.session) })
}
