package storagetest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

var fidelityTests = []test{
	{"Numbers", func(s *suite) {
		s.values(schema.Field{Type: schema.Number}, list(0.0, 1.0, -1.0, 0.1, 0.30000000000000004, 4.35, 1e-7, 1e21, 123456789012345680000.0, 9007199254740991.0, 9007199254740992.0, 9007199254740994.0,
			-9007199254740991.0, 1.5e300, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 2147483648.0, 9223372036854775808.0))
	}},
	{"Strings", func(s *suite) {
		s.values(schema.Field{Type: schema.String}, list("", " ", "a", "A", "\x00", "a\x00b", "a\x00", "0", "1", "true", "null", "NULL", "'", "''", `"`, `\`, `\n`, "\n", "\r\n", "\t", "%", "_", "a%b", "a_b", "é", "e\u0301", "ß", "İ",
			"😀", "\u2028", "\ufffd", "\uffff", "\U0010ffff", "日本語", "{}", "[]", `{"__type":"Date"}`, "x'00'", "1e5", "1.0", strings.Repeat("long ", 1000)))
	}},
	{"Booleans", func(s *suite) { s.values(schema.Field{Type: schema.Boolean}, list(false, true)) }},
	{"Dates", func(s *suite) {
		s.values(schema.Field{Type: schema.Date}, list(parse.Date(0), parse.Date(1), parse.Date(-1), parse.Date(1767225600123), parse.MinDate, parse.MaxDate, parse.Date(-62167219200000), parse.Date(253402300800000)))
	}},
	{"Pointers", func(s *suite) {
		var pointers []any
		for _, id := range []string{"x", "X", "", "a$b", "'", "é", "1", strings.Repeat("i", 200)} {
			pointers = append(pointers, parse.Pointer{ClassName: "Other", ObjectID: id})
		}
		s.values(schema.Field{Type: schema.Pointer, TargetClass: "Other"}, pointers)
	}},
	{"Files", func(s *suite) {
		s.values(schema.Field{Type: schema.File}, list(parse.File{Name: "a.txt"}, parse.File{Name: "A.txt"}, parse.File{Name: "é 'q' \"d\".png"}, parse.File{Name: "dir/a.txt"}))
	}},
	{"GeoPoints", func(s *suite) {
		s.values(schema.Field{Type: schema.GeoPoint}, list(parse.GeoPoint{}, parse.GeoPoint{Latitude: 90, Longitude: 180}, parse.GeoPoint{Latitude: -90, Longitude: -180}, parse.GeoPoint{Latitude: 0.1, Longitude: 0.2}, parse.GeoPoint{Latitude: 52.520006599999995, Longitude: 13.404954}))
	}},
	{"Bytes", func(s *suite) {
		all := make(parse.Bytes, 256)
		for i := range all {
			all[i] = byte(i)
		}
		s.values(schema.Field{Type: schema.Bytes}, list(parse.Bytes{}, parse.Bytes{0}, parse.Bytes("hi"), all))
	}},
	{"Polygons", func(s *suite) {
		triangle := sample(schema.Field{Type: schema.Polygon}).(parse.Polygon)
		s.stored(schema.Field{Type: schema.Polygon}, list(triangle, parse.Polygon{{Latitude: 0.1, Longitude: 0.2}, {Latitude: 90, Longitude: 180}, {Latitude: -90, Longitude: -180}, {Latitude: 0.1, Longitude: 0.2}}))
	}},
	{"Arrays", func(s *suite) {
		s.stored(schema.Field{Type: schema.Array}, list(list(), list(nil), list(list()), list(1.0, "1", true, nil, list(1.0, list())), typedValues(), list(parse.NewMap("a", list(parse.NewMap())))))
	}},
	{"Objects", func(s *suite) {
		m := parse.NewMap
		odd := m("", 1.0, " ", 2.0, "é", 3.0, `"`, 4.0, `\`, 5.0, "'", 6.0, "__proto__", 7.0, "constructor", 8.0, "0", 9.0, "😀", 10.0, "\x00", 11.0, "a b", 12.0, "_id", 13.0, "objectId", 14.0, "length", 15.0)
		if s.Capabilities().NoNUL {
			odd.Delete("\x00")
		}
		typed := m()
		for i, v := range typedValues() {
			typed.Set(fmt.Sprint("v", i), v)
		}
		s.stored(schema.Field{Type: schema.Object}, list(m(), m("a", nil), m("a", m("b", m("c", list(m("d", 1.0))))), odd, typed, m("x", m("__op", "Increment", "amount", 1.0)), m("__type", ""), m("n", 0.1, "big", 1e300)))
	}},
}

// typedValues returns a value of every type that may stand inside another.
func typedValues() []any {
	return list(1.5, "text", true, nil, parse.Date(-1), parse.Pointer{ClassName: "Other", ObjectID: "x"}, parse.GeoPoint{Latitude: 1, Longitude: 2}, parse.File{Name: "f"}, parse.Bytes{0, 255}, parse.Relation{ClassName: "Other"},
		sample(schema.Field{Type: schema.Polygon}), parse.NewMap("__type", "Unknown", "a", 1.0), parse.NewObject("Other", "objectId", "x", "createdAt", parse.Date(5), "n", 1.0))
}

// storable returns the values that the database can hold.
func (s *suite) storable(values []any) []any {
	can := s.Capabilities()
	var list []any
	for _, v := range values {
		if d, ok := v.(parse.Date); ok && can.OldestDate != 0 && d < can.OldestDate || can.NoNUL && strings.Contains(string(parse.Marshal(v)), `\u0000`) {
			continue
		}
		list = append(list, v)
	}
	return list
}

// refuses checks that what the database cannot hold is Unsupported, changes nothing and is not found, and returns the rest.
func (s *suite) refuses(class *schema.Class, values []any) []any {
	s.Helper()
	rest := s.storable(values)
	for _, v := range values {
		if len(s.storable(list(v))) > 0 {
			continue
		}
		what := string(parse.Marshal(v))
		s.wantKind("Create(v = "+what+")", s.Create(s.ctx, class, object(class, "c"), object(class, "bad", "v", v)), storage.Unsupported)
		s.wantIDs("Find after a Create that was refused", s.find(class, nil))
		before := s.create(class, "u", "v", rest[0])
		_, err := s.Update(s.ctx, class, nil, parse.NewMap("v", v), -1)
		s.wantKind("Update(v = "+what+")", err, storage.Unsupported)
		s.wantObject(class, before)
		s.wantIDs("Find(v = "+what+")", s.find(class, eq("v", v)))
		s.wantIDs("Find(v in "+what+")", s.find(class, where("v", query.In, list(v))))
		s.wantIDs("Find(v not "+what+")", s.find(class, where("v", query.Ne, v)), "u")
		if _, err := s.Delete(s.ctx, class, nil, -1); err != nil {
			s.Fatalf("Delete = %v", err)
		}
	}
	return rest
}

// stored writes each value by Create and by Update, and reads it back.
func (s *suite) stored(field schema.Field, values []any) *schema.Class {
	s.Helper()
	class := s.class("Thing", "v", field)
	values = s.refuses(class, values)
	for i, v := range values {
		created := s.create(class, fmt.Sprintf("c%02d", i), "v", v)
		s.wantExactly(class, created)
		s.create(class, fmt.Sprintf("u%02d", i))
		id := fmt.Sprintf("u%02d", i)
		changed := s.update(class, byID(id), "v", v)
		if want := object(class, id, "v", v); len(changed) != 1 || !same(changed[0], want) {
			s.Errorf("Update(v = %s) = %v", parse.Marshal(v), changed)
		} else {
			s.wantExactly(class, want)
		}
	}
	return class
}

// wantExactly compares by Go types too: what was a Date or a nested Pointer is one again.
func (s *suite) wantExactly(class *schema.Class, want *parse.Object) {
	s.Helper()
	got := s.get(class, want.ID())
	if !same(got, want) {
		s.Errorf("the stored object = %s, want %s", text(got), text(want))
	} else if a, b := canonical(got.Get("v")), canonical(want.Get("v")); a != b {
		s.Errorf("the stored value = %s, want %s", a, b)
	}
}

// canonical is a text of a value that does not depend on the order of members.
func canonical(v any) string {
	switch v := v.(type) {
	case *parse.Map:
		return "{" + strings.Join(canonicalMembers(v), ",") + "}"
	case *parse.Object:
		return v.ClassName + "{" + strings.Join(canonicalMembers(&v.Map), ",") + "}"
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = canonical(v[i])
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return fmt.Sprintf("%T %s", v, parse.Marshal(v))
}

// values does what stored does, and finds each value, and none of the others, by equality, $in, $nin and $ne.
func (s *suite) values(field schema.Field, values []any) {
	s.Helper()
	class := s.stored(field, values)
	values = s.storable(values)
	total := 2 * len(values)
	for i, v := range values {
		want := []string{fmt.Sprintf("c%02d", i), fmt.Sprintf("u%02d", i)}
		s.wantIDs(fmt.Sprintf("Find(v = %s)", parse.Marshal(v)), s.find(class, eq("v", v)), want...)
		s.wantIDs(fmt.Sprintf("Find(v in [null, %s])", parse.Marshal(v)), s.find(class, where("v", query.In, list(nil, v))), want...)
		for _, op := range []query.Node{where("v", query.Ne, v), where("v", query.Nin, list(v))} {
			if n, err := s.Count(s.ctx, class, op); err != nil || n != int64(total-2) {
				s.Errorf("Count(%s) = %d, %v, want %d", query.Print(op), n, err, total-2)
			}
		}
	}
	if n, err := s.Count(s.ctx, class, where("v", query.In, values)); err != nil || n != int64(total) {
		s.Errorf("Count(v in all) = %d, %v, want %d", n, err, total)
	}
}

func canonicalMembers(m *parse.Map) []string {
	var parts []string
	for name, v := range m.All() {
		parts = append(parts, fmt.Sprintf("%q:%s", name, canonical(v)))
	}
	slices.Sort(parts)
	return parts
}
