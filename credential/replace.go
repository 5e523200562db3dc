package credential

import (
	"encoding/json"
	"unicode/utf8"
)

// Whole reports whether the decoder takes the whole content: then a new value takes
// the place of all of it.
func (d Decoder) Whole() bool { return !d.json && !d.Several() }

// Replace returns what a store must hold for Decode to find value: the document with the
// string in the field replaced and every other byte as it was, or for a Whole decoder
// the value itself. It returns a new slice, which belongs to the caller, who wipes it;
// the content is not changed.
//
// A group and several keys have no single value to replace: the error is ErrNotWritable. Content that is
// no JSON, a field that is there twice, or holds anything but a string or null, and a
// value that is not UTF-8 are Invalid; a field that is not there is Missing.
func (d Decoder) Replace(content []byte, value Secret) ([]byte, error) {
	if d.Whole() {
		return value.Reveal(), nil
	}
	if d.Several() {
		return nil, NotWritable("it holds several keys: add the new key where they are kept, and end the old one there")
	}
	if len(d.path) == 0 {
		return nil, NotWritable("several values change together: replace them where they are kept")
	}
	if !json.Valid(content) {
		return nil, Errorf(Invalid, "not JSON")
	}
	if !utf8.Valid(value.raw()) {
		return nil, Errorf(Invalid, "the new value is not UTF-8")
	}
	at, err := d.locate(content)
	if err != nil {
		return nil, err
	}
	if first := content[at.from]; first != '"' && first != 'n' {
		return nil, Errorf(Invalid, "the field %q is not a string", d.name)
	}
	// Room for every byte as \u00xx: growing leaves copies of the secret behind.
	document := make([]byte, 0, len(content)-(at.to-at.from)+6*value.Len()+2)
	document = append(document, content[:at.from]...)
	document = appendQuoted(document, value.raw())
	return append(document, content[at.to:]...), nil
}

// appendQuoted appends a JSON string that stands for text.
func appendQuoted(document, text []byte) []byte {
	const digits = "0123456789abcdef"
	document = append(document, '"')
	for _, b := range text {
		switch {
		case b == '"' || b == '\\':
			document = append(document, '\\', b)
		case b == '\n':
			document = append(document, '\\', 'n')
		case b < ' ':
			document = append(document, '\\', 'u', '0', '0', digits[b>>4], digits[b&15])
		default:
			document = append(document, b)
		}
	}
	return append(document, '"')
}
