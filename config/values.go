package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/parley-backend/parley/credential"
)

// Values are the options that were set, by name. The Go type of a value follows the Kind of its option: string, bool, int, []string,
// and for JSON and Any what encoding/json makes of it.
type Values struct {
	set map[string]any
	// from tells where a value was set, for messages: "file", "environment", "flag".
	from map[string]string
}

// Input is where options come from, weakest first: a file, the environment, flags.
type Input struct {
	// File is the path of a JSON file; comments and trailing commas are allowed. "" for none.
	File string
	// Environ is as os.Environ returns it.
	Environ []string
	// Flags by option name.
	Flags map[string]string
}

// Problem is something wrong with a configuration: which option, and what. It never holds the value of an option.
type Problem struct {
	Option string
	Text   string
}

func (p Problem) Error() string {
	if p.Option == "" {
		return p.Text
	}
	return p.Option + ": " + p.Text
}

// Read collects the options from all places. All problems are found, not only the first; they are joined into the error,
// each a [Problem].
func Read(in Input) (*Values, error) {
	r := reader{table: Options(), values: &Values{set: map[string]any{}, from: map[string]string{}}}
	r.byName, r.byEnv = map[string]Option{}, map[string]Option{}
	for _, o := range r.table {
		r.byName[o.Name] = o
		r.byEnv[o.Env] = o
	}
	if in.File != "" {
		r.file(in.File)
	}
	r.environment(in.Environ)
	for name, text := range in.Flags {
		r.text(r.byName[name], text, "flag")
	}
	for name, value := range r.values.set {
		if o := r.byName[name]; o.Effect == Refused && !reflect.DeepEqual(value, defaults[name]) && !none(value) {
			r.problem(name, "%s", o.Note)
		}
	}
	sort.Slice(r.problems, func(i, j int) bool { return r.problems[i].Error() < r.problems[j].Error() })
	return r.values, errors.Join(r.problems...)
}

