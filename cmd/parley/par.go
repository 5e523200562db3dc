package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source"
	"github.com/parley-backend/parley/wasmcloud/claims"
	"github.com/parley-backend/parley/wasmcloud/par"
)

// parCommand is `parley wasmcloud par`.
type parCommand struct {
	File    string            `arg:"" help:"The archive to write. It is compressed unless its name ends in .par."`
	Binary  map[string]string `help:"The executable for a target, as x86_64-linux=bin/provider; once for each." placeholder:"TARGET=FILE" mapsep:"none"`
	World   string            `help:"The interfaces in WIT, as a binary package of WebAssembly." placeholder:"FILE"`
	Name    string            `help:"The provider's name." placeholder:"NAME"`
	Vendor  string            `help:"Who makes the provider." placeholder:"NAME"`
	Version string            `help:"The provider's version, as 1.2.3." placeholder:"VERSION"`
	Rev     *int32            `help:"The provider's revision, a number." placeholder:"N"`
	Expires time.Duration     `help:"How long the signature is good; for ever by default." placeholder:"DURATION"`
	Insert  bool              `help:"Keep what the archive holds; what is not named stays as it is."`
	Keys    string            `help:"Folder for keys that are named by nothing else; parley/wasmcloud in the user's configuration folder by default." placeholder:"DIR"`
	Issuer  string            `help:"The seed of the account that signs: a credential reference, or a file, which is made if it does not exist." placeholder:"REF|FILE"`
	Subject string            `help:"The seed of the provider: a credential reference, or a file, which is made if it does not exist. With --insert it is not needed." placeholder:"REF|FILE"`
}

// run reads keys and old contents, and puts the new archive in place when it is whole.
func (c *parCommand) run(env environment) error {
	now, err := buildTime(env)
	if err != nil {
		return err
	}
	d := par.Description{IssuedAt: now, Plain: strings.HasSuffix(c.File, ".par")}
	if c.Expires > 0 {
		d.Expires = now.Add(c.Expires)
	}
	var files []par.Target
	if c.Insert {
		if files, err = c.old(&d); err != nil {
			return err
		}
	}
	set(&d.Name, c.Name)
	set(&d.Vendor, c.Vendor)
	set(&d.Version, c.Version)
	if c.Rev != nil {
		d.Revision = *c.Rev
	}
	if d.Name == "" || d.Vendor == "" {
		return errors.New("--name and --vendor are needed: hosts and secret stores show them")
	}
	for _, target := range slices.Sorted(maps.Keys(c.Binary)) {
		files = append(files, par.File(target, c.Binary[target]))
	}
	if c.World != "" {
		files = append(files, par.File(par.World, c.World))
	}
	issuer, err := c.keys(env, &d)
	if err != nil {
		return err
	}
	defer issuer.Wipe()
	if err := replace(c.File, func(w io.Writer) error { return par.Write(w, d, issuer, files...) }); err != nil {
		return err
	}
	a, err := par.Open(c.File, par.Options{Policy: claims.Policy{Issuers: []string{issuer.Public()}, Now: func() time.Time { return now }}})
	if err != nil {
		return err
	}
	return printArchive(env.out, c.File, a, nil)
}

func set(to *string, value string) {
	if value != "" {
		*to = value
	}
}

