package storage_test

import (
	"context"
	"errors"
	"iter"
	"math"
	"strings"
	"testing"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/memory"
)

// faulty is an adapter whose answers a test replaces.
type faulty struct {
	storage.Adapter
	find     func(yield func(*parse.Object, error) bool)
	update   func() ([]*parse.Object, error)
	count    func() (int64, error)
	err      error
	transact func(fn func(context.Context, storage.Store) error) error
	classes  []*schema.Class
}

func (f *faulty) Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error] {
	if f.find != nil {
		return f.find
	}
	return f.Adapter.Find(ctx, class, q)
}

func (f *faulty) Count(ctx context.Context, class *schema.Class, where query.Node) (int64, error) {
	if f.count != nil {
		return f.count()
	}
	return f.Adapter.Count(ctx, class, where)
}

func (f *faulty) Create(ctx context.Context, class *schema.Class, objects ...*parse.Object) error {
	if f.err != nil {
		return f.err
	}
	return f.Adapter.Create(ctx, class, objects...)
}

func (f *faulty) Update(ctx context.Context, class *schema.Class, where query.Node, changes storage.Changes, limit int) ([]*parse.Object, error) {
	if f.update != nil {
		return f.update()
	}
	return f.Adapter.Update(ctx, class, where, changes, limit)
}

func (f *faulty) Delete(ctx context.Context, class *schema.Class, where query.Node, limit int) (int64, error) {
	if f.count != nil {
		return f.count()
	}
	return f.Adapter.Delete(ctx, class, where, limit)
}

func (f *faulty) Transact(ctx context.Context, fn func(context.Context, storage.Store) error) error {
	if f.transact != nil {
		return f.transact(fn)
	}
	return f.Adapter.Transact(ctx, fn)
}

func (f *faulty) Classes(ctx context.Context) ([]*schema.Class, error) {
	if f.classes != nil {
		return f.classes, nil
	}
	return f.Adapter.Classes(ctx)
}

func thing() *schema.Class {
	class := schema.New("Thing")
	class.Fields["n"] = schema.Field{Type: schema.Number}
	class.Fields["o"] = schema.Field{Type: schema.Object}
	class.Fields["p"] = schema.Field{Type: schema.Pointer, TargetClass: "Other"}
	class.Fields["g"] = schema.Field{Type: schema.GeoPoint}
	class.Fields["r"] = schema.Field{Type: schema.Relation, TargetClass: "Other"}
	return class
}

func object(id string, fields ...any) *parse.Object {
	o := parse.NewObject("Thing", "objectId", id)
	for i := 0; i < len(fields); i += 2 {
		o.Set(fields[i].(string), fields[i+1])
	}
	return o
}

