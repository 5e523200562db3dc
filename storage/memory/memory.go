// Package memory keeps the objects of an application in the memory of the process: the reference of package storage,
// for tests and trials.
//
// The stored objects are never changed, only replaced. Readers therefore hold a lock just while they collect what matches.
// A write, or a whole transaction, works on a [draft] of its own that others do not see, and a commit replaces all
// it changed at once; a semaphore admits one draft at a time, which makes transactions serializable.
//
// memory.go the adapter and its classes; draft.go reading and writing; unique.go unique indexes.
package memory

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Adapter is an empty database at first, and gone when nobody refers to it any more.
type Adapter struct {
	// writing holds a token while a draft is open.
	writing chan struct{}

	mu     sync.RWMutex // guards the rest
	tables map[string]*table
	schema map[string]*schema.Class
	closed bool
}

// table holds the objects of a class by objectId, and for each unique index the objectId that has a key.
type table struct {
	objects map[string]*parse.Object
	unique  map[string]map[string]string
}

var _ storage.Adapter = (*Adapter)(nil)

// New returns an empty database.
func New() *Adapter {
	return &Adapter{writing: make(chan struct{}, 1), tables: map[string]*table{}, schema: map[string]*schema.Class{}}
}

// Find answers from one moment: what is written while the visitor looks at the objects does not show.
func (a *Adapter) Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error] {
	return func(yield func(*parse.Object, error) bool) {
		found, err := a.read(ctx, "Find", class, func(d *draft) ([]*parse.Object, error) { return d.find(ctx, q) })
		if err != nil {
			yield(nil, err)
			return
		}
		visit(ctx, class, found, q.Keys, yield)
	}
}

// Count counts in one moment.
func (a *Adapter) Count(ctx context.Context, class *schema.Class, where query.Node) (int64, error) {
	found, err := a.read(ctx, "Count", class, func(d *draft) ([]*parse.Object, error) { return d.matching(ctx, where) })
	return int64(len(found)), err
}

// read runs a look at the database while nobody may change it.
func (a *Adapter) read(ctx context.Context, op string, class *schema.Class, look func(*draft) ([]*parse.Object, error)) ([]*parse.Object, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if err := a.usable(ctx); err != nil {
		return nil, failure(op, class.Name, err)
	}
	found, err := look(newDraft(a.tables[class.Name]))
	return found, failure(op, class.Name, err)
}

// Create stores new objects, all or none.
func (a *Adapter) Create(ctx context.Context, class *schema.Class, objects ...*parse.Object) error {
	return a.write(ctx, "Create", class.Name, func(tx *transaction) error { return tx.Create(ctx, class, objects...) })
}

// Update changes the first limit objects that match in the order of their ids.
func (a *Adapter) Update(ctx context.Context, class *schema.Class, where query.Node, changes storage.Changes, limit int) (changed []*parse.Object, err error) {
	err = a.write(ctx, "Update", class.Name, func(tx *transaction) (err error) {
		changed, err = tx.Update(ctx, class, where, changes, limit)
		return err
	})
	return changed, err
}

// Delete removes the first limit objects that match in the order of their ids.
func (a *Adapter) Delete(ctx context.Context, class *schema.Class, where query.Node, limit int) (n int64, err error) {
	err = a.write(ctx, "Delete", class.Name, func(tx *transaction) (err error) {
		n, err = tx.Delete(ctx, class, where, limit)
		return err
	})
	return n, err
}

// Transact runs fn while no other write runs; readers go on and see what was before. fn must write through tx alone:
// a write to the adapter itself would wait for the end of the transaction.
func (a *Adapter) Transact(ctx context.Context, fn func(ctx context.Context, tx storage.Store) error) error {
	return a.write(ctx, "Transact", "", func(tx *transaction) error { return fn(ctx, tx) })
}

