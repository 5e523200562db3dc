package credential

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Reference says where a credential comes from, in one line of a
// configuration:
//
//	scheme://authority/path?options#field
//	scheme:opaque?options#field
//
// for instance file:///run/secrets/master?overlap=30m or env:MASTER_KEY. The braces
// of {scheme://…} are accepted and mean nothing.
type Reference struct {
	Scheme    string
	Authority string // between // and the path
	Path      string // unescaped, with its leading slash
	Opaque    string // of the form without //, unescaped
	Field     string // after #, without the #
	Value     Secret // of static:VALUE, which has nothing else
	// Options are the options of the source; those of the engine are in Engine.
	Options map[string]string
	// Repeated are those that are given more than once, in their order; see List.
	Repeated map[string][]string
	Engine   ReferenceOptions
}

// ReferenceOptions are the engine's options in the query of a reference. Nil means
// not given.
type ReferenceOptions struct {
	TTL, MinTTL, MaxTTL, StaleMax, NegativeTTL, Overlap, Timeout *time.Duration

	Startup   *Startup
	OnMissing *OnMissing
	Trim      *Trim
	Format    string // raw, json, lines, keyset; "" if not given
}

// Apply sets the options that were given.
func (o ReferenceOptions) Apply(cfg *Config) {
	set := func(target, value *time.Duration) {
		switch {
		case value == nil:
		case *value == 0:
			*target = None
		default:
			*target = *value
		}
	}
	set(&cfg.TTL, o.TTL)
	set(&cfg.MinTTL, o.MinTTL)
	set(&cfg.MaxTTL, o.MaxTTL)
	set(&cfg.StaleMax, o.StaleMax)
	set(&cfg.NegativeTTL, o.NegativeTTL)
	set(&cfg.Overlap, o.Overlap)
	set(&cfg.FetchTimeout, o.Timeout)
	if o.Startup != nil {
		cfg.Startup = *o.Startup
	}
	if o.OnMissing != nil {
		cfg.OnMissing = *o.OnMissing
	}
	if o.Trim != nil {
		cfg.Trim = *o.Trim
	}
}

// Schemes that are Parley's although nothing follows but a colon. A value such as
// "user:password" is not a reference.
var opaqueSchemes = []string{"awskms", "cred", "env", "exec", "file", "func", "static"}

var (
	schemePattern    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)
	hierarchyPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)
)

// IsReference reports whether text is meant as a reference: it begins with a
// scheme and ://, or with a scheme of Parley and a colon. A text like that is
// never taken for a secret, also when its scheme is unknown. Values that are URLs
// themselves name their schemes in literal: IsReference(text, "postgres").
func IsReference(text string, literal ...string) bool {
	text = unbraced(text)
	scheme, _, found := strings.Cut(text, ":")
	if !found {
		return false
	}
	scheme = strings.ToLower(scheme)
	if slices.Contains(literal, scheme) {
		return false
	}
	return hierarchyPattern.MatchString(text) || slices.Contains(opaqueSchemes, scheme)
}

func unbraced(text string) string {
	inner, opened := strings.CutPrefix(text, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if opened && closed && schemePattern.MatchString(inner) {
		return inner
	}
	return text
}

// ParseReference parses a reference. Its errors are Misconfigured and quote only
// the scheme and the names of options: anything else may be a secret that
// somebody put where a reference belongs.
func ParseReference(text string) (Reference, error) {
	text = unbraced(text)
	scheme, rest, found := strings.Cut(text, ":")
	if !found || !schemePattern.MatchString(text) {
		return Reference{}, Errorf(Misconfigured, "not a reference: it has no scheme")
	}
	ref := Reference{Scheme: strings.ToLower(scheme)}
	if ref.Scheme == "static" { // the rest is the value, whatever it looks like
		ref.Value = NewSecret(rest)
		return ref, nil
	}
	place, field, hasField := strings.Cut(rest, "#")
	place, query, _ := strings.Cut(place, "?")
	var err error
	if hasField {
		if ref.Field, err = url.PathUnescape(field); err != nil || ref.Field == "" {
			return Reference{}, ref.wrong("the field after # is empty or wrongly escaped")
		}
	}
	if hierarchy, ok := strings.CutPrefix(place, "//"); ok {
		authority, path, hasPath := strings.Cut(hierarchy, "/")
		if hasPath {
			path = "/" + path
		}
		if strings.Contains(authority, "@") {
			return Reference{}, ref.wrong("a user or password before the host is not allowed")
		}
		ref.Authority = authority
		ref.Path, err = url.PathUnescape(path)
	} else {
		ref.Opaque, err = url.PathUnescape(place)
	}
	if err != nil {
		return Reference{}, ref.wrong("wrongly escaped")
	}
	if ref.Authority == "" && ref.Path == "" && ref.Opaque == "" {
		return Reference{}, ref.wrong("nothing follows the scheme")
	}
	if strings.ContainsFunc(ref.Authority+ref.Path+ref.Opaque+ref.Field, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Reference{}, ref.wrong("contains a control character")
	}
	if err := ref.parseOptions(query); err != nil {
		return Reference{}, err
	}
	return ref, nil
}

func (r *Reference) wrong(format string, args ...any) *Error {
	return Errorf(Misconfigured, "reference %s: "+format, append([]any{r.Scheme}, args...)...)
}

// parseOptions splits the query into the options of the engine and of the source.
func (r *Reference) parseOptions(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return r.wrong("the options are wrongly escaped")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		parse, known := engineOptions[name]
		if len(values[name]) != 1 {
			if known {
				return r.wrong("option %q is given twice", name)
			}
			if r.Repeated == nil {
				r.Repeated = make(map[string][]string)
			}
			r.Repeated[name] = values[name]
			continue
		}
		if !known {
			if r.Options == nil {
				r.Options = make(map[string]string)
			}
			r.Options[name] = values[name][0]
			continue
		}
		if !parse(&r.Engine, values[name][0]) {
			return r.wrong("option %q has a value that is not understood", name)
		}
	}
	return nil
}

