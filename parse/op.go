package parse

// Op changes one field of a stored object, atomically with the write it is part of.
// On the wire it is an object with a member "__op" (contract parse-api.md, 2.2).
type Op interface {
	// Apply returns the value that follows from the old one; old is nil for a missing field.
	// An absent result (the field is to be removed) is [Absent]. An old value of the wrong type is an *Error.
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
