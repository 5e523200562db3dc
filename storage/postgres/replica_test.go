package postgres

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/internal/pgtest"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// found returns the ids that a find with a preference finds.
func found(t *testing.T, db *DB, class *schema.Class, preference string) []string {
	t.Helper()
	list := []string{}
	for o, err := range db.From(preference).Find(context.Background(), class, &query.Find{Limit: -1}) {
		if err != nil {
			t.Fatalf("Find from %s = %v", preference, err)
		}
		list = append(list, o.ID())
	}
	return list
}

// seen is found where a count tells the same: what is there does not change meanwhile.
func seen(t *testing.T, db *DB, class *schema.Class, preference string) []string {
	t.Helper()
	list := found(t, db, class, preference)
	n, err := db.From(preference).Count(context.Background(), class, nil)
	if err != nil || int(n) != len(list) {
		t.Errorf("Count from %s = %d, %v, want %d", preference, n, err, len(list))
	}
	return list
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// TestReplica: reads go where their preference says; a replica that is behind, or away, is not read from until it is back.
func TestReplica(t *testing.T) {
	primary := pgtest.Start(t, pgtest.Options{Own: true})
	follower := primary.Replica(t)
	db := open(t, Config{URI: primary.URI("", "", ""), Replicas: []Replica{{URI: follower.URI("", "", "")}}, MaxStaleness: 300 * time.Millisecond, Measure: 20 * time.Millisecond})
	replica := db.replicas.list[0]
	class := save(t, db, thing())
	ctx := t.Context()
	if err := db.Create(ctx, class, object("Thing", "x")); err != nil {
		t.Fatal(err)
	}
	caughtUp := func() bool { return replica.usable.Load() && len(found(t, db, class, "SECONDARY")) == 1 }
	eventually(t, "the replica has the object", caughtUp)
	// While the replica stands still, only reads from it show what was before.
	follower.Exec(t, "SELECT pg_wal_replay_pause()")
	eventually(t, "the replica stands still", func() bool {
		if err := db.Create(ctx, class, object("Thing", "probe")); err != nil {
			t.Fatal(err)
		}
		still := !replica.usable.Load() || len(found(t, db, class, "SECONDARY")) == 1
		if _, err := db.Delete(ctx, class, byID("probe"), 1); err != nil {
			t.Fatal(err)
		}
		return still
	})
	if err := db.Create(ctx, class, object("Thing", "y")); err != nil {
		t.Fatal(err)
	}
	for _, preference := range []string{"", "PRIMARY", "primary", "PRIMARY_PREFERRED"} {
		if got := seen(t, db, class, preference); !slices.Equal(got, []string{"x", "y"}) {
			t.Errorf("the objects from %q = %v, want x and y", preference, got)
		}
	}
	eventually(t, "the replica is too far behind", func() bool { return !replica.usable.Load() })
	for _, preference := range []string{"SECONDARY", "secondary_preferred", "NEAREST"} {
		if got := seen(t, db, class, preference); !slices.Equal(got, []string{"x", "y"}) {
			t.Errorf("the objects from %q while the replica is behind = %v, want x and y", preference, got)
		}
	}
	follower.Exec(t, "SELECT pg_wal_replay_resume()")
	eventually(t, "the replica has caught up", func() bool { return replica.usable.Load() })
	// Of a replica that is away the database itself is read.
	follower.Stop(t)
	for _, preference := range []string{"SECONDARY", "SECONDARY_PREFERRED", "NEAREST"} {
		if got := seen(t, db, class, preference); !slices.Equal(got, []string{"x", "y"}) {
			t.Errorf("the objects from %q without a replica = %v, want x and y", preference, got)
		}
	}
	follower.Restart(t)
	eventually(t, "the replica is back", func() bool { return replica.usable.Load() })
	// And of a database that is away, a replica.
	primary.Stop(t)
	for _, preference := range []string{"PRIMARY_PREFERRED", "SECONDARY", "NEAREST"} {
		if got := seen(t, db, class, preference); !slices.Equal(got, []string{"x", "y"}) {
			t.Errorf("the objects from %q without the primary = %v, want x and y", preference, got)
		}
	}
	if _, err := db.From("PRIMARY").Count(ctx, class, nil); !errors.Is(err, storage.Unavailable) {
		t.Errorf("Count from PRIMARY without it = %v, want Unavailable", err)
	}
	primary.Restart(t)
	if n := replica.db.pool.Stat().AcquiredConns(); n > 1 { // one may be measuring
		t.Errorf("%d connections to the replica are held", n)
	}
}

// TestReplicaIsReadFrom: with SECONDARY as the default it is the replica that answers, and never within a transaction.
func TestReplicaIsReadFrom(t *testing.T) {
	primary := pgtest.Start(t, pgtest.Options{Own: true})
	follower := primary.Replica(t)
	db := open(t, Config{URI: primary.URI("", "", ""), Replicas: []Replica{{URI: follower.URI("", "", "") + "&application_name=reads"}, {URI: "postgres://nobody@127.0.0.1:1/none"}},
		ReadPreference: "SECONDARY", Measure: 20 * time.Millisecond})
	class := save(t, db, thing())
	if err := db.Create(t.Context(), class, object("Thing", "x")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica has the object", func() bool {
		return db.replicas.list[0].usable.Load() && len(found(t, db.replicas.list[0].db, class, "PRIMARY")) == 1
	})
	conn, err := pgx.Connect(t.Context(), follower.URI("", "", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	eventually(t, "the replica was asked", func() bool {
		found(t, db, class, "")
		var n int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reads' AND query LIKE '%"Thing"%'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n > 0
	})
	if db.replicas.list[1].usable.Load() {
		t.Error("a replica that is not there is usable")
	}
	if _, err := Open(t.Context(), Config{URI: primary.URI("", "", ""), Replicas: []Replica{{URI: "mysql://h"}}}); !errors.Is(err, storage.Unsupported) {
		t.Errorf("Open with a replica of another database = %v, want Unsupported", err)
	}
}

// TestPrimaryPreferred: a primary that did not answer when it was measured is asked last.
func TestPrimaryPreferred(t *testing.T) {
	r := &replicas{primary: &node{name: "primary"}, list: []*node{{name: "one"}}}
	r.list[0].usable.Store(true)
	for _, usable := range []bool{true, false} {
		r.primary.usable.Store(usable)
		want := []string{"primary", "one"}
		if !usable {
			want = []string{"one", "primary"}
		}
		var got []string
		for _, n := range r.order("PRIMARY_PREFERRED") {
			got = append(got, n.name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("the order with a primary that is usable: %v = %v, want %v", usable, got, want)
		}
	}
}

// TestNearest: the server that answers fastest is read from, and of those that are as near each in its turn.
func TestNearest(t *testing.T) {
	server := func(name string, trip time.Duration, usable bool) *node {
		n := &node{name: name}
		n.trip.Store(int64(trip))
		n.usable.Store(usable)
		return n
	}
	for _, tt := range []struct {
		primary, one, two *node
		want              []string
	}{
		{server("primary", 50*time.Millisecond, true), server("one", time.Millisecond, true), server("two", 90*time.Millisecond, true), []string{"one"}},
		{server("primary", 5*time.Millisecond, true), server("one", time.Millisecond, true), server("two", 10*time.Millisecond, true), []string{"one", "primary", "two"}},
		{server("primary", time.Millisecond, true), server("one", time.Millisecond, false), server("two", time.Millisecond, false), []string{"primary"}},
		{server("primary", time.Millisecond, false), server("one", 90*time.Millisecond, true), server("two", time.Millisecond, false), []string{"one"}},
	} {
		r := &replicas{primary: tt.primary, list: []*node{tt.one, tt.two}}
		var got []string
		for range 12 {
			got = append(got, r.order("NEAREST")[0].name)
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, tt.want) {
			t.Errorf("the nearest = %v, want %v", got, tt.want)
		}
	}
}
