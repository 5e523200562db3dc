package query

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-backend/parley/parse"
)

// expression is one row of the table of expression operators.
type expression struct {
	// least and most are how many arguments it takes; most is -1 for any number.
	least, most int
	// apply computes the result from the values of the arguments, any of which may be missing{}.
	apply func(name string, args []any) (any, error)
	// lazy is in place of apply where not all arguments are to be computed.
	lazy func(args []Expr, doc *parse.Map) (any, error)
	// named are the names of the arguments where they may stand in an object.
	named []string
}

func (e expression) count() string {
	switch {
	case e.most < 0:
		return fmt.Sprintf("at least %d", e.least)
	case e.least == e.most:
		return fmt.Sprintf("exactly %d", e.least)
	}
	return fmt.Sprintf("at least %d, and at most %d", e.least, e.most)
}

// expressions is the table of expression operators.
var expressions = map[string]expression{
	"$add":      {least: 0, most: -1, apply: applyAdd},
	"$subtract": {least: 2, most: 2, apply: applySubtract},
	"$multiply": {least: 0, most: -1, apply: applyMultiply},
	"$divide":   {least: 2, most: 2, apply: applyDivide},
	"$mod":      {least: 2, most: 2, apply: applyMod},
	"$abs":      {least: 1, most: 1, apply: applyMath(math.Abs)},
	"$ceil":     {least: 1, most: 1, apply: applyMath(math.Ceil)},
	"$floor":    {least: 1, most: 1, apply: applyMath(math.Floor)},
	"$trunc":    {least: 1, most: 1, apply: applyMath(math.Trunc)},
	"$round":    {least: 1, most: 1, apply: applyMath(math.RoundToEven)},
	"$sqrt":     {least: 1, most: 1, apply: applyMath(math.Sqrt)},

	"$concat":   {least: 0, most: -1, apply: applyConcat},
	"$toLower":  {least: 1, most: 1, apply: applyCase(strings.ToLower)},
	"$toUpper":  {least: 1, most: 1, apply: applyCase(strings.ToUpper)},
	"$strLenCP": {least: 1, most: 1, apply: applyStrLen},

	"$cmp": {least: 2, most: 2, apply: func(_ string, args []any) (any, error) { return float64(compareMissing(args)), nil }},
	"$eq":  {least: 2, most: 2, apply: applyCompare(func(c int) bool { return c == 0 })},
	"$ne":  {least: 2, most: 2, apply: applyCompare(func(c int) bool { return c != 0 })},
	"$gt":  {least: 2, most: 2, apply: applyCompare(func(c int) bool { return c > 0 })},
	"$gte": {least: 2, most: 2, apply: applyCompare(func(c int) bool { return c >= 0 })},
	"$lt":  {least: 2, most: 2, apply: applyCompare(func(c int) bool { return c < 0 })},
	"$lte": {least: 2, most: 2, apply: applyCompare(func(c int) bool { return c <= 0 })},
	"$in":  {least: 2, most: 2, apply: applyIn},

	"$and":    {least: 0, most: -1, lazy: evalAnd},
	"$or":     {least: 0, most: -1, lazy: evalOr},
	"$not":    {least: 1, most: 1, apply: func(_ string, args []any) (any, error) { return !isTrue(args[0]), nil }},
	"$cond":   {least: 3, most: 3, lazy: evalCond, named: []string{"if", "then", "else"}},
	"$ifNull": {least: 2, most: -1, lazy: evalIfNull},

	"$size":        {least: 1, most: 1, apply: applySize},
	"$arrayElemAt": {least: 2, most: 2, apply: applyElemAt},

	"$year":         datePart(func(t time.Time) int { return t.Year() }),
	"$month":        datePart(func(t time.Time) int { return int(t.Month()) }),
	"$dayOfMonth":   datePart(func(t time.Time) int { return t.Day() }),
	"$dayOfWeek":    datePart(func(t time.Time) int { return int(t.Weekday()) + 1 }),
	"$dayOfYear":    datePart(func(t time.Time) int { return t.YearDay() }),
	"$hour":         datePart(func(t time.Time) int { return t.Hour() }),
	"$minute":       datePart(func(t time.Time) int { return t.Minute() }),
	"$second":       datePart(func(t time.Time) int { return t.Second() }),
	"$millisecond":  datePart(func(t time.Time) int { return t.Nanosecond() / 1e6 }),
	"$week":         datePart(func(t time.Time) int { return (t.YearDay() + 6 - int(t.Weekday())) / 7 }),
	"$isoDayOfWeek": datePart(func(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }),
	"$isoWeek":      datePart(func(t time.Time) int { _, week := t.ISOWeek(); return week }),
	"$isoWeekYear":  datePart(func(t time.Time) int { year, _ := t.ISOWeek(); return year }),
}

