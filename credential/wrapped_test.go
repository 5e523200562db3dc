package credential_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

func wrapKey(text string) func(context.Context) (credential.Secret, error) {
	return func(context.Context) (credential.Secret, error) { return credential.NewSecret(text), nil }
}

const wrapA, wrapB = "wrapping-key-of-the-tests-number-one", "wrapping-key-of-the-tests-number-two"

// lint returns the warnings that were told.
func lint(seen *credentialtest.Recorder) string {
	var all []string
	for _, e := range seen.Events() {
		if e.Kind == credential.EventLint {
			all = append(all, e.Message)
		}
	}
	return strings.Join(all, "; ")
}

// What is presented survives a restart while its store is down, if there is a key to encrypt it with: value, fields, generation's id
// and end. Nothing of it is readable in what was kept.
func TestWrappedLastGood(t *testing.T) {
	const wrong = "the last good reading on disk is not used: "
	presented := func(key string) func(*credential.Config) {
		return func(cfg *credential.Config) {
			cfg.Present = true
			if key != "" {
				cfg.WrapKey = wrapKey(key)
			}
		}
	}
	for _, test := range []struct {
		name        string
		first, then string // wrapping keys
		spoil       func(*credential.LastGood)
		stop        time.Duration
		lease       time.Duration
		want        string // the value that is presented at the second start, "" for none
		lint        string
	}{
		{name: "the same key", first: wrapA, then: wrapA, stop: time.Minute, want: keyA},
		{name: "a long stop", first: wrapA, then: wrapA, stop: 30 * 24 * time.Hour, want: keyA},
		{name: "a lease that lasts", first: wrapA, then: wrapA, stop: time.Minute, lease: time.Hour, want: keyA},
		{name: "a lease that has ended", first: wrapA, then: wrapA, stop: 2 * time.Hour, lease: time.Hour},
		{name: "another key", first: wrapA, then: wrapB, stop: time.Minute, lint: wrong + "it was encrypted with another wrapping key, or changed"},
		{name: "a key that is too short", first: wrapA, then: "short", stop: time.Minute, lint: wrong + "the wrapping key is shorter than 32 bytes"},
		{name: "no key any more", first: wrapA, then: "", stop: time.Minute, lint: "no reading is kept for a start at which the source does not answer: there is no key to encrypt it with"},
		{name: "no key at first", first: "", then: wrapA, stop: time.Minute},
		{name: "changed", first: wrapA, then: wrapA, stop: time.Minute, spoil: func(l *credential.LastGood) { l.Wrapped[20] ^= 1 }, lint: wrong + "it was encrypted with another wrapping key, or changed"},
		{name: "cut short", first: wrapA, then: wrapA, stop: time.Minute, spoil: func(l *credential.LastGood) { l.Wrapped = l.Wrapped[:5] }, lint: wrong + "it was encrypted with another wrapping key, or changed"},
		{name: "of another credential", first: wrapA, then: wrapA, stop: time.Minute, spoil: func(*credential.LastGood) {}, lint: wrong + "it was encrypted with another wrapping key, or changed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLife()
				v := credential.Version{ID: "v1", Value: credential.NewSecret(keyA), Fields: map[string]credential.Secret{"user": credential.NewSecret("canary-user")}}
				if test.lease > 0 {
					v.NotAfter = time.Now().Add(test.lease)
				}
				l.source.SetVersions(v)
				name := "database"
				named := func(cfg *credential.Config) { cfg.Name = name }
				before := l.mustBegin(t, presented(test.first), named)
				before.Stop()
				text, err := json.Marshal(l.keeper.saved)
				if err != nil {
					t.Fatal(err)
				}
				if leaked := credentialtest.Leaks(string(text), keyA, "canary-user", wrapA); leaked != nil {
					t.Errorf("what is kept holds %q: %s", leaked, text)
				}
				if saved := l.keeper.saved[name]; (test.first != "") != (len(saved.Wrapped) > 0) || len(saved.Versions) > 0 {
					t.Errorf("kept %+v", saved)
				}
				if test.spoil != nil {
					saved := l.keeper.saved[name]
					saved.Wrapped = bytes.Clone(saved.Wrapped)
					test.spoil(&saved)
					if test.name == "of another credential" {
						name = "mail"
					}
					l.keeper.saved[name] = saved
				}
				sleep(test.stop)
				l.source.Fail(credential.Errorf(credential.Unavailable, "down"))
				after, err := l.begin(t, presented(test.then), named)
				if (err == nil) != (test.want != "") {
					t.Errorf("Start = %v", err)
				}
				present, err := credential.NewPresenter(after.Credential, func(m credential.Material) (string, error) {
					return string(m.Value.Reveal()) + " " + string(m.Fields["user"].Reveal()), nil
				})
				if err != nil {
					t.Fatal(err)
				}
				lease, err := present.Acquire(t.Context())
				switch {
				case test.want == "" && err == nil:
					t.Errorf("Acquire = %+v, want an error", lease)
				case test.want != "" && (err != nil || lease.Value != test.want+" canary-user" || lease.VersionID != "v1" || !lease.NotAfter.Equal(v.NotAfter)):
					t.Errorf("Acquire = %+v %v, want %s", lease, err, test.want)
				}
				if test.want != "" && (after.seen.Count(credential.EventLastGood) != 1 || !after.Status().Ready) {
					t.Errorf("events %v, status %+v", after.seen.Events(), after.Status())
				}
				if got := lint(after.seen); got != test.lint {
					t.Errorf("warnings = %q, want %q", got, test.lint)
				}
			})
		})
	}
}

