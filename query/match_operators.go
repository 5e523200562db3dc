package query

import (
	"fmt"
	"math"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// badOperand is the error of an operand whose Go type is not that of the table of operators.
func badOperand(op Operator, arg any) error {
	return fmt.Errorf("query: operand of %s is a %T", op, arg)
}

func compileEq(key string, arg any) (test, error) {
	return along(key, func(_ *run, v any, _ bool) bool {
		return anyElement(v, func(v any) bool { return equal(v, arg) })
	}), nil
}

func compileNe(key string, arg any) (test, error) {
	t, err := compileEq(key, arg)
	return not(t), err
}

// compileRange returns the compiler of $lt, $lte, $gt or $gte, given which results of Compare they accept.
// null is only as great as null.
func compileRange(accept func(c int) bool) func(key string, arg any) (test, error) {
	return func(key string, arg any) (test, error) {
		rank := Rank(arg)
		return along(key, func(_ *run, v any, _ bool) bool {
			return anyElement(v, func(v any) bool {
				if o, ok := v.(*parse.Object); ok {
					v = o.Pointer()
				}
				if Rank(v) != rank || isNaN(v) != isNaN(arg) {
					return false
				}
				return accept(Compare(v, arg))
			})
		}), nil
	}
}

func isNaN(v any) bool {
	f, ok := v.(float64)
	return ok && math.IsNaN(f)
}

// compileIn prepares a set: a sub-query may put thousands of pointers into it.
func compileIn(key string, arg any) (test, error) {
	list, ok := arg.([]any)
	if !ok {
		return nil, badOperand(In, arg)
	}
	in := newSet(list)
	return along(key, func(_ *run, v any, _ bool) bool { return anyElement(v, in.has) }), nil
}

func compileNin(key string, arg any) (test, error) {
	t, err := compileIn(key, arg)
	if err != nil {
		return nil, err
	}
	return not(t), nil
}

// set finds a value among many.
type set struct {
	simple map[any]bool
	others []any
}

func newSet(list []any) *set {
	s := &set{simple: make(map[any]bool, len(list))}
	for _, v := range list {
		if k, ok := simpleKey(v); ok {
			s.simple[k] = true
		} else {
			s.others = append(s.others, v)
		}
	}
	return s
}

func (s *set) has(v any) bool {
	if k, ok := simpleKey(v); ok {
		return s.simple[k]
	}
	for _, w := range s.others {
		if equal(v, w) {
			return true
		}
	}
	return false
}

// simpleKey returns a value as a key of a Go map, if its equality is that of Go.
func simpleKey(v any) (any, bool) {
	switch v := v.(type) {
	case nil, string, float64, bool, parse.Date, parse.Pointer, parse.GeoPoint:
		return v, true
	case *parse.Object:
		return v.Pointer(), true
	}
	return nil, false
}

func compileExists(key string, arg any) (test, error) {
	want, ok := arg.(bool)
	if !ok {
		return nil, badOperand(Exists, arg)
	}
	t := along(key, func(_ *run, _ any, present bool) bool { return present })
	if !want {
		t = not(t)
	}
	return t, nil
}

// compileAllOf wants each element of the operand somewhere along the key. An empty operand finds nothing.
func compileAllOf(key string, arg any) (test, error) {
	list, ok := arg.([]any)
	if !ok {
		return nil, badOperand(All, arg)
	}
	tests := make([]test, len(list))
	for i, v := range list {
		compile := compileEq
		if _, isRegex := v.(*Regex); isRegex {
			compile = compileRegex
		}
		t, err := compile(key, v)
		if err != nil {
			return nil, err
		}
		tests[i] = t
	}
	return func(r *run, o *parse.Object) bool {
		for _, t := range tests {
			if !t(r, o) {
				return false
			}
		}
		return len(tests) > 0
	}, nil
}

// compileContainedBy refuses objects that have an array with an element beyond the operand: so Parse writes it for
// MongoDB, and so a missing field and a value that is no array are contained.
func compileContainedBy(key string, arg any) (test, error) {
	list, ok := arg.([]any)
	if !ok {
		return nil, badOperand(ContainedBy, arg)
	}
	in := newSet(list)
	return not(along(key, func(_ *run, v any, _ bool) bool {
		array, _ := v.([]any)
		for _, e := range array {
			if !in.has(e) {
				return true
			}
		}
		return false
	})), nil
}

func compileRegex(key string, arg any) (test, error) {
	x, ok := arg.(*Regex)
	if !ok {
		return nil, badOperand(Match, arg)
	}
	pattern, err := x.Compile()
	if err != nil {
		return nil, err
	}
	return along(key, func(r *run, v any, _ bool) bool {
		return anyElement(v, func(v any) bool {
			s, ok := v.(string)
			if !ok {
				return false
			}
			found, err := pattern.Match(s)
			if err != nil {
				r.fail(err)
			}
			return found
		})
	}), nil
}

func compileStartsWith(key string, arg any) (test, error) {
	prefix, ok := arg.(string)
	if !ok {
		return nil, badOperand(StartsWith, arg)
	}
	return along(key, func(_ *run, v any, _ bool) bool {
		return anyElement(v, func(v any) bool {
			s, ok := v.(string)
			return ok && strings.HasPrefix(s, prefix)
		})
	}), nil
}

func compileText(key string, arg any) (test, error) {
	t, ok := arg.(*Text)
	if !ok {
		return nil, badOperand(Search, arg)
	}
	m := t.Compile()
	return along(key, func(_ *run, v any, _ bool) bool {
		return anyElement(v, func(v any) bool {
			s, ok := v.(string)
			if !ok {
				return false
			}
			_, found := m.Match(s)
			return found
		})
	}), nil
}

// onPoints applies a test of places to a GeoPoint, or to any of an Array of them.
func onPoints(key string, contains func(parse.GeoPoint) bool) (test, error) {
	return along(key, func(_ *run, v any, _ bool) bool {
		return anyElement(v, func(v any) bool {
			p, ok := v.(parse.GeoPoint)
			return ok && contains(p)
		})
	}), nil
}

func compileNear(key string, arg any) (test, error) {
	n, ok := arg.(*NearSphere)
	if !ok {
		return nil, badOperand(Near, arg)
	}
	return onPoints(key, func(p parse.GeoPoint) bool {
		_, ok := n.Contains(p)
		return ok
	})
}

func compileBox(key string, arg any) (test, error) {
	b, ok := arg.(Box)
	if !ok {
		return nil, badOperand(WithinBox, arg)
	}
	return onPoints(key, b.Contains)
}

func compilePolygon(key string, arg any) (test, error) {
	polygon, ok := arg.(parse.Polygon)
	if !ok {
		return nil, badOperand(WithinPolygon, arg)
	}
	return onPoints(key, func(p parse.GeoPoint) bool { return PolygonContains(polygon, p) })
}

func compileSphere(key string, arg any) (test, error) {
	s, ok := arg.(Sphere)
	if !ok {
		return nil, badOperand(WithinSphere, arg)
	}
	return onPoints(key, s.Contains)
}

func compileIntersects(key string, arg any) (test, error) {
	p, ok := arg.(parse.GeoPoint)
	if !ok {
		return nil, badOperand(Intersects, arg)
	}
	return along(key, func(_ *run, v any, _ bool) bool {
		return anyElement(v, func(v any) bool {
			polygon, ok := v.(parse.Polygon)
			return ok && PolygonContains(polygon, p)
		})
	}), nil
}
