package credential_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

func TestNewRefuses(t *testing.T) {
	literal := credential.Literal(keyA)
	for _, test := range []struct {
		cfg  credential.Config
		want string
	}{
		{credential.Config{Source: literal}, "credential: config: a credential needs a name"},
		{credential.Config{Name: "key"}, "credential key: config: no source"},
		{credential.Config{Name: "key", Source: literal, Kind: 9}, "credential key: config: unknown kind or startup policy"},
		{credential.Config{Name: "key", Source: literal, MinTTL: 2, MaxTTL: 1}, "credential key: config: min_ttl is larger than max_ttl"},
		{credential.Config{Name: "key", Source: literal, Previous: -1}, "credential key: config: a count is negative"},
		{credential.Config{Name: "key", Source: literal, Store: &memoryStore{}}, "credential key: config: a store of revocations needs an install key"},
		{credential.Config{Name: "key", Source: literal, MinLength: 100}, "credential key: invalid: shorter than 100 bytes"},
		{credential.Config{Name: "key", Source: literal, Store: &memoryStore{err: os.ErrDeadlineExceeded}, InstallKey: credential.NewSecret("k")}, "credential key: unavailable: timed out"},
	} {
		if _, err := credential.New(test.cfg); err == nil || err.Error() != test.want {
			t.Errorf("New(%+v) = %v, want %s", test.cfg, err, test.want)
		}
	}
}

// Of a foreign error only its kind is told.
func TestErrorsAreDescribedNotQuoted(t *testing.T) {
	for _, test := range []struct {
		err   error
		want  string
		class credential.Class
	}{
		{errors.New("secret"), "credential key: unavailable: the source failed (*errors.errorString)", credential.Unavailable},
		{fmt.Errorf("secret: %w", syscall.ECONNREFUSED), "credential key: unavailable: connection refused", credential.Unavailable},
		{fmt.Errorf("secret: %w", context.DeadlineExceeded), "credential key: unavailable: timed out", credential.Unavailable},
		{&net.DNSError{Err: "secret", Name: "secret", IsTimeout: true}, "credential key: unavailable: network time-out", credential.Unavailable},
		{fmt.Errorf("secret: %w", credential.Denied), "credential key: denied: reported by the source", credential.Denied},
		{fmt.Errorf("secret: %w", credential.Errorf(credential.Missing, "no field")), "credential key: missing: no field", credential.Missing},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, credential.Config{Name: "key"}, credential.Info{})
			f.source.Fail(test.err)
			err := f.Refresh(t.Context())
			if err == nil || err.Error() != test.want || !errors.Is(err, test.class) {
				t.Errorf("Refresh = %v, want %s", err, test.want)
			}
		})
	}
}

// The same bytes twice in one reading are one version, and a refusal of them wins.
func TestDuplicateVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{}, credential.Info{})
		same := func(id string, state credential.State) credential.Version {
			return credential.Version{ID: id, Value: credential.NewSecret(keyB), State: state}
		}
		f.source.SetVersions(same("1", credential.Current), same("2", credential.Previous))
		f.refresh(t)
		f.expect(t, "current and previous", map[string]string{keyB: "accept current"})
		f.source.SetVersions(same("1", credential.Current), same("2", credential.Disabled))
		f.refresh(t)
		f.expect(t, "current and disabled", map[string]string{keyB: "reject disabled"})
		f.source.SetVersions(same("1", credential.Disabled), same("2", credential.Current))
		f.refresh(t)
		f.expect(t, "disabled and current", map[string]string{keyB: "reject disabled"})
		f.source.SetVersions(same("1", credential.Disabled), same("2", credential.Revoked))
		f.refresh(t)
		f.expect(t, "disabled and revoked", map[string]string{keyB: "reject revoked"})
	})
}

