package azkv

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/internal/origin"
)

const (
	// concurrency is how many requests one vault gets from us at a time.
	concurrency = 4
	// maxAnswer has room for a secret of 25 KB, and for a page of versions with their tags.
	maxAnswer = 512 << 10
)

// client is one vault.
type client struct {
	*azsecrets.Client
	host   string
	next   policy.Transporter
	origin *origin.Origin // describes what the vault refuses; the requests are the library's
}

// newClient does no I/O. The library tries nothing twice: when to ask again is the engine's.
func newClient(host string, l *login, transport policy.Transporter, to *origin.Origin) (*client, error) {
	options := &azsecrets.ClientOptions{ClientOptions: azcore.ClientOptions{
		Retry:     policy.RetryOptions{MaxRetries: -1},
		Telemetry: policy.TelemetryOptions{ApplicationID: "Parley"},
		Transport: &gate{host: host, next: transport, slots: make(chan struct{}, concurrency)},
	}}
	secrets, err := azsecrets.NewClient("https://"+host, l.at(host), options)
	if err != nil {
		return nil, wrong("the vault cannot be used")
	}
	return &client{Client: secrets, host: host, next: transport, origin: to}, nil
}

// rest closes the connections that are not in use: their buffers hold what came over them
// last.
func (c *client) rest() {
	if keeps, ok := c.next.(interface{ CloseIdleConnections() }); ok {
		keeps.CloseIdleConnections()
	}
}

// gate is the one way to a vault. It refuses every other host, so that neither a link in
// an answer nor a redirect takes our token there, and bounds answers and requests.
type gate struct {
	host  string
	next  policy.Transporter
	slots chan struct{}
}

var (
	errElsewhere = errors.New("azkv: another host")
	errTooLarge  = errors.New("azkv: an answer that is too large")
)

// Do implements policy.Transporter.
func (g *gate) Do(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" || !strings.EqualFold(r.URL.Host, g.host) {
		return nil, errElsewhere
	}
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	response, err := g.next.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, errTooLarge
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

func newTransport() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        30 * time.Second,
			ForceAttemptHTTP2:      true,
		},
	}
}

// login is our own login, made when the first token is wanted. There is one for each cloud.
type login struct {
	given azcore.TokenCredential

	mu   sync.Mutex
	made map[string]azcore.TokenCredential
}

// at returns the login for a vault.
func (l *login) at(host string) azcore.TokenCredential { return loginAt{l, host} }

type loginAt struct {
	*login
	host string
}

// GetToken implements azcore.TokenCredential. Its errors are of this module.
func (l loginAt) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	with, err := l.credential(l.host)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	token, err := with.GetToken(ctx, options)
	if err == nil {
		return token, nil
	}
	var refused *azidentity.AuthenticationFailedError
	var final interface {
		error
		NonRetriable()
	}
	switch {
	case ctx.Err() != nil:
		return azcore.AccessToken{}, ctx.Err()
	case errors.As(err, &refused) && refused.RawResponse != nil:
		return azcore.AccessToken{}, loginRefused(refused.RawResponse)
	case errors.As(err, &refused) || !errors.As(err, &final):
		return azcore.AccessToken{}, credential.Errorf(credential.Unavailable, "the login to Azure did not succeed")
	}
	return azcore.AccessToken{}, credential.Errorf(credential.Denied, "nothing says how to log in to Azure")
}

func loginRefused(response *http.Response) error {
	class := credential.Denied
	if response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusRequestTimeout {
		class = credential.Unavailable
	}
	return credential.Errorf(class, "the login to Azure was answered with status %d", response.StatusCode)
}

// clouds that are not the public one, by the domain of their vaults.
var clouds = map[string]cloud.Configuration{
	".vault.azure.cn":          cloud.AzureChina,
	".vault.usgovcloudapi.net": cloud.AzureGovernment,
}

func (l *login) credential(host string) (azcore.TokenCredential, error) {
	if l.given != nil {
		return l.given, nil
	}
	var options azidentity.DefaultAzureCredentialOptions // which heeds AZURE_AUTHORITY_HOST
	name, _, _ := strings.Cut(host, ".")
	domain := strings.TrimPrefix(host, name)
	if in, known := clouds[domain]; known {
		options.Cloud = in
	} else {
		domain = ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if made, known := l.made[domain]; known {
		return made, nil
	}
	made, err := azidentity.NewDefaultAzureCredential(&options)
	if err != nil {
		return nil, credential.Errorf(credential.Denied, "nothing says how to log in to Azure")
	}
	if l.made == nil {
		l.made = make(map[string]azcore.TokenCredential)
	}
	l.made[domain] = made
	return made, nil
}

// refusal is what a vault says besides the status.
type refusal struct {
	Error struct {
		Code  string `json:"code"`
		Inner struct {
			Code string `json:"code"`
		} `json:"innererror"`
	} `json:"error"`
}

// codes of refusals that mean more than their status.
const (
	codeDisabled     = "SecretDisabled"
	codeRecoverable  = "ObjectIsDeletedButRecoverable"
	codeBeingDeleted = "ObjectIsBeingDeleted"
)

// failed describes an error of the library in words of this package. code is the
// vault's own for it, "" if it said none.
func (c *client) failed(ctx context.Context, about string, err error) (code string, failure error) {
	var own *credential.Error
	var refused *azcore.ResponseError
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if errors.As(err, &own) {
		return "", own
	}
	if !errors.As(err, &refused) {
		return "", c.lost(err)
	}
	answer := origin.Answer{Status: refused.StatusCode}
	var said refusal
	if refused.RawResponse != nil {
		answer.Header = refused.RawResponse.Header
		if body, err := runtime.Payload(refused.RawResponse); err == nil && json.Unmarshal(body, &said) == nil {
			if code = said.Error.Inner.Code; code == "" {
				code = said.Error.Code
			}
		}
	}
	described := c.origin.Refuse(answer)
	switch {
	case refused.StatusCode == http.StatusNotFound:
		described.Reason = about + ": there is no such secret"
	case code == codeRecoverable || code == codeBeingDeleted:
		described.Class, described.Reason = credential.Gone, about+": a deleted secret holds the name: recover it, or purge it"
	case refused.StatusCode == http.StatusForbidden:
		described.Reason = about + ": our account may not do that"
	case refused.StatusCode == http.StatusTooManyRequests:
		described.Reason = about + ": the vault is throttled"
	case refused.StatusCode == http.StatusBadRequest:
		described.Class, described.Reason = credential.Misconfigured, about+": the vault does not understand the names"
	}
	return code, described
}

// lost describes what went wrong on the way.
func (c *client) lost(err error) error {
	var untrusted *tls.CertificateVerificationError
	var dns *net.DNSError
	var errno syscall.Errno
	var network net.Error
	var final interface {
		error
		NonRetriable()
	}
	class, reason := credential.Unavailable, "did not answer as the service does"
	switch {
	case errors.Is(err, errElsewhere):
		reason = "leads to another host, where our token does not go"
	case errors.Is(err, errTooLarge):
		class, reason = credential.Invalid, "sent an answer that is too large"
	case errors.As(err, &untrusted):
		reason = "has a certificate that is not trusted"
	case errors.As(err, &dns):
		reason = "could not be resolved"
	case errors.As(err, &errno):
		reason = errno.Error()
	case errors.As(err, &network) && network.Timeout():
		reason = "timed out"
	case errors.As(err, &final):
		class, reason = credential.Denied, "asks for a login that is not for it"
	}
	return credential.Errorf(class, "%s: %s", c.host, reason)
}
