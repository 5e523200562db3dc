package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// Create stores new objects. See [storage.Store].
func (db *DB) Create(ctx context.Context, class *schema.Class, objects ...*parse.Object) error {
	w, err := db.create(class, objects)
	if err == nil {
		err = db.writing(ctx, w.do)
	}
	return wrap("Create", class.Name, w.explain("Create", err))
}

// Update changes objects. See [storage.Store].
func (db *DB) Update(ctx context.Context, class *schema.Class, where query.Node, changes storage.Changes, limit int) ([]*parse.Object, error) {
	w, err := db.update(class, where, changes, limit)
	if err == nil {
		err = db.writing(ctx, w.do)
	}
	if err != nil {
		return nil, wrap("Update", class.Name, w.explain("Update", err))
	}
	return w.objects, nil
}

// Delete removes objects. See [storage.Store].
func (db *DB) Delete(ctx context.Context, class *schema.Class, where query.Node, limit int) (int64, error) {
	w, err := db.delete(class, where, limit)
	if err == nil {
		err = db.writing(ctx, w.do)
	}
	if err != nil {
		return 0, wrap("Delete", class.Name, w.explain("Delete", err))
	}
	return w.count, nil
}

// write is one write that can be run, alone or in a transaction, and run again.
type write struct {
	db     *DB
	layout *sqlgen.Layout
	run    func(ctx context.Context, s *session) error
	// ensure says that the write may need tables and columns that are not there; one that finds objects has nothing to find then.
	ensure bool

	objects []*parse.Object
	count   int64
}

// do runs the write, and makes the columns that it lacks.
func (w *write) do(ctx context.Context, s *session) error {
	w.objects, w.count = nil, 0
	err := w.run(ctx, s)
	if !lacks(err) {
		return err
	}
	if err := s.recover(ctx); err != nil {
		return err
	}
	w.objects, w.count = nil, 0
	if !w.ensure {
		layout, err := s.actual(ctx, w.layout)
		if err != nil || layout == nil {
			return err
		}
	}
	if err := s.atomically(ctx, func() error { return w.db.ensureTable(ctx, s, w.layout) }); err != nil {
		return err
	}
	return w.run(ctx, s)
}

// explain names the fields of the index that refused a write.
func (w *write) explain(op string, err error) error {
	if err == nil || w == nil {
		return err
	}
	return explain(op, w.layout, err)
}

func (db *DB) create(class *schema.Class, objects []*parse.Object) (*write, error) {
	w := &write{db: db, layout: db.layout(class), ensure: true}
	if len(objects) >= copyFrom {
		return w, w.bulk(objects)
	}
	statements := make([]*sqlgen.Statement, len(objects))
	var providers []string
	for i, o := range objects {
		var err error
		if statements[i], err = w.layout.Insert(o); err != nil {
			return w, err
		}
		bind(statements[i].Args)
		providers = appendProviders(providers, class.Name, &o.Map)
	}
	w.run = func(ctx context.Context, s *session) error {
		if err := db.ensureProviders(ctx, s, w.layout, providers); err != nil {
			return err
		}
		return s.all(ctx, statements)
	}
	return w, nil
}

// copyFrom is from how many objects on COPY is faster than a statement for each.
const copyFrom = 100

// bulk makes the write one that stores new objects by COPY: one statement, all or none.
func (w *write) bulk(objects []*parse.Object) error {
	columns, rows, err := w.layout.Rows(objects)
	if err != nil {
		return err
	}
	var providers []string
	for i, o := range objects {
		bind(rows[i])
		providers = appendProviders(providers, o.ClassName, &o.Map)
	}
	for i, name := range columns {
		columns[i] = unquote(name)
	}
	class := w.layout.Class.Name
	table := pgx.Identifier{w.db.dialect.Schema, w.db.dialect.TableName(class)}
	w.run = func(ctx context.Context, s *session) error {
		if err := w.db.ensureProviders(ctx, s, w.layout, providers); err != nil {
			return err
		}
		_, err := s.conn.CopyFrom(ctx, table, columns, pgx.CopyFromRows(rows))
		return err
	}
	return nil
}

// all runs statements, all or none: what is sent in one message is one transaction.
func (s *session) all(ctx context.Context, statements []*sqlgen.Statement) error {
	if len(statements) == 1 {
		_, err := s.conn.Exec(ctx, statements[0].SQL, bind(statements[0].Args)...)
		return err
	}
	if len(statements) == 0 {
		return ctx.Err()
	}
	batch := &pgx.Batch{}
	for _, st := range statements {
		batch.Queue(st.SQL, bind(st.Args)...)
	}
	return s.conn.SendBatch(ctx, batch).Close()
}

