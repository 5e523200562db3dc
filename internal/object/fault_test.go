package object

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/memory"
)

// faulty is an adapter of which one call fails: the one that comes when left is 0.
type faulty struct {
	storage.Adapter
	left *int
}

var errFault = &storage.Error{Kind: storage.Unavailable, Op: "faulty", Err: errors.New("disk full at /secret/path")}

func (f *faulty) fault() error {
	*f.left--
	if *f.left == -1 {
		return errFault
	}
	return nil
}

func (f *faulty) Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error] {
	return faultyStore{f.Adapter, f}.Find(ctx, class, q)
}

func (f *faulty) Count(ctx context.Context, class *schema.Class, where query.Node) (int64, error) {
	return faultyStore{f.Adapter, f}.Count(ctx, class, where)
}

func (f *faulty) Create(ctx context.Context, class *schema.Class, objects ...*parse.Object) error {
	return faultyStore{f.Adapter, f}.Create(ctx, class, objects...)
}

func (f *faulty) Update(ctx context.Context, class *schema.Class, where query.Node, changes storage.Changes, limit int) ([]*parse.Object, error) {
	return faultyStore{f.Adapter, f}.Update(ctx, class, where, changes, limit)
}

func (f *faulty) Delete(ctx context.Context, class *schema.Class, where query.Node, limit int) (int64, error) {
	return faultyStore{f.Adapter, f}.Delete(ctx, class, where, limit)
}

func (f *faulty) SaveClass(ctx context.Context, class *schema.Class) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.Adapter.SaveClass(ctx, class)
}

func (f *faulty) Transact(ctx context.Context, fn func(context.Context, storage.Store) error) error {
	return f.Adapter.Transact(ctx, func(ctx context.Context, tx storage.Store) error {
		if err := fn(ctx, faultyStore{tx, f}); err != nil {
			return err
		}
		return f.fault() // the commit
	})
}

// faultyStore is a store, or a transaction, whose calls count.
type faultyStore struct {
	storage.Store
	f *faulty
}

func (s faultyStore) Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error] {
	if err := s.f.fault(); err != nil {
		return func(yield func(*parse.Object, error) bool) { yield(nil, err) }
	}
	return s.Store.Find(ctx, class, q)
}

func (s faultyStore) Count(ctx context.Context, class *schema.Class, where query.Node) (int64, error) {
	if err := s.f.fault(); err != nil {
		return 0, err
	}
	return s.Store.Count(ctx, class, where)
}

func (s faultyStore) Create(ctx context.Context, class *schema.Class, objects ...*parse.Object) error {
	if err := s.f.fault(); err != nil {
		return err
	}
	return s.Store.Create(ctx, class, objects...)
}

func (s faultyStore) Update(ctx context.Context, class *schema.Class, where query.Node, changes storage.Changes, limit int) ([]*parse.Object, error) {
	if err := s.f.fault(); err != nil {
		return nil, err
	}
	return s.Store.Update(ctx, class, where, changes, limit)
}

func (s faultyStore) Delete(ctx context.Context, class *schema.Class, where query.Node, limit int) (int64, error) {
	if err := s.f.fault(); err != nil {
		return 0, err
	}
	return s.Store.Delete(ctx, class, where, limit)
}

