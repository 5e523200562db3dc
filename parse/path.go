package parse

import (
	"slices"
	"strconv"
	"strings"
)

// MaxPadding is how many nulls a change of an array member may insert before it: "arr.5000" of an empty array works,
// "arr.99999999" does not.
const MaxPadding = 10000

// ApplyChanges applies changes to the fields of an object, in order: each is the name of a field or a dotted key, and
// its new value or an [Op]. All adapters share it, so that a dotted update has one meaning (see [ApplyPath]).
// Values inside the fields are replaced, never changed, so that a shallow copy of fields may be given.
// After an error fields is in between and has to be thrown away.
func ApplyChanges(fields, changes *Map) error {
	for key, change := range changes.All() {
		name, rest, dotted := strings.Cut(key, ".")
		var path []string
		if dotted {
			path = strings.Split(rest, ".")
		}
		old, ok := fields.Lookup(name)
		if !ok {
			old = Absent{}
		}
		v, err := ApplyPath(old, path, change)
		if err != nil {
			return err
		}
		if _, gone := v.(Absent); gone {
			fields.Delete(name)
		} else {
			fields.Set(name, v)
		}
	}
	return nil
}

// ApplyPath returns what becomes of the value of a field when change, a value or an [Op], is applied to the member of
// it that path leads to; an empty path means the field itself. Old is [Absent] for a missing field, and so is the
// result for one that has no value afterwards. Old is not changed; the result may share parts with it.
//
// As on MongoDB, what is missing or null on the way becomes an Object, whatever the member is called; of an Array
// a member is named by its index, one beyond the end fills the gap with nulls, and a deleted one becomes null.
// Deleting what is not there changes nothing. A path through any other value is an *Error of code 111.
func ApplyPath(old any, path []string, change any) (any, error) {
	if len(path) == 0 {
		if op, ok := change.(Op); ok {
			return op.Apply(old)
		}
		return change, nil
	}
	name, rest := path[0], path[1:]
	if name == "" {
		return nil, Errorf(InvalidKeyName, "A member of a value has no name.")
	}
	_, deleting := change.(Delete)
	switch container := old.(type) {
	case nil, Absent:
		if deleting {
			return old, nil
		}
		v, err := ApplyPath(Absent{}, rest, change)
		if err != nil {
			return nil, err
		}
		return NewMap(name, v), nil
	case *Map:
		return applyMember(container, name, rest, change, deleting)
	case []any:
		return applyElement(container, name, rest, change, deleting)
	}
	return nil, Errorf(IncorrectType, "Cannot change the member %s of a value that is neither an Object nor an Array.", name)
}

func applyMember(m *Map, name string, rest []string, change any, deleting bool) (any, error) {
	old, ok := m.Lookup(name)
	if !ok {
		if deleting {
			return m, nil
		}
		old = Absent{}
	}
	v, err := ApplyPath(old, rest, change)
	if err != nil {
		return nil, err
	}
	c := m.shallow()
	if _, gone := v.(Absent); gone {
		c.Delete(name)
	} else {
		c.Set(name, v)
	}
	return c, nil
}

func applyElement(array []any, name string, rest []string, change any, deleting bool) (any, error) {
	i, err := strconv.Atoi(name)
	if err != nil || i < 0 || strconv.Itoa(i) != name {
		return nil, Errorf(IncorrectType, "Cannot change the member %s of an Array.", name)
	}
	if i >= len(array) && deleting {
		return array, nil
	}
	if i > len(array)+MaxPadding {
		return nil, Errorf(IncorrectType, "The index %d is too far beyond the end of the Array.", i)
	}
	var old any = Absent{}
	if i < len(array) {
		old = array[i]
	}
	v, err := ApplyPath(old, rest, change)
	if err != nil {
		return nil, err
	}
	if _, gone := v.(Absent); gone {
		v = nil
	}
	c := make([]any, max(len(array), i+1))
	copy(c, array)
	c[i] = v
	return c, nil
}

// shallow returns a copy of the map whose values are the same.
func (m *Map) shallow() *Map {
	c := &Map{members: slices.Clone(m.members)}
	if m.index != nil {
		c.reindex()
	}
	return c
}

// Shallow returns a copy of the object whose values are the same: one may be given other fields, not other
// contents of them.
func (o *Object) Shallow() *Object { return &Object{ClassName: o.ClassName, Map: *o.Map.shallow()} }
