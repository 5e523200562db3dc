package sqlgen

import (
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Dialect is how one database writes what every query needs.
type Dialect interface {
	// Table returns the quoted name of the table of a class.
	Table(class string) string
	// Columns returns the quoted names of the columns of a field: one, or two for a GeoPoint.
	Columns(class, field string, t schema.Type) []string
	// Extra returns the quoted name of the column of a class that holds, as one JSON object, what has no column of its own: fields that
	// are null and not missing if the dialect keeps [Dialect.Nulls], and internal fields with a name of their own (_auth_data_x).
	// "" when there is none.
	Extra(class string) string
	// ExtraKey returns the name of a field in the extra column, "" when it cannot stand there.
	ExtraKey(field string) string
	// Nulls tells whether the extra column keeps null apart from missing. Otherwise a field that is null is stored as a missing one.
	Nulls() bool
	// Member returns the expression of a member of a JSON column, by its path; "" for a path that cannot be written.
	Member(column string, path ...string) string
	// AppendWithout appends the expression of the extra column without the fields whose names are the parameters.
	AppendWithout(dst []byte, params []string) []byte
	// MemberPath returns the argument that names a field in AppendWithout.
	MemberPath(field string) string
	// Fold returns the expression of a String column in which letters of both cases are equal.
	Fold(column string) string

	// ColumnTypes returns the SQL types of the columns of a field.
	ColumnTypes(field string, t schema.Type) []string
	// Key returns what stands behind the definition of a column in CREATE TABLE, and behind those of all columns.
	Key(class, field string) (column, table string)
	// IndexName returns the quoted name of an index.
	IndexName(class, index string) string
	// IndexOn returns what an index is on: a method, if not the usual one, and the parts in parentheses. "" if there is no such index.
	IndexOn(parts []IndexPart) string

	// Argument turns a value of the column (int64 for Boolean and Date, float64, string, []byte, a GeoPoint, a Polygon, JSON text in a
	// string for Object and Array) into the argument that the database takes. false if the column cannot hold it.
	Argument(column *Column, v any) (any, bool)
	// List turns values of a column, made by Argument, into one argument for AppendIn.
	List(column *Column, values []any) any
	// Ordered returns the expression of a column by which ranges and sort keys go.
	Ordered(column *Column) string

	// AppendParam appends the n-th parameter, counted from 1.
	AppendParam(dst []byte, n int) []byte
	// AppendValue appends a parameter that is stored in a column.
	AppendValue(dst []byte, column *Column, param string) []byte
	// AppendIn appends the condition that a column is one of the values of a [List], which is the given parameter.
	AppendIn(dst []byte, column *Column, param string) []byte
	// AppendContains appends the condition that the text of a column contains the text of the parameter.
	AppendContains(dst []byte, column, param string) []byte
	// Native appends a condition of the database's own for a constraint that package sqlgen would make a [Test] of; exact if it
	// means the same, otherwise no match fails it. It returns false when there is none. Arguments come from argument.
	Native(dst []byte, column *Column, c *query.Constraint, argument func(any) string) (sql []byte, exact, ok bool)
	// AppendBox appends the condition that a GeoPoint column lies in a box, its edges included: four parameters.
	AppendBox(dst []byte, column *Column, south, north, west, east string) []byte
	// AppendPlace appends the condition that a GeoPoint column is a place.
	AppendPlace(dst []byte, column *Column, latitude, longitude string) []byte
	// AppendSum appends the sum of a Number column, 0 where it has no value, and a parameter; nothing if updates of one statement do
	// not use it.
	AppendSum(dst []byte, column, param string) []byte
	// Asks tells whether the database asks the adapter about a [Test] and a [Key]. When it does not, a statement finds more than it
	// should, or in no order: see [Statement].
	Asks() bool
	// AppendTest appends the condition that a column passes a [Test], which is the given parameter.
	AppendTest(dst []byte, column *Column, param string) []byte
	// AppendKey appends the expression that a [Key], which is the given parameter, orders a column by, with its collation.
	AppendKey(dst []byte, column *Column, param string) []byte
	// AppendDistance appends the distance in radians between a GeoPoint column and the place of two parameters.
	AppendDistance(dst []byte, column *Column, latitude, longitude string) []byte
	// AppendOrder appends the direction of a sort key; null and missing values come first when it ascends. The column is nil
	// for a key that has none.
	AppendOrder(dst []byte, column *Column, descending bool) []byte
	// Limit returns the argument for a limit; it is negative for none.
	Limit(limit int) any
	// AppendLimit and AppendOffset append a parameter that is a LIMIT or OFFSET.
	AppendLimit(dst []byte, param string) []byte
	AppendOffset(dst []byte, param string) []byte
	// Lock stands behind a SELECT whose objects are about to be changed.
	Lock() string
	// RowID is what names an object of a table fastest.
	RowID() string
	// TableOptions stand behind the columns of CREATE TABLE.
	TableOptions() string
}

// Statement is SQL text with its arguments. An argument is nil, int64, float64, string, []byte, a *[Test], a *[Key], or what
// the dialect made of one; the n-th belongs to the n-th parameter.
type Statement struct {
	SQL  string
	Args []any
	// Layout is that of the class.
	Layout *Layout
	// Columns are what a SELECT or a RETURNING yields, in order; after them stands the extra column, if the dialect has one.
	Columns []*Column
	// Keep, if set, tells which of the fields that are read were asked for.
	Keep func(field string) bool
	// Filter: among what is found are objects that do not match. The adapter has to leave them out, and then to skip and to limit.
	Filter bool
	// Sort: what is found is in no order. The adapter has to sort it, and then to skip and to limit.
	Sort bool
}

// IndexPart is one column of an index.
type IndexPart struct {
	Column     *Column
	Descending bool
}

// List is an argument: a JSON array of numbers or strings, passed as one value.
type List string

// Test is an argument: a condition on one column that the database asks the adapter about.
type Test struct {
	Column *Column
	Where  *query.Constraint
}

// Key is an argument: a sort key that the database asks the adapter for.
type Key struct {
	Column *Column
	Order  query.Order
	// Score, for the order "$score", is the search whose rank is the key.
	Score *query.Constraint
}

// UnsupportedError says what cannot be asked of a database.
type UnsupportedError struct{ What string }

func (e *UnsupportedError) Error() string { return "cannot be written in SQL: " + e.What }
