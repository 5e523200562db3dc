package sqlgen

import (
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// SQLite is the dialect of SQLite. The zero value is ready. The functions named parley_… and the collation of the same name are
// registered by the adapter; parley_fold has to be there for every connection that writes a table with a unique index without case.
type SQLite struct {
	// Aliases are the names of tables and columns that cannot have the name of their class and field, because SQLite takes
	// letters of both cases for the same: [class, field] -> name; the field "" stands for the table.
	Aliases map[[2]string]string
}

// Names of the functions that the adapter registers, and of the collation in which the text of two keys, JSON, is
// ordered as query.Compare orders the values.
const (
	TestFunction     = "parley_test"     // parley_test(test, column…) -> 0 or 1
	KeyFunction      = "parley_key"      // parley_key(key, column…) -> null, number or text
	DistanceFunction = "parley_distance" // parley_distance(lat, lng, lat, lng) -> radians
	FoldFunction     = "parley_fold"     // parley_fold(text) -> text in lower case
	KeyCollation     = "parley"
)

// Table returns the name of the class, or its alias.
func (d SQLite) Table(class string) string { return Quote(d.name(class, "")) }

// Columns returns the name of the field, or its alias.
func (d SQLite) Columns(class, field string, t schema.Type) []string {
	name := d.name(class, field)
	if t == schema.GeoPoint {
		return []string{Quote(name + ":lat"), Quote(name + ":lng")}
	}
	return []string{Quote(name)}
}

func (d SQLite) name(class, field string) string {
	if alias, ok := d.Aliases[[2]string{class, field}]; ok {
		return alias
	}
	if field == "" {
		return class
	}
	return field
}

// Quote returns a name as SQL writes it.
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func (SQLite) Extra(string) string { return `"_extra"` }

// ExtraKey returns the name of the field.
func (SQLite) ExtraKey(field string) string { return field }

// Nulls is true.
func (SQLite) Nulls() bool          { return true }
func (SQLite) RowID() string        { return "_rowid_" }
func (SQLite) TableOptions() string { return " STRICT" }

// Member returns "" for a name that a JSON path of SQLite cannot say.
func (SQLite) Member(column string, path ...string) string {
	var b strings.Builder
	b.WriteByte('$')
	for _, name := range path {
		if strings.ContainsAny(name, "\"\\") {
			return ""
		}
		b.WriteString(`."` + name + `"`)
	}
	return "json_extract(" + column + ", " + literal(b.String()) + ")"
}

func (SQLite) MemberPath(field string) string { return `$."` + field + `"` }

func (d SQLite) AppendWithout(dst []byte, params []string) []byte {
	dst = append(dst, `NULLIF(json_remove("_extra"`...)
	for _, p := range params {
		dst = append(append(dst, ", "...), p...)
	}
	return append(dst, `), '{}')`...)
}

func (SQLite) Fold(column string) string { return FoldFunction + "(" + column + ")" }

func (SQLite) ColumnTypes(_ string, t schema.Type) []string {
	switch t {
	case schema.Number:
		return []string{"REAL"}
	case schema.Boolean, schema.Date:
		return []string{"INTEGER"}
	case schema.GeoPoint:
		return []string{"REAL", "REAL"}
	case schema.Bytes:
		return []string{"BLOB"}
	}
	return []string{"TEXT"}
}

// Key makes objectId the primary key.
func (SQLite) Key(_, field string) (column, table string) {
	if field == "objectId" {
		return " NOT NULL PRIMARY KEY", ""
	}
	return "", ""
}

// IndexOn returns the columns in parentheses.
func (SQLite) IndexOn(parts []IndexPart) string {
	var names []string
	for _, p := range parts {
		for _, name := range p.Column.Names {
			if p.Descending {
				name += " DESC"
			}
			names = append(names, name)
		}
	}
	return "(" + strings.Join(names, ", ") + ")"
}

// Argument takes everything as it is, a Polygon as JSON.
func (SQLite) Argument(_ *Column, v any) (any, bool) {
	if p, ok := v.(parse.Polygon); ok {
		return string(parse.AppendJSON(nil, p)), true
	}
	return v, true
}

// List returns a JSON array as [List].
func (SQLite) List(_ *Column, values []any) any {
	text := make([]byte, 0, 2+16*len(values))
	text = append(text, '[')
	for i, v := range values {
		if i > 0 {
			text = append(text, ',')
		}
		if n, ok := v.(int64); ok {
			v = float64(n)
		}
		text = parse.AppendJSON(text, v)
	}
	return List(append(text, ']'))
}

// Ordered returns the column: SQLite compares bytes.
func (SQLite) Ordered(column *Column) string { return column.Name() }

// IndexName puts the class before the name, because the names of all indexes and tables share one space, in which a
// class cannot have a dot. A name with capitals gets a number that tells it from the same name without.
func (d SQLite) IndexName(class, index string) string {
	name := d.name(class, "") + "." + index
	if strings.ToLower(index) != index {
		h := fnv.New32a()
		h.Write([]byte(index))
		name += "~" + strconv.FormatUint(uint64(h.Sum32()), 36)
	}
	return Quote(name)
}

func (SQLite) AppendParam(dst []byte, n int) []byte {
	return strconv.AppendInt(append(dst, '?'), int64(n), 10)
}

func (SQLite) AppendValue(dst []byte, _ *Column, param string) []byte { return append(dst, param...) }

func (SQLite) AppendIn(dst []byte, column *Column, param string) []byte {
	dst = append(append(dst, column.Name()...), " IN (SELECT value FROM json_each("...)
	return append(append(dst, param...), "))"...)
}

func (SQLite) AppendContains(dst []byte, column, param string) []byte {
	dst = append(append(dst, "instr("...), column...)
	return append(append(append(dst, ", "...), param...), ") > 0"...)
}

// Native has nothing to offer.
func (SQLite) Native(dst []byte, _ *Column, _ *query.Constraint, _ func(any) string) (sql []byte, exact, ok bool) {
	return dst, false, false
}

func (SQLite) AppendBox(dst []byte, column *Column, south, north, west, east string) []byte {
	return append(dst, "("+column.Names[0]+" BETWEEN "+south+" AND "+north+" AND "+column.Names[1]+" BETWEEN "+west+" AND "+east+")"...)
}

func (SQLite) AppendPlace(dst []byte, column *Column, latitude, longitude string) []byte {
	return append(dst, "("+column.Names[0]+" = "+latitude+" AND "+column.Names[1]+" = "+longitude+")"...)
}

// AppendSum appends nothing: the writer reads what it changes without another round trip.
func (SQLite) AppendSum(dst []byte, _, _ string) []byte { return dst }

// Asks is true.
func (SQLite) Asks() bool { return true }

func (SQLite) AppendTest(dst []byte, column *Column, param string) []byte {
	return appendCall(dst, TestFunction, column, param)
}

func (SQLite) AppendKey(dst []byte, column *Column, param string) []byte {
	return append(appendCall(dst, KeyFunction, column, param), " COLLATE "+KeyCollation...)
}

func appendCall(dst []byte, function string, column *Column, param string) []byte {
	dst = append(append(append(dst, function...), '('), param...)
	for _, name := range column.Names {
		dst = append(append(dst, ", "...), name...)
	}
	return append(dst, ')')
}

func (SQLite) AppendDistance(dst []byte, column *Column, latitude, longitude string) []byte {
	return append(dst, DistanceFunction+"("+column.Names[0]+", "+column.Names[1]+", "+latitude+", "+longitude+")"...)
}

// AppendOrder relies on SQLite's order: NULL before everything else.
func (SQLite) AppendOrder(dst []byte, _ *Column, descending bool) []byte {
	if descending {
		return append(dst, " DESC"...)
	}
	return dst
}

// Limit returns the number: a negative one is no limit.
func (SQLite) Limit(limit int) any { return int64(limit) }

// AppendLimit appends a sum: SQLite would plan a statement anew whenever a bare parameter of LIMIT is bound, even to the same
// value; a sum it does not look into.
func (SQLite) AppendLimit(dst []byte, param string) []byte {
	return append(append(append(dst, " LIMIT "...), param...), " + 0"...)
}

// AppendOffset appends a sum, for the same reason.
func (SQLite) AppendOffset(dst []byte, param string) []byte {
	return append(append(append(dst, " OFFSET "...), param...), " + 0"...)
}

// Lock is nothing: there is one writer.
func (SQLite) Lock() string { return "" }
