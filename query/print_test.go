package query

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-backend/parley/parse"
)

var sameMaps = cmp.Comparer(func(a, b *parse.Map) bool { return a.Equal(b) })

// drawValue draws a value that can stand in a query.
func drawValue(t *rapid.T, depth int) any {
	kinds := 9
	if depth > 0 {
		kinds = 11
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		f := rapid.Float64().Draw(t, "number")
		if math.IsInf(f, 0) || math.IsNaN(f) {
			return 0.0
		}
		return f + 0
	case 3:
		return rapid.StringMatching(`[ -~é😀]{0,6}`).Draw(t, "string")
	case 4:
		return parse.Date(rapid.Int64Range(0, 4e12).Draw(t, "date"))
	case 5:
		return parse.Pointer{ClassName: "Other", ObjectID: rapid.StringMatching(`[a-z]{1,4}`).Draw(t, "id")}
	case 6:
		return drawPoint(t)
	case 7:
		return parse.Bytes(rapid.StringMatching(`[a-z]{1,5}`).Draw(t, "bytes"))
	case 8:
		return parse.File{Name: rapid.StringMatching(`[a-z]{1,5}`).Draw(t, "file")}
	case 9:
		list := make([]any, rapid.IntRange(0, 3).Draw(t, "length"))
		for i := range list {
			list[i] = drawValue(t, depth-1)
		}
		return list
	}
	m := parse.NewMap()
	for range rapid.IntRange(0, 3).Draw(t, "members") {
		m.Set(rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "name"), drawValue(t, depth-1))
	}
	return m
}

func drawPoint(t *rapid.T) parse.GeoPoint {
	return parse.GeoPoint{
		Latitude:  rapid.Float64Range(-90, 90).Draw(t, "lat") + 0,
		Longitude: rapid.Float64Range(-180, 180).Draw(t, "lng") + 0,
	}
}

// drawNode draws a tree in the form in which ParseWhere builds it.
func drawNode(t *rapid.T, depth int) Node {
	key := rapid.SampledFrom([]string{"a", "b", "c.d", "e.0.f"}).Draw(t, "key")
	if depth > 0 {
		switch rapid.IntRange(0, 5).Draw(t, "node") {
		case 0:
			return AndOf(drawNodes(t, depth-1)...)
		case 1:
			return OrOf(drawNodes(t, depth-1)...)
		case 2:
			return Nor(drawNodes(t, depth-1))
		case 3:
			q := &SubQuery{Key: key, Negated: rapid.Bool().Draw(t, "negated")}
			if rapid.Bool().Draw(t, "select") {
				q.Select = "k"
			}
			q.Find = Find{ClassName: "Other", Where: drawNode(t, depth-1), Limit: -1}
			return q
		}
	}
	op := Operator(rapid.IntRange(int(Eq), int(StartsWith)).Draw(t, "op"))
	c := &Constraint{Key: key, Op: op, Arg: operands[op]}
	switch op {
	case Eq, Ne, Lt, Lte, Gt, Gte:
		c.Arg = drawValue(t, 2)
	case In, Nin, All, ContainedBy:
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "values") {
			v := drawValue(t, 1)
			if _, isArray := v.([]any); !isArray { // $in and $nin spread arrays
				list = append(list, v)
			}
		}
		c.Arg = list
	case StartsWith:
		c.Arg = rapid.StringMatching(`[a-z.$^ ]{0,5}`).Draw(t, "prefix")
	case WithinSphere:
		c.Arg = Sphere{drawPoint(t), rapid.Float64Range(0, 4).Draw(t, "radians")}
	case Intersects:
		c.Arg = drawPoint(t)
	}
	return c
}

func drawNodes(t *rapid.T, depth int) []Node {
	nodes := make([]Node, rapid.IntRange(1, 4).Draw(t, "nodes"))
	for i := range nodes {
		nodes[i] = drawNode(t, depth)
	}
	return nodes
}

