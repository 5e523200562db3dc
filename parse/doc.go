// Package parse is the vocabulary of a Parse backend: what an object is made of,
// how it is written on the wire, how a field is changed, and what an error is called.
//
// It imports the standard library only, and everything else in Parley speaks in its words.
//
// # Values
//
// A value of an object is one of the following Go types and no other:
//
//	nil            JSON null
//	bool           Boolean
//	float64        Number (a JavaScript number)
//	string         String
//	[]any          Array, its elements values again
//	*Map           Object: an ordered set of named values
//	Date           Date, milliseconds since the Unix epoch
//	Pointer        Pointer
//	Relation       Relation
//	GeoPoint       GeoPoint
//	Polygon        Polygon
//	File           File
//	Bytes          Bytes
//	ACL            ACL
//	*Object        an object included in place of a pointer
//
// The body of a write may also hold an [Op] where a value stands. What the codec cannot recognise
// (an unknown __type, a Pointer without a class) stays a *Map with its "__type" or "__op" member, so
// that whoever knows the field can say what is wrong with it.
//
// # Where to look
//
// value.go the types above; map.go the ordered map; object.go Object; acl.go ACL;
// decode.go, recognise.go (what a __type or __op stands for) and encode.go the JSON codec; wire.go its use by encoding/json;
// number.go and date.go the JavaScript formats; op.go the operators, merge.go two of them in one, path.go dotted keys;
// name.go names and ids; code.go the error codes; error.go Error.
package parse