func (db *DB) update(class *schema.Class, where query.Node, changes *parse.Map, limit int) (*write, error) {
	w := &write{db: db, layout: db.layout(class)}
	if limit == 0 {
		w.run = func(ctx context.Context, _ *session) error { return ctx.Err() }
		return w, nil
	}
	if _, pinned := query.PinnedID(where); pinned || limit < 0 {
		st, err := w.layout.Direct(where, changes)
		if err != nil {
			return w, err
		}
		if st != nil {
			w.run = func(ctx context.Context, s *session) error { return s.scan(ctx, st, w.take) }
			return w, nil
		}
	}
	st, err := w.layout.ForUpdate(where, limit)
	if err != nil {
		return w, err
	}
	names := rootsOf(changes)
	providers := appendProviders(nil, class.Name, changes)
	w.run = func(ctx context.Context, s *session) error {
		if err := db.ensureProviders(ctx, s, w.layout, providers); err != nil {
			return err
		}
		return s.atomically(ctx, func() error {
			w.objects = nil
			if err := s.lock(ctx, st, where, limit, w.take); err != nil {
				return err
			}
			return w.change(ctx, s, names, changes)
		})
	}
	return w, nil
}

// take keeps an object.
func (w *write) take(o *parse.Object) (bool, error) {
	w.objects = append(w.objects, o)
	return true, nil
}

// change applies changes to the objects that are locked, and writes them.
func (w *write) change(ctx context.Context, s *session, names []string, changes *parse.Map) error {
	statements := make([]*sqlgen.Statement, 0, len(w.objects))
	for _, o := range w.objects {
		if err := parse.ApplyChanges(&o.Map, changes); err != nil {
			return err
		}
		for _, name := range names {
			if o.Get(name) == nil {
				o.Delete(name)
			}
		}
		if len(names) == 0 {
			continue
		}
		st, err := w.layout.Replace(o.ID(), names, &o.Map)
		if err != nil {
			return err
		}
		statements = append(statements, st)
	}
	return s.all(ctx, statements)
}

// lock visits the objects that match, at most limit, after it locked their rows.
func (s *session) lock(ctx context.Context, st *sqlgen.Statement, where query.Node, limit int, visit func(*parse.Object) (bool, error)) error {
	if !st.Filter {
		return s.scan(ctx, st, visit)
	}
	m, err := query.Compile(where)
	if err != nil {
		return err
	}
	chosen := func(o *parse.Object) (bool, error) {
		ok, err := m.Match(o)
		if !ok || err != nil {
			return true, err
		}
		limit--
		more, err := visit(o)
		return more && limit != 0, err
	}
	if limit < 0 {
		return s.scan(ctx, st, chosen)
	}
	return s.cursor(ctx, st, limit, chosen)
}

// rootsOf returns the names of the fields that changes touch, each once.
func rootsOf(changes *parse.Map) []string {
	roots := parse.NewMap()
	for key := range changes.All() {
		root, _, _ := strings.Cut(key, ".")
		roots.Set(root, nil)
	}
	return roots.Keys()
}

func (db *DB) delete(class *schema.Class, where query.Node, limit int) (*write, error) {
	w := &write{db: db, layout: db.layout(class)}
	if limit == 0 {
		w.run = func(ctx context.Context, _ *session) error { return ctx.Err() }
		return w, nil
	}
	st, err := w.layout.Delete(where, limit)
	if err != nil {
		return w, err
	}
	if !st.Filter {
		w.run = func(ctx context.Context, s *session) (err error) {
			w.count, err = s.exec(ctx, st.SQL, bind(st.Args)...)
			return err
		}
		return w, nil
	}
	if st, err = w.layout.ForUpdate(where, limit); err != nil {
		return w, err
	}
	w.run = func(ctx context.Context, s *session) error {
		return s.atomically(ctx, func() error {
			var ids []string
			err := s.lock(ctx, st, where, limit, func(o *parse.Object) (bool, error) {
				ids = append(ids, o.ID())
				return true, nil
			})
			if err != nil || len(ids) == 0 {
				return err
			}
			w.count, err = s.exec(ctx, "DELETE FROM "+w.layout.Table+` WHERE "objectId" = ANY($1)`, ids)
			return err
		})
	}
	return w, nil
}
