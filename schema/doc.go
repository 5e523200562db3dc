// Package schema knows what a class looks like: its fields and their types, its class-level permissions,
// its indexes, the columns of the system classes, and which change of all that is legal.
// It holds no state and opens no database; [github.com/parley-backend/parley/internal/schemas] keeps the living schema.
//
// class.go the types; system.go the table of system classes; name.go what classes and fields may be called;
// check.go the type of a value, and value against class; evolve.go what a write adds to a class;
// define.go what the schema API makes of one; clp.go and index.go the permissions and indexes of such a request;
// json.go the forms in which answers and databases hold a class.
package schema
