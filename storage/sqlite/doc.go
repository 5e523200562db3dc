// Package sqlite stores the objects of an application in one SQLite file.
//
// Each class is a table with a column for each field, in the types of [sqlgen.SQLite]: Number REAL, String TEXT, Boolean
// and Date (milliseconds) INTEGER, Pointer TEXT (the objectId alone), File TEXT (its name), Bytes BLOB, GeoPoint two REAL
// columns, Object, Array and Polygon TEXT (the JSON of the wire). The column _extra holds, as one JSON object, what has no column:
// fields that are null and not missing, and the _auth_data_<provider> fields of _User. The table _SCHEMA holds the
// classes as package schema writes them, _ALIAS the names of tables and columns whose own name was taken by one that differs
// only in case.
//
// All writes go through one goroutine. Writes that wait for it share a transaction and its fsync, each in a savepoint of
// its own; they are acknowledged when the transaction is on disk (WAL, synchronous=FULL). Reads run on connections of
// their own, in parallel with each other and with the writer, and see whatever was acknowledged before they began.
//
// Other processes may open the same file, also other versions of Parley as long as its format is the same.
//
// sqlite.go opening and closing; conn.go one connection; functions.go what SQL asks of Go; row.go columns <-> values;
// reader.go the pool of readers; writer.go the writer and its groups; find.go, write.go, tx.go the methods of the store;
// class.go the schema; alias.go names that differ in case; backup.go copies; errors.go what an error of SQLite means.
package sqlite
