package credential_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// lints returns what was warned of.
func lints(seen *credentialtest.Recorder) (messages []string) {
	for _, e := range seen.Events() {
		if e.Kind == credential.EventLint {
			messages = append(messages, e.Message)
		}
	}
	return messages
}

// What a store tells of a value before the current one, or after it, may be unusable: it is left out, told once, and the current
// one is installed. Of an unusable current one, and of keys that a document states, nothing is installed.
func TestUnusableHistoryIsLeftOut(t *testing.T) {
	history := func(state credential.State, value string) credential.Version {
		return credential.Version{ID: "1", Value: credential.NewSecret(value), State: state}
	}
	for _, test := range []struct {
		name string
		old  credential.Version
		want string
	}{
		{"white space at its end", history(credential.Previous, "bad "), "version 1 is left out: starts or ends with white space"},
		{"too short", history(credential.Previous, "short"), "version 1 is left out: shorter than 16 bytes"},
		{"empty", history(credential.Previous, ""), "version 1 is left out: empty"},
		{"too long", history(credential.Previous, strings.Repeat("x", 64<<10+1)), "version 1 is left out: larger than 65536 bytes"},
		{"yet to come", history(credential.Pending, "\n"), "version 1 is left out: empty"},
		{"that of another role", history(credential.Previous, keyB), "version 1 is left out: equal to the value of restAPIKey"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var set credential.Set
				start(t, credential.Config{Name: "restAPIKey", Set: &set, Source: credential.Literal(keyB)}, credential.Info{})
				source := credentialtest.New(credential.Info{}, "")
				source.SetVersions(credential.Version{ID: "2", Value: credential.NewSecret(keyA)}, test.old)
				f := start(t, credential.Config{Set: &set, Source: source, MinLength: 16}, credential.Info{})
				f.refresh(t)
				f.expect(t, "after", map[string]string{keyA: "accept current", "bad ": "reject unknown", "short": "reject unknown", keyB: "reject unknown"})
				if diff := cmp.Diff([]string{test.want}, lints(f.seen)); diff != "" {
					t.Errorf("warnings (-want +got):\n%s", diff)
				}
			})
		})
	}
	t.Run("the current one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, credential.Config{}, credential.Info{})
			f.source.SetVersions(credential.Version{ID: "2", Value: credential.NewSecret("bad ")}, history(credential.Previous, keyC))
			if err := f.Refresh(t.Context()); !errors.Is(err, credential.Invalid) {
				t.Errorf("Refresh = %v, want invalid", err)
			}
			f.expect(t, "after", map[string]string{keyA: "accept current", keyC: "reject unknown"})
		})
	})
	t.Run("nothing else", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, credential.Config{}, credential.Info{})
			f.source.SetVersions(history(credential.Previous, "bad "))
			if err := f.Refresh(t.Context()); !errors.Is(err, credential.Invalid) {
				t.Errorf("Refresh = %v, want invalid", err)
			}
			f.expect(t, "after", map[string]string{keyA: "accept current"})
		})
	})
}

// The same when a reload brings the store.
func TestReloadLeavesUnusableHistoryOut(t *testing.T) {
	for _, test := range []struct{ name, old, want string }{
		{"too short", "x", "version 1 is left out: shorter than 16 bytes"},
		{"that of another role", keyB, "version 1 is left out: equal to the value of restAPIKey"},
		{"that another role gets", keyD, "version 1 is left out: equal to the value of restAPIKey"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWardrobe(t)
				other := credentialtest.New(credential.Info{Scheme: "other"}, "")
				other.SetVersions(credential.Version{ID: "2", Value: credential.NewSecret(keyC)}, credential.Version{ID: "1", Value: credential.NewSecret(test.old), State: credential.Previous})
				configs := w.configs(func(master, rest *credential.Config) {
					master.Source, master.MinLength = other, 16
					if test.old == keyD {
						rest.Source = credential.Literal(keyD)
					}
				})
				if err := w.set.Replace(t.Context(), configs, nil); err != nil {
					t.Fatalf("Replace failed: %v", err)
				}
				synctest.Wait()
				w.master.expect(t, "after", map[string]string{keyA: "accept previous", keyC: "accept current", test.old: "reject unknown"})
				if diff := cmp.Diff([]string{test.want}, lints(w.master.seen)); diff != "" {
					t.Errorf("warnings (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A reload accepts what was accepted before for the overlap from now. What the new store has in its history goes by the store's own
// rotation, as after a start: a value that ended long ago does not come back.
func TestReloadRevivesNoHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWardrobe(t)
		other := credentialtest.New(credential.Info{Scheme: "other"}, "")
		other.SetVersions(
			credential.Version{ID: "2", Value: credential.NewSecret(keyC), Created: time.Now().Add(-24 * time.Hour)},
			credential.Version{ID: "1", Value: credential.NewSecret(keyD), State: credential.Previous, Created: time.Now().Add(-48 * time.Hour)})
		if err := w.set.Replace(t.Context(), w.configs(func(master, _ *credential.Config) { master.Source = other }), nil); err != nil {
			t.Fatalf("Replace failed: %v", err)
		}
		synctest.Wait()
		w.master.expect(t, "after", map[string]string{keyA: "accept previous", keyC: "accept current", keyD: "reject retired"})
	})
	synctest.Test(t, func(t *testing.T) { // it is in that history, and was accepted until now
		w := newWardrobe(t)
		other := credentialtest.New(credential.Info{Scheme: "other"}, "")
		other.SetVersions(
			credential.Version{ID: "2", Value: credential.NewSecret(keyC), Created: time.Now().Add(-24 * time.Hour)},
			credential.Version{ID: "1", Value: credential.NewSecret(keyA), State: credential.Previous, Created: time.Now().Add(-48 * time.Hour)})
		if err := w.set.Replace(t.Context(), w.configs(func(master, _ *credential.Config) { master.Source = other }), nil); err != nil {
			t.Fatalf("Replace failed: %v", err)
		}
		synctest.Wait()
		w.master.expect(t, "after", map[string]string{keyA: "accept previous", keyC: "accept current"})
		sleep(10 * time.Minute)
		w.master.expect(t, "after the overlap", map[string]string{keyA: "reject retired", keyC: "accept current"})
	})
}
