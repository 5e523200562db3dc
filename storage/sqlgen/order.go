package sqlgen

import (
	"strings"

	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// order appends " ORDER BY …": the keys of the query, or the distance of its $nearSphere; then objectId, so that pages
// neither overlap nor miss an object.
func (b *builder) order(q *query.Find) error {
	if _, pinned := query.PinnedID(q.Where); pinned {
		return nil
	}
	start, args := len(b.sql), len(b.args)
	defer func() {
		if b.sort { // the order is not the database's
			b.sql, b.args = b.sql[:start], b.args[:args]
		}
	}()
	b.text(" ORDER BY ")
	if near := nearOf(q); near != nil {
		if column, ok := b.layout.Column(near.Key); ok && column.Type == schema.GeoPoint {
			at := near.Arg.(*query.NearSphere).Point
			b.sql = b.layout.Dialect.AppendDistance(b.sql, column, b.argument(at.Latitude), b.argument(at.Longitude))
			b.text(", ")
		} else if err := b.keyOfNear(near); err != nil {
			return err
		}
	}
	for _, o := range q.Order {
		done, err := b.key(q, o)
		if err != nil {
			return err
		}
		if done {
			return nil
		}
	}
	id, _ := b.layout.Column("objectId")
	b.text(b.layout.Dialect.Ordered(id))
	b.sql = b.layout.Dialect.AppendOrder(b.sql, id, false)
	return nil
}

// keyOfNear orders by a place that stands inside an Object.
func (b *builder) keyOfNear(near *query.Constraint) error {
	field, _, _ := strings.Cut(near.Key, ".")
	column, ok := b.layout.Column(field)
	if !ok {
		return nil
	}
	b.keyFunction(&Key{Column: column, Score: near})
	b.text(", ")
	return nil
}

// keyFunction appends a sort key that the adapter computes.
func (b *builder) keyFunction(k *Key) {
	if !b.layout.Dialect.Asks() {
		b.sort = true
		return
	}
	b.sql = b.layout.Dialect.AppendKey(b.sql, k.Column, b.argument(k))
}

// key appends one sort key with a comma after it; done says that it was objectId, behind which nothing counts.
func (b *builder) key(q *query.Find, o query.Order) (done bool, err error) {
	if o.Key == query.ScoreKey {
		return false, b.score(q)
	}
	field, _, dotted := strings.Cut(o.Key, ".")
	column, ok := b.layout.Column(field)
	if !ok {
		if extra := b.layout.Extra(); extra != nil && dotted {
			column, ok = extra, true
		}
	}
	switch {
	case !ok: // equal for all objects
		return false, nil
	case !dotted && (isScalar(column.Type) || column.Type == schema.File):
		b.text(b.layout.Dialect.Ordered(column))
	default:
		b.keyFunction(&Key{Column: column, Order: o})
	}
	b.sql = b.layout.Dialect.AppendOrder(b.sql, column, o.Descending)
	if o.Key == "objectId" {
		return true, nil
	}
	b.text(", ")
	return false, nil
}

// score orders by the sum of the ranks of the $text searches of a query, the best first.
func (b *builder) score(q *query.Find) error {
	var searches []*query.Constraint
	query.Walk(q.Where, func(n query.Node) bool {
		if _, ok := n.(query.Nor); ok {
			return false
		}
		if c, ok := n.(*query.Constraint); ok && c.Op == query.Search {
			searches = append(searches, c)
		}
		return true
	})
	found := false
	for _, c := range searches {
		field, _, _ := strings.Cut(c.Key, ".")
		column, ok := b.layout.Column(field)
		if !ok {
			continue
		}
		if found {
			b.text(" + ")
		}
		found = true
		b.keyFunction(&Key{Column: column, Order: query.Order{Key: query.ScoreKey}, Score: c})
	}
	if found {
		b.sql = b.layout.Dialect.AppendOrder(b.sql, nil, true)
		b.text(", ")
	}
	return nil
}
