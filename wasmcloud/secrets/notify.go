package secrets

import (
	"encoding/json"

	"github.com/parley-backend/parley/credential"
)

// Rotation is told on {topic}.v1alpha1.{name}.rotated.{key}, by every instance, after a key has another value: whoever holds the one
// before may ask again. It is a hint, like all of NATS outside JetStream: who must not miss one asks from time to time as well.
type Rotation struct {
	Key     string `json:"key"`
	Version string `json:"version,omitempty"` // that is current now; of a minted login that of its signing key; none if there is none
	Revoked bool   `json:"revoked,omitempty"` // versions of the key were revoked in the configuration
}

// follow tells of changes of the keys from now on.
func (b *Backend) follow(keys map[string]*held) (end func()) {
	var ends []func()
	for name, h := range keys {
		if h.Mint != nil {
			ends = append(ends, h.signing.OnChange(func(_, now credential.Lease[signer]) { b.tell(Rotation{Key: name, Version: now.VersionID}) }))
			continue
		}
		ends = append(ends, h.presenter.OnChange(func(_, now credential.Lease[credential.Material]) {
			b.tell(Rotation{Key: name, Version: now.VersionID})
		}))
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// tell publishes a rotation.
func (b *Backend) tell(r Rotation) {
	text, err := json.Marshal(r)
	if err == nil {
		err = b.cfg.Conn.Publish(b.base+".rotated."+r.Key, text)
	}
	if err != nil {
		b.cfg.Log.Warn("a rotation could not be told to those who hold the key", "event", "wasmcloud_secret_rotated", "key", r.Key, "error", err.Error())
	}
}
