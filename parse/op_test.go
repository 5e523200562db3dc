package parse

import (
	"errors"
	"maps"
	"slices"
	"testing"
)

func list(v ...any) []any { return append([]any{}, v...) }

func TestApply(t *testing.T) {
	object := NewObject("C", "objectId", "x", "n", 1.0)
	tests := []struct {
		op   Op
		old  any
		want any
		code Code
	}{
		{Increment{2}, nil, 2.0, 0}, {Increment{2}, Absent{}, 2.0, 0}, {Increment{-2}, 5.0, 3.0, 0}, {Increment{0.1}, 0.2, 0.30000000000000004, 0},
		{Increment{2}, "5", nil, IncorrectType}, {Increment{2}, true, nil, IncorrectType}, {Increment{1e308}, 1e308, nil, IncorrectType},
		{Add{list(1.0, 1.0)}, nil, list(1.0, 1.0), 0}, {Add{list(1.0, "x")}, list(1.0), list(1.0, 1.0, "x"), 0}, {Add{nil}, list(1.0), list(1.0), 0},
		{Add{list(1.0)}, "x", nil, IncorrectType}, {Add{list(1.0)}, NewMap(), nil, IncorrectType},
		{AddUnique{list(2.0, 2.0, 1.0)}, nil, list(2.0, 1.0), 0}, {AddUnique{list(2.0, 3.0)}, list(1.0, 2.0, 1.0), list(1.0, 2.0, 1.0, 3.0), 0},
		{AddUnique{list(NewMap("a", 1.0, "b", 2.0), nil)}, list(NewMap("b", 2.0, "a", 1.0)), list(NewMap("b", 2.0, "a", 1.0), nil), 0},
		{AddUnique{list(Pointer{"C", "x"}, Pointer{"C", "y"})}, list(object), list(object, Pointer{"C", "y"}), 0},
		{AddUnique{list(object, NewObject("C", "n", 1.0))}, list(Pointer{"C", "x"}), list(Pointer{"C", "x"}, NewObject("C", "n", 1.0)), 0},
		{AddUnique{list("1", true)}, list(1.0), list(1.0, "1", true), 0}, {AddUnique{list(1.0)}, 1.0, nil, IncorrectType},
		{Remove{list(1.0)}, nil, list(), 0}, {Remove{list(1.0, "x")}, list("x", 2.0, 1.0, 3.0, 1.0), list(2.0, 3.0), 0},
		{Remove{list(Pointer{"C", "x"})}, list(object, Pointer{"C", "y"}, Pointer{"D", "x"}), list(Pointer{"C", "y"}, Pointer{"D", "x"}), 0},
		{Remove{list(nil)}, list(nil, 0.0, false, ""), list(0.0, false, ""), 0}, {Remove{list(1.0)}, Date(1), nil, IncorrectType},
		{Delete{}, nil, Absent{}, 0}, {Delete{}, "x", Absent{}, 0},
		{AddRelation{}, nil, nil, IncorrectType}, {RemoveRelation{}, nil, nil, IncorrectType}, {Batch{}, nil, nil, IncorrectType},
	}
	for _, tt := range tests {
		old := Clone(tt.old)
		got, err := tt.op.Apply(tt.old)
		if !Equal(got, tt.want) || (err != nil) != (tt.code != 0) || tt.code != 0 && !errors.Is(err, tt.code) {
			t.Errorf("%s%v.Apply(%v) = %v, %v, want %v, code %d", tt.op.Name(), tt.op, tt.old, got, err, tt.want, tt.code)
		}
		if !Equal(old, tt.old) {
			t.Errorf("%s%v.Apply changed its argument %v to %v", tt.op.Name(), tt.op, old, tt.old)
		}
	}
}

// An append must not write into the spare room of the old array, which a stored object shares.
func TestApplyDoesNotShareRoom(t *testing.T) {
	old := make([]any, 1, 4)
	old[0] = 1.0
	for _, op := range []Op{Add{list(2.0)}, AddUnique{list(2.0)}} {
		first, _ := op.Apply(old)
		second, _ := Add{list(3.0)}.Apply(old)
		if !Equal(first, list(1.0, 2.0)) || !Equal(second, list(1.0, 3.0)) {
			t.Errorf("%s: two appends to one array = %v and %v", op.Name(), first, second)
		}
	}
}

func TestOpTablesAreComplete(t *testing.T) {
	ops := []Op{Increment{}, Add{}, AddUnique{}, Remove{}, Delete{}, AddRelation{}, RemoveRelation{}, Batch{}}
	var names []string
	for _, op := range ops {
		names = append(names, op.Name())
		back, err := Decode(Marshal(op), Limits{})
		if err != nil || !Equal(back, op) {
			t.Errorf("Decode(Marshal(%s)) = %v, %v", op.Name(), back, err)
		}
		if _, known := opProblems[op.Name()]; !known && op.Name() != "Delete" {
			t.Errorf("%s with a wrong operand has no error", op.Name())
		}
	}
	if got := slices.Sorted(maps.Keys(opReaders)); !slices.Equal(got, slices.Sorted(slices.Values(names))) {
		t.Errorf("the decoder knows the operators %v, want %v", got, names)
	}
}