// When the store is back, the kept value gives way, and whoever uses it is told.
func TestWrappedLastGoodGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife()
		wrapped := func(cfg *credential.Config) { cfg.Present, cfg.WrapKey = true, wrapKey(wrapA) }
		l.mustBegin(t, wrapped).Stop()
		l.source.Fail(credential.Errorf(credential.Unavailable, "down"))
		after := l.mustBegin(t, wrapped)
		present, err := credential.Present(after.Credential)
		if err != nil {
			t.Fatal(err)
		}
		var changes []string
		present.OnChange(func(before, now credential.Lease[credential.Secret]) {
			changes = append(changes, string(before.Value.Reveal())+" > "+string(now.Value.Reveal()))
		})
		l.source.Set(keyB)
		sleep(2 * time.Minute)
		if lease, err := present.Acquire(t.Context()); err != nil || string(lease.Value.Reveal()) != keyB {
			t.Errorf("Acquire = %v %v, want the new value", lease, err)
		}
		if want := keyA + " > " + keyB; len(changes) != 1 || changes[0] != want {
			t.Errorf("changes = %q, want %q", changes, want)
		}
	})
}

// The wrapping key may be out of reach when a reading is to be kept: told once, and the reading holds all the same.
func TestWrapKeyOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife()
		f := l.mustBegin(t, func(cfg *credential.Config) {
			cfg.Present = true
			cfg.WrapKey = func(context.Context) (credential.Secret, error) {
				return credential.Secret{}, credential.Errorf(credential.Missing, "no such file")
			}
		})
		for _, value := range []string{keyB, keyC} {
			f.rotate(t, value)
		}
		if got, want := lint(f.seen), "the last good reading cannot be kept for the next start: the wrapping key cannot be had: no such file"; got != want {
			t.Errorf("warnings = %q, want %q", got, want)
		}
		if len(l.keeper.saved) != 0 {
			t.Errorf("kept %v", l.keeper.saved)
		}
	})
}

// Rotation overdue, by kind: measured from the store's date of the oldest current version, else from when it was first seen; told
// once a day; never enforced.
func TestRotationOverdue(t *testing.T) {
	const day = 24 * time.Hour
	for _, test := range []struct {
		name    string
		kind    credential.Kind
		every   time.Duration
		created time.Duration // before the start; 0 for unknown
		want    time.Duration // from the start until it is due, 0 for never
	}{
		{"master", credential.Master, 0, 10 * day, 20 * day},
		{"master of unknown age", credential.Master, 0, 0, 30 * day},
		{"API", credential.API, 0, 80 * day, 10 * day},
		{"webhook", credential.Webhook, 0, 364 * day, day},
		{"by option", credential.API, 7 * day, 5 * day, 2 * day},
		{"never", credential.Master, credential.None, 100 * day, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := credentialtest.New(credential.Info{}, keyA)
				began := time.Now()
				if test.created > 0 {
					source.SetVersions(credential.Version{Value: credential.NewSecret(keyA), Created: began.Add(-test.created)})
				}
				f := start(t, credential.Config{Kind: test.kind, RotateEvery: test.every, Source: source, TTL: time.Hour}, credential.Info{})
				f.source = source
				s := f.Status()
				if test.want == 0 {
					sleep(200 * day)
					if s := f.Status(); !s.RotationDue.IsZero() || s.Overdue || f.seen.Count(credential.EventOverdue) != 0 {
						t.Errorf("status = %+v, want never due", s)
					}
					return
				}
				if !s.RotationDue.Equal(began.Add(test.want)) || s.Overdue {
					t.Fatalf("due %v, overdue %t, want %v", s.RotationDue, s.Overdue, began.Add(test.want))
				}
				sleep(test.want - time.Minute)
				if got := f.seen.Count(credential.EventOverdue); got != 0 || f.Status().Overdue {
					t.Errorf("overdue a minute early, told %d times", got)
				}
				sleep(3*day + 2*time.Hour)
				if got := f.seen.Count(credential.EventOverdue); got < 3 || got > 4 || !f.Status().Overdue {
					t.Errorf("told %d times in three days, overdue = %t", got, f.Status().Overdue)
				}
				f.expect(t, "overdue", map[string]string{keyA: "accept current"})
				f.rotate(t, keyB)
				if s := f.Status(); s.Overdue {
					t.Errorf("overdue after a rotation: %+v", s)
				}
				told := f.seen.Count(credential.EventOverdue)
				sleep(2 * day)
				if got := f.seen.Count(credential.EventOverdue); got != told {
					t.Errorf("told %d times more after the rotation", got-told)
				}
			})
		})
	}
}
