// Package postgres stores the objects of an application in a PostgreSQL database, in the table layout of Parse Server 9, so that
// Parley opens a database that Parse Server wrote, and the other way round. The types of the columns are those of [sqlgen.Postgres].
//
//	db, err := postgres.Open(ctx, postgres.Config{URI: "postgres://parley:secret@localhost:5432/parley"})
//
// What was measured on Parse Server 9.10.0 with PostgreSQL 15, and is kept:
//
//   - "_SCHEMA" ("className", schema jsonb, "isParseClass") holds a row for each class, with _rperm, _wperm and, for _User, _hashed_password
//     in place of ACL and password. Volatile classes have a table but no row. jsonb forgets the order of the fields of an index; it stands
//     besides in the member parleyIndexes, which Parse Server neither reads nor removes.
//   - "_Join:field:Class" ("relatedId", "owningId"), both together the primary key, without an objectId.
//   - One column "authData" jsonb in _User, by provider; null in a field is not stored; Bytes is jsonb as on the wire; places have
//     the longitude first.
//   - _Hooks has no objectId, _GlobalConfig no createdAt and updatedAt.
//   - Indexes have the plain name that the schema gives them; those without case are not unique.
//
// What is missing there is added when the database is opened, or the table is used for the first time: a column with a default, which Parse Server does not see
// because it names the columns that it writes.
//
// The meaning of a query is that of package query. What SQL says with that meaning is left to PostgreSQL; of the rest it
// finds a superset, in order, and query.Match decides row by row, before skip and limit. An update is one statement where it
// can be, otherwise it reads the rows FOR UPDATE and writes them in one transaction.
//
// A string with the character U+0000 and a date before the year -4713 cannot be stored in PostgreSQL: the write is refused as
// Unsupported, and nothing of it is stored. A query for one finds nothing.
//
// A write whose connection breaks before the answer is Unavailable: whether PostgreSQL had already committed it, nobody knows. What
// was acknowledged is stored. Reads are tried once more on another connection, writes only where nothing had been sent.
//
// postgres.go opening and closing; adopt.go what Parse Server made; session.go connections; row.go columns -> values; find.go reading; write.go, tx.go writing; class.go
// the schema; watch.go what other nodes change; table.go tables and indexes; errors.go what an error of PostgreSQL means.
package postgres