// TestCheckedCallers: what a caller may not ask does not reach the adapter.
func TestCheckedCallers(t *testing.T) {
	ctx, class := t.Context(), thing()
	subQuery := query.And{&query.SubQuery{Key: "p"}}
	user := schema.New(schema.UserClass)
	create := func(o *parse.Object) func(storage.Adapter) error {
		return func(a storage.Adapter) error { return a.Create(ctx, class, o) }
	}
	change := func(key string, v any) func(storage.Adapter) error {
		return func(a storage.Adapter) error {
			_, err := a.Update(ctx, class, nil, parse.NewMap(key, v), 1)
			return err
		}
	}
	find := func(q *query.Find) func(storage.Adapter) error {
		return func(a storage.Adapter) error { return last(a.Find(ctx, class, q)) }
	}
	tests := []struct {
		call func(storage.Adapter) error
		want string
	}{
		{create(nil), "no object"}, {create(parse.NewObject("Other", "objectId", "x")), `an object of class "Other"`}, {create(parse.NewObject("Thing")), "an object without objectId"},
		{create(object("x", "ACL", parse.ACL{})), "field ACL, of type ACL, is not stored"}, {create(object("x", "r", parse.Relation{ClassName: "Other"})), "field r, of type Relation, is not stored"},
		{create(object("x", "nope", 1.0)), "field nope is not in the schema"}, {create(object("x", "n", "text")), "field n: a String in a field of type Number"},
		{create(object("x", "n", parse.Increment{Amount: 1})), "field n: a parse.Increment"}, {create(object("x", "n", 1)), "field n: 111 This is not a valid int"}, {create(object("x", "n", math.NaN())), "field n: the number NaN"},
		{create(object("x", "p", parse.Pointer{ClassName: "Wrong", ObjectID: "x"})), "field p: a Pointer<Wrong> in a field of type Pointer<Other>"}, {create(object("x", "g", parse.GeoPoint{Latitude: 91})), "field g: the place {91 0}"},
		{create(object("x", "o", parse.NewMap("s", list("\xff")))), "field o: a string that is not UTF-8"}, {create(object("x", "o", parse.NewMap("a", parse.Delete{}))), "field o: a parse.Delete"},
		{create(object("x", "createdAt", parse.MaxDate+1)), "field createdAt: the date 8640000000000001"}, {create(object("x", "_secret", "s")), "field _secret is not in the schema"},
		{func(a storage.Adapter) error {
			return a.Create(ctx, user, parse.NewObject("_User", "objectId", "x", "password", "secret"))
		}, "field password, of type String, is not stored"},
		{change("objectId", "y"), "an objectId does not change"}, {change("r", parse.AddRelation{}), "field r: AddRelation is not for an adapter"}, {change("n", "text"), "field n: a String in a field of type Number"},
		{change("n", parse.Add{}), "field n: a Array in a field of type Number"}, {change("n.x", 1.0), "field n.x: a dotted key into a field of type Number"}, {change("o.x", parse.NewMap("y", parse.Delete{})), "field o.x: a parse.Delete"},
		{change("ACL", parse.ACL{}), "field ACL, of type ACL, is not stored"}, {change("o", parse.Increment{Amount: 1}), "field o: a Number in a field of type Object"},
		{find(nil), "no query, or one with a negative skip"}, {find(&query.Find{Skip: -1}), "no query, or one with a negative skip"}, {find(&query.Find{Where: subQuery}), "*query.SubQuery was not resolved"},
		{func(a storage.Adapter) error {
			_, err := a.Count(ctx, class, query.Nor{&query.RelatedTo{}})
			return err
		}, "*query.RelatedTo was not resolved"},
		{func(a storage.Adapter) error { _, err := a.Delete(ctx, class, subQuery, 1); return err }, "*query.SubQuery was not resolved"},
		{func(a storage.Adapter) error { _, err := a.Update(ctx, class, subQuery, parse.NewMap(), 1); return err }, "*query.SubQuery was not resolved"},
		{func(a storage.Adapter) error { _, err := a.Count(ctx, nil, nil); return err }, "no class"}, {func(a storage.Adapter) error { return a.SaveClass(ctx, &schema.Class{Name: "X"}) }, "a class without objectId"},
		{func(a storage.Adapter) error { return a.SaveClass(ctx, schema.JoinClass("Thing", "r")) }, "a join class comes with its Relation"}, {func(a storage.Adapter) error { return a.DropClass(ctx, "") }, "no class"},
		{func(a storage.Adapter) error { return a.Transact(ctx, nil) }, "no function"},
		{func(a storage.Adapter) error {
			var kept storage.Store
			if err := a.Transact(ctx, func(_ context.Context, tx storage.Store) error { kept = tx; return nil }); err != nil {
				return err
			}
			return kept.Create(ctx, class, object("x"))
		}, "the transaction is over"},
		{func(a storage.Adapter) error {
			return a.Transact(ctx, func(_ context.Context, tx storage.Store) error {
				if err := tx.Create(ctx, class, object("x")); err != nil {
					return err
				}
				for range tx.Find(ctx, class, &query.Find{Limit: -1}) {
					return tx.Create(ctx, class, object("y"))
				}
				return nil
			})
		}, "two calls at once in a transaction"},
	}
	for _, tt := range tests {
		inner := memory.New()
		wantBroken(t, tt.call(storage.Checked(inner)), tt.want)
		if n, err := inner.Count(ctx, class, nil); n != 0 || err != nil {
			t.Errorf("%s: the adapter holds %d objects, %v", tt.want, n, err)
		}
	}
}

