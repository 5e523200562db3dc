package parse

import (
	"iter"
	"slices"
)

// Map is an ordered set of named values: the members of a JSON object in the order they were first set.
// The zero value is empty and ready. A Map is not safe for concurrent writes.
type Map struct {
	members []member
	// index finds a member by name once there are too many for a scan; nil below indexFrom members.
	index map[string]int
}

type member struct {
	name  string
	value any
}

// indexFrom is the number of members from which a Map keeps an index: below it a scan is faster,
// above it a scan would make a hostile document quadratic.
const indexFrom = 24

// NewMap returns a map of alternating names and values: NewMap("a", 1.0, "b", true).
// It panics when a name is not a string or a value is missing.
func NewMap(pairs ...any) *Map {
	if len(pairs)%2 != 0 {
		panic("parse.NewMap: a name without a value")
	}
	m := &Map{members: make([]member, 0, len(pairs)/2)}
	for i := 0; i < len(pairs); i += 2 {
		m.Set(pairs[i].(string), pairs[i+1])
	}
	return m
}

// Len returns the number of members. A nil Map has none.
func (m *Map) Len() int {
	if m == nil {
		return 0
	}
	return len(m.members)
}

// Get returns the value of a member, nil when there is none. Use [Map.Lookup] to tell null from absent.
func (m *Map) Get(name string) any {
	v, _ := m.Lookup(name)
	return v
}

// Lookup returns the value of a member and whether it exists.
func (m *Map) Lookup(name string) (any, bool) {
	if i := m.find(name); i >= 0 {
		return m.members[i].value, true
	}
	return nil, false
}

// Has tells whether a member exists, be it null.
func (m *Map) Has(name string) bool { return m.find(name) >= 0 }

// String returns a member that is a string, and "" for any other.
func (m *Map) String(name string) string {
	s, _ := m.Get(name).(string)
	return s
}

// Set gives a member a value; a new member goes last.
func (m *Map) Set(name string, value any) {
	if i := m.find(name); i >= 0 {
		m.members[i].value = value
		return
	}
	m.members = append(m.members, member{name, value})
	if m.index != nil {
		m.index[name] = len(m.members) - 1
	} else if len(m.members) >= indexFrom {
		m.reindex()
	}
}

// Grow makes room for n more members, for who knows how many will be set.
func (m *Map) Grow(n int) { m.members = slices.Grow(m.members, n) }

// Delete removes a member and tells whether there was one.
func (m *Map) Delete(name string) bool {
	i := m.find(name)
	if i < 0 {
		return false
	}
	m.members = slices.Delete(m.members, i, i+1)
	if m.index != nil {
		m.reindex()
	}
	return true
}

// All visits the members in order. A visitor may replace the value of a visited member, not add or remove any.
func (m *Map) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		if m == nil {
			return
		}
		for _, f := range m.members {
			if !yield(f.name, f.value) {
				return
			}
		}
	}
}

// Keys returns the names of the members in order, as a slice of its own.
func (m *Map) Keys() []string {
	keys := make([]string, 0, m.Len())
	for k := range m.All() {
		keys = append(keys, k)
	}
	return keys
}

// Clone returns a deep copy.
func (m *Map) Clone() *Map {
	if m == nil {
		return nil
	}
	c := &Map{members: make([]member, len(m.members))}
	for i, f := range m.members {
		c.members[i] = member{f.name, Clone(f.value)}
	}
	if m.index != nil {
		c.reindex()
	}
	return c
}

// Equal tells whether both maps hold equal members, in whatever order (see [Equal]).
func (m *Map) Equal(n *Map) bool {
	if m.Len() != n.Len() {
		return false
	}
	for k, v := range m.All() {
		w, ok := n.Lookup(k)
		if !ok || !Equal(v, w) {
			return false
		}
	}
	return true
}

func (m *Map) find(name string) int {
	if m == nil {
		return -1
	}
	if m.index != nil {
		if i, ok := m.index[name]; ok {
			return i
		}
		return -1
	}
	for i := range m.members {
		if m.members[i].name == name {
			return i
		}
	}
	return -1
}

func (m *Map) reindex() {
	if len(m.members) < indexFrom {
		m.index = nil
		return
	}
	m.index = make(map[string]int, 2*len(m.members))
	for i := range m.members {
		m.index[m.members[i].name] = i
	}
}

// Clone returns a deep copy of a value or an [Op].
func Clone(v any) any {
	switch v := v.(type) {
	case *Map:
		return v.Clone()
	case *Object:
		return v.Clone()
	case []any:
		return cloneList(v)
	case Polygon:
		return slices.Clone(v)
	case Bytes:
		return slices.Clone(v)
	case ACL:
		return v.Clone()
	case Add:
		return Add{cloneList(v.Objects)}
	case AddUnique:
		return AddUnique{cloneList(v.Objects)}
	case Remove:
		return Remove{cloneList(v.Objects)}
	case AddRelation:
		return AddRelation{slices.Clone(v.Objects)}
	case RemoveRelation:
		return RemoveRelation{slices.Clone(v.Objects)}
	case Batch:
		c := Batch{Ops: make([]Op, len(v.Ops))}
		for i := range v.Ops {
			c.Ops[i] = Clone(v.Ops[i]).(Op)
		}
		return c
	}
	return v
}

func cloneList(list []any) []any {
	c := make([]any, len(list))
	for i := range list {
		c[i] = Clone(list[i])
	}
	return c
}

// Equal tells whether two values, or two of type [Op], are the same: the order of the members of an Object does not matter,
// the order of an Array does. Files are equal by name.
func Equal(a, b any) bool {
	switch a := a.(type) {
	case *Map:
		b, ok := b.(*Map)
		return ok && a.Equal(b)
	case *Object:
		b, ok := b.(*Object)
		return ok && a.Equal(b)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, Equal)
	case Polygon:
		b, ok := b.(Polygon)
		return ok && slices.Equal(a, b)
	case Bytes:
		b, ok := b.(Bytes)
		return ok && slices.Equal(a, b)
	case ACL:
		b, ok := b.(ACL)
		return ok && a.Equal(b)
	case File:
		b, ok := b.(File)
		return ok && a.Name == b.Name
	case Op:
		b, ok := b.(Op)
		return ok && OpMap(a).Equal(OpMap(b))
	}
	return a == b // of two different types, comparable or not, this is false
}
