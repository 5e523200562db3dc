package storagetest

import (
	"fmt"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

var updateTests = []test{
	{"Operators", testOperators},
	{"Refused", testRefusedChanges},
	{"InOrder", testChangesInOrder},
	{"ManyAndLimit", testUpdateMany},
	{"Condition", testUpdateCondition},
	{"Nothing", testUpdateNothing},
}

// thing has a field of every type that operators work on.
func (s *suite) thing() *schema.Class {
	s.Helper()
	return s.class("Thing", "n", schema.Number, "s", schema.String, "l", schema.Array, "o", schema.Object, "d", schema.Date, "p", schema.Field{Type: schema.Pointer, TargetClass: "Other"},
		"g", schema.GeoPoint, "f", schema.File, "y", schema.Bytes, "t", schema.Boolean, "poly", schema.Polygon)
}

// testOperators applies one change to an object and compares what Update returns and what is stored then.
func testOperators(s *suite) {
	class := s.thing()
	p, q := parse.Pointer{ClassName: "Other", ObjectID: "p"}, parse.Pointer{ClassName: "Other", ObjectID: "q"}
	ring := sample(schema.Field{Type: schema.Polygon})
	m := parse.NewMap
	tests := []struct {
		fields []any
		change []any
		want   []any
	}{
		{list("s", "a"), list("s", "b"), list("s", "b")}, {list("s", "a"), list("s", nil), list()}, {list("s", "a", "n", 1.0), list("s", parse.Delete{}), list("n", 1.0)},
		{list(), list("s", parse.Delete{}), list()}, {list(), list("s", "x", "d", parse.Date(5), "p", p, "t", true), list("s", "x", "d", parse.Date(5), "p", p, "t", true)},
		{list(), list("g", parse.GeoPoint{Latitude: 1, Longitude: 2}, "f", parse.File{Name: "f"}, "y", parse.Bytes("y"), "poly", ring), list("g", parse.GeoPoint{Latitude: 1, Longitude: 2}, "f", parse.File{Name: "f"}, "y", parse.Bytes("y"), "poly", ring)},
		{list("g", parse.GeoPoint{Latitude: 1, Longitude: 2}, "poly", ring, "p", p), list("g", parse.Delete{}, "poly", parse.Delete{}, "p", parse.Delete{}), list()},
		{list("n", 1.0), list("n", parse.Increment{Amount: 2.5}), list("n", 3.5)}, {list(), list("n", parse.Increment{Amount: -2}), list("n", -2.0)}, {list("n", nil), list("n", parse.Increment{Amount: 1}), list("n", 1.0)},
		{list("l", list(1.0)), list("l", parse.Add{Objects: list(1.0, "x")}), list("l", list(1.0, 1.0, "x"))}, {list(), list("l", parse.Add{Objects: list(p)}), list("l", list(p))},
		{list("l", list(3.0, 1.0)), list("l", parse.AddUnique{Objects: list(1.0, 2.0, 2.0)}), list("l", list(3.0, 1.0, 2.0))}, {list(), list("l", parse.AddUnique{Objects: list("a", "a")}), list("l", list("a"))},
		{list("l", list(p, m("k", 1.0))), list("l", parse.AddUnique{Objects: list(p, q, m("k", 1.0), m("k", 2.0))}), list("l", list(p, m("k", 1.0), q, m("k", 2.0)))},
		{list("l", list(1.0, "x", 1.0, 2.0)), list("l", parse.Remove{Objects: list(1.0, "y")}), list("l", list("x", 2.0))}, {list("l", list(p, q)), list("l", parse.Remove{Objects: list(p)}), list("l", list(q))},
		{list("l", list(1.0)), list("l", parse.Remove{Objects: list(1.0)}), list("l", list())}, {list(), list("l", parse.Remove{Objects: list(1.0)}), list("l", list())},
		{list("o", m("a", m("b", 1.0), "k", "v")), list("o.a.b", 2.0), list("o", m("a", m("b", 2.0), "k", "v"))}, {list(), list("o.a.b", 1.0), list("o", m("a", m("b", 1.0)))},
		{list("o", m("n", 1.0)), list("o.n", parse.Increment{Amount: 2}), list("o", m("n", 3.0))}, {list("o", m("k", "v")), list("o.n", parse.Increment{Amount: 2}), list("o", m("k", "v", "n", 2.0))},
		{list("o", m("a", 1.0, "b", 2.0)), list("o.a", parse.Delete{}), list("o", m("b", 2.0))}, {list("o", m("a", 1.0)), list("o.x.y", parse.Delete{}), list("o", m("a", 1.0))}, {list(), list("o.x", parse.Delete{}), list()},
		{list("o", m("a", 1.0)), list("o.b", nil), list("o", m("a", 1.0, "b", nil))}, {list("o", m("l", list(1.0))), list("o.l", parse.Add{Objects: list(2.0)}), list("o", m("l", list(1.0, 2.0)))},
		{list("o", m("a", 1.0)), list("o.d", parse.Date(5), "o.p", p), list("o", m("a", 1.0, "d", parse.Date(5), "p", p))}, {list("o", m("a", 1.0)), list("o", m()), list("o", m())},
		{list("l", list(m("x", 1.0), m("x", 2.0))), list("l.1.x", 9.0), list("l", list(m("x", 1.0), m("x", 9.0)))}, {list("l", list(1.0)), list("l.2", 3.0), list("l", list(1.0, nil, 3.0))},
		{list("l", list(1.0, 2.0)), list("l.0", parse.Increment{Amount: 5}), list("l", list(6.0, 2.0))}, {list("l", list(1.0, 2.0)), list("l.0", parse.Delete{}), list("l", list(nil, 2.0))},
		{list("o", m("é \"q\" \\", 1.0)), list("o.é \"q\" \\", 2.0, "o.a'b", 3.0), list("o", m("é \"q\" \\", 2.0, "a'b", 3.0))},
		{list("s", "a"), list("updatedAt", parse.Date(7)), list("s", "a", "updatedAt", parse.Date(7))},
	}
	for i, tt := range tests {
		id := fmt.Sprintf("id%d", i)
		before := s.create(class, id, tt.fields...)
		want := object(class, id, tt.want...)
		changed := s.update(class, byID(id), tt.change...)
		if len(changed) != 1 || !same(changed[0], want) {
			s.Errorf("Update(%s, %s) = %v, want %s", text(before), parse.Marshal(tt.change), changed, text(want))
		}
		s.wantObject(class, want)
	}
}

// testRefusedChanges: a change that does not fit what is stored is refused, and of the whole Update nothing is done.
func testRefusedChanges(s *suite) {
	class := s.thing()
	good := s.create(class, "a", "n", 1.0, "l", list(list(), 5.0), "o", parse.NewMap("k", 1.0))
	bad := s.create(class, "b", "n", 1.0, "l", list("x"), "o", parse.NewMap("k", "text"))
	for _, tt := range []struct {
		key    string
		change any
	}{
		{"o.k", parse.Increment{Amount: 1}}, {"l.0", parse.Add{Objects: list(1.0)}}, {"o.k.deep", 1.0}, {"l.x", 1.0}, {"l.99999999", 1.0},
	} {
		changes := parse.NewMap("n", parse.Increment{Amount: 1}, tt.key, tt.change)
		objects, err := s.Update(s.ctx, class, nil, changes, -1)
		s.wantKind(fmt.Sprintf("Update(%s) = %v,", parse.Marshal(changes), ids(objects)), err, storage.Unsupported)
		s.wantObject(class, good)
		s.wantObject(class, bad)
	}
}

func testChangesInOrder(s *suite) {
	class := s.thing()
	s.create(class, "x", "n", 1.0, "l", list(1.0))
	s.update(class, byID("x"), "o", parse.NewMap("a", 1.0), "o.b", 2.0, "o.a", parse.Increment{Amount: 1}, "l", parse.Add{Objects: list(2.0)}, "l.0", 9.0, "n", parse.Increment{Amount: 1}, "s", "end")
	s.wantObject(class, object(class, "x", "n", 2.0, "l", list(9.0, 2.0), "o", parse.NewMap("a", 2.0, "b", 2.0), "s", "end"))
}

func testUpdateMany(s *suite) {
	class := s.thing()
	for _, id := range []string{"u", "v", "w", "x"} {
		s.create(class, id, "n", 1.0)
	}
	changed := s.update(class, query.Or{byID("u"), byID("v")}, "n", parse.Increment{Amount: 1}, "s", "seen")
	if len(changed) != 2 {
		s.Errorf("Update(u or v) = %v", ids(changed))
	}
	s.wantIDs("Find(n = 2)", s.find(class, eq("n", 2.0)), "u", "v")
	for _, tt := range []struct{ limit, want int }{{0, 0}, {1, 1}, {3, 3}, {10, 4}} {
		changed, err := s.Update(s.ctx, class, nil, parse.NewMap("s", fmt.Sprint("limit ", tt.limit)), tt.limit)
		if err != nil || len(changed) != tt.want {
			s.Errorf("Update(limit %d) = %v, %v, want %d", tt.limit, ids(changed), err, tt.want)
		}
		if got := s.find(class, eq("s", fmt.Sprint("limit ", tt.limit))); len(got) != tt.want {
			s.Errorf("Update(limit %d) changed %v, want %d", tt.limit, ids(got), tt.want)
		}
	}
}

// testUpdateCondition: the condition is about the object as it was, even when the change makes it false.
func testUpdateCondition(s *suite) {
	class := s.thing()
	s.create(class, "x", "n", 1.0)
	s.wantIDs("Update(n < 2)", s.update(class, query.And{byID("x"), where("n", query.Lt, 2.0)}, "n", 2.0), "x")
	s.wantIDs("Update(n < 2) again", s.update(class, query.And{byID("x"), where("n", query.Lt, 2.0)}, "n", 3.0))
	s.wantObject(class, object(class, "x", "n", 2.0))
}

func testUpdateNothing(s *suite) {
	class := s.thing()
	x := s.create(class, "x", "n", 1.0)
	s.wantIDs("Update(nope)", s.update(class, byID("nope"), "n", 5.0))
	changed := s.update(class, byID("x"))
	if len(changed) != 1 || !same(changed[0], x) {
		s.Errorf("Update without changes = %v, want %s", changed, text(x))
	}
	s.wantObject(class, x)
}
