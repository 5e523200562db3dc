package postgres

import (
	"context"
	"slices"

	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// adopt gives to tables that Parse Server made what Parley relies on: join tables an objectId, users names that are unique without
// case. On a database that has it all, or has no tables yet, it only looks.
func (db *DB) adopt(ctx context.Context, s *session) error {
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

// lacking returns the classes whose tables lack something.
func (db *DB) lacking(ctx context.Context, s *session) ([]string, error) {
	classes, err := s.names(ctx, `SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname LIKE '\_Join:%'
		AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'objectId' AND NOT a.attisdropped)`, db.dialect.Schema)
	if err != nil {
		return nil, err
	}
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
			if ix, ok := layout.UniqueIndex(u); ok && len(have) > 0 && !slices.Contains(have, unquote(ix.SQLName)) {
				classes = append(classes, name)
				break
			}
		}
	}
	return classes, nil
}