// none tells whether a value asks for nothing: what is refused may well be switched off in so many words.
func none(value any) bool {
	switch v := value.(type) {
	case bool:
		return !v
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

type reader struct {
	table         []Option
	byName, byEnv map[string]Option
	values        *Values
	problems      []error
}

func (r *reader) problem(option, format string, args ...any) {
	r.problems = append(r.problems, Problem{option, fmt.Sprintf(format, args...)})
}

func (r *reader) file(path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		var perr *fs.PathError
		if errors.As(err, &perr) {
			err = perr.Err
		}
		r.problem("", "the configuration file %s cannot be read: %v", path, err)
		return
	}
	data, err = hujson.Standardize(data)
	if err != nil {
		r.problem("", "the configuration file %s is not JSON: %v", path, err)
		return
	}
	var top map[string]any
	if err := json.Unmarshal(data, &top); err != nil {
		r.problem("", "the configuration file %s does not hold one JSON object", path)
		return
	}
	if apps, ok := top["apps"].([]any); ok && len(top) == 1 { // the form of Parse Server for several applications
		app, ok := first(apps).(map[string]any)
		if !ok || len(apps) != 1 {
			r.problem("apps", "one server serves one application; this file names %d", len(apps))
			return
		}
		top = app
	}
	r.members("", top, "file")
}

func first(list []any) any {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// members reads the members of the file, or of a group in it.
func (r *reader) members(prefix string, members map[string]any, from string) {
	for name, value := range members {
		o, ok := r.byName[prefix+name]
		if !ok {
			r.unknown(prefix+name, from)
			continue
		}
		r.value(o, value, from)
	}
}

func (r *reader) unknown(name, from string) {
	if near := Closest(name, r.table); near != "" {
		r.problem(name, "unknown option (%s); did you mean %s?", from, near)
		return
	}
	r.problem(name, "unknown option (%s)", from)
}

// serviceLink fits the variables that Kubernetes and Docker give to a container next to a service named "parley" or "parse-server".
var serviceLink = regexp.MustCompile(`^(PARLEY|PARSE_SERVER)_(NAME|SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?)$`)

// environment reads the variables that the table names. One that looks like an option but is none is a problem: a
// misspelt restriction must not be taken for no restriction.
func (r *reader) environment(environ []string) {
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		o, ok := r.byEnv[name]
		inFile, isFile := r.fileOf(name)
		switch {
		case ok && text != "":
			r.text(o, text, "environment")
		case isFile && text != "":
			r.secretFile(inFile, name, text, environ)
		case isFile:
		case !ok && (strings.HasPrefix(name, "PARSE_SERVER_") || strings.HasPrefix(name, "PARLEY_")):
			if strings.HasPrefix(name, "PARLEY_TEST_") || strings.HasPrefix(name, "PARLEY_ORACLE_") || serviceLink.MatchString(name) {
				continue
			}
			var names []Option
			for _, o := range r.table {
				names = append(names, Option{Name: o.Env})
			}
			if near := Closest(name, names); near != "" {
				r.problem(name, "unknown option (environment); did you mean %s?", near)
			} else {
				r.problem(name, "unknown option (environment)")
			}
		}
	}
}

// fileOf returns the secret option X of a variable X_FILE.
func (r *reader) fileOf(name string) (Option, bool) {
	x, ok := strings.CutSuffix(name, "_FILE")
	o, known := r.byEnv[x]
	return o, ok && known && o.Kind == Secret
}

// secretFile reads X_FILE: the path of the file that holds the secret, as Docker and Kubernetes mount it. It is the reference
// file://PATH in other words, so that the key rotates with the file.
func (r *reader) secretFile(o Option, name, path string, environ []string) {
	for _, pair := range environ {
		if x, text, _ := strings.Cut(pair, "="); x == o.Env && text != "" {
			r.problem(o.Name, "%s and %s are both set; one of them must go", o.Env, name)
			return
		}
	}
	if credential.IsReference(path) {
		r.problem(o.Name, "%s must be the path of a file; references belong into %s", name, o.Env)
		return
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		r.problem(o.Name, "%s is no path: %v", name, err)
		return
	}
	r.set(o, "file://"+escapePath(absolute), "environment")
}

// text reads an option that is given as text.
func (r *reader) text(o Option, text, from string) {
	switch o.Kind {
	case String, Secret:
		r.set(o, text, from)
	case Bool:
		switch strings.ToLower(text) {
		case "true", "1":
			r.set(o, true, from)
		case "false", "0":
			r.set(o, false, from)
		default:
			r.problem(o.Name, "must be true or false")
		}
	case Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			r.problem(o.Name, "must be a whole number")
			return
		}
		r.set(o, n, from)
	case List:
		var list []string
		if strings.HasPrefix(text, "[") {
			if json.Unmarshal([]byte(text), &list) != nil {
				r.problem(o.Name, "must be a JSON array of strings, or names separated by commas")
				return
			}
		} else {
			for item := range strings.SplitSeq(text, ",") {
				list = append(list, strings.TrimSpace(item))
			}
		}
		r.set(o, list, from)
	case JSON, Group, Any:
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			if o.Kind != Any {
				r.problem(o.Name, "must be JSON")
				return
			}
			value = text
		}
		r.value(o, value, from)
	}
}

// value reads an option that is given as JSON.
func (r *reader) value(o Option, value any, from string) {
	if value == nil {
		return // Parse Server takes null for "not set"
	}
	switch o.Kind {
	case Group:
		members, ok := value.(map[string]any)
		if !ok {
			r.problem(o.Name, "must be an object")
			return
		}
		if o.Effect != Works {
			r.set(o, value, from)
		}
		r.members(o.Name+".", members, from)
	case JSON, Any:
		r.set(o, value, from)
	case Bool, Int:
		switch v := value.(type) {
		case string:
			r.text(o, v, from)
		case bool:
			if o.Kind == Int {
				r.problem(o.Name, "must be a whole number")
				return
			}
			r.set(o, v, from)
		case float64:
			if o.Kind == Bool || v != float64(int(v)) {
				r.problem(o.Name, "%s", wanted[o.Kind])
				return
			}
			r.set(o, int(v), from)
		default:
			r.problem(o.Name, "%s", wanted[o.Kind])
		}
	case List:
		switch v := value.(type) {
		case string:
			r.text(o, v, from)
		case []any:
			list := make([]string, 0, len(v))
			for _, item := range v {
				s, ok := item.(string)
				if !ok {
					r.problem(o.Name, "must be a list of strings")
					return
				}
				list = append(list, s)
			}
			r.set(o, list, from)
		default:
			r.problem(o.Name, "must be a list of strings")
		}
	default:
		switch v := value.(type) {
		case string:
			r.set(o, v, from)
		case []any: // a secret may have fallbacks
			list := make([]string, 0, len(v))
			for _, item := range v {
				s, _ := item.(string)
				list = append(list, s)
			}
			if o.Kind != Secret {
				r.problem(o.Name, "%s", wanted[o.Kind])
				return
			}
			if len(list) == 0 || slices.Contains(list, "") {
				r.problem(o.Name, "must be a string, or a list of strings: where the value is kept, and its fallbacks")
				return
			}
			r.set(o, list, from)
		case float64: // sizes such as maxUploadSize may be numbers
			if o.Kind == Secret {
				r.problem(o.Name, "%s", wanted[o.Kind])
				return
			}
			r.set(o, strconv.FormatFloat(v, 'f', -1, 64), from)
		default:
			r.problem(o.Name, "%s", wanted[o.Kind])
		}
	}
}

