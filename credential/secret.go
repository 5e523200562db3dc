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
// The bytes stand behind a function on purpose: fmt cannot call methods on an
// unexported field of somebody else's struct, and then prints what it finds by
// reflection; of a pointer it follows some, of a function it prints the address.
type Secret struct {
	open func() []byte
}

// NewSecret copies value into a Secret.
func NewSecret[T ~string | ~[]byte](value T) Secret {
	if len(value) == 0 {
		return Secret{}
	}
	return sealed(append([]byte(nil), value...))
}

// sealed makes a Secret of the bytes themselves.
func sealed(value []byte) Secret {
	return Secret{open: func() []byte { return value }}
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
	if s.open == nil {
		return nil
	}
	return s.open()
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
