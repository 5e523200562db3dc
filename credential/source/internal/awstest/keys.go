package awstest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

type key struct {
	id    string
	aead  cipher.AEAD
	state string
}

func (f *Fake) createKey(map[string]any) (any, *failure) {
	f.number++
	k := &key{id: fmt.Sprintf("99999999-2222-3333-4444-%012d", f.number), state: "Enabled"}
	var raw [32]byte
	_, _ = rand.Read(raw[:])
	block, _ := aes.NewCipher(raw[:])
	k.aead, _ = cipher.NewGCM(block)
	f.keys[k.id] = k
	return map[string]any{"KeyMetadata": map[string]any{"KeyId": k.id, "Arn": k.arn(), "KeyState": k.state}}, nil
}

func (k *key) arn() string { return "arn:aws:kms:" + Region + ":123456789012:key/" + k.id }

func (f *Fake) key(id string) (*key, *failure) {
	for _, k := range f.keys {
		if k.id != id && k.arn() != id {
			continue
		}
		switch k.state {
		case "Disabled":
			return k, fail("DisabledException")
		case "PendingDeletion":
			return k, fail("KMSInvalidStateException")
		}
		return k, nil
	}
	return nil, fail("NotFoundException")
}

// The ciphertext is the id of the key, a nonce and what AES-GCM makes of the plaintext, with the context as additional data.
func (f *Fake) encrypt(in map[string]any) (any, *failure) {
	k, failed := f.key(str(in, "KeyId"))
	if failed != nil {
		return nil, failed
	}
	plain, _ := base64.StdEncoding.DecodeString(str(in, "Plaintext"))
	nonce := make([]byte, k.aead.NonceSize())
	_, _ = rand.Read(nonce)
	blob := append([]byte{1, 2, 2, 0}, k.id...)
	blob = k.aead.Seal(append(blob, nonce...), nonce, plain, contextOf(in))
	return map[string]any{"CiphertextBlob": blob, "KeyId": k.arn()}, nil
}

func contextOf(in map[string]any) []byte {
	text, _ := json.Marshal(in["EncryptionContext"])
	return text
}

func (f *Fake) decrypt(in map[string]any) (any, *failure) {
	blob, _ := base64.StdEncoding.DecodeString(str(in, "CiphertextBlob"))
	const head = 4 + 36
	if len(blob) < head+12+16 {
		return nil, fail("InvalidCiphertextException")
	}
	k, failed := f.key(string(blob[4:head]))
	if failed != nil {
		return nil, failed
	}
	if want := str(in, "KeyId"); want != "" && want != k.id && want != k.arn() {
		return nil, fail("IncorrectKeyException")
	}
	plain, err := k.aead.Open(nil, blob[head:head+12], blob[head+12:], contextOf(in))
	if err != nil {
		return nil, fail("InvalidCiphertextException")
	}
	return map[string]any{"Plaintext": plain, "KeyId": k.arn(), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}, nil
}

func (f *Fake) disableKey(in map[string]any) (any, *failure) { return f.set(in, "Disabled") }
func (f *Fake) enableKey(in map[string]any) (any, *failure)  { return f.set(in, "Enabled") }
func (f *Fake) scheduleKeyDeletion(in map[string]any) (any, *failure) {
	return f.set(in, "PendingDeletion")
}

func (f *Fake) set(in map[string]any, state string) (any, *failure) {
	k, failed := f.key(str(in, "KeyId"))
	if k == nil {
		return nil, failed
	}
	k.state = state
	return map[string]any{"KeyId": k.id}, nil
}
