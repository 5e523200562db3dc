package static_test

import (
	"errors"
	"testing"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/static"
)

func TestSource(t *testing.T) {
	credentialtest.TestSource(t, credentialtest.Harness{Open: func(t *testing.T, value string) credentialtest.Store {
		ref, err := credential.ParseReference("static:" + value)
		if err != nil {
			t.Fatal(err)
		}
		source, err := static.Open(ref)
		if err != nil {
			t.Fatal(err)
		}
		return credentialtest.Store{Source: source}
	}})
}

func TestOpenRefusesAnEmptyValue(t *testing.T) {
	if _, err := static.Open(credential.Reference{Scheme: "static"}); !errors.Is(err, credential.Misconfigured) {
		t.Errorf("Open(static:) = %v, want Misconfigured", err)
	}
}
