package memory

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// transaction is a Store whose writes stay in drafts, by class, until the adapter commits them.
type transaction struct {
	adapter *Adapter
	drafts  map[string]*draft
}

// draft is a table with changes that are not committed: a nil object is removed, an empty id of a unique key freed.
type draft struct {
	base    *table
	objects map[string]*parse.Object
	unique  map[string]map[string]string
}

func newDraft(base *table) *draft {
	if base == nil {
		base = &table{objects: map[string]*parse.Object{}, unique: map[string]map[string]string{}}
	}
	return &draft{base: base, objects: map[string]*parse.Object{}, unique: map[string]map[string]string{}}
}

// draft returns the draft of a class. The base cannot change while it is open: this transaction is the only writer.
func (tx *transaction) draft(class string) *draft {
	d := tx.drafts[class]
	if d == nil {
		tx.adapter.mu.RLock()
		defer tx.adapter.mu.RUnlock()
		d = newDraft(tx.adapter.tables[class])
		tx.drafts[class] = d
	}
	return d
}

func (tx *transaction) Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error] {
	return func(yield func(*parse.Object, error) bool) {
		found, err := tx.draft(class.Name).find(ctx, q)
		if err != nil {
			yield(nil, failure("Find", class.Name, err))
			return
		}
		visit(ctx, class, found, q.Keys, yield)
	}
}

func (tx *transaction) Count(ctx context.Context, class *schema.Class, where query.Node) (int64, error) {
	found, err := tx.draft(class.Name).matching(ctx, where)
	return int64(len(found)), failure("Count", class.Name, err)
}

func (tx *transaction) Create(ctx context.Context, class *schema.Class, objects ...*parse.Object) error {
	replacements := make([]replacement, len(objects))
	for i, object := range objects {
		replacements[i] = replacement{new: stored(object)}
	}
	return failure("Create", class.Name, tx.draft(class.Name).replace(ctx, class, replacements))
}

func (tx *transaction) Update(ctx context.Context, class *schema.Class, where query.Node, changes storage.Changes, limit int) ([]*parse.Object, error) {
	d := tx.draft(class.Name)
	found, err := d.first(ctx, where, limit)
	if err != nil {
		return nil, failure("Update", class.Name, err)
	}
	replacements := make([]replacement, len(found))
	changed := make([]*parse.Object, len(found))
	for i, before := range found {
		after := before.Shallow()
		if err := parse.ApplyChanges(&after.Map, changes); err != nil {
			return nil, failure("Update", class.Name, err)
		}
		replacements[i] = replacement{before, stored(after)}
		changed[i] = replacements[i].new.Clone()
	}
	if err := d.replace(ctx, class, replacements); err != nil {
		return nil, failure("Update", class.Name, err)
	}
	return changed, nil
}

func (tx *transaction) Delete(ctx context.Context, class *schema.Class, where query.Node, limit int) (int64, error) {
	d := tx.draft(class.Name)
	found, err := d.first(ctx, where, limit)
	if err != nil {
		return 0, failure("Delete", class.Name, err)
	}
	replacements := make([]replacement, len(found))
	for i, object := range found {
		replacements[i] = replacement{old: object}
	}
	if err := d.replace(ctx, class, replacements); err != nil {
		return 0, failure("Delete", class.Name, err)
	}
	return int64(len(found)), nil
}

// stored returns a copy of an object in the form in which it is kept: a File is stored by its name.
func stored(object *parse.Object) *parse.Object {
	c := object.Clone()
	for name, v := range c.All() {
		if f, ok := v.(parse.File); ok {
			c.Set(name, parse.File{Name: f.Name})
		}
	}
	return c
}

func (d *draft) find(ctx context.Context, q *query.Find) ([]*parse.Object, error) {
	found, err := d.matching(ctx, q.Where)
	if err != nil {
		return nil, err
	}
	if err := query.Sort(found, q); err != nil {
		return nil, err
	}
	found = found[min(q.Skip, len(found)):]
	if q.Limit >= 0 {
		found = found[:min(q.Limit, len(found))]
	}
	return found, nil
}

// first returns at most limit of the objects that match, in the order of their ids, so that a test sees the same ones each time.
func (d *draft) first(ctx context.Context, where query.Node, limit int) ([]*parse.Object, error) {
	return d.find(ctx, &query.Find{Where: where, Limit: limit, Order: []query.Order{{Key: "objectId"}}})
}

// matching returns the objects that match, in no special order.
func (d *draft) matching(ctx context.Context, where query.Node) ([]*parse.Object, error) {
	matcher, err := query.Compile(where)
	if err != nil {
		return nil, err
	}
	var found []*parse.Object
	for object := range d.candidates(where) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ok, err := matcher.Match(object)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, object)
		}
	}
	return found, nil
}

// candidates visits all objects that can match: the one with the id that where asks for, or all.
func (d *draft) candidates(where query.Node) iter.Seq[*parse.Object] {
	return func(yield func(*parse.Object) bool) {
		if id, ok := query.PinnedID(where); ok {
			if object := d.get(id); object != nil {
				yield(object)
			}
			return
		}
		for id, object := range d.base.objects {
			if _, changed := d.objects[id]; !changed && !yield(object) {
				return
			}
		}
		for _, object := range d.objects {
			if object != nil && !yield(object) {
				return
			}
		}
	}
}

func (d *draft) get(id string) *parse.Object {
	if object, changed := d.objects[id]; changed {
		return object
	}
	return d.base.objects[id]
}

// replacement is one object that takes the place of another; old is nil for a new one, new for one that is removed.
type replacement struct{ old, new *parse.Object }

// replace does all replacements or none.
func (d *draft) replace(ctx context.Context, class *schema.Class, replacements []replacement) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	keys, err := d.claim(class, replacements)
	if err != nil {
		return err
	}
	for index, changes := range keys {
		if d.unique[index] == nil {
			d.unique[index] = map[string]string{}
		}
		maps.Copy(d.unique[index], changes)
	}
	for _, r := range replacements {
		if r.new == nil {
			d.objects[r.old.ID()] = nil
		} else {
			d.objects[r.new.ID()] = r.new
		}
	}
	return nil
}

// commit writes the draft into its table.
func (d *draft) commit() {
	for id, object := range d.objects {
		if object == nil {
			delete(d.base.objects, id)
		} else {
			d.base.objects[id] = object
		}
	}
	for index, changes := range d.unique {
		if d.base.unique[index] == nil {
			d.base.unique[index] = map[string]string{}
		}
		for key, id := range changes {
			if id == "" {
				delete(d.base.unique[index], key)
			} else {
				d.base.unique[index][key] = id
			}
		}
	}
}

// drop removes a field from all objects of the table, and with it the keys of the unique indexes it is part of.
func (t *table) drop(class, field string) {
	for id, object := range t.objects {
		if object.Has(field) {
			object = object.Shallow()
			object.Delete(field)
			t.objects[id] = object
		}
	}
	for _, index := range schema.UniqueIndexes(class) {
		if slices.ContainsFunc(index.Fields, func(f string) bool { name, _, _ := strings.Cut(f, "."); return name == field }) {
			delete(t.unique, index.Name)
		}
	}
}
