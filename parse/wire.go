package parse

import (
	"errors"
	"fmt"
)

// The methods of this file let a program use encoding/json with the types of this package.

func (d Date) MarshalJSON() ([]byte, error)     { return AppendJSON(nil, d), nil }
func (p Pointer) MarshalJSON() ([]byte, error)  { return AppendJSON(nil, p), nil }
func (r Relation) MarshalJSON() ([]byte, error) { return AppendJSON(nil, r), nil }
func (g GeoPoint) MarshalJSON() ([]byte, error) { return AppendJSON(nil, g), nil }
func (p Polygon) MarshalJSON() ([]byte, error)  { return AppendJSON(nil, p), nil }
func (f File) MarshalJSON() ([]byte, error)     { return AppendJSON(nil, f), nil }
func (b Bytes) MarshalJSON() ([]byte, error)    { return AppendJSON(nil, b), nil }
func (a ACL) MarshalJSON() ([]byte, error)      { return AppendJSON(nil, a), nil }
func (m *Map) MarshalJSON() ([]byte, error)     { return AppendJSON(nil, m), nil }

// MarshalJSON writes the included form, with "__type" and "className".
func (o *Object) MarshalJSON() ([]byte, error) { return AppendJSON(nil, o), nil }

// UnmarshalJSON reads the wire form, or a bare ISO string as createdAt has it.
func (d *Date) UnmarshalJSON(data []byte) error {
	v, err := Decode(data, Limits{})
	if err != nil {
		return err
	}
	if s, ok := v.(string); ok {
		if parsed, ok := ParseDate(s); ok {
			*d = parsed
			return nil
		}
	}
	return assign(d, v)
}

func (p *Pointer) UnmarshalJSON(data []byte) error  { return unmarshal(p, data) }
func (r *Relation) UnmarshalJSON(data []byte) error { return unmarshal(r, data) }
func (g *GeoPoint) UnmarshalJSON(data []byte) error { return unmarshal(g, data) }
func (p *Polygon) UnmarshalJSON(data []byte) error  { return unmarshal(p, data) }
func (f *File) UnmarshalJSON(data []byte) error     { return unmarshal(f, data) }
func (b *Bytes) UnmarshalJSON(data []byte) error    { return unmarshal(b, data) }

func (a *ACL) UnmarshalJSON(data []byte) error {
	m, err := DecodeMap(data, Limits{})
	if err != nil {
		return err
	}
	*a, err = ACLFromMap(m)
	return err
}

// UnmarshalJSON reads any JSON object into the map; see [DecodeMap].
func (m *Map) UnmarshalJSON(data []byte) error {
	decoded, err := DecodeMap(data, Limits{})
	if err == nil {
		*m = *decoded
	}
	return err
}

// UnmarshalJSON reads the included form, or bare fields, which leave ClassName as it is.
func (o *Object) UnmarshalJSON(data []byte) error {
	m, err := DecodeMap(data, Limits{})
	if err != nil {
		return err
	}
	switch m.String("__type") {
	case "":
		m.Set("className", "_")
		fields, _ := readObject(m)
		o.Map = fields.Map
	case "Object":
		read, ok := readObject(m)
		if !ok {
			return errors.New("parse: an Object without a className")
		}
		*o = *read
	default:
		return fmt.Errorf("parse: %q is not an Object", m.String("__type"))
	}
	return nil
}

func unmarshal[T any](dst *T, data []byte) error {
	v, err := Decode(data, Limits{})
	if err != nil {
		return err
	}
	return assign(dst, v)
}

func assign[T any](dst *T, v any) error {
	if v == nil { // encoding/json asks that null changes nothing
		return nil
	}
	t, ok := v.(T)
	if !ok {
		return fmt.Errorf("parse: not a %T", *dst)
	}
	*dst = t
	return nil
}
