package query

import (
	"container/list"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"time"

	"github.com/dlclark/regexp2"

	"github.com/parley-backend/parley/parse"
)

// Bounds on what one regular expression may cost.
const (
	// maxPattern is the length of the longest pattern in bytes; MongoDB refuses longer ones too.
	maxPattern = 32764
	// maxProgram is the number of instructions that a pattern may compile to: a{1000}{1000} is short but not small.
	maxProgram = 20000
	// maxPrograms bounds the instructions of all patterns of one query together, each counting for minProgram at least: they
	// are all in memory while the query runs.
	maxPrograms = 10 * maxProgram
	minProgram  = 100
	// maxCached is the largest program that stays in memory after its query; larger ones are compiled again.
	maxCached = 1000
	// regexTimeout is how long a pattern with backtracking may work on one value.
	regexTimeout = 500 * time.Millisecond
)

// Pattern is a compiled $regex. It is safe for concurrent use.
//
// The language is that of PCRE, which MongoDB uses: options i (case), m (^ and $ at lines), s (dot matches newline),
// x (white space and comments in the pattern), u (nothing: text is always Unicode), and \Q…\E for literal text.
// Patterns run on Go's regexp in linear time. What that cannot do (look-around, back references, atomic groups, x)
// runs on a backtracking engine under a time-out.
type Pattern struct {
	linear       *regexp.Regexp
	backtracking *regexp2.Regexp
	// size is about the number of instructions.
	size int
}

// Compile returns the compiled pattern, from a bounded cache if it was used before. The error is a *parse.Error of code 102.
func (r *Regex) Compile() (*Pattern, error) {
	if p := patterns.get(*r); p != nil {
		return p, nil
	}
	p, err := compilePattern(r.Pattern, r.Options)
	if err != nil {
		return nil, err
	}
	if p.size <= maxCached {
		patterns.put(*r, p)
	}
	return p, nil
}

// Match tells whether the pattern is found in s. The error is a *parse.Error of code 124: it took too long.
func (p *Pattern) Match(s string) (found bool, err error) {
	if p.linear != nil {
		return p.linear.MatchString(s), nil
	}
	// The engine is known to panic on some malformed combinations; a query must not end the process.
	defer func() {
		if recover() != nil {
			found, err = false, parse.Errorf(parse.InvalidQuery, "Invalid regular expression.")
		}
	}()
	found, err = p.backtracking.MatchString(s)
	if err != nil {
		return false, parse.Errorf(parse.Timeout, "The regular expression takes too long.")
	}
	return found, nil
}

// QuoteRegex returns a pattern that matches s literally, in the form that the SDKs send: \Q…\E.
func QuoteRegex(s string) string {
	return `\Q` + strings.ReplaceAll(s, `\E`, `\E\\E\Q`) + `\E`
}

// Prefix returns the literal text that every match begins with, for patterns that are anchored to the beginning of the
// value: what an index can look up before the pattern decides. It is "" when there is none.
func (r *Regex) Prefix() string {
	if !strings.HasPrefix(r.Pattern, "^") || strings.ContainsAny(r.Options, "imx") {
		return ""
	}
	p, err := r.Compile()
	if err != nil || p.linear == nil {
		return ""
	}
	tree, err := syntax.Parse(p.linear.String(), syntax.Perl)
	if err != nil {
		return ""
	}
	tree = tree.Simplify()
	if tree.Op != syntax.OpConcat || len(tree.Sub) < 2 || tree.Sub[0].Op != syntax.OpBeginText {
		return ""
	}
	if l := tree.Sub[1]; l.Op == syntax.OpLiteral && l.Flags&syntax.FoldCase == 0 {
		return string(l.Rune)
	}
	return ""
}

func compilePattern(pattern, options string) (*Pattern, error) {
	invalid := parse.Errorf(parse.InvalidQuery, "Invalid regular expression.")
	if len(pattern) > maxPattern {
		return nil, parse.Errorf(parse.InvalidQuery, "The regular expression is too long.")
	}
	t := translate(pattern, options)
	if !t.backtracking {
		tree, err := syntax.Parse(t.linear, syntax.Perl)
		if err == nil {
			size := programSize(tree, 1)
			if size > maxProgram {
				return nil, parse.Errorf(parse.InvalidQuery, "The regular expression is too large.")
			}
			re, err := regexp.Compile(t.linear)
			if err != nil {
				return nil, invalid
			}
			return &Pattern{linear: re, size: size}, nil
		}
		if e, ok := err.(*syntax.Error); ok && (e.Code == syntax.ErrLarge || e.Code == syntax.ErrNestingDepth) {
			return nil, parse.Errorf(parse.InvalidQuery, "The regular expression is too large.")
		}
	}
	re, err := compileBacktracking(t.full, options)
	if err != nil {
		return nil, invalid
	}
	re.MatchTimeout = regexTimeout
	return &Pattern{backtracking: re, size: len(pattern)}, nil
}

func compileBacktracking(pattern, options string) (re *regexp2.Regexp, err error) {
	defer func() {
		if recover() != nil {
			err = parse.Errorf(parse.InvalidQuery, "Invalid regular expression.")
		}
	}()
	flags := regexp2.RegexOptions(regexp2.RE2) // \d, \w and \s are ASCII, as in PCRE
	for _, o := range options {
		switch o {
		case 'i':
			flags |= regexp2.IgnoreCase
		case 'm':
			flags |= regexp2.Multiline
		case 's':
			flags |= regexp2.Singleline
		case 'x':
			flags |= regexp2.IgnorePatternWhitespace
		}
	}
	return regexp2.Compile(pattern, flags)
}

// programSize estimates the number of instructions of a pattern without building them.
func programSize(re *syntax.Regexp, times int) int {
	size := times
	switch re.Op {
	case syntax.OpLiteral:
		size = times * len(re.Rune)
	case syntax.OpCharClass:
		size = times * (1 + len(re.Rune)/8)
	case syntax.OpRepeat:
		n := max(re.Max, re.Min, 1)
		if times *= n; times > maxProgram {
			return times
		}
	}
	for _, sub := range re.Sub {
		if size += programSize(sub, times); size > maxProgram {
			return size
		}
	}
	return size
}

// patterns is the cache behind [Regex.Compile]: the patterns used last, at most maxPatterns of them. It holds nothing
// that a caller could see but time.
var patterns = patternCache{entries: make(map[Regex]*list.Element)}

const maxPatterns = 512

type patternCache struct {
	mu      sync.Mutex
	entries map[Regex]*list.Element
	recent  list.List // of cachedPattern, the last used first
}

type cachedPattern struct {
	key     Regex
	pattern *Pattern
}

func (c *patternCache) get(key Regex) *Pattern {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(cachedPattern).pattern
}

func (c *patternCache) put(key Regex, p *Pattern) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[key] != nil {
		return
	}
	c.entries[key] = c.recent.PushFront(cachedPattern{key, p})
	if len(c.entries) > maxPatterns {
		oldest := c.recent.Back()
		c.recent.Remove(oldest)
		delete(c.entries, oldest.Value.(cachedPattern).key)
	}
}
