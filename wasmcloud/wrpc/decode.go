package wrpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Why bytes do not decode. A DecodeError wraps one of them.
var (
	// ErrShort says that the value goes on after the last byte: more may still come.
	ErrShort = errors.New("more bytes are needed")
	// ErrOverflow says that an integer does not fit its type, or is written in more bytes than it may have.
	ErrOverflow = errors.New("the integer is out of range")
	// ErrStatus says that the byte before a bool, option or result is neither 00 nor 01.
	ErrStatus = errors.New("the byte is neither 00 nor 01")
	// ErrCase says that a variant or enum has no case of that index.
	ErrCase = errors.New("there is no such case")
	// ErrUTF8 says that a string or char is not UTF-8.
	ErrUTF8 = errors.New("the text is not UTF-8")
)

// A DecodeError says where bytes do not decode, and why. It holds none of them.
type DecodeError struct {
	Type   string // of the value, a word of WIT
	Offset int    // of its first byte
	Err    error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("wrpc: %s at byte %d: %v", e.Type, e.Offset, e.Err)
}

func (e *DecodeError) Unwrap() error { return e.Err }

// Decoder reads values off the front of a slice. After the first value that does not
// decode, every method returns a zero value and Err says what was wrong, so it is
// enough to ask once, at the end. It allocates no more than a small multiple of the
// bytes that are really there, whatever lengths they state.
//
// Bytes after the last value are no error: peers ignore them too.
type Decoder struct {
	data []byte
	off  int
	err  error
}

// NewDecoder returns a Decoder of data, which must not change while its results are used.
func NewDecoder(data []byte) *Decoder { return &Decoder{data: data} }

// Err is nil or a *DecodeError.
func (d *Decoder) Err() error { return d.err }

// Left is the number of bytes that have not been read.
func (d *Decoder) Left() int { return len(d.data) - d.off }

func (d *Decoder) fail(typ string, offset int, why error) {
	if d.err == nil {
		d.err = &DecodeError{Type: typ, Offset: offset, Err: why}
	}
}

// take returns the next n bytes, or nil.
func (d *Decoder) take(typ string, n int) []byte {
	if d.err != nil {
		return nil
	}
	if n > d.Left() {
		d.fail(typ, d.off, ErrShort)
		return nil
	}
	b := d.data[d.off : d.off+n : d.off+n]
	d.off += n
	return b
}

// status reads the byte before a bool, option or result.
func (d *Decoder) status(typ string) bool {
	b := d.take(typ, 1)
	if b == nil {
		return false
	}
	if b[0] > 1 {
		d.fail(typ, d.off-1, ErrStatus)
		return false
	}
	return b[0] == 1
}

// Bool reads 00 or 01.
func (d *Decoder) Bool() bool { return d.status("bool") }

// U8 reads one raw byte.
func (d *Decoder) U8() uint8 {
	if b := d.take("u8", 1); b != nil {
		return b[0]
	}
	return 0
}

// S8 reads one raw byte.
func (d *Decoder) S8() int8 {
	if b := d.take("s8", 1); b != nil {
		return int8(b[0])
	}
	return 0
}

// U16 reads unsigned LEB128.
func (d *Decoder) U16() uint16 { return uint16(d.unsigned("u16", 16)) }

// U32 reads unsigned LEB128.
func (d *Decoder) U32() uint32 { return uint32(d.unsigned("u32", 32)) }

// U64 reads unsigned LEB128.
func (d *Decoder) U64() uint64 { return d.unsigned("u64", 64) }

// S16 reads signed LEB128.
func (d *Decoder) S16() int16 { return int16(d.signed("s16", 16)) }

// S32 reads signed LEB128.
func (d *Decoder) S32() int32 { return int32(d.signed("s32", 32)) }

// S64 reads signed LEB128.
func (d *Decoder) S64() int64 { return d.signed("s64", 64) }

// unsigned reads an integer of that many bits. Needless groups of zeros are accepted as
// long as the type may have that many bytes.
func (d *Decoder) unsigned(typ string, bits uint) uint64 {
	if d.err != nil {
		return 0
	}
	var v uint64
	at := d.off
	for shift := uint(0); ; shift += 7 {
		if at == len(d.data) {
			d.fail(typ, d.off, ErrShort)
			return 0
		}
		b := d.data[at]
		at++
		if shift+7 > bits && b>>(bits-shift) != 0 { // the last group: no bit too many, and none that says more follows
			d.fail(typ, d.off, ErrOverflow)
			return 0
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			d.off = at
			return v
		}
	}
}

