package query

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/parley-backend/parley/parse"
)

// checkError fails on an error that is not meant for a client.
func checkError(t *testing.T, what string, err error) {
	t.Helper()
	var e *parse.Error
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("%s = %v, which is no *parse.Error", what, err)
	}
}

// whereSeeds are the where of every case of the corpus that is short enough to be interesting.
func whereSeeds(f *testing.F) {
	for op, arg := range operands {
		f.Add(Print(&Constraint{Key: "a.b", Op: op, Arg: arg}))
	}
	for _, seed := range []string{
		`{}`, `{"a":{"$in":[[1],2]}}`, `{"$or":[{"a":1},{"$nor":[{"b":null}]}]}`, `{"a":{"$relativeTime":"now"}}`,
		`{"p":{"$inQuery":{"className":"C","where":{"x":{"$exists":0}}},"$in":[1]}}`,
		`{"p":{"__type":"Pointer","className":"C","objectId":"x","$ne":1}}`, `{"a":{"__op":"Increment","amount":1}}`,
		`{"d":{"$gt":{"$relativeTime":"in 99999999999999999999 years"}}}`, `{"_rperm":1,"ACL":2}`,
		`{"a":{"$select":{"query":{"className":"C"},"key":"k"}},"$relatedTo":{"object":{"__type":"Pointer","className":"C","objectId":"x"},"key":"r"}}`,
	} {
		f.Add(seed)
	}
}

func FuzzParseWhere(f *testing.F) {
	whereSeeds(f)
	object := parse.NewObject("C", "objectId", "x", "a", 1.0, "s", "text", "l", []any{1.0, "x", nil},
		"o", parse.NewMap("b", 1.0), "g", parse.GeoPoint{Latitude: 1})
	f.Fuzz(func(t *testing.T, text string) {
		where, err := parse.DecodeMap([]byte(text), parse.Limits{})
		if err != nil {
			return
		}
		n, err := ParseWhere(where, Options{Privileged: true})
		checkError(t, "ParseWhere", err)
		if err != nil {
			return
		}
		Fields(n)
		if m, err := Compile(n); err == nil {
			_, err := m.Match(object)
			checkError(t, "Match", err)
		}
		// What was read is printed and read again as the same; only a moment is no longer relative, and a tree that can
		// never hold has no form on the wire.
		printed := Print(n)
		if strings.Contains(text, "$relativeTime") || strings.Contains(printed, `"$or":[]`) {
			return
		}
		where, err = parse.DecodeMap([]byte(printed), parse.Limits{Depth: 10000})
		if err != nil {
			t.Fatalf("Print = %s: %v", printed, err)
		}
		again, err := ParseWhere(where, Options{Privileged: true})
		if err != nil {
			t.Fatalf("ParseWhere(%s) = %v", printed, err)
		}
		if got := Print(again); got != printed {
			t.Fatalf("Print(ParseWhere(%s)) = %s", printed, got)
		}
	})
}

func FuzzParseFind(f *testing.F) {
	for _, seed := range []string{
		"", "where=%7B%22a%22%3A1%7D&limit=5&skip=1&order=-a,b&count=1", "keys=a.b,c&excludeKeys=c&include=d.e,*",
		"limit=1e999&skip=-0", "order=$score,_created_at,-", "explain=true&hint=x&comment=y", "where=1&where=2", "%zz=1&=&&a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rawQuery string) {
		params := ParamsFromQuery(rawQuery)
		find, err := ParseFind(params, Options{Privileged: true, MaxLimit: 1000})
		checkError(t, "ParseFind", err)
		if err != nil {
			return
		}
		if find.Limit < 0 || find.Limit > 1000 || find.Skip < 0 {
			t.Fatalf("ParseFind(%q): limit %d, skip %d", rawQuery, find.Limit, find.Skip)
		}
		for _, o := range find.Order {
			if o.Key != ScoreKey && !validKey(o.Key) {
				t.Fatalf("ParseFind(%q): order by %q", rawQuery, o.Key)
			}
		}
		for i, path := range find.Include {
			if i > 0 && len(path) < len(find.Include[i-1]) {
				t.Fatalf("ParseFind(%q): include %v", rawQuery, find.Include)
			}
		}
	})
}

