package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

var transactionTests = []test{
	{"Commit", transactional(testCommit)},
	{"RollBack", transactional(testRollBack)},
	{"Panic", transactional(testPanic)},
	{"OwnWrites", transactional(testOwnWrites)},
	{"Isolation", transactional(testIsolation)},
	{"RefusedWrite", transactional(testRefusedWrite)},
	{"LostUpdate", transactional(testLostUpdate)},
	{"WriteSkew", transactional(testWriteSkew)},
	{"Canceled", transactional(testCanceledTransaction)},
}

// transactional skips what a database without transactions cannot do.
func transactional(run func(*suite)) func(*suite) {
	return func(s *suite) {
		if !s.Capabilities().Transactions {
			s.Skipf("%s has no transactions", s.Capabilities().Name)
		}
		run(s)
	}
}

// transact runs fn until it is not asked to try again.
func (s *suite) transact(fn func(tx storage.Store) error) error {
	for {
		err := s.Transact(s.ctx, func(_ context.Context, tx storage.Store) error { return fn(tx) })
		if !errors.Is(err, storage.Transient) {
			return err
		}
	}
}

func (s *suite) accounts() *schema.Class {
	s.Helper()
	class := s.class("Account", "n", schema.Number, "s", schema.String)
	s.create(class, "a", "n", 10.0)
	s.create(class, "b", "n", 20.0)
	return class
}

func testCommit(s *suite) {
	class, log := s.accounts(), s.class("Log", "text", schema.String)
	err := s.transact(func(tx storage.Store) error {
		if err := tx.Create(s.ctx, log, object(log, "l", "text", "moved")); err != nil {
			return err
		}
		if _, err := tx.Update(s.ctx, class, byID("a"), parse.NewMap("n", parse.Increment{Amount: -5}), 1); err != nil {
			return err
		}
		_, err := tx.Delete(s.ctx, class, byID("b"), 1)
		return err
	})
	if err != nil {
		s.Fatalf("Transact = %v", err)
	}
	s.wantObject(class, object(class, "a", "n", 5.0))
	s.wantIDs("Find(accounts)", s.find(class, nil), "a")
	s.wantIDs("Find(log)", s.find(log, nil), "l")
}

func testRollBack(s *suite) {
	class, log := s.accounts(), s.class("Log", "text", schema.String)
	stop := errors.New("changed my mind")
	err := s.Transact(s.ctx, func(ctx context.Context, tx storage.Store) error {
		return errors.Join(s.spoil(ctx, tx, class, log), stop)
	})
	if !errors.Is(err, stop) {
		s.Errorf("Transact = %v, want %v", err, stop)
	}
	s.wantUnspoiled(class, log)
}

// spoil does every kind of write.
func (s *suite) spoil(ctx context.Context, tx storage.Store, class, log *schema.Class) error {
	err := tx.Create(ctx, log, object(log, "l", "text", "moved"))
	_, err2 := tx.Update(ctx, class, byID("a"), parse.NewMap("n", parse.Increment{Amount: -5}), 1)
	_, err3 := tx.Delete(ctx, class, byID("b"), 1)
	if err := errors.Join(err, err2, err3); err != nil {
		s.Errorf("writes in a transaction = %v", err)
	}
	return nil
}

func (s *suite) wantUnspoiled(class, log *schema.Class) {
	s.Helper()
	s.wantObject(class, object(class, "a", "n", 10.0))
	s.wantObject(class, object(class, "b", "n", 20.0))
	s.wantIDs("Find(log)", s.find(log, nil))
	s.create(log, "l", "text", "again")
	s.update(class, nil, "n", 0.0)
}

func testPanic(s *suite) {
	class, log := s.accounts(), s.class("Log", "text", schema.String)
	func() {
		defer func() {
			if got := recover(); got != "on purpose" {
				s.Errorf("Transact panics with %v, want on purpose", got)
			}
		}()
		err := s.Transact(s.ctx, func(ctx context.Context, tx storage.Store) error {
			_ = s.spoil(ctx, tx, class, log)
			panic("on purpose")
		})
		s.Errorf("Transact = %v, want a panic", err)
	}()
	s.wantUnspoiled(class, log)
}

// testOwnWrites: a transaction reads what it wrote, by every method.
func testOwnWrites(s *suite) {
	class := s.accounts()
	err := s.transact(func(tx storage.Store) error {
		if err := tx.Create(s.ctx, class, object(class, "c", "n", 30.0)); err != nil {
			return err
		}
		if _, err := tx.Update(s.ctx, class, eq("n", 30.0), parse.NewMap("n", 31.0), -1); err != nil {
			return err
		}
		if n, err := tx.Delete(s.ctx, class, byID("a"), -1); n != 1 || err != nil {
			return fmt.Errorf("deleted %d: %w", n, err)
		}
		found, err := collect(s.ctx, tx, class, &query.Find{Order: by("-n"), Limit: -1})
		if err != nil {
			return err
		}
		s.wantIDs("Find in the transaction", found, "c", "b")
		if n, err := tx.Count(s.ctx, class, where("n", query.Gt, 30.0)); n != 1 || err != nil {
			s.Errorf("Count in the transaction = %d, %v, want 1", n, err)
		}
		s.wantKind("Create(c) again", tx.Create(s.ctx, class, object(class, "c")), storage.Duplicate)
		return tx.Create(s.ctx, class, object(class, "a", "n", 1.0))
	})
	if err != nil {
		s.Fatalf("Transact = %v", err)
	}
	s.wantIDs("Find(all)", s.answer(s.Adapter, class, &query.Find{Order: by("n"), Limit: -1}), "a", "b", "c")
}

