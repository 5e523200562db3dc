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
// and renames it over the old one. A file that is reached through a link is not written: whoever made the link,
// such as the kubelet, replaces what it points to.
func (s *source) Write(_ context.Context, value credential.Secret) (string, error) {
	if !s.decoder.Whole() {
		return "", credential.NotWritable("the file holds more than this value")
	}
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
	return "", s.replace(value, before)
}

func (s *source) replace(value credential.Secret, before fs.FileInfo) error {
	f, err := os.CreateTemp(filepath.Dir(s.path), "."+filepath.Base(s.path)+".new-*") // made with mode 0600
	if err != nil {
		return s.failed(err)
	}
	content := value.Reveal()
	defer clear(content)
	_, err = f.Write(content)
	if err == nil && before != nil {
		keepOwner(f, before) // before the mode: a new owner clears some of its bits
		err = f.Chmod(before.Mode().Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
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
