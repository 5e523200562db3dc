package credential_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
)

// A rotated key works at once on a node that has not noticed: one fetch, shared by
// everyone who presents it.
func TestMissRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{TTL: time.Hour}, credential.Info{})
		sleep(time.Minute)
		f.source.Set(keyB)
		f.source.Delay(time.Second)
		if got := said(f.Verify(keyB)); got != "reject unknown" {
			t.Errorf("Verify does not ask: %s, want reject unknown", got)
		}
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				if got := said(f.VerifyContext(t.Context(), keyB)); got != "accept current" {
					t.Errorf("VerifyContext = %s, want accept current", got)
				}
			})
		}
		group.Wait()
		if got := f.source.Fetches(); got != 2 {
			t.Errorf("%d fetches, want 2", got)
		}
	})
}

// Whoever joins a fetch that began before the key was stored is not sent away with its
// result.
func TestMissRefreshLooksOnceMoreAfterAnOlderFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{TTL: time.Hour}, credential.Info{})
		sleep(time.Minute)
		f.source.Delay(500 * time.Millisecond)
		go func() { _ = f.Refresh(t.Context()) }()
		sleep(100 * time.Millisecond)
		f.source.Set(keyB) // the fetch under way has chosen its answer
		if got := said(f.VerifyContext(t.Context(), keyB)); got != "accept current" {
			t.Errorf("VerifyContext = %s, want accept current", got)
		}
	})
}

// The wait ends after two seconds, or with the request.
func TestMissRefreshWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{TTL: time.Hour}, credential.Info{})
		sleep(time.Minute)
		f.source.Delay(4 * time.Second)
		began := time.Now()
		f.VerifyContext(t.Context(), keyB)
		if waited := time.Since(began); waited != 2*time.Second {
			t.Errorf("it waited %v, want 2 s", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		f.VerifyContext(ctx, keyB)
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("it waited %v, want 1 s", waited)
		}
	})
}

// The same unknown key causes one fetch in ten seconds; the bucket holds three.
func TestMissLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{TTL: 10 * time.Hour}, credential.Info{})
		sleep(time.Minute)
		fetched := func(present ...string) int {
			before := f.source.Fetches()
			for _, key := range present {
				f.VerifyContext(t.Context(), key)
			}
			return f.source.Fetches() - before
		}
		if got := fetched(keyB, keyB, keyB); got != 1 {
			t.Errorf("%d fetches for one unknown key, want 1", got)
		}
		sleep(10 * time.Second)
		if got := fetched(keyB); got != 1 {
			t.Errorf("%d fetches for it after ten seconds, want 1", got)
		}
		sleep(time.Hour)
		if got := fetched("unknown-1", "unknown-2", "unknown-3", "unknown-4", "unknown-5"); got != 3 {
			t.Errorf("%d fetches for five unknown keys, want 3", got)
		}
		sleep(10 * time.Second)
		if got := fetched("unknown-6", "unknown-7"); got != 1 {
			t.Errorf("%d fetches after ten seconds, want 1", got)
		}
		if s := f.Status(); s.Counters.MissFetches != 6 || s.Counters.MissLimited != 5 {
			t.Errorf("counted %d and %d limited, want 6 and 5", s.Counters.MissFetches, s.Counters.MissLimited)
		}
	})
}

// While the source fails, unknown keys do not add attempts to its back-off.
func TestMissRespectsTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{TTL: time.Minute}, credential.Info{})
		f.source.Fail(errDown)
		sleep(10 * time.Minute)
		before := f.source.Fetches()
		began := time.Now()
		if got := said(f.VerifyContext(t.Context(), keyB)); got != "reject unknown" {
			t.Errorf("VerifyContext = %s, want reject unknown", got)
		}
		if f.source.Fetches() != before || time.Since(began) != 0 {
			t.Error("it asked a source that is being left alone")
		}
	})
}

func TestNoMissRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{NoMissRefresh: true}, credential.Info{})
		f.source.Set(keyB)
		if got := said(f.VerifyContext(t.Context(), keyB)); got != "reject unknown" || f.source.Fetches() != 1 {
			t.Errorf("VerifyContext = %s after %d fetches, want reject unknown, 1", got, f.source.Fetches())
		}
	})
}

// A source that answers that the secret is missing is not down: a file that is removed and written anew is missing for a
// moment, and the new key works at once all the same. One that does not answer is left alone until its time comes.
func TestMissRefreshAfterAFailure(t *testing.T) {
	for _, c := range []struct {
		class credential.Class
		want  string
	}{
		{credential.Missing, "accept current"},
		{credential.Invalid, "accept current"},
		{credential.Unavailable, "reject unknown"},
		{credential.Denied, "reject unknown"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, credential.Config{TTL: time.Hour}, credential.Info{})
			sleep(time.Minute)
			f.source.Fail(credential.Errorf(c.class, "for a moment"))
			_ = f.Refresh(t.Context())
			f.source.Fail(nil)
			f.source.Set(keyB)
			if got := said(f.VerifyContext(t.Context(), keyB)); got != c.want {
				t.Errorf("after %v: VerifyContext(the new key) = %s, want %s", c.class, got, c.want)
			}
		})
	}
}
