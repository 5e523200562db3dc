// Package origin speaks HTTP to one server that credentials are read from. What it
// guarantees holds for every source that uses it: a secret travels in the clear to the
// loopback interface only, unless the configuration names another host; nothing is sent
// to a host that the configuration does not name; an answer is bounded in size and time;
// an error holds no word of an answer.
package origin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
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
	// Limit is the largest answer, in bytes.
	Limit int
}

// Origin is one server. It is safe for use by several goroutines.
type Origin struct {
	cfg     Config
	allowed bool // to be reached in the clear, wherever it is

	mu     sync.Mutex
	client *http.Client
	ca     [32]byte // digest of the CAFile that client trusts
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
	case cfg.Scheme == "http" && cfg.CAFile != "":
		return nil, credential.Errorf(credential.Misconfigured, "ca_file has no meaning for plain HTTP")
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
	body, err := o.read(response)
	if err != nil {
		clear(body)
		return Answer{}, o.failed(ctx, err)
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}

// read reads into one buffer of the right size: growing one leaves copies behind.
func (o *Origin) read(response *http.Response) ([]byte, error) {
	size := o.cfg.Limit
	if known := response.ContentLength; known >= 0 {
		size = int(min(known, int64(size)))
	}
	buffer := make([]byte, size+1)
	n, err := io.ReadFull(response.Body, buffer)
	switch {
	case n > o.cfg.Limit || response.ContentLength > int64(o.cfg.Limit):
		return buffer, credential.Errorf(credential.Invalid, "%s sent more than %d bytes", o.cfg.Host, o.cfg.Limit)
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

// ready returns the client, made anew when the file of certificates has changed.
func (o *Origin) ready() (*http.Client, error) {
	var pem []byte
	if o.cfg.CAFile != "" {
		var err error
		if pem, err = os.ReadFile(o.cfg.CAFile); err != nil {
			return nil, credential.Errorf(credential.Misconfigured, "%s: cannot be read", o.cfg.CAFile)
		}
	}
	sum := sha256.Sum256(pem)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.client != nil && sum == o.ca {
		return o.client, nil
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if pem != nil {
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, credential.Errorf(credential.Misconfigured, "%s has no certificate in PEM", o.cfg.CAFile)
		}
	}
	if o.client != nil {
		o.client.CloseIdleConnections()
	}
	o.client, o.ca = &http.Client{Transport: o.transport(trust), CheckRedirect: o.redirect}, sum
	return o.client, nil
}

func (o *Origin) transport(trust *tls.Config) *http.Transport {
	dialer := &net.Dialer{KeepAlive: 30 * time.Second}
	t := &http.Transport{
		TLSClientConfig:        trust,
		DisableCompression:     true, // nothing to inflate, so nothing that inflates without end
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        30 * time.Second,
		MaxIdleConnsPerHost:    4,
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
