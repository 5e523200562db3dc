package cloud

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// reflectedMap is a map with text as keys, sorted as encoding/json does.
func reflectedMap(v reflect.Value, depth int) (any, error) {
	if v.IsNil() {
		return nil, nil
	}
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("%s is no value: its keys are no text", v.Type())
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	out := &parse.Map{}
	out.Grow(len(keys))
	for _, key := range keys {
		member, err := valueOf(v.MapIndex(key).Interface(), depth+1)
		if err != nil {
			return nil, err
		}
		out.Set(key.String(), member)
	}
	return out, nil
}

// reflectedStruct is a struct by its exported fields, with the names and options (omitempty, omitzero, "-") of their json tags. The fields of an
// embedded struct without a name of its own stand among the others.
func reflectedStruct(v reflect.Value, depth int) (any, error) {
	out := &parse.Map{}
	return out, addFields(out, v, depth)
}

func addFields(out *parse.Map, v reflect.Value, depth int) error {
	if depth > maxValueDepth {
		return fmt.Errorf("a value is more than %d levels deep", maxValueDepth)
	}
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		tag := field.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if field.Anonymous && name == "" {
			if value.Kind() == reflect.Pointer {
				if value.IsNil() || !field.IsExported() {
					continue
				}
				value = value.Elem()
			}
			if value.Kind() == reflect.Struct {
				if err := addFields(out, value, depth+1); err != nil {
					return err
				}
				continue
			}
		}
		if !field.IsExported() || tag == "-" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		if has(options, "omitzero") && value.IsZero() || has(options, "omitempty") && empty(value) {
			continue
		}
		member, err := valueOf(value.Interface(), depth+1)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		out.Set(name, member)
	}
	return nil
}

func has(options, option string) bool {
	return slices.Contains(strings.Split(options, ","), option)
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}