// signed reads an integer of that many bits in two's complement.
func (d *Decoder) signed(typ string, bits uint) int64 {
	if d.err != nil {
		return 0
	}
	var v int64
	at := d.off
	for shift := uint(0); ; shift += 7 {
		if at == len(d.data) {
			d.fail(typ, d.off, ErrShort)
			return 0
		}
		b := d.data[at]
		at++
		group := int8(b<<1) >> 1 // its 7 bits, the highest being the sign
		if shift+7 > bits {
			if rest := group >> (bits - shift - 1); b >= 0x80 || rest != 0 && rest != -1 {
				d.fail(typ, d.off, ErrOverflow)
				return 0
			}
		}
		if b < 0x80 {
			d.off = at
			return v | int64(group)<<shift
		}
		v |= int64(b&0x7f) << shift
	}
}

// F32 reads 4 bytes, little endian.
func (d *Decoder) F32() float32 {
	if b := d.take("f32", 4); b != nil {
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	}
	return 0
}

// F64 reads 8 bytes, little endian.
func (d *Decoder) F64() float64 {
	if b := d.take("f64", 8); b != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return 0
}

// Char reads one Unicode scalar value in UTF-8.
func (d *Decoder) Char() rune {
	if d.err != nil {
		return 0
	}
	rest := d.data[d.off:]
	if !utf8.FullRune(rest) {
		d.fail("char", d.off, ErrShort)
		return 0
	}
	r, n := utf8.DecodeRune(rest)
	if r == utf8.RuneError && n == 1 {
		d.fail("char", d.off, ErrUTF8)
		return 0
	}
	d.off += n
	return r
}

// length reads how many elements follow. None is encoded in less than one byte, so
// there cannot be more of them than bytes.
func (d *Decoder) length(typ string) int {
	at := d.off
	n := d.unsigned(typ, 32)
	if d.err == nil && n > uint64(d.Left()) {
		d.fail(typ, at, ErrShort)
		return 0
	}
	return int(n)
}

// Text reads a string. The result is a copy.
func (d *Decoder) Text() string {
	at := d.off
	b := d.take("string", d.length("string"))
	if !utf8.Valid(b) {
		d.fail("string", at, ErrUTF8)
		return ""
	}
	return string(b)
}

// Bytes reads a list<u8>, or an owned or borrowed handle of a resource. The result is
// a part of the slice that is decoded, with no capacity beyond its end, and nil if
// it is empty.
func (d *Decoder) Bytes() []byte {
	n := d.length("list<u8>")
	if n == 0 {
		return nil
	}
	return d.take("list<u8>", n)
}

// DecodeList reads the number of elements and each of them by elem. An empty list is nil.
func DecodeList[T any](d *Decoder, elem func(*Decoder) T) []T {
	n := d.length("list")
	var list []T
	for range n {
		at := d.off
		v := elem(d)
		if d.err == nil && d.off == at {
			d.fail("list", at, ErrShort) // an elem that reads nothing would let 5 bytes ask for 4 billion of them
		}
		if d.err != nil {
			return nil
		}
		if list == nil {
			list = make([]T, 0, min(n, 64)) // grows with what is really there
		}
		list = append(list, v)
	}
	return list
}

// DecodeOption reads 00, or 01 and the value.
func DecodeOption[T any](d *Decoder, some func(*Decoder) T) Option[T] {
	if !d.status("option") {
		return Option[T]{}
	}
	v := some(d)
	if d.err != nil {
		return Option[T]{}
	}
	return Some(v)
}

// DecodeResult reads 00 and the value, or 01 and the error. DecodeUnit is for a side that has no type.
func DecodeResult[T, E any](d *Decoder, ok func(*Decoder) T, failed func(*Decoder) E) Result[T, E] {
	isErr := d.status("result")
	var r Result[T, E]
	switch {
	case d.err != nil:
	case isErr:
		r = Err[T](failed(d))
	default:
		r = Ok[T, E](ok(d))
	}
	if d.err != nil {
		return Result[T, E]{}
	}
	return r
}

// DecodeUnit reads nothing.
func DecodeUnit(*Decoder) Unit { return Unit{} }

// Case reads the index of the case of a variant or enum that has n cases.
func (d *Decoder) Case(n uint32) uint32 {
	at := d.off
	index := uint32(d.unsigned("variant", 32))
	if d.err == nil && index >= n {
		d.fail("variant", at, ErrCase)
		return 0
	}
	return index
}

// Flags reads ceil(n/8) bytes and returns the n lowest bits, the first flag as the lowest. n may be up to 64.
func (d *Decoder) Flags(n int) uint64 {
	var v uint64
	for i, b := range d.take("flags", (n+7)/8) {
		v |= uint64(b) << (8 * i)
	}
	if n < 64 {
		v &= 1<<n - 1
	}
	return v
}
