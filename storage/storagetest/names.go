package storagetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

var nameTests = []test{
	{"Classes", testClassNames},
	{"Fields", testFieldNames},
	{"FieldsThatDifferInCase", testFieldCase},
	{"IDs", testIDs},
}

// oddNames are names that a client may give and that mean something, or nothing, to a database.
var oddNames = []string{
	"select", "Order", "group", "TABLE", "index", "user", "values", "Default", "primary", "references", "rowid", "oid", "ROWID", "ctid", "xmin", "tableoid", "main", "temp", "sqlite", "pg", "PRAGMA",
	"a", "A", "aB", "Ab", "AB", "ab", "extra", "Extra", "id", "ID", "data", "key", "value", "json", "null", "true", "NaN", "rank", "score", "match", "glob", "like", "parley", "schema", "SCHEMA",
	"x_y", "x__y", "x1", strings.Repeat("n", 63), strings.Repeat("n", 64), strings.Repeat("N", 120), "toString", "constructor",
}

func testClassNames(s *suite) {
	for i, name := range oddNames {
		class := s.class(name, "n", schema.Number, "likes", relation("Other"))
		class.Indexes = map[string]schema.Index{name: {{Field: "n", Kind: "1"}}}
		s.save(class)
		s.create(class, "x", "n", float64(i))
		s.create(schema.JoinClass(name, "likes"), "j", "owningId", "x", "relatedId", name)
	}
	for i, name := range oddNames {
		class := schema.New(name)
		class.Fields["n"] = schema.Field{Type: schema.Number}
		s.wantIDs("Find in "+name, s.find(class, eq("n", float64(i))), "x")
		s.wantIDs("Find in the relation of "+name, s.find(schema.JoinClass(name, "likes"), eq("relatedId", name)), "j")
	}
	classes, err := s.Classes(s.ctx)
	if err != nil || len(classes) != len(oddNames) {
		s.Errorf("Classes() = %d classes, %v, want %d", len(classes), err, len(oddNames))
	}
	if err := s.DropClass(s.ctx, "ab"); err != nil {
		s.Errorf("DropClass(ab) = %v", err)
	}
	for _, name := range []string{"aB", "Ab", "AB"} {
		if n, err := s.Count(s.ctx, schema.New(name), nil); n != 1 || err != nil {
			s.Errorf("Count(%s) after DropClass(ab) = %d, %v, want 1", name, n, err)
		}
	}
}

func testFieldNames(s *suite) {
	class := schema.New("Thing")
	class.Indexes = map[string]schema.Index{}
	for _, name := range oddNames {
		class.Fields[name] = schema.Field{Type: schema.Number}
		class.Indexes[name] = schema.Index{{Field: name, Kind: "1"}}
	}
	s.save(class)
	x := object(class, "x")
	for i, name := range oddNames {
		x.Set(name, float64(i))
	}
	if err := s.Create(s.ctx, class, x, object(class, "y")); err != nil {
		s.Fatalf("Create = %v", err)
	}
	s.wantObject(class, x)
	for i, name := range oddNames {
		s.wantIDs("Find("+name+")", s.find(class, eq(name, float64(i))), "x")
		s.wantIDs("Find(order "+name+")", s.answer(s.Adapter, class, &query.Find{Order: by("-" + name), Limit: -1, Keys: []string{name}}), "x", "y")
		s.update(class, byID("x"), name, parse.Increment{Amount: 1000})
		x.Set(name, float64(i)+1000)
	}
	s.wantObject(class, x)
}

// testFieldCase: names that differ only in the case of their letters are different fields, that of objectId included.
func testFieldCase(s *suite) {
	number := schema.Field{Type: schema.Number}
	class := s.class("Thing", "objectid", schema.String, "OBJECTID", schema.Number, "createdat", schema.Number, "name", schema.String)
	x := s.create(class, "x", "objectid", "lower", "OBJECTID", 1.0, "createdat", 2.0, "name", "a")
	s.wantObject(class, x)
	class = class.Clone()
	class.Fields["Name"], class.Fields["NAME"] = number, schema.Field{Type: schema.GeoPoint} // added later
	s.save(class)
	s.update(class, byID("x"), "Name", 5.0, "NAME", parse.GeoPoint{Latitude: 1, Longitude: 2})
	x.Set("Name", 5.0)
	x.Set("NAME", parse.GeoPoint{Latitude: 1, Longitude: 2})
	s.wantObject(class, x)
	class = class.Clone()
	delete(class.Fields, "name")
	s.save(class)
	x.Delete("name")
	s.wantObject(class, x)
	s.wantIDs("Find(Name = 5)", s.find(class, eq("Name", 5.0)), "x")
}

// testIDs: ids are compared exactly, and a custom one may hold anything.
func testIDs(s *suite) {
	class := s.class("Thing", "n", schema.Number)
	all := []string{"a", "A", "1", "01", "1.0", "é", "e\u0301", " a", "a ", "'", `"`, "a\x00b", "a\x00", "日本", "%", "_", strings.Repeat("x", 500)}
	all = slices.DeleteFunc(all, func(id string) bool { return len(s.storable(list(id))) == 0 })
	for i, id := range all {
		s.create(class, id, "n", float64(i))
	}
	for i, id := range all {
		s.update(class, byID(id), "n", parse.Increment{Amount: 100})
		s.wantIDs(fmt.Sprintf("Find(objectId = %q)", id), s.find(class, query.And{byID(id), eq("n", float64(i)+100)}), id)
	}
	if n, err := s.Delete(s.ctx, class, byID("a"), -1); n != 1 || err != nil {
		s.Errorf("Delete(a) = %d, %v, want 1", n, err)
	}
	if n, err := s.Count(s.ctx, class, nil); n != int64(len(all)-1) || err != nil {
		s.Errorf("Count() = %d, %v, want %d", n, err, len(all)-1)
	}
}