func TestOpError(t *testing.T) {
	tests := []struct{ name, want string }{
		{"Increment", "107 incrementing must provide a number"}, {"Add", "107 objects to add must be an array"},
		{"AddUnique", "107 objects to add must be an array"}, {"Remove", "107 objects to remove must be an array"},
		{"Multiply", "108 The Multiply operator is not supported yet."}, {"SetOnInsert", "108 The SetOnInsert operator is not supported yet."},
	}
	for _, tt := range tests {
		if got := OpError(tt.name).Error(); got != tt.want {
			t.Errorf("OpError(%s) = %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestPlain(t *testing.T) {
	untouched := NewMap("a", list(1.0, NewMap("b", nil)), "o", NewObject("C", "x", list()))
	if got := Plain(untouched); got != any(untouched) {
		t.Errorf("Plain(%v) made a copy", untouched)
	}
	in := NewMap("x", 1.0, "a", list(1.0, NewMap("n", Increment{1}), Delete{}), "o", NewObject("C", "n", Add{list(Delete{})}))
	before := string(Marshal(in))
	want := NewMap("x", 1.0, "a", list(1.0, NewMap("n", NewMap("__op", "Increment", "amount", 1.0)), NewMap("__op", "Delete")),
		"o", NewObject("C", "n", NewMap("__op", "Add", "objects", list(NewMap("__op", "Delete")))))
	if got := Plain(in); !sameValue(got, want) {
		t.Errorf("Plain(%s) = %s, want %s", before, Marshal(got), Marshal(want))
	}
	if after := string(Marshal(in)); after != before || !Equal(in.Get("a").([]any)[2], Delete{}) {
		t.Errorf("Plain changed its argument %s to %s", before, after)
	}
}

func TestMerge(t *testing.T) {
	p, q, r := Pointer{"C", "p"}, Pointer{"C", "q"}, Pointer{"C", "r"}
	add := func(p ...Pointer) Op { return AddRelation{p} }
	remove := func(p ...Pointer) Op { return RemoveRelation{p} }
	tests := []struct {
		older, newer any
		want         any
		fails        bool
	}{
		{1.0, 2.0, 2.0, false}, {Increment{1}, "x", "x", false}, {"x", nil, nil, false}, {add(p), nil, nil, false},
		{1.0, Delete{}, Delete{}, false}, {Add{list(1.0)}, Delete{}, Delete{}, false},
		{5.0, Increment{2}, 7.0, false}, {nil, Increment{2}, 2.0, false}, {Delete{}, Increment{2}, 2.0, false}, {Increment{3}, Increment{2}, Increment{5}, false},
		{"x", Increment{2}, nil, true}, {Add{list(1.0)}, Increment{2}, nil, true},
		{list(1.0), Add{list(2.0)}, list(1.0, 2.0), false}, {Delete{}, Add{list(2.0)}, list(2.0), false}, {Add{list(1.0)}, Add{list(1.0)}, Add{list(1.0, 1.0)}, false},
		{Increment{1}, Add{list(1.0)}, nil, true}, {AddUnique{list(1.0)}, Add{list(1.0)}, nil, true}, {5.0, Add{list(1.0)}, nil, true},
		{list(1.0), AddUnique{list(1.0, 2.0)}, list(1.0, 2.0), false}, {AddUnique{list(1.0)}, AddUnique{list(2.0, 1.0)}, AddUnique{list(1.0, 2.0)}, false},
		{Delete{}, AddUnique{list(2.0, 2.0)}, list(2.0), false}, {Add{list(1.0)}, AddUnique{list(1.0)}, nil, true},
		{list(1.0, 2.0), Remove{list(1.0)}, list(2.0), false}, {Remove{list(1.0)}, Remove{list(1.0, 2.0)}, Remove{list(1.0, 2.0)}, false},
		{Delete{}, Remove{list(1.0)}, Delete{}, false}, {Add{list(1.0)}, Remove{list(1.0)}, nil, true},
		{add(p), add(q, p), add(p, q), false}, {add(p, q), remove(q, r), Batch{[]Op{add(p), remove(q, r)}}, false}, {add(p), remove(p), remove(p), false},
		{remove(p), add(p), add(p), false}, {Batch{[]Op{add(p), remove(q)}}, add(q), add(p, q), false},
		{Relation{"C"}, add(p), add(p), false}, {Delete{}, add(p), nil, true}, {5.0, add(p), nil, true}, {add(p), add(Pointer{"D", "x"}), nil, true}, {Increment{1}, add(p), nil, true},
	}
	for _, tt := range tests {
		got, err := Merge(tt.older, tt.newer)
		if !Equal(got, tt.want) || (err != nil) != tt.fails {
			t.Errorf("Merge(%T%v, %T%v) = %T%v, %v, want %T%v", tt.older, tt.older, tt.newer, tt.newer, got, got, err, tt.want, tt.want)
		}
	}
}

func TestRelationChange(t *testing.T) {
	p, q := Pointer{"C", "p"}, Pointer{"C", "q"}
	batch := Batch{[]Op{AddRelation{[]Pointer{p, p, q}}, RemoveRelation{[]Pointer{q, q}}, AddRelation{[]Pointer{p}}}}
	add, remove, ok := RelationChange(batch)
	if !ok || !slices.Equal(add, []Pointer{p}) || !slices.Equal(remove, []Pointer{q}) {
		t.Errorf("RelationChange(%v) = %v, %v, %v", batch, add, remove, ok)
	}
	if add, remove, ok := RelationChange(Increment{1}); ok {
		t.Errorf("RelationChange(Increment) = %v, %v, true", add, remove)
	}
}
