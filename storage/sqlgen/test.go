package sqlgen

import (
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// test appends a condition that the adapter decides with query.Match, behind a cheap one that no match fails.
func (b *builder) test(column *Column, c *query.Constraint) error {
	needle, ok := needleOf(column, c)
	if ok {
		b.text("(")
		b.sql = b.layout.Dialect.AppendContains(b.sql, column.Name(), b.argument(needle))
		b.text(" AND ")
	}
	b.sql = b.layout.Dialect.AppendTest(b.sql, column, b.argument(&Test{Column: column, Where: c}))
	if ok {
		b.text(")")
	}
	return nil
}

// needleOf returns a text that stands in the JSON of every value that equals the operand: stored JSON is written by
// parse.AppendJSON alone, which writes one string in one way.
func needleOf(column *Column, c *query.Constraint) (string, bool) {
	if column.Type != schema.Object && column.Type != schema.Array || c.Op != query.Eq {
		return "", false
	}
	switch arg := c.Arg.(type) {
	case string:
		return string(parse.AppendString(nil, arg)), true
	case parse.Pointer:
		return string(parse.AppendString(nil, arg.ObjectID)), true
	case *parse.Object:
		return string(parse.AppendString(nil, arg.ID())), true
	}
	return "", false
}
