package sqlgen

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/parley-backend/parley/schema"
)

// Column is where one field of a class is stored.
type Column struct {
	Field string
	Type  schema.Type
	// Target is the class that a Pointer leads to; its column holds the objectId alone.
	Target string
	// Names are the quoted SQL names: one, or two (latitude, longitude) for a GeoPoint.
	Names []string
}

// Name returns the first, for most types the only, SQL name.
func (c *Column) Name() string { return c.Names[0] }

// Layout is where a class is stored. It is computed once for a schema and shared.
type Layout struct {
	Class   *schema.Class
	Dialect Dialect
	// Table is the quoted name of the table.
	Table string
	// Columns in the order in which they are read: objectId, createdAt, updatedAt, then by name.
	Columns []Column

	index map[string]int
	extra *Column
	// all are all columns, and list their SQL text.
	all  []*Column
	list string
	// inserts are the texts of INSERT by the set of columns, which is a number while there are at most 64. Clients decide
	// which sets there are, so that no more than maxInserts are kept.
	inserts  sync.Map
	inserted atomic.Int32
}

// NewLayout returns the layout of a class. A Relation has no column of its own and ACL is stored as _rperm and _wperm.
func NewLayout(d Dialect, class *schema.Class) *Layout {
	fields := class.Stored()
	fields["objectId"] = schema.Field{Type: schema.String}
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if x, y := position(a), position(b); x != y {
			return x - y
		}
		return strings.Compare(a, b)
	})
	l := &Layout{Class: class, Dialect: d, Table: d.Table(class.Name), index: make(map[string]int, len(names))}
	for i, name := range names {
		f := fields[name]
		l.index[name] = i
		l.Columns = append(l.Columns, Column{Field: name, Type: f.Type, Target: f.TargetClass, Names: d.Columns(class.Name, name, f.Type)})
	}
	if extra := d.Extra(class.Name); extra != "" {
		l.extra = &Column{Type: schema.Object, Names: []string{extra}}
	}
	l.finish()
	return l
}

func (l *Layout) finish() {
	l.all = make([]*Column, len(l.Columns))
	for i := range l.Columns {
		l.all[i] = &l.Columns[i]
	}
	l.list = string(l.appendColumns(nil, nil))
}

// position puts what every object has before the rest, and internal fields behind it.
func position(field string) int {
	if i := slices.Index(fixedFields, field); i >= 0 {
		return i
	}
	if strings.HasPrefix(field, "_") {
		return len(fixedFields) + 1
	}
	return len(fixedFields)
}

var fixedFields = []string{"objectId", "createdAt", "updatedAt"}

// Column returns the column of a field.
func (l *Layout) Column(field string) (*Column, bool) {
	i, ok := l.index[field]
	if !ok {
		return nil, false
	}
	return &l.Columns[i], true
}

// Has tells whether a field has a column.
func (l *Layout) Has(field string) bool {
	_, ok := l.index[field]
	return ok
}

// Extra returns the column of what has no column of its own, nil when the database has none. It has no field name.
func (l *Layout) Extra() *Column { return l.extra }

// appendColumns appends the list of columns of the kept fields, all when keep is nil.
func (l *Layout) appendColumns(dst []byte, keep func(field string) bool) []byte {
	start := len(dst)
	for i := range l.Columns {
		if keep != nil && !keep(l.Columns[i].Field) {
			continue
		}
		for _, name := range l.Columns[i].Names {
			if len(dst) > start {
				dst = append(dst, ", "...)
			}
			dst = append(dst, name...)
		}
	}
	if l.extra != nil {
		dst = append(append(dst, ", "...), l.extra.Name()...)
	}
	return dst
}

// Only returns the layout with the columns that keep admits: the others are fields that no object has.
func (l *Layout) Only(keep func(*Column) bool) *Layout {
	only := &Layout{Class: l.Class, Dialect: l.Dialect, Table: l.Table, extra: l.extra, index: map[string]int{}}
	for i := range l.Columns {
		if keep(&l.Columns[i]) {
			only.index[l.Columns[i].Field] = len(only.Columns)
			only.Columns = append(only.Columns, l.Columns[i])
		}
	}
	only.finish()
	return only
}
