package query

import (
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

// GroupStage is $group: one document for each value of ID, in the order in which the values first came.
type GroupStage struct {
	ID     Expr
	Fields []GroupField
}

// GroupField is one field of the documents that $group makes.
type GroupField struct {
	Name        string
	Accumulator string
	Expr        Expr
}

// accumulator gathers the values of one field of one group.
type accumulator interface {
	add(v any)
	result() any
}

// accumulators is the table of accumulators; each call begins a new group.
var accumulators = map[string]func() accumulator{
	"$sum":      func() accumulator { return &sum{} },
	"$avg":      func() accumulator { return &average{} },
	"$min":      func() accumulator { return &extreme{sign: -1} },
	"$max":      func() accumulator { return &extreme{sign: 1} },
	"$first":    func() accumulator { return &first{} },
	"$last":     func() accumulator { return &last{} },
	"$push":     func() accumulator { return &push{list: []any{}} },
	"$addToSet": func() accumulator { return &addToSet{list: []any{}, seen: make(map[string]bool)} },
	"$count":    func() accumulator { return &tally{} },
}

func parseGroup(arg any, _ *schema.Class, _ Options) (Stage, error) {
	m, ok := arg.(*parse.Map)
	if !ok {
		return nil, invalidQuery("Invalid parameter for query: group. Missing key _id")
	}
	if m.Has("objectId") {
		return nil, invalidQuery("Cannot use 'objectId' in aggregation stage $group.")
	}
	if !m.Has("_id") {
		return nil, invalidQuery("Invalid parameter for query: group. Missing key _id")
	}
	s := &GroupStage{}
	for name, v := range m.All() {
		if name == "_id" {
			id, err := parseExpr(v, 0)
			if err != nil {
				return nil, err
			}
			s.ID = id
			continue
		}
		f, err := parseGroupField(name, v)
		if err != nil {
			return nil, err
		}
		s.Fields = append(s.Fields, f)
	}
	return s, nil
}

func parseGroupField(name string, v any) (GroupField, error) {
	if strings.Contains(name, ".") {
		return GroupField{}, invalidQuery("The field name '%s' cannot contain '.'", name)
	}
	m, ok := v.(*parse.Map)
	if !ok || m.Len() != 1 {
		return GroupField{}, invalidQuery("The field '%s' must be an accumulator object", name)
	}
	op := m.Keys()[0]
	if accumulators[op] == nil {
		return GroupField{}, invalidQuery("unknown group operator '%s'", op)
	}
	x, err := parseExpr(m.Get(op), 0)
	return GroupField{name, op, x}, err
}

func (s *GroupStage) run(in documents) documents {
	return func(yield func(*parse.Object, error) bool) {
		type group struct {
			id     any
			fields []accumulator
		}
		groups := make(map[string]*group)
		var order []*group
		for o, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			id, err := s.ID.eval(&o.Map)
			if err == nil && weigh(id, maxDocument) < 0 { // before it is made a text
				err = errLargeDocument
			}
			if err != nil {
				yield(nil, err)
				return
			}
			id = groupID(id)
			key := identity(id)
			g := groups[key]
			if g == nil {
				g = &group{id: id}
				for _, f := range s.Fields {
					g.fields = append(g.fields, accumulators[f.Accumulator]())
				}
				groups[key] = g
				order = append(order, g)
			}
			for i, f := range s.Fields {
				v, err := f.Expr.eval(&o.Map)
				if err == nil && weigh(v, maxDocument) < 0 {
					err = errLargeDocument
				}
				if err != nil {
					yield(nil, err)
					return
				}
				g.fields[i].add(v)
			}
		}
		for _, g := range order {
			o := parse.NewObject("", "objectId", g.id)
			for i, f := range s.Fields {
				o.Set(f.Name, g.fields[i].result())
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

// groupID is the id of a group as it is answered: null for what is empty, the bare id for a pointer.
func groupID(v any) any {
	switch v := v.(type) {
	case missing:
		return nil
	case string:
		if v == "" {
			return nil
		}
	case *parse.Map:
		if v.Len() == 0 {
			return nil
		}
	case parse.Pointer:
		return v.ObjectID
	}
	return v
}

// identity is a text that is the same for equal values and no others.
func identity(v any) string {
	if m, ok := v.(*parse.Map); ok {
		keys := m.Keys()
		slices.Sort(keys)
		var b strings.Builder
		for _, k := range keys {
			b.Write(parse.Marshal(k))
			b.WriteByte(':')
			b.WriteString(identity(m.Get(k)))
			b.WriteByte(',')
		}
		return "{" + b.String() + "}"
	}
	if list, ok := v.([]any); ok {
		var b strings.Builder
		for _, e := range list {
			b.WriteString(identity(e))
			b.WriteByte(',')
		}
		return "[" + b.String() + "]"
	}
	return string(parse.Marshal(v))
}

// sum adds up what is a number.
type sum struct{ total float64 }

func (a *sum) add(v any) {
	if f, ok := v.(float64); ok {
		a.total += f
	}
}
func (a *sum) result() any { return a.total }

// average is null without a number.
type average struct{ total, n float64 }

func (a *average) add(v any) {
	if f, ok := v.(float64); ok {
		a.total += f
		a.n++
	}
}

func (a *average) result() any {
	if a.n == 0 {
		return nil
	}
	return a.total / a.n
}

// extreme is the least or the greatest value that is not null.
type extreme struct {
	sign int
	best any
}

func (a *extreme) add(v any) {
	if v == nil || isMissing(v) {
		return
	}
	if a.best == nil || Compare(v, a.best)*a.sign > 0 {
		a.best = v
	}
}
func (a *extreme) result() any { return a.best }

type first struct {
	value any
	set   bool
}

func (a *first) add(v any) {
	if !a.set {
		a.value, a.set = orNull(v), true
	}
}
func (a *first) result() any { return a.value }

type last struct{ value any }

func (a *last) add(v any)   { a.value = orNull(v) }
func (a *last) result() any { return a.value }

type push struct{ list []any }

func (a *push) add(v any) {
	if !isMissing(v) {
		a.list = append(a.list, v)
	}
}
func (a *push) result() any { return a.list }

// addToSet keeps the values in the order in which they first came.
type addToSet struct {
	list []any
	seen map[string]bool
}

func (a *addToSet) add(v any) {
	if isMissing(v) {
		return
	}
	if key := identity(v); !a.seen[key] {
		a.seen[key] = true
		a.list = append(a.list, v)
	}
}
func (a *addToSet) result() any { return a.list }

type tally struct{ n float64 }

func (a *tally) add(any)     { a.n++ }
func (a *tally) result() any { return a.n }

// parseSortByCount reads $sortByCount, which is a $group and a $sort.
func parseSortByCount(arg any, _ *schema.Class, _ Options) (Stage, error) {
	id, err := parseExpr(arg, 0)
	if err != nil {
		return nil, err
	}
	return &sortByCount{
		group: GroupStage{ID: id, Fields: []GroupField{{"count", "$count", literal{nil}}}},
		sort:  SortStage{[]Order{{Key: "count", Descending: true}}},
	}, nil
}

type sortByCount struct {
	group GroupStage
	sort  SortStage
}

func (s *sortByCount) run(in documents) documents { return s.sort.run(s.group.run(in)) }
