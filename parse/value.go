package parse

// Date is a moment in milliseconds since the Unix epoch, the precision and range of a JavaScript Date.
type Date int64

// Pointer names another object.
type Pointer struct {
	ClassName string
	ObjectID  string
}

// Relation is a field that stands for a set of objects of one class. Its members are never inlined.
type Relation struct {
	ClassName string
}

// GeoPoint is a place on Earth in degrees: latitude -90..90, longitude -180..180.
type GeoPoint struct {
	Latitude  float64
	Longitude float64
}

// Polygon is a closed ring of at least three different points: the first point is repeated as the last.
type Polygon []GeoPoint

// File names a stored file. URL is filled in on read and is not stored.
type File struct {
	Name string
	URL  string
}

// Bytes is binary data, base64 on the wire.
type Bytes []byte

// Truthy is the test that JavaScript makes with if (v): Parse Server decides by it whether something was given.
func Truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case float64:
		return v != 0 && v == v
	}
	return true
}
