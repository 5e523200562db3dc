package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/internal/migrate"
	"github.com/parley-backend/parley/internal/pgtest"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/postgres"
	"github.com/parley-backend/parley/storage/sqlite"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func openSQLite(t *testing.T) storage.Adapter {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "parley.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func openPostgres(t *testing.T) storage.Adapter {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URI: pgtest.Shared(t).Schema(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func object(class, id string, fields ...any) *parse.Object {
	return parse.NewObject(class, append([]any{"objectId", id, "createdAt", parse.Date(1_600_000_000_123), "updatedAt", parse.Date(-5)}, fields...)...)
}

// things is a class with a field of each type.
func things() *schema.Class {
	c := schema.New("Thing")
	for name, f := range map[string]schema.Field{
		"s": {Type: schema.String}, "n": {Type: schema.Number}, "b": {Type: schema.Boolean}, "d": {Type: schema.Date}, "o": {Type: schema.Object}, "a": {Type: schema.Array}, "g": {Type: schema.GeoPoint},
		"poly": {Type: schema.Polygon}, "f": {Type: schema.File}, "y": {Type: schema.Bytes}, "p": {Type: schema.Pointer, TargetClass: "_User"}, "rel": {Type: schema.Relation, TargetClass: "_User"},
	} {
		c.Fields[name] = f
	}
	c.Indexes = map[string]schema.Index{"by_sn": {{Field: "s", Kind: "1"}, {Field: "n", Kind: "-1"}}}
	c.CLP = schema.New("Thing").CLP
	return c
}

