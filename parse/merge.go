package parse

import "slices"

// Merge returns the one change of a field that does what older and then newer do, as the SDKs merge the changes
// of an unsaved object. Each of them is an [Op], or a value that the field is set to. Operators that cannot follow
// each other are an *Error.
func Merge(older, newer any) (any, error) {
	op, ok := newer.(Op)
	if !ok {
		return newer, nil
	}
	switch op := op.(type) {
	case Delete:
		return op, nil
	case AddRelation, RemoveRelation, Batch:
		return mergeRelation(older, op)
	}
	switch before := older.(type) {
	case Delete:
		if _, ok := op.(Remove); ok {
			return before, nil
		}
		return op.Apply(nil)
	case Increment:
		if after, ok := op.(Increment); ok {
			return Increment{before.Amount + after.Amount}, nil
		}
	case Add:
		if after, ok := op.(Add); ok {
			return Add{slices.Concat(before.Objects, after.Objects)}, nil
		}
	case AddUnique:
		if after, ok := op.(AddUnique); ok {
			return AddUnique{union(before.Objects, after.Objects)}, nil
		}
	case Remove:
		if after, ok := op.(Remove); ok {
			return Remove{union(before.Objects, after.Objects)}, nil
		}
	case Op:
	default:
		return op.Apply(older)
	}
	return nil, Errorf(IncorrectType, "Cannot merge %s with a previous %s.", op.Name(), older.(Op).Name())
}

func union(a, b []any) []any {
	all, _ := AddUnique{Objects: slices.Concat(a, b)}.Apply(nil)
	return all.([]any)
}

func mergeRelation(older any, op Op) (any, error) {
	if _, ok := older.(Relation); ok {
		return op, nil
	}
	before, ok := older.(Op)
	if !ok {
		return nil, Errorf(IncorrectType, "Cannot apply %s to a value that is not a Relation.", op.Name())
	}
	add, remove, ok := RelationChange(before)
	if !ok {
		return nil, Errorf(IncorrectType, "Cannot merge %s with a previous %s.", op.Name(), before.Name())
	}
	add2, remove2, _ := RelationChange(op)
	pointers := slices.Concat(add, remove, add2, remove2)
	for _, p := range pointers {
		if p.ClassName != pointers[0].ClassName {
			return nil, Errorf(IncorrectType, "Related object must be of class %s, but %s was passed in.", pointers[0].ClassName, p.ClassName)
		}
	}
	merged := Batch{Ops: []Op{AddRelation{add}, RemoveRelation{remove}, AddRelation{add2}, RemoveRelation{remove2}}}
	add, remove, _ = RelationChange(merged)
	switch {
	case len(remove) == 0:
		return AddRelation{add}, nil
	case len(add) == 0:
		return RemoveRelation{remove}, nil
	}
	return Batch{Ops: []Op{AddRelation{add}, RemoveRelation{remove}}}, nil
}

// RelationChange returns the net effect of a relation operator: which objects are in the relation afterwards and
// which are not, each once and none in both lists. It reports false for any other operator.
func RelationChange(op Op) (add, remove []Pointer, ok bool) {
	switch op := op.(type) {
	case AddRelation:
		return distinct(op.Objects), nil, true
	case RemoveRelation:
		return nil, distinct(op.Objects), true
	case Batch:
		for _, inner := range op.Ops {
			a, r, ok := RelationChange(inner)
			if !ok {
				return nil, nil, false
			}
			add, remove = distinct(append(without(add, r), a...)), distinct(append(without(remove, a), r...))
		}
		return add, remove, true
	}
	return nil, nil, false
}

func distinct(list []Pointer) []Pointer {
	seen := make(map[Pointer]bool, len(list))
	var out []Pointer
	for _, p := range list {
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out
}

func without(list, gone []Pointer) []Pointer {
	drop := make(map[Pointer]bool, len(gone))
	for _, p := range gone {
		drop[p] = true
	}
	var out []Pointer
	for _, p := range list {
		if !drop[p] {
			out = append(out, p)
		}
	}
	return out
}
