package parse

import (
	"maps"
	"slices"
)

// ACL says who may read and write one object: "*" (everybody), a user id, or "role:Name" -> rights.
// An object without an ACL is public; an empty ACL admits nobody but the master key.
type ACL map[string]Access

// Access is what one entry of an ACL grants.
type Access struct {
	Read  bool
	Write bool
}

// Public is the ACL entry that stands for everybody.
const Public = "*"

// Clone returns a copy.
func (a ACL) Clone() ACL { return maps.Clone(a) }

// Equal tells whether both grant the same rights.
func (a ACL) Equal(b ACL) bool { return maps.Equal(a, b) }

// Readers returns who may read, sorted: the `_rperm` of a stored object. It is empty, not nil, for an ACL that admits nobody.
func (a ACL) Readers() []string { return a.granted(func(x Access) bool { return x.Read }) }

// Writers returns who may write, sorted: the `_wperm` of a stored object.
func (a ACL) Writers() []string { return a.granted(func(x Access) bool { return x.Write }) }

func (a ACL) granted(has func(Access) bool) []string {
	names := make([]string, 0, len(a))
	for name, access := range a {
		if has(access) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ACLOf is the inverse of [ACL.Readers] and [ACL.Writers].
func ACLOf(readers, writers []string) ACL {
	a := make(ACL, len(readers)+len(writers))
	for _, name := range readers {
		x := a[name]
		x.Read = true
		a[name] = x
	}
	for _, name := range writers {
		x := a[name]
		x.Write = true
		a[name] = x
	}
	return a
}

// ACLFromMap reads the wire form of the member "ACL" of an object, {"*":{"read":true}, …}. Only true flags count, and
// an entry without one grants nothing and is not kept. An ACL that names the unresolved user of an unsaved object is
// code 123; an entry or a flag of another shape is code 107.
func ACLFromMap(m *Map) (ACL, error) {
	a := make(ACL, m.Len())
	for name, entry := range m.All() {
		if name == "*unresolved" {
			if Truthy(entry) {
				return nil, Errorf(InvalidACL, "Invalid ACL.")
			}
			continue
		}
		flags, ok := entry.(*Map)
		if !ok {
			return nil, Errorf(InvalidJSON, "Invalid ACL: the entry of %q is not an object.", name)
		}
		var x Access
		for flag, v := range flags.All() {
			set, ok := v.(bool)
			if !ok && v != nil {
				return nil, Errorf(InvalidJSON, "Invalid ACL: %q of %q is not a Boolean.", flag, name)
			}
			switch flag {
			case "read":
				x.Read = set
			case "write":
				x.Write = set
			default:
				return nil, Errorf(InvalidJSON, "Invalid ACL: %q of %q is no access right.", flag, name)
			}
		}
		if x != (Access{}) {
			a[name] = x
		}
	}
	return a, nil
}
