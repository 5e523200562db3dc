// Package origin speaks HTTP to one server that credentials are read from. What it
// guarantees holds for every source that uses it: a secret travels in the clear to the
// loopback interface only, unless the configuration names another host; nothing is sent
// to a host that the configuration does not name; an answer is bounded in size and time;
// an error holds no word of an answer.
package origin

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/parley-backend/parley/credential"
)

// Config describes a server.
type Config struct {
	Scheme string // https or http
	Host   string // and port
	// AllowHTTP is the host that plain HTTP may reach besides the loopback
	// interface, "" for none.
	AllowHTTP string
	// CAFile has the certificates to trust instead of the system's, in PEM. It is read
	// again when it changes.
	CAFile string
	// CertFile and KeyFile have the certificate that we show and its key, in PEM; both or
	// neither. They are read again when they change.
	CertFile, KeyFile string
	// ServerName is the name that the server's certificate must have, if not that of Host.
	ServerName string
	// Limit is the largest answer, in bytes.
	Limit int
}

// Origin is one server. It is safe for use by several goroutines.
type Origin struct {
	cfg     Config
	allowed bool // to be reached in the clear, wherever it is

	digester credential.Digester

	mu     sync.Mutex
	client *http.Client
	files  [32]byte // digest of the files that client was made with
}

// New checks a Config and does no I/O. Its errors are Misconfigured.
func New(cfg Config) (*Origin, error) {
	where, err := url.Parse(cfg.Scheme + "://" + cfg.Host)
	if err != nil || where.Hostname() == "" || where.Host != cfg.Host {
		return nil, credential.Errorf(credential.Misconfigured, "the host is missing or wrongly written")
	}
	host := where.Hostname()
	switch {
	case cfg.Scheme != "https" && cfg.Scheme != "http":
		return nil, credential.Errorf(credential.Misconfigured, "the address must begin with https:// or http://")
	case cfg.Scheme == "http" && !loopback(host) && !strings.EqualFold(host, cfg.AllowHTTP):
		return nil, credential.Errorf(credential.Misconfigured, "plain HTTP to %s would show the secret to the network; write https, or allow_http=%s", host, host)
	case cfg.Scheme == "http" && cfg.CAFile+cfg.CertFile+cfg.KeyFile+cfg.ServerName != "":
		return nil, credential.Errorf(credential.Misconfigured, "ca_file, cert_file, key_file and server_name have no meaning for plain HTTP")
	case (cfg.CertFile == "") != (cfg.KeyFile == ""):
		return nil, credential.Errorf(credential.Misconfigured, "cert_file and key_file want each other")
	}
	return &Origin{cfg: cfg, allowed: strings.EqualFold(host, cfg.AllowHTTP)}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// Request is what to ask.
type Request struct {
	Method string // GET if empty
	Path   string // unescaped, with its leading slash
	Query  string
	Header http.Header
	Body   []byte
	Limit  int // the largest answer, in bytes; Config.Limit if 0
}

// Answer is what came back. The body belongs to the caller, who wipes it.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do asks once. Redirects within the origin are followed for GET, any other is refused.
func (o *Origin) Do(ctx context.Context, r Request) (Answer, error) {
	client, err := o.ready()
	if err != nil {
		return Answer{}, err
	}
	where := url.URL{Scheme: o.cfg.Scheme, Host: o.cfg.Host, Path: r.Path, RawQuery: r.Query}
	request, err := http.NewRequestWithContext(ctx, r.Method, where.String(), bytes.NewReader(r.Body))
	if err != nil {
		return Answer{}, credential.Errorf(credential.Misconfigured, "%s: not a valid request", o.cfg.Host)
	}
	for name, values := range r.Header {
		request.Header[name] = values
	}
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, o.failed(ctx, err)
	}
	defer response.Body.Close()
	if coding := response.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return Answer{}, credential.Errorf(credential.Invalid, "%s sent a compressed answer, which was not asked for", o.cfg.Host)
	}
	if r.Limit == 0 {
		r.Limit = o.cfg.Limit
	}
	body, err := o.read(response, r.Limit)
	if err != nil {
		clear(body)
		return Answer{}, o.failed(ctx, err)
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}

// read reads into one buffer of the right size: growing one leaves copies behind.
func (o *Origin) read(response *http.Response, limit int) ([]byte, error) {
	size := limit
	if known := response.ContentLength; known >= 0 {
		size = int(min(known, int64(size)))
	}
	buffer := make([]byte, size+1)
	n, err := io.ReadFull(response.Body, buffer)
	switch {
	case n > limit || response.ContentLength > int64(limit):
		return buffer, credential.Errorf(credential.Invalid, "%s sent more than %d bytes", o.cfg.Host, limit)
	case err == io.EOF || err == io.ErrUnexpectedEOF && (response.ContentLength < 0 || int64(n) == response.ContentLength):
		return buffer[:n], nil
	}
	return buffer, err
}

