// Package schemas keeps the living schema of the application: an immutable snapshot that every request reads without a lock,
// and the one place that changes it in the database.
//
// schemas.go the snapshot and how it is read; change.go everything that changes it.
package schemas

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Options change how a schema is kept. The zero value is the default of Parse Server.
type Options struct {
	// Locked refuses what the schema API would change (option schema.lockSchemas, code 119). Writes go on adding fields.
	Locked bool
	// CustomIDs: clients may choose objectIds (option allowCustomObjectId), so that permissions may name any user id.
	CustomIDs bool
}

// Schemas is the schema of all classes of one application. It is safe for concurrent use.
type Schemas struct {
	store   storage.Adapter
	opts    Options
	current atomic.Pointer[snapshot]
	// changing is held by whoever changes the schema: from reading what is to be changed until the new snapshot stands.
	changing sync.Mutex
}

// snapshot is all classes at one moment. It is never changed.
type snapshot struct {
	// classes are the stored ones and the system classes, stored or not.
	classes map[string]*schema.Class
	// stored are the names of those that the database has.
	stored map[string]bool
	// listed are the stored ones that a list of classes shows, sorted by name.
	listed []*schema.Class
}

// mustExist are the system classes that are stored from the start, as Parse Server does; the others are with their first object.
var mustExist = []string{schema.UserClass, schema.RoleClass}

// Load reads the schema from the database and makes the system classes exist.
func Load(ctx context.Context, store storage.Adapter) (*Schemas, error) {
	return Options{}.Load(ctx, store)
}

// Load is [Load] with options.
func (o Options) Load(ctx context.Context, store storage.Adapter) (*Schemas, error) {
	s := &Schemas{store: store, opts: o}
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.reload(ctx); err != nil {
		return nil, err
	}
	snap := s.current.Load()
	for _, name := range mustExist {
		if !snap.stored[name] {
			if _, err := s.save(ctx, snap.classes[name]); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// Refresh reads the schema again: another node may have changed it.
func (s *Schemas) Refresh(ctx context.Context) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	return s.reload(ctx)
}

// betweenTold is the least time between two readings of the schema that the database told to do.
const betweenTold = 20 * time.Millisecond

// Follow reads the schema again when the database tells that another process changed it, if it can ([storage.Watcher]), and every so
// often until ctx ends: that is how long a change may go unseen here where nothing is told. A reading that fails is told and tried again.
func (s *Schemas) Follow(ctx context.Context, every time.Duration, failed func(error)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	told := make(chan struct{}, 1) // what is told while the schema is being read counts once
	if watcher, ok := s.store.(storage.Watcher); ok {
		var watching sync.WaitGroup
		defer watching.Wait()
		watching.Go(func() {
			watcher.Watch(ctx, func() {
				select {
				case told <- struct{}{}:
				default:
				}
			})
		})
	}
	for {
		heard := false
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-told:
			heard = true
		}
		if err := s.Refresh(ctx); err != nil && ctx.Err() == nil {
			failed(err)
		}
		if heard { // whoever may connect to the database may tell, as often as it likes
			select {
			case <-ctx.Done():
			case <-time.After(betweenTold):
			}
		}
	}
}

// reload needs the lock. A stored system class that lacks a default column, because an older version stored it, gets it:
// who reads the snapshot may count on the database to have what it shows.
func (s *Schemas) reload(ctx context.Context) error {
	stored, err := s.store.Classes(ctx)
	if err != nil {
		return err
	}
	snap := newSnapshot(nil)
	for _, class := range stored {
		if schema.IsJoin(class.Name) {
			continue
		}
		if full := complete(class); full != class {
			if err := s.store.SaveClass(ctx, full); err != nil {
				return err
			}
			class = full
		}
		snap.classes[class.Name] = class
		snap.stored[class.Name] = true
	}
	snap.list()
	s.current.Store(snap)
	return nil
}

// complete returns the class with all its default columns, the class itself when it lacks none.
func complete(class *schema.Class) *schema.Class {
	full := class
	for name, field := range schema.New(class.Name).Fields {
		if _, ok := class.Fields[name]; ok {
			continue
		}
		if full == class {
			full = class.Clone()
		}
		full.Fields[name] = field
	}
	return full
}

// newSnapshot returns a copy to be changed before it is shared; of nil, one in which nothing is stored.
func newSnapshot(old *snapshot) *snapshot {
	if old != nil {
		return &snapshot{classes: maps.Clone(old.classes), stored: maps.Clone(old.stored)}
	}
	snap := &snapshot{classes: map[string]*schema.Class{}, stored: map[string]bool{}}
	for _, name := range schema.SystemClasses() {
		snap.classes[name] = schema.New(name)
	}
	return snap
}

func (snap *snapshot) list() {
	snap.listed = nil
	for name := range snap.stored {
		if !schema.IsVolatile(name) {
			snap.listed = append(snap.listed, snap.classes[name])
		}
	}
	slices.SortFunc(snap.listed, func(a, b *schema.Class) int { return strings.Compare(a.Name, b.Name) })
}

// Class returns the current schema of a class, and whether the class exists. System classes always do, and so does the class
// "_Join:field:Class" of a Relation field.
func (s *Schemas) Class(name string) (*schema.Class, bool) {
	snap := s.current.Load()
	class, ok := snap.classes[name]
	if ok || !schema.IsJoin(name) {
		return class, ok
	}
	field, owner, ok := parse.SplitJoinClass(name)
	if !ok {
		return nil, false
	}
	of, ok := snap.classes[owner]
	if !ok || of.Fields[field].Type != schema.Relation {
		return nil, false
	}
	return schema.JoinClass(owner, field), true
}

// All returns all classes that the database has, sorted by name, without the volatile ones: what GET /schemas lists.
func (s *Schemas) All() []*schema.Class { return slices.Clone(s.current.Load().listed) }

// Describe returns the class that GET /schemas/:class shows: one that All lists, or a volatile one. Any other does not exist
// (code 103), not even a system class without a first object.
func (s *Schemas) Describe(name string) (*schema.Class, error) {
	snap := s.current.Load()
	if class, ok := snap.classes[name]; ok && (snap.stored[name] || schema.IsVolatile(name)) {
		return class, nil
	}
	return nil, notThere(name)
}

func notThere(name string) error {
	return parse.Errorf(parse.InvalidClassName, "Class %s does not exist.", name)
}
