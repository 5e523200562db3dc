package awsapi

import (
	"strings"
	"testing"

	"github.com/parley-backend/parley/credential"
)

func TestNamesAndPlaces(t *testing.T) {
	const secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/parse-AbCdEf"
	for text, want := range map[string]string{
		"aws://prod/parse":                                  "prod/parse",
		"aws:///prod/parse":                                 "/prod/parse",
		"aws://prod%40home/a%40b?region=eu-west-1":          "prod@home/a@b (eu-west-1)",
		"aws://" + secret:                                   secret,
		"aws://" + secret + "?region=eu-west-1":             secret,
		"aws://x?region=cn-north-1&profile=work":            "x (cn-north-1, work)",
		"aws://x?endpoint=http://127.0.0.1:5000":            "x (http://127.0.0.1:5000)",
		"aws://x?endpoint=http://[::1]:5000/":               "x (http://[::1]:5000)",
		"aws://x?endpoint=http://moto:5000&allow_http=moto": "x (http://moto:5000)",
		"aws://x?endpoint=https://vpce-1.example":           "x (https://vpce-1.example)",
		"aws:x":                                 "write aws://name",
		"aws://" + secret + "?region=eu-west-2": "option region is not the region of the ARN",
		"aws://arn:aws:s3:::bucket":             "the ARN is not one of secretsmanager",
		"aws://arn:aws":                         "the ARN is not one of secretsmanager",
		"aws://x?region=eu west":                "option region is not the name of a region",
		"aws://x?endpoint=moto:5000":            "option endpoint is https://host:port and no more",
		"aws://x?endpoint=https://user@host":    "option endpoint is https://host:port and no more",
		"aws://x?endpoint=https://host/path":    "option endpoint is https://host:port and no more",
		"aws://x?endpoint=http://moto:5000":     "plain HTTP to moto would show the secret to the network; write https, or allow_http=moto",
		"aws://x%0a":                            "write aws://name",
	} {
		ref, err := credential.ParseReference(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		name, err := Name(ref)
		var at Place
		if err == nil {
			at, err = At(ref, name, "secretsmanager")
		}
		got := at.Location(name)
		if err != nil {
			got = strings.TrimPrefix(err.Error(), "credential: config: reference aws: ")
		}
		if got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}

// Two places are never taken for one.
func TestInstancesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, at := range []Place{{}, {Region: "a"}, {Profile: "a"}, {Endpoint: "a"}} {
		for _, service := range []string{"kms", "ssm"} {
			if name := at.Instance(service); seen[name] {
				t.Errorf("the instance of %s at %+v is taken already: %q", service, at, name)
			} else {
				seen[name] = true
			}
		}
	}
}
