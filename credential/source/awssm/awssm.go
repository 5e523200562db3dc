// Package awssm is the source of two references to AWS, read with the AWS SDK:
//
//	awssm://name-or-ARN#field   a secret of Secrets Manager; awssm:///a/b if its name begins with a slash
//	awsssm:///path/to/name      a parameter of Systems Manager Parameter Store
//
// Both can be rotated.
//
//	awssm.go           the references and their options
//	secret.go          one reading of a secret, by its staging labels
//	secret_write.go    a new version, compare and swap on AWSCURRENT
//	parameter.go       one reading of a parameter, by its version numbers
//	parameter_write.go a new version of it
package awssm

import (
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/internal/awsapi"
	"github.com/parley-backend/parley/credential/source/internal/pattern"
)

// Opener returns the opener of awssm://name. The sources that it opens share one client for each
// region, profile and endpoint. Its options, besides awsapi.Options (region, profile, endpoint,
// allow_http):
//
//	stage    follow this staging label instead of AWSCURRENT
//	version  read the version with this id, always
func Opener() credential.Opener {
	pool := awsapi.NewPool(func(cfg aws.Config, endpoint *string) *secretsmanager.Client {
		return secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
			if endpoint != nil {
				o.BaseEndpoint = endpoint
			}
		})
	})
	return func(ref credential.Reference) (credential.Source, error) { return openSecret(pool, ref) }
}

// What AWS takes for names. A parameter's ARN has no version at its end: that is an option.
var (
	secretName    = pattern.New(`^([A-Za-z0-9/_+=.@-]+|arn:[A-Za-z0-9/_+=.@:-]+)$`)
	parameterName = pattern.New(`^(/?[A-Za-z0-9_.-]+|(/[A-Za-z0-9_.-]+)+|arn:([A-Za-z0-9-]*:){4}[A-Za-z0-9/_.-]+)$`)
	labelName     = pattern.New(`^[A-Za-z0-9_.-]{1,256}$`)
	notLabel      = pattern.New(`^([0-9].*|(?i:aws|ssm).*)$`) // of a parameter
)

func openSecret(pool *awsapi.Pool[*secretsmanager.Client], ref credential.Reference) (credential.Source, error) {
	if err := ref.Only(append([]string{"stage", "version"}, awsapi.Options...)...); err != nil {
		return nil, err
	}
	name, err := awsapi.Name(ref)
	if err != nil {
		return nil, err
	}
	s := &secret{name: name, stage: ref.Options["stage"], version: ref.Options["version"]}
	_, hasStage := ref.Options["stage"]
	_, hasVersion := ref.Options["version"]
	switch {
	case !secretName.MatchString(name):
		return nil, awsapi.Wrong(ref, "that is neither the name nor the ARN of a secret")
	case hasStage && hasVersion:
		return nil, awsapi.Wrong(ref, "options stage and version exclude each other")
	case hasStage && !labelName.MatchString(s.stage):
		return nil, awsapi.Wrong(ref, "option stage is not a staging label")
	case hasVersion && !labelName.MatchString(s.version):
		return nil, awsapi.Wrong(ref, "option version is not the id of a version")
	}
	if s.decoder, err = ref.Decoder(); err != nil {
		return nil, err
	}
	at, err := awsapi.At(ref, name, "secretsmanager")
	if err != nil {
		return nil, err
	}
	s.client, s.location, s.instance = pool.Client(at), at.Location(name), at.Instance("secretsmanager")
	return s, nil
}

// ParameterOpener returns the opener of awsssm:///path. Its options, besides awsapi.Options (region,
// profile, endpoint, allow_http):
//
//	label    follow this label instead of the latest version
//	version  read the version with this number, always
//	key      the KMS key that a new value is encrypted with, when Parley may not ask for it
func ParameterOpener() credential.Opener {
	pool := awsapi.NewPool(func(cfg aws.Config, endpoint *string) *ssm.Client {
		return ssm.NewFromConfig(cfg, func(o *ssm.Options) {
			if endpoint != nil {
				o.BaseEndpoint = endpoint
			}
		})
	})
	return func(ref credential.Reference) (credential.Source, error) { return openParameter(pool, ref) }
}

func openParameter(pool *awsapi.Pool[*ssm.Client], ref credential.Reference) (credential.Source, error) {
	if err := ref.Only(append([]string{"label", "version", "key"}, awsapi.Options...)...); err != nil {
		return nil, err
	}
	name, err := awsapi.Name(ref)
	if err != nil {
		return nil, err
	}
	p := &parameter{name: name, key: ref.Options["key"]}
	label, hasLabel := ref.Options["label"]
	number, hasVersion := ref.Options["version"]
	switch {
	case !parameterName.MatchString(name):
		return nil, awsapi.Wrong(ref, "write awsssm:///path/to/name, awsssm://name or the ARN of a parameter")
	case hasLabel && hasVersion:
		return nil, awsapi.Wrong(ref, "options label and version exclude each other")
	case hasLabel && (!labelName.MatchString(label) || notLabel.MatchString(label)):
		return nil, awsapi.Wrong(ref, "option label is not the label of a version")
	case hasLabel:
		p.selector = label
	case hasVersion:
		if n, err := strconv.ParseInt(number, 10, 64); err != nil || n < 1 {
			return nil, awsapi.Wrong(ref, "option version wants a number from 1")
		}
		p.selector = number
	}
	if p.decoder, err = ref.Decoder(); err != nil {
		return nil, err
	}
	at, err := awsapi.At(ref, name, "ssm")
	if err != nil {
		return nil, err
	}
	p.client, p.location, p.instance = pool.Client(at), at.Location(name), at.Instance("ssm")
	return p, nil
}
