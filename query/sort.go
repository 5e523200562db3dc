package query

import (
	"cmp"
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// Sort orders objects as a database answers f: by f.Order; without one, by the distance of its $nearSphere if there is
// one; ties by objectId. Key "$score" means the score of the $text search in f.Where, the best first.
func Sort(objects []*parse.Object, f *Find) error {
	less, err := NewSorter(f)
	if err != nil {
		return err
	}
	less.Sort(objects)
	return nil
}

// Sorter orders the objects that match one Find. It is safe for concurrent use.
type Sorter struct {
	order []Order
	keys  []func(o *parse.Object, descending bool) (any, bool)
	near  *Constraint
	score func(o *parse.Object) float64
}

// NewSorter prepares the order of f. An error is a defect of the caller: a $nearSphere or $text in f.Where whose operand
// has the wrong Go type.
func NewSorter(f *Find) (*Sorter, error) {
	s := &Sorter{order: f.Order}
	if len(f.Order) == 0 {
		s.near = findConstraint(f.Where, Near)
	}
	var err error
	Walk(f.Where, func(n Node) bool {
		c, ok := n.(*Constraint)
		if !ok {
			return true
		}
		_, isNear := c.Arg.(*NearSphere)
		_, isText := c.Arg.(*Text)
		if c.Op == Near && !isNear || c.Op == Search && !isText {
			err = badOperand(c.Op, c.Arg)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	for _, o := range f.Order {
		s.keys = append(s.keys, newSortKey(o.Key))
		if o.Key == ScoreKey {
			s.score = NewScorer(f.Where)
		}
	}
	return s, nil
}

// Sort orders objects in place. The keys of each object are looked up once.
func (s *Sorter) Sort(objects []*parse.Object) {
	ranked := make([]sortable, len(objects))
	for i, o := range objects {
		ranked[i] = s.rank(o)
	}
	slices.SortStableFunc(ranked, s.compare)
	for i := range ranked {
		objects[i] = ranked[i].object
	}
}

// Compare orders two objects.
func (s *Sorter) Compare(a, b *parse.Object) int { return s.compare(s.rank(a), s.rank(b)) }

type sortable struct {
	object *parse.Object
	id     string
	keys   []sortKey
	number float64 // distance or negated score
}

type sortKey struct {
	value any
	ok    bool
}

func (s *Sorter) rank(o *parse.Object) sortable {
	r := sortable{object: o, id: o.ID()}
	if s.near != nil {
		r.number = distance(o, s.near)
	}
	if s.score != nil {
		r.number = -s.score(o)
	}
	for i, order := range s.order {
		v, ok := s.keys[i](o, order.Descending)
		r.keys = append(r.keys, sortKey{v, ok})
	}
	return r
}

func (s *Sorter) compare(a, b sortable) int {
	if s.near != nil {
		if c := cmp.Compare(a.number, b.number); c != 0 {
			return c
		}
	}
	for i, order := range s.order {
		var c int
		x, y := a.keys[i], b.keys[i]
		switch {
		case order.Key == ScoreKey:
			c = cmp.Compare(a.number, b.number)
		case x.ok != y.ok:
			c = compareBools(x.ok, y.ok)
		default:
			c = Compare(x.value, y.value)
		}
		if order.Descending && order.Key != ScoreKey {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return strings.Compare(a.id, b.id)
}

// distance returns how far the field of a $nearSphere is; an object without a place is farthest.
func distance(o *parse.Object, near *Constraint) float64 {
	best := 2 * 3.2 // more than half the way around
	n := near.Arg.(*NearSphere)
	visit(o, strings.Split(near.Key, "."), func(v any, _ bool) bool {
		return anyElement(v, func(v any) bool {
			if p, ok := v.(parse.GeoPoint); ok {
				best = min(best, Radians(n.Point, p))
			}
			return false
		})
	})
	return best
}

// ScoreKey is the key of Order and Keys that stands for the rank of a $text search.
const ScoreKey = "$score"

// NewScorer returns a function that ranks objects by the $text searches of a tree, higher is better. A tree without
// a search ranks all objects 0.
func NewScorer(where Node) func(o *parse.Object) float64 {
	type search struct {
		path []string
		text *TextMatcher
	}
	var searches []search
	Walk(where, func(n Node) bool {
		switch n := n.(type) {
		case Nor:
			return false
		case *Constraint:
			if n.Op == Search {
				searches = append(searches, search{strings.Split(n.Key, "."), n.Arg.(*Text).Compile()})
			}
		}
		return true
	})
	return func(o *parse.Object) float64 {
		sum := 0.0
		for _, s := range searches {
			visit(o, s.path, func(v any, _ bool) bool {
				return anyElement(v, func(v any) bool {
					if text, ok := v.(string); ok {
						score, _ := s.text.Match(text)
						sum += score
					}
					return false
				})
			})
		}
		return sum
	}
}

// findConstraint returns the first constraint of an operator that every match has to satisfy.
func findConstraint(n Node, op Operator) *Constraint {
	switch n := n.(type) {
	case *Constraint:
		if n.Op == op {
			return n
		}
	case And:
		for _, m := range n {
			if c := findConstraint(m, op); c != nil {
				return c
			}
		}
	}
	return nil
}