// engineOptions is the table of the engine's options.
var engineOptions = map[string]func(*ReferenceOptions, string) bool{
	"ttl":       duration(func(o *ReferenceOptions) **time.Duration { return &o.TTL }),
	"min_ttl":   duration(func(o *ReferenceOptions) **time.Duration { return &o.MinTTL }),
	"max_ttl":   duration(func(o *ReferenceOptions) **time.Duration { return &o.MaxTTL }),
	"stale_max": duration(func(o *ReferenceOptions) **time.Duration { return &o.StaleMax }),
	"neg_ttl":   duration(func(o *ReferenceOptions) **time.Duration { return &o.NegativeTTL }),
	"overlap":   duration(func(o *ReferenceOptions) **time.Duration { return &o.Overlap }),
	"timeout":   duration(func(o *ReferenceOptions) **time.Duration { return &o.Timeout }),
	"startup": func(o *ReferenceOptions, text string) bool {
		i := slices.Index(startupNames[:], text)
		policy := Startup(max(i, 0))
		o.Startup = &policy
		return i >= 0
	},
	"on_missing": func(o *ReferenceOptions, text string) bool {
		reaction := Retain
		if text == "drop" {
			reaction = Drop
		}
		o.OnMissing = &reaction
		return text == "retain" || text == "drop"
	},
	"trim": func(o *ReferenceOptions, text string) bool {
		trim := TrimNewline
		if text == "none" {
			trim = TrimNone
		}
		o.Trim = &trim
		return text == "nl" || text == "none"
	},
	"format": func(o *ReferenceOptions, text string) bool {
		o.Format = text
		return slices.Contains([]string{"raw", "json", "lines", "keyset"}, text)
	},
}

// duration parses "90s", "1h30m", or a whole number of seconds; not negative, and
// at most ten years.
func duration(target func(*ReferenceOptions) **time.Duration) func(*ReferenceOptions, string) bool {
	const most = 10 * 365 * 24 * time.Hour
	return func(o *ReferenceOptions, text string) bool {
		d, err := time.ParseDuration(text)
		if seconds, numeric := strconv.ParseInt(text, 10, 32); numeric == nil {
			d, err = time.Duration(seconds)*time.Second, nil
		}
		*target(o) = &d
		return err == nil && d >= 0 && d <= most
	}
}

// String returns the reference without its options, which is safe to log: the
// value of a static: reference is REDACTED.
func (r Reference) String() string {
	text := r.Scheme + ":"
	switch {
	case r.Scheme == "static":
		return text + redacted
	case r.Opaque != "":
		text += (&url.URL{Path: r.Opaque}).EscapedPath()
	default:
		text += "//" + r.Authority + (&url.URL{Path: r.Path}).EscapedPath()
	}
	if r.Field != "" {
		text += "#" + url.PathEscape(r.Field)
	}
	return text
}

// MarshalText returns String.
func (r Reference) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// List returns the values of an option that may be given more than once, in their
// order.
func (r Reference) List(name string) []string {
	if value, once := r.Options[name]; once {
		return []string{value}
	}
	return r.Repeated[name]
}

// Only returns an error if the reference has an option of the source that is none of
// names, or one that is given twice. A name that ends in * may be given often.
func (r Reference) Only(names ...string) error {
	for _, given := range slices.Sorted(maps.Keys(r.Options)) {
		if !slices.Contains(names, given) && !slices.Contains(names, given+"*") {
			return r.wrong("unknown option %q", given)
		}
	}
	for _, given := range slices.Sorted(maps.Keys(r.Repeated)) {
		if !slices.Contains(names, given+"*") {
			return r.wrong("option %q is given twice", given)
		}
	}
	return nil
}

// Plain returns an error unless the reference asks for one whole value and no
// options of a source: no field, no format but raw. For openers of sources that
// have nothing else.
func (r Reference) Plain() error {
	switch {
	case r.Field != "":
		return r.wrong("a field after # is not supported by this source")
	case r.Engine.Format != "" && r.Engine.Format != "raw":
		return r.wrong("format %q is not supported by this source", r.Engine.Format)
	}
	return r.Only()
}