func (r *reader) set(o Option, value any, from string) {
	r.values.set[o.Name] = value
	r.values.from[o.Name] = from
}

// Has tells whether an option was set.
func (v *Values) Has(name string) bool { _, ok := v.set[name]; return ok }

// String returns an option of kind String or Secret, its default when it was not set.
func (v *Values) String(name string) string { s, _ := v.or(name).(string); return s }

// Secret returns the texts of an option of kind Secret, the one to rely on first: mostly one, none when it is not set or empty.
func (v *Values) Secret(name string) []string {
	if list := v.List(name); list != nil {
		return list
	}
	if text := v.String(name); text != "" {
		return []string{text}
	}
	return nil
}

// Bool returns an option of kind Bool.
func (v *Values) Bool(name string) bool { b, _ := v.or(name).(bool); return b }

// Int returns an option of kind Int, 0 when it has neither a value nor a default.
func (v *Values) Int(name string) int { n, _ := v.or(name).(int); return n }

// List returns an option of kind List.
func (v *Values) List(name string) []string { l, _ := v.or(name).([]string); return l }

// JSON returns an option of kind JSON or Any, nil when it was not set.
func (v *Values) JSON(name string) any { return v.or(name) }

// Warnings are what an operator should know about the options that were set: those without an effect.
func (v *Values) Warnings() []string {
	var texts []string
	if text := v.String("lastKnownGoodKey"); text != "" && v.from["lastKnownGoodKey"] == "file" && !credential.IsReference(text) {
		texts = append(texts, "option lastKnownGoodKey stands in the configuration file: whoever reads that can read what it encrypts; keep it in a file of its own, file:///path")
	}
	for _, o := range Options() {
		if !v.Has(o.Name) {
			continue
		}
		switch o.Effect {
		case Later:
			texts = append(texts, fmt.Sprintf("option %s has no effect: it is part of %s, which this version does not have", o.Name, o.Note))
		case Moot:
			texts = append(texts, fmt.Sprintf("option %s has no effect: %s", o.Name, o.Note))
		case Works:
			if o.For == PostgreSQL && !v.wantsPostgres() {
				texts = append(texts, fmt.Sprintf("option %s has no effect: it is for PostgreSQL", o.Name))
			}
		}
	}
	return texts
}

// wantsPostgres tells whether the database is one of PostgreSQL.
func (v *Values) wantsPostgres() bool {
	texts := v.Secret("databaseURI")
	if len(texts) == 0 {
		return false
	}
	scheme, _, _ := strings.Cut(texts[0], ":")
	return scheme == "postgres" || scheme == "postgresql" || credential.IsReference(texts[0], uriSchemes...)
}

func (v *Values) or(name string) any {
	if value, ok := v.set[name]; ok {
		return value
	}
	return defaults[name]
}

// defaults are the default values of the table, read.
var defaults = func() map[string]any {
	r := reader{values: &Values{set: map[string]any{}, from: map[string]string{}}}
	for _, o := range Options() {
		if o.Default != "" {
			r.text(o, o.Default, "default")
		}
	}
	if len(r.problems) > 0 {
		panic(errors.Join(r.problems...))
	}
	return r.values.set
}()

// wanted says what text an option of a kind must be.
var wanted = map[Kind]string{
	Bool: "must be true or false", Int: "must be a whole number", String: "must be a string", Secret: "must be a string",
}
