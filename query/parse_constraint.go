package query

import (
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// constraintReader reads the operators that stand on one key.
type constraintReader struct {
	*parser
	key       string
	operators *parse.Map
	depth     int
	nodes     []Node
	// union are $in and the sub-queries beside it: Parse Server merges their values, so that one of them is enough.
	union []Node
}

// constraintParser reads the operand of one operator and adds what it means.
type constraintParser func(c *constraintReader, name string, arg any) error

// constraintParsers are the operators by their names on the wire (contract parse-api.md, 3.2).
var constraintParsers = map[string]constraintParser{
	"$eq":            parseValue(Eq),
	"$ne":            parseValue(Ne),
	"$lt":            parseRange(Lt),
	"$lte":           parseRange(Lte),
	"$gt":            parseRange(Gt),
	"$gte":           parseRange(Gte),
	"$in":            parseList(In),
	"$nin":           parseList(Nin),
	"$exists":        parseExists,
	"$all":           parseAll,
	"$containedBy":   parseContainedBy,
	"$regex":         parseRegex,
	"$options":       beside("$regex"),
	"$text":          parseText,
	"$nearSphere":    parseNear,
	"$within":        parseBox,
	"$geoWithin":     parseGeoWithin,
	"$geoIntersects": parseIntersects,
	"$inQuery":       parseSubQuery(false),
	"$notInQuery":    parseSubQuery(true),
	"$select":        parseSelect(false),
	"$dontSelect":    parseSelect(true),

	"$maxDistance":             beside("$nearSphere"),
	"$maxDistanceInRadians":    beside("$nearSphere"),
	"$maxDistanceInMiles":      beside("$nearSphere"),
	"$maxDistanceInKilometers": beside("$nearSphere"),
	"$minDistance":             beside("$nearSphere"),
	"$minDistanceInRadians":    beside("$nearSphere"),
	"$minDistanceInMiles":      beside("$nearSphere"),
	"$minDistanceInKilometers": beside("$nearSphere"),
}

func (c *constraintReader) read() (Node, error) {
	for name, arg := range c.operators.All() {
		read := c.constraints[name]
		if read == nil {
			return nil, invalidJSON("bad constraint: %s", name)
		}
		if err := read(c, name, arg); err != nil {
			return nil, err
		}
	}
	if len(c.union) > 0 {
		c.nodes = append(c.nodes, OrOf(c.union...))
	}
	return AndOf(c.nodes...), nil
}

func (c *constraintReader) add(op Operator, arg any) {
	c.nodes = append(c.nodes, &Constraint{Key: c.key, Op: op, Arg: arg})
}

// atom reads a value that an operator compares with.
func (c *constraintReader) atom(v any) (any, error) {
	if m, ok := v.(*parse.Map); ok && parse.Truthy(m.Get("$relativeTime")) {
		return nil, invalidJSON("$relativeTime can only be used with the $lt, $lte, $gt, and $gte operators")
	}
	return operand(v)
}

func parseValue(op Operator) constraintParser {
	return func(c *constraintReader, _ string, arg any) error {
		v, err := c.atom(arg)
		if err != nil {
			return err
		}
		c.add(op, v)
		return nil
	}
}

func parseRange(op Operator) constraintParser {
	return func(c *constraintReader, _ string, arg any) error {
		m, ok := arg.(*parse.Map)
		if !ok || !parse.Truthy(m.Get("$relativeTime")) {
			v, err := c.atom(arg)
			if err != nil {
				return err
			}
			c.add(op, v)
			return nil
		}
		text, ok := m.Get("$relativeTime").(string)
		if !ok {
			return invalidJSON("bad $relativeTime (%s) value. Time should be a string", printed(m.Get("$relativeTime")))
		}
		date, problem := relativeTime(text, c.now)
		if problem != "" {
			return invalidJSON("bad $relativeTime (%s) value. %s", text, problem)
		}
		c.nodes = append(c.nodes, &Constraint{Key: c.key, Op: op, Arg: date, Relative: true})
		return nil
	}
}

// parseList reads $in and $nin. An array among the values counts as its elements, as in Parse Server.
func parseList(op Operator) constraintParser {
	return func(c *constraintReader, name string, arg any) error {
		list, ok := arg.([]any)
		if !ok {
			return invalidJSON("bad %s value", name)
		}
		values := make([]any, 0, len(list))
		for _, v := range list {
			w, err := c.atom(v)
			if err != nil {
				return err
			}
			if inner, ok := w.([]any); ok {
				values = append(values, inner...)
			} else {
				values = append(values, w)
			}
		}
		if op == In {
			c.union = append(c.union, &Constraint{Key: c.key, Op: In, Arg: values})
		} else {
			c.add(op, values)
		}
		return nil
	}
}

// parseExists takes any operand for the truth that JavaScript sees in it.
func parseExists(c *constraintReader, _ string, arg any) error {
	if _, err := c.atom(arg); err != nil {
		return err
	}
	c.add(Exists, parse.Truthy(arg))
	return nil
}

func parseAll(c *constraintReader, name string, arg any) error {
	list, ok := arg.([]any)
	if !ok {
		return invalidJSON("bad %s value", name)
	}
	values := make([]any, len(list))
	regexes := 0
	for i, v := range list {
		if m, ok := v.(*parse.Map); ok && m.Has("$regex") {
			x, err := c.regex(m)
			if err != nil {
				return err
			}
			values[i] = x
			regexes++
			continue
		}
		w, err := c.atom(v)
		if err != nil {
			return err
		}
		values[i] = w
	}
	if regexes > 0 && regexes < len(values) {
		texts := make([]string, len(list))
		for i, v := range values {
			if x, ok := v.(*Regex); ok {
				texts[i] = "/" + x.Pattern + "/"
			} else {
				texts[i] = printed(v)
			}
		}
		return invalidJSON("All $all values must be of regex type or none: %s", strings.Join(texts, ","))
	}
	c.add(All, values)
	return nil
}

func parseContainedBy(c *constraintReader, _ string, arg any) error {
	list, ok := arg.([]any)
	if !ok {
		return invalidJSON("bad $containedBy: should be an array")
	}
	v, err := operand(list)
	if err != nil {
		return err
	}
	c.add(ContainedBy, v)
	return nil
}

func parseRegex(c *constraintReader, _ string, _ any) error {
	x, err := c.regex(c.operators)
	if err != nil {
		return err
	}
	if prefix, ok := literalPrefix(x); ok {
		c.add(StartsWith, prefix)
		return nil
	}
	c.add(Match, x)
	return nil
}

// regex reads $regex and $options, and compiles them, so that a bad pattern is told to the client at once.
func (c *constraintReader) regex(m *parse.Map) (*Regex, error) {
	if c.limits.DenyRegex {
		return nil, invalidQuery("$regex operator is not allowed")
	}
	pattern, ok := m.Get("$regex").(string)
	if !ok {
		return nil, invalidQuery("$regex value must be a string")
	}
	x := &Regex{Pattern: pattern}
	if arg, ok := m.Lookup("$options"); ok {
		options, ok := arg.(string)
		if !ok {
			return nil, invalidQuery("$options value must be a string")
		}
		if options == "" || strings.Trim(options, "imsxu") != "" {
			return nil, invalidQuery("Bad $options value for query: %s", options)
		}
		letters := []byte(options)
		slices.Sort(letters)
		x.Options = string(slices.Compact(letters))
	}
	compiled, err := x.Compile()
	if err != nil {
		return nil, err
	}
	if c.programs += max(compiled.size, minProgram); c.programs > maxPrograms {
		return nil, invalidQuery("The regular expressions of the query are too large.")
	}
	return x, nil
}

// literalPrefix recognises what the SDKs send for startsWith: ^\Q…\E.
func literalPrefix(x *Regex) (string, bool) {
	rest, ok := strings.CutPrefix(x.Pattern, `^\Q`)
	if !ok || x.Options != "" {
		return "", false
	}
	literal, ok := strings.CutSuffix(rest, `\E`)
	return literal, ok && !strings.Contains(literal, `\E`)
}

// beside is the parser of a member that belongs to another operator, which reads it; alone it is a mistake.
func beside(other string) constraintParser {
	return func(c *constraintReader, name string, _ any) error {
		if !c.operators.Has(other) {
			return invalidQuery("bad constraint: %s without %s", name, other)
		}
		return nil
	}
}

func parseText(c *constraintReader, _ string, arg any) error {
	m, _ := arg.(*parse.Map)
	search, ok := m.Get("$search").(*parse.Map)
	if !ok {
		return invalidJSON("bad $text: $search, should be object")
	}
	t := &Text{Term: search.String("$term")}
	if t.Term == "" {
		return invalidJSON("bad $text: $term, should be string")
	}
	if v := search.Get("$language"); parse.Truthy(v) {
		if t.Language, ok = v.(string); !ok {
			return invalidJSON("bad $text: $language, should be string")
		}
	}
	if v := search.Get("$caseSensitive"); parse.Truthy(v) {
		if t.CaseSensitive, ok = v.(bool); !ok {
			return invalidJSON("bad $text: $caseSensitive, should be boolean")
		}
	}
	if v := search.Get("$diacriticSensitive"); parse.Truthy(v) {
		if t.DiacriticSensitive, ok = v.(bool); !ok {
			return invalidJSON("bad $text: $diacriticSensitive, should be boolean")
		}
	}
	c.add(Search, t)
	return nil
}

// parseSubQuery reads $inQuery and $notInQuery.
func parseSubQuery(negated bool) constraintParser {
	return func(c *constraintReader, name string, arg any) error {
		m, _ := arg.(*parse.Map)
		if m.String("className") == "" || !parse.Truthy(m.Get("where")) {
			return invalidQuery("improper usage of %s", name)
		}
		return c.subQuery(&SubQuery{Key: c.key, Negated: negated}, m, name)
	}
}

// parseSelect reads $select and $dontSelect.
func parseSelect(negated bool) constraintParser {
	return func(c *constraintReader, name string, arg any) error {
		m, _ := arg.(*parse.Map)
		query, _ := m.Get("query").(*parse.Map)
		key := m.String("key")
		if query.String("className") == "" || key == "" || m.Len() != 2 {
			return invalidQuery("improper usage of %s", name)
		}
		if !validKey(key) {
			return parse.Errorf(parse.InvalidKeyName, "Invalid key name: %s", key)
		}
		return c.subQuery(&SubQuery{Key: c.key, Negated: negated, Select: key}, query, name)
	}
}

// subQuery reads className, where and redirectClassNameForKey of a sub-query; whatever else stands there is of no
// effect in Parse Server either.
func (c *constraintReader) subQuery(q *SubQuery, m *parse.Map, name string) error {
	c.subqueries++
	defer func() { c.subqueries-- }()
	if max := c.limits.SubqueryDepth; max > 0 && c.subqueries > max {
		return invalidQuery("Subquery nesting depth exceeds maximum allowed depth of %d", max)
	}
	inner, ok := m.Get("where").(*parse.Map)
	if !ok && m.Get("where") != nil {
		return invalidQuery("improper usage of %s", name)
	}
	where, err := c.where(inner, c.depth+1)
	if err != nil {
		return err
	}
	q.Find = Find{
		ClassName:               m.String("className"),
		Where:                   where,
		Limit:                   -1,
		RedirectClassNameForKey: m.String("redirectClassNameForKey"),
	}
	if c.limits.SubqueryLimit > 0 {
		q.Find.Limit = c.limits.SubqueryLimit
	}
	if q.Negated {
		c.nodes = append(c.nodes, q)
	} else {
		c.union = append(c.union, q)
	}
	return nil
}
