package storagetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Small pools of values, so that random constraints meet random objects.
var (
	numbers  = rapid.SampledFrom([]any{0.0, 1.0, 2.0, -1.5, 0.1, 1e300, 9007199254740991.0})
	texts    = rapid.SampledFrom([]any{"", "a", "ab", "abc", "B", "Ä", "a\"b", "a.b", "zz\U0010FFFF", "the quick fox", "[1]"})
	dates    = rapid.SampledFrom([]any{parse.Date(0), parse.Date(1700000000000), parse.Date(-5)})
	places   = rapid.SampledFrom([]any{parse.GeoPoint{}, parse.GeoPoint{Latitude: 10, Longitude: 20}, parse.GeoPoint{Latitude: -80, Longitude: 179.5}, parse.GeoPoint{Latitude: 89, Longitude: -179.5}, parse.GeoPoint{Latitude: 10.01, Longitude: 20.01}})
	pointers = rapid.SampledFrom([]any{parse.Pointer{ClassName: "_User", ObjectID: "u1"}, parse.Pointer{ClassName: "_User", ObjectID: "u2"}, parse.Pointer{ClassName: "Other", ObjectID: "u1"}})
	polygons = rapid.SampledFrom([]any{
		parse.Polygon{{Latitude: 0, Longitude: 0}, {Latitude: 0, Longitude: 30}, {Latitude: 30, Longitude: 30}, {Latitude: 0, Longitude: 0}},
		parse.Polygon{{Latitude: -90, Longitude: -180}, {Latitude: -90, Longitude: 180}, {Latitude: 90, Longitude: 180}, {Latitude: 90, Longitude: -180}, {Latitude: -90, Longitude: -180}},
	})
	files = rapid.SampledFrom([]any{parse.File{Name: "a.png"}, parse.File{Name: "b.png"}})
	blobs = rapid.SampledFrom([]any{parse.Bytes{}, parse.Bytes{1}, parse.Bytes{0, 2}, parse.Bytes{255}})
	bools = rapid.SampledFrom([]any{true, false})
)

func scalars() *rapid.Generator[any] {
	return rapid.OneOf(numbers, texts, dates, places, pointers, files, blobs, bools, rapid.Just[any](nil))
}

func nested(depth int) *rapid.Generator[any] {
	if depth == 0 {
		return scalars()
	}
	return rapid.OneOf(scalars(), someLists(depth-1), someMaps(depth-1))
}

func someLists(depth int) *rapid.Generator[any] {
	return rapid.Map(rapid.SliceOfN(nested(depth), 0, 3), func(l []any) any { return append([]any{}, l...) })
}

func someMaps(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		m := parse.NewMap()
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "0", "id"}), 0, 3, rapid.ID[string]).Draw(t, "names") {
			m.Set(name, nested(depth).Draw(t, name))
		}
		return m
	})
}

// ofField returns values that a field of gameScore can have.
var ofField = map[string]*rapid.Generator[any]{
	"score": numbers, "player": texts, "cheat": bools, "playedAt": dates, "tags": someLists(2), "info": someMaps(2),
	"place": places, "area": polygons, "photo": files, "data": blobs,
	"owner": rapid.SampledFrom([]any{parse.Pointer{ClassName: "_User", ObjectID: "u1"}, parse.Pointer{ClassName: "_User", ObjectID: "u2"}}),
}

