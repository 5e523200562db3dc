package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source"
	"github.com/parley-backend/parley/credential/source/file"
)

// Access is what a command needs to talk to the server that these options describe, on its behalf.
type Access struct {
	URL   string // of the mount path, without a slash at its end
	AppID string
	// MasterKey is the current value of the master key; the caller wipes it.
	MasterKey credential.Secret
}

// Access finds out where the server is and what opens it, as serve does: from the options, and where they say nothing from
// the generated files in the data folder. It makes nothing. url and keyFile, when not "", stand for what the options say.
func (v *Values) Access(ctx context.Context, url, keyFile string) (Access, error) {
	a := Access{URL: strings.TrimRight(url, "/"), AppID: v.String("appId")}
	var err error
	if a.URL == "" {
		if a.URL, err = v.localURL(); err != nil {
			return Access{}, err
		}
	}
	generated := a.AppID == "" && !v.Has("masterKey")
	if a.AppID == "" {
		text, err := os.ReadFile(filepath.Join(keysDir(v.String("dataDir")), "appId"))
		if err != nil {
			return Access{}, Problem{"appId", "is neither configured nor in the data folder: " + words(err)}
		}
		a.AppID = string(bytes.TrimSpace(text))
	}
	cfg := credential.Config{Name: "masterKey"}
	switch {
	case keyFile != "":
		path, err := filepath.Abs(keyFile)
		if err != nil {
			return Access{}, err
		}
		cfg.Source = file.New(path, 0)
	case generated:
		path, err := filepath.Abs(filepath.Join(keysDir(v.String("dataDir")), "masterKey"))
		if err != nil {
			return Access{}, err
		}
		cfg.Source = file.New(path, 0)
	case len(v.Secret("masterKey")) == 0:
		return Access{}, Problem{"masterKey", "is not configured; name a file that holds it"}
	default:
		if err := source.All().ConfigureChain(&cfg, v.Secret("masterKey")); err != nil {
			return Access{}, Problem{"masterKey", err.Error()}
		}
	}
	if a.MasterKey, err = readOnce(ctx, cfg); err != nil {
		return Access{}, Problem{"masterKey", err.Error()}
	}
	return a, nil
}

// localURL is where the server listens, seen from this machine.
func (v *Values) localURL() (string, error) {
	host, port := v.String("host"), v.Int("port")
	if port <= 0 || port > 65535 {
		return "", Problem{"port", "does not say where the server is; name its URL"}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(port)) + strings.TrimRight(v.String("mountPath"), "/"), nil
}

// readOnce reads the current value of a credential.
func readOnce(ctx context.Context, cfg credential.Config) (credential.Secret, error) {
	cfg.Present, cfg.Startup = true, credential.Degraded
	c, err := credential.New(cfg)
	if err != nil {
		return credential.Secret{}, err
	}
	defer c.Stop()
	present, err := credential.Present(c)
	if err != nil {
		return credential.Secret{}, err
	}
	if err := c.Start(ctx); err != nil {
		return credential.Secret{}, err
	}
	lease, err := present.Acquire(ctx)
	if err != nil {
		return credential.Secret{}, err
	}
	return credential.NewSecret(lease.Value.Reveal()), nil
}

// words are what the system says of a file, with its path.
func words(err error) string {
	var perr *fs.PathError
	if errors.As(err, &perr) {
		return fmt.Sprintf("%s: %v", perr.Path, perr.Err)
	}
	return err.Error()
}
