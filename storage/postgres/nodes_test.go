package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parley-backend/parley/internal/pgtest"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// TestManyNodesStart: nodes that start at once on an empty database make its tables together, and each keeps what the others add.
func TestManyNodesStart(t *testing.T) {
	uri := pgtest.Shared(t).Schema(t)
	var wg sync.WaitGroup
	for node := range 6 {
		wg.Go(func() {
			db, err := Open(context.Background(), Config{URI: uri, MaxConns: 2})
			if err != nil {
				t.Errorf("Open = %v", err)
				return
			}
			defer db.Close()
			user, own := schema.New(schema.UserClass), thing()
			own.Fields[fmt.Sprint("by", node)] = schema.Field{Type: schema.Number}
			own.Indexes = map[string]schema.Index{fmt.Sprint("by", node): {{Field: fmt.Sprint("by", node), Kind: "1"}}}
			if err := errors.Join(db.SaveClass(context.Background(), user), db.SaveClass(context.Background(), own)); err != nil {
				t.Errorf("SaveClass = %v", err)
			}
		})
	}
	wg.Wait()
	db := open(t, Config{URI: uri})
	classes, err := db.Classes(context.Background())
	if err != nil || len(classes) != 2 {
		t.Fatalf("Classes() = %v, %v", classes, err)
	}
	for node := range 6 {
		name := fmt.Sprint("by", node)
		if classes[0].Fields[name].Type != schema.Number || len(classes[0].Indexes[name]) != 1 {
			t.Errorf("field or index %s of a node is missing", name)
		}
	}
}

// TestChangedByAnotherNode: statements that were prepared for a table as it was do no harm when another node changes it.
func TestChangedByAnotherNode(t *testing.T) {
	uri := pgtest.Shared(t).Schema(t)
	a, b := open(t, Config{URI: uri, MaxConns: 1}), open(t, Config{URI: uri, MaxConns: 1})
	ctx := context.Background()
	types := []struct {
		typ   schema.Type
		value any
	}{{schema.Number, 1.5}, {schema.String, "2020-01-01"}, {schema.Date, parse.Date(5)}, {schema.Object, parse.NewMap("k", 1.0)}, {schema.Boolean, true}, {schema.Array, []any{"x"}}, {schema.String, "1"}, {schema.GeoPoint, parse.GeoPoint{Latitude: 1}}}
	for i, tt := range types {
		class := schema.New("Thing")
		save(t, b, class) // the field of the round before is gone
		class = schema.New("Thing")
		class.Fields["v"] = schema.Field{Type: tt.typ}
		save(t, b, class)
		if _, err := a.Classes(ctx); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprint("x", i)
		want := object("Thing", id, "v", tt.value)
		err := a.Transact(ctx, func(ctx context.Context, tx storage.Store) error {
			return tx.Create(ctx, class, object("Thing", "t"+id, "v", tt.value))
		})
		if err != nil {
			t.Errorf("Create of a %s in a transaction = %v", tt.typ, err)
		}
		if err := a.Create(ctx, class, want); err != nil {
			t.Errorf("Create of a %s = %v", tt.typ, err)
		}
		if _, err := a.Update(ctx, class, byID(id), parse.NewMap("v", tt.value), 1); err != nil {
			t.Errorf("Update of a %s = %v", tt.typ, err)
		}
		for o, err := range a.Find(ctx, class, &query.Find{Where: query.And{byID(id), &query.Constraint{Key: "v", Op: query.Eq, Arg: tt.value}}, Limit: 1}) {
			if err != nil || !o.Equal(want) {
				t.Errorf("Find of a %s = %v, %v, want %v", tt.typ, o, err, want)
			}
		}
		if got := ids(t, a, class, &query.Find{Where: &query.Constraint{Key: "v", Op: query.In, Arg: []any{tt.value}}, Limit: -1}); !slices.Equal(got, []string{"t" + id, id}) {
			t.Errorf("Find of a %s = %v, want %v", tt.typ, got, id)
		}
	}
}

