package query

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-backend/parley/parse"
)

func TestRadians(t *testing.T) {
	point := func(lat, lng float64) parse.GeoPoint { return parse.GeoPoint{Latitude: lat, Longitude: lng} }
	for _, c := range []struct {
		a, b parse.GeoPoint
		want float64
	}{
		{point(0, 0), point(0, 0), 0},
		{point(0, 0), point(0, 90), math.Pi / 2},
		{point(0, 0), point(0, 180), math.Pi},
		{point(90, 0), point(-90, 77), math.Pi},
		{point(90, 0), point(90, 123), 0},
		{point(10, 180), point(10, -180), 0},
		{point(0, 179), point(0, -179), 2 * math.Pi / 180},
		{point(45, 10), point(45, 10), 0},
		{point(52.52, 13.405), point(48.8566, 2.3522), 877.46 / EarthRadiusKilometers},
	} {
		if got := Radians(c.a, c.b); math.Abs(got-c.want) > 1e-5 {
			t.Errorf("Radians(%v, %v) = %v, want %v", c.a, c.b, got, c.want)
		}
		if Radians(c.a, c.b) != Radians(c.b, c.a) {
			t.Errorf("Radians(%v, %v) is not symmetric", c.a, c.b)
		}
	}
}

// TestBounds is the property of Bounds: a box of it holds every point of the circle, and no box leaves the map.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := Sphere{drawPoint(r), rapid.Float64Range(0, 3.3).Draw(r, "radians")}
		if rapid.Bool().Draw(r, "edge") {
			s.Center.Longitude = rapid.SampledFrom([]float64{-180, -179.9, 0, 179.9, 180}).Draw(r, "meridian")
			s.Center.Latitude = rapid.SampledFrom([]float64{-90, -89.9, 0, 60, 89.9, 90}).Draw(r, "parallel")
		}
		p := drawPoint(r)
		boxes := s.Bounds()
		inBox := false
		for _, b := range boxes {
			inBox = inBox || b.Contains(p)
			if b.SouthWest.Latitude > b.NorthEast.Latitude || b.SouthWest.Longitude > b.NorthEast.Longitude {
				r.Fatalf("%+v.Bounds() = %+v", s, boxes)
			}
		}
		if s.Contains(p) && !inBox {
			r.Fatalf("%+v contains %v, but %+v do not", s, p, boxes)
		}
	})
}

func TestBoundsAcrossTheAntimeridian(t *testing.T) {
	s := Sphere{parse.GeoPoint{Latitude: 0, Longitude: 179}, 2 * math.Pi / 180}
	boxes := s.Bounds()
	if len(boxes) != 2 {
		t.Fatalf("Bounds() = %+v, want two boxes", boxes)
	}
	for _, lng := range []float64{178, 180, -180, -179.5} {
		p := parse.GeoPoint{Longitude: lng}
		if !boxes[0].Contains(p) && !boxes[1].Contains(p) {
			t.Errorf("%v is in none of %+v", p, boxes)
		}
	}
	if got := (&NearSphere{MaxRadians: -1}).Bounds(); len(got) != 1 || got[0] != wholeEarth {
		t.Errorf("Bounds() = %+v, want the whole Earth", got)
	}
}

func TestPolygonContains(t *testing.T) {
	ring := parse.Polygon{{Latitude: 0, Longitude: 0}, {Latitude: 0, Longitude: 10}, {Latitude: 10, Longitude: 5}, {Latitude: 0, Longitude: 0}}
	for _, c := range []struct {
		lat, lng float64
		want     bool
	}{
		{1, 5, true}, {0, 0, true}, {0, 3, true}, {5, 2.5, true}, {10, 5, true}, {9.9, 5, true},
		{-0.1, 5, false}, {5, 2.4, false}, {10.1, 5, false}, {0, 10.1, false}, {0, -1, false}, {10, 6, false},
	} {
		p := parse.GeoPoint{Latitude: c.lat, Longitude: c.lng}
		if got := PolygonContains(ring, p); got != c.want {
			t.Errorf("PolygonContains(%v) = %v, want %v", p, got, c.want)
		}
		if b := PolygonBounds(ring); c.want && !b.Contains(p) {
			t.Errorf("PolygonBounds() = %+v lacks %v", b, p)
		}
	}
	if PolygonContains(nil, parse.GeoPoint{}) {
		t.Error("an empty polygon contains something")
	}
}
