package object

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/memory"
)

func TestTransaction(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		ctx := context.Background()
		err := b.Transact(ctx, func(ctx context.Context, tx *Objects) error {
			for i := range 3 { // each needs a class or a field that is not there
				data := parse.NewMap(fmt.Sprintf("f%d", i), float64(i), "k", "ok")
				if _, err := tx.Create(ctx, public, "Tx", data); err != nil {
					return err
				}
			}
			_, err := tx.Create(ctx, public, "Tx2", parse.NewMap("rel", parse.AddRelation{Objects: []parse.Pointer{{ClassName: "Tx", ObjectID: "x"}}}))
			return err
		})
		if err != nil {
			t.Fatalf("Transact() = %v", err)
		}
		if got, want := b.do(public, `GET Tx?count=1&limit=0&where={"k":"ok"}`, ""), "200 [] count 3"; got != want {
			t.Errorf("after the transaction: %s, want %s", got, want)
		}
		if got, want := b.do(master, `GET _Join:rel:Tx2?count=1&limit=0`, ""), "200 [] count 1"; got != want {
			t.Errorf("members after the transaction: %s, want %s", got, want)
		}

		err = b.Transact(ctx, func(ctx context.Context, tx *Objects) error {
			if _, err := tx.Create(ctx, public, "Tx", parse.NewMap("k", "bad", "fresh", 1.0)); err != nil {
				return err
			}
			_, err := tx.Create(ctx, public, "Tx", parse.NewMap("k", 5.0))
			return err
		})
		if want := "111 schema mismatch for Tx.k; expected String but got Number"; err == nil || err.Error() != want {
			t.Errorf("Transact(failing) = %v, want %s", err, want)
		}
		if got, want := b.do(public, `GET Tx?count=1&limit=0&where={"k":"bad"}`, ""), "200 [] count 0"; got != want {
			t.Errorf("after the failed transaction: %s, want %s", got, want)
		}

		err = b.Transact(ctx, func(ctx context.Context, tx *Objects) error {
			if _, err := tx.Create(ctx, public, "Tx", parse.NewMap("k", "half")); err != nil {
				return err
			}
			_, err := tx.Update(ctx, public, "Tx", "none", parse.NewMap("k", "x"))
			return err
		})
		if !errors.Is(err, parse.ObjectNotFound) {
			t.Errorf("Transact(update of nothing) = %v, want ObjectNotFound", err)
		}
		if got, want := b.do(public, `GET Tx?count=1&limit=0&where={"k":"half"}`, ""), "200 [] count 0"; got != want {
			t.Errorf("after the failed transaction: %s, want %s", got, want)
		}
	})
}

func TestTransactionSeesItsOwnWrites(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		b.do(public, "POST Tx", `{"n":1}`)
		err := b.Transact(context.Background(), func(ctx context.Context, tx *Objects) error {
			saved, err := tx.Create(ctx, public, "Tx", parse.NewMap("n", 2.0))
			if err != nil {
				return err
			}
			id := saved.Body.String("objectId")
			if _, err := tx.Update(ctx, public, "Tx", id, parse.NewMap("n", parse.Increment{Amount: 5})); err != nil {
				return err
			}
			object, err := tx.Get(ctx, public, "Tx", id, nil)
			if err != nil {
				return err
			}
			if object.Get("n") != 7.0 {
				t.Errorf("n inside the transaction = %v, want 7", object.Get("n"))
			}
			if _, err := b.Get(ctx, public, "Tx", id, nil); !errors.Is(err, parse.ObjectNotFound) {
				t.Errorf("Get outside of the open transaction = %v, want ObjectNotFound", err)
			}
			return tx.Delete(ctx, public, "Tx", id)
		})
		if err != nil {
			t.Fatalf("Transact() = %v", err)
		}
		if got, want := b.do(public, `GET Tx?count=1&limit=0`, ""), "200 [] count 1"; got != want {
			t.Errorf("after the transaction: %s, want %s", got, want)
		}
	})
}

