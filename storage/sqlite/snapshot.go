package sqlite

import (
	"context"
	"iter"

	"zombiezen.com/go/sqlite"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// Snapshot runs fn on a connection whose transaction reads only. What is written meanwhile stays in the log of the file (-wal). See [storage.Snapshotter].
func (db *DB) Snapshot(ctx context.Context, fn func(ctx context.Context, r storage.Reader) error) (err error) {
	c, err := db.readers.get(ctx)
	if err != nil {
		return wrap("Snapshot", "", err)
	}
	db.readers.detach() // code that is not ours runs while the connection is in use
	defer func() {
		if e := db.readers.drop(c); err == nil && e != nil {
			err = wrap("Snapshot", "", e)
		}
	}()
	// The moment is that of the first statement that reads.
	if err := c.exec("BEGIN"); err != nil {
		return wrap("Snapshot", "", err)
	}
	defer func() { _ = c.exec("ROLLBACK") }()
	first := func(*sqlite.Stmt) (bool, error) { return false, nil }
	if err := c.run(&sqlgen.Statement{SQL: `SELECT 1 FROM "_SCHEMA" LIMIT 1`}, first); err != nil {
		return wrap("Snapshot", "", err)
	}
	return fn(ctx, &snapshot{db: db, conn: c})
}

// snapshot reads what was there at one moment.
type snapshot struct {
	db   *DB
	conn *conn
}

func (r *snapshot) Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error] {
	return func(yield func(*parse.Object, error) bool) {
		defer r.conn.watch(ctx)()
		f := &finder{conn: r.conn, layout: r.db.layout(class), yield: yield}
		f.end(interrupted(ctx, f.run(ctx, q)))
	}
}

func (r *snapshot) Count(ctx context.Context, class *schema.Class, where query.Node) (int64, error) {
	defer r.conn.watch(ctx)()
	n, err := r.conn.count(r.db.layout(class), where)
	return n, wrap("Count", class.Name, interrupted(ctx, err))
}
