package sqlite

import (
	"math"
	"strings"

	"zombiezen.com/go/sqlite"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// register makes the functions known that the text of package sqlgen calls. What they mean is said in package query.
func (c *conn) register() error {
	functions := map[string]*sqlite.FunctionImpl{
		sqlgen.TestFunction:     {NArgs: -1, Scalar: c.test},
		sqlgen.KeyFunction:      {NArgs: -1, Scalar: c.key},
		sqlgen.DistanceFunction: {NArgs: 4, Deterministic: true, Scalar: distance},
		sqlgen.FoldFunction:     {NArgs: 1, Deterministic: true, AllowIndirect: true, Scalar: fold},
	}
	for name, f := range functions {
		if err := c.sql.CreateFunction(name, f); err != nil {
			return err
		}
	}
	return c.sql.SetCollation(sqlgen.KeyCollation, compareKeys)
}

// test is a condition that Go decides for one column.
type test struct {
	column  *sqlgen.Column
	matcher *query.Matcher
	// object is what the matcher sees: the one field, set anew for each row.
	object *parse.Object
}

func newTest(t *sqlgen.Test) (*test, error) {
	m, err := query.Compile(t.Where)
	if err != nil {
		return nil, err
	}
	return &test{column: t.Column, matcher: m, object: parse.NewObject("")}, nil
}

func (c *conn) test(_ sqlite.Context, args []sqlite.Value) (sqlite.Value, error) {
	if c.failed != nil {
		return sqlite.Value{}, nil // nobody reads the rest
	}
	t := c.tests[args[0].Int64()]
	object, err := c.subject(t.object, t.column, args[1:])
	if err != nil {
		return c.fail(err)
	}
	ok, err := t.matcher.Match(object)
	if err != nil {
		return c.fail(err)
	}
	if ok {
		return sqlite.IntegerValue(1), nil
	}
	return sqlite.IntegerValue(0), nil
}

// subject returns an object that has the field, or all fields, of a column.
func (c *conn) subject(o *parse.Object, column *sqlgen.Column, args []sqlite.Value) (*parse.Object, error) {
	if column.Field == "" {
		o = parse.NewObject("")
		return o, c.addExtra(o, []byte(args[0].Text()), nil)
	}
	v, err := c.argument(column, args)
	if err != nil {
		return nil, err
	}
	o.Set(column.Field, v)
	return o, nil
}

// fail keeps an error for whoever runs the statement, which ends it, see [conn.run]. The function itself yields NULL: an error that it
// returned would not end the statement, and its text would be the value, a true one when it begins with a number.
func (c *conn) fail(err error) (sqlite.Value, error) {
	if c.failed == nil {
		c.failed = err
	}
	return sqlite.Value{}, nil
}

// key is a sort key that Go computes.
type key struct {
	column *sqlgen.Column
	order  query.Order
	score  func(*parse.Object) float64
	near   *query.Constraint
	object *parse.Object
}

func newKey(k *sqlgen.Key) *key {
	made := &key{column: k.Column, order: k.Order, object: parse.NewObject("")}
	switch {
	case k.Score == nil:
	case k.Score.Op == query.Near:
		made.near = k.Score
	default:
		made.score = query.NewScorer(k.Score)
	}
	return made
}

// key returns NULL for what stands before everything (an empty Array) and else the JSON of the value; a number for a score.
func (c *conn) key(_ sqlite.Context, args []sqlite.Value) (sqlite.Value, error) {
	if c.failed != nil {
		return sqlite.Value{}, nil
	}
	k := c.keys[args[0].Int64()]
	object, err := c.subject(k.object, k.column, args[1:])
	if err != nil {
		return c.fail(err)
	}
	if k.score != nil {
		return sqlite.FloatValue(k.score(object)), nil
	}
	if k.near != nil {
		return sqlite.FloatValue(nearest(object, k.near)), nil
	}
	v, ok := query.SortKey(object, k.order.Key, k.order.Descending)
	if !ok {
		return sqlite.Value{}, nil
	}
	c.buf = parse.AppendJSON(c.buf[:0], v)
	return sqlite.TextValue(string(c.buf)), nil
}

// nearest returns the distance of a $nearSphere whose field is no GeoPoint column but holds places: an Object or an Array.
func nearest(o *parse.Object, near *query.Constraint) float64 {
	at := near.Arg.(*query.NearSphere).Point
	v, _ := query.SortKey(o, near.Key, false)
	if list, ok := o.Get(near.Key).([]any); ok {
		best := math.Inf(1)
		for _, e := range list {
			if p, ok := e.(parse.GeoPoint); ok {
				best = min(best, query.Radians(at, p))
			}
		}
		return best
	}
	if p, ok := v.(parse.GeoPoint); ok {
		return query.Radians(at, p)
	}
	return math.Inf(1)
}

// compareKeys orders the texts of two keys.
func compareKeys(a, b string) int {
	if a == b {
		return 0
	}
	x, err := parse.Decode([]byte(a), values)
	if err != nil {
		return strings.Compare(a, b)
	}
	y, err := parse.Decode([]byte(b), values)
	if err != nil {
		return strings.Compare(a, b)
	}
	return query.Compare(x, y)
}

func distance(_ sqlite.Context, args []sqlite.Value) (sqlite.Value, error) {
	if args[0].Type() == sqlite.TypeNull {
		return sqlite.Value{}, nil
	}
	a := parse.GeoPoint{Latitude: args[0].Float(), Longitude: args[1].Float()}
	b := parse.GeoPoint{Latitude: args[2].Float(), Longitude: args[3].Float()}
	return sqlite.FloatValue(query.Radians(b, a)), nil
}

func fold(_ sqlite.Context, args []sqlite.Value) (sqlite.Value, error) {
	if args[0].Type() == sqlite.TypeNull {
		return sqlite.Value{}, nil
	}
	return sqlite.TextValue(strings.ToLower(args[0].Text())), nil
}

// argument reads the value of a column from the arguments of a function.
func (c *conn) argument(column *sqlgen.Column, args []sqlite.Value) (any, error) {
	v := &args[0]
	if v.Type() == sqlite.TypeNull {
		return nil, nil
	}
	switch column.Type {
	case schema.Number:
		return v.Float(), nil
	case schema.Boolean:
		return v.Int64() != 0, nil
	case schema.Date:
		return parse.Date(v.Int64()), nil
	case schema.Pointer:
		return parse.Pointer{ClassName: column.Target, ObjectID: v.Text()}, nil
	case schema.GeoPoint:
		return parse.GeoPoint{Latitude: v.Float(), Longitude: args[1].Float()}, nil
	case schema.File:
		return parse.File{Name: v.Text()}, nil
	case schema.Bytes:
		return parse.Bytes(v.Blob()), nil
	case schema.Object, schema.Array, schema.Polygon:
		return parse.Decode([]byte(v.Text()), values)
	}
	return v.Text(), nil
}
