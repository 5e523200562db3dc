package credential_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// wardrobe is a set with a master key on a source that yields keyA, and a client key on one that yields keyB.
type wardrobe struct {
	set          credential.Set
	master, rest *fixture
}

func newWardrobe(t *testing.T) *wardrobe {
	t.Helper()
	w := &wardrobe{}
	w.master = start(t, credential.Config{Name: "masterKey", Set: &w.set}, credential.Info{})
	client := credentialtest.New(credential.Info{}, keyB)
	w.rest = start(t, credential.Config{Name: "restAPIKey", Role: "client", Kind: credential.API, Set: &w.set, Source: client}, credential.Info{})
	w.rest.source = client
	return w
}

// configs returns what the set was made with, changed by each of change.
func (w *wardrobe) configs(change ...func(master, rest *credential.Config)) []credential.Config {
	both := []credential.Config{
		{Name: "masterKey", Source: w.master.source},
		{Name: "restAPIKey", Role: "client", Kind: credential.API, Source: w.rest.source},
	}
	for _, c := range change {
		c(&both[0], &both[1])
	}
	return both
}

// I18: hot reload. What did not change keeps its age, versions, usage and counters; what reads from another source accepts the
// value before for the overlap, from the moment of the change; a bad configuration changes nothing at all.
func TestI18HotReload(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, w *wardrobe)
	}{
		{"unchanged", func(t *testing.T, w *wardrobe) {
			w.master.expect(t, "before", map[string]string{keyA: "accept current"})
			sleep(time.Minute)
			before := w.master.Status()
			if err := w.set.Replace(t.Context(), w.configs(), nil); err != nil {
				t.Fatalf("Replace failed: %v", err)
			}
			synctest.Wait()
			after := w.master.Status()
			if before.Age != after.Age || before.Generation != after.Generation || after.Versions[0] != before.Versions[0] || after.Counters.Fetches != before.Counters.Fetches {
				t.Errorf("after an unchanged reload: %+v, want %+v", after, before)
			}
		}},
		{"another source", func(t *testing.T, w *wardrobe) {
			sleep(time.Minute)
			other := credentialtest.New(credential.Info{Scheme: "other"}, keyC)
			other.SetVersions(credential.Version{Value: credential.NewSecret(keyC), Created: time.Now().Add(-24 * time.Hour)})
			changed := time.Now()
			rest := w.rest.Status()
			if err := w.set.Replace(t.Context(), w.configs(func(master, _ *credential.Config) { master.Source = other }), nil); err != nil {
				t.Fatalf("Replace failed: %v", err)
			}
			synctest.Wait()
			w.master.expect(t, "after", map[string]string{keyA: "accept previous", keyC: "accept current"})
			s := w.master.Status()
			if got := s.Versions[1].Deadline; !got.Equal(changed.Add(10*time.Minute)) || s.Source.Scheme != "other" {
				t.Errorf("the deadline is %v from %s, want %v", got, s.Source.Scheme, changed.Add(10*time.Minute))
			}
			if got := w.rest.Status(); got.Generation != rest.Generation || got.Age != rest.Age {
				t.Errorf("the other key: %+v, want %+v", got, rest)
			}
			if w.master.seen.Count(credential.EventReplaced) != 1 || w.master.seen.Count(credential.EventRotated) != 1 {
				t.Errorf("events: %v, want one replaced and one rotated", w.master.seen.Events())
			}
			old := w.master.source.Fetches()
			w.master.source.Set(keyD)
			w.master.source.Notify(credential.Notice{})
			sleep(9 * time.Minute)
			if got := w.master.source.Fetches(); got != old {
				t.Errorf("the source before was read %d times more", got-old)
			}
			if other.Fetches() < 2 {
				t.Error("the new source is not read again")
			}
			other.Set(keyD)
			other.Notify(credential.Notice{})
			sleep(30 * time.Second)
			w.master.expect(t, "the new source is watched", map[string]string{keyA: "accept previous", keyC: "accept previous", keyD: "accept current"})
			sleep(time.Minute)
			w.master.expect(t, "after the overlap", map[string]string{keyA: "reject retired", keyC: "accept previous", keyD: "accept current"})
		}},
		{"the same value elsewhere", func(t *testing.T, w *wardrobe) {
			generation := w.master.Status().Generation
			other := credentialtest.New(credential.Info{Scheme: "other"}, keyA)
			if err := w.set.Replace(t.Context(), w.configs(func(master, _ *credential.Config) { master.Source = other }), nil); err != nil {
				t.Fatalf("Replace failed: %v", err)
			}
			s := w.master.Status()
			if s.Generation != generation || len(s.Versions) != 1 || w.master.seen.Count(credential.EventRotated) != 0 {
				t.Errorf("the same value from elsewhere: %+v, want no rotation", s)
			}
		}},
		{"lower numbers", func(t *testing.T, w *wardrobe) {
			high := credentialtest.New(credential.Info{Scheme: "one", Monotonic: true}, "")
			high.SetVersions(version(9, keyA, credential.Current))
			low := credentialtest.New(credential.Info{Scheme: "two", Monotonic: true}, "")
			low.SetVersions(version(1, keyC, credential.Current))
			for _, source := range []credential.Source{high, low} {
				if err := w.set.Replace(t.Context(), w.configs(func(master, _ *credential.Config) { master.Source = source }), nil); err != nil {
					t.Fatalf("Replace failed: %v", err)
				}
			}
			sleep(6 * time.Minute)
			w.master.expect(t, "after", map[string]string{keyA: "accept previous", keyC: "accept current"})
			if s := w.master.Status(); s.Suspect {
				t.Errorf("the new source is taken for a lagging one: %+v", s)
			}
		}},
		{"a literal and back", func(t *testing.T, w *wardrobe) {
			for i, source := range []credential.Source{credential.Literal(keyC), credential.Literal(keyD), w.master.source} {
				if err := w.set.Replace(t.Context(), w.configs(func(master, _ *credential.Config) { master.Source = source }), nil); err != nil {
					t.Fatalf("Replace %d failed: %v", i, err)
				}
				sleep(time.Minute)
				want := []map[string]string{
					{keyA: "accept previous", keyC: "accept current"},
					{keyA: "accept previous", keyC: "accept previous", keyD: "accept current"},
					{keyA: "accept current", keyC: "accept previous", keyD: "accept previous"},
				}[i]
				w.master.expect(t, fmt.Sprint("step ", i), want)
			}
			sleep(9 * time.Minute)
			w.master.expect(t, "after the overlap", map[string]string{keyA: "accept current", keyC: "reject retired", keyD: "reject retired"})
		}},
		{"durations", func(t *testing.T, w *wardrobe) {
			sleep(time.Minute)
			w.master.rotate(t, keyC)
			deadline := w.master.Status().Versions[1].Deadline
			fetches := w.master.source.Fetches()
			err := w.set.Replace(t.Context(), w.configs(func(master, _ *credential.Config) { master.TTL, master.Overlap = 20*time.Second, time.Minute }), nil)
			if err != nil {
				t.Fatalf("Replace failed: %v", err)
			}
			sleep(time.Minute)
			if got := w.master.source.Fetches() - fetches; got < 3 {
				t.Errorf("%d fetches in a minute with a ttl of 20 s", got)
			}
			if got := w.master.Status().Versions[1].Deadline; !got.Equal(deadline) {
				t.Errorf("a promised deadline moved from %v to %v", deadline, got)
			}
			w.master.rotate(t, keyD)
			if got, want := w.master.Status().Versions[1].Deadline, time.Now().Add(time.Minute); !got.Equal(want) {
				t.Errorf("the deadline under the new overlap is %v, want %v", got, want)
			}
		}},
		{"removed and back", func(t *testing.T, w *wardrobe) {
			without := w.configs()[:1]
			if err := w.set.Replace(t.Context(), without, nil); err != nil {
				t.Fatalf("Replace failed: %v", err)
			}
			w.rest.expect(t, "removed", map[string]string{keyB: "accept previous", keyC: "reject unassigned"})
			fetches := w.rest.source.Fetches()
			if d := w.rest.VerifyContext(t.Context(), keyC); d.Verdict != credential.Reject || w.rest.source.Fetches() != fetches {
				t.Errorf("an unknown key of a removed credential: %+v", d)
			}
			sleep(25 * time.Hour)
			w.rest.expect(t, "after the overlap", map[string]string{keyB: "reject retired", keyC: "reject unassigned"})
			if names := w.names(); !slices.Equal(names, []string{"masterKey"}) {
				t.Errorf("the set holds %v", names)
			}
			if w.rest.source.Fetches() != fetches {
				t.Error("a removed credential reads its source")
			}
			other := credentialtest.New(credential.Info{}, keyC)
			if err := w.set.Replace(t.Context(), w.configs(func(_, rest *credential.Config) { rest.Source = other }), nil); err != nil {
				t.Fatalf("Replace failed: %v", err)
			}
			w.rest.expect(t, "back", map[string]string{keyB: "reject retired", keyC: "accept current", keyD: "reject unknown"})
		}},
		{"added", func(t *testing.T, w *wardrobe) {
			source := credentialtest.New(credential.Info{}, keyC)
			published := false
			with := append(w.configs(), credential.Config{Name: "maintenanceKey", Source: source})
			if err := w.set.Replace(t.Context(), with, func(find func(string) *credential.Credential) { published = find("maintenanceKey").Verify(keyC).OK() }); err != nil {
				t.Fatalf("Replace failed: %v", err)
			}
			t.Cleanup(w.set.Stop)
			if !published {
				t.Error("the added key was not accepted when it was published")
			}
		}},
		{"a source that does not answer, degraded", func(t *testing.T, w *wardrobe) {
			other := credentialtest.New(credential.Info{Scheme: "other"}, keyC)
			other.Fail(credential.Errorf(credential.Unavailable, "down"))
			changed := time.Now()
			err := w.set.Replace(t.Context(), w.configs(func(master, _ *credential.Config) { master.Source, master.Startup = other, credential.Degraded }), nil)
			if err != nil {
				t.Fatalf("Replace failed: %v", err)
			}
			sleep(2 * time.Minute)
			w.master.expect(t, "while it is down", map[string]string{keyA: "accept current"})
			other.Set(keyC)
			sleep(2 * time.Minute)
			w.master.expect(t, "after", map[string]string{keyA: "accept previous", keyC: "accept current"})
			if got := w.master.Status().Versions[1].Deadline; !got.Equal(changed.Add(10 * time.Minute)) {
				t.Errorf("the deadline is %v, want %v: it counts from the change", got, changed.Add(10*time.Minute))
			}
		}},
		{"ids that mean something else", func(t *testing.T, w *wardrobe) {
			first := credentialtest.New(credential.Info{Scheme: "one"}, "")
			first.SetVersions(version(1, keyA, credential.Current))
			second := credentialtest.New(credential.Info{Scheme: "two"}, "")
			second.SetVersions(version(2, keyC, credential.Current), credential.Version{ID: "v1", Number: 1, State: credential.Revoked})
			for _, source := range []credential.Source{first, second} {
				if err := w.set.Replace(t.Context(), w.configs(func(master, _ *credential.Config) { master.Source = source }), nil); err != nil {
					t.Fatalf("Replace failed: %v", err)
				}
			}
			w.master.expect(t, "after", map[string]string{keyA: "accept previous", keyC: "accept current"})
			sleep(6 * time.Minute)
			w.master.expect(t, "after another reading", map[string]string{keyA: "accept previous", keyC: "accept current"})
		}},
		{"expired", func(t *testing.T, w *wardrobe) {
			w.master.source.Fail(credential.Errorf(credential.Unavailable, "down"))
			w.rest.source.Fail(credential.Errorf(credential.Unavailable, "down"))
			sleep(26 * time.Hour)
			w.master.expect(t, "before", map[string]string{keyA: "undecided expired"})
			if err := w.set.Replace(t.Context(), w.configs(func(master, _ *credential.Config) { master.Source = credential.Literal(keyC) })[:1], nil); err != nil {
				t.Fatalf("Replace failed: %v", err)
			}
			w.master.expect(t, "after", map[string]string{keyA: "reject retired", keyC: "accept current"})
			w.rest.expect(t, "removed", map[string]string{keyB: "reject retired"})
		}},
		{"lazy, and never asked", func(t *testing.T, w *wardrobe) {
			lazy, other := credentialtest.New(credential.Info{}, keyC), credentialtest.New(credential.Info{}, keyD)
			with := func(source credential.Source) []credential.Config {
				return append(w.configs(), credential.Config{Name: "maintenanceKey", Startup: credential.Lazy, Source: source})
			}
			t.Cleanup(w.set.Stop)
			for _, source := range []credential.Source{lazy, other} {
				if err := w.set.Replace(t.Context(), with(source), nil); err != nil {
					t.Fatalf("Replace failed: %v", err)
				}
			}
			synctest.Wait()
			if n := lazy.Fetches() + other.Fetches(); n != 0 {
				t.Errorf("%d fetches before anybody asked", n)
			}
			key := w.set.Get("maintenanceKey")
			if got := said(key.VerifyContext(t.Context(), keyD)); got != "accept current" {
				t.Errorf("the first to ask: %s", got)
			}
			if err := w.set.Replace(t.Context(), with(credential.Literal(keyC)), nil); err != nil {
				t.Fatalf("Replace failed: %v", err)
			}
			if got := said(key.Verify(keyC)) + ", " + said(key.Verify(keyD)); got != "accept current, accept previous" {
				t.Errorf("after a literal took over: %s", got)
			}
		}},
		{"a literal that stays", func(t *testing.T, w *wardrobe) {
			for range 3 {
				if err := w.set.Replace(t.Context(), w.configs(func(master, _ *credential.Config) { master.Source = credential.Literal(keyC) }), nil); err != nil {
					t.Fatalf("Replace failed: %v", err)
				}
			}
			if got := w.master.seen.Count(credential.EventReplaced); got != 1 {
				t.Errorf("%d changes of the source were told, want 1", got)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test.run(t, newWardrobe(t)) })
		})
	}
}

