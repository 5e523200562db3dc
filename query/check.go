package query

import (
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

// Check fits a query to the class it runs on and returns it changed; f stays as it is. It is the last step before a
// database sees the query, apart from sub-queries and relations, which are not resolved here:
//
//   - an Object that stood alone as an operand is only for Array fields;
//   - operands get the type of their field where Parse Server does that: a text on a Pointer field is the id of an
//     object of the target class, a text on a Date field a date;
//   - sort keys that are no field of the class are left out;
//   - includeAll becomes the paths of all Pointer and Array fields, which then count against the limits, and are added
//     to Keys if there are any.
//
// The error is a *parse.Error: a geo operator on a field of another type (102), $relativeTime on a field that is no
// Date (107), an Object or Array where only a simple value can be compared (107), more includes than allowed (102).
func Check(f *Find, class *schema.Class, opts Options) (*Find, error) {
	checked := *f
	var err error
	if checked.Where, err = CheckWhere(f.Where, class); err != nil {
		return nil, err
	}
	checked.Order = nil
	for _, o := range f.Order {
		if _, known := class.Fields[Root(o.Key)]; known || o.Key == ScoreKey || strings.HasPrefix(o.Key, "_") {
			checked.Order = append(checked.Order, o)
		}
	}
	if f.IncludeAll {
		expandIncludeAll(&checked, class)
	}
	if err := checkInclude(checked.Include, opts.limits()); err != nil {
		return nil, err
	}
	return &checked, nil
}

func expandIncludeAll(f *Find, class *schema.Class) {
	f.IncludeAll = false
	f.Include = slices.Clone(f.Include)
	keys := slices.Clone(f.Keys)
	var names []string
	for name, field := range class.Fields {
		if field.Type == schema.Pointer || field.Type == schema.Array {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.ContainsFunc(f.Include, func(p Path) bool { return len(p) == 1 && p[0] == name }) {
			f.Include = append(f.Include, Path{name})
		}
		if !slices.Contains(keys, name) && !slices.Contains(f.ExcludeKeys, name) {
			keys = append(keys, name)
		}
	}
	slices.SortStableFunc(f.Include, func(a, b Path) int { return len(a) - len(b) })
	if f.Keys != nil {
		f.Keys = keys
	}
}

func checkInclude(include []Path, limits Limits) error {
	deepest := 0
	for _, p := range include {
		deepest = max(deepest, len(p))
	}
	if limits.IncludeDepth > 0 && deepest > limits.IncludeDepth {
		return invalidQuery("Include depth of %d exceeds maximum allowed depth of %d", deepest, limits.IncludeDepth)
	}
	if limits.IncludeCount > 0 && len(include) > limits.IncludeCount {
		return invalidQuery("Number of include fields (%d) exceeds maximum allowed (%d)", len(include), limits.IncludeCount)
	}
	return nil
}

// CheckWhere is the part of [Check] that concerns the tree.
func CheckWhere(n Node, class *schema.Class) (Node, error) {
	return Rewrite(n, func(n Node) (Node, error) {
		c, ok := n.(*Constraint)
		if !ok {
			return n, nil
		}
		return checkConstraint(c, class)
	})
}

// fieldOf is the type that an operator can only be used on.
var fieldOf = map[Operator]schema.Type{
	Near:          schema.GeoPoint,
	WithinBox:     schema.GeoPoint,
	WithinPolygon: schema.GeoPoint,
	WithinSphere:  schema.GeoPoint,
	Intersects:    schema.Polygon,
}

func checkConstraint(c *Constraint, class *schema.Class) (Node, error) {
	field, known := class.Fields[c.Key]
	if err := checkComposite(c, field); err != nil {
		return nil, err
	}
	if !known {
		return c, nil
	}
	if want, ok := fieldOf[c.Op]; ok && field.Type != want {
		return nil, invalidQuery("%s can only be used with %s field", c.Op, want)
	}
	if c.Relative && field.Type != schema.Date {
		return nil, invalidJSON("$relativeTime can only be used with Date field")
	}
	convert := converterOf(field)
	if convert == nil {
		return c, nil
	}
	switch c.Op {
	case Eq, Ne, Lt, Lte, Gt, Gte:
		fitted := *c
		fitted.Arg = convert(c.Arg)
		return &fitted, nil
	case In, Nin:
		list, ok := c.Arg.([]any)
		if !ok {
			return c, nil
		}
		fitted := *c
		values := make([]any, len(list))
		for i, v := range list {
			values[i] = convert(v)
		}
		fitted.Arg = values
		return &fitted, nil
	}
	return c, nil
}

// checkComposite refuses objects and arrays where Parse Server refuses them. Members of fields and Array fields take all.
func checkComposite(c *Constraint, field schema.Field) error {
	if field.Type == schema.Array || strings.Contains(c.Key, ".") {
		return nil
	}
	if c.Plain {
		return invalidJSON("You cannot use %s as a query parameter.", printed(c.Arg))
	}
	switch c.Op {
	case Lt, Lte, Gt, Gte:
		switch c.Arg.(type) {
		case *parse.Map, []any:
			return invalidJSON("bad atom: %s", parse.Marshal(c.Arg))
		}
	}
	return nil
}

// converterOf returns what makes the operands of a field fit; nil when they are used as they are.
func converterOf(field schema.Field) func(any) any {
	switch field.Type {
	case schema.Pointer:
		return func(v any) any {
			if id, ok := v.(string); ok {
				return parse.Pointer{ClassName: field.TargetClass, ObjectID: id}
			}
			return v
		}
	case schema.Date:
		return func(v any) any {
			if s, ok := v.(string); ok {
				if d, ok := parse.ParseDate(s); ok {
					return d
				}
			}
			return v
		}
	}
	return nil
}
