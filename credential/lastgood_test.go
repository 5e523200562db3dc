package credential_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// keeper is a LastGoodStore in memory.
type keeper struct {
	saved map[string]credential.LastGood
	saves int
	err   error
}

func (k *keeper) LoadLastGood(_ context.Context, name string) (*credential.LastGood, error) {
	l, ok := k.saved[name]
	if !ok || k.err != nil {
		return nil, k.err
	}
	return &l, nil
}

func (k *keeper) SaveLastGood(_ context.Context, name string, reading credential.LastGood) error {
	if k.err != nil {
		return k.err
	}
	if k.saved == nil {
		k.saved = make(map[string]credential.LastGood)
	}
	k.saved[name] = reading
	k.saves++
	return nil
}

// life is one process after another on the same disk.
type life struct {
	keeper keeper
	store  memoryStore
	source *credentialtest.Source
	policy credential.Startup
}

func newLife() *life {
	return &life{source: credentialtest.New(credential.Info{Scheme: "vault", Location: "secret/parley"}, keyA)}
}

func (l *life) begin(t *testing.T, change ...func(*credential.Config)) (*fixture, error) {
	t.Helper()
	cfg := credential.Config{Name: "masterKey", Source: l.source, Startup: l.policy, StartupWait: time.Second,
		InstallKey: credential.NewSecret("install-key-of-the-tests"), LastGood: &l.keeper, Store: &l.store}
	for _, f := range change {
		f(&cfg)
	}
	f := &fixture{source: l.source, seen: &credentialtest.Recorder{}, clock: &credentialtest.Clock{}}
	cfg.Observer, cfg.Wall = f.seen, f.clock.Now
	var err error
	if f.Credential, err = credential.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	err = f.Start(t.Context())
	synctest.Wait()
	return f, err
}

func (l *life) mustBegin(t *testing.T, change ...func(*credential.Config)) *fixture {
	t.Helper()
	f, err := l.begin(t, change...)
	if err != nil {
		t.Fatalf("Start = %v, want none", err)
	}
	return f
}

func (f *fixture) end() {
	f.Stop()
	synctest.Wait()
}

// A cold start while the source is down accepts the last good keys, for as long as the process before would have, and says so.
func TestColdStartByTheLastGoodReading(t *testing.T) {
	for _, policy := range []credential.Startup{credential.Require, credential.Degraded, credential.Lazy} {
		for _, class := range []credential.Class{credential.Unavailable, credential.Denied} {
			synctest.Test(t, func(t *testing.T) {
				l := newLife()
				l.policy = policy
				f := l.mustBegin(t)
				f.VerifyContext(t.Context(), keyA)
				f.rotate(t, keyB)
				f.end()
				l.source.Fail(credential.Errorf(class, "no"))
				sleep(5 * time.Minute)
				f = l.mustBegin(t)
				f.VerifyContext(t.Context(), keyB)
				f.expect(t, "after a restart", map[string]string{keyA: "accept previous", keyB: "accept current", keyC: "reject unknown"})
				if got := f.seen.Count(credential.EventLastGood); got != 1 {
					t.Errorf("%v %v: told %d times, want once", policy, class, got)
				}
				if s := f.Status(); s.Age < 5*time.Minute || !s.Ready || !s.Degraded {
					t.Errorf("Age, Ready, Degraded = %v %v %v, want the age of the reading and true", s.Age, s.Ready, s.Degraded)
				}
				sleep(6 * time.Minute)
				f.expect(t, "after the overlap", map[string]string{keyA: "reject retired", keyB: "accept current"})
				sleep(54*time.Minute + time.Second) // ttl + stale_max from the reading
				f.expect(t, "too old", map[string]string{keyB: "undecided expired"})
				l.source.Set(keyB)
				sleep(time.Minute)
				f.expect(t, "the source is back", map[string]string{keyB: "accept current"})
			})
		}
	}
}

// A rotation while the process was down: the replaced key is accepted for the overlap all the same.
func TestOverlapOutlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife()
		l.mustBegin(t).end()
		l.source.SetVersions(credential.Version{Value: credential.NewSecret(keyB), Created: time.Now()})
		sleep(4 * time.Minute)
		f := l.mustBegin(t)
		f.expect(t, "in the overlap", map[string]string{keyA: "accept previous", keyB: "accept current"})
		sleep(6*time.Minute + time.Second)
		f.expect(t, "after it", map[string]string{keyA: "reject retired", keyB: "accept current"})
	})
}

