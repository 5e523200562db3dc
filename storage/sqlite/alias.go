package sqlite

import (
	"maps"
	"strconv"
	"strings"

	"zombiezen.com/go/sqlite"

	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// To SQLite, "Game" and "game" are one table, and "score" and "Score" one column; to Parse they are not. The first has its own
// name, the others get an alias: the name with a number. Aliases are rare, so all of them are kept in memory; a process learns
// those of others together with the classes that need them.

// loadAliases reads all aliases.
func (db *DB) loadAliases(c *conn) error {
	aliases := map[[2]string]string{}
	err := c.run(&sqlgen.Statement{SQL: `SELECT "class", "field", "name" FROM "_ALIAS"`}, func(stmt *sqlite.Stmt) (bool, error) {
		aliases[[2]string{stmt.ColumnText(0), stmt.ColumnText(1)}] = stmt.ColumnText(2)
		return true, nil
	})
	if err == nil {
		db.setAliases(aliases)
	}
	return err
}

// setAliases changes what the names of tables and columns are. Layouts that were made of the old ones are forgotten.
func (db *DB) setAliases(aliases map[[2]string]string) {
	if maps.Equal(aliases, *db.aliases.Load()) {
		return
	}
	db.aliases.Store(&aliases)
	db.layouts.Clear()
}

// makeAliases gives aliases to a class and its fields where they need one.
func (db *DB) makeAliases(c *conn, class *schema.Class) error {
	rows, err := c.query("SELECT name FROM sqlite_schema WHERE type = 'table'")
	if err != nil {
		return err
	}
	tables := map[string]string{} // name as SQLite compares it -> class
	for _, row := range rows {
		tables[strings.ToLower(row[0])] = db.classOf(row[0])
	}
	aliases := maps.Clone(*db.aliases.Load())
	if err := alias(c, aliases, tables, class.Name, ""); err != nil {
		return err
	}
	layout := sqlgen.NewLayout(sqlgen.SQLite{Aliases: aliases}, class)
	have, err := c.columns(layout)
	if err != nil {
		return err
	}
	// A column keeps the name that it has.
	columns := map[string]string{"_extra": ""}
	for i := range layout.Columns {
		column := &layout.Columns[i]
		if name, ok := aliases[[2]string{class.Name, column.Field}]; ok {
			columns[strings.ToLower(name)] = column.Field
		} else if have[column.Name()] {
			columns[strings.ToLower(column.Field)] = column.Field
		}
	}
	for i := range layout.Columns { // objectId and its like come first
		if err := alias(c, aliases, columns, class.Name, layout.Columns[i].Field); err != nil {
			return err
		}
	}
	db.setAliases(aliases)
	return nil
}

// alias makes sure that a class, or a field of it, has a name that no other has.
func alias(c *conn, aliases map[[2]string]string, taken map[string]string, class, field string) error {
	if _, ok := aliases[[2]string{class, field}]; ok {
		return nil
	}
	owner := field
	if field == "" {
		owner = class
	}
	name := owner
	for n := 2; ; n++ {
		by, ok := taken[strings.ToLower(name)]
		if !strings.HasPrefix(strings.ToLower(name), "sqlite_") && (!ok || by == owner) {
			break
		}
		name = "~" + strconv.Itoa(n) + owner
	}
	taken[strings.ToLower(name)] = owner
	if name == owner {
		return nil
	}
	aliases[[2]string{class, field}] = name
	return c.run(&sqlgen.Statement{
		SQL:  `INSERT INTO "_ALIAS" ("class", "field", "name") VALUES (?1, ?2, ?3)`,
		Args: []any{class, field, name},
	}, nil)
}

// classOf returns the class whose table has a name.
func (db *DB) classOf(table string) string {
	for key, name := range *db.aliases.Load() {
		if key[1] == "" && name == table {
			return key[0]
		}
	}
	return table
}

func (db *DB) dropAlias(c *conn, class, field string) error {
	aliases := maps.Clone(*db.aliases.Load())
	delete(aliases, [2]string{class, field})
	db.setAliases(aliases)
	return c.run(&sqlgen.Statement{SQL: `DELETE FROM "_ALIAS" WHERE "class" = ?1 AND "field" = ?2`, Args: []any{class, field}}, nil)
}

func (db *DB) dropAliases(c *conn, class string) error {
	aliases := maps.Clone(*db.aliases.Load())
	maps.DeleteFunc(aliases, func(key [2]string, _ string) bool { return key[0] == class })
	db.setAliases(aliases)
	return c.run(&sqlgen.Statement{SQL: `DELETE FROM "_ALIAS" WHERE "class" = ?1`, Args: []any{class}}, nil)
}
