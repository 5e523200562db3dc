package conformance

import (
	"encoding/json"
	"regexp"
	"sort"
	"strings"
	"time"
)

// sessionLength is the default life of a session.
const sessionLength = 31536000 * time.Second

var idInText = regexp.MustCompile(`/[A-Za-z0-9]{10}$`)

// generalise replaces what changes from run to run by variables and wildcards.
func (r *Runner) generalise(a *Answer) *Answer {
	out := *a
	if a.Kind == JSONBody {
		out.Body = r.members(a.Body)
	} else {
		out.Body = r.text("", a.Body)
	}
	out.Headers = nil
	for name, value := range a.Headers {
		if out.Headers == nil {
			out.Headers = map[string]string{}
		}
		value = r.text("", value)
		if name == "retry-after" {
			value = "<any>" // what is left of a time that runs
		}
		if id := idInText.FindString(value); name == "location" && id != "" {
			value = strings.TrimSuffix(value, id[1:]) + "<id>"
		}
		out.Headers[name] = value
	}
	return &out
}

// members rewrites the JSON text token by token, so that the order of members
// in the record is the order of the answer.
func (r *Runner) members(text string) string {
	var b strings.Builder
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	r.copyValue(&b, d, "")
	return b.String()
}

func (r *Runner) copyValue(b *strings.Builder, d *json.Decoder, key string) {
	t, err := d.Token()
	if err != nil {
		return
	}
	switch t {
	case json.Delim('{'):
		b.WriteByte('{')
		for first := true; d.More(); first = false {
			if !first {
				b.WriteByte(',')
			}
			name, _ := d.Token()
			member, _ := name.(string)
			b.WriteString(show(r.variables(member)) + ":")
			r.copyValue(b, d, member)
		}
		d.Token()
		b.WriteByte('}')
	case json.Delim('['):
		b.WriteByte('[')
		for first := true; d.More(); first = false {
			if !first {
				b.WriteByte(',')
			}
			r.copyValue(b, d, key)
		}
		d.Token()
		b.WriteByte(']')
	default:
		if s, ok := t.(string); ok {
			b.WriteString(show(r.text(key, s)))
			return
		}
		b.WriteString(show(t))
	}
}

// variables puts the names of captured strings in place of the strings.
func (r *Runner) variables(s string) string {
	names := make([]string, 0, len(r.match.vars))
	for name := range r.match.vars {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool { // longest value first: the URL holds no id, but ids may hold each other
		a, b := r.match.vars[names[i]], r.match.vars[names[j]]
		return len(a) > len(b) || len(a) == len(b) && names[i] < names[j]
	})
	for _, name := range names {
		if value := r.match.vars[name]; len(value) >= 10 {
			s = strings.ReplaceAll(s, value, "${"+name+"}")
		}
	}
	return s
}

// text generalises one string; key is the member it stands in.
func (r *Runner) text(key, s string) string {
	s = r.variables(s)
	switch {
	case strings.Contains(r.requests.String(), s):
	case r.match.near(s, 0):
		return "<date>"
	case r.match.near(s, sessionLength):
		return "<date+31536000s>"
	case token.MatchString(s):
		return "<token>"
	case key == "username" && made.MatchString(s):
		return "<name>"
	case key == "objectId" && random.MatchString(s):
		return "<id>"
	}
	return s
}
