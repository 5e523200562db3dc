// Package storagetest is the suite that every adapter of package storage passes. A test of an adapter is one line:
//
//	func TestAdapter(t *testing.T) { storagetest.TestAdapter(t, open) }
//
// Each file is one topic: schema.go classes; crud.go writing and reading; update.go operators and dotted keys; corpus.go
// the query language; order.go order and pages; fidelity.go what a value looks like afterwards; names.go names that SQL
// would understand otherwise; size.go large objects and queries; unique.go unique indexes; transaction.go transactions;
// concurrency.go many at once; lifecycle.go contexts and the visitor. differential.go, apart from the suite: random queries.
package storagetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// TestAdapter runs the suite. open returns an empty database; the suite closes it.
func TestAdapter(t *testing.T, open func(t *testing.T) storage.Adapter) {
	for _, topic := range topics {
		t.Run(topic.name, func(t *testing.T) {
			for _, test := range topic.tests {
				t.Run(test.name, func(t *testing.T) { test.run(newSuite(t, open)) })
			}
		})
	}
	t.Run("Corpus", func(t *testing.T) { runCorpus(t, open) })
}

// topics are all tests of the suite but the corpus.
var topics = []topic{
	{"Schema", schemaTests}, {"CRUD", crudTests}, {"Update", updateTests}, {"Order", orderTests}, {"Fidelity", fidelityTests}, {"Names", nameTests},
	{"Size", sizeTests}, {"Unique", uniqueTests}, {"Transactions", transactionTests}, {"Concurrency", concurrencyTests}, {"Lifecycle", lifecycleTests},
}

type topic struct {
	name  string
	tests []test
}

type test struct {
	name string
	run  func(*suite)
}

// suite is one test and its database.
type suite struct {
	*testing.T
	storage.Adapter
	ctx context.Context
}

func newSuite(t *testing.T, open func(t *testing.T) storage.Adapter) *suite {
	t.Helper()
	s := &suite{T: t, Adapter: storage.Checked(open(t)), ctx: t.Context()}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return s
}

// class saves a class with fields given as name, type, name, type, …
func (s *suite) class(name string, fields ...any) *schema.Class {
	s.Helper()
	class := schema.New(name)
	for i := 0; i < len(fields); i += 2 {
		f, ok := fields[i+1].(schema.Field)
		if !ok {
			f = schema.Field{Type: fields[i+1].(schema.Type)}
		}
		class.Fields[fields[i].(string)] = f
	}
	s.save(class)
	return class
}

func (s *suite) save(class *schema.Class) {
	s.Helper()
	if err := s.SaveClass(s.ctx, class); err != nil {
		s.Fatalf("SaveClass(%s) = %v", class.Name, err)
	}
}

// object returns an object of a class that was created at the epoch.
func object(class *schema.Class, id string, fields ...any) *parse.Object {
	o := parse.NewObject(class.Name, "objectId", id)
	if !schema.IsJoin(class.Name) {
		o.Set("createdAt", parse.Date(0))
		o.Set("updatedAt", parse.Date(0))
	}
	for i := 0; i < len(fields); i += 2 {
		o.Set(fields[i].(string), fields[i+1])
	}
	return o
}

// create stores an object.
func (s *suite) create(class *schema.Class, id string, fields ...any) *parse.Object {
	s.Helper()
	o := object(class, id, fields...)
	if err := s.Create(s.ctx, class, o); err != nil {
		s.Fatalf("Create(%s) = %v", parse.Marshal(o), err)
	}
	return o
}

// find returns all objects that match, by id.
func (s *suite) find(class *schema.Class, where query.Node) []*parse.Object {
	s.Helper()
	return s.answer(s.Adapter, class, &query.Find{Where: where, Limit: -1})
}

// answer returns what a query finds in a store.
func (s *suite) answer(store storage.Store, class *schema.Class, q *query.Find) []*parse.Object {
	s.Helper()
	objects, err := collect(s.ctx, store, class, q)
	if err != nil {
		s.Fatalf("Find(%s %s) = %v", class.Name, query.Print(q.Where), err)
	}
	return objects
}

func collect(ctx context.Context, store storage.Store, class *schema.Class, q *query.Find) ([]*parse.Object, error) {
	var objects []*parse.Object
	for o, err := range store.Find(ctx, class, q) {
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// get returns one object, nil when there is none.
func (s *suite) get(class *schema.Class, id string) *parse.Object {
	s.Helper()
	objects := s.find(class, byID(id))
	if len(objects) == 0 {
		return nil
	}
	return objects[0]
}

// update changes objects and returns them.
func (s *suite) update(class *schema.Class, where query.Node, changes ...any) []*parse.Object {
	s.Helper()
	objects, err := s.Update(s.ctx, class, where, parse.NewMap(changes...), -1)
	if err != nil {
		s.Fatalf("Update(%s, %s) = %v", query.Print(where), parse.Marshal(parse.NewMap(changes...)), err)
	}
	return objects
}

// wantIDs compares the ids of objects, in order.
func (s *suite) wantIDs(what string, objects []*parse.Object, want ...string) {
	s.Helper()
	if got := ids(objects); !slices.Equal(got, want) {
		s.Errorf("%s = %v, want %v", what, got, want)
	}
}

// wantObject compares a stored object with what it should be.
func (s *suite) wantObject(class *schema.Class, want *parse.Object) {
	s.Helper()
	if got := s.get(class, want.ID()); !same(got, want) {
		s.Errorf("the stored object = %s, want %s", text(got), text(want))
	}
}

// wantKind checks the kind of an error, and that nobody broke the contract.
func (s *suite) wantKind(what string, err error, want storage.Kind) {
	s.Helper()
	if !errors.Is(err, want) || errors.Is(err, storage.ErrContract) {
		s.Errorf("%s = %v, want %v", what, err, want)
	}
}

func ids(objects []*parse.Object) []string {
	list := make([]string, len(objects))
	for i, o := range objects {
		list[i] = o.ID()
	}
	return list
}

// same compares objects; a field that is null is as good as a missing one, because not every database tells them apart.
func same(a, b *parse.Object) bool {
	return a != nil && b != nil && withoutNulls(a).Equal(withoutNulls(b))
}

func withoutNulls(o *parse.Object) *parse.Object {
	c := &parse.Object{ClassName: o.ClassName}
	for name, v := range o.All() {
		if v != nil {
			c.Set(name, v)
		}
	}
	return c
}

func text(o *parse.Object) string {
	if o == nil {
		return "none"
	}
	return string(parse.Marshal(o))
}

func eq(key string, v any) query.Node { return where(key, query.Eq, v) }

func byID(id string) query.Node { return eq("objectId", id) }

func where(key string, op query.Operator, arg any) query.Node {
	return &query.Constraint{Key: key, Op: op, Arg: arg}
}

func list(v ...any) []any { return append([]any{}, v...) }
