package postgres

import (
	"context"
	"iter"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// Find visits the objects that match. See [storage.Store].
func (db *DB) Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error] {
	return func(yield func(*parse.Object, error) bool) {
		f := &finder{db: db, layout: db.layout(class), q: q, yield: yield}
		defer f.release()
		f.end(db.reading(ctx, func(ctx context.Context, s *session) error {
			f.objects = nil
			err := f.run(ctx, s)
			if f.flushed && err != nil {
				return &ended{err} // what was handed out is not taken back
			}
			return err
		}))
	}
}

// page is how many objects are read before the first is handed out. Most queries end within it, and then the connection
// is free again before any code of the caller runs.
const page = 256

// finder is one find on one connection.
type finder struct {
	db     *DB
	layout *sqlgen.Layout
	q      *query.Find
	yield  func(*parse.Object, error) bool
	// inTx: nothing is handed out before all is read, because the connection is not to be used meanwhile.
	inTx    bool
	holds   bool // a place in db.long
	full    bool // there was none: all is read before anything is handed out
	flushed bool
	stopped bool
	objects []*parse.Object
}

// ended is an error of a query after which it is not begun anew.
type ended struct{ err error }

func (e *ended) Error() string { return e.err.Error() }

// run reads the objects; what it has not handed out when it ends is left to end.
func (f *finder) run(ctx context.Context, s *session) error {
	if f.q.Limit == 0 {
		return nil
	}
	err := f.find(ctx, s, f.layout)
	if !lacks(err) || f.flushed {
		return err
	}
	if err := s.recover(ctx); err != nil {
		return err
	}
	layout, err := s.actual(ctx, f.layout)
	if err != nil || layout == nil {
		return err
	}
	f.objects = nil
	return f.find(ctx, s, layout)
}

func (f *finder) find(ctx context.Context, s *session, layout *sqlgen.Layout) error {
	st, err := layout.Select(f.q)
	if err != nil {
		return err
	}
	remark(st, f.q)
	switch {
	case st.Sort:
		return f.sorted(ctx, s, st)
	case st.Filter:
		return f.filtered(ctx, s, st)
	}
	return s.scan(ctx, st, func(o *parse.Object) (bool, error) { return f.add(o), nil })
}

// filtered leaves out what does not match, skips and limits.
func (f *finder) filtered(ctx context.Context, s *session, st *sqlgen.Statement) error {
	m, err := query.Compile(f.q.Where)
	if err != nil {
		return err
	}
	skip, left := f.q.Skip, f.q.Limit
	visit := func(o *parse.Object) (bool, error) {
		if ok, err := m.Match(o); !ok || err != nil {
			return true, err
		}
		if skip > 0 {
			skip--
			return true, nil
		}
		left--
		only(o, st.Keep)
		return f.add(o) && left != 0, nil
	}
	if f.q.Limit < 0 {
		return s.scan(ctx, st, visit)
	}
	return s.cursor(ctx, st, f.q.Skip+f.q.Limit, visit)
}

// sorted reads all that matches and sorts it.
func (f *finder) sorted(ctx context.Context, s *session, st *sqlgen.Statement) error {
	m, err := query.Compile(f.q.Where)
	if err != nil {
		return err
	}
	var found []*parse.Object
	err = s.scan(ctx, st, func(o *parse.Object) (bool, error) {
		ok, err := m.Match(o)
		if ok {
			found = append(found, o)
		}
		return true, err
	})
	if err != nil {
		return err
	}
	if err := query.Sort(found, f.q); err != nil {
		return err
	}
	found = found[min(f.q.Skip, len(found)):]
	if f.q.Limit >= 0 {
		found = found[:min(f.q.Limit, len(found))]
	}
	for _, o := range found {
		only(o, st.Keep)
	}
	f.objects = found
	return nil
}

// only removes the fields that were not asked for.
func only(o *parse.Object, keep func(field string) bool) {
	if keep == nil {
		return
	}
	for _, name := range o.Keys() {
		if !keep(name) {
			o.Delete(name)
		}
	}
}

// add takes an object and tells whether more are wanted.
func (f *finder) add(o *parse.Object) bool {
	f.objects = append(f.objects, o)
	if f.inTx || f.full || len(f.objects) < page {
		return true
	}
	if !f.holds {
		select {
		case f.db.long <- struct{}{}:
			f.holds = true
		default:
			f.full = true
			return true
		}
	}
	f.flush()
	return !f.stopped
}

