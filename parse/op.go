package parse

import "slices"

// Op changes one field of a stored object, atomically with the write it is part of.
// On the wire it is an object with a member "__op" (contract parse-api.md, 2.2).
type Op interface {
	// Apply returns the value that follows from the old one; old is nil for a missing field, or [Absent].
	// An absent result (the field is to be removed) is [Absent]. An old value of the wrong type is an *Error.
	// The old value is not changed; the new one may share parts with it.
	Apply(old any) (any, error)
	// Name is the value of "__op".
	Name() string
}

// Absent is what [Op.Apply] returns when the field is to have no value at all.
type Absent struct{}

// The operators.
type (
	// Increment adds Amount to a Number; a missing one counts as 0.
	Increment struct{ Amount float64 }
	// Add appends to an Array.
	Add struct{ Objects []any }
	// AddUnique appends to an Array what it does not hold yet; objects count as equal by their id.
	AddUnique struct{ Objects []any }
	// Remove takes every occurrence of its objects out of an Array.
	Remove struct{ Objects []any }
	// Delete removes the field.
	Delete struct{}
	// AddRelation puts objects into a Relation.
	AddRelation struct{ Objects []Pointer }
	// RemoveRelation takes objects out of a Relation.
	RemoveRelation struct{ Objects []Pointer }
	// Batch applies several relation operators in order.
	Batch struct{ Ops []Op }
)

func (Increment) Name() string      { return "Increment" }
func (Add) Name() string            { return "Add" }
func (AddUnique) Name() string      { return "AddUnique" }
func (Remove) Name() string         { return "Remove" }
func (Delete) Name() string         { return "Delete" }
func (AddRelation) Name() string    { return "AddRelation" }
func (RemoveRelation) Name() string { return "RemoveRelation" }
func (Batch) Name() string          { return "Batch" }

// Apply adds the amount to a Number. A result beyond the range of float64 is an error.
func (op Increment) Apply(old any) (any, error) {
	var n float64
	switch old := old.(type) {
	case nil, Absent:
	case float64:
		n = old
	default:
		return nil, Errorf(IncorrectType, "Cannot increment a value that is not a Number.")
	}
	if n += op.Amount; !Finite(n) {
		return nil, Errorf(IncorrectType, "The incremented Number is out of range.")
	}
	return n, nil
}

// Apply appends the objects in their order.
func (op Add) Apply(old any) (any, error) {
	array, err := arrayOf(old, "Add")
	if err != nil {
		return nil, err
	}
	return slices.Concat(array, op.Objects), nil
}

// Apply appends, in their order, the objects that the array does not hold yet; one that is given twice goes in once.
func (op AddUnique) Apply(old any) (any, error) {
	array, err := arrayOf(old, "AddUnique")
	if err != nil {
		return nil, err
	}
	array = slices.Clone(array)
	for _, v := range op.Objects {
		if !contains(array, v) {
			array = append(array, v)
		}
	}
	return array, nil
}

// Apply removes the objects; the others keep their order. What is removed from a missing Array leaves an empty one.
func (op Remove) Apply(old any) (any, error) {
	array, err := arrayOf(old, "Remove")
	if err != nil {
		return nil, err
	}
	kept := make([]any, 0, len(array))
	for _, v := range array {
		if !contains(op.Objects, v) {
			kept = append(kept, v)
		}
	}
	return kept, nil
}

func (Delete) Apply(any) (any, error) { return Absent{}, nil }

// Apply is an error: the members of a Relation are no part of the object.
func (op AddRelation) Apply(any) (any, error) { return nil, notAValue(op) }

// Apply is an error: the members of a Relation are no part of the object.
func (op RemoveRelation) Apply(any) (any, error) { return nil, notAValue(op) }

// Apply is an error: the members of a Relation are no part of the object.
func (op Batch) Apply(any) (any, error) { return nil, notAValue(op) }

func notAValue(op Op) error {
	return Errorf(IncorrectType, "%s changes the members of a Relation, not a value.", op.Name())
}

func arrayOf(old any, op string) ([]any, error) {
	switch old := old.(type) {
	case nil, Absent:
		return []any{}, nil
	case []any:
		return old, nil
	}
	return nil, Errorf(IncorrectType, "Cannot apply %s to a value that is not an Array.", op)
}

func contains(array []any, v any) bool {
	return slices.ContainsFunc(array, func(w any) bool { return SameElement(v, w) })
}

// SameElement is the equality of AddUnique and Remove: that of [Equal], except that a pointer and the object it
// points to, in whatever state, are the same.
func SameElement(a, b any) bool {
	if p, ok := identity(a); ok {
		q, ok := identity(b)
		return ok && p == q
	}
	return Equal(a, b)
}

func identity(v any) (Pointer, bool) {
	switch v := v.(type) {
	case Pointer:
		return v, true
	case *Object:
		return v.Pointer(), v.ID() != ""
	}
	return Pointer{}, false
}

