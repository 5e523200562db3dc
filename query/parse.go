package query

import (
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// ParseWhere reads a `where` into a tree. A nil or empty map is the nil Node, which admits every object. The error is a
// *parse.Error with the code and text of Parse Server (contract parse-api.md, 3.2); where its two databases answer
// differently, that of MongoDB.
//
// An Array or Object as a whole is asked for with $eq. Alone, an Array is refused, and an Object means an element of an
// Array field, which [Check] sees to.
func ParseWhere(where *parse.Map, opts Options) (Node, error) {
	return newParser(opts).where(where, 0)
}

// parser is what the parsers of constraints need to know.
type parser struct {
	opts   Options
	limits Limits
	now    parse.Date
	// constraints is the table of parsers. It is a field because the parsers of sub-queries come back here.
	constraints map[string]constraintParser
	// subqueries is how many sub-queries stand around what is being read; logical how many $or, $and, $nor.
	subqueries, logical int
	// programs is the size of all regular expressions so far.
	programs int
}

func newParser(opts Options) *parser {
	return &parser{opts: opts, limits: opts.limits(), now: opts.now(), constraints: constraintParsers}
}

// where reads one object of constraints. depth counts every kind of nesting.
func (p *parser) where(where *parse.Map, depth int) (Node, error) {
	if depth > maxDepth {
		return nil, invalidQuery("Query condition nesting depth exceeds maximum allowed depth of %d", maxDepth)
	}
	if max := p.limits.QueryDepth; max > 0 && p.logical > max {
		return nil, invalidQuery("Query condition nesting depth exceeds maximum allowed depth of %d", max)
	}
	var nodes []Node
	for key, value := range where.All() {
		n, err := p.member(key, value, depth)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return AndOf(nodes...), nil
}

func (p *parser) member(key string, value any, depth int) (Node, error) {
	switch key {
	case "$or", "$and", "$nor":
		return p.list(key, value, depth)
	case "$relatedTo":
		return p.relatedTo(value)
	case "ACL":
		return nil, invalidQuery("Cannot query on ACL.")
	}
	if !p.validKey(key) {
		return nil, parse.Errorf(parse.InvalidKeyName, "Invalid key name: %s", key)
	}
	return p.constraint(key, value, depth)
}

// list reads $or, $and and $nor.
func (p *parser) list(key string, value any, depth int) (Node, error) {
	list, ok := value.([]any)
	switch {
	case !ok && !p.opts.Privileged:
		// Parse Server finds this while it looks for protected fields, and does not say why.
		return nil, parse.Denied(parse.InvalidQuery, "%s must be an array", key)
	case key == "$nor" && len(list) == 0:
		return nil, invalidQuery("Bad $nor format - use an array of at least 1 value.")
	case !ok:
		return nil, invalidQuery("Bad %s format - use an array value.", key)
	case len(list) == 0:
		return nil, invalidQuery("Bad %s format - use an array of at least 1 value.", key)
	}
	p.logical++
	defer func() { p.logical-- }()
	nodes := make([]Node, len(list))
	for i, v := range list {
		m, ok := v.(*parse.Map)
		if !ok {
			return nil, invalidQuery("Bad %s format - use an array value.", key)
		}
		n, err := p.where(m, depth+1)
		if err != nil {
			return nil, err
		}
		nodes[i] = n
	}
	switch key {
	case "$or":
		return OrOf(nodes...), nil
	case "$nor":
		if slices.Contains(nodes, nil) {
			return Never(), nil
		}
		return Nor(nodes), nil
	}
	return AndOf(nodes...), nil
}

func (p *parser) relatedTo(value any) (Node, error) {
	m, _ := value.(*parse.Map)
	owner := m.Get("object")
	if o, ok := owner.(*parse.Object); ok {
		owner = o.Pointer()
	}
	object, ok := owner.(parse.Pointer)
	if !ok {
		return nil, invalidQuery("improper usage of $relatedTo")
	}
	key := m.String("key")
	if !validKey(key) {
		return Never(), nil // a relation that no class can have
	}
	return &RelatedTo{Object: object, Key: key}, nil
}

// clientKeys and privilegedKeys are the internal fields that may stand in a query.
var (
	clientKeys     = []string{"_rperm", "_wperm"}
	privilegedKeys = []string{
		"_email_verify_token", "_email_verify_token_expires_at", "_perishable_token", "_perishable_token_expires_at",
		"_failed_login_count", "_account_lockout_expires_at", "_password_changed_at", "_password_history",
		"_tombstone", "_session_token",
	}
)

func (p *parser) validKey(key string) bool {
	return validKey(key) || slices.Contains(clientKeys, key) || p.opts.Privileged && slices.Contains(privilegedKeys, key)
}

// maxIndexes is how many members of a key may be numbers. Each of them can mean an element of an array or a member of
// its objects, so that a stored object could make every further one double the work.
const maxIndexes = 10

// validKey tells whether a key is a letter followed by letters, digits, underscores and dots.
func validKey(key string) bool {
	indexes := 0
	for i := 0; i < len(key); i++ {
		c := key[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case i > 0 && ('0' <= c && c <= '9' || c == '_' || c == '.'):
			if '0' <= c && c <= '9' && key[i-1] == '.' {
				indexes++
			}
		default:
			return false
		}
	}
	return key != "" && indexes <= maxIndexes
}

// constraint reads what stands on one key: a value, operators, or both, which means $eq and the operators.
func (p *parser) constraint(key string, value any, depth int) (Node, error) {
	m, ok := value.(*parse.Map)
	if !ok {
		_, isArray := value.([]any)
		v, err := operand(value)
		if err != nil || isArray && !strings.Contains(key, ".") {
			return nil, invalidJSON("You cannot use %s as a query parameter.", printed(value))
		}
		return &Constraint{Key: key, Op: Eq, Arg: v}, nil
	}
	operators, equality := parse.NewMap(), parse.NewMap()
	for name, v := range m.All() {
		if strings.HasPrefix(name, "$") {
			operators.Set(name, v)
		} else {
			equality.Set(name, v)
		}
	}
	if operators.Len() == 0 {
		v, err := operand(value)
		if err != nil {
			return nil, err
		}
		return &Constraint{Key: key, Op: Eq, Arg: v, Plain: m.Len() > 0}, nil
	}
	c := &constraintReader{parser: p, key: key, operators: operators, depth: depth}
	if equality.Len() > 0 {
		// An SDK that was told equalTo and then another condition writes the operators into the typed value.
		v, err := parse.Decode(parse.Marshal(equality), parse.Limits{Values: true})
		if err != nil {
			return nil, invalidJSON("You cannot use %s as a query parameter.", printed(value))
		}
		if v, err = operand(v); err != nil {
			return nil, err
		}
		_, isObject := v.(*parse.Map)
		c.nodes = append(c.nodes, &Constraint{Key: key, Op: Eq, Arg: v, Plain: isObject})
	}
	return c.read()
}

// operand checks a value that stands in a query: it must be one of the language, and no malformed typed value.
func operand(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, float64, string, parse.Date, parse.Pointer, parse.GeoPoint, parse.Polygon, parse.File, parse.Bytes:
		return v, nil
	case *parse.Object:
		// SDKs send an included object where they mean the pointer to it.
		return v.Pointer(), nil
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			w, err := operand(e)
			if err != nil {
				return nil, err
			}
			list[i] = w
		}
		return list, nil
	case *parse.Map:
		if name, bad := parse.Malformed(v); bad {
			return nil, parse.Errorf(parse.IncorrectType, "This is not a valid %s", name)
		}
		for name, e := range v.All() {
			if strings.HasPrefix(name, "$") {
				return nil, invalidJSON("bad atom: %s", parse.Marshal(v))
			}
			if _, err := operand(e); err != nil {
				return nil, err
			}
		}
		return v, nil
	}
	return nil, invalidJSON("bad atom: %s", parse.Marshal(v))
}

// printed is what JavaScript prints of a value inside a text.
func printed(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			if e != nil {
				parts[i] = printed(e)
			}
		}
		return strings.Join(parts, ",")
	case nil, bool, float64:
		return string(parse.Marshal(v))
	case parse.Date:
		return v.String()
	}
	return "[object Object]"
}
