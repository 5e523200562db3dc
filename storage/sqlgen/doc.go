// Package sqlgen turns a query ([query.Node], [query.Find]) or a write, and the fields of a class, into SQL text and
// arguments. It opens no database: an adapter runs what it makes, and a [Dialect] says how one database writes it.
//
// The meaning is that of query.Match, which is MongoDB's: null and missing fields are equal but for $exists, an array
// matches when one of its elements does, values of different types are never less or greater, and what does not hold is
// false and never unknown, so that $nor is its exact opposite.
//
// Whatever a client sent becomes an argument, never text: the text names only tables, columns and functions. Two queries
// of one shape have the same text, so that a prepared statement serves both.
//
// A constraint that SQL's own operators cannot say with that meaning (a regular expression, a polygon, a path into an
// Object) is handed to the database as a [Test], beside conditions that are cheap and never exclude a match (a range of
// the column, a box around the circle), so that an index still helps.
//
// layout.go where the fields of a class are stored; dialect.go what differs between databases, sqlite.go for SQLite;
// select.go find and count; where.go conditions; list.go In and its relatives; test.go tests and what stands before
// them; geo.go places; prefix.go text prefixes; order.go sort keys; write.go insert, update, delete; ddl.go tables and indexes.
package sqlgen
