// Package querytest reads and runs the corpus of query cases in query/testdata: which objects of a class a query
// finds, and in which order. The same cases run on the matcher, on every adapter, and on whatever else claims to
// understand a query.
//
// # The format
//
// A file is read line by line. Empty lines and lines that begin with "# " do not count.
//
//	class Player                          begins a class; it has objectId, createdAt and updatedAt
//	field score Number                    a field of the class: a name, a type, and the target class of a Pointer
//	object alice {"score":3}              an object: its objectId and its fields as JSON
//	== ranges                             begins a section, which names the cases below it
//	{"score":{"$gt":2}} -> alice bob      a case: a where, and the objectIds it finds, in the order of objectId
//	{} order=-score skip=1 limit=2 -> bob carol      the other parameters; order is that of the answer then
//	{} -> none                            nothing is found
//	{"score":{"$in":5}} -> ! 107 bad $in value       an error: code and text
//	{"s":{"$foo":1}} privileged -> …      the query of a master key
//
// The n-th object of a class, counted from 0, was created and updated n minutes after [Epoch]. The present, from which
// $relativeTime counts, is [Now].
package querytest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Epoch is when the first object of each class was created; Now is the present of the corpus.
var (
	Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	Now   = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
)

// Suite is one class of the corpus with its objects and cases.
type Suite struct {
	// File is the name of the file without directory and extension.
	File    string
	Class   *schema.Class
	Objects []*parse.Object
	Cases   []Case
}

// Case is one query and its answer.
type Case struct {
	File    string
	Line    int
	Section string
	// Where is the JSON of the where; Order, Skip and Limit are the other parameters, Limit -1 when there is none.
	Where       string
	Order       string
	Skip, Limit int
	Privileged  bool
	// Want are the objectIds that are found, in order.
	Want []string
	// Err is the error that is answered instead, nil for none.
	Err *parse.Error
}

// Name is the name of the test of the case.
func (c Case) Name() string { return fmt.Sprintf("%s:%d %s", c.File, c.Line, c.Section) }

// Find reads the query of the case and fits it to its class.
func (c Case) Find(class *schema.Class) (*query.Find, error) {
	params := parse.NewMap("where", c.Where, "limit", float64(100), "skip", float64(c.Skip))
	if c.Order != "" {
		params.Set("order", c.Order)
	}
	opts := query.Options{Now: Now, Privileged: c.Privileged}
	f, err := query.ParseFind(params, opts)
	if err != nil {
		return nil, err
	}
	f.ClassName = class.Name
	f.Limit = c.Limit
	return query.Check(f, class, opts)
}

// Load reads the whole corpus from the source tree of this package.
func Load() ([]Suite, error) {
	_, source, _, ok := runtime.Caller(0)
	if !ok {
		return nil, errors.New("querytest: the source tree is not known")
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(source), "..", "testdata", "*.txt"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("querytest: no corpus beside %s (%v)", source, err)
	}
	var suites []Suite
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		more, err := Parse(strings.TrimSuffix(filepath.Base(file), ".txt"), data)
		if err != nil {
			return nil, err
		}
		suites = append(suites, more...)
	}
	return suites, nil
}

// Parse reads one file of the corpus.
func Parse(file string, data []byte) ([]Suite, error) {
	r := reader{file: file}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		r.line++
		if err := r.read(strings.TrimSpace(lines.Text())); err != nil {
			return nil, fmt.Errorf("%s.txt:%d: %w", file, r.line, err)
		}
	}
	return r.suites, lines.Err()
}

type reader struct {
	file    string
	line    int
	section string
	suites  []Suite
}

func (r *reader) read(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch {
	case line == "" || word == "#":
		return nil
	case word == "class":
		r.section = ""
		r.suites = append(r.suites, Suite{File: r.file, Class: &schema.Class{
			Name: rest,
			Fields: map[string]schema.Field{
				"objectId":  {Type: schema.String},
				"createdAt": {Type: schema.Date},
				"updatedAt": {Type: schema.Date},
				"ACL":       {Type: schema.ACL},
			},
		}})
		return nil
	case len(r.suites) == 0:
		return errors.New("no class yet")
	}
	suite := &r.suites[len(r.suites)-1]
	switch {
	case word == "==":
		r.section = rest
		return nil
	case word == "field":
		return addField(suite.Class, strings.Fields(rest))
	case word == "object":
		return suite.addObject(rest)
	case strings.HasPrefix(line, "{"):
		return r.addCase(suite, line)
	}
	return fmt.Errorf("cannot read %q", line)
}

func addField(class *schema.Class, words []string) error {
	if len(words) < 2 || len(words) > 3 {
		return errors.New("field wants a name, a type and maybe a class")
	}
	f := schema.Field{Type: schema.Type(words[1])}
	if len(words) == 3 {
		f.TargetClass = words[2]
	}
	class.Fields[words[0]] = f
	return nil
}

func (s *Suite) addObject(line string) error {
	id, text, _ := strings.Cut(line, " ")
	fields, err := parse.DecodeMap([]byte(text), parse.Limits{})
	if err != nil {
		return err
	}
	created := parse.DateOf(Epoch.Add(time.Duration(len(s.Objects)) * time.Minute))
	o := parse.NewObject(s.Class.Name, "objectId", id, "createdAt", created, "updatedAt", created)
	for name, v := range fields.All() {
		if _, ok := s.Class.Fields[name]; !ok && !strings.HasPrefix(name, "_") {
			return fmt.Errorf("class %s has no field %s", s.Class.Name, name)
		}
		if name, bad := parse.Malformed(v); bad {
			return fmt.Errorf("malformed %s", name)
		}
		o.Set(name, v)
	}
	s.Objects = append(s.Objects, o)
	return nil
}

func (r *reader) addCase(suite *Suite, line string) error {
	c := Case{File: r.file, Line: r.line, Section: r.section, Limit: -1}
	decoder := json.NewDecoder(strings.NewReader(line))
	var where json.RawMessage
	if err := decoder.Decode(&where); err != nil {
		return err
	}
	c.Where = string(where)
	params, want, ok := strings.Cut(line[decoder.InputOffset():], "->")
	if !ok {
		return errors.New("a case needs ->")
	}
	for _, param := range strings.Fields(params) {
		name, value, _ := strings.Cut(param, "=")
		var err error
		switch name {
		case "order":
			c.Order = value
		case "skip":
			c.Skip, err = strconv.Atoi(value)
		case "limit":
			c.Limit, err = strconv.Atoi(value)
		case "privileged":
			c.Privileged = true
		default:
			err = fmt.Errorf("unknown parameter %q", param)
		}
		if err != nil {
			return err
		}
	}
	if err := c.readWant(strings.TrimSpace(want)); err != nil {
		return err
	}
	suite.Cases = append(suite.Cases, c)
	return nil
}

func (c *Case) readWant(want string) error {
	if rest, ok := strings.CutPrefix(want, "! "); ok {
		code, text, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(code)
		if err != nil {
			return err
		}
		c.Err = &parse.Error{Code: parse.Code(n), Message: text}
		return nil
	}
	if want == "" {
		return errors.New("say what is found, or none")
	}
	if want != "none" {
		c.Want = strings.Fields(want)
	}
	return nil
}
