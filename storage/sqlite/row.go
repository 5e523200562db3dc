package sqlite

import (
	"fmt"
	"math"

	"zombiezen.com/go/sqlite"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// values are the limits for text that the database holds: it was checked when it came in, and holds no operators.
var values = parse.Limits{Values: true, Depth: math.MaxInt32}

// object makes an object of the current row of a statement.
func (c *conn) object(class string, stmt *sqlite.Stmt, st *sqlgen.Statement) (*parse.Object, error) {
	o := &parse.Object{ClassName: class}
	o.Grow(len(st.Columns))
	i := 0
	for _, column := range st.Columns {
		if err := c.read(o, column, stmt, i); err != nil {
			return nil, err
		}
		i += len(column.Names)
	}
	if stmt.ColumnIsNull(i) {
		return o, nil
	}
	return o, c.addExtra(o, c.bytes(stmt, i), st.Keep)
}

// read sets the field of a column, unless it has no value.
func (c *conn) read(o *parse.Object, column *sqlgen.Column, stmt *sqlite.Stmt, i int) error {
	kind := stmt.ColumnType(i)
	if kind == sqlite.TypeNull {
		return nil
	}
	var v any
	switch column.Type {
	case schema.Number:
		v = stmt.ColumnFloat(i)
	case schema.Boolean:
		v = stmt.ColumnInt64(i) != 0
	case schema.Date:
		v = parse.Date(stmt.ColumnInt64(i))
	case schema.Pointer:
		v = parse.Pointer{ClassName: column.Target, ObjectID: stmt.ColumnText(i)}
	case schema.GeoPoint:
		v = parse.GeoPoint{Latitude: stmt.ColumnFloat(i), Longitude: stmt.ColumnFloat(i + 1)}
	case schema.File:
		v = parse.File{Name: stmt.ColumnText(i)}
	case schema.Bytes:
		b := make(parse.Bytes, stmt.ColumnLen(i))
		stmt.ColumnBytes(i, b)
		v = b
	case schema.Object, schema.Array, schema.Polygon:
		var err error
		if v, err = parse.Decode(c.bytes(stmt, i), values); err != nil {
			return fmt.Errorf("%w: field %s of class %s: %w", errDamaged, column.Field, o.ClassName, err)
		}
	default:
		v = stmt.ColumnText(i)
	}
	o.Set(column.Field, v)
	return nil
}

// bytes returns the text of a column until the next call.
func (c *conn) bytes(stmt *sqlite.Stmt, i int) []byte {
	n := stmt.ColumnLen(i)
	if cap(c.buf) < n {
		c.buf = make([]byte, n+n/4)
	}
	c.buf = c.buf[:n]
	stmt.ColumnBytes(i, c.buf)
	return c.buf
}

// addExtra sets the fields that stand in the extra column, or those of them that keep admits.
func (c *conn) addExtra(o *parse.Object, text []byte, keep func(string) bool) error {
	if len(text) == 0 {
		return nil
	}
	extra, err := parse.DecodeMap(text, values)
	if err != nil {
		return fmt.Errorf("%w: extra fields of class %s: %w", errDamaged, o.ClassName, err)
	}
	for name, v := range extra.All() {
		if keep == nil || keep(name) {
			o.Set(name, v)
		}
	}
	return nil
}
