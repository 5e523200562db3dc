package parse

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// DefaultDepth is how deep a document may nest when [Limits] does not say: more than the 100 levels of the
// deepest object that MongoDB stores, plus what a batch request wraps around it.
const DefaultDepth = 128

// Limits bound what a decoder accepts. The zero value is the default.
type Limits struct {
	// Depth is the most objects and arrays that may stand inside each other; 0 stands for DefaultDepth.
	Depth int
	// Size is the longest document in bytes; 0 means that the caller has seen to it.
	Size int
	// Values says that the document holds values only, as the text of a stored Object does: what looks like
	// an operator stays a *Map.
	Values bool
}

// SyntaxError says what is wrong with a JSON document and where.
type SyntaxError struct {
	// Offset is the position of the offending byte, from 0.
	Offset int
	// Problem without the position.
	Problem string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s in JSON at position %d", e.Problem, e.Offset)
}

// Decode reads one JSON document into a value of this package (see the package comment), or an [Op] where an
// object has a well-formed "__op". The error is a *[SyntaxError].
//
// A member that stands twice has the last value, as in JavaScript. Each byte of a string that is not UTF-8, and
// each escaped half of a surrogate pair, becomes U+FFFD, so that every string of a value is valid UTF-8; NUL
// characters stay. Numbers are float64, -0 is 0, and a number beyond the range of float64 is an error, because
// there is no way to write it back. Members that a typed value has no use for are dropped.
func Decode(data []byte, lim Limits) (any, error) {
	return decode(data, lim, false)
}

// DecodeMap reads a JSON object, and refuses any other document. The outermost object is never taken for a typed value
// or an operator: its "__type" and "__op" are members like others.
func DecodeMap(data []byte, lim Limits) (*Map, error) {
	v, err := decode(data, lim, true)
	if err != nil {
		return nil, err
	}
	m, ok := v.(*Map)
	if !ok {
		return nil, &SyntaxError{0, "Expected an object"}
	}
	return m, nil
}

func decode(data []byte, lim Limits, plainRoot bool) (any, error) {
	p := parser{data: data, depth: lim.Depth, values: lim.Values, plainFrom: -1}
	if p.depth == 0 {
		p.depth = DefaultDepth
	}
	if plainRoot {
		p.plainFrom = p.depth
	}
	if lim.Size > 0 && len(data) > lim.Size {
		return nil, &SyntaxError{lim.Size, fmt.Sprintf("More than %d bytes", lim.Size)}
	}
	v := p.value()
	p.space()
	if p.err == nil && p.pos < len(data) {
		p.fail(p.pos, "Unexpected data after the value")
	}
	if p.err != nil {
		return nil, p.err
	}
	return v, nil
}

// parser is one pass over a document. After the first error every method returns at once.
type parser struct {
	data   []byte
	pos    int
	depth  int // levels left
	values bool
	// plainFrom is the depth at which an object is not recognised, -1 for none.
	plainFrom int
	err       error
	// members and elements are stacks: what is still open lies below what was opened later, so that a
	// finished object or array is copied out once, in its exact size.
	members  []member
	elements []any
	scratch  []byte
}

func (p *parser) fail(at int, problem string) {
	if p.err == nil {
		p.err = &SyntaxError{at, problem}
	}
}

func (p *parser) space() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// peek skips space and returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	p.space()
	if p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

func (p *parser) value() any {
	switch c := p.peek(); {
	case c == '{':
		return p.object()
	case c == '[':
		return p.array()
	case c == '"':
		return p.text()
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	case c == 't' && p.word("true"):
		return true
	case c == 'f' && p.word("false"):
		return false
	case c == 'n' && p.word("null"):
		return nil
	}
	p.unexpected("a value")
	return nil
}

func (p *parser) word(w string) bool {
	if len(p.data)-p.pos >= len(w) && string(p.data[p.pos:p.pos+len(w)]) == w {
		p.pos += len(w)
		return true
	}
	return false
}

