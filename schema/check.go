package schema

import (
	"strings"

	"github.com/parley-backend/parley/parse"
)

// String is the form in which errors name the type: "Number", "Pointer<_User>".
func (f Field) String() string {
	if f.TargetClass != "" {
		return string(f.Type) + "<" + f.TargetClass + ">"
	}
	return string(f.Type)
}

// SameType tells whether values of both fields have one type; required and default value do not count.
func (f Field) SameType(g Field) bool { return f.Type == g.Type && f.TargetClass == g.TargetClass }

// TypeOf returns the field that a value or a [parse.Op] implies. The zero Field says that any type goes: null, the
// removal of a field, a relation operator without objects. A malformed typed value (what package parse leaves as
// a *parse.Map with its "__type") is code 111, an unknown operator code 108.
func TypeOf(v any) (Field, error) {
	switch v := v.(type) {
	case nil:
		return Field{}, nil
	case bool:
		return Field{Type: Boolean}, nil
	case float64:
		return Field{Type: Number}, nil
	case string:
		return Field{Type: String}, nil
	case []any:
		return Field{Type: Array}, nil
	case parse.Date:
		return Field{Type: Date}, nil
	case parse.Pointer:
		return Field{Type: Pointer, TargetClass: v.ClassName}, nil
	case parse.Relation:
		return Field{Type: Relation, TargetClass: v.ClassName}, nil
	case parse.GeoPoint:
		return Field{Type: GeoPoint}, nil
	case parse.Polygon:
		return Field{Type: Polygon}, nil
	case parse.File:
		return Field{Type: File}, nil
	case parse.Bytes:
		return Field{Type: Bytes}, nil
	case parse.ACL:
		return Field{Type: ACL}, nil
	case *parse.Map:
		return typeOfMap(v)
	case *parse.Object:
		return Field{}, parse.Errorf(parse.IncorrectType, "This is not a valid Object")
	case parse.Op:
		return typeOfOp(v)
	}
	return Field{}, parse.Errorf(parse.IncorrectType, "This is not a valid %T", v)
}

func typeOfMap(m *parse.Map) (Field, error) {
	if name, bad := parse.Malformed(m); bad {
		return Field{}, parse.Errorf(parse.IncorrectType, "This is not a valid %s", name)
	}
	if name, bad := parse.MalformedOp(m); bad {
		return Field{}, parse.OpError(name)
	}
	return Field{Type: Object}, nil
}

// typeOfOp is the type of the field that an operator works on (contract parse-api.md, 2.2).
func typeOfOp(op parse.Op) (Field, error) {
	switch op := op.(type) {
	case parse.Increment:
		return Field{Type: Number}, nil
	case parse.Add, parse.AddUnique, parse.Remove:
		return Field{Type: Array}, nil
	case parse.AddRelation:
		return relationTo(op.Objects), nil
	case parse.RemoveRelation:
		return relationTo(op.Objects), nil
	case parse.Batch:
		for _, part := range op.Ops {
			f, err := typeOfOp(part)
			if err != nil || f.Type != "" {
				return f, err
			}
		}
	}
	return Field{}, nil
}

func relationTo(objects []parse.Pointer) Field {
	if len(objects) == 0 {
		return Field{}
	}
	return Field{Type: Relation, TargetClass: objects[0].ClassName}
}

// TypeOfKey is [TypeOf] for the field that a write names by key: a dotted key makes its field an Array when the part
// after the field is an index, and an Object otherwise, also when the part becomes null.
func TypeOfKey(key string, v any) (Field, error) {
	f, err := TypeOf(v)
	name, path, dotted := strings.Cut(key, ".")
	if err != nil || !dotted || f.Type == "" && v != nil {
		return f, err
	}
	part, _, _ := strings.Cut(path, ".")
	if digits(part) && name != "sentPerUTCOffset" && name != "failedPerUTCOffset" {
		return Field{Type: Array}, nil
	}
	return Field{Type: Object}, nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// CheckValue tells whether a write may give the value (or apply the operator) to a field, or by a dotted key to a part of it:
// code 111 for another type than the field has, 121 for a nested key with "$" or ".". A field that the class lacks
// takes any value, and every field takes null; ACL is not a matter of types.
func CheckValue(class *Class, key string, v any) error {
	if key == "ACL" {
		return nil
	}
	got, err := TypeOfKey(key, v)
	if err != nil {
		return err
	}
	if err := checkNestedKeys(v); err != nil {
		return err
	}
	if got.Type == "" {
		return nil
	}
	name, _, _ := strings.Cut(key, ".")
	want, ok := class.Field(name)
	if !ok || want.SameType(got) {
		return nil
	}
	return mismatch(class.Name, name, want, got)
}

func mismatch(class, field string, want, got Field) error {
	return parse.Errorf(parse.IncorrectType, "schema mismatch for %s.%s; expected %s but got %s", class, field, want, got)
}

// checkNestedKeys refuses "$" and "." in the keys of nested objects, at any depth and inside of operators: they would be
// operators and paths to some databases.
func checkNestedKeys(v any) error {
	switch v := v.(type) {
	case *parse.Map:
		for key, member := range v.All() {
			if strings.ContainsAny(key, "$.") {
				return parse.Errorf(parse.InvalidNestedKey, "Nested keys should not contain the '$' or '.' characters")
			}
			if err := checkNestedKeys(member); err != nil {
				return err
			}
		}
	case *parse.Object:
		return checkNestedKeys(&v.Map)
	case []any:
		return checkElements(v)
	case parse.Add:
		return checkElements(v.Objects)
	case parse.AddUnique:
		return checkElements(v.Objects)
	case parse.Remove:
		return checkElements(v.Objects)
	}
	return nil
}

func checkElements(list []any) error {
	for _, v := range list {
		if err := checkNestedKeys(v); err != nil {
			return err
		}
	}
	return nil
}
