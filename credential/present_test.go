package credential_test

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

func presenter(t *testing.T, cfg credential.Config) (*fixture, *credential.Presenter[string]) {
	t.Helper()
	cfg.Present = true
	f := start(t, cfg, credential.Info{})
	p, err := credential.NewPresenter(f.Credential, func(m credential.Material) (string, error) { return string(m.Value.Reveal()), nil })
	if err != nil {
		t.Fatal(err)
	}
	return f, p
}

func TestPresenterFollowsRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := presenter(t, credential.Config{Overlap: time.Minute})
		type change struct{ before, after string }
		var changes []change
		end := p.OnChange(func(before, after credential.Lease[string]) {
			changes = append(changes, change{before.Value, after.Value})
		})
		lease, err := p.Acquire(t.Context())
		if err != nil || lease.Value != keyA || lease.Generation != 1 {
			t.Errorf("Acquire = %+v, %v; want the first key, generation 1", lease, err)
		}
		f.rotate(t, keyB)
		sleep(2 * time.Minute) // the previous version retires: nothing new to present
		f.rotate(t, keyC)
		if want := []change{{keyA, keyB}, {keyB, keyC}}; len(changes) != 2 || changes[0] != want[0] || changes[1] != want[1] {
			t.Errorf("changes = %d, want a to b and b to c", len(changes))
		}
		end()
		f.rotate(t, keyD)
		if len(changes) != 2 {
			t.Error("told of a change after its end")
		}
		f.source.Fail(errDown)
		sleep(100 * 24 * time.Hour)
		if lease, err := p.Acquire(t.Context()); err != nil || lease.Value != keyD {
			t.Errorf("Acquire in a long outage = %v, %v; want the last key", lease.Generation, err)
		}
		if !f.Status().Ready {
			t.Error("a presenter with a value is not ready")
		}
	})
}

// I20: many callers whose value was refused cause one refetch, get the newer value if
// there is one, and an error, not a loop, if there is none.
func TestI20Refusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := presenter(t, credential.Config{TTL: time.Hour})
		sleep(time.Minute)
		refuse := func(generation uint64) (renewed, refused int64) {
			var yes, no atomic.Int64
			var group sync.WaitGroup
			for range 100 {
				group.Go(func() {
					lease, err := p.Rejected(t.Context(), generation)
					switch {
					case err == nil && lease.Generation > generation:
						yes.Add(1)
					case errors.Is(err, credential.Denied):
						no.Add(1)
					}
				})
			}
			group.Wait()
			synctest.Wait()
			return yes.Load(), no.Load()
		}
		f.source.Delay(time.Second)
		f.source.Set(keyB)
		if renewed, refused := refuse(1); renewed != 100 || refused != 0 || f.source.Fetches() != 2 {
			t.Errorf("rotated: %d renewed, %d refused, %d fetches; want 100, 0, 2", renewed, refused, f.source.Fetches())
		}
		if renewed, refused := refuse(1); renewed != 100 || refused != 0 || f.source.Fetches() != 2 {
			t.Errorf("an old generation: %d renewed, %d refused, %d fetches; want 100, 0, 2", renewed, refused, f.source.Fetches())
		}
		if renewed, refused := refuse(2); renewed != 0 || refused != 100 || f.source.Fetches() != 3 {
			t.Errorf("the service is broken: %d renewed, %d refused, %d fetches; want 0, 100, 3", renewed, refused, f.source.Fetches())
		}
		for range 10 {
			refuse(2)
		}
		if got := f.source.Fetches(); got != 3 {
			t.Errorf("%d fetches for more of the same refusal, want 3", got)
		}
		if got := f.seen.Count(credential.EventReactive); got != 1 {
			t.Errorf("%d reactive events, want 1", got)
		}
	})
}

// A refusal during a fetch that began before the rotation is not answered by it.
func TestI20RefusalDuringAnOlderFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := presenter(t, credential.Config{TTL: time.Hour})
		sleep(time.Minute)
		f.source.Delay(500 * time.Millisecond)
		go func() { _ = f.Refresh(t.Context()) }()
		sleep(100 * time.Millisecond)
		f.source.Set(keyB) // the fetch under way has chosen its answer
		if lease, err := p.Rejected(t.Context(), 1); err != nil || lease.Value != keyB {
			t.Errorf("Rejected = generation %d, %v; want the second key", lease.Generation, err)
		}
	})
}

func TestPresenterWaitsOnlyForTheFirstValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := presenter(t, credential.Config{Startup: credential.Lazy})
		f.source.Delay(3 * time.Second)
		began := time.Now()
		if lease, err := p.Acquire(t.Context()); err != nil || lease.Value != keyA || time.Since(began) != 3*time.Second {
			t.Errorf("Acquire = %v, %v after %v; want the key after 3 s", lease.Generation, err, time.Since(began))
		}
		f.source.Fail(credential.Errorf(credential.Gone, "deleted"))
		_ = f.Refresh(t.Context())
		if _, err := p.Acquire(t.Context()); !errors.Is(err, credential.Gone) {
			t.Errorf("Acquire of what is gone = %v, want Gone", err)
		}
	})
}

func TestPresenterLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := credentialtest.New(credential.Info{}, keyA)
		end := time.Now().Add(10 * time.Minute)
		source.SetVersions(credential.Version{ID: "1", Value: credential.NewSecret(keyA), NotAfter: end})
		f := start(t, credential.Config{Source: source, Present: true, TTL: time.Hour}, credential.Info{})
		p, err := credential.Present(f.Credential)
		if err != nil {
			t.Fatal(err)
		}
		lease, err := p.Acquire(t.Context())
		if err != nil || !lease.NotAfter.Equal(end) {
			t.Errorf("Acquire = until %v, %v; want %v", lease.NotAfter, err, end)
		}
		sleep(11 * time.Minute)
		source.SetVersions(credential.Version{ID: "2", Value: credential.NewSecret(keyB)})
		lease, err = p.Acquire(t.Context())
		if err != nil || lease.VersionID != "2" {
			t.Errorf("Acquire after the end = %v, %v; want version 2", lease.VersionID, err)
		}
	})
}

func TestVerifierHasNoPresenter(t *testing.T) {
	c, err := credential.New(credential.Config{Name: "masterKey", Source: credential.Literal(keyA)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := credential.Present(c); !errors.Is(err, credential.Misconfigured) {
		t.Errorf("Present = %v, want Misconfigured", err)
	}
}

// What Check refuses never displaces what it let pass: half of a pair, for instance.
func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := presenter(t, credential.Config{Check: func(value credential.Secret, _ map[string]credential.Secret) error {
			if _, err := strconv.Atoi(string(value.Reveal())); err == nil {
				return credential.Errorf(credential.Invalid, "a number")
			}
			return nil
		}})
		f.source.Set("12345678901234567890"[:18])
		if err := f.Refresh(t.Context()); !errors.Is(err, credential.Invalid) {
			t.Errorf("Refresh = %v, want Invalid", err)
		}
		if lease, err := p.Acquire(t.Context()); err != nil || lease.Value != keyA {
			t.Errorf("Acquire = %v, %v; want the first key", lease.Generation, err)
		}
	})
}