func randomObject(t *rapid.T, id string) *parse.Object {
	o := parse.NewObject("GameScore", "objectId", id, "createdAt", parse.Date(1), "updatedAt", parse.Date(2))
	for _, name := range slices.Sorted(keysOf(ofField)) {
		switch rapid.IntRange(0, 5).Draw(t, name+"?") {
		case 0:
		case 1:
			o.Set(name, nil)
		default:
			o.Set(name, ofField[name].Draw(t, name))
		}
	}
	return o
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

var fieldKeys = []string{"objectId", "createdAt", "score", "player", "cheat", "playedAt", "tags", "info", "place", "area", "photo", "data", "owner",
	"info.a", "info.a.b", "info.0", "tags.0", "tags.a", "tags.1.b", "info.b.0", "missing", "missing.a", "owner.objectId", "place.latitude"}

func randomConstraint(t *rapid.T) query.Node {
	c := &query.Constraint{Key: rapid.SampledFrom(fieldKeys).Draw(t, "key")}
	c.Op = rapid.SampledFrom([]query.Operator{
		query.Eq, query.Ne, query.Lt, query.Lte, query.Gt, query.Gte, query.In, query.Nin, query.Exists, query.All, query.ContainedBy,
		query.Match, query.Search, query.Near, query.WithinBox, query.WithinPolygon, query.WithinSphere, query.Intersects, query.StartsWith,
	}).Draw(t, "op")
	value := nested(1)
	if g := ofField[c.Key]; g != nil && rapid.Bool().Draw(t, "typed") {
		value = g
	}
	switch c.Op {
	case query.Eq, query.Ne, query.Lt, query.Lte, query.Gt, query.Gte:
		c.Arg = value.Draw(t, "arg")
	case query.In, query.Nin, query.ContainedBy, query.All:
		c.Arg = append([]any{}, rapid.SliceOfN(value, 0, 3).Draw(t, "args")...)
	case query.Exists:
		c.Arg = rapid.Bool().Draw(t, "exists")
	case query.Match:
		c.Arg = &query.Regex{
			Pattern: rapid.SampledFrom([]string{"^a", "^ab", "b", "^\\Qa.b\\E", "^\\Qa\\Eb*", "^a|B", "^ab?", "^ä", "(?i)^B", "^\\Qzz\\E", "^zz", "a$", "^ab{0}"}).Draw(t, "pattern"),
			Options: rapid.SampledFrom([]string{"", "i", "s", "m", "x"}).Draw(t, "options"),
		}
	case query.Search:
		c.Arg = &query.Text{Term: rapid.SampledFrom([]string{"fox", "quick fox", "ab", "-fox abc"}).Draw(t, "term")}
	case query.Near:
		c.Arg = &query.NearSphere{Point: places.Draw(t, "point").(parse.GeoPoint), MaxRadians: rapid.SampledFrom([]float64{-1, 0, 0.01, 1, 4}).Draw(t, "max"), MinRadians: rapid.SampledFrom([]float64{0, 0, 0.5}).Draw(t, "min")}
	case query.WithinBox:
		c.Arg = query.Box{SouthWest: places.Draw(t, "sw").(parse.GeoPoint), NorthEast: places.Draw(t, "ne").(parse.GeoPoint)}
	case query.WithinPolygon:
		c.Arg = polygons.Draw(t, "polygon").(parse.Polygon)
	case query.WithinSphere:
		c.Arg = query.Sphere{Center: places.Draw(t, "center").(parse.GeoPoint), Radians: rapid.SampledFrom([]float64{0, 0.001, 0.5, 3, 4}).Draw(t, "radians")}
	case query.Intersects:
		c.Arg = places.Draw(t, "point").(parse.GeoPoint)
	case query.StartsWith:
		c.Arg = texts.Draw(t, "prefix").(string)
	}
	return c
}

func randomWhere(t *rapid.T, depth int) query.Node {
	kind := rapid.IntRange(0, 6).Draw(t, "node")
	if depth == 0 || kind > 2 {
		return randomConstraint(t)
	}
	nodes := make([]query.Node, rapid.IntRange(0, 3).Draw(t, "children"))
	for i := range nodes {
		nodes[i] = randomWhere(t, depth-1)
	}
	switch kind {
	case 0:
		return query.And(nodes)
	case 1:
		return query.Or(nodes)
	}
	return query.Nor(nodes)
}

// SameAsMatch compares what a database finds, and in which order, with what package query does, on random objects and queries.
func SameAsMatch(t *testing.T, db storage.Adapter) {
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		n++
		class := gameScore(fmt.Sprintf("GameScore%d", n))
		if err := db.SaveClass(ctx, class); err != nil {
			t.Fatal(err)
		}
		var objects []*parse.Object
		for i := range rapid.IntRange(1, 12).Draw(t, "objects") {
			o := randomObject(t, fmt.Sprintf("o%02d", i))
			o.ClassName = class.Name
			objects = append(objects, o)
		}
		if err := db.Create(ctx, class, objects...); err != nil {
			t.Fatal(err)
		}
		// As they are stored: not every database tells null from missing.
		objects, err := collect(ctx, db, class, &query.Find{Limit: -1})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			compare(ctx, t, db, class, objects)
		}
		if err := db.DropClass(ctx, class.Name); err != nil {
			t.Fatal(err)
		}
	})
}

