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
	b.text("(" + column.Name() + " >= ")
	b.param(prefix)
	if end := after(prefix); end != "" {
		b.text(" AND " + column.Name() + " < ")
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
// whether the pattern asks for nothing else.
func regexPrefix(r *query.Regex) (prefix string, exact bool) {
	rest, anchored := strings.CutPrefix(r.Pattern, "^")
	// i matches other letters, m other places, x ignores blanks.
	if !anchored || strings.Trim(r.Options, "su") != "" {
		return "", false
	}
	var b strings.Builder
	for rest != "" {
		if quoted, ok := strings.CutPrefix(rest, `\Q`); ok {
			text, tail, closed := strings.Cut(quoted, `\E`)
			if !closed {
				tail = ""
			}
			if strings.Contains(tail, "|") { // an alternative may begin otherwise
				return "", false
			}
			b.WriteString(text)
			if tail != "" && quantifier(tail[0]) {
				return cutLast(b.String()), false
			}
			rest = tail
			continue
		}
		c := rest[0]
		if !plain(c) {
			break
		}
		_, size := utf8.DecodeRuneInString(rest)
		if tail := rest[size:]; tail != "" && quantifier(tail[0]) {
			break
		}
		b.WriteString(rest[:size])
		rest = rest[size:]
	}
	if strings.Contains(rest, "|") {
		return "", false
	}
	return b.String(), rest == ""
}

// plain tells whether a byte of a pattern stands for itself.
func plain(c byte) bool { return strings.IndexByte(`\.+*?()|[]{}^$`, c) < 0 }

// quantifier tells whether a byte of a pattern says how often what stands before it may come.
func quantifier(c byte) bool { return strings.IndexByte("*?{+", c) >= 0 }

// cutLast drops the last character, which a quantifier may make optional.
func cutLast(s string) string {
	_, size := utf8.DecodeLastRuneInString(s)
	return s[:len(s)-size]
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
