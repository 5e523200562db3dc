package awsapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/internal/awsapi"
	"github.com/parley-backend/parley/credential/source/internal/awstest"
)

func TestMain(m *testing.M) {
	awstest.Isolate()
	goleak.VerifyTestMain(m)
}

type (
	client = awsapi.Client[*secretsmanager.Client]
	pool   = awsapi.Pool[*secretsmanager.Client]
)

func newPool() *pool {
	return awsapi.NewPool(func(cfg aws.Config, endpoint *string) *secretsmanager.Client {
		return secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
			if endpoint != nil {
				o.BaseEndpoint = endpoint
			}
		})
	})
}

func get(ctx context.Context, c *client) error {
	return c.Do(ctx, func(api *secretsmanager.Client) error {
		_, err := api.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("x")})
		return err
	})
}

// store starts a fake with a secret named x.
func store(t *testing.T) *awstest.Bed {
	t.Helper()
	b := awstest.Start(t)
	if _, err := b.Secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("x"), SecretString: aws.String("value")}); err != nil {
		t.Fatal(err)
	}
	b.Fake.Took()
	return b
}

func says(t *testing.T, when string, err error, class credential.Class, words string) {
	t.Helper()
	var failure *credential.Error
	if !errors.As(err, &failure) || failure.Class != class || !strings.Contains(failure.Reason, words) || awstest.Leaks(fmt.Sprintf("%+v %#v", err, err)) {
		t.Errorf("%s the call says %v, want %v: %s", when, err, class, words)
	}
}

func TestOneClientForEachPlace(t *testing.T) {
	p := newPool()
	at := awsapi.Place{Region: "eu-west-1"}
	if first, second := p.Client(at), p.Client(at); first != second {
		t.Error("one place has two clients")
	}
	for _, other := range []awsapi.Place{{}, {Region: "eu-west-2"}, {Region: "eu-west-1", Profile: "p"}, {Region: "eu-west-1", Endpoint: "https://e"}, {Region: "eu-west-1", AllowHTTP: "h"}} {
		if p.Client(at) == p.Client(other) {
			t.Errorf("%+v shares the client of %+v", other, at)
		}
	}
}

// Files with credentials are read at the first call, and again when AWS refuses what was in them.
func TestLoginIsReadAgain(t *testing.T) {
	b := store(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	path := filepath.Join(t.TempDir(), "credentials")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", path)
	login := func(key string) {
		if err := os.WriteFile(path, []byte("[work]\naws_access_key_id = "+key+"\naws_secret_access_key = "+awstest.SecretKey+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := newPool().Client(awsapi.Place{Region: awstest.Region, Profile: "work", Endpoint: b.URL}) // the file is not there yet
	login("AKIAOLD0000000000001")
	b.Fake.With(func(f *awstest.Fake) { f.Logins = map[string]bool{"AKIAOLD0000000000001": true} })
	if err := get(t.Context(), c); err != nil {
		t.Fatalf("the first call failed: %v", err)
	}
	b.Fake.With(func(f *awstest.Fake) { f.Logins = map[string]bool{"AKIANEW0000000000002": true} })
	says(t, "with an old login", get(t.Context(), c), credential.Denied, "AWS answered UnrecognizedClientException (status 400)")
	login("AKIANEW0000000000002")
	b.Fake.Took()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := get(t.Context(), c); err != nil {
				t.Errorf("after the file changed a call failed: %v", err)
			}
		})
	}
	group.Wait()
	if calls := len(b.Fake.Took()); calls > 8+4 {
		t.Errorf("8 calls asked AWS %d times", calls)
	}
}

func TestConfigurationOfAWS(t *testing.T) {
	b := store(t)
	t.Run("Environment", func(t *testing.T) {
		t.Setenv("AWS_REGION", awstest.Region)
		t.Setenv("AWS_ENDPOINT_URL", b.URL)
		if err := get(t.Context(), newPool().Client(awsapi.Place{})); err != nil {
			t.Errorf("with AWS_REGION and AWS_ENDPOINT_URL the call failed: %v", err)
		}
	})
	t.Run("Option", func(t *testing.T) {
		t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
		if err := get(t.Context(), newPool().Client(awsapi.Place{Region: awstest.Region, Endpoint: b.URL})); err != nil {
			t.Errorf("the option endpoint does not win over AWS_ENDPOINT_URL: %v", err)
		}
	})
	t.Run("NoRegion", func(t *testing.T) {
		says(t, "without a region", get(t.Context(), newPool().Client(awsapi.Place{})), credential.Misconfigured, "the region is missing")
	})
	t.Run("NoProfile", func(t *testing.T) {
		says(t, "with an unknown profile", get(t.Context(), newPool().Client(awsapi.Place{Region: awstest.Region, Profile: "none"})), credential.Misconfigured, "the profile is in neither")
	})
	t.Run("NoLogin", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		says(t, "without credentials", get(t.Context(), newPool().Client(awsapi.Place{Region: awstest.Region, Endpoint: b.URL})), credential.Denied, "we have no AWS credentials")
	})
	t.Run("BrokenFile", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(path, []byte("[default]\nregion = eu-west-1\nretry_mode = canary-message-of-aws\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("AWS_CONFIG_FILE", path)
		says(t, "with a broken file", get(t.Context(), newPool().Client(awsapi.Place{Region: awstest.Region})), credential.Misconfigured, "AWS's own configuration cannot be read")
	})
}

// A secret travels in the clear to the loopback interface only, whatever a name resolves to, unless the host is allowed.
func TestPlainHTTP(t *testing.T) {
	b := store(t)
	_, port, _ := strings.Cut(strings.TrimPrefix(b.URL, "http://"), ":")
	t.Setenv("AWS_REGION", awstest.Region)
	t.Run("OutsideIsRefused", func(t *testing.T) {
		t.Setenv("AWS_ENDPOINT_URL", "http://192.0.2.1:1")
		says(t, "to a host outside", get(t.Context(), newPool().Client(awsapi.Place{})), credential.Unavailable, "is not on the loopback interface")
	})
	t.Run("Localhost", func(t *testing.T) {
		t.Setenv("AWS_ENDPOINT_URL", "http://localhost:"+port)
		if err := get(t.Context(), newPool().Client(awsapi.Place{})); err != nil {
			t.Errorf("to localhost the call failed: %v", err)
		}
	})
	t.Run("Allowed", func(t *testing.T) {
		t.Setenv("AWS_ENDPOINT_URL", "http://LOCALHOST:"+port)
		if err := get(t.Context(), newPool().Client(awsapi.Place{AllowHTTP: "localhost"})); err != nil {
			t.Errorf("to an allowed host the call failed: %v", err)
		}
	})
}

// What a request carries besides its signature is good anywhere: it goes nowhere else.
func TestNoRedirect(t *testing.T) {
	asked := make(chan http.Header, 10)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Header }))
	defer other.Close()
	b := store(t)
	c := newPool().Client(awsapi.Place{Region: awstest.Region, Endpoint: b.URL})
	for _, status := range []int{301, 302, 303, 307, 308} {
		b.Fake.Fail(&awstest.Fault{Status: status, Location: other.URL})
		says(t, "redirected", get(t.Context(), c), credential.Unavailable, fmt.Sprintf("AWS answered with status %d", status))
	}
	if len(asked) > 0 {
		t.Errorf("the other host was asked %d times", len(asked))
	}
}