// write runs fn with a transaction of its own and makes what it changed visible, unless it fails or panics.
func (a *Adapter) write(ctx context.Context, op, class string, fn func(tx *transaction) error) error {
	if err := a.lock(ctx, op, class); err != nil {
		return err
	}
	defer a.unlock()
	tx := &transaction{adapter: a, drafts: map[string]*draft{}}
	if err := fn(tx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return failure(op, class, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, d := range tx.drafts {
		if a.tables[name] == nil {
			a.tables[name] = d.base
		}
		d.commit()
	}
	return nil
}

// lock waits for the right to write.
func (a *Adapter) lock(ctx context.Context, op, class string) error {
	select {
	case a.writing <- struct{}{}:
	case <-ctx.Done():
		return failure(op, class, ctx.Err())
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if err := a.usable(ctx); err != nil {
		a.unlock()
		return failure(op, class, err)
	}
	return nil
}

func (a *Adapter) unlock() { <-a.writing }

var errClosed = errors.New("the database is closed")

func (a *Adapter) usable(ctx context.Context) error {
	if a.closed {
		return errClosed
	}
	return ctx.Err()
}

// Classes returns the schema of all classes by name.
func (a *Adapter) Classes(ctx context.Context) ([]*schema.Class, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if err := a.usable(ctx); err != nil {
		return nil, failure("Classes", "", err)
	}
	var classes []*schema.Class
	for _, name := range slices.Sorted(maps.Keys(a.schema)) {
		classes = append(classes, a.schema[name].Clone())
	}
	return classes, nil
}

// SaveClass keeps a class, and drops the values of the fields that are gone.
func (a *Adapter) SaveClass(ctx context.Context, class *schema.Class) error {
	if err := a.lock(ctx, "SaveClass", class.Name); err != nil {
		return err
	}
	defer a.unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if before := a.schema[class.Name]; before != nil {
		for name, field := range before.Fields {
			if _, kept := class.Fields[name]; kept {
				continue
			}
			if field.Type == schema.Relation {
				delete(a.tables, parse.JoinClass(name, class.Name))
			} else if t := a.tables[class.Name]; t != nil {
				t.drop(class.Name, name)
			}
		}
	}
	a.schema[class.Name] = class.Clone()
	return nil
}

// DropClass removes a class with its objects, and the members of its relations.
func (a *Adapter) DropClass(ctx context.Context, class string) error {
	if err := a.lock(ctx, "DropClass", class); err != nil {
		return err
	}
	defer a.unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.schema, class)
	delete(a.tables, class)
	maps.DeleteFunc(a.tables, func(name string, _ *table) bool {
		_, owner, ok := parse.SplitJoinClass(name)
		return ok && owner == class
	})
	return nil
}

// Capabilities says that nothing outlives the process.
func (a *Adapter) Capabilities() storage.Capabilities {
	return storage.Capabilities{Name: "memory", Transactions: true}
}

// Ping fails only after Close.
func (a *Adapter) Ping(ctx context.Context) error {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return failure("Ping", "", a.usable(ctx))
}

// Close waits for the write that runs, and forgets everything.
func (a *Adapter) Close() error {
	a.writing <- struct{}{}
	defer a.unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.tables, a.schema = nil, nil
	return nil
}

// failure makes a *storage.Error of any error: what the data or the query do not allow (a *parse.Error) is Unsupported,
// and an ended context Unavailable.
func failure(op, class string, err error) error {
	var known *storage.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	e := &storage.Error{Kind: storage.Internal, Op: "memory." + op, Class: class, Err: err}
	var refused *parse.Error
	switch {
	case errors.As(err, &refused):
		e.Kind = storage.Unsupported
	case errors.Is(err, errClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Kind = storage.Unavailable
	}
	return e
}

// visit hands out copies, so that the visitor may do with them what it likes.
func visit(ctx context.Context, class *schema.Class, objects []*parse.Object, keys []string, yield func(*parse.Object, error) bool) {
	for _, object := range objects {
		if err := ctx.Err(); err != nil {
			yield(nil, failure("Find", class.Name, err))
			return
		}
		if !yield(project(object, keys), nil) {
			return
		}
	}
}

// project returns a copy with the fields that a query asks for, and no more: who needs others has to say so.
func project(object *parse.Object, keys []string) *parse.Object {
	if keys == nil {
		return object.Clone()
	}
	wanted := map[string]bool{"objectId": true, "createdAt": true, "updatedAt": true, "_rperm": true, "_wperm": true}
	for _, key := range keys {
		name, _, _ := strings.Cut(key, ".")
		wanted[name] = true
	}
	c := &parse.Object{ClassName: object.ClassName}
	for name, v := range object.All() {
		if wanted[name] {
			c.Set(name, parse.Clone(v))
		}
	}
	return c
}