// A permission to add fields is asked inside of transactions too, before anything changes.
func TestTransactionDoesNotGrowWithoutPermission(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		b.define("Closed", `{"fields":{"n":{"type":"Number"}},"classLevelPermissions":{"find":{"*":true},"get":{"*":true},"count":{"*":true},"create":{"*":true},"update":{"*":true},"delete":{"*":true},"addField":{}}}`)
		err := b.Transact(context.Background(), func(ctx context.Context, tx *Objects) error {
			if _, err := tx.Create(ctx, public, "Closed", parse.NewMap("n", 1.0)); err != nil {
				return err
			}
			_, err := tx.Create(ctx, public, "Closed", parse.NewMap("m", 1.0))
			return err
		})
		if !errors.Is(err, parse.OperationForbidden) {
			t.Errorf("Transact(new field) = %v, want OperationForbidden", err)
		}
		if class, _ := b.schemas.Class("Closed"); class.Fields["m"].Type != "" {
			t.Errorf("Closed.m = %v, want no field", class.Fields["m"])
		}
		if got, want := b.do(public, `GET Closed?count=1&limit=0`, ""), "200 [] count 0"; got != want {
			t.Errorf("after the transaction: %s, want %s", got, want)
		}
	})
}

// conflicting is an adapter whose first transactions meet another one when they are about to end.
type conflicting struct {
	storage.Adapter
	left int
}

func (c *conflicting) Transact(ctx context.Context, fn func(context.Context, storage.Store) error) error {
	return c.Adapter.Transact(ctx, func(ctx context.Context, tx storage.Store) error {
		if err := fn(ctx, tx); err != nil {
			return err
		}
		if c.left > 0 {
			c.left--
			return &storage.Error{Kind: storage.Transient, Op: "conflicting.Transact"}
		}
		return nil
	})
}

func TestTransientConflictsAreTriedAgain(t *testing.T) {
	for _, test := range []struct {
		conflicts, wantRuns int
		wantCode            parse.Code
	}{
		{0, 1, 0},
		{5, 6, 0},
		{6, 6, parse.InternalServerError},
	} {
		store := &conflicting{memory.New(), 0}
		b := newBed(t, store)
		b.do(public, "POST Tx", `{"n":1}`)
		store.left = test.conflicts
		runs, told := 0, 0
		data := parse.NewMap("n", parse.Increment{Amount: 1})
		err := b.Transact(context.Background(), func(ctx context.Context, tx *Objects) error {
			runs++
			tx.AfterCommit(func() { told++ })
			saved, err := tx.Create(ctx, public, "Tx", data)
			if err == nil && saved.Body.Get("n") != 1.0 {
				t.Errorf("run %d: n = %v, want 1", runs, saved.Body.Get("n"))
			}
			return err
		})
		code := parse.Code(0)
		var e *parse.Error
		if errors.As(err, &e) {
			code = e.Code
		}
		wantTold := 1
		if test.wantCode != 0 {
			wantTold = 0
		}
		if runs != test.wantRuns || code != test.wantCode || told != wantTold {
			t.Errorf("Transact with %d conflicts: %d runs, code %d, told %d times, want %d, %d, %d", test.conflicts, runs, code, told, test.wantRuns, test.wantCode, wantTold)
		}
		if diff := cmp.Diff([]string{"n"}, data.Keys()); diff != "" {
			t.Errorf("the data of the client was changed: %s", diff)
		}
	}
}

func TestConcurrentOperators(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		ctx := context.Background()
		b.do(public, "POST C", `{"n":0,"all":[],"unique":[],"left":[`+numbers(100)+`],"o":{"n":0}}`)
		id := b.names["last"]
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				changes := parse.NewMap(
					"n", parse.Increment{Amount: 1},
					"o.n", parse.Increment{Amount: 2},
					"all", parse.Add{Objects: []any{float64(i)}},
					"unique", parse.AddUnique{Objects: []any{float64(i % 10)}},
					"left", parse.Remove{Objects: []any{float64(i)}},
					"rel", parse.AddRelation{Objects: []parse.Pointer{{ClassName: "T", ObjectID: fmt.Sprint("t", i%10)}}},
				)
				if _, err := b.Update(ctx, public, "C", id, changes); err != nil {
					t.Errorf("Update() = %v", err)
				}
			})
		}
		wg.Wait()
		object, err := b.Get(ctx, public, "C", id, nil)
		if err != nil {
			t.Fatalf("Get() = %v", err)
		}
		got := []any{object.Get("n"), object.Get("o").(*parse.Map).Get("n"), len(object.Get("all").([]any)), len(object.Get("unique").([]any)), len(object.Get("left").([]any))}
		if diff := cmp.Diff([]any{100.0, 200.0, 100, 10, 0}, got); diff != "" {
			t.Errorf("n, o.n, all, unique, left (-want +got):\n%s", diff)
		}
		if got, want := b.do(master, `GET _Join:rel:C?count=1&limit=0`, ""), "200 [] count 10"; got != want {
			t.Errorf("members: %s, want %s", got, want)
		}
	})
}

