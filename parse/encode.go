package parse

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Marshal returns a value as JSON, as [AppendJSON] writes it.
func Marshal(v any) []byte { return AppendJSON(nil, v) }

// AppendJSON appends a value or an [Op] as JSON text: numbers and strings as JSON.stringify writes them, typed
// values as objects with a "__type", an *[Object] in its included form (its fields, then "__type":"Object" and
// "className"). For the form that an object has as an answer of its own see [AppendObject].
//
// It panics on a Go type that is no value of this package (see the package comment), except that it also writes
// int, int64 and []string, and time.Time as a Date.
func AppendJSON(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case float64:
		return AppendNumber(dst, v)
	case string:
		return AppendString(dst, v)
	case []any:
		return appendList(dst, v, AppendJSON)
	case *Map:
		if v == nil {
			return append(dst, "null"...)
		}
		return appendMap(dst, v)
	case Date, Pointer, Relation, GeoPoint, Polygon, File, Bytes, ACL:
		return appendTyped(dst, v)
	case *Object:
		if v == nil {
			return append(dst, "null"...)
		}
		if dst = appendFields(append(dst, '{'), v); v.Len() > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `"__type":"Object","className":`...)
		return append(AppendString(dst, v.ClassName), '}')
	case Bare:
		return AppendObject(dst, v.Object)
	case Op:
		return appendOp(dst, v)
	case int:
		return AppendNumber(dst, float64(v))
	case int64:
		return AppendNumber(dst, float64(v))
	case []string:
		return appendList(dst, v, AppendString)
	case time.Time:
		return appendTyped(dst, DateOf(v))
	}
	panic(fmt.Sprintf("parse.AppendJSON: %T is not a value", v))
}

// Bare is an object inside an answer that is written as [AppendObject] does: an element of the results of a find.
type Bare struct{ *Object }

// AppendObject appends an object as it stands in an answer: its fields alone, without "__type" and "className".
// In both forms createdAt and updatedAt are bare ISO strings and an ACL is written as its entries.
func AppendObject(dst []byte, o *Object) []byte {
	return append(appendFields(append(dst, '{'), o), '}')
}

func appendFields(dst []byte, o *Object) []byte {
	for i, f := range o.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, f.name), ':')
		if d, ok := f.value.(Date); ok && d.Valid() && (f.name == "createdAt" || f.name == "updatedAt") {
			dst = append(d.Append(append(dst, '"')), '"')
			continue
		}
		dst = AppendJSON(dst, f.value)
	}
	return dst
}

func appendMap(dst []byte, m *Map) []byte {
	dst = append(dst, '{')
	for i, f := range m.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, f.name), ':')
		dst = AppendJSON(dst, f.value)
	}
	return append(dst, '}')
}

func appendList[T any](dst []byte, list []T, appendOne func([]byte, T) []byte) []byte {
	dst = append(dst, '[')
	for i, v := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendOne(dst, v)
	}
	return append(dst, ']')
}

func appendTyped(dst []byte, v any) []byte {
	switch v := v.(type) {
	case Date:
		if !v.Valid() {
			return append(dst, `{"__type":"Date","iso":null}`...)
		}
		return append(v.Append(append(dst, `{"__type":"Date","iso":"`...)), `"}`...)
	case Pointer:
		dst = AppendString(append(dst, `{"__type":"Pointer","className":`...), v.ClassName)
		return append(AppendString(append(dst, `,"objectId":`...), v.ObjectID), '}')
	case Relation:
		return append(AppendString(append(dst, `{"__type":"Relation","className":`...), v.ClassName), '}')
	case GeoPoint:
		dst = AppendNumber(append(dst, `{"__type":"GeoPoint","latitude":`...), v.Latitude)
		return append(AppendNumber(append(dst, `,"longitude":`...), v.Longitude), '}')
	case Polygon:
		dst = append(dst, `{"__type":"Polygon","coordinates":`...)
		return append(appendList(dst, v, appendPair), '}')
	case File:
		dst = AppendString(append(dst, `{"__type":"File","name":`...), v.Name)
		if v.URL != "" {
			dst = AppendString(append(dst, `,"url":`...), v.URL)
		}
		return append(dst, '}')
	case Bytes:
		dst = base64.StdEncoding.AppendEncode(append(dst, `{"__type":"Bytes","base64":"`...), v)
		return append(dst, `"}`...)
	case ACL:
		return appendACL(dst, v)
	}
	panic("unreachable")
}

func appendPair(dst []byte, g GeoPoint) []byte {
	dst = AppendNumber(append(dst, '['), g.Latitude)
	return append(AppendNumber(append(dst, ','), g.Longitude), ']')
}

// appendACL writes the entries by name, so that one ACL has one text, and of each what it grants.
func appendACL(dst []byte, a ACL) []byte {
	names := make([]string, 0, len(a))
	for name := range a {
		names = append(names, name)
	}
	slices.Sort(names)
	dst = append(dst, '{')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, name), ':')
		switch a[name] {
		case Access{Read: true, Write: true}:
			dst = append(dst, `{"read":true,"write":true}`...)
		case Access{Read: true}:
			dst = append(dst, `{"read":true}`...)
		case Access{Write: true}:
			dst = append(dst, `{"write":true}`...)
		default:
			dst = append(dst, "{}"...)
		}
	}
	return append(dst, '}')
}

const hexDigits = "0123456789abcdef"

// safe are the bytes that stand for themselves in a JSON string.
var safe = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// AppendString appends a string in quotes, escaped as JSON.stringify does: quotation mark, backslash and control
// characters only. What is not UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if safe[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

// Finite tells whether a number can be stored and written: it is neither NaN nor infinite.
func Finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
