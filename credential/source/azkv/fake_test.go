package azkv_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	azsecretsfake "github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets/fake"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/azkv"
)

// fake is a vault: the library's own fake of the service, with versions behind it, and in
// front of it what spoils answers on the way.
type fake struct {
	service *azsecretsfake.ServerTransport
	serving sync.Mutex
	// answer replaces the service, if not nil.
	answer func(*http.Request) (*http.Response, error)

	mu       sync.Mutex
	versions []entry // of the secret parley, oldest first
	deleted  bool
	noList   bool
	asked    []string // methods and paths
	tokens   []string // that were sent
	loginErr error
	logins   int
	active   int
	highest  int
}

type entry struct {
	id, value   string
	created     time.Time
	nbf, exp    *time.Time
	disabled    bool
	contentType *string
	managed     bool
}

const vaultHost = "myvault.vault.azure.net"

func startFake() *fake {
	f := &fake{}
	f.service = azsecretsfake.NewServerTransport(&azsecretsfake.Server{
		GetSecret: f.get, GetDeletedSecret: f.getDeleted, SetSecret: f.set, NewListSecretPropertiesVersionsPager: f.list,
	})
	return f
}

// with runs change under the lock.
func (f *fake) with(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// id is the id of the nth version, from 1.
func id(n int) string { return fmt.Sprintf("%032x", n*0x9e3779b1) }

// add adds a version, made the given time ago.
func (f *fake) add(value string, ago time.Duration) {
	f.with(func() {
		f.deleted = false
		f.versions = append(f.versions, entry{id: id(len(f.versions) + 1), value: value, created: time.Now().Add(-ago)})
	})
}

// count counts the requests whose method and path contain text.
func (f *fake) count(text string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, asked := range f.asked {
		if strings.Contains(asked, text) {
			n++
		}
	}
	return n
}

// Do implements policy.Transporter.
func (f *fake) Do(r *http.Request) (*http.Response, error) {
	f.with(func() {
		f.active++
		f.highest = max(f.highest, f.active)
		if token := r.Header.Get("Authorization"); token != "" {
			f.asked = append(f.asked, r.Method+" "+r.URL.Path)
			f.tokens = append(f.tokens, r.URL.Host+" "+token)
		}
	})
	time.Sleep(time.Millisecond) // so that requests meet
	defer f.with(func() { f.active-- })
	if f.answer != nil {
		return f.answer(r)
	}
	f.serving.Lock() // the library's fake of a list is not for several goroutines
	defer f.serving.Unlock()
	response, err := f.service.Do(r)
	var no said
	if errors.As(err, &no) {
		return refusal(r, no.status, fmt.Sprintf(`{"error":{"code":%q,"message":"canary of the service","innererror":{"code":%q}}}`, no.code, no.inner))
	}
	return response, err
}

// GetToken implements azcore.TokenCredential.
func (f *fake) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logins++
	return azcore.AccessToken{Token: "canary-token", ExpiresOn: time.Now().Add(time.Hour)}, errors.Join(f.loginErr, ctx.Err())
}

// refusal is an answer of the vault that is no success.
func refusal(r *http.Request, status int, body string, header ...string) (*http.Response, error) {
	response := &http.Response{Request: r, StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i+1 < len(header); i += 2 {
		response.Header.Set(header[i], header[i+1])
	}
	return response, nil
}

// said is an answer of the vault that is no success. The library's fake would leave out the inner code.
type said struct {
	status      int
	code, inner string
}

func (s said) Error() string { return "canary" }

func responseError(status int, code, inner string) error { return said{status, code, inner} }

func (f *fake) get(_ context.Context, name, version string, _ *azsecrets.GetSecretOptions) (ok azfake.Responder[azsecrets.GetSecretResponse], failed azfake.ErrorResponder) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if name != "parley" || f.deleted || len(f.versions) == 0 {
		failed.SetError(responseError(404, "SecretNotFound", ""))
		return ok, failed
	}
	e := f.versions[len(f.versions)-1]
	for _, other := range f.versions {
		if other.id == version {
			e = other
		}
	}
	switch {
	case version != "" && e.id != version:
		failed.SetError(responseError(404, "SecretNotFound", ""))
	case e.disabled:
		failed.SetError(responseError(403, "Forbidden", "SecretDisabled"))
	default:
		ok.SetResponse(200, azsecrets.GetSecretResponse{Secret: azsecrets.Secret{
			ID: e.url(), Value: &e.value, ContentType: e.contentType, Managed: &e.managed, Attributes: e.attributes(), Tags: map[string]*string{"owner": to.Ptr("parley")},
		}}, nil)
	}
	return ok, failed
}

func (e entry) url() *azsecrets.ID {
	return to.Ptr(azsecrets.ID("https://" + vaultHost + "/secrets/parley/" + e.id))
}

func (e entry) attributes() *azsecrets.SecretAttributes {
	enabled := !e.disabled
	created := e.created.UTC().Truncate(time.Second) // the vault's times are in seconds
	return &azsecrets.SecretAttributes{Enabled: &enabled, Created: &created, NotBefore: e.nbf, Expires: e.exp}
}

func (f *fake) getDeleted(context.Context, string, *azsecrets.GetDeletedSecretOptions) (ok azfake.Responder[azsecrets.GetDeletedSecretResponse], failed azfake.ErrorResponder) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deleted {
		ok.SetResponse(200, azsecrets.GetDeletedSecretResponse{}, nil)
	} else {
		failed.SetError(responseError(404, "SecretNotFound", ""))
	}
	return ok, failed
}

// list gives two versions to a page, oldest first.
func (f *fake) list(string, *azsecrets.ListSecretPropertiesVersionsOptions) (pages azfake.PagerResponder[azsecrets.ListSecretPropertiesVersionsResponse]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.noList {
		pages.AddError(responseError(403, "Forbidden", "AccessDenied"))
		return pages
	}
	var page []*azsecrets.SecretProperties
	for i, e := range f.versions {
		page = append(page, &azsecrets.SecretProperties{ID: e.url(), Attributes: e.attributes()})
		if len(page) == 2 || i == len(f.versions)-1 {
			pages.AddPage(200, azsecrets.ListSecretPropertiesVersionsResponse{SecretPropertiesListResult: azsecrets.SecretPropertiesListResult{Value: page}}, nil)
			page = nil
		}
	}
	return pages
}

func (f *fake) set(_ context.Context, _ string, p azsecrets.SetSecretParameters, _ *azsecrets.SetSecretOptions) (ok azfake.Responder[azsecrets.SetSecretResponse], failed azfake.ErrorResponder) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deleted {
		failed.SetError(responseError(409, "Conflict", "ObjectIsDeletedButRecoverable"))
		return ok, failed
	}
	e := entry{id: id(len(f.versions) + 1), value: *p.Value, created: time.Now(), contentType: p.ContentType}
	f.versions = append(f.versions, e)
	ok.SetResponse(200, azsecrets.SetSecretResponse{Secret: azsecrets.Secret{ID: e.url(), Value: p.Value, Attributes: e.attributes()}}, nil)
	return ok, failed
}

// source opens the fake's secret. Rest is options, and the field.
func (f *fake) source(t testing.TB, rest string) credential.Source {
	t.Helper()
	return open(t, azkv.Opener(azkv.Options{Credential: f, Transport: f}), "azkv://myvault/parley"+rest)
}

func open(t testing.TB, opener credential.Opener, text string) credential.Source {
	t.Helper()
	ref, err := credential.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	source, err := opener(ref)
	if err != nil {
		t.Fatal(err)
	}
	return source
}