func (p *parser) unexpected(want string) {
	if p.pos >= len(p.data) {
		p.fail(p.pos, "Unexpected end, expected "+want)
		return
	}
	r, _ := utf8.DecodeRune(p.data[p.pos:])
	p.fail(p.pos, fmt.Sprintf("Unexpected %q, expected %s", r, want))
}

func (p *parser) enter() bool {
	if p.depth--; p.depth < 0 {
		p.fail(p.pos, "Too many levels")
		return false
	}
	p.pos++
	return true
}

func (p *parser) array() any {
	if !p.enter() {
		return nil
	}
	base := len(p.elements)
	if p.peek() == ']' {
		p.pos++
		p.depth++
		return []any{}
	}
	for {
		v := p.value()
		if p.err != nil {
			return nil
		}
		p.elements = append(p.elements, v)
		switch p.peek() {
		case ',':
			p.pos++
		case ']':
			p.pos++
			p.depth++
			a := make([]any, len(p.elements)-base)
			copy(a, p.elements[base:])
			clear(p.elements[base:])
			p.elements = p.elements[:base]
			return a
		default:
			p.unexpected("',' or ']'")
			return nil
		}
	}
}

func (p *parser) object() any {
	if !p.enter() {
		return nil
	}
	base := len(p.members)
	if p.peek() == '}' {
		p.pos++
		p.depth++
		return &Map{}
	}
	special := false
	for {
		if p.peek() != '"' {
			p.unexpected("a property name")
			return nil
		}
		name := p.name()
		if p.err == nil && p.peek() != ':' {
			p.unexpected("':'")
		}
		p.pos++
		if p.err != nil {
			return nil
		}
		v := p.value()
		if p.err != nil {
			return nil
		}
		p.member(base, name, v)
		special = special || name == "__type" || name == "__op"
		switch p.peek() {
		case ',':
			p.pos++
		case '}':
			p.pos++
			p.depth++
			return p.close(base, special)
		default:
			p.unexpected("',' or '}'")
			return nil
		}
	}
}

// member adds a member to the open object. Of few members a repeated one is replaced here, of many in close.
func (p *parser) member(base int, name string, v any) {
	if open := p.members[base:]; len(open) < indexFrom {
		for i := range open {
			if open[i].name == name {
				open[i].value = v
				return
			}
		}
	}
	p.members = append(p.members, member{name, v})
}

// close takes the open object off the stack and returns it.
func (p *parser) close(base int, special bool) any {
	open := p.members[base:]
	m := &Map{members: make([]member, len(open))}
	if len(open) < indexFrom {
		copy(m.members, open)
	} else {
		m.members = m.members[:0]
		for _, f := range open {
			m.Set(f.name, f.value)
		}
	}
	clear(open)
	p.members = p.members[:base]
	if !special || p.depth == p.plainFrom {
		return m
	}
	return recognise(m, !p.values)
}

func (p *parser) number() any {
	start := p.pos
	negative := p.data[p.pos] == '-'
	if negative {
		p.pos++
	}
	var n int64
	digits := p.pos
	for p.pos < len(p.data) && '0' <= p.data[p.pos] && p.data[p.pos] <= '9' {
		if p.pos-digits < 16 {
			n = n*10 + int64(p.data[p.pos]-'0')
		}
		p.pos++
	}
	count := p.pos - digits
	if count == 0 || count > 1 && p.data[digits] == '0' {
		p.pos = min(p.pos, digits+1)
		p.unexpected("a number")
		return nil
	}
	simple := count < 16
	if p.pos < len(p.data) && p.data[p.pos] == '.' {
		p.pos++
		simple = false
		p.digits()
	}
	if p.pos < len(p.data) && p.data[p.pos]|0x20 == 'e' {
		p.pos++
		simple = false
		if p.pos < len(p.data) && (p.data[p.pos] == '+' || p.data[p.pos] == '-') {
			p.pos++
		}
		p.digits()
	}
	if p.err != nil {
		return nil
	}
	if simple {
		if negative {
			n = -n
		}
		return float64(n)
	}
	f, err := strconv.ParseFloat(string(p.data[start:p.pos]), 64)
	if err != nil {
		p.fail(start, "Number out of range")
		return nil
	}
	return f + 0 // -0 + 0 is 0
}

