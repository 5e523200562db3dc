package awsapi

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/parley-backend/parley/credential"
)

// Failure is an error of AWS in our words. It wraps a *credential.Error; of what AWS
// sent it keeps the code, if the table knows that.
type Failure struct {
	Code string
	// Deletion: the request is refused, and the words say that something was deleted.
	Deletion bool

	err   *credential.Error
	login bool // our own login was refused: what the SDK knows of it is old
}

func (f *Failure) Error() string { return f.err.Error() }

// Unwrap returns the *credential.Error.
func (f *Failure) Unwrap() error { return f.err }

// meaning is what an error code means.
type meaning struct {
	class credential.Class
	login bool
}

var (
	denied      = meaning{class: credential.Denied}
	badLogin    = meaning{class: credential.Denied, login: true}
	unavailable = meaning{class: credential.Unavailable}
	missing     = meaning{class: credential.Missing}
	invalid     = meaning{class: credential.Invalid}
	wrong       = meaning{class: credential.Misconfigured}
)

// codes are the error codes of Secrets Manager, Parameter Store, KMS and of what all services
// share, from their API references. A code that is not here counts by its status.
var codes = map[string]meaning{
	// who we are
	"UnrecognizedClientException":         badLogin,
	"InvalidClientTokenId":                badLogin,
	"InvalidAccessKeyId":                  badLogin,
	"ExpiredToken":                        badLogin,
	"ExpiredTokenException":               badLogin,
	"RequestExpired":                      badLogin,
	"InvalidSignatureException":           badLogin,
	"SignatureDoesNotMatch":               badLogin,
	"IncompleteSignature":                 badLogin,
	"IncompleteSignatureException":        badLogin,
	"MissingAuthenticationToken":          badLogin,
	"MissingAuthenticationTokenException": badLogin,
	"AuthFailure":                         badLogin,
	"InvalidIdentityToken":                badLogin,
	"RequestTimeTooSkewed":                denied,
	"AccessDenied":                        denied,
	"AccessDeniedException":               denied,
	"NotAuthorized":                       denied,
	"OptInRequired":                       denied,
	"UnauthorizedOperation":               denied,
	"DecryptionFailure":                   denied, // the secret's KMS key
	"EncryptionFailure":                   denied,
	"InvalidKeyId":                        denied, // the parameter's KMS key
	"PreconditionNotMetException":         denied,
	"KMSAccessDeniedException":            denied,
	"DisabledException":                   denied, // a KMS key wraps many secrets, and comes back when it is enabled: no revocation
	"KMSInvalidStateException":            denied, // its deletion is pending, or its key store is away
	"NotFoundException":                   denied, // a KMS key
	"ParameterLimitExceeded":              denied,
	"ParameterMaxVersionLimitExceeded":    denied,
	"ParameterPatternMismatchException":   denied,
	"IncompatiblePolicyException":         denied,
	"MalformedPolicyDocumentException":    denied,
	"ResourceNotFoundException":           missing,
	"ParameterNotFound":                   missing,
	"ParameterVersionNotFound":            missing,
	"InvalidCiphertextException":          invalid, // damaged, or another encryption context
	"IncorrectKeyException":               invalid,
	"InvalidKeyUsageException":            wrong,
	"InvalidArnException":                 wrong,
	"ValidationException":                 wrong,
	"ValidationError":                     wrong,
	"InvalidParameterException":           wrong,
	"InvalidParameterValue":               wrong,
	"Throttling":                          unavailable,
	"ThrottlingException":                 unavailable,
	"ThrottledException":                  unavailable,
	"RequestThrottled":                    unavailable,
	"RequestThrottledException":           unavailable,
	"RequestLimitExceeded":                unavailable,
	"TooManyRequestsException":            unavailable,
	"TooManyUpdates":                      unavailable,
	"LimitExceededException":              unavailable,
	"PriorRequestNotComplete":             unavailable,
	"ParameterAlreadyExists":              unavailable, // made meanwhile
	"SlowDown":                            unavailable,
	"InternalFailure":                     unavailable,
	"InternalServerError":                 unavailable,
	"InternalServiceError":                unavailable,
	"InternalServiceErrorException":       unavailable,
	"KMSInternalException":                unavailable,
	"KeyUnavailableException":             unavailable,
	"DependencyTimeoutException":          unavailable,
	"ServiceUnavailable":                  unavailable,
	"ServiceUnavailableException":         unavailable,
	"RequestTimeout":                      unavailable,
	"RequestTimeoutException":             unavailable,
	"InvalidRequestException":             unavailable, // see Failure.Deletion
	"ResourceExistsException":             unavailable,
	"XksProxyUriUnreachableException":     unavailable,
	"CustomKeyStoreInvalidStateException": unavailable,
}

