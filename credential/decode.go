package credential

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A Decoder takes the value out of what a store holds, or several keys. Sources whose
// store holds bytes share it, so that #field and format mean the same in all of them:
//
//	file:///run/key                       the whole content
//	file:///run/keys.json#masterKey       the member masterKey of a JSON object
//	file:///run/keys.json#/parse/keys/0   what a JSON pointer (RFC 6901) points at
//	file:///run/db.json?format=json       all members that are strings, as Fields, for a Presenter
//	file:///run/keys?format=lines         one key in each line
//	file:///run/keys.json?format=keyset   a keyset, see docs/credentials.md
//
// Only strings are values. It leaves no copy of the content behind but the Secrets.
// The zero Decoder takes the whole content.
type Decoder struct {
	json bool
	form Form
	path []string // names of members and numbers of elements; none for the group
	name string   // the field as it was written
}

// Decoder returns the decoder that the field and the format of a reference ask for.
func (r Reference) Decoder() (Decoder, error) {
	d := Decoder{json: r.Field != "", name: r.Field}
	switch r.Engine.Format {
	case "":
	case "json":
		d.json = true
	case "lines":
		d.form = List
	case "keyset":
		d.json, d.form = true, Keyset
	case "raw":
		if r.Field != "" {
			return Decoder{}, r.wrong("format raw has no field")
		}
	default:
		return Decoder{}, r.wrong("format %q is not supported by this source", r.Engine.Format)
	}
	pointer, isPointer := strings.CutPrefix(r.Field, "/")
	switch {
	case isPointer:
		for _, token := range strings.Split(pointer, "/") {
			if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(token), "~") {
				return Decoder{}, r.wrong("the field after # is no JSON pointer: after ~ comes 0 or 1")
			}
			d.path = append(d.path, strings.NewReplacer("~1", "/", "~0", "~").Replace(token))
		}
	case r.Field != "":
		d.path = []string{r.Field}
	}
	return d, nil
}

// Several reports whether the decoder yields several keys, and so no one value to
// compare or to replace: format lines or keyset.
func (d Decoder) Several() bool { return d.form != Latest }

// Limit is how many bytes a source may read for the decoder: 64 KiB, and 4 MiB where they
// are several keys.
func (d Decoder) Limit() int {
	if d.Several() {
		return maxPayload
	}
	return maxValue
}

// Payload decodes what a store holds. What the store says of all of it is in the
// argument, and is said of each version: its Number, its NotAfter if that is earlier, and
// for the formats in which a key does not say it itself ID and Created. Errors are those
// of Decode; a list or a keyset is Invalid as a whole if one key of it is. The content
// is not changed; it belongs to the caller, who wipes it.
func (d Decoder) Payload(content []byte, of Version) (Payload, error) {
	if !d.Several() {
		if err := d.Decode(content, &of); err != nil {
			return Payload{}, err
		}
		return Payload{Versions: []Version{of}}, nil
	}
	text, wipe, err := d.selected(content)
	if err != nil {
		return Payload{}, err
	}
	defer wipe()
	p := Payload{Form: d.form}
	if d.form == List {
		p.Versions, err = parseLines(text)
	} else {
		p.Versions, err = parseKeyset(text)
	}
	if err != nil {
		p.wipe()
		return Payload{}, err
	}
	for i := range p.Versions {
		v := &p.Versions[i]
		v.Number = of.Number
		if d.form == List {
			v.Created = of.Created
		}
		if v.NotAfter.IsZero() || !of.NotAfter.IsZero() && of.NotAfter.Before(v.NotAfter) {
			v.NotAfter = of.NotAfter
		}
	}
	return p, nil
}

// selected returns the part of the content in which the keys are: all of it, or a field.
// wipe clears it if it is a copy.
func (d Decoder) selected(content []byte) (text []byte, wipe func(), err error) {
	wipe = func() {}
	if !d.json {
		return content, wipe, nil
	}
	if !json.Valid(content) {
		return nil, nil, Errorf(Invalid, "not JSON")
	}
	at, err := d.locate(content)
	if err != nil {
		return nil, nil, err
	}
	text = content[at.from:at.to]
	if len(d.path) == 0 || d.form == Keyset && text[0] != '"' {
		return text, wipe, nil
	}
	inner, ok := unquoted(text)
	if !ok {
		return nil, nil, Errorf(Invalid, "the field %q is not a string", d.name)
	}
	if d.form == Keyset && !json.Valid(inner) {
		clear(inner)
		return nil, nil, Errorf(Invalid, "the text in the field %q is not JSON", d.name)
	}
	return inner, func() { clear(inner) }, nil
}

// group reports whether the reference asks for several values that belong together and no single one.
func (r Reference) group() bool {
	return r.Field == "" && (r.Engine.Format == "json" || r.Options["fields"] != "")
}

