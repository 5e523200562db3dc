package storagetest

import (
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

var schemaTests = []test{
	{"Classes", testClasses},
	{"AddField", testAddField},
	{"DropField", testDropField},
	{"DropRelation", testDropRelation},
	{"DropClass", testDropClass},
	{"NeverSeen", testNeverSeen},
	{"SystemClasses", testSystemClasses},
	{"Indexes", testIndexes},
}

// testClasses saves a class with everything that a schema has, and reads it back.
func testClasses(s *suite) {
	if classes, err := s.Classes(s.ctx); err != nil || len(classes) != 0 {
		s.Fatalf("Classes() of an empty database = %v, %v", classes, err)
	}
	full := schema.New("Full")
	for _, typ := range []schema.Type{schema.Number, schema.String, schema.Boolean, schema.Date, schema.Object, schema.Array, schema.GeoPoint, schema.File, schema.Bytes, schema.Polygon} {
		full.Fields["f"+string(typ)] = schema.Field{Type: typ}
	}
	full.Fields["owner"] = schema.Field{Type: schema.Pointer, TargetClass: schema.UserClass}
	full.Fields["members"] = schema.Field{Type: schema.Relation, TargetClass: schema.UserClass}
	full.Fields["title"] = schema.Field{Type: schema.String, Required: true, Default: "untitled"}
	full.Fields["size"] = schema.Field{Type: schema.Number, Default: 5.0}
	full.Indexes = map[string]schema.Index{"byTitle": {{Field: "title", Kind: "1"}, {Field: "size", Kind: "-1"}}}
	full.CLP = &schema.CLP{
		Operations:      map[schema.Operation]schema.Grant{schema.OpFind: {Entities: map[string]bool{"*": true}}, schema.OpUpdate: {RequiresAuthentication: true, PointerFields: []string{"owner"}}, schema.OpDelete: {}},
		ReadUserFields:  []string{"owner"},
		ProtectedFields: map[string][]string{"*": {"size"}},
		ACL:             map[string]schema.Grants{"currentUser": {Read: true, Write: true}},
	}
	s.save(full)
	plain := s.class("Another", "a", schema.Number)
	s.wantClasses(plain, full)

	// Saving it again changes nothing, and the database does not share what it was given.
	s.save(full)
	changed := full.Clone()
	full.Fields["late"] = schema.Field{Type: schema.String}
	s.wantClasses(plain, changed)
}

func (s *suite) wantClasses(want ...*schema.Class) {
	s.Helper()
	classes, err := s.Classes(s.ctx)
	if err != nil {
		s.Fatalf("Classes() = %v", err)
	}
	slices.SortFunc(classes, func(a, b *schema.Class) int { return strings.Compare(a.Name, b.Name) })
	if !slices.EqualFunc(classes, want, (*schema.Class).Equal) {
		s.Errorf("Classes() = %s, want %s", describe(classes), describe(want))
	}
}

func describe(classes []*schema.Class) []string {
	var list []string
	for _, c := range classes {
		list = append(list, string(schema.Marshal(c)))
	}
	return list
}

func testAddField(s *suite) {
	class := s.class("Thing", "a", schema.Number)
	old := s.create(class, "old", "a", 1.0)
	class = s.class("Thing", "a", schema.Number, "b", schema.String, "place", schema.GeoPoint)
	s.wantObject(class, old)
	s.wantIDs("Find(b is null)", s.find(class, eq("b", nil)), "old")
	s.create(class, "new", "a", 2.0, "b", "x", "place", parse.GeoPoint{Latitude: 1, Longitude: 2})
	s.wantIDs("Find(b = x)", s.find(class, eq("b", "x")), "new")
	s.wantIDs("Find(place exists)", s.find(class, where("place", query.Exists, true)), "new")
}

// testDropField drops fields with their values: they do not come back with a new field of the same name, be it of another type.
func testDropField(s *suite) {
	class := s.class("Thing", "a", schema.Number, "b", schema.String, "place", schema.GeoPoint, "o", schema.Object)
	s.create(class, "x", "a", 1.0, "b", "text", "place", parse.GeoPoint{Latitude: 1, Longitude: 2}, "o", parse.NewMap("k", 1.0))
	class = s.class("Thing", "a", schema.Number)
	s.wantClasses(class)
	s.wantObject(class, object(class, "x", "a", 1.0))
	class = s.class("Thing", "a", schema.Number, "b", schema.Number, "place", schema.String, "o", schema.Object)
	s.wantObject(class, object(class, "x", "a", 1.0))
	s.update(class, byID("x"), "b", 2.0, "place", "here", "o.n", parse.Increment{Amount: 1})
	s.wantObject(class, object(class, "x", "a", 1.0, "b", 2.0, "place", "here", "o", parse.NewMap("n", 1.0)))
}

func relation(target string) schema.Field {
	return schema.Field{Type: schema.Relation, TargetClass: target}
}

func testDropRelation(s *suite) {
	s.class("Thing", "likes", relation("Other"), "owns", relation("Other"))
	likes, owns := schema.JoinClass("Thing", "likes"), schema.JoinClass("Thing", "owns")
	s.create(likes, "j1", "owningId", "a", "relatedId", "b")
	s.create(owns, "j1", "owningId", "a", "relatedId", "c")
	s.class("Thing", "owns", relation("Other"))
	s.wantIDs("Find(members of a dropped relation)", s.find(likes, nil))
	s.wantIDs("Find(members of a kept relation)", s.find(owns, nil), "j1")
	class := s.class("Thing", "owns", relation("Other"), "likes", relation("Third"))
	s.wantIDs("Find(members of a relation that was made anew)", s.find(likes, nil))
	s.create(likes, "j2", "owningId", "a", "relatedId", "b")
	s.wantClasses(class)
}

func testDropClass(s *suite) {
	class := s.class("Thing", "a", schema.Number, "likes", relation("Other"))
	join := schema.JoinClass("Thing", "likes")
	other := s.class("Other")
	s.create(class, "x", "a", 1.0)
	s.create(other, "y")
	s.create(join, "j", "owningId", "x", "relatedId", "y")
	for range 2 { // the second time it is missing
		if err := s.DropClass(s.ctx, "Thing"); err != nil {
			s.Fatalf("DropClass(Thing) = %v", err)
		}
		s.wantClasses(other)
		s.wantIDs("Find in a dropped class", s.find(class, nil))
		s.wantIDs("Find in a dropped relation", s.find(join, nil))
	}
	class = s.class("Thing", "a", schema.String)
	s.create(class, "x", "a", "text")
	s.wantIDs("Find in a class made anew", s.find(class, eq("a", "text")), "x")
	s.wantIDs("Find in another class", s.find(other, nil), "y")
}

// testNeverSeen: a class that only its schema knows is empty.
func testNeverSeen(s *suite) {
	class := schema.New("Unseen")
	class.Fields["a"] = schema.Field{Type: schema.Number}
	for _, class := range []*schema.Class{class, schema.JoinClass("Unseen", "likes"), schema.New("_GlobalConfig")} {
		s.wantIDs("Find in "+class.Name, s.find(class, nil))
		if n, err := s.Count(s.ctx, class, nil); n != 0 || err != nil {
			s.Errorf("Count(%s) = %d, %v, want 0", class.Name, n, err)
		}
		if n, err := s.Delete(s.ctx, class, nil, -1); n != 0 || err != nil {
			s.Errorf("Delete(%s) = %d, %v, want 0", class.Name, n, err)
		}
	}
	s.wantIDs("Update of nothing", s.update(class, eq("a", 1.0), "a", 2.0))
	if classes, err := s.Classes(s.ctx); err != nil || len(classes) != 0 {
		s.Errorf("Classes() after reading = %v, %v, want none", describe(classes), err)
	}
}

// testSystemClasses stores an object in every system class, with a value in every field that is stored.
func testSystemClasses(s *suite) {
	for _, name := range schema.SystemClasses() {
		class := schema.New(name)
		s.save(class)
		fields := class.Stored()
		o := object(class, "x1")
		for field, f := range fields {
			if !o.Has(field) {
				o.Set(field, sample(f))
			}
		}
		if name == schema.UserClass {
			o.Set(schema.AuthDataPrefix+"anonymous", parse.NewMap("id", "a"))
			o.Set(schema.AuthDataPrefix+"other", parse.NewMap("id", "b", "token", "t"))
		}
		if err := s.Create(s.ctx, class, o); err != nil {
			s.Errorf("Create(%s) = %v", text(o), err)
			continue
		}
		s.wantObject(class, o)
	}
}

// sample returns a value of a type.
func sample(f schema.Field) any {
	switch f.Type {
	case schema.Number:
		return 1.5
	case schema.Boolean:
		return true
	case schema.Date:
		return parse.Date(1)
	case schema.Object:
		return parse.NewMap("k", 1.0)
	case schema.Array:
		return list("e")
	case schema.GeoPoint:
		return parse.GeoPoint{Latitude: 1, Longitude: 2}
	case schema.File:
		return parse.File{Name: "f"}
	case schema.Bytes:
		return parse.Bytes("b")
	case schema.Polygon:
		return parse.Polygon{{Latitude: 0, Longitude: 0}, {Latitude: 0, Longitude: 1}, {Latitude: 1, Longitude: 1}, {Latitude: 0, Longitude: 0}}
	case schema.Pointer:
		return parse.Pointer{ClassName: f.TargetClass, ObjectID: "p"}
	}
	return "s"
}

// testIndexes: indexes of the schema change how fast an answer comes, not which.
func testIndexes(s *suite) {
	class := s.class("Thing", "a", schema.Number, "b", schema.String, "place", schema.GeoPoint, "o", schema.Object)
	s.create(class, "x", "a", 1.0, "b", "one two", "place", parse.GeoPoint{Latitude: 1, Longitude: 2})
	s.create(class, "y", "a", 1.0, "b", "two")
	indexed := class.Clone()
	indexed.Indexes = map[string]schema.Index{
		"byA": {{Field: "a", Kind: "1"}}, "byBA": {{Field: "b", Kind: "-1"}, {Field: "a", Kind: "1"}}, "words": {{Field: "b", Kind: "text"}},
		"near": {{Field: "place", Kind: "2dsphere"}}, "member": {{Field: "o.k", Kind: "1"}},
	}
	for range 2 {
		s.save(indexed)
		s.wantClasses(indexed)
		s.create(indexed, "z", "a", 2.0, "b", "three", "o", parse.NewMap("k", 1.0))
		s.wantIDs("Find(a = 1)", s.find(indexed, eq("a", 1.0)), "x", "y")
		s.wantIDs("Find(o.k = 1)", s.find(indexed, eq("o.k", 1.0)), "z")
		s.wantIDs("Find($text two)", s.find(indexed, where("b", query.Search, &query.Text{Term: "two"})), "x", "y")
		if n, err := s.Delete(s.ctx, indexed, byID("z"), -1); n != 1 || err != nil {
			s.Errorf("Delete(z) = %d, %v", n, err)
		}
		s.save(class)
		s.wantClasses(class)
		s.wantIDs("Find(a = 1) without indexes", s.find(class, eq("a", 1.0)), "x", "y")
	}
}