// fill stores n objects of each shape that a type can take, users with passwords and logins, sessions, roles, members and a configuration.
func fill(t *testing.T, db storage.Adapter, n int) {
	t.Helper()
	ctx := t.Context()
	ring, _ := parse.NewPolygon(parse.GeoPoint{}, parse.GeoPoint{Latitude: 1}, parse.GeoPoint{Latitude: 1, Longitude: 1.5})
	shapes := [][]any{
		{"s", "plain", "n", 1.0, "b", true, "d", parse.Date(1_700_000_000_001)},
		{"s", "ünïcode 💚 \u2028 \"'\\ \t\n", "n", math.MaxFloat64, "b", false, "d", parse.Date(-62_000_000_000_000)},
		{"s", "", "n", math.SmallestNonzeroFloat64, "d", parse.Date(0)},
		{"n", 9007199254740993.0, "s", nil, "b", nil, "g", nil},
		{"n", 0.1 + 0.2, "g", parse.GeoPoint{Latitude: -89.123456789, Longitude: 179.999}, "poly", ring},
		{"o", parse.NewMap("z", 1.0, "a", []any{nil, true, "x", parse.NewMap("__type", "no type")}, "when", parse.Date(77), "aa", nil, "big", 1e300, "p", parse.Pointer{ClassName: "_User", ObjectID: "u0"}), "a", []any{}},
		{"a", []any{1.0, "1", nil, []any{}, parse.GeoPoint{Latitude: 1, Longitude: 2}, parse.Bytes("x"), parse.File{Name: "in.txt"}}, "f", parse.File{Name: "a b.txt"}, "y", parse.Bytes{0, 1, 255}},
		{"p", parse.Pointer{ClassName: "_User", ObjectID: "u1"}, "_rperm", []any{"*", "role:a"}, "_wperm", []any{}},
	}
	class, user := things(), schema.New(schema.UserClass)
	user.Fields["nick"] = schema.Field{Type: schema.String}
	for _, c := range []*schema.Class{class, user, schema.New(schema.RoleClass), schema.New("_Session")} {
		if err := db.SaveClass(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	var all []*parse.Object
	for i := range n {
		all = append(all, object("Thing", fmt.Sprintf("t%06d", i), shapes[i%len(shapes)]...))
	}
	join, members := schema.JoinClass("Thing", "rel"), schema.JoinClass(schema.RoleClass, "users")
	for class, objects := range map[*schema.Class][]*parse.Object{
		class: all,
		user: {
			object("_User", "u0", "username", "Änn", "_hashed_password", "$2a$10$abc", "email", "a@x", "nick", "a", schema.AuthDataPrefix+"anonymous", parse.NewMap("id", "1")),
			object("_User", "u1", "username", "bob", schema.AuthDataPrefix+"github", parse.NewMap("id", "7", "nested", parse.NewMap("k", []any{1.0}))),
		},
		schema.New("_Session"):       {object("_Session", "s0", "sessionToken", "r:abc", "user", parse.Pointer{ClassName: "_User", ObjectID: "u0"}, "expiresAt", parse.Date(2_000_000_000_000))},
		schema.New(schema.RoleClass): {object("_Role", "r0", "name", "a")},
		join:                         {parse.NewObject(join.Name, "objectId", "j0", "owningId", "t000000", "relatedId", "u0")},
		members:                      {parse.NewObject(members.Name, "objectId", "m0", "owningId", "r0", "relatedId", "u0")},
		schema.New("_GlobalConfig"):  {parse.NewObject("_GlobalConfig", "objectId", "1", "params", parse.NewMap("theme", "dark", "list", []any{1.0}))},
		schema.New("_Installation"):  {object("_Installation", "i0", "deviceType", "ios", "deviceToken", "tok", "channels", []any{"a"})},
	} {
		if len(objects) == 0 {
			continue
		}
		if err := db.Create(ctx, class, objects...); err != nil {
			t.Fatalf("Create in %s = %v", class.Name, err)
		}
	}
}

// contents returns all objects as text, without null in a field, by class and id.
func contents(t *testing.T, db storage.Adapter) map[string]string {
	t.Helper()
	stored, err := db.Classes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, class := range stored {
		all["schema "+class.Name] = string(schema.Marshal(class))
	}
	for _, class := range migrate.All(stored) {
		for o, err := range db.Find(t.Context(), class, &query.Find{ClassName: class.Name, Limit: -1}) {
			if err != nil {
				t.Fatal(err)
			}
			fields := slices.DeleteFunc(o.Keys(), func(name string) bool { return o.Get(name) == nil })
			slices.Sort(fields)
			var text strings.Builder
			for _, name := range fields {
				fmt.Fprintf(&text, "%s=%s\n", name, sorted(o.Get(name)))
			}
			all[class.Name+" "+o.ID()] = text.String()
		}
	}
	return all
}

// sorted is the JSON of a value with sorted keys.
func sorted(v any) string {
	switch v := v.(type) {
	case *parse.Map:
		m := map[string]string{}
		for k, e := range v.All() {
			m[k] = sorted(e)
		}
		var text strings.Builder
		for _, k := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(&text, "%q:%s,", k, m[k])
		}
		return "{" + text.String() + "}"
	case []any:
		text := "["
		for _, e := range v {
			text += sorted(e) + ","
		}
		return text + "]"
	}
	return fmt.Sprintf("%T %s", v, parse.Marshal(v))
}

func same(t *testing.T, what string, a, b map[string]string) {
	t.Helper()
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", what, diff)
	}
}

// TestRoundTrip: SQLite to PostgreSQL to SQLite is equal at each step, and so is the other way round.
func TestRoundTrip(t *testing.T) {
	for name, open := range map[string][3]func(*testing.T) storage.Adapter{
		"SQLite first":     {openSQLite, openPostgres, openSQLite},
		"PostgreSQL first": {openPostgres, openSQLite, openPostgres},
	} {
		a, b, c := open[0](t), open[1](t), open[2](t)
		fill(t, a, 500)
		want := contents(t, a)
		first, err := migrate.Copy(t.Context(), a, b, migrate.Options{Source: "a", Batch: 150})
		if err != nil {
			t.Fatalf("%s: Copy = %v", name, err)
		}
		same(t, name+", first copy", want, contents(t, b))
		second, err := migrate.Copy(t.Context(), b, c, migrate.Options{Source: "b"})
		if err != nil {
			t.Fatalf("%s: Copy back = %v", name, err)
		}
		same(t, name+", copy back", want, contents(t, c))
		if diff := cmp.Diff(first, second); diff != "" || first.Resumed {
			t.Errorf("%s: the results differ:\n%s", name, diff)
		}
		if len(first.Classes) != 8 {
			t.Errorf("%s: the classes = %v, want 8", name, first.Classes)
		}
		if _, err := migrate.Copy(t.Context(), a, b, migrate.Options{Source: "a"}); !errors.Is(err, migrate.ErrNotEmpty) {
			t.Errorf("%s: a copy into what is there = %v, want %v", name, err, migrate.ErrNotEmpty)
		}
		if source, err := migrate.Unfinished(t.Context(), b); source != "" || err != nil {
			t.Errorf("%s: a copy that is finished is one of %q, %v", name, source, err)
		}
	}
}

