package credential_test

import (
	"context"
	"testing"

	"github.com/parley-backend/parley/credential"
)

// busy is a Store during whose Load somebody else revokes.
type busy struct {
	memoryStore
	meanwhile func()
}

func (b *busy) Load(ctx context.Context, name string) ([]credential.Tombstone, error) {
	all, err := b.memoryStore.Load(ctx, name)
	b.meanwhile()
	return all, err
}

// A revocation that arrives while a credential is being made, as when a reload adds one, is not forgotten: the credential is
// found in its Set only when it can take it.
func TestRevokedWhileItIsMade(t *testing.T) {
	key := credential.NewSecret("install-key-of-the-tests")
	made := func(set *credential.Set, store credential.Store) *credential.Credential {
		c, err := credential.New(credential.Config{Name: "masterKey", Set: set, Source: credential.Literal(keyA), Store: store, InstallKey: key})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	elsewhere := made(nil, nil)
	if err := elsewhere.Revoke(t.Context(), elsewhere.Status().Versions[0].ID); err != nil {
		t.Fatal(err)
	}
	tombstone := elsewhere.Tombstones()[0]
	var set credential.Set
	took := false
	store := &busy{meanwhile: func() {
		if c := set.Get("masterKey"); c != nil {
			took = c.Revoked(t.Context(), tombstone) == nil
		}
	}}
	c := made(&set, store)
	if d := c.Verify(keyA); took && d.OK() {
		t.Error("a version is accepted that was revoked while the credential was made")
	}
	if set.Get("masterKey") != c {
		t.Error("it is not in its Set")
	}
}
