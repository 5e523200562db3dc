package https_test

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// guarded starts a server that shows a certificate for name and answers with the common name of the client's.
func guarded(t *testing.T, authority *credentialtest.Authority, name string) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = authority.ServerConfig(t, name)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// Our own certificate rotates, too: its files are read again. Between the write of the one and of the other the pair
// before serves.
func TestClientCertificate(t *testing.T) {
	authority := credentialtest.NewAuthority(t, "test")
	server := guarded(t, authority, "127.0.0.1")
	ca := credentialtest.WriteFile(t, "ca.pem", authority.CA)
	one, oneKey := authority.Issue(t, "parley-one")
	two, twoKey := authority.Issue(t, "parley-two")
	cert, key := credentialtest.WriteFile(t, "cert.pem", one), credentialtest.WriteFile(t, "key.pem", oneKey)
	source := open(t, server.URL+"?ca_file="+ca+"&cert_file="+cert+"&key_file="+key)
	for _, step := range []struct {
		name, path string
		content    []byte
		want       string
	}{
		{"as it was", cert, one, "parley-one"},
		{"the certificate is new", cert, two, "parley-one"},
		{"the key is new", key, twoKey, "parley-two"},
		{"the key is half written", key, twoKey[:20], "parley-two"},
		{"the key is whole", key, twoKey, "parley-two"},
	} {
		if err := os.WriteFile(step.path, step.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := value(t, source); got != step.want {
			t.Errorf("%s: the server sees %q, want %q", step.name, got, step.want)
		}
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Fetch(t.Context()); !errors.Is(err, credential.Denied) {
		t.Errorf("without a key Fetch = %v, want Denied", err)
	}
}

func TestClientCertificateRefused(t *testing.T) {
	authority, stranger := credentialtest.NewAuthority(t, "test"), credentialtest.NewAuthority(t, "stranger")
	server := guarded(t, authority, "127.0.0.1")
	ca := credentialtest.WriteFile(t, "ca.pem", authority.CA)
	cert, key := stranger.Issue(t, "parley")
	pair := "&cert_file=" + credentialtest.WriteFile(t, "cert.pem", cert) + "&key_file=" + credentialtest.WriteFile(t, "key.pem", key)
	noKey := "&cert_file=" + credentialtest.WriteFile(t, "cert.pem", cert) + "&key_file=" + credentialtest.WriteFile(t, "key.pem", nil)
	for options, want := range map[string]error{"": credential.Unavailable, pair: credential.Unavailable, noKey: credential.Denied} {
		_, err := open(t, server.URL+"?ca_file="+ca+options).Fetch(t.Context())
		if !errors.Is(err, want) || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("Fetch with %q = %v, want %v", options, err, want)
		}
	}
}

// A server that is reached by its address may have a certificate for its name.
func TestServerName(t *testing.T) {
	authority := credentialtest.NewAuthority(t, "test")
	server := guarded(t, authority, "store.internal")
	cert, key := authority.Issue(t, "parley")
	options := "?ca_file=" + credentialtest.WriteFile(t, "ca.pem", authority.CA) +
		"&cert_file=" + credentialtest.WriteFile(t, "cert.pem", cert) + "&key_file=" + credentialtest.WriteFile(t, "key.pem", key)
	if got := value(t, open(t, server.URL+options+"&server_name=store.internal")); got != "parley" {
		t.Errorf("with its name the server sees %q, want parley", got)
	}
	for _, other := range []string{"", "&server_name=other.internal"} {
		if _, err := open(t, server.URL+options+other).Fetch(t.Context()); !errors.Is(err, credential.Unavailable) {
			t.Errorf("Fetch with %q = %v, want Unavailable", other, err)
		}
	}
}
