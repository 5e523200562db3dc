package credential_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/parley-backend/parley/credential"
)

// Who names a version by an id that two have, of which a store began to count anew, is told to name it by its fingerprint: the one that he
// did not mean would be revoked, and the other accepted on.
func TestRevokeByAnIDOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{}, credential.Info{})
		for _, key := range []string{keyA, keyB} {
			f.source.SetVersions(credential.Version{ID: "1", Value: credential.NewSecret(key)})
			f.refresh(t)
		}
		f.expect(t, "before", map[string]string{keyA: "accept previous", keyB: "accept current"})
		const want = "credential masterKey: invalid: several versions have that id: name the one by its fingerprint"
		if err := f.Revoke(t.Context(), "1"); !errors.Is(err, credential.Invalid) || err.Error() != want {
			t.Errorf("Revoke = %v, want %s", err, want)
		}
		f.expect(t, "refused", map[string]string{keyA: "accept previous", keyB: "accept current"})
		for _, v := range f.Status().Versions {
			if v.State == credential.Previous {
				if err := f.Revoke(t.Context(), v.Fingerprint); err != nil {
					t.Errorf("Revoke by the fingerprint failed: %v", err)
				}
			}
		}
		f.expect(t, "revoked", map[string]string{keyA: "reject revoked", keyB: "accept current"})
		if err := f.Revoke(t.Context(), "1"); err != nil {
			t.Errorf("Revoke of the only one left failed: %v", err)
		}
		f.expect(t, "both revoked", map[string]string{keyA: "reject revoked", keyB: "reject revoked"})
	})
}
