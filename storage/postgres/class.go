package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// Classes returns the stored classes, by name. See [storage.Adapter].
func (db *DB) Classes(ctx context.Context) ([]*schema.Class, error) {
	var classes []*schema.Class
	err := db.reading(ctx, func(ctx context.Context, s *session) error {
		classes = nil
		rows, err := s.conn.Query(ctx, `SELECT "className", "schema"::text FROM `+db.dialect.Table("_SCHEMA")+` ORDER BY "className" COLLATE "C"`)
		if err != nil {
			return err
		}
		var name, text string
		_, err = pgx.ForEachRow(rows, []any{&name, &text}, func() error {
			if strings.HasPrefix(name, "_") && !schema.IsSystem(name) { // of a newer Parse Server
				db.log.InfoContext(ctx, "a system class of another program is left alone", "class", name)
				return nil
			}
			class, err := unmarshal(name, text)
			classes = append(classes, class)
			return err
		})
		return err
	})
	if err != nil {
		return nil, wrap("Classes", "", err)
	}
	db.seenMu.Lock()
	defer db.seenMu.Unlock()
	clear(db.seen)
	for _, class := range classes {
		db.seen[class.Name] = class
	}
	return classes, nil
}

// orderKey is the member of a stored class that keeps the order of the fields of its indexes: a list of names by index.
const orderKey = "parleyIndexes"

// marshal returns what stands in _SCHEMA.
func marshal(class *schema.Class) (string, error) {
	m, err := parse.DecodeMap(schema.Marshal(class), values)
	if err != nil {
		return "", err
	}
	if len(class.Indexes) > 0 {
		orders := parse.NewMap()
		for name, index := range class.Indexes {
			list := make([]any, len(index))
			for i, f := range index {
				list[i] = f.Field
			}
			orders.Set(name, list)
		}
		m.Set(orderKey, orders)
		if indexes, ok := m.Get("indexes").(*parse.Map); ok { // Parse Server shows it only if it is stored
			indexes.Set(schema.IDIndex, parse.NewMap("_id", 1.0))
		}
	}
	return string(parse.Marshal(m)), nil
}

// unmarshal reads what marshal or Parse Server wrote.
func unmarshal(name, text string) (*schema.Class, error) {
	m, err := parse.DecodeMap([]byte(text), values)
	if err != nil {
		return nil, fmt.Errorf("%w: class %s: %w", errDamaged, name, err)
	}
	m.Set("className", name)
	class, err := schema.FromJSON(m)
	if err != nil {
		return nil, fmt.Errorf("%w: class %s: %w", errDamaged, name, err)
	}
	orders, _ := m.Get(orderKey).(*parse.Map)
	for index, fields := range class.Indexes {
		if orders == nil {
			break
		}
		order, _ := orders.Get(index).([]any)
		slices.SortStableFunc(fields, func(a, b schema.IndexField) int {
			return slices.Index(order, any(a.Field)) - slices.Index(order, any(b.Field))
		})
	}
	return class, nil
}

// SaveClass makes the stored class the given one. What the stored class has, but had not when this process last read or saved it, was
// added by another process in the meantime and stays. See [storage.Adapter].
func (db *DB) SaveClass(ctx context.Context, class *schema.Class) error {
	db.seenMu.Lock()
	base := db.seen[class.Name]
	db.seenMu.Unlock()
	var saved *schema.Class
	err := db.reading(ctx, func(ctx context.Context, s *session) error { // done twice is done once
		return s.atomically(ctx, func() (err error) {
			saved, err = db.saveClass(ctx, s, class, base)
			return err
		})
	})
	if err != nil {
		return wrap("SaveClass", class.Name, err)
	}
	db.seenMu.Lock()
	db.seen[class.Name] = saved
	db.seenMu.Unlock()
	return nil
}

// saveClass makes tables and columns before it takes hold of the stored class, as Parse Server does: the two wait for each other in one
// order, and what Parse Server stored meanwhile is not overwritten.
func (db *DB) saveClass(ctx context.Context, s *session, class, base *schema.Class) (*schema.Class, error) {
	if err := db.lockTables(ctx, s); err != nil {
		return nil, err
	}
	stored, err := db.storedClass(ctx, s, class.Name, "")
	if err != nil {
		return nil, err
	}
	for {
		merged, err := db.build(ctx, s, stored, class, base)
		if err != nil {
			return nil, err
		}
		held, err := db.storedClass(ctx, s, class.Name, " FOR UPDATE")
		if err != nil {
			return nil, err
		}
		if held == nil || stored != nil && held.Equal(stored) {
			class = merged
			break
		}
		stored = held // it cannot change again
	}
	if stored == nil && schema.IsVolatile(class.Name) && class.Equal(schema.New(class.Name)) {
		return class, nil // Parse Server keeps no row of it, and would show it among the schemas
	}
	text, err := marshal(class)
	if err != nil {
		return nil, err
	}
	if strings.Contains(text, `\u0000`) {
		return nil, &storage.Error{Kind: storage.Unsupported, Op: "postgres.SaveClass", Class: class.Name, Err: errors.New("a default value with the character U+0000")}
	}
	if _, err := s.exec(ctx, "INSERT INTO "+db.dialect.Table("_SCHEMA")+` ("className", "schema", "isParseClass") VALUES ($1, $2, true)
		ON CONFLICT ("className") DO UPDATE SET "schema" = excluded."schema", "isParseClass" = true`, class.Name, text); err != nil {
		return nil, err
	}
	return class, s.notify(ctx, db.sender)
}

