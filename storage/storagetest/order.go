package storagetest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

var orderTests = []test{
	{"Keys", testOrderKeys},
	{"Types", testOrderTypes},
	{"Pages", testPages},
	{"Near", testNear},
}

func by(keys ...string) []query.Order {
	var order []query.Order
	for _, key := range keys {
		if key[0] == '-' {
			order = append(order, query.Order{Key: key[1:], Descending: true})
		} else {
			order = append(order, query.Order{Key: key})
		}
	}
	return order
}

func testOrderKeys(s *suite) {
	class := s.class("Thing", "n", schema.Number, "s", schema.String, "o", schema.Object, "l", schema.Array)
	s.create(class, "c", "n", 1.0, "s", "b", "o", parse.NewMap("k", 3.0), "l", list(5.0, 1.0))
	s.create(class, "a", "n", 2.0, "s", "a", "o", parse.NewMap("k", 1.0), "l", list(3.0))
	s.create(class, "d", "n", 1.0, "s", "a", "l", list(2.0, 4.0))
	s.create(class, "b", "s", "b", "o", parse.NewMap("k", 2.0), "l", list())
	for _, tt := range []struct {
		order []query.Order
		want  []string
	}{
		{nil, []string{"a", "b", "c", "d"}}, {by("objectId"), []string{"a", "b", "c", "d"}}, {by("-objectId"), []string{"d", "c", "b", "a"}},
		{by("n"), []string{"b", "c", "d", "a"}}, {by("-n"), []string{"a", "c", "d", "b"}}, {by("s", "n"), []string{"d", "a", "b", "c"}}, {by("-s", "-n"), []string{"c", "b", "a", "d"}},
		{by("s", "-objectId"), []string{"d", "a", "c", "b"}}, {by("o.k"), []string{"d", "a", "b", "c"}}, {by("-o.k"), []string{"c", "b", "a", "d"}},
		{by("l"), []string{"b", "c", "d", "a"}}, {by("-l"), []string{"c", "d", "a", "b"}}, {by("createdAt", "-n"), []string{"a", "c", "d", "b"}}, {by("nope"), []string{"a", "b", "c", "d"}},
	} {
		s.wantIDs(fmt.Sprintf("Find(order %v)", tt.order), s.answer(s.Adapter, class, &query.Find{Order: tt.order, Limit: -1}), tt.want...)
	}
}

// testOrderTypes checks the order of the values of each type; the ids stand in the order of the values.
func testOrderTypes(s *suite) {
	pointer := schema.Field{Type: schema.Pointer, TargetClass: "Other"}
	class := s.class("Thing", "n", schema.Number, "s", schema.String, "t", schema.Boolean, "d", schema.Date, "p", pointer, "f", schema.File)
	columns := []struct {
		field  string
		values []any
	}{
		{"n", list(nil, -1e300, -2.0, -1.5, 0.0, 5e-324, 1.0, 10.0, 9007199254740991.0, 1e300)},
		{"s", list(nil, "", "\x00", " ", "10", "9", "A", "Z", "a", "aa", "b", "z", "é", "\uffff", "😀")},
		{"t", list(nil, false, true)},
		{"d", list(nil, parse.MinDate, parse.Date(-1), parse.Date(0), parse.Date(1), parse.MaxDate)},
		{"p", list(nil, parse.Pointer{ClassName: "Other", ObjectID: "A"}, parse.Pointer{ClassName: "Other", ObjectID: "a"}, parse.Pointer{ClassName: "Other", ObjectID: "b"})},
		{"f", list(nil, parse.File{Name: "A"}, parse.File{Name: "a"})},
	}
	for _, column := range columns {
		column.values = s.storable(column.values)
		var want []string
		var objects []*parse.Object
		for i, v := range column.values {
			id := fmt.Sprintf("%s%02d", column.field, i)
			want = append(want, id)
			objects = append(objects, object(class, id, column.field, v))
		}
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
		if err := s.Create(s.ctx, class, objects...); err != nil {
			s.Fatalf("Create = %v", err)
		}
		mine := where("objectId", query.StartsWith, column.field)
		s.wantIDs("Find(order "+column.field+")", s.answer(s.Adapter, class, &query.Find{Where: mine, Order: by(column.field), Limit: -1}), want...)
		slices.Reverse(want)
		s.wantIDs("Find(order -"+column.field+")", s.answer(s.Adapter, class, &query.Find{Where: mine, Order: by("-" + column.field), Limit: -1}), want...)
		slices.Reverse(want)
		// A range is a piece of the order: with its type, so without null.
		for i, v := range column.values[1:] {
			all := query.And{mine, where(column.field, query.Gt, v)}
			s.wantIDs(fmt.Sprintf("Find(%s > %v)", column.field, v), s.find(class, all), want[i+2:]...)
			all = query.And{mine, where(column.field, query.Lte, v)}
			s.wantIDs(fmt.Sprintf("Find(%s <= %v)", column.field, v), s.find(class, all), want[1:i+2]...)
		}
	}
}