// newFailure says what an error of the SDK means.
func newFailure(err error) *Failure {
	var own *credential.Error
	if errors.As(err, &own) {
		return &Failure{err: own}
	}
	var response *smithyhttp.ResponseError
	status, after := 0, time.Duration(0)
	if errors.As(err, &response) && response.Response != nil {
		status = response.HTTPStatusCode()
		after = retryAfter(response.Response.Header.Get("Retry-After"))
	}
	var api smithy.APIError
	var garbled *smithy.DeserializationError
	var ours *ownLogin
	way := onTheWay(err)
	f := &Failure{}
	switch {
	case errors.As(err, &ours):
		f = loggedOut(err, status)
	case errors.As(err, &api):
		f = answered(api, status)
	case status >= 300:
		f.err = credential.Errorf(byStatus(status), "AWS answered with status %d", status)
	case way != "":
		f.err = credential.Errorf(credential.Unavailable, "AWS %s", way)
	case errors.As(err, &garbled):
		f.err = credential.Errorf(credential.Unavailable, "an answer that is not AWS's")
	default:
		f.err = credential.Errorf(credential.Unavailable, "AWS did not answer as HTTP wants it")
	}
	f.err.RetryAfter = after
	return f
}

// ownLogin marks the errors of obtaining our own credentials: what they say is not about the secret.
type ownLogin struct{ error }

func (e *ownLogin) Unwrap() error { return e.error }

// chain is where our own credentials come from.
type chain struct{ aws.CredentialsProvider }

func (c chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	found, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		err = &ownLogin{err}
	}
	return found, err
}

// loggedOut says why we have no credentials: whoever gives them does not answer, or will not.
func loggedOut(err error, status int) *Failure {
	var api smithy.APIError
	way, f := onTheWay(err), &Failure{}
	switch {
	case errors.As(err, &api):
		said := answered(api, status)
		f.err = credential.Errorf(said.err.Class, "our own AWS credentials cannot be obtained: %s", said.err.Reason)
		if said.err.Class != credential.Unavailable {
			f.err.Class = credential.Denied
		}
	case way != "":
		f.err = credential.Errorf(credential.Unavailable, "our own AWS credentials cannot be obtained: what has them %s", way)
	default:
		f.err = credential.Errorf(credential.Denied, "we have no AWS credentials, or they cannot be renewed")
	}
	return f
}

// answered is the meaning of an answer. The code is foreign text until the table knows it.
func answered(api smithy.APIError, status int) *Failure {
	code := api.ErrorCode()
	m, known := codes[code]
	if !known {
		return &Failure{err: credential.Errorf(byStatus(status), "AWS answered with status %d", status)}
	}
	words := strings.ToLower(api.ErrorMessage())
	return &Failure{
		Code:     code,
		Deletion: strings.Contains(words, "deletion") || strings.Contains(words, "deleted"),
		err:      credential.Errorf(m.class, "AWS answered %s (status %d)", code, status),
		login:    m.login,
	}
}

func byStatus(status int) credential.Class {
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		return credential.Denied
	}
	return credential.Unavailable
}

// onTheWay says what went wrong before there was an answer, "" if nothing did.
func onTheWay(err error) string {
	var errno syscall.Errno
	var dns *net.DNSError
	var untrusted *tls.CertificateVerificationError
	var alert tls.AlertError
	var network net.Error
	switch {
	case errors.Is(err, errNotLoopback):
		return "is not on the loopback interface, and plain HTTP goes nowhere else: write https, or allow_http"
	case errors.Is(err, errTooLarge):
		return "sent more than a secret can be"
	case errors.As(err, &untrusted):
		return "has a certificate that is not trusted"
	case errors.As(err, &alert):
		return "refused the TLS connection"
	case errors.As(err, &dns):
		return "could not be resolved"
	case errors.As(err, &errno):
		return "cannot be reached: " + errno.Error()
	case errors.As(err, &network) && network.Timeout():
		return "did not answer in time"
	}
	return ""
}

// retryAfter reads seconds or a date; 0 if there is neither.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(date))
	}
	return 0
}
