package schema

import (
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// hooksClass is the one class that has a field "className".
const hooksClass = "_Hooks"

// notClassNames are system classes whose names are not accepted where a class is named: they are reached
// through routes of their own.
var notClassNames = []string{hooksClass, "_GlobalConfig", "_GraphQLConfig"}

// ValidClassName tells whether a class may be called so: a letter, then letters, digits and underscores; or a
// system class; or a join class (contract parse-api.md, 2.3).
func ValidClassName(name string) bool {
	if IsJoin(name) {
		_, _, ok := parse.SplitJoinClass(name)
		return ok
	}
	if IsSystem(name) {
		return !slices.Contains(notClassNames, name)
	}
	return parse.ClassName(name)
}

// CheckClassName returns the error of the schema API for a name that no class may have (code 103).
func CheckClassName(name string) error {
	if ValidClassName(name) {
		return nil
	}
	return parse.Errorf(parse.InvalidClassName, "Invalid classname: %s, classnames can only have alphanumeric characters and _, and must start with an alpha character ", name)
}

// CheckFieldName returns the error of a write for a field that cannot exist (code 105). Of a dotted key only the
// first part is a field.
func CheckFieldName(class, key string) error {
	name, path, dotted := strings.Cut(key, ".")
	if !parse.FieldName(name, class) {
		return parse.Errorf(parse.InvalidKeyName, "Invalid field name: %s.", name)
	}
	// An empty part of a path would name the member "", which not every database can store.
	if dotted && (path == "" || strings.HasPrefix(path, ".") || strings.HasSuffix(path, ".") || strings.Contains(path, "..")) {
		return parse.Errorf(parse.InvalidKeyName, "Invalid field name: %s.", key)
	}
	return nil
}