// testPages: the pages of a query, put together, are the whole answer.
func testPages(s *suite) {
	class := s.class("Thing", "n", schema.Number)
	var objects []*parse.Object
	for i := range 57 {
		objects = append(objects, object(class, fmt.Sprintf("id%02d", i), "n", float64(i%5)))
	}
	if err := s.Create(s.ctx, class, objects...); err != nil {
		s.Fatalf("Create = %v", err)
	}
	for _, order := range [][]query.Order{nil, by("n"), by("-n"), by("-n", "-objectId")} {
		for _, condition := range []query.Node{nil, where("n", query.Gte, 2.0)} {
			all := ids(s.answer(s.Adapter, class, &query.Find{Where: condition, Order: order, Limit: -1}))
			for _, size := range []int{1, 7, 56, 57, 100} {
				var pages []string
				for skip := 0; skip <= len(all); skip += size {
					page := s.answer(s.Adapter, class, &query.Find{Where: condition, Order: order, Skip: skip, Limit: size})
					pages = append(pages, ids(page)...)
				}
				if !slices.Equal(pages, all) {
					s.Errorf("Find(%s, order %v) in pages of %d = %v, want %v", query.Print(condition), order, size, pages, all)
				}
			}
		}
	}
	for _, tt := range []struct{ skip, limit, want int }{{0, 0, 0}, {5, 0, 0}, {57, -1, 0}, {1000, 10, 0}, {50, -1, 7}, {0, -1, 57}, {55, 10, 2}} {
		if got := s.answer(s.Adapter, class, &query.Find{Order: by("n"), Skip: tt.skip, Limit: tt.limit}); len(got) != tt.want {
			s.Errorf("Find(skip %d, limit %d) = %d objects, want %d", tt.skip, tt.limit, len(got), tt.want)
		}
	}
}

func testNear(s *suite) {
	class := s.class("Place", "g", schema.GeoPoint, "n", schema.Number)
	for i, p := range []parse.GeoPoint{{Latitude: 0, Longitude: 179}, {Latitude: 0, Longitude: -179}, {Latitude: 10, Longitude: 170}, {Latitude: 89, Longitude: 0}, {Latitude: 0, Longitude: 0}, {Latitude: -90, Longitude: 0}} {
		s.create(class, fmt.Sprint("p", i), "g", p, "n", float64(-i))
	}
	s.create(class, "none", "n", 1.0)
	near := func(maxRadians float64) query.Node {
		return where("g", query.Near, &query.NearSphere{Point: parse.GeoPoint{Latitude: 0, Longitude: 179.5}, MaxRadians: maxRadians})
	}
	for _, tt := range []struct {
		where query.Node
		order []query.Order
		limit int
		want  []string
	}{
		{near(-1), nil, -1, []string{"p0", "p1", "p2", "p5", "p3", "p4"}}, {near(-1), nil, 2, []string{"p0", "p1"}}, {near(0.3), nil, -1, []string{"p0", "p1", "p2"}},
		{near(0.001), nil, -1, nil}, {near(0.3), by("n"), -1, []string{"p2", "p1", "p0"}}, {query.And{near(0.3), where("n", query.Lt, 0.0)}, nil, -1, []string{"p1", "p2"}},
	} {
		s.wantIDs(fmt.Sprintf("Find(%s, order %v)", query.Print(tt.where), tt.order), s.answer(s.Adapter, class, &query.Find{Where: tt.where, Order: tt.order, Limit: tt.limit}), tt.want...)
	}
}
