package credential_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
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

// I20: the same when the fetch under way is too old for many callers at once: it is followed by one.
func TestI20ManyRefusalsDuringAnOlderFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := presenter(t, credential.Config{TTL: time.Hour})
		sleep(time.Minute)
		f.source.Delay(500 * time.Millisecond)
		go func() { _ = f.Refresh(t.Context()) }()
		sleep(100 * time.Millisecond)
		f.source.Set(keyB)
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				if lease, err := p.Rejected(t.Context(), 1); err != nil || lease.Value != keyB {
					t.Errorf("Rejected = generation %d, %v; want the second key", lease.Generation, err)
				}
			})
		}
		group.Wait()
		if got := f.source.Fetches(); got != 3 {
			t.Errorf("%d fetches, want 3: the first, the one under way and one for all refusals", got)
		}
	})
}

// I20: a source that mints a value for each fetch, and a service that refuses all of them: each refusal is one of a new
// generation, and still nobody storms the source.
func TestI20EveryFetchIsANewGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		minted := 0
		source := credential.Func(func(context.Context) (string, error) {
			minted++
			return "user-number-" + strconv.Itoa(minted) + "-of-the-database", nil
		})
		_, p := presenter(t, credential.Config{Source: source, TTL: 24 * time.Hour})
		for range 600 { // ten minutes of a caller that comes each second
			lease, err := p.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = p.Rejected(t.Context(), lease.Generation)
			sleep(time.Second)
		}
		if minted > 1+3+61 {
			t.Errorf("%d fetches in ten minutes, want 65 at most: the first, three at once, one in ten seconds", minted)
		}
	})
}

// I20: the source is down while the service refuses: the error says both, and comes at once.
func TestI20SourceDownDuringRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := presenter(t, credential.Config{TTL: time.Hour})
		f.source.Fail(errDown)
		sleep(time.Minute)
		before := f.source.Fetches()
		for range 100 {
			_, err := p.Rejected(t.Context(), 1)
			if want := "credential masterKey: unavailable: refused, and asking its source again failed: down"; err == nil || err.Error() != want {
				t.Fatalf("Rejected = %v, want %s", err, want)
			}
		}
		if got := f.source.Fetches() - before; got != 1 {
			t.Errorf("%d fetches for 100 refusals, want 1", got)
		}
		if lease, err := p.Acquire(t.Context()); err != nil || lease.Value != keyA {
			t.Errorf("Acquire = %v, %v; want the last key still", lease.Generation, err)
		}
	})
}

// I20: Use asks once more when that may help, and never twice.
func TestI20Use(t *testing.T) {
	refused := errors.New("refused")
	for _, test := range []struct {
		name    string
		works   []string // at the service
		stored  string   // in the source
		err     error    // of do otherwise
		want    []string // what do was called with
		wantErr error
	}{
		{"well", []string{keyA}, keyA, refused, []string{keyA}, nil},
		{"rotated", []string{keyB}, keyB, refused, []string{keyA, keyB}, nil},
		{"the service is broken", nil, keyA, refused, []string{keyA}, credential.Denied},
		{"rotated, and the service is broken", nil, keyB, refused, []string{keyA, keyB}, refused},
		{"another error", nil, keyB, errDown, []string{keyA}, errDown},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, p := presenter(t, credential.Config{TTL: time.Hour})
			sleep(time.Minute)
			f.source.Set(test.stored)
			var got []string
			err := credential.Use(t.Context(), p, func(_ context.Context, value string) error {
				got = append(got, value)
				if slices.Contains(test.works, value) {
					return nil
				}
				return test.err
			}, func(err error) bool { return errors.Is(err, refused) })
			if !slices.Equal(got, test.want) || !errors.Is(err, test.wantErr) || test.wantErr != nil && !errors.Is(err, test.err) {
				t.Errorf("%s: %d calls, error %v; want %d, %v", test.name, len(got), err, len(test.want), test.wantErr)
			}
		})
	}
}

// The store has the new value a moment before the service: the one before is what Instead has, while its overlap lasts.
func TestI20InsteadIsTheVersionBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := presenter(t, credential.Config{TTL: time.Hour, Overlap: time.Minute})
		f.rotate(t, keyB)
		sleep(time.Second)
		lease, err := p.Instead(t.Context(), 2)
		if err != nil || lease.Value != keyA || lease.Generation != 1 {
			t.Errorf("Instead = generation %d, %v; want the first key", lease.Generation, err)
		}
		if lease, err := p.Instead(t.Context(), 1); err != nil || lease.Value != keyB || lease.Generation != 2 {
			t.Errorf("Instead of the first = generation %d, %v; want the second key", lease.Generation, err)
		}
		if lease, err := p.Acquire(t.Context()); err != nil || lease.Value != keyB {
			t.Errorf("Acquire = generation %d, %v; want the second key", lease.Generation, err)
		}
		sleep(time.Minute)
		if _, err := p.Instead(t.Context(), 2); !errors.Is(err, credential.Denied) {
			t.Errorf("Instead after the overlap = %v, want Denied", err)
		}
	})
}

// Two users in turn: going back is presenting the one before again.
func TestPresenterTwoUsersInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := presenter(t, credential.Config{Overlap: time.Hour})
		for i, key := range []string{keyB, keyA, keyB} {
			f.rotate(t, key)
			if lease, err := p.Acquire(t.Context()); err != nil || lease.Value != key || lease.Generation != uint64(i+2) {
				t.Errorf("Acquire = generation %d, %v; want the key that is stored, generation %d", lease.Generation, err, i+2)
			}
		}
		if lease, err := p.Instead(t.Context(), 4); err != nil || lease.Value != keyA || lease.Generation != 3 {
			t.Errorf("Instead = generation %d, %v; want the first key, generation 3", lease.Generation, err)
		}
	})
}

