package query

import (
	"fmt"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// Matcher tells whether objects satisfy a tree. It is safe for concurrent use.
//
// The semantics are those of MongoDB:
//
//   - A value equals another of the same type; an Array field also equals what it contains. Members of objects may stand
//     in any order. null also equals a missing field.
//   - $ne, $nin and $nor hold where $eq, $in and $or do not, so also for missing fields.
//   - $lt, $lte, $gt, $gte find values of the same [Rank] as their operand, in an Array any element.
//   - A dotted key leads through objects and into the objects of an array, and a numeric member to an element.
type Matcher struct{ match test }

// test is a compiled condition.
type test func(r *run, o *parse.Object) bool

// leaf is a compiled operator: it judges what the key leads to.
type leaf func(r *run, v any, present bool) bool

// run is one evaluation; err is the first thing that went wrong in it.
type run struct{ err error }

func (r *run) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Compile prepares a tree. The error is a *parse.Error for a regular expression that cannot be used; a tree that still
// holds a sub-query or a relation, or an operand of the wrong Go type, is a defect of the caller and also an error.
func Compile(n Node) (*Matcher, error) {
	t, err := compile(n, 0)
	if err != nil {
		return nil, err
	}
	return &Matcher{t}, nil
}

// Match tells whether an object satisfies the tree. The error is a *parse.Error: a regular expression took too long.
func (m *Matcher) Match(o *parse.Object) (bool, error) {
	var r run
	ok := m.match(&r, o)
	return ok && r.err == nil, r.err
}

// Matches is Compile and Match for a single object.
func Matches(n Node, o *parse.Object) (bool, error) {
	m, err := Compile(n)
	if err != nil {
		return false, err
	}
	return m.Match(o)
}

func compile(n Node, depth int) (test, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	switch n := n.(type) {
	case nil:
		return func(*run, *parse.Object) bool { return true }, nil
	case And:
		return compileAll(n, depth, func(tests []test) test {
			return func(r *run, o *parse.Object) bool {
				for _, t := range tests {
					if !t(r, o) {
						return false
					}
				}
				return true
			}
		})
	case Or:
		return compileAll(n, depth, anyOf)
	case Nor:
		return compileAll(n, depth, func(tests []test) test {
			found := anyOf(tests)
			return func(r *run, o *parse.Object) bool { return !found(r, o) }
		})
	case *Constraint:
		return compileConstraint(n)
	}
	return nil, fmt.Errorf("query: %T was not resolved before matching", n)
}

func anyOf(tests []test) test {
	return func(r *run, o *parse.Object) bool {
		for _, t := range tests {
			if t(r, o) {
				return true
			}
		}
		return false
	}
}

func compileAll(nodes []Node, depth int, join func([]test) test) (test, error) {
	tests := make([]test, len(nodes))
	for i, n := range nodes {
		t, err := compile(n, depth+1)
		if err != nil {
			return nil, err
		}
		tests[i] = t
	}
	return join(tests), nil
}

func compileConstraint(c *Constraint) (test, error) {
	row := operatorOf(c.Op)
	if row == nil {
		return nil, fmt.Errorf("query: no operator %d", c.Op)
	}
	return row.compile(c.Key, c.Arg)
}

// along applies a leaf to what a key leads to.
func along(key string, judge leaf) test {
	if !strings.Contains(key, ".") {
		return func(r *run, o *parse.Object) bool {
			// A field of the object itself that is null is as good as missing: typed layouts store both alike.
			v := o.Get(key)
			return judge(r, v, v != nil)
		}
	}
	path := strings.Split(key, ".")
	return func(r *run, o *parse.Object) bool {
		return visit(o, path, func(v any, present bool) bool { return judge(r, v, present) })
	}
}

func not(t test) test {
	return func(r *run, o *parse.Object) bool { return !t(r, o) }
}

// equal is the equality of the language: that of parse.Equal, and an included object equals a pointer to it.
func equal(a, b any) bool {
	switch x := a.(type) {
	case *parse.Object:
		if p, ok := b.(parse.Pointer); ok {
			return x.Pointer() == p
		}
		if y, ok := b.(*parse.Object); ok {
			return x.Pointer() == y.Pointer()
		}
	case parse.Pointer:
		if y, ok := b.(*parse.Object); ok {
			return y.Pointer() == x
		}
	}
	return parse.Equal(a, b)
}
