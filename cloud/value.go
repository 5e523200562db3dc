package cloud

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/parley-backend/parley/parse"
)

// maxValueDepth bounds how deep a Go value may be: one that holds itself has no end.
const maxValueDepth = 100

// Null is the result of a function that answers null: nil is an answer without a result.
var Null any = null{}

type null struct{}

// Value returns what a Go value is in Parse: a value of package parse (see there) is itself, numbers of all kinds are Numbers
// (JSON null when they are not finite), a time.Time is a Date, []byte is Bytes, slices and arrays are Arrays, maps with text as keys and structs are Objects
// with the names that encoding/json gives them. A *parse.Object is shown with all its fields. What else there is goes by its MarshalJSON or MarshalText.
// A function, a channel, or a value that holds itself is an error.
func Value(v any) (any, error) { return valueOf(v, 0) }

// fieldValue is [Value] for a field that may hold an operator.
func fieldValue(v any) (any, error) {
	list := func(from []any) ([]any, error) {
		v, err := valueOf(from, 0)
		if err != nil {
			return nil, err
		}
		return v.([]any), nil
	}
	var err error
	switch op := v.(type) {
	case parse.Add:
		op.Objects, err = list(op.Objects)
		return op, err
	case parse.AddUnique:
		op.Objects, err = list(op.Objects)
		return op, err
	case parse.Remove:
		op.Objects, err = list(op.Objects)
		return op, err
	case parse.Op:
		return op, nil
	}
	return Value(v)
}

// FieldValue is [Value] for a field of an object that is about to be written: operators stay what they are.
func FieldValue(v any) (any, error) { return fieldValue(v) }

func valueOf(v any, depth int) (any, error) {
	if depth > maxValueDepth {
		return nil, fmt.Errorf("a value is more than %d levels deep", maxValueDepth)
	}
	switch v := v.(type) {
	case null:
		return nil, nil
	case nil, bool, string, parse.Date, parse.Pointer, parse.Relation, parse.GeoPoint, parse.Polygon, parse.File, parse.Bytes, parse.ACL:
		return v, nil
	case float64:
		if !parse.Finite(v) {
			return nil, nil
		}
		return v, nil
	case time.Time:
		return parse.DateOf(v), nil
	case []byte:
		return parse.Bytes(v), nil
	case []any:
		return listOf(len(v), func(i int) any { return v[i] }, depth)
	case *parse.Map:
		if v == nil {
			return nil, nil
		}
		return mapOf(v, depth)
	case *parse.Object:
		if v == nil {
			return nil, nil
		}
		m, err := mapOf(&v.Map, depth)
		if err != nil {
			return nil, err
		}
		return &parse.Object{ClassName: v.ClassName, Map: *m}, nil
	case parse.Object:
		return valueOf(&v, depth)
	case parse.Map:
		return valueOf(&v, depth)
	case parse.Op:
		return parse.Plain(v), nil
	case json.Marshaler:
		if reflect.ValueOf(v).Kind() == reflect.Pointer && reflect.ValueOf(v).IsNil() {
			return nil, nil
		}
		return marshalled(v)
	case encoding.TextMarshaler:
		return marshalled(v)
	}
	return reflected(reflect.ValueOf(v), depth)
}

func listOf(n int, at func(int) any, depth int) (any, error) {
	list := make([]any, n)
	for i := range n {
		element, err := valueOf(at(i), depth+1)
		if err != nil {
			return nil, err
		}
		list[i] = element
	}
	return list, nil
}

func mapOf(m *parse.Map, depth int) (*parse.Map, error) {
	out := &parse.Map{}
	out.Grow(m.Len())
	for name, v := range m.All() {
		member, err := valueOf(v, depth+1)
		if err != nil {
			return nil, err
		}
		out.Set(name, member)
	}
	return out, nil
}

// marshalled is a value by the JSON that it makes of itself.
func marshalled(v any) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	decoded, err := parse.Decode(text, parse.Limits{})
	if err != nil {
		return nil, err
	}
	return parse.Plain(decoded), nil
}

func reflected(v reflect.Value, depth int) (any, error) {
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.String:
		return v.String(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return float64(v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return float64(v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		if f := v.Float(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f, nil
		}
		return nil, nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil, nil
		}
		return valueOf(v.Elem().Interface(), depth+1)
	case reflect.Slice:
		if v.IsNil() {
			return nil, nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return parse.Bytes(v.Bytes()), nil
		}
		return listOf(v.Len(), func(i int) any { return v.Index(i).Interface() }, depth)
	case reflect.Array:
		return listOf(v.Len(), func(i int) any { return v.Index(i).Interface() }, depth)
	case reflect.Map:
		return reflectedMap(v, depth)
	case reflect.Struct:
		return reflectedStruct(v, depth)
	}
	return nil, fmt.Errorf("%s is no value", v.Type())
}
