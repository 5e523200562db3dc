package postgres

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/internal/pgtest"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// script runs statements in a database.
func script(t *testing.T, uri, sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.PgConn().Exec(context.Background(), sql).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

func inspect(t *testing.T, uri string) []storage.Finding {
	t.Helper()
	found, err := Inspect(t.Context(), Config{URI: uri})
	if err != nil {
		t.Fatalf("Inspect = %v", err)
	}
	return found
}

// serious returns what is no note.
func serious(found []storage.Finding) []string {
	list := []string{}
	for _, f := range found {
		if f.Level != "note" {
			list = append(list, f.Level+" "+f.About+": "+f.Text)
		}
	}
	return list
}

// TestInspectParseServer: of a database that Parse Server 9.10.0 wrote everything carries over; and looking at it changes nothing.
func TestInspectParseServer(t *testing.T) {
	uri := pgtest.Shared(t).Database(t)
	text, err := os.ReadFile(filepath.Join("..", "..", "conformance", "testdata", "handover", "parse-server-9.10.0.sql"))
	if err != nil {
		t.Fatal(err)
	}
	script(t, uri, string(text))
	before := inspect(t, uri)
	for _, f := range before {
		if f.Level == "error" {
			t.Errorf("Inspect found %+v", f)
		}
	}
	if diff := cmp.Diff(before, inspect(t, uri)); diff != "" {
		t.Errorf("looking changed something:\n%s", diff)
	}
	db := open(t, Config{URI: uri}) // it is opened, and what Parley adds is nothing to tell
	if _, err := db.Classes(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range inspect(t, uri) {
		if f.Level == "error" {
			t.Errorf("Inspect after it was opened found %+v", f)
		}
	}
}

// TestInspectOwn: there is nothing to tell of what Parley made.
func TestInspectOwn(t *testing.T) {
	uri := pgtest.Shared(t).Database(t)
	db := open(t, Config{URI: uri})
	class := thing()
	class.Indexes = map[string]schema.Index{"by_s": {{Field: "s", Kind: "1"}}}
	class.Fields["place"] = schema.Field{Type: schema.GeoPoint}
	class.Fields["rel"] = schema.Field{Type: schema.Relation, TargetClass: "_User"}
	save(t, db, class)
	for _, name := range []string{"_User", "_Role", "_Session", "_Installation"} {
		save(t, db, schema.New(name))
	}
	if err := db.Create(t.Context(), class, object("Thing", "x", "n", 1.0)); err != nil {
		t.Fatal(err)
	}
	if found := inspect(t, uri); len(found) != 0 {
		t.Errorf("Inspect = %+v, want nothing", found)
	}
}

// TestInspect names what would not carry over.
func TestInspect(t *testing.T) {
	server := pgtest.Shared(t)
	uri := server.Database(t)
	if found := serious(inspect(t, uri)); len(found) != 1 || !strings.HasPrefix(found[0], "error database: there is no table _SCHEMA") {
		t.Errorf("Inspect of an empty database = %q", found)
	}
	db := open(t, Config{URI: uri})
	class := thing()
	class.Fields["d"], class.Fields["o"] = schema.Field{Type: schema.Date}, schema.Field{Type: schema.Object}
	save(t, db, class)
	save(t, db, schema.New(schema.UserClass))
	script(t, uri, `ALTER TABLE "Thing" DROP COLUMN s; ALTER TABLE "Thing" ADD COLUMN s int; ALTER TABLE "Thing" ADD COLUMN more text;
		INSERT INTO "Thing" ("objectId", n, d, o) VALUES ('a', 'NaN', 'infinity', '[1]');
		DROP INDEX "_User.case_insensitive_username";
		INSERT INTO "_User" ("objectId", username) VALUES ('u', 'ann'), ('v', 'Ann');
		CREATE TABLE mine (id int CHECK (id > 0)); CREATE TABLE "_Join:gone:Thing" ("relatedId" text, "owningId" text);
		CREATE INDEX own ON "Thing" (lower(more)); CREATE VIEW seen AS SELECT 1 AS one;
		CREATE FUNCTION array_add(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';
		CREATE FUNCTION noticed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
		CREATE TRIGGER noticing AFTER INSERT ON "Thing" EXECUTE FUNCTION noticed();
		INSERT INTO "_SCHEMA" VALUES ('_Newer', '{}', true), ('Broken', '{"fields":{"x":{"type":"Nothing"}}}', true), ('Empty', '{"className":"Empty","fields":{"objectId":{"type":"String"}}}', true)`)
	var got []string
	for _, f := range inspect(t, uri) {
		got = append(got, f.Level+" "+f.About)
	}
	want := []string{
		"error class Broken", "warning class _Newer", "warning class Empty", "error column Thing.s", "warning column Thing.more", "note index own", "warning table _Join:gone:Thing", "warning table mine",
		"warning trigger noticing on Thing", "warning constraint mine_id_check on mine", "note view seen", "note function noticed", "warning field _User.username",
		"error field Thing.d", "error field Thing.n", "error field Thing.o",
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Inspect: (-want +got)\n%s", diff)
	}
	name := strings.TrimPrefix(uri[strings.LastIndex(uri, "/"):], "/")
	name, _, _ = strings.Cut(name, "?")
	script(t, uri, `CREATE ROLE `+name+`_guest LOGIN PASSWORD 'guest'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO `+name+`_guest; REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
	t.Cleanup(func() { script(t, uri, "DROP OWNED BY "+name+"_guest; DROP ROLE "+name+"_guest") })
	guest := server.URI(name+"_guest", "guest", name)
	texts := strings.Join(serious(inspect(t, guest)), "\n")
	for _, want := range []string{"error schema public: the role may not make tables", "error table Thing: the role may not write it", "warning table Thing: another role owns it"} {
		if !strings.Contains(texts, want) {
			t.Errorf("Inspect as a guest = %s, want %s", texts, want)
		}
	}
	if _, err := Inspect(t.Context(), Config{URI: "postgres://nobody@127.0.0.1:1/none"}); err == nil {
		t.Error("Inspect without a server = nil, want an error")
	}
}

// TestInspectPlaces: places and shapes that are none, and ACLs that nobody can read, are named; those at the edge are not.
func TestInspectPlaces(t *testing.T) {
	uri := pgtest.Shared(t).Database(t)
	db := open(t, Config{URI: uri})
	class := thing()
	class.Fields["g"], class.Fields["p"] = schema.Field{Type: schema.GeoPoint}, schema.Field{Type: schema.Polygon}
	save(t, db, class)
	script(t, uri, `INSERT INTO "Thing" ("objectId", g, p, _rperm) VALUES ('edge', '(180,-90)', '((0,0),(0,1),(1,1))', '{*,role:a}'), ('none', NULL, NULL, NULL), ('edge2', '(-180,90)', '((-180,-90),(0,1),(180,90))', '{}')`)
	if found := inspect(t, uri); len(found) != 0 {
		t.Errorf("Inspect of what is right = %+v, want nothing", found)
	}
	script(t, uri, `INSERT INTO "Thing" ("objectId", g) VALUES ('a', '(181,0)'), ('b', '(NaN,0)'), ('c', '(0,Infinity)');
		INSERT INTO "Thing" ("objectId", p) VALUES ('d', '((0,0),(0,1))'), ('e', '((0,0),(0,1),(1,91))');
		INSERT INTO "Thing" ("objectId", _rperm, _wperm) VALUES ('f', '{NULL,a}', '{{a},{b}}')`)
	want := []string{"error field Thing._rperm: 1 objects hold a value that is no Array", "error field Thing._wperm: 1 objects hold a value that is no Array",
		"error field Thing.g: 3 objects hold a value that is no GeoPoint", "error field Thing.p: 2 objects hold a value that is no Polygon"}
	if diff := cmp.Diff(want, serious(inspect(t, uri))); diff != "" {
		t.Errorf("Inspect: (-want +got)\n%s", diff)
	}
}
