// Package azkv is the source of the reference azkv://vault/secret#field: a secret in Azure
// Key Vault. Versions have ids without an order there, times, and may be disabled.
//
//	azkv.go    the reference and its options
//	read.go    one reading: which versions there are, and in which state
//	write.go   a new version
//	client.go  one vault: our own login, where requests go, what a refusal means
package azkv

import (
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/internal/origin"
	"github.com/parley-backend/parley/credential/source/internal/pattern"
)

// Options are for who already has a login, and for tests. The zero value is right for
// everybody else.
type Options struct {
	// Credential logs in: azidentity.DefaultAzureCredential if nil.
	Credential azcore.TokenCredential
	// Transport carries the requests to vaults: HTTP over TLS without redirects if nil.
	Transport policy.Transporter
}

// Opener returns the opener of azkv://vault/secret. The vault is a name, or a host where it
// is not in the domain vault.azure.net. The sources that it opens share one login, and one
// client for each vault. It has one option:
//
//	version  read this version, always
func Opener(options Options) credential.Opener {
	p := &pool{login: &login{given: options.Credential}, transport: options.Transport,
		clients: make(map[string]*client), writers: make(map[string]*sync.Mutex)}
	if p.transport == nil {
		p.transport = newTransport()
	}
	return p.open
}

// pool has the clients of one configuration.
type pool struct {
	login     *login
	transport policy.Transporter

	mu      sync.Mutex
	clients map[string]*client
	writers map[string]*sync.Mutex // one for each secret: several credentials may be fields of it
}

var (
	vaultPattern   = pattern.New(`^[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]$`)
	secretPattern  = pattern.New(`^/[A-Za-z0-9-]{1,127}$`)
	versionPattern = pattern.New(`^[A-Za-z0-9]{1,64}$`)
)

func (p *pool) open(ref credential.Reference) (credential.Source, error) {
	if err := ref.Only("version"); err != nil {
		return nil, err
	}
	host := strings.ToLower(ref.Authority)
	if vaultPattern.MatchString(host) {
		host += ".vault.azure.net"
	}
	version, pinned := ref.Options["version"]
	switch {
	case !strings.Contains(host, ".") || !secretPattern.MatchString(ref.Path):
		return nil, wrong("write azkv://vault/secret#field")
	case pinned && !versionPattern.MatchString(version):
		return nil, wrong("option version wants the id of a version")
	}
	s := &source{name: ref.Path[1:], pinned: version}
	var err error
	if s.decoder, err = ref.Decoder(); err != nil {
		return nil, err
	}
	if s.client, err = p.client(host); err != nil {
		return nil, err
	}
	s.writing = p.writer(host + "/" + s.name)
	return s, nil
}

func wrong(format string, args ...any) error {
	return credential.Errorf(credential.Misconfigured, "reference azkv: "+format, args...)
}

// client returns the one client of a vault.
func (p *pool) client(host string) (*client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, known := p.clients[host]; known {
		return c, nil
	}
	to, err := origin.New(origin.Config{Scheme: "https", Host: host, Limit: maxAnswer})
	if err != nil {
		return nil, err
	}
	c, err := newClient(host, p.login, p.transport, to)
	if err != nil {
		return nil, err
	}
	p.clients[host] = c
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
	name     string
	pinned   string // "" for the newest
	decoder  credential.Decoder
	client   *client
	writing  *sync.Mutex
	digester credential.Digester

	mu sync.Mutex
	// newest is the version that earlier was made for: the versions before it, newest
	// first.
	newest  string
	earlier []string
	// blind is when the vault refused to list versions: then those that were newest here
	// before are all that is known.
	blind time.Time
	// delivered are the values of the versions that were handed out, as digests.
	delivered map[string][32]byte
	handed    []string // their ids, in the order of their coming
}

// Info: the ids of versions have no order.
func (s *source) Info() credential.Info {
	location := "https://" + s.client.host + "/secrets/" + s.name
	if s.pinned != "" {
		location += "/" + s.pinned
	}
	return credential.Info{Scheme: "azkv", Location: location, Instance: "https://" + s.client.host}
}
