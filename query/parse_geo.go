package query

import (
	"strconv"

	"github.com/parley-backend/parley/parse"
)

// parseNear reads $nearSphere with the distances beside it.
func parseNear(c *constraintReader, name string, arg any) error {
	point, ok := arg.(parse.GeoPoint)
	if !ok {
		return invalidJSON("bad %s value; should be GeoPoint", name)
	}
	n := &NearSphere{Point: point, MaxRadians: -1}
	for _, unit := range distanceUnits {
		far, ok, err := c.distance("$maxDistance"+unit.suffix, unit.radius)
		if err != nil {
			return err
		}
		if ok && (n.MaxRadians < 0 || far < n.MaxRadians) {
			n.MaxRadians = far
		}
		near, ok, err := c.distance("$minDistance"+unit.suffix, unit.radius)
		if err != nil {
			return err
		}
		if ok && near > n.MinRadians {
			n.MinRadians = near
		}
	}
	c.add(Near, n)
	return nil
}

// distanceUnits are the units of a distance by how their names end.
var distanceUnits = []struct {
	suffix string
	radius float64
}{
	{"", 1},
	{"InRadians", 1},
	{"InMiles", EarthRadiusMiles},
	{"InKilometers", EarthRadiusKilometers},
}

func (c *constraintReader) distance(name string, radius float64) (radians float64, ok bool, err error) {
	arg, ok := c.operators.Lookup(name)
	if !ok {
		return 0, false, nil
	}
	d, ok := arg.(float64)
	if !ok || d < 0 {
		return 0, false, invalidJSON("bad %s value; should be a number that is not negative", name)
	}
	return d / radius, true, nil
}

func parseBox(c *constraintReader, name string, arg any) error {
	m, _ := arg.(*parse.Map)
	corners, _ := m.Get("$box").([]any)
	if len(corners) != 2 {
		return invalidJSON("malformatted %s arg", name)
	}
	a, ok1 := corners[0].(parse.GeoPoint)
	b, ok2 := corners[1].(parse.GeoPoint)
	if !ok1 || !ok2 {
		return invalidJSON("malformatted %s arg", name)
	}
	// Both databases of Parse put the corners in order, whichever two of the box they are.
	c.add(WithinBox, Box{
		SouthWest: parse.GeoPoint{Latitude: min(a.Latitude, b.Latitude), Longitude: min(a.Longitude, b.Longitude)},
		NorthEast: parse.GeoPoint{Latitude: max(a.Latitude, b.Latitude), Longitude: max(a.Longitude, b.Longitude)},
	})
	return nil
}

func parseGeoWithin(c *constraintReader, name string, arg any) error {
	m, _ := arg.(*parse.Map)
	if polygon, ok := m.Lookup("$polygon"); ok {
		ring, err := readRing(polygon)
		if err != nil {
			return err
		}
		c.add(WithinPolygon, ring)
		return nil
	}
	if sphere, ok := m.Lookup("$centerSphere"); ok {
		s, err := readSphere(sphere)
		if err != nil {
			return err
		}
		c.add(WithinSphere, s)
		return nil
	}
	return invalidJSON("bad %s value; $polygon or $centerSphere expected", name)
}

// readRing reads the operand of $polygon: an array of GeoPoints or of pairs, or a Polygon. Pairs are longitude and
// latitude, also those of a Polygon, whose coordinates are latitude and longitude everywhere else (both databases of
// Parse Server read them so here).
func readRing(v any) (parse.Polygon, error) {
	var points []any
	switch v := v.(type) {
	case parse.Polygon:
		for _, p := range v {
			points = append(points, []any{p.Latitude, p.Longitude})
		}
	case *parse.Map: // a Polygon whose coordinates are not latitude and longitude
		points, _ = v.Get("coordinates").([]any)
		if v.Get("__type") != "Polygon" {
			return nil, invalidJSON("bad $geoWithin value; $polygon should be Polygon object or Array of Parse.GeoPoint's")
		}
		if len(points) < 3 {
			return nil, invalidJSON("bad $geoWithin value; Polygon.coordinates should contain at least 3 lon/lat pairs")
		}
	case []any:
		points = v
		if len(points) < 3 {
			return nil, invalidJSON("bad $geoWithin value; $polygon should contain at least 3 GeoPoints")
		}
	default:
		return nil, invalidJSON("bad $geoWithin value; $polygon should be Polygon object or Array of Parse.GeoPoint's")
	}
	ring := make([]parse.GeoPoint, len(points))
	for i, v := range points {
		p, ok, err := readPlace(v)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, invalidJSON("bad $geoWithin value")
		}
		ring[i] = p
	}
	return closeRing(ring), nil
}

func readSphere(v any) (Sphere, error) {
	list, _ := v.([]any)
	if len(list) < 2 {
		return Sphere{}, invalidJSON("bad $geoWithin value; $centerSphere should be an array of Parse.GeoPoint and distance")
	}
	center, ok, err := readPlace(list[0])
	if err != nil {
		return Sphere{}, err
	}
	if !ok {
		return Sphere{}, invalidJSON("bad $geoWithin value; $centerSphere geo point invalid")
	}
	radians, ok := list[1].(float64)
	if !ok || radians < 0 {
		return Sphere{}, invalidJSON("bad $geoWithin value; $centerSphere distance invalid")
	}
	return Sphere{center, radians}, nil
}

func parseIntersects(c *constraintReader, _ string, arg any) error {
	m, _ := arg.(*parse.Map)
	p, ok, err := readPlace(m.Get("$point"))
	if err != nil {
		return err
	}
	if _, isPair := m.Get("$point").([]any); !ok || isPair {
		return invalidJSON("bad $geoIntersect value; $point should be GeoPoint")
	}
	c.add(Intersects, p)
	return nil
}

// readPlace reads a GeoPoint, or a pair of longitude and latitude. ok is false for anything else; a place beyond the
// bounds of Earth is an error.
func readPlace(v any) (p parse.GeoPoint, ok bool, err error) {
	var latitude, longitude any
	switch v := v.(type) {
	case parse.GeoPoint:
		return v, true, nil
	case []any:
		if len(v) != 2 {
			return p, false, nil
		}
		longitude, latitude = v[0], v[1]
	case *parse.Map: // a GeoPoint that the decoder found malformed
		if v.Get("__type") != "GeoPoint" {
			return p, false, nil
		}
		longitude, latitude = v.Get("longitude"), v.Get("latitude")
	default:
		return p, false, nil
	}
	lat, ok1 := latitude.(float64)
	lng, ok2 := longitude.(float64)
	if !ok1 || !ok2 {
		return p, false, invalidJSON("GeoPoint latitude and longitude must be valid numbers")
	}
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	switch {
	case lat < -90:
		return p, false, invalidJSON("GeoPoint latitude out of bounds: %s < -90.0.", number(lat))
	case lat > 90:
		return p, false, invalidJSON("GeoPoint latitude out of bounds: %s > 90.0.", number(lat))
	case lng < -180:
		return p, false, invalidJSON("GeoPoint longitude out of bounds: %s < -180.0.", number(lng))
	case lng > 180:
		return p, false, invalidJSON("GeoPoint longitude out of bounds: %s > 180.0.", number(lng))
	}
	return parse.GeoPoint{Latitude: lat, Longitude: lng}, true, nil
}