func numbers(n int) string {
	text := "0"
	for i := 1; i < n; i++ {
		text += fmt.Sprint(",", i)
	}
	return text
}

// The right to write is part of the write: between the question and the deed nothing can change.
func TestRightsHoldAtTheMomentOfTheWrite(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		ctx := context.Background()
		b.do(public, "POST W", `{"n":0,"ACL":{"*":{"read":true,"write":true}}}`)
		id := b.names["last"]
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := b.Update(ctx, master, "W", id, parse.NewMap("ACL", parse.ACL{}, "n", -1.0)); err != nil {
				t.Errorf("Update(ACL) = %v", err)
			}
		})
		for range 20 {
			wg.Go(func() {
				if _, err := b.Update(ctx, public, "W", id, parse.NewMap("n", parse.Increment{Amount: 1})); err != nil && !errors.Is(err, parse.ObjectNotFound) {
					t.Errorf("Update() = %v", err)
				}
			})
		}
		wg.Wait()
		object, err := b.Get(ctx, master, "W", id, nil)
		if err != nil || object.Get("n") != -1.0 {
			t.Errorf("n = %v, %v, want -1: nobody wrote after the lock", object.Get("n"), err)
		}
	})
}

func TestUpdateWhere(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		ctx := context.Background()
		b.do(public, "POST W", `{"token":"a"}`)
		id := b.names["last"]
		won := 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				_, err := b.UpdateWhere(ctx, public, "W", id, &query.Constraint{Key: "token", Op: query.Eq, Arg: "a"}, parse.NewMap("token", fmt.Sprint(i)))
				if err == nil {
					mu.Lock()
					won++
					mu.Unlock()
				} else if !errors.Is(err, parse.ObjectNotFound) {
					t.Errorf("UpdateWhere() = %v", err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d updates found the token, want 1", won)
		}
	})
}

// broken is an adapter that fails in one way.
type broken struct {
	storage.Adapter
	err error
}

func (b *broken) Create(context.Context, *schema.Class, ...*parse.Object) error { return b.err }

func TestErrorsOfTheDatabase(t *testing.T) {
	for _, test := range []struct {
		err  error
		want parse.Error
	}{
		{&storage.Error{Kind: storage.Unavailable, Op: "x", Err: errors.New("disk /secret/path is full")}, parse.Error{Code: 1, Message: "An internal server error occurred"}},
		{&storage.Error{Kind: storage.Corrupt, Op: "x"}, parse.Error{Code: 1, Message: "An internal server error occurred"}},
		{&storage.Error{Kind: storage.Internal, Op: "x"}, parse.Error{Code: 1, Message: "An internal server error occurred"}},
		{&storage.Error{Kind: storage.Transient, Op: "x"}, parse.Error{Code: 1, Message: "An internal server error occurred"}},
		{&storage.Error{Kind: storage.Duplicate, Op: "x", Fields: []string{"n"}}, parse.Error{Code: 137, Message: "A duplicate value for a field with unique values was provided"}},
		{&storage.Error{Kind: storage.Unsupported, Op: "x"}, parse.Error{Code: 102, Message: "The database does not support this query."}},
		{errors.New("anything"), parse.Error{Code: 1, Message: "An internal server error occurred"}},
		{context.DeadlineExceeded, parse.Error{Code: 124, Message: "The request was not completed in time."}},
		{parse.Errorf(parse.InvalidJSON, "as it is"), parse.Error{Code: 107, Message: "as it is"}},
	} {
		b := newBed(t, &broken{memory.New(), test.err})
		_, err := b.Create(context.Background(), public, "C", parse.NewMap("n", 1.0))
		var got *parse.Error
		if !errors.As(err, &got) || got.Code != test.want.Code || got.Message != test.want.Message {
			t.Errorf("Create with %v = %v, want %v", test.err, err, &test.want)
		}
		if !errors.Is(err, test.err) {
			t.Errorf("Create with %v = %v, which does not wrap it", test.err, err)
		}
	}
}

func TestEveryKindHasAnAnswer(t *testing.T) {
	for kind := storage.Unavailable; kind <= storage.Internal; kind++ {
		if kinds[kind].Code == 0 || kinds[kind].Message == "" {
			t.Errorf("kinds[%v] = %v, want an answer", kind, kinds[kind])
		}
	}
}
