package storagetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

var lifecycleTests = []test{
	{"Ping", testPing},
	{"CanceledContext", testCanceled},
	{"CanceledIteration", testCanceledIteration},
	{"VisitorStops", testVisitorStops},
	{"VisitorWrites", testVisitorWrites},
	{"VisitorPanics", testVisitorPanics},
	{"Unsupported", testUnsupported},
}

func testPing(s *suite) {
	if err := s.Ping(s.ctx); err != nil {
		s.Errorf("Ping() = %v", err)
	}
	if s.Capabilities().Name == "" {
		s.Error("Capabilities() has no name")
	}
}

// testCanceled: a context that ended is an Unavailable error with its cause, and nothing is done.
func testCanceled(s *suite) {
	class := s.class("Thing", "n", schema.Number)
	x := s.create(class, "x", "n", 1.0)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	calls := map[string]func() error{
		"Find": func() error {
			_, err := collect(ctx, s.Adapter, class, &query.Find{Limit: -1})
			return err
		},
		"Count":  func() error { _, err := s.Count(ctx, class, nil); return err },
		"Create": func() error { return s.Create(ctx, class, object(class, "y")) },
		"Update": func() error { _, err := s.Update(ctx, class, nil, parse.NewMap("n", 2.0), -1); return err },
		"Delete": func() error { _, err := s.Delete(ctx, class, nil, -1); return err },
		"Transact": func() error {
			return s.Transact(ctx, func(ctx context.Context, tx storage.Store) error { return tx.Create(ctx, class, object(class, "y")) })
		},
		"SaveClass": func() error { return s.SaveClass(ctx, schema.New("Other")) },
		"DropClass": func() error { return s.DropClass(ctx, "Thing") },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, storage.Unavailable) || !errors.Is(err, context.Canceled) {
			s.Errorf("%s with a context that ended = %v, want Unavailable and context.Canceled", name, err)
		}
	}
	s.wantIDs("Find(all)", s.find(class, nil), "x")
	s.wantObject(class, x)
	s.wantClasses(class)
}

// testCanceledIteration: an iteration whose context ends, ends with an error or is complete; it is never cut short in silence.
func testCanceledIteration(s *suite) {
	class := s.many(500)
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	seen := 0
	var failed error
	for _, err := range s.Find(ctx, class, &query.Find{Limit: -1}) {
		if err != nil {
			failed = err
			continue
		}
		if seen++; seen == 3 {
			cancel()
		}
	}
	if failed == nil && seen != 500 || failed != nil && !errors.Is(failed, context.Canceled) {
		s.Errorf("an iteration whose context ended saw %d of 500 objects and ended with %v", seen, failed)
	}
	if n, err := s.Count(s.ctx, class, nil); n != 500 || err != nil {
		s.Errorf("Count() afterwards = %d, %v", n, err)
	}
}

// many makes a class with objects.
func (s *suite) many(count int) *schema.Class {
	s.Helper()
	class := s.class("Thing", "n", schema.Number)
	objects := make([]*parse.Object, count)
	for i := range objects {
		objects[i] = object(class, fmt.Sprintf("id%04d", i), "n", float64(i))
	}
	if err := s.Create(s.ctx, class, objects...); err != nil {
		s.Fatalf("Create = %v", err)
	}
	return class
}

// testVisitorStops: a visitor that has seen enough gives everything back that the iteration held.
func testVisitorStops(s *suite) {
	class := s.many(100)
	for range 50 {
		for o, err := range s.Find(s.ctx, class, &query.Find{Order: by("-n"), Limit: -1}) {
			if err != nil || o.ID() != "id0099" {
				s.Fatalf("Find = %s, %v", text(o), err)
			}
			break
		}
	}
	s.update(class, nil, "n", 0.0)
	if n, err := s.Delete(s.ctx, class, nil, -1); n != 100 || err != nil {
		s.Errorf("Delete(all) = %d, %v", n, err)
	}
}

// testVisitorWrites: outside of a transaction a visitor may use the adapter; the iteration sees the objects as they were.
func testVisitorWrites(s *suite) {
	class := s.many(50)
	seen := map[string]bool{}
	for o, err := range s.Find(s.ctx, class, &query.Find{Where: where("n", query.Lt, 1000.0), Limit: -1}) {
		if err != nil {
			s.Fatalf("Find = %v", err)
		}
		seen[o.ID()] = true
		s.update(class, byID(o.ID()), "n", parse.Increment{Amount: 1})
		s.create(class, "new"+o.ID(), "n", 5000.0)
		if got := s.get(class, o.ID()).Get("n"); got != o.Get("n").(float64)+1 {
			s.Errorf("Find of a changed object = %v, want %v", got, o.Get("n").(float64)+1)
		}
	}
	if len(seen) != 50 {
		s.Errorf("the iteration saw %d objects, want 50", len(seen))
	}
}

func testVisitorPanics(s *suite) {
	class := s.many(10)
	for range 20 {
		func() {
			defer func() {
				if got := recover(); got != "on purpose" {
					s.Errorf("the visitor panicked with %v, want on purpose", got)
				}
			}()
			for range s.Find(s.ctx, class, &query.Find{Limit: -1}) {
				panic("on purpose")
			}
		}()
	}
	s.update(class, nil, "n", 0.0)
}

// testUnsupported: a regular expression that cannot be used is an error, and not an empty answer.
func testUnsupported(s *suite) {
	class := s.class("Thing", "s", schema.String)
	s.create(class, "x", "s", "text")
	bad := where("s", query.Match, &query.Regex{Pattern: "(unclosed"})
	_, err := collect(s.ctx, s.Adapter, class, &query.Find{Where: bad, Limit: -1})
	s.wantKind("Find($regex (unclosed)", err, storage.Unsupported)
	_, err = s.Count(s.ctx, class, bad)
	s.wantKind("Count($regex (unclosed)", err, storage.Unsupported)
	_, err = s.Update(s.ctx, class, bad, parse.NewMap("s", "y"), -1)
	s.wantKind("Update($regex (unclosed)", err, storage.Unsupported)
	_, err = s.Delete(s.ctx, class, bad, -1)
	s.wantKind("Delete($regex (unclosed)", err, storage.Unsupported)
	s.wantIDs("Find(all)", s.find(class, nil), "x")
}
