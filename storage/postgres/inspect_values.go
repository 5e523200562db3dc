package postgres

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// functions are those that Parse Server 9 makes.
var functions = []string{"array_add", "array_add_unique", "array_contains", "array_contains_all", "array_contains_all_regex", "array_remove", "json_object_set_key", "idempotency_delete_expired_records"}

// others looks for what is in the database besides tables and indexes.
func (i *inspection) others(ctx context.Context) error {
	const owned = ` AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = o.oid AND d.deptype = 'e')`
	for _, look := range []struct{ kind, level, text, sql string }{
		{"trigger", "warning", "it goes on running for what Parley writes, and is not copied", `SELECT o.tgname || ' on ' || c.relname FROM pg_catalog.pg_trigger o JOIN pg_catalog.pg_class c ON c.oid = o.tgrelid
			JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND NOT o.tgisinternal`},
		{"policy", "warning", "row level security hides rows from a role that does not own the table, and is not copied", `SELECT o.polname || ' on ' || c.relname FROM pg_catalog.pg_policy o JOIN pg_catalog.pg_class c ON c.oid = o.polrelid
			JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1`},
		{"constraint", "warning", "what it refuses is an error of the server to clients; it is not copied", `SELECT o.conname || ' on ' || c.relname FROM pg_catalog.pg_constraint o JOIN pg_catalog.pg_class c ON c.oid = o.conrelid
			JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND o.contype IN ('c', 'f', 'x') AND c.relname <> 'spatial_ref_sys'`},
		{"view", "note", "it stays, is not served and not copied", `SELECT o.relname::text FROM pg_catalog.pg_class o JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace WHERE n.nspname = $1 AND o.relkind IN ('v', 'm')` + owned},
		{"function", "note", "it stays, is not used and not copied", `SELECT DISTINCT o.proname::text FROM pg_catalog.pg_proc o JOIN pg_catalog.pg_namespace n ON n.oid = o.pronamespace WHERE n.nspname = $1` + owned},
		{"extension", "note", "it is not used and not copied", `SELECT extname::text FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' AND $1 <> ''`},
	} {
		names, err := i.names(ctx, look.sql, i.schema)
		if err != nil {
			return err
		}
		slices.Sort(names)
		for _, name := range names {
			if look.kind != "function" || !slices.Contains(functions, name) {
				i.say(look.level, look.kind+" "+name, "%s", look.text)
			}
		}
	}
	return nil
}

// users looks for those that differ in nothing but case.
func (i *inspection) users(ctx context.Context) error {
	for _, column := range []string{"username", "email"} {
		if i.columns[schema.UserClass][column] == "" {
			continue
		}
		quoted := sqlgen.Quote(column)
		names, err := i.names(ctx, `SELECT string_agg("objectId", ', ' ORDER BY "objectId") FROM "_User" WHERE `+quoted+` IS NOT NULL GROUP BY lower(`+quoted+`) HAVING count(*) > 1 ORDER BY 1 LIMIT 20`)
		if err != nil {
			return err
		}
		for _, ids := range names {
			i.say("warning", "field _User."+column, "differs only in the case of letters for the users %s: the index that forbids it is left out when the database is served, and a copy is refused", ids)
		}
	}
	return nil
}

// values counts those of each class that have no form in the API.
func (i *inspection) values(ctx context.Context) error {
	for _, class := range i.known {
		table := i.tableOf(class.Name)
		have := i.columns[table]
		var counts, about []string
		count := func(field, condition string) {
			counts, about = append(counts, "count(*) FILTER (WHERE "+condition+")"), append(about, field)
		}
		stored := class.Stored()
		for _, field := range slices.Sorted(maps.Keys(stored)) {
			f := stored[field]
			column := sqlgen.Quote(field)
			switch typ := have[field]; {
			case f.Type == schema.Number && typ == "float8":
				count(field, column+" IN ('NaN', 'Infinity', '-Infinity')")
			case f.Type == schema.Date && typ == "timestamptz":
				count(field, "NOT isfinite("+column+")")
			case f.Type == schema.Array && typ == "_text": // who may read and write, and lists of names
				count(field, "CASE WHEN array_ndims("+column+") > 1 THEN true ELSE array_position("+column+", NULL) IS NOT NULL END")
			case f.Type == schema.Array && typ == "jsonb":
				count(field, "jsonb_typeof("+column+") NOT IN ('array', 'null')")
			case f.Type == schema.Object && typ == "jsonb":
				count(field, "jsonb_typeof("+column+") NOT IN ('object', 'null')")
			case f.Type == schema.GeoPoint && typ == "point":
				count(field, "NOT ("+column+"[0] BETWEEN -180 AND 180 AND "+column+"[1] BETWEEN -90 AND 90)")
			case f.Type == schema.Polygon && typ == "polygon": // a box has its upper right corner first
				count(field, "npoints("+column+") < 3 OR NOT (((box("+column+"))[0])[0] <= 180 AND ((box("+column+"))[0])[1] <= 90 AND ((box("+column+"))[1])[0] >= -180 AND ((box("+column+"))[1])[1] >= -90)")
			case f.Type == schema.Bytes && typ == "jsonb":
				count(field, "jsonb_typeof("+column+") NOT IN ('object', 'null')")
			}
		}
		if len(counts) == 0 {
			continue
		}
		numbers := make([]int64, len(counts))
		targets := make([]any, len(counts))
		for j := range numbers {
			targets[j] = &numbers[j]
		}
		err := i.conn.QueryRow(ctx, "SELECT "+strings.Join(counts, ", ")+" FROM "+pgx.Identifier{i.schema, table}.Sanitize()).Scan(targets...)
		if err != nil {
			return err
		}
		for j, n := range numbers {
			if n > 0 {
				i.say("error", "field "+class.Name+"."+about[j], "%d objects hold a value that is no %s", n, stored[about[j]].Type)
			}
		}
	}
	return nil
}
