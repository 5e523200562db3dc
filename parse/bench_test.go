package parse

import (
	"encoding/json"
	"testing"
)

const tenFields = `{"objectId":"w444KuxpLc","createdAt":"2026-11-22T02:45:03.039Z","updatedAt":"2026-11-22T02:45:03.526Z","title":"The quick brown fox","score":1337,"ratio":0.125,` +
	`"open":true,"at":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"},"owner":{"__type":"Pointer","className":"_User","objectId":"1jsZhdpl9O"},` +
	`"place":{"__type":"GeoPoint","latitude":10.5,"longitude":-20},"tags":["a","b","c"],"meta":{"k":1,"nested":{"deep":"value"}}}`

func BenchmarkDecode(b *testing.B) {
	data := []byte(tenFields)
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeMap(data, Limits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var m map[string]any
			if err := json.Unmarshal(data, &m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	m, err := DecodeMap([]byte(tenFields), Limits{})
	if err != nil {
		b.Fatal(err)
	}
	var plain map[string]any
	if err := json.Unmarshal([]byte(tenFields), &plain); err != nil {
		b.Fatal(err)
	}
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = AppendJSON(buf[:0], m)
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(plain); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkNewID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		NewID(IDSize)
	}
}
