package natsconn_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential/credentialtest"
)

type nkey struct{ seed, public string }

func nkeysUser() (nkey, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nkey{}, err
	}
	return nkey{seed: string(must(pair.Seed())), public: must(pair.PublicKey())}, nil
}

// client has a certificate and knows the authority.
func client(t testing.TB, authority *credentialtest.Authority) *tls.Config {
	t.Helper()
	cert, key := authority.Issue(t, "client")
	return &tls.Config{RootCAs: pool(authority), Certificates: []tls.Certificate{must(tls.X509KeyPair(cert, key))}}
}

func pool(authority *credentialtest.Authority) *x509.CertPool {
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(authority.CA)
	return p
}
