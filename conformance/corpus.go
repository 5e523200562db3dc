package conformance

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// A File is one conversation with one fresh server.
type File struct {
	Name      string   // for messages
	Comments  []string // lines that start with #, before the server line
	Options   string   // JSON object of server options, by their configuration file names
	Exchanges []*Exchange
}

// An Exchange is one request and its answer.
type Exchange struct {
	Section  string // set on the first exchange of a section
	Name     string
	Line     int      // of the name, from 1
	Comments []string // lines that start with #, before the name

	Method string
	Path   string   // with query, as written
	Caller []string // items in brackets
	Body   string   // JSON text, or the bytes of a raw body
	Raw    bool

	Captures []Capture
	AnyOrder []string // dotted paths of arrays
	Headers  []string // names of further response headers to compare

	Want       *Answer // as recorded; nil before the first recording
	Divergence string  // why Parley answers otherwise
	Parley     *Answer // Parley's answer where it differs from Want
	Reason     string  // why Parley answers otherwise on PostgreSQL than on its other databases
	Postgres   *Answer // its answer there
}

// A Capture keeps the string at Path of the answer as a variable.
type Capture struct {
	Name, Path string
}

// An Answer is an expected response.
type Answer struct {
	Status  int
	Kind    BodyKind
	Body    string            // JSON text, text, or the media type for OtherBody
	Headers map[string]string // lower-case names
}

// BodyKind says how the body of an Answer is given.
type BodyKind int

// The kinds of body.
const (
	EmptyBody BodyKind = iota
	JSONBody
	TextBody
	OtherBody // only its media type is known
)

// Expected returns what Parley answers: its own answer where it diverges, the
// recorded one otherwise.
func (e *Exchange) Expected() *Answer {
	if e.Parley != nil {
		return e.Parley
	}
	return e.Want
}

// ExpectedOnPostgres returns what Parley answers when its database is PostgreSQL.
func (e *Exchange) ExpectedOnPostgres() *Answer {
	if e.Postgres != nil {
		return e.Postgres
	}
	return e.Expected()
}

// Parse reads a corpus file. The error names the line.
func Parse(name string, text []byte) (*File, error) {
	p := &parser{file: &File{Name: name}}
	for i, line := range strings.Split(string(text), "\n") {
		p.line = i + 1
		if err := p.read(strings.TrimSpace(line)); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, p.line, err)
		}
	}
	if p.file.Options == "" {
		return nil, fmt.Errorf("%s: no server line", name)
	}
	for _, e := range p.file.Exchanges {
		if e.Method == "" {
			return nil, fmt.Errorf("%s:%d: exchange without a request", name, e.Line)
		}
		if (e.Divergence == "") != (e.Parley == nil) || (e.Reason == "") != (e.Postgres == nil) {
			return nil, fmt.Errorf("%s:%d: a divergence needs its reason and its answer", name, e.Line)
		}
	}
	if len(p.comments) > 0 || p.section != "" {
		return nil, fmt.Errorf("%s: a comment or a section at the end belongs to no exchange", name)
	}
	return p.file, nil
}

type parser struct {
	file     *File
	line     int
	section  string
	comments []string
	current  *Exchange
}

func (p *parser) read(line string) error {
	mark, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch mark {
	case "":
		return nil
	case "##":
		if rest == "" || p.section != "" {
			return fmt.Errorf("a section needs a name and an exchange")
		}
		p.section = rest
		return nil
	case "server":
		return p.readOptions(rest)
	case "-":
		return p.readName(rest)
	}
	if strings.HasPrefix(line, "#") {
		p.comments = append(p.comments, strings.TrimSpace(line[1:]))
		return nil
	}
	if p.current == nil {
		return fmt.Errorf("line belongs to no exchange: %q", line)
	}
	return p.readLine(mark, rest)
}

func (p *parser) readOptions(rest string) error {
	var options map[string]any
	if p.file.Options != "" || len(p.file.Exchanges) > 0 || p.section != "" {
		return fmt.Errorf("the server line comes first, and once")
	}
	if err := json.Unmarshal([]byte(rest), &options); err != nil || options == nil {
		return fmt.Errorf("server options are not a JSON object")
	}
	p.file.Options, p.file.Comments, p.comments = rest, p.comments, nil
	return nil
}

