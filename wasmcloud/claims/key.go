package claims

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/parley-backend/parley/credential"
)

// Kind is what a key stands for. Its value is the first byte of the key's text form, and so the text's first letter.
type Kind byte

// The kinds of keys that sign, or are signed for. Curve keys (X) encrypt, and belong to github.com/nats-io/nkeys.
const (
	Account   Kind = 0       // A: an issuer of components and providers
	Cluster   Kind = 2 << 3  // C
	Component Kind = 12 << 3 // M: once "module"
	Host      Kind = 13 << 3 // N: NATS calls it server
	Operator  Kind = 14 << 3 // O: an issuer of accounts
	User      Kind = 20 << 3 // U: who logs in to NATS
	Provider  Kind = 21 << 3 // V: wasmCloud calls it service
)

// kinds is the table of all kinds.
var kinds = []struct {
	kind   Kind
	letter byte
	name   string
}{
	{Account, 'A', "account"},
	{Cluster, 'C', "cluster"},
	{Component, 'M', "component"},
	{Host, 'N', "host"},
	{Operator, 'O', "operator"},
	{User, 'U', "user"},
	{Provider, 'V', "provider"},
}

// String is one word of English.
func (k Kind) String() string {
	for _, row := range kinds {
		if row.kind == k {
			return row.name
		}
	}
	return "unknown"
}

// Letter is the first letter of a public key of this kind.
func (k Kind) Letter() string {
	for _, row := range kinds {
		if row.kind == k {
			return string(row.letter)
		}
	}
	return "?"
}

func (k Kind) known() bool { return k.String() != "unknown" }

// ErrKey says that a text is no key: neither the text nor a part of it is in the error.
var ErrKey = errors.New("claims: no key")

const (
	publicText = 56      // letters: 1 byte of kind, 32 of key, 2 of checksum
	seedText   = 58      // letters: 2 bytes of kind, 32 of seed, 2 of checksum
	seedMark   = 18 << 3 // S
)

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// ParsePublic decodes a public key: letters of base32 for the byte of the kind, 32 bytes of ed25519, and a checksum, CRC-16/XMODEM with
// the low byte first. The error is ErrKey.
func ParsePublic(text string) (Kind, ed25519.PublicKey, error) {
	raw, err := unseal(text, publicText)
	if err != nil {
		return 0, nil, err
	}
	kind := Kind(raw[0])
	if !kind.known() {
		return 0, nil, fmt.Errorf("%w: its first letter is none of a key that signs", ErrKey)
	}
	return kind, ed25519.PublicKey(raw[1:]), nil
}

// FormatPublic is the text of a public key; ParsePublic is its inverse.
func FormatPublic(kind Kind, key ed25519.PublicKey) string {
	return seal(append([]byte{byte(kind)}, key...))
}

// Key signs. It does not print what it holds; Seed is the only way to it.
type Key struct {
	kind   Kind
	public string
	seed   credential.Secret // 32 bytes
}

// Generate makes a key from the system's randomness.
func Generate(kind Kind) *Key {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails
	defer clear(seed)
	return newKey(kind, seed)
}

// ParseSeed decodes a seed, S followed by the letter of the kind. White space around it is ignored. The error is ErrKey.
func ParseSeed(text []byte) (*Key, error) {
	raw, err := unseal(string(trim(text)), seedText)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	// Both letters are to be seen in base32, which takes 5 bits a letter: the kind begins in the last 3 bits of the first byte.
	kind := Kind(raw[0]&7<<5 | raw[1]>>3)
	if raw[0]&^7 != seedMark || raw[1]&7 != 0 || !kind.known() {
		return nil, fmt.Errorf("%w: it is not a seed that signs", ErrKey)
	}
	return newKey(kind, raw[2:]), nil
}

func newKey(kind Kind, seed []byte) *Key {
	private := ed25519.NewKeyFromSeed(seed)
	defer clear(private)
	return &Key{kind: kind, public: FormatPublic(kind, private.Public().(ed25519.PublicKey)), seed: credential.NewSecret(seed)}
}

// Kind is what the key stands for.
func (k *Key) Kind() Kind { return k.kind }

// Public is the text of the public key.
func (k *Key) Public() string { return k.public }

// Seed is the text that ParseSeed reads.
func (k *Key) Seed() credential.Secret {
	raw := append([]byte{seedMark | byte(k.kind)>>5, byte(k.kind) & 31 << 3}, k.seed.Reveal()...)
	defer clear(raw)
	return credential.NewSecret(seal(raw))
}

// Sign returns the 64 bytes of the signature of data.
func (k *Key) Sign(data []byte) []byte {
	seed := k.seed.Reveal()
	private := ed25519.NewKeyFromSeed(seed)
	defer clear(seed)
	defer clear(private)
	return ed25519.Sign(private, data)
}

// Wipe overwrites the seed. The key does not sign any more what anybody accepts.
func (k *Key) Wipe() { k.seed.Wipe() }

// String is the public key.
func (k *Key) String() string { return k.public }

func seal(raw []byte) string {
	return encoding.EncodeToString(binary.LittleEndian.AppendUint16(raw, checksum(raw)))
}

// unseal decodes a text of so many letters and checks and cuts off its checksum. It takes no second spelling of a key: base32 of Go
// passes over line breaks and over bits behind the last byte.
func unseal(text string, letters int) ([]byte, error) {
	if len(text) != letters {
		return nil, fmt.Errorf("%w: it has %d letters in place of %d", ErrKey, len(text), letters)
	}
	raw, err := encoding.DecodeString(text)
	if err != nil || encoding.EncodeToString(raw) != text {
		return nil, fmt.Errorf("%w: it is not base32", ErrKey)
	}
	body, sum := raw[:len(raw)-2], binary.LittleEndian.Uint16(raw[len(raw)-2:])
	if checksum(body) != sum {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrKey)
	}
	return body, nil
}

// checksum is CRC-16/XMODEM: polynomial 0x1021, begun with zero, not reflected.
func checksum(data []byte) uint16 {
	var crc uint16
	for _, b := range data {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

func trim(text []byte) []byte {
	space := func(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }
	for len(text) > 0 && space(text[0]) {
		text = text[1:]
	}
	for len(text) > 0 && space(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text
}
