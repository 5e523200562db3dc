package postgres

import (
	"context"
	"encoding/json"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// Explain returns the plan of a query: its SQL text, what EXPLAIN says of it, and whether the adapter chooses among what it finds. See
// [storage.Explainer].
func (db *DB) Explain(ctx context.Context, class *schema.Class, q *query.Find) (any, error) {
	var plan *parse.Map
	err := db.reading(ctx, func(ctx context.Context, s *session) error {
		layout, err := s.actual(ctx, db.layout(class))
		if err != nil {
			return err
		}
		if layout == nil {
			plan = parse.NewMap("database", "postgres", "sql", nil, "plan", []any{})
			return nil
		}
		st, err := layout.Select(q)
		if err != nil {
			return err
		}
		if !remark(st, q) {
			st.Args = append([]any{once}, st.Args...)
		}
		how := "FORMAT JSON"
		if q.Verbosity == "executionStats" || q.Verbosity == "allPlansExecution" {
			how = "ANALYZE, BUFFERS, FORMAT JSON" // it runs the query, which only reads
		}
		var text json.RawMessage
		if err := s.row(ctx, "EXPLAIN ("+how+") "+st.SQL, bind(st.Args), &text); err != nil {
			return err
		}
		steps, err := parse.Decode(text, values)
		plan = parse.NewMap("database", "postgres", "sql", st.SQL, "filtered", st.Filter, "sorted", st.Sort, "plan", steps)
		return err
	})
	if err != nil {
		return nil, wrap("Explain", class.Name, err)
	}
	return plan, nil
}

// once has a statement run without being kept for the next time: its text hardly comes again.
const once = pgx.QueryExecModeDescribeExec

// longestRemark is how much of a comment reaches the database, in characters.
const longestRemark = 256

// remark puts the comment of a query behind its statement, for the logs of the database and pg_stat_activity, and its hint before it, where the
// extension pg_hint_plan looks for it. It tells whether it did.
func remark(st *sqlgen.Statement, q *query.Find) bool {
	hint, text := hinted(st.Layout, q.Hint), plain(q.Comment)
	if hint == "" && text == "" {
		return false
	}
	if hint != "" {
		st.SQL = "/*+ " + hint + " */ " + st.SQL
	}
	if text != "" {
		st.SQL += " /* " + text + " */"
	}
	st.Args = append([]any{once}, st.Args...)
	return true
}

// plain returns a text that cannot end a comment, nor begin one: without asterisks and control characters.
func plain(text string) string {
	n := 0
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch n++; {
		case n > longestRemark:
			return -1
		case r == '*', unicode.IsControl(r), !unicode.IsPrint(r):
			return ' '
		}
		return r
	}, text))
}

// hinted returns the hint for the name of an index of the class, "" for any other.
func hinted(layout *sqlgen.Layout, hint any) string {
	name, _ := hint.(string)
	if layout == nil || strings.ContainsAny(name, `*"`) {
		return ""
	}
	var index string
	switch _, known := layout.Class.Indexes[name]; {
	case name == "_id_":
		index = sqlgen.Quote(layout.Class.Name + "_pkey")
	case known:
		index = sqlgen.Quote(name) + " " + layout.Dialect.IndexName(layout.Class.Name, name)
	default:
		return ""
	}
	table := layout.Table[strings.LastIndex(layout.Table, ".")+1:]
	return "IndexScan(" + table + " " + index + ")"
}
