// Package migrate moves what one database holds into another, whatever adapters they have: all classes with their permissions and indexes,
// system classes, relations, passwords, sessions and what authentication providers gave.
//
//	result, err := migrate.Copy(ctx, from, to, migrate.Options{Source: "sqlite://parley.db"})
//
// The source is read as it was at one moment and not changed, but for the ids that members of relations get where Parse Server gave them none. The target has to
// be empty. While a copy is unfinished, a class of the target says so ([Unfinished]); another Copy of the same source goes on where that
// one ended, however it ended: what is there is not written again, and what changed in the source meanwhile is copied anew.
//
// A class is done when source and target have as many objects and the same checksum: the sum of the SHA-256 of each object's canonical JSON, in
// which keys are sorted, null in a field is no field and -0 is 0. The order of objects, and of keys in an object, has no part in it.
//
// migrate.go the copy; sum.go checksums; state.go what the target knows of an unfinished copy.
package migrate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Options of a copy.
type Options struct {
	// Source is how the source is called, without secrets: an unfinished copy goes on only from the same.
	Source string
	// Batch is how many objects are written together; 0 stands for 1000.
	Batch int
	// Progress, if set, is called after each batch and at the end of each class.
	Progress func(Progress)
}

// Progress is how far a copy is.
type Progress struct {
	Class string
	// Done and Total are objects of the class; in Verify they are being read from the target.
	Done, Total int64
	Verify      bool
	// Finished: the class is done and verified.
	Finished bool
	// AllDone and AllTotal are objects of all classes.
	AllDone, AllTotal int64
}

// Result is what a copy did.
type Result struct {
	// Resumed: it went on with an unfinished copy.
	Resumed bool
	Classes []Class
}

// Class is what is the same on both sides.
type Class struct {
	Name    string `json:"class"`
	Objects int64  `json:"objects"`
	// Sum is the checksum of its objects, in hexadecimal.
	Sum string `json:"checksum"`
}

var (
	// ErrNotEmpty says that the target holds something that is no unfinished copy.
	ErrNotEmpty = errors.New("the target is not empty")
	// ErrOtherCopy says that the target holds the unfinished copy of another source.
	ErrOtherCopy = errors.New("the target holds an unfinished copy of another database")
	// ErrUnfinished says that the source is itself a copy that was not finished.
	ErrUnfinished = errors.New("the source is an unfinished copy")
	// ErrRunning says that another copy into the target is running.
	ErrRunning = errors.New("another copy into the target is running")
	// ErrChanged says that classes of the source changed while it was copied. The next copy goes on.
	ErrChanged = errors.New("classes of the source changed while it was copied: run the copy again, it goes on")
)

// batchBytes bounds the memory of a batch, as canonical JSON.
const batchBytes = 8 << 20

// Copy copies from one database into the other. The source is a [storage.Snapshotter].
func Copy(ctx context.Context, from, to storage.Adapter, o Options) (*Result, error) {
	if o.Batch <= 0 {
		o.Batch = 1000
	}
	snapshotter, ok := from.(storage.Snapshotter)
	if !ok {
		return nil, fmt.Errorf("a database of the kind %s cannot be copied", from.Capabilities().Name)
	}
	if locker, ok := to.(storage.Locker); ok {
		unlock, err := locker.Lock(ctx, "copying")
		if errors.Is(err, storage.ErrLocked) {
			return nil, ErrRunning
		}
		if err != nil {
			return nil, err
		}
		defer unlock()
	}
	if unfinished, err := Unfinished(ctx, from); err != nil || unfinished != "" {
		return nil, cmp.Or(err, fmt.Errorf("%w: it is one of %s", ErrUnfinished, unfinished))
	}
	c := &copying{from: from, to: to, o: o, result: &Result{}}
	stored, err := from.Classes(ctx)
	if err != nil {
		return nil, err
	}
	c.stored = stored
	classes := All(stored)
	if c.state, c.result.Resumed, err = begin(ctx, to, o.Source); err != nil {
		return nil, err
	}
	if c.result.Resumed {
		if err := c.align(ctx); err != nil {
			return nil, err
		}
	}
	for _, class := range classes { // where Parse Server gave no ids, they are given before the moment that is copied
		for _, err := range from.Find(ctx, class, &query.Find{ClassName: class.Name, Limit: 1}) {
			if err != nil {
				return nil, err
			}
		}
	}
	err = snapshotter.Snapshot(ctx, func(ctx context.Context, read storage.Reader) error { return c.run(ctx, read, classes) })
	if err != nil {
		return nil, err
	}
	return c.result, c.finish(ctx)
}

