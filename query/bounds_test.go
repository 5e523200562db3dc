package query

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/parley-backend/parley/parse"
)

// TestQueryBounds checks what no query may ask for, whatever the limits of the caller are: each would take memory, time or stack out of
// proportion to its size.
func TestQueryBounds(t *testing.T) {
	names := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("a%d", i)
		}
		return strings.Join(list, ",")
	}
	regexes := func(n int, pattern string) []any {
		list := make([]any, n)
		for i := range list {
			list[i] = parse.NewMap("$regex", fmt.Sprintf(pattern, i))
		}
		return list
	}
	where := func(key string, v any) *parse.Map { return parse.NewMap("where", parse.NewMap(key, v)) }
	for _, c := range []struct {
		name   string
		params *parse.Map
		want   string
	}{
		{"order", parse.NewMap("order", names(maxKeys)), ""},
		{"order", parse.NewMap("order", names(maxKeys+1)), "Number of keys in order (1001) exceeds maximum allowed (1000)"},
		{"keys", parse.NewMap("keys", names(maxKeys+1)), "Number of keys in keys (1001) exceeds maximum allowed (1000)"},
		{"excludeKeys", parse.NewMap("excludeKeys", names(maxKeys+1)), "Number of keys in excludeKeys (1001) exceeds maximum allowed (1000)"},
		{"include", parse.NewMap("include", names(maxKeys+1)), "Number of keys in include (1001) exceeds maximum allowed (1000)"},
		{"a few large patterns", where("a", parse.NewMap("$all", regexes(10, "(a%d|b){1,900}"))), ""},
		{"many large patterns", where("a", parse.NewMap("$all", regexes(1000, "(a%d|b){1,900}"))), "The regular expressions of the query are too large."},
		{"many small patterns", where("a", parse.NewMap("$all", regexes(2000, "^a%d"))), ""},
		{"too many small patterns", where("a", parse.NewMap("$all", regexes(2001, "^a%d"))), "The regular expressions of the query are too large."},
	} {
		_, err := ParseFind(c.params, Options{})
		if got := message(err); got != c.want {
			t.Errorf("%s: ParseFind = %q, want %q", c.name, got, c.want)
		}
	}
	deep := strings.Repeat("a.", maxDepth) + "a"
	for name, stage := range map[string]any{
		"addFields":   parse.NewMap("$addFields", parse.NewMap(deep, 1.0)),
		"project":     parse.NewMap("$project", parse.NewMap(deep, parse.NewMap("$add", []any{1.0}))),
		"unset":       parse.NewMap("$unset", parse.NewMap(deep, "")),
		"unwind":      parse.NewMap("$unwind", "$"+deep),
		"unwindIndex": parse.NewMap("$unwind", parse.NewMap("path", "$a", "includeArrayIndex", deep)),
		"expression":  parse.NewMap("$group", parse.NewMap("_id", "$"+deep)),
	} {
		_, err := ParsePipeline(parse.NewMap("pipeline", []any{stage}), nil, Options{Privileged: true})
		if got, want := message(err), "A field path must not be more than 128 levels deep"; got != want {
			t.Errorf("%s: ParsePipeline = %q, want %q", name, got, want)
		}
	}
}

// TestLargePatternsAreNotKept checks that the cache of patterns cannot be made to hold hundreds of megabytes.
func TestLargePatternsAreNotKept(t *testing.T) {
	for pattern, want := range map[string]bool{"^small": true, "(a|b){1,900}": false} {
		r := Regex{Pattern: pattern}
		if _, err := r.Compile(); err != nil {
			t.Fatal(err)
		}
		if kept := patterns.get(r) != nil; kept != want {
			t.Errorf("the cache holds %s: %v, want %v", pattern, kept, want)
		}
	}
}

func message(err error) string {
	var told *parse.Error
	if errors.As(err, &told) {
		return told.Message
	}
	if err != nil {
		return "not a Parse error: " + err.Error()
	}
	return ""
}
