package sqlgen

import (
	"hash/fnv"
	"strconv"
	"strings"

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

func (SQLite) Extra() string        { return `"_extra"` }
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

func (SQLite) ColumnTypes(t schema.Type) []string {
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

func (SQLite) AppendIn(dst []byte, column *Column, param string) []byte {
	dst = append(append(dst, column.Name()...), " IN (SELECT value FROM json_each("...)
	return append(append(dst, param...), "))"...)
}

func (SQLite) AppendContains(dst []byte, column, param string) []byte {
	dst = append(append(dst, "instr("...), column...)
	return append(append(append(dst, ", "...), param...), ") > 0"...)
}

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
func (SQLite) AppendOrder(dst []byte, descending bool) []byte {
	if descending {
		return append(dst, " DESC"...)
	}
	return dst
}
