package credential_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// I1: a key that was current within the last overlap is accepted.
func TestI1PreviousIsAcceptedUntilItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{Overlap: 10 * time.Minute}, credential.Info{})
		f.expect(t, "before", map[string]string{keyA: "accept current", keyB: "reject unknown"})
		f.rotate(t, keyB)
		f.expect(t, "rotated", map[string]string{keyA: "accept previous", keyB: "accept current"})
		sleep(10*time.Minute - time.Second)
		f.expect(t, "just before the deadline", map[string]string{keyA: "accept previous", keyB: "accept current"})
		sleep(time.Second)
		f.expect(t, "at the deadline", map[string]string{keyA: "reject retired", keyB: "accept current"})
		if got := f.seen.Count(credential.EventRetired); got != 1 {
			t.Errorf("%d retired events, want 1", got)
		}
	})
}

// The deadline is that of the rotation, not of its discovery, and never lies beyond
// what the skew allows.
func TestDeadlineComesFromTheSource(t *testing.T) {
	for _, test := range []struct {
		name    string
		created time.Duration // from now
		want    time.Duration // from now
	}{
		{"rotated four minutes ago", -4 * time.Minute, 6 * time.Minute},
		{"rotated just now", 0, 10 * time.Minute},
		{"the store's clock is 30 s ahead", 30 * time.Second, 10*time.Minute + 30*time.Second},
		{"the store's clock is an hour ahead", time.Hour, 11 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, credential.Config{Overlap: 10 * time.Minute}, credential.Info{})
				sleep(time.Second)
				now := time.Now()
				f.source.SetVersions(credential.Version{Value: credential.NewSecret(keyB), Created: now.Add(test.created)})
				f.refresh(t)
				for _, v := range f.Status().Versions {
					if v.State == credential.Previous && !v.Deadline.Equal(now.Add(test.want)) {
						t.Errorf("deadline in %v, want in %v", v.Deadline.Sub(now), test.want)
					}
				}
				f.expect(t, "after", map[string]string{keyA: "accept previous"})
			})
		})
	}
	t.Run("rotated longer ago than the overlap", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, credential.Config{Overlap: 10 * time.Minute}, credential.Info{})
			f.source.SetVersions(credential.Version{Value: credential.NewSecret(keyB), Created: time.Now().Add(-time.Hour)})
			f.refresh(t)
			f.expect(t, "after", map[string]string{keyA: "reject retired", keyB: "accept current"})
		})
	})
}

// A second rotation within the overlap keeps both deadlines; a third drops the oldest.
func TestRotationsWithinTheOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{Overlap: 10 * time.Minute}, credential.Info{})
		sleep(time.Minute)
		f.rotate(t, keyB)
		sleep(time.Minute)
		f.rotate(t, keyC)
		f.expect(t, "two rotations", map[string]string{keyA: "accept previous", keyB: "accept previous", keyC: "accept current"})
		sleep(9 * time.Minute)
		f.expect(t, "first deadline", map[string]string{keyA: "reject retired", keyB: "accept previous"})
		sleep(time.Minute)
		f.expect(t, "second deadline", map[string]string{keyB: "reject retired", keyC: "accept current"})

		f.rotate(t, keyA)
		sleep(time.Second)
		f.rotate(t, keyB)
		sleep(time.Second)
		f.rotate(t, keyD)
		f.expect(t, "three at once", map[string]string{keyC: "reject retired", keyA: "accept previous", keyB: "accept previous", keyD: "accept current"})
		if got := f.seen.Count(credential.EventOverflow); got != 1 {
			t.Errorf("%d overflow events, want 1", got)
		}
	})
}

// Same bytes under a new id are no rotation; A, B, A within the overlap keeps both.
func TestSameBytesAndFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{}, credential.Info{})
		f.source.SetVersions(credential.Version{ID: "other-id", Value: credential.NewSecret(keyA + "\n")})
		f.refresh(t)
		if got := f.Verify(keyA); got.Generation != 1 || got.VersionID != "other-id" {
			t.Errorf("after a new id: generation %d, version %s; want 1, other-id", got.Generation, got.VersionID)
		}
		f.rotate(t, keyB)
		f.rotate(t, keyA)
		f.expect(t, "flapping", map[string]string{keyA: "accept current", keyB: "accept previous"})
		if rotated, flapped := f.seen.Count(credential.EventRotated), f.seen.Count(credential.EventFlapping); rotated != 1 || flapped != 1 {
			t.Errorf("%d rotated, %d flapping; want 1, 1", rotated, flapped)
		}
	})
}

