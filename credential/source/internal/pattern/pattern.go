// Package pattern compiles regular expressions when they are first used. A server links the sources of every store and asks one or
// two of them; compiling the patterns of all took milliseconds of each start.
package pattern

import (
	"regexp"
	"sync"
)

// A Lazy is a regular expression that is compiled at its first use.
type Lazy struct {
	text     string
	once     sync.Once
	compiled *regexp.Regexp
}

// New returns a Lazy of a pattern, which must compile: using it panics otherwise.
func New(text string) *Lazy { return &Lazy{text: text} }

// MatchString is that of [regexp.Regexp].
func (l *Lazy) MatchString(s string) bool {
	l.once.Do(func() { l.compiled = regexp.MustCompile(l.text) })
	return l.compiled.MatchString(s)
}
