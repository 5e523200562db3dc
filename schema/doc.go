// Package schema knows what a class looks like: its fields and their types, its class-level permissions,
// its indexes, the columns of the system classes, and which change of all that is legal.
// It holds no state and opens no database; [github.com/parley-backend/parley/internal/schemas] keeps the living schema.
package schema
