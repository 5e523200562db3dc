package query

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parley-backend/parley/parse"
)

// operands has an operand for every operator.
var operands = map[Operator]any{
	Eq:            1.0,
	Ne:            "x",
	Lt:            parse.Date(5),
	Lte:           2.5,
	Gt:            "a",
	Gte:           -1.0,
	In:            []any{nil, "x", parse.Pointer{ClassName: "C", ObjectID: "id"}},
	Nin:           []any{1.0},
	Exists:        true,
	All:           []any{&Regex{Pattern: "^a"}, &Regex{Pattern: "b", Options: "i"}},
	ContainedBy:   []any{1.0, []any{2.0}},
	Match:         &Regex{Pattern: "a.*b", Options: "is"},
	Search:        &Text{Term: "x y", Language: "en", CaseSensitive: true, DiacriticSensitive: true},
	Near:          &NearSphere{Point: parse.GeoPoint{Latitude: 1, Longitude: 2}, MaxRadians: 0.5, MinRadians: 0.1},
	WithinBox:     Box{parse.GeoPoint{Latitude: 1, Longitude: 2}, parse.GeoPoint{Latitude: 3, Longitude: 4}},
	WithinPolygon: parse.Polygon{{Latitude: 0, Longitude: 0}, {Latitude: 0, Longitude: 1}, {Latitude: 1, Longitude: 1}, {Latitude: 0, Longitude: 0}},
	WithinSphere:  Sphere{parse.GeoPoint{Latitude: 1, Longitude: 2}, 0.25},
	Intersects:    parse.GeoPoint{Latitude: 3, Longitude: 4},
	StartsWith:    "pre.fix",
}

// TestOperatorsComplete checks that every operator has its row, can be read back from its print, refuses an operand of
// another type as a defect, and has cases in the corpus.
func TestOperatorsComplete(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var corpus strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		corpus.Write(data)
	}
	if last := Operator(len(operators) - 1); last != StartsWith {
		t.Fatalf("the table ends with %v, want %v", last, StartsWith)
	}
	for op := Eq; op <= StartsWith; op++ {
		row := operatorOf(op)
		if row == nil || row.name == "" || row.compile == nil || row.print == nil {
			t.Errorf("operator %d has no complete row", op)
			continue
		}
		arg, ok := operands[op]
		if !ok {
			t.Errorf("%v has no operand to test with", op)
			continue
		}
		if constraintParsers[row.name] == nil {
			t.Errorf("%v has no parser", op)
		}
		c := &Constraint{Key: "f", Op: op, Arg: arg}
		if _, err := Compile(c); err != nil {
			t.Errorf("Compile(%s) = %v", Print(c), err)
		}
		if got := reparse(t, c); !reflect.DeepEqual(got, Node(c)) {
			t.Errorf("ParseWhere(%s) = %#v, want %#v", Print(c), got, c)
		}
		if !strings.Contains(corpus.String(), `"`+row.name+`"`) {
			t.Errorf("%s has no case in the corpus", row.name)
		}
		switch op {
		case Eq, Ne, Lt, Lte, Gt, Gte:
		default:
			if _, err := Compile(&Constraint{Key: "f", Op: op, Arg: 17}); err == nil {
				t.Errorf("Compile(%v with an int) succeeds", op)
			}
		}
	}
	for name := range constraintParsers {
		if !strings.Contains(corpus.String(), `"`+name+`"`) && !strings.HasPrefix(name, "$minDistance") && name != "$maxDistanceInRadians" {
			t.Errorf("%s has no case in the corpus", name)
		}
	}
}

func reparse(t *testing.T, n Node) Node {
	t.Helper()
	m, err := parse.DecodeMap([]byte(Print(n)), parse.Limits{})
	if err != nil {
		t.Fatalf("DecodeMap(%s) = %v", Print(n), err)
	}
	again, err := ParseWhere(m, Options{Privileged: true, Now: time.Unix(0, 0)})
	if err != nil {
		t.Fatalf("ParseWhere(%s) = %v", Print(n), err)
	}
	return again
}

func TestCompileRefusesWhatIsNotResolved(t *testing.T) {
	for _, n := range []Node{
		&SubQuery{Key: "f", Find: Find{ClassName: "C"}},
		&RelatedTo{Object: parse.Pointer{ClassName: "C", ObjectID: "id"}, Key: "f"},
		And{Or{&RelatedTo{}}},
		&Constraint{Key: "f"},
		&Constraint{Key: "f", Op: 200},
	} {
		if _, err := Compile(n); err == nil {
			t.Errorf("Compile(%#v) succeeds", n)
		}
	}
	var deep Node = &Constraint{Key: "f", Op: Eq}
	for range 10 * maxDepth {
		deep = Nor{deep}
	}
	if _, err := Compile(deep); err == nil {
		t.Error("Compile of a tree beyond all depth succeeds")
	}
}

// TestPipelineTablesComplete checks that every stage, accumulator and expression is used by a test.
func TestPipelineTablesComplete(t *testing.T) {
	data, err := os.ReadFile("pipeline_test.go")
	if err != nil {
		t.Fatal(err)
	}
	used := func(name string) bool {
		return strings.Contains(string(data), `{"`+name+`"`) || strings.Contains(string(data), `,"`+name+`"`)
	}
	for name := range stageParsers {
		if !used(name) {
			t.Errorf("stage %s is not tested", name)
		}
	}
	for name := range accumulators {
		if !used(name) {
			t.Errorf("accumulator %s is not tested", name)
		}
	}
	for name, row := range expressions {
		if !used(name) {
			t.Errorf("expression %s is not tested", name)
		}
		if (row.apply == nil) == (row.lazy == nil) {
			t.Errorf("expression %s wants one of apply and lazy", name)
		}
	}
	for _, name := range unsupportedStages {
		if stageParsers[name] != nil {
			t.Errorf("stage %s is both supported and not", name)
		}
	}
}
