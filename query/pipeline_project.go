package query

import (
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

// ProjectStage is $project. It either keeps the fields of Include, with the computed ones, or drops those of Exclude.
type ProjectStage struct {
	Include, Exclude []Path
	Computed         []namedExpr
}

func parseProject(arg any, _ *schema.Class, _ Options) (Stage, error) {
	m, ok := arg.(*parse.Map)
	if !ok || m.Len() == 0 {
		return nil, invalidQuery("Invalid $project :: caused by :: projection specification must have at least one field")
	}
	s := &ProjectStage{}
	id := idUnsaid
	if err := s.parse(m, "", &id, 0); err != nil {
		return nil, err
	}
	keeps := len(s.Include) > 0 || len(s.Computed) > 0 || id == idKept && len(s.Exclude) == 0
	switch {
	case keeps && len(s.Exclude) > 0:
		return nil, invalidQuery("Invalid $project :: caused by :: Cannot do exclusion on field %s in inclusion projection",
			strings.Join(s.Exclude[0], "."))
	case !keeps && id == idDropped:
		s.Exclude = append(s.Exclude, Path{"objectId"})
	case keeps && id != idDropped:
		s.Include = append([]Path{{"objectId"}}, s.Include...)
	}
	return s, nil
}

// What a projection says about the id, which goes its own way: it is kept unless it is dropped.
const (
	idUnsaid = iota
	idKept
	idDropped
)

// parse reads the members of a projection. Objects that are no expressions say the same about their members.
func (s *ProjectStage) parse(m *parse.Map, prefix string, id *int, depth int) error {
	if depth > maxDepth {
		return invalidQuery("The projection nests too deeply")
	}
	for name, v := range m.All() {
		key := prefix + name
		if prefix == "" {
			key = fieldPath(name)
		}
		if strings.HasPrefix(name, "$") || name == "" {
			return invalidQuery("Invalid $project :: caused by :: FieldPath field names may not start with '$'")
		}
		keep, isFlag := flag(v)
		inner, isMap := v.(*parse.Map)
		switch {
		case isFlag && key == "objectId" && keep:
			*id = idKept
		case isFlag && key == "objectId":
			*id = idDropped
		case isFlag && keep:
			s.Include = append(s.Include, strings.Split(key, "."))
		case isFlag:
			s.Exclude = append(s.Exclude, strings.Split(key, "."))
		case isMap && !isOperator(inner) && inner.Len() > 0:
			if err := s.parse(inner, key+".", id, depth+1); err != nil {
				return err
			}
		default:
			x, err := parseExpr(v, depth)
			if err != nil {
				return err
			}
			s.Computed = append(s.Computed, namedExpr{key, x})
		}
	}
	return nil
}

// flag reads 1, 0, true and false; any number but 0 keeps a field.
func flag(v any) (keep, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case float64:
		return v != 0, true
	}
	return false, false
}

func isOperator(m *parse.Map) bool {
	for name := range m.All() {
		if strings.HasPrefix(name, "$") {
			return true
		}
	}
	return false
}

func (s *ProjectStage) run(in documents) documents {
	tree := newProjection(s.Include)
	return mapDocuments(in, func(o *parse.Object) (*parse.Object, error) {
		if len(s.Exclude) > 0 {
			out := copyDocument(o)
			for _, path := range s.Exclude {
				deleteInArrays(&out.Map, path)
			}
			return out, nil
		}
		out := &parse.Object{ClassName: o.ClassName, Map: *tree.keep(&o.Map)}
		return out, compute(out, &o.Map, s.Computed)
	})
}