func (w *wardrobe) names() []string {
	var names []string
	for _, c := range w.set.All() {
		names = append(names, c.Name())
	}
	return names
}

// I18, the other half: whatever is wrong with one key, nothing changes for any.
func TestI18BadReloadChangesNothing(t *testing.T) {
	failing := func(class credential.Class) credential.Source {
		s := credentialtest.New(credential.Info{Scheme: "other"}, keyC)
		s.Fail(credential.Errorf(class, "as told"))
		return s
	}
	hanging := func(t *testing.T) credential.Source {
		s := credentialtest.New(credential.Info{Scheme: "other"}, keyC)
		t.Cleanup(s.Hang())
		return s
	}
	for _, test := range []struct {
		name   string
		class  credential.Class
		change func(t *testing.T, w *wardrobe) []credential.Config
	}{
		{"unavailable", credential.Unavailable, func(t *testing.T, w *wardrobe) []credential.Config {
			return w.configs(func(m, _ *credential.Config) { m.Source = failing(credential.Unavailable) })
		}},
		{"hanging", credential.Unavailable, func(t *testing.T, w *wardrobe) []credential.Config {
			return w.configs(func(m, _ *credential.Config) { m.Source = hanging(t) })
		}},
		{"denied", credential.Denied, func(t *testing.T, w *wardrobe) []credential.Config {
			return w.configs(func(m, _ *credential.Config) { m.Source = failing(credential.Denied) })
		}},
		{"missing", credential.Missing, func(t *testing.T, w *wardrobe) []credential.Config {
			return w.configs(func(m, _ *credential.Config) { m.Source = failing(credential.Missing) })
		}},
		{"gone, degraded", credential.Gone, func(t *testing.T, w *wardrobe) []credential.Config {
			return w.configs(func(m, _ *credential.Config) { m.Source, m.Startup = failing(credential.Gone), credential.Degraded })
		}},
		{"empty, degraded", credential.Invalid, func(t *testing.T, w *wardrobe) []credential.Config {
			return w.configs(func(m, _ *credential.Config) {
				m.Source, m.Startup = credentialtest.New(credential.Info{Scheme: "other"}, " "), credential.Degraded
			})
		}},
		{"the value of another role", credential.Invalid, func(t *testing.T, w *wardrobe) []credential.Config {
			return w.configs(func(m, _ *credential.Config) { m.Source = credential.Literal(keyB) })
		}},
		{"two roles get one value", credential.Invalid, func(t *testing.T, w *wardrobe) []credential.Config {
			return w.configs(func(m, r *credential.Config) { m.Source, r.Source = credential.Literal(keyC), credential.Literal(keyC) })
		}},
		{"an added key with a bad source", credential.Missing, func(t *testing.T, w *wardrobe) []credential.Config {
			return append(w.configs(func(m, _ *credential.Config) { m.Source = credential.Literal(keyC) }), credential.Config{Name: "maintenanceKey", Source: failing(credential.Missing)})
		}},
		{"an added key with a value that is taken", credential.Invalid, func(t *testing.T, w *wardrobe) []credential.Config {
			return append(w.configs(func(m, _ *credential.Config) { m.Source = credential.Literal(keyC) }), credential.Config{Name: "maintenanceKey", Source: credential.Literal(keyA)})
		}},
		{"an added key beside a bad change", credential.Invalid, func(t *testing.T, w *wardrobe) []credential.Config {
			return append(w.configs(func(m, _ *credential.Config) { m.Source = credential.Literal(keyB) }), credential.Config{Name: "maintenanceKey", Source: credential.Literal(keyC)})
		}},
		{"another role", credential.Misconfigured, func(t *testing.T, w *wardrobe) []credential.Config {
			return w.configs(func(m, r *credential.Config) { m.Source, r.Role = credential.Literal(keyC), "other" })
		}},
		{"two of one name", credential.Misconfigured, func(t *testing.T, w *wardrobe) []credential.Config {
			return append(w.configs(), credential.Config{Name: "masterKey", Source: credential.Literal(keyC)})
		}},
		{"no source", credential.Misconfigured, func(t *testing.T, w *wardrobe) []credential.Config {
			return w.configs(func(m, _ *credential.Config) { m.Source = nil })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWardrobe(t)
				began := time.Now()
				before := []credential.Status{w.master.Status(), w.rest.Status()}
				err := w.set.Replace(t.Context(), test.change(t, w), func(func(string) *credential.Credential) { t.Error("a bad configuration was published") })
				if !errors.Is(err, test.class) {
					t.Errorf("Replace = %v, want %v", err, test.class)
				}
				if took := time.Since(began); took > 40*time.Second {
					t.Errorf("it took %v to say no", took)
				}
				synctest.Wait()
				for i, after := range []credential.Status{w.master.Status(), w.rest.Status()} {
					if after.Generation != before[i].Generation || after.Source.Scheme != before[i].Source.Scheme || after.Suspect || len(after.Versions) != len(before[i].Versions) {
						t.Errorf("%s changed: %+v, before %+v", after.Name, after, before[i])
					}
				}
				if names := w.names(); !slices.Equal(names, []string{"masterKey", "restAPIKey"}) {
					t.Errorf("the set holds %v", names)
				}
				w.master.rotate(t, keyC) // nothing is left of claims or locks
				w.master.expect(t, "after", map[string]string{keyA: "accept previous", keyC: "accept current"})
			})
		})
	}
}

