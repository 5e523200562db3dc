package credential

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a Secret says of itself, in every formatting and encoding.
const redacted = "REDACTED"

// Secret holds the bytes of a secret value and never prints them. Every way in
// which Go turns a value into text (fmt with any verb, slog, encoding/json,
// encoding.TextMarshaler, encoding/gob) yields the word REDACTED. The zero
// value is an empty secret.
//
// The bytes stand behind a pointer on purpose: fmt cannot call methods on an
// unexported field of somebody else's struct, and then prints what it finds by
// reflection, which for a pointer below the top level is an address.
type Secret struct {
	sealed *sealed
}

type sealed struct {
	bytes []byte
}

// NewSecret copies value into a Secret.
func NewSecret[T ~string | ~[]byte](value T) Secret {
	if len(value) == 0 {
		return Secret{}
	}
	return Secret{sealed: &sealed{bytes: append([]byte(nil), value...)}}
}

// Reveal returns a copy of the bytes. It is the only way to the value; whoever
// calls it is answerable for where the copy goes.
func (s Secret) Reveal() []byte {
	return append([]byte(nil), s.raw()...)
}

// Len returns the length in bytes.
func (s Secret) Len() int { return len(s.raw()) }

// Wipe overwrites the bytes with zeros, in every copy of this Secret.
func (s Secret) Wipe() {
	clear(s.raw())
}

func (s Secret) raw() []byte {
	if s.sealed == nil {
		return nil
	}
	return s.sealed.bytes
}

// String returns REDACTED.
func (s Secret) String() string { return redacted }

// GoString returns REDACTED.
func (s Secret) GoString() string { return redacted }

// Format writes REDACTED for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns REDACTED.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns "REDACTED".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns REDACTED; YAML, XML and map keys go through it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalBinary returns REDACTED; encoding/gob goes through it.
func (s Secret) MarshalBinary() ([]byte, error) { return []byte(redacted), nil }
