package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// Inspect looks at a database, of Parse Server or of Parley, and changes nothing: what of it would not be there, or be otherwise, when Parley serves it
// or copies it. Its error is that of a database that cannot be read.
func Inspect(ctx context.Context, cfg Config) ([]storage.Finding, error) {
	cfg = withDefaults(cfg)
	config, err := configure(cfg)
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, config.ConnConfig, cfg.Login)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	i := &inspection{session: &session{conn: conn, inTx: true}}
	if err := i.session.script(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0"); err != nil {
		return nil, err
	}
	for _, look := range []func(context.Context) error{i.server, i.rights, i.classes, i.tables, i.others, i.users, i.values} {
		if err := look(ctx); err != nil {
			return i.found, err
		}
		if i.useless {
			break
		}
	}
	return i.found, nil
}

// inspection is one look at a database.
type inspection struct {
	*session
	found   []storage.Finding
	useless bool // there is nothing more to look at

	schema  string
	dialect sqlgen.Postgres
	known   []*schema.Class
	columns map[string]map[string]string // of each table: column -> type
}

func (i *inspection) say(level, about, text string, args ...any) {
	i.found = append(i.found, storage.Finding{Level: level, About: about, Text: fmt.Sprintf(text, args...)})
}

// server looks at the server and the database as a whole.
func (i *inspection) server(ctx context.Context) error {
	var version int
	var encoding string
	err := i.row(ctx, "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), COALESCE(current_schema(), '')", nil, &version, &encoding, &i.schema)
	if err != nil {
		return err
	}
	if version < oldest {
		i.say("error", "server", "PostgreSQL %d.%d is too old, version %d is needed", version/10000, version%10000, oldest/10000)
	}
	if encoding != "UTF8" {
		i.say("error", "database", "its encoding is %s, UTF8 is needed", encoding)
	}
	if i.schema == "" {
		i.say("error", "database", "it has no schema that this role may use: look at its search_path")
		i.useless = true
		return nil
	}
	i.dialect = sqlgen.Postgres{Schema: i.schema}
	rows, err := i.conn.Query(ctx, `SELECT c.relname::text, a.attname::text, t.typname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid JOIN pg_catalog.pg_type t ON t.oid = a.atttypid WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped`, i.schema)
	if err != nil {
		return err
	}
	i.columns = map[string]map[string]string{}
	var table, column, typ string
	_, err = pgx.ForEachRow(rows, []any{&table, &column, &typ}, func() error {
		if i.columns[table] == nil {
			i.columns[table] = map[string]string{}
		}
		i.columns[table][column] = typ
		return nil
	})
	if err == nil && i.columns["_SCHEMA"] == nil {
		i.say("error", "database", "there is no table _SCHEMA in the schema %s: neither Parse Server nor Parley has stored anything there", i.schema)
		i.useless = true
	}
	return err
}

// rights looks at what the role may do.
func (i *inspection) rights(ctx context.Context) error {
	var create bool
	if err := i.row(ctx, "SELECT has_schema_privilege($1, 'CREATE')", []any{i.schema}, &create); err != nil {
		return err
	}
	if !create {
		i.say("error", "schema "+i.schema, "the role may not make tables in it")
	}
	const of = `FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND `
	for _, check := range []struct{ condition, level, text string }{
		{"NOT has_table_privilege(c.oid, 'SELECT')", "error", "the role may not read it"},
		{"NOT (has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))", "error", "the role may not write it"},
		{"NOT pg_has_role(c.relowner, 'USAGE')", "warning", "another role owns it: columns and indexes cannot be added"},
	} {
		names, err := i.names(ctx, "SELECT c.relname::text "+of+check.condition+` ORDER BY c.relname COLLATE "C"`, i.schema)
		if err != nil {
			return err
		}
		for _, name := range names {
			i.say(check.level, "table "+name, "%s", check.text)
			if strings.Contains(check.text, "read") && name == "_SCHEMA" {
				i.useless = true
			}
		}
	}
	return nil
}

// classes reads _SCHEMA.
func (i *inspection) classes(ctx context.Context) error {
	rows, err := i.conn.Query(ctx, `SELECT "className", "schema"::text FROM "_SCHEMA" ORDER BY "className" COLLATE "C"`)
	if err != nil {
		return err
	}
	var name, text string
	_, err = pgx.ForEachRow(rows, []any{&name, &text}, func() error {
		if strings.HasPrefix(name, "_") && !schema.IsSystem(name) {
			i.say("warning", "class "+name, "is a system class that this version does not know: it stays in the database and is not copied")
			return nil
		}
		class, err := unmarshal(name, text)
		if err != nil {
			i.say("error", "class "+name, "its schema cannot be read: %v", err)
			return nil
		}
		i.known = append(i.known, class)
		return nil
	})
	return err
}