// TestNodesAreTold: a changed class is announced on the channel that Parse Server listens on.
func TestNodesAreTold(t *testing.T) {
	server := pgtest.Shared(t)
	db := open(t, Config{URI: server.Schema(t)})
	conn, err := pgx.Connect(t.Context(), server.URI("", "", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `LISTEN "schema.change"`); err != nil {
		t.Fatal(err)
	}
	save(t, db, thing())
	told, err := conn.WaitForNotification(t.Context())
	if err != nil || !strings.HasPrefix(told.Payload, `{"senderId":"parley-`) {
		t.Errorf("the notification = %+v, %v, want a sender", told, err)
	}
}

// TestLayout: tables, columns and indexes are those that Parse Server 9.10.0 makes of the same classes; what is Parley's own stands behind.
func TestLayout(t *testing.T) {
	server := pgtest.Shared(t)
	db := open(t, Config{URI: server.Schema(t)})
	class := thing()
	for name, f := range map[string]schema.Field{
		"b": {Type: schema.Boolean}, "d": {Type: schema.Date}, "o": {Type: schema.Object}, "a": {Type: schema.Array}, "g": {Type: schema.GeoPoint}, "poly": {Type: schema.Polygon},
		"f": {Type: schema.File}, "y": {Type: schema.Bytes}, "p": {Type: schema.Pointer, TargetClass: "_User"}, "rel": {Type: schema.Relation, TargetClass: "_User"},
	} {
		class.Fields[name] = f
	}
	class.Indexes = map[string]schema.Index{"by_sn": {{Field: "s", Kind: "1"}, {Field: "n", Kind: "-1"}}, "Thing": {{Field: "n", Kind: "1"}}}
	save(t, db, class)
	var got []string
	err := db.outside(t.Context(), func(ctx context.Context, s *session) (err error) {
		got, err = s.names(ctx, `SELECT table_name || ' ' || column_name || ' ' || udt_name FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY table_name COLLATE "C", ordinal_position`)
		if err != nil {
			return err
		}
		indexes, err := s.names(ctx, `SELECT replace(indexdef, current_schema() || '.', '') FROM pg_indexes WHERE schemaname = current_schema() ORDER BY indexdef COLLATE "C"`)
		got = append(got, indexes...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Thing objectId text", "Thing createdAt timestamptz", "Thing updatedAt timestamptz", "Thing a jsonb", "Thing b bool", "Thing d timestamptz", "Thing f text", "Thing g point",
		"Thing n float8", "Thing o jsonb", "Thing p text", "Thing poly polygon", "Thing s text", "Thing y jsonb", "Thing _rperm _text", "Thing _wperm _text",
		"_Join:rel:Thing objectId text", "_Join:rel:Thing owningId text", "_Join:rel:Thing relatedId text",
		"_SCHEMA className varchar", "_SCHEMA schema jsonb", "_SCHEMA isParseClass bool",
		`CREATE INDEX "Thing.Thing" ON "Thing" USING btree (n NULLS FIRST, "objectId")`,
		`CREATE INDEX "Thing.g:geo" ON "Thing" USING gist (g)`,
		`CREATE INDEX by_sn ON "Thing" USING btree (s NULLS FIRST, n DESC NULLS LAST, "objectId")`,
		`CREATE UNIQUE INDEX "Thing_pkey" ON "Thing" USING btree ("objectId")`,
		`CREATE UNIQUE INDEX "_Join:rel:Thing_pair" ON "_Join:rel:Thing" USING btree ("owningId", "relatedId")`,
		`CREATE UNIQUE INDEX "_Join:rel:Thing_pkey" ON "_Join:rel:Thing" USING btree ("relatedId", "owningId")`,
		`CREATE UNIQUE INDEX "_SCHEMA_pkey" ON "_SCHEMA" USING btree ("className")`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tables and indexes: (-want +got)\n%s", diff)
	}
}

// TestParseServerAddsAField: Parse Server adds a column and then stores the field, in a transaction. Who saves the class meanwhile waits
// for it, and keeps what it stored.
func TestParseServerAddsAField(t *testing.T) {
	uri := pgtest.Shared(t).Schema(t)
	db := open(t, Config{URI: uri})
	save(t, db, thing())
	conn, err := pgx.Connect(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for i, statements := range []string{
		`BEGIN; ALTER TABLE "Thing" ADD COLUMN "theirs0" text; UPDATE "_SCHEMA" SET "schema" = jsonb_set("schema", '{fields,theirs0}', '{"type": "String"}') WHERE "className" = 'Thing'`,
		`BEGIN; UPDATE "_SCHEMA" SET "schema" = jsonb_set("schema", '{fields,theirs1}', '{"type": "String"}') WHERE "className" = 'Thing'`,
	} {
		if _, err := conn.PgConn().Exec(t.Context(), statements).ReadAll(); err != nil {
			t.Fatal(err)
		}
		class := thing()
		class.Fields[fmt.Sprint("ours", i)] = schema.Field{Type: schema.Number}
		saved := make(chan error, 1)
		go func() { saved <- db.SaveClass(context.Background(), class) }()
		for waits := false; !waits; time.Sleep(time.Millisecond) {
			if err := conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))").Scan(&waits); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := conn.Exec(t.Context(), "COMMIT"); err != nil {
			t.Fatal(err)
		}
		if err := <-saved; err != nil {
			t.Errorf("SaveClass = %v", err)
		}
		classes, err := db.Classes(t.Context())
		if err != nil || len(classes) != 1 {
			t.Fatalf("Classes() = %v, %v", classes, err)
		}
		for _, name := range []string{"theirs", "ours"} {
			if name = fmt.Sprint(name, i); classes[0].Fields[name].Type == "" {
				t.Errorf("%s is not stored", name)
			}
		}
	}
}

// TestLongNames: Parse Server lets PostgreSQL cut off names after 63 bytes. What it stored so is found, and what Parley makes is not cut off.
func TestLongNames(t *testing.T) {
	server := pgtest.Shared(t)
	uri := server.Schema(t)
	class, field, other := "C"+strings.Repeat("l", 70), "f"+strings.Repeat("m", 70), "g"+strings.Repeat("m", 70)
	conn, err := pgx.Connect(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.PgConn().Exec(t.Context(), fmt.Sprintf(`CREATE TABLE "_SCHEMA" ("className" varchar PRIMARY KEY, "schema" jsonb, "isParseClass" bool);
		INSERT INTO "_SCHEMA" VALUES ('%[1]s', '{"className": "%[1]s", "fields": {"objectId": {"type": "String"}, "createdAt": {"type": "Date"}, "updatedAt": {"type": "Date"}, "%[2]s": {"type": "Number"}, "s": {"type": "String"}}}', true);
		CREATE TABLE "%[1]s" ("objectId" text PRIMARY KEY, "createdAt" timestamptz, "updatedAt" timestamptz, "%[2]s" float8, "s" text, "_rperm" text[], "_wperm" text[]);
		INSERT INTO "%[1]s" ("objectId", "%[2]s") VALUES ('a', 1)`, class, field)).ReadAll()
	if err := errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	for range 2 { // as Parse Server left it, and as Parley did
		db := open(t, Config{URI: uri})
		classes, err := db.Classes(t.Context())
		if err != nil || len(classes) != 1 {
			t.Fatalf("Classes() = %v, %v", classes, err)
		}
		if _, err := db.Update(t.Context(), classes[0], byID("a"), parse.NewMap(field, parse.Increment{Amount: 1}), 1); err != nil {
			t.Errorf("Update = %v", err)
		}
		stored := classes[0].Clone()
		stored.Fields[other] = schema.Field{Type: schema.Number}
		save(t, db, stored)
		if _, err := db.Update(t.Context(), stored, byID("a"), parse.NewMap(other, parse.Increment{Amount: 10}), 1); err != nil {
			t.Errorf("Update of a new field = %v", err)
		}
	}
	db := open(t, Config{URI: uri})
	classes, err := db.Classes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for o, err := range db.Find(t.Context(), classes[0], &query.Find{Limit: -1}) {
		if want := parse.NewObject(class, "objectId", "a", field, 3.0, other, 20.0); err != nil || !o.Equal(want) {
			t.Errorf("Find = %v, %v, want %v", o, err, want)
		}
	}
}

// TestExplain: the index on the place, and that of the schema, are used.
func TestExplain(t *testing.T) {
	db := open(t, Config{})
	class := thing()
	class.Fields["place"] = schema.Field{Type: schema.GeoPoint}
	class.Indexes = map[string]schema.Index{"by_s": {{Field: "s", Kind: "1"}}}
	plan, err := db.Explain(t.Context(), class, &query.Find{Limit: 1})
	if want := `{"database":"postgres","sql":null,"plan":[]}`; err != nil || string(parse.Marshal(plan)) != want {
		t.Errorf("Explain of what was never saved = %s, %v, want %s", parse.Marshal(plan), err, want)
	}
	save(t, db, class)
	var objects []*parse.Object
	for i := range 2000 {
		objects = append(objects, object("Thing", fmt.Sprintf("x%04d", i), "s", fmt.Sprintf("s%04d", i), "place", parse.GeoPoint{Latitude: float64(i%170) / 2, Longitude: float64(i % 100)}))
	}
	if err := db.Create(t.Context(), class, objects...); err != nil {
		t.Fatal(err)
	}
	if err := db.outside(t.Context(), func(ctx context.Context, s *session) error {
		return s.script(ctx, "ANALYZE "+db.dialect.Table("Thing"))
	}); err != nil {
		t.Fatal(err)
	}
	box := query.Box{SouthWest: parse.GeoPoint{Latitude: 1, Longitude: 1}, NorthEast: parse.GeoPoint{Latitude: 2, Longitude: 2}}
	for index, q := range map[string]*query.Find{
		"Thing.place:geo": {Where: &query.Constraint{Key: "place", Op: query.WithinBox, Arg: box}, Limit: 1},
		"by_s":            {Order: []query.Order{{Key: "s"}}, Limit: 1},
		"Thing_pkey":      {Where: byID("x0001"), Limit: 1},
	} {
		plan, err := db.Explain(t.Context(), class, q)
		if err != nil || !strings.Contains(string(parse.Marshal(plan)), `"Index Name":"`+index+`"`) {
			t.Errorf("Explain = %s, %v, want %s in it", parse.Marshal(plan), err, index)
		}
	}
	// A prefix is a range of the index, and so is what a regular expression begins with.
	plan, err = db.Explain(t.Context(), class, &query.Find{Where: &query.Constraint{Key: "s", Op: query.Match, Arg: &query.Regex{Pattern: "^s19[0-5]$"}}, Limit: 10})
	if text := string(parse.Marshal(plan)); err != nil || !strings.Contains(text, `"Index Name":"by_s"`) || !strings.Contains(text, `"filtered":true`) {
		t.Errorf("Explain of a regular expression = %s, %v, want by_s, filtered", text, err)
	}
}

// TestChoosesBeforeItLimits: of a superset that is read in pages, those that match are skipped, limited, changed and removed.
func TestChoosesBeforeItLimits(t *testing.T) {
	db := open(t, Config{})
	class := save(t, db, thing())
	var objects []*parse.Object
	for i := range 3000 {
		objects = append(objects, object("Thing", fmt.Sprintf("x%04d", i), "s", fmt.Sprintf("%04d", i)))
	}
	if err := db.Create(t.Context(), class, objects...); err != nil {
		t.Fatal(err)
	}
	rare := &query.Constraint{Key: "s", Op: query.Match, Arg: &query.Regex{Pattern: "[0-9]99$"}}
	q := &query.Find{Where: rare, Skip: 2, Limit: 3, Keys: []string{"n"}, Order: []query.Order{{Key: "s", Descending: true}}}
	for o, err := range db.Find(t.Context(), class, q) {
		if err != nil || o.Has("s") {
			t.Errorf("Find = %v, %v, want no field s", o, err)
		}
	}
	if got, want := ids(t, db, class, q), []string{"x2799", "x2699", "x2599"}; !slices.Equal(got, want) {
		t.Errorf("Find = %v, want %v", got, want)
	}
	if n, err := db.Count(t.Context(), class, rare); n != 30 || err != nil {
		t.Errorf("Count = %d, %v, want 30", n, err)
	}
	if changed, err := db.Update(t.Context(), class, rare, parse.NewMap("n", 1.0), 4); len(changed) != 4 || err != nil {
		t.Errorf("Update = %v, %v, want 4", changed, err)
	}
	if got := ids(t, db, class, &query.Find{Where: query.And{rare, &query.Constraint{Key: "n", Op: query.Eq, Arg: 1.0}}, Limit: -1}); len(got) != 4 {
		t.Errorf("the changed objects = %v, want 4", got)
	}
	err := db.Transact(t.Context(), func(ctx context.Context, tx storage.Store) error {
		if n, err := tx.Delete(ctx, class, rare, 5); n != 5 || err != nil {
			t.Errorf("Delete = %d, %v, want 5", n, err)
		}
		n, err := tx.Delete(ctx, class, rare, -1)
		if n != 25 {
			t.Errorf("Delete = %d, want 25", n)
		}
		return err
	})
	if err != nil {
		t.Errorf("Transact = %v", err)
	}
}

func TestMeanings(t *testing.T) {
	for code, want := range map[string]storage.Kind{
		"08006": storage.Unavailable, "28P01": storage.Unavailable, "53300": storage.Unavailable, "57P01": storage.Unavailable, "57014": storage.Unavailable, "25006": storage.Unavailable,
		"42501": storage.Unavailable, "40001": storage.Transient, "40P01": storage.Transient, "55P03": storage.Transient, "23505": storage.Duplicate, "22P05": storage.Unsupported,
		"54000": storage.Unsupported, "XX001": storage.Corrupt, "42601": storage.Internal, "23502": storage.Internal, "X": storage.Internal,
	} {
		if err := wrap("Find", "C", &pgconn.PgError{Code: code}); storage.KindOf(err) != want {
			t.Errorf("the kind of %s = %v, want %v", code, storage.KindOf(err), want)
		}
	}
}
