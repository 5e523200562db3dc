package role_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/internal/role"
	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/memory"
)

// counting counts the finds of an adapter.
type counting struct {
	storage.Adapter
	finds atomic.Int64
}

func (c *counting) Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error] {
	c.finds.Add(1)
	return c.Adapter.Find(ctx, class, q)
}

type world struct {
	t       testing.TB
	store   *counting
	roles   *role.Roles
	objects *object.Objects
}

func newWorld(t testing.TB) *world {
	store := &counting{Adapter: storage.Checked(memory.New())}
	classes, err := schemas.Load(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	roles := role.New(role.Config{Store: store, Schemas: classes})
	objects := object.New(object.Config{Store: store, Schemas: classes, Behaviors: map[string]object.Behavior{schema.RoleClass: roles}})
	return &world{t: t, store: store, roles: roles, objects: objects}
}

func pointers(class string, ids ...string) parse.AddRelation {
	var op parse.AddRelation
	for _, id := range ids {
		op.Objects = append(op.Objects, parse.Pointer{ClassName: class, ObjectID: id})
	}
	return op
}

// role stores a role with the given users and roles below it, and returns its id.
func (w *world) role(name string, users, below []string) string {
	w.t.Helper()
	data := parse.NewMap("name", name, "ACL", parse.ACL{parse.Public: {Read: true}})
	if len(users) > 0 {
		data.Set("users", pointers(schema.UserClass, users...))
	}
	if len(below) > 0 {
		data.Set("roles", pointers(schema.RoleClass, below...))
	}
	saved, err := w.objects.Create(w.t.Context(), auth.System, schema.RoleClass, data)
	if err != nil {
		w.t.Fatal(err)
	}
	return saved.Body.String("objectId")
}

func (w *world) update(id string, fields ...any) {
	w.t.Helper()
	if _, err := w.objects.Update(w.t.Context(), auth.System, schema.RoleClass, id, parse.NewMap(fields...)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) of(user string) []string {
	w.t.Helper()
	names, err := w.roles.Of(w.t.Context(), user)
	if err != nil {
		w.t.Fatal(err)
	}
	return names
}

func TestOf(t *testing.T) {
	w := newWorld(t)
	editors := w.role("Editors", []string{"alice"}, nil)
	writers := w.role("Writers", []string{"alice", "bob"}, nil)
	readers := w.role("Readers", []string{"carol"}, []string{editors, writers})
	top := w.role("Top", nil, []string{readers})
	w.update(editors, "roles", pointers(schema.RoleClass, top)) // a cycle
	w.role("Self", []string{"dora"}, nil)

	tests := []struct {
		user string
		want []string
	}{
		{"alice", []string{"role:Editors", "role:Readers", "role:Top", "role:Writers"}},
		{"bob", []string{"role:Editors", "role:Readers", "role:Top", "role:Writers"}},
		{"carol", []string{"role:Editors", "role:Readers", "role:Top"}},
		{"dora", []string{"role:Self"}},
		{"nobody", nil},
		{"", nil},
	}
	for _, tt := range tests {
		if got := w.of(tt.user); !cmp.Equal(got, tt.want) {
			t.Errorf("Of(%q) = %v, want %v", tt.user, got, tt.want)
		}
	}
}

// A chain costs one query for each level, one for the direct roles, and one for the names; not one for each role.
func TestOfAsksOncePerLevel(t *testing.T) {
	w := newWorld(t)
	var level []string
	for i := range 8 {
		level = append(level, w.role(fmt.Sprint("direct", i), []string{"u"}, nil))
	}
	above := w.role("above", nil, level)
	w.role("top", nil, []string{above})
	before := w.store.finds.Load()
	if got := w.of("u"); len(got) != 10 {
		t.Fatalf("Of(u) = %v, want 10 roles", got)
	}
	if got, want := w.store.finds.Load()-before, int64(5); got != want {
		t.Errorf("Of(u) ran %d queries, want %d", got, want)
	}
}

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.role("A", []string{"u"}, nil)
		w.of("u")
		before := w.store.finds.Load()
		w.of("u")
		if n := w.store.finds.Load() - before; n != 0 {
			t.Errorf("the second Of(u) ran %d queries, want 0", n)
		}
		time.Sleep(5 * time.Second)
		w.of("u")
		if w.store.finds.Load() == before {
			t.Error("Of(u) ran no query after the time of the cache")
		}

		changes := []struct {
			name string
			do   func()
			want []string
		}{
			{"create", func() { w.role("B", []string{"u"}, nil) }, []string{"role:A", "role:B"}},
			{"rename", func() { w.update(id, "name", "C") }, []string{"role:B", "role:C"}},
			{"remove a member", func() {
				w.update(id, "users", parse.RemoveRelation{Objects: []parse.Pointer{{ClassName: schema.UserClass, ObjectID: "u"}}})
			}, []string{"role:B"}},
			{"add a member", func() { w.update(id, "users", pointers(schema.UserClass, "u")) }, []string{"role:B", "role:C"}},
			{"delete", func() {
				if err := w.objects.Delete(t.Context(), auth.System, schema.RoleClass, id); err != nil {
					t.Fatal(err)
				}
			}, []string{"role:B"}},
			{"purge", func() {
				if err := w.objects.Purge(t.Context(), auth.System, schema.RoleClass); err != nil {
					t.Fatal(err)
				}
			}, nil},
		}
		for _, c := range changes {
			c.do()
			if got := w.of("u"); !cmp.Equal(got, c.want) {
				t.Errorf("after %s: Of(u) = %v, want %v", c.name, got, c.want)
			}
		}
	})
}

