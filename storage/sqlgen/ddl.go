package sqlgen

import (
	"slices"
	"strings"

	"github.com/parley-backend/parley/schema"
)

// CreateTable returns the statement that makes the table of the class unless it exists.
func (l *Layout) CreateTable() string {
	var b strings.Builder
	b.WriteString("CREATE TABLE IF NOT EXISTS " + l.Table + " (")
	for i := range l.Columns {
		c := &l.Columns[i]
		for j, definition := range l.definitions(c) {
			if i+j > 0 {
				b.WriteString(", ")
			}
			b.WriteString(definition)
		}
		behind, _ := l.Dialect.Key(l.Class.Name, c.Field)
		b.WriteString(behind)
	}
	if l.extra != nil {
		b.WriteString(", " + l.definitions(l.extra)[0])
	}
	if _, behind := l.Dialect.Key(l.Class.Name, ""); behind != "" {
		b.WriteString(", " + behind)
	}
	b.WriteString(")" + l.Dialect.TableOptions())
	return b.String()
}

// AddColumn returns the statements that add the columns of a field.
func (l *Layout) AddColumn(c *Column) []string {
	definitions := l.definitions(c)
	for i := range definitions {
		definitions[i] = "ALTER TABLE " + l.Table + " ADD COLUMN " + definitions[i]
		if behind, _ := l.Dialect.Key(l.Class.Name, c.Field); schema.IsJoin(l.Class.Name) || c.Field == "objectId" {
			definitions[i] += behind
		}
	}
	return definitions
}

func (l *Layout) definitions(c *Column) []string {
	types := l.Dialect.ColumnTypes(c.Field, c.Type)
	definitions := make([]string, len(types))
	for i, t := range types {
		definitions[i] = c.Names[i] + " " + t
	}
	return definitions
}

// Index is an index that a table should have.
type Index struct {
	// Name as [schema.Class] or the system classes have it.
	Name string
	// SQLName is the quoted name in the database.
	SQLName string
	// Fields, possibly dotted.
	Fields []string
	Unique bool
	// On is the table and what of it: ON table (columns).
	On string
	// Create is the statement that makes it under its SQLName.
	Create string
}

func (ix *Index) finish() {
	verb := "CREATE INDEX IF NOT EXISTS "
	if ix.Unique {
		verb = "CREATE UNIQUE INDEX IF NOT EXISTS "
	}
	ix.Create = verb + ix.SQLName + ix.On
}

// Indexes returns the indexes that the class should have besides the one on objectId, by name: unique ones, those that
// Parley needs itself, those that the schema names, and one for each GeoPoint. An index of the schema over a field whose conditions no
// index of this database can serve (a path, an Array, an Object, text) is kept in the schema and makes no index.
func (l *Layout) Indexes() []Index {
	var list []Index
	for _, u := range schema.UniqueIndexes(l.Class.Name) {
		if ix, ok := l.UniqueIndex(u); ok {
			list = append(list, ix)
		}
	}
	for _, look := range schema.LookupIndexes(l.Class.Name) {
		fields := make([]schema.IndexField, len(look.Fields))
		for i, f := range look.Fields {
			fields[i] = schema.IndexField{Field: f, Kind: "1"}
		}
		list = l.appendIndex(list, look.Name, fields)
	}
	for name, fields := range l.Class.Indexes {
		list = l.appendIndex(list, name, fields)
	}
	for i := range l.Columns {
		if c := &l.Columns[i]; c.Type == schema.GeoPoint {
			list = l.appendIndex(list, c.Field+":geo", []schema.IndexField{{Field: c.Field, Kind: "2dsphere"}})
		}
	}
	slices.SortFunc(list, func(a, b Index) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(list, func(a, b Index) bool { return a.Name == b.Name })
}

// UniqueIndex returns a unique index; false when it is over a field that the class does not have.
func (l *Layout) UniqueIndex(u schema.UniqueIndex) (Index, bool) {
	var parts []string
	for _, field := range u.Fields {
		root, path, dotted := strings.Cut(field, ".")
		expression := ""
		if c, ok := l.Column(root); ok && !dotted {
			expression = strings.Join(c.Names, ", ")
			if u.CaseInsensitive {
				expression = l.Dialect.Fold(c.Name())
			}
		} else if ok {
			expression = l.Dialect.Member(c.Name(), strings.Split(path, ".")...)
		} else if _, internal := schema.InternalField(l.Class.Name, root); internal && l.extra != nil {
			expression = l.Dialect.Member(l.extra.Name(), append([]string{l.Dialect.ExtraKey(root)}, strings.Split(path, ".")...)...)
		}
		if expression == "" {
			return Index{}, false
		}
		parts = append(parts, expression)
	}
	ix := Index{Name: u.Name, SQLName: l.Dialect.IndexName(l.Class.Name, u.Name), Fields: u.Fields, Unique: true}
	ix.On = " ON " + l.Table + " (" + strings.Join(parts, ", ") + ")"
	ix.finish()
	return ix, true
}

func (l *Layout) appendIndex(list []Index, name string, fields []schema.IndexField) []Index {
	ix := Index{Name: name, SQLName: l.Dialect.IndexName(l.Class.Name, name)}
	var parts []IndexPart
	tie := true
	for _, f := range fields {
		c, ok := l.Column(f.Field)
		if !ok || f.Kind == "text" || !isScalar(c.Type) && c.Type != schema.GeoPoint && c.Type != schema.File {
			return list
		}
		parts = append(parts, IndexPart{c, f.Kind == "-1"})
		ix.Fields = append(ix.Fields, f.Field)
		tie = tie && c.Type != schema.GeoPoint && f.Field != "objectId"
	}
	if len(parts) == 0 {
		return list
	}
	if tie { // ties are ordered by objectId: with it in the index there is nothing left to sort
		id, _ := l.Column("objectId")
		parts = append(parts, IndexPart{Column: id})
	}
	on := l.Dialect.IndexOn(parts)
	if on == "" {
		return list
	}
	ix.On = " ON " + l.Table + " " + on
	ix.finish()
	return append(list, ix)
}

// Merge returns the given class with what others added to the stored one since base, as it was when this process last read or saved
// it, and the fields that are to be dropped. Nil stands for no base.
func Merge(stored, given, base *schema.Class) (*schema.Class, []string) {
	merged := given.Clone()
	var gone []string
	for name, f := range stored.Fields {
		if _, kept := given.Fields[name]; kept {
			continue
		}
		known := base != nil
		if known {
			_, known = base.Fields[name]
		}
		if known {
			gone = append(gone, name)
		} else {
			merged.Fields[name] = f
		}
	}
	for name, ix := range stored.Indexes {
		if _, kept := given.Indexes[name]; kept {
			continue
		}
		if base != nil && base.Indexes[name] != nil {
			continue
		}
		if merged.Indexes == nil {
			merged.Indexes = map[string]schema.Index{}
		}
		merged.Indexes[name] = ix
	}
	slices.Sort(gone)
	return merged, gone
}
