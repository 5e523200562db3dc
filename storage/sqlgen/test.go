package sqlgen

import (
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// test appends a condition that the adapter decides with query.Match, behind a cheap one that no match fails.
func (b *builder) test(column *Column, c *query.Constraint) error {
	if done := b.native(column, c); done {
		return nil
	}
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

// native appends a condition of the database's own if that is all there is to say. A database that does not ask the adapter is
// given one that no match fails: in what is negated, one that nothing passes.
func (b *builder) native(column *Column, c *query.Constraint) (done bool) {
	sql, args := len(b.sql), len(b.args)
	text, exact, ok := b.layout.Dialect.Native(b.sql, column, c, b.argument)
	if ok && (exact || !b.layout.Dialect.Asks() && !b.negative) {
		b.sql = text
		b.filter = b.filter || !exact
		return true
	}
	b.sql, b.args = b.sql[:sql], b.args[:args]
	if b.layout.Dialect.Asks() {
		return false
	}
	b.filter = true
	if b.negative {
		b.text("FALSE")
	} else {
		b.text("TRUE")
	}
	return true
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
