package parse

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// sameValue is Equal with the order of members.
func sameValue(a, b any) bool {
	return Equal(a, b) && string(Marshal(a)) == string(Marshal(b))
}

func TestDecode(t *testing.T) {
	tests := []struct {
		in   string
		want any
	}{
		{`null`, nil}, {`true`, true}, {` false `, false}, {`"x"`, "x"}, {`[]`, []any{}}, {`{}`, NewMap()},
		{`0`, 0.0}, {`-0`, 0.0}, {`-0.0`, 0.0}, {`-0e5`, 0.0}, {`12`, 12.0}, {`-12`, -12.0}, {`1.5`, 1.5}, {`1e3`, 1000.0}, {`1E+3`, 1000.0},
		{`2.5e-3`, 0.0025}, {`9007199254740993`, 9007199254740992.0}, {`123456789012345678901234567890`, 1.2345678901234568e29}, {`1e-400`, 0.0},
		{`[1,[2,{"a":[]}],"x"]`, []any{1.0, []any{2.0, NewMap("a", []any{})}, "x"}},
		{"\t{ \"a\" :\r\n1 , \"b\": null }\n", NewMap("a", 1.0, "b", nil)},
		{`{"b":1,"a":2,"b":3}`, NewMap("b", 3.0, "a", 2.0)},
		{`"\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac"`, "\"\\/\b\f\n\r\tA\u00e9\u20ac"},
		{`"\u0000"`, "\x00"}, {`"\ud83d\ude00"`, "😀"}, {`"😀é"`, "😀é"},
		{`"\ud800"`, "\ufffd"}, {`"\ud800x"`, "\ufffdx"}, {`"\udc00\ud800"`, "\ufffd\ufffd"}, {`"\ud800\ud83d\ude00"`, "\ufffd😀"}, {`"\ud800\n"`, "\ufffd\n"},
		{"\"a\xffb\"", "a\ufffdb"}, {"\"\u2028\u2029\x7f\"", "\u2028\u2029\x7f"},
		{`{"__type":"Date","iso":"2026-01-01T00:00:00.001Z"}`, Date(1767225600001)},
		{`{"__type":"Pointer","className":"C","objectId":"x"}`, Pointer{"C", "x"}},
		{`{"className":"C","objectId":"x","extra":1,"__type":"Pointer"}`, Pointer{"C", "x"}},
		{`{"__type":"Relation","className":"C"}`, Relation{"C"}},
		{`{"__type":"GeoPoint","latitude":10,"longitude":-20.5}`, GeoPoint{10, -20.5}},
		{`{"__type":"Polygon","coordinates":[[0,0],[0,1],[1,1]]}`, Polygon{{0, 0}, {0, 1}, {1, 1}, {0, 0}}},
		{`{"__type":"Polygon","coordinates":[[0,0],[0,1],[1,1],[0,0]]}`, Polygon{{0, 0}, {0, 1}, {1, 1}, {0, 0}}},
		{`{"__type":"File","name":"x.txt","url":"http://u"}`, File{"x.txt", "http://u"}},
		{`{"__type":"File","name":"x.txt"}`, File{Name: "x.txt"}},
		{`{"__type":"Bytes","base64":"aGk="}`, Bytes("hi")}, {`{"__type":"Bytes","base64":"aGk"}`, Bytes("hi")},
		{`{"__type":"Bytes","base64":"-_8="}`, Bytes{0xfb, 0xff}}, {`{"__type":"Bytes","base64":""}`, Bytes{}},
		{
			`{"objectId":"x","createdAt":"2026-01-01T00:00:00.001Z","ACL":{"*":{"read":true}},"n":1,"__type":"Object","className":"C"}`,
			NewObject("C", "objectId", "x", "createdAt", Date(1767225600001), "ACL", ACL{"*": {Read: true}}, "n", 1.0),
		},
		{`{"a":{"__op":"Increment","amount":2}}`, NewMap("a", Increment{2})},
		{`{"__op":"Add","objects":[1,{"__type":"Pointer","className":"C","objectId":"x"}]}`, Add{[]any{1.0, Pointer{"C", "x"}}}},
		{`{"__op":"AddUnique","objects":[]}`, AddUnique{[]any{}}},
		{`{"__op":"Remove","objects":["x"]}`, Remove{[]any{"x"}}},
		{`{"__op":"Delete"}`, Delete{}},
		{`{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"C","objectId":"x"}]}`, AddRelation{[]Pointer{{"C", "x"}}}},
		{`{"__op":"RemoveRelation","objects":[]}`, RemoveRelation{[]Pointer{}}},
		{
			`{"__op":"Batch","ops":[{"__op":"AddRelation","objects":[]},{"__op":"RemoveRelation","objects":[{"__type":"Pointer","className":"C","objectId":"x"}]}]}`,
			Batch{[]Op{AddRelation{[]Pointer{}}, RemoveRelation{[]Pointer{{"C", "x"}}}}},
		},
		// Empty markers mean nothing, as in JavaScript.
		{`{"__type":"","a":1}`, NewMap("__type", "", "a", 1.0)}, {`{"__op":null,"a":1}`, NewMap("__op", nil, "a", 1.0)},
	}
	for _, tt := range tests {
		got, err := Decode([]byte(tt.in), Limits{})
		if err != nil {
			t.Errorf("Decode(%s) failed: %v", tt.in, err)
			continue
		}
		if !sameValue(got, tt.want) {
			t.Errorf("Decode(%s) = %T %s, want %T %s", tt.in, got, Marshal(got), tt.want, Marshal(tt.want))
		}
	}
}