// TestPrintIsReadBack is the property of Print: what it prints parses into the same tree.
func TestPrintIsReadBack(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := drawNode(r, 3)
		text := Print(n)
		m, err := parse.DecodeMap([]byte(text), parse.Limits{})
		if err != nil {
			r.Fatalf("DecodeMap(%s) = %v", text, err)
		}
		again, err := ParseWhere(m, Options{Privileged: true})
		if err != nil {
			r.Fatalf("ParseWhere(%s) = %v", text, err)
		}
		if diff := cmp.Diff(n, again, sameMaps); diff != "" {
			r.Fatalf("ParseWhere(%s) differs (-want +got):\n%s", text, diff)
		}
	})
}

// TestCompareIsAnOrder checks that Compare is antisymmetric and transitive, and that equal values compare as equal.
func TestCompareIsAnOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		a, b, c := drawValue(r, 2), drawValue(r, 2), drawValue(r, 2)
		if Compare(a, b) != -Compare(b, a) {
			r.Fatalf("Compare(%v, %v) = %d, Compare(%v, %v) = %d", a, b, Compare(a, b), b, a, Compare(b, a))
		}
		if Compare(a, b) <= 0 && Compare(b, c) <= 0 && Compare(a, c) > 0 {
			r.Fatalf("%v <= %v <= %v, but Compare = %d", a, b, c, Compare(a, c))
		}
		if parse.Equal(a, b) && Compare(a, b) != 0 {
			r.Fatalf("Compare(%v, %v) = %d, but they are equal", a, b, Compare(a, b))
		}
	})
}

func TestPrint(t *testing.T) {
	eq := func(key string, v any) *Constraint { return &Constraint{Key: key, Op: Eq, Arg: v} }
	gt := &Constraint{Key: "a", Op: Gt, Arg: 1.0}
	for _, c := range []struct {
		node Node
		want string
	}{
		{nil, `{}`},
		{And{}, `{}`},
		{Never(), `{"$or":[]}`},
		{eq("a", nil), `{"a":null}`},
		{eq("a", parse.NewMap("x", 1.0)), `{"a":{"$eq":{"x":1}}}`},
		{And{eq("a", 1.0), eq("b", "x")}, `{"a":1,"b":"x"}`},
		{And{eq("a", 1.0), gt}, `{"a":{"$eq":1,"$gt":1}}`},
		{And{gt, eq("b", 1.0), gt}, `{"$and":[{"a":{"$gt":1}},{"b":1},{"a":{"$gt":1}}]}`},
		{And{gt, gt}, `{"$and":[{"a":{"$gt":1}},{"a":{"$gt":1}}]}`},
		{And{eq("a", 1.0), Or{gt, gt}}, `{"a":1,"$or":[{"a":{"$gt":1}},{"a":{"$gt":1}}]}`},
		{And{Or{gt, gt}, Or{gt, gt}}, `{"$and":[{"$or":[{"a":{"$gt":1}},{"a":{"$gt":1}}]},{"$or":[{"a":{"$gt":1}},{"a":{"$gt":1}}]}]}`},
		{&Constraint{Key: "s", Op: StartsWith, Arg: "a.b"}, `{"s":{"$regex":"^\\Qa.b\\E"}}`},
		{&RelatedTo{parse.Pointer{ClassName: "Post", ObjectID: "p"}, "likes"},
			`{"$relatedTo":{"object":{"__type":"Pointer","className":"Post","objectId":"p"},"key":"likes"}}`},
		{&SubQuery{Key: "p", Find: Find{ClassName: "C", Where: gt}}, `{"p":{"$inQuery":{"className":"C","where":{"a":{"$gt":1}}}}}`},
		{&SubQuery{Key: "p", Negated: true, Select: "k", Find: Find{ClassName: "C"}},
			`{"p":{"$dontSelect":{"query":{"className":"C","where":{}},"key":"k"}}}`},
	} {
		if got := Print(c.node); got != c.want {
			t.Errorf("Print(%#v) = %s, want %s", c.node, got, c.want)
		}
	}
}
