// Package disk keeps what the credential engine must remember beyond the life of a process in files: which versions were
// revoked, and what was read last. Every file has mode 0600, is replaced as a whole, is on the disk when a write returns, and carries an HMAC under the
// install key, so that one that was cut short or changed by hand is noticed and never half believed. No file holds a value
// of a credential, only keyed or salted digests.
//
// folder.go opens the folder, sealed.go is the form of the files, revocations.go what is revoked, lastgood.go what was
// read last.
package disk

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/parley-backend/parley/credential"
)

// A sealed file is one line and a JSON value:
//
//	parley PURPOSE 2 HMAC-SHA256 in hexadecimal
//	{…}
//
// The HMAC is over the first three words, a newline, and the JSON. The purpose keeps one file from being taken for another. The
// number is that of the form: what is in a file of another form is not believed.
type sealed struct {
	path    string
	purpose string
	key     credential.Secret
}

// maxSize bounds what is read: far more than any of these files can need.
const maxSize = 16 << 20

// read decodes the file into v, or says why it must not be believed. A file that does not exist is fs.ErrNotExist.
func (s sealed) read(v any) error {
	f, err := os.Open(s.path)
	if err != nil {
		return s.failed("cannot be read", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return s.failed("cannot be read", err)
	}
	if len(data) > maxSize {
		return fmt.Errorf("%s is too large to be a file of Parley", s.path)
	}
	body, mac, ok := split(data, s.title())
	if !ok {
		return fmt.Errorf("%s is damaged: it does not begin with %q", s.path, s.title())
	}
	if !hmac.Equal(mac, s.mac(body)) {
		return fmt.Errorf("%s is damaged, was changed by hand, or belongs to another install key", s.path)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s holds nothing that this version understands", s.path)
	}
	return nil
}

// split takes a file apart; ok is false when it is none of that title.
func split(data []byte, title string) (body, mac []byte, ok bool) {
	line, body, found := bytes.Cut(data, []byte("\n"))
	mac, isTitle := bytes.CutPrefix(line, []byte(title+" "))
	return body, mac, found && isTitle
}

// write replaces the file by v. When it returns nil the new file is on the disk, under its name; when it returns an error
// the old one is still whole.
func (s sealed) write(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s cannot be encoded: %w", s.path, err)
	}
	body = append(body, '\n')
	text := fmt.Appendf(nil, "%s %s\n%s", s.title(), s.mac(body), body)
	return s.failed("cannot be written", replace(s.path, text))
}

func (s sealed) title() string { return "parley " + s.purpose + " 2" }

// mac returns the seal of a body, in hexadecimal.
func (s sealed) mac(body []byte) []byte {
	key := s.key.Reveal()
	defer clear(key)
	h := hmac.New(sha256.New, key)
	io.WriteString(h, s.title()+"\n")
	h.Write(body)
	return hex.AppendEncode(nil, h.Sum(nil))
}

// failed puts the path before the words of the system, once.
func (s sealed) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	var perr *fs.PathError
	var lerr *os.LinkError
	switch {
	case errors.As(err, &perr):
		err = perr.Err
	case errors.As(err, &lerr):
		err = lerr.Err
	}
	return fmt.Errorf("%s %s: %w", s.path, what, err)
}

// replace writes a file beside path, with mode 0600, and renames it over path; both the file and its name are on the disk when
// it returns.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(filepath.Dir(path))
}
