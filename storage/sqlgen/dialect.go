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
	// Extra returns the quoted name of the column that holds, as one JSON object, what has no column of its own: fields that
	// are null and not missing, and internal fields with a name of their own (_auth_data_x). "" when there is none.
	Extra() string
	// Member returns the expression of a member of a JSON column, by its path; "" for a path that cannot be written.
	Member(column string, path ...string) string
	// AppendWithout appends the expression of the extra column without the fields whose names are the parameters.
	AppendWithout(dst []byte, params []string) []byte
	// MemberPath returns the argument that names a field in AppendWithout.
	MemberPath(field string) string
	// Fold returns the expression of a String column in which letters of both cases are equal.
	Fold(column string) string

	// ColumnTypes returns the SQL types of the columns of a field.
	ColumnTypes(t schema.Type) []string
	// IndexName returns the quoted name of an index.
	IndexName(class, index string) string

	// AppendParam appends the n-th parameter, counted from 1.
	AppendParam(dst []byte, n int) []byte
	// AppendIn appends the condition that a column is one of the values of a [List], which is the given parameter.
	AppendIn(dst []byte, column *Column, param string) []byte
	// AppendContains appends the condition that the text of a column contains the text of the parameter.
	AppendContains(dst []byte, column, param string) []byte
	// AppendTest appends the condition that a column passes a [Test], which is the given parameter.
	AppendTest(dst []byte, column *Column, param string) []byte
	// AppendKey appends the expression that a [Key], which is the given parameter, orders a column by, with its collation.
	AppendKey(dst []byte, column *Column, param string) []byte
	// AppendDistance appends the distance in radians between a GeoPoint column and the place of two parameters.
	AppendDistance(dst []byte, column *Column, latitude, longitude string) []byte
	// AppendOrder appends the direction of a sort key; null and missing values come first when it ascends.
	AppendOrder(dst []byte, descending bool) []byte
	// RowID is what names an object of a table fastest.
	RowID() string
	// TableOptions stand behind the columns of CREATE TABLE.
	TableOptions() string
}

// Statement is SQL text with its arguments. An argument is nil, int64, float64, string, []byte, a [List], a *[Test]
// or a *[Key]; the n-th belongs to the n-th parameter.
type Statement struct {
	SQL  string
	Args []any
	// Columns are what a SELECT or a RETURNING yields, in order; after them stands the extra column, if the dialect has one.
	Columns []*Column
	// Keep, if set, tells which of the fields in the extra column were asked for.
	Keep func(field string) bool
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