// build makes tables, columns and indexes those of the class, and returns it with what others added to the stored one.
func (db *DB) build(ctx context.Context, s *session, stored, class, base *schema.Class) (*schema.Class, error) {
	if stored != nil {
		var gone []string
		class, gone = sqlgen.Merge(stored, class, base)
		for _, name := range gone {
			if err := db.dropField(ctx, s, stored, name); err != nil {
				return nil, err
			}
		}
		for name, index := range stored.Indexes {
			if !slices.Equal(index, class.Indexes[name]) {
				if err := db.dropIndex(ctx, s, sqlgen.NewLayout(db.dialect, class), name); err != nil {
					return nil, err
				}
			}
		}
	}
	if err := db.ensureTable(ctx, s, sqlgen.NewLayout(db.dialect, class)); err != nil {
		return nil, err
	}
	for name, f := range class.Fields {
		if f.Type == schema.Relation {
			if err := db.ensureTable(ctx, s, sqlgen.NewLayout(db.dialect, schema.JoinClass(class.Name, name))); err != nil {
				return nil, err
			}
		}
	}
	return class, nil
}

// storedClass returns the class as it is in the database, nil when it is not there; hold is "" or " FOR UPDATE".
func (db *DB) storedClass(ctx context.Context, s *session, name, hold string) (*schema.Class, error) {
	var text string
	err := s.row(ctx, `SELECT "schema"::text FROM `+db.dialect.Table("_SCHEMA")+` WHERE "className" = $1`+hold, []any{name}, &text)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return unmarshal(name, text)
}

// dropField removes a field with its values; of a Relation its members. Indexes on it go with it.
func (db *DB) dropField(ctx context.Context, s *session, class *schema.Class, name string) error {
	if class.Fields[name].Type == schema.Relation {
		return db.dropTable(ctx, s, parse.JoinClass(name, class.Name))
	}
	layout := sqlgen.NewLayout(db.dialect, class)
	column, ok := layout.Column(name)
	if !ok {
		return nil
	}
	return s.script(ctx, "ALTER TABLE IF EXISTS "+layout.Table+" DROP COLUMN IF EXISTS "+column.Name())
}

func duplicateIndex(ix sqlgen.Index, err error) error {
	return &storage.Error{Kind: storage.Duplicate, Op: "postgres.SaveClass", Fields: ix.Fields, Err: fmt.Errorf("index %s: %w", ix.Name, err)}
}

// DropClass removes a class. See [storage.Adapter].
func (db *DB) DropClass(ctx context.Context, class string) error {
	err := db.reading(ctx, func(ctx context.Context, s *session) error {
		return s.atomically(ctx, func() error { return db.dropClass(ctx, s, class) })
	})
	if err != nil {
		return wrap("DropClass", class, err)
	}
	db.layouts.Delete(class)
	db.seenMu.Lock()
	delete(db.seen, class)
	db.seenMu.Unlock()
	return nil
}

func (db *DB) dropClass(ctx context.Context, s *session, class string) error {
	if err := db.lockTables(ctx, s); err != nil {
		return err
	}
	tables, err := db.joins(ctx, s, class)
	if err != nil {
		return err
	}
	stored, err := db.storedClass(ctx, s, class, "")
	if err != nil {
		return err
	}
	if stored != nil { // tables with a long name do not tell their class
		for name, f := range stored.Fields {
			if f.Type == schema.Relation {
				tables = append(tables, parse.JoinClass(name, class))
			}
		}
	}
	for _, name := range append(tables, class) {
		if err := db.dropTable(ctx, s, name); err != nil {
			return err
		}
	}
	if _, err := s.exec(ctx, "DELETE FROM "+db.dialect.Table("_SCHEMA")+` WHERE "className" = $1`, class); err != nil {
		return err
	}
	return s.notify(ctx, db.sender)
}
