package mount

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/file"
)

// secrets is where Docker and Podman put the secrets of a container.
const secrets = "/run/secrets"

// OpenCred makes the source of cred:name: the file of that name in the directory that
// systemd names in CREDENTIALS_DIRECTORY, or in /run/secrets where the service was not
// started by systemd. It takes the option poll of file:.
func OpenCred(ref credential.Reference) (credential.Source, error) {
	name, folder := ref.Opaque, os.Getenv("CREDENTIALS_DIRECTORY")
	if folder == "" {
		folder = secrets
	}
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\`) || ref.Authority != "" || ref.Path != "":
		return nil, credential.Errorf(credential.Misconfigured, "reference cred: write cred:name")
	case !filepath.IsAbs(folder):
		return nil, credential.Errorf(credential.Misconfigured, "reference cred: CREDENTIALS_DIRECTORY is not a path that begins with a slash")
	}
	ref.Opaque, ref.Path = "", filepath.Join(folder, name)
	opened, err := file.Open(ref)
	if err != nil {
		return nil, err
	}
	return cred{opened.(credential.Watcher)}, nil
}

// cred is a file that whoever started the service keeps: it is never written.
type cred struct{ credential.Watcher }

func (c cred) Info() credential.Info {
	info := c.Watcher.Info()
	info.Scheme = "cred"
	return info
}
