package sqlgen

import (
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Postgres is the dialect of PostgreSQL, in the table layout that Parse Server 9.10.0 made there (measured):
//
//	Number    double precision           String, File, Pointer  text (the name of the file, the objectId)
//	Boolean   boolean                    Date                   timestamp with time zone
//	GeoPoint  point (longitude, latitude) Polygon               polygon of such points, the first one repeated at the end
//	Object, Array, Bytes  jsonb (Bytes as on the wire)           _rperm, _wperm  text[]
//
// What authentication providers know of a _User stands in one jsonb column "authData", by provider; a join table has
// the columns relatedId and owningId, which are its primary key. null is stored as a missing value.
//
// What Parse Server does not have is added so that it does not notice: join tables and _Hooks get a column objectId with a
// default, columns made by Parley have the collation "C", in which text is ordered by its code points.
type Postgres struct {
	// Schema is the schema of the tables; "public" if empty.
	Schema string
	// FoldCollation is the quoted name of a collation for Fold that knows the letters of all languages; the database's own if empty.
	FoldCollation string
	// Clipped are classes, and fields as class.field, with a long name whose table or column was made by Parse Server, under as much
	// of the name as PostgreSQL keeps.
	Clipped map[string]bool
}

// OldestPostgresDate is the first moment that PostgreSQL knows, in milliseconds; its last one lies beyond that of parse.Date.
const OldestPostgresDate = -210866803200000

// maxName is how long a name may be, in bytes: PostgreSQL cuts off the rest.
const maxName = 63

// short returns the name itself, or one that is not too long and tells it from others that begin alike.
func short(name string) string {
	if len(name) <= maxName {
		return name
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	end := maxName - 14
	for !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end] + "~" + strconv.FormatUint(h.Sum64(), 36)
}

// TableName returns the name of the table of a class, without quotes and schema.
func (d Postgres) TableName(class string) string {
	if d.Clipped[class] {
		return class[:maxName]
	}
	return short(class)
}

// Table returns the name of the class in the schema.
func (d Postgres) Table(class string) string { return d.qualified(d.TableName(class)) }

func (d Postgres) qualified(name string) string {
	if d.Schema == "" {
		return `"public".` + Quote(name)
	}
	return Quote(d.Schema) + "." + Quote(name)
}

// postgresColumns are the columns that every table has already.
var postgresColumns = []string{"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}

// Columns returns the name of the field; one that PostgreSQL has taken gets a tilde.
func (d Postgres) Columns(class, field string, _ schema.Type) []string {
	if len(field) > maxName && d.Clipped[class+"."+field] {
		return []string{Quote(field[:maxName])}
	}
	if slices.Contains(postgresColumns, field) {
		field += "~"
	}
	return []string{Quote(short(field))}
}

// Extra returns the column of what authentication providers know.
func (Postgres) Extra(class string) string {
	if class == schema.UserClass {
		return `"authData"`
	}
	return ""
}

// ExtraKey returns the name of an authentication provider.
func (Postgres) ExtraKey(field string) string {
	provider, _ := strings.CutPrefix(field, schema.AuthDataPrefix)
	if provider == field {
		return ""
	}
	return provider
}

// Nulls is false, as in Parse Server.
func (Postgres) Nulls() bool { return false }

// Member returns an expression of the type text, in the words of the index that Parse Server makes on the ids of a provider.
func (Postgres) Member(column string, path ...string) string {
	for i, name := range path {
		if name == "" || strings.ContainsAny(name, "\x00\\") {
			return ""
		}
		if i == len(path)-1 {
			column += "->>" + literal(name)
		} else {
			column += "->" + literal(name)
		}
	}
	return "(" + column + ")"
}

// AppendWithout appends the column: it holds nothing that goes away with a value.
func (d Postgres) AppendWithout(dst []byte, _ []string) []byte {
	return append(dst, d.Extra(schema.UserClass)...)
}

// MemberPath returns the name of the provider.
func (d Postgres) MemberPath(field string) string { return d.ExtraKey(field) }

// Fold returns the text in lower case.
func (d Postgres) Fold(column string) string {
	if d.FoldCollation != "" {
		column += " COLLATE " + d.FoldCollation
	}
	return "lower(" + column + ")"
}

// isTextArray tells whether a field is an array of strings to PostgreSQL too.
func isTextArray(field string) bool { return field == "_rperm" || field == "_wperm" }

// ColumnTypes returns one type.
func (Postgres) ColumnTypes(field string, t schema.Type) []string {
	switch t {
	case schema.Number:
		return []string{"double precision"}
	case schema.Boolean:
		return []string{"boolean"}
	case schema.Date:
		return []string{"timestamp with time zone"}
	case schema.GeoPoint:
		return []string{"point"}
	case schema.Polygon:
		return []string{"polygon"}
	case schema.Array:
		if isTextArray(field) {
			return []string{"text[]"}
		}
		return []string{"jsonb"}
	case schema.Object, schema.Bytes:
		return []string{"jsonb"}
	}
	return []string{`text COLLATE "C"`}
}

// Key makes objectId the primary key, but for a join table. Where Parse Server does not write an objectId, there is a default.
func (Postgres) Key(class, field string) (column, table string) {
	const generated = " NOT NULL DEFAULT gen_random_uuid()::text"
	switch {
	case field == "" && schema.IsJoin(class):
		return "", `PRIMARY KEY ("relatedId", "owningId")`
	case field != "objectId":
		return "", ""
	case schema.IsJoin(class):
		return generated, ""
	case class == "_Hooks":
		return generated + " PRIMARY KEY", ""
	}
	return " NOT NULL PRIMARY KEY", ""
}

// IndexName returns the name that Parse Server gives to an index of a system class, for the others the class and the name:
// those of all indexes and tables share one space. What Parse Server calls case_insensitive_… is not unique, so that ours has another name.
func (Postgres) IndexName(class, index string) string {
	if schema.IsSystem(class) && !strings.HasPrefix(index, "case_insensitive_") && !strings.Contains(index, ":") || schema.IsJoin(class) {
		return Quote(short(index))
	}
	return Quote(short(class + "." + index))
}

// IndexOn puts null first, as in the order of the query language. A GeoPoint has an index of its own kind, alone.
func (d Postgres) IndexOn(parts []IndexPart) string {
	var names []string
	for _, p := range parts {
		name := p.Column.Name()
		switch {
		case p.Column.Type == schema.GeoPoint && len(parts) == 1:
			return "USING gist (" + name + ")"
		case p.Column.Type == schema.GeoPoint:
			return ""
		case p.Column.Field == "objectId" && p.Descending:
			name += " DESC"
		case p.Column.Field == "objectId":
		case p.Descending:
			name += " DESC NULLS LAST"
		default:
			name += " NULLS FIRST"
		}
		names = append(names, name)
	}
	return "(" + strings.Join(names, ", ") + ")"
}

// Argument returns bool, time.Time, []string for an array of strings, and otherwise what it is given, a []byte as the JSON of the wire.
// It refuses the character U+0000, which PostgreSQL has neither in text nor in jsonb, and dates before the year -4713.
func (Postgres) Argument(column *Column, v any) (any, bool) {
	switch v := v.(type) {
	case int64:
		if column.Type == schema.Boolean {
			return v != 0, true
		}
		return time.UnixMilli(v).UTC(), v >= OldestPostgresDate
	case []byte:
		return string(parse.AppendJSON(nil, parse.Bytes(v))), true
	case string:
		switch {
		case column.Type == schema.Array && isTextArray(column.Field):
			return textArray(v)
		case column.Type == schema.Object || column.Type == schema.Array:
			return v, !escapesNUL(v) && strings.IndexByte(v, 0) < 0
		}
		return v, strings.IndexByte(v, 0) < 0
	}
	return v, true
}

// textArray returns the elements of a JSON array of strings.
func textArray(text string) (any, bool) {
	v, err := parse.Decode([]byte(text), parse.Limits{Values: true})
	list, ok := v.([]any)
	if err != nil || !ok {
		return nil, false
	}
	elements := make([]string, len(list))
	for i, e := range list {
		if elements[i], ok = e.(string); !ok || strings.IndexByte(elements[i], 0) >= 0 {
			return nil, false
		}
	}
	return elements, true
}

// escapesNUL tells whether JSON text holds the character U+0000, which it can only write as an escape.
func escapesNUL(json string) bool {
	for {
		i := strings.IndexByte(json, '\\')
		if i < 0 || i+1 >= len(json) {
			return false
		}
		if strings.HasPrefix(json[i:], `\u0000`) {
			return true
		}
		json = json[i+2:]
	}
}

// List returns a slice of strings, numbers, booleans or times.
func (Postgres) List(column *Column, values []any) any {
	switch column.Type {
	case schema.Number:
		return slice[float64](values)
	case schema.Boolean:
		return slice[bool](values)
	case schema.Date:
		return slice[time.Time](values)
	}
	return slice[string](values)
}

func slice[T any](values []any) []T {
	list := make([]T, len(values))
	for i, v := range values {
		list[i] = v.(T)
	}
	return list
}

// Ordered orders text by its code points, whatever the language of the database.
func (Postgres) Ordered(column *Column) string {
	switch column.Type {
	case schema.String, schema.File, schema.Pointer:
		return column.Name() + ` COLLATE "C"`
	}
	return column.Name()
}

func (Postgres) AppendParam(dst []byte, n int) []byte {
	return strconv.AppendInt(append(dst, '$'), int64(n), 10)
}

// AppendValue names the type, so that a statement which was prepared for a field of another type, dropped meanwhile, is another one.
func (d Postgres) AppendValue(dst []byte, column *Column, param string) []byte {
	name, _, _ := strings.Cut(d.ColumnTypes(column.Field, column.Type)[0], " COLLATE")
	return append(dst, param+"::"+name...)
}

func (Postgres) AppendIn(dst []byte, column *Column, param string) []byte {
	return append(dst, column.Name()+" = ANY("+param+")"...)
}

func (Postgres) AppendContains(dst []byte, column, param string) []byte {
	return append(dst, "position("+param+" in "+column+") > 0"...)
}

// Native says what an array holds.
func (d Postgres) Native(dst []byte, column *Column, c *query.Constraint, argument func(any) string) (sql []byte, exact, ok bool) {
	if column.Type != schema.Array || c.Key != column.Field {
		return dst, false, false
	}
	if isTextArray(column.Field) {
		return appendTextArray(dst, column.Name(), c, argument)
	}
	switch c.Op {
	case query.Eq:
		return appendHolds(dst, column.Name(), c.Arg, argument)
	case query.All:
		return appendHoldsAll(dst, column.Name(), c.Arg, argument)
	case query.In:
		return appendHoldsAny(dst, column.Name(), c.Arg, argument)
	}
	return dst, false, false
}

// appendTextArray appends a condition on an array of strings.
func appendTextArray(dst []byte, name string, c *query.Constraint, argument func(any) string) (sql []byte, exact, ok bool) {
	operator, values := " && ", []any{c.Arg}
	switch c.Op {
	case query.Eq:
		if c.Arg == nil {
			return append(dst, name+" IS NULL"...), true, true
		}
	case query.In, query.All:
		if values, ok = c.Arg.([]any); !ok {
			return dst, false, false
		}
		if c.Op == query.All {
			operator = " @> "
		}
	default:
		return dst, false, false
	}
	list := make([]string, 0, len(values))
	for _, v := range values {
		s, isString := v.(string)
		switch {
		case isString && strings.IndexByte(s, 0) < 0:
			list = append(list, s)
		case c.Op != query.In || v != nil && !isString:
			return dst, false, false
		}
	}
	if c.Op == query.All && len(list) == 0 {
		return dst, false, false
	}
	return append(dst, name+operator+argument(list)...), true, true
}

// plain returns the JSON of a value whose equality is that of jsonb.
func plain(v any) (string, bool) {
	switch v := v.(type) {
	case nil, bool, float64:
	case string:
		if strings.IndexByte(v, 0) >= 0 {
			return "", false
		}
	default:
		return "", false
	}
	return string(parse.AppendJSON(nil, v)), true
}

// appendHolds appends that an array has an element. A pointer may be stored with more members than those that tell it.
func appendHolds(dst []byte, name string, v any, argument func(any) string) (sql []byte, exact, ok bool) {
	if o, isObject := v.(*parse.Object); isObject {
		v = o.Pointer()
	}
	if p, isPointer := v.(parse.Pointer); isPointer && strings.IndexByte(p.ObjectID, 0) < 0 {
		part := parse.AppendJSON(nil, []any{parse.NewMap("objectId", p.ObjectID)})
		return append(dst, name+" @> "+argument(string(part))...), false, true
	}
	text, ok := plain(v)
	if !ok {
		return dst, false, false
	}
	if v == nil {
		return append(dst, "("+name+" IS NULL OR "+name+" @> "+argument(text)+")"...), true, true
	}
	return append(dst, name+" @> "+argument(text)...), true, true
}

// appendHoldsAll appends that an array has all elements of a list.
func appendHoldsAll(dst []byte, name string, v any, argument func(any) string) (sql []byte, exact, ok bool) {
	list, _ := v.([]any)
	for _, e := range list {
		if _, ok := plain(e); !ok || e == nil {
			return dst, false, false
		}
	}
	if len(list) == 0 {
		return dst, false, false
	}
	return append(dst, name+" @> "+argument(string(parse.AppendJSON(nil, list)))...), true, true
}

// appendHoldsAny appends that an array has one of some strings, or null.
func appendHoldsAny(dst []byte, name string, v any, argument func(any) string) (sql []byte, exact, ok bool) {
	list, _ := v.([]any)
	var texts []string
	null := false
	for _, e := range list {
		s, isString := e.(string)
		if e != nil && (!isString || strings.IndexByte(s, 0) >= 0) {
			return dst, false, false
		}
		if e == nil {
			null = true
			continue
		}
		texts = append(texts, s)
	}
	if len(texts) == 0 {
		return dst, false, false
	}
	condition := name + " ?| " + argument(texts)
	if null {
		condition = "(" + condition + " OR " + name + " @> " + argument("null") + ")"
	}
	return append(dst, condition...), true, true
}

// AppendBox says it twice: exactly, and so that the index on the column helps.
func (Postgres) AppendBox(dst []byte, column *Column, south, north, west, east string) []byte {
	name := column.Name()
	return append(dst, "("+name+" <@ box(point("+west+", "+south+"), point("+east+", "+north+")) AND "+
		name+"[1] BETWEEN "+south+" AND "+north+" AND "+name+"[0] BETWEEN "+west+" AND "+east+")"...)
}

func (Postgres) AppendPlace(dst []byte, column *Column, latitude, longitude string) []byte {
	return append(dst, "("+column.Name()+"[1] = "+latitude+" AND "+column.Name()+"[0] = "+longitude+")"...)
}

func (Postgres) AppendSum(dst []byte, column, param string) []byte {
	return append(dst, "COALESCE("+column+", 0) + "+param...)
}

// Asks is false: PostgreSQL finds what may match, and the adapter chooses.
func (Postgres) Asks() bool { return false }

// AppendTest is not called.
func (Postgres) AppendTest(dst []byte, _ *Column, _ string) []byte { return append(dst, "TRUE"...) }

// AppendKey is not called.
func (Postgres) AppendKey(dst []byte, _ *Column, _ string) []byte { return append(dst, "NULL"...) }

// AppendDistance appends the haversine formula of query.Radians.
func (Postgres) AppendDistance(dst []byte, column *Column, latitude, longitude string) []byte {
	lat, lng := column.Name()+"[1]", column.Name()+"[0]"
	return append(dst, "asin(sqrt(least(1, power(sin(radians("+lat+" - "+latitude+"::float8) / 2), 2) + cos(radians("+latitude+"::float8)) * cos(radians("+lat+
		")) * power(sin(radians("+lng+" - "+longitude+"::float8) / 2), 2)))) * 2"...)
}

// AppendOrder puts null first, which PostgreSQL would put last. An objectId is never null.
func (Postgres) AppendOrder(dst []byte, column *Column, descending bool) []byte {
	switch {
	case column != nil && column.Field == "objectId" && descending:
		return append(dst, " DESC"...)
	case column != nil && column.Field == "objectId":
		return dst
	case descending:
		return append(dst, " DESC NULLS LAST"...)
	}
	return append(dst, " NULLS FIRST"...)
}

// Limit returns nil for none.
func (Postgres) Limit(limit int) any {
	if limit < 0 {
		return nil
	}
	return int64(limit)
}

func (Postgres) AppendLimit(dst []byte, param string) []byte {
	return append(append(dst, " LIMIT "...), param...)
}

func (Postgres) AppendOffset(dst []byte, param string) []byte {
	return append(append(dst, " OFFSET "...), param...)
}

// Lock locks the rows against other writers.
func (Postgres) Lock() string { return " FOR UPDATE" }

// RowID is objectId: a row that another changes meanwhile gets another ctid.
func (Postgres) RowID() string { return `"objectId"` }

func (Postgres) TableOptions() string { return "" }
