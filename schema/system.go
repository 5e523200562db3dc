package schema

import (
	"maps"
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// UserClass and its siblings are the names of the system classes that other packages speak of.
const (
	UserClass         = "_User"
	RoleClass         = "_Role"
	SessionClass      = "_Session"
	InstallationClass = "_Installation"
)

// column is one default field of a system class. They are a list, because answers keep their order.
type column struct {
	name  string
	field Field
}

// systemClass is one row of the table of system classes.
type systemClass struct {
	name string
	// columns besides those of every class.
	columns []column
	// internal columns are stored and never shown by the schema API.
	internal []column
	// required fields must have a value on create and may not be removed (code 111).
	required []string
	// volatile classes are always there, belong to the master key, and do not show in the list of all classes.
	volatile bool
	unique   []UniqueIndex
	lookup   []LookupIndex
}

// defaultColumns are the fields of every class.
var defaultColumns = []column{
	{"objectId", Field{Type: String}},
	{"createdAt", Field{Type: Date}},
	{"updatedAt", Field{Type: Date}},
	{"ACL", Field{Type: ACL}},
}

// internalColumns are stored with every object: its ACL, absent for a public one.
var internalColumns = []column{
	{"_rperm", Field{Type: Array}},
	{"_wperm", Field{Type: Array}},
}

// systemClasses is the table of contract parse-api.md, 2.4.
var systemClasses = []systemClass{
	{
		name: UserClass,
		columns: []column{
			{"username", Field{Type: String}},
			{"password", Field{Type: String}},
			{"email", Field{Type: String}},
			{"emailVerified", Field{Type: Boolean}},
			{"authData", Field{Type: Object}},
		},
		internal: []column{
			{"_hashed_password", Field{Type: String}},
			{"_email_verify_token", Field{Type: String}},
			{"_email_verify_token_expires_at", Field{Type: Date}},
			{"_perishable_token", Field{Type: String}},
			{"_perishable_token_expires_at", Field{Type: Date}},
			{"_failed_login_count", Field{Type: Number}},
			{"_account_lockout_expires_at", Field{Type: Date}},
			{"_password_changed_at", Field{Type: Date}},
			{"_password_history", Field{Type: Array}},
			{"_session_token", Field{Type: String}},
			{"_tombstone", Field{Type: Object}},
		},
		unique: []UniqueIndex{
			{Name: "_User_unique_username", Fields: []string{"username"}, Sparse: true},
			{Name: "case_insensitive_username", Fields: []string{"username"}, CaseInsensitive: true, Sparse: true},
			{Name: "_User_unique_email", Fields: []string{"email"}, Sparse: true},
			{Name: "case_insensitive_email", Fields: []string{"email"}, CaseInsensitive: true, Sparse: true},
			AuthDataIndex("anonymous"),
		},
		lookup: []LookupIndex{
			{Name: "_email_verify_token", Fields: []string{"_email_verify_token"}},
			{Name: "_perishable_token", Fields: []string{"_perishable_token"}},
		},
	},
	{
		name: InstallationClass,
		columns: []column{
			{"installationId", Field{Type: String}},
			{"deviceToken", Field{Type: String}},
			{"channels", Field{Type: Array}},
			{"deviceType", Field{Type: String}},
			{"pushType", Field{Type: String}},
			{"GCMSenderId", Field{Type: String}},
			{"timeZone", Field{Type: String}},
			{"localeIdentifier", Field{Type: String}},
			{"badge", Field{Type: Number}},
			{"appVersion", Field{Type: String}},
			{"appName", Field{Type: String}},
			{"appIdentifier", Field{Type: String}},
			{"parseVersion", Field{Type: String}},
		},
		lookup: []LookupIndex{
			{Name: "_Installation_installationId", Fields: []string{"installationId"}},
			{Name: "_Installation_deviceToken", Fields: []string{"deviceToken"}},
		},
	},
	{
		name: RoleClass,
		columns: []column{
			{"name", Field{Type: String}},
			{"users", Field{Type: Relation, TargetClass: UserClass}},
			{"roles", Field{Type: Relation, TargetClass: RoleClass}},
		},
		required: []string{"name", "ACL"},
		unique:   []UniqueIndex{{Name: "_Role_unique_name", Fields: []string{"name"}, Sparse: true}},
	},
	{
		name: SessionClass,
		columns: []column{
			{"user", Field{Type: Pointer, TargetClass: UserClass}},
			{"installationId", Field{Type: String}},
			{"sessionToken", Field{Type: String}},
			{"expiresAt", Field{Type: Date}},
			{"createdWith", Field{Type: Object}},
		},
		lookup: []LookupIndex{
			{Name: "_Session_sessionToken", Fields: []string{"sessionToken"}},
			{Name: "_Session_user", Fields: []string{"user"}},
		},
	},
	{
		name: "_Product",
		columns: []column{
			{"productIdentifier", Field{Type: String}},
			{"download", Field{Type: File}},
			{"downloadName", Field{Type: String}},
			{"icon", Field{Type: File}},
			{"order", Field{Type: Number}},
			{"title", Field{Type: String}},
			{"subtitle", Field{Type: String}},
		},
		required: []string{"productIdentifier", "icon", "order", "title", "subtitle"},
	},
	{
		name: "_PushStatus",
		columns: []column{
			{"pushTime", Field{Type: String}},
			{"source", Field{Type: String}},
			{"query", Field{Type: String}},
			{"payload", Field{Type: String}},
			{"title", Field{Type: String}},
			{"expiry", Field{Type: Number}},
			{"expiration_interval", Field{Type: Number}},
			{"status", Field{Type: String}},
			{"numSent", Field{Type: Number}},
			{"numFailed", Field{Type: Number}},
			{"pushHash", Field{Type: String}},
			{"errorMessage", Field{Type: Object}},
			{"sentPerType", Field{Type: Object}},
			{"failedPerType", Field{Type: Object}},
			{"sentPerUTCOffset", Field{Type: Object}},
			{"failedPerUTCOffset", Field{Type: Object}},
			{"count", Field{Type: Number}},
		},
		volatile: true,
	},
	{
		name: "_JobStatus",
		columns: []column{
			{"jobName", Field{Type: String}},
			{"source", Field{Type: String}},
			{"status", Field{Type: String}},
			{"message", Field{Type: String}},
			{"params", Field{Type: Object}},
			{"finishedAt", Field{Type: Date}},
		},
		volatile: true,
	},
	{
		name: "_JobSchedule",
		columns: []column{
			{"jobName", Field{Type: String}},
			{"description", Field{Type: String}},
			{"params", Field{Type: String}},
			{"startAfter", Field{Type: String}},
			{"daysOfWeek", Field{Type: Array}},
			{"timeOfDay", Field{Type: String}},
			{"lastRun", Field{Type: Number}},
			{"repeatMinutes", Field{Type: Number}},
		},
		volatile: true,
	},
	{
		name: hooksClass,
		columns: []column{
			{"functionName", Field{Type: String}},
			{"className", Field{Type: String}},
			{"triggerName", Field{Type: String}},
			{"url", Field{Type: String}},
		},
		volatile: true,
	},
	{
		name: "_GlobalConfig",
		columns: []column{
			{"params", Field{Type: Object}},
			{"masterKeyOnly", Field{Type: Object}},
		},
		volatile: true,
	},
	{
		name:     "_GraphQLConfig",
		columns:  []column{{"config", Field{Type: Object}}},
		volatile: true,
	},
	{
		name: "_Audience",
		columns: []column{
			{"name", Field{Type: String}},
			{"query", Field{Type: String}},
			{"lastUsed", Field{Type: Date}},
			{"timesUsed", Field{Type: Number}},
		},
		volatile: true,
	},
	{
		name: "_Idempotency",
		columns: []column{
			{"reqId", Field{Type: String}},
			{"expire", Field{Type: Date}},
		},
		volatile: true,
		unique:   []UniqueIndex{{Name: "_Idempotency_unique_reqId", Fields: []string{"reqId"}, Sparse: true}},
		lookup:   []LookupIndex{{Name: "ttl", Fields: []string{"expire"}}},
	},
}

// UniqueIndex is an index that admits each value once.
type UniqueIndex struct {
	// Name as Parse Server gives it on PostgreSQL, so that both may serve one database.
	Name string
	// Fields, in order; a dotted one is a member of an Object field.
	Fields []string
	// CaseInsensitive compares Strings in lower case.
	CaseInsensitive bool
	// Sparse leaves out objects that lack a value (null or missing) for one of the fields.
	Sparse bool
}

// LookupIndex is an index that Parley itself needs to find objects quickly; it restricts nothing.
type LookupIndex struct {
	Name   string
	Fields []string
}

// AuthDataPrefix begins the internal field of _User that holds what an authentication provider knows of the user:
// "_auth_data_" + provider, an Object.
const AuthDataPrefix = "_auth_data_"

// AuthDataIndex is the index that lets each id of an authentication provider belong to one user.
func AuthDataIndex(provider string) UniqueIndex {
	return UniqueIndex{Name: "_User_unique_authData_" + provider + "_id", Fields: []string{AuthDataPrefix + provider + ".id"}, Sparse: true}
}

func system(class string) *systemClass {
	if !strings.HasPrefix(class, "_") {
		return nil
	}
	for i := range systemClasses {
		if systemClasses[i].name == class {
			return &systemClasses[i]
		}
	}
	return nil
}

// SystemClasses returns the names of all system classes, volatile ones included, in the order of the contract.
func SystemClasses() []string {
	names := make([]string, len(systemClasses))
	for i := range systemClasses {
		names[i] = systemClasses[i].name
	}
	return names
}

// IsSystem tells whether the class is a system class, volatile ones included.
func IsSystem(class string) bool { return system(class) != nil }

// IsVolatile tells whether the class is always there, stored or not, and belongs to the master key:
// clients are refused on every verb (code 119), and the list of all classes does not show it.
func IsVolatile(class string) bool {
	s := system(class)
	return s != nil && s.volatile
}

// IsDefaultField tells whether the field belongs to the class by itself: one of every class, or of the system class.
// Such fields can neither be added, changed nor deleted (code 136).
func IsDefaultField(class, field string) bool {
	for i := range defaultColumns {
		if defaultColumns[i].name == field {
			return true
		}
	}
	if s := system(class); s != nil {
		return slices.ContainsFunc(s.columns, func(c column) bool { return c.name == field })
	}
	return false
}

// New returns a class with nothing but its default fields, open to everybody. For the name of a join class it is [JoinClass].
func New(name string) *Class {
	if field, owner, ok := parse.SplitJoinClass(name); ok {
		return JoinClass(owner, field)
	}
	fields := make(map[string]Field, len(defaultColumns)+8)
	for _, c := range defaultColumns {
		fields[c.name] = c.field
	}
	if s := system(name); s != nil {
		for _, c := range s.columns {
			fields[c.name] = c.field
		}
	}
	return &Class{Name: name, Fields: fields}
}

// Internal returns the fields that are stored with the objects of a class and that the schema API does not show. The
// `_auth_data_<provider>` fields of _User come besides: ask [InternalField] for one by its name. The password of a _User
// and its authData are fields of the API only: they are stored as _hashed_password and _auth_data_<provider>.
func Internal(class string) map[string]Field {
	if IsJoin(class) {
		return nil
	}
	fields := make(map[string]Field, 16)
	for _, c := range internalColumns {
		fields[c.name] = c.field
	}
	if s := system(class); s != nil {
		for _, c := range s.internal {
			fields[c.name] = c.field
		}
	}
	return fields
}

// InternalField returns one internal field of a class by its name, be it an `_auth_data_<provider>`.
func InternalField(class, name string) (Field, bool) {
	if !strings.HasPrefix(name, "_") || IsJoin(class) {
		return Field{}, false
	}
	for i := range internalColumns {
		if internalColumns[i].name == name {
			return internalColumns[i].field, true
		}
	}
	if s := system(class); s != nil {
		for i := range s.internal {
			if s.internal[i].name == name {
				return s.internal[i].field, true
			}
		}
	}
	if provider, ok := strings.CutPrefix(name, AuthDataPrefix); ok && class == UserClass && provider != "" {
		return Field{Type: Object}, true
	}
	return Field{}, false
}

// Stored returns all fields under which the objects of a class are stored: those of the class without ACL, Relations,
// and what _User keeps elsewhere, plus [Internal].
func (c *Class) Stored() map[string]Field {
	fields := Internal(c.Name)
	if fields == nil {
		fields = make(map[string]Field, len(c.Fields))
	}
	for name, f := range c.Fields {
		if f.Type == ACL || f.Type == Relation || c.Name == UserClass && (name == "password" || name == "authData") {
			continue
		}
		fields[name] = f
	}
	return fields
}

// RequiredColumns returns the fields of a system class that must have a value on create and may not be removed.
func RequiredColumns(class string) []string {
	if s := system(class); s != nil {
		return slices.Clone(s.required)
	}
	return nil
}

// UniqueIndexes returns the unique indexes that a class has by itself; objectId is unique in every class besides.
// The ids of other authentication providers than "anonymous" are unique too, see [AuthDataIndex].
func UniqueIndexes(class string) []UniqueIndex {
	if IsJoin(class) {
		return []UniqueIndex{{Name: class + "_pair", Fields: []string{"owningId", "relatedId"}}}
	}
	if s := system(class); s != nil {
		return slices.Clone(s.unique)
	}
	return nil
}

// LookupIndexes returns the other indexes that a class has by itself.
func LookupIndexes(class string) []LookupIndex {
	if IsJoin(class) {
		return []LookupIndex{{Name: class + "_relatedId", Fields: []string{"relatedId"}}}
	}
	if s := system(class); s != nil {
		return slices.Clone(s.lookup)
	}
	return nil
}

const joinPrefix = "_Join:"

// JoinClass returns the class that holds the members of a Relation field: one object for each pair of the objectId of
// the owner (owningId) and of the member (relatedId). Its objects have no ACL.
func JoinClass(class, field string) *Class {
	return &Class{Name: parse.JoinClass(field, class), Fields: map[string]Field{
		"objectId":  {Type: String},
		"relatedId": {Type: String},
		"owningId":  {Type: String},
	}}
}

// IsJoin tells whether the class holds the members of a Relation.
func IsJoin(class string) bool { return strings.HasPrefix(class, joinPrefix) }

// Clone returns a copy that may be changed.
func (c *Class) Clone() *Class {
	d := &Class{Name: c.Name, Fields: maps.Clone(c.Fields), CLP: c.CLP.Clone(), Indexes: maps.Clone(c.Indexes)}
	if d.Fields == nil {
		d.Fields = map[string]Field{}
	}
	for name, ix := range d.Indexes {
		d.Indexes[name] = slices.Clone(ix)
	}
	return d
}

// Field returns a field of the class, be it internal.
func (c *Class) Field(name string) (Field, bool) {
	if f, ok := c.Fields[name]; ok {
		return f, true
	}
	return InternalField(c.Name, name)
}
