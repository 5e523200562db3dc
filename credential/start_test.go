package credential_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// A start that waits for its source makes one attempt for each step of the back-off: at 0, and then after 0.5, 1, 2, 4, 8 and 16 s with a
// jitter down to the half.
func TestAttemptsOfAStart(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			source := credentialtest.New(credential.Info{}, keyA)
			source.Fail(errDown)
			c, err := credential.New(credential.Config{Name: "masterKey", Source: source})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Stop()
			began := time.Now()
			if err := c.Start(t.Context()); !errors.Is(err, credential.Unavailable) {
				t.Errorf("Start = %v, want Unavailable", err)
			}
			if took := time.Since(began); took != 30*time.Second {
				t.Errorf("Start took %v, want 30s", took)
			}
			if got := source.Fetches(); got < 5 || got > 7 {
				t.Errorf("attempts = %d, want 5 to 7", got)
			}
		})
	}
}
