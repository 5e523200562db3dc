package postgres

import (
	"context"
	"iter"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Snapshot runs fn in a transaction of the level REPEATABLE READ that reads only, and has no time limit of its own. See [storage.Snapshotter].
func (db *DB) Snapshot(ctx context.Context, fn func(ctx context.Context, r storage.Reader) error) error {
	conn, err := db.acquire(ctx)
	if err != nil {
		return wrap("Snapshot", "", err)
	}
	defer conn.Release()
	s := &session{conn: conn.Conn(), inTx: true}
	// The moment is that of the first statement that reads.
	err = s.script(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SELECT 1 FROM "+
		db.dialect.Table("_SCHEMA")+" LIMIT 1; SAVEPOINT parley")
	if err != nil {
		s.rollback(ctx)
		return wrap("Snapshot", "", interrupted(ctx, err))
	}
	defer s.rollback(ctx)
	return fn(ctx, &snapshot{db: db, session: s})
}

// snapshot reads what was there at one moment.
type snapshot struct {
	db      *DB
	session *session
}

func (r *snapshot) Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error] {
	return func(yield func(*parse.Object, error) bool) {
		f := &finder{db: r.db, layout: r.db.layout(class), q: q, yield: yield, holds: true}
		f.end(interrupted(ctx, f.run(ctx, r.session)))
	}
}

func (r *snapshot) Count(ctx context.Context, class *schema.Class, where query.Node) (int64, error) {
	n, err := r.session.count(ctx, r.db.layout(class), where)
	return n, wrap("Count", class.Name, interrupted(ctx, err))
}
