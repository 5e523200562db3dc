package schema

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// The words that stand for others than one user or role.
const (
	// RequiresAuthentication as an entity of an operation admits every logged-in user.
	RequiresAuthentication = "requiresAuthentication"
	// Authenticated is the group of protected fields of every logged-in user.
	Authenticated = "authenticated"
	// UserFieldPrefix begins a group of protected fields of those who stand in a field of the object.
	UserFieldPrefix = "userField:"
	// CurrentUser in a default ACL stands for the creator of the object.
	CurrentUser = "currentUser"

	rolePrefix    = "role:"
	pointerFields = "pointerFields"
)

// Operations are all operations, in the order of answers.
var Operations = []Operation{OpFind, OpGet, OpCount, OpCreate, OpUpdate, OpDelete, OpAddField}

// Clone returns a copy that may be changed.
func (c *CLP) Clone() *CLP {
	if c == nil {
		return nil
	}
	d := &CLP{
		Operations:      maps.Clone(c.Operations),
		ReadUserFields:  slices.Clone(c.ReadUserFields),
		WriteUserFields: slices.Clone(c.WriteUserFields),
		ProtectedFields: maps.Clone(c.ProtectedFields),
		ACL:             maps.Clone(c.ACL),
	}
	for op, g := range d.Operations {
		g.Entities = maps.Clone(g.Entities)
		g.PointerFields = slices.Clone(g.PointerFields)
		d.Operations[op] = g
	}
	for group, fields := range d.ProtectedFields {
		d.ProtectedFields[group] = slices.Clone(fields)
	}
	return d
}

// readCLP reads class-level permissions as the schema API takes them. Operations that are not named are the master key's.
// Field names are checked by [CLP.check]. The zero CLP of null is nil: everybody may do everything.
func readCLP(v any, customIDs bool) (*CLP, error) {
	if v == nil {
		return nil, nil
	}
	m, ok := members(v)
	if text, is := v.(string); is && text != "" { // Parse Server walks its characters
		return nil, notAnOperation("0")
	}
	if !ok {
		return nil, parse.Errorf(parse.InvalidJSON, "'%s' is not a valid value for class level permissions - must be an object", display(v))
	}
	clp := &CLP{Operations: make(map[Operation]Grant, len(Operations)), ProtectedFields: map[string][]string{}}
	for _, op := range Operations {
		clp.Operations[op] = Grant{}
	}
	for key, value := range m.All() {
		if err := clp.readKey(key, value, customIDs); err != nil {
			return nil, err
		}
	}
	return clp, nil
}

func (c *CLP) readKey(key string, value any, customIDs bool) (err error) {
	switch key {
	case "readUserFields":
		c.ReadUserFields, err = readUserFields(key, value)
		return err
	case "writeUserFields":
		c.WriteUserFields, err = readUserFields(key, value)
		return err
	}
	if key != "protectedFields" && key != "ACL" && !slices.Contains(Operations, Operation(key)) {
		return notAnOperation(key)
	}
	m, ok := members(value)
	if !ok {
		return parse.Errorf(parse.InvalidJSON, "'%s' is not a valid value for class level permissions %s - must be an object", display(value), key)
	}
	switch key {
	case "protectedFields":
		return c.readProtectedFields(m, customIDs)
	case "ACL":
		return c.readACL(m, customIDs)
	}
	c.Operations[Operation(key)], err = readGrant(key, m, customIDs)
	return err
}

func notAnOperation(key string) error {
	return parse.Errorf(parse.InvalidJSON, "%s is not a valid operation for class level permissions", key)
}

func readUserFields(key string, value any) ([]string, error) {
	list, ok := value.([]any)
	if !ok {
		return nil, parse.Errorf(parse.InvalidJSON, "'%s' is not a valid value for class level permissions %s - must be an array", display(value), key)
	}
	return fieldNames(list, func(v any) error { return notAPointerField(v, key) })
}

// anObject is what Parse Server writes in place of the operation when the pointer fields of one are wrong.
const anObject = "[object Object]"

func notAPointerField(v any, key string) error {
	return parse.Errorf(parse.InvalidJSON, "'%s' is not a valid column for class level pointer permissions %s", display(v), key)
}