func (f *finder) release() {
	if f.holds {
		<-f.db.long
	}
}

// end hands out what is left, or the error that ended the query; nothing to a visitor that wants no more.
func (f *finder) end(err error) {
	if e, ok := err.(*ended); ok {
		err = e.err
	}
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
	f.flushed = true
	for _, o := range f.objects {
		if f.stopped || !f.yield(o, nil) {
			f.stopped = true
			break
		}
	}
	f.objects = nil
}

// scan visits the objects that a statement finds, until the visitor wants no more.
func (s *session) scan(ctx context.Context, st *sqlgen.Statement, visit func(*parse.Object) (more bool, err error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := s.conn.Query(ctx, st.SQL, bind(st.Args)...)
	if err != nil {
		return err
	}
	defer func() { // also when the visitor panics
		cancel() // what is not read yet need not be sent
		rows.Close()
	}()
	class := className(st)
	for rows.Next() {
		o, err := s.object(class, rows, st)
		if err != nil {
			return err
		}
		if more, err := visit(o); err != nil || !more {
			return err
		}
	}
	return rows.Err()
}

// className returns the class of the objects of a statement.
func className(st *sqlgen.Statement) string { return st.Layout.Class.Name }

// cursor is scan for a statement of which perhaps only the beginning is needed: want objects, and those that do not match before them.
func (s *session) cursor(ctx context.Context, st *sqlgen.Statement, want int, visit func(*parse.Object) (more bool, err error)) error {
	return s.atomically(ctx, func() error {
		if _, err := s.conn.Exec(ctx, "DECLARE parley NO SCROLL CURSOR FOR "+st.SQL, bind(st.Args)...); err != nil {
			return err
		}
		more := true
		for size := min(max(2*want, page/4), page); more; size = min(4*size, 16*page) {
			n := 0
			fetch := *st
			fetch.SQL, fetch.Args = "FETCH "+strconv.Itoa(size)+" FROM parley", nil
			err := s.page(ctx, &fetch, func(o *parse.Object) (err error) {
				if n++; more {
					more, err = visit(o)
				}
				return err
			})
			if err != nil {
				return err
			}
			more = more && n == size
		}
		return s.script(ctx, "CLOSE parley")
	})
}

// page visits all objects of a statement that is not prepared: one text has the columns of many classes.
func (s *session) page(ctx context.Context, st *sqlgen.Statement, visit func(*parse.Object) error) error {
	rows, err := s.conn.Query(ctx, st.SQL, pgx.QueryExecModeDescribeExec)
	if err != nil {
		return err
	}
	defer rows.Close()
	class := className(st)
	for rows.Next() {
		o, err := s.object(class, rows, st)
		if err == nil {
			err = visit(o)
		}
		if err != nil {
			return err
		}
	}
	return rows.Err()
}

// Count returns how many objects match. See [storage.Store].
func (db *DB) Count(ctx context.Context, class *schema.Class, where query.Node) (int64, error) {
	var n int64
	err := db.reading(ctx, func(ctx context.Context, s *session) (err error) {
		n, err = s.count(ctx, db.layout(class), where)
		return err
	})
	return n, wrap("Count", class.Name, err)
}

func (s *session) count(ctx context.Context, layout *sqlgen.Layout, where query.Node) (int64, error) {
	n, err := s.countIn(ctx, layout, where)
	if !lacks(err) {
		return n, err
	}
	if err := s.recover(ctx); err != nil {
		return 0, err
	}
	if layout, err = s.actual(ctx, layout); err != nil || layout == nil {
		return 0, err
	}
	return s.countIn(ctx, layout, where)
}

func (s *session) countIn(ctx context.Context, layout *sqlgen.Layout, where query.Node) (n int64, err error) {
	st, err := layout.Count(where)
	if err != nil {
		return 0, err
	}
	if !st.Filter {
		return n, s.row(ctx, st.SQL, bind(st.Args), &n)
	}
	m, err := query.Compile(where)
	if err != nil {
		return 0, err
	}
	err = s.scan(ctx, st, func(o *parse.Object) (bool, error) {
		ok, err := m.Match(o)
		if ok {
			n++
		}
		return true, err
	})
	return n, err
}
