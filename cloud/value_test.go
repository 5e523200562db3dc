package cloud

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/parley-backend/parley/parse"
)

type inner struct {
	B int `json:"b"`
}

type outer struct {
	inner
	Name   string  `json:"name,omitempty"`
	Hidden string  `json:"-"`
	Ptr    *int    `json:"ptr"`
	F      float32 // its own name
	secret string
}

func TestValue(t *testing.T) {
	n := 3
	for _, c := range []struct {
		in   any
		want string
	}{
		{nil, `null`},
		{true, `true`},
		{1, `1`},
		{uint8(2), `2`},
		{int64(-3), `-3`},
		{1.5, `1.5`},
		{math.NaN(), `null`},
		{float32(math.Inf(1)), `null`},
		{"a", `"a"`},
		{Text, `"string"`},
		{&n, `3`},
		{(*int)(nil), `null`},
		{[]int{1, 2}, `[1,2]`},
		{[2]string{"a", "b"}, `["a","b"]`},
		{[]int(nil), `null`},
		{[]byte("hi"), `{"__type":"Bytes","base64":"aGk="}`},
		{map[string]any{"b": 1, "a": []any{math.Inf(1)}}, `{"a":[null],"b":1}`},
		{time.Unix(0, 0), `{"__type":"Date","iso":"1970-01-01T00:00:00.000Z"}`},
		{parse.Pointer{ClassName: "A", ObjectID: "x"}, `{"__type":"Pointer","className":"A","objectId":"x"}`},
		{parse.NewObject("A", "objectId", "x", "n", 1), `{"objectId":"x","n":1,"__type":"Object","className":"A"}`},
		{[]*parse.Object{parse.NewObject("A", "n", 1)}, `[{"n":1,"__type":"Object","className":"A"}]`},
		{(*parse.Object)(nil), `null`},
		{*parse.NewMap("n", int8(1)), `{"n":1}`},
		{outer{inner: inner{1}, Ptr: &n, secret: "s"}, `{"b":1,"ptr":3,"F":0}`},
		{&outer{Name: "x"}, `{"b":0,"name":"x","ptr":null,"F":0}`},
		{parse.Increment{Amount: 1}, `{"__op":"Increment","amount":1}`},
		{netip.MustParseAddr("127.0.0.1"), `"127.0.0.1"`},
		{struct{ At time.Time }{time.UnixMilli(1)}, `{"At":{"__type":"Date","iso":"1970-01-01T00:00:00.001Z"}}`},
	} {
		got, err := Value(c.in)
		if err != nil || string(parse.Marshal(got)) != c.want {
			t.Errorf("Value(%#v) = %s, %v, want %s", c.in, parse.Marshal(got), err, c.want)
		}
	}
}

func TestNoValue(t *testing.T) {
	loop := map[string]any{}
	loop["self"] = loop
	type node struct{ Next *node }
	ring := &node{}
	ring.Next = ring
	for _, v := range []any{func() {}, make(chan int), map[int]string{1: "a"}, []any{func() {}}, struct{ C chan int }{}, loop, ring, complex(1, 2)} {
		if got, err := Value(v); err == nil {
			t.Errorf("Value(%T) = %v, want an error", v, got)
		}
	}
}

func FuzzValueOfJSON(f *testing.F) {
	for _, seed := range []string{`{}`, `[1,"a",null,{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}]`, `{"__op":"Increment","amount":1}`, `{"a":{"b":[[]]}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		decoded, err := parse.Decode(text, parse.Limits{})
		if err != nil {
			return
		}
		decoded = parse.Plain(decoded)
		if got, err := Value(decoded); err == nil && !parse.Equal(got, decoded) {
			t.Errorf("Value(%s) = %s", text, parse.Marshal(got))
		}
	})
}
