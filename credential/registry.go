package credential

import (
	"maps"
	"slices"
	"strings"
)

// Opener makes a Source of a reference. It checks the reference and does no I/O;
// its errors are Misconfigured.
type Opener func(Reference) (Source, error)

// Registry holds the sources that a configuration may refer to, by scheme. It is
// an ordinary value that whoever reads the configuration fills:
//
//	credential.Registry{"env": env.Open, "file": file.Open}
type Registry map[string]Opener

// Open makes the source that the reference names.
func (r Registry) Open(ref Reference) (Source, error) {
	open, known := r[ref.Scheme]
	if !known {
		return nil, Errorf(Misconfigured, "unknown scheme %q: known are %s", ref.Scheme, strings.Join(r.Schemes(), ", "))
	}
	return open(ref)
}

// Schemes returns the known schemes in order.
func (r Registry) Schemes() []string { return slices.Sorted(maps.Keys(r)) }

// Configure sets cfg.Source, and the options that come with it, from the text of a
// configuration: a reference, or else a literal value. A text that looks like a
// reference but cannot be opened is an error and never a value; literal names the
// schemes of values that are URLs themselves.
func (r Registry) Configure(cfg *Config, text string, literal ...string) error {
	if !IsReference(text, literal...) {
		cfg.Source = Literal(text)
		return nil
	}
	ref, err := ParseReference(text)
	if err != nil {
		return asError(err).about(cfg.Name)
	}
	if ref.group() && !cfg.Present {
		return ref.wrong("a group of fields is for what Parley presents: name the one that is the key").about(cfg.Name)
	}
	source, err := r.Open(ref)
	if err != nil {
		return asError(err).about(cfg.Name)
	}
	ref.Engine.Apply(cfg)
	cfg.Source = source
	return nil
}