// A monotonic source never goes back: lower numbers come from a replica that lags.
func TestMonotonicIgnoresLowerNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := credentialtest.New(credential.Info{Monotonic: true}, keyA)
		source.SetVersions(version(1, keyA, credential.Current))
		f := start(t, credential.Config{Source: source}, credential.Info{})
		source.SetVersions(version(2, keyB, credential.Current), version(1, keyA, credential.Previous))
		f.refresh(t)
		f.expect(t, "rotated", map[string]string{keyA: "accept previous", keyB: "accept current"})
		source.SetVersions(version(1, keyA, credential.Current))
		if err := f.Refresh(t.Context()); err == nil {
			t.Error("Refresh took an older version without an error")
		}
		f.expect(t, "lagging replica", map[string]string{keyA: "accept previous", keyB: "accept current"})
	})
}

// A result that comes after its time-out is dropped, however good it looks.
func TestLateResultNeverReinstatesAnOlderKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{}, credential.Info{})
		release := f.source.Hang() // will return keyA
		go func() { _ = f.Refresh(t.Context()) }()
		sleep(6 * time.Second)
		if !f.Status().Hanging {
			t.Fatal("the fetch was not abandoned")
		}
		f.source.Set(keyB)
		release()
		synctest.Wait()
		f.expect(t, "the late result", map[string]string{keyA: "accept current", keyB: "reject unknown"})
		f.refresh(t)
		f.expect(t, "the next fetch", map[string]string{keyA: "accept previous", keyB: "accept current"})
	})
}

// I7: a reader sees one generation or the next, never a mixture.
func TestI7SwapIsAtomic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := credentialtest.New(credential.Info{}, keyA)
		pair := func(n string) credential.Version {
			return credential.Version{ID: n, Value: credential.NewSecret("password-" + n), Fields: map[string]credential.Secret{"user": credential.NewSecret("user-" + n)}}
		}
		source.SetVersions(pair("0"))
		f := start(t, credential.Config{Source: source, Present: true}, credential.Info{})
		presenter, err := credential.NewPresenter(f.Credential, func(m credential.Material) ([2]string, error) {
			return [2]string{string(m.Fields["user"].Reveal()), string(m.Value.Reveal())}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				last := uint64(0)
				for {
					select {
					case <-stop:
						return
					default:
					}
					lease, err := presenter.Acquire(t.Context())
					if err != nil {
						t.Errorf("Acquire failed: %v", err)
						return
					}
					if want := [2]string{"user-" + lease.VersionID, "password-" + lease.VersionID}; lease.Value != want {
						t.Errorf("lease of version %s holds %v", lease.VersionID, lease.Value)
						return
					}
					if lease.Generation < last {
						t.Errorf("generation went back from %d to %d", last, lease.Generation)
						return
					}
					last = lease.Generation
					time.Sleep(time.Microsecond)
				}
			})
		}
		for _, n := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
			source.SetVersions(pair(n))
			f.refresh(t)
		}
		close(stop)
		readers.Wait()
		lease, err := presenter.Acquire(t.Context())
		if err != nil || lease.VersionID != "8" {
			t.Errorf("last lease = %v, %v; want version 8", lease.VersionID, err)
		}
	})
}

// I8: what the source no longer lists and whose deadline has passed is not live.
func TestI8ReplaceNotMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{Overlap: credential.None}, credential.Info{})
		f.source.SetVersions(credential.Version{ID: "1", Value: credential.NewSecret(keyA)}, credential.Version{ID: "2", Value: credential.NewSecret(keyB)})
		f.refresh(t)
		f.expect(t, "two keys", map[string]string{keyA: "accept current", keyB: "accept current"})
		f.rotate(t, keyC)
		f.expect(t, "no overlap", map[string]string{keyA: "reject retired", keyB: "reject retired", keyC: "accept current"})
		f.source.SetVersions(credential.Version{ID: "3", Value: credential.NewSecret(keyC)}, credential.Version{ID: "4", Value: credential.NewSecret(keyD), NotBefore: time.Now().Add(time.Hour)})
		f.refresh(t)
		f.expect(t, "a pending one", map[string]string{keyD: "reject pending"})
		f.rotate(t, keyC)
		f.expect(t, "withdrawn before its time", map[string]string{keyD: "reject unknown"})
	})
}

// Gone and tombstones revoke at once, the overlap included; the store may restore what
// it disabled, never what it revoked.
func TestTombstones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{}, credential.Info{})
		f.source.SetVersions(credential.Version{ID: "1", Value: credential.NewSecret(keyA)})
		f.refresh(t)
		f.source.SetVersions(credential.Version{ID: "2", Value: credential.NewSecret(keyB)})
		f.refresh(t)
		f.expect(t, "overlap", map[string]string{keyA: "accept previous", keyB: "accept current"})

		f.source.SetVersions(credential.Version{ID: "2", Value: credential.NewSecret(keyB)}, credential.Version{ID: "1", State: credential.Revoked})
		f.refresh(t)
		f.expect(t, "the previous destroyed", map[string]string{keyA: "reject revoked", keyB: "accept current"})

		f.source.Fail(credential.Errorf(credential.Gone, "deleted"))
		_ = f.Refresh(t.Context())
		f.expect(t, "deleted", map[string]string{keyA: "reject revoked", keyB: "reject disabled", keyC: "undecided empty"})

		f.rotate(t, keyB)
		f.expect(t, "undeleted", map[string]string{keyA: "reject revoked", keyB: "accept current"})
		f.rotate(t, keyA)
		f.expect(t, "a revoked value comes again", map[string]string{keyA: "reject revoked", keyB: "accept previous"})
	})
}

