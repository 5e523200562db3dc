package conformance

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// slack is how far a server-made instant may lie from the clock of the runner.
const slack = 10 * time.Minute

var (
	variable = regexp.MustCompile(`\$\{([A-Za-z][A-Za-z0-9]*)\}`)
	wildcard = regexp.MustCompile(`<(date(?:[+-]\d+s)?|id|token|name|any)>`)

	instant = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	token   = regexp.MustCompile(`^r:[0-9a-f]{32}$`)
	random  = regexp.MustCompile(`^[A-Za-z0-9]{10}$`)
	made    = regexp.MustCompile(`^[A-Za-z0-9]{25}$`)
)

// A matcher compares answers with what is expected, in one conversation.
type matcher struct {
	vars     map[string]string
	anyOrder []string
	now      time.Time
}

// expand replaces ${name}; an unknown name stays, and is found by comparison.
func (m *matcher) expand(s string) string {
	return variable.ReplaceAllStringFunc(s, func(v string) string {
		if value, ok := m.vars[v[2:len(v)-1]]; ok {
			return value
		}
		return v
	})
}

// compare returns the differences between two JSON texts, each with its path.
func (m *matcher) compare(want, got string) []string {
	w, err := decode(want)
	if err != nil {
		return []string{fmt.Sprintf("expected body is not JSON: %v", err)}
	}
	g, err := decode(got)
	if err != nil {
		return []string{fmt.Sprintf("body is not JSON: %s", got)}
	}
	return m.diff("", w, g)
}

func decode(text string) (v any, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // 1 and 1.0 are different answers
	err = d.Decode(&v)
	return v, err
}

func (m *matcher) diff(path string, want, got any) []string {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			return m.diffObject(path, w, g)
		}
	case []any:
		if g, ok := got.([]any); ok {
			return m.diffArray(path, w, g)
		}
	case string:
		if g, ok := got.(string); ok && m.matches(w, g) {
			return nil
		}
	default:
		if want == got {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s = %s, want %s", at(path), show(got), m.expand(show(want)))}
}

func (m *matcher) diffObject(path string, want, got map[string]any) (out []string) {
	seen := map[string]bool{}
	for key, w := range want {
		key = m.expand(key)
		seen[key] = true
		if g, ok := got[key]; !ok {
			out = append(out, fmt.Sprintf("%s is missing, want %s", at(join(path, key)), m.expand(show(w))))
		} else {
			out = append(out, m.diff(join(path, key), w, g)...)
		}
	}
	for key, g := range got {
		if !seen[key] {
			out = append(out, fmt.Sprintf("%s = %s, want it absent", at(join(path, key)), show(g)))
		}
	}
	return out
}

func (m *matcher) diffArray(path string, want, got []any) (out []string) {
	if len(want) != len(got) {
		return []string{fmt.Sprintf("%s = %s, want %s", at(path), show(got), m.expand(show(want)))}
	}
	if m.ignoresOrder(path) {
		return m.diffSet(path, want, got)
	}
	for i := range want {
		out = append(out, m.diff(join(path, strconv.Itoa(i)), want[i], got[i])...)
	}
	return out
}

func (m *matcher) ignoresOrder(path string) bool {
	for _, p := range m.anyOrder {
		if p == path || p == "." && path == "" {
			return true
		}
	}
	return false
}

// diffSet pairs each expected element with the first element that equals it.
func (m *matcher) diffSet(path string, want, got []any) (out []string) {
	left := append([]any(nil), got...)
next:
	for _, w := range want {
		for i, g := range left {
			if len(m.diff(path, w, g)) == 0 {
				left = append(left[:i], left[i+1:]...)
				continue next
			}
		}
		out = append(out, fmt.Sprintf("%s has no %s", at(path), m.expand(show(w))))
	}
	for _, g := range left {
		out = append(out, fmt.Sprintf("%s has %s, want it absent", at(path), show(g)))
	}
	return out
}

// matches compares one string with a pattern of variables and wildcards.
func (m *matcher) matches(want, got string) bool {
	want = m.expand(want)
	if !wildcard.MatchString(want) {
		return want == got
	}
	var kinds []string
	var re strings.Builder
	re.WriteString(`(?s)\A`)
	rest := want
	for loc := wildcard.FindStringSubmatchIndex(rest); loc != nil; loc = wildcard.FindStringSubmatchIndex(rest) {
		re.WriteString(regexp.QuoteMeta(rest[:loc[0]]) + `(.*?)`)
		kinds = append(kinds, rest[loc[2]:loc[3]])
		rest = rest[loc[1]:]
	}
	re.WriteString(regexp.QuoteMeta(rest) + `\z`)
	parts := regexp.MustCompile(re.String()).FindStringSubmatch(got)
	if parts == nil {
		return false
	}
	for i, kind := range kinds {
		if !m.isA(kind, parts[i+1]) {
			return false
		}
	}
	return true
}

func (m *matcher) isA(kind, value string) bool {
	switch kind {
	case "id":
		return random.MatchString(value)
	case "token":
		return token.MatchString(value)
	case "name":
		return made.MatchString(value)
	case "any":
		return true
	}
	offset, _ := time.ParseDuration(strings.TrimPrefix(kind, "date"))
	return m.near(value, offset)
}

func (m *matcher) near(value string, offset time.Duration) bool {
	if !instant.MatchString(value) {
		return false
	}
	t, err := time.Parse(time.RFC3339, value)
	return err == nil && t.Sub(m.now.Add(offset)).Abs() <= slack
}

// capture finds the string at a dotted path.
func capture(body, path string) (string, error) {
	v, err := decode(body)
	if err != nil {
		return "", fmt.Errorf("capture %s: body is not JSON", path)
	}
	for _, step := range strings.Split(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(at) {
				return "", fmt.Errorf("capture %s: no element %s", path, step)
			}
			v = at[i]
		default:
			v = nil
		}
	}
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("capture %s: no string there", path)
	}
	return s, nil
}

func at(path string) string {
	if path == "" {
		return "body"
	}
	return path
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func show(v any) string {
	text, err := marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return text
}

func marshal(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}