// What must not come back does not: revoked, deleted, of another reference, too old, from the future, not to be believed.
func TestLastGoodIsNotUsed(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(t *testing.T, l *life, f *fixture)
		change func(*credential.Config)
		want   string // of keyA after the restart
		lint   string
	}{
		{"revoked", func(t *testing.T, l *life, f *fixture) {
			if err := f.Revoke(t.Context(), f.Verify(keyA).VersionID); err != nil {
				t.Fatal(err)
			}
		}, nil, "reject revoked", ""},
		{"deleted", func(t *testing.T, l *life, f *fixture) {
			l.source.Fail(credential.Errorf(credential.Gone, "deleted"))
			f.Refresh(t.Context())
			synctest.Wait()
		}, nil, "reject disabled", ""},
		{"another reference", nil, func(cfg *credential.Config) {
			other := credentialtest.New(credential.Info{Scheme: "vault", Location: "secret/other"}, keyC)
			other.Fail(errDown)
			cfg.Source = other
		}, "undecided empty", ""},
		{"too old", func(*testing.T, *life, *fixture) { sleep(0) }, func(*credential.Config) { time.Sleep(2 * time.Hour) }, "undecided empty", ""},
		{"from the future", func(_ *testing.T, l *life, _ *fixture) {
			reading := l.keeper.saved["masterKey"]
			reading.Read = reading.Read.Add(time.Hour)
			l.keeper.saved["masterKey"] = reading
		}, nil, "undecided empty", "the last good reading on disk is not used: it was read in the future of this clock"},
		{"incomplete", func(_ *testing.T, l *life, _ *fixture) {
			l.keeper.saved["masterKey"].Versions[0].Rested = nil
		}, nil, "undecided empty", "the last good reading on disk is not used: it is incomplete"},
		{"damaged", nil, func(cfg *credential.Config) {
			cfg.LastGood = &keeper{err: credential.Errorf(credential.Invalid, "it is damaged")}
		}, "undecided empty", "the last good reading on disk is not used: it is damaged"},
		{"the value of another role", nil, func(cfg *credential.Config) {
			cfg.Set = &credential.Set{}
			if _, err := credential.New(credential.Config{Name: "other", Source: credential.Literal(keyA), Set: cfg.Set, InstallKey: cfg.InstallKey}); err != nil {
				panic(err)
			}
		}, "undecided empty", "the last good reading on disk is not used: equal to the value of other"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLife()
				l.policy = credential.Degraded
				f := l.mustBegin(t)
				if test.before != nil {
					test.before(t, l, f)
				}
				f.end()
				l.source.Fail(errDown)
				var more []func(*credential.Config)
				if test.change != nil {
					more = append(more, test.change)
				}
				f = l.mustBegin(t, more...)
				f.expect(t, "after a restart", map[string]string{keyA: test.want})
				told := ""
				for _, e := range f.seen.Events() {
					if e.Kind == credential.EventLint && strings.Contains(e.Message, "last good") {
						told = e.Message
					}
				}
				if told != test.lint {
					t.Errorf("warning = %q, want %q", told, test.lint)
				}
			})
		})
	}
}

// Only what is verified and can change is kept; every change at once, an unchanged reading once a minute at most, and a disk that is full
// is told of once.
func TestWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife()
		f := l.mustBegin(t, func(cfg *credential.Config) { cfg.TTL = 10 * time.Second })
		sleep(10 * time.Minute)
		if l.keeper.saves < 9 || l.keeper.saves > 11 {
			t.Errorf("saved %d times in 10 minutes, want once a minute", l.keeper.saves)
		}
		saves := l.keeper.saves
		f.rotate(t, keyB)
		if l.keeper.saves != saves+1 {
			t.Error("a rotation was not saved at once")
		}
		l.keeper.err = errors.New("disk full")
		f.rotate(t, keyC)
		sleep(5 * time.Minute)
		told := 0
		for _, e := range f.seen.Events() {
			if e.Kind == credential.EventLint && strings.HasPrefix(e.Message, "the last good reading cannot be kept") {
				told++
			}
		}
		if told != 1 {
			t.Errorf("told of the full disk %d times, want once", told)
		}
		f.end()
		l.keeper.err, l.keeper.saves = nil, 0
		l.mustBegin(t, func(cfg *credential.Config) { cfg.Present = true }).end()
		l.mustBegin(t, func(cfg *credential.Config) { cfg.Source = credential.Literal(keyA) }).end()
		if l.keeper.saves != 0 {
			t.Errorf("a presented credential and a literal were saved %d times, want never", l.keeper.saves)
		}
	})
}
