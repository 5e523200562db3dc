package sqlite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"zombiezen.com/go/sqlite"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// Classes returns the stored classes, by name. See [storage.Adapter].
func (db *DB) Classes(ctx context.Context) ([]*schema.Class, error) {
	// Names of other processes may have come with their classes. They are read first: an alias is never taken away from a class that exists.
	var classes []*schema.Class
	err := db.read(ctx, func(c *conn) error {
		if err := db.loadAliases(c); err != nil {
			return err
		}
		classes = nil
		return c.run(&sqlgen.Statement{SQL: `SELECT "schema" FROM "_SCHEMA" ORDER BY "className"`}, func(stmt *sqlite.Stmt) (bool, error) {
			class, err := schema.Unmarshal(c.bytes(stmt, 0))
			if err != nil {
				return false, fmt.Errorf("%w: a class: %w", errDamaged, err)
			}
			classes = append(classes, class)
			return true, nil
		})
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

// SaveClass makes the stored class the given one. What the stored class has, but had not when this process last read or saved it, was
// added by another process in the meantime and stays. See [storage.Adapter].
func (db *DB) SaveClass(ctx context.Context, class *schema.Class) error {
	var saved *schema.Class
	db.seenMu.Lock()
	base := db.seen[class.Name]
	db.seenMu.Unlock()
	err := db.writer.do(ctx, &job{steps: true, run: func(c *conn) (err error) {
		saved, err = db.saveClass(c, class, base)
		return err
	}})
	if err != nil {
		// Aliases that were made for it are gone with the savepoint.
		_ = db.read(context.WithoutCancel(ctx), db.loadAliases)
		return wrap("SaveClass", class.Name, err)
	}
	db.seenMu.Lock()
	db.seen[class.Name] = saved
	db.seenMu.Unlock()
	return nil
}

func (db *DB) saveClass(c *conn, class, base *schema.Class) (*schema.Class, error) {
	stored, err := c.storedClass(class.Name)
	if err != nil {
		return nil, err
	}
	var gone []string
	if stored != nil {
		class, gone = sqlgen.Merge(stored, class, base)
	}
	for _, name := range gone {
		if err := db.dropField(c, stored, name); err != nil {
			return nil, err
		}
	}
	if err := db.makeAliases(c, class); err != nil {
		return nil, err
	}
	layout := sqlgen.NewLayout(sqlgen.SQLite{Aliases: *db.aliases.Load()}, class)
	if err := db.ensureTable(c, layout); err != nil {
		return nil, err
	}
	if err := c.syncIndexes(layout); err != nil {
		return nil, err
	}
	for name, f := range class.Fields {
		if f.Type == schema.Relation {
			join := schema.JoinClass(class.Name, name)
			if err := db.makeAliases(c, join); err != nil {
				return nil, err
			}
			if err := db.ensureTable(c, sqlgen.NewLayout(sqlgen.SQLite{Aliases: *db.aliases.Load()}, join)); err != nil {
				return nil, err
			}
		}
	}
	return class, c.run(&sqlgen.Statement{
		SQL:  `INSERT INTO "_SCHEMA" ("className", "schema") VALUES (?1, ?2) ON CONFLICT ("className") DO UPDATE SET "schema" = ?2`,
		Args: []any{class.Name, string(schema.Marshal(class))},
	}, nil)
}

// storedClass returns the class as it is in the database, nil when it is not there.
func (c *conn) storedClass(name string) (class *schema.Class, err error) {
	st := &sqlgen.Statement{SQL: `SELECT "schema" FROM "_SCHEMA" WHERE "className" = ?1`, Args: []any{name}}
	err = c.run(st, func(stmt *sqlite.Stmt) (bool, error) {
		if class, err = schema.Unmarshal(c.bytes(stmt, 0)); err != nil {
			return false, fmt.Errorf("%w: class %s: %w", errDamaged, name, err)
		}
		return false, nil
	})
	return class, err
}

// dropField removes a field with its values; of a Relation its members.
func (db *DB) dropField(c *conn, class *schema.Class, name string) error {
	if class.Fields[name].Type == schema.Relation {
		return db.dropTable(c, parse.JoinClass(name, class.Name))
	}
	layout := sqlgen.NewLayout(sqlgen.SQLite{Aliases: *db.aliases.Load()}, class)
	have, err := c.columns(layout)
	if err != nil || have == nil {
		return err
	}
	// SQLite refuses to drop a column that an index is on.
	smaller := class.Clone()
	delete(smaller.Fields, name)
	if err := c.syncIndexes(sqlgen.NewLayout(layout.Dialect, smaller)); err != nil {
		return err
	}
	column, ok := layout.Column(name)
	if !ok {
		return nil
	}
	for _, sqlName := range column.Names {
		if have[sqlName] {
			if err := c.script("ALTER TABLE " + layout.Table + " DROP COLUMN " + sqlName); err != nil {
				return err
			}
		}
	}
	path := layout.Dialect.MemberPath(name)
	extra := layout.Extra().Name()
	forget := &sqlgen.Statement{Args: []any{path}, SQL: "UPDATE " + layout.Table + " SET " + extra + " = " +
		string(layout.Dialect.AppendWithout(nil, []string{"?1"})) + " WHERE " + extra + " IS NOT NULL"}
	if err := c.run(forget, nil); err != nil {
		return err
	}
	return db.dropAlias(c, class.Name, name)
}

// ensureTable makes the table of a class, and the columns and indexes that it lacks.
func (db *DB) ensureTable(c *conn, layout *sqlgen.Layout) error {
	have, err := c.columns(layout)
	if err != nil {
		return err
	}
	if have == nil {
		if err := c.script(layout.CreateTable()); err != nil {
			return err
		}
	} else {
		for i := range layout.Columns {
			column := &layout.Columns[i]
			if have[column.Name()] {
				continue
			}
			if err := c.script(layout.AddColumn(column)...); err != nil {
				return err
			}
		}
	}
	for _, ix := range layout.Indexes() {
		if err := c.script(ix.Create); err != nil {
			return indexError(ix, err)
		}
	}
	return nil
}

// indexError names the fields of a unique index that could not be made.
func indexError(ix sqlgen.Index, err error) error {
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultConstraint {
		return &storage.Error{Kind: storage.Duplicate, Op: "sqlite.SaveClass", Fields: ix.Fields, Err: fmt.Errorf("index %s: %w", ix.Name, err)}
	}
	return err
}

// columns returns the quoted names of the columns that the table of a class has, nil when there is no table.
func (c *conn) columns(layout *sqlgen.Layout) (map[string]bool, error) {
	rows, err := c.query("SELECT name FROM pragma_table_info(?1)", unquote(layout.Table))
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	have := make(map[string]bool, len(rows))
	for _, row := range rows {
		have[sqlgen.Quote(row[0])] = true
	}
	return have, nil
}

func unquote(name string) string {
	return strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
}

// actual returns the layout without the fields that the table lacks, nil when there is no table.
func (c *conn) actual(layout *sqlgen.Layout) (*sqlgen.Layout, error) {
	have, err := c.columns(layout)
	if err != nil || have == nil {
		return nil, err
	}
	return layout.Only(func(column *sqlgen.Column) bool { return have[column.Name()] }), nil
}

// syncIndexes makes the indexes of a table those of the class.
func (c *conn) syncIndexes(layout *sqlgen.Layout) error {
	rows, err := c.query("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL", unquote(layout.Table))
	if err != nil {
		return err
	}
	wanted := map[string]sqlgen.Index{}
	for _, ix := range layout.Indexes() {
		wanted[ix.SQLName] = ix
	}
	for _, row := range rows {
		name := sqlgen.Quote(row[0])
		ix, ok := wanted[name]
		// SQLite keeps the statement as it was written, but for IF NOT EXISTS.
		if ok && strings.HasSuffix(ix.Create, row[1][strings.Index(row[1], " ON "):]) || isProviderIndex(row[0]) {
			delete(wanted, name)
			continue
		}
		if err := c.script("DROP INDEX " + name); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if err := c.script(wanted[name].Create); err != nil {
			return indexError(wanted[name], err)
		}
	}
	return nil
}

// isProviderIndex tells whether an index was made by ensureProviders.
func isProviderIndex(name string) bool {
	return strings.HasPrefix(name, schema.UserClass+"._User_unique_authData_")
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
// is not remembered: it may be part of a transaction that fails in the end.
func (c *conn) ensureProviders(layout *sqlgen.Layout, providers []string) error {
	for _, provider := range providers {
		ix, ok := layout.UniqueIndex(schema.AuthDataIndex(provider))
		if !ok {
			continue
		}
		known := false
		look := &sqlgen.Statement{SQL: "SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?1", Args: []any{unquote(ix.SQLName)}}
		err := c.run(look, func(*sqlite.Stmt) (bool, error) {
			known = true
			return false, nil
		})
		if err == nil && !known {
			err = c.script(ix.Create)
		}
		if err != nil {
			return indexError(ix, err)
		}
	}
	return nil
}

// DropClass removes a class. See [storage.Adapter].
func (db *DB) DropClass(ctx context.Context, class string) error {
	err := db.writer.do(ctx, &job{steps: true, run: func(c *conn) error {
		tables := []string{class}
		rows, err := c.query(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '\_Join:%' ESCAPE '\'`)
		if err != nil {
			return err
		}
		for _, row := range rows {
			name := db.classOf(row[0])
			if _, owner, ok := parse.SplitJoinClass(name); ok && owner == class {
				tables = append(tables, name)
			}
		}
		for _, name := range tables {
			if err := db.dropTable(c, name); err != nil {
				return err
			}
		}
		return c.run(&sqlgen.Statement{SQL: `DELETE FROM "_SCHEMA" WHERE "className" = ?1`, Args: []any{class}}, nil)
	}})
	if err != nil {
		return wrap("DropClass", class, errors.Join(err, db.read(context.WithoutCancel(ctx), db.loadAliases)))
	}
	db.layouts.Delete(class)
	db.seenMu.Lock()
	delete(db.seen, class)
	db.seenMu.Unlock()
	return nil
}

func (db *DB) dropTable(c *conn, class string) error {
	table := sqlgen.SQLite{Aliases: *db.aliases.Load()}.Table(class)
	if err := c.script("DROP TABLE IF EXISTS " + table); err != nil {
		return err
	}
	return db.dropAliases(c, class)
}
