// Package file is the source of the reference file:///path, one secret in one
// file, and of file:///path#field, one of several in a JSON document. It notices the ways in which such a file is replaced: rewritten in place,
// truncated and written, renamed over, its directory replaced, or the ..data link
// of a Kubernetes volume swapped; and it never takes a file for its new content
// while that is still being written.
//
// It polls the file's identity, size and times, every 100 ms unless the option
// poll says otherwise. That is one system call of a few microseconds, works on
// every file system (change notification does not, over NFS or bind mounts), needs
// no descriptor, and cannot run into a limit.
package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/parley-backend/parley/credential"
)

const (
	defaultPoll = 100 * time.Millisecond
	// quiet is how long a young file must not change before it is believed: who
	// truncates and writes leaves an empty or partial file in between.
	quiet = 50 * time.Millisecond
	// young is up to which age of its content a file may still be in the middle
	// of being written. Some file systems keep times in whole seconds, hence 2.
	young = 2 * time.Second
)

// Open makes the source of file:///path. The option poll is the interval between two
// looks at the file, a Go duration of at least 10ms.
func Open(ref credential.Reference) (credential.Source, error) {
	path, poll := ref.Path, defaultPoll
	if ref.Opaque != "" {
		path = ref.Opaque // file:/path
	}
	switch {
	case ref.Authority != "" && ref.Authority != "localhost":
		return nil, credential.Errorf(credential.Misconfigured, "reference file: write three slashes before the path: file:///path")
	case !filepath.IsAbs(path):
		return nil, credential.Errorf(credential.Misconfigured, "reference file: the path must begin with a slash")
	}
	if err := ref.Only("poll"); err != nil {
		return nil, err
	}
	decoder, err := ref.Decoder()
	if err != nil {
		return nil, err
	}
	if text, given := ref.Options["poll"]; given {
		if poll, err = time.ParseDuration(text); err != nil || poll < 10*time.Millisecond {
			return nil, credential.Errorf(credential.Misconfigured, "reference file: option \"poll\" wants a duration of at least 10ms")
		}
	}
	s := newSource(path, poll)
	s.decoder = decoder
	return s, nil
}

// New makes a source of the file at path, looked at every poll (100 ms if 0).
func New(path string, poll time.Duration) credential.Watcher { return newSource(path, poll) }

func newSource(path string, poll time.Duration) *source {
	if poll <= 0 {
		poll = defaultPoll
	}
	return &source{path: filepath.Clean(path), poll: poll}
}

type source struct {
	path     string
	poll     time.Duration
	decoder  credential.Decoder
	digester credential.Digester

	mu       sync.Mutex
	content  [32]byte  // digest of the latest content read
	lastSeen time.Time // when it was read last
	lastLook look      // at that time
	created  time.Time // when it came, as far as can be told
}

func (s *source) Info() credential.Info {
	return credential.Info{Scheme: "file", Location: s.path}
}

// Fetch reads the file. A file that does not exist is Missing, one that may not be
// read Denied; one that does not stop changing is Unavailable. A document without
// the field is Missing, too.
func (s *source) Fetch(ctx context.Context) (credential.Payload, error) {
	content, look, err := s.settled(ctx)
	if err != nil {
		return credential.Payload{}, err
	}
	defer clear(content)
	created := s.date(content, look)
	return s.decoder.Payload(content, credential.Version{Created: created})
}

