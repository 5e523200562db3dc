package postgres

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	presenter "github.com/parley-backend/parley/credential/presenter/postgres"
	"github.com/parley-backend/parley/internal/pgtest"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// TestLoginRotates: the password of the role changes while a transaction is open; it goes on, and who comes after it uses the new one.
func TestLoginRotates(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	server.Exec(t, "CREATE ROLE rotating LOGIN PASSWORD 'first'", "CREATE SCHEMA rotating AUTHORIZATION rotating")
	source := credentialtest.New(credential.Info{}, "")
	use := func(password string) {
		source.SetVersions(credential.Version{ID: password, Fields: map[string]credential.Secret{"username": credential.NewSecret("rotating"), "password": credential.NewSecret(password)}})
	}
	use("first")
	database, err := credential.New(credential.Config{Name: "database", Source: source, Present: true, Check: presenter.Check})
	if err != nil {
		t.Fatal(err)
	}
	if err := database.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Stop)
	login, err := presenter.Presenter(database)
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, Config{URI: server.URI("nobody", "nothing", "") + "&search_path=rotating&application_name=rotating", Login: login})
	class := save(t, db, thing())
	err = db.Transact(t.Context(), func(ctx context.Context, tx storage.Store) error {
		use("second")
		server.Exec(t, "ALTER ROLE rotating PASSWORD 'second'",
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rotating' AND state = 'idle'")
		if n, err := db.Count(ctx, class, nil); n != 0 || err != nil {
			t.Errorf("Count() with the new password = %d, %v, want 0", n, err)
		}
		return tx.Create(ctx, class, object("Thing", "x"))
	})
	if err != nil {
		t.Errorf("Transact across a rotation = %v", err)
	}
	if got := ids(t, db, class, &query.Find{Limit: -1}); len(got) != 1 {
		t.Errorf("the objects = %v, want x", got)
	}
}

// TestRefusedLogin: a wrong password is Unavailable, and stands in no error.
func TestRefusedLogin(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	server.Exec(t, "CREATE ROLE guest LOGIN PASSWORD 'right'")
	_, err := Open(t.Context(), Config{URI: server.URI("guest", "hidden", "")})
	if !errors.Is(err, storage.Unavailable) || strings.Contains(err.Error(), "hidden") {
		t.Errorf("Open with a wrong password = %v, want Unavailable", err)
	}
	_, err = Open(t.Context(), Config{URI: server.URI("guest", "right", "")})
	if !errors.Is(err, storage.Unavailable) { // of a schema in which it may not make a table
		t.Errorf("Open as a role without rights = %v, want Unavailable", err)
	}
}

