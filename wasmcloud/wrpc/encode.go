package wrpc

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// The encoders append a value to b and return the longer slice, as append does. They
// allocate only what append allocates.

// AppendBool appends 00 or 01.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendU8 appends one raw byte.
func AppendU8(b []byte, v uint8) []byte { return append(b, v) }

// AppendS8 appends one raw byte.
func AppendS8(b []byte, v int8) []byte { return append(b, byte(v)) }

// AppendU16 appends unsigned LEB128, at most 3 bytes.
func AppendU16(b []byte, v uint16) []byte { return binary.AppendUvarint(b, uint64(v)) }

// AppendU32 appends unsigned LEB128, at most 5 bytes.
func AppendU32(b []byte, v uint32) []byte { return binary.AppendUvarint(b, uint64(v)) }

// AppendU64 appends unsigned LEB128, at most 10 bytes.
func AppendU64(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

// AppendS16 appends signed LEB128, at most 3 bytes.
func AppendS16(b []byte, v int16) []byte { return AppendS64(b, int64(v)) }

// AppendS32 appends signed LEB128, at most 5 bytes.
func AppendS32(b []byte, v int32) []byte { return AppendS64(b, int64(v)) }

// AppendS64 appends signed LEB128, at most 10 bytes.
func AppendS64(b []byte, v int64) []byte {
	for v < -64 || v > 63 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v)&0x7f)
}

// AppendF32 appends 4 bytes, little endian. The bits of a NaN are kept.
func AppendF32(b []byte, v float32) []byte {
	return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
}

// AppendF64 appends 8 bytes, little endian. The bits of a NaN are kept.
func AppendF64(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

// AppendChar appends the 1 to 4 bytes of v in UTF-8, without a length. What is no
// Unicode scalar value becomes U+FFFD.
func AppendChar(b []byte, v rune) []byte { return utf8.AppendRune(b, v) }

// AppendString appends the number of bytes of v, then v, which must be UTF-8: the other
// side refuses anything else.
func AppendString(b []byte, v string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// AppendBytes appends a list<u8>, which is also what an owned or borrowed handle of a
// resource is: the number of bytes, then the bytes.
func AppendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// AppendList appends the number of elements, then each of them by elem.
func AppendList[T any](b []byte, list []T, elem func([]byte, T) []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, v := range list {
		b = elem(b, v)
	}
	return b
}

// AppendOption appends 00, or 01 and the value.
func AppendOption[T any](b []byte, o Option[T], some func([]byte, T) []byte) []byte {
	if !o.Some {
		return append(b, 0)
	}
	return some(append(b, 1), o.Value)
}

// AppendResult appends 00 and the value, or 01 and the error. AppendUnit is for a side
// that has no type.
func AppendResult[T, E any](b []byte, r Result[T, E], ok func([]byte, T) []byte, failed func([]byte, E) []byte) []byte {
	if r.Failed {
		return failed(append(b, 1), r.Err)
	}
	return ok(append(b, 0), r.Value)
}

// AppendUnit appends nothing: the side of a result that has no type.
func AppendUnit(b []byte, _ Unit) []byte { return b }

// AppendCase appends the index of the case of a variant, whose payload follows if it has
// one, or of an enum.
func AppendCase(b []byte, index uint32) []byte { return AppendU32(b, index) }

// AppendFlags appends the n lowest bits of v in ceil(n/8) bytes, the first flag as the
// lowest bit. The component model allows 32 flags; n may be up to 64.
func AppendFlags(b []byte, n int, v uint64) []byte {
	if n < 64 {
		v &= 1<<n - 1
	}
	for ; n > 0; n -= 8 {
		b = append(b, byte(v))
		v >>= 8
	}
	return b
}
