package parley

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/internal/auth"
)

// keySpec is one key of the configuration.
type keySpec struct {
	name string
	// role: keys of different roles never share a value. The client keys are one role: they grant the same, nothing.
	role   string
	kind   credential.Kind
	source credential.Source
}

func (c *Config) keys() []keySpec {
	return []keySpec{
		{"masterKey", "masterKey", credential.Master, c.MasterKey},
		{"maintenanceKey", "maintenanceKey", credential.Master, c.MaintenanceKey},
		{"readOnlyMasterKey", "readOnlyMasterKey", credential.Master, c.ReadOnlyMasterKey},
		{"clientKey", "client", credential.API, c.ClientKey},
		{"javascriptKey", "client", credential.API, c.JavaScriptKey},
		{"dotNetKey", "client", credential.API, c.DotNetKey},
		{"restAPIKey", "client", credential.API, c.RESTAPIKey},
	}
}

// credentials makes the credentials of all configured keys, in one set, and what verifies requests with them.
func (c *Config) credentials(log *slog.Logger, weak *weakKeys) (*credential.Set, *auth.Keys, error) {
	set := &credential.Set{}
	made := map[string]credential.Verifier{}
	for _, spec := range c.keys() {
		if spec.source == nil {
			continue
		}
		cfg := c.Credentials[spec.name]
		cfg.Name, cfg.Role, cfg.Kind, cfg.Source, cfg.Set = spec.name, spec.role, spec.kind, spec.source, set
		cfg.Observer = append(observers{credential.Log(log), weak}, given(cfg.Observer, c.Observer)...)
		k, err := credential.New(cfg)
		if err != nil {
			return nil, nil, err
		}
		made[spec.name] = k
	}
	keys := &auth.Keys{Log: log}
	for _, p := range []struct {
		name   string
		key    *auth.Key
		ips    []string
		normal auth.IPList
	}{
		{"masterKey", &keys.Master, c.MasterKeyIPs, auth.Loopback()},
		{"maintenanceKey", &keys.Maintenance, c.MaintenanceKeyIPs, auth.Loopback()},
		{"readOnlyMasterKey", &keys.ReadOnly, c.ReadOnlyMasterKeyIPs, auth.Anywhere()},
	} {
		if v, ok := made[p.name]; ok {
			p.key.Verifier = v
		}
		p.key.IPs = p.normal
		if p.ips != nil {
			list, err := auth.ParseIPList(p.ips)
			if err != nil {
				return nil, nil, fmt.Errorf("%sIps: %w", p.name, err)
			}
			p.key.IPs = list
		}
	}
	for _, name := range []string{"clientKey", "javascriptKey", "dotNetKey", "restAPIKey"} {
		if v, ok := made[name]; ok {
			keys.Clients = append(keys.Clients, auth.ClientKey{Name: name, Verifier: v})
		}
	}
	return set, keys, nil
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
