package query

import (
	"fmt"

	"github.com/parley-backend/parley/parse"
)

// operator is one row of the table: everything that package query has to know about an operator.
type operator struct {
	// name on the wire; the operators of geo queries and StartsWith share theirs with others.
	name string
	// compile makes the matcher of the operator.
	compile func(key string, arg any) (test, error)
	// print writes the operand back as the members of a constraint.
	print func(arg any, into *parse.Map)
}

// operators is the table. A test checks that every operator has its row, a parser and cases in the corpus.
var operators = [...]operator{
	Eq:            {"$eq", compileEq, plain("$eq")},
	Ne:            {"$ne", compileNe, plain("$ne")},
	Lt:            {"$lt", compileRange(func(c int) bool { return c < 0 }), plain("$lt")},
	Lte:           {"$lte", compileRange(func(c int) bool { return c <= 0 }), plain("$lte")},
	Gt:            {"$gt", compileRange(func(c int) bool { return c > 0 }), plain("$gt")},
	Gte:           {"$gte", compileRange(func(c int) bool { return c >= 0 }), plain("$gte")},
	In:            {"$in", compileIn, plain("$in")},
	Nin:           {"$nin", compileNin, plain("$nin")},
	Exists:        {"$exists", compileExists, plain("$exists")},
	All:           {"$all", compileAllOf, printAll},
	ContainedBy:   {"$containedBy", compileContainedBy, plain("$containedBy")},
	Match:         {"$regex", compileRegex, printRegex},
	Search:        {"$text", compileText, printText},
	Near:          {"$nearSphere", compileNear, printNear},
	WithinBox:     {"$within", compileBox, printBox},
	WithinPolygon: {"$geoWithin", compilePolygon, printPolygon},
	WithinSphere:  {"$geoWithin", compileSphere, printSphere},
	Intersects:    {"$geoIntersects", compileIntersects, printIntersects},
	StartsWith:    {"$regex", compileStartsWith, printStartsWith},
}

func operatorOf(op Operator) *operator {
	if op == 0 || int(op) >= len(operators) {
		return nil
	}
	return &operators[op]
}

// String returns the name of the operator on the wire.
func (op Operator) String() string {
	if row := operatorOf(op); row != nil {
		return row.name
	}
	return fmt.Sprintf("Operator(%d)", uint8(op))
}
