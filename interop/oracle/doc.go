// Package oracle compares Parley with Parse Server 9.10.0, as npm installs it: `make oracle` runs its tests, `make test` does not.
//
// TestCorpus sends each exchange of conformance/testdata to Parse Server on PostgreSQL with PostGIS, to Parley on SQLite and to
// Parley on PostgreSQL. Parse Server has to answer as it is recorded, Parley as Parse Server does or, where the exchange lists a
// difference and its reason, as it is listed. Statuses, headers that matter and whole bodies count; see package conformance for
// what is taken for the same.
//
// TestHandOver has Parse Server fill a database and Parley go on with it, and the other way round. TestTogether has both serve
// one database at once.
package oracle