// settled reads until the content does not change any more.
func (s *source) settled(ctx context.Context) ([]byte, look, error) {
	var before []byte
	defer func() { clear(before) }()
	var beforeLook look
	for first := true; ; first = false {
		if err := ctx.Err(); err != nil {
			return nil, look{}, credential.Errorf(credential.Unavailable, "the file kept changing while it was read")
		}
		content, now, whole, err := s.read()
		if err != nil {
			return nil, look{}, err
		}
		if whole && time.Since(now.modified) > young {
			return content, now, nil
		}
		if whole && !first && now.same(beforeLook) && bytes.Equal(content, before) {
			return content, now, nil
		}
		clear(before)
		before, beforeLook = content, now
		if !whole {
			beforeLook = look{}
		}
		timer := time.NewTimer(quiet)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// read reads the file once; whole is false if it changed meanwhile.
func (s *source) read() (content []byte, now look, whole bool, err error) {
	before := lookAt(s.path)
	if before.err == nil && !before.info.Mode().IsRegular() {
		return nil, look{}, false, credential.Errorf(credential.Invalid, "%s is not a regular file", s.path)
	}
	file, err := os.Open(s.path)
	if err != nil {
		return nil, look{}, false, s.failed(err)
	}
	defer file.Close()
	if before.err != nil { // it has only just come
		return nil, look{}, false, nil
	}
	// One buffer of the right size: growing one leaves copies of the secret behind.
	limit := s.decoder.Limit()
	buffer := make([]byte, min(before.info.Size(), int64(limit))+1)
	n, err := io.ReadFull(file, buffer)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		clear(buffer)
		return nil, look{}, false, s.failed(err)
	}
	content = buffer[:n]
	if n > limit {
		clear(content)
		return nil, look{}, false, credential.Errorf(credential.Invalid, "%s is larger than %d bytes", s.path, limit)
	}
	now = lookAt(s.path)
	if now.err != nil {
		clear(content)
		return nil, look{}, false, s.failed(now.err)
	}
	return content, now, now.same(before) && int64(len(content)) == now.info.Size(), nil
}

func (s *source) failed(err error) error {
	reason := "cannot be read"
	var path *fs.PathError
	if errors.As(err, &path) {
		reason = path.Err.Error() // the words of the system: the path is added here
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

// date returns when the content came: when the file was last written or put in
// its place. It cannot have come before the old content was last seen here, whatever
// times a moved or copied file brings along.
func (s *source) date(content []byte, now look) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := s.digester.Bytes(content)
	if sum != s.content || s.created.IsZero() {
		s.created = now.modified
		if now.changed.After(s.created) {
			s.created = now.changed
		}
		if s.lastSeen.After(s.created) {
			s.created = s.lastSeen
		}
		s.content = sum
	}
	s.lastSeen, s.lastLook = time.Now(), now
	return s.created
}

// Watch looks at the file again and again. It follows links, so that the swap of a
// link on the way is a change of the file's identity.
func (s *source) Watch(ctx context.Context, changed func(credential.Notice)) error {
	ticker := time.NewTicker(s.poll)
	defer ticker.Stop()
	var noticed look
	for last := lookAt(s.path); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := lookAt(s.path)
		if !now.same(last) || s.unread(now) && !now.same(noticed) {
			noticed = now
			changed(credential.Notice{})
		}
		last = now
	}
}

// unread reports whether the file is another one than was read: it may have been
// replaced after the read and before the first look.
func (s *source) unread(now look) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastLook.info != nil && !now.same(s.lastLook)
}

// look is what can be told of a file without reading it.
type look struct {
	info     os.FileInfo
	modified time.Time
	changed  time.Time // of the inode: renamed over, linked, mode changed; zero where not known
	err      error
}

func lookAt(path string) look {
	info, err := os.Stat(path)
	if err != nil {
		return look{err: err}
	}
	return look{info: info, modified: info.ModTime(), changed: inodeChanged(info)}
}

func (l look) same(other look) bool {
	if l.info == nil || other.info == nil {
		return l.info == nil && other.info == nil && (l.err == nil) == (other.err == nil) &&
			errors.Is(l.err, fs.ErrNotExist) == errors.Is(other.err, fs.ErrNotExist)
	}
	return os.SameFile(l.info, other.info) && l.info.Size() == other.info.Size() && l.info.Mode() == other.info.Mode() &&
		l.modified.Equal(other.modified) && l.changed.Equal(other.changed)
}
