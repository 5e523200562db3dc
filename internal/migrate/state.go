package migrate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// stateName is the class of the target that holds what an unfinished copy has done. It is in no list of classes, and gone when the copy is finished.
const stateName = "_ParleyCopy"

// headID is the objectId of the one object that says of what it is a copy; each class that is done has another one.
const headID = "copy"

func stateClass() *schema.Class {
	class := schema.New(stateName)
	class.Fields["source"] = schema.Field{Type: schema.String}
	class.Fields["class"] = schema.Field{Type: schema.String}
	class.Fields["objects"] = schema.Field{Type: schema.Number}
	class.Fields["sum"] = schema.Field{Type: schema.String}
	return class
}

// state is what the target knows of an unfinished copy.
type state struct {
	to   storage.Adapter
	done map[string]Class
}

// begin reads the state of an unfinished copy, or begins one in an empty target.
func begin(ctx context.Context, to storage.Adapter, source string) (s *state, resumed bool, err error) {
	s = &state{to: to, done: map[string]Class{}}
	for o, err := range to.Find(ctx, stateClass(), &query.Find{ClassName: stateName, Limit: -1}) {
		if err != nil {
			return nil, false, err
		}
		if o.ID() == headID {
			if name, _ := o.Get("source").(string); name != source {
				return nil, false, fmt.Errorf("%w: %s", ErrOtherCopy, name)
			}
			resumed = true
			continue
		}
		name, _ := o.Get("class").(string)
		count, _ := o.Get("objects").(float64)
		sum, _ := o.Get("sum").(string)
		s.done[name] = Class{Name: name, Objects: int64(count), Sum: sum}
	}
	if resumed {
		return s, true, nil
	}
	if err := empty(ctx, to); err != nil {
		return nil, false, err
	}
	return s, false, to.Create(ctx, stateClass(), s.object(headID, "source", source))
}

func (s *state) object(id string, fields ...any) *parse.Object {
	now := parse.Date(time.Now().UnixMilli())
	return parse.NewObject(stateName, append([]any{"objectId", id, "createdAt", now, "updatedAt", now}, fields...)...)
}

// empty tells what a target holds that is not empty: an object, or a class that not every application has.
func empty(ctx context.Context, to storage.Adapter) error {
	stored, err := to.Classes(ctx)
	if err != nil {
		return err
	}
	for _, class := range stored {
		if !schema.IsSystem(class.Name) {
			return fmt.Errorf("%w: it has the class %s", ErrNotEmpty, class.Name)
		}
	}
	for _, class := range All(stored) {
		n, err := to.Count(ctx, class, nil)
		if err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%w: it has %d objects of the class %s", ErrNotEmpty, n, class.Name)
		}
	}
	return nil
}

// mark notes that a class is done.
func (s *state) mark(ctx context.Context, done Class) error {
	if done.Objects == 0 {
		return nil
	}
	id := "class:" + done.Name
	where := &query.Constraint{Key: "objectId", Op: query.Eq, Arg: id}
	changes := parse.NewMap("class", done.Name, "objects", float64(done.Objects), "sum", done.Sum)
	changed, err := s.to.Update(ctx, stateClass(), where, changes, 1)
	if err != nil || len(changed) > 0 {
		return err
	}
	return s.to.Create(ctx, stateClass(), s.object(id, "class", done.Name, "objects", float64(done.Objects), "sum", done.Sum))
}

// end makes the target a database like any other.
func (s *state) end(ctx context.Context) error { return s.to.DropClass(ctx, stateName) }

// Unfinished returns of which source a database is an unfinished copy, "" for none.
func Unfinished(ctx context.Context, db storage.Store) (source string, err error) {
	where := &query.Constraint{Key: "objectId", Op: query.Eq, Arg: headID}
	for o, err := range db.Find(ctx, stateClass(), &query.Find{ClassName: stateName, Where: where, Limit: 1}) {
		if err != nil {
			return "", err
		}
		source, _ = o.Get("source").(string)
		source = strings.TrimSpace(source)
	}
	return source, nil
}
