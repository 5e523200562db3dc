package query

import (
	"math"
	"strings"
	"time"

	"github.com/parley-backend/parley/parse"
)

// Expr is an expression of a pipeline: a field, a literal, an operator or an object of expressions.
type Expr interface {
	// eval returns a value, or missing{}. The error is a *parse.Error of code 102.
	eval(doc *parse.Map) (any, error)
	// fields calls add with each field of the document that is looked at; "" stands for all of them.
	fields(add func(field string))
}

// missing is the value of a field that is not there, which is not the same as null.
type missing struct{}

func isMissing(v any) bool { _, ok := v.(missing); return ok }

// orNull turns a missing value into null.
func orNull(v any) any {
	if isMissing(v) {
		return nil
	}
	return v
}

// parseExpr reads an expression.
func parseExpr(v any, depth int) (Expr, error) {
	if depth > maxDepth {
		return nil, invalidQuery("The expression nests too deeply")
	}
	switch v := v.(type) {
	case string:
		switch {
		case strings.HasPrefix(v, "$$"):
			return parseVariable(v[2:])
		case v == "$":
			return nil, invalidQuery("'$' by itself is not a valid FieldPath")
		case strings.HasPrefix(v, "$"):
			return fieldExpr(strings.Split(fieldPath(v[1:]), ".")), nil
		}
		return literal{v}, nil
	case []any:
		list := make(listExpr, len(v))
		for i, e := range v {
			x, err := parseExpr(e, depth+1)
			if err != nil {
				return nil, err
			}
			list[i] = x
		}
		return list, nil
	case *parse.Map:
		return parseObjectExpr(v, depth)
	}
	return literal{v}, nil
}

// parseVariable reads what follows "$$".
func parseVariable(name string) (Expr, error) {
	name, path, dotted := strings.Cut(name, ".")
	switch name {
	case "ROOT", "CURRENT":
		if dotted {
			return fieldExpr(strings.Split(fieldPath(path), ".")), nil
		}
		return rootExpr{}, nil
	case "REMOVE":
		return literal{missing{}}, nil
	case "NOW":
		return literal{parse.DateOf(time.Now())}, nil
	}
	return nil, invalidQuery("Use of undefined variable: %s", name)
}

// parseObjectExpr reads {"$op":…} or an object whose members are expressions.
func parseObjectExpr(m *parse.Map, depth int) (Expr, error) {
	var object objectExpr
	for name, v := range m.All() {
		if strings.HasPrefix(name, "$") {
			if m.Len() != 1 {
				return nil, invalidQuery("an object representing an expression must have exactly one field")
			}
			return parseOperator(name, v, depth)
		}
		x, err := parseExpr(v, depth+1)
		if err != nil {
			return nil, err
		}
		object = append(object, namedExpr{name, x})
	}
	return object, nil
}

func parseOperator(name string, arg any, depth int) (Expr, error) {
	if name == "$literal" {
		return literal{arg}, nil
	}
	row, ok := expressions[name]
	if !ok {
		return nil, invalidQuery("Unrecognized expression '%s'", name)
	}
	args, ok := arg.([]any)
	if !ok {
		args = []any{arg}
		if m, isMap := arg.(*parse.Map); isMap && row.named != nil {
			args = nil
			for _, key := range row.named {
				if v, ok := m.Lookup(key); ok {
					args = append(args, v)
				}
			}
			if len(args) != m.Len() { // no named arguments, but an expression
				args = []any{arg}
			}
		}
	}
	if len(args) < row.least || row.most >= 0 && len(args) > row.most {
		return nil, invalidQuery("Expression %s takes %s arguments. %d were passed in.", name, row.count(), len(args))
	}
	x := &operatorExpr{name: name, row: row}
	for _, a := range args {
		e, err := parseExpr(a, depth+1)
		if err != nil {
			return nil, err
		}
		x.args = append(x.args, e)
	}
	return x, nil
}

type literal struct{ value any }