// Refuse turns an answer that is no success into an error, by the status alone:
// 401 and 403 Denied, 404 Missing, 410 Gone, everything else Unavailable.
func (o *Origin) Refuse(a Answer) *credential.Error {
	class := credential.Unavailable
	switch a.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		class = credential.Denied
	case http.StatusNotFound:
		class = credential.Missing
	case http.StatusGone:
		class = credential.Gone
	}
	failure := credential.Errorf(class, "%s answered with status %d", o.cfg.Host, a.Status)
	failure.RetryAfter = retryAfter(a.Header.Get("Retry-After"))
	return failure
}

// retryAfter reads seconds or a date; 0 if there is neither.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(date))
	}
	return 0
}

// ready returns the client, made anew when a file of certificates has changed. A certificate
// and a key that do not belong together are two files of which one was replaced already:
// until the other is, the ones before serve.
func (o *Origin) ready() (*http.Client, error) {
	files, err := o.readFiles()
	if err != nil {
		return nil, err
	}
	defer files.wipe()
	sum := files.digest(&o.digester)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.client != nil && sum == o.files {
		return o.client, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.cfg.ServerName}
	if o.cfg.CAFile != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(files.ca) {
			return nil, credential.Errorf(credential.Misconfigured, "%s has no certificate in PEM", o.cfg.CAFile)
		}
	}
	if o.cfg.CertFile != "" {
		pair, err := tls.X509KeyPair(files.cert, files.key)
		switch {
		case err != nil && o.client != nil:
			return o.client, nil
		case err != nil:
			return nil, credential.Errorf(credential.Denied, "%s and %s are no certificate in PEM and its key", o.cfg.CertFile, o.cfg.KeyFile)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	o.client, o.files = &http.Client{Transport: o.transport(config), CheckRedirect: o.redirect}, sum
	return o.client, nil
}

func (o *Origin) transport(trust *tls.Config) *http.Transport {
	dialer := &net.Dialer{KeepAlive: 30 * time.Second}
	t := &http.Transport{
		TLSClientConfig:        trust,
		DisableCompression:     true, // nothing to inflate, so nothing that inflates without end
		MaxResponseHeaderBytes: 64 << 10,
		DisableKeepAlives:      true, // the buffers of an idle connection hold what came over it last
		ForceAttemptHTTP2:      true,
	}
	if o.cfg.Scheme == "https" {
		t.Proxy = http.ProxyFromEnvironment
	} else if !o.allowed { // whatever a name resolves to
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			if host, _, err := net.SplitHostPort(address); err != nil || !loopback(host) {
				return errNotLoopback
			}
			return nil
		}
	}
	t.DialContext = dialer.DialContext
	return t
}

var (
	errNotLoopback = errors.New("not the loopback interface")
	errRedirect    = errors.New("redirected")
)

func (o *Origin) redirect(to *http.Request, via []*http.Request) error {
	same := to.URL.Scheme == o.cfg.Scheme && strings.EqualFold(to.URL.Host, o.cfg.Host)
	if !same || len(via) > 3 || via[0].Method != http.MethodGet {
		return errRedirect
	}
	return nil
}

// failed describes what went wrong on the way, in words of this package.
func (o *Origin) failed(ctx context.Context, err error) error {
	var own *credential.Error
	var errno syscall.Errno
	var dns *net.DNSError
	var untrusted *tls.CertificateVerificationError
	var alert tls.AlertError
	var network net.Error
	reason := "did not answer as HTTP wants it"
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &own):
		return own
	case errors.Is(err, errRedirect):
		reason = "redirects to another place, which is not followed"
	case errors.Is(err, errNotLoopback):
		reason = "is not on the loopback interface, and plain HTTP goes nowhere else"
	case errors.As(err, &untrusted):
		reason = "has a certificate that is not trusted"
	case errors.As(err, &alert):
		reason = "refused the TLS connection"
	case errors.As(err, &dns):
		reason = "could not be resolved"
	case errors.As(err, &errno):
		reason = errno.Error()
	case errors.As(err, &network) && network.Timeout():
		reason = "timed out"
	}
	return credential.Errorf(credential.Unavailable, "%s: %s", o.cfg.Host, reason)
}
