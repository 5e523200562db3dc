package credential_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
)

// TestStanding: all versions that may still be presented, and none that has ended.
func TestStanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := presenter(t, credential.Config{Overlap: time.Minute})
		type version struct {
			Value string
			State credential.State
		}
		standing := func() []version {
			var all []version
			for _, v := range p.Standing() {
				if v.Fingerprint == "" || v.VersionID == "" {
					t.Errorf("Standing = a version without a name")
				}
				all = append(all, version{v.Value, v.State})
			}
			return all
		}
		check := func(when string, want ...version) {
			t.Helper()
			if diff := cmp.Diff(want, standing()); diff != "" {
				t.Errorf("Standing %s (-want +got):\n%s", when, diff)
			}
		}
		check("at first", version{keyA, credential.Current})
		f.rotate(t, keyB)
		check("after a rotation", version{keyB, credential.Current}, version{keyA, credential.Previous})
		before := p.Standing()[1]
		if err := f.Revoke(t.Context(), before.Fingerprint); err != nil {
			t.Fatal(err)
		}
		check("after a revocation", version{keyB, credential.Current})
		f.rotate(t, keyC)
		check("after another rotation", version{keyC, credential.Current}, version{keyB, credential.Previous})
		sleep(2 * time.Minute)
		check("after the overlap", version{keyC, credential.Current})
	})
}

// TestBinary: bytes that are no text are presented as they are, and only where that is asked for.
func TestBinary(t *testing.T) {
	value := string([]byte{0, 0xff, '\r', '\n'})
	for _, test := range []struct {
		name   string
		cfg    credential.Config
		accept bool
	}{
		{"binary", credential.Config{Present: true, Binary: true}, true},
		{"text", credential.Config{Present: true}, false},
		{"verified", credential.Config{Binary: true}, false},
		{"binary and short", credential.Config{Present: true, Binary: true, MinLength: 5}, false},
	} {
		test.cfg.Name, test.cfg.Source = "key", credential.Literal(value)
		c, err := credential.New(test.cfg)
		if (err == nil) != test.accept || err != nil && !errors.Is(err, credential.Invalid) {
			t.Errorf("%s: New = %v, accepted %v", test.name, err, test.accept)
		}
		if err != nil {
			continue
		}
		p, err := credential.Present(c)
		if err != nil {
			t.Fatal(err)
		}
		lease, err := p.Acquire(context.Background())
		if got := string(lease.Value.Reveal()); err != nil || got != value {
			t.Errorf("%s: Acquire = %q, %v; want %q", test.name, got, err, value)
		}
	}
	empty := credential.Config{Name: "key", Present: true, Binary: true, Source: credential.Func(func(context.Context) (string, error) { return "", nil }), TTL: time.Hour}
	c, err := credential.New(empty)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	if err := c.Start(t.Context()); !errors.Is(err, credential.Invalid) {
		t.Errorf("an empty value: Start = %v, want Invalid", err)
	}
}
