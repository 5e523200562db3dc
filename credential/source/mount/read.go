package mount

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/parley-backend/parley/credential"
)

const (
	maxGroup = 64 << 10 // bytes of all keys of a group
	maxKeys  = 100      // of a group that is not listed
	// pause is between two tries when a generation is removed while it is read.
	pause = 5 * time.Millisecond
)

// reading is what one generation holds.
type reading struct {
	generation string // its path
	created    time.Time
	names      []string
	keys       map[string][]byte
}

func (r reading) wipe() {
	for _, content := range r.keys {
		clear(content)
	}
}

// locate returns the directory of the volume, and the names of the keys in it. A key may
// lie in a directory of the volume.
func (s *source) locate() (volume string, names []string, err error) {
	if s.fields != nil {
		if _, err := os.Lstat(filepath.Join(s.path, data)); err != nil {
			return "", nil, s.noVolume(s.path, err)
		}
		return s.path, s.fields, nil
	}
	for volume = filepath.Dir(s.path); ; volume = filepath.Dir(volume) {
		_, err := os.Lstat(filepath.Join(volume, data))
		if err == nil {
			name, _ := filepath.Rel(volume, s.path)
			return volume, []string{filepath.ToSlash(name)}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || volume == filepath.Dir(volume) {
			return "", nil, s.noVolume(s.path, err)
		}
	}
}

// noVolume says why there is no volume: the path is not there at all, or it is there and
// nobody keeps it.
func (s *source) noVolume(path string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return s.failed(err)
	}
	if _, err := os.Stat(path); err != nil {
		return s.failed(err)
	}
	return credential.Errorf(credential.Misconfigured, "%s: not in a volume of Kubernetes. Mounted with subPath it would never change; mount the whole volume, or write file: for a file that others keep", path)
}

// read reads all keys in one generation. When that is swapped and removed meanwhile, the
// next one is read.
func (s *source) read(ctx context.Context) (reading, error) {
	for {
		volume, names, err := s.locate()
		if err != nil {
			return reading{}, err
		}
		generation, err := os.Readlink(filepath.Join(volume, data))
		if err != nil {
			return reading{}, s.failed(err)
		}
		if filepath.Base(generation) != generation || !strings.HasPrefix(generation, "..") || generation == ".." {
			return reading{}, credential.Errorf(credential.Invalid, "%s: the link ..data leads out of the volume", s.path)
		}
		r := reading{generation: filepath.Join(volume, generation), names: names, keys: make(map[string][]byte)}
		err = s.readAll(&r)
		if err == nil {
			return r, nil
		}
		r.wipe()
		if s.look() == r.generation {
			return reading{}, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return reading{}, credential.Errorf(credential.Unavailable, "%s: the volume kept changing while it was read", s.path)
		}
	}
}

// readAll reads the keys of a generation. It does not leave its directory, wherever the
// links in it lead.
func (s *source) readAll(r *reading) error {
	root, err := os.OpenRoot(r.generation)
	if err != nil {
		return s.failed(err)
	}
	defer root.Close()
	info, err := root.Stat(".")
	if err != nil {
		return s.failed(err)
	}
	r.created = info.ModTime() // nothing is written to a generation later
	if slices.Equal(r.names, []string{"*"}) {
		if r.names, err = s.list(root); err != nil {
			return err
		}
	}
	left := s.limit()
	for _, name := range r.names {
		content, err := s.readKey(root, name, left)
		if err != nil {
			return err
		}
		r.keys[name] = content
		left -= len(content)
	}
	return nil
}

// limit is how many bytes are read at most.
func (s *source) limit() int {
	if s.fields == nil {
		return s.decoder.Limit()
	}
	return maxGroup
}

// list returns the names of all keys of a generation.
func (s *source) list(root *os.Root) ([]string, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, s.failed(err)
	}
	var names []string
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			names = append(names, entry.Name())
		}
	}
	if len(names) == 0 || len(names) > maxKeys {
		return nil, credential.Errorf(credential.Invalid, "%s: the volume has no key, or more than %d", s.path, maxKeys)
	}
	return names, nil
}

func (s *source) readKey(root *os.Root, name string, left int) ([]byte, error) {
	path := filepath.FromSlash(name)
	info, err := root.Stat(path)
	if err != nil {
		return nil, s.failed(err)
	}
	if !info.Mode().IsRegular() {
		return nil, credential.Errorf(credential.Invalid, "%s: the key is not a regular file", s.path)
	}
	file, err := root.Open(path)
	if err != nil {
		return nil, s.failed(err)
	}
	defer file.Close()
	// One buffer of the right size: growing one leaves copies of the secret behind.
	buffer := make([]byte, min(info.Size(), int64(left))+1)
	n, err := io.ReadFull(file, buffer)
	switch {
	case n > left:
		clear(buffer)
		return nil, credential.Errorf(credential.Invalid, "%s: larger than %d bytes", s.path, s.limit())
	case err != nil && err != io.EOF && err != io.ErrUnexpectedEOF:
		clear(buffer)
		return nil, s.failed(err)
	}
	return buffer[:n], nil
}

func (s *source) failed(err error) error {
	reason := "cannot be read"
	var path *fs.PathError
	if errors.As(err, &path) {
		reason = path.Err.Error() // the words of the system, or of package os
	}
	class := credential.Unavailable
	switch {
	case errors.Is(err, fs.ErrNotExist):
		class = credential.Missing
	case errors.Is(err, fs.ErrPermission):
		class = credential.Denied
	}
	return credential.Errorf(class, "%s: %s", s.path, reason)
}