// old is what the archive holds that is not replaced. An archive that is not good is not signed anew.
func (c *parCommand) old(d *par.Description) ([]par.Target, error) {
	a, err := par.Open(c.File, par.Options{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	p := a.Claims.Provider
	d.Subject, d.Name, d.Vendor, d.Version, d.Revision, d.ConfigSchema = a.Claims.Subject, p.Name, p.Vendor, p.Version, p.Revision, p.ConfigSchema
	return slices.DeleteFunc(a.Targets, func(t par.Target) bool {
		_, replaced := c.Binary[t.Name]
		return replaced || t.Name == par.World && c.World != ""
	}), nil
}

// keys finds the issuer's key and sets the subject. What is generated is told, and never the seed.
func (c *parCommand) keys(env environment, d *par.Description) (*claims.Key, error) {
	issuer, err := c.key(env, "issuer", c.Issuer, "account", claims.Account)
	if err != nil {
		return nil, err
	}
	if d.Subject != "" && c.Subject == "" {
		return issuer, nil
	}
	subject, err := c.key(env, "subject", c.Subject, fileName(d.Vendor)+"_"+fileName(d.Name), claims.Provider)
	if err != nil {
		issuer.Wipe()
		return nil, err
	}
	d.Subject = subject.Public()
	subject.Wipe()
	return issuer, nil
}

var unsuited = regexp.MustCompile(`[^a-zA-Z0-9-]+`)

// fileName makes a part of a file's name of any text.
func fileName(text string) string { return unsuited.ReplaceAllString(text, "_") }

// key reads the seed that a flag names. Without the flag it is in the folder for keys, under a name of its own.
func (c *parCommand) key(env environment, flag, place, name string, kind claims.Kind) (*claims.Key, error) {
	var seed credential.Secret
	var err error
	switch {
	case credential.IsReference(place):
		seed, err = fetch(env.ctx, place)
	default:
		if place == "" {
			if place, err = c.folder(env); err != nil {
				return nil, err
			}
			place = filepath.Join(place, name+".nk")
		}
		seed, err = readOrMake(env, place, kind)
	}
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	text := seed.Reveal()
	defer clear(text)
	k, err := claims.ParseSeed(text)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	if k.Kind() != kind {
		return nil, fmt.Errorf("--%s: it is the seed of one %v, and one of %v is needed (S%s...)", flag, k.Kind(), kind, kind.Letter())
	}
	return k, nil
}

func (c *parCommand) folder(env environment) (string, error) {
	if c.Keys != "" {
		return c.Keys, nil
	}
	for _, name := range []struct{ variable, below string }{{"XDG_CONFIG_HOME", ""}, {"APPDATA", ""}, {"HOME", ".config"}} {
		if dir := lookup(env, name.variable); dir != "" {
			return filepath.Join(dir, name.below, "parley", "wasmcloud"), nil
		}
	}
	return "", errors.New("there is no folder for keys: name one with --keys")
}

// fetch asks the source of a reference once.
func fetch(ctx context.Context, text string) (credential.Secret, error) {
	ref, err := credential.ParseReference(text)
	if err != nil {
		return credential.Secret{}, err
	}
	from, err := source.All().Open(ref)
	if err != nil {
		return credential.Secret{}, err
	}
	p, err := from.Fetch(ctx)
	if err != nil {
		return credential.Secret{}, err
	}
	for _, v := range p.Versions {
		if v.State == credential.Current {
			return v.Value, nil
		}
	}
	return credential.Secret{}, credential.Errorf(credential.Missing, "there is no current version")
}

// readOrMake reads the file with a seed, or makes it, for its owner's eyes only.
func readOrMake(env environment, path string, kind claims.Kind) (credential.Secret, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		defer clear(text)
		return credential.NewSecret(text), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return credential.Secret{}, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return credential.Secret{}, err
	}
	k := claims.Generate(kind)
	defer k.Wipe()
	text = k.Seed().Reveal()
	defer clear(text)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return credential.Secret{}, err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return credential.Secret{}, err
	}
	fmt.Fprintf(env.errs, "parley: made the key of one %v in %s: keep it, the next version is signed with it\n", kind, path)
	return credential.NewSecret(text), nil
}

// replace writes a file beside path and moves it there when it is whole.
func replace(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// buildTime is the time that a build says it has, or the present one.
func buildTime(env environment) (time.Time, error) {
	text := lookup(env, "SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Now(), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, errors.New("SOURCE_DATE_EPOCH is not a number of seconds")
	}
	return time.Unix(seconds, 0), nil
}

func lookup(env environment, name string) string {
	for _, pair := range slices.Backward(env.environ) {
		if value, found := strings.CutPrefix(pair, name+"="); found {
			return value
		}
	}
	return ""
}