func (p *parser) readName(rest string) error {
	if rest == "" || p.file.Options == "" {
		return fmt.Errorf("an exchange needs a name and stands after the server line")
	}
	p.current = &Exchange{Section: p.section, Name: rest, Line: p.line, Comments: p.comments}
	p.section, p.comments = "", nil
	p.file.Exchanges = append(p.file.Exchanges, p.current)
	return nil
}

func (p *parser) readLine(mark, rest string) (err error) {
	e := p.current
	switch mark {
	case ">":
		if e.Method != "" {
			return fmt.Errorf("second request")
		}
		return e.readRequest(rest)
	case "=":
		name, path, _ := strings.Cut(rest, " ")
		if !isName(name) || path == "" {
			return fmt.Errorf("a capture is a name and a path: %q", rest)
		}
		e.Captures = append(e.Captures, Capture{name, strings.TrimSpace(path)})
	case "~":
		if path, ok := strings.CutPrefix(rest, "any order "); ok && strings.TrimSpace(path) != "" {
			e.AnyOrder = append(e.AnyOrder, strings.TrimSpace(path))
		} else if name, ok := strings.CutPrefix(rest, "header "); ok && strings.TrimSpace(name) != "" {
			e.Headers = append(e.Headers, strings.ToLower(strings.TrimSpace(name)))
		} else {
			return fmt.Errorf("unknown remark %q", rest)
		}
	case "<":
		if e.Want != nil {
			return fmt.Errorf("second answer")
		}
		e.Want, err = readAnswer(rest)
	case "<!":
		if e.Parley != nil {
			return fmt.Errorf("second answer of Parley")
		}
		e.Parley, err = readAnswer(rest)
	case "<postgres":
		if e.Postgres != nil {
			return fmt.Errorf("second answer on PostgreSQL")
		}
		e.Postgres, err = readAnswer(rest)
	case "!":
		if reason, ok := strings.CutPrefix(rest, "postgres: "); ok && e.Reason == "" && strings.TrimSpace(reason) != "" {
			e.Reason = strings.TrimSpace(reason)
			return nil
		}
		reason, ok := strings.CutPrefix(rest, "divergence: ")
		if !ok || e.Divergence != "" || strings.TrimSpace(reason) == "" {
			return fmt.Errorf("bad divergence %q", rest)
		}
		e.Divergence = strings.TrimSpace(reason)
	default:
		return fmt.Errorf("unknown mark %q", mark)
	}
	return err
}

func (e *Exchange) readRequest(rest string) error {
	var ok bool
	e.Method, rest, _ = strings.Cut(rest, " ")
	e.Path, rest, _ = strings.Cut(strings.TrimSpace(rest), " ")
	if e.Method == "" || !strings.HasPrefix(e.Path, "/") {
		return fmt.Errorf("a request is a method and a path that starts with /")
	}
	rest = strings.TrimSpace(rest)
	if strings.HasPrefix(rest, "[") {
		var items string
		if items, rest, ok = strings.Cut(rest[1:]+" ", "] "); !ok { // a header value may hold brackets
			return fmt.Errorf("no ] after the caller")
		}
		for _, item := range strings.Split(items, ";") {
			if item = strings.TrimSpace(item); item == "" {
				return fmt.Errorf("empty item in brackets")
			}
			e.Caller = append(e.Caller, item)
		}
		rest = strings.TrimSpace(rest)
	}
	if quoted, raw := strings.CutPrefix(rest, "raw "); raw {
		body, err := strconv.Unquote(strings.TrimSpace(quoted))
		e.Body, e.Raw = body, true
		return err
	}
	if rest != "" && !json.Valid([]byte(rest)) {
		return fmt.Errorf("body is not JSON: %s", rest)
	}
	e.Body = rest
	return nil
}

