package schema

// Type is the type of a field, by its name in the schema API.
type Type string

// The field types (contract parse-api.md, 2.1).
const (
	Number   Type = "Number"
	String   Type = "String"
	Boolean  Type = "Boolean"
	Date     Type = "Date"
	Object   Type = "Object"
	Array    Type = "Array"
	GeoPoint Type = "GeoPoint"
	File     Type = "File"
	Bytes    Type = "Bytes"
	Polygon  Type = "Polygon"
	Pointer  Type = "Pointer"
	Relation Type = "Relation"
	ACL      Type = "ACL"
)

// Field is one field of a class.
type Field struct {
	Type Type
	// TargetClass is the class that a Pointer or Relation leads to.
	TargetClass string
	// Required fields must have a value on every create and may not be removed (code 142).
	Required bool
	// Optional says that the class was made with "required":false, which answers repeat. It means nothing else.
	Optional bool
	// Default is the value of a create that names none; nil for no default.
	Default any
}

// Class is one class: an immutable value, shared between requests. Change a [Class.Clone].
type Class struct {
	Name string
	// Fields are all fields that the schema API shows: objectId, createdAt, updatedAt, ACL, the columns of a
	// system class, and what clients added. What is stored besides stands in [Internal].
	Fields map[string]Field
	// CLP are the class-level permissions; nil means that everybody may do everything.
	CLP *CLP
	// Indexes by name; the implicit one on objectId is not among them.
	Indexes map[string]Index
}

// Index is an ordered list of indexed fields.
type Index []IndexField

// IndexField is one field of an index. Kind is "1", "-1", "text" or "2dsphere".
type IndexField struct {
	Field string
	Kind  string
}

// Operation is what class-level permissions speak of.
type Operation string

// The operations.
const (
	OpFind     Operation = "find"
	OpCount    Operation = "count"
	OpGet      Operation = "get"
	OpCreate   Operation = "create"
	OpUpdate   Operation = "update"
	OpDelete   Operation = "delete"
	OpAddField Operation = "addField"
)

// CLP are the permissions of a class (contract parse-api.md, 2.6 and 2.7).
type CLP struct {
	// Operations: who may do what. A missing operation is open to everybody, an empty Grant to the master key only.
	Operations map[Operation]Grant
	// ReadUserFields and WriteUserFields name Pointer<_User> or Array fields; who stands in one may read (find,
	// count, get) or write (update, delete; addField on update) that object.
	ReadUserFields  []string
	WriteUserFields []string
	// ProtectedFields: group ("*", "authenticated", "role:Name", a user id, "userField:field") -> hidden fields.
	ProtectedFields map[string][]string
	// ACL, when not nil, is the default ACL of new objects; the entry "currentUser" stands for the creator.
	ACL map[string]Grants
}

// Grants is one entry of the default ACL.
type Grants struct{ Read, Write bool }

// Grant is who may do one operation.
type Grant struct {
	// Entities that are admitted: "*", "role:Name" or a user id.
	Entities map[string]bool
	// RequiresAuthentication admits every logged-in user.
	RequiresAuthentication bool
	// PointerFields name fields whose users are admitted to the object they stand in.
	PointerFields []string
}