// A reading that is under way when its source is replaced does not count.
func TestReloadDuringAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWardrobe(t)
		w.master.source.Set(keyD)
		w.master.source.Delay(3 * time.Second)
		refreshed := make(chan error, 1)
		go func() { refreshed <- w.master.Refresh(t.Context()) }()
		sleep(2 * time.Second)
		if err := w.set.Replace(t.Context(), w.configs(func(m, _ *credential.Config) { m.Source = credential.Literal(keyC) }), nil); err != nil {
			t.Fatalf("Replace failed: %v", err)
		}
		if err := <-refreshed; err != nil {
			t.Errorf("Refresh failed: %v", err)
		}
		sleep(time.Minute)
		w.master.expect(t, "after", map[string]string{keyA: "accept previous", keyC: "accept current", keyD: "reject unknown"})
	})
}

// No verification fails while the configuration changes again and again: what was accepted stays so for the overlap. It runs on the
// real clock, for the race detector.
func TestReloadUnderLoad(t *testing.T) {
	var set credential.Set
	sources := []credential.Source{credentialtest.New(credential.Info{Scheme: "one"}, keyA), credentialtest.New(credential.Info{Scheme: "two"}, keyA), credential.Literal(keyA)}
	c, err := credential.New(credential.Config{Name: "masterKey", Set: &set, Source: sources[0]})
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer set.Stop()
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				if d := c.VerifyContext(context.Background(), keyA); !d.OK() {
					t.Errorf("VerifyContext = %+v, want accept", d)
					return
				}
				c.Status()
			}
		})
	}
	for i := range 300 {
		configs := []credential.Config{{Name: "masterKey", Source: sources[i%3], TTL: time.Duration(1+i%5) * time.Minute}}
		if i%7 == 0 {
			configs = append(configs, credential.Config{Name: "maintenanceKey", Source: credential.Literal(keyB)})
		}
		if err := set.Replace(t.Context(), configs, nil); err != nil {
			t.Fatalf("Replace %d failed: %v", i, err)
		}
	}
	stop()
	load.Wait()
}

