package query

import (
	"testing"

	"github.com/parley-backend/parley/parse"
)

func BenchmarkMatch(b *testing.B) {
	o := parse.NewObject("C", "objectId", "abcdefghij", "createdAt", parse.Date(1e12), "name", "Alpha beta gamma", "score", 17.0,
		"tags", []any{"red", "green", "blue"}, "profile", parse.NewMap("age", 42.0, "langs", []any{"en", "fr"}),
		"owner", parse.Pointer{ClassName: "_User", ObjectID: "u1"}, "at", parse.GeoPoint{Latitude: 52, Longitude: 13})
	var pointers []any
	for i := range 1000 {
		pointers = append(pointers, parse.Pointer{ClassName: "_User", ObjectID: "u" + string(rune('0'+i%10)) + string(rune('a'+i%26))})
	}
	for name, n := range map[string]Node{
		"equality":    &Constraint{Key: "score", Op: Eq, Arg: 17.0},
		"range":       And{&Constraint{Key: "score", Op: Gt, Arg: 10.0}, &Constraint{Key: "score", Op: Lt, Arg: 20.0}},
		"dotted":      &Constraint{Key: "profile.langs", Op: Eq, Arg: "fr"},
		"in 1000":     &Constraint{Key: "owner", Op: Nin, Arg: pointers},
		"regex":       &Constraint{Key: "name", Op: Match, Arg: &Regex{Pattern: "BETA", Options: "i"}},
		"text":        &Constraint{Key: "name", Op: Search, Arg: &Text{Term: "beta -delta"}},
		"near":        &Constraint{Key: "at", Op: Near, Arg: &NearSphere{Point: parse.GeoPoint{Latitude: 50}, MaxRadians: 1}},
		"three of or": Or{&Constraint{Key: "score", Op: Eq, Arg: 1.0}, &Constraint{Key: "name", Op: Eq, Arg: "x"}, &Constraint{Key: "tags", Op: Eq, Arg: "blue"}},
	} {
		b.Run(name, func(b *testing.B) {
			m, err := Compile(n)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := m.Match(o); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

func BenchmarkParseWhere(b *testing.B) {
	text := []byte(`{"score":{"$gt":10,"$lt":20},"name":{"$regex":"^\\QAl\\E"},"$or":[{"tags":"red"},{"owner":{"__type":"Pointer","className":"_User","objectId":"u1"}}]}`)
	b.ReportAllocs()
	for b.Loop() {
		m, err := parse.DecodeMap(text, parse.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := ParseWhere(m, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
