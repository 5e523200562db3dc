package azkv_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/azkv"
)

const challenge = `Bearer authorization="https://login.microsoftonline.com/tenant" resource="https://vault.azure.net"`

// challenged answers a request without a token with a challenge, as a vault does.
func challenged(answer func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Authorization") == "" {
			return refusal(r, 401, ``, "WWW-Authenticate", challenge)
		}
		return answer(r)
	}
}

// The table of answers that are no success.
func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		status     int
		body, want string
		retryAfter string
	}{
		{401, `{"error":{"code":"Unauthorized","message":"canary"}}`, "denied: " + vaultHost + " answered with status 401", ""},
		{403, `{"error":{"code":"Forbidden","message":"canary","innererror":{"code":"ForbiddenByRbac"}}}`, "denied: " + location + ": our account may not do that", ""},
		{403, `{"error":{"code":"Forbidden","message":"canary","innererror":{"code":"SecretDisabled"}}}`, "gone: " + location + ": the version is disabled", ""},
		{403, `<html>canary</html>`, "denied: " + location + ": our account may not do that", ""},
		{404, `{"error":{"code":"SecretNotFound","message":"canary"}}`, "missing: " + location + ": there is no such secret", ""},
		{429, `{"error":{"code":"Throttled","message":"canary"}}`, "unavailable: " + location + ": the vault is throttled", "17"},
		{503, `canary`, "unavailable: " + vaultHost + " answered with status 503", "17"},
		{500, ``, "unavailable: " + vaultHost + " answered with status 500", ""},
		{400, `{"error":{"code":"BadParameter","message":"canary"}}`, "config: " + location + ": the vault does not understand the names", ""},
		{302, ``, "unavailable: " + vaultHost + " answered with status 302", ""},
		{200, `canary`, "unavailable: " + vaultHost + ": did not answer as the service does", ""},
		{200, `{}`, "unavailable: " + location + ": the vault sent an answer that cannot be read", ""},
		{200, `{"id":"https://x/secrets/parley","value":"canary"}`, "unavailable: " + location + ": the vault sent an answer that cannot be read", ""},
		{200, `{"value":"` + strings.Repeat("x", 512<<10) + `"}`, "invalid: " + vaultHost + ": sent an answer that is too large", ""},
	} {
		f := startFake()
		requests := 0
		f.answer = challenged(func(r *http.Request) (*http.Response, error) {
			requests++
			return refusal(r, test.status, test.body, "Retry-After", test.retryAfter, "Location", "https://elsewhere.example/")
		})
		err := fails(t, f.source(t, ""), "credential: "+test.want)
		want := time.Duration(0)
		if test.retryAfter != "" {
			want = 17 * time.Second
		}
		if err.RetryAfter != want {
			t.Errorf("RetryAfter of %d = %v, want %v", test.status, err.RetryAfter, want)
		}
		if most := 2; requests > most {
			t.Errorf("%d requests for one answer of %d, want %d at most: the engine tries again", requests, test.status, most)
		}
	}
}

func TestLost(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&url.Error{Op: "Get", URL: "https://canary", Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, "unavailable: " + vaultHost + ": connection refused"},
		{&net.DNSError{Err: "canary", Name: "canary"}, "unavailable: " + vaultHost + ": could not be resolved"},
		{&tls.CertificateVerificationError{Err: errors.New("canary")}, "unavailable: " + vaultHost + ": has a certificate that is not trusted"},
		{&net.OpError{Op: "read", Err: timeout{}}, "unavailable: " + vaultHost + ": timed out"},
		{errors.New("canary"), "unavailable: " + vaultHost + ": did not answer as the service does"},
	} {
		f := startFake()
		f.answer = func(*http.Request) (*http.Response, error) { return nil, test.err }
		fails(t, f.source(t, ""), "credential: "+test.want)
	}
}

type timeout struct{}

func (timeout) Error() string   { return "canary" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

// A challenge that wants a token for something else gets none.
func TestChallengeOfAnotherPlace(t *testing.T) {
	for _, header := range []string{
		`Bearer authorization="https://login.microsoftonline.com/tenant" resource="https://management.azure.com"`,
		`Bearer authorization="https://login.microsoftonline.com/tenant" resource="https://evil.example"`,
		`Bearer authorization="https://login.microsoftonline.com/tenant"`,
		`Basic`,
	} {
		f := startFake()
		f.answer = func(r *http.Request) (*http.Response, error) { return refusal(r, 401, ``, "WWW-Authenticate", header) }
		err := fails(t, f.source(t, ""), "credential: denied: "+vaultHost+": asks for a login that is not for it")
		if f.logins != 0 || len(f.tokens) != 0 || err.Class != credential.Denied {
			t.Errorf("with the challenge %q: %d logins, tokens sent %v, class %v; want none, none, denied", header, f.logins, f.tokens, err.Class)
		}
	}
}

// The link to the next page of versions leads to another host: our token does not go there.
func TestLinkToAnotherHost(t *testing.T) {
	f := startFake()
	f.answer = challenged(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/versions") {
			return refusal(r, 200, `{"value":[],"nextLink":"https://evil.vault.azure.net/secrets/parley/versions?page=2"}`)
		}
		return refusal(r, 200, `{"id":"`+location+"/"+id(1)+`","value":"`+keyA+`","attributes":{"enabled":true,"created":1767225600}}`)
	})
	fails(t, f.source(t, ""), "credential: unavailable: "+vaultHost+": leads to another host, where our token does not go")
	for _, token := range f.tokens {
		if !strings.HasPrefix(token, vaultHost+" ") {
			t.Errorf("the token was sent to %s", token)
		}
	}
}

func TestLoginFails(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{azidentity.NewCredentialUnavailableError("canary"), "denied: nothing says how to log in to Azure"},
		{&azidentity.AuthenticationFailedError{RawResponse: &http.Response{StatusCode: 401, Body: http.NoBody}}, "denied: the login to Azure was answered with status 401"},
		{&azidentity.AuthenticationFailedError{RawResponse: &http.Response{StatusCode: 400, Body: http.NoBody}}, "denied: the login to Azure was answered with status 400"},
		{&azidentity.AuthenticationFailedError{RawResponse: &http.Response{StatusCode: 503, Body: http.NoBody}}, "unavailable: the login to Azure was answered with status 503"},
		{&azidentity.AuthenticationFailedError{}, "unavailable: the login to Azure did not succeed"},
		{errors.New("canary"), "unavailable: the login to Azure did not succeed"},
	} {
		f := startFake()
		f.add(keyA, time.Hour)
		f.loginErr = test.err
		source := f.source(t, "")
		fails(t, source, "credential: "+test.want)
		f.loginErr = nil
		fetched(t, source, told{id(1), credential.Current, keyA})
	}
}

// Without a login of our own the environment says how to log in: here it says nothing that works.
func TestDefaultLogin(t *testing.T) {
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
	for _, name := range []string{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"} {
		t.Setenv(name, "")
	}
	f := startFake()
	f.add(keyA, time.Hour)
	for _, host := range []string{"myvault", "myvault.vault.azure.cn", "myvault.vault.usgovcloudapi.net"} {
		source := open(t, azkv.Opener(azkv.Options{Transport: f}), "azkv://"+host+"/parley")
		fails(t, source, "credential: denied: nothing says how to log in to Azure")
	}
}

func TestCanceled(t *testing.T) {
	f := startFake()
	f.add(keyA, time.Hour)
	source := f.source(t, "")
	fetched(t, source, told{id(1), credential.Current, keyA})
	f.answer = func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := source.Fetch(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Fetch = %v, want the context's end", err)
	}
}
