package query

import (
	"iter"
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

// Pipeline is an aggregation: a list of stages, or the distinct values of one field.
type Pipeline struct {
	Stages []Stage
	// Distinct, when not "", asks for the distinct values of this field among the objects that match Where.
	Distinct string
	Where    Node
	Explain  bool
	Hint     any
	Comment  string
	// ReadPreference names a kind of replica; "" is the default of the database.
	ReadPreference string
	// RawValues asks for dates and bytes in MongoDB's extended JSON, RawFieldNames for the names under which MongoDB
	// would store the fields of every object (_id, _created_at, _updated_at).
	RawValues, RawFieldNames bool
}

// Stage is one stage of a pipeline; the types that implement it stand beside their parser.
//
// A document that runs through the stages is a *parse.Object: the fields of an object under their Parse names, so that
// the id is "objectId" also where a stage says _id. Internal fields are left out, except _rperm and _wperm.
type Stage interface {
	// run returns what becomes of the documents. An error ends the sequence.
	run(in documents) documents
}

type documents = iter.Seq2[*parse.Object, error]

// stageParser reads what stands under the name of a stage. The class is what the operands of the first $match are
// fitted to; it is nil for stages behind one that makes new documents.
type stageParser func(arg any, class *schema.Class, opts Options) (Stage, error)

// stageParsers is the table of stages.
var stageParsers = map[string]stageParser{
	"$match":       parseMatchStage,
	"$group":       parseGroup,
	"$project":     parseProject,
	"$sort":        parseSort,
	"$limit":       parseLimit,
	"$skip":        parseSkip,
	"$count":       parseCount,
	"$unwind":      parseUnwind,
	"$addFields":   parseAddFields,
	"$set":         parseAddFields,
	"$unset":       parseUnset,
	"$sample":      parseSample,
	"$replaceRoot": parseReplaceRoot,
	"$replaceWith": parseReplaceWith,
	"$sortByCount": parseSortByCount,
}

// unsupportedStages are stages that MongoDB has and Parley refuses: they read or write other classes, or need what only
// MongoDB has.
var unsupportedStages = []string{
	"$bucket", "$bucketAuto", "$changeStream", "$collStats", "$densify", "$documents", "$facet", "$fill", "$geoNear",
	"$graphLookup", "$indexStats", "$lookup", "$merge", "$out", "$redact", "$search", "$setWindowFields", "$unionWith",
}

// ParsePipeline reads the parameters of an aggregation (contract parse-api.md, 3.4 and 3.5). The error is a *parse.Error,
// of code 102 for everything that Parse Server or MongoDB would refuse, and for a stage that is not supported.
//
// Stages are run in their order. A name that begins with "$" is a field; objectId, _id and the names under which MongoDB
// stores createdAt, updatedAt and pointers (_p_…) all name the fields of the object.
func ParsePipeline(params *parse.Map, class *schema.Class, opts Options) (*Pipeline, error) {
	p := &Pipeline{Distinct: fieldPath(optionalText(params.Get("distinct")))}
	var stages []any
	switch list := params.Get("pipeline").(type) {
	case []any:
		stages = list
	case *parse.Map:
		stages = splitStages(list)
	case string:
		if list != "" { // JavaScript takes the characters of a text for stages
			return nil, invalidQuery("Invalid aggregate stage '0'.")
		}
		stages = splitStages(p.takeOptions(params))
	default:
		stages = splitStages(p.takeOptions(params))
	}
	p.takeOptions(params)
	stageClass := class
	for _, stage := range stages {
		s, err := parseStage(stage, stageClass, opts)
		if err != nil {
			return nil, err
		}
		if s == nil {
			continue
		}
		switch s.(type) {
		case *MatchStage, *SortStage, SkipStage, LimitStage, *SampleStage:
		default:
			stageClass = nil
		}
		p.Stages = append(p.Stages, s)
	}
	where, err := whereOf(params)
	if err != nil {
		return nil, err
	}
	if p.Where, err = ParseWhere(where, opts); err != nil {
		return nil, err
	}
	if p.Where, err = fit(p.Where, class); err != nil {
		return nil, err
	}
	return p, nil
}

func fit(where Node, class *schema.Class) (Node, error) {
	if class == nil {
		return where, nil
	}
	return CheckWhere(where, class)
}

// takeOptions fills in the options, and returns the parameters that are none of them: the stages, when the body itself
// is the pipeline.
func (p *Pipeline) takeOptions(params *parse.Map) *parse.Map {
	rest := parse.NewMap()
	for name, v := range params.All() {
		switch name {
		case "hint":
			p.Hint = v
		case "explain":
			p.Explain = parse.Truthy(v)
		case "comment":
			p.Comment = optionalText(v)
		case "readPreference":
			p.ReadPreference = optionalText(v)
		case "rawValues":
			p.RawValues = parse.Truthy(v)
		case "rawFieldNames":
			p.RawFieldNames = parse.Truthy(v)
		default:
			rest.Set(name, v)
		}
	}
	return rest
}

// splitStages makes a list of the object form of a pipeline, whose members are the stages.
func splitStages(m *parse.Map) []any {
	var stages []any
	for name, arg := range m.All() {
		stages = append(stages, parse.NewMap(name, arg))
	}
	return stages
}

// parseStage reads one stage. It is nil for the parameters distinct and where in place of a stage.
func parseStage(v any, class *schema.Class, opts Options) (Stage, error) {
	if err := checkPaths(v); err != nil {
		return nil, err
	}
	m, _ := v.(*parse.Map)
	if m.Len() != 1 {
		return nil, invalidQuery("Pipeline stages should only have one key but found %s.", strings.Join(m.Keys(), ", "))
	}
	name := m.Keys()[0]
	arg := m.Get(name)
	switch {
	case name == "distinct" || name == "where":
		return nil, nil
	case !strings.HasPrefix(name, "$"):
		return nil, invalidQuery("Invalid aggregate stage '%s'.", name)
	}
	if read := stageParsers[name]; read != nil {
		return read(arg, class, opts)
	}
	if slices.Contains(unsupportedStages, name) {
		return nil, invalidQuery("Unsupported aggregate stage '%s'.", name)
	}
	return nil, invalidQuery("Unrecognized pipeline stage name: '%s'", name)
}

// checkPaths refuses field paths that reach deeper than values nest: a stage may build a value as deep as its path.
func checkPaths(v any) error {
	switch v := v.(type) {
	case string:
		if strings.HasPrefix(v, "$") {
			return checkPath(v)
		}
	case []any:
		for _, e := range v {
			if err := checkPaths(e); err != nil {
				return err
			}
		}
	case *parse.Map:
		for name, e := range v.All() {
			if err := checkPath(name); err != nil {
				return err
			}
			if err := checkPaths(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkPath(path string) error {
	if strings.Count(path, ".") >= maxDepth {
		return invalidQuery("A field path must not be more than %d levels deep", maxDepth)
	}
	return nil
}

// fieldPath gives a path the Parse name of its field.
func fieldPath(path string) string {
	root, rest, dotted := strings.Cut(path, ".")
	switch {
	case root == "_id":
		root = "objectId"
	case root == "_created_at":
		root = "createdAt"
	case root == "_updated_at":
		root = "updatedAt"
	case strings.HasPrefix(root, "_p_"):
		root = root[len("_p_"):]
	}
	if dotted {
		return root + "." + rest
	}
	return root
}
