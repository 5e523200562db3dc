package messaging

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

// tlsSettings are what the keys tls_… say.
type tlsSettings struct {
	ca, caFile        string // PEM, path
	cert, certFile    string
	key, keyFile      string
	serverName        string
	first             bool
	onlyFirstOfBundle bool // strict_compat
}

// check finds what contradicts itself, without reading files.
func (t tlsSettings) check() error {
	switch {
	case t.cert != "" && t.certFile != "", t.key != "" && t.keyFile != "":
		return errors.New("tls_cert and tls_key stand for files as well: give either the text or the file")
	case (t.cert != "") != (t.key != ""), (t.certFile != "") != (t.keyFile != ""):
		return errors.New("tls_cert and tls_key have to be given together, both as text or both as files")
	case t.cert != "":
		if _, err := tls.X509KeyPair([]byte(t.cert), []byte(t.key)); err != nil {
			return errors.New("tls_cert and tls_key are not a certificate and its key in PEM")
		}
	}
	return nil
}

// setAuthorities reads tls_ca. Config values lose line breaks easily, so \n is one as well.
func setAuthorities(s *settings, text string) error {
	text = strings.ReplaceAll(text, `\n`, "\n")
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(text)) {
		return errors.New("holds no certificate in PEM")
	}
	s.tls.ca = text
	return nil
}

// parts are all that makes a difference to a connection.
func (t tlsSettings) parts() []string {
	return []string{"tls", t.ca, t.caFile, t.cert, t.certFile, t.key, t.keyFile, t.serverName, fmt.Sprint(t.first)}
}

// build reads the files and returns what nats.go needs, nil for what the URLs say alone.
func (t tlsSettings) build() (*tls.Config, error) {
	if t == (tlsSettings{first: t.first, onlyFirstOfBundle: t.onlyFirstOfBundle}) {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.serverName}
	if t.ca != "" || t.caFile != "" {
		cfg.RootCAs = x509.NewCertPool()
	}
	if t.ca != "" {
		all := []byte(t.ca)
		if t.onlyFirstOfBundle {
			if block, _ := pem.Decode(all); block != nil {
				all = pem.EncodeToMemory(block)
			}
		}
		cfg.RootCAs.AppendCertsFromPEM(all)
	}
	if t.caFile != "" {
		all, err := os.ReadFile(t.caFile)
		if err != nil {
			return nil, fmt.Errorf("tls_ca_file: %w", err)
		}
		if !cfg.RootCAs.AppendCertsFromPEM(all) {
			return nil, fmt.Errorf("tls_ca_file: %s holds no certificate in PEM", t.caFile)
		}
	}
	switch {
	case t.cert != "":
		pair, err := tls.X509KeyPair([]byte(t.cert), []byte(t.key))
		if err != nil {
			return nil, errors.New("tls_cert and tls_key are not a certificate and its key in PEM")
		}
		cfg.Certificates = []tls.Certificate{pair}
	case t.certFile != "":
		if _, err := tls.LoadX509KeyPair(t.certFile, t.keyFile); err != nil {
			return nil, fmt.Errorf("tls_cert_file and tls_key_file: %w", err)
		}
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.certFile, t.keyFile)
			return &pair, err
		}
	}
	return cfg, nil
}