// TestResume: a copy that ended in the middle, wherever, goes on; what changed in the source in between is right in the end.
func TestResume(t *testing.T) {
	for name, open := range map[string][2]func(*testing.T) storage.Adapter{"to PostgreSQL": {openSQLite, openPostgres}, "to SQLite": {openPostgres, openSQLite}} {
		a, b := open[0](t), open[1](t)
		fill(t, a, 800)
		ended := 0
		for stop := 1; ; stop += 3 {
			ctx, cancel := context.WithCancel(t.Context())
			steps := 0
			result, err := migrate.Copy(ctx, a, b, migrate.Options{Source: "a", Batch: 50, Progress: func(migrate.Progress) {
				if steps++; steps == stop {
					cancel()
				}
			}})
			cancel()
			if err == nil {
				if !result.Resumed || ended < 3 {
					t.Errorf("%s: resumed %v after %d ends, want several", name, result.Resumed, ended)
				}
				break
			}
			if !errors.Is(err, storage.Unavailable) && !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: a copy that was ended = %v", name, err)
			}
			ended++
			if source, err := migrate.Unfinished(t.Context(), b); source != "a" || err != nil {
				t.Errorf("%s: it is an unfinished copy of %q, %v, want a", name, source, err)
			}
			if _, err := migrate.Copy(t.Context(), a, b, migrate.Options{Source: "other"}); !errors.Is(err, migrate.ErrOtherCopy) {
				t.Errorf("%s: a copy of another source = %v, want %v", name, err, migrate.ErrOtherCopy)
			}
			if ended == 1 {
				if _, err := migrate.Copy(t.Context(), b, openSQLite(t), migrate.Options{Source: "b"}); !errors.Is(err, migrate.ErrUnfinished) {
					t.Errorf("%s: a copy of an unfinished copy = %v, want %v", name, err, migrate.ErrUnfinished)
				}
			}
			// The source is served on.
			id := fmt.Sprintf("t%06d", ended)
			where := &query.Constraint{Key: "objectId", Op: query.Eq, Arg: id}
			if _, err := a.Update(t.Context(), things(), where, parse.NewMap("s", "changed"), 1); err != nil {
				t.Fatal(err)
			}
			where = &query.Constraint{Key: "objectId", Op: query.Eq, Arg: fmt.Sprintf("t%06d", 700-ended)}
			if _, err := a.Delete(t.Context(), things(), where, 1); err != nil {
				t.Fatal(err)
			}
		}
		same(t, name, contents(t, a), contents(t, b))
	}
}

// TestWhatCannotBeStored: the object that the target cannot hold is named.
func TestWhatCannotBeStored(t *testing.T) {
	a, b := openSQLite(t), openPostgres(t)
	class := things()
	if err := a.SaveClass(t.Context(), class); err != nil {
		t.Fatal(err)
	}
	if err := a.Create(t.Context(), class, object("Thing", "good"), object("Thing", "bad", "s", "a\x00b")); err != nil {
		t.Fatal(err)
	}
	_, err := migrate.Copy(t.Context(), a, b, migrate.Options{Source: "a"})
	if !errors.Is(err, storage.Unsupported) || !strings.Contains(err.Error(), "class Thing: object bad cannot be stored in the target") {
		t.Errorf("Copy = %v, want Unsupported of the object bad", err)
	}
}