// fieldNames turns a list into strings; refuse makes the error for an element that is none.
func fieldNames(list []any, refuse func(v any) error) ([]string, error) {
	names := make([]string, len(list))
	for i, v := range list {
		name, ok := v.(string)
		if !ok {
			return nil, refuse(v)
		}
		names[i] = name
	}
	return names, nil
}

func readGrant(op string, m *parse.Map, customIDs bool) (Grant, error) {
	var g Grant
	for entity, permit := range m.All() {
		if err := checkEntity(entity, customIDs, RequiresAuthentication, pointerFields); err != nil {
			return g, err
		}
		if entity == pointerFields {
			list, ok := permit.([]any)
			if !ok {
				return g, parse.Errorf(parse.InvalidJSON, "'%s' is not a valid value for %s[pointerFields] - expected an array.", display(permit), op)
			}
			names, err := fieldNames(list, func(v any) error { return notAPointerField(v, anObject) })
			if err != nil {
				return g, err
			}
			g.PointerFields = names
			continue
		}
		if permit != true {
			return g, parse.Errorf(parse.InvalidJSON, "'%s' is not a valid value for class level permissions acl %s:%s", display(permit), op, entity)
		}
		if entity == RequiresAuthentication {
			g.RequiresAuthentication = true
			continue
		}
		if g.Entities == nil {
			g.Entities = map[string]bool{}
		}
		g.Entities[entity] = true
	}
	return g, nil
}

func (c *CLP) readProtectedFields(m *parse.Map, customIDs bool) error {
	for group, value := range m.All() {
		if !strings.HasPrefix(group, UserFieldPrefix) {
			if err := checkEntity(group, customIDs, Authenticated); err != nil {
				return err
			}
		}
		list, ok := value.([]any)
		if !ok {
			return parse.Errorf(parse.InvalidJSON, "'%s' is not a valid value for protectedFields[%s] - expected an array.", display(value), group)
		}
		names, err := fieldNames(list, func(v any) error { return notAProtectedField(display(v), group) })
		if err != nil {
			return err
		}
		c.ProtectedFields[group] = names
	}
	return nil
}

func notAProtectedField(field, group string) error {
	return parse.Errorf(parse.InvalidJSON, "Field '%s' in protectedFields:%s does not exist", field, group)
}

func (c *CLP) readACL(m *parse.Map, customIDs bool) error {
	c.ACL = make(map[string]Grants, m.Len())
	for entity, value := range m.All() {
		if err := checkEntity(entity, customIDs, RequiresAuthentication); err != nil {
			return err
		}
		rights, ok := members(value)
		if !ok {
			return parse.Errorf(parse.InvalidJSON, "'%s' is not a valid value for class level permissions acl", display(value))
		}
		var g Grants
		for right, permit := range rights.All() {
			is, ok := permit.(bool)
			switch {
			case right != "read" && right != "write":
				return parse.Errorf(parse.InvalidJSON, "'%s' is not a valid key for class level permissions acl", right)
			case !ok:
				return parse.Errorf(parse.InvalidJSON, "'%s' is not a valid value for class level permissions acl", display(permit))
			case right == "read":
				g.Read = is
			default:
				g.Write = is
			}
		}
		c.ACL[entity] = g
	}
	return nil
}

// checkEntity refuses what is neither "*", a role, a user id nor one of the given words. A user id is of letters and
// digits, unless clients may choose ids themselves.
func checkEntity(entity string, customIDs bool, words ...string) error {
	if entity == parse.Public || strings.HasPrefix(entity, rolePrefix) || slices.Contains(words, entity) {
		return nil
	}
	if customIDs && entity != "" && !strings.ContainsAny(entity, "\n\r\u2028\u2029") {
		return nil
	}
	if parse.ObjectID(entity) {
		return nil
	}
	return parse.Errorf(parse.InvalidJSON, "'%s' is not a valid key for class level permissions", entity)
}

