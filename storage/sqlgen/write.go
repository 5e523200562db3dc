package sqlgen

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Insert returns the statement that stores a new object.
func (l *Layout) Insert(o *parse.Object) (*Statement, error) {
	args := make([]any, 0, len(l.Columns)+4)
	var set uint64 // of the columns that get a value
	stored := 0
	for i := range l.Columns {
		c := &l.Columns[i]
		v := o.Get(c.Field)
		if v == nil {
			continue
		}
		var err error
		if args, err = l.appendValue(args, c, v); err != nil {
			return nil, err
		}
		stored++
		set |= 1 << (i % 64)
	}
	withExtra := false
	if stored < o.Len() {
		extra, err := l.ExtraOf(&o.Map)
		if err != nil {
			return nil, err
		}
		if withExtra = l.extra != nil && extra != nil; withExtra {
			args = append(args, extra)
		}
	}
	return &Statement{SQL: l.insertText(o, set, withExtra, len(args)), Args: args}, nil
}

// Rows returns objects as rows of a table, for a database that takes many at once: the quoted names of the columns that any of
// them has a value for, and the values of each, nil where an object has none.
func (l *Layout) Rows(objects []*parse.Object) (columns []string, rows [][]any, err error) {
	var used []*Column
	for i := range l.Columns {
		c := &l.Columns[i]
		if slices.ContainsFunc(objects, func(o *parse.Object) bool { return o.Get(c.Field) != nil }) {
			used, columns = append(used, c), append(columns, c.Names...)
		}
	}
	if l.extra != nil {
		columns = append(columns, l.extra.Name())
	}
	rows = make([][]any, len(objects))
	for i, o := range objects {
		row := make([]any, 0, len(columns))
		for _, c := range used {
			v := o.Get(c.Field)
			if v == nil {
				row = append(row, make([]any, len(c.Names))...)
				continue
			}
			if row, err = l.appendValue(row, c, v); err != nil {
				return nil, nil, err
			}
		}
		if l.extra != nil {
			extra, err := l.ExtraOf(&o.Map)
			if err != nil {
				return nil, nil, err
			}
			row = append(row, extra)
		}
		rows[i] = row
	}
	return columns, rows, nil
}

const maxInserts = 256

// insertText returns the text of an INSERT into the columns that an object has values for, in the order of the columns: that of the
// fields of the object is not another shape.
func (l *Layout) insertText(o *parse.Object, set uint64, withExtra bool, params int) string {
	type key struct {
		set   uint64
		extra bool
	}
	if text, ok := l.inserts.Load(key{set, withExtra}); ok && len(l.Columns) <= 64 {
		return text.(string)
	}
	b := newBuilder(l)
	b.text("INSERT INTO " + l.Table + " (")
	comma := ""
	var columns []*Column // of the parameters
	for i := range l.Columns {
		if o.Get(l.Columns[i].Field) == nil {
			continue
		}
		for _, name := range l.Columns[i].Names {
			b.text(comma + name)
			comma = ", "
			columns = append(columns, &l.Columns[i])
		}
	}
	if withExtra {
		b.text(comma + l.extra.Name())
		columns = append(columns, l.extra)
	}
	b.text(") VALUES (")
	for i := range params {
		if i > 0 {
			b.text(", ")
		}
		b.sql = l.Dialect.AppendValue(b.sql, columns[i], string(l.Dialect.AppendParam(nil, i+1)))
	}
	b.text(")")
	text := string(b.sql)
	if len(l.Columns) <= 64 && l.inserted.Add(1) <= maxInserts {
		l.inserts.Store(key{set, withExtra}, text)
	}
	return text
}

// ExtraOf returns what of an object stands in the extra column, as JSON text, or nil when there is nothing. Without an
// extra column, fields that are null are as good as missing and others without a column are an error.
func (l *Layout) ExtraOf(fields *parse.Map) (any, error) {
	var extra *parse.Map
	for name, v := range fields.All() {
		if v != nil && l.Has(name) {
			continue
		}
		if v == nil && !l.Dialect.Nulls() {
			continue
		}
		key := l.Dialect.ExtraKey(name)
		if l.extra == nil || key == "" {
			if v != nil {
				return nil, fmt.Errorf("class %s has no field %s", l.Class.Name, name)
			}
			continue
		}
		if extra == nil {
			extra = parse.NewMap()
		}
		extra.Set(key, v)
	}
	if extra == nil {
		return nil, nil
	}
	return l.argument(l.extra, string(parse.AppendJSON(nil, extra)))
}

