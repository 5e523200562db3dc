package credential

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
)

// minWrapKey is how long a wrapping key must be, in bytes: it is a key, not a password.
const minWrapKey = 32

// wrapFormat is the format of what is wrapped. It is bound into the key and into the text, so that no later format is taken
// for it.
const wrapFormat = "parley last known good 1"

// wrappedVersion is a version of a credential that is presented, with its value.
type wrappedVersion struct {
	LastGoodVersion
	Value  []byte            `json:"value,omitempty"`
	Fields map[string][]byte `json:"fields,omitempty"`
}

// wrapper returns the cipher for the values of this credential: AES-256-GCM with a random nonce, under a key that is derived from the
// wrapping key for this name alone.
func (c *Credential) wrapper(ctx context.Context) (cipher.AEAD, error) {
	secret, err := c.cfg().WrapKey(ctx)
	if err != nil {
		return nil, Errorf(asError(err).Class, "the wrapping key cannot be had: %s", asError(err).Reason)
	}
	if secret.Len() < minWrapKey {
		return nil, Errorf(Invalid, "the wrapping key is shorter than %d bytes", minWrapKey)
	}
	key, err := hkdf.Key(sha256.New, secret.raw(), nil, wrapFormat+"\x00"+c.cfg().Name, 32)
	if err != nil {
		return nil, Errorf(Invalid, "the wrapping key cannot be used")
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, Errorf(Invalid, "the wrapping key cannot be used")
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, Errorf(Invalid, "the wrapping key cannot be used")
	}
	return aead, nil
}

// wrappedFor is what a wrapped text is bound to.
func (c *Credential) wrappedFor() []byte { return []byte(wrapFormat + "\x00" + c.cfg().Name) }

// wrap returns the live versions of a snapshot, encrypted.
func (c *Credential) wrap(ctx context.Context, snap *snapshot) ([]byte, error) {
	aead, err := c.wrapper(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]wrappedVersion, len(snap.live))
	for i := range snap.live {
		v := &snap.live[i]
		all[i] = wrappedVersion{LastGoodVersion: v.lastGood(), Value: v.value.raw()}
		for name, field := range v.fields {
			if all[i].Fields == nil {
				all[i].Fields = make(map[string][]byte, len(v.fields))
			}
			all[i].Fields[name] = field.raw()
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, Errorf(Invalid, "cannot be encoded")
	}
	defer clear(text)
	return aead.Seal(nil, nil, text, c.wrappedFor()), nil
}

// unwrap returns the versions that wrap has encrypted, in plain.
func (c *Credential) unwrap(ctx context.Context, sealedText []byte, at instant) ([]version, error) {
	aead, err := c.wrapper(ctx)
	if err != nil {
		return nil, err
	}
	text, err := aead.Open(nil, nil, sealedText, c.wrappedFor())
	if err != nil {
		return nil, Errorf(Invalid, "it was encrypted with another wrapping key, or changed")
	}
	defer clear(text)
	var all []wrappedVersion
	if json.Unmarshal(text, &all) != nil {
		return nil, Errorf(Invalid, "it is incomplete")
	}
	versions := make([]version, len(all))
	for i := range all {
		v, ok := all[i].version(at)
		if !ok {
			return nil, Errorf(Invalid, "it is incomplete")
		}
		v.value = sealed(all[i].Value)
		for name, field := range all[i].Fields {
			if v.fields == nil {
				v.fields = make(map[string]Secret, len(all[i].Fields))
			}
			v.fields[name] = sealed(field)
		}
		versions[i] = v
	}
	return versions, nil
}
