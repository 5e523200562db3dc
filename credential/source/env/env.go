// Package env is the source of the reference env:NAME, a variable of the
// environment, and of env:NAME#field, one of several in a JSON document. The environment of a process does not change from outside while it
// runs, so neither does the credential: to rotate without a restart use a file or a
// store.
package env

import (
	"context"
	"os"

	"github.com/parley-backend/parley/credential"
)

// Open makes the source of env:NAME.
func Open(ref credential.Reference) (credential.Source, error) {
	if ref.Opaque == "" || ref.Authority != "" {
		return nil, credential.Errorf(credential.Misconfigured, "reference env: write env:NAME")
	}
	if err := ref.Only(); err != nil {
		return nil, err
	}
	decoder, err := ref.Decoder()
	if err != nil {
		return nil, err
	}
	return source{name: ref.Opaque, decoder: decoder}, nil
}

type source struct {
	name    string
	decoder credential.Decoder
}

// Fetch reads the variable. One that is not set is Missing; an empty one is
// refused by the engine.
func (s source) Fetch(context.Context) (credential.Payload, error) {
	value, set := os.LookupEnv(s.name)
	if !set {
		return credential.Payload{}, credential.Errorf(credential.Missing, "the environment has no variable %s", s.name)
	}
	content := []byte(value)
	defer clear(content)
	return s.decoder.Payload(content, credential.Version{})
}

func (s source) Info() credential.Info {
	return credential.Info{Scheme: "env", Location: s.name, Immutable: true}
}
