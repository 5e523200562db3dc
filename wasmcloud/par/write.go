package par

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/parley-backend/parley/wasmcloud/claims"
)

// Description is what an archive says of its provider.
type Description struct {
	Subject  string // the provider's public key, V...; it stays the same from version to version
	Name     string
	Vendor   string
	Version  string
	Revision int32

	IssuedAt     time.Time       // now if zero
	Expires      time.Time       // never if zero
	ConfigSchema json.RawMessage // a JSON schema of the config, or nothing

	Plain bool // not compressed
}

// Write writes an archive of the targets, signed by issuer, which is an account's key. The output depends on nothing but the arguments:
// the same description with the same IssuedAt, the same contents and the same key are the same bytes, in whatever order the targets are.
//
// An executable that is recognised as one for another target is an error, and so is one that changes while it is read.
func Write(w io.Writer, d Description, issuer *claims.Key, files ...Target) error {
	kind, _, err := claims.ParsePublic(d.Subject)
	if err != nil || kind != claims.Provider {
		return errors.New("par: the subject is not the public key of a provider")
	}
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b Target) int { return strings.Compare(order(a.Name), order(b.Name)) })
	hashes, executables := map[string]string{}, 0
	for i := range files {
		f := &files[i]
		if _, twice := hashes[f.Name]; twice {
			return fmt.Errorf("par: %s is there twice", f.Name)
		}
		if f.Size, f.Hash, err = measure(*f); err != nil {
			return err
		}
		hashes[f.Name] = f.Hash
		if f.Name != World {
			executables++
		}
	}
	if executables == 0 {
		return errors.New("par: an archive needs the executable for at least one target")
	}
	token, err := claims.Claims{
		Subject: d.Subject, IssuedAt: d.IssuedAt, Expires: d.Expires,
		Provider: &claims.ProviderClaims{
			Name: d.Name, Vendor: d.Vendor, Version: d.Version, Revision: d.Revision, TargetHashes: hashes, ConfigSchema: d.ConfigSchema,
		},
	}.Encode(issuer)
	if err != nil {
		return err
	}
	if d.Plain {
		return archive(w, token, files)
	}
	z := gzip.NewWriter(w)
	if err := archive(z, token, files); err != nil {
		return err
	}
	return z.Close()
}

// order sorts World before the executables.
func order(name string) string {
	if name == World {
		return ""
	}
	return name
}

// measure reads a target for the first time.
func measure(t Target) (size int64, sum string, err error) {
	if _, err := entry(t.Name); err != nil {
		return 0, "", err
	}
	if t.Hash != "" {
		return t.Size, t.Hash, nil // Read has measured it
	}
	r, err := t.Open()
	if err != nil {
		return 0, "", fmt.Errorf("par: the contents for %s: %w", t.Name, err)
	}
	defer r.Close()
	h, head := sha256.New(), &prefix{}
	size, err = io.Copy(io.MultiWriter(h, head), r)
	switch {
	case err != nil:
		return 0, "", fmt.Errorf("par: the contents for %s: %w", t.Name, err)
	case size == 0:
		return 0, "", fmt.Errorf("par: the contents for %s are empty", t.Name)
	}
	return size, digest(h), suits(t.Name, head.data)
}

func archive(w io.Writer, token string, files []Target) error {
	out := tar.NewWriter(w)
	if err := out.WriteHeader(fileHeader(tokenEntry, int64(len(token)), 0o644)); err != nil {
		return err
	}
	if _, err := io.WriteString(out, token); err != nil {
		return err
	}
	for _, f := range files {
		name, err := entry(f.Name)
		if err != nil {
			return err
		}
		mode := int64(0o755)
		if f.Name == World {
			mode = 0o644
		}
		if err := out.WriteHeader(fileHeader(name, f.Size, mode)); err != nil {
			return err
		}
		if err := again(out, f); err != nil {
			return err
		}
	}
	return out.Close()
}

// fileHeader has what GNU tar writes, and nothing of the machine it is written on.
func fileHeader(name string, size, mode int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: mode, ModTime: time.Unix(0, 0), Format: tar.FormatGNU}
}

// again copies a target and wants it to be what was measured.
func again(w io.Writer, t Target) error {
	r, err := t.Open()
	if err != nil {
		return fmt.Errorf("par: the contents for %s: %w", t.Name, err)
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, h), r); err != nil && !errors.Is(err, tar.ErrWriteTooLong) {
		return fmt.Errorf("par: the contents for %s: %w", t.Name, err)
	}
	if digest(h) != t.Hash {
		return fmt.Errorf("par: the contents for %s changed while they were read", t.Name)
	}
	return nil
}

func digest(h hash.Hash) string { return strings.ToUpper(hex.EncodeToString(h.Sum(nil))) }

// prefix keeps the first headBytes of what is written.
type prefix struct{ data []byte }

func (p *prefix) Write(b []byte) (int, error) {
	p.data = append(p.data, b[:min(len(b), headBytes-len(p.data))]...)
	return len(b), nil
}
