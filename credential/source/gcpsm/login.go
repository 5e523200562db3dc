package gcpsm

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/internal/origin"
)

const (
	scope        = "https://www.googleapis.com/auth/cloud-platform"
	loginTimeout = 10 * time.Second
)

// token is our own token. The zero token is none.
type token struct {
	*oauth2.Token
	generation uint64
}

// ready returns a token that may be used: not the refused generation, and not at its end.
// The library takes no context, so it works aside; one works for all.
func (c *client) ready(ctx context.Context, refused uint64) (token, error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return token{}, ctx.Err()
	}
	if c.token.Valid() && c.token.generation != refused {
		defer func() { <-c.turn }()
		return c.token, nil
	}
	type result struct {
		token token
		err   error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-c.turn }()
		fresh, err := c.login(refused != 0 && c.token.generation == refused)
		if err == nil {
			c.token = token{fresh, c.token.generation + 1}
		}
		done <- result{c.token, err}
	}()
	select {
	case r := <-done:
		return r.token, r.err
	case <-ctx.Done():
		return token{}, ctx.Err()
	}
}

// login obtains a token. After a refusal the credentials are read anew: they may have
// been replaced.
func (c *client) login(anew bool) (fresh *oauth2.Token, err error) {
	defer func() {
		if recover() != nil {
			err = credential.Errorf(credential.Unavailable, "the login failed in the library")
		}
	}()
	if c.tokens == nil || anew {
		if c.tokens, err = c.credentials(); err != nil {
			return nil, err
		}
	}
	if fresh, err = c.tokens.Token(); err != nil {
		c.tokens = nil
		return nil, c.loginFailed(err)
	}
	return fresh, nil
}

// kinds of files of credentials.
var kinds = map[google.CredentialsType]bool{
	google.ServiceAccount: true, google.AuthorizedUser: true, google.ExternalAccount: true,
	google.ExternalAccountAuthorizedUser: true, google.ImpersonatedServiceAccount: true,
}

// credentials finds out how to log in: by the file that the reference or the environment
// names, by that of the command line tools, or by the metadata server.
func (c *client) credentials() (oauth2.TokenSource, error) {
	// The library keeps this context for as long as it makes tokens.
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, c.loginClient)
	path := c.credentialsFile
	if path == "" {
		path = os.Getenv("GOOGLE_APPLICATION_CREDENTIALS")
	}
	if path == "" {
		found, err := google.FindDefaultCredentials(ctx, scope)
		if err != nil {
			return nil, credential.Errorf(credential.Denied, "no application default credentials were found")
		}
		return found.TokenSource, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, credential.Errorf(credential.Denied, "%s: the credentials cannot be read", path)
	}
	defer clear(content)
	var head struct {
		Type google.CredentialsType `json:"type"`
	}
	if json.Unmarshal(content, &head) != nil || !kinds[head.Type] {
		return nil, credential.Errorf(credential.Denied, "%s: the content is not a kind of credentials that is known", path)
	}
	found, err := google.CredentialsFromJSONWithType(ctx, content, head.Type, scope)
	if err != nil {
		return nil, credential.Errorf(credential.Denied, "%s: the credentials cannot be used", path)
	}
	found.JSON = nil
	return found.TokenSource, nil
}

// loginFailed says what a failed login means: a refusal is Denied, anything else
// Unavailable.
func (c *client) loginFailed(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response == nil {
		return credential.Errorf(credential.Unavailable, "the login did not succeed")
	}
	status := refused.Response.StatusCode
	class := credential.Denied
	if status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout {
		class = credential.Unavailable
	}
	failure := credential.Errorf(class, "the login was answered with status %d", status)
	failure.RetryAfter = c.origin.Refuse(origin.Answer{Status: status, Header: refused.Response.Header}).RetryAfter
	return failure
}

// newLoginClient asks the hosts that the credentials name, and follows none of them
// to another.
func newLoginClient() *http.Client {
	return &http.Client{Timeout: loginTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
