package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// ErrContract is what errors.Is finds in the error of a call that broke the contract of this package, on either side.
var ErrContract = errors.New("contract of storage broken")

// Checked returns an adapter that holds both sides to the contract: its callers to what they may ask, and a to what it may
// answer. What breaks it is an error of kind Internal that wraps [ErrContract]; a call that breaks it does not reach a.
// It costs time (each object found is matched, typed and compared with the one before) and is made for tests.
// It has the optional methods of a, [Explainer] and [Backuper].
func Checked(a Adapter) Adapter {
	c := &checked{adapter: a}
	c.checkedStore = checkedStore{store: a, open: func() error {
		if c.closed.Load() {
			return errors.New("the adapter is closed")
		}
		return nil
	}}
	explainer, explains := a.(Explainer)
	backuper, copies := a.(Backuper)
	switch {
	case explains && copies:
		return struct {
			*checked
			Explainer
			Backuper
		}{c, explainer, backuper}
	case explains:
		return struct {
			*checked
			Explainer
		}{c, explainer}
	case copies:
		return struct {
			*checked
			Backuper
		}{c, backuper}
	}
	return c
}

type checked struct {
	checkedStore
	adapter Adapter
	closed  atomic.Bool
}

func (c *checked) Transact(ctx context.Context, fn func(ctx context.Context, tx Store) error) error {
	const op = "Transact"
	if err := c.open(); err != nil {
		return broken(op, "", err)
	}
	if fn == nil {
		return broken(op, "", errors.New("no function"))
	}
	ran := false
	var failed error
	err := c.adapter.Transact(ctx, func(ctx context.Context, tx Store) error {
		ran = true
		var done atomic.Bool
		defer done.Store(true)
		failed = fn(ctx, &checkedStore{store: tx, exclusive: &atomic.Bool{}, open: func() error {
			if done.Load() {
				return errors.New("the transaction is over")
			}
			return nil
		}})
		return failed
	})
	switch {
	case err == nil && !ran:
		return broken(op, "", errors.New("the function was not called"))
	case err == nil && failed != nil:
		return broken(op, "", fmt.Errorf("the error of the function was lost: %w", failed))
	case failed != nil && errors.Is(err, failed):
		return err // the caller's own error, of whatever type
	}
	return result(op, "", err)
}

func (c *checked) Classes(ctx context.Context) ([]*schema.Class, error) {
	const op = "Classes"
	if err := c.open(); err != nil {
		return nil, broken(op, "", err)
	}
	classes, err := c.adapter.Classes(ctx)
	if err != nil {
		return nil, result(op, "", err)
	}
	seen := map[string]bool{}
	for _, class := range classes {
		if class == nil || class.Name == "" || seen[class.Name] {
			return nil, broken(op, "", errors.New("a class without a name, or one twice"))
		}
		seen[class.Name] = true
	}
	return classes, nil
}

func (c *checked) SaveClass(ctx context.Context, class *schema.Class) error {
	const op = "SaveClass"
	if err := c.begin(op, class); err != nil {
		return err
	}
	if schema.IsJoin(class.Name) {
		return broken(op, class.Name, errors.New("a join class comes with its Relation"))
	}
	if f := class.Fields["objectId"]; f.Type != schema.String {
		return broken(op, class.Name, errors.New("a class without objectId"))
	}
	return result(op, class.Name, c.adapter.SaveClass(ctx, class))
}

func (c *checked) DropClass(ctx context.Context, class string) error {
	const op = "DropClass"
	if err := c.open(); err != nil {
		return broken(op, class, err)
	}
	if class == "" {
		return broken(op, class, errors.New("no class"))
	}
	return result(op, class, c.adapter.DropClass(ctx, class))
}

func (c *checked) Capabilities() Capabilities { return c.adapter.Capabilities() }

func (c *checked) Ping(ctx context.Context) error {
	if err := c.open(); err != nil {
		return broken("Ping", "", err)
	}
	return result("Ping", "", c.adapter.Ping(ctx))
}

func (c *checked) Close() error {
	if c.closed.Swap(true) {
		return broken("Close", "", errors.New("the adapter is closed"))
	}
	return result("Close", "", c.adapter.Close())
}

// checkedStore checks the methods that an adapter and a transaction have in common.
type checkedStore struct {
	store Store
	// open tells why the store may not be used any more.
	open func() error
	// exclusive, in a transaction, is set while a method runs: they are called one at a time.
	exclusive *atomic.Bool
}

// begin checks what every call has to respect.
func (s *checkedStore) begin(op string, class *schema.Class) error {
	switch err := s.open(); {
	case class == nil || class.Name == "":
		return broken(op, "", errors.New("no class"))
	case err != nil:
		return broken(op, class.Name, err)
	}
	return nil
}