func (l literal) eval(*parse.Map) (any, error) { return l.value, nil }
func (l literal) fields(func(string))          {}

type rootExpr struct{}

func (rootExpr) eval(doc *parse.Map) (any, error) { return doc, nil }
func (rootExpr) fields(add func(string))          { add("") }

// fieldExpr is "$a.b": in an array of objects, the array of their members.
type fieldExpr []string

func (f fieldExpr) eval(doc *parse.Map) (any, error) { return lookupPath(doc, f), nil }
func (f fieldExpr) fields(add func(string))          { add(f[0]) }

func lookupPath(v any, path []string) any {
	if len(path) == 0 {
		return v
	}
	if array, ok := v.([]any); ok {
		found := make([]any, 0, len(array))
		for _, e := range array {
			if w := lookupPath(e, path); !isMissing(w) {
				found = append(found, w)
			}
		}
		return found
	}
	c, ok := child(v, path[0])
	if !ok {
		return missing{}
	}
	return lookupPath(c, path[1:])
}

// copyDocument returns a document whose fields can be set without touching the original. Values are shared.
func copyDocument(o *parse.Object) *parse.Object {
	return &parse.Object{ClassName: o.ClassName, Map: *copyMap(&o.Map)}
}

func copyMap(m *parse.Map) *parse.Map {
	c := parse.NewMap()
	for name, v := range m.All() {
		c.Set(name, v)
	}
	return c
}

// setPath sets a member, in place of whatever stands on the way; missing{} removes it. Maps on the way are copied.
func setPath(m *parse.Map, path []string, v any) {
	if len(path) == 1 {
		if isMissing(v) {
			m.Delete(path[0])
		} else {
			m.Set(path[0], v)
		}
		return
	}
	inner, ok := m.Get(path[0]).(*parse.Map)
	if ok {
		inner = copyMap(inner)
	} else {
		inner = parse.NewMap()
	}
	setPath(inner, path[1:], v)
	m.Set(path[0], inner)
}

func deletePath(m *parse.Map, path []string) {
	if len(path) == 1 {
		m.Delete(path[0])
		return
	}
	if inner, ok := m.Get(path[0]).(*parse.Map); ok {
		inner = copyMap(inner)
		deletePath(inner, path[1:])
		m.Set(path[0], inner)
	}
}

type listExpr []Expr

func (l listExpr) eval(doc *parse.Map) (any, error) {
	list := make([]any, len(l))
	for i, x := range l {
		v, err := x.eval(doc)
		if err != nil {
			return nil, err
		}
		list[i] = orNull(v)
	}
	return list, nil
}

func (l listExpr) fields(add func(string)) {
	for _, x := range l {
		x.fields(add)
	}
}

type namedExpr struct {
	name string
	expr Expr
}

type objectExpr []namedExpr

func (o objectExpr) eval(doc *parse.Map) (any, error) {
	m := parse.NewMap()
	for _, f := range o {
		v, err := f.expr.eval(doc)
		if err != nil {
			return nil, err
		}
		if !isMissing(v) {
			m.Set(f.name, v)
		}
	}
	return m, nil
}

func (o objectExpr) fields(add func(string)) {
	for _, f := range o {
		f.expr.fields(add)
	}
}

type operatorExpr struct {
	name string
	row  expression
	args []Expr
}

func (x *operatorExpr) eval(doc *parse.Map) (any, error) {
	if x.row.lazy != nil {
		return x.row.lazy(x.args, doc)
	}
	values := make([]any, len(x.args))
	for i, a := range x.args {
		v, err := a.eval(doc)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return x.row.apply(x.name, values)
}

func (x *operatorExpr) fields(add func(string)) {
	for _, a := range x.args {
		a.fields(add)
	}
}

// isTrue is the truth of an expression: everything but false, null, 0 and missing.
func isTrue(v any) bool {
	switch v := v.(type) {
	case nil, missing:
		return false
	case bool:
		return v
	case float64:
		return v != 0 && !math.IsNaN(v)
	}
	return true
}
