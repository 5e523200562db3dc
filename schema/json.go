package schema

import (
	"maps"
	"slices"

	"github.com/parley-backend/parley/parse"
)

// ToJSON is the form in which GET and PUT /schemas answer a class (contract parse-api.md, 5.10, and the recorded exchanges
// "schemas"): the fields of every class first, then those of the system class, then the others by name. A class with indexes
// shows the implicit one, `_id_`, besides.
func ToJSON(class *Class) *parse.Map {
	m := parse.NewMap("className", class.Name, "fields", fieldsToJSON(class, fieldOrder(class)), "classLevelPermissions", permissionsToJSON(class))
	if len(class.Indexes) > 0 {
		indexes := indexesToJSON(class.Indexes)
		indexes.Set(IDIndex, parse.NewMap("_id", 1.0))
		m.Set("indexes", indexes)
	}
	return m
}

// CreatedJSON is the form in which POST /schemas answers the class it made: ACL is the last field, and `_id_` is not there yet.
func CreatedJSON(class *Class) *parse.Map {
	order := fieldOrder(class)
	if i := slices.Index(order, "ACL"); i >= 0 {
		order = append(slices.Delete(order, i, i+1), "ACL")
	}
	m := parse.NewMap("className", class.Name, "fields", fieldsToJSON(class, order), "classLevelPermissions", permissionsToJSON(class))
	if len(class.Indexes) > 0 {
		m.Set("indexes", indexesToJSON(class.Indexes))
	}
	return m
}

// permissionsToJSON shows no permissions for volatile classes: they have none, and belong to the master key.
func permissionsToJSON(class *Class) *parse.Map {
	if IsVolatile(class.Name) && class.CLP == nil {
		return parse.NewMap()
	}
	return clpToJSON(class.CLP)
}

// fieldOrder returns the names of all fields of a class in the order of answers.
func fieldOrder(class *Class) []string {
	order := make([]string, 0, len(class.Fields))
	take := func(columns []column) {
		for i := range columns {
			if _, ok := class.Fields[columns[i].name]; ok {
				order = append(order, columns[i].name)
			}
		}
	}
	take(defaultColumns)
	if s := system(class.Name); s != nil {
		take(s.columns)
	}
	rest := len(order)
	for name := range class.Fields {
		if !IsDefaultField(class.Name, name) {
			order = append(order, name)
		}
	}
	slices.Sort(order[rest:])
	return order
}

func fieldsToJSON(class *Class, order []string) *parse.Map {
	m := parse.NewMap()
	for _, name := range order {
		m.Set(name, class.Fields[name].toJSON())
	}
	return m
}

func (f Field) toJSON() *parse.Map {
	m := parse.NewMap("type", string(f.Type))
	if f.TargetClass != "" {
		m.Set("targetClass", f.TargetClass)
	}
	if f.Required || f.Optional {
		m.Set("required", f.Required)
	}
	if f.Default != nil {
		m.Set("defaultValue", parse.Clone(f.Default))
	}
	return m
}

// FromJSON reads a class as [ToJSON] and Parse Server write it, default fields included. It is how a schema comes back from
// a database: what Parse Server would have stored is accepted, and what nobody can have stored is an *parse.Error.
func FromJSON(m *parse.Map) (*Class, error) {
	name := m.String("className")
	if !ValidClassName(name) && !IsSystem(name) {
		return nil, CheckClassName(name)
	}
	class := New(name)
	fields, err := object(m, "fields")
	if err != nil {
		return nil, err
	}
	for field, def := range fields.All() {
		if err := class.readStoredField(field, def); err != nil {
			return nil, err
		}
	}
	if class.CLP, err = readCLP(m.Get("classLevelPermissions"), true); err != nil {
		return nil, err
	}
	if IsVolatile(name) {
		class.CLP = nil
	}
	return class, class.readStoredIndexes(m)
}

