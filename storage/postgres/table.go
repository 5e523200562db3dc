package postgres

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// tablesLock is the number of the advisory lock of those who change tables: "parley" in ASCII.
const tablesLock = 0x7061726c6579

// AuthDataIndexes names all indexes on the ids that authentication providers give, for Config.NoIndex.
const AuthDataIndexes = "authData"

// unwanted tells whether an index of a system class is not to be made.
func (db *DB) unwanted(index string) bool {
	if strings.HasPrefix(index, "_User_unique_authData_") {
		index = AuthDataIndexes
	}
	return slices.Contains(db.cfg.NoIndex, index)
}

// lockTables waits until no other node changes tables, until the end of the transaction. To make an index may take as long as it takes.
func (db *DB) lockTables(ctx context.Context, s *session) error {
	return s.script(ctx, "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = "+strconv.FormatInt(db.cfg.LockTimeout.Milliseconds(), 10)+
		"; SELECT pg_advisory_xact_lock("+strconv.FormatInt(tablesLock, 10)+")")
}

// columns returns the quoted names of the columns that the table of a class has, nil when there is no table.
func (s *session) columns(ctx context.Context, layout *sqlgen.Layout) (map[string]bool, error) {
	names, err := s.names(ctx, `SELECT attname::text FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`, layout.Table)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	have := make(map[string]bool, len(names))
	for _, name := range names {
		have[sqlgen.Quote(name)] = true
	}
	return have, nil
}

// actual returns the layout without the fields that the table lacks, nil when there is no table, or one that was never used by Parley:
// it may hold objects without an objectId, which get theirs now.
func (s *session) actual(ctx context.Context, layout *sqlgen.Layout) (*sqlgen.Layout, error) {
	have, err := s.columns(ctx, layout)
	if err != nil || have == nil {
		return nil, err
	}
	id, _ := layout.Column("objectId")
	if !have[id.Name()] {
		if err := s.script(ctx, strings.Join(layout.AddColumn(id), ";")); err != nil && codeOf(err) != "42701" { // another was faster
			return nil, err
		}
		have[id.Name()] = true
	}
	return layout.Only(func(column *sqlgen.Column) bool { return have[column.Name()] }), nil
}

// ensureTable makes the table of a class, and the columns and indexes that it lacks. It runs in a transaction.
func (db *DB) ensureTable(ctx context.Context, s *session, layout *sqlgen.Layout) error {
	if err := db.lockTables(ctx, s); err != nil {
		return err
	}
	have, err := s.columns(ctx, layout)
	if err != nil {
		return err
	}
	if have == nil {
		if err := s.script(ctx, layout.CreateTable()); err != nil {
			return err
		}
		return db.ensureIndexes(ctx, s, layout, true)
	}
	var script []string
	for i := range layout.Columns {
		if column := &layout.Columns[i]; !have[column.Name()] {
			script = append(script, layout.AddColumn(column)...)
		}
	}
	if extra := layout.Extra(); extra != nil && !have[extra.Name()] {
		script = append(script, layout.AddColumn(extra)...)
	}
	if len(script) > 0 {
		if err := s.script(ctx, strings.Join(script, ";")); err != nil {
			return err
		}
	}
	return db.ensureIndexes(ctx, s, layout, false)
}

// indexesOf returns the names of the indexes of a table.
func (s *session) indexesOf(ctx context.Context, layout *sqlgen.Layout) ([]string, error) {
	return s.names(ctx, `SELECT c.relname::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = to_regclass($1)`, layout.Table)
}

// ensureIndexes makes the indexes that a table lacks. One that is there under its plain name, as Parse Server makes them, counts.
func (db *DB) ensureIndexes(ctx context.Context, s *session, layout *sqlgen.Layout, isNew bool) error {
	var have []string
	if !isNew {
		var err error
		if have, err = s.indexesOf(ctx, layout); err != nil {
			return err
		}
	}
	ci := caseless(layout.Class.Name)
	for _, ix := range layout.Indexes() {
		name := unquote(ix.SQLName)
		if slices.Contains(have, name) || !ci[ix.Name] && slices.Contains(have, ix.Name) {
			continue
		}
		if schema.IsJoin(layout.Class.Name) && !ix.Unique {
			continue // the primary key begins with the column
		}
		if db.unwanted(ix.Name) {
			continue
		}
		err := db.makeIndex(ctx, s, ix, ci[ix.Name] && !isNew)
		if err != nil {
			return err
		}
	}
	return nil
}

// caseless returns the names of the indexes that a class has by itself and that take no notice of case.
func caseless(class string) map[string]bool {
	names := map[string]bool{}
	for _, u := range schema.UniqueIndexes(class) {
		names[u.Name] = u.CaseInsensitive
	}
	return names
}

