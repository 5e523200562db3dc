package query_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

var sameMaps = cmp.Comparer(func(a, b *parse.Map) bool { return a.Equal(b) })

func decode(t testing.TB, text string) *parse.Map {
	t.Helper()
	m, err := parse.DecodeMap([]byte(text), parse.Limits{})
	if err != nil {
		t.Fatalf("DecodeMap(%s) = %v", text, err)
	}
	return m
}

// textOf is the code and text of an error as a client reads them, "" for none.
func textOf(err error) string {
	var e *parse.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return fmt.Sprintf("%d %s", int(e.Code), e.Message)
	}
	return "not a parse.Error: " + err.Error()
}

func eq(key string, v any) *query.Constraint {
	return &query.Constraint{Key: key, Op: query.Eq, Arg: v}
}

func TestParseWhere(t *testing.T) {
	pointer := parse.Pointer{ClassName: "Other", ObjectID: "x"}
	for _, c := range []struct {
		where string
		want  query.Node
	}{
		{`{}`, nil},
		{`{"a":1}`, eq("a", 1.0)},
		{`{"a":{"$gt":1,"$lt":2},"b":null}`, query.And{
			&query.Constraint{Key: "a", Op: query.Gt, Arg: 1.0},
			&query.Constraint{Key: "a", Op: query.Lt, Arg: 2.0},
			eq("b", nil),
		}},
		{`{"p":{"__type":"Pointer","className":"Other","objectId":"x","$exists":true}}`, query.And{
			eq("p", pointer),
			&query.Constraint{Key: "p", Op: query.Exists, Arg: true},
		}},
		{`{"o":{"k":1,"$ne":2}}`, query.And{
			&query.Constraint{Key: "o", Op: query.Eq, Arg: parse.NewMap("k", 1.0), Plain: true},
			&query.Constraint{Key: "o", Op: query.Ne, Arg: 2.0},
		}},
		{`{"$and":[{"a":1},{"$and":[{"b":2}]}],"$or":[{"c":3}]}`, query.And{eq("a", 1.0), eq("b", 2.0), eq("c", 3.0)}},
		{`{"$nor":[{"a":1}]}`, query.Nor{eq("a", 1.0)}},
		{`{"d":{"$lt":{"$relativeTime":"1 day ago"}}}`,
			&query.Constraint{Key: "d", Op: query.Lt, Arg: parse.Date(1000*86400000 - 86400000), Relative: true}},
		{`{"s":{"$regex":"^\\Qa.b\\E"}}`, &query.Constraint{Key: "s", Op: query.StartsWith, Arg: "a.b"}},
		{`{"s":{"$regex":"^\\Qa\\E","$options":"mi"}}`,
			&query.Constraint{Key: "s", Op: query.Match, Arg: &query.Regex{Pattern: `^\Qa\E`, Options: "im"}}},
		{`{"s":{"$options":"ssi","$regex":"a"}}`,
			&query.Constraint{Key: "s", Op: query.Match, Arg: &query.Regex{Pattern: "a", Options: "is"}}},
		{`{"p":{"$inQuery":{"className":"Other","where":{"v":1},"limit":5}}}`,
			&query.SubQuery{Key: "p", Find: query.Find{ClassName: "Other", Where: eq("v", 1.0), Limit: -1}}},
		{`{"p":{"$notInQuery":{"className":"C","where":{},"redirectClassNameForKey":"rel"}}}`,
			&query.SubQuery{Key: "p", Negated: true, Find: query.Find{ClassName: "C", Limit: -1, RedirectClassNameForKey: "rel"}}},
		{`{"a":{"$select":{"query":{"className":"C"},"key":"k.l"}}}`,
			&query.SubQuery{Key: "a", Select: "k.l", Find: query.Find{ClassName: "C", Limit: -1}}},
		{`{"a":{"$in":[1],"$inQuery":{"className":"C","where":{}},"$exists":true}}`, query.And{
			&query.Constraint{Key: "a", Op: query.Exists, Arg: true},
			query.Or{
				&query.Constraint{Key: "a", Op: query.In, Arg: []any{1.0}},
				&query.SubQuery{Key: "a", Find: query.Find{ClassName: "C", Limit: -1}},
			},
		}},
		{`{"$relatedTo":{"object":{"__type":"Pointer","className":"Other","objectId":"x"},"key":"likes"},"a":1}`,
			query.And{&query.RelatedTo{Object: pointer, Key: "likes"}, eq("a", 1.0)}},
		{`{"_rperm":{"$in":[null,"*"]}}`, &query.Constraint{Key: "_rperm", Op: query.In, Arg: []any{nil, "*"}}},
		{`{"g":{"$nearSphere":{"__type":"GeoPoint","latitude":1,"longitude":2},"$maxDistanceInKilometers":6371}}`,
			&query.Constraint{Key: "g", Op: query.Near, Arg: &query.NearSphere{Point: parse.GeoPoint{Latitude: 1, Longitude: 2}, MaxRadians: 1}}},
	} {
		got, err := query.ParseWhere(decode(t, c.where), query.Options{Now: time.Unix(1000*86400, 0)})
		if err != nil {
			t.Errorf("ParseWhere(%s) = %v", c.where, err)
			continue
		}
		if diff := cmp.Diff(c.want, got, sameMaps); diff != "" {
			t.Errorf("ParseWhere(%s) differs (-want +got):\n%s", c.where, diff)
		}
	}
}