// Direct returns the statement that changes all objects that match and returns them, or nil when the new values depend on
// the old ones or change what stands in the extra column: then the objects have to be read first, and written with [Layout.Replace].
func (l *Layout) Direct(where query.Node, changes *parse.Map) (*Statement, error) {
	if changes.Len() == 0 {
		return nil, nil
	}
	for key, v := range changes.All() {
		if !l.direct(key, v) {
			return nil, nil
		}
	}
	b := newBuilder(l)
	b.text("UPDATE ")
	b.text(l.Table)
	b.text(" SET ")
	if err := b.set(changes); err != nil {
		return nil, err
	}
	if l.extra != nil && l.Dialect.Nulls() {
		params := make([]string, 0, changes.Len())
		for i := range l.Columns { // in one order, whatever that of the changes
			if changes.Has(l.Columns[i].Field) {
				params = append(params, b.argument(l.Dialect.MemberPath(l.Columns[i].Field)))
			}
		}
		b.text(", " + l.extra.Name() + " = ")
		b.sql = l.Dialect.AppendWithout(b.sql, params)
	}
	if err := b.where(where); err != nil {
		return nil, err
	}
	if b.filter {
		return nil, nil
	}
	b.text(" RETURNING ")
	b.columns(nil)
	return b.statement(), nil
}

// direct tells whether a change of a field can be said without looking at the object.
func (l *Layout) direct(field string, v any) bool {
	column, ok := l.Column(field)
	if !ok {
		return false
	}
	switch v.(type) {
	case nil:
		return !l.Dialect.Nulls()
	case parse.Delete:
		return true
	case parse.Increment:
		return column.Type == schema.Number && len(l.Dialect.AppendSum(nil, column.Name(), "")) > 0
	case parse.Op:
		return false
	}
	return true
}

// Replace returns the statement that gives fields of one object, which are named, their values in fields, or none.
func (l *Layout) Replace(id string, names []string, fields *parse.Map) (*Statement, error) {
	changed := parse.NewMap()
	for _, name := range names {
		if l.Has(name) {
			changed.Set(name, fields.Get(name))
		}
	}
	extra, err := l.ExtraOf(fields)
	if err != nil {
		return nil, err
	}
	b := newBuilder(l)
	b.text("UPDATE ")
	b.text(l.Table)
	b.text(" SET ")
	if err := b.set(changed); err != nil {
		return nil, err
	}
	if l.extra != nil && (l.Dialect.Nulls() || changed.Len() < len(names)) {
		if changed.Len() > 0 {
			b.text(", ")
		}
		b.text(l.extra.Name() + " = ")
		b.param(extra)
	}
	column, _ := l.Column("objectId")
	if bytes.HasSuffix(b.sql, []byte(" SET ")) { // nulls that are not kept
		b.text(column.Name() + " = " + column.Name())
	}
	b.text(" WHERE " + column.Name() + " = ")
	b.param(id)
	return b.statement(), nil
}

// set appends the assignments of an update, in the order of the columns.
func (b *builder) set(changes *parse.Map) error {
	first := true
	for i := range b.layout.Columns {
		c := &b.layout.Columns[i]
		v, ok := changes.Lookup(c.Field)
		if !ok {
			continue
		}
		if inc, ok := v.(parse.Increment); ok {
			if !first {
				b.text(", ")
			}
			first = false
			b.text(c.Name() + " = ")
			b.sql = b.layout.Dialect.AppendSum(b.sql, c.Name(), b.argument(inc.Amount))
			continue
		}
		args := make([]any, len(c.Names)) // all nil: no value
		if _, isDelete := v.(parse.Delete); v != nil && !isDelete {
			var err error
			if args, err = b.layout.appendValue(args[:0], c, v); err != nil {
				return err
			}
		}
		for j, name := range c.Names {
			if !first {
				b.text(", ")
			}
			first = false
			b.text(name + " = ")
			b.sql = b.layout.Dialect.AppendValue(b.sql, c, b.argument(args[j]))
		}
	}
	return nil
}