// makeIndex makes an index under its plain name if that is free, as Parse Server does and expects it. One without case over values that
// clash already, which Parse Server allows, is left out.
func (db *DB) makeIndex(ctx context.Context, s *session, ix sqlgen.Index, lenient bool) error {
	name := ix.SQLName
	if len(ix.Name) <= 63 && !ix.Unique && !strings.Contains(ix.Name, ":") && unquote(name) != ix.Name {
		free := false
		qualified := sqlgen.Quote(db.dialect.Schema) + "." + sqlgen.Quote(ix.Name)
		if err := s.row(ctx, "SELECT to_regclass($1) IS NULL", []any{qualified}, &free); err != nil {
			return err
		}
		if free {
			name = sqlgen.Quote(ix.Name)
		}
	}
	verb := "CREATE INDEX IF NOT EXISTS "
	if ix.Unique {
		verb = "CREATE UNIQUE INDEX IF NOT EXISTS "
	}
	script := verb + name + ix.On
	if !lenient {
		return indexError(ix, s.script(ctx, script))
	}
	if err := s.script(ctx, "SAVEPOINT parley_index"); err != nil {
		return err
	}
	err := s.script(ctx, script)
	if codeOf(err) == "23505" {
		db.log.WarnContext(ctx, "users differ only in the case of their letters; until that is mended new ones may, too", "index", ix.Name)
		return s.script(ctx, "ROLLBACK TO SAVEPOINT parley_index")
	}
	return indexError(ix, err)
}

// indexError names the fields of a unique index that could not be made.
func indexError(ix sqlgen.Index, err error) error {
	if codeOf(err) == "23505" {
		return duplicateIndex(ix, err)
	}
	return err
}

// dropIndex removes an index of a table, under whichever name it has.
func (db *DB) dropIndex(ctx context.Context, s *session, layout *sqlgen.Layout, index string) error {
	have, err := s.indexesOf(ctx, layout)
	if err != nil {
		return err
	}
	for _, name := range []string{index, unquote(db.dialect.IndexName(layout.Class.Name, index))} {
		if slices.Contains(have, name) {
			return s.script(ctx, "DROP INDEX IF EXISTS "+sqlgen.Quote(db.dialect.Schema)+"."+sqlgen.Quote(name))
		}
	}
	return nil
}

// appendProviders appends the authentication providers among the fields of a _User.
func appendProviders(list []string, class string, fields *parse.Map) []string {
	if class != schema.UserClass {
		return list
	}
	for key := range fields.All() {
		name, _, _ := strings.Cut(key, ".")
		provider, ok := strings.CutPrefix(name, schema.AuthDataPrefix)
		if ok && !slices.Contains(list, provider) {
			list = append(list, provider)
		}
	}
	return list
}

// ensureProviders makes the ids of authentication providers unique, before the first user of one is stored. That an index is there
// is remembered, unless it is part of a transaction that may fail in the end.
func (db *DB) ensureProviders(ctx context.Context, s *session, layout *sqlgen.Layout, providers []string) error {
	if db.unwanted(AuthDataIndexes) {
		return nil
	}
	for _, provider := range providers {
		if _, known := db.providers.Load(provider); known {
			continue
		}
		ix, ok := layout.UniqueIndex(schema.AuthDataIndex(provider))
		if !ok {
			continue
		}
		have, err := s.indexesOf(ctx, layout)
		if err == nil && len(have) > 0 && !slices.Contains(have, unquote(ix.SQLName)) {
			err = s.atomically(ctx, func() error {
				if err := db.lockTables(ctx, s); err != nil {
					return err
				}
				return indexError(ix, s.script(ctx, ix.Create))
			})
		}
		if err != nil {
			return err
		}
		if len(have) > 0 && !s.inTx {
			db.providers.Store(provider, true)
		}
	}
	return nil
}

// dropTable removes the table of a class.
func (db *DB) dropTable(ctx context.Context, s *session, class string) error {
	if class == schema.UserClass {
		db.providers.Clear()
	}
	return s.script(ctx, "DROP TABLE IF EXISTS "+db.dialect.Table(class))
}

// joins returns the join classes of a class whose tables are in the database.
func (db *DB) joins(ctx context.Context, s *session, class string) ([]string, error) {
	names, err := s.names(ctx, `SELECT tablename::text FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename LIKE '\_Join:%'`, db.dialect.Schema)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(names, func(name string) bool {
		_, owner, ok := parse.SplitJoinClass(name)
		return !ok || owner != class
	}), nil
}

// notify tells other nodes that classes changed: those that hear it ask for it by [DB.Watch]. It goes out with the commit.
func (s *session) notify(ctx context.Context, sender string) error {
	_, err := s.conn.Exec(ctx, "SELECT pg_notify($1, $2)", pgx.QueryExecModeExec, channel, `{"senderId":"`+sender+`"}`)
	return err
}