// Decode sets v.Value, or v.Fields of a group; for several keys there is Payload only.
// Content that is no JSON, a name that is
// there twice and a value that is no string are Invalid; a field that is not there is
// Missing. The content is not changed; it belongs to the caller, who wipes it.
func (d Decoder) Decode(content []byte, v *Version) error {
	if d.Several() {
		return Errorf(Misconfigured, "formats lines and keyset are not supported by this source")
	}
	if !d.json {
		v.Value = NewSecret(content)
		return nil
	}
	if !json.Valid(content) {
		return Errorf(Invalid, "not JSON")
	}
	if len(d.path) == 0 {
		s := scanner{text: content}
		fields, err := s.group()
		if err != nil {
			return err
		}
		v.Fields = fields
		return nil
	}
	at, err := d.locate(content)
	if err != nil {
		return err
	}
	text, ok := unquoted(content[at.from:at.to])
	if !ok {
		return Errorf(Invalid, "the field %q is not a string", d.name)
	}
	v.Value = sealed(text)
	return nil
}

// span is where a value stands in a document.
type span struct{ from, to int }

// locate returns where the field is in a valid document.
func (d Decoder) locate(document []byte) (span, error) {
	s := scanner{text: document}
	at := s.span()
	for _, name := range d.path {
		var found int
		if at, found = step(document, at, name); found == 0 {
			return span{}, Errorf(Missing, "the document has no field %q", d.name)
		} else if found > 1 {
			return span{}, Errorf(Invalid, "the document has the field %q twice", d.name)
		}
	}
	return at, nil
}

// step returns the member or element of a value in a valid document, and how many
// there are of that name.
func step(document []byte, in span, name string) (at span, found int) {
	s := scanner{text: document[:in.to], at: in.from}
	switch s.next() {
	case '{':
		for s.more('}') {
			key, _ := unquoted(s.value())
			member := s.span()
			if string(key) == name {
				at, found = member, found+1
			}
		}
	case '[':
		wanted, err := strconv.Atoi(name)
		if err != nil || strconv.Itoa(wanted) != name {
			return span{}, 0
		}
		for i := 0; s.more(']'); i++ {
			if element := s.span(); i == wanted {
				return element, 1
			}
		}
	}
	return at, found
}

// scanner walks through valid JSON without copying any of it. Commas and colons are
// passed over like white space: they are known to be where they belong.
type scanner struct {
	text []byte
	at   int
}

func (s *scanner) peek() byte {
	for strings.IndexByte(" \t\r\n,:", s.text[s.at]) >= 0 {
		s.at++
	}
	return s.text[s.at]
}

func (s *scanner) next() byte {
	b := s.peek()
	s.at++
	return b
}

// more reports whether another value follows, and takes the end if none does.
func (s *scanner) more(end byte) bool {
	if s.peek() == end {
		s.at++
		return false
	}
	return true
}

// value takes one whole value.
func (s *scanner) value() []byte {
	at := s.span()
	return s.text[at.from:at.to]
}

// span takes one whole value and says where it stands.
func (s *scanner) span() span {
	s.peek()
	start := s.at
	for depth := 0; ; {
		switch b := s.text[s.at]; b {
		case '"':
			s.quoted()
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			depth--
			s.at++
		case ' ', '\t', '\r', '\n', ',', ':':
			s.at++
			continue
		default: // a number or a name
			for s.at < len(s.text) && strings.IndexByte(" \t\r\n,:]}", s.text[s.at]) < 0 {
				s.at++
			}
		}
		if depth == 0 {
			return span{start, s.at}
		}
	}
}

// quoted takes a string.
func (s *scanner) quoted() {
	for s.at++; s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
}

// group takes the strings among the members of an object. Stores put numbers beside
// them: how long a password lives, when it was made.
func (s *scanner) group() (map[string]Secret, error) {
	if s.next() != '{' {
		return nil, Errorf(Invalid, "not a JSON object")
	}
	fields := make(map[string]Secret)
	for s.more('}') {
		name, ok := unquoted(s.value())
		if !ok {
			return nil, Errorf(Invalid, "a name in the document is not text")
		}
		if _, twice := fields[string(name)]; twice {
			return nil, Errorf(Invalid, "a name is twice in the document")
		}
		member := s.value()
		if member[0] != '"' {
			continue
		}
		value, ok := unquoted(member)
		if !ok {
			return nil, Errorf(Invalid, "a member of the document is not text")
		}
		fields[string(name)] = sealed(value)
	}
	if len(fields) == 0 {
		return nil, Errorf(Invalid, "no member of the document is a string")
	}
	return fields, nil
}

// unquoted returns a copy of what a JSON string stands for, in one piece of memory.
// It is false for a value of another type, and for half of a surrogate pair.
func unquoted(value []byte) (text []byte, ok bool) {
	if value[0] != '"' {
		return nil, false
	}
	value = value[1 : len(value)-1]
	text = make([]byte, 0, len(value))
	for len(value) > 0 {
		if value[0] != '\\' {
			text, value = append(text, value[0]), value[1:]
			continue
		}
		escape := value[1]
		value = value[2:]
		if escape != 'u' {
			text = append(text, escapes[escape])
			continue
		}
		r := hex4(value)
		value = value[4:]
		if utf16.IsSurrogate(r) {
			if len(value) < 6 || value[0] != '\\' || value[1] != 'u' {
				clear(text)
				return nil, false
			}
			if r = utf16.DecodeRune(r, hex4(value[2:])); r == utf8.RuneError {
				clear(text)
				return nil, false
			}
			value = value[6:]
		}
		text = utf8.AppendRune(text, r)
	}
	return text, true
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// hex4 reads four hexadecimal digits.
func hex4(digits []byte) rune {
	n, _ := strconv.ParseUint(string(digits[:4]), 16, 16)
	return rune(n)
}
