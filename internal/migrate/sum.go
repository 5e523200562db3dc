package migrate

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"slices"

	"github.com/parley-backend/parley/parse"
)

// digest is the number of objects and the sum of their hashes, modulo 2^256.
type digest struct {
	count int64
	sum   [4]uint64
}

// add adds one object, as canonical JSON.
func (d *digest) add(text []byte) {
	hash := sha256.Sum256(text)
	d.count++
	var carry uint64
	for i := range d.sum {
		d.sum[i], carry = bits.Add64(d.sum[i], binary.LittleEndian.Uint64(hash[8*i:]), carry)
	}
}

func (d digest) hex() string {
	var text []byte
	for _, word := range d.sum {
		text = binary.LittleEndian.AppendUint64(text, word)
	}
	return hex.EncodeToString(text)
}

func (d digest) class(name string) Class { return Class{Name: name, Objects: d.count, Sum: d.hex()} }

// digest is what a class was when it was done; one without objects when its sum cannot be read.
func (c Class) digest() digest {
	text, err := hex.DecodeString(c.Sum)
	if err != nil || len(text) != sha256.Size {
		return digest{count: -1}
	}
	d := digest{count: c.Objects}
	for i := range d.sum {
		d.sum[i] = binary.LittleEndian.Uint64(text[8*i:])
	}
	return d
}

// canonical appends the JSON of a stored object in which what databases keep differently is the same.
func canonical(dst []byte, o *parse.Object) []byte {
	return members(dst, &o.Map, true)
}

// members appends a map with its keys sorted; at the top, null is no field.
func members(dst []byte, m *parse.Map, top bool) []byte {
	keys := m.Keys()
	slices.Sort(keys)
	dst = append(dst, '{')
	first := true
	for _, key := range keys {
		v := m.Get(key)
		if top && v == nil {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(parse.AppendString(dst, key), ':')
		dst = value(dst, v)
	}
	return append(dst, '}')
}

func value(dst []byte, v any) []byte {
	switch v := v.(type) {
	case *parse.Map:
		return members(dst, v, false)
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = value(dst, e)
		}
		return append(dst, ']')
	case float64:
		return parse.AppendNumber(dst, v+0) // of -0 and 0 it is 0
	}
	return parse.AppendJSON(dst, v)
}
