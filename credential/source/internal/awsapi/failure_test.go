package awsapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	kms "github.com/aws/aws-sdk-go-v2/service/kms/types"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	ssm "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/parley-backend/parley/credential"
)

// The errors that the API references list for the operations that Parley calls: GetSecretValue,
// DescribeSecret, PutSecretValue, UpdateSecretVersionStage; GetParameter, PutParameter, DescribeParameters; Decrypt.
// Not among them are those of requests that Parley never sends.
var listed = []smithy.APIError{
	&sm.DecryptionFailure{}, &sm.EncryptionFailure{}, &sm.InternalServiceError{}, &sm.InvalidParameterException{}, &sm.InvalidRequestException{},
	&sm.LimitExceededException{}, &sm.ResourceExistsException{}, &sm.ResourceNotFoundException{},
	&ssm.InternalServerError{}, &ssm.InvalidKeyId{}, &ssm.ParameterNotFound{}, &ssm.ParameterVersionNotFound{}, &ssm.ThrottlingException{},
	&ssm.IncompatiblePolicyException{}, &ssm.ParameterAlreadyExists{}, &ssm.ParameterLimitExceeded{}, &ssm.ParameterMaxVersionLimitExceeded{},
	&ssm.ParameterPatternMismatchException{}, &ssm.TooManyUpdates{},
	&kms.DependencyTimeoutException{}, &kms.DisabledException{}, &kms.IncorrectKeyException{}, &kms.InvalidCiphertextException{},
	&kms.InvalidKeyUsageException{}, &kms.KeyUnavailableException{}, &kms.KMSInternalException{}, &kms.KMSInvalidStateException{}, &kms.NotFoundException{},
}

func TestCodesAreComplete(t *testing.T) {
	for _, e := range listed {
		if _, known := codes[e.ErrorCode()]; !known {
			t.Errorf("%s (%T) has no meaning", e.ErrorCode(), e)
		}
	}
}

// What is the server's fault is Unavailable: it never says anything about a secret.
func TestFaultsOfTheServerAreUnavailable(t *testing.T) {
	for _, e := range listed {
		if e.ErrorFault() == smithy.FaultServer && codes[e.ErrorCode()] != unavailable {
			t.Errorf("%s is the server's fault, and counts as %v", e.ErrorCode(), codes[e.ErrorCode()].class)
		}
	}
}

func answer(status int, code string, header ...string) error {
	response := &smithyhttp.Response{Response: &http.Response{StatusCode: status, Header: http.Header{}}}
	if len(header) == 2 {
		response.Header.Set(header[0], header[1])
	}
	return &smithyhttp.ResponseError{Response: response, Err: &smithy.GenericAPIError{Code: code, Message: "canary"}}
}

func TestNewFailure(t *testing.T) {
	for _, test := range []struct {
		err  error
		want credential.Error
	}{
		{answer(400, "ThrottlingException", "Retry-After", "9"), credential.Error{Class: credential.Unavailable, Reason: "AWS answered ThrottlingException (status 400)", RetryAfter: 9 * time.Second}},
		{answer(400, "ThrottlingException", "Retry-After", "canary"), credential.Error{Class: credential.Unavailable, Reason: "AWS answered ThrottlingException (status 400)"}},
		{answer(400, "canary"), credential.Error{Class: credential.Unavailable, Reason: "AWS answered with status 400"}},
		{answer(401, "canary"), credential.Error{Class: credential.Denied, Reason: "AWS answered with status 401"}},
		{answer(403, "UnknownError"), credential.Error{Class: credential.Denied, Reason: "AWS answered with status 403"}},
		{&ownLogin{answer(403, "AccessDenied")}, credential.Error{Class: credential.Denied, Reason: "our own AWS credentials cannot be obtained: AWS answered AccessDenied (status 403)"}},
		{&ownLogin{answer(404, "ResourceNotFoundException")}, credential.Error{Class: credential.Denied, Reason: "our own AWS credentials cannot be obtained: AWS answered ResourceNotFoundException (status 404)"}},
		{&ownLogin{answer(503, "ServiceUnavailable")}, credential.Error{Class: credential.Unavailable, Reason: "our own AWS credentials cannot be obtained: AWS answered ServiceUnavailable (status 503)"}},
		{&ownLogin{errors.New("canary")}, credential.Error{Class: credential.Denied, Reason: "we have no AWS credentials, or they cannot be renewed"}},
		{&ownLogin{context.DeadlineExceeded}, credential.Error{Class: credential.Unavailable, Reason: "our own AWS credentials cannot be obtained: what has them did not answer in time"}},
		{&smithy.DeserializationError{Err: errors.New("canary")}, credential.Error{Class: credential.Unavailable, Reason: "an answer that is not AWS's"}},
		{&smithy.DeserializationError{Err: errTooLarge}, credential.Error{Class: credential.Unavailable, Reason: "AWS sent more than a secret can be"}},
		{errors.New("canary"), credential.Error{Class: credential.Unavailable, Reason: "AWS did not answer as HTTP wants it"}},
		{credential.Errorf(credential.Gone, "ours"), credential.Error{Class: credential.Gone, Reason: "ours"}},
	} {
		got := newFailure(fmt.Errorf("canary: %w", test.err))
		if *got.err != test.want {
			t.Errorf("newFailure(%v) = %+v, want %+v", test.err, *got.err, test.want)
		}
	}
}

func TestChainPassesCredentials(t *testing.T) {
	got, err := chain{credentials.NewStaticCredentialsProvider("id", "secret", "")}.Retrieve(t.Context())
	if want := (aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret", Source: credentials.StaticCredentialsName}); err != nil || got != want {
		t.Errorf("Retrieve = %v, %v, want what the provider has", got.Source, err)
	}
}
