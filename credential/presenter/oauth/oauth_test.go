package oauth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/oauth2"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/presenter/oauth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	canary = "canary-8c20"
	tokenA = canary + "-token-a"
	tokenB = canary + "-token-b"
)

func open(t *testing.T, value string) (*credentialtest.Source, *credential.Credential, *credential.Presenter[oauth.Token]) {
	t.Helper()
	source := credentialtest.New(credential.Info{}, value)
	c, err := credential.New(credential.Config{Name: "api", Source: source, Present: true, TTL: time.Hour, Check: oauth.Check})
	if err != nil {
		t.Fatal(err)
	}
	p, err := oauth.Presenter(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return source, c, p
}

// api is a service that takes one token, and echoes.
type api struct {
	*httptest.Server
	token    atomic.Value
	requests atomic.Int64
}

func serve(t *testing.T, token string) *api {
	t.Helper()
	a := &api{}
	a.token.Store(token)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.requests.Add(1)
		if r.Header.Get("Authorization") != "Bearer "+a.token.Load().(string) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(a.Close)
	return a
}

func client(t *testing.T, p *credential.Presenter[oauth.Token]) *http.Client {
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	return &http.Client{Transport: &oauth.Transport{Token: p, Base: base}}
}

func TestSource(t *testing.T) {
	ends := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	for _, test := range []struct {
		name, stored string
		want         oauth2.Token
	}{
		{"text", tokenA, oauth2.Token{AccessToken: tokenA}},
		{"JSON", `{"access_token":"` + tokenA + `","token_type":"MAC","expiry":"` + ends.Format(time.RFC3339) + `","expires_in":5}`,
			oauth2.Token{AccessToken: tokenA, TokenType: "MAC", Expiry: ends}},
	} {
		_, _, p := open(t, test.stored)
		got, err := oauth.Source(t.Context(), p).Token()
		if err != nil || got.AccessToken != test.want.AccessToken || got.TokenType != test.want.TokenType || !got.Expiry.Equal(test.want.Expiry) {
			t.Errorf("%s: Token = type %q until %v, %v; want type %q until %v", test.name, got.TokenType, got.Expiry, err, test.want.TokenType, test.want.Expiry)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name, value string
		fields      map[string]credential.Secret
		want        string // "" for none
	}{
		{"text", canary, nil, ""},
		{"JSON", `{"access_token":"` + canary + `"}`, nil, ""},
		{"a group", "", map[string]credential.Secret{"access_token": credential.NewSecret(canary)}, ""},
		{"no JSON", `{"access_token":"` + canary, nil, "credential: invalid: not a token in JSON"},
		{"no token", `{"token":"` + canary + `"}`, nil, "credential: invalid: no access_token"},
		{"two lines", canary + "\nX-Header: y", nil, "credential: invalid: a token with a character that cannot be in a header"},
		{"a time that is none", `{"access_token":"` + canary + `","expiry":"soon"}`, nil, "credential: invalid: expiry is not a time as in RFC 3339"},
	} {
		got := ""
		if err := oauth.Check(credential.NewSecret(test.value), test.fields); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: Check = %q, want %q", test.name, got, test.want)
		}
	}
}

// Many requests are refused at one time: one reading, and each is sent twice.
func TestI20RefusedRequestsShareOneReading(t *testing.T) {
	source, _, p := open(t, tokenA)
	service := serve(t, tokenB)
	source.Set(tokenB)
	http := client(t, p)
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			response, err := http.Post(service.URL, "text/plain", strings.NewReader("body"))
			if err != nil {
				t.Errorf("Post failed: %v", err)
				return
			}
			defer response.Body.Close()
			if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 200 || string(body) != "body" {
				t.Errorf("Post = %d %q, %v; want 200 and the body", response.StatusCode, body, err)
			}
		})
	}
	group.Wait()
	if source.Fetches() != 2 || service.requests.Load() > 20 {
		t.Errorf("%d readings, %d requests; want 2, 20 at most", source.Fetches(), service.requests.Load())
	}
}