// mapDocuments applies f to each document.
func mapDocuments(in documents, f func(*parse.Object) (*parse.Object, error)) documents {
	return func(yield func(*parse.Object, error) bool) {
		for o, err := range in {
			if err == nil {
				o, err = f(o)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

// compute sets fields to the values of expressions over from.
func compute(o *parse.Object, from *parse.Map, fields []namedExpr) error {
	for _, f := range fields {
		v, err := f.expr.eval(from)
		if err != nil {
			return err
		}
		setPath(&o.Map, strings.Split(f.name, "."), v)
	}
	return nil
}

// deleteInArrays removes a member, also from the objects of an array on the way.
func deleteInArrays(m *parse.Map, path []string) {
	if len(path) == 1 {
		m.Delete(path[0])
		return
	}
	switch v := m.Get(path[0]).(type) {
	case *parse.Map:
		inner := copyMap(v)
		deleteInArrays(inner, path[1:])
		m.Set(path[0], inner)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = e
			if inner, ok := e.(*parse.Map); ok {
				inner = copyMap(inner)
				deleteInArrays(inner, path[1:])
				list[i] = inner
			}
		}
		m.Set(path[0], list)
	}
}

// projection is a tree of the fields to keep; an empty one keeps everything below it.
type projection map[string]projection

func newProjection(paths []Path) projection {
	root := projection{}
	for _, path := range paths {
		p := root
		for _, name := range path {
			if p[name] == nil {
				p[name] = projection{}
			}
			p = p[name]
		}
	}
	return root
}

func (p projection) keep(m *parse.Map) *parse.Map {
	kept := parse.NewMap()
	for name, v := range m.All() {
		inner, ok := p[name]
		if !ok {
			continue
		}
		if len(inner) == 0 {
			kept.Set(name, v)
			continue
		}
		if w, ok := inner.keepIn(v); ok {
			kept.Set(name, w)
		}
	}
	return kept
}

// keepIn keeps the members of an object or of the objects in an array; other values have none and vanish.
func (p projection) keepIn(v any) (any, bool) {
	switch v := v.(type) {
	case *parse.Map:
		return p.keep(v), true
	case []any:
		list := []any{}
		for _, e := range v {
			if w, ok := p.keepIn(e); ok {
				list = append(list, w)
			}
		}
		return list, true
	}
	return nil, false
}

// AddFieldsStage is $addFields, which is also called $set.
type AddFieldsStage struct{ Fields []namedExpr }

func parseAddFields(arg any, _ *schema.Class, _ Options) (Stage, error) {
	m, ok := arg.(*parse.Map)
	if !ok || m.Len() == 0 {
		return nil, invalidQuery("$addFields specification stage must be an object with at least one field")
	}
	s := &AddFieldsStage{}
	for name, v := range m.All() {
		if strings.HasPrefix(name, "$") || name == "" {
			return nil, invalidQuery("Invalid $addFields :: caused by :: FieldPath field names may not start with '$'")
		}
		x, err := parseExpr(v, 0)
		if err != nil {
			return nil, err
		}
		s.Fields = append(s.Fields, namedExpr{fieldPath(name), x})
	}
	return s, nil
}

func (s *AddFieldsStage) run(in documents) documents {
	return mapDocuments(in, func(o *parse.Object) (*parse.Object, error) {
		out := copyDocument(o)
		return out, compute(out, &o.Map, s.Fields)
	})
}

// parseUnset reads $unset, which is a $project that drops fields.
func parseUnset(arg any, _ *schema.Class, _ Options) (Stage, error) {
	list, ok := arg.([]any)
	if !ok {
		list = []any{arg}
	}
	s := &ProjectStage{}
	for _, v := range list {
		name, ok := v.(string)
		if !ok || name == "" || strings.HasPrefix(name, "$") {
			return nil, invalidQuery("$unset specification must be a string or an array of strings")
		}
		s.Exclude = append(s.Exclude, strings.Split(fieldPath(name), "."))
	}
	if len(s.Exclude) == 0 {
		return nil, invalidQuery("$unset specification must be a string or an array with at least one field")
	}
	return s, nil
}

// ReplaceRootStage is $replaceRoot and $replaceWith: an object takes the place of the document.
type ReplaceRootStage struct{ Root Expr }

func parseReplaceRoot(arg any, class *schema.Class, opts Options) (Stage, error) {
	m, ok := arg.(*parse.Map)
	if !ok || !m.Has("newRoot") {
		return nil, invalidQuery("no newRoot specified for the $replaceRoot stage")
	}
	return parseReplaceWith(m.Get("newRoot"), class, opts)
}

func parseReplaceWith(arg any, _ *schema.Class, _ Options) (Stage, error) {
	x, err := parseExpr(arg, 0)
	if err != nil {
		return nil, err
	}
	return &ReplaceRootStage{x}, nil
}

func (s *ReplaceRootStage) run(in documents) documents {
	return mapDocuments(in, func(o *parse.Object) (*parse.Object, error) {
		v, err := s.Root.eval(&o.Map)
		if err != nil {
			return nil, err
		}
		m, ok := v.(*parse.Map)
		if !ok {
			return nil, invalidQuery("'newRoot' expression must evaluate to an object, but resulting value was of type: %s", kindOf(v))
		}
		return &parse.Object{Map: *copyMap(m)}, nil
	})
}
