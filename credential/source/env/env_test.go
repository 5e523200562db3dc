package env_test

import (
	"errors"
	"os"
	"testing"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/env"
)

func open(t *testing.T, text string) (credential.Source, error) {
	t.Helper()
	ref, err := credential.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return env.Open(ref)
}

func TestSource(t *testing.T) {
	credentialtest.TestSource(t, credentialtest.Harness{Open: func(t *testing.T, value string) credentialtest.Store {
		t.Setenv("PARLEY_TEST_KEY", value)
		source, err := open(t, "env:PARLEY_TEST_KEY")
		if err != nil {
			t.Fatal(err)
		}
		return credentialtest.Store{
			Source: source,
			Remove: func(*testing.T) { os.Unsetenv("PARLEY_TEST_KEY") },
		}
	}})
}

func TestOpen(t *testing.T) {
	for _, test := range []struct {
		reference string
		want      error
	}{
		{"env:NAME", nil},
		{"env:NAME?overlap=1h", nil},
		{"env://NAME", credential.Misconfigured},
		{"env:NAME#field", nil},
		{"env:NAME?format=json", nil},
		{"env:NAME?format=raw#field", credential.Misconfigured},
		{"env:NAME?color=red", credential.Misconfigured},
	} {
		if _, err := open(t, test.reference); !errors.Is(err, test.want) {
			t.Errorf("Open(%s) = %v, want %v", test.reference, err, test.want)
		}
	}
}

// A variable cannot change, so a time to live on it promises what cannot be kept.
func TestTTLIsWarnedOf(t *testing.T) {
	t.Setenv("PARLEY_TEST_KEY", "0123456789abcdef0123456789abcdef")
	recorder := &credentialtest.Recorder{}
	cfg := credential.Config{Name: "masterKey", Observer: recorder}
	if err := (credential.Registry{"env": env.Open}).Configure(&cfg, "env:PARLEY_TEST_KEY?ttl=1m"); err != nil {
		t.Fatal(err)
	}
	if _, err := credential.New(cfg); err != nil {
		t.Fatal(err)
	}
	if got := recorder.Count(credential.EventLint); got != 1 {
		t.Errorf("%d warnings, want 1", got)
	}
}
