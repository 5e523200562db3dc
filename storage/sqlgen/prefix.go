package sqlgen

import (
	"strings"
	"unicode/utf8"

	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// pattern appends $regex or StartsWith. What a pattern says of the beginning becomes a range of the column, so that an
// index helps; a pattern that says nothing else is that range.
func (b *builder) pattern(column *Column, c *query.Constraint) error {
	prefix, exact := "", false
	switch arg := c.Arg.(type) {
	case string:
		prefix, exact = arg, true
	case *query.Regex:
		prefix, exact = regexPrefix(arg)
	default:
		return badOperand(c)
	}
	if column.Type != schema.String || prefix == "" {
		return b.test(column, c)
	}
	if _, ok := b.layout.Dialect.Argument(column, prefix); !ok {
		return b.test(column, c)
	}
	name := b.layout.Dialect.Ordered(column)
	b.text("(" + name + " >= ")
	b.param(prefix)
	if end := after(prefix); end != "" {
		b.text(" AND " + name + " < ")
		b.param(end)
	}
	if !exact {
		b.text(" AND ")
		if err := b.test(column, c); err != nil {
			return err
		}
	}
	b.text(")")
	return nil
}

// regexPrefix returns the literal text that every match begins with, "" when there is none or it is not certain, and
// whether the pattern asks for nothing else: the SDKs write startsWith as ^\Qtext\E.
func regexPrefix(r *query.Regex) (prefix string, exact bool) {
	quoted, ok := strings.CutPrefix(r.Pattern, `^\Q`)
	text, tail, _ := strings.Cut(quoted, `\E`)
	if ok && tail == "" && !strings.ContainsAny(r.Options, "imx") {
		return text, true
	}
	return r.Prefix(), false
}

// after returns the least string that is greater than all that begin with the prefix, "" when there is none. Strings are
// ordered by the bytes of their UTF-8, which is the order of code points.
func after(prefix string) string {
	for prefix != "" {
		r, size := utf8.DecodeLastRuneInString(prefix)
		head := prefix[:len(prefix)-size]
		if r == utf8.RuneError && size == 1 {
			return "" // not UTF-8: no range rather than a wrong one
		}
		switch {
		case r == 0xD7FF: // surrogates are no characters
			return head + "\uE000"
		case r < utf8.MaxRune:
			return head + string(r+1)
		}
		prefix = head
	}
	return ""
}