func readAnswer(rest string) (*Answer, error) {
	status, rest, _ := strings.Cut(rest, " ")
	code, err := strconv.Atoi(status)
	if err != nil || code < 100 || code > 599 {
		return nil, fmt.Errorf("bad status %q", status)
	}
	a := &Answer{Status: code}
	rest = strings.TrimSpace(rest)
	if after, ok := strings.CutPrefix(rest, "-"); ok || rest == "" {
		rest = after
	} else if after, ok := strings.CutPrefix(rest, "("); ok {
		a.Kind = OtherBody
		if a.Body, rest, ok = strings.Cut(after, ")"); !ok {
			return nil, fmt.Errorf("no ) after the media type")
		}
	} else if after, ok := strings.CutPrefix(rest, "text "); ok {
		prefix, err := strconv.QuotedPrefix(strings.TrimSpace(after))
		if err != nil {
			return nil, fmt.Errorf("bad text body: %w", err)
		}
		rest = strings.TrimSpace(after)[len(prefix):]
		a.Kind = TextBody
		if a.Body, err = strconv.Unquote(prefix); err != nil {
			return nil, err
		}
	} else {
		var body json.RawMessage
		d := json.NewDecoder(strings.NewReader(rest))
		if err := d.Decode(&body); err != nil {
			return nil, fmt.Errorf("body of the answer is not JSON: %w", err)
		}
		a.Kind, a.Body, rest = JSONBody, string(body), rest[d.InputOffset():]
	}
	return a, a.readHeaders(strings.TrimSpace(rest))
}

func (a *Answer) readHeaders(rest string) error {
	if rest == "" {
		return nil
	}
	if !strings.HasPrefix(rest, "{") || !strings.HasSuffix(rest, "}") || len(rest) < 2 {
		return fmt.Errorf("headers of an answer stand in braces: %q", rest)
	}
	a.Headers = map[string]string{}
	for _, item := range strings.Split(rest[1:len(rest)-1], " | ") {
		name, value, ok := strings.Cut(item, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || name == "" {
			return fmt.Errorf("bad header %q", item)
		}
		a.Headers[name] = strings.TrimSpace(value)
	}
	return nil
}

func isName(s string) bool {
	for i, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || i > 0 && r >= '0' && r <= '9') {
			return false
		}
	}
	return s != ""
}

// Format prints the file so that Parse reads the same back.
func (f *File) Format() []byte {
	var b strings.Builder
	for _, c := range f.Comments {
		fmt.Fprintf(&b, "# %s\n", c)
	}
	fmt.Fprintf(&b, "server %s\n", f.Options)
	for i, e := range f.Exchanges {
		if e.Section != "" {
			fmt.Fprintf(&b, "\n## %s\n\n", e.Section)
		} else if i == 0 {
			b.WriteString("\n")
		}
		e.format(&b)
	}
	return []byte(b.String())
}

func (e *Exchange) format(b *strings.Builder) {
	for _, c := range e.Comments {
		fmt.Fprintf(b, "# %s\n", c)
	}
	fmt.Fprintf(b, "- %s\n  > %s %s", e.Name, e.Method, e.Path)
	if len(e.Caller) > 0 {
		fmt.Fprintf(b, " [%s]", strings.Join(e.Caller, "; "))
	}
	if e.Raw {
		fmt.Fprintf(b, " raw %q", e.Body)
	} else if e.Body != "" {
		fmt.Fprintf(b, " %s", e.Body)
	}
	b.WriteString("\n")
	for _, c := range e.Captures {
		fmt.Fprintf(b, "  = %s %s\n", c.Name, c.Path)
	}
	for _, path := range e.AnyOrder {
		fmt.Fprintf(b, "  ~ any order %s\n", path)
	}
	for _, name := range e.Headers {
		fmt.Fprintf(b, "  ~ header %s\n", name)
	}
	if e.Want != nil {
		fmt.Fprintf(b, "  < %s\n", e.Want)
	}
	if e.Parley != nil {
		fmt.Fprintf(b, "  ! divergence: %s\n  <! %s\n", e.Divergence, e.Parley)
	}
	if e.Postgres != nil {
		fmt.Fprintf(b, "  ! postgres: %s\n  <postgres %s\n", e.Reason, e.Postgres)
	}
}

// String prints the answer as it stands in a corpus file.
func (a *Answer) String() string {
	body := map[BodyKind]string{EmptyBody: "-", JSONBody: a.Body, TextBody: "text " + strconv.Quote(a.Body), OtherBody: "(" + a.Body + ")"}[a.Kind]
	var headers []string
	for name, value := range a.Headers {
		headers = append(headers, name+": "+value)
	}
	s := strconv.Itoa(a.Status) + " " + body
	if len(headers) > 0 {
		sort.Strings(headers)
		s += " {" + strings.Join(headers, " | ") + "}"
	}
	return s
}
