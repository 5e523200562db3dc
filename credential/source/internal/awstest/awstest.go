// Package awstest is an AWS to test with: a server that speaks the JSON protocol of Secrets
// Manager, Parameter Store and KMS as far as Parley uses them, and the way to a real one, or
// to what stands in for it (moto).
//
//	awstest.go   where a test runs: a Bed
//	fake.go      the server: protocol, our login, faults
//	secrets.go   Secrets Manager
//	parameters.go  Parameter Store
//	keys.go      KMS
package awstest

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/parley-backend/parley/credential"
)

// Region is where the secrets of a Bed are.
const Region = "eu-west-1"

// The login that Isolate puts into the environment.
const (
	AccessKey = "AKIATESTPARLEY000001"
	SecretKey = "canary-secret-access-key"
)

// Isolate cuts the SDK off from the configuration of whoever runs the tests. For TestMain.
func Isolate() {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			_ = os.Unsetenv(name)
		}
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": AccessKey, "AWS_SECRET_ACCESS_KEY": SecretKey, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		_ = os.Setenv(name, value)
	}
}

// Bed is an AWS to test with.
type Bed struct {
	URL  string
	Fake *Fake // nil for a real one
}

// OnEach runs a test on the fake, and on a real one where there is one.
func OnEach(t *testing.T, test func(t *testing.T, b *Bed)) {
	t.Run("Fake", func(t *testing.T) { test(t, Start(t)) })
	t.Run("Real", func(t *testing.T) {
		endpoint := os.Getenv("PARLEY_TEST_AWS_ENDPOINT")
		if endpoint == "" {
			t.Skip("PARLEY_TEST_AWS_ENDPOINT names no AWS to test with; make test-aws starts moto")
		}
		test(t, &Bed{URL: endpoint})
	})
}

func (b *Bed) config() aws.Config {
	// A connection that is kept would keep a secret in its buffers, and a goroutine.
	own := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.DisableKeepAlives = true })
	return aws.Config{Region: Region, BaseEndpoint: &b.URL, HTTPClient: own, Credentials: credentials.NewStaticCredentialsProvider(AccessKey, SecretKey, "")}
}

// Secrets is the operator's client of Secrets Manager.
func (b *Bed) Secrets() *secretsmanager.Client { return secretsmanager.NewFromConfig(b.config()) }

// Parameters is the operator's client of Parameter Store.
func (b *Bed) Parameters() *ssm.Client { return ssm.NewFromConfig(b.config()) }

// Keys is the operator's client of KMS.
func (b *Bed) Keys() *kms.Client { return kms.NewFromConfig(b.config()) }

// Open makes the source of a reference. The options region and endpoint are added to it.
func (b *Bed) Open(t *testing.T, opener credential.Opener, text string) credential.Source {
	t.Helper()
	place, field, hasField := strings.Cut(text, "#")
	separator := "?"
	if strings.Contains(place, "?") {
		separator = "&"
	}
	place += separator + "region=" + Region + "&endpoint=" + b.URL
	if hasField {
		place += "#" + field
	}
	ref, err := credential.ParseReference(place)
	if err != nil {
		t.Fatal(err)
	}
	source, err := opener(ref)
	if err != nil {
		t.Fatal(err)
	}
	return source
}
