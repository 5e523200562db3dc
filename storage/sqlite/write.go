package sqlite

import (
	"context"
	"strings"

	"zombiezen.com/go/sqlite"

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
		err = db.writer.do(ctx, w.job())
	}
	return wrap("Create", class.Name, w.explain("Create", err))
}

// Update changes objects. See [storage.Store].
func (db *DB) Update(ctx context.Context, class *schema.Class, where query.Node, changes storage.Changes, limit int) ([]*parse.Object, error) {
	w, err := db.update(class, where, changes, limit)
	if err == nil {
		err = db.writer.do(ctx, w.job())
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
		err = db.writer.do(ctx, w.job())
	}
	if err != nil {
		return 0, wrap("Delete", class.Name, w.explain("Delete", err))
	}
	return w.count, nil
}

// write is one write that can be run, in a group or in a transaction, and run again.
type write struct {
	db     *DB
	layout *sqlgen.Layout
	run    func(c *conn) error
	steps  bool
	// ensure says that the write may need tables and columns that are not there; one that finds objects has nothing to find then.
	ensure bool

	objects []*parse.Object
	count   int64
}

func (w *write) job() *job { return &job{run: w.do, steps: w.steps} }

// do runs the write, and makes the columns that it lacks.
func (w *write) do(c *conn) error {
	err := w.run(c)
	if !lacks(err) {
		return err
	}
	if !w.ensure {
		layout, err := c.actual(w.layout)
		if err != nil || layout == nil {
			w.objects, w.count = nil, 0
			return err
		}
	}
	if err := w.db.ensureTable(c, w.layout); err != nil {
		return err
	}
	return w.run(c)
}

// explain names the fields of the index that refused a write.
func (w *write) explain(op string, err error) error {
	if err == nil || w == nil || sqlite.ErrCode(err).ToPrimary() != sqlite.ResultConstraint {
		return err
	}
	return duplicate(op, w.layout, err)
}

func (db *DB) create(class *schema.Class, objects []*parse.Object) (*write, error) {
	w := &write{db: db, layout: db.layout(class), ensure: true, steps: len(objects) > 1}
	statements := make([]*sqlgen.Statement, len(objects))
	var providers []string
	for i, o := range objects {
		var err error
		if statements[i], err = w.layout.Insert(o); err != nil {
			return w, err
		}
		providers = appendProviders(providers, class.Name, &o.Map)
	}
	w.steps = w.steps || len(providers) > 0
	w.run = func(c *conn) error {
		if err := c.ensureProviders(w.layout, providers); err != nil {
			return err
		}
		for _, st := range statements {
			if err := c.run(st, nil); err != nil {
				return err
			}
		}
		return nil
	}
	return w, nil
}

func (db *DB) update(class *schema.Class, where query.Node, changes *parse.Map, limit int) (*write, error) {
	w := &write{db: db, layout: db.layout(class)}
	if limit == 0 {
		w.run = func(*conn) error { return nil }
		return w, nil
	}
	if _, pinned := query.PinnedID(where); pinned || limit < 0 {
		st, err := w.layout.Direct(where, changes)
		if err != nil {
			return w, err
		}
		if st != nil {
			w.run = func(c *conn) (err error) {
				w.objects, err = c.objects(w.layout, st)
				return err
			}
			return w, nil
		}
	}
	st, err := w.layout.ForUpdate(where, limit)
	if err != nil {
		return w, err
	}
	names := rootsOf(changes)
	providers := appendProviders(nil, class.Name, changes)
	w.steps = true
	w.run = func(c *conn) (err error) {
		if err := c.ensureProviders(w.layout, providers); err != nil {
			return err
		}
		if w.objects, err = c.objects(w.layout, st); err != nil {
			return err
		}
		for _, o := range w.objects {
			if err := parse.ApplyChanges(&o.Map, changes); err != nil {
				return err
			}
			replace, err := w.layout.Replace(o.ID(), names, &o.Map)
			if err != nil {
				return err
			}
			if err := c.run(replace, nil); err != nil {
				return err
			}
		}
		return nil
	}
	return w, nil
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
	// A function of ours that fails in the middle, such as a regular expression that takes too long, must not leave half of it done.
	w := &write{db: db, layout: db.layout(class), steps: limit != 1}
	if limit == 0 {
		w.run = func(*conn) error { return nil }
		return w, nil
	}
	st, err := w.layout.Delete(where, limit)
	if err != nil {
		return w, err
	}
	w.run = func(c *conn) error {
		err := c.run(st, nil)
		w.count = int64(c.sql.Changes())
		return err
	}
	return w, nil
}

// objects returns what a statement yields.
func (c *conn) objects(layout *sqlgen.Layout, st *sqlgen.Statement) ([]*parse.Object, error) {
	var list []*parse.Object
	err := c.run(st, func(stmt *sqlite.Stmt) (bool, error) {
		o, err := c.object(layout.Class.Name, stmt, st)
		list = append(list, o)
		return true, err
	})
	return list, err
}