// No other token, or a body that cannot be sent again: the refusal is the answer.
func TestI20RefusalIsTheAnswer(t *testing.T) {
	source, _, p := open(t, tokenA)
	service := serve(t, tokenB)
	http := client(t, p)
	for range 5 {
		response, err := http.Get(service.URL)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 401 {
			t.Errorf("Get = %d, want 401", response.StatusCode)
		}
	}
	if source.Fetches() != 2 || service.requests.Load() != 5 {
		t.Errorf("%d readings, %d requests; want 2, 5", source.Fetches(), service.requests.Load())
	}

	source, _, p = open(t, tokenA)
	source.Set(tokenB)
	http = client(t, p)
	for _, want := range []int{401, 200} { // the second time with the new token
		response, err := http.Post(service.URL, "text/plain", io.MultiReader(strings.NewReader("body")))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("Post of a stream = %d, want %d", response.StatusCode, want)
		}
	}
}

// A token that has expired is not shown: another is asked for first.
func TestExpired(t *testing.T) {
	past := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	_, _, p := open(t, `{"access_token":"`+tokenA+`","expiry":"`+past+`"}`)
	if _, err := oauth.Source(t.Context(), p).Token(); !errors.Is(err, credential.Denied) || strings.Contains(err.Error(), canary) {
		t.Errorf("Token = %v, want Denied without the token", err)
	}
	source, _, rotated := open(t, `{"access_token":"`+tokenA+`","expiry":"`+past+`"}`)
	source.Set(tokenB)
	if got, err := oauth.Source(t.Context(), rotated).Token(); err != nil || got.AccessToken != tokenB {
		t.Errorf("Token = %v, want the new token", err)
	}
}

func TestRedirectToAnotherHostGetsNoToken(t *testing.T) {
	_, _, p := open(t, tokenA)
	var seen []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = append(seen, r.Header.Get("Authorization")) }))
	defer other.Close()
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		http.Redirect(w, r, other.URL, http.StatusFound)
	}))
	defer first.Close()
	response, err := client(t, p).Get(first.URL)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if len(seen) != 2 || seen[0] != "Bearer "+tokenA || seen[1] != "" {
		t.Errorf("%d requests; want the token with the first, and none with the second", len(seen))
	}
}

func TestNoToken(t *testing.T) {
	_, c, p := open(t, tokenA)
	lease, _ := p.Acquire(t.Context())
	if err := c.Revoke(context.Background(), lease.VersionID); err != nil {
		t.Fatal(err)
	}
	if _, err := client(t, p).Get("http://127.0.0.1:1/"); !errors.Is(err, credential.Unavailable) || strings.Contains(err.Error(), canary) {
		t.Errorf("Get = %v, want Unavailable without the token", err)
	}
}

// Whatever a store holds: a token that can be in a header, or an error that does not quote it.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{tokenA, `{"access_token":"x","token_type":"Bearer","expiry":"2030-01-02T03:04:05Z"}`, `{"access_token":`, `{"access_token":"a\nb"}`, "{}", " "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		source := credential.Literal(text)
		c, err := credential.New(credential.Config{Name: "api", Source: source, Present: true, Check: oauth.Check})
		if err != nil {
			if !errors.Is(err, credential.Invalid) || len(text) > 12 && strings.Contains(err.Error(), text) {
				t.Errorf("New = an error of another class, or one that quotes the token")
			}
			return
		}
		p, err := oauth.Presenter(c)
		if err != nil {
			t.Fatal(err)
		}
		lease, err := p.Acquire(t.Context())
		if err != nil {
			t.Fatalf("Acquire = %v after Check let it pass", err)
		}
		for _, r := range string(lease.Value.Access.Reveal()) {
			if r < 0x21 || r > 0x7e {
				t.Errorf("%q cannot be in a header", r)
			}
		}
	})
}
