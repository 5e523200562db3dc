package query

import (
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// findParams are the parameters of a find (contract parse-api.md, 3.1).
var findParams = []string{
	"where", "order", "limit", "skip", "count", "keys", "excludeKeys", "include", "includeAll", "redirectClassNameForKey",
	"readPreference", "includeReadPreference", "subqueryReadPreference", "hint", "explain", "comment",
}

// ReadPreferences are the kinds of replicas that MongoDB knows.
var ReadPreferences = []string{"PRIMARY", "PRIMARY_PREFERRED", "SECONDARY", "SECONDARY_PREFERRED", "NEAREST"}

// ParamsFromQuery reads the query string of a GET: each value is the JSON it can be read as, or else the text itself.
// A parameter that stands twice is an Array of texts. The result is what [ParseFind] and [ParsePipeline] take; a POST
// with _method=GET has the same members in its body.
func ParamsFromQuery(rawQuery string) *parse.Map {
	params := parse.NewMap()
	texts := make(map[string][]any)
	for part := range strings.SplitSeq(rawQuery, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if name == "" || err1 != nil || err2 != nil {
			continue
		}
		texts[name] = append(texts[name], value)
		if len(texts[name]) > 1 {
			params.Set(name, texts[name])
			continue
		}
		if v, err := parse.Decode([]byte(value), parse.Limits{}); err == nil {
			params.Set(name, v)
		} else {
			params.Set(name, value)
		}
	}
	return params
}

// ParseFind reads the parameters of a find. The class is the caller's to fill in. The error is a *parse.Error with the
// code and text of Parse Server, except that a limit or skip that is no number or negative is 102 here.
// What depends on the schema is left to [Check].
//
// The paths of Include are sorted so that a prefix comes first, and include the prefixes of what the client named; dotted
// keys and excludeKeys include what they reach into. The four fields that are always returned never stand in Keys.
func ParseFind(params *parse.Map, opts Options) (*Find, error) {
	for name := range params.All() {
		if !slices.Contains(findParams, name) {
			return nil, invalidQuery("Invalid parameter for query: %s", name)
		}
	}
	f := &Find{
		Count:                   parse.Truthy(params.Get("count")),
		IncludeAll:              parse.Truthy(params.Get("includeAll")),
		ReadPreference:          params.String("readPreference"),
		IncludeReadPreference:   params.String("includeReadPreference"),
		SubqueryReadPreference:  params.String("subqueryReadPreference"),
		Comment:                 params.String("comment"),
		RedirectClassNameForKey: optionalText(params.Get("redirectClassNameForKey")),
	}
	for _, preference := range []string{f.ReadPreference, f.IncludeReadPreference, f.SubqueryReadPreference} {
		if preference != "" && !slices.Contains(ReadPreferences, strings.ToUpper(preference)) {
			return nil, invalidQuery("Not supported read preference.")
		}
	}
	var err error
	if f.Skip, f.Limit, err = parseWindow(params, opts); err != nil {
		return nil, err
	}
	if f.Order, err = parseOrder(optionalText(params.Get("order"))); err != nil {
		return nil, err
	}
	if f.Explain, f.Verbosity, err = parseExplain(params.Get("explain"), opts); err != nil {
		return nil, err
	}
	switch hint := params.Get("hint").(type) {
	case string, *parse.Map:
		f.Hint = hint
	}
	if err := parseKeys(f, params); err != nil {
		return nil, err
	}
	if err := checkInclude(f.Include, opts.limits()); err != nil {
		return nil, err
	}
	where, err := whereOf(params)
	if err != nil {
		return nil, err
	}
	if f.Where, err = ParseWhere(where, opts); err != nil {
		return nil, err
	}
	return f, nil
}

// whereOf reads the parameter where: an object, or a text that holds one; nil when there is none.
func whereOf(params *parse.Map) (*parse.Map, error) {
	v, ok := params.Lookup("where")
	if !ok {
		return nil, nil
	}
	switch v := v.(type) {
	case *parse.Map:
		return v, nil
	case string:
		if m, err := parse.DecodeMap([]byte(v), parse.Limits{}); err == nil {
			return m, nil
		}
	}
	return nil, invalidJSON("where parameter is not valid JSON")
}

// optionalText is String(v) of JavaScript for a value that is truthy, and "" for one that is not.
func optionalText(v any) string {
	if !parse.Truthy(v) {
		return ""
	}
	return printed(v)
}

// parseWindow reads skip and limit. A missing, null or empty limit is the default one; 0 is a limit.
func parseWindow(params *parse.Map, opts Options) (skip, limit int, err error) {
	limit = opts.DefaultLimit
	if limit == 0 {
		limit = 100
	}
	if v := params.Get("limit"); parse.Truthy(v) || v == float64(0) {
		if limit, err = count("limit", v); err != nil {
			return 0, 0, err
		}
	}
	if opts.MaxLimit > 0 {
		limit = min(limit, opts.MaxLimit)
	}
	if v := params.Get("skip"); parse.Truthy(v) {
		if skip, err = count("skip", v); err != nil {
			return 0, 0, err
		}
	}
	return skip, limit, nil
}

// count is Number(v) of JavaScript, rounded down.
func count(name string, v any) (int, error) {
	f, ok := v.(float64)
	switch v := v.(type) {
	case string:
		var err error
		f, err = strconv.ParseFloat(strings.TrimSpace(v), 64)
		ok = err == nil
	case bool:
		f, ok = 1, true // false is not truthy and never comes here
	}
	if !ok || math.IsNaN(f) || f < 0 {
		return 0, invalidQuery("Invalid value for %s: %s", name, printed(v))
	}
	return int(min(f, math.MaxInt32)), nil
}

// maxKeys is how many keys may stand in order, keys, excludeKeys or include. It is as many as a class has fields; the work that they
// make grows with their number for every object of the answer.
const maxKeys = 1000

func tooMany(name string, n int) error {
	return invalidQuery("Number of keys in %s (%d) exceeds maximum allowed (%d)", name, n, maxKeys)
}

// parseOrder reads a comma list of keys, '-' before a key for descending. A key that stands twice keeps its first
// place and its last direction. "$score" is always the best first.
func parseOrder(text string) ([]Order, error) {
	if text == "" {
		return nil, nil
	}
	if n := strings.Count(text, ",") + 1; n > maxKeys {
		return nil, tooMany("order", n)
	}
	var order []Order
	place := make(map[string]int)
	for part := range strings.SplitSeq(text, ",") {
		key, descending := strings.CutPrefix(strings.TrimSpace(part), "-")
		switch key {
		case ScoreKey:
			descending = true
		case "_created_at":
			key = "createdAt"
		case "_updated_at":
			key = "updatedAt"
		default:
			if isProviderID(key) {
				return nil, parse.Errorf(parse.InvalidKeyName, "Cannot sort by %s", key)
			}
			if !validKey(key) || !parse.FieldName(Root(key), "") {
				return nil, parse.Errorf(parse.InvalidKeyName, "Invalid field name: %s.", key)
			}
		}
		if i, ok := place[key]; ok {
			order[i].Descending = descending
			continue
		}
		place[key] = len(order)
		order = append(order, Order{key, descending})
	}
	return order, nil
}

// isProviderID tells whether a key is authData.provider.id: the ids of users elsewhere are not to be enumerated.
func isProviderID(key string) bool {
	rest, ok := strings.CutPrefix(key, "authData.")
	provider, ok2 := strings.CutSuffix(rest, ".id")
	return ok && ok2 && provider != "" && !strings.Contains(provider, ".")
}

// verbosities are the values of explain that MongoDB knows.
var verbosities = []string{"queryPlanner", "queryPlannerExtended", "executionStats", "allPlansExecution"}

func parseExplain(v any, opts Options) (explain bool, verbosity string, err error) {
	if !parse.Truthy(v) {
		return false, "", nil
	}
	if !opts.Privileged && !opts.PublicExplain {
		return false, "", invalidQuery("Using the explain query parameter requires the master key")
	}
	switch v := v.(type) {
	case bool:
		return true, "", nil
	case string:
		if slices.Contains(verbosities, v) {
			return true, v, nil
		}
	case float64:
		if v == 1 { // the SDKs of old send 1
			return true, "", nil
		}
	}
	return false, "", invalidQuery("Invalid value for explain")
}

// alwaysReturned are the fields that no projection takes away.
var alwaysReturned = []string{"objectId", "createdAt", "updatedAt", "ACL"}

// parseKeys reads keys, excludeKeys and include, which depend on each other.
func parseKeys(f *Find, params *parse.Map) (err error) {
	if v := params.Get("excludeKeys"); v != nil {
		excluded, err := splitKeys("excludeKeys", printed(v))
		if err != nil {
			return err
		}
		for _, key := range excluded {
			if !slices.Contains(alwaysReturned, key) {
				f.ExcludeKeys = append(f.ExcludeKeys, key)
			}
		}
	}
	dotted := slices.Clone(f.ExcludeKeys)
	if v := params.Get("keys"); v != nil {
		keys, err := splitKeys("keys", printed(v))
		if err != nil {
			return err
		}
		dotted = append(slices.Clone(keys), dotted...)
		f.Keys = []string{}
		excluded := make(map[string]bool)
		for _, key := range f.ExcludeKeys {
			excluded[key] = true
		}
		for _, key := range keys {
			if !slices.Contains(alwaysReturned, key) && !excluded[key] {
				f.Keys = append(f.Keys, key)
			}
		}
	}
	include, err := splitKeys("include", optionalPrinted(params.Get("include")))
	if err != nil {
		return err
	}
	for _, key := range dotted {
		if i := strings.LastIndexByte(key, '.'); i > 0 {
			include = append(include, key[:i])
		}
	}
	if slices.Contains(include, "*") {
		f.IncludeAll = true
		return nil
	}
	f.Include, err = pathsOf(include)
	return err
}

func optionalPrinted(v any) string {
	if v == nil {
		return ""
	}
	return printed(v)
}

// splitKeys splits the comma list of a parameter, each key once, without empty ones.
func splitKeys(name, text string) ([]string, error) {
	if n := strings.Count(text, ",") + 1; n > maxKeys {
		return nil, tooMany(name, n)
	}
	var keys []string
	seen := make(map[string]bool)
	for key := range strings.SplitSeq(text, ",") {
		if key != "" && !seen[key] {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// pathsOf returns the paths and all their prefixes, each once, the short ones first.
func pathsOf(include []string) ([]Path, error) {
	var paths []Path
	seen := make(map[string]bool)
	for _, key := range include {
		parts := strings.Split(key, ".")
		if len(parts) > maxDepth {
			return nil, invalidQuery("Include depth of %d exceeds maximum allowed depth of %d", len(parts), maxDepth)
		}
		for n := 1; n <= len(parts); n++ {
			if prefix := strings.Join(parts[:n], "."); !seen[prefix] {
				seen[prefix] = true
				paths = append(paths, Path(parts[:n:n]))
			}
		}
	}
	slices.SortStableFunc(paths, func(a, b Path) int { return len(a) - len(b) })
	return paths, nil
}
