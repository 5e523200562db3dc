package https

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"time"
)

// kept is the answer that an ETag stands for. The engine forgets values that are only
// verified; so that this one does not stay in memory as text, it is kept under a key of
// its own, made for it and used once. The zero value keeps nothing.
type kept struct {
	etag    string
	created time.Time
	key     []byte
	sealed  []byte
}

func keep(etag string, body []byte, created time.Time) kept {
	if etag == "" {
		return kept{}
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	aead := cipherOf(key)
	return kept{etag: etag, created: created, key: key, sealed: aead.Seal(nil, make([]byte, aead.NonceSize()), body, nil)}
}

// open returns the answer; the caller wipes it.
func (k kept) open() []byte {
	aead := cipherOf(k.key)
	body, err := aead.Open(nil, make([]byte, aead.NonceSize()), k.sealed, nil)
	if err != nil {
		panic(err) // sealed above with the same key
	}
	return body
}

func cipherOf(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // a block cipher of 16 bytes
	}
	return aead
}
