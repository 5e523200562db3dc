package sqlite

import (
	"context"
	"iter"
	"math"

	"zombiezen.com/go/sqlite"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// Find visits the objects that match. See [storage.Store].
func (db *DB) Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error] {
	return func(yield func(*parse.Object, error) bool) {
		f := &finder{layout: db.layout(class), yield: yield, detach: db.readers.detach}
		f.end(db.find(ctx, f, q))
	}
}

// page is how many objects are read before the first is handed out. Most queries end within it, and then the connection
// is free again before any code of the caller runs.
const page = 256

// find runs a query on a reader, which is back in the pool afterwards, also when the code of the caller panics.
func (db *DB) find(ctx context.Context, f *finder, q *query.Find) (err error) {
	if f.conn, err = db.readers.get(ctx); err != nil {
		return err
	}
	defer func() {
		if !f.detached {
			db.readers.put(f.conn)
		} else if e := db.readers.drop(f.conn); err == nil {
			err = e
		}
	}()
	if _, short := query.PinnedID(q.Where); !short { // one object is faster found than an interruption arranged
		defer f.conn.watch(ctx)()
	}
	return interrupted(ctx, f.run(ctx, q))
}

// finder is one find on one connection.
type finder struct {
	conn   *conn
	layout *sqlgen.Layout
	yield  func(*parse.Object, error) bool
	// detach gives up the right to the connection before objects are handed out while it is in use; nil if that never needs to be.
	detach   func()
	detached bool
	objects  []*parse.Object
	stopped  bool
}

// run reads the objects; what it has not handed out when it ends is left to flush.
func (f *finder) run(ctx context.Context, q *query.Find) error {
	if q.Limit == 0 {
		return nil
	}
	if ok, err := f.near(ctx, q); ok || err != nil {
		return err
	}
	st, err := f.layout.Select(q)
	if err != nil {
		return err
	}
	err = f.read(ctx, st)
	if lacks(err) && len(f.objects) == 0 {
		return f.repaired(ctx, q)
	}
	return err
}

// repaired runs a query on the columns that the table really has: the class was never saved, or another process dropped fields.
func (f *finder) repaired(ctx context.Context, q *query.Find) error {
	layout, err := f.conn.actual(f.layout)
	if err != nil || layout == nil {
		return err
	}
	st, err := layout.Select(q)
	if err != nil {
		return err
	}
	return f.read(ctx, st)
}

func (f *finder) read(ctx context.Context, st *sqlgen.Statement) error {
	class := f.layout.Class.Name
	return f.conn.run(st, func(stmt *sqlite.Stmt) (bool, error) {
		o, err := f.conn.object(class, stmt, st)
		if err != nil {
			return false, err
		}
		f.objects = append(f.objects, o)
		if len(f.objects) < page {
			return true, nil
		}
		if !f.detached && f.detach != nil {
			f.detached = true
			f.detach()
		}
		f.flush()
		if f.stopped {
			return false, nil
		}
		return true, ctx.Err()
	})
}

// end hands out what is left, or the error that ended the query; nothing to a visitor that wants no more.
func (f *finder) end(err error) {
	switch {
	case f.stopped:
	case err != nil:
		f.yield(nil, wrap("Find", f.layout.Class.Name, err))
	default:
		f.flush()
	}
}

// flush hands out what was read.
func (f *finder) flush() {
	for _, o := range f.objects {
		if f.stopped || !f.yield(o, nil) {
			f.stopped = true
			break
		}
	}
	f.objects = f.objects[:0]
}

// near answers a $nearSphere without a bound, or with a wide one, by looking into circles that grow until they hold enough:
// the index on the place finds those in a circle, and nothing finds the nearest.
func (f *finder) near(ctx context.Context, q *query.Find) (bool, error) {
	if q.Limit < 0 || q.Skip+q.Limit > 1000 {
		return false, nil
	}
	for radians := firstRadius; radians < math.Pi/4; radians *= 4 {
		st, ok, err := f.layout.Within(q, radians)
		if !ok || err != nil {
			return false, err
		}
		enough := false
		wide, err := f.layout.CountWithin(q, radians)
		if err != nil {
			return false, err
		}
		err = f.conn.run(wide, func(stmt *sqlite.Stmt) (bool, error) {
			enough = stmt.ColumnInt64(0) >= int64(q.Skip+q.Limit)
			return false, nil
		})
		if lacks(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if enough {
			return true, f.read(ctx, st)
		}
	}
	return false, nil
}

// firstRadius is some 3 km: the extent of what people call near.
const firstRadius = 0.0005

// Count returns how many objects match. See [storage.Store].
func (db *DB) Count(ctx context.Context, class *schema.Class, where query.Node) (int64, error) {
	var n int64
	err := db.read(ctx, func(c *conn) (err error) {
		n, err = c.count(db.layout(class), where)
		return err
	})
	return n, wrap("Count", class.Name, err)
}

func (c *conn) count(layout *sqlgen.Layout, where query.Node) (n int64, err error) {
	st, err := layout.Count(where)
	if err != nil {
		return 0, err
	}
	visit := func(stmt *sqlite.Stmt) (bool, error) {
		n = stmt.ColumnInt64(0)
		return false, nil
	}
	if err = c.run(st, visit); !lacks(err) {
		return n, err
	}
	layout, err = c.actual(layout)
	if err != nil || layout == nil {
		return 0, err
	}
	if st, err = layout.Count(where); err != nil {
		return 0, err
	}
	return n, c.run(st, visit)
}

// Explain returns the plan of a query: its SQL text and the steps of EXPLAIN QUERY PLAN. See [storage.Explainer].
func (db *DB) Explain(ctx context.Context, class *schema.Class, q *query.Find) (any, error) {
	var plan *parse.Map
	err := db.read(ctx, func(c *conn) error {
		layout, err := c.actual(db.layout(class))
		if err != nil {
			return err
		}
		if layout == nil {
			plan = parse.NewMap("database", "sqlite", "sql", nil, "plan", []any{})
			return nil
		}
		st, err := layout.Select(q)
		if err != nil {
			return err
		}
		steps := []any{}
		explain := &sqlgen.Statement{SQL: "EXPLAIN QUERY PLAN " + st.SQL, Args: st.Args}
		err = c.run(explain, func(stmt *sqlite.Stmt) (bool, error) {
			steps = append(steps, parse.NewMap("id", stmt.ColumnFloat(0), "parent", stmt.ColumnFloat(1), "detail", stmt.ColumnText(3)))
			return true, nil
		})
		plan = parse.NewMap("database", "sqlite", "sql", st.SQL, "plan", steps)
		return err
	})
	if err != nil {
		return nil, wrap("Explain", class.Name, err)
	}
	return plan, nil
}
