package query

import (
	"math"
	"math/rand/v2"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

// MatchStage is $match: the documents that satisfy a where.
type MatchStage struct{ Where Node }

func parseMatchStage(arg any, class *schema.Class, opts Options) (Stage, error) {
	m, ok := arg.(*parse.Map)
	if !ok {
		return nil, invalidQuery("the match filter must be an expression in an object")
	}
	where, err := ParseWhere(renameKeys(m, 0), opts)
	if err != nil {
		return nil, err
	}
	if where, err = fit(where, class); err != nil {
		return nil, err
	}
	return &MatchStage{where}, nil
}

// renameKeys gives the keys of a where their Parse names. A text on a _p_ key, "Class$id", is a pointer.
func renameKeys(m *parse.Map, depth int) *parse.Map {
	renamed := parse.NewMap()
	for key, v := range m.All() {
		if list, ok := v.([]any); ok && strings.HasPrefix(key, "$") && depth < maxDepth {
			inner := make([]any, len(list))
			for i, e := range list {
				inner[i] = e
				if w, ok := e.(*parse.Map); ok {
					inner[i] = renameKeys(w, depth+1)
				}
			}
			renamed.Set(key, inner)
			continue
		}
		if s, ok := v.(string); ok && strings.HasPrefix(key, "_p_") {
			if class, id, ok := strings.Cut(s, "$"); ok {
				v = parse.Pointer{ClassName: class, ObjectID: id}
			}
		}
		renamed.Set(fieldPath(key), v)
	}
	return renamed
}

func (s *MatchStage) run(in documents) documents {
	return func(yield func(*parse.Object, error) bool) {
		m, err := Compile(s.Where)
		if err != nil {
			yield(nil, err)
			return
		}
		for o, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			ok, err := m.Match(o)
			if err != nil {
				yield(nil, err)
				return
			}
			if ok && !yield(o, nil) {
				return
			}
		}
	}
}

// SortStage is $sort.
type SortStage struct{ Order []Order }

func parseSort(arg any, _ *schema.Class, _ Options) (Stage, error) {
	m, ok := arg.(*parse.Map)
	if !ok || m.Len() == 0 {
		return nil, invalidQuery("$sort stage must have at least one sort key")
	}
	s := &SortStage{}
	for key, v := range m.All() {
		switch {
		case v == float64(1):
			s.Order = append(s.Order, Order{Key: fieldPath(key)})
		case v == float64(-1):
			s.Order = append(s.Order, Order{Key: fieldPath(key), Descending: true})
		case isTextScore(v):
			s.Order = append(s.Order, Order{Key: ScoreKey, Descending: true})
		default:
			return nil, invalidQuery("$sort key ordering must be 1 (for ascending) or -1 (for descending)")
		}
	}
	return s, nil
}

func isTextScore(v any) bool {
	m, ok := v.(*parse.Map)
	return ok && m.Len() == 1 && m.Get("$meta") == "textScore"
}

func (s *SortStage) run(in documents) documents {
	return func(yield func(*parse.Object, error) bool) {
		all, err := collect(in)
		if err == nil {
			err = Sort(all, &Find{Order: s.Order})
		}
		if err != nil {
			yield(nil, err)
			return
		}
		each(all, yield)
	}
}

