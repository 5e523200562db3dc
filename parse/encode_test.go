package parse

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestAppendJSON(t *testing.T) {
	object := NewObject("Tgt", "objectId", "x", "createdAt", Date(0), "updatedAt", Date(1), "v", 1.0, "d", Date(2), "ACL", ACL{"*": {Read: true}})
	tests := []struct {
		in   any
		want string
	}{
		{nil, `null`}, {true, `true`}, {1.5, `1.5`}, {"x", `"x"`}, {[]any{}, `[]`}, {[]any(nil), `[]`}, {NewMap(), `{}`}, {(*Map)(nil), `null`}, {(*Object)(nil), `null`},
		{[]any{1.0, nil, []any{"a"}}, `[1,null,["a"]]`},
		{NewMap("b", 1.0, "a", NewMap("c", nil)), `{"b":1,"a":{"c":null}}`},
		{Date(1767225600000), `{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}`},
		{Pointer{"C", "x"}, `{"__type":"Pointer","className":"C","objectId":"x"}`},
		{Relation{"C"}, `{"__type":"Relation","className":"C"}`},
		{GeoPoint{10, -20.5}, `{"__type":"GeoPoint","latitude":10,"longitude":-20.5}`},
		{Polygon{{0, 0}, {0, 1}, {1, 1}, {0, 0}}, `{"__type":"Polygon","coordinates":[[0,0],[0,1],[1,1],[0,0]]}`},
		{File{Name: "x.txt"}, `{"__type":"File","name":"x.txt"}`}, {File{"x.txt", "http://u"}, `{"__type":"File","name":"x.txt","url":"http://u"}`},
		{Bytes("hi"), `{"__type":"Bytes","base64":"aGk="}`}, {Bytes(nil), `{"__type":"Bytes","base64":""}`},
		{ACL{}, `{}`}, {ACL{"role:A": {Write: true}, "*": {Read: true}, "u": {true, true}, "z": {}}, `{"*":{"read":true},"role:A":{"write":true},"u":{"read":true,"write":true},"z":{}}`},
		{
			NewMap("p", object),
			`{"p":{"objectId":"x","createdAt":"1970-01-01T00:00:00.000Z","updatedAt":"1970-01-01T00:00:00.001Z","v":1,"d":{"__type":"Date","iso":"1970-01-01T00:00:00.002Z"},"ACL":{"*":{"read":true}},"__type":"Object","className":"Tgt"}}`,
		},
		{NewObject("C"), `{"__type":"Object","className":"C"}`},
		{Increment{2}, `{"__op":"Increment","amount":2}`}, {Add{[]any{1.0}}, `{"__op":"Add","objects":[1]}`}, {AddUnique{}, `{"__op":"AddUnique","objects":[]}`},
		{Remove{[]any{Pointer{"C", "x"}}}, `{"__op":"Remove","objects":[{"__type":"Pointer","className":"C","objectId":"x"}]}`}, {Delete{}, `{"__op":"Delete"}`},
		{AddRelation{[]Pointer{{"C", "x"}}}, `{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"C","objectId":"x"}]}`}, {RemoveRelation{}, `{"__op":"RemoveRelation","objects":[]}`},
		{Batch{[]Op{AddRelation{}, RemoveRelation{}}}, `{"__op":"Batch","ops":[{"__op":"AddRelation","objects":[]},{"__op":"RemoveRelation","objects":[]}]}`},
		{5, `5`}, {int64(-5), `-5`}, {[]string{"a", "b"}, `["a","b"]`}, {time.UnixMilli(1), `{"__type":"Date","iso":"1970-01-01T00:00:00.001Z"}`},
	}
	for _, tt := range tests {
		if got := string(AppendJSON([]byte("x"), tt.in)); got != "x"+tt.want {
			t.Errorf("AppendJSON(%#v) = %s, want x%s", tt.in, got, tt.want)
		}
		if got, err := json.Marshal(tt.in); err != nil || (len(got) > 0 && !json.Valid(got)) {
			t.Errorf("json.Marshal(%#v) = %s, %v", tt.in, got, err)
		}
	}
}

func TestAppendObject(t *testing.T) {
	o := NewObject("C", "objectId", "x", "createdAt", Date(0), "updatedAt", Date(1), "at", Date(0), "p", NewObject("D", "objectId", "y"))
	want := `{"objectId":"x","createdAt":"1970-01-01T00:00:00.000Z","updatedAt":"1970-01-01T00:00:00.001Z",` +
		`"at":{"__type":"Date","iso":"1970-01-01T00:00:00.000Z"},"p":{"objectId":"y","__type":"Object","className":"D"}}`
	if got := string(AppendObject(nil, o)); got != want {
		t.Errorf("AppendObject = %s, want %s", got, want)
	}
	if got := string(AppendObject(nil, NewObject("C"))); got != `{}` {
		t.Errorf("AppendObject of an empty object = %s, want {}", got)
	}
}