// A source that lists its previous version decides nothing about its deadline, which
// comes from the rotation and does not move with further readings.
func TestListedPrevious(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := credentialtest.New(credential.Info{}, keyA)
		rotated := time.Now().Add(-4 * time.Minute)
		source.SetVersions(
			credential.Version{ID: "2", Value: credential.NewSecret(keyB), Created: rotated},
			credential.Version{ID: "1", Value: credential.NewSecret(keyA), State: credential.Previous},
			credential.Version{ID: "3", Value: credential.NewSecret(keyC), State: credential.Pending})
		f := start(t, credential.Config{Source: source, Overlap: 10 * time.Minute, TTL: 10 * time.Second}, credential.Info{})
		f.expect(t, "at a first start", map[string]string{keyA: "accept previous", keyB: "accept current", keyC: "reject pending"})
		sleep(6*time.Minute - time.Second)
		f.expect(t, "before the deadline", map[string]string{keyA: "accept previous"})
		sleep(time.Second)
		f.expect(t, "at the deadline", map[string]string{keyA: "reject retired"})
		sleep(time.Hour)
		f.expect(t, "still listed", map[string]string{keyA: "reject retired", keyB: "accept current"})
	})
}

// An incomplete reading is refused.
func TestIncompletePayloads(t *testing.T) {
	for _, test := range []struct {
		info     credential.Info
		versions []credential.Version
		want     string
	}{
		{credential.Info{}, nil, "no version"},
		{credential.Info{Monotonic: true}, []credential.Version{{Value: credential.NewSecret(keyA)}}, "a version without its number"},
		{credential.Info{}, []credential.Version{{State: credential.Revoked}}, "a revoked version with neither id nor value"},
		{credential.Info{}, []credential.Version{{State: 99, Value: credential.NewSecret(keyA)}}, "a version in an unknown state"},
		{credential.Info{}, []credential.Version{{Value: credential.NewSecret(strings.Repeat("x", 40<<10))}, {Value: credential.NewSecret(strings.Repeat("y", 40<<10))}}, "larger than 65536 bytes"},
	} {
		synctest.Test(t, func(t *testing.T) {
			source := credentialtest.New(test.info, "")
			source.SetVersions(test.versions...)
			f := start(t, credential.Config{Source: source, Startup: credential.Degraded}, credential.Info{})
			if got, want := f.Status().LastError, "credential masterKey: invalid: "+test.want; got != want {
				t.Errorf("error = %s, want %s", got, want)
			}
		})
	}
}

// A presented credential may have lines; a verified one may not.
func TestPresentedValuesMayHaveLines(t *testing.T) {
	pem := "-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n"
	if _, err := credential.New(credential.Config{Name: "key", Source: credential.Literal(pem), Present: true}); err != nil {
		t.Errorf("presented: %v, want none", err)
	}
	if _, err := credential.New(credential.Config{Name: "key", Source: credential.Literal(pem)}); !errors.Is(err, credential.Invalid) {
		t.Errorf("verified: %v, want Invalid", err)
	}
	if _, err := credential.New(credential.Config{Name: "key", Source: credential.Literal(pem + "\x00"), Present: true}); !errors.Is(err, credential.Invalid) {
		t.Errorf("presented with NUL: %v, want Invalid", err)
	}
}

// brokenWatcher is a source whose watching fails or panics.
type brokenWatcher struct {
	*credentialtest.Source
	watch func(ctx context.Context) error
}

func (s brokenWatcher) Watch(ctx context.Context, _ func(credential.Notice)) error {
	return s.watch(ctx)
}

// A watcher that fails, panics or returns is watched again, rarely, and told of; one
// that ignores its context does not keep Stop from returning.
func TestBrokenWatchers(t *testing.T) {
	for name, watch := range map[string]func(context.Context) error{
		"fails":   func(context.Context) error { return errDown },
		"panics":  func(context.Context) error { panic(keyA) },
		"returns": func(context.Context) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, credential.Config{Source: brokenWatcher{credentialtest.New(credential.Info{}, keyA), watch}}, credential.Info{})
				sleep(time.Hour)
				if got := f.seen.Count(credential.EventWatchLost); got < 60 || got > 140 {
					t.Errorf("%d events in an hour, want about 80", got)
				}
				f.expect(t, "without a watcher", map[string]string{keyA: "accept current"})
			})
		})
	}
	t.Run("hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			f := start(t, credential.Config{Source: brokenWatcher{credentialtest.New(credential.Info{}, keyA), func(context.Context) error { <-release; return nil }}}, credential.Info{})
			began := time.Now()
			f.Stop()
			if took := time.Since(began); took > time.Second {
				t.Errorf("Stop took %v", took)
			}
			close(release)
		})
	})
}

