package credentialtest_test

import (
	"testing"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// The scripted source passes the suite itself, so that what is tested with it holds for
// real ones.
func TestSource(t *testing.T) {
	credentialtest.TestSource(t, credentialtest.Harness{Open: func(t *testing.T, value string) credentialtest.Store {
		source := credentialtest.New(credential.Info{}, value)
		return credentialtest.Store{
			Source: source,
			Put: func(t *testing.T, value string) {
				source.Set(value)
				source.Notify(credential.Notice{})
			},
			Remove: func(*testing.T) { source.Fail(credential.Errorf(credential.Missing, "removed")) },
			Break: func(*testing.T) func() {
				source.Fail(credential.Errorf(credential.Unavailable, "broken"))
				return func() { source.Fail(nil) }
			},
		}
	}})
}
