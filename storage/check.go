package storage

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// judge checks what a Find answers, object by object.
type judge struct {
	class   *schema.Class
	find    *query.Find
	matcher *query.Matcher
	sorter  *query.Sorter
	seen    map[string]bool
	before  *parse.Object
}

// newJudge checks a query. One whose search or regular expression does not compile is left to the adapter to refuse.
func newJudge(class *schema.Class, q *query.Find) (*judge, error) {
	if err := checkWhere(q.Where); err != nil {
		return nil, err
	}
	j := &judge{class: class, find: q, seen: map[string]bool{}}
	if q.Keys == nil {
		j.matcher, _ = query.Compile(q.Where)
		j.sorter, _ = query.NewSorter(q)
	}
	return j, nil
}

func (j *judge) check(object *parse.Object) error {
	if err := checkObject(j.class, object); err != nil {
		return err
	}
	id := object.ID()
	if j.seen[id] {
		return fmt.Errorf("object %s twice", id)
	}
	j.seen[id] = true
	if j.find.Limit >= 0 && len(j.seen) > j.find.Limit {
		return fmt.Errorf("more than %d objects", j.find.Limit)
	}
	if j.matcher != nil {
		if ok, err := j.matcher.Match(object); err == nil && !ok {
			return fmt.Errorf("object %s does not match %s", id, query.Print(j.find.Where))
		}
	}
	if j.sorter != nil && j.before != nil && j.sorter.Compare(j.before, object) >= 0 {
		return fmt.Errorf("object %s comes after %s", id, j.before.ID())
	}
	// The visitor may change what it was given, so the next object is compared with a copy.
	j.before = object.Clone()
	return nil
}

// checkWhere refuses what has to be resolved before.
func checkWhere(where query.Node) error {
	var err error
	query.Walk(where, func(n query.Node) bool {
		switch n.(type) {
		case *query.SubQuery, *query.RelatedTo:
			err = fmt.Errorf("%T was not resolved", n)
		}
		return err == nil
	})
	return err
}

// checkObject checks the stored form of an object.
func checkObject(class *schema.Class, object *parse.Object) error {
	if object == nil {
		return errors.New("no object")
	}
	if object.ClassName != class.Name {
		return fmt.Errorf("an object of class %q", object.ClassName)
	}
	if object.ID() == "" {
		return errors.New("an object without objectId")
	}
	for name, v := range object.All() {
		if err := checkField(class, name, v); err != nil {
			return err
		}
	}
	return nil
}

// storedField returns a field under which objects of the class are stored.
func storedField(class *schema.Class, name string) (schema.Field, error) {
	f, ok := class.Field(name)
	switch {
	case !ok:
		return f, fmt.Errorf("field %s is not in the schema", name)
	case f.Type == schema.ACL || f.Type == schema.Relation, class.Name == schema.UserClass && (name == "password" || name == "authData"):
		return f, fmt.Errorf("field %s, of type %s, is not stored", name, f.Type)
	}
	return f, nil
}

func checkField(class *schema.Class, name string, v any) error {
	if _, known := class.Field(name); !known && v == nil && parse.FieldName(name, class.Name) {
		return nil // null does not make a field in the schema, and yet it is kept
	}
	field, err := storedField(class, name)
	if err != nil {
		return err
	}
	if v == nil {
		return nil
	}
	got, err := schema.TypeOf(v)
	if err != nil {
		return fmt.Errorf("field %s: %w", name, err)
	}
	if !got.SameType(field) {
		return fmt.Errorf("field %s: a %s in a field of type %s", name, got, field)
	}
	if err := checkValue(v); err != nil {
		return fmt.Errorf("field %s: %w", name, err)
	}
	return nil
}

// checkChange checks one change of an update.
func checkChange(class *schema.Class, key string, change any) error {
	name, _, dotted := strings.Cut(key, ".")
	if name == "objectId" {
		return errors.New("an objectId does not change")
	}
	op, isOp := change.(parse.Op)
	switch op := op.(type) {
	case parse.AddRelation, parse.RemoveRelation, parse.Batch:
		return fmt.Errorf("field %s: %s is not for an adapter", key, op.Name())
	case parse.Increment:
		change = op.Amount
	case parse.Add:
		change = op.Objects
	case parse.AddUnique:
		change = op.Objects
	case parse.Remove:
		change = op.Objects
	case parse.Delete:
		change = nil
	}
	if !dotted {
		if list, ok := change.([]any); isOp && ok && list == nil {
			change = []any{}
		}
		return checkField(class, name, change)
	}
	field, err := storedField(class, name)
	if err != nil {
		return err
	}
	if field.Type != schema.Object && field.Type != schema.Array {
		return fmt.Errorf("field %s: a dotted key into a field of type %s", key, field)
	}
	if err := checkValue(change); err != nil {
		return fmt.Errorf("field %s: %w", key, err)
	}
	return nil
}

// checkValue checks a value, however deep, for what cannot be stored.
func checkValue(v any) error {
	switch v := v.(type) {
	case nil, bool, parse.Pointer, parse.File, parse.Bytes:
		return nil
	case float64:
		if !parse.Finite(v) {
			return fmt.Errorf("the number %v", v)
		}
	case string:
		if !utf8.ValidString(v) {
			return errors.New("a string that is not UTF-8")
		}
	case parse.Date:
		if !v.Valid() {
			return fmt.Errorf("the date %d", int64(v))
		}
	case parse.GeoPoint:
		if !v.Valid() {
			return fmt.Errorf("the place %v", v)
		}
	case parse.Polygon:
		if ring, ok := parse.NewPolygon(v...); !ok || len(ring) != len(v) {
			return fmt.Errorf("the polygon %v", v)
		}
	case []any:
		for _, e := range v {
			if err := checkValue(e); err != nil {
				return err
			}
		}
	case *parse.Map:
		for _, e := range v.All() {
			if err := checkValue(e); err != nil {
				return err
			}
		}
	case *parse.Object:
		return checkValue(&v.Map)
	case parse.Relation: // inside a value it is as good as any
		return nil
	default:
		return fmt.Errorf("a %T", v)
	}
	return nil
}
