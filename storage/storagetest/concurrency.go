package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

var concurrencyTests = []test{
	{"Increment", testConcurrentIncrement},
	{"Arrays", testConcurrentArrays},
	{"Members", testConcurrentMembers},
	{"Condition", testConcurrentCondition},
	{"Unique", testConcurrentUnique},
	{"Readers", testConcurrentReaders},
	{"CreateAndDelete", testConcurrentCreateAndDelete},
	{"SaveClass", testConcurrentSaveClass},
}

// parallel runs a function in several goroutines and waits for them.
func (s *suite) parallel(workers int, run func(worker int) error) {
	s.Helper()
	var wg sync.WaitGroup
	failed := make([]error, workers)
	for worker := range workers {
		wg.Go(func() { failed[worker] = run(worker) })
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		s.Fatal(err)
	}
}

const workers, rounds = 8, 25

// change updates one object, and reports when it was not there.
func (s *suite) change(class *schema.Class, id string, changes ...any) error {
	objects, err := s.Update(s.ctx, class, byID(id), parse.NewMap(changes...), 1)
	if err == nil && len(objects) != 1 {
		err = fmt.Errorf("the update of %s changed %d objects", id, len(objects))
	}
	return err
}

func testConcurrentIncrement(s *suite) {
	class := s.class("Thing", "n", schema.Number, "o", schema.Object)
	s.create(class, "x")
	var seen [workers][]float64
	s.parallel(workers, func(worker int) error {
		for range rounds {
			objects, err := s.Update(s.ctx, class, byID("x"), parse.NewMap("n", parse.Increment{Amount: 1}, "o.n", parse.Increment{Amount: 2}), 1)
			if err != nil || len(objects) != 1 {
				return fmt.Errorf("the update returned %v: %w", objects, err)
			}
			seen[worker] = append(seen[worker], objects[0].Get("n").(float64))
		}
		return nil
	})
	s.wantObject(class, object(class, "x", "n", float64(workers*rounds), "o", parse.NewMap("n", 2.0*workers*rounds)))
	// Each was told the value that its own increment made.
	all := slices.Concat(seen[:]...)
	slices.Sort(all)
	for i, n := range all {
		if n != float64(i+1) {
			s.Fatalf("the increments returned %v, want 1 to %d", all, workers*rounds)
		}
	}
}

func testConcurrentArrays(s *suite) {
	class := s.class("Thing", "added", schema.Array, "unique", schema.Array, "removed", schema.Array)
	var all []any
	for i := range workers * rounds {
		all = append(all, float64(i))
	}
	s.create(class, "x", "removed", all)
	s.parallel(workers, func(worker int) error {
		for round := range rounds {
			mine := float64(worker*rounds + round)
			err := s.change(class, "x", "added", parse.Add{Objects: list(mine)}, "unique", parse.AddUnique{Objects: list(float64(round), mine)}, "removed", parse.Remove{Objects: list(mine)})
			if err != nil {
				return err
			}
		}
		return nil
	})
	x := s.get(class, "x")
	if got := sorted(x.Get("added")); !parse.Equal(got, all) {
		s.Errorf("after concurrent Add the array = %v, want each of %d once", got, len(all))
	}
	if got := sorted(x.Get("unique")); !parse.Equal(got, all) {
		s.Errorf("after concurrent AddUnique the array = %v, want each of %d once", got, len(all))
	}
	if got := x.Get("removed"); !parse.Equal(got, list()) {
		s.Errorf("after concurrent Remove the array = %v, want nothing", got)
	}
}

func sorted(v any) any {
	array, ok := v.([]any)
	if !ok {
		return v
	}
	array = slices.Clone(array)
	slices.SortFunc(array, query.Compare)
	return array
}

// testConcurrentMembers: changes of different members of one Object do not undo each other.
func testConcurrentMembers(s *suite) {
	class := s.class("Thing", "o", schema.Object, "a", schema.Number, "b", schema.Number)
	s.create(class, "x")
	s.parallel(workers, func(worker int) error {
		for round := range rounds {
			if err := s.change(class, "x", fmt.Sprintf("o.w%d.r%d", worker, round), float64(round), []string{"a", "b"}[worker%2], float64(round)); err != nil {
				return err
			}
		}
		return nil
	})
	want := parse.NewMap()
	for worker := range workers {
		m := parse.NewMap()
		for round := range rounds {
			m.Set(fmt.Sprint("r", round), float64(round))
		}
		want.Set(fmt.Sprint("w", worker), m)
	}
	s.wantObject(class, object(class, "x", "o", want, "a", rounds-1.0, "b", rounds-1.0))
}