// TestCheckedAdapters: what an adapter may not answer does not reach the caller.
func TestCheckedAdapters(t *testing.T) {
	ctx, class := t.Context(), thing()
	failed := &storage.Error{Kind: storage.Transient, Op: "faulty.Find"}
	finds := func(objects ...*parse.Object) *faulty {
		return &faulty{find: func(yield func(*parse.Object, error) bool) {
			for _, o := range objects {
				if !yield(o, nil) {
					return
				}
			}
		}}
	}
	find := func(q *query.Find) func(storage.Adapter) error {
		return func(a storage.Adapter) error { return last(a.Find(ctx, class, q)) }
	}
	all, create := find(&query.Find{Limit: -1}), func(a storage.Adapter) error { return a.Create(ctx, class, object("x")) }
	update := func(a storage.Adapter) error {
		_, err := a.Update(ctx, class, nil, parse.NewMap("n", 1.0), 1)
		return err
	}
	transact := func(a storage.Adapter) error {
		return a.Transact(ctx, func(context.Context, storage.Store) error { return errors.New("mine") })
	}
	tests := []struct {
		adapter *faulty
		call    func(storage.Adapter) error
		want    string
	}{
		{finds(nil), all, "no object"}, {finds(parse.NewObject("Other", "objectId", "x")), all, `an object of class "Other"`}, {finds(object("x", "n", "text")), all, "field n: a String in a field of type Number"},
		{finds(object("x"), object("x")), all, "object x twice"}, {finds(object("y"), object("x")), all, "object x comes after y"}, {finds(object("x"), object("y")), find(&query.Find{Limit: 1}), "more than 1 objects"},
		{finds(object("x", "n", 2.0), object("y", "n", 1.0)), find(&query.Find{Limit: -1, Order: []query.Order{{Key: "n"}}}), "object y comes after x"},
		{finds(object("x", "n", 2.0)), find(&query.Find{Limit: -1, Where: &query.Constraint{Key: "n", Op: query.Eq, Arg: 1.0}}), `object x does not match {"n":1}`},
		{&faulty{find: func(yield func(*parse.Object, error) bool) { _ = yield(nil, failed) && yield(object("x"), nil) }}, all, "the sequence went on after"},
		{&faulty{find: func(yield func(*parse.Object, error) bool) { yield(object("x"), failed) }}, all, "an object beside"},
		{&faulty{find: func(yield func(*parse.Object, error) bool) { yield(nil, errors.New("raw")) }}, all, "an error of type *errors.errorString: raw"},
		{&faulty{err: errors.New("raw")}, create, "an error of type *errors.errorString: raw"}, {&faulty{err: &storage.Error{Op: "faulty.Create"}}, create, "an error without kind or method"}, {&faulty{err: &storage.Error{Kind: storage.Duplicate}}, create, "an error without kind or method"},
		{&faulty{count: func() (int64, error) { return -1, nil }}, func(a storage.Adapter) error { _, err := a.Count(ctx, class, nil); return err }, "-1 objects"},
		{&faulty{count: func() (int64, error) { return 2, nil }}, func(a storage.Adapter) error { _, err := a.Delete(ctx, class, nil, 1); return err }, "2 objects removed, limit 1"},
		{&faulty{update: func() ([]*parse.Object, error) { return []*parse.Object{object("x"), object("y")}, nil }}, update, "2 objects changed, limit 1"},
		{&faulty{update: func() ([]*parse.Object, error) { return []*parse.Object{object("")}, nil }}, update, "an object without objectId"},
		{&faulty{transact: func(func(context.Context, storage.Store) error) error { return nil }}, transact, "the function was not called"},
		{&faulty{transact: func(fn func(context.Context, storage.Store) error) error { _ = fn(ctx, memory.New()); return nil }}, transact, "the error of the function was lost: mine"},
		{&faulty{classes: []*schema.Class{class, class}}, func(a storage.Adapter) error { _, err := a.Classes(ctx); return err }, "a class without a name, or one twice"},
	}
	for _, tt := range tests {
		tt.adapter.Adapter = memory.New()
		wantBroken(t, tt.call(storage.Checked(tt.adapter)), tt.want)
	}
}

func last(objects iter.Seq2[*parse.Object, error]) (err error) {
	for _, err = range objects {
	}
	return err
}

func list(v ...any) []any { return v }

func wantBroken(t *testing.T, err error, want string) {
	t.Helper()
	if !errors.Is(err, storage.ErrContract) || !errors.Is(err, storage.Internal) || !strings.Contains(err.Error(), want) {
		t.Errorf("the call = %v, want a broken contract: %s", err, want)
	}
}

