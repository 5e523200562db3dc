package credential_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

var errDown = credential.Errorf(credential.Unavailable, "down")

// I3: at expiry 200 concurrent verifications cause one fetch, and none of them waits.
func TestI3ExpiryIsOneFetchAndNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{TTL: time.Minute}, credential.Info{})
		f.source.Delay(3 * time.Second)
		sleep(54*time.Second + time.Millisecond) // 0.9 ttl: a fetch is under way
		before := f.source.Fetches()
		if before != 2 {
			t.Fatalf("%d fetches by 0.9 ttl, want 2: the first and the refresh", before)
		}
		clock := time.Now()
		var group sync.WaitGroup
		for range 200 {
			group.Go(func() {
				if d := f.VerifyContext(t.Context(), keyA); !d.OK() {
					t.Errorf("VerifyContext = %+v, want Accept", d)
				}
			})
		}
		group.Wait()
		if waited := time.Since(clock); waited != 0 {
			t.Errorf("the readers waited %v", waited)
		}
		if f.source.Fetches() != before {
			t.Errorf("%d fetches, want %d", f.source.Fetches(), before)
		}
	})
}

// I3: on an empty cache 200 concurrent verifications cause one fetch and all get its
// result.
func TestI3EmptyCacheIsOneFetch(t *testing.T) {
	for _, test := range []struct {
		name string
		fail error
		want string
	}{
		{"the source answers", nil, "accept current"},
		{"the source is down", errDown, "undecided empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, credential.Config{Startup: credential.Lazy}, credential.Info{})
				f.source.Delay(4 * time.Second)
				f.source.Fail(test.fail)
				var group sync.WaitGroup
				for range 200 {
					group.Go(func() {
						if got := said(f.VerifyContext(t.Context(), keyA)); got != test.want {
							t.Errorf("VerifyContext = %s, want %s", got, test.want)
						}
					})
				}
				group.Wait()
				if got := f.source.Fetches(); got != 1 {
					t.Errorf("%d fetches, want 1", got)
				}
			})
		})
	}
}

// I5: an outage shorter than stale_max is not felt; a longer one leads to Undecided,
// never to Accept or a false Reject; after it everything is well within the back-off
// cap and one time-out.
func TestI5Outage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{TTL: 5 * time.Minute, StaleMax: time.Hour}, credential.Info{})
		f.source.Fail(errDown)
		for range 60 { // the latest good reading is at zero
			sleep(time.Minute)
			f.expect(t, "within the bound", map[string]string{keyA: "accept current", keyB: "reject unknown"})
		}
		if s := f.Status(); s.Condition != credential.Stale || !s.Ready || !s.Degraded {
			t.Errorf("status %v ready %v degraded %v, want stale, true, true", s.Condition, s.Ready, s.Degraded)
		}
		sleep(5*time.Minute + time.Second)
		f.expect(t, "beyond ttl + stale_max", map[string]string{keyA: "undecided expired", keyB: "undecided expired", "": "reject absent"})
		if s := f.Status(); s.Condition != credential.Expired || s.Ready {
			t.Errorf("status %v ready %v, want expired, false", s.Condition, s.Ready)
		}
		f.source.Set(keyA)
		sleep(65 * time.Second)
		f.expect(t, "recovered", map[string]string{keyA: "accept current"})
		for kind, want := range map[credential.EventKind]int{credential.EventStale: 1, credential.EventExpired: 1, credential.EventRecovered: 1} {
			if got := f.seen.Count(kind); got != want {
				t.Errorf("%d %v events, want %d", got, kind, want)
			}
		}
		if s := f.Status(); s.LastError != "" || s.Class != 0 {
			t.Errorf("recovered, and the status still tells of %s", s.LastError)
		}
		f.source.Fail(errDown)
		sleep(10 * time.Minute)
		if got := f.seen.Count(credential.EventStale); got != 2 {
			t.Errorf("%d stale events after a second outage, want 2", got)
		}
	})
}

// I9: attempts during an outage of an hour, and the gap between any two fetches that
// traffic causes.
func TestI9AttemptsInAnOutage(t *testing.T) {
	for _, ttl := range []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute} {
		t.Run(ttl.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, credential.Config{TTL: ttl}, credential.Info{})
				sleep(time.Hour)
				healthy := f.source.Fetches()
				f.source.Fail(errDown)
				sleep(time.Hour)
				attempts := f.source.Fetches() - healthy
				if ttl >= time.Minute && attempts > 130 {
					t.Errorf("%d attempts in an hour, want at most 130", attempts)
				}
				if ttl <= time.Minute && attempts > healthy+8 { // the first retries come sooner
					t.Errorf("%d attempts in an hour of failure, %d in one of health", attempts, healthy)
				}
			})
		})
	}
}

func TestI9UnknownKeysCauseFewFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{TTL: time.Hour}, credential.Info{})
		began := f.source.Fetches()
		var group sync.WaitGroup
		for i := range 600 { // for a minute, ten at a time
			for j := range 10 {
				group.Go(func() {
					f.VerifyContext(t.Context(), "unknown-key-"+string(rune('a'+i%26))+string(rune('a'+i/26))+string(rune('a'+j)))
				})
			}
			time.Sleep(100 * time.Millisecond)
		}
		group.Wait()
		if got := f.source.Fetches() - began; got > 3+6 {
			t.Errorf("%d fetches in a minute of unknown keys, want at most 3 and one per 10 s", got)
		}
		times := f.source.Times()
		for i := 1; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap < time.Second {
				t.Errorf("fetches %d and %d are %v apart, want at least 1 s", i-1, i, gap)
			}
		}
		if got := f.source.Concurrent(); got != 1 {
			t.Errorf("%d fetches at a time, want 1", got)
		}
	})
}

// A store's Retry-After is honoured.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{}, credential.Info{})
		f.source.Fail(&credential.Error{Class: credential.Unavailable, Reason: "busy", RetryAfter: 2 * time.Minute})
		_ = f.Refresh(t.Context())
		before := f.source.Fetches()
		sleep(2*time.Minute - time.Second)
		if got := f.source.Fetches(); got != before {
			t.Errorf("%d fetches before Retry-After, want %d", got, before)
		}
		sleep(time.Second)
		if got := f.source.Fetches(); got != before+1 {
			t.Errorf("%d fetches after Retry-After, want %d", got, before+1)
		}
	})
}

// I10: a source that ignores its context is left behind, once; it stops no other
// credential; it is reported, and used again when it returns.
func TestI10HangingSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := start(t, credential.Config{Name: "other", TTL: time.Minute}, credential.Info{})
		f := start(t, credential.Config{TTL: time.Minute}, credential.Info{})
		release := f.source.Hang()
		sleep(10 * time.Minute)
		if got := f.source.Concurrent(); got != 1 {
			t.Errorf("%d fetches hang, want 1", got)
		}
		if got := f.seen.Count(credential.EventAbandoned); got != 1 {
			t.Errorf("%d abandoned events, want 1", got)
		}
		f.expect(t, "hanging", map[string]string{keyA: "accept current"})
		if s := other.Status(); s.Condition != credential.Fresh || s.Counters.Fetches < 10 {
			t.Errorf("the other credential is %v after %d fetches", s.Condition, s.Counters.Fetches)
		}
		release()
		sleep(2 * time.Minute)
		if s := f.Status(); s.Hanging || s.Condition != credential.Fresh || s.Failures != 0 {
			t.Errorf("after its return: hanging %v, %v, %d failures", s.Hanging, s.Condition, s.Failures)
		}
	})
}

func TestI10PanickingSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{}, credential.Info{})
		f.source.Panic("with " + keyA)
		err := f.Refresh(t.Context())
		if want := "credential masterKey: unavailable: the source panicked"; err == nil || err.Error() != want {
			t.Errorf("Refresh = %v, want %s", err, want)
		}
		f.expect(t, "after a panic", map[string]string{keyA: "accept current"})
		f.rotate(t, keyB)
		f.expect(t, "recovered", map[string]string{keyB: "accept current"})
	})
}

// The refresh comes ahead of the end of freshness, between 0.70 and 0.90 of ttl.
func TestRefreshAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{TTL: 100 * time.Second}, credential.Info{})
		sleep(time.Hour)
		times := f.source.Times()
		for i := 1; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap < 70*time.Second || gap > 90*time.Second {
				t.Errorf("fetch %d came after %v, want 70 s to 90 s", i, gap)
			}
		}
		if f.seen.Count(credential.EventStale) != 0 {
			t.Error("it was stale in between")
		}
	})
}

// The store's hint shortens ttl, within the clamps.
func TestHint(t *testing.T) {
	for _, test := range []struct {
		cfg        credential.Config
		hint, want time.Duration
	}{
		{credential.Config{}, 0, 5 * time.Minute},
		{credential.Config{}, time.Minute, time.Minute},
		{credential.Config{}, time.Hour, 5 * time.Minute},
		{credential.Config{MinTTL: 2 * time.Minute}, time.Minute, 2 * time.Minute},
		{credential.Config{TTL: time.Hour, MaxTTL: 10 * time.Minute}, 0, 10 * time.Minute},
		{credential.Config{TTL: time.Millisecond}, 0, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			source := credentialtest.New(credential.Info{}, keyA)
			source.SetTTL(test.hint)
			test.cfg.Source = source
			if got := start(t, test.cfg, credential.Info{}).Status().TTL; got != test.want {
				t.Errorf("ttl of %v with hint %v = %v, want %v", test.cfg.TTL, test.hint, got, test.want)
			}
		})
	}
}