// testConcurrentCondition: an update under a condition happens as often as the condition allows.
func testConcurrentCondition(s *suite) {
	class := s.class("Thing", "left", schema.Number)
	s.create(class, "x", "left", 20.0)
	var taken atomic.Int64
	s.parallel(workers, func(int) error {
		for range rounds {
			objects, err := s.Update(s.ctx, class, query.And{byID("x"), where("left", query.Gt, 0.0)}, parse.NewMap("left", parse.Increment{Amount: -1}), 1)
			if err != nil {
				return err
			}
			taken.Add(int64(len(objects)))
		}
		return nil
	})
	s.wantObject(class, object(class, "x", "left", 0.0))
	if taken.Load() != 20 {
		s.Errorf("%d updates were told that they took one of 20", taken.Load())
	}
}

// testConcurrentUnique: of those who want one name, one gets it.
func testConcurrentUnique(s *suite) {
	class := schema.New(schema.UserClass)
	s.save(class)
	var won [rounds]atomic.Int64
	s.parallel(workers, func(worker int) error {
		for round := range rounds {
			name := fmt.Sprint("name", round)
			if worker%2 == 1 {
				name = fmt.Sprint("NAME", round)
			}
			switch err := s.Create(s.ctx, class, object(class, fmt.Sprintf("u%dx%d", worker, round), "username", name)); {
			case err == nil:
				won[round].Add(1)
			case !errors.Is(err, storage.Duplicate):
				return err
			}
		}
		return nil
	})
	for round := range won {
		if n := won[round].Load(); n != 1 {
			s.Errorf("%d users got the name of round %d", n, round)
		}
	}
	if n, err := s.Count(s.ctx, class, nil); n != rounds || err != nil {
		s.Errorf("Count() = %d, %v, want %d", n, err, rounds)
	}
}

// testConcurrentReaders: who reads while others write sees every object once, and each object as one write left it.
func testConcurrentReaders(s *suite) {
	class := s.class("Thing", "a", schema.Number, "b", schema.Number, "l", schema.Array)
	for i := range 20 {
		s.create(class, fmt.Sprintf("id%02d", i), "a", 0.0, "b", 0.0, "l", list())
	}
	var writing atomic.Int64
	writing.Store(2)
	s.parallel(4, func(worker int) error {
		if worker < 2 {
			defer writing.Add(-1)
			for i := range 2 * rounds {
				if _, err := s.Update(s.ctx, class, byID(fmt.Sprintf("id%02d", i%20)), parse.NewMap("a", parse.Increment{Amount: 1}, "b", parse.Increment{Amount: 1}, "l", parse.Add{Objects: list(1.0)}), 1); err != nil {
					return err
				}
			}
			return nil
		}
		for last := false; !last; {
			last = writing.Load() == 0
			found, err := collect(s.ctx, s.Adapter, class, &query.Find{Order: by("objectId"), Limit: -1})
			if err != nil {
				return err
			}
			if len(found) != 20 {
				return fmt.Errorf("a reader saw %d objects: %v", len(found), ids(found))
			}
			for _, o := range found {
				if a, b, l := o.Get("a"), o.Get("b"), o.Get("l").([]any); a != b || float64(len(l)) != a {
					return fmt.Errorf("a reader saw half a write: %s", text(o))
				}
			}
		}
		return nil
	})
}

func testConcurrentCreateAndDelete(s *suite) {
	class := s.class("Thing", "n", schema.Number)
	var deleted atomic.Int64
	s.parallel(workers, func(worker int) error {
		for round := range rounds {
			id := fmt.Sprintf("w%dr%d", worker, round)
			if err := s.Create(s.ctx, class, object(class, id, "n", float64(round))); err != nil {
				return err
			}
			if round%2 == 0 {
				n, err := s.Delete(s.ctx, class, eq("n", float64(round)), 1) // maybe one of another worker
				if err != nil {
					return err
				}
				deleted.Add(n)
			}
		}
		return nil
	})
	if n, err := s.Count(s.ctx, class, nil); n+deleted.Load() != workers*rounds || err != nil {
		s.Errorf("%d objects are left and %d deleted, %v, want %d together", n, deleted.Load(), err, workers*rounds)
	}
}

// testConcurrentSaveClass: classes that come into being at the same time all do, and writes go on meanwhile.
func testConcurrentSaveClass(s *suite) {
	busy := s.class("Busy", "n", schema.Number)
	s.create(busy, "x")
	s.parallel(4, func(worker int) error {
		for round := range 5 {
			class := schema.New(fmt.Sprintf("Class%dx%d", worker, round))
			class.Fields["n"] = schema.Field{Type: schema.Number}
			if err := s.SaveClass(s.ctx, class); err != nil {
				return err
			}
			if err := s.Create(s.ctx, class, object(class, "x", "n", 1.0)); err != nil {
				return err
			}
			if err := s.change(busy, "x", "n", parse.Increment{Amount: 1}); err != nil {
				return err
			}
		}
		return nil
	})
	s.wantObject(busy, object(busy, "x", "n", 20.0))
	if classes, err := s.Classes(s.ctx); err != nil || len(classes) != 21 {
		s.Errorf("Classes() = %d classes, %v, want 21", len(classes), err)
	}
}
