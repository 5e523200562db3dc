package parse

import (
	"encoding/base64"
	"strings"
)

// recognise turns an object with a "__type" or "__op" into what it stands for, and leaves what is malformed as it is.
func recognise(m *Map, ops bool) any {
	if typ := m.Get("__type"); Truthy(typ) {
		name, _ := typ.(string)
		if read := typeReaders[name]; read != nil && !hasOperator(m) {
			if v, ok := read(m); ok {
				return v
			}
		}
		return m
	}
	if op := m.Get("__op"); ops && Truthy(op) {
		name, _ := op.(string)
		if read := opReaders[name]; read != nil {
			if v, ok := read(m); ok {
				return v
			}
		}
	}
	return m
}

// hasOperator tells whether a typed value has an operator of a query among its members: SDKs write
// {"__type":"Pointer",…,"$exists":true} for two conditions on one key, and both have to reach the parser of queries.
func hasOperator(m *Map) bool {
	for _, f := range m.members {
		if strings.HasPrefix(f.name, "$") {
			return true
		}
	}
	return false
}

// typeReaders are the types of contract parse-api.md, 2.1, by the value of "__type".
var typeReaders = map[string]func(*Map) (any, bool){
	"Date":     readDate,
	"Pointer":  readPointer,
	"Relation": readRelation,
	"GeoPoint": readGeoPoint,
	"Polygon":  readPolygon,
	"File":     readFile,
	"Bytes":    readBytes,
	"Object":   func(m *Map) (any, bool) { return readObject(m) },
}

func readDate(m *Map) (any, bool) {
	d, ok := ParseDate(m.String("iso"))
	return d, ok
}

func readPointer(m *Map) (any, bool) {
	id, ok := m.Get("objectId").(string)
	p := Pointer{ClassName: m.String("className"), ObjectID: id}
	return p, ok && p.ClassName != ""
}

func readRelation(m *Map) (any, bool) {
	r := Relation{ClassName: m.String("className")}
	return r, r.ClassName != ""
}

func readGeoPoint(m *Map) (any, bool) {
	return geoPoint(m.Get("latitude"), m.Get("longitude"))
}

func geoPoint(latitude, longitude any) (GeoPoint, bool) {
	lat, ok1 := latitude.(float64)
	lng, ok2 := longitude.(float64)
	g := GeoPoint{lat, lng}
	return g, ok1 && ok2 && g.Valid()
}

// Valid tells whether the place is on Earth.
func (g GeoPoint) Valid() bool {
	return -90 <= g.Latitude && g.Latitude <= 90 && -180 <= g.Longitude && g.Longitude <= 180
}

func readPolygon(m *Map) (any, bool) {
	list, _ := m.Get("coordinates").([]any)
	points := make([]GeoPoint, len(list))
	for i, v := range list {
		pair, _ := v.([]any)
		if len(pair) != 2 {
			return nil, false
		}
		var ok bool
		if points[i], ok = geoPoint(pair[0], pair[1]); !ok {
			return nil, false
		}
	}
	return NewPolygon(points...)
}

// NewPolygon closes a ring, and tells whether it has at least three different points, all on Earth.
func NewPolygon(points ...GeoPoint) (Polygon, bool) {
	different := make(map[GeoPoint]bool, len(points))
	for _, g := range points {
		if !g.Valid() {
			return nil, false
		}
		different[g] = true
	}
	if len(different) < 3 {
		return nil, false
	}
	ring := make(Polygon, len(points), len(points)+1)
	copy(ring, points)
	if ring[0] != ring[len(ring)-1] {
		ring = append(ring, ring[0])
	}
	return ring, true
}

func readFile(m *Map) (any, bool) {
	f := File{Name: m.String("name"), URL: m.String("url")}
	return f, f.Name != ""
}

func readBytes(m *Map) (any, bool) {
	text, ok := m.Get("base64").(string)
	if !ok {
		return nil, false
	}
	b, err := base64Any(text)
	return Bytes(b), err == nil
}

// base64Any reads both alphabets, with and without padding, as Buffer.from of Node does.
func base64Any(text string) ([]byte, error) {
	text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
	return base64.RawStdEncoding.DecodeString(text)
}

func readObject(m *Map) (*Object, bool) {
	o := &Object{ClassName: m.String("className")}
	if o.ClassName == "" {
		return nil, false
	}
	o.members = make([]member, 0, m.Len())
	for name, v := range m.All() {
		switch name {
		case "__type", "className":
			continue
		case "createdAt", "updatedAt":
			if s, ok := v.(string); ok {
				if d, ok := ParseDate(s); ok {
					v = d
				}
			}
		case "ACL":
			if a, ok := v.(*Map); ok {
				if acl, err := ACLFromMap(a); err == nil {
					v = acl
				}
			}
		}
		o.Set(name, v)
	}
	return o, true
}

// Malformed tells whether v is what the decoder leaves of a typed value that it does not understand: a *[Map] with a
// "__type" that is unknown or lacks something. The name is that "__type", as JavaScript prints it; the error of
// Parse Server is code 111 "This is not a valid " + name (contract parse-api.md, 2.1). Only v itself is looked at.
func Malformed(v any) (name string, bad bool) {
	m, ok := v.(*Map)
	if !ok || !Truthy(m.Get("__type")) {
		return "", false
	}
	return printed(m.Get("__type")), true
}

// MalformedOp is [Malformed] for "__op"; [OpError] is its error.
func MalformedOp(v any) (name string, bad bool) {
	m, ok := v.(*Map)
	if !ok || Truthy(m.Get("__type")) || !Truthy(m.Get("__op")) {
		return "", false
	}
	return printed(m.Get("__op")), true
}

// printed is String(v) of JavaScript, for what JSON can hold.
func printed(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			if v[i] != nil {
				parts[i] = printed(v[i])
			}
		}
		return strings.Join(parts, ",")
	case nil, bool, float64:
		return string(AppendJSON(nil, v))
	}
	return "[object Object]"
}
