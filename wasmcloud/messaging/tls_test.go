package messaging_test

import (
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/messaging"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// A private authority, as text among others and as a file; a client certificate as text, secret and file; the handshake first; a name.
func TestTLS(t *testing.T) {
	authority, other := credentialtest.NewAuthority(t, "authority"), credentialtest.NewAuthority(t, "other")
	cert, key := authority.Issue(t, "client")
	caFile := credentialtest.WriteFile(t, "ca.pem", authority.CA)
	certFile, keyFile := credentialtest.WriteFile(t, "cert.pem", cert), credentialtest.WriteFile(t, "key.pem", key)
	oneWay := authority.ServerConfig(t, "127.0.0.1")
	oneWay.ClientAuth = 0
	plain := run(t, &server.Options{TLS: true, TLSConfig: oneWay})
	mutual := run(t, &server.Options{TLS: true, TLSConfig: authority.ServerConfig(t, "127.0.0.1"), TLSVerify: true})
	named := authority.ServerConfig(t, "nats.internal")
	named.ClientAuth = 0
	byName := run(t, &server.Options{TLS: true, TLSConfig: named})
	first := run(t, &server.Options{TLS: true, TLSConfig: oneWay, TLSHandshakeFirst: true})
	both := string(other.CA) + string(authority.CA)
	for _, test := range []struct {
		name    string
		server  *server.Server
		config  map[string]string
		secrets map[string]wasmcloud.Secret
		works   bool
	}{
		{"tls_ca, the second certificate", plain, config("tls_ca", both), nil, true},
		{"tls_ca in one line", plain, config("tls_ca", strings.ReplaceAll(string(authority.CA), "\n", `\n`)), nil, true},
		{"tls_ca_file", plain, config("tls_ca_file", caFile), nil, true},
		{"another authority", plain, config("tls_ca", string(other.CA)), nil, false},
		{"the first certificate alone, in the strict way", plain, config("tls_ca", both, "strict", "yes"), nil, false},
		{"no authority", plain, nil, nil, false},
		{"a client certificate", mutual, config("tls_ca", both, "tls_cert", string(cert)), secrets("tls_key", string(key)), true},
		{"a client certificate in files", mutual, config("tls_ca", both, "tls_cert_file", certFile, "tls_key_file", keyFile), nil, true},
		{"no client certificate", mutual, config("tls_ca", both), nil, false},
		{"the name of the server", byName, config("tls_ca", both, "tls_server_name", "nats.internal"), nil, true},
		{"another name", byName, config("tls_ca", both), nil, false},
		{"the handshake first", first, config("tls_ca", both, "tls_first", "true"), nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			own := wasmcloud.Settings{}
			if test.config["strict"] != "" {
				delete(test.config, "strict")
				own.Config = config("strict_compat", "true")
			}
			f := start(t, own, messaging.Options{})
			link := target("echo", "default", map[string]string{"cluster_uris": test.server.ClientURL()}, test.secrets)
			for k, v := range test.config {
				link.Config[k] = v
			}
			f.put(link)
			if !test.works {
				if err := f.Health(); err == nil {
					t.Error("Health = nil, want that the link is not connected")
				}
				return
			}
			if done, err := f.publish("echo", "default", wrpc.BrokerMessage{Subject: "x"}); err != nil || done.Failed || f.Health() != nil {
				t.Errorf("publish = %v, %v, health %v, want it to work", done, err, f.Health())
			}
		})
	}
}

// A file that is not there yet is read again until it is.
func TestTLSFileAppears(t *testing.T) {
	authority := credentialtest.NewAuthority(t, "authority")
	oneWay := authority.ServerConfig(t, "127.0.0.1")
	oneWay.ClientAuth = 0
	s := run(t, &server.Options{TLS: true, TLSConfig: oneWay})
	path := credentialtest.WriteFile(t, "ca.pem", authority.CA)
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	f := start(t, wasmcloud.Settings{}, messaging.Options{})
	f.put(target("echo", "default", config("cluster_uris", s.ClientURL(), "tls_ca_file", path), nil))
	if err := f.Health(); err == nil || !strings.Contains(err.Error(), "tls_ca_file") {
		t.Errorf("Health = %v, want the file that is missing", err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "health is good", func() bool { return f.Health() == nil })
}
