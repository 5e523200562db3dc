package schema

import (
	"maps"
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// IDIndex is the implicit index on objectId: answers show it beside others, and it cannot be changed.
const IDIndex = "_id_"

// changeIndexes applies the member "indexes" of a schema request (contract parse-api.md, 5.10); errors are code 102.
func changeIndexes(class *Class, body *parse.Map) error {
	indexes, err := object(body, "indexes")
	if err != nil {
		return err
	}
	changed := maps.Clone(class.Indexes)
	for name, def := range indexes.All() {
		_, exists := class.Indexes[name]
		if isDelete(def) {
			if _, gone := changed[name]; !exists && !gone {
				return parse.Errorf(parse.InvalidQuery, "Index %s does not exist, cannot delete.", name)
			}
			delete(changed, name)
			continue
		}
		if exists || name == IDIndex {
			return parse.Errorf(parse.InvalidQuery, "Index %s exists, cannot update.", name)
		}
		index, err := readIndex(class, name, def)
		if err != nil {
			return err
		}
		if changed == nil {
			changed = map[string]Index{}
		}
		changed[name] = index
	}
	class.Indexes = changed
	return nil
}

func readIndex(class *Class, name string, def any) (Index, error) {
	m, ok := def.(*parse.Map)
	if !ok || m.Len() == 0 || name == "" {
		return nil, parse.Errorf(parse.InvalidQuery, "Index %s is invalid, fields are missing.", name)
	}
	index := make(Index, 0, m.Len())
	for key, v := range m.All() {
		field := class.indexedField(key)
		if field == "" {
			return nil, parse.Errorf(parse.InvalidQuery, "Field %s does not exist, cannot add index.", key)
		}
		kind, ok := indexKind(v)
		if !ok {
			return nil, parse.Errorf(parse.InvalidQuery, "Index %s is invalid, %s is not a type of index.", name, display(v))
		}
		index = append(index, IndexField{Field: field, Kind: kind})
	}
	return index, nil
}

// indexedField returns the field that an index names by key, "" when there is none. The stored name of a pointer
// in MongoDB, `_p_field`, is understood, because that is what clients of Parse Server there have to write.
func (c *Class) indexedField(key string) string {
	root, _, _ := strings.Cut(key, ".")
	if f, ok := c.Field(root); ok && f.Type != Relation && f.Type != ACL {
		return key
	}
	if name, ok := strings.CutPrefix(key, "_p_"); ok && c.Fields[name].Type == Pointer {
		return name
	}
	return ""
}

func indexKind(v any) (string, bool) {
	switch v {
	case 1.0:
		return "1", true
	case -1.0:
		return "-1", true
	case "text", "2dsphere":
		return v.(string), true
	}
	return "", false
}

func indexesToJSON(indexes map[string]Index) *parse.Map {
	m := parse.NewMap()
	for _, name := range slices.Sorted(maps.Keys(indexes)) {
		fields := parse.NewMap()
		for _, f := range indexes[name] {
			switch f.Kind {
			case "1":
				fields.Set(f.Field, 1.0)
			case "-1":
				fields.Set(f.Field, -1.0)
			default:
				fields.Set(f.Field, f.Kind)
			}
		}
		m.Set(name, fields)
	}
	return m
}
