package sqlite

import (
	"context"
	"path/filepath"
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

func TestMain(m *testing.M) {
	childMain()                                                                               // does not return in a child of the kill test
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2.runClock")) // its clock stops by itself
}

var (
	_ storage.Adapter   = (*DB)(nil)
	_ storage.Explainer = (*DB)(nil)
	_ storage.Backuper  = (*DB)(nil)
)

// open returns a database in a new file that ends with the test.
func open(t testing.TB, cfg Config) *DB {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "parley.db")
	}
	db, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// gameScore is a class with a field of each type.
func gameScore() *schema.Class {
	c := schema.New("GameScore")
	for name, f := range map[string]schema.Field{
		"score":    {Type: schema.Number},
		"player":   {Type: schema.String},
		"cheat":    {Type: schema.Boolean},
		"playedAt": {Type: schema.Date},
		"tags":     {Type: schema.Array},
		"info":     {Type: schema.Object},
		"place":    {Type: schema.GeoPoint},
		"area":     {Type: schema.Polygon},
		"photo":    {Type: schema.File},
		"data":     {Type: schema.Bytes},
		"owner":    {Type: schema.Pointer, TargetClass: "_User"},
	} {
		c.Fields[name] = f
	}
	c.Indexes = map[string]schema.Index{"byScore": {{Field: "score", Kind: "-1"}}}
	return c
}

func save(t testing.TB, db *DB, class *schema.Class) *schema.Class {
	t.Helper()
	if err := db.SaveClass(context.Background(), class); err != nil {
		t.Fatal(err)
	}
	return class
}

func find(t testing.TB, s storage.Store, class *schema.Class, q *query.Find) []*parse.Object {
	t.Helper()
	var list []*parse.Object
	for o, err := range s.Find(context.Background(), class, q) {
		if err != nil {
			t.Fatalf("Find: %v", err)
		}
		list = append(list, o)
	}
	return list
}

func all() *query.Find { return &query.Find{Limit: -1} }

func byID(id string) query.Node { return &query.Constraint{Key: "objectId", Op: query.Eq, Arg: id} }

func TestRoundTrip(t *testing.T) {
	db := open(t, Config{})
	class := save(t, db, gameScore())
	full := parse.NewObject("GameScore",
		"objectId", "full", "createdAt", parse.Date(1700000000123), "updatedAt", parse.Date(-1),
		"score", 0.1, "player", "Ä\x00'\"ö", "cheat", false, "playedAt", parse.Date(-62135596800000),
		"tags", []any{1.0, "two", nil, parse.Pointer{ClassName: "A", ObjectID: "b"}, []any{}},
		"info", parse.NewMap("when", parse.Date(5), "null", nil, "deep", parse.NewMap("n", 1e300)),
		"place", parse.GeoPoint{Latitude: -90, Longitude: 179.9},
		"area", parse.Polygon{{Latitude: 0, Longitude: 0}, {Latitude: 0, Longitude: 1}, {Latitude: 1, Longitude: 1}, {Latitude: 0, Longitude: 0}},
		"photo", parse.File{Name: "a.png"}, "data", parse.Bytes{0, 255}, "owner", parse.Pointer{ClassName: "_User", ObjectID: "u1"},
		"_rperm", []any{"*"}, "_wperm", []any{})
	empty := parse.NewObject("GameScore", "objectId", "empty", "player", "", "data", parse.Bytes{}, "tags", []any{}, "info", parse.NewMap())
	nulls := parse.NewObject("GameScore", "objectId", "nulls", "score", nil, "place", nil, "info", nil)
	for _, o := range []*parse.Object{full, empty, nulls} {
		if err := db.Create(context.Background(), class, o); err != nil {
			t.Fatal(err)
		}
		got := find(t, db, class, &query.Find{Where: byID(o.ID()), Limit: 1})
		if len(got) != 1 || !got[0].Equal(o) {
			t.Errorf("Find(%s) = %s, want %s", o.ID(), parse.Marshal(got[0]), parse.Marshal(o))
		}
	}
}

func yieldProcessor() { runtime.Gosched() }
