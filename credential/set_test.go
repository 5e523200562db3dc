package credential_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// I15: two roles never share a value, neither at start nor after a rotation, nor with a
// previous version; one role may.
func TestI15RolesNeverShareAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set credential.Set
		master := start(t, credential.Config{Name: "masterKey", Set: &set, Overlap: 10 * time.Minute}, credential.Info{})
		if _, err := credential.New(credential.Config{Name: "readOnlyMasterKey", Set: &set, Source: credential.Literal(keyA)}); !errors.Is(err, credential.Invalid) {
			t.Errorf("a second role with the value: %v, want Invalid", err)
		}
		rest, err := credential.New(credential.Config{Name: "restAPIKey", Role: "client", Set: &set, Source: credential.Literal(keyB)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := credential.New(credential.Config{Name: "javascriptKey", Role: "client", Set: &set, Source: credential.Literal(keyB)}); err != nil {
			t.Errorf("a second credential of one role with the value: %v, want none", err)
		}
		master.source.Set(keyB)
		if err := master.Refresh(t.Context()); !errors.Is(err, credential.Invalid) {
			t.Errorf("a rotation to another role's value: %v, want Invalid", err)
		}
		master.expect(t, "refused", map[string]string{keyA: "accept current", keyB: "reject unknown"})
		if !rest.Verify(keyB).OK() {
			t.Error("the other credential lost its value")
		}
		master.rotate(t, keyC)
		other := start(t, credential.Config{Name: "maintenanceKey", Set: &set, Startup: credential.Lazy, Source: credentialtest.New(credential.Info{}, keyA)}, credential.Info{})
		if err := other.Refresh(t.Context()); !errors.Is(err, credential.Invalid) {
			t.Errorf("the previous value of another role: %v, want Invalid", err)
		}
		sleep(11 * time.Minute)
		if err := other.Refresh(t.Context()); err != nil {
			t.Errorf("the retired value of another role: %v, want none", err)
		}
		var names []string
		for _, c := range set.All() {
			names = append(names, c.Name())
		}
		if len(names) != 4 || set.Get("javascriptKey") == nil || set.Get("readOnlyMasterKey") != nil {
			t.Errorf("the set holds %v", names)
		}
		if _, err := credential.New(credential.Config{Name: "masterKey", Set: &set, Source: credential.Literal(keyD)}); !errors.Is(err, credential.Misconfigured) {
			t.Errorf("a second credential of that name: %v, want Misconfigured", err)
		}
	})
}

// A set starts all at once, and none if one fails.
func TestSetStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set credential.Set
		sources := map[string]*credentialtest.Source{}
		for i, name := range []string{"one", "two", "three"} {
			sources[name] = credentialtest.New(credential.Info{}, keyA[:20]+name)
			sources[name].Delay(time.Duration(i+1) * time.Second)
			if _, err := credential.New(credential.Config{Name: name, Set: &set, Source: sources[name]}); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		if err := set.Start(t.Context()); err != nil {
			t.Errorf("Start failed: %v", err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("Start took %v, want as long as the slowest: 3 s", took)
		}
		set.Stop()
		set.Stop()

		var broken credential.Set
		well := credentialtest.New(credential.Info{}, keyA)
		ill := credentialtest.New(credential.Info{}, keyB)
		ill.Fail(credential.Errorf(credential.Missing, "none"))
		for name, source := range map[string]*credentialtest.Source{"well": well, "ill": ill} {
			if _, err := credential.New(credential.Config{Name: name, Set: &broken, Source: source, TTL: time.Second}); err != nil {
				t.Fatal(err)
			}
		}
		if err := broken.Start(t.Context()); err == nil || err.Error() != "credential ill: missing: none" {
			t.Errorf("Start = %v, want credential ill: missing: none", err)
		}
		before := well.Fetches()
		sleep(time.Hour)
		if well.Fetches() != before {
			t.Error("a member runs after the set failed to start")
		}
	})
}