// datePart is a part of a date in UTC.
func datePart(part func(time.Time) int) expression {
	return expression{least: 1, most: 1, named: []string{"date"}, apply: func(name string, args []any) (any, error) {
		switch v := args[0].(type) {
		case nil, missing:
			return nil, nil
		case parse.Date:
			return float64(part(v.Time())), nil
		}
		return nil, invalidQuery("can't convert from %s to Date", kindOf(args[0]))
	}}
}

// kindOf names the type of a value in errors.
func kindOf(v any) string {
	switch v.(type) {
	case missing:
		return "missing"
	case *parse.Map:
		return "object"
	}
	switch Rank(v) {
	case rankNull:
		return "null"
	case rankNumber:
		return "double"
	case rankString:
		return "string"
	case rankArray:
		return "array"
	case rankBytes:
		return "binData"
	case rankBool:
		return "bool"
	case rankDate:
		return "date"
	}
	return "object"
}

// anyNull tells whether one of the arguments is null or missing: then so is the result of arithmetic.
func anyNull(args []any) bool {
	for _, v := range args {
		if v == nil || isMissing(v) {
			return true
		}
	}
	return false
}

func notNumeric(name string, v any) error {
	return invalidQuery("%s only supports numeric types, not %s", name, kindOf(v))
}

// applyAdd adds numbers, and milliseconds to at most one date.
func applyAdd(name string, args []any) (any, error) {
	if anyNull(args) {
		return nil, nil
	}
	sum, dates := 0.0, 0
	for _, v := range args {
		switch v := v.(type) {
		case float64:
			sum += v
		case parse.Date:
			sum += float64(v)
			dates++
		default:
			return nil, invalidQuery("$add only supports numeric or date types, not %s", kindOf(v))
		}
	}
	switch dates {
	case 0:
		return sum, nil
	case 1:
		return dateOf(sum)
	}
	return nil, invalidQuery("only one date allowed in an $add expression")
}

func dateOf(ms float64) (any, error) {
	if d := parse.Date(ms); math.Abs(ms) <= float64(parse.MaxDate) && d.Valid() {
		return d, nil
	}
	return nil, invalidQuery("date overflow")
}

func applySubtract(name string, args []any) (any, error) {
	if anyNull(args) {
		return nil, nil
	}
	a, aDate := args[0].(parse.Date)
	b, bDate := args[1].(parse.Date)
	x, aNumber := args[0].(float64)
	y, bNumber := args[1].(float64)
	switch {
	case aNumber && bNumber:
		return x - y, nil
	case aDate && bDate:
		return float64(a - b), nil
	case aDate && bNumber:
		return dateOf(float64(a) - y)
	}
	return nil, invalidQuery("can't $subtract %s from %s", kindOf(args[1]), kindOf(args[0]))
}

func applyMultiply(name string, args []any) (any, error) {
	if anyNull(args) {
		return nil, nil
	}
	product := 1.0
	for _, v := range args {
		f, ok := v.(float64)
		if !ok {
			return nil, notNumeric(name, v)
		}
		product *= f
	}
	return product, nil
}

// twoNumbers checks the arguments of $divide and $mod.
func twoNumbers(name string, args []any) (x, y float64, err error) {
	x, ok := args[0].(float64)
	y, ok2 := args[1].(float64)
	if !ok || !ok2 {
		return 0, 0, invalidQuery("%s only supports numeric types, not %s and %s", name, kindOf(args[0]), kindOf(args[1]))
	}
	if y == 0 {
		return 0, 0, invalidQuery("can't %s by zero", name)
	}
	return x, y, nil
}

func applyDivide(name string, args []any) (any, error) {
	if anyNull(args) {
		return nil, nil
	}
	x, y, err := twoNumbers(name, args)
	if err != nil {
		return nil, err
	}
	return x / y, nil
}