// collect gathers documents; the first error ends it.
func collect(in documents) ([]*parse.Object, error) {
	var all []*parse.Object
	for o, err := range in {
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

func each(all []*parse.Object, yield func(*parse.Object, error) bool) {
	for _, o := range all {
		if !yield(o, nil) {
			return
		}
	}
}

// LimitStage is $limit, the number of documents.
type LimitStage int

func parseLimit(arg any, _ *schema.Class, _ Options) (Stage, error) {
	n, ok := wholeNumber(arg)
	if !ok || n < 1 {
		return nil, invalidQuery("the limit must be positive")
	}
	return LimitStage(n), nil
}

// wholeNumber reads an integer that is not negative, as large as an int32 at most.
func wholeNumber(v any) (int, bool) {
	f, ok := v.(float64)
	if !ok || f != math.Trunc(f) || f < 0 {
		return 0, false
	}
	return int(min(f, math.MaxInt32)), true
}

func (s LimitStage) run(in documents) documents {
	return func(yield func(*parse.Object, error) bool) {
		n := 0
		for o, err := range in {
			if !yield(o, err) || err != nil {
				return
			}
			if n++; n >= int(s) {
				return
			}
		}
	}
}

// SkipStage is $skip, the number of documents.
type SkipStage int

func parseSkip(arg any, _ *schema.Class, _ Options) (Stage, error) {
	n, ok := wholeNumber(arg)
	if !ok {
		return nil, invalidQuery("invalid argument to $skip stage: Expected a non-negative number")
	}
	return SkipStage(n), nil
}

func (s SkipStage) run(in documents) documents {
	return func(yield func(*parse.Object, error) bool) {
		n := 0
		for o, err := range in {
			if n++; n <= int(s) && err == nil {
				continue
			}
			if !yield(o, err) || err != nil {
				return
			}
		}
	}
}

// CountStage is $count: one document with the number of documents under this name, none if there are none.
type CountStage string

func parseCount(arg any, _ *schema.Class, _ Options) (Stage, error) {
	name, ok := arg.(string)
	if !ok || name == "" || strings.HasPrefix(name, "$") || strings.Contains(name, ".") {
		return nil, invalidQuery("the count field must be a non-empty string without '$' and '.'")
	}
	return CountStage(name), nil
}

func (s CountStage) run(in documents) documents {
	return func(yield func(*parse.Object, error) bool) {
		n := 0
		for _, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			n++
		}
		if n > 0 {
			yield(parse.NewObject("", string(s), float64(n)), nil)
		}
	}
}

// UnwindStage is $unwind: one document for each element of an array.
type UnwindStage struct {
	Path string
	// Index, when not "", is the field that receives the number of the element.
	Index string
	// Preserve keeps documents whose field is missing, null or an empty array.
	Preserve bool
}

func parseUnwind(arg any, _ *schema.Class, _ Options) (Stage, error) {
	s := &UnwindStage{}
	path, ok := arg.(string)
	if m, isMap := arg.(*parse.Map); isMap {
		path, ok = m.Get("path").(string)
		s.Index = m.String("includeArrayIndex")
		s.Preserve = parse.Truthy(m.Get("preserveNullAndEmptyArrays"))
	}
	if !ok || len(path) < 2 || path[0] != '$' || strings.HasPrefix(s.Index, "$") {
		return nil, invalidQuery("path option to $unwind stage should be prefixed with a '$'")
	}
	s.Path = fieldPath(path[1:])
	return s, checkPath(s.Index)
}

func (s *UnwindStage) run(in documents) documents {
	path := strings.Split(s.Path, ".")
	return func(yield func(*parse.Object, error) bool) {
		for o, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			if !s.unwind(o, path, yield) {
				return
			}
		}
	}
}

func (s *UnwindStage) unwind(o *parse.Object, path []string, yield func(*parse.Object, error) bool) bool {
	v := lookupPath(&o.Map, path)
	list, isArray := v.([]any)
	if !isArray && !isMissing(v) && v != nil {
		return yield(s.with(o, nil, v, nil), nil)
	}
	if len(list) == 0 {
		if !s.Preserve {
			return true
		}
		if isArray { // an empty array vanishes
			o = copyDocument(o)
			deletePath(&o.Map, path)
		}
		return yield(s.with(o, nil, missing{}, nil), nil)
	}
	for i, e := range list {
		if !yield(s.with(o, path, e, float64(i)), nil) {
			return false
		}
	}
	return true
}

// with returns a document with another value at the path, if there is one, and the number of the element.
func (s *UnwindStage) with(o *parse.Object, path []string, v, index any) *parse.Object {
	if path == nil && s.Index == "" {
		return o
	}
	o = copyDocument(o)
	if path != nil {
		setPath(&o.Map, path, v)
	}
	if s.Index != "" {
		setPath(&o.Map, strings.Split(s.Index, "."), index)
	}
	return o
}

// SampleStage is $sample: documents picked at random, each with the same chance.
type SampleStage struct{ Size int }

func parseSample(arg any, _ *schema.Class, _ Options) (Stage, error) {
	m, _ := arg.(*parse.Map)
	n, ok := wholeNumber(m.Get("size"))
	if !ok {
		return nil, invalidQuery("size argument to $sample must be a non-negative number")
	}
	return &SampleStage{n}, nil
}

func (s *SampleStage) run(in documents) documents {
	return func(yield func(*parse.Object, error) bool) {
		var picked []*parse.Object
		n := 0
		for o, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			// Reservoir sampling: the n-th document replaces one of the picked with chance size/n.
			if n++; len(picked) < s.Size {
				picked = append(picked, o)
			} else if i := rand.IntN(n); i < s.Size {
				picked[i] = o
			}
		}
		rand.Shuffle(len(picked), func(i, j int) { picked[i], picked[j] = picked[j], picked[i] })
		each(picked, yield)
	}
}
