// Package mount is the source of secrets that whoever runs the process puts into its file
// system: k8s-mount:///volume/key, a volume of Kubernetes, and cred:name, what systemd or
// Docker hands to a service.
//
//	mount.go  the reference k8s-mount: and its options
//	read.go   one generation of a volume
//	cred.go   the reference cred:
//
// The kubelet writes each state of a volume into a directory of its own, a generation, and
// then swaps the link ..data from one to the next. What is read here is of one generation,
// also if that is several keys.
package mount

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-backend/parley/credential"
)

const (
	defaultPoll = 100 * time.Millisecond
	// data is the link that the kubelet swaps.
	data = "..data"
)

// Open makes the source of k8s-mount:///volume/key, or with the option fields of several
// keys of k8s-mount:///volume that change as one. Its options:
//
//	fields  the keys of a group, with commas between them; * for all that there are
//	poll    the interval between two looks at the volume, at least 10ms; 100ms by default
func Open(ref credential.Reference) (credential.Source, error) {
	if err := ref.Only("fields", "poll"); err != nil {
		return nil, err
	}
	s := &source{path: filepath.Clean(ref.Path), poll: defaultPoll}
	names, group := ref.Options["fields"]
	switch {
	case ref.Authority != "" || ref.Opaque != "" || s.path == "/" || s.path == ".":
		return nil, wrong("write three slashes before the path: k8s-mount:///volume/key")
	case strings.Contains("/"+s.path+"/", "/..data/"):
		return nil, wrong("the path is that of the volume, without ..data: it would be of one generation only")
	case group && (ref.Field != "" || ref.Engine.Format != "" && ref.Engine.Format != "raw"):
		return nil, wrong("option fields names keys of the volume: it has neither a field after # nor a format")
	}
	if group {
		if s.fields = strings.Split(names, ","); slices.ContainsFunc(s.fields, func(name string) bool { return !isKey(name) }) {
			return nil, wrong("option fields wants names of keys with commas between them, or *")
		}
	}
	var err error
	if text, given := ref.Options["poll"]; given {
		if s.poll, err = time.ParseDuration(text); err != nil || s.poll < 10*time.Millisecond {
			return nil, wrong("option poll wants a duration of at least 10ms")
		}
	}
	if s.decoder, err = ref.Decoder(); err != nil {
		return nil, err
	}
	return s, nil
}

func wrong(format string, args ...any) error {
	return credential.Errorf(credential.Misconfigured, "reference k8s-mount: "+format, args...)
}

// isKey reports whether a name may be that of a key. A key may lie in a directory.
func isKey(name string) bool {
	return name == path.Clean(name) && filepath.IsLocal(name) && !strings.HasPrefix(name, "..") && name != "."
}

type source struct {
	path     string   // of the key; of the volume for a group
	fields   []string // of a group
	poll     time.Duration
	decoder  credential.Decoder
	digester credential.Digester

	mu         sync.Mutex
	generation string    // that was read last
	content    [32]byte  // digest of what it held
	created    time.Time // when that came
}

func (s *source) Info() credential.Info {
	return credential.Info{Scheme: "k8s-mount", Location: s.path}
}

// Fetch reads the key, or the group, in one generation. A volume or a key that is not
// there is Missing, one that may not be read Denied. A path that is not in a volume of
// Kubernetes is Misconfigured: so is one that was mounted with subPath, which would never
// change.
func (s *source) Fetch(ctx context.Context) (credential.Payload, error) {
	read, err := s.read(ctx)
	if err != nil {
		return credential.Payload{}, err
	}
	defer read.wipe()
	if s.fields == nil {
		content := read.keys[read.names[0]]
		return s.decoder.Payload(content, credential.Version{Created: s.date(read)})
	}
	version := credential.Version{Fields: make(map[string]credential.Secret), Created: s.date(read)}
	for name, content := range read.keys {
		version.Fields[name] = credential.NewSecret(content)
	}
	return credential.Payload{Versions: []credential.Version{version}}, nil
}

// date returns when the content came: a generation may bring another key of the volume and
// the same content.
func (s *source) date(read reading) time.Time {
	var version credential.Version
	version.Fields = make(map[string]credential.Secret)
	for name, content := range read.keys {
		version.Fields[name] = credential.NewSecret(content)
	}
	sum := s.digester.Version(&version)
	for _, secret := range version.Fields {
		secret.Wipe()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation = read.generation
	if sum != s.content || s.created.IsZero() {
		s.content, s.created = sum, read.created
	}
	return s.created
}

// Watch looks at the link of the volume again and again.
func (s *source) Watch(ctx context.Context, changed func(credential.Notice)) error {
	ticker := time.NewTicker(s.poll)
	defer ticker.Stop()
	var noticed string
	for last := s.look(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := s.look()
		if now != last || s.unread(now) && now != noticed {
			noticed = now
			changed(credential.Notice{})
		}
		last = now
	}
}

// unread reports whether the generation is another one than was read: the link may have
// been swapped after the read and before the first look.
func (s *source) unread(now string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation != "" && now != s.generation
}

// look returns the path of the generation that the volume has now, "" if there is none.
func (s *source) look() string {
	volume, _, err := s.locate()
	if err != nil {
		return ""
	}
	generation, err := os.Readlink(filepath.Join(volume, data))
	if err != nil {
		return ""
	}
	return filepath.Join(volume, generation)
}
