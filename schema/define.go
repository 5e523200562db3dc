package schema

import (
	"maps"
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// Define returns the class that POST /schemas/:class makes from its body (contract parse-api.md, 5.10). customIDs says that
// clients may choose objectIds (option allowCustomObjectId), so that permissions may name any user id.
// The caller knows whether the class exists already. Errors are *parse.Error:
//
//	102 an index    103 a class name    105 a field name    107 the form of something, permissions
//	111 a type, a default value    135 a Pointer without class    136 a default field
func Define(name string, body *parse.Map, customIDs bool) (*Class, error) {
	if err := CheckClassName(name); err != nil {
		return nil, err
	}
	class := New(name)
	if err := change(class, body, true, customIDs); err != nil {
		return nil, err
	}
	return class, nil
}

// Change returns the class that PUT /schemas/:class makes of a class: fields and indexes that the body names are added,
// removed with {"__op":"Delete"}, or get other options; permissions are replaced. The indexes over a removed field go with it.
// Besides the errors of [Define]:
//
//	102 an index that exists    111 another target class    136 removing a default field    255 another type, removing what is not there
func Change(class *Class, body *parse.Map, customIDs bool) (*Class, error) {
	class = class.Clone()
	if err := change(class, body, false, customIDs); err != nil {
		return nil, err
	}
	return class, nil
}

func change(class *Class, body *parse.Map, create, customIDs bool) error {
	fields, err := object(body, "fields")
	if err != nil {
		return err
	}
	if !create {
		if err := checkExisting(class, fields); err != nil {
			return err
		}
	}
	if err := changeFields(class, fields, create); err != nil {
		return err
	}
	if permissions, given := body.Lookup("classLevelPermissions"); given {
		if class.CLP, err = readCLP(permissions, customIDs); err != nil {
			return err
		}
		if err := class.CLP.check(class.Fields); err != nil {
			return err
		}
	}
	if err := changeIndexes(class, body); err != nil {
		return err
	}
	dropIndexesOf(class, fields)
	return nil
}

// dropIndexesOf removes the indexes over fields that the request removes. It comes last, so that a request may name both.
func dropIndexesOf(class *Class, fields *parse.Map) {
	maps.DeleteFunc(class.Indexes, func(_ string, index Index) bool {
		return slices.ContainsFunc(index, func(f IndexField) bool {
			root, _, _ := strings.Cut(f.Field, ".")
			return isDelete(fields.Get(root))
		})
	})
}

// object returns a member of the body that is an object, nil when it is missing or null.
func object(body *parse.Map, name string) (*parse.Map, error) {
	switch v := body.Get(name).(type) {
	case nil:
		return nil, nil
	case *parse.Map:
		return v, nil
	}
	return nil, invalidJSON()
}

func invalidJSON() error { return parse.Errorf(parse.InvalidJSON, "invalid JSON") }

func isDelete(v any) bool {
	_, ok := v.(parse.Delete)
	return ok
}

// checkExisting comes before everything else, as in Parse Server.
func checkExisting(class *Class, fields *parse.Map) error {
	for name, def := range fields.All() {
		old, exists := class.Fields[name]
		if isDelete(def) {
			if !exists {
				return parse.Errorf(parse.InvalidSchemaOperation, "Field %s does not exist, cannot delete.", name)
			}
			continue
		}
		if m, ok := def.(*parse.Map); exists && (!ok || m.Get("type") != string(old.Type)) {
			return parse.Errorf(parse.InvalidSchemaOperation, "Field %s exists, cannot update.", name)
		}
	}
	return nil
}

func changeFields(class *Class, fields *parse.Map, create bool) error {
	added := map[string]Field{}
	for name, def := range fields.All() {
		if _, exists := class.Fields[name]; exists && !create {
			continue
		}
		field, err := readNewField(class.Name, name, def)
		if err != nil {
			return err
		}
		if err := oneNewGeoPoint(class, added, name, field); err != nil {
			return err
		}
		added[name] = field
	}
	for name, def := range fields.All() {
		if _, isNew := added[name]; !isNew {
			if err := changeField(class, name, def); err != nil {
				return err
			}
		}
	}
	maps.Copy(class.Fields, added)
	return nil
}

// oneNewGeoPoint refuses to add a GeoPoint field beside another.
func oneNewGeoPoint(class *Class, added map[string]Field, name string, field Field) error {
	if field.Type != GeoPoint {
		return nil
	}
	for _, fields := range []map[string]Field{class.Fields, added} {
		for _, other := range slices.Sorted(maps.Keys(fields)) {
			if fields[other].Type == GeoPoint {
				return parse.Errorf(parse.IncorrectType, "currently, only one GeoPoint field may exist in an object. Adding %s when %s already exists.", name, other)
			}
		}
	}
	return nil
}

func readNewField(class, name string, def any) (Field, error) {
	if !parse.FieldName(name, class) {
		return Field{}, parse.Errorf(parse.InvalidKeyName, "invalid field name: %s", name)
	}
	if IsDefaultField(class, name) {
		return Field{}, parse.Errorf(parse.ImmutableField, "field %s cannot be added", name)
	}
	field, err := readType(def)
	if err != nil {
		return field, err
	}
	if field.TargetClass != "" {
		if err := CheckClassName(field.TargetClass); err != nil {
			return field, err
		}
	}
	return readOptions(class, name, field, def.(*parse.Map))
}

// changeField removes an existing field or gives it other options.
func changeField(class *Class, name string, def any) error {
	if isDelete(def) {
		if IsDefaultField(class.Name, name) {
			return parse.Errorf(parse.ImmutableField, "field %s cannot be changed", name)
		}
		delete(class.Fields, name)
		return nil
	}
	if IsDefaultField("", name) { // the fields of every class have no options
		return nil
	}
	old := class.Fields[name]
	field, err := readType(def)
	if err != nil {
		return err
	}
	if !old.SameType(field) {
		return mismatch(class.Name, name, old, field)
	}
	field, err = readOptions(class.Name, name, field, def.(*parse.Map))
	if err != nil {
		return err
	}
	class.Fields[name] = field
	return nil
}

// fieldTypes are the types that the schema API may give to a field.
var fieldTypes = []Type{Number, String, Boolean, Date, Object, Array, GeoPoint, File, Bytes, Polygon, Pointer, Relation}

func readType(def any) (Field, error) {
	m, ok := def.(*parse.Map)
	if !ok {
		return Field{}, invalidJSON()
	}
	name, ok := m.Get("type").(string)
	if !ok {
		return Field{}, invalidJSON()
	}
	field := Field{Type: Type(name)}
	if !slices.Contains(fieldTypes, field.Type) {
		return field, parse.Errorf(parse.IncorrectType, "invalid field type: %s", name)
	}
	if field.Type != Pointer && field.Type != Relation {
		return field, nil
	}
	switch target := m.Get("targetClass").(type) {
	case nil:
		return field, parse.Errorf(parse.MissingRequiredField, "type %s needs a class name", name)
	case string:
		if target == "" {
			return field, parse.Errorf(parse.MissingRequiredField, "type %s needs a class name", name)
		}
		field.TargetClass = target
		return field, nil
	}
	return field, invalidJSON()
}

func readOptions(class, name string, field Field, def *parse.Map) (Field, error) {
	field.Required, field.Optional = def.Get("required") == true, def.Get("required") == false
	value, given := def.Lookup("defaultValue")
	if !given {
		if field.Required && field.Type == Relation {
			return field, parse.Errorf(parse.IncorrectType, "The 'required' option is not applicable for %s", field)
		}
		return field, nil
	}
	if _, isOp := value.(parse.Op); isOp {
		return field, invalidJSON()
	}
	got, err := TypeOf(value)
	if err != nil {
		return field, err
	}
	if field.Type == Relation && got.TargetClass != "" {
		return field, parse.Errorf(parse.IncorrectType, "The 'default value' option is not applicable for %s", field)
	}
	if value == nil {
		got.Type = "null"
	}
	if !field.SameType(got) {
		return field, parse.Errorf(parse.IncorrectType, "schema mismatch for %s.%s default value; expected %s but got %s", class, name, field, got)
	}
	if err := checkNestedKeys(value); err != nil {
		return field, err
	}
	field.Default = parse.Clone(value)
	return field, nil
}
