package wrpc_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// TestTypes has a row for every type of the table of value encodings.
func TestTypes(t *testing.T) {
	type result = wrpc.Result[string, wrpc.Unit]
	for _, c := range []struct {
		name   string
		value  any
		hex    string
		encode func(b []byte) []byte
		decode func(d *wrpc.Decoder) any
	}{
		{"bool false", false, "00", func(b []byte) []byte { return wrpc.AppendBool(b, false) }, func(d *wrpc.Decoder) any { return d.Bool() }},
		{"bool true", true, "01", func(b []byte) []byte { return wrpc.AppendBool(b, true) }, func(d *wrpc.Decoder) any { return d.Bool() }},
		{"u8", uint8(200), "c8", func(b []byte) []byte { return wrpc.AppendU8(b, 200) }, func(d *wrpc.Decoder) any { return d.U8() }},
		{"s8", int8(-1), "ff", func(b []byte) []byte { return wrpc.AppendS8(b, -1) }, func(d *wrpc.Decoder) any { return d.S8() }},
		{"u16 max", uint16(math.MaxUint16), "ffff03", func(b []byte) []byte { return wrpc.AppendU16(b, math.MaxUint16) }, func(d *wrpc.Decoder) any { return d.U16() }},
		{"u32 max", uint32(math.MaxUint32), "ffffffff0f", func(b []byte) []byte { return wrpc.AppendU32(b, math.MaxUint32) }, func(d *wrpc.Decoder) any { return d.U32() }},
		{"u64 max", uint64(math.MaxUint64), "ffffffffffffffffff01", func(b []byte) []byte { return wrpc.AppendU64(b, math.MaxUint64) }, func(d *wrpc.Decoder) any { return d.U64() }},
		{"s16 min", int16(math.MinInt16), "80807e", func(b []byte) []byte { return wrpc.AppendS16(b, math.MinInt16) }, func(d *wrpc.Decoder) any { return d.S16() }},
		{"s16 64", int16(64), "c000", func(b []byte) []byte { return wrpc.AppendS16(b, 64) }, func(d *wrpc.Decoder) any { return d.S16() }},
		{"s32 -1", int32(-1), "7f", func(b []byte) []byte { return wrpc.AppendS32(b, -1) }, func(d *wrpc.Decoder) any { return d.S32() }},
		{"s32 min", int32(math.MinInt32), "8080808078", func(b []byte) []byte { return wrpc.AppendS32(b, math.MinInt32) }, func(d *wrpc.Decoder) any { return d.S32() }},
		{"s32 max", int32(math.MaxInt32), "ffffffff07", func(b []byte) []byte { return wrpc.AppendS32(b, math.MaxInt32) }, func(d *wrpc.Decoder) any { return d.S32() }},
		{"s64 min", int64(math.MinInt64), "8080808080808080807f", func(b []byte) []byte { return wrpc.AppendS64(b, math.MinInt64) }, func(d *wrpc.Decoder) any { return d.S64() }},
		{"s64 max", int64(math.MaxInt64), "ffffffffffffffffff00", func(b []byte) []byte { return wrpc.AppendS64(b, math.MaxInt64) }, func(d *wrpc.Decoder) any { return d.S64() }},
		{"f32", float32(1.5), "0000c03f", func(b []byte) []byte { return wrpc.AppendF32(b, 1.5) }, func(d *wrpc.Decoder) any { return d.F32() }},
		{"f64", float64(-2), "00000000000000c0", func(b []byte) []byte { return wrpc.AppendF64(b, -2) }, func(d *wrpc.Decoder) any { return d.F64() }},
		{"char", '日', "e697a5", func(b []byte) []byte { return wrpc.AppendChar(b, '日') }, func(d *wrpc.Decoder) any { return d.Char() }},
		{"string", "é", "02c3a9", func(b []byte) []byte { return wrpc.AppendString(b, "é") }, func(d *wrpc.Decoder) any { return d.Text() }},
		{"list<u16>", []uint16{1, 300}, "0201ac02", func(b []byte) []byte { return wrpc.AppendList(b, []uint16{1, 300}, wrpc.AppendU16) }, func(d *wrpc.Decoder) any { return wrpc.DecodeList(d, (*wrpc.Decoder).U16) }},
		{"list empty", []uint16(nil), "00", func(b []byte) []byte { return wrpc.AppendList(b, nil, wrpc.AppendU16) }, func(d *wrpc.Decoder) any { return wrpc.DecodeList(d, (*wrpc.Decoder).U16) }},
		{"option<u8> none", wrpc.Option[uint8]{}, "00", func(b []byte) []byte { return wrpc.AppendOption(b, wrpc.Option[uint8]{}, wrpc.AppendU8) }, func(d *wrpc.Decoder) any { return wrpc.DecodeOption(d, (*wrpc.Decoder).U8) }},
		{"option<u8> some", wrpc.Some(uint8(7)), "0107", func(b []byte) []byte { return wrpc.AppendOption(b, wrpc.Some(uint8(7)), wrpc.AppendU8) }, func(d *wrpc.Decoder) any { return wrpc.DecodeOption(d, (*wrpc.Decoder).U8) }},
		{
			"result<string> ok", wrpc.Ok[string, wrpc.Unit]("x"), "000178",
			func(b []byte) []byte {
				return wrpc.AppendResult(b, wrpc.Ok[string, wrpc.Unit]("x"), wrpc.AppendString, wrpc.AppendUnit)
			},
			func(d *wrpc.Decoder) any { return wrpc.DecodeResult(d, (*wrpc.Decoder).Text, wrpc.DecodeUnit) },
		},
		{
			"result<string> err", result{Failed: true}, "01",
			func(b []byte) []byte {
				return wrpc.AppendResult(b, result{Failed: true}, wrpc.AppendString, wrpc.AppendUnit)
			},
			func(d *wrpc.Decoder) any { return wrpc.DecodeResult(d, (*wrpc.Decoder).Text, wrpc.DecodeUnit) },
		},
		{"record, tuple", pair{"a", "b"}, "01610162", func(b []byte) []byte { return appendPair(b, pair{"a", "b"}) }, func(d *wrpc.Decoder) any { return decodePair(d) }},
		{"variant", []any{uint32(2), "x"}, "020178", func(b []byte) []byte { return wrpc.AppendString(wrpc.AppendCase(b, 2), "x") }, func(d *wrpc.Decoder) any { return []any{d.Case(3), d.Text()} }},
		{"enum with 300 cases", uint32(299), "ab02", func(b []byte) []byte { return wrpc.AppendCase(b, 299) }, func(d *wrpc.Decoder) any { return d.Case(300) }},
		{"flags of 3", uint64(0b101), "05", func(b []byte) []byte { return wrpc.AppendFlags(b, 3, 0b101) }, func(d *wrpc.Decoder) any { return d.Flags(3) }},
		{"flags of 9", uint64(0b1_0000_0010), "0201", func(b []byte) []byte { return wrpc.AppendFlags(b, 9, 0b1_0000_0010) }, func(d *wrpc.Decoder) any { return d.Flags(9) }},
		{"flags of 64", uint64(1<<63 | 1), "0100000000000080", func(b []byte) []byte { return wrpc.AppendFlags(b, 64, 1<<63|1) }, func(d *wrpc.Decoder) any { return d.Flags(64) }},
		{"handle", []byte{0xde, 0xad}, "02dead", func(b []byte) []byte { return wrpc.AppendBytes(b, []byte{0xde, 0xad}) }, func(d *wrpc.Decoder) any { return d.Bytes() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := c.encode([]byte("before"))
			if got := hex.EncodeToString(data[len("before"):]); got != c.hex || string(data[:6]) != "before" {
				t.Errorf("%v encodes as %s, want %s", c.value, got, c.hex)
			}
			whole := unhex(t, c.hex)
			d := wrpc.NewDecoder(whole)
			if got := c.decode(d); !cmp.Equal(got, c.value) || d.Err() != nil || d.Left() != 0 {
				t.Errorf("%s decodes as %v, error %v, %d bytes left, want %v", c.hex, got, d.Err(), d.Left(), c.value)
			}
			for n := range whole {
				d := wrpc.NewDecoder(whole[:n])
				if got := c.decode(d); !errors.Is(d.Err(), wrpc.ErrShort) {
					t.Errorf("the first %d bytes decode as %v, error %v, want %v", n, got, d.Err(), wrpc.ErrShort)
				}
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	for _, c := range []struct {
		name, hex, typ string
		want           error
		decode         func(d *wrpc.Decoder)
	}{
		{"bool 2", "02", "bool", wrpc.ErrStatus, func(d *wrpc.Decoder) { d.Bool() }},
		{"option 2", "02", "option", wrpc.ErrStatus, func(d *wrpc.Decoder) { wrpc.DecodeOption(d, (*wrpc.Decoder).U8) }},
		{"result ff", "ff", "result", wrpc.ErrStatus, func(d *wrpc.Decoder) { wrpc.DecodeDone(d) }},
		{"u16 of 17 bits", "ffff07", "u16", wrpc.ErrOverflow, func(d *wrpc.Decoder) { d.U16() }},
		{"u32 of 33 bits", "ffffffff1f", "u32", wrpc.ErrOverflow, func(d *wrpc.Decoder) { d.U32() }},
		{"u32 in 6 bytes", "808080808000", "u32", wrpc.ErrOverflow, func(d *wrpc.Decoder) { d.U32() }},
		{"u64 of 65 bits", "ffffffffffffffffff03", "u64", wrpc.ErrOverflow, func(d *wrpc.Decoder) { d.U64() }},
		{"s16 of 17 bits", "ffff03", "s16", wrpc.ErrOverflow, func(d *wrpc.Decoder) { d.S16() }},
		{"s32 of 33 bits", "ffffffff08", "s32", wrpc.ErrOverflow, func(d *wrpc.Decoder) { d.S32() }},
		{"s64 with a wrong sign", "8080808080808080803f", "s64", wrpc.ErrOverflow, func(d *wrpc.Decoder) { d.S64() }},
		{"s64 in 11 bytes", "8080808080808080808000", "s64", wrpc.ErrOverflow, func(d *wrpc.Decoder) { d.S64() }},
		{"char in Latin 1", "e9", "char", wrpc.ErrShort, func(d *wrpc.Decoder) { d.Char() }},
		{"char of a surrogate", "eda080", "char", wrpc.ErrUTF8, func(d *wrpc.Decoder) { d.Char() }},
		{"string not UTF-8", "01ff", "string", wrpc.ErrUTF8, func(d *wrpc.Decoder) { d.Text() }},
		{"string of 4 GiB", "ffffffff0f61", "string", wrpc.ErrShort, func(d *wrpc.Decoder) { d.Text() }},
		{"list<u8> of 4 GiB", "ffffffff0f61", "list<u8>", wrpc.ErrShort, func(d *wrpc.Decoder) { d.Bytes() }},
		{"list of nothing", "0461626364", "list", wrpc.ErrShort, func(d *wrpc.Decoder) { wrpc.DecodeList(d, wrpc.DecodeUnit) }},
		{"case 4 of 4", "04", "variant", wrpc.ErrCase, func(d *wrpc.Decoder) { d.Case(4) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := wrpc.NewDecoder(unhex(t, c.hex))
			c.decode(d)
			var e *wrpc.DecodeError
			if !errors.As(d.Err(), &e) || e.Err != c.want || e.Type != c.typ {
				t.Errorf("the error is %v, want %s: %v", d.Err(), c.typ, c.want)
			}
		})
	}
}

// TestFirstErrorStays: what comes after it reads nothing and does not replace it.
func TestFirstErrorStays(t *testing.T) {
	d := wrpc.NewDecoder([]byte{0x02, 0x01, 0x61, 0xff})
	d.Bool()
	got := []any{d.U8(), d.S8(), d.U32(), d.S32(), d.F32(), d.F64(), d.Char(), d.Text(), d.Bytes(), d.Case(9), d.Flags(8), wrpc.DecodeMessage(d), wrpc.DecodeDone(d)}
	want := []any{uint8(0), int8(0), uint32(0), int32(0), float32(0), float64(0), rune(0), "", []byte(nil), uint32(0), uint64(0), wrpc.BrokerMessage{}, wrpc.Done{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after an error, -want +got:\n%s", diff)
	}
	if want := "wrpc: bool at byte 0: the byte is neither 00 nor 01"; d.Err().Error() != want {
		t.Errorf("Err() = %q, want %q", d.Err(), want)
	}
}

// TestPaddedIntegers: peers may write needless groups, up to the most bytes the type may have.
func TestPaddedIntegers(t *testing.T) {
	if d := wrpc.NewDecoder(unhex(t, "8180808000")); d.U32() != 1 || d.Err() != nil {
		t.Errorf("u32 8180808000: %v, want 1", d.Err())
	}
	if d := wrpc.NewDecoder(unhex(t, "ffffffff7f")); d.S32() != -1 || d.Err() != nil {
		t.Errorf("s32 ffffffff7f: %v, want -1", d.Err())
	}
}

// TestBytesEndsAtItsEnd: appending to a body does not write into what follows it.
func TestBytesEndsAtItsEnd(t *testing.T) {
	data := wrpc.AppendMessage(nil, wrpc.BrokerMessage{Subject: "a", Body: []byte("b"), ReplyTo: wrpc.Some("c")})
	before := bytes.Clone(data)
	m := wrpc.DecodeMessage(wrpc.NewDecoder(data))
	_ = append(m.Body, 0xff)
	if !bytes.Equal(data, before) {
		t.Errorf("appending to the body changed %x to %x", before, data)
	}
}

// TestStatedLengthsAllocateNothing: a few bytes that state 4 billion elements.
func TestStatedLengthsAllocateNothing(t *testing.T) {
	data := unhex(t, "ffffffff0f"+strings.Repeat("00", 64))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		wrpc.DecodeList(wrpc.NewDecoder(data), wrpc.DecodeMessage)
		wrpc.DecodeMessage(wrpc.NewDecoder(data))
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("100 times two wrong lengths allocated %d bytes, want less than 1 MiB", got)
	}
}

func TestIntegersRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u16, u32, u64 := rapid.Uint16().Draw(t, "u16"), rapid.Uint32().Draw(t, "u32"), rapid.Uint64().Draw(t, "u64")
		s16, s32, s64 := rapid.Int16().Draw(t, "s16"), rapid.Int32().Draw(t, "s32"), rapid.Int64().Draw(t, "s64")
		data := wrpc.AppendU64(wrpc.AppendU32(wrpc.AppendU16(nil, u16), u32), u64)
		data = wrpc.AppendS64(wrpc.AppendS32(wrpc.AppendS16(data, s16), s32), s64)
		d := wrpc.NewDecoder(data)
		got := []any{d.U16(), d.U32(), d.U64(), d.S16(), d.S32(), d.S64()}
		want := []any{u16, u32, u64, s16, s32, s64}
		if !cmp.Equal(got, want) || d.Err() != nil || d.Left() != 0 {
			t.Errorf("%x decodes as %v, error %v, want %v", data, got, d.Err(), want)
		}
	})
}

func TestMessageSize(t *testing.T) {
	m := wrpc.BrokerMessage{Subject: "foo", Body: make([]byte, 1<<16), ReplyTo: wrpc.Some("bar")}
	if got := testing.AllocsPerRun(10, func() { wrpc.AppendMessage(make([]byte, 0, m.Size()), m) }); got > 1 {
		t.Errorf("encoding into a slice of Size() bytes allocates %v times, want 1", got)
	}
}

// FuzzDecode reads arbitrary bytes as every type. What decodes encodes to what decodes to the same.
func FuzzDecode(f *testing.F) {
	f.Add(wrpc.AppendMessage(nil, wrpc.BrokerMessage{Subject: "foo.bar", Body: []byte("hello"), ReplyTo: wrpc.Some("r")}))
	f.Add(wrpc.AppendRequest(nil, wrpc.RequestParams{Subject: "s", TimeoutMillis: math.MaxUint32}))
	f.Add(wrpc.AppendReply(nil, wrpc.Err[wrpc.BrokerMessage]("boom")))
	f.Add(wrpc.AppendDone(nil, wrpc.Done{}))
	f.Add(wrpc.AppendList(nil, []pair{{"k", "v"}, {"", ""}}, appendPair))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0x61})
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		again(t, data, wrpc.DecodeMessage, wrpc.AppendMessage)
		again(t, data, wrpc.DecodeRequest, wrpc.AppendRequest)
		again(t, data, wrpc.DecodeReply, wrpc.AppendReply)
		again(t, data, wrpc.DecodeDone, wrpc.AppendDone)
		again(t, data, func(d *wrpc.Decoder) []pair { return wrpc.DecodeList(d, decodePair) }, func(b []byte, l []pair) []byte { return wrpc.AppendList(b, l, appendPair) })
		again(t, data, func(d *wrpc.Decoder) [][]byte { return wrpc.DecodeList(d, (*wrpc.Decoder).Bytes) }, func(b []byte, l [][]byte) []byte { return wrpc.AppendList(b, l, wrpc.AppendBytes) })
		again(t, data, (*wrpc.Decoder).U16, wrpc.AppendU16)
		again(t, data, (*wrpc.Decoder).U32, wrpc.AppendU32)
		again(t, data, (*wrpc.Decoder).U64, wrpc.AppendU64)
		again(t, data, (*wrpc.Decoder).S16, wrpc.AppendS16)
		again(t, data, (*wrpc.Decoder).S32, wrpc.AppendS32)
		again(t, data, (*wrpc.Decoder).S64, wrpc.AppendS64)
		again(t, data, (*wrpc.Decoder).Char, wrpc.AppendChar)
		again(t, data, func(d *wrpc.Decoder) uint64 { return d.Flags(11) }, func(b []byte, v uint64) []byte { return wrpc.AppendFlags(b, 11, v) })
		again(t, data, func(d *wrpc.Decoder) uint32 { return d.Case(300) }, wrpc.AppendCase)
	})
}

func again[T any](t *testing.T, data []byte, decode func(*wrpc.Decoder) T, encode func([]byte, T) []byte) {
	t.Helper()
	d := wrpc.NewDecoder(data)
	v := decode(d)
	if d.Err() != nil {
		return
	}
	b := encode(nil, v)
	if len(b) > len(data)-d.Left() {
		t.Errorf("%T of %d bytes encodes as %d bytes", v, len(data)-d.Left(), len(b))
	}
	d = wrpc.NewDecoder(b)
	if w := decode(d); !cmp.Equal(v, w) || d.Err() != nil || d.Left() != 0 {
		t.Errorf("%v (%x) decodes again as %v, error %v", v, b, w, d.Err())
	}
}
