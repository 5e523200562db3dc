package parley

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/broadcast"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/keysapi"
)

// keySpec is one key of the configuration.
type keySpec struct {
	name string
	// role: keys of different roles never share a value. The client keys are one role: they grant the same, nothing.
	role   string
	kind   credential.Kind
	source credential.Source
}

// minInstallKey is how long Config.InstallKey must be, in bytes.
const minInstallKey = 32

// webhookKey is shown to webhooks, and verifies nothing.
const webhookKey = "webhookKey"

// clientRole is the role of the client keys.
const clientRole = "client"

func (c *Config) keys() []keySpec {
	return []keySpec{
		{"masterKey", "masterKey", credential.Master, c.MasterKey},
		{"maintenanceKey", "maintenanceKey", credential.Master, c.MaintenanceKey},
		{"readOnlyMasterKey", "readOnlyMasterKey", credential.Master, c.ReadOnlyMasterKey},
		{"clientKey", clientRole, credential.API, c.ClientKey},
		{"javascriptKey", clientRole, credential.API, c.JavaScriptKey},
		{"dotNetKey", clientRole, credential.API, c.DotNetKey},
		{"restAPIKey", clientRole, credential.API, c.RESTAPIKey},
		{webhookKey, webhookKey, credential.Webhook, c.WebhookKey},
	}
}

// credentials returns what the configuration says of each key. node connects them with other servers, nil for none.
func (c *Config) credentials(log *slog.Logger, weak *weakKeys, node *broadcast.Node) []credential.Config {
	var all []credential.Config
	for _, spec := range c.keys() {
		if spec.source == nil {
			continue
		}
		cfg := c.Credentials[spec.name]
		cfg.Name, cfg.Role, cfg.Kind, cfg.Source = spec.name, spec.role, spec.kind, spec.source
		cfg.Present = spec.name == webhookKey
		if cfg.InstallKey.Len() == 0 { // what is revoked on one server is known on another by its digest under this key
			cfg.InstallKey = c.InstallKey
		}
		cfg.Observer = append(observers{credential.Log(log), weak}, given(cfg.Observer, c.Observer)...)
		if node != nil && cfg.Peers == nil {
			cfg.Peers = node
		}
		all = append(all, cfg)
	}
	return all
}

// addresses returns from where each privileged key may be used.
func (c *Config) addresses() (map[string]auth.IPList, error) {
	lists := map[string]auth.IPList{}
	for _, p := range []struct {
		name   string
		ips    []string
		normal auth.IPList
	}{
		{"masterKey", c.MasterKeyIPs, auth.Loopback()},
		{"maintenanceKey", c.MaintenanceKeyIPs, auth.Loopback()},
		{"readOnlyMasterKey", c.ReadOnlyMasterKeyIPs, auth.Anywhere()},
	} {
		lists[p.name] = p.normal
		if p.ips != nil {
			list, err := auth.ParseIPList(p.ips)
			if err != nil {
				return nil, fmt.Errorf("%sIps: %w", p.name, err)
			}
			lists[p.name] = list
		}
	}
	return lists, nil
}

// verifying returns what verifies requests with the credentials that find finds. A client key that was removed from the configuration is
// accepted as long as another one is asked for.
func verifying(find func(name string) *credential.Credential, configured []credential.Config, lists map[string]auth.IPList, log *slog.Logger) *auth.Keys {
	key := func(name string) auth.Key {
		k := auth.Key{IPs: lists[name]}
		if c := find(name); c != nil {
			k.Verifier = c
		}
		return k
	}
	keys := &auth.Keys{Log: log, Master: key("masterKey"), Maintenance: key("maintenanceKey"), ReadOnly: key("readOnlyMasterKey")}
	isClient := func(cfg credential.Config) bool { return cfg.Role == clientRole }
	if !slices.ContainsFunc(configured, isClient) {
		return keys
	}
	for _, name := range []string{"clientKey", "javascriptKey", "dotNetKey", "restAPIKey"} {
		if c := find(name); c != nil {
			keys.Clients = append(keys.Clients, auth.ClientKey{Name: name, Verifier: c})
		}
	}
	return keys
}

// openKeys makes the credentials of all configured keys, in one set, and what verifies requests with them. Nothing runs yet.
func (s *Server) openKeys() error {
	s.set = &credential.Set{}
	lists, err := s.cfg.addresses()
	if err != nil {
		return err
	}
	if s.cfg.Bus != nil {
		if n := s.cfg.InstallKey.Len(); n > 0 && n < minInstallKey {
			return fmt.Errorf("the install key is too short: it needs %d bytes", minInstallKey)
		}
		s.node, err = broadcast.New(broadcast.Config{Bus: s.cfg.Bus, InstallKey: s.cfg.InstallKey, Node: s.cfg.Node, Log: s.log})
		if err != nil {
			return err
		}
	}
	configured := s.cfg.credentials(s.log, &s.weak, s.node)
	for _, cfg := range configured {
		cfg.Set = s.set
		if _, err := credential.New(cfg); err != nil {
			return err
		}
	}
	s.keys = verifying(s.set.Get, configured, lists, s.log)
	if err := s.presentWebhookKey(s.set.Get); err != nil {
		return err
	}
	s.cfg.forgetKeys()
	return nil
}

