package sqlgen

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// TestTextDoesNotDependOnValues: whatever a client sends is an argument, so two queries that differ only in values have one text.
func TestTextDoesNotDependOnValues(t *testing.T) {
	for name, d := range map[string]Dialect{"SQLite": SQLite{}, "PostgreSQL": Postgres{}} {
		t.Run(name, func(t *testing.T) { textDoesNotDependOnValues(t, NewLayout(d, thing())) })
	}
}

func textDoesNotDependOnValues(t *testing.T, l *Layout) {
	statements := func(v string) []*Statement {
		pointer := parse.Pointer{ClassName: "Other", ObjectID: v}
		where := query.And{
			&query.Constraint{Key: "objectId", Op: query.Eq, Arg: v},
			query.Or{
				&query.Constraint{Key: "s", Op: query.Eq, Arg: v}, &query.Constraint{Key: "s", Op: query.Ne, Arg: v},
				&query.Constraint{Key: "s", Op: query.Lt, Arg: v}, &query.Constraint{Key: "s", Op: query.In, Arg: []any{v, v}},
				&query.Constraint{Key: "s", Op: query.Match, Arg: &query.Regex{Pattern: v, Options: "i"}},
				&query.Constraint{Key: "s", Op: query.Search, Arg: &query.Text{Term: v}},
			},
			query.Nor{
				&query.Constraint{Key: "a", Op: query.Eq, Arg: v}, &query.Constraint{Key: "a", Op: query.All, Arg: []any{v}},
				&query.Constraint{Key: "p", Op: query.Eq, Arg: pointer}, &query.Constraint{Key: "p", Op: query.Nin, Arg: []any{pointer}},
				&query.Constraint{Key: "o", Op: query.Eq, Arg: parse.NewMap(v, v)}, &query.Constraint{Key: "f", Op: query.Eq, Arg: parse.File{Name: v}},
				&query.Constraint{Key: "o." + v, Op: query.Eq, Arg: v}, &query.Constraint{Key: "o.x", Op: query.Gt, Arg: v},
			},
		}
		o := parse.NewObject("Thing", "objectId", v, "s", v, "a", []any{v}, "o", parse.NewMap(v, v), "p", pointer, "f", parse.File{Name: v}, v+".", nil)
		var list []*Statement
		add := func(st *Statement, err error) {
			if err != nil {
				t.Fatalf("%q: %v", v, err)
			}
			list = append(list, st)
		}
		add(l.Select(&query.Find{Where: where, Order: []query.Order{{Key: "o." + v}}, Limit: 5, Keys: []string{"s", "x" + v}}))
		add(l.Count(where))
		add(l.Delete(where, 7))
		add(l.Insert(o))
		add(l.Direct(where, parse.NewMap("s", v, "o", parse.NewMap(v, v))))
		add(l.Replace(v, []string{"s", v + "."}, &o.Map))
		return list
	}
	_, postgres := l.Dialect.(Postgres)
	want := statements("x")
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "'", `"`, `'; DROP TABLE "Thing"; --`, "?1", "$1", "\x00", `\`, "%", ":a", "@a", "`", "[x]"})).Draw(t, "value")
		if postgres { // it has no such character: what is asked for or stored is judged without it
			v = strings.ReplaceAll(v, "\x00", "")
		}
		for i, st := range statements(v) {
			if (st == nil) != (want[i] == nil) {
				t.Fatalf("with value %q: %v, want %v", v, st, want[i])
			}
			if st == nil {
				continue
			}
			if st.SQL != want[i].SQL {
				t.Fatalf("with value %q:\n%s\nwant\n%s", v, st.SQL, want[i].SQL)
			}
		}
	})
}

// TestNamesAreQuoted: every name, however it came to be, stands between quotation marks that it cannot close.
func TestNamesAreQuoted(t *testing.T) {
	for _, d := range []Dialect{SQLite{}, Postgres{}, Postgres{Schema: `a"; --`}} {
		namesAreQuoted(t, d)
	}
}

func namesAreQuoted(t *testing.T, d Dialect) {
	for _, hostile := range []string{`a"b`, `";--`, `x" TEXT); DROP TABLE "_User"; --`, "select", "a b", "'"} {
		class := &schema.Class{Name: hostile, Fields: map[string]schema.Field{
			"objectId": {Type: schema.String}, hostile + "1": {Type: schema.Number}, hostile + "2": {Type: schema.GeoPoint},
		}, Indexes: map[string]schema.Index{hostile: {{Field: hostile + "1", Kind: "1"}}}}
		l := NewLayout(d, class)
		st, err := l.Select(&query.Find{Where: &query.Constraint{Key: hostile + "1", Op: query.Gt, Arg: 1.0}, Order: []query.Order{{Key: hostile + "1"}}, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		texts := []string{st.SQL, l.CreateTable()}
		for _, ix := range l.Indexes() {
			texts = append(texts, ix.Create)
		}
		for _, text := range texts {
			if bare := unquoted(text); strings.ContainsAny(bare, "-;'") || strings.Contains(bare, "DROP") || strings.Contains(bare, "select") {
				t.Errorf("outside of quotation marks of %s\nstands %s", text, bare)
			}
		}
	}
}

// unquoted returns what of SQL text stands outside of quoted names, as SQLite reads it.
func unquoted(text string) string {
	var b strings.Builder
	inside := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '"':
			if !inside {
				b.WriteByte(text[i])
			}
		case inside && i+1 < len(text) && text[i+1] == '"':
			i++
		default:
			inside = !inside
		}
	}
	return b.String()
}

