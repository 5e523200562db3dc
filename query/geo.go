package query

import (
	"math"
	"slices"

	"github.com/parley-backend/parley/parse"
)

// Radians returns the distance between two points on the sphere, by the haversine formula, 0..π.
// It knows no antimeridian and no poles: the shortest way counts.
func Radians(a, b parse.GeoPoint) float64 {
	const degree = math.Pi / 180
	sinLat := math.Sin((b.Latitude - a.Latitude) * degree / 2)
	sinLng := math.Sin(math.Remainder(b.Longitude-a.Longitude, 360) * degree / 2)
	h := sinLat*sinLat + math.Cos(a.Latitude*degree)*math.Cos(b.Latitude*degree)*sinLng*sinLng
	return 2 * math.Asin(math.Sqrt(math.Min(1, math.Max(0, h))))
}

// Contains tells whether the point is near enough and far enough, both bounds included, and how far it is.
func (n *NearSphere) Contains(p parse.GeoPoint) (radians float64, ok bool) {
	d := Radians(n.Point, p)
	return d, d >= n.MinRadians && (n.MaxRadians < 0 || d <= n.MaxRadians)
}

// Bounds returns boxes that hold every point the search can find: see [Sphere.Bounds].
func (n *NearSphere) Bounds() []Box {
	if n.MaxRadians < 0 {
		return []Box{wholeEarth}
	}
	return Sphere{n.Point, n.MaxRadians}.Bounds()
}

// Contains tells whether the point is in the box, its edges included.
func (b Box) Contains(p parse.GeoPoint) bool {
	return b.SouthWest.Latitude <= p.Latitude && p.Latitude <= b.NorthEast.Latitude &&
		b.SouthWest.Longitude <= p.Longitude && p.Longitude <= b.NorthEast.Longitude
}

// Contains tells whether the point is in the circle on the sphere, its rim included.
func (s Sphere) Contains(p parse.GeoPoint) bool { return Radians(s.Center, p) <= s.Radians }

var wholeEarth = Box{parse.GeoPoint{Latitude: -90, Longitude: -180}, parse.GeoPoint{Latitude: 90, Longitude: 180}}

// Bounds returns one box, or two where the circle crosses the antimeridian, that hold every point of the circle:
// what an index on coordinates can look up before Contains decides.
func (s Sphere) Bounds() []Box {
	const degree = math.Pi / 180
	// A little slack keeps rounding from losing a point on the rim.
	r := s.Radians*(1+1e-12) + 1e-12
	if r >= math.Pi {
		return []Box{wholeEarth}
	}
	south, north := s.Center.Latitude-r/degree, s.Center.Latitude+r/degree
	if south <= -90 || north >= 90 { // the circle holds a pole, and with it every meridian
		return []Box{{
			parse.GeoPoint{Latitude: math.Max(-90, south), Longitude: -180},
			parse.GeoPoint{Latitude: math.Min(90, north), Longitude: 180},
		}}
	}
	// Meridians that touch the circle: sin Δλ = sin r / cos φ.
	width := math.Asin(math.Min(1, math.Sin(r)/math.Cos(s.Center.Latitude*degree)))/degree + 1e-9
	west, east := s.Center.Longitude-width, s.Center.Longitude+width
	box := func(west, east float64) Box {
		return Box{parse.GeoPoint{Latitude: south, Longitude: west}, parse.GeoPoint{Latitude: north, Longitude: east}}
	}
	// 180° and -180° are one meridian: a circle that only touches it lies on both sides.
	switch {
	case west <= -180:
		return []Box{box(-180, east), box(west+360, 180)}
	case east >= 180:
		return []Box{box(west, 180), box(-180, east-360)}
	}
	return []Box{box(west, east)}
}

// PolygonContains tells whether a point lies in a polygon or on its edge. Edges are straight lines on the plane of
// latitude and longitude, as both databases of Parse draw them for $polygon: a polygon does not cross the antimeridian.
func PolygonContains(polygon parse.Polygon, p parse.GeoPoint) bool {
	inside := false
	for i := range polygon {
		a, b := polygon[i], polygon[(i+1)%len(polygon)]
		if onSegment(a, b, p) {
			return true
		}
		// Ray casting to the east: count the edges that the ray crosses.
		if (a.Latitude > p.Latitude) != (b.Latitude > p.Latitude) {
			x := a.Longitude + (p.Latitude-a.Latitude)/(b.Latitude-a.Latitude)*(b.Longitude-a.Longitude)
			if p.Longitude < x {
				inside = !inside
			}
		}
	}
	return inside
}

// onSegment tells whether p lies on the line from a to b, up to the rounding of the cross product.
func onSegment(a, b, p parse.GeoPoint) bool {
	cross := (b.Longitude-a.Longitude)*(p.Latitude-a.Latitude) - (b.Latitude-a.Latitude)*(p.Longitude-a.Longitude)
	size := math.Abs(b.Longitude-a.Longitude) + math.Abs(b.Latitude-a.Latitude)
	if math.Abs(cross) > 1e-12*math.Max(1, size) {
		return false
	}
	return math.Min(a.Latitude, b.Latitude) <= p.Latitude && p.Latitude <= math.Max(a.Latitude, b.Latitude) &&
		math.Min(a.Longitude, b.Longitude) <= p.Longitude && p.Longitude <= math.Max(a.Longitude, b.Longitude)
}

// PolygonBounds returns the smallest box around a polygon.
func PolygonBounds(polygon parse.Polygon) Box {
	if len(polygon) == 0 {
		return Box{}
	}
	b := Box{polygon[0], polygon[0]}
	for _, p := range polygon {
		b.SouthWest.Latitude = math.Min(b.SouthWest.Latitude, p.Latitude)
		b.SouthWest.Longitude = math.Min(b.SouthWest.Longitude, p.Longitude)
		b.NorthEast.Latitude = math.Max(b.NorthEast.Latitude, p.Latitude)
		b.NorthEast.Longitude = math.Max(b.NorthEast.Longitude, p.Longitude)
	}
	return b
}

// closeRing repeats the first point as the last, unless it stands there already.
func closeRing(ring []parse.GeoPoint) parse.Polygon {
	if n := len(ring); n > 0 && ring[0] != ring[n-1] {
		ring = append(slices.Clip(ring), ring[0])
	}
	return ring
}
