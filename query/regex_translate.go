package query

import (
	"strings"
)

// translation is a PCRE pattern in the two languages of the engines.
type translation struct {
	// linear is for Go's regexp, options included; it is of no use when backtracking is true.
	linear string
	// full is for the backtracking engine, options apart.
	full string
	// backtracking says that the pattern is known to need the second engine.
	backtracking bool
}

// translate rewrites what PCRE and the engines read differently: \Q…\E becomes escaped text, and $ without option m,
// which PCRE also finds before a final newline, becomes that.
func translate(pattern, options string) translation {
	t := translator{rest: pattern, extended: strings.Contains(options, "x")}
	t.needs = t.extended
	// $ means the same in all engines once it means ends of lines; (?m) inside the pattern is left to the full engine.
	t.multiline = strings.Contains(options, "m")
	for t.rest != "" {
		t.step()
	}
	flags := ""
	for _, o := range "ims" {
		if strings.ContainsRune(options, o) {
			flags += string(o)
		}
	}
	linear := t.linear.String()
	if flags != "" {
		linear = "(?" + flags + ")" + linear
	}
	return translation{linear: linear, full: t.full.String(), backtracking: t.needs}
}

type translator struct {
	rest         string
	linear, full strings.Builder
	needs        bool
	multiline    bool
	extended     bool
}

func (t *translator) step() {
	switch c := t.rest[0]; {
	case strings.HasPrefix(t.rest, `\Q`):
		literal, after, _ := strings.Cut(t.rest[2:], `\E`)
		t.rest = after
		t.literal(literal)
	case strings.HasPrefix(t.rest, `\E`): // without \Q it means nothing
		t.rest = t.rest[2:]
	case c == '\\':
		t.copy(escapeLength(t.rest))
	case c == '[':
		t.class()
	case c == '$' && !t.multiline:
		t.end()
	case strings.HasPrefix(t.rest, "(?"):
		t.group()
	case c == '#' && t.extended:
		_, after, _ := strings.Cut(t.rest, "\n")
		t.rest = after
	default:
		t.copy(1)
	}
}

// copy takes n bytes as they are.
func (t *translator) copy(n int) {
	n = min(n, len(t.rest))
	t.linear.WriteString(t.rest[:n])
	t.full.WriteString(t.rest[:n])
	t.rest = t.rest[n:]
}

func escapeLength(s string) int {
	if len(s) > 1 && s[1] >= 0x80 {
		return 1 // the rest of the rune follows as ordinary text
	}
	return 2
}

// literal writes text in which nothing has a meaning.
func (t *translator) literal(s string) {
	for _, r := range s {
		escaped := string(r)
		// White space is escaped for option x, which would drop it.
		if strings.ContainsRune(`\.+*?()|[]{}^$# `, r) {
			escaped = `\` + escaped
		} else if strings.ContainsRune("\t\n\f\r\v", r) {
			escaped = map[rune]string{'\t': `\t`, '\n': `\n`, '\f': `\f`, '\r': `\r`, '\v': `\v`}[r]
		}
		t.linear.WriteString(escaped)
		t.full.WriteString(escaped)
	}
}

// class copies a bracket expression; \Q inside it is left alone, $ means itself.
func (t *translator) class() {
	i := 1
	if strings.HasPrefix(t.rest[i:], "^") {
		i++
	}
	if strings.HasPrefix(t.rest[i:], "]") {
		i++
	}
	for i < len(t.rest) && t.rest[i] != ']' {
		switch {
		case t.rest[i] == '\\':
			i += escapeLength(t.rest[i:])
		case strings.HasPrefix(t.rest[i:], "[:"):
			if n := strings.Index(t.rest[i:], ":]"); n > 0 {
				i += n + 2
			} else {
				i++
			}
		default:
			i++
		}
	}
	t.copy(i + 1)
}

// end writes $ as the end of the text or before a final newline. Go's engine has no look-ahead, so that there the
// newline is consumed, which is the same only where nothing else has to match it.
func (t *translator) end() {
	t.rest = t.rest[1:]
	if t.rest != "" && !strings.HasPrefix(t.rest, ")") && !strings.HasPrefix(t.rest, "|") {
		t.needs = true
	}
	// A group may be followed by more, as in (a$)\n.
	if strings.HasPrefix(t.rest, ")") && strings.Trim(t.rest, ")") != "" {
		t.needs = true
	}
	t.linear.WriteString(`(?:\n?\z)`)
	t.full.WriteString(`(?=\n?\z)`)
}

// group copies the opening of a group. Flags inside the pattern that change how the rest is read need the full engine,
// which then also reads $ by itself.
func (t *translator) group() {
	i := 2
	for i < len(t.rest) && strings.IndexByte("imsxnUJu-", t.rest[i]) >= 0 {
		i++
	}
	if i < len(t.rest) && (t.rest[i] == ')' || t.rest[i] == ':') && strings.ContainsAny(t.rest[2:i], "mx") {
		t.needs = true
		t.multiline = true
		t.extended = t.extended || strings.Contains(t.rest[2:i], "x")
	}
	t.copy(2)
}