func nest(n int, open, inner, shut string) string {
	return strings.Repeat(open, n) + inner + strings.Repeat(shut, n)
}

func TestWhereLimits(t *testing.T) {
	or := func(n int) string { return nest(n, `{"$or":[`, `{"a":1}`, `]}`) }
	sub := func(n int) string {
		return nest(n, `{"p":{"$inQuery":{"className":"C","where":`, `{"a":1}`, `}}}`)
	}
	for _, c := range []struct {
		where string
		opts  query.Options
		want  string
	}{
		{or(2), query.Options{Limits: query.Limits{QueryDepth: 2}}, ""},
		{or(3), query.Options{Limits: query.Limits{QueryDepth: 2}}, "102 Query condition nesting depth exceeds maximum allowed depth of 2"},
		{or(3), query.Options{Limits: query.Limits{QueryDepth: -1}}, ""},
		{or(3), query.Options{Limits: query.Limits{QueryDepth: 2}, Privileged: true}, ""},
		{`{"p":{"$inQuery":{"className":"C","where":` + or(2) + `}}}`, query.Options{Limits: query.Limits{QueryDepth: 1}},
			"102 Query condition nesting depth exceeds maximum allowed depth of 1"},
		{sub(1), query.Options{Limits: query.Limits{SubqueryDepth: 1}}, ""},
		{sub(2), query.Options{Limits: query.Limits{SubqueryDepth: 1}}, "102 Subquery nesting depth exceeds maximum allowed depth of 1"},
		{sub(2), query.Options{Limits: query.Limits{SubqueryDepth: 1}, Privileged: true}, ""},
		{`{"s":{"$regex":"a"}}`, query.Options{Limits: query.Limits{DenyRegex: true}}, "102 $regex operator is not allowed"},
		{`{"s":{"$all":[{"$regex":"^a"}]}}`, query.Options{Limits: query.Limits{DenyRegex: true}}, "102 $regex operator is not allowed"},
		{`{"s":{"$regex":"a"}}`, query.Options{Limits: query.Limits{DenyRegex: true}, Privileged: true}, ""},
		{`{"s":{"$regex":"a","$options":""}}`, query.Options{}, "102 Bad $options value for query: "},
		{`{"s":{"$regex":"` + strings.Repeat("a", 40000) + `"}}`, query.Options{}, "102 The regular expression is too long."},
	} {
		_, err := query.ParseWhere(decode(t, c.where), c.opts)
		if got := textOf(err); got != c.want {
			t.Errorf("ParseWhere(%.80s, %+v) = %q, want %q", c.where, c.opts, got, c.want)
		}
	}
}

// TestHostileKey asks for a path in which every number has two meanings.
func TestHostileKey(t *testing.T) {
	key := "f" + strings.Repeat(".0", 60)
	_, err := query.ParseWhere(parse.NewMap(key, 1.0), query.Options{})
	if got, want := textOf(err), "105 Invalid key name: "+key; got != want {
		t.Errorf("ParseWhere(%s) = %q, want %q", key, got, want)
	}
	if _, err := query.ParseWhere(parse.NewMap("f"+strings.Repeat(".0", 10), 1.0), query.Options{}); err != nil {
		t.Errorf("ParseWhere(ten numbers) = %v", err)
	}
}