// TestRegexPrefix: the prefix that a pattern is known to begin with, and whether it says nothing else.
func TestRegexPrefix(t *testing.T) {
	for _, test := range []struct {
		pattern, options string
		prefix           string
		exact            bool
	}{
		{"abc", "", "", false},
		{"^abc", "", "abc", false},
		{"^ab.c", "", "ab", false},
		{"^abc?", "", "ab", false},
		{"^ab|c", "", "", false},
		{`^\Qa.b\E`, "", "a.b", true},
		{`^\Qa.b`, "", "a.b", true},
		{`^\Q\E`, "", "", true},
		{`^\Qa.b\E.*`, "", "a.b", false},
		{`^\Qab\E|c`, "", "", false},
		{`^\Qab\E`, "su", "ab", true},
		{`^\Qab\E`, "i", "", false},
		{`^\Qab\E`, "m", "", false},
		{`^\Qa b\E`, "x", "", false},
		{`^\Qa\E\\E\Qb\E`, "", `a\Eb`, false}, // how the SDKs quote a\Eb
	} {
		prefix, exact := regexPrefix(&query.Regex{Pattern: test.pattern, Options: test.options})
		if prefix != test.prefix || exact != test.exact {
			t.Errorf("regexPrefix(%q, %q) = %q, %v, want %q, %v", test.pattern, test.options, prefix, exact, test.prefix, test.exact)
		}
	}
}

// TestAfter: a string begins with a prefix exactly when it lies between the prefix and what comes after.
func TestAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.StringN(1, 3, -1).Draw(t, "prefix")
		s := rapid.OneOf(rapid.String(), rapid.Map(rapid.String(), func(tail string) string { return prefix + tail })).Draw(t, "s")
		end := after(prefix)
		if got, want := s >= prefix && (end == "" || s < end), strings.HasPrefix(s, prefix); end != "" && got != want || want && !got {
			t.Fatalf("%q in [%q, %q) = %v, want %v", s, prefix, end, got, want)
		}
	})
	for prefix, want := range map[string]string{"a": "b", "a\U0010FFFF": "b", "\uD7FF": "\uE000", "\U0010FFFF": "", "": "", "\xff": ""} {
		if got := after(prefix); got != want {
			t.Errorf("after(%q) = %q, want %q", prefix, got, want)
		}
	}
}

// TestEveryOperator: each operator of the table in package query can be written.
func TestEveryOperator(t *testing.T) {
	at := parse.GeoPoint{Latitude: 1, Longitude: 2}
	ring := parse.Polygon{{}, {Latitude: 1}, {Longitude: 1}, {}}
	args := map[query.Operator]any{
		query.Eq: 1.0, query.Ne: 1.0, query.Lt: 1.0, query.Lte: 1.0, query.Gt: 1.0, query.Gte: 1.0,
		query.In: []any{1.0}, query.Nin: []any{1.0}, query.Exists: true, query.All: []any{1.0}, query.ContainedBy: []any{1.0},
		query.Match: &query.Regex{Pattern: "a"}, query.Search: &query.Text{Term: "a"}, query.Near: &query.NearSphere{Point: at, MaxRadians: -1},
		query.WithinBox: query.Box{}, query.WithinPolygon: ring, query.WithinSphere: query.Sphere{}, query.Intersects: at, query.StartsWith: "a",
	}
	for _, d := range []Dialect{SQLite{}, Postgres{}} {
		everyOperator(t, NewLayout(d, thing()), args)
	}
}

func everyOperator(t *testing.T, l *Layout, args map[query.Operator]any) {
	for op := query.Eq; !strings.HasPrefix(op.String(), "Operator("); op++ {
		arg, ok := args[op]
		if !ok {
			t.Errorf("no case for operator %v (%d)", op, op)
		}
		for i := range l.Columns {
			if _, err := l.Count(&query.Constraint{Key: l.Columns[i].Field, Op: op, Arg: arg}); err != nil {
				t.Errorf("%v on %s: %v", op, l.Columns[i].Type, err)
			}
		}
	}
	// What becomes text or a range here is checked here; the rest is up to who decides a Test.
	for field, ops := range map[string][]query.Operator{
		"s": {query.In, query.Nin, query.Exists, query.Match, query.StartsWith},
		"g": {query.Near, query.WithinBox, query.WithinPolygon, query.WithinSphere},
	} {
		for _, op := range ops {
			if st, err := l.Count(&query.Constraint{Key: field, Op: op, Arg: struct{}{}}); err == nil {
				t.Errorf("%v with an operand of the wrong type = %s, want an error", op, st.SQL)
			}
		}
	}
}

// TestLongChains: a database bounds how deep a condition may be, so that a long list of them is split.
func TestLongChains(t *testing.T) {
	or := make(query.Or, 1000)
	for i := range or {
		or[i] = &query.Constraint{Key: "n", Op: query.Eq, Arg: float64(i)}
	}
	st, err := NewLayout(SQLite{}, thing()).Count(or)
	if err != nil {
		t.Fatal(err)
	}
	longest := 0
	for _, chain := range strings.FieldsFunc(st.SQL, func(r rune) bool { return r == '(' || r == ')' }) {
		longest = max(longest, strings.Count(chain, " OR "))
	}
	if longest > maxChain || len(st.Args) != 1000 {
		t.Errorf("a chain of %d conditions with %d arguments, want at most %d and 1000", longest, len(st.Args), maxChain)
	}
}

func TestUnresolvedNodesAreRefused(t *testing.T) {
	l := NewLayout(SQLite{}, thing())
	for _, where := range []query.Node{&query.SubQuery{Key: "p"}, query.And{&query.RelatedTo{Key: "p"}}} {
		if st, err := l.Count(where); err == nil {
			t.Errorf("Count(%T) = %s, want an error", where, st.SQL)
		}
	}
}
