package awssm_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/internal/awstest"
)

const (
	keyA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	keyB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	keyC = "cccccccccccccccccccccccccccccccc"
)

func TestMain(m *testing.M) {
	if credentialtest.Elsewhere(elsewhere, false) {
		return
	}
	awstest.Isolate()
	goleak.VerifyTestMain(m)
}

// version is what a test says of a version.
type version struct {
	State   credential.State
	Value   string
	Fields  string // name=value
	Number  uint64
	Created bool // known
}

func fetch(t *testing.T, s credential.Source) []version {
	t.Helper()
	payload, err := s.Fetch(t.Context())
	if err != nil {
		t.Fatalf("Fetch failed: %v", err)
	}
	var got []version
	for _, v := range payload.Versions {
		if v.ID == "" {
			t.Error("a version has no id")
		}
		one := version{State: v.State, Value: string(v.Value.Reveal()), Number: v.Number, Created: !v.Created.IsZero()}
		for name, field := range v.Fields {
			one.Fields += name + "=" + string(field.Reveal())
		}
		got = append(got, one)
	}
	return got
}

// created returns when the current version became that.
func created(t *testing.T, s credential.Source) time.Time {
	t.Helper()
	payload, err := s.Fetch(t.Context())
	if err != nil {
		t.Fatalf("Fetch failed: %v", err)
	}
	return payload.Versions[0].Created
}

// fails checks the class and the words of an error.
func fails(t *testing.T, s credential.Source, want credential.Class) *credential.Error {
	t.Helper()
	_, err := s.Fetch(t.Context())
	var failure *credential.Error
	if !errors.As(err, &failure) || failure.Class != want {
		t.Fatalf("Fetch says %v, want %v", err, want)
	}
	for _, format := range []string{"%v", "%+v", "%#v"} {
		if awstest.Leaks(fmt.Sprintf(format, err)) || awstest.Leaks(fmt.Sprintf(format, failure)) {
			t.Errorf("the error printed with %s has words of AWS in it", format)
		}
	}
	return failure
}

// unique returns a name that no other test uses: a real AWS remembers.
func unique(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("parley-test/%d", time.Now().UnixNano())
}
