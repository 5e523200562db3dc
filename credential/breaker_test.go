package credential_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// together makes a Set of n credentials of one role on one source, and starts them.
func together(t *testing.T, n int, source credential.Source, cfg credential.Config) (*credential.Set, error) {
	t.Helper()
	set := new(credential.Set)
	cfg.Set, cfg.Source, cfg.Role = set, source, "api"
	for i := range n {
		cfg.Name = fmt.Sprintf("key-%03d", i)
		if _, err := credential.New(cfg); err != nil {
			t.Fatalf("New failed: %v", err)
		}
	}
	t.Cleanup(set.Stop)
	err := set.Start(t.Context())
	synctest.Wait()
	return set, err
}

// answers counts what all of a Set say of a key.
func answers(set *credential.Set, key string) map[string]int {
	counted := make(map[string]int)
	for _, c := range set.All() {
		counted[said(c.Verify(key))]++
	}
	return counted
}

// A store that is down is asked by one credential at a time, on behalf of all: a hundred ask it no more often than one would, and
// all of them are well again within a minute and a time-out of its return.
func TestBreakerIsSharedByAnInstance(t *testing.T) {
	for _, test := range []struct {
		name string
		fail func(*credentialtest.Source) (mend func())
	}{
		{"refuses", func(s *credentialtest.Source) func() { s.Fail(errDown); return func() { s.Fail(nil) } }},
		{"times out", func(s *credentialtest.Source) func() { s.Delay(time.Hour); return func() { s.Delay(0) } }},
		{"panics", func(s *credentialtest.Source) func() { s.Panic("down"); return func() { s.Set(keyA) } }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := credentialtest.New(credential.Info{Instance: "store"}, keyA)
				set, err := together(t, 100, source, credential.Config{Kind: credential.API})
				if err != nil {
					t.Fatal(err)
				}
				mend := test.fail(source)
				healthy := source.Fetches()
				sleep(time.Hour)
				if got := source.Fetches() - healthy; got > 130 {
					t.Errorf("%d attempts of 100 credentials in an hour of outage, want at most 130", got)
				}
				if got, want := answers(set, keyA), map[string]int{"accept current": 100}; fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("in the outage: %v, want %v", got, want)
				}
				mend()
				sleep(66 * time.Second)
				for _, c := range set.All() {
					if s := c.Status(); s.Condition != credential.Fresh || s.Suspect {
						t.Errorf("%s is %v (%s) 66 s after the return", s.Name, s.Condition, s.LastError)
					}
				}
			})
		})
	}
}

// A fetch that ignores its context holds up neither a place nor the breaker.
func TestBreakerSurvivesHangingFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := credentialtest.New(credential.Info{Instance: "store"}, keyA)
		set, err := together(t, 10, source, credential.Config{})
		if err != nil {
			t.Fatal(err)
		}
		release := source.Hang()
		sleep(20 * time.Minute)
		release()
		sleep(5 * time.Minute)
		for _, c := range set.All() {
			if s := c.Status(); s.Condition != credential.Fresh || s.Hanging {
				t.Errorf("%s is %v, hanging %v", s.Name, s.Condition, s.Hanging)
			}
		}
	})
}

// Of one instance no more than four secrets are read at a time; sources without one are not held up.
func TestFetchesOfAnInstanceAtATime(t *testing.T) {
	for _, test := range []struct {
		instance   string
		concurrent int
		took       time.Duration
	}{{"store", 4, 25 * time.Second}, {"", 100, time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			source := credentialtest.New(credential.Info{Instance: test.instance}, keyA)
			source.Delay(time.Second)
			began := time.Now()
			_, err := together(t, 100, source, credential.Config{TTL: time.Hour})
			if took := time.Since(began); err != nil || took != test.took || source.Concurrent() != test.concurrent {
				t.Errorf("instance %q: Start = %v after %v with %d at a time, want nil after %v with %d",
					test.instance, err, took, source.Concurrent(), test.took, test.concurrent)
			}
		})
	}
}

// What an operator asks for is asked, and ends the wait of the others too.
func TestRefreshPassesTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := credentialtest.New(credential.Info{Instance: "store"}, keyA)
		set, err := together(t, 10, source, credential.Config{})
		if err != nil {
			t.Fatal(err)
		}
		source.Fail(errDown)
		sleep(30 * time.Minute)
		before := source.Fetches()
		if err := set.Get("key-003").Refresh(t.Context()); !errors.Is(err, credential.Unavailable) || source.Fetches() != before+1 {
			t.Errorf("Refresh in the outage = %v after %d fetches, want unavailable after 1", err, source.Fetches()-before)
		}
		source.Set(keyB)
		if err := set.Get("key-003").Refresh(t.Context()); err != nil {
			t.Errorf("Refresh after it = %v, want nil", err)
		}
		if got := said(set.Get("key-004").VerifyContext(t.Context(), keyA)); got != "accept current" {
			t.Errorf("another credential: %s, want accept current", got)
		}
		sleep(60 * time.Second)
		if got := answers(set, keyB)["accept current"]; got != 10 {
			t.Errorf("%d credentials have the new key a minute later, want 10", got)
		}
	})
}