// I19: the counters count what the observer was told, and every decision once.
func TestI19CountersMatchEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{Overlap: time.Minute, TTL: time.Hour}, credential.Info{})
		for _, key := range []string{keyB, keyA, keyC, keyD} {
			f.rotate(t, key)
		}
		sleep(2 * time.Minute)
		f.source.SetVersions(credential.Version{Value: credential.NewSecret(keyD), State: credential.Disabled})
		f.refresh(t)
		f.rotate(t, keyD)
		if err := f.Revoke(t.Context(), f.Verify(keyD).VersionID); err != nil {
			t.Fatal(err)
		}
		counters := f.Status().Counters
		told := make(map[credential.EventKind]uint64)
		for _, e := range f.seen.Events() {
			if e.Credential != "masterKey" || e.Time.IsZero() {
				t.Errorf("event %v without its credential or time", e.Kind)
			}
			if e.VersionID != "" {
				told[e.Kind]++
			}
		}
		if diff := cmp.Diff(counters.Changes, told); diff != "" {
			t.Errorf("events (-counted +told):\n%s", diff)
		}
		for range 7 {
			f.Verify(keyD)
			f.VerifyContext(t.Context(), "")
		}
		before := counters.Decisions
		after := f.Status().Counters.Decisions
		if revoked, absent := after[credential.ReasonRevoked]-before[credential.ReasonRevoked], after[credential.ReasonAbsent]-before[credential.ReasonAbsent]; revoked != 7 || absent != 7 {
			t.Errorf("counted %d revoked and %d absent, want 7 and 7", revoked, absent)
		}
	})
}

// A status encodes as JSON with names, not numbers.
func TestStatusAsJSON(t *testing.T) {
	c, err := credential.New(credential.Config{Name: "masterKey", Source: credential.Literal(keyA), InstallKey: credential.NewSecret("install")})
	if err != nil {
		t.Fatal(err)
	}
	c.Verify(keyA)
	encoded, err := json.Marshal(c.Status())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	version := got["versions"].([]any)[0].(map[string]any)
	// The first 48 bits of HMAC-SHA256("install", keyA): the same on every node.
	want := map[string]any{"condition": "fresh", "kind": "master", "ready": true, "id": "fp-da4cd8561005", "fingerprint": "fp-da4cd8561005", "state": "current", "uses": 1.0}
	have := map[string]any{"condition": got["condition"], "kind": got["kind"], "ready": got["ready"], "id": version["id"], "fingerprint": version["fingerprint"], "state": version["state"], "uses": version["uses"]}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

// The log has one record per event, with the words of the table.
func TestLog(t *testing.T) {
	var text bytes.Buffer
	handler := slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	log := credential.Log(slog.New(handler))
	log.Observe(credential.Event{Kind: credential.EventRotated, Credential: "masterKey", VersionID: "v2", Generation: 2, Source: credential.Info{Scheme: "file"}})
	log.Observe(credential.Event{Kind: credential.EventFailed, Credential: "masterKey", Class: credential.Denied, Err: credential.Errorf(credential.Denied, "no"), Attempt: 1, Next: time.Second, Source: credential.Info{Scheme: "file"}})
	log.Observe(credential.Event{Kind: credential.EventFailed, Credential: "masterKey", Class: credential.Unavailable, Source: credential.Info{Scheme: "file"}})
	want := `level=INFO msg="credential rotated" event=rotated credential=masterKey version=v2 state=current generation=2 source=file
level=ERROR msg="credential source failed" event=failed credential=masterKey class=denied error="credential: denied: no" attempt=1 next=1s source=file
level=WARN msg="credential source failed" event=failed credential=masterKey class=unavailable source=file
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}
