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
	if _, pinned := query.PinnedID(q.Where); !pinned || q.Skip > 0 || q.Limit == 0 { // else there is at most one
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

// Count returns the statement that counts the objects that match.
func (l *Layout) Count(where query.Node) (*Statement, error) {
	b := newBuilder(l)
	b.text("SELECT count(*) FROM ")
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
}

func newBuilder(l *Layout) *builder {
	return &builder{layout: l, sql: make([]byte, 0, 256+len(l.list)), args: make([]any, 0, 8)}
}

func (b *builder) statement() *Statement {
	return &Statement{SQL: string(b.sql), Args: b.args, Columns: b.cols, Keep: b.keep}
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

// window appends LIMIT and OFFSET; they are parameters, so that a page is not another shape. SQLite would plan a statement
// anew whenever a bare parameter of LIMIT is bound, even to the same value; a sum it does not look into.
func (b *builder) window(skip, limit int) {
	if limit < 0 && skip <= 0 {
		return
	}
	b.text(" LIMIT ")
	b.param(int64(limit))
	b.text(" + 0")
	if skip > 0 {
		b.text(" OFFSET ")
		b.param(int64(skip))
		b.text(" + 0")
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