// TestPrintIsLinear prints a tree that would take forever if its inner nodes were printed twice.
func TestPrintIsLinear(t *testing.T) {
	var n query.Node = eq("a", 1.0)
	for range 60 {
		n = query.And{query.Or{n, eq("b", 1.0)}, query.Or{eq("a", 1.0), eq("b", 1.0)}}
	}
	if got := query.Print(n); !strings.HasPrefix(got, `{"$and":[{"$or":[{"$and":`) {
		t.Errorf("Print = %.100s", got)
	}
}

// TestWhereHardLimit builds what no decoder would: nothing may blow the stack.
func TestWhereHardLimit(t *testing.T) {
	m := parse.NewMap("a", 1.0)
	for range 100000 {
		m = parse.NewMap("$or", []any{m})
	}
	_, err := query.ParseWhere(m, query.Options{Privileged: true})
	if got, want := textOf(err), "102 Query condition nesting depth exceeds maximum allowed depth of 128"; got != want {
		t.Errorf("ParseWhere(100000 levels) = %q, want %q", got, want)
	}
}

func TestSubqueryLimit(t *testing.T) {
	where := decode(t, `{"p":{"$inQuery":{"className":"C","where":{}}}}`)
	n, err := query.ParseWhere(where, query.Options{Limits: query.Limits{SubqueryLimit: 7}})
	if err != nil {
		t.Fatal(err)
	}
	if got := n.(*query.SubQuery).Find.Limit; got != 7 {
		t.Errorf("Find.Limit = %d, want 7", got)
	}
}

func TestParseFind(t *testing.T) {
	master := query.Options{Privileged: true}
	for _, c := range []struct {
		query string
		opts  query.Options
		want  query.Find
	}{
		{"", query.Options{}, query.Find{Limit: 100}},
		{"", query.Options{DefaultLimit: 20}, query.Find{Limit: 20}},
		{"limit=0&count=1", query.Options{}, query.Find{Limit: 0, Count: true}},
		{"limit=500", query.Options{MaxLimit: 50}, query.Find{Limit: 50}},
		{"limit=7&skip=3", query.Options{MaxLimit: 50}, query.Find{Limit: 7, Skip: 3}},
		{`limit="5"&skip=&count=0`, query.Options{}, query.Find{Limit: 5}},
		{"limit=null&skip=null", query.Options{}, query.Find{Limit: 100}},
		{"limit=1.9", query.Options{}, query.Find{Limit: 1}},
		{"limit=99999999999", query.Options{}, query.Find{Limit: 1<<31 - 1}},
		{"where=%7B%22a%22%3A1%7D", query.Options{}, query.Find{Limit: 100, Where: eq("a", 1.0)}},
		{"order=-a,b.c,+a", query.Options{}, query.Find{Limit: 100, Order: []query.Order{{Key: "a"}, {Key: "b.c"}}}},
		{"order=$score", query.Options{}, query.Find{Limit: 100, Order: []query.Order{{Key: "$score", Descending: true}}}},
		{"order=-_updated_at", query.Options{}, query.Find{Limit: 100, Order: []query.Order{{Key: "updatedAt", Descending: true}}}},
		{"keys=a,objectId,,a", query.Options{}, query.Find{Limit: 100, Keys: []string{"a"}}},
		{"keys=", query.Options{}, query.Find{Limit: 100, Keys: []string{}}},
		{`keys=["a","b"]`, query.Options{}, query.Find{Limit: 100, Keys: []string{"a", "b"}}},
		{"keys=a.b.c", query.Options{}, query.Find{Limit: 100, Keys: []string{"a.b.c"}, Include: []query.Path{{"a"}, {"a", "b"}}}},
		{"keys=a,b&excludeKeys=b,ACL,c.d", query.Options{},
			query.Find{Limit: 100, Keys: []string{"a"}, ExcludeKeys: []string{"b", "c.d"}, Include: []query.Path{{"c"}}}},
		{"include=a.b,c,a.d", query.Options{},
			query.Find{Limit: 100, Include: []query.Path{{"a"}, {"c"}, {"a", "b"}, {"a", "d"}}}},
		{"include=*,a.b", query.Options{}, query.Find{Limit: 100, IncludeAll: true}},
		{"includeAll=true", query.Options{}, query.Find{Limit: 100, IncludeAll: true}},
		{"redirectClassNameForKey=rel", query.Options{}, query.Find{Limit: 100, RedirectClassNameForKey: "rel"}},
		{"readPreference=SECONDARY&includeReadPreference=NEAREST&subqueryReadPreference=PRIMARY", query.Options{},
			query.Find{Limit: 100, ReadPreference: "SECONDARY", IncludeReadPreference: "NEAREST", SubqueryReadPreference: "PRIMARY"}},
		{"hint=_id_&comment=why&explain=true", master, query.Find{Limit: 100, Hint: "_id_", Comment: "why", Explain: true}},
		{"explain=executionStats", master, query.Find{Limit: 100, Explain: true, Verbosity: "executionStats"}},
		{"explain=false", query.Options{}, query.Find{Limit: 100}},
		{"explain=true", query.Options{PublicExplain: true}, query.Find{Limit: 100, Explain: true}},
	} {
		got, err := query.ParseFind(query.ParamsFromQuery(strings.ReplaceAll(c.query, "+", "%20")), c.opts)
		if err != nil {
			t.Errorf("ParseFind(%s) = %v", c.query, err)
			continue
		}
		if diff := cmp.Diff(&c.want, got, sameMaps); diff != "" {
			t.Errorf("ParseFind(%s) differs (-want +got):\n%s", c.query, diff)
		}
	}
}

