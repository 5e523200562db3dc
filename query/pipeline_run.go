package query

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// Split takes from the beginning of a pipeline what a database does better: the $match, $sort, $skip and $limit that
// stand first become a Find (without a class, without a limit if there is none), the rest is for [Run]. When the
// rest begins with a stage that looks at few fields, Find.Keys names them.
func Split(stages []Stage) (*Find, []Stage) {
	f := &Find{Limit: -1}
	windowed := false
	for len(stages) > 0 {
		switch s := stages[0].(type) {
		case *MatchStage:
			if windowed {
				return f, stages
			}
			f.Where = AndOf(f.Where, s.Where)
		case *SortStage:
			if windowed {
				return f, stages
			}
			f.Order = s.Order
		case SkipStage:
			windowed = true
			f.Skip += int(s)
			if f.Limit >= 0 {
				f.Limit = max(0, f.Limit-int(s))
			}
		case LimitStage:
			windowed = true
			if f.Limit < 0 || int(s) < f.Limit {
				f.Limit = int(s)
			}
		default:
			f.Keys = neededFields(stages[0])
			return f, stages
		}
		stages = stages[1:]
	}
	return f, stages
}

// neededFields returns the fields that a stage looks at, when it forgets all others; nil for all fields.
func neededFields(s Stage) []string {
	keys := []string{}
	all := false
	add := func(field string) {
		all = all || field == ""
		if !slices.Contains(alwaysReturned, field) && !slices.Contains(keys, field) {
			keys = append(keys, field)
		}
	}
	switch s := s.(type) {
	case *GroupStage:
		s.ID.fields(add)
		for _, f := range s.Fields {
			f.Expr.fields(add)
		}
	case *sortByCount:
		s.group.ID.fields(add)
	case *ProjectStage:
		if len(s.Exclude) > 0 {
			return nil
		}
		for _, path := range s.Include {
			add(path[0])
		}
		for _, f := range s.Computed {
			f.expr.fields(add)
		}
	case CountStage:
	default:
		return nil
	}
	if all {
		return nil
	}
	return keys
}

// Run runs objects through the stages and returns what comes out: documents whose id is "objectId", without internal
// fields; [Pipeline.Answer] gives them the form that a client gets. It streams where the stages allow it, and stops reading as soon as it has enough. The error is that of the
// objects, or a *parse.Error of an expression.
func Run(stages []Stage, objects documents) ([]*parse.Map, error) {
	docs := mapDocuments(objects, func(o *parse.Object) (*parse.Object, error) { return visible(o), nil })
	left := &budget{left: maxMade}
	for _, s := range stages {
		docs = left.bounded(s.run(docs))
	}
	results := []*parse.Map{}
	for o, err := range docs {
		if err != nil {
			return nil, err
		}
		for _, name := range o.Keys() {
			if strings.HasPrefix(name, "_") {
				o = copyDocument(o)
				o.Delete(name)
			}
		}
		results = append(results, &o.Map)
	}
	return results, nil
}

// visible returns an object without its internal fields: no expression may copy a password into an answer.
func visible(o *parse.Object) *parse.Object {
	hidden := false
	for name := range o.All() {
		hidden = hidden || isInternal(name)
	}
	if !hidden {
		return o
	}
	shown := &parse.Object{ClassName: o.ClassName}
	for name, v := range o.All() {
		if !isInternal(name) {
			shown.Set(name, v)
		}
	}
	return shown
}

func isInternal(name string) bool {
	return strings.HasPrefix(name, "_") && name != "_rperm" && name != "_wperm"
}

// Distinct returns the distinct values of a field, sorted: of an Array its elements, never null.
func Distinct(objects documents, field string) ([]any, error) {
	path := strings.Split(field, ".")
	seen := make(map[string]bool)
	values := []any{}
	for o, err := range objects {
		if err != nil {
			return nil, err
		}
		visit(o, path, func(v any, _ bool) bool {
			list, isArray := v.([]any)
			if !isArray {
				list = []any{v}
			}
			for _, e := range list {
				if key := identity(e); e != nil && !seen[key] {
					seen[key] = true
					values = append(values, e)
				}
			}
			return false
		})
	}
	slices.SortStableFunc(values, Compare)
	return values, nil
}

// Answer turns what [Run] returned into what a client gets: createdAt and updatedAt as bare texts, or the form that the
// options RawValues and RawFieldNames ask for.
func (p *Pipeline) Answer(results []*parse.Map) []*parse.Map {
	answer := make([]*parse.Map, len(results))
	for i, m := range results {
		answer[i] = parse.NewMap()
		for name, v := range m.All() {
			d, isDate := v.(parse.Date)
			switch {
			case p.RawValues:
				v = extendedJSON(v)
			case isDate && (name == "createdAt" || name == "updatedAt"):
				v = d.String()
			}
			if p.RawFieldNames {
				name = rawName(name)
			}
			answer[i].Set(name, v)
		}
	}
	return answer
}

func rawName(name string) string {
	switch name {
	case "objectId":
		return "_id"
	case "createdAt":
		return "_created_at"
	case "updatedAt":
		return "_updated_at"
	}
	return name
}

// extendedJSON writes dates and bytes as the relaxed extended JSON of MongoDB, and pointers as it stores them.
func extendedJSON(v any) any {
	switch v := v.(type) {
	case parse.Date:
		return parse.NewMap("$date", v.String())
	case parse.Bytes:
		binary := parse.NewMap("base64", base64.StdEncoding.EncodeToString(v), "subType", "00")
		return parse.NewMap("$binary", binary)
	case parse.Pointer:
		return text(v)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = extendedJSON(e)
		}
		return list
	case *parse.Map:
		m := parse.NewMap()
		for name, e := range v.All() {
			m.Set(name, extendedJSON(e))
		}
		return m
	}
	return v
}