// A fetch that waits for its turn while its source is taken away, or its watcher that speaks too late, asks nobody.
func TestReloadTakesTheSourceOfAFetchAway(t *testing.T) {
	for _, test := range []struct {
		name string
		to   func(w *wardrobe) []credential.Config
	}{
		{"a literal", func(w *wardrobe) []credential.Config {
			return w.configs(func(master, _ *credential.Config) { master.Source = credential.Literal(keyC) })
		}},
		{"withdrawn", func(w *wardrobe) []credential.Config { return w.configs()[1:] }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWardrobe(t)
				go w.master.VerifyContext(t.Context(), keyD) // unknown: asks as soon as the minimum gap is over
				synctest.Wait()
				if err := w.set.Replace(t.Context(), test.to(w), nil); err != nil {
					t.Fatalf("Replace failed: %v", err)
				}
				sleep(5 * time.Second)
				w.master.Noticed(credential.Notice{})
				sleep(5 * time.Second)
				s := w.master.Status()
				if n := w.master.seen.Count(credential.EventFailed); n != 0 || s.Suspect || s.LastError != "" {
					t.Errorf("%d failures, suspect %v, last error %q; want none", n, s.Suspect, s.LastError)
				}
				w.master.expect(t, "after", map[string]string{keyA: "accept previous"})
			})
		})
	}
}

