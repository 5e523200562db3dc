package sqlgen

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

var update = flag.Bool("update", false, "write what is generated into testdata")

// thing is the class of the golden tests.
func thing() *schema.Class {
	c := schema.New("Thing")
	for name, f := range map[string]schema.Field{
		"n": {Type: schema.Number}, "s": {Type: schema.String}, "b": {Type: schema.Boolean}, "d": {Type: schema.Date},
		"a": {Type: schema.Array}, "o": {Type: schema.Object}, "g": {Type: schema.GeoPoint}, "poly": {Type: schema.Polygon},
		"f": {Type: schema.File}, "bytes": {Type: schema.Bytes}, "p": {Type: schema.Pointer, TargetClass: "Other"},
	} {
		c.Fields[name] = f
	}
	c.Indexes = map[string]schema.Index{
		"by_n":  {{Field: "n", Kind: "-1"}, {Field: "s", Kind: "1"}},
		"by_a":  {{Field: "a", Kind: "1"}},
		"words": {{Field: "s", Kind: "text"}},
	}
	return c
}

// TestGolden runs the files in testdata. Each section begins with what is asked for; below it stands the SQL text and the arguments.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for i, section := range archive.Files {
				ask, want, _ := strings.Cut(string(section.Data), "\n")
				d := Dialect(SQLite{})
				if strings.HasPrefix(filepath.Base(file), "postgres") {
					d = Postgres{}
				}
				got := strings.ReplaceAll(answer(d, ask), NewLayout(d, thing()).list, "…")
				if *update {
					archive.Files[i].Data = []byte(ask + "\n" + got + "\n")
				} else if diff := cmp.Diff(want, got+"\n"); diff != "" {
					t.Errorf("%s: %s: (-want +got)\n%s", section.Name, ask, diff)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// answer generates what a line asks for: "find WHERE [order=…] [keys=…] [skip=…] [limit=…]", "count WHERE", "delete WHERE [limit=…]",
// "update WHERE CHANGES", "insert OBJECT", "tables CLASS".
func answer(d Dialect, line string) string {
	verb, rest, _ := strings.Cut(line, " ")
	l := NewLayout(d, thing())
	switch verb {
	case "tables":
		return ddl(d, rest)
	case "insert":
		m, err := parse.DecodeMap([]byte(rest), parse.Limits{})
		if err != nil {
			return err.Error()
		}
		return show(l.Insert(&parse.Object{ClassName: "Thing", Map: *m}))
	case "update":
		where, changes, _ := strings.Cut(rest, " -> ")
		q, err := find(where)
		if err != nil {
			return err.Error()
		}
		m, err := parse.DecodeMap([]byte(changes), parse.Limits{})
		if err != nil {
			return err.Error()
		}
		st, err := l.Direct(q.Where, m)
		if st == nil && err == nil {
			return "has to read the objects first"
		}
		return show(st, err)
	}
	q, err := find(rest)
	if err != nil {
		return err.Error()
	}
	switch verb {
	case "find":
		return show(l.Select(q))
	case "count":
		return show(l.Count(q.Where))
	case "delete":
		return show(l.Delete(q.Where, q.Limit))
	}
	return "unknown verb " + verb
}

func find(text string) (*query.Find, error) {
	opts := query.Options{Now: time.Unix(0, 0), Privileged: true}
	end := strings.LastIndex(text, "}") + 1
	params := parse.NewMap("where", text[:end])
	limit, skip := -1, 0
	for _, option := range strings.Fields(text[end:]) {
		name, value, _ := strings.Cut(option, "=")
		n, _ := strconv.Atoi(value)
		switch name {
		case "limit":
			limit = n
		case "skip":
			skip = n
		default:
			params.Set(name, value)
		}
	}
	q, err := query.ParseFind(params, opts)
	if err != nil {
		return nil, err
	}
	q.Limit, q.Skip = limit, skip
	return query.Check(q, thing(), opts)
}

func show(st *Statement, err error) string {
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	b.WriteString(st.SQL)
	if st.Filter {
		b.WriteString("\n… filtered")
	}
	if st.Sort {
		b.WriteString("\n… sorted")
	}
	for i, arg := range st.Args {
		fmt.Fprintf(&b, "\n?%d = ", i+1)
		switch arg := arg.(type) {
		case *Test:
			fmt.Fprintf(&b, "test %s", query.Print(arg.Where))
		case *Key:
			fmt.Fprintf(&b, "key %s", arg.Order.Key)
		default:
			fmt.Fprintf(&b, "%T %v", arg, arg)
		}
	}
	return b.String()
}

func ddl(d Dialect, class string) string {
	c := schema.New(class)
	if class == "Thing" {
		c = thing()
	}
	l := NewLayout(d, c)
	lines := []string{l.CreateTable()}
	for _, ix := range l.Indexes() {
		lines = append(lines, ix.Create)
	}
	return strings.Join(lines, "\n")
}
