// Package source has all sources that a credential may refer to, for programs that leave the choice to their
// configuration. A program that knows where its credentials are imports that one source below here instead, and
// does not link the clients of the others.
package source

import (
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/awskms"
	"github.com/parley-backend/parley/credential/source/awssm"
	"github.com/parley-backend/parley/credential/source/azkv"
	"github.com/parley-backend/parley/credential/source/env"
	"github.com/parley-backend/parley/credential/source/exec"
	"github.com/parley-backend/parley/credential/source/file"
	"github.com/parley-backend/parley/credential/source/gcpsm"
	"github.com/parley-backend/parley/credential/source/https"
	"github.com/parley-backend/parley/credential/source/mount"
	"github.com/parley-backend/parley/credential/source/static"
	"github.com/parley-backend/parley/credential/source/vault"
)

// All returns the sources by the scheme of their references. It lacks nats-kv, which reads over a connection to NATS that
// the caller has: natskv.Opener.
func All() credential.Registry {
	return credential.Registry{
		"awskms":    awskms.Opener(),
		"awssm":     awssm.Opener(),
		"awsssm":    awssm.ParameterOpener(),
		"azkv":      azkv.Opener(azkv.Options{}),
		"cred":      mount.OpenCred,
		"env":       env.Open,
		"exec":      exec.Open,
		"file":      file.Open,
		"gcpsm":     gcpsm.Opener(),
		"http":      https.Open,
		"https":     https.Open,
		"k8s-mount": mount.Open,
		"static":    static.Open,
		"vault":     vault.Opener(),
	}
}
