package messaging

import (
	"context"
	"testing"

	"github.com/parley-backend/parley/wasmcloud"
)

func contextEnded(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}

// Whatever a config says, it is settings or an error, in both ways.
func FuzzMerge(f *testing.F) {
	f.Add("cluster_uris", "nats://u:p@h:1,,x", "client_seed", "SU", true)
	f.Add("consumers", `[{"stream":1}]`, "nats_creds", "-----BEGIN", false)
	f.Add("tls_ca", "-----BEGIN CERTIFICATE-----", "credentials", "file:///x", false)
	f.Fuzz(func(t *testing.T, key, value, name, secret string, strict bool) {
		for _, role := range []wasmcloud.Role{wasmcloud.Source, wasmcloud.Target} {
			in := sides{link: map[string]string{key: value}, linkSecrets: map[string]string{name: secret}, provider: map[string]string{name: secret}, role: role}
			s, err := in.merge(strict)
			if (s == nil) == (err == nil) {
				t.Fatalf("merge = %v, %v, want one of them", s, err)
			}
			if s != nil && len(s.servers) == 0 {
				t.Errorf("merge(%q = %q) has no server", key, value)
			}
		}
	})
}
