package schema

import (
	"strings"

	"github.com/parley-backend/parley/parse"
)

// NewFields returns the names of the fields that a write would add to the class, in the order of the write: what
// the permission to add fields is asked for. A field that is only removed is none, one that is null is. It allocates
// nothing when there is none.
func NewFields(class *Class, values *parse.Map) []string {
	var names []string
	for key, v := range values.All() {
		name, _, _ := strings.Cut(key, ".")
		if name == "ACL" {
			continue
		}
		if _, ok := class.Fields[name]; ok {
			continue
		}
		if _, removed := v.(parse.Delete); removed {
			continue
		}
		names = append(names, name)
	}
	return names
}

// MaxFields is how many fields writes may add to a class, the default columns included. A table has no more than 2000 columns in
// SQLite and 1600 in PostgreSQL, some fields take two, and a field costs every reader of the class something.
const MaxFields = 1000

// Fit returns the class that the values and operators of a write fit into: the class itself when nothing is missing,
// otherwise a copy with the missing fields. Internal fields are no fields of a write here: they are refused like any other
// invalid name. What does not fit is an *parse.Error (contract parse-api.md, 2.5):
//
//	105 Invalid field name    111 the type of a value, or two GeoPoints in one write    121 "$" or "." in a nested key    255 more than MaxFields
func Fit(class *Class, values *parse.Map) (*Class, error) {
	if err := oneGeoPoint(values); err != nil {
		return nil, err
	}
	fit := class
	for key, v := range values.All() {
		if key == "ACL" {
			continue
		}
		if _, removed := v.(parse.Delete); removed {
			continue
		}
		if err := CheckFieldName(class.Name, key); err != nil {
			return nil, err
		}
		if err := CheckValue(fit, key, v); err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(key, ".")
		if _, ok := fit.Fields[name]; ok {
			continue
		}
		field, err := TypeOfKey(key, v)
		if err != nil {
			return nil, err
		}
		if err := checkNewField(class.Name, name, field); err != nil {
			return nil, err
		}
		if field.Type == "" { // null does not make a field
			continue
		}
		if fit == class {
			fit = class.Clone()
		}
		if len(fit.Fields) >= MaxFields {
			return nil, parse.Errorf(parse.InvalidSchemaOperation, "Class %s cannot have more than %d fields.", class.Name, MaxFields)
		}
		fit.Fields[name] = field
	}
	return fit, nil
}

// oneGeoPoint is a rule of Parse Server about a single write; a second GeoPoint field that comes with another write is accepted.
func oneGeoPoint(values *parse.Map) error {
	count := 0
	for _, v := range values.All() {
		if _, ok := v.(parse.GeoPoint); ok {
			count++
		}
	}
	if count > 1 {
		return parse.Errorf(parse.IncorrectType, "there can only be one geopoint field in a class")
	}
	return nil
}

// checkNewField refuses a field that a value implies and that no class can have: one of type ACL, or one that leads to a class
// which cannot exist.
func checkNewField(class, name string, f Field) error {
	if f.Type == ACL {
		return parse.Errorf(parse.IncorrectType, "schema mismatch for %s.%s; expected Object but got ACL", class, name)
	}
	if f.TargetClass != "" {
		return CheckClassName(f.TargetClass)
	}
	return nil
}

// CheckRequiredColumns refuses a write that leaves a field without value that the system class cannot do without (code 111):
// a create that lacks it, an update that removes it.
func CheckRequiredColumns(class string, values *parse.Map, create bool) error {
	s := system(class)
	if s == nil {
		return nil
	}
	for _, name := range s.required {
		v, given := values.Lookup(name)
		_, removed := v.(parse.Delete)
		if create && missing(v) || given && removed {
			return parse.Errorf(parse.IncorrectType, "%s is required.", name)
		}
	}
	return nil
}

// missing tells whether a required column has a value that Parse Server takes for none.
func missing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return v == ""
	case parse.Delete:
		return true
	}
	return false
}

// FillDefaults gives the fields that a create leaves out, or null, their default values and returns the names of those. It
// refuses a write that leaves a required field without value (code 142): a create that has none, an update that takes
// it away. An empty String is no value either, but one that was chosen: it is not replaced.
func FillDefaults(class *Class, values *parse.Map, create bool) (filled []string, err error) {
	for _, name := range fieldOrder(class) {
		f := class.Fields[name]
		if f.Default == nil && !f.Required {
			continue
		}
		v, given := values.Lookup(name)
		_, removed := v.(parse.Delete)
		switch {
		case v != nil && v != "" && !removed, !create && !given:
		case create && f.Default != nil && v != "":
			values.Set(name, parse.Clone(f.Default))
			filled = append(filled, name)
		case f.Required:
			return nil, parse.Errorf(parse.ValidationError, "%s is required", name)
		}
	}
	return filled, nil
}

// DefaultACL returns the ACL that the class gives to an object which is created without one, by the user with this id
// ("" for nobody). It is nil, for public, when the class names none.
func (c *Class) DefaultACL(userID string) parse.ACL {
	if c.CLP == nil || c.CLP.ACL == nil {
		return nil
	}
	if all := c.CLP.ACL[parse.Public]; len(c.CLP.ACL) == 1 && all.Read && all.Write {
		return nil
	}
	acl := make(parse.ACL, len(c.CLP.ACL))
	for entity, g := range c.CLP.ACL {
		if entity == CurrentUser {
			continue
		}
		acl[entity] = parse.Access{Read: g.Read, Write: g.Write}
	}
	if g, ok := c.CLP.ACL[CurrentUser]; ok && userID != "" {
		acl[userID] = parse.Access{Read: g.Read, Write: g.Write}
	}
	return acl
}