func applyMod(name string, args []any) (any, error) {
	if anyNull(args) {
		return nil, nil
	}
	x, y, err := twoNumbers(name, args)
	if err != nil {
		return nil, err
	}
	return math.Mod(x, y), nil
}

func applyMath(f func(float64) float64) func(string, []any) (any, error) {
	return func(name string, args []any) (any, error) {
		if anyNull(args) {
			return nil, nil
		}
		x, ok := args[0].(float64)
		if !ok {
			return nil, notNumeric(name, args[0])
		}
		return f(x), nil
	}
}

func applyConcat(_ string, args []any) (any, error) {
	if anyNull(args) {
		return nil, nil
	}
	var b strings.Builder
	for _, v := range args {
		s, ok := v.(string)
		if !ok {
			return nil, invalidQuery("$concat only supports strings, not %s", kindOf(v))
		}
		if b.Len()+len(s) > maxText {
			return nil, errLargeDocument
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// applyCase changes the case of a text; null becomes "", a number or a date its text.
func applyCase(f func(string) string) func(string, []any) (any, error) {
	return func(name string, args []any) (any, error) {
		switch v := args[0].(type) {
		case nil, missing:
			return "", nil
		case string:
			return f(v), nil
		case float64, parse.Date:
			return f(printed(v)), nil
		}
		return nil, invalidQuery("can't convert from %s to String", kindOf(args[0]))
	}
}

func applyStrLen(name string, args []any) (any, error) {
	s, ok := args[0].(string)
	if !ok {
		return nil, invalidQuery("%s requires a string argument, found: %s", name, kindOf(args[0]))
	}
	return float64(utf8.RuneCountInString(s)), nil
}

// compareMissing compares two values, of which a missing one stands before null.
func compareMissing(args []any) int {
	a, b := args[0], args[1]
	if isMissing(a) || isMissing(b) {
		return compareBools(!isMissing(a), !isMissing(b))
	}
	return Compare(a, b)
}

func applyCompare(accept func(int) bool) func(string, []any) (any, error) {
	return func(_ string, args []any) (any, error) { return accept(compareMissing(args)), nil }
}

func applyIn(name string, args []any) (any, error) {
	list, ok := args[1].([]any)
	if !ok {
		return nil, invalidQuery("%s requires an array as a second argument, found: %s", name, kindOf(args[1]))
	}
	for _, v := range list {
		if equal(orNull(args[0]), v) {
			return true, nil
		}
	}
	return false, nil
}

func evalAnd(args []Expr, doc *parse.Map) (any, error) {
	for _, a := range args {
		if v, err := a.eval(doc); err != nil || !isTrue(v) {
			return false, err
		}
	}
	return true, nil
}

func evalOr(args []Expr, doc *parse.Map) (any, error) {
	for _, a := range args {
		if v, err := a.eval(doc); err != nil || isTrue(v) {
			return err == nil, err
		}
	}
	return false, nil
}

func evalCond(args []Expr, doc *parse.Map) (any, error) {
	v, err := args[0].eval(doc)
	if err != nil {
		return nil, err
	}
	if isTrue(v) {
		return args[1].eval(doc)
	}
	return args[2].eval(doc)
}

func evalIfNull(args []Expr, doc *parse.Map) (v any, err error) {
	for _, a := range args {
		if v, err = a.eval(doc); err != nil || v != nil && !isMissing(v) {
			return v, err
		}
	}
	return v, nil
}

func applySize(name string, args []any) (any, error) {
	list, ok := args[0].([]any)
	if !ok {
		return nil, invalidQuery("The argument to %s must be an array, but was of type: %s", name, kindOf(args[0]))
	}
	return float64(len(list)), nil
}

func applyElemAt(name string, args []any) (any, error) {
	if anyNull(args) {
		return nil, nil
	}
	list, ok := args[0].([]any)
	i, ok2 := args[1].(float64)
	if !ok || !ok2 || i != math.Trunc(i) {
		return nil, invalidQuery("%s takes an array and a whole number, not %s and %s", name, kindOf(args[0]), kindOf(args[1]))
	}
	if i < 0 {
		i += float64(len(list))
	}
	if i < 0 || i >= float64(len(list)) {
		return missing{}, nil
	}
	return list[int(i)], nil
}
