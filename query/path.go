package query

import (
	"strconv"

	"github.com/parley-backend/parley/parse"
)

// visit follows a path and calls f with each value that it leads to, until f returns true, which it passes on.
// A path leads through objects, to an element of an array by its number, and into every object of an array:
// arrays of arrays are entered by number only. f gets present false where a member is missing or where the path goes on
// behind something that is neither object nor array. An array at the end of the path is handed over whole.
func visit(v any, path []string, f func(v any, present bool) bool) bool {
	if len(path) == 0 {
		return f(v, true)
	}
	if array, ok := v.([]any); ok {
		i, indexed := elementIndex(path[0])
		indexed = indexed && i < len(array)
		if indexed && visit(array[i], path[1:], f) {
			return true
		}
		for _, e := range array {
			if !isObject(e) {
				continue
			}
			// Where the number names an element, objects without a member of that name are not missing anything.
			if _, has := child(e, path[0]); indexed && !has {
				continue
			}
			if visit(e, path, f) {
				return true
			}
		}
		return false
	}
	child, ok := child(v, path[0])
	if !ok {
		return f(nil, false)
	}
	return visit(child, path[1:], f)
}

// elementIndex reads a member of a path as the number of an element.
func elementIndex(name string) (int, bool) {
	if name == "" || len(name) > 9 || name[0] == '0' && name != "0" {
		return 0, false
	}
	i, err := strconv.Atoi(name)
	return i, err == nil && i >= 0
}

func isObject(v any) bool {
	switch v.(type) {
	case *parse.Map, *parse.Object, parse.Pointer, parse.GeoPoint, parse.File:
		return true
	}
	return false
}

// child returns a member of an object, or of a typed value that is an object on the wire.
func child(v any, name string) (any, bool) {
	switch v := v.(type) {
	case *parse.Map:
		return v.Lookup(name)
	case *parse.Object:
		return v.Lookup(name)
	case parse.Pointer:
		switch name {
		case "__type":
			return "Pointer", true
		case "className":
			return v.ClassName, true
		case "objectId":
			return v.ObjectID, true
		}
	case parse.GeoPoint:
		switch name {
		case "__type":
			return "GeoPoint", true
		case "latitude":
			return v.Latitude, true
		case "longitude":
			return v.Longitude, true
		}
	case parse.File:
		switch name {
		case "__type":
			return "File", true
		case "name":
			return v.Name, true
		}
	}
	return nil, false
}

// anyElement calls f with a value and, if it is an array, with each of its elements, until f returns true.
func anyElement(v any, f func(v any) bool) bool {
	if f(v) {
		return true
	}
	if array, ok := v.([]any); ok {
		for _, e := range array {
			if f(e) {
				return true
			}
		}
	}
	return false
}