// Delete returns the statement that removes the objects that match, at most limit of them unless it is negative. If it has to be
// filtered it must not be run: see [Layout.ForUpdate].
func (l *Layout) Delete(where query.Node, limit int) (*Statement, error) {
	b := newBuilder(l)
	b.text("DELETE FROM ")
	b.text(l.Table)
	_, pinned := query.PinnedID(where)
	if limit < 0 || pinned && limit > 0 { // of an object that is named there is one
		if err := b.where(where); err != nil {
			return nil, err
		}
		return b.statement(), nil
	}
	b.text(" WHERE " + l.Dialect.RowID() + " IN (SELECT " + l.Dialect.RowID() + " FROM " + l.Table)
	if err := b.where(where); err != nil {
		return nil, err
	}
	b.window(0, limit)
	b.text(l.Dialect.Lock() + ")")
	return b.statement(), nil
}

// ForUpdate returns the statement that reads the objects that match, at most limit of them unless it is negative, in no special order.
func (l *Layout) ForUpdate(where query.Node, limit int) (*Statement, error) {
	b := newBuilder(l)
	b.text("SELECT ")
	b.columns(nil)
	b.text(" FROM ")
	b.text(l.Table)
	if err := b.where(where); err != nil {
		return nil, err
	}
	if _, pinned := query.PinnedID(where); !pinned && !b.filter {
		b.window(0, limit)
	}
	b.text(l.Dialect.Lock())
	return b.statement(), nil
}

// appendValue appends what the columns of a field hold for a value that is not nil.
func (l *Layout) appendValue(dst []any, c *Column, v any) ([]any, error) {
	var arg any
	switch c.Type {
	case schema.Object, schema.Array:
		arg = string(parse.AppendJSON(nil, v))
	case schema.GeoPoint:
		if g, ok := v.(parse.GeoPoint); ok {
			if len(c.Names) == 2 {
				return append(dst, g.Latitude, g.Longitude), nil
			}
			arg = g
		}
	case schema.File:
		if f, ok := v.(parse.File); ok {
			arg = f.Name
		}
	case schema.Bytes:
		if b, ok := v.(parse.Bytes); ok {
			arg = []byte(b)
		}
	case schema.Polygon:
		if p, ok := v.(parse.Polygon); ok {
			arg = p
		}
	case schema.Pointer:
		if o, ok := v.(*parse.Object); ok {
			v = o.Pointer()
		}
		if id, ok := scalar(c, v); ok {
			arg = id
		}
	case schema.Number:
		if f, ok := v.(float64); ok && !parse.Finite(f) {
			return nil, fmt.Errorf("field %s of class %s: %v is no number that can be stored", c.Field, l.Class.Name, f)
		}
		fallthrough
	default:
		if s, ok := scalar(c, v); ok {
			arg = s
		}
	}
	if arg == nil {
		return nil, fmt.Errorf("field %s of class %s is of type %s and cannot hold a %T", c.Field, l.Class.Name, c.Type, v)
	}
	arg, err := l.argument(c, arg)
	return append(dst, arg), err
}

// argument is Dialect.Argument for what is to be stored.
func (l *Layout) argument(c *Column, v any) (any, error) {
	arg, ok := l.Dialect.Argument(c, v)
	if !ok {
		field := c.Field
		if c == l.extra {
			field = "authData"
		}
		return nil, &UnstorableError{Class: l.Class.Name, Field: field}
	}
	return arg, nil
}

// UnstorableError says that the database has no way to hold the value of a field.
type UnstorableError struct{ Class, Field string }

func (e *UnstorableError) Error() string {
	return fmt.Sprintf("the value of field %s of class %s cannot be stored", e.Field, e.Class)
}