// check tells whether the fields that the permissions name exist and are fit: fields of pointer permissions are
// Pointer<_User> or Array, the fields of every class cannot be protected.
func (c *CLP) check(fields map[string]Field) error {
	if c == nil {
		return nil
	}
	for _, list := range []struct {
		key   string
		names []string
	}{{"readUserFields", c.ReadUserFields}, {"writeUserFields", c.WriteUserFields}} {
		if err := checkPointerFields(list.key, list.names, fields); err != nil {
			return err
		}
	}
	for _, op := range Operations {
		if err := checkPointerFields(anObject, c.Operations[op].PointerFields, fields); err != nil {
			return err
		}
	}
	for _, group := range slices.Sorted(maps.Keys(c.ProtectedFields)) {
		for _, field := range c.ProtectedFields[group] {
			if IsDefaultField("", field) {
				return parse.Errorf(parse.InvalidJSON, "Default field '%s' can not be protected", field)
			}
			if _, ok := fields[field]; !ok {
				return notAProtectedField(field, group)
			}
		}
	}
	return nil
}

func checkPointerFields(key string, names []string, fields map[string]Field) error {
	for _, name := range names {
		if f := fields[name]; f.Type != Array && !(f.Type == Pointer && f.TargetClass == UserClass) {
			return notAPointerField(name, key)
		}
	}
	return nil
}

// clpToJSON is the form in which answers show class-level permissions.
func clpToJSON(c *CLP) *parse.Map {
	m := parse.NewMap()
	if c == nil { // what a class has that was made without permissions
		m.Set("ACL", parse.NewMap(parse.Public, parse.NewMap("read", true, "write", true)))
		for _, op := range Operations {
			m.Set(string(op), parse.NewMap(parse.Public, true))
		}
		m.Set("protectedFields", parse.NewMap(parse.Public, []any{}))
		return m
	}
	for _, op := range Operations {
		g, ok := c.Operations[op]
		if !ok { // a missing operation is open
			g = Grant{Entities: map[string]bool{parse.Public: true}}
		}
		m.Set(string(op), g.toJSON())
	}
	groups := parse.NewMap()
	for _, group := range slices.Sorted(maps.Keys(c.ProtectedFields)) {
		groups.Set(group, anyList(c.ProtectedFields[group]))
	}
	m.Set("protectedFields", groups)
	if c.ReadUserFields != nil {
		m.Set("readUserFields", anyList(c.ReadUserFields))
	}
	if c.WriteUserFields != nil {
		m.Set("writeUserFields", anyList(c.WriteUserFields))
	}
	if c.ACL != nil {
		acl := parse.NewMap()
		for _, entity := range slices.Sorted(maps.Keys(c.ACL)) {
			acl.Set(entity, c.ACL[entity].toJSON())
		}
		m.Set("ACL", acl)
	}
	return m
}

func (g Grants) toJSON() *parse.Map {
	m := parse.NewMap()
	if g.Read {
		m.Set("read", true)
	}
	if g.Write {
		m.Set("write", true)
	}
	return m
}

func (g Grant) toJSON() *parse.Map {
	m := parse.NewMap()
	for _, entity := range slices.Sorted(maps.Keys(g.Entities)) {
		if g.Entities[entity] {
			m.Set(entity, true)
		}
	}
	if g.RequiresAuthentication {
		m.Set(RequiresAuthentication, true)
	}
	if g.PointerFields != nil {
		m.Set(pointerFields, anyList(g.PointerFields))
	}
	return m
}

func anyList(names []string) []any {
	list := make([]any, len(names))
	for i, name := range names {
		list[i] = name
	}
	return list
}

// members reads an object, or an array as the object of its indexes, which is how Parse Server walks both.
func members(v any) (*parse.Map, bool) {
	switch v := v.(type) {
	case *parse.Map:
		return v, v != nil
	case parse.ACL:
		m := parse.NewMap()
		for _, entity := range slices.Sorted(maps.Keys(v)) {
			m.Set(entity, parse.NewMap("read", v[entity].Read, "write", v[entity].Write))
		}
		return m, true
	case []any:
		m := parse.NewMap()
		for i := range v {
			m.Set(strconv.Itoa(i), v[i])
		}
		return m, true
	}
	return nil, false
}

// display writes a value into an error text as JavaScript does.
func display(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return string(parse.AppendNumber(nil, v))
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			if v[i] != nil {
				parts[i] = display(v[i])
			}
		}
		return strings.Join(parts, ",")
	}
	return anObject
}