// align takes from the target what the source has lost since the copy began: classes, and fields that are gone or of another type.
func (c *copying) align(ctx context.Context) error {
	there, err := c.to.Classes(ctx)
	if err != nil {
		return err
	}
	source := make(map[string]*schema.Class, len(c.stored))
	for _, class := range c.stored {
		source[class.Name] = class
	}
	for _, class := range there {
		want := source[class.Name]
		if want == nil && schema.IsSystem(class.Name) {
			want = schema.New(class.Name)
		}
		if want == nil {
			if err := c.to.DropClass(ctx, class.Name); err != nil {
				return err
			}
			continue
		}
		kept := class.Clone()
		kept.Indexes = nil
		for name, f := range class.Fields {
			if g, ok := want.Fields[name]; !ok || g.Type != f.Type || g.TargetClass != f.TargetClass {
				delete(kept.Fields, name)
			}
		}
		if len(kept.Fields) == len(class.Fields) && len(class.Indexes) == 0 {
			continue
		}
		if err := c.to.SaveClass(ctx, kept); err != nil {
			return err
		}
	}
	return nil
}

// All returns the stored classes with their relations, and the system classes that may have objects without being stored, by name.
func All(stored []*schema.Class) []*schema.Class {
	byName := map[string]*schema.Class{}
	for _, name := range schema.SystemClasses() {
		byName[name] = schema.New(name)
	}
	for _, class := range stored {
		byName[class.Name] = class
	}
	for _, class := range slices.Collect(maps.Values(byName)) {
		for name, f := range class.Fields {
			if f.Type == schema.Relation {
				join := schema.JoinClass(class.Name, name)
				byName[join.Name] = join
			}
		}
	}
	names := slices.Sorted(maps.Keys(byName))
	all := make([]*schema.Class, len(names))
	for i, name := range names {
		all[i] = byName[name]
	}
	return all
}

// copying is one copy.
type copying struct {
	from, to storage.Adapter
	o        Options
	stored   []*schema.Class
	state    *state
	result   *Result
	progress Progress
}

// run copies what one moment shows.
func (c *copying) run(ctx context.Context, read storage.Reader, classes []*schema.Class) error {
	totals := make([]int64, len(classes))
	for i, class := range classes {
		var err error
		if totals[i], err = read.Count(ctx, class, nil); err != nil {
			return err
		}
		c.progress.AllTotal += totals[i]
	}
	for _, class := range c.stored { // indexes are made at the end, when they are made at once
		bare := class.Clone()
		bare.Indexes = nil
		if err := c.to.SaveClass(ctx, bare); err != nil {
			return err
		}
	}
	for i, class := range classes {
		before := c.progress.AllDone
		c.progress = Progress{Class: class.Name, Total: totals[i], AllDone: before, AllTotal: c.progress.AllTotal}
		done, err := c.class(ctx, read, class)
		if err != nil {
			return fmt.Errorf("class %s: %w", class.Name, err)
		}
		c.progress.AllDone = before + totals[i]
		c.progress.Done, c.progress.Verify, c.progress.Finished = totals[i], false, true
		c.tell()
		if done.Objects > 0 {
			c.result.Classes = append(c.result.Classes, done)
		}
	}
	return nil
}

func (c *copying) tell() {
	if c.o.Progress != nil {
		c.o.Progress(c.progress)
	}
}

