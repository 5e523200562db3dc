package credential_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// I16: a fallback supplies the value only as long as no source before it has delivered in this process. It is told of once, and an
// outage of the store does not bring back what the configuration once said.
func TestI16FallbackOnlyUntilTheStoreDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, plain := credentialtest.New(credential.Info{Scheme: "vault", Location: "secret/parley"}, keyA), credentialtest.New(credential.Info{Scheme: "file", Location: "/key"}, keyB)
		store.Fail(errDown)
		f := start(t, credential.Config{Source: credential.Chain(store, plain)}, credential.Info{})
		f.expect(t, "at a start without the store", map[string]string{keyA: "reject unknown", keyB: "accept current"})
		sleep(10 * time.Minute)
		f.refresh(t)
		if got := f.seen.Count(credential.EventFallback); got != 1 {
			t.Errorf("warnings = %d, want 1", got)
		}
		for _, e := range f.seen.Events() {
			if e.Kind == credential.EventFallback && (e.Message != "file:/key" || e.Class != credential.Unavailable) {
				t.Errorf("warning = %+v, want the place and the class of the failure", e)
			}
		}
		if s := f.Status(); s.Fallback != "file:/key" || !s.Degraded || !s.Ready {
			t.Errorf("Fallback, Degraded, Ready = %q %v %v, want file:/key true true", s.Fallback, s.Degraded, s.Ready)
		}

		store.Fail(nil)
		sleep(time.Minute) // on a fallback the store is asked again within a minute
		f.expect(t, "with the store", map[string]string{keyA: "accept current", keyB: "accept previous"})
		if s := f.Status(); s.Fallback != "" || s.Degraded {
			t.Errorf("Fallback, Degraded = %q %v, want none", s.Fallback, s.Degraded)
		}
		sleep(11 * time.Minute)
		f.expect(t, "after the overlap", map[string]string{keyA: "accept current", keyB: "reject retired"})

		asked := plain.Fetches()
		store.Fail(errDown)
		sleep(30 * time.Minute)
		f.expect(t, "in an outage", map[string]string{keyA: "accept current", keyB: "reject retired"})
		sleep(time.Hour)
		f.expect(t, "in a long outage", map[string]string{keyA: "undecided expired", keyB: "reject retired"})
		if got := plain.Fetches(); got != asked {
			t.Errorf("the fallback was asked %d times in the outage, want 0", got-asked)
		}
		store.Fail(credential.Errorf(credential.Gone, "deleted"))
		f.Refresh(t.Context())
		f.expect(t, "deleted", map[string]string{keyA: "reject disabled", keyB: "reject disabled"})
		if got := f.seen.Count(credential.EventFallback); got != 1 {
			t.Errorf("warnings = %d, want still 1", got)
		}
	})
}

// What a source says of the secret is an answer: only a source that has nothing to say is passed over.
func TestChainFallsBackOn(t *testing.T) {
	for _, test := range []struct {
		class credential.Class
		want  string
	}{
		{credential.Unavailable, "accept current"}, {credential.Denied, "accept current"}, {credential.Missing, "accept current"},
		{credential.Gone, "undecided empty"}, {credential.Invalid, "undecided empty"}, {credential.Misconfigured, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := credentialtest.New(credential.Info{}, keyA)
			store.Fail(credential.Errorf(test.class, "no"))
			c, err := credential.New(credential.Config{Name: "key", Source: credential.Chain(store, credential.Literal(keyB)), Startup: credential.Degraded})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Stop()
			err = c.Start(t.Context())
			if (err != nil) != (test.want == "") {
				t.Errorf("%v: Start = %v", test.class, err)
			}
			if got := said(c.Verify(keyB)); test.want != "" && got != test.want {
				t.Errorf("%v: the fallback is %s, want %s", test.class, got, test.want)
			}
		})
	}
}

// A store that hangs until its time is over leaves time for the fallback, and none of both makes the error of the store.
func TestChainSharesTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, plain := credentialtest.New(credential.Info{}, keyA), credentialtest.New(credential.Info{}, keyB)
		store.Delay(time.Hour)
		f := start(t, credential.Config{Source: credential.Chain(store, plain)}, credential.Info{})
		f.expect(t, "the store hangs", map[string]string{keyB: "accept current"})
	})
	synctest.Test(t, func(t *testing.T) {
		store, plain := credentialtest.New(credential.Info{}, keyA), credentialtest.New(credential.Info{}, keyB)
		store.Fail(errDown)
		plain.Fail(credential.Errorf(credential.Missing, "nowhere"))
		f := start(t, credential.Config{Source: credential.Chain(store, plain), Startup: credential.Degraded}, credential.Info{})
		if got, want := f.Status().LastError, "credential masterKey: unavailable: down"; got != want {
			t.Errorf("error = %s, want %s", got, want)
		}
		if got := f.seen.Count(credential.EventFallback); got != 0 {
			t.Errorf("warnings = %d, want 0: the fallback supplied nothing", got)
		}
	})
}

// A numbered store below which the fallback has no numbers: its first number counts, whatever the fallback had.
func TestChainOfAMonotonicStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := credentialtest.New(credential.Info{Monotonic: true}, "")
		store.SetVersions(version(1, keyA, credential.Current))
		store.Fail(errDown)
		f := start(t, credential.Config{Source: credential.Chain(store, credential.Literal(keyB))}, credential.Info{})
		f.expect(t, "fallback", map[string]string{keyB: "accept current"})
		store.Fail(nil)
		f.refresh(t)
		f.expect(t, "store", map[string]string{keyA: "accept current", keyB: "accept previous"})
	})
}

func TestChainNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, plain := credentialtest.New(credential.Info{}, keyA), credentialtest.New(credential.Info{}, keyB)
		store.Fail(errDown)
		f := start(t, credential.Config{Source: credential.Chain(store, plain)}, credential.Info{})
		sleep(time.Second)
		plain.Set(keyC)
		plain.Notify(credential.Notice{})
		sleep(200 * time.Millisecond)
		f.expect(t, "the fallback changed", map[string]string{keyB: "accept previous", keyC: "accept current"})
		sleep(time.Second)
		store.Fail(nil)
		store.Notify(credential.Notice{})
		sleep(200 * time.Millisecond)
		f.expect(t, "the store came", map[string]string{keyA: "accept current"})
		asked := store.Fetches()
		plain.Notify(credential.Notice{})
		sleep(time.Second)
		if got := store.Fetches(); got != asked {
			t.Errorf("a change of the fallback caused %d fetches, want 0", got-asked)
		}
	})
}

func TestChainRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &written{Source: credentialtest.New(credential.Info{}, keyA)}
		f := start(t, credential.Config{Source: credential.Chain(store, credential.Literal(keyB))}, credential.Info{})
		r, err := f.Rotate(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		f.expect(t, "rotated", map[string]string{string(r.Value.Reveal()): "accept current", keyA: "accept previous"})
	})
	c, err := credential.New(credential.Config{Name: "key", Source: credential.Chain(credential.Literal(keyA), credential.Literal(keyB))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	if s := c.Status(); !s.Source.Immutable || s.Source.Location != "literal, then literal" || !c.Verify(keyA).OK() {
		t.Errorf("a chain of literals = %+v, want immutable", s.Source)
	}
	if _, err := c.Rotate(t.Context(), false); !errors.Is(err, credential.ErrNotWritable) {
		t.Errorf("Rotate = %v, want ErrNotWritable", err)
	}
}

func TestConfigureChain(t *testing.T) {
	registry := credential.Registry{"file": func(ref credential.Reference) (credential.Source, error) {
		return credentialtest.New(credential.Info{Scheme: "file", Location: ref.Path}, keyA), ref.Plain()
	}}
	for _, test := range []struct {
		texts []string
		want  string // location, or the error
	}{
		{[]string{"file:///a?ttl=7s"}, "/a"},
		{[]string{"file:///a?ttl=7s", "file:///b", "the-literal"}, "file:/a, then file:/b, then literal"},
		{nil, "credential key: config: names no source"},
		{[]string{"file:///a", "nowhere://b"}, `credential key: config: unknown scheme "nowhere": known are file`},
		{[]string{"the-literal", "file:///a"}, "credential key: config: of several sources only the last can be a literal"},
		{[]string{"file:///a", "file:///b?ttl=3s"}, "credential key: config: of several sources only the first has options such as ttl and overlap"},
	} {
		cfg := credential.Config{Name: "key"}
		err := registry.ConfigureChain(&cfg, test.texts)
		got := ""
		switch {
		case err != nil:
			got = err.Error()
		case cfg.TTL != 7*time.Second:
			t.Errorf("%v: ttl = %v, want that of the first", test.texts, cfg.TTL)
			fallthrough
		default:
			got = cfg.Source.Info().Location
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%v: %s", test.texts, diff)
		}
	}
}

// I16: a reload that brings another chain to the same store does not forget that the store has delivered: that it is down then is an outage, and
// no old value of the configuration comes back.
func TestI16ReloadWhileTheStoreIsDown(t *testing.T) {
	for _, before := range []string{"the store alone", "a chain"} {
		t.Run(before, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWardrobe(t)
				info := credential.Info{Scheme: "vault", Location: "secret/parley"}
				store := credentialtest.New(info, keyC)
				first := credential.Source(store)
				if before == "a chain" {
					first = credential.Chain(store, credential.Literal(keyD))
				}
				reload := func(source credential.Source) error {
					return w.set.Replace(t.Context(), w.configs(func(master, _ *credential.Config) {
						master.Source, master.Startup = source, credential.Degraded
					}), nil)
				}
				if err := reload(first); err != nil {
					t.Fatal(err)
				}
				sleep(time.Hour)
				again := credentialtest.New(info, keyC)
				again.Fail(errDown)
				if err := reload(credential.Chain(again, credential.Literal(keyD))); err != nil {
					t.Fatal(err)
				}
				sleep(time.Minute)
				w.master.expect(t, "in the outage", map[string]string{keyC: "accept current", keyD: "reject unknown"})
				again.Fail(nil)
				sleep(2 * time.Minute)
				w.master.expect(t, "after it", map[string]string{keyC: "accept current", keyD: "reject unknown"})
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // another store has said nothing yet, also when it was tried alone before
		w := newWardrobe(t)
		down := credentialtest.New(credential.Info{Scheme: "vault", Location: "secret/other"}, keyC)
		down.Fail(errDown)
		if err := w.set.Replace(t.Context(), w.configs(func(master, _ *credential.Config) {
			master.Source, master.Startup = down, credential.Degraded
		}), nil); err != nil {
			t.Fatal(err)
		}
		if err := w.set.Replace(t.Context(), w.configs(func(master, _ *credential.Config) {
			master.Source = credential.Chain(down, credential.Literal(keyD))
		}), nil); err != nil {
			t.Fatal(err)
		}
		w.master.expect(t, "another store", map[string]string{keyA: "accept previous", keyD: "accept current"})
	})
}