// TestOneCopyAtATime: while a copy runs, another one into the same target is refused, and does no harm.
func TestOneCopyAtATime(t *testing.T) {
	for name, open := range map[string][2]func(*testing.T) storage.Adapter{"to PostgreSQL": {openSQLite, openPostgres}, "to SQLite": {openPostgres, openSQLite}} {
		a, b := open[0](t), open[1](t)
		fill(t, a, 60)
		asked := false
		_, err := migrate.Copy(t.Context(), a, b, migrate.Options{Source: "a", Batch: 10, Progress: func(migrate.Progress) {
			if asked {
				return
			}
			asked = true
			if _, err := migrate.Copy(t.Context(), a, b, migrate.Options{Source: "a"}); !errors.Is(err, migrate.ErrRunning) {
				t.Errorf("%s: a second copy = %v, want %v", name, err, migrate.ErrRunning)
			}
		}})
		if err != nil || !asked {
			t.Errorf("%s: Copy = %v, asked %v", name, err, asked)
		}
		same(t, name, contents(t, a), contents(t, b))
	}
}

// TestCheck names what PostgreSQL could not hold, and where null would become nothing.
func TestCheck(t *testing.T) {
	a := openSQLite(t)
	class := things()
	if err := a.SaveClass(t.Context(), class); err != nil {
		t.Fatal(err)
	}
	objects := []*parse.Object{object("Thing", "bad", "o", parse.NewMap("k", []any{"a\x00b"}), "s", nil), object("Thing", "one", "s", nil, "n", nil), object("Thing", "two", "o", parse.NewMap("k", nil))}
	if err := a.Create(t.Context(), class, objects...); err != nil {
		t.Fatal(err)
	}
	found, err := migrate.Check(t.Context(), a, (*postgres.DB)(nil).Capabilities())
	want := []storage.Finding{
		{Level: "error", About: "object Thing/bad", Text: "the field o holds the character U+0000, which postgres cannot store"},
		{Level: "warning", About: "field Thing.n", Text: "null in 1 objects becomes a field that is not there: postgres stores no null"},
		{Level: "warning", About: "field Thing.s", Text: "null in 2 objects becomes a field that is not there: postgres stores no null"},
	}
	if diff := cmp.Diff(want, found); diff != "" || err != nil {
		t.Errorf("Check = %v (-want +got)\n%s", err, diff)
	}
}

// TestSchemaChangesMeanwhile: between an end of a copy and the next run the source loses a class, a field, a relation and an index, and a field gets another
// type. The copy that goes on is the source as it is then.
func TestSchemaChangesMeanwhile(t *testing.T) {
	for name, open := range map[string][2]func(*testing.T) storage.Adapter{"to PostgreSQL": {openSQLite, openPostgres}, "to SQLite": {openPostgres, openSQLite}} {
		a, b := open[0](t), open[1](t)
		fill(t, a, 100)
		gone := schema.New("Gone")
		gone.Fields["rel"] = schema.Field{Type: schema.Relation, TargetClass: "_User"}
		join := schema.JoinClass("Gone", "rel")
		for _, err := range []error{a.SaveClass(t.Context(), gone), a.Create(t.Context(), gone, object("Gone", "g")),
			a.Create(t.Context(), join, parse.NewObject(join.Name, "objectId", "j", "owningId", "g", "relatedId", "u0"))} {
			if err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err := migrate.Copy(ctx, a, b, migrate.Options{Source: "a", Batch: 10, Progress: func(p migrate.Progress) {
			if p.Class == "Thing" && p.Done == 50 {
				cancel()
			}
		}})
		cancel()
		if err == nil {
			t.Fatalf("%s: the copy was not ended", name)
		}
		class := things()
		delete(class.Fields, "s")
		delete(class.Fields, "rel")
		class.Indexes = nil
		if err := errors.Join(a.DropClass(t.Context(), "Gone"), a.SaveClass(t.Context(), class)); err != nil {
			t.Fatal(err)
		}
		class = class.Clone()
		class.Fields["s"] = schema.Field{Type: schema.Boolean}
		if err := errors.Join(a.SaveClass(t.Context(), class), a.Create(t.Context(), class, object("Thing", "new", "s", true))); err != nil {
			t.Fatal(err)
		}
		result, err := migrate.Copy(t.Context(), a, b, migrate.Options{Source: "a"})
		if err != nil || !result.Resumed {
			t.Fatalf("%s: the copy that goes on = %+v, %v", name, result, err)
		}
		same(t, name, contents(t, a), contents(t, b))
	}
}
