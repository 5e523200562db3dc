package sqlgen

import (
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// in appends the condition that a field is one of a list. The list is one argument, however long it is, so that a
// sub-query that found a thousand objects needs neither another text nor a thousand parameters.
func (b *builder) in(column *Column, c *query.Constraint) error {
	values, ok := c.Arg.([]any)
	if !ok {
		return badOperand(c)
	}
	if !isScalar(column.Type) {
		return b.inTest(column, c, values)
	}
	list, null := b.layout.listOf(column, values)
	if null {
		b.text("(" + column.Name() + " IS NULL OR ")
	}
	b.sql = b.layout.Dialect.AppendIn(b.sql, column, b.argument(list))
	if null {
		b.text(")")
	}
	return nil
}

// notIn is the exact opposite of in.
func (b *builder) notIn(column *Column, c *query.Constraint) error {
	return b.opposite(func() error { return b.in(column, c) })
}

// inTest admits a missing field before the test is asked: most objects are public, and so have no _rperm.
func (b *builder) inTest(column *Column, c *query.Constraint, values []any) error {
	for _, v := range values {
		if v == nil && column.Type != schema.GeoPoint {
			b.text("(" + column.Name() + " IS NULL OR ")
			if err := b.test(column, &query.Constraint{Key: c.Key, Op: query.In, Arg: values}); err != nil {
				return err
			}
			b.text(")")
			return nil
		}
	}
	return b.test(column, &query.Constraint{Key: c.Key, Op: query.In, Arg: values})
}

// listOf returns the values that a column can have, as one argument, and whether null is among them.
func (l *Layout) listOf(column *Column, values []any) (list any, null bool) {
	args := make([]any, 0, len(values))
	for _, v := range values {
		if v == nil {
			null = true
			continue
		}
		if o, ok := v.(*parse.Object); ok {
			v = o.Pointer()
		}
		if arg, ok := l.scalar(column, v); ok {
			args = append(args, arg)
		}
	}
	return l.Dialect.List(column, args), null
}
