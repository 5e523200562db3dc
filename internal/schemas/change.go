package schemas

import (
	"context"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

// Evolve returns the schema of a class after it was made to fit a write: a missing class and missing fields are created
// with the types of the given values and operators, in one change of the database. Values that do not fit are an *parse.Error (111),
// a class or field that cannot be called so is one too (107, 105); internal fields ("_rperm") are not accepted.
// It does no I/O when nothing is missing. Whether the caller may add classes or fields is asked through allow, which gets the names
// of the fields to be added (none for a new class without fields) and whether the class is new, before anything is changed; it may be nil.
// For a new class, class is what it will be like without the fields of this write.
//
// The database is changed outside of any transaction: a write in a transaction calls Evolve before it begins.
func (s *Schemas) Evolve(ctx context.Context, class string, values *parse.Map, allow func(class *schema.Class, isNew bool, newFields []string) error) (*schema.Class, error) {
	snap := s.current.Load()
	if known, ok := snap.classes[class]; ok {
		if err := ask(allow, known, false, schema.NewFields(known, values)); err != nil {
			return nil, err
		}
		fit, err := schema.Fit(known, values)
		if err != nil {
			return nil, err
		}
		if fit == known && snap.stored[class] {
			return known, nil
		}
		return s.grow(ctx, class, values)
	}
	fresh := schema.New(class)
	if err := ask(allow, fresh, true, schema.NewFields(fresh, values)); err != nil {
		return nil, err
	}
	if !schema.ValidClassName(class) || schema.IsJoin(class) {
		return nil, parse.Errorf(parse.InvalidJSON, "schema class name does not revalidate")
	}
	if _, err := schema.Fit(fresh, values); err != nil {
		return nil, err
	}
	return s.grow(ctx, class, values)
}

// Fitting returns the schema of a class if a write needs no change of it, and nil where [Schemas.Evolve] would change the database. It does no
// I/O: a transaction asks it, and evolves the schema only after it has ended. The errors are those of Evolve.
func (s *Schemas) Fitting(class string, values *parse.Map) (*schema.Class, error) {
	snap := s.current.Load()
	known, ok := snap.classes[class]
	if !ok {
		return nil, nil
	}
	fit, err := schema.Fit(known, values)
	if err != nil || fit != known || !snap.stored[class] {
		return nil, err
	}
	return known, nil
}

func ask(allow func(*schema.Class, bool, []string) error, class *schema.Class, isNew bool, newFields []string) error {
	if allow == nil || !isNew && len(newFields) == 0 {
		return nil
	}
	return allow(class, isNew, newFields)
}

// grow adds to the class what the values need. Between the look at the snapshot and the lock, another request may have added
// some of it, and with another type: then this one is told that its values do not fit.
func (s *Schemas) grow(ctx context.Context, name string, values *parse.Map) (*schema.Class, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.catchUp(ctx); err != nil {
		return nil, err
	}
	snap := s.current.Load()
	class, ok := snap.classes[name]
	if !ok {
		class = schema.New(name)
	}
	fit, err := schema.Fit(class, values)
	if err != nil {
		return nil, err
	}
	if ok && fit == class && snap.stored[name] {
		return class, nil
	}
	saved, err := s.save(ctx, fit)
	if err != nil {
		return nil, err
	}
	// Another process may have added the same field with another type in the meantime; the database kept the first.
	if _, err := schema.Fit(saved, values); err != nil {
		return nil, err
	}
	return saved, nil
}

// catchUp reads what other processes changed, so that a change starts from what the database has. It needs the lock.
func (s *Schemas) catchUp(ctx context.Context) error {
	if !s.store.Capabilities().Shared {
		return nil
	}
	return s.reload(ctx)
}

// save stores a class and returns it as the database then has it. It needs the lock.
func (s *Schemas) save(ctx context.Context, class *schema.Class) (*schema.Class, error) {
	if err := s.store.SaveClass(ctx, class); err != nil {
		return nil, err
	}
	if s.store.Capabilities().Shared {
		if err := s.reload(ctx); err != nil {
			return nil, err
		}
		if stored := s.current.Load().classes[class.Name]; stored != nil {
			return stored, nil
		}
	}
	snap := newSnapshot(s.current.Load())
	snap.classes[class.Name] = class
	snap.stored[class.Name] = true
	snap.list()
	s.current.Store(snap)
	return class, nil
}

// Create makes a new class from the body of POST /schemas/:class (code 103 when it exists).
func (s *Schemas) Create(ctx context.Context, name string, body *parse.Map) (*schema.Class, error) {
	if err := s.checkLock(); err != nil {
		return nil, err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.catchUp(ctx); err != nil {
		return nil, err
	}
	if _, err := s.Describe(name); err == nil {
		return nil, parse.Errorf(parse.InvalidClassName, "Class %s already exists.", name)
	}
	class, err := schema.Define(name, body, s.opts.CustomIDs)
	if err != nil {
		return nil, err
	}
	return s.save(ctx, class)
}

// Modify changes a class by the body of PUT /schemas/:class (code 103 when it does not exist). The values of removed fields are removed
// with them.
func (s *Schemas) Modify(ctx context.Context, name string, body *parse.Map) (*schema.Class, error) {
	if err := s.checkLock(); err != nil {
		return nil, err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.catchUp(ctx); err != nil {
		return nil, err
	}
	snap := s.current.Load()
	class, ok := snap.classes[name]
	if !ok || !snap.stored[name] {
		return nil, notThere(name)
	}
	changed, err := schema.Change(class, body, s.opts.CustomIDs)
	if err != nil {
		return nil, err
	}
	if changed.Equal(class) {
		return class, nil
	}
	return s.save(ctx, changed)
}

// Drop removes an empty class (code 255 when it has objects). A class that does not exist is no error.
func (s *Schemas) Drop(ctx context.Context, name string) error {
	if err := s.checkLock(); err != nil {
		return err
	}
	if err := schema.CheckClassName(name); err != nil {
		return err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	snap := s.current.Load()
	if !snap.stored[name] {
		return nil
	}
	count, err := s.store.Count(ctx, snap.classes[name], nil)
	if err != nil {
		return err
	}
	if count > 0 {
		return parse.Errorf(parse.InvalidSchemaOperation, "Class %s is not empty, contains %d objects, cannot drop schema.", name, count)
	}
	if err := s.store.DropClass(ctx, name); err != nil {
		return err
	}
	snap = newSnapshot(snap)
	delete(snap.classes, name)
	delete(snap.stored, name)
	if schema.IsSystem(name) {
		snap.classes[name] = schema.New(name)
	}
	snap.list()
	s.current.Store(snap)
	return nil
}

func (s *Schemas) checkLock() error {
	if s.opts.Locked {
		return parse.Errorf(parse.OperationForbidden, "Cannot perform this operation when schemas options is used.")
	}
	return nil
}
