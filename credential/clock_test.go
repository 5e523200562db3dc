package credential_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

const day = 24 * time.Hour

// I11: the wall clock jumps by a day. What has ended does not come back, and the
// current key is never rejected; at worst the source is asked early.
func TestI11WallClockSteps(t *testing.T) {
	for _, test := range []struct {
		name string
		step time.Duration
	}{{"forward", day}, {"backward", -day}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, credential.Config{Overlap: 10 * time.Minute, TTL: 5 * time.Minute}, credential.Info{})
				f.rotate(t, keyB)
				if err := f.Revoke(t.Context(), f.Verify(keyB).VersionID); err != nil {
					t.Fatal(err)
				}
				f.rotate(t, keyC)
				f.expect(t, "before", map[string]string{keyA: "accept previous", keyB: "reject revoked", keyC: "accept current"})

				f.clock.Step(test.step)
				if got := said(f.VerifyContext(t.Context(), keyC)); got != "accept current" {
					t.Errorf("after the step: VerifyContext(current) = %s, want accept current", got)
				}
				sleep(2 * time.Second)
				f.expect(t, "after the step", map[string]string{keyB: "reject revoked", keyC: "accept current"})
				sleep(10 * time.Minute)
				f.expect(t, "overlap over", map[string]string{keyA: "reject retired", keyB: "reject revoked", keyC: "accept current"})
				f.clock.Step(-test.step)
				sleep(time.Second)
				f.expect(t, "stepped back", map[string]string{keyA: "reject retired", keyB: "reject revoked"})
				if got := said(f.VerifyContext(t.Context(), keyC)); got != "accept current" {
					t.Errorf("stepped back: VerifyContext(current) = %s, want accept current", got)
				}
			})
		})
	}
}

// A machine that slept for a day wakes with an old key in memory: it is not trusted
// before the source has been asked.
func TestI11Suspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{}, credential.Info{})
		f.source.Set(keyB)
		f.clock.Step(day) // the monotonic clock stood still
		f.expect(t, "just awake", map[string]string{keyA: "undecided expired"})
		synctest.Wait() // the reader has woken the loop
		sleep(time.Second)
		f.expect(t, "asked", map[string]string{keyB: "accept current"})
	})
}

// With the wall clock set back, an outage still ends trust after ttl + stale_max.
func TestI11BackwardStepDoesNotProlongStaleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{}, credential.Info{})
		f.source.Fail(errDown)
		f.clock.Step(-day)
		sleep(time.Hour + 5*time.Minute + time.Second)
		f.expect(t, "too old", map[string]string{keyA: "undecided expired"})
	})
}

// A version's NotAfter, known before the wall clock was set back, does not move with
// it, and a wall clock that is a day ahead for a moment ends nothing for good.
func TestI11NotAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := credentialtest.New(credential.Info{}, keyA)
		source.SetVersions(
			credential.Version{ID: "1", Value: credential.NewSecret(keyA), NotAfter: time.Now().Add(time.Hour)},
			credential.Version{ID: "2", Value: credential.NewSecret(keyB)})
		f := start(t, credential.Config{Source: source}, credential.Info{})
		f.clock.Step(day)
		f.refresh(t)
		f.expect(t, "a day ahead", map[string]string{keyA: "reject retired", keyB: "accept current"})
		f.clock.Step(-day)
		f.refresh(t)
		f.expect(t, "right again", map[string]string{keyA: "accept current", keyB: "accept current"})
		f.clock.Step(-day)
		sleep(30 * time.Minute)
		f.refresh(t)
		sleep(31*time.Minute + time.Second)
		f.expect(t, "an hour later, set back", map[string]string{keyA: "reject retired", keyB: "accept current"})
	})
}
