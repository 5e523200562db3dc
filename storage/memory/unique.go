package memory

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

var errTaken = errors.New("another object has these values")

// claim checks that the replacements leave every value of a unique index to one object, and returns what changes in the
// indexes: index -> key -> objectId, "" for a key that is free afterwards. Keys are freed before they are taken, so that objects
// may pass values on among each other.
func (d *draft) claim(class *schema.Class, replacements []replacement) (map[string]map[string]string, error) {
	changes := map[string]map[string]string{}
	set := func(index, key, id string) {
		if changes[index] == nil {
			changes[index] = map[string]string{}
		}
		changes[index][key] = id
	}
	taken := map[string]bool{}
	for _, r := range replacements {
		if r.old != nil {
			for index, key := range keysOf(class.Name, r.old) {
				set(index.Name, key, "")
			}
		} else if id := r.new.ID(); taken[id] || d.get(id) != nil {
			return nil, duplicate(class.Name, []string{"objectId"})
		} else {
			taken[id] = true
		}
	}
	for _, r := range replacements {
		if r.new == nil {
			continue
		}
		for index, key := range keysOf(class.Name, r.new) {
			owner, changed := changes[index.Name][key]
			if !changed {
				owner = d.owner(index.Name, key)
			}
			if owner != "" {
				return nil, duplicate(class.Name, index.Fields)
			}
			set(index.Name, key, r.new.ID())
		}
	}
	return changes, nil
}

// owner returns the objectId that has a key of a unique index, "" for none.
func (d *draft) owner(index, key string) string {
	if id, changed := d.unique[index][key]; changed {
		return id
	}
	return d.base.unique[index][key]
}

func duplicate(class string, fields []string) error {
	return &storage.Error{Kind: storage.Duplicate, Op: "memory.write", Class: class, Fields: slices.Clone(fields), Err: fmt.Errorf("%w: %s", errTaken, strings.Join(fields, ", "))}
}

// keysOf visits the unique indexes of a class that an object stands in, and its key there. Those of a class are few and
// their table is small; the providers that a _User is linked to each have one of their own.
func keysOf(class string, object *parse.Object) func(yield func(schema.UniqueIndex, string) bool) {
	return func(yield func(schema.UniqueIndex, string) bool) {
		indexes := schema.UniqueIndexes(class)
		if class == schema.UserClass {
			for name := range object.All() {
				if provider, ok := strings.CutPrefix(name, schema.AuthDataPrefix); ok {
					index := schema.AuthDataIndex(provider)
					if !slices.ContainsFunc(indexes, func(u schema.UniqueIndex) bool { return u.Name == index.Name }) {
						indexes = append(indexes, index)
					}
				}
			}
		}
		for _, index := range indexes {
			if key, ok := keyOf(index, object); ok && !yield(index, key) {
				return
			}
		}
	}
}

// keyOf returns the key of an object in an index, false when the index leaves it out.
func keyOf(index schema.UniqueIndex, object *parse.Object) (string, bool) {
	var key []byte
	for _, field := range index.Fields {
		v := member(object, field)
		if v == nil && index.Sparse {
			return "", false
		}
		if s, ok := v.(string); ok && index.CaseInsensitive {
			v = strings.ToLower(s)
		}
		key = append(parse.AppendJSON(key, v), ' ')
	}
	return string(key), true
}

// member returns the value at a dotted key, nil when there is none.
func member(object *parse.Object, key string) any {
	var v any = &object.Map
	for name := range strings.SplitSeq(key, ".") {
		m, ok := v.(*parse.Map)
		if !ok {
			return nil
		}
		v = m.Get(name)
	}
	return v
}
