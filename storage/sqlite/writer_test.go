package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

func object(id string, pairs ...any) *parse.Object {
	return parse.NewObject("GameScore", append([]any{"objectId", id, "createdAt", parse.Date(1), "updatedAt", parse.Date(1)}, pairs...)...)
}

// uniqueClass is a class in which the field "name" is unique: _Role.
func uniqueClass() *schema.Class { return schema.New(schema.RoleClass) }

func role(id, name string) *parse.Object {
	return parse.NewObject(schema.RoleClass, "objectId", id, "createdAt", parse.Date(1), "updatedAt", parse.Date(1), "name", name)
}

// hold makes the writer stand still until the returned function is called.
func hold(t *testing.T, db *DB) (release func()) {
	t.Helper()
	_, release, err := db.writer.acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// waitQueued waits until n writes wait for the writer.
func waitQueued(db *DB, n int) {
	for len(db.writer.jobs) < n {
		yieldProcessor()
	}
}

func TestWritesShareTransactions(t *testing.T) {
	var mu sync.Mutex
	var groups []int
	db := open(t, Config{Committed: func(n int) {
		mu.Lock()
		defer mu.Unlock()
		groups = append(groups, n)
	}})
	class := save(t, db, gameScore())
	mu.Lock()
	groups = nil
	mu.Unlock()
	release := hold(t, db)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if err := db.Create(context.Background(), class, object(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	waitQueued(db, 100)
	release()
	wg.Wait()
	if want := []int{100}; !slices.Equal(groups, want) {
		t.Errorf("writes per transaction = %v, want %v", groups, want)
	}
	if n, err := db.Count(context.Background(), class, nil); n != 100 || err != nil {
		t.Errorf("Count = %d, %v, want 100", n, err)
	}
}

func TestGroupIsBounded(t *testing.T) {
	var groups []int
	db := open(t, Config{MaxGroup: 3, Committed: func(n int) { groups = append(groups, n) }})
	class := save(t, db, gameScore())
	groups = nil
	release := hold(t, db)
	var wg sync.WaitGroup
	for i := range 7 {
		wg.Go(func() {
			if err := db.Create(context.Background(), class, object(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	waitQueued(db, 7)
	release()
	wg.Wait()
	if err := db.Close(); err != nil { // after it nobody writes to groups
		t.Fatal(err)
	}
	if want := []int{3, 3, 1}; !slices.Equal(groups, want) {
		t.Errorf("writes per transaction = %v, want %v", groups, want)
	}
}

// TestFailureStaysAlone: in one group some writes fail, in different ways, and the others are stored.
func TestFailureStaysAlone(t *testing.T) {
	db := open(t, Config{})
	ctx := context.Background()
	roles, scores := save(t, db, uniqueClass()), save(t, db, gameScore())
	if err := db.Create(ctx, roles, role("taken", "taken")); err != nil {
		t.Fatal(err)
	}
	if err := db.Create(ctx, scores, object("s", "player", "text")); err != nil {
		t.Fatal(err)
	}
	writes := []struct {
		name string
		do   func() error
		kind storage.Kind
	}{
		{"first", func() error { return db.Create(ctx, roles, role("a", "a")) }, 0},
		{"clash", func() error { return db.Create(ctx, roles, role("b", "taken")) }, storage.Duplicate},
		{"same id", func() error { return db.Create(ctx, roles, role("taken", "other")) }, storage.Duplicate},
		{"second of two", func() error { return db.Create(ctx, roles, role("c", "c"), role("d", "taken")) }, storage.Duplicate},
		{"operator", func() error {
			_, err := db.Update(ctx, scores, byID("s"), parse.NewMap("cheat", true, "player", parse.Increment{Amount: 1}), 1)
			return err
		}, storage.Unsupported},
		{"panic", func() error {
			return wrap("Panic", "", db.writer.do(ctx, &job{steps: true, run: func(*conn) error { panic("oh") }}))
		}, storage.Internal},
		{"last", func() error { return db.Create(ctx, roles, role("e", "e")) }, 0},
	}
	release := hold(t, db)
	var wg sync.WaitGroup
	for i, w := range writes {
		wg.Go(func() {
			if got := storage.KindOf(w.do()); got != w.kind {
				t.Errorf("%s: kind %v, want %v", w.name, got, w.kind)
			}
		})
		waitQueued(db, i+1)
	}
	release()
	wg.Wait()
	var got []string
	for _, o := range find(t, db, roles, all()) {
		got = append(got, o.String("name"))
	}
	if want := []string{"a", "e", "taken"}; !slices.Equal(got, want) {
		t.Errorf("roles = %v, want %v", got, want)
	}
	if o := find(t, db, scores, all())[0]; o.Has("cheat") {
		t.Error("a failed update left one of its changes")
	}
}

// TestGroupSurvivesRollback: a write whose failure makes SQLite roll back the transaction does not take the others with it.
func TestGroupSurvivesRollback(t *testing.T) {
	db := open(t, Config{})
	class := save(t, db, gameScore())
	ctx := context.Background()
	release := hold(t, db)
	var wg sync.WaitGroup
	create := func(n int) {
		wg.Go(func() {
			if err := db.Create(ctx, class, object(fmt.Sprint(n))); err != nil {
				t.Errorf("Create(%d): %v", n, err)
			}
		})
		waitQueued(db, n)
	}
	create(1)
	create(2)
	errBoom := errors.New("boom")
	var got error
	wg.Go(func() {
		got = db.writer.do(ctx, &job{run: func(c *conn) error {
			return errors.Join(errBoom, c.exec("ROLLBACK")) // as SQLite does on a full disk
		}})
	})
	waitQueued(db, 3)
	create(4)
	release()
	wg.Wait()
	if !errors.Is(got, errBoom) {
		t.Errorf("the failing write got %v, want %v", got, errBoom)
	}
	var ids []string
	for _, o := range find(t, db, class, all()) {
		ids = append(ids, o.ID())
	}
	if want := []string{"1", "2", "4"}; !slices.Equal(ids, want) {
		t.Errorf("stored = %v, want %v", ids, want)
	}
}

func TestCancelledWriteIsNotDone(t *testing.T) {
	db := open(t, Config{})
	class := save(t, db, gameScore())
	release := hold(t, db)
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error)
	go func() { result <- db.Create(ctx, class, object("a")) }()
	waitQueued(db, 1)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) || storage.KindOf(err) != storage.Unavailable {
		t.Errorf("Create = %v, want an Unavailable error of a cancelled context", err)
	}
	release()
	if n, err := db.Count(context.Background(), class, nil); n != 0 || err != nil {
		t.Errorf("Count = %d, %v, want 0", n, err)
	}
	if err := db.Create(ctx, class, object("b")); !errors.Is(err, context.Canceled) {
		t.Errorf("Create with an ended context = %v", err)
	}
}

func TestCancelledRead(t *testing.T) {
	db := open(t, Config{Readers: 1})
	class := save(t, db, gameScore())
	var batch []*parse.Object
	for i := range 3000 {
		batch = append(batch, object(fmt.Sprintf("%04d", i), "player", "a"))
	}
	if err := db.Create(context.Background(), class, batch...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	var got error
	for _, err := range db.Find(ctx, class, all()) {
		if err != nil {
			got = err
			break
		}
		if n++; n == 10 {
			cancel()
		}
	}
	if !errors.Is(got, context.Canceled) || n >= 3000 {
		t.Errorf("Find ended after %d objects with %v, want a cancelled context", n, got)
	}
	// A count that would take long is interrupted from within, and its connection is usable afterwards.
	ctx, cancel = context.WithCancel(context.Background())
	counted := make(chan error)
	go func() {
		_, err := db.Count(ctx, class, query.And{&query.Constraint{Key: "player", Op: query.Match, Arg: &query.Regex{Pattern: "(a|b)*c"}}, slowNode(3000)})
		counted <- err
	}()
	cancel()
	if err := <-counted; !errors.Is(err, context.Canceled) {
		t.Errorf("Count = %v, want a cancelled context", err)
	}
	if n, err := db.Count(context.Background(), class, nil); n != 3000 || err != nil {
		t.Errorf("Count = %d, %v, want 3000", n, err)
	}
}

// slowNode is a condition that takes long and holds for all.
func slowNode(n int) query.Node {
	and := make(query.And, n)
	for i := range and {
		and[i] = &query.Constraint{Key: "player", Op: query.Ne, Arg: fmt.Sprint(i)}
	}
	return and
}

// TestVisitorMayUseTheStore: the code that looks at the objects reads and writes, with a single reader and more objects than a page.
func TestVisitorMayUseTheStore(t *testing.T) {
	db := open(t, Config{Readers: 1})
	class := save(t, db, gameScore())
	ctx := context.Background()
	var batch []*parse.Object
	for i := range 2*page + 10 {
		batch = append(batch, object(fmt.Sprintf("%04d", i)))
	}
	if err := db.Create(ctx, class, batch...); err != nil {
		t.Fatal(err)
	}
	n := 0
	for o, err := range db.Find(ctx, class, all()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if _, err := db.Update(ctx, class, byID(o.ID()), parse.NewMap("score", 1.0), 1); err != nil {
			t.Fatal(err)
		}
		if got := find(t, db, class, &query.Find{Where: byID(o.ID()), Limit: 1}); len(got) != 1 || got[0].Get("score") != 1.0 {
			t.Fatalf("Find(%s) after its update = %v", o.ID(), got)
		}
	}
	if n != len(batch) {
		t.Errorf("visited %d objects, want %d", n, len(batch))
	}
}

// TestVisitorMayStop: whatever way a visitor leaves, the only reader is free afterwards.
func TestVisitorMayStop(t *testing.T) {
	db := open(t, Config{Readers: 1})
	class := save(t, db, gameScore())
	var batch []*parse.Object
	for i := range 2*page + 10 {
		batch = append(batch, object(fmt.Sprintf("%04d", i)))
	}
	if err := db.Create(context.Background(), class, batch...); err != nil {
		t.Fatal(err)
	}
	for name, leave := range map[string]func(stop context.CancelFunc){
		"break":            func(context.CancelFunc) {},
		"break and cancel": func(stop context.CancelFunc) { stop() },
		"panic":            func(context.CancelFunc) { panic("oh") },
	} {
		for _, at := range []int{1, page, page + 1, 2*page + 10} {
			ctx, stop := context.WithCancel(context.Background())
			seen := 0
			func() {
				defer func() {
					if p := recover(); p != nil && p != "oh" {
						t.Errorf("%s at %d: %v", name, at, p)
					}
				}()
				for _, err := range db.Find(ctx, class, all()) {
					if err != nil {
						t.Errorf("%s at %d: %v", name, at, err)
					}
					if seen++; seen == at {
						leave(stop)
						break
					}
				}
			}()
			stop()
			if n, err := db.Count(context.Background(), class, nil); seen != at || n != int64(len(batch)) || err != nil {
				t.Errorf("%s at %d: saw %d, and then Count = %d, %v", name, at, seen, n, err)
			}
		}
	}
}

func TestNothingIsLost(t *testing.T) {
	db := open(t, Config{})
	class := save(t, db, gameScore())
	ctx := context.Background()
	if err := db.Create(ctx, class, object("x", "tags", []any{})); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	const clients, rounds = 8, 25
	for c := range clients {
		wg.Go(func() {
			for r := range rounds {
				changes := parse.NewMap("score", parse.Increment{Amount: 1}, "info.n", parse.Increment{Amount: 2},
					"tags", parse.AddUnique{Objects: []any{fmt.Sprint(c, ".", r)}})
				if _, err := db.Update(ctx, class, byID("x"), changes, 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	o := find(t, db, class, all())[0]
	tags := o.Get("tags").([]any)
	got := []any{o.Get("score"), o.Get("info").(*parse.Map).Get("n"), len(tags)}
	if diff := cmp.Diff([]any{200.0, 400.0, 200}, got); diff != "" {
		t.Errorf("after %d concurrent updates: %s", clients*rounds, diff)
	}
}

func TestTransaction(t *testing.T) {
	db := open(t, Config{})
	class := save(t, db, gameScore())
	ctx := context.Background()
	errStop := errors.New("stop")
	inside := func(tx storage.Store) {
		if err := tx.Create(ctx, class, object("a", "score", 1.0)); err != nil {
			t.Error(err)
		}
		if got := find(t, tx, class, all()); len(got) != 1 {
			t.Errorf("the transaction sees %d objects, want 1", len(got))
		}
		if got := find(t, db, class, all()); len(got) != 0 {
			t.Errorf("others see %d objects, want 0", len(got))
		}
		// What fails inside leaves nothing of itself, and the rest stays.
		if err := tx.Create(ctx, class, object("b"), object("a")); storage.KindOf(err) != storage.Duplicate {
			t.Errorf("Create of what exists = %v, want Duplicate", err)
		}
	}
	if err := db.Transact(ctx, func(ctx context.Context, tx storage.Store) error { inside(tx); return errStop }); err != errStop {
		t.Errorf("Transact = %v, want %v", err, errStop)
	}
	func() {
		defer func() {
			if p := recover(); p != "oh" {
				t.Errorf("recovered %v, want oh", p)
			}
		}()
		_ = db.Transact(ctx, func(ctx context.Context, tx storage.Store) error { inside(tx); panic("oh") })
	}()
	if n, _ := db.Count(ctx, class, nil); n != 0 {
		t.Errorf("Count after two failed transactions = %d, want 0", n)
	}
	if err := db.Transact(ctx, func(ctx context.Context, tx storage.Store) error { inside(tx); return nil }); err != nil {
		t.Errorf("Transact = %v", err)
	}
	if got := find(t, db, class, all()); len(got) != 1 || got[0].ID() != "a" {
		t.Errorf("after the transaction: %v, want a", got)
	}
	cancelled, cancel := context.WithCancel(ctx)
	err := db.Transact(cancelled, func(ctx context.Context, tx storage.Store) error {
		defer cancel()
		return tx.Create(ctx, class, object("c"))
	})
	if n, _ := db.Count(ctx, class, nil); !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("Transact with a cancelled context = %v and %d objects, want 1", err, n)
	}
}

func TestCloseFinishesWhatWasBegun(t *testing.T) {
	db := open(t, Config{})
	class := save(t, db, gameScore())
	release := hold(t, db)
	result := make(chan error)
	go func() { result <- db.Create(context.Background(), class, object("a")) }()
	waitQueued(db, 1)
	closed := make(chan error)
	go func() { closed <- db.Close() }()
	release()
	if err := <-result; err != nil {
		t.Errorf("Create before Close = %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close = %v", err)
	}
	if err := db.Create(context.Background(), class, object("b")); storage.KindOf(err) != storage.Unavailable {
		t.Errorf("Create after Close = %v, want Unavailable", err)
	}
	for _, err := range db.Find(context.Background(), class, all()) {
		if storage.KindOf(err) != storage.Unavailable {
			t.Errorf("Find after Close = %v, want Unavailable", err)
		}
	}
}
