package awssm_test

import (
	"strings"
	"testing"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/awssm"
)

func TestReferences(t *testing.T) {
	registry := credential.Registry{"awssm": awssm.Opener(), "awsssm": awssm.ParameterOpener()}
	const secret, parameter = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/parse-AbCdEf", "arn:aws:ssm:eu-west-1:123456789012:parameter/prod/parse"
	for text, want := range map[string]string{
		"awssm://prod/parse?region=eu-west-1#masterKey": "prod/parse (eu-west-1)",
		"awssm:///prod/parse?stage=live":                "/prod/parse",
		"awssm://" + secret + "#masterKey":              secret,
		"awssm://x?format=keyset":                       "x",
		"awsssm:///prod/parse?label=live":               "/prod/parse",
		"awsssm://parse?version=3&key=alias/parley":     "parse",
		"awsssm://" + parameter:                         parameter,

		"awssm:x":                                 "write awssm://name",
		"awssm://pro d":                           "that is neither the name nor the ARN of a secret",
		"awssm://x?stage=a&version=b":             "options stage and version exclude each other",
		"awssm://x?stage=":                        "option stage is not a staging label",
		"awssm://x?stage=a%20b":                   "option stage is not a staging label",
		"awssm://x?version=a/b":                   "option version is not the id of a version",
		"awssm://x?label=a":                       `unknown option "label"`,
		"awssm://x?region=a&region=b":             `option "region" is given twice`,
		"awssm://" + parameter:                    "the ARN is not one of secretsmanager",
		"awssm://" + secret + "?region=us-east-1": "option region is not the region of the ARN",
		"awssm://x?format=raw#field":              "format raw has no field",

		"awsssm://prod/parse":                          "write awsssm:///path/to/name, awsssm://name or the ARN of a parameter",
		"awsssm:///prod//parse":                        "write awsssm:///path/to/name, awsssm://name or the ARN of a parameter",
		"awsssm:///prod/parse:3":                       "write awsssm:///path/to/name, awsssm://name or the ARN of a parameter",
		"awsssm:///x?version=0":                        "option version wants a number from 1",
		"awsssm:///x?version=a":                        "option version wants a number from 1",
		"awsssm:///x?label=3":                          "option label is not the label of a version",
		"awsssm:///x?label=aws":                        "option label is not the label of a version",
		"awsssm:///x?label=":                           "option label is not the label of a version",
		"awsssm:///x?label=a&version=1":                "options label and version exclude each other",
		"awsssm:///x?stage=a":                          `unknown option "stage"`,
		"awsssm://" + secret:                           "write awsssm:///path/to/name, awsssm://name or the ARN of a parameter",
		"awsssm://" + parameter + ":3":                 "write awsssm:///path/to/name, awsssm://name or the ARN of a parameter",
		"awsssm://arn:aws:kms:eu-west-1:1:parameter/x": "the ARN is not one of ssm",
		"awssm://prod:3":                               "that is neither the name nor the ARN of a secret",
		"awsssm:///x?endpoint=http://a.b:1":            "plain HTTP to a.b would show the secret to the network; write https, or allow_http=a.b",
	} {
		ref, err := credential.ParseReference(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		source, err := registry.Open(ref)
		got := ""
		if err != nil {
			got = strings.TrimPrefix(err.Error(), "credential: config: reference "+ref.Scheme+": ")
		} else {
			got = source.Info().Location
		}
		if got != want {
			t.Errorf("opening %s says %q, want %q", text, got, want)
		}
	}
}