// I7: user and password, read by many while they rotate, are always of one generation.
func TestI7FieldsOfOneGeneration(t *testing.T) {
	source := credentialtest.New(credential.Info{}, "")
	store := func(n int) {
		source.SetVersions(credential.Version{Fields: map[string]credential.Secret{
			"username": credential.NewSecret("user-" + strconv.Itoa(n)), "password": credential.NewSecret("password-" + strconv.Itoa(n)),
		}})
	}
	store(0)
	c, err := credential.New(credential.Config{Name: "database", Source: source, Present: true, TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	type login struct{ user, password string }
	p, err := credential.NewPresenter(c, func(m credential.Material) (login, error) {
		return login{string(m.Fields["username"].Reveal()), string(m.Fields["password"].Reveal())}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for last := uint64(0); !done.Load(); {
				lease, err := p.Acquire(t.Context())
				user, password := strings.TrimPrefix(lease.Value.user, "user-"), strings.TrimPrefix(lease.Value.password, "password-")
				if err != nil || user != password || lease.Generation < last {
					t.Errorf("Acquire = user %s, password %s, generation %d after %d, %v", user, password, lease.Generation, last, err)
					return
				}
				last = lease.Generation
			}
		})
	}
	for n := range 10 {
		store(n + 1)
		if err := c.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
	}
	done.Store(true)
	readers.Wait()
	if lease, err := p.Acquire(t.Context()); err != nil || lease.Value != (login{"user-10", "password-10"}) || lease.Generation != 11 {
		t.Errorf("Acquire = %s, generation %d, %v; want user-10, generation 11", lease.Value.user, lease.Generation, err)
	}
}

// What is presented is asked for again by 0.80 of its lease, whatever its time to live, and nothing is handed out after the
// end.
func TestPresenterRefreshesAheadOfTheEndOfALease(t *testing.T) {
	for _, test := range []struct {
		name         string
		ttl          time.Duration
		made         time.Duration // before the first reading; 0 if the store does not say
		lease        time.Duration
		after, until time.Duration // when the second reading begins
	}{
		{"the lease is shorter than the ttl", time.Hour, 0, 10 * time.Minute, 6*time.Minute + 30*time.Second, 8 * time.Minute},
		{"a minimal ttl does not prolong it", 24 * time.Hour, 0, time.Minute, 39 * time.Second, 48 * time.Second},
		{"the store says when it began", time.Hour, 4 * time.Minute, 10 * time.Minute, 2*time.Minute + 30*time.Second, 4 * time.Minute},
		{"most of it is over", time.Hour, 9 * time.Minute, 10 * time.Minute, 39 * time.Second, 48 * time.Second},
		{"the ttl is shorter than the lease", time.Minute, 0, time.Hour, 42 * time.Second, 54 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := credentialtest.New(credential.Info{}, keyA)
				began := time.Now()
				v := credential.Version{ID: "1", Value: credential.NewSecret(keyA), NotAfter: began.Add(test.lease - test.made)}
				if test.made > 0 {
					v.Created = began.Add(-test.made)
				}
				source.SetVersions(v)
				f := start(t, credential.Config{Source: source, Present: true, TTL: test.ttl, MinTTL: test.ttl}, credential.Info{})
				p, err := credential.Present(f.Credential)
				if err != nil {
					t.Fatal(err)
				}
				sleep(test.after - time.Second)
				if got := source.Fetches(); got != 1 {
					t.Errorf("%d readings before %v, want 1", got, test.after)
				}
				sleep(test.until - test.after + time.Second + time.Millisecond)
				if got := source.Fetches(); got != 2 {
					t.Errorf("%d readings by %v, want 2", got, test.until)
				}
				source.Fail(errDown)
				sleep(time.Until(v.NotAfter) - time.Nanosecond)
				if _, err := p.Acquire(t.Context()); err != nil {
					t.Errorf("Acquire just before the end = %v", err)
				}
				sleep(time.Nanosecond)
				if lease, err := p.Acquire(t.Context()); !errors.Is(err, credential.Unavailable) {
					t.Errorf("Acquire at the end = %+v, %v; want Unavailable", lease.VersionID, err)
				}
			})
		})
	}
}

// Revoked tells what was opened with a value that must no longer be used, and OnChange that there is nothing to present.
func TestPresenterRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := presenter(t, credential.Config{Overlap: time.Hour})
		type change struct{ before, after uint64 }
		var changes []change
		defer p.OnChange(func(before, after credential.Lease[string]) {
			changes = append(changes, change{before.Generation, after.Generation})
		})()
		first, _ := p.Acquire(t.Context())
		f.rotate(t, keyB)
		second, _ := p.Acquire(t.Context())
		if p.Revoked(first) || p.Revoked(second) {
			t.Error("revoked before anybody said so")
		}
		if err := f.Revoke(t.Context(), first.VersionID); err != nil {
			t.Fatal(err)
		}
		if !p.Revoked(first) || p.Revoked(second) {
			t.Errorf("Revoked = %v, %v; want the first", p.Revoked(first), p.Revoked(second))
		}
		if _, err := p.Instead(t.Context(), second.Generation); !errors.Is(err, credential.Denied) {
			t.Errorf("Instead = %v, want Denied: what is revoked is not tried", err)
		}
		if err := f.Revoke(t.Context(), second.VersionID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !p.Revoked(second) {
			t.Error("the second is not revoked")
		}
		if want := []change{{1, 2}, {2, 0}}; !slices.Equal(changes, want) {
			t.Errorf("changes = %v, want %v", changes, want)
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