// readStoredField takes over a field of a stored class. Internal fields are known without being told; the types of
// default fields are not up to the database, their options are.
func (c *Class) readStoredField(name string, def any) error {
	old, known := c.Fields[name]
	if _, internal := InternalField(c.Name, name); internal || IsDefaultField("", name) || IsJoin(c.Name) && known {
		return nil
	}
	if !parse.FieldName(name, c.Name) {
		return parse.Errorf(parse.InvalidKeyName, "invalid field name: %s", name)
	}
	field, err := readType(def)
	if err != nil {
		return err
	}
	if known && !field.SameType(old) {
		return mismatch(c.Name, name, old, field)
	}
	// Parse Server takes a pointer to a class of any name; members of a relation have to be stored somewhere.
	if field.Type == Relation {
		if err := CheckClassName(field.TargetClass); err != nil {
			return err
		}
	}
	options := def.(*parse.Map)
	if value, given := options.Lookup("defaultValue"); given && value == nil {
		options = options.Clone()
		options.Delete("defaultValue")
	}
	if field, err = readOptions(c.Name, name, field, options); err != nil {
		return err
	}
	c.Fields[name] = field
	return nil
}

// readStoredIndexes takes over what the database has, be it of a kind or over a field that a request could not ask for:
// an index that is not among those of the class would be dropped with the next change.
func (c *Class) readStoredIndexes(m *parse.Map) error {
	indexes, err := object(m, "indexes")
	if err != nil {
		return err
	}
	for name, def := range indexes.All() {
		fields, ok := def.(*parse.Map)
		if name == IDIndex || !ok || fields.Len() == 0 {
			continue
		}
		index := make(Index, 0, fields.Len())
		for key, kind := range fields.All() {
			if field := c.indexedField(key); field != "" {
				key = field
			}
			index = append(index, IndexField{Field: key, Kind: display(kind)})
		}
		if c.Indexes == nil {
			c.Indexes = map[string]Index{}
		}
		c.Indexes[name] = index
	}
	return nil
}

// Marshal writes a class in the form that Parse Server keeps in the table _SCHEMA on PostgreSQL: stored fields in place of
// those of the API (`_rperm` and `_wperm` for ACL, `_hashed_password` for the password of a _User), no permissions when there are none.
func Marshal(class *Class) []byte {
	fields := parse.NewMap()
	for _, name := range fieldOrder(class) {
		switch {
		case name == "ACL":
		case name == "password" && class.Name == UserClass:
		default:
			fields.Set(name, class.Fields[name].toJSON())
		}
	}
	if !IsJoin(class.Name) {
		strings := parse.NewMap("type", string(Array), "contents", parse.NewMap("type", string(String)))
		fields.Set("_rperm", strings)
		fields.Set("_wperm", strings)
	}
	if class.Name == UserClass {
		fields.Set("_hashed_password", Field{Type: String}.toJSON())
	}
	m := parse.NewMap("className", class.Name, "fields", fields)
	if class.CLP != nil {
		m.Set("classLevelPermissions", clpToJSON(class.CLP))
	}
	if len(class.Indexes) > 0 {
		m.Set("indexes", indexesToJSON(class.Indexes))
	}
	return parse.Marshal(m)
}

// Unmarshal reads what [Marshal] wrote, or Parse Server.
func Unmarshal(data []byte) (*Class, error) {
	m, err := parse.DecodeMap(data, parse.Limits{})
	if err != nil {
		return nil, err
	}
	return FromJSON(m)
}

// Equal tells whether both are the same class with the same fields, indexes and permissions; to have none is to have those that
// are open to everybody.
func (c *Class) Equal(d *Class) bool {
	return c.Name == d.Name &&
		maps.EqualFunc(c.Fields, d.Fields, Field.equal) &&
		maps.EqualFunc(c.Indexes, d.Indexes, func(a, b Index) bool { return slices.Equal(a, b) }) &&
		clpToJSON(c.CLP).Equal(clpToJSON(d.CLP))
}

func (f Field) equal(g Field) bool {
	return f.SameType(g) && f.Required == g.Required && f.Optional == g.Optional && parse.Equal(f.Default, g.Default)
}
