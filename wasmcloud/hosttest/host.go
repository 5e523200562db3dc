package hosttest

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/wasmcloud/claims"
)

// HostOptions describe a Host. Server is needed.
type HostOptions struct {
	Server  *Server // of the lattice
	Lattice string  // "default" if empty
	// URL is where providers are told that the lattice is; Server.URL if empty.
	URL string
	// Login is what providers are told to log in to the lattice with. With a Server in JWT mode one is made if it is nil.
	Login *Login
	// ShutdownDelay is how long a provider may take to answer its shutdown: 300 ms if zero, as by default on a host.
	ShutdownDelay time.Duration
	RPCTimeout    time.Duration // what providers are told; 2 s if zero
	LogLevel      string        // "debug" if empty
	Structured    bool          // logs of providers are JSON
	OTel          map[string]any
}

// Host is what a provider sees of a wasmCloud host: the line that it starts with, and the lattice.
type Host struct {
	ID      string // N...
	Lattice string

	t    testing.TB
	o    HostOptions
	nc   *nats.Conn
	xkey nkeys.KeyPair
}

// NewHost makes a host, which ends with the test.
func NewHost(t testing.TB, o HostOptions) *Host {
	t.Helper()
	o.Lattice, o.URL = or(o.Lattice, "default"), or(o.URL, o.Server.URL())
	o.ShutdownDelay, o.RPCTimeout, o.LogLevel = or(o.ShutdownDelay, 300*time.Millisecond), or(o.RPCTimeout, 2*time.Second), or(o.LogLevel, "debug")
	if o.Login == nil && o.Server.account != nil {
		l := o.Server.User(0)
		o.Login = &l
	}
	if o.Login == nil {
		o.Login = &Login{}
	}
	return &Host{ID: claims.Generate(claims.Host).Public(), Lattice: o.Lattice, t: t, o: o, nc: o.Server.Connect(), xkey: must(t, nkeys.CreateCurveKeys)}
}

// Conn is the host's connection to the lattice.
func (h *Host) Conn() *nats.Conn { return h.nc }

// hostData is the JSON that a provider is started with.
func (h *Host) hostData(p *Provider) map[string]any {
	links := []wireLink{}
	for _, l := range p.Links() {
		w, err := l.wire(p.ID, p.sealer())
		if err != nil {
			h.t.Fatal(err)
		}
		links = append(links, w)
	}
	hostKey, providerKey := "", ""
	if p.xkey != nil {
		hostKey, providerKey = must(h.t, h.xkey.PublicKey), string(must(h.t, p.xkey.Seed))
	}
	otel := map[string]any{"enable_observability": false, "protocol": "Http", "additional_ca_paths": []string{}, "trace_level": "info"}
	maps.Copy(otel, h.o.OTel)
	secrets := p.o.Secrets
	if secrets == nil {
		secrets = map[string]Secret{}
	}
	return map[string]any{
		"host_id": h.ID, "lattice_rpc_prefix": h.Lattice, "link_name": "default",
		"lattice_rpc_user_jwt": h.o.Login.JWT, "lattice_rpc_user_seed": h.o.Login.Seed, "lattice_rpc_url": h.o.URL,
		"provider_key": p.ID, "env_values": map[string]string{}, "instance_id": newUUID(), "link_definitions": links, "cluster_issuers": []string{},
		"config": object(p.config), "secrets": secrets, "host_xkey_public_key": hostKey, "provider_xkey_private_key": providerKey,
		"default_rpc_timeout_ms": h.o.RPCTimeout.Milliseconds(), "structured_logging": h.o.Structured, "log_level": h.o.LogLevel, "otel_config": otel,
	}
}

func (h *Host) publish(subject string, message any) {
	h.t.Helper()
	data, isBytes := message.([]byte)
	if !isBytes {
		var err error
		if data, err = json.Marshal(message); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := h.nc.Publish(subject, data); err != nil {
		h.t.Fatal(err)
	}
	if err := h.nc.Flush(); err != nil {
		h.t.Fatal(err)
	}
}
