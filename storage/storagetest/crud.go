package storagetest

import (
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

var crudTests = []test{
	{"CreateAndFind", testCreateAndFind},
	{"CreateMany", testCreateMany},
	{"CreateAllOrNone", testCreateAllOrNone},
	{"Keys", testKeys},
	{"Count", testCount},
	{"Delete", testDelete},
	{"OwnCopies", testOwnCopies},
	{"Rights", testRights},
	{"ClassesAreApart", testClassesAreApart},
}

func testCreateAndFind(s *suite) {
	class := s.class("Thing", "a", schema.Number, "b", schema.String)
	x := s.create(class, "x", "a", 1.0, "b", "one")
	s.create(class, "y", "b", "two")
	s.wantObject(class, x)
	s.wantIDs("Find(all)", s.find(class, nil), "x", "y")
	s.wantIDs("Find(a = 1)", s.find(class, eq("a", 1.0)), "x")
	s.wantIDs("Find(a = 2)", s.find(class, eq("a", 2.0)))
	s.wantIDs("Find(objectId = X)", s.find(class, byID("X")))
}

func testCreateMany(s *suite) {
	class := s.class("Thing", "a", schema.Number, "b", schema.String)
	if err := s.Create(s.ctx, class); err != nil {
		s.Errorf("Create of nothing = %v", err)
	}
	x, y, z := object(class, "x", "a", 1.0), object(class, "y", "b", "two"), object(class, "z")
	if err := s.Create(s.ctx, class, x, y, z); err != nil {
		s.Fatalf("Create = %v", err)
	}
	for _, o := range []*parse.Object{x, y, z} {
		s.wantObject(class, o)
	}
}

func testCreateAllOrNone(s *suite) {
	class := s.class("Thing", "a", schema.Number)
	s.create(class, "x", "a", 1.0)
	s.wantKind("Create(y, x)", s.Create(s.ctx, class, object(class, "y"), object(class, "x", "a", 2.0)), storage.Duplicate)
	s.wantKind("Create(z, z)", s.Create(s.ctx, class, object(class, "z"), object(class, "z")), storage.Duplicate)
	s.wantIDs("Find(all)", s.find(class, nil), "x")
	s.wantObject(class, object(class, "x", "a", 1.0))
}

func testKeys(s *suite) {
	class := s.class("Thing", "a", schema.Number, "b", schema.String, "o", schema.Object)
	full := s.create(class, "x", "a", 1.0, "b", "one", "o", parse.NewMap("k", 1.0), "_rperm", list("*"), "_wperm", list())
	tests := []struct {
		keys  []string
		extra []string
	}{
		{nil, []string{"a", "b", "o"}}, {[]string{}, nil}, {[]string{"a"}, []string{"a"}}, {[]string{"o.k"}, []string{"o"}}, {[]string{"nope", "b"}, []string{"b"}},
	}
	for _, tt := range tests {
		found := s.answer(s.Adapter, class, &query.Find{Where: eq("b", "one"), Keys: tt.keys, Limit: -1})
		if len(found) != 1 {
			s.Fatalf("Find(keys %v) = %v", tt.keys, ids(found))
		}
		for _, name := range append([]string{"objectId", "createdAt", "updatedAt", "_rperm", "_wperm"}, tt.extra...) {
			if got, want := found[0].Get(name), full.Get(name); !parse.Equal(got, want) {
				s.Errorf("Find(keys %v): %s = %v, want %v", tt.keys, name, got, want)
			}
		}
		for name, v := range found[0].All() {
			if v != nil && !parse.Equal(v, full.Get(name)) {
				s.Errorf("Find(keys %v): %s = %v, want %v or nothing", tt.keys, name, v, full.Get(name))
			}
		}
	}
	// Order and where see fields that are not asked for.
	s.create(class, "w", "a", 2.0, "b", "one")
	found := s.answer(s.Adapter, class, &query.Find{Where: eq("b", "one"), Keys: []string{}, Order: []query.Order{{Key: "a", Descending: true}}, Limit: -1})
	s.wantIDs("Find(keys none, order -a)", found, "w", "x")
}

func testCount(s *suite) {
	class := s.class("Thing", "a", schema.Number)
	for _, id := range []string{"x", "y", "z"} {
		s.create(class, id, "a", float64(len(id)))
	}
	for _, tt := range []struct {
		where query.Node
		want  int64
	}{{nil, 3}, {eq("a", 1.0), 3}, {byID("x"), 1}, {eq("a", 2.0), 0}, {query.Or{byID("x"), byID("y")}, 2}, {query.Never(), 0}} {
		if n, err := s.Count(s.ctx, class, tt.where); n != tt.want || err != nil {
			s.Errorf("Count(%s) = %d, %v, want %d", query.Print(tt.where), n, err, tt.want)
		}
	}
}

func testDelete(s *suite) {
	class := s.class("Thing", "a", schema.Number)
	for _, id := range []string{"u", "v", "w", "x", "y", "z"} {
		s.create(class, id, "a", 1.0)
	}
	for _, tt := range []struct {
		where query.Node
		limit int
		want  int64
		left  int
	}{{byID("nope"), -1, 0, 6}, {byID("x"), -1, 1, 5}, {byID("x"), -1, 0, 5}, {eq("a", 1.0), 0, 0, 5}, {eq("a", 1.0), 2, 2, 3}, {eq("a", 2.0), 2, 0, 3}, {nil, -1, 3, 0}} {
		if n, err := s.Delete(s.ctx, class, tt.where, tt.limit); n != tt.want || err != nil {
			s.Errorf("Delete(%s, %d) = %d, %v, want %d", query.Print(tt.where), tt.limit, n, err, tt.want)
		}
		if got := s.find(class, nil); len(got) != tt.left {
			s.Errorf("after Delete(%s, %d) there are %v, want %d", query.Print(tt.where), tt.limit, ids(got), tt.left)
		}
	}
	s.create(class, "x", "a", 3.0)
	s.wantObject(class, object(class, "x", "a", 3.0))
}

// testOwnCopies: neither the caller of a write nor a visitor can change what is stored.
func testOwnCopies(s *suite) {
	class := s.class("Thing", "l", schema.Array, "o", schema.Object, "b", schema.Bytes)
	spoil := func(o *parse.Object) {
		o.Get("l").([]any)[0] = "spoiled"
		o.Get("o").(*parse.Map).Set("k", "spoiled")
		o.Get("b").(parse.Bytes)[0] = '!'
		o.Set("objectId", "spoiled")
	}
	fields := func() []any { return []any{"l", list(1.0), "o", parse.NewMap("k", 1.0), "b", parse.Bytes("b")} }
	want := object(class, "x", fields()...)
	spoil(s.create(class, "x", fields()...))
	s.wantObject(class, want)
	spoil(s.get(class, "x"))
	s.wantObject(class, want)
	spoil(s.update(class, byID("x"), fields()...)[0])
	s.wantObject(class, want)
	value := parse.NewMap("k", 1.0)
	s.update(class, byID("x"), "o", value)
	value.Set("k", "spoiled")
	s.wantObject(class, want)
}

// testRights: _rperm and _wperm are fields like others, and absent for a public object, which an empty one is not.
func testRights(s *suite) {
	class := s.class("Thing")
	s.create(class, "public")
	s.create(class, "nobody", "_rperm", list(), "_wperm", list())
	s.create(class, "some", "_rperm", list("role:A", "u1"), "_wperm", list("u1"))
	for _, tt := range []struct {
		readers []any
		want    []string
	}{
		{list(nil, "*"), []string{"public"}}, {list(nil, "*", "u1"), []string{"public", "some"}}, {list(nil, "*", "u2", "role:A"), []string{"public", "some"}},
		{list("u1"), []string{"some"}}, {list("u"), nil}, {list("role:"), nil},
	} {
		s.wantIDs("Find(_rperm in "+string(parse.Marshal(tt.readers))+")", s.find(class, where("_rperm", query.In, tt.readers)), tt.want...)
	}
	s.update(class, byID("some"), "_rperm", parse.Delete{}, "_wperm", list("u1", "u2"))
	s.wantObject(class, object(class, "some", "_wperm", list("u1", "u2")))
	s.wantIDs("Find(public)", s.find(class, where("_rperm", query.In, list(nil, "*"))), "public", "some")
}

func testClassesAreApart(s *suite) {
	a, b := s.class("A", "v", schema.Number), s.class("B", "v", schema.String)
	s.create(a, "x", "v", 1.0)
	s.create(b, "x", "v", "one")
	s.update(a, nil, "v", parse.Increment{Amount: 1})
	if n, err := s.Delete(s.ctx, b, nil, -1); n != 1 || err != nil {
		s.Errorf("Delete(B) = %d, %v, want 1", n, err)
	}
	s.wantObject(a, object(a, "x", "v", 2.0))
}