// compare asks one random query.
func compare(ctx context.Context, t *rapid.T, db storage.Adapter, class *schema.Class, objects []*parse.Object) {
	q := &query.Find{Where: randomWhere(t, 2), Limit: rapid.SampledFrom([]int{-1, -1, 3}).Draw(t, "limit"), Skip: rapid.SampledFrom([]int{0, 0, 1}).Draw(t, "skip")}
	for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom(append(fieldKeys, query.ScoreKey)), 0, 2, rapid.ID[string]).Draw(t, "order") {
		q.Order = append(q.Order, query.Order{Key: key, Descending: rapid.Bool().Draw(t, "descending")})
	}
	want, err := Reference(objects, q)
	if err != nil {
		t.Fatal(err)
	}
	found, err := collect(ctx, db, class, q)
	if err != nil {
		t.Fatalf("Find(%s): %v", query.Print(q.Where), err)
	}
	var got []string
	for _, o := range found {
		got = append(got, o.ID())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		for _, o := range objects {
			t.Logf("%s", parse.AppendObject(nil, o))
		}
		plan := ""
		if e, ok := db.(storage.Explainer); ok {
			v, _ := e.Explain(ctx, class, q)
			plan = string(parse.Marshal(v))
		}
		t.Fatalf("Find(%s order %v skip %d limit %d) = %v, want %v\n%s", query.Print(q.Where), q.Order, q.Skip, q.Limit, got, want, plan)
	}
	n, err := db.Count(ctx, class, q.Where)
	if err != nil || q.Limit < 0 && q.Skip == 0 && n != int64(len(want)) {
		t.Fatalf("Count(%s) = %d, %v, want %d", query.Print(q.Where), n, err, len(want))
	}
}

// gameScore is a class with a field of each type.
func gameScore(name string) *schema.Class {
	c := schema.New(name)
	for name, f := range map[string]schema.Field{
		"score":    {Type: schema.Number},
		"player":   {Type: schema.String},
		"cheat":    {Type: schema.Boolean},
		"playedAt": {Type: schema.Date},
		"tags":     {Type: schema.Array},
		"info":     {Type: schema.Object},
		"place":    {Type: schema.GeoPoint},
		"area":     {Type: schema.Polygon},
		"photo":    {Type: schema.File},
		"data":     {Type: schema.Bytes},
		"owner":    {Type: schema.Pointer, TargetClass: "_User"},
	} {
		c.Fields[name] = f
	}
	c.Indexes = map[string]schema.Index{"byScore": {{Field: "score", Kind: "-1"}}}
	return c
}

// Reference returns the ids of the objects that a query finds, by package query alone.
func Reference(objects []*parse.Object, q *query.Find) ([]string, error) {
	m, err := query.Compile(q.Where)
	if err != nil {
		return nil, err
	}
	var found []*parse.Object
	for _, o := range objects {
		ok, err := m.Match(o)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, o)
		}
	}
	if err := query.Sort(found, q); err != nil {
		return nil, err
	}
	found = found[min(q.Skip, len(found)):]
	if q.Limit >= 0 {
		found = found[:min(q.Limit, len(found))]
	}
	var ids []string
	for _, o := range found {
		ids = append(ids, o.ID())
	}
	return ids, nil
}