// A function without ttl is asked each second while it is in use, and not at all when
// it is not; the first request after a rest waits for a fresh answer.
func TestUncachedFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{}, credential.Info{Scheme: "func", Uncached: true})
		for range 100 {
			sleep(100 * time.Millisecond)
			f.expect(t, "in use", map[string]string{keyA: "accept current"})
		}
		if got := f.source.Fetches(); got < 9 || got > 11 {
			t.Errorf("%d fetches in ten seconds of use, want about one a second", got)
		}
		sleep(time.Minute)
		resting := f.source.Fetches()
		sleep(3 * time.Hour)
		if got := f.source.Fetches(); got != resting {
			t.Errorf("%d fetches while nobody asked", got-resting)
		}
		if s := f.Status(); !s.Ready {
			t.Error("resting is not ready")
		}
		f.source.SetVersions(credential.Version{ID: "2", Value: credential.NewSecret(keyB)}, credential.Version{ID: "1", Value: credential.NewSecret(keyA), State: credential.Disabled})
		f.source.Delay(time.Second)
		f.expect(t, "after a rest, from memory alone", map[string]string{keyA: "undecided expired", keyB: "undecided expired"})
		sleep(time.Second / 2)
		f.expect(t, "while it is asked", map[string]string{keyA: "undecided expired", keyB: "undecided expired"})
		if got := said(f.VerifyContext(t.Context(), keyA)); got != "reject disabled" {
			t.Errorf("the first request after a rest: %s, want reject disabled", got)
		}
		f.expect(t, "asked", map[string]string{keyB: "accept current"})
		sleep(time.Minute)
		f.source.Fail(errDown)
		if got := said(f.VerifyContext(t.Context(), keyB)); got != "accept current" {
			t.Errorf("the first request after a rest, with the source down: %s, want accept current", got)
		}
		f.source.Set(keyB)
		sleep(time.Minute)
		if got := said(f.VerifyContext(t.Context(), keyB)); got != "accept current" {
			t.Errorf("the first request after a rest: %s, want accept current", got)
		}
		sleep(time.Minute)
		f.source.Set(keyC)
		f.Verify(keyB) // does not wait, but wakes
		sleep(time.Second)
		f.expect(t, "woken", map[string]string{keyC: "accept current"})
	})
}

// A push is seen within the push gap; a notice that comes before the value is readable
// is followed up.
func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{TTL: time.Hour}, credential.Info{})
		f.source.Set(keyB)
		f.source.Notify(credential.Notice{})
		sleep(100 * time.Millisecond)
		f.expect(t, "pushed", map[string]string{keyB: "accept current"})

		f.source.Delay(500 * time.Millisecond)
		go func() { _ = f.Refresh(t.Context()) }()
		sleep(200 * time.Millisecond)
		f.source.Set(keyC) // the fetch under way has chosen its answer
		f.source.Notify(credential.Notice{})
		sleep(time.Second)
		f.expect(t, "pushed during a fetch", map[string]string{keyC: "accept current"})

		source := credentialtest.New(credential.Info{Monotonic: true}, keyA)
		source.SetVersions(version(1, keyA, credential.Current))
		g := start(t, credential.Config{Source: source, TTL: time.Hour}, credential.Info{})
		source.Notify(credential.Notice{Number: 2})
		sleep(500 * time.Millisecond)
		source.SetVersions(version(2, keyB, credential.Current))
		sleep(2 * time.Second)
		g.expect(t, "readable later", map[string]string{keyB: "accept current"})
		before := source.Fetches()
		source.Notify(credential.Notice{Number: 2})
		sleep(time.Minute)
		if got := source.Fetches(); got != before {
			t.Errorf("%d fetches for a notice of what is known", got-before)
		}
		source.Notify(credential.Notice{Number: 9}) // never comes
		sleep(time.Minute)
		if got := source.Fetches() - before; got > 6 {
			t.Errorf("%d fetches for a version that never comes, want at most 6", got)
		}
	})
}

