package storagetest

import (
	"fmt"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

var sizeTests = []test{
	{"LargeValues", testLargeValues},
	{"ManyFields", testManyFields},
	{"ManyObjects", testManyObjects},
	{"LargeQueries", testLargeQueries},
}

func testLargeValues(s *suite) {
	class := s.class("Thing", "s", schema.String, "l", schema.Array, "o", schema.Object, "b", schema.Bytes)
	long := make([]any, 20000)
	for i := range long {
		long[i] = float64(i)
	}
	var deep any = "bottom"
	for range 100 {
		deep = parse.NewMap("d", deep)
	}
	x := s.create(class, "x", "s", strings.Repeat("é", 1<<20), "l", long, "o", deep, "b", parse.Bytes(strings.Repeat("\x00b", 1<<20)))
	s.wantObject(class, x)
	s.update(class, byID("x"), "l", parse.Add{Objects: list("end")}, "l.0", "start")
	long = append(parse.Clone(long).([]any), "end")
	long[0] = "start"
	x.Set("l", long)
	s.wantObject(class, x)
	s.wantIDs("Find(l contains)", s.find(class, eq("l", 19999.0)), "x")
	s.wantIDs("Find(deep)", s.find(class, eq("o"+strings.Repeat(".d", 100), "bottom")), "x")
}

// testManyFields: as many fields as an application may come to, more than some databases take in one statement at ease.
func testManyFields(s *suite) {
	class := schema.New("Wide")
	for i := range 600 {
		class.Fields[fmt.Sprint("f", i)] = schema.Field{Type: schema.Number}
	}
	s.save(class)
	x, changes := object(class, "x"), parse.NewMap()
	for i := range 600 {
		x.Set(fmt.Sprint("f", i), float64(i))
		changes.Set(fmt.Sprint("f", i), parse.Increment{Amount: 1})
	}
	if err := s.Create(s.ctx, class, x); err != nil {
		s.Fatalf("Create = %v", err)
	}
	if _, err := s.Update(s.ctx, class, byID("x"), changes, 1); err != nil {
		s.Fatalf("Update = %v", err)
	}
	for i := range 600 {
		x.Set(fmt.Sprint("f", i), float64(i+1))
	}
	s.wantObject(class, x)
}

func testManyObjects(s *suite) {
	class := s.class("Thing", "n", schema.Number)
	var objects []*parse.Object
	for i := range 3000 {
		objects = append(objects, object(class, fmt.Sprintf("id%04d", i), "n", float64(i%10)))
	}
	if err := s.Create(s.ctx, class, objects...); err != nil {
		s.Fatalf("Create of %d objects = %v", len(objects), err)
	}
	if got := s.find(class, nil); len(got) != 3000 || got[0].ID() != "id0000" || got[2999].ID() != "id2999" {
		s.Errorf("Find(all) = %d objects", len(got))
	}
	if got := s.update(class, eq("n", 3.0), "n", 33.0); len(got) != 300 {
		s.Errorf("Update(n = 3) = %d objects, want 300", len(got))
	}
	if n, err := s.Delete(s.ctx, class, eq("n", 33.0), -1); n != 300 || err != nil {
		s.Errorf("Delete(n = 33) = %d, %v, want 300", n, err)
	}
	if n, err := s.Count(s.ctx, class, nil); n != 2700 || err != nil {
		s.Errorf("Count() = %d, %v, want 2700", n, err)
	}
}

func testLargeQueries(s *suite) {
	class := s.class("Thing", "n", schema.Number, "s", schema.String, "l", schema.Array)
	s.create(class, "x", "n", 4999.0, "s", "s4999", "l", list("s4999"))
	s.create(class, "y", "n", -1.0, "s", "other", "l", list())
	var numbers, strs []any
	var or query.Or
	for i := range 5000 {
		numbers = append(numbers, float64(i))
		strs = append(strs, fmt.Sprint("s", i))
		if i >= 4700 {
			or = append(or, query.And{eq("n", float64(i)), eq("s", fmt.Sprint("s", i))})
		}
	}
	var nested query.Node = eq("n", 4999.0)
	for range 20 {
		nested = query.Or{query.And{nested, where("s", query.Ne, "nope")}, eq("n", 12345.0)}
	}
	for name, condition := range map[string]query.Node{
		"n in 5000": where("n", query.In, numbers), "s in 5000": where("s", query.In, strs), "l in 5000": where("l", query.In, strs), "300 branches": or, "20 levels": nested,
		"long string": query.And{where("s", query.Ne, strings.Repeat("x", 100000)), eq("n", 4999.0)},
	} {
		s.wantIDs("Find("+name+")", s.find(class, condition), "x")
	}
	s.wantIDs("Find(n not in 5000)", s.find(class, where("n", query.Nin, numbers)), "y")
}