// enter takes the store for one call; the function it returns gives it back.
func (s *checkedStore) enter(op string, class *schema.Class) (leave func(), err error) {
	if err := s.begin(op, class); err != nil {
		return nil, err
	}
	if s.exclusive == nil {
		return func() {}, nil
	}
	if s.exclusive.Swap(true) {
		return nil, broken(op, class.Name, errors.New("two calls at once in a transaction"))
	}
	return func() { s.exclusive.Store(false) }, nil
}

func (s *checkedStore) Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error] {
	const op = "Find"
	return func(yield func(*parse.Object, error) bool) {
		leave, err := s.enter(op, class)
		if err != nil {
			yield(nil, err)
			return
		}
		defer leave()
		if q == nil || q.Skip < 0 {
			yield(nil, broken(op, class.Name, errors.New("no query, or one with a negative skip")))
			return
		}
		judge, err := newJudge(class, q)
		if err != nil {
			yield(nil, broken(op, class.Name, err))
			return
		}
		var end error
		for object, err := range s.store.Find(ctx, class, q) {
			if end != nil {
				yield(nil, broken(op, class.Name, fmt.Errorf("the sequence went on after %w", end)))
				return
			}
			if err != nil {
				if end = result(op, class.Name, err); object != nil {
					end = broken(op, class.Name, fmt.Errorf("an object beside %w", err))
				}
				continue
			}
			if err := judge.check(object); err != nil {
				yield(nil, broken(op, class.Name, err))
				return
			}
			if !yield(object, nil) {
				return
			}
		}
		if end != nil {
			yield(nil, end)
		}
	}
}

func (s *checkedStore) Count(ctx context.Context, class *schema.Class, where query.Node) (int64, error) {
	const op = "Count"
	leave, err := s.enter(op, class)
	if err != nil {
		return 0, err
	}
	defer leave()
	if err := checkWhere(where); err != nil {
		return 0, broken(op, class.Name, err)
	}
	n, err := s.store.Count(ctx, class, where)
	if err != nil {
		return 0, result(op, class.Name, err)
	}
	if n < 0 {
		return 0, broken(op, class.Name, fmt.Errorf("%d objects", n))
	}
	return n, nil
}

func (s *checkedStore) Create(ctx context.Context, class *schema.Class, objects ...*parse.Object) error {
	const op = "Create"
	leave, err := s.enter(op, class)
	if err != nil {
		return err
	}
	defer leave()
	for _, object := range objects {
		if err := checkObject(class, object); err != nil {
			return broken(op, class.Name, err)
		}
	}
	return result(op, class.Name, s.store.Create(ctx, class, objects...))
}

func (s *checkedStore) Update(ctx context.Context, class *schema.Class, where query.Node, changes Changes, limit int) ([]*parse.Object, error) {
	const op = "Update"
	leave, err := s.enter(op, class)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := checkWhere(where); err != nil {
		return nil, broken(op, class.Name, err)
	}
	for key, change := range changes.All() {
		if err := checkChange(class, key, change); err != nil {
			return nil, broken(op, class.Name, err)
		}
	}
	objects, err := s.store.Update(ctx, class, where, changes, limit)
	if err != nil {
		return nil, result(op, class.Name, err)
	}
	if limit >= 0 && len(objects) > limit {
		return nil, broken(op, class.Name, fmt.Errorf("%d objects changed, limit %d", len(objects), limit))
	}
	seen := map[string]bool{}
	for _, object := range objects {
		if err := checkObject(class, object); err != nil {
			return nil, broken(op, class.Name, err)
		}
		if seen[object.ID()] {
			return nil, broken(op, class.Name, fmt.Errorf("object %s twice", object.ID()))
		}
		seen[object.ID()] = true
	}
	return objects, nil
}

func (s *checkedStore) Delete(ctx context.Context, class *schema.Class, where query.Node, limit int) (int64, error) {
	const op = "Delete"
	leave, err := s.enter(op, class)
	if err != nil {
		return 0, err
	}
	defer leave()
	if err := checkWhere(where); err != nil {
		return 0, broken(op, class.Name, err)
	}
	n, err := s.store.Delete(ctx, class, where, limit)
	if err != nil {
		return 0, result(op, class.Name, err)
	}
	if n < 0 || limit >= 0 && n > int64(limit) {
		return 0, broken(op, class.Name, fmt.Errorf("%d objects removed, limit %d", n, limit))
	}
	return n, nil
}

func broken(op, class string, err error) error {
	return &Error{Kind: Internal, Op: "checked." + op, Class: class, Err: fmt.Errorf("%w: %w", ErrContract, err)}
}

// result checks the error of an adapter.
func result(op, class string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		return broken(op, class, fmt.Errorf("an error of type %T: %w", err, err))
	}
	if int(e.Kind) >= len(kindNames) || kindNames[e.Kind] == "" || e.Op == "" {
		return broken(op, class, fmt.Errorf("an error without kind or method: %w", err))
	}
	return err
}
