package credential_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// numbers are the bounds that are tested on the fake clock, for docs/fault-matrix.md.
var numbers = []struct{ what, bound, test string }{
	{"200 requests at one moment while a refresh is due", "1 fetch, none waits", "TestI3ExpiryIsOneFetchAndNobodyWaits"},
	{"200 requests at one moment with nothing in memory", "1 fetch, shared", "TestI3EmptyCacheIsOneFetch"},
	{"an outage of 30 min, ten requests a second", "0 of 36,000 requests fail; at most 65 attempts", "TestI5HalfAnHourOfOutage"},
	{"an outage of 1 h", "at most 130 attempts; with a short ttl no more than when healthy", "TestI9AttemptsInAnOutage"},
	{"the end of trust", "accepted at ttl + stale_max after the reading began, undecided a nanosecond later", "TestI5TheEndIsExact"},
	{"recovery after an outage of any length", "within 60 s and a fetch of the source's return", "TestI5Recovery"},
	{"random keys for 10 min, at first 10,000 a second", "at most 63 fetches for them, never two at a time, never two within 1 s", "TestI9RandomKeys"},
	{"100 credentials, each with its own source, at a cold start", "as long as the slowest source", "TestColdStartTakesAsLongAsTheSlowest"},
	{"100 credentials on one store, at a cold start", "4 are read at a time", "TestFetchesOfAnInstanceAtATime"},
	{"100 credentials on one store that is down for 1 h", "at most 130 attempts in all; all well within 66 s of its return", "TestBreakerIsSharedByAnInstance"},
	{"100 refusals of one presented value", "1 fetch, 1 retry each; none when the service is what is broken", "TestI20Refusals"},
}

func TestNumbersAreTested(t *testing.T) {
	tests := make(map[string]bool)
	for _, name := range testFunctions(t)["credential"] {
		tests[name] = true
	}
	for _, n := range numbers {
		if !tests[n.test] {
			t.Errorf("%s: there is no %s", n.what, n.test)
		}
	}
}

// I5: an outage of half an hour is not felt by anybody, and the store is not hammered.
func TestI5HalfAnHourOfOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{Overlap: time.Hour}, credential.Info{})
		f.rotate(t, keyB)
		f.source.Fail(errDown)
		before := f.source.Fetches()
		wrong := make(map[string]int)
		for range 18_000 {
			for key, want := range map[string]string{keyA: "accept previous", keyB: "accept current"} {
				if got := said(f.VerifyContext(t.Context(), key)); got != want {
					wrong[got]++
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		if len(wrong) > 0 {
			t.Errorf("of 36000 requests in half an hour of outage these failed: %v", wrong)
		}
		if got := f.source.Fetches() - before; got > 65 {
			t.Errorf("%d attempts in half an hour, want at most 65", got)
		}
	})
}

// I5: trust ends exactly ttl and stale_max after the reading began, however long it took.
func TestI5TheEndIsExact(t *testing.T) {
	for _, took := range []time.Duration{0, 4500 * time.Millisecond} {
		for _, test := range []struct{ ttl, staleMax time.Duration }{{5 * time.Minute, time.Hour}, {time.Minute, 10 * time.Minute}, {time.Minute, credential.None}} {
			synctest.Test(t, func(t *testing.T) {
				source := credentialtest.New(credential.Info{}, keyA)
				source.Delay(took)
				f := start(t, credential.Config{Source: source, TTL: test.ttl, StaleMax: test.staleMax}, credential.Info{})
				source.Fail(errDown)
				source.Delay(0)
				trusted := test.ttl + max(test.staleMax, 0)
				sleep(trusted - took)
				f.expect(t, "at the end", map[string]string{keyA: "accept current", keyB: "reject unknown"})
				time.Sleep(time.Nanosecond)
				f.expect(t, "a nanosecond later", map[string]string{keyA: "undecided expired", keyB: "undecided expired", "": "reject absent"})
				for range 600 {
					if got := said(f.VerifyContext(t.Context(), keyA)); got != "undecided expired" {
						t.Fatalf("while the source is down: %s, want undecided expired", got)
					}
					time.Sleep(time.Second)
				}
			})
		}
	}
}

// I5: the source is used again within the cap of the back-off and one fetch of its return, when it returns with another key, too.
func TestI5Recovery(t *testing.T) {
	for _, outage := range []time.Duration{time.Second, 7 * time.Second, time.Minute, 11 * time.Minute, 59 * time.Minute, 3 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, credential.Config{}, credential.Info{})
			f.source.Fail(errDown)
			_ = f.Refresh(t.Context())
			sleep(outage)
			f.source.Set(keyB)
			f.source.Delay(4500 * time.Millisecond)
			sleep(65 * time.Second)
			if got := said(f.Verify(keyB)); got != "accept current" {
				t.Errorf("65 s after an outage of %v: %s, want accept current", outage, got)
			}
		})
	}
}

// I9: whoever tries keys at random causes no more fetches than the bucket allows.
func TestI9RandomKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{TTL: 24 * time.Hour}, credential.Info{})
		before := f.source.Fetches()
		for second := range 600 {
			requests := 10_000
			if second >= 10 {
				requests = 200 // they are refused like the others; hashing six million keys takes the time of this test
			}
			for i := range requests {
				if d := f.VerifyContext(t.Context(), fmt.Sprintf("random-key-%d-%d", second, i)); d.Reason != credential.ReasonUnknown {
					t.Fatalf("VerifyContext = %s, want reject unknown", said(d))
				}
			}
			f.expect(t, "meanwhile", map[string]string{keyA: "accept current"})
			time.Sleep(time.Second)
		}
		if got := f.source.Fetches() - before; got > 63 {
			t.Errorf("%d fetches in ten minutes, want at most 3 and one per 10 s", got)
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

// A hundred credentials start in the time of the slowest.
func TestColdStartTakesAsLongAsTheSlowest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := new(credential.Set)
		for i := range 100 {
			source := credentialtest.New(credential.Info{}, fmt.Sprintf("key-of-credential-number-%03d", i))
			source.Delay(time.Duration(i+1) * 20 * time.Millisecond)
			if _, err := credential.New(credential.Config{Name: fmt.Sprint("key-", i), Source: source, Set: set}); err != nil {
				t.Fatal(err)
			}
		}
		defer set.Stop()
		began := time.Now()
		if err := set.Start(t.Context()); err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("Start = %v after %v, want nil after the 2 s of the slowest", err, time.Since(began))
		}
	})
}
