package sqlite

import (
	"context"
	"errors"
	"iter"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Transact runs fn in a transaction. It has the writer for itself meanwhile: fn must not write through the DB itself, and
// other writes wait for it. See [storage.Adapter].
func (db *DB) Transact(ctx context.Context, fn func(ctx context.Context, tx storage.Store) error) error {
	c, release, err := db.writer.acquire(ctx)
	if err != nil {
		return wrap("Transact", "", err)
	}
	defer release()
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return wrap("Transact", "", err)
	}
	open := true
	defer func() { // also when fn panics
		if open {
			db.writer.rollback()
		}
	}()
	if err := fn(ctx, &tx{db: db, conn: c}); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return wrap("Transact", "", err)
	}
	if c.sql.AutocommitEnabled() {
		return wrap("Transact", "", errors.New("the transaction was rolled back because a write in it failed"))
	}
	if err := c.exec("COMMIT"); err != nil {
		return wrap("Transact", "", err)
	}
	open = false
	if db.writer.committed != nil {
		db.writer.committed(1)
	}
	return nil
}

// tx is the store of a transaction.
type tx struct {
	db   *DB
	conn *conn
}

func (t *tx) Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error] {
	return func(yield func(*parse.Object, error) bool) {
		f := &finder{conn: t.conn, layout: t.db.layout(class), yield: yield}
		f.end(t.find(ctx, f, q))
	}
}

func (t *tx) find(ctx context.Context, f *finder, q *query.Find) error {
	if err := t.check(ctx); err != nil {
		return err
	}
	defer t.conn.watch(ctx)()
	return interrupted(ctx, f.run(ctx, q))
}

func (t *tx) Count(ctx context.Context, class *schema.Class, where query.Node) (int64, error) {
	if err := t.check(ctx); err != nil {
		return 0, wrap("Count", class.Name, err)
	}
	done := t.conn.watch(ctx)
	n, err := t.conn.count(t.db.layout(class), where)
	done()
	return n, wrap("Count", class.Name, interrupted(ctx, err))
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
	if err := t.check(ctx); err != nil {
		return err
	}
	return savepoint(t.conn, w.do)
}

// check refuses to go on outside of a transaction: some errors of SQLite end it, and what is written then would be stored.
func (t *tx) check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.conn.sql.AutocommitEnabled() {
		return errors.New("the transaction was rolled back because a write in it failed")
	}
	return nil
}