// However many versions come after it, a revoked one is remembered; of the retired the
// latest are, and the others are unknown.
func TestRevokedIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{Overlap: credential.None, TTL: time.Hour}, credential.Info{})
		f.source.SetVersions(credential.Version{Value: credential.NewSecret(keyB)}, credential.Version{Value: credential.NewSecret(keyA), State: credential.Revoked})
		f.refresh(t)
		for i := range 30 {
			f.rotate(t, "generated-key-number-"+string(rune('a'+i)))
		}
		f.expect(t, "thirty versions later", map[string]string{keyA: "reject revoked", keyB: "reject unknown", "generated-key-number-x": "reject retired"})
		f.rotate(t, keyA)
		f.expect(t, "the source forgot", map[string]string{keyA: "reject revoked"})
	})
}

// Missing keeps the last good value, as an error, unless configured otherwise.
func TestMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{}, credential.Info{})
		f.source.Fail(credential.Errorf(credential.Missing, "not found"))
		_ = f.Refresh(t.Context())
		f.expect(t, "retain", map[string]string{keyA: "accept current"})
		if s := f.Status(); s.Class != credential.Missing || !s.Degraded {
			t.Errorf("status class %v degraded %v, want missing, true", s.Class, s.Degraded)
		}
		g := start(t, credential.Config{OnMissing: credential.Drop}, credential.Info{})
		g.source.Fail(credential.Errorf(credential.Missing, "not found"))
		_ = g.Refresh(t.Context())
		g.expect(t, "drop", map[string]string{keyA: "reject disabled"})
	})
}

// NotBefore and NotAfter bound a version, with the skew allowed.
func TestValidity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{}, credential.Info{})
		now := time.Now()
		f.source.SetVersions(
			credential.Version{ID: "1", Value: credential.NewSecret(keyA), NotAfter: now.Add(20 * time.Minute)},
			credential.Version{ID: "2", Value: credential.NewSecret(keyB), NotBefore: now.Add(10 * time.Minute)})
		f.refresh(t)
		f.expect(t, "now", map[string]string{keyA: "accept current", keyB: "reject pending"})
		sleep(9 * time.Minute)
		f.expect(t, "a minute before, within the skew", map[string]string{keyB: "accept current"})
		if got := f.seen.Count(credential.EventPromoted); got != 1 {
			t.Errorf("%d promoted events, want 1", got)
		}
		sleep(12*time.Minute - time.Second)
		f.expect(t, "just before the end", map[string]string{keyA: "accept current"})
		sleep(time.Second)
		f.expect(t, "the end", map[string]string{keyA: "reject retired", keyB: "accept current"})
	})
}

// I2, in one process and over a restart with the source down: a revoked key stays
// refused, under whatever id, and an unsaved revocation changes nothing.
func TestI2RevokedStaysRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{}
		cfg := credential.Config{InstallKey: credential.NewSecret("install-key"), Store: store}
		f := start(t, cfg, credential.Info{})
		f.rotate(t, keyB)
		previous := f.Verify(keyA).VersionID

		store.err = context.Canceled
		if err := f.Revoke(t.Context(), previous); err == nil {
			t.Error("Revoke acknowledged what is not durable")
		}
		f.expect(t, "not durable", map[string]string{keyA: "accept previous"})
		store.err = nil
		if err := f.Revoke(t.Context(), previous); err != nil {
			t.Errorf("Revoke failed: %v", err)
		}
		f.expect(t, "revoked", map[string]string{keyA: "reject revoked", keyB: "accept current"})
		f.source.SetVersions(credential.Version{ID: "under another id", Value: credential.NewSecret(keyA)})
		f.refresh(t)
		f.expect(t, "the source says otherwise", map[string]string{keyA: "reject revoked", keyB: "accept previous"})
		if err := f.Revoke(t.Context(), "no such"); err == nil {
			t.Error("Revoke of an unknown version did not fail")
		}

		g := start(t, cfg, credential.Info{}) // its source yields keyA
		g.expect(t, "after a restart", map[string]string{keyA: "reject revoked", keyB: "undecided empty"})
	})
}
