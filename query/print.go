package query

import (
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// Print returns a tree as canonical JSON: a `where` that parses into the same tree (apart from an empty Or or And, which
// have no form on the wire), and the same text for the same tree however it was written. Use it as the key of a cache and to hand a query to a trigger. Sub-queries and relations
// are printed too.
func Print(n Node) string { return string(parse.Marshal(ToMap(n))) }

// ToMap is Print, as a JSON object.
func ToMap(n Node) *parse.Map {
	m := parse.NewMap()
	switch n := n.(type) {
	case nil:
	case And:
		// Constraints that stand on different keys share one object; everything else goes into a list.
		list := printList(n)
		if merged, ok := merge(list); ok {
			return merged
		}
		m.Set("$and", list)
	case Or:
		m.Set("$or", printList(n))
	case Nor:
		m.Set("$nor", printList(n))
	case *Constraint:
		m.Set(n.Key, printConstraint(n))
	case *SubQuery:
		m.Set(n.Key, printSubQuery(n))
	case *RelatedTo:
		m.Set("$relatedTo", parse.NewMap("object", n.Object, "key", n.Key))
	}
	return m
}

func printList(nodes []Node) []any {
	list := make([]any, len(nodes))
	for i, n := range nodes {
		list[i] = ToMap(n)
	}
	return list
}

// merge puts the printed nodes of an And into one object. It is not possible when that would lose their order or one
// of two members of the same name.
func merge(printed []any) (*parse.Map, bool) {
	merged := parse.NewMap()
	last := ""
	for _, p := range printed {
		node := p.(*parse.Map)
		if node.Len() == 0 {
			return nil, false
		}
		for key, value := range node.All() {
			if !merged.Has(key) {
				merged.Set(key, value)
				last = key
				continue
			}
			// A second operator on the key that was printed last joins the first, unless it has the same name.
			if key != last || strings.HasPrefix(key, "$") {
				return nil, false
			}
			into, ok := asOperators(merged.Get(key))
			more, isMore := asOperators(value)
			if !ok || !isMore || mergesByUnion(into) || mergesByUnion(more) {
				return nil, false
			}
			into = copyMap(into) // the list may be needed as it is
			for name, operand := range more.All() {
				if into.Has(name) {
					return nil, false
				}
				into.Set(name, operand)
			}
			merged.Set(key, into)
		}
	}
	return merged, true
}

// mergesByUnion tells whether operators would, beside others of their kind, mean something else than alone.
func mergesByUnion(operators *parse.Map) bool {
	return operators.Has("$in") || operators.Has("$inQuery") || operators.Has("$select")
}

// asOperators turns a printed constraint into its operators: a plain value into $eq.
func asOperators(v any) (*parse.Map, bool) {
	m, ok := v.(*parse.Map)
	if !ok {
		return parse.NewMap("$eq", v), true
	}
	for name := range m.All() {
		if !strings.HasPrefix(name, "$") {
			return nil, false
		}
	}
	return m, m.Len() > 0
}

func printConstraint(c *Constraint) any {
	if c.Op == Eq && (c.Plain || !isComposite(c.Arg)) {
		return c.Arg
	}
	m := parse.NewMap()
	if row := operatorOf(c.Op); row != nil {
		row.print(c.Arg, m)
	}
	return m
}

// isComposite tells whether a value needs its $eq: it would be refused where it stands alone.
func isComposite(v any) bool {
	switch v.(type) {
	case *parse.Map, []any, parse.ACL:
		return true
	}
	return false
}

// plain prints operands that are values, under the name of their operator.
func plain(name string) func(any, *parse.Map) {
	return func(arg any, into *parse.Map) { into.Set(name, arg) }
}

func printAll(arg any, into *parse.Map) {
	list, _ := arg.([]any)
	printed := slices.Clone(list)
	for i, v := range printed {
		if x, ok := v.(*Regex); ok {
			m := parse.NewMap()
			printRegex(x, m)
			printed[i] = m
		}
	}
	into.Set("$all", printed)
}

func printRegex(arg any, into *parse.Map) {
	x := arg.(*Regex)
	into.Set("$regex", x.Pattern)
	if x.Options != "" {
		into.Set("$options", x.Options)
	}
}

func printStartsWith(arg any, into *parse.Map) {
	into.Set("$regex", "^"+QuoteRegex(arg.(string)))
}

func printText(arg any, into *parse.Map) {
	t := arg.(*Text)
	search := parse.NewMap("$term", t.Term)
	if t.Language != "" {
		search.Set("$language", t.Language)
	}
	if t.CaseSensitive {
		search.Set("$caseSensitive", true)
	}
	if t.DiacriticSensitive {
		search.Set("$diacriticSensitive", true)
	}
	into.Set("$text", parse.NewMap("$search", search))
}

func printNear(arg any, into *parse.Map) {
	n := arg.(*NearSphere)
	into.Set("$nearSphere", n.Point)
	if n.MaxRadians >= 0 {
		into.Set("$maxDistance", n.MaxRadians)
	}
	if n.MinRadians > 0 {
		into.Set("$minDistance", n.MinRadians)
	}
}

func printBox(arg any, into *parse.Map) {
	b := arg.(Box)
	into.Set("$within", parse.NewMap("$box", []any{b.SouthWest, b.NorthEast}))
}

func printPolygon(arg any, into *parse.Map) {
	var points []any
	for _, p := range arg.(parse.Polygon) {
		points = append(points, p)
	}
	into.Set("$geoWithin", parse.NewMap("$polygon", points))
}

func printSphere(arg any, into *parse.Map) {
	s := arg.(Sphere)
	into.Set("$geoWithin", parse.NewMap("$centerSphere", []any{s.Center, s.Radians}))
}

func printIntersects(arg any, into *parse.Map) {
	into.Set("$geoIntersects", parse.NewMap("$point", arg))
}

func printSubQuery(q *SubQuery) *parse.Map {
	find := parse.NewMap("className", q.Find.ClassName, "where", ToMap(q.Find.Where))
	if q.Find.RedirectClassNameForKey != "" {
		find.Set("redirectClassNameForKey", q.Find.RedirectClassNameForKey)
	}
	switch {
	case q.Select == "" && q.Negated:
		return parse.NewMap("$notInQuery", find)
	case q.Select == "":
		return parse.NewMap("$inQuery", find)
	case q.Negated:
		return parse.NewMap("$dontSelect", parse.NewMap("query", find, "key", q.Select))
	}
	return parse.NewMap("$select", parse.NewMap("query", find, "key", q.Select))
}