func FuzzRegex(f *testing.F) {
	for _, seed := range [][3]string{
		{"^a.c$", "", "abc"}, {"(a+)+$", "i", "aaab"}, {`\Qa.b\E`, "x", "a.b"}, {"(?=a)b|[[:alpha:]$]", "ms", "x\n"},
		{`(?<n>a)\k<n>`, "", "aa"}, {"[", "", ""}, {`a\`, "", ""}, {"(?x) # c", "", ""}, {"a{1000}{1000}", "u", "é😀"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, pattern, options, value string) {
		if len(pattern) > 200 || len(value) > 200 || strings.Trim(options, "imsxu") != "" {
			return
		}
		x := &Regex{pattern, options}
		p, err := x.Compile()
		checkError(t, "Compile", err)
		if err != nil {
			return
		}
		ok, err := p.Match(value)
		checkError(t, "Match", err)
		if prefix := x.Prefix(); ok && !strings.HasPrefix(value, prefix) {
			t.Fatalf("%q matches %q, which does not begin with %q", pattern, value, prefix)
		}
		if !utf8.ValidString(value) {
			return
		}
		quoted, err := compilePattern("^"+QuoteRegex(value)+`\z`, options)
		if err != nil {
			t.Fatalf("QuoteRegex(%q) = %q: %v", value, QuoteRegex(value), err)
		}
		if ok, err := quoted.Match(value); err != nil || !ok {
			t.Fatalf("%q with %q does not match %q (%v)", QuoteRegex(value), options, value, err)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, seed := range [][2]string{
		{"dog cats", "The dogs ran."}, {`"lazy dog" -cat`, "a lazy dog"}, {`-"x`, "é É ß ﬀ"}, {"’'-\"", "it’s"}, {"\u0301", "e\u0301"}, {"x", "\u0301"},
	} {
		f.Add(seed[0], seed[1], false, false)
	}
	f.Fuzz(func(t *testing.T, term, value string, keepCase, keepMarks bool) {
		m := (&Text{Term: term, CaseSensitive: keepCase, DiacriticSensitive: keepMarks}).Compile()
		score, ok := m.Match(value)
		if ok != (score > 0) {
			t.Fatalf("Match(%q, %q) = %v, %v", term, value, score, ok)
		}
		// A text holds each of its own words.
		for _, w := range (&Text{Term: value}).Compile().Terms() {
			if w == "" {
				t.Fatalf("an empty word in %q", value)
			}
		}
	})
}

func FuzzParsePipeline(f *testing.F) {
	for _, seed := range []string{
		`{"pipeline":[{"$match":{"a":1}},{"$group":{"_id":"$a","n":{"$sum":1},"l":{"$push":"$$ROOT"}}},{"$sort":{"n":-1}}]}`,
		`{"pipeline":[{"$project":{"x":{"$cond":[{"$gt":["$a",1]},{"$add":["$a",1]},"$l"]},"y.z":1}},{"$unwind":"$l"},{"$count":"c"}]}`,
		`{"pipeline":[{"$unwind":{"path":"$o.l","includeArrayIndex":"o.i","preserveNullAndEmptyArrays":true}},{"$addFields":{"o.x":"$l.b"}},{"$unset":"l.b"}]}`,
		`{"$replaceWith":"$o","$limit":3,"$skip":1,"$sample":{"size":2},"$sortByCount":"$a"}`, `{"distinct":"l","where":{"a":1}}`,
		`{"pipeline":[{"$project":{"a":{"$year":"$d"},"b":{"$concat":["$s","x"]},"c":{"$divide":[1,"$a"]},"_id":0}}]}`,
	} {
		f.Add(seed)
	}
	objects := []*parse.Object{
		parse.NewObject("C", "objectId", "x", "a", 1.0, "s", "text", "l", []any{1.0, parse.NewMap("b", 2.0), nil}, "d", parse.Date(1e12)),
		parse.NewObject("C", "objectId", "y", "o", parse.NewMap("b", 1.0, "l", []any{}), "g", parse.GeoPoint{Latitude: 1}),
	}
	before := []*parse.Object{objects[0].Clone(), objects[1].Clone()}
	f.Fuzz(func(t *testing.T, text string) {
		params, err := parse.DecodeMap([]byte(text), parse.Limits{})
		if err != nil {
			return
		}
		p, err := ParsePipeline(params, nil, Options{Privileged: true})
		checkError(t, "ParsePipeline", err)
		if err != nil {
			return
		}
		results, err := Run(p.Stages, func(yield func(*parse.Object, error) bool) { each(objects, yield) })
		if err != nil {
			return
		}
		for _, m := range p.Answer(results) {
			parse.Marshal(m)
		}
		Split(p.Stages)
		if !reflect.DeepEqual(objects, before) {
			t.Fatalf("Run(%s) changed the objects it read", text)
		}
	})
}
