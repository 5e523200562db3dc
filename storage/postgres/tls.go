package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// TLS says how connections to the server are encrypted. The zero value leaves it to the URI (sslmode, sslrootcert, sslcert, sslkey).
type TLS struct {
	// Mode is "disable", or who the server has to be: "require" anybody, "verify-ca" one with a certificate of CA, "verify-full" one whose
	// certificate is for its host besides. "" is as the URI says, and verify-full when it says nothing of encryption and another member is set.
	Mode string
	// CA are certificates that vouch for the server, in PEM or the name of a file of them; "" for those of the system.
	CA string
	// Cert and Key are what the server is shown, each in PEM or the name of a file, which is read anew for each connection. Both may stand in one file.
	Cert, Key string
}

// Apply changes how a connection is made.
func (t TLS) Apply(config *pgx.ConnConfig) error {
	if t == (TLS{}) {
		return nil
	}
	if t.Mode == "disable" {
		config.TLSConfig = nil
		for _, other := range config.Fallbacks {
			other.TLSConfig = nil
		}
		return nil
	}
	made, err := t.config()
	if err != nil {
		return err
	}
	each := func(host string, before *tls.Config) *tls.Config {
		if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") { // a socket of this machine
			return nil
		}
		if t.Mode == "" && before != nil { // as the URI says, with these certificates
			own := before.Clone()
			if made.RootCAs != nil && !own.InsecureSkipVerify {
				own.RootCAs = made.RootCAs
			}
			if made.GetClientCertificate != nil {
				own.Certificates, own.GetClientCertificate = nil, made.GetClientCertificate
			}
			return own
		}
		own := made.Clone()
		own.ServerName = host
		return own
	}
	config.TLSConfig = each(config.Host, config.TLSConfig)
	kept := config.Fallbacks[:0]
	for _, other := range config.Fallbacks {
		if t.Mode != "" && other.TLSConfig == nil && !strings.HasPrefix(other.Host, "/") {
			continue // the same host without encryption
		}
		other.TLSConfig = each(other.Host, other.TLSConfig)
		kept = append(kept, other)
	}
	config.Fallbacks = kept
	return nil
}

// config makes what all hosts have in common.
func (t TLS) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		text, err := pem(t.CA)
		if err != nil {
			return nil, fmt.Errorf("the certificates that vouch for the database cannot be read: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("there is no certificate in PEM among those that vouch for the database")
		}
	}
	if t.Cert != "" || t.Key != "" {
		if _, err := t.pair(); err != nil {
			return nil, err
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.pair() }
	}
	switch t.Mode {
	case "", "verify-full":
	case "require":
		config.InsecureSkipVerify = true
	case "verify-ca":
		config.InsecureSkipVerify = true // of the name; the chain is verified here
		config.VerifyConnection = func(state tls.ConnectionState) error {
			between := x509.NewCertPool()
			for _, c := range state.PeerCertificates[1:] {
				between.AddCert(c)
			}
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: config.RootCAs, Intermediates: between})
			return err
		}
	default:
		return nil, errors.New("the mode of encryption must be disable, require, verify-ca or verify-full")
	}
	return config, nil
}

// pair reads what the server is shown.
func (t TLS) pair() (*tls.Certificate, error) {
	cert, key := t.Cert, t.Key
	if cert == "" {
		cert = key
	}
	if key == "" {
		key = cert
	}
	certText, err := pem(cert)
	keyText, keyErr := pem(key)
	if err = errors.Join(err, keyErr); err != nil {
		return nil, fmt.Errorf("the certificate for the database cannot be read: %w", err)
	}
	pair, err := tls.X509KeyPair(certText, keyText)
	if err != nil {
		return nil, fmt.Errorf("the certificate for the database is not one with its key: %w", err)
	}
	return &pair, nil
}

// pem returns text that is PEM itself, or what the file of that name holds.
func pem(text string) ([]byte, error) {
	if strings.Contains(text, "-----BEGIN") {
		return []byte(text), nil
	}
	return os.ReadFile(text)
}
