package sqlgen

import (
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Select returns the statement that finds the objects of q: where, order with objectId as the last key, skip, limit,
// and of the fields those that q.Keys ask for.
func (l *Layout) Select(q *query.Find) (*Statement, error) {
	st, err := l.selects(q)
	if err != nil || !st.Filter && !st.Sort || q.Keys == nil {
		return st, err
	}
	// The adapter needs to see what the conditions and the sort keys are about.
	wide := *q
	wide.Keys = append(keysOf(q), q.Keys...)
	keep := st.Keep
	if st, err = l.selects(&wide); err != nil {
		return nil, err
	}
	st.Keep = keep
	return st, nil
}

// keysOf returns the names that the conditions and the sort keys of a query are about.
func keysOf(q *query.Find) []string {
	keys := []string{}
	query.Walk(q.Where, func(n query.Node) bool {
		if c, ok := n.(*query.Constraint); ok {
			keys = append(keys, c.Key)
		}
		return true
	})
	for _, o := range q.Order {
		keys = append(keys, o.Key)
	}
	return keys
}

func (l *Layout) selects(q *query.Find) (*Statement, error) {
	b := newBuilder(l)
	b.text("SELECT ")
	b.columns(q)
	b.text(" FROM ")
	b.text(l.Table)
	if err := b.where(q.Where); err != nil {
		return nil, err
	}
	if err := b.order(q); err != nil {
		return nil, err
	}
	if _, pinned := query.PinnedID(q.Where); !b.filter && !b.sort && (!pinned || q.Skip > 0 || q.Limit == 0) { // else there is at most one
		b.window(q.Skip, q.Limit)
	}
	return b.statement(), nil
}

// Within is the statement of [Layout.Select] with a bound on the distance of its $nearSphere, in radians. The bool is false when
// the query does not order by the distance of a GeoPoint, or finds none beyond that anyway.
func (l *Layout) Within(q *query.Find, radians float64) (*Statement, bool, error) {
	narrow, ok := l.narrow(q, radians)
	if !ok {
		return nil, false, nil
	}
	st, err := l.Select(narrow)
	return st, true, err
}

// CountWithin returns the statement that counts what [Layout.Within] finds without its window.
func (l *Layout) CountWithin(q *query.Find, radians float64) (*Statement, error) {
	narrow, ok := l.narrow(q, radians)
	if !ok {
		narrow = q
	}
	return l.Count(narrow.Where)
}

// narrow returns the query with a bound on its distance, if that is narrower than the one it has.
func (l *Layout) narrow(q *query.Find, radians float64) (*query.Find, bool) {
	near := nearOf(q)
	if near == nil {
		return nil, false
	}
	if column, ok := l.Column(near.Key); !ok || column.Type != schema.GeoPoint {
		return nil, false
	}
	bounded := *near.Arg.(*query.NearSphere)
	if bounded.MaxRadians >= 0 && bounded.MaxRadians <= radians {
		return nil, false
	}
	bounded.MaxRadians = radians
	narrow := *q
	narrow.Where = replaceNear(q.Where, near, &query.Constraint{Key: near.Key, Op: near.Op, Arg: &bounded})
	return &narrow, true
}

// Count returns the statement that counts the objects that match. If it has to be filtered, it yields the objects in place of their number.
func (l *Layout) Count(where query.Node) (*Statement, error) {
	b := newBuilder(l)
	b.text("SELECT count(*) FROM ")
	b.text(l.Table)
	if err := b.where(where); err != nil {
		return nil, err
	}
	if !b.filter {
		return b.statement(), nil
	}
	// The objects have to be read, as far as the conditions are about them.
	q := &query.Find{Where: where}
	q.Keys = keysOf(q)
	b = newBuilder(l)
	b.text("SELECT ")
	b.columns(q)
	b.text(" FROM ")
	b.text(l.Table)
	if err := b.where(where); err != nil {
		return nil, err
	}
	return b.statement(), nil
}

// builder collects the text and the arguments of one statement.
type builder struct {
	layout *Layout
	sql    []byte
	args   []any
	cols   []*Column
	keep   func(field string) bool
	// negative is set in what is negated an odd number of times; filter and sort become those of the statement.
	negative, filter, sort bool
}

func newBuilder(l *Layout) *builder {
	return &builder{layout: l, sql: make([]byte, 0, 256+len(l.list)), args: make([]any, 0, 8)}
}

func (b *builder) statement() *Statement {
	return &Statement{SQL: string(b.sql), Args: b.args, Layout: b.layout, Columns: b.cols, Keep: b.keep, Filter: b.filter, Sort: b.sort}
}

func (b *builder) text(s string) { b.sql = append(b.sql, s...) }

// param appends a parameter with its argument.
func (b *builder) param(v any) {
	b.args = append(b.args, v)
	b.sql = b.layout.Dialect.AppendParam(b.sql, len(b.args))
}

// argument adds an argument and returns its parameter.
func (b *builder) argument(v any) string {
	b.args = append(b.args, v)
	var buf [8]byte
	return string(b.layout.Dialect.AppendParam(buf[:0], len(b.args)))
}

// columns appends the columns to read. What every object has, and who may see it, are always among them.
func (b *builder) columns(q *query.Find) {
	if q == nil || q.Keys == nil {
		b.cols = b.layout.all
		b.text(b.layout.list)
		return
	}
	b.keep = func(field string) bool { return wanted(q.Keys, field) }
	for _, c := range b.layout.all {
		if b.keep(c.Field) {
			b.cols = append(b.cols, c)
		}
	}
	b.sql = b.layout.appendColumns(b.sql, b.keep)
}

func wanted(keys []string, field string) bool {
	switch field {
	case "objectId", "createdAt", "updatedAt", "_rperm", "_wperm":
		return true
	}
	for _, key := range keys {
		if root, _, _ := strings.Cut(key, "."); root == field {
			return true
		}
	}
	return false
}

// window appends LIMIT and OFFSET; they are parameters, so that a page is not another shape.
func (b *builder) window(skip, limit int) {
	if limit < 0 && skip <= 0 {
		return
	}
	b.sql = b.layout.Dialect.AppendLimit(b.sql, b.argument(b.layout.Dialect.Limit(limit)))
	if skip > 0 {
		b.sql = b.layout.Dialect.AppendOffset(b.sql, b.argument(int64(skip)))
	}
}

// nearOf returns the $nearSphere constraint that orders the query: the first at the top of its condition.
func nearOf(q *query.Find) *query.Constraint {
	if len(q.Order) > 0 {
		return nil
	}
	return topConstraint(q.Where, query.Near)
}

// topConstraint finds an operator among the conditions that must all hold.
func topConstraint(where query.Node, op query.Operator) *query.Constraint {
	switch n := where.(type) {
	case *query.Constraint:
		if n.Op == op {
			return n
		}
	case query.And:
		for _, child := range n {
			if c := topConstraint(child, op); c != nil {
				return c
			}
		}
	}
	return nil
}

func replaceNear(where query.Node, old, with *query.Constraint) query.Node {
	switch n := where.(type) {
	case *query.Constraint:
		if n == old {
			return with
		}
	case query.And:
		copied := make(query.And, len(n))
		for i, child := range n {
			copied[i] = replaceNear(child, old, with)
		}
		return copied
	}
	return where
}

// scalar returns the argument that a column is compared with, and whether it can hold the value at all.
func (l *Layout) scalar(c *Column, v any) (any, bool) {
	arg, ok := scalar(c, v)
	if !ok {
		return nil, false
	}
	return l.Dialect.Argument(c, arg)
}

// scalar returns the argument that a column of a type is compared with, and whether the value is of that type at all.
func scalar(c *Column, v any) (any, bool) {
	switch v := v.(type) {
	case float64:
		return v, c.Type == "Number"
	case string:
		return v, c.Type == "String"
	case bool:
		if v {
			return int64(1), c.Type == "Boolean"
		}
		return int64(0), c.Type == "Boolean"
	case parse.Date:
		return int64(v), c.Type == "Date"
	case parse.Pointer:
		return v.ObjectID, c.Type == "Pointer" && v.ClassName == c.Target
	}
	return nil, false
}
