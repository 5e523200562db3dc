package messaging

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/wasmcloud"
)

const (
	defaultServer = "nats://127.0.0.1:4222"
	strictServer  = "nats://0.0.0.0:4222" // what the original goes back to
)

// settings are what a link is to be like. They do not change once they are made.
type settings struct {
	servers []string // URLs without users
	users   []string // the same with their users, if one of them has one; secret
	login   login
	tls     tlsSettings

	inboxPrefix string
	ping        time.Duration

	subscriptions []subscription
	consumers     []consumer

	maxInFlight     int
	ordered         bool
	maxPending      int
	maxPendingBytes int
	handlerTimeout  time.Duration
	replyErrors     bool
	retries         int
	retryWait       time.Duration

	flush      bool
	maxRequest time.Duration

	allowDuplicates bool
	grace           time.Duration
	strict          bool

	fromConfig []string // keys of secrets whose value config supplied
	ofProvider []string // those of them that are in the provider's config
	notes      []string // more to warn of

	connection [32]byte // differs when a connection made from other settings cannot be used
}

func defaults(strict bool) *settings {
	return &settings{
		servers: []string{defaultServer}, maxInFlight: 256, maxPending: 512 << 10, maxPendingBytes: 64 << 20,
		handlerTimeout: time.Minute, retryWait: 200 * time.Millisecond, grace: time.Second, strict: strict,
	}
}

// level is the config and the secrets of a link, or of the provider.
type level struct {
	name    string                       // "link" or "provider"
	config  map[string]string            // by the names of the table
	secrets map[string]credential.Secret // by lower-case names; those of the table by these
	unknown []string                     // keys of config, as they are written
}

// newLevel reads config and secrets. Names are known in any case; where one is there twice the spelling of the table wins. Its
// secrets are copies, to be wiped.
func newLevel(name string, config map[string]string, secrets map[string]wasmcloud.Secret, exact bool) level {
	l := level{name: name, config: make(map[string]string), secrets: make(map[string]credential.Secret)}
	for _, written := range slices.Sorted(maps.Keys(config)) {
		k, known := named(written)
		if !known || exact && k.name != written {
			l.unknown = append(l.unknown, written)
			continue
		}
		if _, twice := l.config[k.name]; twice && written != k.name {
			continue
		}
		l.config[k.name] = strings.TrimSpace(config[written])
	}
	for _, written := range slices.Sorted(maps.Keys(secrets)) {
		lower := strings.ToLower(strings.TrimSpace(written))
		if k, known := named(lower); known {
			if _, twice := l.secrets[k.name]; twice && written != k.name {
				continue
			}
			lower = k.name
		}
		raw := secrets[written].Reveal()
		l.secrets[lower] = credential.NewSecret(raw)
		clear(raw)
	}
	return l
}

func (l level) wipe() {
	for _, s := range l.secrets {
		s.Wipe()
	}
}

// get returns the value of a key in this level: a secret before config. Empty counts as not given.
func (l level) get(name string) (value string, secret, given bool) {
	if s := l.secrets[name]; s.Len() > 0 {
		raw := s.Reveal()
		defer clear(raw)
		return strings.TrimSpace(string(raw)), true, true
	}
	value = l.config[name]
	return value, false, value != ""
}

// has reports whether the level has a key of a group.
func (l level) has(group string) bool {
	return slices.ContainsFunc(keys, func(k key) bool {
		_, _, given := l.get(k.name)
		return k.group == group && given
	})
}

// merge makes the settings of a link: each key from the link if it is there, and otherwise from the provider; in each of them a
// secret before config. The login is chosen as a whole, and so is the certificate. The role says which keys have an effect. Errors
// say which key, and never its value.
func merge(link, provider level, role wasmcloud.Role, linkName string) (*settings, error) {
	s := defaults(false)
	var failed error
	from := map[string]level{}
	for _, k := range keys {
		if k.set == nil || k.end == handlerEnd && role == wasmcloud.Target || k.end == consumerEnd && role == wasmcloud.Source {
			continue
		}
		for _, l := range []level{link, provider} {
			if k.end == providerOnly && l.name != provider.name || k.group == certificateGroup && l.name == provider.name && link.has(certificateGroup) {
				continue
			}
			value, secret, given := l.get(k.name)
			if !given {
				continue
			}
			if err := k.set(s, value); err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s %w", k.name, err))
			}
			if k.secret && !secret {
				s.supplied(k.name, l)
			}
			from[k.name] = l
			break
		}
	}
	if failed == nil {
		failed = s.tls.check()
	}
	if failed == nil {
		failed = s.chooseLogin([]level{link, provider}, from["cluster_uris"].name, linkName)
	}
	if failed != nil {
		return nil, failed
	}
	s.seal()
	return s, nil
}

// supplied notes that config has the value of a secret.
func (s *settings) supplied(key string, by level) {
	s.fromConfig = append(s.fromConfig, key)
	if by.name == "provider" {
		s.ofProvider = append(s.ofProvider, key)
	}
}

// setServers reads cluster_uris.
func setServers(s *settings, text string) error {
	s.servers, s.users = nil, nil
	users := false
	for _, item := range items(text) {
		if !strings.Contains(item, "://") {
			item = "nats://" + item
		}
		u, err := url.Parse(item)
		if err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, strings.ToLower(u.Scheme)) {
			return errors.New("has an address that is not like nats://host:port")
		}
		users = users || u.User != nil
		s.users = append(s.users, u.String())
		u.User = nil
		s.servers = append(s.servers, u.String())
	}
	if len(s.servers) == 0 {
		s.servers = []string{defaultServer}
	}
	if !users {
		s.users = nil
	}
	return nil
}

// salt makes digests of secrets worthless outside the process.
var salt = random32()

func random32() (b [32]byte) {
	_, _ = rand.Read(b[:]) // never fails
	return b
}

// digest is the same for the same parts, in one process.
func digest[T string | []byte](parts ...T) (d [32]byte) {
	h := hmac.New(sha256.New, salt[:])
	for _, part := range parts {
		_, _ = fmt.Fprintf(h, "%d:", len(part))
		_, _ = h.Write([]byte(part))
	}
	h.Sum(d[:0])
	return d
}

// seal computes what tells connections apart. A direct login is not in it, but that there is one: another one is handed over.
func (s *settings) seal() {
	parts := []string{s.inboxPrefix, s.ping.String(), fmt.Sprint(s.allowDuplicates), s.login.kind.String(), s.login.reference}
	parts = append(parts, s.servers...)
	parts = append(parts, "users")
	parts = append(parts, s.users...)
	s.connection = digest(append(parts, s.tls.parts()...)...)
}
