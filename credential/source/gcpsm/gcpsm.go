// Package gcpsm is the source of the reference gcpsm://project/secret#field: a secret in
// Google Cloud Secret Manager, read and written by its REST API. Versions have numbers,
// states and times there, and Parley follows them.
//
//	gcpsm.go   the reference and its options
//	read.go    one reading: which versions there are, and in which state
//	write.go   a new version
//	client.go  the service: our own token, who may ask at a time, what a refusal means
//	login.go   where a token comes from
package gcpsm

import (
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/internal/origin"
	"github.com/parley-backend/parley/credential/source/internal/pattern"
)

const (
	// maxPayload is the limit of the service for one version.
	maxPayload = 64 << 10
	// maxAnswer has room for a payload in base64 and for a page of versions.
	maxAnswer = 128 << 10
)

// Opener returns the opener of gcpsm://project/secret. The sources that it opens share
// one login for each service and file of credentials. Its options:
//
//	version           latest (the default), or read this version, always
//	location          the region of a regional secret, such as europe-west3
//	endpoint          the address of the service, if not https://secretmanager.googleapis.com
//	credentials_file  instead of the application default credentials
//	ca_file           the certificates to trust instead of the system's
//	allow_http        the host that may be reached in the clear
func Opener() credential.Opener {
	p := &pool{clients: make(map[place]*client), writers: make(map[string]*sync.Mutex)}
	return p.open
}

// pool has the clients of one configuration.
type pool struct {
	mu      sync.Mutex
	clients map[place]*client
	writers map[string]*sync.Mutex // one for each secret: several credentials may be fields of it
}

// place is one service and one way to log in to it.
type place struct{ endpoint, credentialsFile, caFile, allowHTTP string }

var (
	projectPattern  = pattern.New(`^[a-z0-9][a-z0-9.:-]{0,127}$`)
	secretPattern   = pattern.New(`^/[A-Za-z0-9_-]{1,255}$`)
	locationPattern = pattern.New(`^[a-z0-9-]{1,63}$`)
)

func (p *pool) open(ref credential.Reference) (credential.Source, error) {
	if err := ref.Only("version", "location", "endpoint", "credentials_file", "ca_file", "allow_http"); err != nil {
		return nil, err
	}
	location, regional := ref.Options["location"]
	switch {
	case !projectPattern.MatchString(ref.Authority) || !secretPattern.MatchString(ref.Path):
		return nil, wrong("write gcpsm://project/secret#field")
	case regional && !locationPattern.MatchString(location):
		return nil, wrong("option location wants the name of a region")
	}
	s := &source{parent: "projects/" + ref.Authority + "/secrets" + ref.Path}
	at := place{endpoint: "https://secretmanager.googleapis.com", credentialsFile: ref.Options["credentials_file"],
		caFile: ref.Options["ca_file"], allowHTTP: ref.Options["allow_http"]}
	if regional {
		s.parent = "projects/" + ref.Authority + "/locations/" + location + "/secrets" + ref.Path
		at.endpoint = "https://secretmanager." + location + ".rep.googleapis.com"
	}
	if endpoint, given := ref.Options["endpoint"]; given {
		at.endpoint = endpoint
	}
	if at.credentialsFile != "" && !filepath.IsAbs(at.credentialsFile) {
		return nil, wrong("option credentials_file wants a path that begins with a slash")
	}
	if text, given := ref.Options["version"]; given && text != "latest" {
		var err error
		if s.pinned, err = strconv.ParseUint(text, 10, 31); err != nil || s.pinned == 0 {
			return nil, wrong("option version wants latest, or a number from 1")
		}
	}
	var err error
	if s.decoder, err = ref.Decoder(); err != nil {
		return nil, err
	}
	if s.client, err = p.client(at); err != nil {
		return nil, err
	}
	s.writing = p.writer(at.endpoint + "/" + s.parent)
	return s, nil
}

func wrong(format string, args ...any) error {
	return credential.Errorf(credential.Misconfigured, "reference gcpsm: "+format, args...)
}

// client returns the one client of a place.
func (p *pool) client(at place) (*client, error) {
	where, err := url.Parse(at.endpoint)
	if err != nil || where.Host == "" || where.Path != "" || where.User != nil || where.RawQuery != "" {
		return nil, wrong("the endpoint is scheme://host:port and no more")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, known := p.clients[at]; known {
		return c, nil
	}
	to, err := origin.New(origin.Config{Scheme: where.Scheme, Host: where.Host, AllowHTTP: at.allowHTTP, CAFile: at.caFile, Limit: maxAnswer})
	if err != nil {
		return nil, err
	}
	c := newClient(at, to)
	p.clients[at] = c
	return c, nil
}

func (p *pool) writer(secret string) *sync.Mutex {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writers[secret] == nil {
		p.writers[secret] = new(sync.Mutex)
	}
	return p.writers[secret]
}

type source struct {
	parent   string // projects/P/secrets/S
	pinned   uint64 // 0 for the latest
	decoder  credential.Decoder
	client   *client
	writing  *sync.Mutex
	digester credential.Digester

	mu sync.Mutex
	// blind is when the service refused to list versions: then only their values are
	// known, neither their states nor their times.
	blind time.Time
	// latest is the newest version read, created its time. A lower number that was
	// created later is another secret under the same name, and counts from base on.
	latest, base uint64
	created      time.Time
	missing      bool // the secret was not there at the latest fetch
	// written is the version that was written from here.
	written listed
	// delivered are the values of the versions that were handed out, as digests.
	delivered map[uint64][32]byte
}

// Info: version numbers only grow.
func (s *source) Info() credential.Info {
	location := s.client.endpoint + "/" + s.parent
	if s.pinned > 0 {
		location += "/versions/" + strconv.FormatUint(s.pinned, 10)
	}
	return credential.Info{Scheme: "gcpsm", Location: location, Instance: s.client.endpoint, Monotonic: true}
}