func TestParseFindErrors(t *testing.T) {
	for _, c := range []struct {
		query string
		opts  query.Options
		want  string
	}{
		{"foo=1", query.Options{}, "102 Invalid parameter for query: foo"},
		{"where={bad", query.Options{}, "107 where parameter is not valid JSON"},
		{"where=", query.Options{}, "107 where parameter is not valid JSON"},
		{"where=null", query.Options{}, "107 where parameter is not valid JSON"},
		{"where=[1]", query.Options{}, "107 where parameter is not valid JSON"},
		{"limit=1&limit=2", query.Options{}, "102 Invalid value for limit: 1,2"},
		{"readPreference=NOPE", query.Options{}, "102 Not supported read preference."},
		{"where=5", query.Options{}, "107 where parameter is not valid JSON"},
		{"limit=-1", query.Options{}, "102 Invalid value for limit: -1"},
		{"limit=abc", query.Options{}, "102 Invalid value for limit: abc"},
		{"skip=-5", query.Options{}, "102 Invalid value for skip: -5"},
		{"order=a b", query.Options{}, "105 Invalid field name: a b."},
		{"order=className", query.Options{}, "105 Invalid field name: className."},
		{"order=-", query.Options{}, "105 Invalid field name: ."},
		{"order=5", query.Options{}, "105 Invalid field name: 5."},
		{"order=authData.facebook.id", query.Options{}, "105 Cannot sort by authData.facebook.id"},
		{"explain=1", query.Options{}, "102 Using the explain query parameter requires the master key"},
		{"explain=loud", query.Options{Privileged: true}, "102 Invalid value for explain"},
		{"include=a.b.c", query.Options{Limits: query.Limits{IncludeDepth: 2}}, "102 Include depth of 3 exceeds maximum allowed depth of 2"},
		{"include=a.b.c", query.Options{Limits: query.Limits{IncludeCount: 2}}, "102 Number of include fields (3) exceeds maximum allowed (2)"},
		{"include=" + strings.Repeat("a.", 5000) + "b", query.Options{}, "102 Include depth of 5001 exceeds maximum allowed depth of 128"},
	} {
		_, err := query.ParseFind(query.ParamsFromQuery(strings.ReplaceAll(c.query, " ", "%20")), c.opts)
		if got := textOf(err); got != c.want {
			t.Errorf("ParseFind(%.60s) = %q, want %q", c.query, got, c.want)
		}
	}
}

// TestParseFindOfBody reads the members of a POST with _method=GET, where a where may also be a text.
func TestParseFindOfBody(t *testing.T) {
	want := &query.Find{Where: eq("a", 1.0), Limit: 3, Keys: []string{"i"}}
	for _, body := range []string{
		`{"where":{"a":1},"limit":3,"keys":"i"}`,
		`{"where":"{\"a\":1}","limit":"3","keys":["i"]}`,
	} {
		got, err := query.ParseFind(decode(t, body), query.Options{})
		if err != nil {
			t.Fatalf("ParseFind(%s) = %v", body, err)
		}
		if diff := cmp.Diff(want, got, sameMaps); diff != "" {
			t.Errorf("ParseFind(%s) differs (-want +got):\n%s", body, diff)
		}
	}
}