// TestAdopt: what Parse Server made gets what Parley relies on, as far as the values allow it; what it writes meanwhile is read, too.
func TestAdopt(t *testing.T) {
	server := pgtest.Shared(t)
	uri := server.Database(t)
	first := open(t, Config{URI: uri})
	run := func(sql string) {
		t.Helper()
		if err := first.outside(t.Context(), func(ctx context.Context, s *session) error { return s.script(ctx, sql) }); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	// The tables of Parse Server 9.10.0, of which users differ in case: it refuses that itself, but its index does not.
	run(`CREATE TABLE "_User" ("objectId" text NOT NULL PRIMARY KEY, "createdAt" timestamptz, "updatedAt" timestamptz, username text, email text, "emailVerified" boolean, "authData" jsonb, _rperm text[], _wperm text[], _hashed_password text);
		CREATE UNIQUE INDEX "_User_unique_username" ON "_User" (username);
		CREATE INDEX case_insensitive_username ON "_User" (lower(username) varchar_pattern_ops);
		INSERT INTO "_User" ("objectId", username, email, "authData") VALUES ('a', 'ann', 'a@x', '{"github":{"id":"1"}}'), ('b', 'Ann', 'b@x', 'null');
		CREATE TABLE "_Join:users:_Role" ("relatedId" varchar(120), "owningId" varchar(120), PRIMARY KEY ("relatedId", "owningId"));
		INSERT INTO "_Join:users:_Role" VALUES ('a', 'r'), ('b', 'r')`)
	var log strings.Builder
	db := open(t, Config{URI: uri, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if !strings.Contains(log.String(), "case_insensitive_username") {
		t.Errorf("the log = %q, want a word about case_insensitive_username", log.String())
	}
	user, join := schema.New(schema.UserClass), schema.JoinClass(schema.RoleClass, "users")
	if got := ids(t, db, user, &query.Find{Limit: -1, Where: &query.Constraint{Key: "_auth_data_github.id", Op: query.Eq, Arg: "1"}}); len(got) != 1 || got[0] != "a" {
		t.Errorf("the user of a provider = %v, want a", got)
	}
	err := db.Create(t.Context(), user, object(schema.UserClass, "c", "email", "A@X"))
	if e := (*storage.Error)(nil); !errors.As(err, &e) || e.Kind != storage.Duplicate || len(e.Fields) != 1 || e.Fields[0] != "email" {
		t.Errorf("Create with an address in other letters = %v, want Duplicate of email", err)
	}
	// Both serve it at once: Parse Server adds a relation and a member in the columns that it knows.
	run(`INSERT INTO "_Join:users:_Role" ("relatedId", "owningId") VALUES ('c', 'r');
		CREATE TABLE "_Join:likes:Thing" ("relatedId" varchar(120), "owningId" varchar(120), PRIMARY KEY ("relatedId", "owningId"));
		INSERT INTO "_Join:likes:Thing" VALUES ('x', 'y')`)
	for _, tt := range []struct {
		class *schema.Class
		want  int
	}{{join, 3}, {schema.JoinClass("Thing", "likes"), 1}} {
		seen := map[string]bool{}
		for _, id := range ids(t, db, tt.class, &query.Find{Limit: -1}) {
			seen[id] = true
		}
		if len(seen) != tt.want || seen[""] {
			t.Errorf("the members in %s = %v, want %d with ids", tt.class.Name, seen, tt.want)
		}
	}
	err = db.Create(t.Context(), join, parse.NewObject(join.Name, "objectId", "j", "relatedId", "a", "owningId", "r"))
	if !errors.Is(err, storage.Duplicate) {
		t.Errorf("Create of a member that is there = %v, want Duplicate", err)
	}
	// A long name is cut off by PostgreSQL.
	long := schema.New("Organization")
	long.Fields["membersWhoMayInviteOthersToTheOrganizationAndWhoWereInvited"] = schema.Field{Type: schema.Relation, TargetClass: schema.UserClass}
	text, err := marshal(long)
	if err != nil {
		t.Fatal(err)
	}
	run(`CREATE TABLE "_Join:membersWhoMayInviteOthersToTheOrganizationAndWhoWereInvited:Organization" ("relatedId" varchar(120), "owningId" varchar(120), PRIMARY KEY ("relatedId", "owningId"));
		INSERT INTO "_Join:membersWhoMayInviteOthersToTheOrganizationAndWhoWereInvited:Organization" VALUES ('a', 'o');
		INSERT INTO "_SCHEMA" VALUES ('Organization', '` + text + `', true)`)
	again := open(t, Config{URI: uri})
	members := schema.JoinClass("Organization", "membersWhoMayInviteOthersToTheOrganizationAndWhoWereInvited")
	if got := ids(t, again, members, &query.Find{Limit: -1, Where: &query.Constraint{Key: "owningId", Op: query.Eq, Arg: "o"}}); len(got) != 1 {
		t.Errorf("the members of a relation with a long name = %v, want one", got)
	}
	save(t, again, long)
	if got := ids(t, again, members, &query.Find{Limit: -1}); len(got) != 1 {
		t.Errorf("the members of a relation with a long name = %v after it was saved, want one", got)
	}
	if n, err := db.Delete(t.Context(), join, &query.Constraint{Key: "relatedId", Op: query.Eq, Arg: "c"}, -1); n != 1 || err != nil {
		t.Errorf("Delete of a member = %d, %v, want 1", n, err)
	}
}