// types are those that the columns of a field may have.
var types = map[schema.Type][]string{
	schema.String: {"text", "varchar", "bpchar"}, schema.Number: {"float8"}, schema.Boolean: {"bool"}, schema.Date: {"timestamptz"}, schema.Object: {"jsonb"},
	schema.Array: {"jsonb", "_text"}, schema.GeoPoint: {"point"}, schema.Polygon: {"polygon"}, schema.File: {"text", "varchar"}, schema.Pointer: {"text", "varchar", "bpchar"}, schema.Bytes: {"jsonb"},
}

// tables compares the classes with the tables.
func (i *inspection) tables(ctx context.Context) error {
	of := map[string]bool{"_SCHEMA": true}
	for _, class := range i.known {
		table := i.tableOf(class.Name)
		of[table] = true
		i.table(class, table)
		for name, f := range class.Fields {
			if f.Type == schema.Relation {
				of[i.tableOf(parse.JoinClass(name, class.Name))] = true
			}
		}
		if err := i.indexes(ctx, class, table); err != nil {
			return err
		}
	}
	for _, name := range schema.SystemClasses() {
		of[name] = true
		for field, f := range schema.New(name).Fields {
			if f.Type == schema.Relation {
				of[parse.JoinClass(field, name)] = true
			}
		}
	}
	var others []string
	for table := range i.columns {
		_, _, join := parse.SplitJoinClass(table)
		switch {
		case of[table]:
		case join:
			i.say("warning", "table "+table, "its class has no such relation: it stays in the database and is not copied")
		case table != "spatial_ref_sys" && table != "_ParleyCopy":
			others = append(others, table)
		}
	}
	slices.Sort(others)
	for _, table := range others {
		i.say("warning", "table "+table, "is of no class: it stays in the database, is not served and not copied")
	}
	return nil
}

// tableOf returns the name of the table of a class: PostgreSQL cuts off what Parse Server calls long.
func (i *inspection) tableOf(class string) string {
	if len(class) > longest && i.columns[class[:longest]] != nil {
		return class[:longest]
	}
	return i.dialect.TableName(class)
}

func (i *inspection) table(class *schema.Class, table string) {
	have := i.columns[table]
	if have == nil {
		if !schema.IsSystem(class.Name) {
			i.say("warning", "class "+class.Name, "has no table: it is empty")
		}
		return
	}
	expected := map[string]bool{"objectId": true, "authData": class.Name == schema.UserClass}
	stored := class.Stored()
	for _, field := range slices.Sorted(maps.Keys(stored)) {
		f := stored[field]
		column := unquote(i.dialect.Columns(class.Name, field, f.Type)[0])
		expected[column] = true
		if typ, there := have[column]; there && !slices.Contains(types[f.Type], typ) {
			i.say("error", "column "+class.Name+"."+field, "is of the type %s, and the field a %s: its values cannot be read", typ, f.Type)
		}
	}
	var others []string
	for column := range have {
		if !expected[column] {
			others = append(others, column)
		}
	}
	slices.Sort(others)
	for _, column := range others {
		i.say("warning", "column "+class.Name+"."+column, "is no field of the class: it stays in the database, is not served and not copied")
	}
}

// indexes names those of a table that the schema does not know.
func (i *inspection) indexes(ctx context.Context, class *schema.Class, table string) error {
	names, err := i.names(ctx, `SELECT indexname::text FROM pg_catalog.pg_indexes WHERE schemaname = $1 AND tablename = $2 ORDER BY 1`, i.schema, table)
	if err != nil {
		return err
	}
	known := map[string]bool{class.Name + "_pkey": true, table + "_pkey": true}
	for _, ix := range sqlgen.NewLayout(i.dialect, class).Indexes() {
		known[ix.Name], known[unquote(ix.SQLName)] = true, true
	}
	for name := range class.Indexes {
		known[name] = true
	}
	for _, name := range names {
		if !known[name] && !strings.HasPrefix(name, "_User_unique_authData_") && !strings.HasPrefix(name, "_Idempotency") {
			i.say("note", "index "+name, "on %s is not in the schema of the class: it stays and is used, and is not copied", class.Name)
		}
	}
	return nil
}