// What is malformed keeps its members, and is named.
func TestDecodeMalformed(t *testing.T) {
	tests := []struct{ in, typ, op string }{
		{`{"__type":"Pointer","objectId":"x"}`, "Pointer", ""},
		{`{"__type":"Pointer","className":"C"}`, "Pointer", ""},
		{`{"__type":"Pointer","className":"C","objectId":5}`, "Pointer", ""},
		{`{"__type":"Pointer","className":"","objectId":"x"}`, "Pointer", ""},
		{`{"__type":"Relation"}`, "Relation", ""}, {`{"__type":"Relation","className":null}`, "Relation", ""},
		{`{"__type":"Date","iso":"notadate"}`, "Date", ""}, {`{"__type":"Date"}`, "Date", ""}, {`{"__type":"Date","iso":5}`, "Date", ""},
		{`{"__type":"GeoPoint","latitude":90.1,"longitude":0}`, "GeoPoint", ""},
		{`{"__type":"GeoPoint","latitude":0,"longitude":-180.1}`, "GeoPoint", ""},
		{`{"__type":"GeoPoint","latitude":"0","longitude":0}`, "GeoPoint", ""}, {`{"__type":"GeoPoint","latitude":0}`, "GeoPoint", ""},
		{`{"__type":"Polygon"}`, "Polygon", ""}, {`{"__type":"Polygon","coordinates":[[0,0],[0,1],[0,0]]}`, "Polygon", ""},
		{`{"__type":"Polygon","coordinates":[[0,0],[0,1],[1]]}`, "Polygon", ""}, {`{"__type":"Polygon","coordinates":[[0,0],[0,1],[1,200]]}`, "Polygon", ""},
		{`{"__type":"File","url":"u"}`, "File", ""}, {`{"__type":"Bytes"}`, "Bytes", ""}, {`{"__type":"Bytes","base64":"*"}`, "Bytes", ""},
		{`{"__type":"Object","a":1}`, "Object", ""}, {`{"__type":"Nonsense"}`, "Nonsense", ""},
		{`{"__type":5}`, "5", ""}, {`{"__type":[1,null,"a"]}`, "1,,a", ""}, {`{"__type":{}}`, "[object Object]", ""}, {`{"__type":true}`, "true", ""},
		{`{"__type":"Date","__op":"Delete"}`, "Date", ""},
		{`{"__op":"Increment","amount":"5"}`, "", "Increment"}, {`{"__op":"Increment"}`, "", "Increment"},
		{`{"__op":"Add"}`, "", "Add"}, {`{"__op":"AddUnique","objects":1}`, "", "AddUnique"}, {`{"__op":"Remove","objects":{}}`, "", "Remove"},
		{`{"__op":"AddRelation","objects":["x"]}`, "", "AddRelation"}, {`{"__op":"RemoveRelation"}`, "", "RemoveRelation"},
		{`{"__op":"Batch","ops":[{"__op":"Delete"}]}`, "", "Batch"}, {`{"__op":"Batch"}`, "", "Batch"},
		{`{"__op":"SetOnInsert","amount":7}`, "", "SetOnInsert"}, {`{"__op":7}`, "", "7"},
	}
	for _, tt := range tests {
		got, err := Decode([]byte(tt.in), Limits{})
		if err != nil {
			t.Errorf("Decode(%s) failed: %v", tt.in, err)
			continue
		}
		typ, badType := Malformed(got)
		op, badOp := MalformedOp(got)
		if typ != tt.typ || badType != (tt.typ != "") || op != tt.op || badOp != (tt.op != "") {
			t.Errorf("Malformed(%s) = %q, %v, MalformedOp = %q, %v, want %q and %q", tt.in, typ, badType, op, badOp, tt.typ, tt.op)
		}
		// An operator inside that is well-formed was recognised; its text is the same.
		if text := string(Marshal(got)); text != tt.in {
			t.Errorf("Decode(%s) is written as %s", tt.in, text)
		}
	}
	for _, v := range []any{nil, 1.0, "x", NewMap("a", 1.0), Pointer{"C", "x"}, Delete{}} {
		if name, bad := Malformed(v); bad {
			t.Errorf("Malformed(%v) = %q, true", v, name)
		}
		if name, bad := MalformedOp(v); bad {
			t.Errorf("MalformedOp(%v) = %q, true", v, name)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	tests := []struct{ in, want string }{
		{``, "Unexpected end, expected a value in JSON at position 0"},
		{`{bad`, "Unexpected 'b', expected a property name in JSON at position 1"},
		{`{"a" 1}`, "Unexpected '1', expected ':' in JSON at position 5"},
		{`{"a":1`, "Unexpected end, expected ',' or '}' in JSON at position 6"},
		{`{"a":1,}`, "Unexpected '}', expected a property name in JSON at position 7"},
		{`[1,]`, "Unexpected ']', expected a value in JSON at position 3"},
		{`[1 2]`, "Unexpected '2', expected ',' or ']' in JSON at position 3"},
		{`nul`, "Unexpected 'n', expected a value in JSON at position 0"},
		{`01`, "Unexpected '1', expected a number in JSON at position 1"},
		{`-`, "Unexpected end, expected a number in JSON at position 1"},
		{`1.`, "Unexpected end, expected a digit in JSON at position 2"},
		{`1e+`, "Unexpected end, expected a digit in JSON at position 3"},
		{`.5`, "Unexpected '.', expected a value in JSON at position 0"},
		{`1 2`, "Unexpected data after the value in JSON at position 2"},
		{`"a`, "Unexpected end, expected '\"' in JSON at position 2"},
		{`"é`, "Unexpected end, expected '\"' in JSON at position 3"},
		{`"\`, "Unexpected end, expected an escape in JSON at position 2"},
		{`"\x"`, "Unexpected 'x', expected an escape in JSON at position 2"},
		{`"\u12g4"`, "Bad Unicode escape in JSON at position 2"},
		{"\"a\nb\"", "Unescaped control character 0x0a in JSON at position 2"},
		{`[1e400]`, "Number out of range in JSON at position 1"},
		{`-1e400`, "Number out of range in JSON at position 0"},
		{"\ufeff{}", "Unexpected '\\ufeff', expected a value in JSON at position 0"},
	}
	for _, tt := range tests {
		v, err := Decode([]byte(tt.in), Limits{})
		if err == nil || err.Error() != tt.want || v != nil {
			t.Errorf("Decode(%q) = %v, %v, want %s", tt.in, v, err, tt.want)
		}
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("Decode(%q) fails with %T, want *SyntaxError", tt.in, err)
		}
	}
}

func TestDecodeLimits(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	tests := []struct {
		in   string
		lim  Limits
		want string
	}{
		{nested(DefaultDepth), Limits{}, ""},
		{nested(DefaultDepth + 1), Limits{}, "Too many levels in JSON at position 128"},
		{strings.Repeat(`{"a":`, 3) + "1" + strings.Repeat("}", 3), Limits{Depth: 3}, ""},
		{strings.Repeat(`{"a":`, 3) + "1" + strings.Repeat("}", 3), Limits{Depth: 2}, "Too many levels in JSON at position 10"},
		{`[[1],[2],[3],{"a":[]},{}]`, Limits{Depth: 3}, ""},
		{`[[]]`, Limits{Size: 4}, ""},
		{`[[]]`, Limits{Size: 3}, "More than 3 bytes in JSON at position 3"},
	}
	for _, tt := range tests {
		_, err := Decode([]byte(tt.in), tt.lim)
		if got := errorText(err); got != tt.want {
			t.Errorf("Decode(%s, %+v) fails with %q, want %q", tt.in, tt.lim, got, tt.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDecodeValues(t *testing.T) {
	in := `{"a":{"__op":"Delete"},"d":{"__type":"Date","iso":"1970-01-01T00:00:00.000Z"}}`
	want := NewMap("a", NewMap("__op", "Delete"), "d", Date(0))
	got, err := Decode([]byte(in), Limits{Values: true})
	if !sameValue(got, want) || err != nil {
		t.Errorf("Decode(%s) = %s, %v, want %s", in, Marshal(got), err, Marshal(want))
	}
}

func TestDecodeMap(t *testing.T) {
	in := `{"__type":"Date","iso":"1970-01-01","n":{"__type":"Date","iso":"1970-01-01"},"a":[{"__op":"Delete"}]}`
	want := NewMap("__type", "Date", "iso", "1970-01-01", "n", Date(0), "a", []any{Delete{}})
	got, err := DecodeMap([]byte(in), Limits{})
	if !sameValue(got, want) || err != nil {
		t.Errorf("DecodeMap(%s) = %s, %v, want %s", in, Marshal(got), err, Marshal(want))
	}
	for _, in := range []string{`[]`, `null`, `1`, `"x"`, `{`} {
		if m, err := DecodeMap([]byte(in), Limits{}); err == nil || m != nil {
			t.Errorf("DecodeMap(%s) = %v, %v, want an error", in, m, err)
		}
	}
}

// A document of many members is read in linear time and still has each of them once.
func TestDecodeManyMembers(t *testing.T) {
	var b strings.Builder
	for i := range 3 {
		for j := range 5000 {
			b.WriteString(`,"k`)
			b.Write(AppendNumber(nil, float64(j)))
			b.WriteString(`":`)
			b.Write(AppendNumber(nil, float64(i)))
		}
	}
	m, err := DecodeMap([]byte("{"+b.String()[1:]+"}"), Limits{})
	if err != nil || m.Len() != 5000 || m.Get("k4999") != 2.0 || m.Keys()[0] != "k0" {
		t.Errorf("DecodeMap of 15000 members = %d of them, %v", m.Len(), err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"b":[true,null,"x\u00e9\ud83d\ude00",1.5e-7],"c":{"d":{}}}`, `{"a":{"__type":"Date","iso":"2026-01-01T00:00:00Z"}}`,
		`{"a":{"__op":"Batch","ops":[{"__op":"AddRelation","objects":[]}]}}`, `[1,2,,]`, `"\ud800\udc"`, "\"\xff\"", `-0.0e-0`, `{"a":1,"a":2}`,
		`{"__type":"Polygon","coordinates":[[0,0],[0,1],[1,1]]}`, `{"__type":"Object","className":"C","ACL":{"*":{"read":true}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Decode(data, Limits{})
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(data) {
				t.Fatalf("Decode(%q) fails with %v", data, err)
			}
			if json.Valid(data) && !strings.Contains(err.Error(), "out of range") && !strings.Contains(err.Error(), "levels") {
				t.Fatalf("Decode(%q) fails with %v, encoding/json does not", data, err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("Decode(%q) = %v, encoding/json refuses it", data, v)
		}
		text := Marshal(v)
		if !utf8.Valid(text) || !json.Valid(text) {
			t.Fatalf("Marshal(Decode(%q)) = %q", data, text)
		}
		again, err := Decode(text, Limits{})
		if err != nil || string(Marshal(again)) != string(text) || !Equal(v, again) {
			t.Fatalf("Decode(%q) reads as %s, and again as %s, %v", data, text, Marshal(again), err)
		}
		if utf8.Valid(data) && !strings.Contains(string(data), "_") && !strings.Contains(string(data), `\u`) {
			var reference any
			if err := json.Unmarshal(data, &reference); err != nil {
				t.Fatalf("encoding/json refuses %q: %v", data, err)
			}
			if !reflect.DeepEqual(reference, untyped(v)) {
				t.Fatalf("Decode(%q) = %v, encoding/json reads %v", data, v, reference)
			}
		}
	})
}

func untyped(v any) any {
	switch v := v.(type) {
	case *Map:
		m := map[string]any{}
		for k, w := range v.All() {
			m[k] = untyped(w)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = untyped(v[i])
		}
		return list
	}
	return v
}
