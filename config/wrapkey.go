package config

import (
	"context"
	"slices"

	"github.com/parley-backend/parley/credential"
)

// wrapSchemes are the sources that lastKnownGoodKey may be read from: those that answer while the stores of secrets are down.
var wrapSchemes = []string{"env", "file", "cred", "k8s-mount", "exec"}

const wrapElsewhere = "is needed while the stores of secrets are down: keep it in a file, a variable, a credential of systemd, or have a program print it"

// wrapKey returns what reads the option lastKnownGoodKey, nil when it is not set. It is read anew each time, so that it may change; what
// was encrypted with the one before is not used any more.
func (b *builder) wrapKey(registry credential.Registry) func(context.Context) (credential.Secret, error) {
	const name = "lastKnownGoodKey"
	texts := b.v.Secret(name)
	if len(texts) == 0 {
		return nil
	}
	for _, text := range texts {
		if !credential.IsReference(text) {
			continue
		}
		cfg := credential.Config{Name: name, Present: true}
		ref, err := credential.ParseReference(text)
		if _, known := registry[ref.Scheme]; err == nil && known && !slices.Contains(wrapSchemes, ref.Scheme) {
			b.problem(name, wrapElsewhere)
			return nil
		}
		if err := registry.Configure(&cfg, text); err != nil {
			b.problem(name, "%v", err)
			return nil
		}
	}
	return func(ctx context.Context) (credential.Secret, error) {
		cfg := credential.Config{Name: name}
		if err := registry.ConfigureChain(&cfg, texts); err != nil {
			return credential.Secret{}, err
		}
		return readOnce(ctx, cfg)
	}
}
