// Package awsauth lets clients of the AWS SDK sign with keys that rotate.
//
//	keys, err := awsauth.Presenter(bucketKeys) // a *credential.Credential
//	config, err := config.LoadDefaultConfig(ctx)
//	awsauth.Install(&config, keys)
//	client := s3.NewFromConfig(config)
//
// Each request is signed with the newest keys. When AWS refuses them, others are asked
// for, once for all requests that were refused, and the request is sent once more.
package awsauth

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/parley-backend/parley/credential"
)

// Keys are what a request to AWS is signed with.
type Keys struct {
	AccessKeyID     string
	SecretAccessKey credential.Secret
	SessionToken    credential.Secret // empty for a user's own keys
	Expires         time.Time         // zero for none
}

// names are the fields of a group, and how others call them: the AWS CLI and STS, its configuration files, Vault.
var names = struct{ id, secret, token, expires []string }{
	id:      []string{"accessKeyId", "AccessKeyId", "aws_access_key_id", "access_key"},
	secret:  []string{"secretAccessKey", "SecretAccessKey", "aws_secret_access_key", "secret_key"},
	token:   []string{"sessionToken", "SessionToken", "aws_session_token", "session_token", "security_token"},
	expires: []string{"expiration", "Expiration"},
}

// Presenter makes a presenter of keys. The credential is a group with accessKeyId and secretAccessKey,
// and with sessionToken and expiration (RFC 3339) if there are any.
func Presenter(c *credential.Credential) (*credential.Presenter[Keys], error) {
	return credential.NewPresenter(c, func(m credential.Material) (Keys, error) {
		keys, err := decode(m.Fields)
		if !m.NotAfter.IsZero() && (keys.Expires.IsZero() || m.NotAfter.Before(keys.Expires)) {
			keys.Expires = m.NotAfter
		}
		return keys, err
	})
}

// Check is for Config.Check: it refuses half of a pair.
func Check(_ credential.Secret, fields map[string]credential.Secret) error {
	_, err := decode(fields)
	return err
}

func decode(fields map[string]credential.Secret) (Keys, error) {
	find := func(names []string) credential.Secret {
		for _, name := range names {
			if value, found := fields[name]; found {
				return value
			}
		}
		return credential.Secret{}
	}
	id, secret := find(names.id), find(names.secret)
	if id.Len() == 0 || secret.Len() == 0 {
		return Keys{}, credential.Errorf(credential.Invalid, "keys of AWS are a group with accessKeyId and secretAccessKey")
	}
	keys := Keys{AccessKeyID: string(id.Reveal()), SecretAccessKey: secret, SessionToken: find(names.token)}
	if text := find(names.expires); text.Len() > 0 {
		expires, err := time.Parse(time.RFC3339, string(text.Reveal()))
		if err != nil {
			return Keys{}, credential.Errorf(credential.Invalid, "expiration is not a time as in RFC 3339")
		}
		keys.Expires = expires
	}
	return keys, nil
}

// Provider returns an aws.CredentialsProvider. Without Install it does not retry, and an
// aws.CredentialsCache around it holds on to keys that were rotated until they expire.
func Provider(p *credential.Presenter[Keys]) aws.CredentialsProvider { return provider{p} }

type provider struct{ p *credential.Presenter[Keys] }

// Retrieve implements aws.CredentialsProvider.
func (v provider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	t, _ := ctx.Value(tryKey{}).(*try)
	var lease credential.Lease[Keys]
	switch {
	case t != nil && t.use != nil:
		lease = *t.use
	default:
		var err error
		if lease, err = v.p.Acquire(ctx); err != nil {
			return aws.Credentials{}, err
		}
		if ends := lease.Value.Expires; !ends.IsZero() && !time.Now().Before(ends) {
			if lease, err = v.p.Rejected(ctx, lease.Generation); err != nil {
				return aws.Credentials{}, err
			}
		}
	}
	if t != nil {
		t.generation.Store(lease.Generation)
	}
	keys := lease.Value
	return aws.Credentials{
		AccessKeyID: keys.AccessKeyID, SecretAccessKey: string(keys.SecretAccessKey.Reveal()), SessionToken: string(keys.SessionToken.Reveal()),
		Source: "Parley", CanExpire: !keys.Expires.IsZero(), Expires: keys.Expires,
	}, nil
}

// Install makes the clients of a configuration sign with the keys of a presenter, and
// retry once with others when they are refused.
func Install(config *aws.Config, p *credential.Presenter[Keys]) {
	config.Credentials = Provider(p)
	options := config.APIOptions
	config.APIOptions = append(options[:len(options):len(options)], func(stack *middleware.Stack) error {
		return stack.Finalize.Add(retry{p}, middleware.Before) // around the SDK's own retries, which do not help here
	})
}

// try is one call on behalf of a caller; it travels in the context.
type try struct {
	use        *credential.Lease[Keys] // instead of the current ones
	generation atomic.Uint64           // of the keys with which the request was signed
}

type tryKey struct{}

// retry is the step around the sending of a request that mends a refusal.
type retry struct{ p *credential.Presenter[Keys] }

// ID implements middleware.FinalizeMiddleware.
func (retry) ID() string { return "ParleyCredential" }

// HandleFinalize implements middleware.FinalizeMiddleware.
func (r retry) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	first := &try{}
	out, metadata, err := next.HandleFinalize(context.WithValue(ctx, tryKey{}, first), in)
	if err == nil || !Refused(err) || first.generation.Load() == 0 {
		return out, metadata, err
	}
	lease, why := r.p.Instead(ctx, first.generation.Load())
	if why != nil {
		return out, metadata, fmt.Errorf("%w (%w)", err, why)
	}
	if request, ok := in.Request.(*smithyhttp.Request); ok {
		if request.RewindStream() != nil {
			return out, metadata, err // the body is gone; the next request has the new keys
		}
	}
	return next.HandleFinalize(context.WithValue(ctx, tryKey{}, &try{use: &lease}), in)
}

// refusals are the error codes with which the services of AWS refuse keys.
var refusals = map[string]bool{
	"AuthFailure":                 true,
	"ExpiredToken":                true,
	"ExpiredTokenException":       true,
	"InvalidAccessKeyId":          true,
	"InvalidClientTokenId":        true,
	"InvalidSignatureException":   true,
	"InvalidToken":                true,
	"SignatureDoesNotMatch":       true,
	"TokenRefreshRequired":        true,
	"UnrecognizedClientException": true,
}

// Refused reports whether an error says that AWS refused the keys. A lack of permission is
// no refusal.
func Refused(err error) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && refusals[answer.ErrorCode()]
}
