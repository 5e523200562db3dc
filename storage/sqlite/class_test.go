package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/storagetest"
)

// indexesOf returns the statements of the indexes of a table, as SQLite has them.
func indexesOf(t *testing.T, db *DB, table string) []string {
	t.Helper()
	var list []string
	err := db.read(context.Background(), func(c *conn) error {
		rows, err := c.query("SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL ORDER BY name", table)
		for _, row := range rows {
			list = append(list, row[0])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestIndexesFollowTheClass(t *testing.T) {
	db := open(t, Config{})
	class := gameScore()
	save(t, db, class)
	want := []string{
		`CREATE INDEX "GameScore.byScore~1n15uri" ON "GameScore" ("score" DESC, "objectId")`,
		`CREATE INDEX "GameScore.place:geo" ON "GameScore" ("place:lat", "place:lng")`,
	}
	if diff := cmp.Diff(want, indexesOf(t, db, "GameScore")); diff != "" {
		t.Errorf("indexes: %s", diff)
	}
	// Another definition under the same name, a new index, and a field that goes with its index.
	class = class.Clone()
	class.Indexes = map[string]schema.Index{"byScore": {{Field: "score", Kind: "1"}, {Field: "player", Kind: "1"}}, "p": {{Field: "player", Kind: "1"}}}
	delete(class.Fields, "place")
	save(t, db, class)
	save(t, db, class) // nothing to do
	want = []string{
		`CREATE INDEX "GameScore.byScore~1n15uri" ON "GameScore" ("score", "player", "objectId")`,
		`CREATE INDEX "GameScore.p" ON "GameScore" ("player", "objectId")`,
	}
	if diff := cmp.Diff(want, indexesOf(t, db, "GameScore")); diff != "" {
		t.Errorf("indexes after a change: %s", diff)
	}
	stored, err := db.Classes(context.Background())
	if err != nil || len(stored) != 1 || !cmp.Equal(stored[0].Indexes, class.Indexes) {
		t.Errorf("Classes = %v, %v, want the indexes %v", stored, err, class.Indexes)
	}
}

// TestUniqueAuthData: each id of each authentication provider belongs to one user, also of one first heard of now.
func TestUniqueAuthData(t *testing.T) {
	db := open(t, Config{})
	ctx := context.Background()
	users := save(t, db, schema.New(schema.UserClass))
	user := func(id, provider, provided string) *parse.Object {
		return parse.NewObject(schema.UserClass, "objectId", id, "createdAt", parse.Date(1), "updatedAt", parse.Date(1),
			schema.AuthDataPrefix+provider, parse.NewMap("id", provided, "token", "t"))
	}
	for _, provider := range []string{"anonymous", "facebook", "odd name's"} {
		if err := db.Create(ctx, users, user(provider+"1", provider, "a")); err != nil {
			t.Fatal(err)
		}
		err := db.Create(ctx, users, user(provider+"2", provider, "a"))
		if storage.KindOf(err) != storage.Duplicate {
			t.Errorf("the same id of %s twice = %v, want Duplicate", provider, err)
		} else if fields := fieldsOf(err); !slices.Equal(fields, []string{schema.AuthDataPrefix + provider + ".id"}) {
			t.Errorf("fields of the Duplicate = %v", fields)
		}
		if err := db.Create(ctx, users, user(provider+"3", provider, "b")); err != nil {
			t.Errorf("another id of %s = %v", provider, err)
		}
		key := schema.AuthDataPrefix + provider + ".id"
		got := find(t, db, users, &query.Find{Where: &query.Constraint{Key: key, Op: query.Eq, Arg: "b"}, Limit: -1})
		if len(got) != 1 || got[0].ID() != provider+"3" {
			t.Errorf("Find(%s = b) = %v, want one user", key, got)
		}
		changes := parse.NewMap(schema.AuthDataPrefix+provider, parse.Delete{})
		if _, err := db.Update(ctx, users, byID(provider+"3"), changes, 1); err != nil {
			t.Fatal(err)
		}
		if got := find(t, db, users, &query.Find{Where: byID(provider + "3"), Limit: 1}); got[0].Has(schema.AuthDataPrefix + provider) {
			t.Errorf("the data of %s is still there", provider)
		}
	}
	save(t, db, users.Clone()) // the indexes stay
	if err := db.Create(ctx, users, user("again", "facebook", "a")); storage.KindOf(err) != storage.Duplicate {
		t.Errorf("the same id after the class was saved = %v, want Duplicate", err)
	}
}

func fieldsOf(err error) []string {
	if e, ok := err.(*storage.Error); ok {
		return e.Fields
	}
	return nil
}

// TestLookupsUseAnIndex: what every request asks is answered without looking at all objects.
func TestLookupsUseAnIndex(t *testing.T) {
	db := open(t, Config{})
	for class, keys := range map[string][]string{
		schema.UserClass:               {"objectId", "username", "email", "_auth_data_anonymous.id", "_perishable_token"},
		schema.SessionClass:            {"sessionToken"},
		schema.RoleClass:               {"name"},
		schema.InstallationClass:       {"installationId", "deviceToken"},
		"_Join:users:" + "_Role":       {"owningId", "relatedId"},
		"_Idempotency":                 {"reqId"},
		"GameScore with its own index": {"score"},
	} {
		c := schema.New(class)
		if strings.HasPrefix(class, "GameScore") {
			c = gameScore()
		}
		if err := db.Create(context.Background(), c, parse.NewObject(c.Name, "objectId", "x")); err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			var arg any = "x"
			if key == "score" {
				arg = 1.0
			}
			for _, where := range []query.Node{
				&query.Constraint{Key: key, Op: query.Eq, Arg: arg},
				query.And{&query.Constraint{Key: key, Op: query.Eq, Arg: arg}, &query.Constraint{Key: "_rperm", Op: query.In, Arg: []any{nil, "*"}}},
			} {
				plan, err := db.Explain(context.Background(), c, &query.Find{Where: where, Limit: 100})
				if err != nil {
					t.Fatal(err)
				}
				steps := plan.(*parse.Map).Get("plan").([]any)
				if len(steps) == 0 || !strings.HasPrefix(steps[0].(*parse.Map).String("detail"), "SEARCH") {
					t.Errorf("%s.%s: %s", c.Name, key, parse.Marshal(plan))
				}
			}
		}
	}
}

func TestExplain(t *testing.T) {
	db := open(t, Config{})
	class := gameScore()
	plan, err := db.Explain(context.Background(), class, &query.Find{Limit: 1})
	if want := `{"database":"sqlite","sql":null,"plan":[]}`; err != nil || string(parse.Marshal(plan)) != want {
		t.Errorf("Explain of what was never saved = %s, %v, want %s", parse.Marshal(plan), err, want)
	}
	save(t, db, class)
	plan, err = db.Explain(context.Background(), class, &query.Find{Where: &query.Constraint{Key: "place", Op: query.WithinBox,
		Arg: query.Box{NorthEast: parse.GeoPoint{Latitude: 1, Longitude: 1}}}, Keys: []string{}, Limit: 1})
	want := `"detail":"SEARCH GameScore USING INDEX GameScore.place:geo (place:lat>? AND place:lat<?)"`
	if err != nil || !strings.Contains(string(parse.Marshal(plan)), want) {
		t.Errorf("Explain = %s, %v, want %s in it", parse.Marshal(plan), err, want)
	}
}

// TestNearGrows: the nearest of many are found by circles that grow, in the same order as by sorting all.
func TestNearGrows(t *testing.T) {
	db := open(t, Config{})
	class := save(t, db, gameScore())
	var objects []*parse.Object
	for i := range 500 {
		p := parse.GeoPoint{Latitude: float64(i%50)/10 - 2, Longitude: 178 + float64(i/50)*0.5}
		if p.Longitude > 180 {
			p.Longitude -= 360
		}
		objects = append(objects, object(fmt.Sprintf("%03d", i), "place", p, "score", float64(i%3)))
	}
	if err := db.Create(context.Background(), class, objects...); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{1, 20, 499, 1000, -1} {
		for _, reach := range []float64{-1, 0.03, 4} {
			q := &query.Find{Where: query.And{
				&query.Constraint{Key: "score", Op: query.Ne, Arg: 1.0},
				&query.Constraint{Key: "place", Op: query.Near, Arg: &query.NearSphere{Point: parse.GeoPoint{Latitude: 0.01, Longitude: 179.98}, MaxRadians: reach}},
			}, Limit: limit, Skip: 2}
			want, err := storagetest.Reference(objects, q)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range find(t, db, class, q) {
				got = append(got, o.ID())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("limit %d within %v: %s", limit, reach, diff)
			}
		}
	}
}

// TestNullIsKept: a field that was set to null reads as null, and is as good as missing for every query.
func TestNullIsKept(t *testing.T) {
	db := open(t, Config{})
	class := save(t, db, gameScore())
	ctx := context.Background()
	if err := db.Create(ctx, class, object("x", "score", nil, "place", nil, "tags", nil)); err != nil {
		t.Fatal(err)
	}
	get := func() *parse.Object { return find(t, db, class, &query.Find{Where: byID("x"), Limit: 1})[0] }
	for _, key := range []string{"score", "place", "tags"} {
		if o := get(); !o.Has(key) || o.Get(key) != nil {
			t.Errorf("%s = %v, want null", key, o.Get(key))
		}
		if n, err := db.Count(ctx, class, &query.Constraint{Key: key, Op: query.Exists, Arg: true}); n != 0 || err != nil {
			t.Errorf("Count(%s exists) = %d, %v, want 0", key, n, err)
		}
	}
	for _, step := range []struct {
		changes *parse.Map
		want    string
	}{
		{parse.NewMap("score", 1.0), `{"objectId":"x","createdAt":"1970-01-01T00:00:00.001Z","updatedAt":"1970-01-01T00:00:00.001Z","score":1,"place":null,"tags":null}`},
		{parse.NewMap("place", parse.Delete{}), `{"objectId":"x","createdAt":"1970-01-01T00:00:00.001Z","updatedAt":"1970-01-01T00:00:00.001Z","score":1,"tags":null}`},
		{parse.NewMap("score", nil), `{"objectId":"x","createdAt":"1970-01-01T00:00:00.001Z","updatedAt":"1970-01-01T00:00:00.001Z","score":null,"tags":null}`},
		{parse.NewMap("score", parse.Increment{Amount: 2}, "tags", parse.Add{Objects: []any{1.0}}), `{"objectId":"x","createdAt":"1970-01-01T00:00:00.001Z","updatedAt":"1970-01-01T00:00:00.001Z","score":2,"tags":[1]}`},
	} {
		if _, err := db.Update(ctx, class, byID("x"), step.changes, 1); err != nil {
			t.Fatal(err)
		}
		want, err := parse.DecodeMap([]byte(step.want), parse.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		want.Set("createdAt", parse.Date(1))
		want.Set("updatedAt", parse.Date(1))
		if got := get(); !got.Map.Equal(want) {
			t.Errorf("after %s: %s, want %s", parse.Marshal(step.changes), parse.AppendObject(nil, got), step.want)
		}
	}
}

// TestStatementsAreBounded: however many shapes of queries there are, a connection keeps no more than its share.
func TestStatementsAreBounded(t *testing.T) {
	db := open(t, Config{Readers: 1})
	class := save(t, db, gameScore())
	for i := range maxStatements + 50 {
		or := make(query.Or, i+1)
		for j := range or {
			or[j] = &query.Constraint{Key: "score", Op: query.Eq, Arg: 1.0}
		}
		if _, err := db.Count(context.Background(), class, or); err != nil {
			t.Fatal(err)
		}
	}
	err := db.read(context.Background(), func(c *conn) error {
		if len(c.stmts) != maxStatements || len(c.recent) != maxStatements {
			t.Errorf("%d statements are kept, want %d", len(c.stmts), maxStatements)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