// class copies the objects of one class, and checks them. Of a class that was begun before, what changed in the source since then may be
// wrong in the target: it is copied once more.
func (c *copying) class(ctx context.Context, read storage.Reader, class *schema.Class) (Class, error) {
	done, known := c.state.done[class.Name]
	there, err := c.to.Count(ctx, class, nil)
	if err != nil {
		return Class{}, err
	}
	begun := known || there > 0
	for {
		source, err := c.objects(ctx, read, class, begun, known && done.Objects == there)
		if err != nil {
			return Class{}, err
		}
		if known && source == done.digest() && done.Objects == there {
			return done, nil
		}
		target, err := c.verify(ctx, class)
		if err != nil {
			return Class{}, err
		}
		if source == target {
			done = source.class(class.Name)
			return done, c.state.mark(ctx, done)
		}
		if !begun {
			return Class{}, fmt.Errorf("the target holds %d objects with the checksum %s, the source %d with %s", target.count, target.hex(), source.count, source.hex())
		}
		if _, err := c.to.Delete(ctx, class, nil, -1); err != nil {
			return Class{}, err
		}
		begun, known, there = false, false, 0
	}
}

// objects reads the objects of a class from the source and writes those that the target lacks; none when it is only to be read.
func (c *copying) objects(ctx context.Context, read storage.Reader, class *schema.Class, begun, only bool) (digest, error) {
	var all digest
	var batch []*parse.Object
	var text []byte
	size := 0
	flush := func() error {
		defer func() { batch, size = nil, 0 }()
		c.progress.Done = all.count
		c.tell()
		if only || len(batch) == 0 {
			return ctx.Err()
		}
		return c.write(ctx, class, batch, begun)
	}
	for object, err := range read.Find(ctx, class, &query.Find{ClassName: class.Name, Limit: -1}) {
		if err != nil {
			return all, err
		}
		text = canonical(text[:0], object)
		all.add(text)
		batch = append(batch, object)
		if size += len(text); len(batch) >= c.o.Batch || size >= batchBytes {
			if err := flush(); err != nil {
				return all, err
			}
		}
	}
	return all, flush()
}

// write stores objects; of a class that was begun, those that are not there.
func (c *copying) write(ctx context.Context, class *schema.Class, batch []*parse.Object, begun bool) error {
	if begun {
		ids := make([]any, len(batch))
		for i, o := range batch {
			ids[i] = o.ID()
		}
		there := map[string]bool{}
		where := &query.Constraint{Key: "objectId", Op: query.In, Arg: ids}
		for o, err := range c.to.Find(ctx, class, &query.Find{ClassName: class.Name, Where: where, Limit: -1, Keys: []string{}}) {
			if err != nil {
				return err
			}
			there[o.ID()] = true
		}
		batch = slices.DeleteFunc(batch, func(o *parse.Object) bool { return there[o.ID()] })
	}
	if len(batch) == 0 {
		return nil
	}
	err := c.to.Create(ctx, class, batch...)
	if !errors.Is(err, storage.Unsupported) && !errors.Is(err, storage.Duplicate) {
		return err
	}
	for _, o := range batch { // which one it is
		if err := c.to.Create(ctx, class, o); err != nil {
			var clash *storage.Error
			if errors.As(err, &clash) && clash.Kind == storage.Duplicate {
				return fmt.Errorf("object %s has the same value of %v as another one, which the target does not admit: %w", o.ID(), clash.Fields, err)
			}
			return fmt.Errorf("object %s cannot be stored in the target: %w", o.ID(), err)
		}
	}
	return nil
}

// verify reads the objects of a class from the target.
func (c *copying) verify(ctx context.Context, class *schema.Class) (digest, error) {
	var all digest
	var text []byte
	c.progress.Verify = true
	for object, err := range c.to.Find(ctx, class, &query.Find{ClassName: class.Name, Limit: -1}) {
		if err != nil {
			return all, err
		}
		text = canonical(text[:0], object)
		if all.add(text); all.count%int64(c.o.Batch) == 0 {
			c.progress.Done = all.count
			c.tell()
		}
	}
	c.progress.Verify = false
	return all, nil
}

// finish makes the indexes, and the copy a database like any other.
func (c *copying) finish(ctx context.Context) error {
	for _, class := range c.stored {
		if len(class.Indexes) > 0 {
			if err := c.to.SaveClass(ctx, class); err != nil {
				return err
			}
		}
	}
	now, err := c.from.Classes(ctx)
	if err != nil {
		return err
	}
	same := slices.EqualFunc(c.stored, now, func(a, b *schema.Class) bool { return bytes.Equal(schema.Marshal(a), schema.Marshal(b)) })
	if !same {
		return ErrChanged
	}
	return c.state.end(ctx)
}
