package query

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// Class ranks of values: values of different ranks are ordered by rank alone, and a range operator such as $gt
// finds only values of the rank of its operand. The order is that of BSON.
const (
	rankNull = iota
	rankNumber
	rankString // also Pointer and File: MongoDB stores both as text
	rankObject
	rankArray
	rankBytes
	rankBool
	rankDate
)

// Rank returns the class of a value in the order of values: null < Number < String, Pointer and File < Object <
// Array and GeoPoint < Bytes < Boolean < Date.
func Rank(v any) int {
	switch v.(type) {
	case nil:
		return rankNull
	case float64:
		return rankNumber
	case string, parse.Pointer, parse.File:
		return rankString
	case []any, parse.GeoPoint:
		return rankArray
	case parse.Bytes:
		return rankBytes
	case bool:
		return rankBool
	case parse.Date:
		return rankDate
	}
	return rankObject
}

// Compare orders two values: -1, 0 or 1. Strings are compared by the bytes of their UTF-8, a Pointer as the text
// "Class$id", a File by its name, arrays and GeoPoints (longitude first) element by element, bytes by length and then
// content. Objects are compared member by member in the order of their names, so that the order in which members were
// written, which is no part of their equality, is no part of their order either. An included object counts as a Pointer.
func Compare(a, b any) int {
	if o, ok := a.(*parse.Object); ok {
		a = o.Pointer()
	}
	if o, ok := b.(*parse.Object); ok {
		b = o.Pointer()
	}
	rank := Rank(a)
	if c := cmp.Compare(rank, Rank(b)); c != 0 {
		return c
	}
	switch rank {
	case rankNumber:
		return compareNumbers(a.(float64), b.(float64))
	case rankString:
		return strings.Compare(text(a), text(b))
	case rankArray:
		return slices.CompareFunc(elements(a), elements(b), Compare)
	case rankBytes:
		x, y := a.(parse.Bytes), b.(parse.Bytes)
		if c := cmp.Compare(len(x), len(y)); c != 0 {
			return c
		}
		return bytes.Compare(x, y)
	case rankBool:
		return compareBools(a.(bool), b.(bool))
	case rankDate:
		return cmp.Compare(a.(parse.Date), b.(parse.Date))
	case rankObject:
		return compareObjects(members(a), members(b))
	}
	return 0
}

// compareNumbers puts NaN first, and makes -0 equal to 0.
func compareNumbers(a, b float64) int {
	if math.IsNaN(a) || math.IsNaN(b) {
		return cmp.Compare(a, b)
	}
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case parse.Pointer:
		return v.ClassName + "$" + v.ObjectID
	case parse.File:
		return v.Name
	}
	return ""
}

func elements(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case parse.GeoPoint:
		return []any{v.Longitude, v.Latitude}
	}
	return nil
}

// members returns what is ordered as an Object as a map; the rare typed values get a stable form of their own.
func members(v any) *parse.Map {
	switch v := v.(type) {
	case *parse.Map:
		return v
	case parse.Polygon:
		points := make([]any, len(v))
		for i, p := range v {
			points[i] = p
		}
		return parse.NewMap("coordinates", points, "type", "Polygon")
	case parse.Relation:
		return parse.NewMap("__type", "Relation", "className", v.ClassName)
	case parse.ACL:
		m := parse.NewMap()
		for name, access := range v {
			m.Set(name, parse.NewMap("read", access.Read, "write", access.Write))
		}
		return m
	}
	return nil
}

func compareObjects(a, b *parse.Map) int {
	x, y := a.Keys(), b.Keys()
	slices.Sort(x)
	slices.Sort(y)
	for i := range min(len(x), len(y)) {
		v, w := a.Get(x[i]), b.Get(y[i])
		if c := cmp.Compare(Rank(v), Rank(w)); c != 0 {
			return c
		}
		if c := strings.Compare(x[i], y[i]); c != 0 {
			return c
		}
		if c := Compare(v, w); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(x), len(y))
}

// SortKey returns the value by which an object is sorted: the value at the key; of an Array its least element when
// ascending and its greatest when descending; null for a missing field. ok is false for an empty Array, which stands
// before null.
func SortKey(o *parse.Object, key string, descending bool) (value any, ok bool) {
	return newSortKey(key)(o, descending)
}

func newSortKey(key string) func(o *parse.Object, descending bool) (any, bool) {
	path := strings.Split(key, ".")
	return func(o *parse.Object, descending bool) (any, bool) {
		if len(path) == 1 {
			v := o.Get(key)
			if _, isArray := v.([]any); !isArray {
				return v, true
			}
		}
		var best any
		found := false
		take := func(v any) {
			if c := Compare(v, best); !found || descending && c > 0 || !descending && c < 0 {
				best, found = v, true
			}
		}
		empty := false
		visit(o, path, func(v any, present bool) bool {
			array, isArray := v.([]any)
			if !isArray {
				take(v)
				return false
			}
			empty = empty || len(array) == 0
			for _, e := range array {
				take(e)
			}
			return false
		})
		// An empty Array is the least of all, so it decides an ascending order and yields to anything in a descending one.
		if empty && (!descending || !found) {
			return nil, false
		}
		return best, true
	}
}