// OpMap returns the wire form of an operator: a *Map with the member "__op" first.
func OpMap(op Op) *Map {
	m := NewMap("__op", op.Name())
	switch op := op.(type) {
	case Increment:
		m.Set("amount", op.Amount)
	case Add:
		m.Set("objects", nonNil(op.Objects))
	case AddUnique:
		m.Set("objects", nonNil(op.Objects))
	case Remove:
		m.Set("objects", nonNil(op.Objects))
	case AddRelation:
		m.Set("objects", pointerList(op.Objects))
	case RemoveRelation:
		m.Set("objects", pointerList(op.Objects))
	case Batch:
		ops := make([]any, len(op.Ops))
		for i := range op.Ops {
			ops[i] = op.Ops[i]
		}
		m.Set("ops", ops)
	}
	return m
}

func nonNil(list []any) []any {
	if list == nil {
		return []any{}
	}
	return list
}

func pointerList(pointers []Pointer) []any {
	list := make([]any, len(pointers))
	for i := range pointers {
		list[i] = pointers[i]
	}
	return list
}

func appendOp(dst []byte, op Op) []byte { return appendMap(dst, OpMap(op)) }

// Plain returns v with every operator in it turned back into the *[Map] that it was on the wire: operators act on
// fields, and inside a value they are data like any other (Parse Server on MongoDB stores them as they are).
// What holds no operator is returned as it is, not copied.
func Plain(v any) any {
	switch v := v.(type) {
	case Op:
		m := OpMap(v)
		for name, w := range m.All() {
			m.Set(name, Plain(w))
		}
		return m
	case []any:
		for i := range v {
			if w := Plain(v[i]); !same(v[i], w) {
				c := slices.Clone(v)
				for ; i < len(c); i++ {
					c[i] = Plain(c[i])
				}
				return c
			}
		}
	case *Map:
		if plain, changed := plainMap(v); changed {
			return plain
		}
	case *Object:
		if plain, changed := plainMap(&v.Map); changed {
			return &Object{ClassName: v.ClassName, Map: *plain}
		}
	}
	return v
}

func plainMap(m *Map) (*Map, bool) {
	plain := m
	for name, v := range m.All() {
		if w := Plain(v); !same(v, w) {
			if plain == m {
				plain = m.shallow()
			}
			plain.Set(name, w)
		}
	}
	return plain, plain != m
}

// same tells whether Plain returned its argument; it is only asked about such pairs.
func same(v, w any) bool {
	switch v := v.(type) {
	case Op:
		return false
	case *Map:
		return v == w
	case *Object:
		return v == w
	case []any:
		u, ok := w.([]any)
		return ok && len(v) == len(u) && (len(v) == 0 || &v[0] == &u[0])
	}
	return true
}

// opReaders are the operators of contract parse-api.md, 2.2, by the value of "__op".
var opReaders = map[string]func(*Map) (Op, bool){
	"Increment": func(m *Map) (Op, bool) {
		n, ok := m.Get("amount").(float64)
		return Increment{n}, ok
	},
	"Add": func(m *Map) (Op, bool) {
		list, ok := m.Get("objects").([]any)
		return Add{list}, ok
	},
	"AddUnique": func(m *Map) (Op, bool) {
		list, ok := m.Get("objects").([]any)
		return AddUnique{list}, ok
	},
	"Remove": func(m *Map) (Op, bool) {
		list, ok := m.Get("objects").([]any)
		return Remove{list}, ok
	},
	"Delete": func(*Map) (Op, bool) { return Delete{}, true },
	"AddRelation": func(m *Map) (Op, bool) {
		list, ok := pointersOf(m.Get("objects"))
		return AddRelation{list}, ok
	},
	"RemoveRelation": func(m *Map) (Op, bool) {
		list, ok := pointersOf(m.Get("objects"))
		return RemoveRelation{list}, ok
	},
	"Batch": readBatch,
}

func pointersOf(v any) ([]Pointer, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	pointers := make([]Pointer, len(list))
	for i, v := range list {
		if pointers[i], ok = v.(Pointer); !ok {
			return nil, false
		}
	}
	return pointers, true
}

func readBatch(m *Map) (Op, bool) {
	list, ok := m.Get("ops").([]any)
	if !ok {
		return nil, false
	}
	ops := make([]Op, len(list))
	for i, v := range list {
		switch op := v.(type) {
		case AddRelation:
			ops[i] = op
		case RemoveRelation:
			ops[i] = op
		default:
			return nil, false
		}
	}
	return Batch{ops}, true
}

// opProblems are the texts of Parse Server for operators whose operand is wrong.
var opProblems = map[string]string{
	"Increment":      "incrementing must provide a number",
	"Add":            "objects to add must be an array",
	"AddUnique":      "objects to add must be an array",
	"Remove":         "objects to remove must be an array",
	"AddRelation":    "objects to add to a relation must be an array of pointers",
	"RemoveRelation": "objects to remove from a relation must be an array of pointers",
	"Batch":          "a batch must be an array of relation operators",
}

// OpError returns the error of what [MalformedOp] finds: code 107 for a known operator with a wrong operand, 108 for an unknown one.
func OpError(name string) *Error {
	if problem, known := opProblems[name]; known {
		return Errorf(InvalidJSON, "%s", problem)
	}
	return Errorf(CommandUnavailable, "The %s operator is not supported yet.", name)
}
