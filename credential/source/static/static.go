// Package static is the source of the reference static:VALUE, a literal in the
// form of a reference. It is for trying things out: whoever reads the
// configuration reads the secret.
package static

import (
	"context"

	"github.com/parley-backend/parley/credential"
)

// Open makes the source of static:VALUE. Everything after the colon is the value.
func Open(ref credential.Reference) (credential.Source, error) {
	if ref.Value.Len() == 0 {
		return nil, credential.Errorf(credential.Misconfigured, "reference static: the value is missing")
	}
	return source{literal: credential.Literal(string(ref.Value.Reveal()))}, nil
}

type source struct {
	literal credential.Source
}

func (s source) Fetch(ctx context.Context) (credential.Payload, error) { return s.literal.Fetch(ctx) }

func (s source) Info() credential.Info {
	return credential.Info{Scheme: "static", Immutable: true, Warnings: []string{"static: is for development, the configuration itself holds the secret"}}
}