func TestAnswersAreBounded(t *testing.T) {
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for chunk := []byte(strings.Repeat(" ", 64<<10)); r.Context().Err() == nil; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	c := newPool().Client(awsapi.Place{Region: awstest.Region, Endpoint: endless.URL})
	says(t, "without an end", get(t.Context(), c), credential.Unavailable, "sent more than a secret can be")
}

func TestContextEnds(t *testing.T) {
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer silent.Close()
	defer close(release)
	c := newPool().Client(awsapi.Place{Region: awstest.Region, Endpoint: silent.URL})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var group sync.WaitGroup
	for range 10 { // more than there are slots
		group.Go(func() {
			if err := get(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("after its time the call says %v, want %v", err, context.DeadlineExceeded)
			}
		})
	}
	group.Wait()
}

// Whoever hands out our own credentials may not answer: the call ends in its time nevertheless.
func TestContextEndsWhileLoggingIn(t *testing.T) {
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer silent.Close()
	defer close(release)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", silent.URL)
	b := store(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := get(ctx, newPool().Client(awsapi.Place{Region: awstest.Region, Endpoint: b.URL})); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after its time the call says %v, want %v", err, context.DeadlineExceeded)
	}
}

// What hands out our own credentials says no, in words that are not repeated.
func TestLoginRefused(t *testing.T) {
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"code":"AccessDenied","message":"canary-message-of-aws"}`)
	}))
	defer refuses.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", refuses.URL)
	b := store(t)
	says(t, "without a login", get(t.Context(), newPool().Client(awsapi.Place{Region: awstest.Region, Endpoint: b.URL})), credential.Denied, "our own AWS credentials cannot be obtained")
}

func TestUnreachable(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	c := newPool().Client(awsapi.Place{Region: awstest.Region, Endpoint: gone.URL})
	says(t, "with nobody there", get(t.Context(), c), credential.Unavailable, "AWS cannot be reached: connection refused")
	tls := httptest.NewUnstartedServer(nil)
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	defer tls.Close()
	c = newPool().Client(awsapi.Place{Region: awstest.Region, Endpoint: tls.URL})
	says(t, "with an unknown certificate", get(t.Context(), c), credential.Unavailable, "AWS has a certificate that is not trusted")
}
