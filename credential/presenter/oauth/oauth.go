// Package oauth presents an OAuth 2.0 access token that rotates: as an
// oauth2.TokenSource, and as an http.RoundTripper that asks for another token when one
// is refused.
//
//	token, err := oauth.Presenter(apiToken) // a *credential.Credential
//	client := &http.Client{Transport: &oauth.Transport{Token: token}}
package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"github.com/parley-backend/parley/credential"
)

// Token is an access token.
type Token struct {
	Access credential.Secret
	Type   string    // "Bearer" if empty
	Expiry time.Time // zero for none
}

// Presenter makes a presenter of tokens. The credential is the token itself, a JSON object, or a group with
// access_token, and with token_type and expiry (RFC 3339) if there are any.
func Presenter(c *credential.Credential) (*credential.Presenter[Token], error) {
	return credential.NewPresenter(c, func(m credential.Material) (Token, error) {
		token, err := decode(m.Value, m.Fields)
		if !m.NotAfter.IsZero() && (token.Expiry.IsZero() || m.NotAfter.Before(token.Expiry)) {
			token.Expiry = m.NotAfter
		}
		return token, err
	})
}

// Check is for Config.Check: it refuses what is no token.
func Check(value credential.Secret, fields map[string]credential.Secret) error {
	_, err := decode(value, fields)
	return err
}

func decode(value credential.Secret, fields map[string]credential.Secret) (Token, error) {
	var document struct {
		Access string `json:"access_token"`
		Type   string `json:"token_type"`
		Expiry string `json:"expiry"`
	}
	text := value.Reveal()
	defer clear(text)
	switch {
	case len(fields) > 0:
		document.Access = string(fields["access_token"].Reveal())
		document.Type = string(fields["token_type"].Reveal())
		document.Expiry = string(fields["expiry"].Reveal())
	case bytes.HasPrefix(text, []byte("{")):
		if json.Unmarshal(text, &document) != nil {
			return Token{}, credential.Errorf(credential.Invalid, "not a token in JSON")
		}
	default:
		document.Access = string(text)
	}
	if document.Access == "" {
		return Token{}, credential.Errorf(credential.Invalid, "no access_token")
	}
	for _, part := range []string{document.Access, document.Type} {
		for _, c := range []byte(part) { // it goes into a header
			if c < 0x21 || c > 0x7e {
				return Token{}, credential.Errorf(credential.Invalid, "a token with a character that cannot be in a header")
			}
		}
	}
	token := Token{Access: credential.NewSecret(document.Access), Type: document.Type}
	if document.Expiry != "" {
		expiry, err := time.Parse(time.RFC3339, document.Expiry)
		if err != nil {
			return Token{}, credential.Errorf(credential.Invalid, "expiry is not a time as in RFC 3339")
		}
		token.Expiry = expiry
	}
	return token, nil
}

func (t Token) expired() bool { return !t.Expiry.IsZero() && !time.Now().Before(t.Expiry) }

func (t Token) header() string {
	kind := t.Type
	if kind == "" || kind == "bearer" { // servers are particular
		kind = "Bearer"
	}
	return kind + " " + string(t.Access.Reveal())
}

// current returns a token that has not expired.
func current(ctx context.Context, p *credential.Presenter[Token]) (credential.Lease[Token], error) {
	lease, err := p.Acquire(ctx)
	if err == nil && lease.Value.expired() {
		lease, err = p.Rejected(ctx, lease.Generation)
	}
	return lease, err
}

// Source returns an oauth2.TokenSource that yields the present token. It need not be
// wrapped in oauth2.ReuseTokenSource, which would hold on to a token that was
// rotated. The context bounds the wait for a first token.
func Source(ctx context.Context, p *credential.Presenter[Token]) oauth2.TokenSource {
	return source{ctx, p}
}

type source struct {
	ctx context.Context
	p   *credential.Presenter[Token]
}

func (s source) Token() (*oauth2.Token, error) {
	lease, err := current(s.ctx, s.p)
	if err != nil {
		return nil, err
	}
	t := lease.Value
	return &oauth2.Token{AccessToken: string(t.Access.Reveal()), TokenType: t.Type, Expiry: t.Expiry}, nil
}

// Transport adds the present token to requests. When one is answered with 401, another
// token is asked for, once for all that were refused, and the request is sent once more
// if its body can be (http.Request.GetBody). A redirect to another host gets no token.
type Transport struct {
	Token *credential.Presenter[Token]
	Base  http.RoundTripper // http.DefaultTransport if nil
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	if elsewhere(request) {
		return base.RoundTrip(request)
	}
	ctx := request.Context()
	lease, err := current(ctx, t.Token)
	if err != nil {
		if request.Body != nil {
			_ = request.Body.Close() // as every RoundTripper does
		}
		return nil, err
	}
	response, err := base.RoundTrip(with(request, lease.Value))
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	next, err := t.Token.Instead(ctx, lease.Generation)
	if err != nil {
		return response, nil // the refusal is the answer
	}
	again := with(request, next.Value)
	if request.Body != nil && request.Body != http.NoBody {
		if request.GetBody == nil {
			return response, nil // it was sent, and cannot be sent again; the next request has the new token
		}
		if again.Body, err = request.GetBody(); err != nil {
			return response, nil
		}
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection can be used again
	_ = response.Body.Close()
	return base.RoundTrip(again)
}

// with returns a copy of the request with a token.
func with(request *http.Request, token Token) *http.Request {
	own := request.Clone(request.Context())
	own.Header.Set("Authorization", token.header())
	return own
}

// elsewhere reports whether a client was redirected here from another host or scheme.
func elsewhere(request *http.Request) bool {
	first := request
	for first.Response != nil && first.Response.Request != nil {
		first = first.Response.Request
	}
	return first.URL.Host != request.URL.Host || first.URL.Scheme != request.URL.Scheme
}
