package query

import "github.com/parley-backend/parley/parse"

// Node is a condition on an object: And, Or, Nor, *Constraint, *RelatedTo or *SubQuery.
// A nil Node admits every object.
type Node interface{ isNode() }

type (
	// And holds when all of its nodes hold; an empty And always holds.
	And []Node
	// Or holds when one of its nodes holds; an empty Or never holds.
	Or []Node
	// Nor holds when none of its nodes holds.
	Nor []Node
)

// Constraint is one operator on one field.
type Constraint struct {
	// Key is the field as the client wrote it: "name", or "profile.age" into an Object or Array.
	// A member of a dotted key that is a number also means that element of an Array.
	Key string
	Op  Operator
	// Arg is the operand; its Go type is fixed by Op, see the table of operators.
	Arg any
	// Relative says that Arg was a $relativeTime, which is only allowed on a Date field; Plain that it is an Object which
	// stood alone, without $eq, which is only allowed on an Array field. [Check] looks at them, nobody else does.
	Relative, Plain bool
}

// Operator is one of the operators of the query language.
type Operator uint8

// The operators and the Go type of their operand. Values of the language are those of package parse.
// What each of them means stands in match.go; their names, parsers and printers in the table of operators.go.
const (
	Eq            Operator = iota + 1 // any value; nil matches null and missing; on an Array field also "contains"
	Ne                                // any value; also matches missing
	Lt                                // number, string, Date
	Lte                               //
	Gt                                //
	Gte                               //
	In                                // []any, may hold nil
	Nin                               // []any
	Exists                            // bool; a field of the object itself that is null counts as absent, a null member exists
	All                               // []any; elements all values or all *Regex
	ContainedBy                       // []any; what is no array is contained
	Match                             // *Regex: $regex with $options
	Search                            // *Text: $text
	Near                              // *NearSphere: also orders by distance
	WithinBox                         // Box
	WithinPolygon                     // parse.Polygon (closed)
	WithinSphere                      // Sphere
	Intersects                        // parse.GeoPoint: the polygon of the field holds the point
	StartsWith                        // string: an anchored literal prefix, written {"$regex":"^\\Q…\\E"}
)

// SubQuery is a constraint whose operand is another query. Whoever runs the query resolves it, with the rights of
// the caller, into In or Nin before the tree reaches an adapter. Its Find has no limit of its own but the one of
// [Limits.SubqueryLimit].
type SubQuery struct {
	Key string
	// Negated: $notInQuery, $dontSelect.
	Negated bool
	// Select is the field of the sub-query's objects whose values are compared ($select, $dontSelect);
	// "" compares pointers to the objects ($inQuery, $notInQuery).
	Select string
	Find   Find
}

// RelatedTo holds for the members of the relation Key of Object.
type RelatedTo struct {
	Object parse.Pointer
	Key    string
}

func (And) isNode()         {}
func (Or) isNode()          {}
func (Nor) isNode()         {}
func (*Constraint) isNode() {}
func (*SubQuery) isNode()   {}
func (*RelatedTo) isNode()  {}

// Find is a whole query: which objects of a class, in which order, how many, with which fields.
type Find struct {
	ClassName string
	Where     Node
	Order     []Order
	Skip      int
	// Limit is the most objects to return; negative means no limit.
	Limit int
	// Keys, when not nil, are the only fields to return besides objectId, createdAt, updatedAt and ACL. Dotted keys reach into included objects.
	Keys []string
	// ExcludeKeys are fields not to return.
	ExcludeKeys []string
	// Include are the paths of pointers to be replaced by their objects; a prefix stands before its extensions.
	Include []Path
	// IncludeAll asks for every Pointer and Array field to be included, one level deep; [Check] expands it.
	IncludeAll bool
	// Count asks for the number of matching objects besides the objects.
	Count bool
	// RedirectClassNameForKey runs the query on the target class of this Relation or Pointer field.
	RedirectClassNameForKey string
	// Explain asks for the plan of the database instead of objects.
	Explain bool
	// Verbosity is the amount of detail of the plan, one of the words of MongoDB ("queryPlanner", …) or "".
	Verbosity string
	// Hint and Comment are handed to the database where it has a use for them.
	Hint    any
	Comment string
	// ReadPreference names a kind of replica (PRIMARY, SECONDARY, …); "" is the default of the database.
	ReadPreference, IncludeReadPreference, SubqueryReadPreference string
}

// Path is a dotted key, split.
type Path []string

// Order is one sort key. Key "$score" is the rank of a $text search, always the best first.
type Order struct {
	Key        string
	Descending bool
}

// Regex is the operand of $regex.
type Regex struct {
	Pattern string
	// Options is a subset of "imsxu", sorted, each letter once.
	Options string
}

// Text is the operand of $text.
type Text struct {
	// Term holds words, "phrases" and -negations.
	Term string
	// Language is "" for English, "none" for no stop words and no stemming.
	Language           string
	CaseSensitive      bool
	DiacriticSensitive bool
}

// NearSphere is the operand of $nearSphere.
type NearSphere struct {
	Point parse.GeoPoint
	// MaxRadians bounds the distance on the sphere; negative means no bound.
	MaxRadians float64
	// MinRadians is the least distance, 0 for none.
	MinRadians float64
}

// Box is the operand of $within $box: the corners south-west and north-east, south-west not greater than north-east
// in either coordinate. A box is planar: it does not cross the antimeridian.
type Box struct{ SouthWest, NorthEast parse.GeoPoint }

// Sphere is the operand of $geoWithin $centerSphere.
type Sphere struct {
	Center  parse.GeoPoint
	Radians float64
}

// EarthRadius in kilometres and miles, as the server side of Parse converts $maxDistanceIn… to radians.
// (The SDKs convert miles themselves, with 3958.8, and send radians.)
const (
	EarthRadiusKilometers = 6371.0
	EarthRadiusMiles      = 3959.0
)
