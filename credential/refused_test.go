package credential_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
)

// A source is told which of its fetches a refusal caused, also behind a Chain, and no other.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []bool
		minting := credential.Func(func(ctx context.Context) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, credential.Refused(ctx))
			return keyA + strconv.Itoa(len(told)), nil
		})
		chain := credential.Chain(minting, credential.Literal(keyD))
		c, err := credential.New(credential.Config{Name: "password", Source: chain, Present: true, TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer c.Stop()
		p, err := credential.Present(c)
		if err != nil {
			t.Fatal(err)
		}
		sleep(time.Minute)
		if _, err := p.Rejected(t.Context(), 1); err != nil {
			t.Errorf("Rejected = %v", err)
		}
		sleep(time.Minute)
		if err := c.Refresh(t.Context()); err != nil {
			t.Errorf("Refresh = %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if want := []bool{false, true, false}; !slices.Equal(told, want) {
			t.Errorf("Refused = %v, want %v", told, want)
		}
	})
}
