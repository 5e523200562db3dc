package sqlgen

import (
	"fmt"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// where appends " WHERE …" unless every object is admitted.
func (b *builder) where(n query.Node) error {
	if n == nil {
		return nil
	}
	if and, ok := n.(query.And); ok && len(and) == 0 {
		return nil
	}
	b.text(" WHERE ")
	if and, ok := n.(query.And); ok {
		return b.join(and, " AND ")
	}
	return b.node(n)
}

// node appends one condition, in parentheses where it is made of several. It is true, false or unknown; what negates
// conditions takes unknown for false, so that the negation of what does not hold always holds.
func (b *builder) node(n query.Node) error {
	switch n := n.(type) {
	case nil:
		b.text("TRUE")
		return nil
	case query.And:
		if len(n) == 0 {
			b.text("TRUE")
			return nil
		}
		return b.group(n, " AND ")
	case query.Or:
		if len(n) == 0 {
			b.text("FALSE")
			return nil
		}
		return b.group(n, " OR ")
	case query.Nor:
		if len(n) == 0 {
			b.text("TRUE")
			return nil
		}
		b.negative = !b.negative
		err := b.group(n, " OR ")
		b.negative = !b.negative
		b.text(" IS NOT TRUE")
		return err
	case *query.Constraint:
		return b.constraint(n)
	}
	return &UnsupportedError{fmt.Sprintf("%T, which is resolved before a query reaches an adapter", n)}
}

func (b *builder) group(nodes []query.Node, operator string) error {
	b.text("(")
	err := b.join(nodes, operator)
	b.text(")")
	return err
}

// maxChain is how many conditions stand in one chain: databases parse a chain as a tree as deep as it is long, and bound the depth.
const maxChain = 100

func (b *builder) join(nodes []query.Node, operator string) error {
	if len(nodes) > maxChain {
		half := len(nodes) / 2
		if err := b.group(nodes[:half], operator); err != nil {
			return err
		}
		b.text(operator)
		return b.group(nodes[half:], operator)
	}
	for i, n := range nodes {
		if i > 0 {
			b.text(operator)
		}
		if err := b.node(n); err != nil {
			return err
		}
	}
	return nil
}

// constraint appends the condition of one operator on one field.
func (b *builder) constraint(c *query.Constraint) error {
	field, _, dotted := strings.Cut(c.Key, ".")
	column, ok := b.layout.Column(field)
	if !ok {
		return b.extra(c, field)
	}
	if dotted {
		return b.test(column, c)
	}
	switch c.Op {
	case query.Eq:
		return b.equal(column, c)
	case query.Ne:
		return b.notEqual(column, c)
	case query.Lt:
		return b.compare(column, c, " < ")
	case query.Lte:
		return b.compare(column, c, " <= ")
	case query.Gt:
		return b.compare(column, c, " > ")
	case query.Gte:
		return b.compare(column, c, " >= ")
	case query.In:
		return b.in(column, c)
	case query.Nin:
		return b.notIn(column, c)
	case query.Exists:
		want, ok := c.Arg.(bool)
		if !ok {
			return badOperand(c)
		}
		b.text(column.Name())
		if want {
			b.text(" IS NOT NULL")
		} else {
			b.text(" IS NULL")
		}
		return nil
	case query.Match, query.StartsWith:
		return b.pattern(column, c)
	case query.Near, query.WithinBox, query.WithinPolygon, query.WithinSphere:
		return b.place(column, c)
	}
	return b.test(column, c)
}

func badOperand(c *query.Constraint) error {
	return fmt.Errorf("sqlgen: operand of operator %d on %q is a %T", c.Op, c.Key, c.Arg)
}

// isScalar tells whether the values of a type are single SQL values that order and equal as the values do.
func isScalar(t schema.Type) bool {
	switch t {
	case schema.Number, schema.String, schema.Boolean, schema.Date, schema.Pointer:
		return true
	}
	return false
}

func (b *builder) equal(column *Column, c *query.Constraint) error {
	if c.Arg == nil && column.Type != schema.Array {
		b.text(column.Name())
		b.text(" IS NULL")
		return nil
	}
	switch arg := c.Arg.(type) {
	case parse.GeoPoint:
		if column.Type == schema.GeoPoint {
			latitude, longitude := b.argument(arg.Latitude), b.argument(arg.Longitude)
			b.sql = b.layout.Dialect.AppendPlace(b.sql, column, latitude, longitude)
			return nil
		}
	case parse.File:
		if column.Type == schema.File {
			return b.equals(column, arg.Name)
		}
	case parse.Bytes:
		if column.Type == schema.Bytes {
			return b.equals(column, []byte(arg))
		}
	}
	if !isScalar(column.Type) {
		return b.test(column, c)
	}
	arg, ok := scalar(column, c.Arg)
	if !ok {
		b.text("FALSE")
		return nil
	}
	return b.equals(column, arg)
}

// equals appends the condition that a column holds a value.
func (b *builder) equals(column *Column, v any) error {
	arg, ok := b.layout.Dialect.Argument(column, v)
	if !ok { // nor does any object
		b.text("FALSE")
		return nil
	}
	b.text(column.Name() + " = ")
	b.param(arg)
	return nil
}

// notEqual is the exact opposite of equal: it holds for a missing field too.
func (b *builder) notEqual(column *Column, c *query.Constraint) error {
	if isScalar(column.Type) {
		if c.Arg == nil {
			b.text(column.Name() + " IS NOT NULL")
			return nil
		}
		arg, ok := b.layout.scalar(column, c.Arg)
		if !ok {
			b.text("TRUE")
			return nil
		}
		b.text(column.Name() + " IS DISTINCT FROM ")
		b.param(arg)
		return nil
	}
	return b.negated(&query.Constraint{Key: c.Key, Op: query.Eq, Arg: c.Arg})
}

// negated appends the opposite of a constraint.
func (b *builder) negated(c *query.Constraint) error {
	return b.opposite(func() error { return b.constraint(c) })
}

// opposite appends a condition that holds where another does not.
func (b *builder) opposite(condition func() error) error {
	b.text("(")
	b.negative = !b.negative
	err := condition()
	b.negative = !b.negative
	b.text(") IS NOT TRUE")
	return err
}

// compare appends a range operator. Values of another type than the operand are neither less nor greater.
func (b *builder) compare(column *Column, c *query.Constraint, operator string) error {
	switch column.Type {
	case schema.Number, schema.String, schema.Date, schema.Boolean:
	default:
		return b.test(column, c)
	}
	arg, ok := b.layout.scalar(column, c.Arg)
	if !ok {
		if c.Arg == nil {
			return b.test(column, c)
		}
		// A String field may be compared with what is ordered as text, as MongoDB stores a Pointer.
		if zero := zeroOf(column.Type); query.Rank(zero) == query.Rank(c.Arg) {
			return b.test(column, c)
		}
		b.text("FALSE")
		return nil
	}
	b.text(b.layout.Dialect.Ordered(column) + operator)
	b.param(arg)
	return nil
}

func zeroOf(t schema.Type) any {
	switch t {
	case schema.Number:
		return 0.0
	case schema.String:
		return ""
	case schema.Date:
		return parse.Date(0)
	case schema.Boolean:
		return false
	}
	return nil
}

// extra appends the condition on a field that has no column.
func (b *builder) extra(c *query.Constraint, field string) error {
	extra := b.layout.Extra()
	if extra == nil || b.layout.Dialect.ExtraKey(field) == "" {
		return b.missing(c)
	}
	// The id that an authentication provider knows a user by is looked up at every login: it has an index.
	if id, ok := c.Arg.(string); ok && c.Op == query.Eq && c.Key == field+".id" && strings.HasPrefix(field, schema.AuthDataPrefix) {
		if member := b.layout.Dialect.Member(extra.Name(), b.layout.Dialect.ExtraKey(field), "id"); member != "" {
			arg, ok := b.layout.Dialect.Argument(extra, id)
			if !ok {
				b.text("FALSE")
				return nil
			}
			b.text(member + " = ")
			b.param(arg)
			return nil
		}
	}
	return b.test(extra, c)
}

// missing appends what a constraint says of a field that no object has.
func (b *builder) missing(c *query.Constraint) error {
	holds, err := query.Matches(c, parse.NewObject(b.layout.Class.Name))
	if err != nil {
		return err
	}
	if holds {
		b.text("TRUE")
	} else {
		b.text("FALSE")
	}
	return nil
}
