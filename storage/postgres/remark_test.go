package postgres

import (
	"context"
	"strings"
	"testing"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// TestRemark: the comment of a query stands in the statement, whatever is in it, and a hint that names an index before it.
func TestRemark(t *testing.T) {
	db := open(t, Config{})
	class := thing()
	class.Indexes = map[string]schema.Index{"by_s": {{Field: "s", Kind: "1"}}}
	save(t, db, class)
	if err := db.Create(t.Context(), class, object("Thing", "x")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		comment       string
		hint          any
		before, after string
	}{
		{"of the report", nil, "SELECT ", " /* of the report */"},
		{`*/; DROP TABLE "Thing"; /*`, nil, "SELECT ", ` /* /; DROP TABLE "Thing"; / */`},
		{"/*/ $1 $2 ? :x -- \n \x00 'a' \\", nil, "SELECT ", ` /* / / $1 $2 ? :x --     'a' \ */`},
		{strings.Repeat("ä", 300), nil, "SELECT ", " /* " + strings.Repeat("ä", 256) + " */"},
		{"", "by_s", `/*+ IndexScan("Thing" "by_s" "Thing.by_s") */ SELECT `, ""},
		{"c", "_id_", `/*+ IndexScan("Thing" "Thing_pkey") */ SELECT `, " /* c */"},
		{"", "no index", "SELECT ", ""},
		{"", parse.NewMap("s", 1.0), "SELECT ", ""},
	} {
		for _, where := range []query.Node{byID("x"), &query.Constraint{Key: "objectId", Op: query.Match, Arg: &query.Regex{Pattern: "x$"}}} {
			q := &query.Find{Where: where, Limit: 5, Comment: tt.comment, Hint: tt.hint}
			if got := ids(t, db, class, q); len(got) != 1 {
				t.Errorf("Find with the comment %q = %v, want x", tt.comment, got)
			}
			q.Verbosity = "executionStats"
			plan, err := db.Explain(context.Background(), class, q)
			if err != nil {
				t.Errorf("Explain with the comment %q = %v", tt.comment, err)
				continue
			}
			m := plan.(*parse.Map)
			sql := m.String("sql")
			if !strings.HasPrefix(sql, tt.before) || !strings.HasSuffix(sql, tt.after) || strings.Count(sql, "*/") != strings.Count(tt.before+tt.after, "*/") {
				t.Errorf("the statement with the comment %q and the hint %v = %s, want it between %q and %q", tt.comment, tt.hint, sql, tt.before, tt.after)
			}
			if !strings.Contains(string(parse.Marshal(m)), `"Actual Rows"`) {
				t.Errorf("the plan with executionStats = %s, want what was measured", parse.Marshal(m))
			}
		}
	}
}