// presentWebhookKey makes the webhook key that find finds the one that is shown to webhooks from now on.
func (s *Server) presentWebhookKey(find func(name string) *credential.Credential) error {
	c := find(webhookKey)
	if c == nil {
		s.webhookKey.Store(nil)
		return nil
	}
	presenter, err := credential.Present(c)
	if err == nil {
		s.webhookKey.Store(presenter)
	}
	return err
}

// startKeys reads the keys, and begins to hear what other servers tell of them.
func (s *Server) startKeys(ctx context.Context) error {
	if err := s.set.Start(ctx); err != nil || s.node == nil {
		return err
	}
	if err := s.node.Start(ctx, s.set); err != nil {
		s.set.Stop()
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	if !s.node.CaughtUp(ctx) {
		s.log.Info("no other server has told what is revoked yet", "waited", catchUp.String())
	}
	return nil
}

// catchUp is how long a start waits for the other servers to tell what was revoked while this one was down.
const catchUp = 2 * time.Second

func (s *Server) stopKeys() {
	if s.node != nil {
		s.node.Stop()
	}
	s.set.Stop()
}

// keysAPI is what may be done with the credentials over HTTP.
func (s *Server) keysAPI() *keysapi.API {
	cfg := keysapi.Config{Sets: []*credential.Set{s.set}, Log: s.log}
	if s.cfg.Presented != nil {
		cfg.Sets = append(cfg.Sets, s.cfg.Presented)
	}
	if s.node != nil {
		cfg.Nodes = nodes{s.node}
	}
	return keysapi.New(cfg)
}

// nodes are the other servers, for the API.
type nodes struct{ *broadcast.Node }

func (n nodes) Known() int { return n.Stats().Peers }

// Reload puts the keys of another configuration into effect while the server serves: MasterKey and its like, Credentials, and the addresses
// that they may be used from. Everything else in cfg is ignored. All of it takes effect, or, when the error is not nil, nothing:
// a request sees the keys before or the keys after. [credential.Set.Replace] says what becomes of a key that reads from
// another source, or that is configured no more: what was accepted before stays so for its overlap.
func (s *Server) Reload(ctx context.Context, cfg Config) error {
	if cfg.MasterKey == nil {
		return errors.New("masterKey is required")
	}
	lists, err := cfg.addresses()
	if err != nil {
		return err
	}
	if cfg.Observer == nil {
		cfg.Observer = s.cfg.Observer
	}
	cfg.InstallKey = s.cfg.InstallKey
	configured := cfg.credentials(s.log, &s.weak, s.node)
	// The addresses come first: no key is accepted from where neither configuration accepts it.
	err = s.set.Replace(ctx, configured, func(find func(string) *credential.Credential) {
		s.keys.Replace(verifying(find, configured, lists, s.log))
		if err := s.presentWebhookKey(find); err != nil {
			s.log.Error("webhooks keep the key that they had", "error", err.Error())
		}
	})
	if err == nil && s.node != nil {
		s.node.Compare() // of a key that was added the others may know what is revoked
	}
	return err
}

// forgetKeys lets go of the sources: a literal's value need not stay in memory for our sake.
func (c *Config) forgetKeys() {
	c.MasterKey, c.MaintenanceKey, c.ReadOnlyMasterKey = nil, nil, nil
	c.ClientKey, c.JavaScriptKey, c.DotNetKey, c.RESTAPIKey, c.WebhookKey = nil, nil, nil, nil, nil
	c.Credentials = nil
}

// observers tells each of several observers.
type observers []credential.Observer

func (all observers) Observe(e credential.Event) {
	for _, o := range all {
		o.Observe(e)
	}
}

// given leaves out the observers that are nil.
func given(all ...credential.Observer) observers {
	return slices.DeleteFunc(all, func(o credential.Observer) bool { return o == nil })
}

// weakKeys remembers which keys had a short value when they last changed.
type weakKeys struct {
	mu    sync.Mutex
	names map[string]bool
}

func (w *weakKeys) Observe(e credential.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e.Kind {
	case credential.EventWeak:
		if w.names == nil {
			w.names = make(map[string]bool)
		}
		w.names[e.Credential] = true
	case credential.EventRotated:
		delete(w.names, e.Credential)
	}
}

func (w *weakKeys) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.names) > 0
}