// testIsolation: others see all of a transaction or nothing, and need not wait for its end to read.
func testIsolation(s *suite) {
	class := s.accounts()
	wrote, read := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(read)
		<-wrote
		for _, condition := range []query.Node{nil, where("n", query.Lt, 99.0)} {
			found, err := collect(s.ctx, s.Adapter, class, &query.Find{Where: condition, Limit: -1})
			if err != nil {
				s.Errorf("Find beside a transaction = %v", err)
			}
			s.wantIDs("Find beside a transaction", found, "a", "b")
		}
	})
	once := sync.OnceFunc(func() { close(wrote) })
	err := s.transact(func(tx storage.Store) error {
		if _, err := tx.Update(s.ctx, class, nil, parse.NewMap("n", 99.0), -1); err != nil {
			return err
		}
		if err := tx.Create(s.ctx, class, object(class, "c")); err != nil {
			return err
		}
		once()
		<-read
		return nil
	})
	once()
	wg.Wait()
	if err != nil {
		s.Fatalf("Transact = %v", err)
	}
	s.wantIDs("Find after the transaction", s.find(class, eq("n", 99.0)), "a", "b")
}

// testRefusedWrite: a write that is refused leaves nothing of itself, and the transaction goes on.
func testRefusedWrite(s *suite) {
	class := s.accounts()
	err := s.transact(func(tx storage.Store) error {
		if _, err := tx.Update(s.ctx, class, byID("a"), parse.NewMap("s", "kept"), 1); err != nil {
			return err
		}
		err := tx.Create(s.ctx, class, object(class, "new"), object(class, "b"))
		if errors.Is(err, storage.Transient) {
			return err
		}
		s.wantKind("Create(new, b)", err, storage.Duplicate)
		return tx.Create(s.ctx, class, object(class, "c"))
	})
	if err != nil {
		s.Fatalf("Transact = %v", err)
	}
	s.wantIDs("Find(all)", s.find(class, nil), "a", "b", "c")
	s.wantObject(class, object(class, "a", "n", 10.0, "s", "kept"))
}

// testLostUpdate: of transactions that read a number and write one more, none is lost.
func testLostUpdate(s *suite) {
	class := s.accounts()
	const workers, rounds = 4, 10
	s.parallel(workers, func(int) error {
		for range rounds {
			err := s.transact(func(tx storage.Store) error {
				found, err := collect(s.ctx, tx, class, &query.Find{Where: byID("a"), Limit: 1})
				if err != nil || len(found) != 1 {
					return fmt.Errorf("found %d: %w", len(found), err)
				}
				_, err = tx.Update(s.ctx, class, byID("a"), parse.NewMap("n", found[0].Get("n").(float64)+1), 1)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	s.wantObject(class, object(class, "a", "n", float64(10+workers*rounds)))
}

// testWriteSkew: two transactions that each take from another account, as long as the sum of both allows it, never
// take more than there is. They touch different objects, so only serializable transactions get this right.
func testWriteSkew(s *suite) {
	class := s.accounts() // 30 together
	s.parallel(4, func(worker int) error {
		id := []string{"a", "b"}[worker%2]
		for range 5 {
			err := s.transact(func(tx storage.Store) error {
				found, err := collect(s.ctx, tx, class, &query.Find{Limit: -1})
				if err != nil {
					return err
				}
				sum := 0.0
				for _, o := range found {
					sum += o.Get("n").(float64)
				}
				if sum < 10 {
					return nil
				}
				_, err = tx.Update(s.ctx, class, byID(id), parse.NewMap("n", parse.Increment{Amount: -10}), 1)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	sum := 0.0
	for _, o := range s.find(class, nil) {
		sum += o.Get("n").(float64)
	}
	if sum != 0 {
		s.Errorf("the sum of both accounts = %v, want 0", sum)
	}
}

// testCanceledTransaction: a transaction whose context ends is not committed.
func testCanceledTransaction(s *suite) {
	class, log := s.accounts(), s.class("Log", "text", schema.String)
	ctx, cancel := context.WithCancel(s.ctx)
	err := s.Transact(ctx, func(ctx context.Context, tx storage.Store) error {
		err := s.spoil(ctx, tx, class, log)
		cancel()
		return err
	})
	if err == nil {
		s.Error("Transact with a context that ended = nil, want an error")
	}
	s.wantUnspoiled(class, log)
}