// Whichever call to the database fails, the client reads that something went wrong and no more, nothing is stored by halves,
// and the same request succeeds afterwards.
func TestEveryFaultOfTheDatabase(t *testing.T) {
	const other = `{"__type":"Pointer","className":"T","objectId":"$t$"}`
	for _, test := range []struct {
		name   string
		caller string
		line   string
		body   string
		// calls of the database that the request makes, each of which fails once.
		calls int
		want  string
		// state after a failure, and after the success.
		state, before, after string
	}{
		{"create", "public", "POST R", `{"n":7,"rel":{"__op":"AddRelation","objects":[` + other + `]}}`, 3, `201 {"objectId":"<id>","createdAt":"<date>"} /classes/R/<id>`,
			`GET R?count=1&limit=0&where={"n":7}`, "200 [] count 0", "200 [] count 1"},
		{"update", "public", "PUT R/$r$", `{"n":5,"rel":{"__op":"Batch","ops":[{"__op":"RemoveRelation","objects":[` + other + `]},{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"T","objectId":"x"}]}]}}`, 5, `200 {"updatedAt":"<date>"}`,
			`GET R?count=1&limit=0&where={"n":5}`, "200 [] count 0", "200 [] count 1"},
		{"delete", "public", "DELETE R/$r$", ``, 3, `200 {}`, "GET R?count=1&limit=0", "200 [] count 1", "200 [] count 0"},
		{"delete with a behavior", "master", "DELETE _Role/$role$", ``, 5, `200 {}`, "GET _Role?count=1&limit=0", "200 [] count 1", "200 [] count 0"},
		{"update with a behavior", "master", "PUT _Role/$role$", `{"name":"s"}`, 2, `200 {"updatedAt":"<date>"}`, `GET _Role?count=1&limit=0&where={"name":"s"}`, "200 [] count 0", "200 [] count 1"},
		{"find", "public", `GET R?keys=n,p&include=p&count=1&limit=1&where={"p":{"$inQuery":{"className":"T","where":{}}}}`, ``, 4,
			`200 [{"objectId":"<r>","createdAt":"<date>","updatedAt":"<date>","n":1,"p":{"__type":"Object","className":"T","objectId":"<t>","createdAt":"<date>","updatedAt":"<date>","v":1},"rel":{"__type":"Relation","className":"T"}}] count 1`,
			"GET R?count=1&limit=0", "200 [] count 1", "200 [] count 1"},
		{"related", "public", `GET T?keys=v&where={"$relatedTo":{"object":{"__type":"Pointer","className":"R","objectId":"$r$"},"key":"rel"}}`, ``, 3,
			`200 [{"objectId":"<t>","createdAt":"<date>","updatedAt":"<date>","v":1}]`, "GET R?count=1&limit=0", "200 [] count 1", "200 [] count 1"},
		{"owners", "public", `GET R?keys=x&where={"rel":` + other + `}`, ``, 2,
			`200 [{"objectId":"<r>","createdAt":"<date>","updatedAt":"<date>","rel":{"__type":"Relation","className":"T"}}]`, "GET R?count=1&limit=0", "200 [] count 1", "200 [] count 1"},
		{"get", "public", `GET T/$t$`, ``, 1, `200 {"objectId":"<t>","createdAt":"<date>","updatedAt":"<date>","v":1}`, "GET R?count=1&limit=0", "200 [] count 1", "200 [] count 1"},
	} {
		t.Run(test.name, func(t *testing.T) { // the classes and fields are all there: a schema may grow and the write then fail
			caller := public
			if test.caller == "master" {
				caller = master
			}
			left := -1
			b := newBed(t, &faulty{memory.New(), &left}, func(c *Config) { c.Behaviors = map[string]Behavior{schema.RoleClass: Plain{}} })
			const created = `201 {"objectId":"<id>","createdAt":"<date>"} /classes/`
			b.play([]exchange{
				{line: "POST T", body: `{"v":1}`, as: "t", want: created + "T/<id>"},
				{line: "POST R", body: `{"n":1,"p":` + other + `,"rel":{"__op":"AddRelation","objects":[` + other + `]}}`, as: "r", want: created + "R/<id>"},
				{caller: master, line: "POST _Role", body: `{"name":"r","ACL":{}}`, as: "role", want: created + "_Role/<id>"},
			})
			for call := range test.calls {
				left = call
				b.quiet = true
				got := b.do(caller, test.line, test.body)
				b.quiet = false
				if want := "1 An internal server error occurred"; got != want {
					t.Errorf("with a fault in call %d: %s, want %s", call, got, want)
				}
				left = -1
				if got := b.do(master, test.state, ""); got != test.before {
					t.Errorf("after a fault in call %d: %s, want %s", call, got, test.before)
				}
			}
			delete(b.names, "last")
			left = test.calls
			if got := b.do(caller, test.line, test.body); canonical(got) != canonical(test.want) {
				t.Errorf("%s %s = %s, want %s", test.line, test.body, got, test.want)
			}
			if left != 0 {
				t.Errorf("%s took %d calls, want %d", test.line, test.calls-left, test.calls)
			}
			left = -1
			if got := b.do(master, test.state, ""); got != test.after {
				t.Errorf("at last: %s, want %s", got, test.after)
			}
		})
	}
}