// TestCheckedLetsThrough: what keeps the contract passes, errors of the caller of a transaction and of the adapter included.
func TestCheckedLetsThrough(t *testing.T) {
	ctx, class := t.Context(), thing()
	a := storage.Checked(memory.New())
	if err := a.SaveClass(ctx, class); err != nil {
		t.Fatal(err)
	}
	full := object("x", "createdAt", parse.Date(0), "n", 1.0, "o", parse.NewMap("a", list(nil, parse.NewObject("Other", "objectId", "y"))), "p", parse.Pointer{ClassName: "Other", ObjectID: "y"}, "_rperm", list("*"))
	if err := a.Create(ctx, class, full); err != nil {
		t.Errorf("Create = %v", err)
	}
	if objects, err := a.Update(ctx, class, nil, parse.NewMap("n", parse.Increment{Amount: 1}, "o.b", parse.Add{}, "_wperm", parse.Delete{}, "p", nil), -1); err != nil || len(objects) != 1 {
		t.Errorf("Update = %v, %v", objects, err)
	}
	for o, err := range a.Find(ctx, class, &query.Find{Limit: 1}) {
		if err != nil || o.Get("n") != 2.0 {
			t.Errorf("Find = %v, %v", o, err)
		}
	}
	if err := a.Create(ctx, class, full); !errors.Is(err, storage.Duplicate) || errors.Is(err, storage.ErrContract) {
		t.Errorf("Create of a second x = %v, want %v", err, storage.Duplicate)
	}
	mine := errors.New("mine")
	err := a.Transact(ctx, func(ctx context.Context, tx storage.Store) error {
		if n, err := tx.Delete(ctx, class, nil, -1); n != 1 || err != nil {
			t.Errorf("Delete = %d, %v", n, err)
		}
		return mine
	})
	if err != mine {
		t.Errorf("Transact = %v, want %v", err, mine)
	}
	if err := a.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	_, err = a.Count(ctx, class, nil)
	wantBroken(t, err, "the adapter is closed")
	wantBroken(t, a.Close(), "the adapter is closed")
	wantBroken(t, last(a.Find(ctx, class, &query.Find{})), "the adapter is closed")
}

type explaining struct{ storage.Adapter }

func (explaining) Explain(context.Context, *schema.Class, *query.Find) (any, error) {
	return "plan", nil
}

type copying struct{ storage.Adapter }

func (copying) Backup(context.Context, string) error { return nil }

type both struct {
	storage.Adapter
	storage.Explainer
	storage.Backuper
}

// TestCheckedKeepsOptionalMethods: the decorator can do what the adapter can do, no more and no less.
func TestCheckedKeepsOptionalMethods(t *testing.T) {
	plain := memory.New()
	tests := []struct {
		adapter          storage.Adapter
		explains, copies bool
	}{{plain, false, false}, {explaining{plain}, true, false}, {copying{plain}, false, true}, {both{plain, explaining{}, copying{}}, true, true}}
	for _, tt := range tests {
		a := storage.Checked(tt.adapter)
		_, explains := a.(storage.Explainer)
		_, copies := a.(storage.Backuper)
		if explains != tt.explains || copies != tt.copies {
			t.Errorf("Checked(%T) explains %v and copies %v, want %v and %v", tt.adapter, explains, copies, tt.explains, tt.copies)
		}
	}
}

func TestKindsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for kind := storage.Unavailable; kind <= storage.Internal; kind++ {
		name := kind.String()
		if strings.HasPrefix(name, "Kind(") || seen[name] {
			t.Errorf("kind %d is called %s", kind, name)
		}
		seen[name] = true
		if err := error(&storage.Error{Kind: kind, Op: "x"}); !errors.Is(err, kind) || storage.KindOf(err) != kind {
			t.Errorf("KindOf(%v) = %v", err, storage.KindOf(err))
		}
	}
	if got := (storage.Internal + 1).String(); got != "Kind(7)" {
		t.Errorf("a kind beyond the last is called %s", got)
	}
	if got := storage.KindOf(errors.New("raw")); got != storage.Internal {
		t.Errorf("KindOf(a foreign error) = %v, want %v", got, storage.Internal)
	}
	if got := storage.KindOf(nil); got != 0 {
		t.Errorf("KindOf(nil) = %v, want 0", got)
	}
}