func TestCheck(t *testing.T) {
	class := &schema.Class{Name: "C", Fields: map[string]schema.Field{
		"objectId": {Type: schema.String}, "createdAt": {Type: schema.Date}, "p": {Type: schema.Pointer, TargetClass: "Other"},
		"list": {Type: schema.Array}, "q": {Type: schema.Pointer, TargetClass: "Other"}, "n": {Type: schema.Number},
	}}
	f := &query.Find{
		Where: query.Or{eq("p", "id"), &query.Constraint{Key: "p", Op: query.Nin, Arg: []any{"a", nil}}, eq("n", "id")},
		Order: []query.Order{{Key: "n"}, {Key: "nope"}, {Key: "$score"}, {Key: "list.0"}},
		Keys:  []string{"n"}, ExcludeKeys: []string{"q"}, Include: []query.Path{{"p"}, {"p", "x"}}, IncludeAll: true,
	}
	before := query.Print(f.Where)
	got, err := query.Check(f, class, query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := &query.Find{
		Where: query.Or{
			eq("p", parse.Pointer{ClassName: "Other", ObjectID: "id"}),
			&query.Constraint{Key: "p", Op: query.Nin, Arg: []any{parse.Pointer{ClassName: "Other", ObjectID: "a"}, nil}},
			eq("n", "id"),
		},
		Order: []query.Order{{Key: "n"}, {Key: "$score"}, {Key: "list.0"}},
		Keys:  []string{"n", "list", "p"}, ExcludeKeys: []string{"q"},
		Include: []query.Path{{"p"}, {"list"}, {"q"}, {"p", "x"}},
	}
	if diff := cmp.Diff(want, got, sameMaps); diff != "" {
		t.Errorf("Check differs (-want +got):\n%s", diff)
	}
	if after := query.Print(f.Where); after != before {
		t.Errorf("Check changed its argument to %s", after)
	}
	_, err = query.Check(f, class, query.Options{Limits: query.Limits{IncludeCount: 3}})
	if got, want := textOf(err), "102 Number of include fields (4) exceeds maximum allowed (3)"; got != want {
		t.Errorf("Check = %q, want %q", got, want)
	}
}

func TestTree(t *testing.T) {
	a, b := eq("a", 1.0), eq("b.c", 2.0)
	sub := &query.SubQuery{Key: "p", Find: query.Find{ClassName: "C", Where: eq("hidden", 1.0)}}
	tree := query.AndOf(nil, a, query.And{b, query.And{nil}}, query.OrOf(sub, query.Or{a}))
	want := query.And{a, b, query.Or{sub, a}}
	if diff := cmp.Diff(query.Node(want), tree, sameMaps); diff != "" {
		t.Errorf("AndOf differs (-want +got):\n%s", diff)
	}
	if got, want := query.Fields(tree), []string{"a", "b.c", "p"}; !cmp.Equal(got, want) {
		t.Errorf("Fields = %v, want %v", got, want)
	}
	if got := query.AndOf(nil, nil); got != nil {
		t.Errorf("AndOf(nil, nil) = %v, want nil", got)
	}
	if got := query.OrOf(a, nil); got != nil {
		t.Errorf("OrOf(a, nil) = %v, want nil", got)
	}
	resolved, err := query.Rewrite(tree, func(n query.Node) (query.Node, error) {
		if _, ok := n.(*query.SubQuery); ok {
			return query.Never(), nil
		}
		return n, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := query.Print(resolved), `{"a":1,"b.c":2,"$or":[{"$or":[]},{"a":1}]}`; got != want {
		t.Errorf("Rewrite = %s, want %s", got, want)
	}
	failure := errors.New("stop")
	if _, err := query.Rewrite(tree, func(query.Node) (query.Node, error) { return nil, failure }); err != failure {
		t.Errorf("Rewrite = %v, want %v", err, failure)
	}
	if got, want := query.OrderFields([]query.Order{{Key: "a.b"}, {Key: query.ScoreKey}}), []string{"a.b"}; !cmp.Equal(got, want) {
		t.Errorf("OrderFields = %v, want %v", got, want)
	}
}
