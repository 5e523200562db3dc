package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/parley-backend/parley/credential"
)

// Write implements credential.Writer: it writes a file beside the old one, with its mode and, where the process may, its owner,
// and renames it over the old one. In a document the field changes and nothing else; one that somebody else changes at the same
// time is left alone. A file that is reached through a link is not written: whoever made the link,
// such as the kubelet, replaces what it points to.
func (s *source) Write(ctx context.Context, value credential.Secret) (string, error) {
	before, err := os.Lstat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		before = nil
	case err != nil:
		return "", s.failed(err)
	case before.Mode()&fs.ModeSymlink != 0:
		return "", credential.NotWritable("the file is a link: replace what it points to")
	case !before.Mode().IsRegular():
		return "", credential.NotWritable("it is not a regular file")
	}
	var document []byte
	var read look
	if !s.decoder.Whole() {
		if document, read, err = s.settled(ctx); err != nil {
			return "", err
		}
		defer clear(document)
	}
	content, err := s.decoder.Replace(document, value)
	if err != nil {
		return "", err
	}
	defer clear(content)
	return "", s.replace(content, before, read)
}

// replace puts content in the place of the file, of which before is what is to be kept, and read how it looked when the
// document was read that content was made of, if it was.
func (s *source) replace(content []byte, before fs.FileInfo, read look) error {
	f, err := os.CreateTemp(filepath.Dir(s.path), "."+filepath.Base(s.path)+".new-*") // made with mode 0600
	if err != nil {
		return s.failed(err)
	}
	_, err = f.Write(content)
	if err == nil && before != nil {
		keepOwner(f, before) // before the mode: a new owner clears some of its bits
		err = f.Chmod(before.Mode().Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil && read.info != nil && !lookAt(s.path).same(read) {
		_ = os.Remove(f.Name())
		return credential.Errorf(credential.Unavailable, "%s was changed by somebody else at the same time", s.path)
	}
	if err == nil {
		err = os.Rename(f.Name(), s.path)
	}
	if err != nil {
		return s.failed(errors.Join(err, os.Remove(f.Name())))
	}
	if err := syncFolder(filepath.Dir(s.path)); err != nil {
		return s.failed(err)
	}
	return nil
}
