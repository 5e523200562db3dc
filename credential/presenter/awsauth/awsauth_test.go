package awsauth_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/presenter/awsauth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const canary = "canary-77ab"

func keys(pairs ...string) credential.Version {
	v := credential.Version{Fields: map[string]credential.Secret{}}
	for i := 0; i < len(pairs); i += 2 {
		v.Fields[pairs[i]] = credential.NewSecret(pairs[i+1])
	}
	return v
}

func user(id string) credential.Version {
	return keys("accessKeyId", id, "secretAccessKey", canary+"-secret-of-"+id)
}

func open(t *testing.T, v credential.Version) (*credentialtest.Source, *credential.Presenter[awsauth.Keys]) {
	t.Helper()
	source := credentialtest.New(credential.Info{}, "")
	source.SetVersions(v)
	c, err := credential.New(credential.Config{Name: "bucket", Source: source, Present: true, TTL: time.Hour, Check: awsauth.Check})
	if err != nil {
		t.Fatal(err)
	}
	p, err := awsauth.Presenter(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return source, p
}

// service is STS: it takes requests that are signed with one access key.
type service struct {
	*httptest.Server
	id       atomic.Value
	code     string // of a refusal
	requests atomic.Int64
}

var signed = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/eu-central-1/sts/aws4_request, `)

func serve(t *testing.T, id, code string) (*service, *aws.Config) {
	t.Helper()
	s := &service{code: code}
	s.id.Store(id)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/xml")
		found := signed.FindStringSubmatch(r.Header.Get("Authorization"))
		if found == nil || found[1] != s.id.Load() || !strings.Contains(string(body), "GetCallerIdentity") {
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>no</Message></Error></ErrorResponse>`, s.code)
			return
		}
		_, _ = fmt.Fprintf(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><UserId>%s</UserId></GetCallerIdentityResult></GetCallerIdentityResponse>`, found[1])
	}))
	t.Cleanup(s.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return s, &aws.Config{Region: "eu-central-1", BaseEndpoint: aws.String(s.URL), HTTPClient: &http.Client{Transport: transport}}
}

func whoami(t *testing.T, client *sts.Client) (string, error) {
	answer, err := client.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		if strings.Contains(err.Error(), canary) {
			t.Error("the error holds a secret")
		}
		return "", err
	}
	return aws.ToString(answer.UserId), nil
}

// A rotation that AWS tells of first: one reading for all who were refused, and one more request each.
func TestI20RefusedRequestsShareOneReading(t *testing.T) {
	for _, code := range []string{"ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch"} {
		source, p := open(t, user("AKIAFIRST"))
		s, config := serve(t, "AKIASECOND", code)
		awsauth.Install(config, p)
		client := sts.NewFromConfig(*config)
		source.SetVersions(user("AKIASECOND"))
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if got, err := whoami(t, client); err != nil || got != "AKIASECOND" {
					t.Errorf("%s: GetCallerIdentity = %q, %v; want AKIASECOND", code, got, err)
				}
			})
		}
		group.Wait()
		if source.Fetches() != 2 || s.requests.Load() > 20 {
			t.Errorf("%s: %d readings, %d requests; want 2, 20 at most", code, source.Fetches(), s.requests.Load())
		}
	}
}

func TestI20NothingToRetryWith(t *testing.T) {
	source, p := open(t, user("AKIAFIRST"))
	s, config := serve(t, "AKIASECOND", "InvalidAccessKeyId")
	awsauth.Install(config, p)
	client := sts.NewFromConfig(*config)
	for range 5 {
		if _, err := whoami(t, client); !awsauth.Refused(err) || !errors.Is(err, credential.Denied) {
			t.Errorf("GetCallerIdentity = %v, want a refusal and Denied", err)
		}
	}
	if source.Fetches() != 2 || s.requests.Load() != 5 {
		t.Errorf("%d readings, %d requests; want 2, 5", source.Fetches(), s.requests.Load())
	}
}

// A lack of permission has nothing to do with the keys.
func TestOtherErrorsAskNobody(t *testing.T) {
	source, p := open(t, user("AKIAFIRST"))
	s, config := serve(t, "AKIASECOND", "AccessDenied")
	awsauth.Install(config, p)
	if _, err := whoami(t, sts.NewFromConfig(*config)); err == nil || awsauth.Refused(err) {
		t.Errorf("GetCallerIdentity = %v, want an error that is no refusal", err)
	}
	if source.Fetches() != 1 || s.requests.Load() != 1 {
		t.Errorf("%d readings, %d requests; want 1, 1", source.Fetches(), s.requests.Load())
	}
}

func TestProvider(t *testing.T) {
	ends := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	want := aws.Credentials{AccessKeyID: "ASIAX", SecretAccessKey: canary, SessionToken: "session", Source: "Parley", CanExpire: true, Expires: ends}
	for _, test := range []struct {
		name string
		v    credential.Version
		want aws.Credentials
	}{
		{"our names", keys("accessKeyId", "ASIAX", "secretAccessKey", canary, "sessionToken", "session", "expiration", ends.Format(time.RFC3339)), want},
		{"those of AWS", keys("AccessKeyId", "ASIAX", "SecretAccessKey", canary, "SessionToken", "session", "Expiration", ends.Format(time.RFC3339)), want},
		{"those of Vault", keys("access_key", "AKIAX", "secret_key", canary), aws.Credentials{AccessKeyID: "AKIAX", SecretAccessKey: canary, Source: "Parley"}},
		{"the end of the version", credential.Version{Fields: user("AKIAX").Fields, NotAfter: ends},
			aws.Credentials{AccessKeyID: "AKIAX", SecretAccessKey: canary + "-secret-of-AKIAX", Source: "Parley", CanExpire: true, Expires: ends}},
	} {
		_, p := open(t, test.v)
		got, err := awsauth.Provider(p).Retrieve(t.Context())
		if same := got.Expires.Equal(test.want.Expires); err != nil || !same {
			t.Errorf("%s: Retrieve = until %v, %v; want %v", test.name, got.Expires, err, test.want.Expires)
		}
		if got.Expires = test.want.Expires; got != test.want {
			t.Errorf("%s: Retrieve = %s of %s, want %s", test.name, got.AccessKeyID, got.Source, test.want.AccessKeyID)
		}
	}
}

func TestExpiredKeysAreNotShown(t *testing.T) {
	past := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	source, p := open(t, keys("accessKeyId", "ASIAX", "secretAccessKey", canary, "expiration", past))
	if _, err := awsauth.Provider(p).Retrieve(t.Context()); !errors.Is(err, credential.Denied) {
		t.Errorf("Retrieve = %v, want Denied", err)
	}
	if source.Fetches() != 2 {
		t.Errorf("%d readings, want 2", source.Fetches())
	}
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name string
		v    credential.Version
		want string // "" for none
	}{
		{"a pair", user("AKIAX"), ""},
		{"half of a pair", keys("secretAccessKey", canary), "credential: invalid: keys of AWS are a group with accessKeyId and secretAccessKey"},
		{"the other half", keys("accessKeyId", canary), "credential: invalid: keys of AWS are a group with accessKeyId and secretAccessKey"},
		{"a time that is none", keys("accessKeyId", "AKIAX", "secretAccessKey", canary, "expiration", "soon"), "credential: invalid: expiration is not a time as in RFC 3339"},
	} {
		got := ""
		if err := awsauth.Check(credential.Secret{}, test.v.Fields); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: Check = %q, want %q", test.name, got, test.want)
		}
	}
}