// The wish of a store to be left alone holds for all who read from it.
func TestRetryAfterHoldsForTheInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := credentialtest.New(credential.Info{Instance: "store"}, keyA)
		set, err := together(t, 100, source, credential.Config{})
		if err != nil {
			t.Fatal(err)
		}
		source.Fail(&credential.Error{Class: credential.Unavailable, Reason: "too many requests", RetryAfter: 4 * time.Minute})
		_ = set.All()[0].Refresh(t.Context())
		before := source.Fetches()
		sleep(4*time.Minute - time.Second)
		if got := source.Fetches() - before; got != 0 {
			t.Errorf("%d fetches within Retry-After, want 0", got)
		}
		source.Fail(nil)
		sleep(7 * time.Second)
		for _, c := range set.All() {
			if s := c.Status(); s.Suspect {
				t.Errorf("%s still fails: %s", s.Name, s.LastError)
			}
		}
	})
}

// A store that answers is not down, whatever it says of one secret.
func TestAnswersKeepTheBreakerClosed(t *testing.T) {
	for _, class := range []credential.Class{credential.Denied, credential.Missing, credential.Gone, credential.Invalid} {
		synctest.Test(t, func(t *testing.T) {
			set := new(credential.Set)
			info := credential.Info{Instance: "store"}
			bad := start(t, credential.Config{Name: "bad", Set: set, Role: "api", Source: failing(info, credential.Errorf(class, "no")), Startup: credential.Degraded}, info)
			well := start(t, credential.Config{Name: "well", Set: set, Role: "api"}, info)
			for range 10 {
				_ = bad.Refresh(t.Context())
			}
			well.source.Set(keyB)
			if got := said(well.VerifyContext(t.Context(), keyB)); got != "accept current" {
				t.Errorf("beside a credential that is %v: VerifyContext = %s, want accept current", class, got)
			}
		})
	}
}

func failing(info credential.Info, err error) *credentialtest.Source {
	s := credentialtest.New(info, keyA)
	s.Fail(err)
	return s
}

// A Chain whose store is known to be down goes on to its fallback without asking.
func TestBreakerInAChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := new(credential.Set)
		store := failing(credential.Info{Instance: "store"}, errDown)
		for i := range 50 {
			c := start(t, credential.Config{Name: fmt.Sprint(i), Set: set, Role: "api", Source: credential.Chain(store, credential.Literal(keyB))}, credential.Info{})
			c.expect(t, "at start", map[string]string{keyB: "accept current"})
		}
		if got := store.Fetches(); got > 5 {
			t.Errorf("the store was asked %d times by 50 credentials at one moment, want at most 5", got)
		}
		before := store.Fetches()
		sleep(time.Hour)
		if got := store.Fetches() - before; got > 130 {
			t.Errorf("the store was asked %d times in an hour, want at most 130", got)
		}
		store.Set(keyA)
		sleep(2 * time.Minute) // what a fallback supplied is fresh for a minute
		if got := answers(set, keyA)["accept current"]; got != 50 {
			t.Errorf("%d credentials have the key of the store two minutes after its return, want 50", got)
		}
	})
}

// A secret that its store cannot give, while it gives others, holds up none of these: neither one such secret, nor many.
func TestOneSecretHoldsUpNoOther(t *testing.T) {
	for _, broken := range []int{1, 20} {
		t.Run(fmt.Sprint(broken), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var set credential.Set
				t.Cleanup(set.Stop)
				info := credential.Info{Instance: "store"}
				for i := range broken {
					if _, err := credential.New(credential.Config{Name: fmt.Sprint("broken-", i), Set: &set, Source: failing(info, errDown), Startup: credential.Degraded}); err != nil {
						t.Fatal(err)
					}
				}
				good, err := credential.New(credential.Config{Name: "good", Set: &set, Source: credentialtest.New(info, keyA), Startup: credential.Degraded})
				if err != nil {
					t.Fatal(err)
				}
				if err := set.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				for good.Status().Condition == credential.Empty { // as long as nothing is known of any of them
					sleep(time.Second)
				}
				oldest := time.Duration(0)
				for range 6 * 3600 {
					sleep(time.Second)
					oldest = max(oldest, good.Status().Age)
				}
				held := time.Minute // until the next attempt at the store, which is this credential's
				if broken == 1 {
					held = 0
				}
				if limit := 5*time.Minute + held; oldest > limit {
					t.Errorf("it was %v old, want at most %v", oldest, limit)
				}
			})
		})
	}
}
