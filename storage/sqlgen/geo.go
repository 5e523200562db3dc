package sqlgen

import (
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// place appends a condition on a GeoPoint: boxes on its two columns that an index can look up, and the exact test.
func (b *builder) place(column *Column, c *query.Constraint) error {
	if column.Type != schema.GeoPoint {
		return b.test(column, c)
	}
	var boxes []query.Box
	switch arg := c.Arg.(type) {
	case *query.NearSphere:
		if arg.MaxRadians < 0 && arg.MinRadians <= 0 {
			b.text(column.Name() + " IS NOT NULL")
			return nil
		}
		boxes = arg.Bounds()
	case query.Sphere:
		boxes = arg.Bounds()
	case query.Box:
		b.box(column, arg) // exact as it is
		return nil
	case parse.Polygon:
		boxes = []query.Box{query.PolygonBounds(arg)}
	default:
		return badOperand(c)
	}
	b.text("(")
	if len(boxes) > 1 {
		b.text("(")
	}
	for i, box := range boxes {
		if i > 0 {
			b.text(" OR ")
		}
		b.box(column, box)
	}
	if len(boxes) > 1 {
		b.text(")")
	}
	b.text(" AND ")
	if err := b.test(column, c); err != nil {
		return err
	}
	b.text(")")
	return nil
}

func (b *builder) box(column *Column, box query.Box) {
	south, north := b.argument(box.SouthWest.Latitude), b.argument(box.NorthEast.Latitude)
	west, east := b.argument(box.SouthWest.Longitude), b.argument(box.NorthEast.Longitude)
	b.sql = b.layout.Dialect.AppendBox(b.sql, column, south, north, west, east)
}
