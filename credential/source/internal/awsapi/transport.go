package awsapi

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// maxAnswer is the largest answer that is read: a secret of 64 KiB in base64 or escaped, and
// what AWS wraps around it.
const maxAnswer = 512 << 10

var (
	errNotLoopback = errors.New("not the loopback interface")
	errTooLarge    = errors.New("too large")
)

// newHTTPClient returns the HTTP client of the SDK. The certificates and proxies that the SDK was told to use are taken from the one
// it made. No redirect is followed: a request is signed for one host, but the token that goes with it is good anywhere. Plain HTTP
// goes to the loopback interface, or to the one host that is allowed. An answer is bounded. A connection is not kept: its buffers would
// keep the secret that came over it last.
func newHTTPClient(made httpDoer, allowHTTP string) *http.Client {
	var secure *http.Transport
	if buildable, ok := made.(interface{ GetTransport() *http.Transport }); ok {
		secure = buildable.GetTransport()
	} else {
		secure = http.DefaultTransport.(*http.Transport).Clone()
	}
	secure.DisableKeepAlives = true
	inClear := secure.Clone()
	inClear.Proxy = nil
	inClear.DialContext = (&net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		if host, _, err := net.SplitHostPort(address); err != nil || !net.ParseIP(host).IsLoopback() { // whatever a name resolves to
			return errNotLoopback
		}
		return nil
	}}).DialContext
	return &http.Client{Transport: way{allowHTTP: allowHTTP, secure: secure, inClear: inClear}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// way sends a request the way that its scheme asks for.
type way struct {
	allowHTTP       string
	secure, inClear *http.Transport
}

func (w way) RoundTrip(r *http.Request) (*http.Response, error) {
	to := w.secure
	if r.URL.Scheme != "https" && !strings.EqualFold(r.URL.Hostname(), w.allowHTTP) {
		to = w.inClear
	}
	response, err := to.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = &bounded{Reader: response.Body, Closer: response.Body, left: maxAnswer}
	return response, nil
}

// bounded fails when more is read than is allowed.
type bounded struct {
	io.Reader
	io.Closer
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}
