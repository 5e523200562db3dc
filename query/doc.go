// Package query is the language of `where`, `order`, `keys` and `include`: it parses the JSON form into a tree,
// checks the tree against the fields of a class, matches an object against it, and prints it canonically.
// It knows no database; package sqlgen turns the same tree into SQL.
//
// ast.go the tree; parse.go JSON -> tree; operators.go the table of operators; check.go tree against class;
// match.go tree against object; compare.go the order of values; print.go tree -> canonical JSON;
// geo.go, regex.go, text.go, relativetime.go what those operators mean; pipeline*.go aggregation.
package query