func (p *parser) digits() {
	start := p.pos
	for p.pos < len(p.data) && '0' <= p.data[p.pos] && p.data[p.pos] <= '9' {
		p.pos++
	}
	if p.pos == start {
		p.unexpected("a digit")
	}
}

// name reads a property name. The frequent ones are constants of the program and need no memory.
func (p *parser) name() string {
	b := p.bytes()
	switch string(b) {
	case "__type":
		return "__type"
	case "__op":
		return "__op"
	case "className":
		return "className"
	case "objectId":
		return "objectId"
	case "createdAt":
		return "createdAt"
	case "updatedAt":
		return "updatedAt"
	case "iso":
		return "iso"
	case "amount":
		return "amount"
	case "objects":
		return "objects"
	case "latitude":
		return "latitude"
	case "longitude":
		return "longitude"
	case "name":
		return "name"
	case "read":
		return "read"
	case "write":
		return "write"
	}
	return string(b)
}

func (p *parser) text() any { return string(p.bytes()) }

// bytes reads a string and returns it unescaped, valid until the next call.
func (p *parser) bytes() []byte {
	p.pos++
	start := p.pos
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; {
		case c == '"':
			p.pos++
			return p.data[start : p.pos-1]
		case c == '\\' || c >= utf8.RuneSelf || c < ' ':
			return p.slowBytes(start)
		}
		p.pos++
	}
	p.unexpected("'\"'")
	return nil
}

// slowBytes goes on with a string at the first byte that cannot be taken as it is.
func (p *parser) slowBytes(start int) []byte {
	buf := append(p.scratch[:0], p.data[start:p.pos]...)
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; {
		case c == '"':
			p.pos++
			p.scratch = buf
			return buf
		case c == '\\':
			if buf = p.escape(buf); p.err != nil {
				return nil
			}
		case c < ' ':
			p.fail(p.pos, fmt.Sprintf("Unescaped control character %#02x", c))
			return nil
		case c < utf8.RuneSelf:
			buf = append(buf, c)
			p.pos++
		default:
			r, n := utf8.DecodeRune(p.data[p.pos:])
			buf = utf8.AppendRune(buf, r)
			p.pos += n
		}
	}
	p.unexpected("'\"'")
	return nil
}

func (p *parser) escape(buf []byte) []byte {
	p.pos++
	if p.pos >= len(p.data) {
		p.unexpected("an escape")
		return nil
	}
	c := p.data[p.pos]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		r := p.hex(p.pos + 1)
		if r < 0 {
			p.fail(p.pos, "Bad Unicode escape")
			return nil
		}
		p.pos += 5
		if utf16.IsSurrogate(r) {
			r = p.lowSurrogate(r)
		}
		return utf8.AppendRune(buf, r)
	default:
		p.unexpected("an escape")
		return nil
	}
	p.pos++
	return append(buf, c)
}

// lowSurrogate eats the second half of a pair, and returns U+FFFD for a half without the other.
func (p *parser) lowSurrogate(high rune) rune {
	if p.pos+1 < len(p.data) && p.data[p.pos] == '\\' && p.data[p.pos+1] == 'u' {
		if r := utf16.DecodeRune(high, p.hex(p.pos+2)); r != utf8.RuneError {
			p.pos += 6
			return r
		}
	}
	return utf8.RuneError
}

// hex returns the four hexadecimal digits at a position, -1 if there are none.
func (p *parser) hex(at int) rune {
	if at+4 > len(p.data) {
		return -1
	}
	var r rune
	for _, c := range p.data[at : at+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}
