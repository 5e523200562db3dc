package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// adopt gives to tables that Parse Server made what Parley relies on: join tables an objectId, users names that are unique without
// case. On a database that has it all, or has no tables yet, it only looks.
func (db *DB) adopt(ctx context.Context, s *session) error {
	var err error
	if db.dialect.Clipped, err = db.clipped(ctx, s); err != nil {
		return err
	}
	lacking, err := db.lacking(ctx, s)
	if err != nil || len(lacking) == 0 {
		return err
	}
	err = s.atomically(ctx, func() error {
		for _, class := range lacking {
			if err := db.ensureTable(ctx, s, sqlgen.NewLayout(db.dialect, schema.New(class))); err != nil {
				return err
			}
		}
		return nil
	})
	if codeOf(err) == "42501" { // it may be used as it is, only without these guarantees
		db.log.WarnContext(ctx, "the role of the database may not change tables that Parse Server made; names that differ in case are not refused", "err", err)
		return nil
	}
	return err
}

// clipped returns the classes and the fields with a name that is too long for PostgreSQL, which cuts it off, and whose tables and
// columns Parse Server made.
func (db *DB) clipped(ctx context.Context, s *session) (map[string]bool, error) {
	rows, err := s.conn.Query(ctx, `SELECT "className", "schema"::text FROM `+db.dialect.Table("_SCHEMA"))
	if err != nil {
		return nil, err
	}
	var long []string
	var fields [][2]string
	var name, text string
	_, err = pgx.ForEachRow(rows, []any{&name, &text}, func() error {
		names := []string{name}
		if class, err := unmarshal(name, text); err == nil { // otherwise Classes will tell
			for field, f := range class.Fields {
				if f.Type == schema.Relation {
					names = append(names, parse.JoinClass(field, name))
				} else if len(field) > longest {
					fields = append(fields, [2]string{name, field})
				}
			}
		}
		for _, n := range names {
			if len(n) > longest {
				long = append(long, n)
			}
		}
		return nil
	})
	found := map[string]bool{}
	for _, class := range long {
		theirs := db.dialect
		theirs.Clipped = map[string]bool{class: true}
		is := false
		if err == nil {
			err = s.row(ctx, "SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NULL", []any{theirs.Table(class), db.dialect.Table(class)}, &is)
		}
		if is {
			found[class] = true
		}
	}
	theirs := db.dialect
	theirs.Clipped = found
	for _, f := range fields {
		is := false
		if err == nil {
			err = s.row(ctx, `SELECT count(*) FILTER (WHERE attname::text = $2) = 1 AND count(*) FILTER (WHERE attname::text = $3) = 0
				FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass($1) AND NOT attisdropped`,
				[]any{theirs.Table(f[0]), f[1][:longest], unquote(db.dialect.Columns(f[0], f[1], schema.String)[0])}, &is)
		}
		if is {
			found[f[0]+"."+f[1]] = true
		}
	}
	return found, err
}

// longest is how many bytes of a name PostgreSQL keeps.
const longest = 63

// lacking returns the classes whose tables lack something.
func (db *DB) lacking(ctx context.Context, s *session) ([]string, error) {
	classes, err := s.names(ctx, `SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname LIKE '\_Join:%'
		AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'objectId' AND NOT a.attisdropped)`, db.dialect.Schema)
	if err != nil {
		return nil, err
	}
	classes = slices.DeleteFunc(classes, func(name string) bool { // of one that is cut off; it is seen to when it is used
		_, _, ok := parse.SplitJoinClass(name)
		return !ok
	})
	for _, name := range schema.SystemClasses() {
		layout := sqlgen.NewLayout(db.dialect, schema.New(name))
		unique := schema.UniqueIndexes(name)
		if len(unique) == 0 {
			continue
		}
		have, err := s.indexesOf(ctx, layout)
		if err != nil {
			return nil, err
		}
		for _, u := range unique {
			if ix, ok := layout.UniqueIndex(u); ok && len(have) > 0 && !slices.Contains(have, unquote(ix.SQLName)) && !db.unwanted(ix.Name) {
				classes = append(classes, name)
				break
			}
		}
	}
	return classes, nil
}
