// Package tlscert serves TLS with a certificate that rotates, on either side of a
// connection:
//
//	certificate, err := tlscert.Presenter(siteCertificate) // a *credential.Credential
//	server := &tls.Config{GetCertificate: tlscert.GetCertificate(certificate)}
//	client := &tls.Config{GetClientCertificate: tlscert.GetClientCertificate(certificate)}
//
// A handshake uses the newest certificate; connections that are open go on. A
// certificate and its key change together or not at all.
package tlscert

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"time"

	"github.com/parley-backend/parley/credential"
)

// skew is how far the clock of whoever issued a certificate may be ahead.
const skew = time.Minute

// names are the fields of a group in which certificate and key stand: those of this
// package, of a Kubernetes secret and of Vault.
var names = struct{ certificate, key []string }{
	certificate: []string{"cert", "tls.crt", "certificate"},
	key:         []string{"key", "tls.key", "private_key"},
}

// Presenter makes a presenter of certificates, each parsed once. The credential is a group
// with cert and key (or tls.crt and tls.key, or certificate and private_key), or one text
// with everything; all in PEM, the leaf first, then the intermediate certificates.
func Presenter(c *credential.Credential) (*credential.Presenter[*tls.Certificate], error) {
	return credential.NewPresenter(c, func(m credential.Material) (*tls.Certificate, error) { return parse(m.Value, m.Fields) })
}

// Check is for Config.Check. It refuses half of a pair, a key that is another
// certificate's, and a certificate that has expired or is not valid yet.
func Check(value credential.Secret, fields map[string]credential.Secret) error {
	certificate, err := parse(value, fields)
	switch now := time.Now(); {
	case err != nil:
		return err
	case now.After(certificate.Leaf.NotAfter):
		return credential.Errorf(credential.Invalid, "the certificate expired at %s", certificate.Leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Add(skew).Before(certificate.Leaf.NotBefore):
		return credential.Errorf(credential.Invalid, "the certificate is not valid before %s", certificate.Leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

func parse(value credential.Secret, fields map[string]credential.Secret) (*tls.Certificate, error) {
	chain, key := value.Reveal(), value.Reveal()
	if len(fields) > 0 {
		chain, key = field(fields, names.certificate), field(fields, names.key)
	}
	defer clear(key)
	if !has(chain, func(kind string) bool { return kind == "CERTIFICATE" }) {
		return nil, credential.Errorf(credential.Invalid, "no certificate in PEM")
	}
	if !has(key, func(kind string) bool {
		return kind == "PRIVATE KEY" || kind == "RSA PRIVATE KEY" || kind == "EC PRIVATE KEY"
	}) {
		return nil, credential.Errorf(credential.Invalid, "a certificate without its private key in PEM")
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil { // its text is made of what was read
		return nil, credential.Errorf(credential.Invalid, "the certificate cannot be read, or the private key is not the certificate's")
	}
	return &pair, nil // with its Leaf
}

func field(fields map[string]credential.Secret, names []string) []byte {
	for _, name := range names {
		if value, found := fields[name]; found {
			return value.Reveal()
		}
	}
	return nil
}

// has reports whether there is a PEM block of a kind.
func has(text []byte, want func(kind string) bool) bool {
	for block, rest := pem.Decode(bytes.TrimSpace(text)); block != nil; block, rest = pem.Decode(rest) {
		if want(block.Type) {
			return true
		}
	}
	return false
}

// GetCertificate is for the field of that name of a server's tls.Config. Once the
// certificate has expired the source is asked again, and as long as it has no other the
// handshake fails.
func GetCertificate(p *credential.Presenter[*tls.Certificate]) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return valid(hello.Context(), p) }
}

// GetClientCertificate is for the field of that name of a client's tls.Config.
func GetClientCertificate(p *credential.Presenter[*tls.Certificate]) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return valid(request.Context(), p)
	}
}

func valid(ctx context.Context, p *credential.Presenter[*tls.Certificate]) (*tls.Certificate, error) {
	if ctx == nil { // no handshake: somebody asks for the certificate
		ctx = context.Background()
	}
	lease, err := p.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	if !time.Now().After(lease.Value.Leaf.NotAfter) {
		return lease.Value, nil
	}
	if lease, err = p.Rejected(ctx, lease.Generation); err != nil {
		return nil, err
	}
	return lease.Value, nil
}

// Expires returns when the present certificate expires.
func Expires(ctx context.Context, p *credential.Presenter[*tls.Certificate]) (time.Time, error) {
	lease, err := p.Acquire(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return lease.Value.Leaf.NotAfter, nil
}

// alerts are what a server says of a client's certificate (RFC 8446, section 6.2), in the words of crypto/tls.
var alerts = map[string]bool{
	"tls: bad certificate":               true,
	"tls: unsupported certificate":       true,
	"tls: revoked certificate":           true,
	"tls: expired certificate":           true,
	"tls: unknown certificate":           true,
	"tls: unknown certificate authority": true,
	"tls: certificate required":          true,
	"tls: access denied":                 true,
}

// Refused reports whether an error says that the other side refused our certificate. With TLS 1.3 a
// client learns of it with the first answer only, so credential.Use should go that far.
func Refused(err error) bool {
	var remote *net.OpError
	return errors.As(err, &remote) && remote.Op == "remote error" && remote.Err != nil && alerts[remote.Err.Error()]
}
