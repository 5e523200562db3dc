package credential

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"runtime"
	"slices"
	"sync"
)

// A Digester lets a source tell whether what it read is what it read before, without keeping it: equal content has equal digests.
// They are salted, differ from process to process, and leave no copy of the content in memory. The zero Digester is ready for
// use.
type Digester struct {
	once sync.Once
	salt [saltSize]byte
}

// Bytes returns the digest of content.
func (d *Digester) Bytes(content []byte) [32]byte {
	d.once.Do(func() { _, _ = rand.Read(d.salt[:]) }) // never fails
	return d.sum(append(d.salt[:], content...))
}

// Version returns the digest of the value and the fields of v.
func (d *Digester) Version(v *Version) [32]byte {
	d.once.Do(func() { _, _ = rand.Read(d.salt[:]) })
	size := saltSize + binary.MaxVarintLen64 + v.Value.Len()
	for name, field := range v.Fields {
		size += 2*binary.MaxVarintLen64 + len(name) + field.Len()
	}
	buffer := append(make([]byte, 0, size), d.salt[:]...) // large enough: growing would leave copies behind
	write := func(part []byte) { buffer = append(binary.AppendUvarint(buffer, uint64(len(part))), part...) }
	write(v.Value.raw())
	for _, name := range slices.Sorted(maps.Keys(v.Fields)) {
		write([]byte(name))
		write(v.Fields[name].raw())
	}
	return d.sum(buffer)
}

func (d *Digester) sum(buffer []byte) [32]byte {
	scrub()
	sum := hashed(buffer)
	clear(buffer)
	scrub()
	return sum
}

// hashed is SHA-256 in a frame of its own, below that of the caller, which then calls scrub.
//
//go:noinline
func hashed(value []byte) digest { return sha256.Sum256(value) }

// scrub overwrites the stack below its caller. A hash keeps the end of what it was given in its frame, and the stack of a goroutine
// that has ended lies in memory as it was left. Called beforehand, too, it has the stack grow while there is nothing to leave behind in
// the old one.
//
//go:noinline
func scrub() {
	var frame [4096]byte
	runtime.KeepAlive(&frame)
}