func TestAppendJSONPanicsOnForeignTypes(t *testing.T) {
	defer func() {
		if got, want := recover(), "parse.AppendJSON: map[string]int is not a value"; got != want {
			t.Errorf("AppendJSON(map) panics with %v, want %s", got, want)
		}
	}()
	AppendJSON(nil, map[string]int{})
}

func TestAppendString(t *testing.T) {
	// What JSON.stringify of Node.js 20 writes.
	tests := []struct{ in, want string }{
		{"", `""`}, {"a/b", `"a/b"`}, {"\"\\", `"\"\\"`}, {"\b\t\n\f\r", `"\b\t\n\f\r"`}, {"\x00\x01\x1f\x7f", "\"\\u0000\\u0001\\u001f\x7f\""},
		{"é€😀", `"é€😀"`}, {"\u2028\u2029", "\"\u2028\u2029\""}, {"<>&'", `"<>&'"`},
		{"a\xffb", "\"a\ufffdb\""}, {"\xed\xa0\x80", "\"\ufffd\ufffd\ufffd\""}, {"\ufffd", "\"\ufffd\""}, {"x\xf0\x9f", "\"x\ufffd\ufffd\""},
	}
	for _, tt := range tests {
		if got := string(AppendString(nil, tt.in)); got != tt.want {
			t.Errorf("AppendString(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

// anyValue draws values of every type, nested three deep at most.
func anyValue(depth int) *rapid.Generator[any] {
	number := rapid.Float64().Filter(func(f float64) bool { return Finite(f) })
	degrees := func(max float64) *rapid.Generator[float64] { return rapid.Float64Range(-max, max) }
	text := rapid.String()
	class := rapid.StringMatching(`[A-Z][a-z]{0,5}`)
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), number.AsAny(), text.AsAny(),
		rapid.Custom(func(t *rapid.T) any { return Date(rapid.Int64Range(int64(MinDate), int64(MaxDate)).Draw(t, "ms")) }),
		rapid.Custom(func(t *rapid.T) any { return Pointer{class.Draw(t, "class"), text.Draw(t, "id")} }),
		rapid.Custom(func(t *rapid.T) any { return Relation{class.Draw(t, "class")} }),
		rapid.Custom(func(t *rapid.T) any { return GeoPoint{degrees(90).Draw(t, "lat"), degrees(180).Draw(t, "lng")} }),
		rapid.Custom(func(t *rapid.T) any { return File{"f" + text.Draw(t, "name"), text.Draw(t, "url")} }),
		rapid.Custom(func(t *rapid.T) any { return Bytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) }),
		rapid.Just[any](Polygon{{0, 0}, {0, 1.5}, {1, 1}, {0, 0}}),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	inner := anyValue(depth - 1)
	name := rapid.OneOf(rapid.StringMatching(`[a-z]{1,3}`), text).Filter(func(s string) bool {
		// A typed value with an operator of a query among its members stays a map on purpose; see hasOperator.
		return s != "__type" && s != "__op" && s != "className" && !strings.HasPrefix(s, "$")
	})
	members := rapid.Custom(func(t *rapid.T) *Map {
		m := NewMap()
		for range rapid.IntRange(0, 5).Draw(t, "members") {
			m.Set(name.Draw(t, "name"), inner.Draw(t, "value"))
		}
		return m
	})
	return rapid.OneOf(append(leaves,
		rapid.SliceOfN(inner, 0, 4).AsAny(),
		members.AsAny(),
		rapid.Custom(func(t *rapid.T) any { return &Object{class.Draw(t, "class"), *members.Draw(t, "fields")} }),
	)...)
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyValue(3).Draw(t, "v")
		text := Marshal(v)
		if !utf8.Valid(text) {
			t.Fatalf("Marshal = %q, which is not UTF-8", text)
		}
		got, err := Decode(text, Limits{})
		if err != nil || !sameValue(got, v) {
			t.Fatalf("Decode(%s) = %s, %v", text, Marshal(got), err)
		}
		if c := Clone(v); !sameValue(c, v) {
			t.Fatalf("Clone(%s) = %s", text, Marshal(c))
		}
	})
}