// A transaction that is rolled back leaves the roles as they were, one that is committed changes them at once.
func TestTransaction(t *testing.T) {
	w := newWorld(t)
	id := w.role("A", []string{"u"}, nil)
	w.of("u")
	rename := func(name string, outcome error) error {
		return w.objects.Transact(t.Context(), func(ctx context.Context, tx *object.Objects) error {
			if _, err := tx.Update(ctx, auth.System, schema.RoleClass, id, parse.NewMap("name", name)); err != nil {
				return err
			}
			if got, err := w.roles.Of(ctx, "u"); err != nil || !cmp.Equal(got, []string{"role:A"}) {
				t.Errorf("inside the transaction: Of(u) = %v, %v, want [role:A]: nothing is committed", got, err)
			}
			return outcome
		})
	}
	if err := rename("B", parse.ObjectNotFound); err == nil {
		t.Fatal("the transaction did not fail")
	}
	if got, want := w.of("u"), []string{"role:A"}; !cmp.Equal(got, want) {
		t.Errorf("after the rollback: Of(u) = %v, want %v", got, want)
	}
	if err := rename("B", nil); err != nil {
		t.Fatal(err)
	}
	if got, want := w.of("u"), []string{"role:B"}; !cmp.Equal(got, want) {
		t.Errorf("after the commit: Of(u) = %v, want %v", got, want)
	}
}

// Whatever the graph, the roles are those that can be reached upward.
func TestOfAnyGraph(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		n := rapid.IntRange(1, 7).Draw(rt, "roles")
		ids := make([]string, n)
		member := make([]bool, n)
		for i := range n {
			member[i] = rapid.Bool().Draw(rt, "member")
			var users []string
			if member[i] {
				users = []string{"u"}
			}
			ids[i] = w.role(fmt.Sprint("r", i), users, nil)
		}
		parents := make([][]int, n) // of a role: those that have it below them
		for range rapid.IntRange(0, 12).Draw(rt, "edges") {
			parent, child := rapid.IntRange(0, n-1).Draw(rt, "parent"), rapid.IntRange(0, n-1).Draw(rt, "child")
			w.update(ids[parent], "roles", pointers(schema.RoleClass, ids[child]))
			parents[child] = append(parents[child], parent)
		}
		reached := make([]bool, n)
		var climb func(int)
		climb = func(i int) {
			if !reached[i] {
				reached[i] = true
				for _, p := range parents[i] {
					climb(p)
				}
			}
		}
		for i := range n {
			if member[i] {
				climb(i)
			}
		}
		var want []string
		for i, ok := range reached {
			if ok {
				want = append(want, fmt.Sprint("role:r", i))
			}
		}
		slices.Sort(want)
		if got := w.of("u"); !cmp.Equal(got, want) {
			rt.Errorf("Of(u) = %v, want %v (members %v, parents %v)", got, want, member, parents)
		}
	})
}

// The recorded refusals of contract parse-api.md, 4.9.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	w.role("Taken", nil, nil)
	public := parse.ACL{parse.Public: {Read: true}}
	tests := []struct {
		name string
		data *parse.Map
		code parse.Code
		text string
	}{
		{"no ACL", parse.NewMap("name", "R2"), parse.IncorrectType, "ACL is required."},
		{"no name", parse.NewMap("ACL", public), parse.IncorrectType, "name is required."},
		{"empty name", parse.NewMap("name", "", "ACL", public), parse.IncorrectType, "name is required."},
		{"name that is a number", parse.NewMap("name", 5.0, "ACL", public), parse.IncorrectType, "schema mismatch for _Role.name; expected String but got Number"},
		{"taken name", parse.NewMap("name", "Taken", "ACL", public), parse.DuplicateValue, "A duplicate value for a field with unique values was provided"},
	}
	for _, tt := range tests {
		_, err := w.objects.Create(t.Context(), auth.System, schema.RoleClass, tt.data)
		var got *parse.Error
		if !errors.As(err, &got) || got.Code != tt.code || got.Message != tt.text {
			t.Errorf("%s: Create = %v, want %d %s", tt.name, err, tt.code, tt.text)
		}
	}
}