// What is kept for the next start is what holds now, whoever comes late to save it.
func TestLatestReadingIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shelf := &keeper{}
		f := &fixture{source: credentialtest.New(credential.Info{}, keyA), seen: &credentialtest.Recorder{}}
		held := make(chan struct{})
		slow := observe(func(e credential.Event) {
			if e.Kind == credential.EventRotated && e.Generation == 2 {
				<-held
			}
		})
		var err error
		f.Credential, err = credential.New(credential.Config{Name: "masterKey", Source: f.source, InstallKey: credential.NewSecret("install key"), LastGood: shelf, Observer: slow})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(f.Stop)
		if err := f.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{keyB, keyC} {
			f.source.Set(key)
			go func() { _ = f.Refresh(t.Context()) }()
			sleep(5 * time.Second)
		}
		close(held)
		synctest.Wait()
		var current []string
		for _, v := range f.Status().Versions {
			if v.State == credential.Current {
				current = append(current, v.Fingerprint)
			}
		}
		var kept []string
		for _, v := range shelf.saved["masterKey"].Versions {
			if credential.State(v.State) == credential.Current {
				kept = append(kept, v.Fingerprint)
			}
		}
		if !slices.Equal(kept, current) {
			t.Errorf("kept %v, want %v", kept, current)
		}
	})
}

// observe is an Observer.
type observe func(credential.Event)

func (o observe) Observe(e credential.Event) { o(e) }
