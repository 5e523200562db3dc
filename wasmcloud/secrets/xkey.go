package secrets

import (
	"bytes"
	"crypto/rand"
	"io"

	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential"
)

// Transit is a curve key that requests are sealed for: one version of the transit key.
type Transit struct {
	Public string            // X…
	seed   credential.Secret // SX…
}

// DecodeTransit makes a Transit of a seed SX…, for credential.NewPresenter. The source may hold several, of which the first is
// handed out: whoever replaces the key puts the new seed before the old one, because running hosts have the old one.
func DecodeTransit(m credential.Material) (Transit, error) {
	raw := m.Value.Reveal()
	defer clear(raw)
	pair, err := nkeys.FromCurveSeed(bytes.TrimSpace(raw))
	if err != nil {
		return Transit{}, credential.Errorf(credential.Invalid, "the transit key is not the seed of a curve key, which begins with SX")
	}
	defer pair.Wipe()
	public, err := pair.PublicKey()
	if err != nil {
		return Transit{}, credential.Errorf(credential.Invalid, "the transit key is not the seed of a curve key, which begins with SX")
	}
	return Transit{Public: public, seed: credential.NewSecret(bytes.TrimSpace(raw))}, nil
}

// CheckTransit refuses what DecodeTransit would, for credential.Config.Check.
func CheckTransit(value credential.Secret, _ map[string]credential.Secret) error {
	_, err := DecodeTransit(credential.Material{Value: value})
	return err
}

// NewTransit makes a new transit key: the seed to keep.
func NewTransit() (credential.Secret, error) {
	pair, err := nkeys.CreateCurveKeysWithRand(rand.Reader)
	if err != nil {
		return credential.Secret{}, err
	}
	defer pair.Wipe()
	seed, err := pair.Seed()
	if err != nil {
		return credential.Secret{}, err
	}
	defer clear(seed)
	return credential.NewSecret(seed), nil
}

const (
	curveKeyLength = 56 // letters of a public curve key
	sealOverhead   = 44 // version, nonce, authenticator
)

var sealVersion = []byte(nkeys.XKeyVersionV1)

// isCurveKey reports whether a text is a public curve key. The length comes first: nkeys decodes into a buffer of that size.
func isCurveKey(text string) bool {
	return len(text) == curveKeyLength && nkeys.IsValidPublicCurveKey(text)
}

// open opens what somebody sealed for one of the keys, the present one first.
func open(sealed []byte, sender string, keys []Transit) ([]byte, *Error) {
	if len(sealed) <= sealOverhead || !bytes.HasPrefix(sealed, sealVersion) {
		return nil, refuse(InvalidPayload, "nothing that was sealed with %s", sealVersion)
	}
	for _, key := range keys {
		raw := key.seed.Reveal()
		pair, err := nkeys.FromCurveSeed(raw)
		clear(raw)
		if err != nil {
			continue // was refused by DecodeTransit
		}
		text, err := pair.Open(sealed, sender)
		pair.Wipe()
		if err == nil {
			return text, nil
		}
	}
	return nil, refuse(DecryptionError, "sealed for a key that this backend does not have, or damaged")
}

// seal seals an answer with a key made for it, whose public part it returns.
func seal(text []byte, recipient string, random io.Reader) (sealed []byte, public string, refused *Error) {
	failed := refuse(EncryptionError, "the answer could not be sealed")
	pair, err := nkeys.CreateCurveKeysWithRand(random)
	if err != nil {
		return nil, "", failed
	}
	defer pair.Wipe()
	if public, err = pair.PublicKey(); err != nil {
		return nil, "", failed
	}
	if sealed, err = pair.SealWithRand(text, recipient, random); err != nil {
		return nil, "", failed
	}
	return sealed, public, nil
}