// Refresh sees what was stored before it was called, also when a fetch that began
// earlier is under way.
func TestRefreshIsNewerThanItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{TTL: time.Hour}, credential.Info{})
		sleep(time.Minute)
		f.source.Delay(500 * time.Millisecond)
		go func() { _ = f.Refresh(t.Context()) }()
		sleep(100 * time.Millisecond)
		f.source.Set(keyB) // the fetch under way has chosen its answer
		f.refresh(t)
		f.expect(t, "refreshed", map[string]string{keyB: "accept current"})
	})
}

// The three startup policies, against a store that is down at first and against one
// that says no.
func TestColdStart(t *testing.T) {
	type outcome struct {
		class credential.Class // of Start's error, 0 for none
		took  time.Duration
	}
	for _, test := range []struct {
		name   string
		policy credential.Startup
		fail   error
		upIn   time.Duration
		want   outcome
	}{
		{"require, comes up", credential.Require, errDown, 10 * time.Second, outcome{0, -1}},
		{"require, stays down", credential.Require, errDown, time.Hour, outcome{credential.Unavailable, 30 * time.Second}},
		{"require, missing", credential.Require, credential.Errorf(credential.Missing, "none"), time.Hour, outcome{credential.Missing, 0}},
		{"require, denied", credential.Require, credential.Errorf(credential.Denied, "no"), time.Hour, outcome{credential.Denied, 0}},
		{"degraded, down", credential.Degraded, errDown, time.Hour, outcome{0, 0}},
		{"degraded, misconfigured", credential.Degraded, credential.Errorf(credential.Misconfigured, "no field"), time.Hour, outcome{credential.Misconfigured, 0}},
		{"lazy, down", credential.Lazy, errDown, time.Hour, outcome{0, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := credentialtest.New(credential.Info{}, keyA)
				source.Fail(test.fail)
				timer := time.AfterFunc(test.upIn, func() { source.Set(keyA) })
				defer timer.Stop()
				c, err := credential.New(credential.Config{Name: "masterKey", Source: source, Startup: test.policy})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Stop()
				began := time.Now()
				err = c.Start(t.Context())
				var got outcome
				got.took = time.Since(began)
				var failure *credential.Error
				if errors.As(err, &failure) {
					got.class = failure.Class
				}
				if test.want.took < 0 { // some time after upIn
					got.took = -1
				}
				if got != test.want {
					t.Errorf("Start = %v after %v, want %+v", err, got.took, test.want)
				}
				if err == nil && test.policy == credential.Degraded {
					if answer := said(c.Verify(keyA)); answer != "undecided empty" {
						t.Errorf("Verify = %s, want undecided empty", answer)
					}
				}
			})
		})
	}
}

// Start and Stop are idempotent, Stop waits, and what is in memory goes on working.
func TestLifecycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{}, credential.Info{})
		if err := f.Start(t.Context()); err != nil {
			t.Errorf("a second Start failed: %v", err)
		}
		f.Stop()
		f.Stop()
		if err := f.Start(t.Context()); !errors.Is(err, credential.Misconfigured) {
			t.Errorf("Start after Stop = %v, want an error", err)
		}
		if err := f.Refresh(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("Refresh after Stop = %v, want context.Canceled", err)
		}
		before := f.source.Fetches()
		sleep(time.Hour)
		f.expect(t, "stopped", map[string]string{keyA: "accept current"})
		sleep(6 * time.Minute)
		f.expect(t, "stopped and too old", map[string]string{keyA: "undecided expired"})
		if f.source.Fetches() != before {
			t.Error("it fetched after Stop")
		}
	})
}

// A literal needs neither Start nor a goroutine, and never ages.
func TestLiteral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := credential.New(credential.Config{Name: "masterKey", Source: credential.Literal(keyA)})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1000 * time.Hour)
		if got := said(c.VerifyContext(t.Context(), keyA)); got != "accept current" {
			t.Errorf("VerifyContext = %s, want accept current", got)
		}
		if got := said(c.VerifyContext(t.Context(), keyB)); got != "reject unknown" {
			t.Errorf("VerifyContext(other) = %s, want reject unknown", got)
		}
		if s := c.Status(); s.Condition != credential.Fresh || s.Counters.Fetches != 1 || !s.Ready {
			t.Errorf("status %v after %d fetches", s.Condition, s.Counters.Fetches)
		}
	})
	for _, bad := range []string{"", "\n", "  ", "a\x00b"} {
		if _, err := credential.New(credential.Config{Name: "masterKey", Source: credential.Literal(bad)}); !errors.Is(err, credential.Invalid) {
			t.Errorf("New with the literal %q = %v, want Invalid", bad, err)
		}
	}
}
