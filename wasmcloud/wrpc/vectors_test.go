package wrpc_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// The vectors of testdata/wrpc-vectors.json; its README.md says where they come from.

type vectors struct {
	Primitives []struct{ Value, Hex string }
	Vectors    []vector
}

type vector struct {
	Name       string
	Function   string
	Subject    string `json:"invocation_subject"`
	Queue      string `json:"server_queue_group"`
	Params     values
	ParamsHex  string `json:"params_hex"`
	Result     json.RawMessage
	ResultHex  string  `json:"result_hex"`
	Wire       []frame `json:"wire_capture"`
	WhoWhom    string  `json:"who_calls_whom"`
	ServerName string  `json:"interface"`
}

type values struct {
	Subject  string
	Body     string
	BodyUTF8 string  `json:"body_utf8"`
	ReplyTo  *string `json:"reply-to"`
	Timeout  *uint32 `json:"timeout-ms"`
}

type frame struct {
	Direction  string
	Subject    string
	Reply      string
	Headers    map[string][]string
	PayloadHex string `json:"payload_hex"`
	PayloadLen int    `json:"payload_len"`
}

func load(t *testing.T) vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/wrpc-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Primitives) != 22 || len(v.Vectors) != 16 {
		t.Fatalf("%d primitives and %d vectors, want 22 and 16", len(v.Primitives), len(v.Vectors))
	}
	return v
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (v values) body() []byte {
	switch v.Body {
	case "0xAB x 300":
		return bytes.Repeat([]byte{0xab}, 300)
	case "'0123456789' x 300":
		return bytes.Repeat([]byte("0123456789"), 300)
	}
	if v.BodyUTF8 == "" {
		return nil
	}
	return []byte(v.BodyUTF8)
}

func (v values) message() wrpc.BrokerMessage {
	m := wrpc.BrokerMessage{Subject: v.Subject, Body: v.body()}
	if v.ReplyTo != nil {
		m.ReplyTo = wrpc.Some(*v.ReplyTo)
	}
	return m
}

func (v vector) params(t *testing.T) []byte {
	t.Helper()
	if v.Function == wrpc.RequestFunction {
		return wrpc.AppendRequest(nil, wrpc.RequestParams{Subject: v.Params.Subject, Body: v.Params.body(), TimeoutMillis: *v.Params.Timeout})
	}
	return wrpc.AppendMessage(nil, v.Params.message())
}

// result is what the handler of the vector returns, nil for a failure that WIT has no word for.
func (v vector) result(t *testing.T) []byte {
	t.Helper()
	var text string
	var fields struct {
		values
		Err *string
	}
	switch {
	case json.Unmarshal(v.Result, &text) == nil && text == "ok":
		return wrpc.AppendDone(nil, wrpc.Done{})
	case json.Unmarshal(v.Result, &text) == nil:
		return nil
	case json.Unmarshal(v.Result, &fields) != nil:
		t.Fatalf("%s: unknown result %s", v.Name, v.Result)
	case fields.Err != nil && v.Function == wrpc.RequestFunction:
		return wrpc.AppendReply(nil, wrpc.Err[wrpc.BrokerMessage](*fields.Err))
	case fields.Err != nil:
		return wrpc.AppendDone(nil, wrpc.Err[wrpc.Unit](*fields.Err))
	}
	return wrpc.AppendReply(nil, wrpc.Ok[wrpc.BrokerMessage, string](fields.message()))
}

func TestVectorsEncode(t *testing.T) {
	for _, v := range load(t).Vectors {
		t.Run(v.Name, func(t *testing.T) {
			if got := hex.EncodeToString(v.params(t)); got != v.ParamsHex {
				t.Errorf("the parameters encode as %s, want %s", got, v.ParamsHex)
			}
			if got := hex.EncodeToString(v.result(t)); got != v.ResultHex {
				t.Errorf("the result encodes as %s, want %s", got, v.ResultHex)
			}
		})
	}
}

func TestVectorsDecode(t *testing.T) {
	for _, v := range load(t).Vectors {
		t.Run(v.Name, func(t *testing.T) {
			d := wrpc.NewDecoder(unhex(t, v.ParamsHex))
			var got, want any
			if v.Function == wrpc.RequestFunction {
				got, want = wrpc.DecodeRequest(d), wrpc.RequestParams{Subject: v.Params.Subject, Body: v.Params.body(), TimeoutMillis: *v.Params.Timeout}
			} else {
				got, want = wrpc.DecodeMessage(d), v.Params.message()
			}
			if diff := cmp.Diff(want, got); diff != "" || d.Err() != nil || d.Left() != 0 {
				t.Errorf("parameters: error %v, %d bytes left, -want +got:\n%s", d.Err(), d.Left(), diff)
			}
			result := v.result(t)
			if result == nil {
				return
			}
			d = wrpc.NewDecoder(unhex(t, v.ResultHex))
			var again []byte
			if v.Function == wrpc.RequestFunction {
				again = wrpc.AppendReply(nil, wrpc.DecodeReply(d))
			} else {
				again = wrpc.AppendDone(nil, wrpc.DecodeDone(d))
			}
			if !bytes.Equal(again, result) || d.Err() != nil || d.Left() != 0 {
				t.Errorf("the result decodes and encodes as %x, error %v, %d bytes left, want %x", again, d.Err(), d.Left(), result)
			}
		})
	}
}

type pair struct{ Key, Value string }

func appendPair(b []byte, p pair) []byte {
	return wrpc.AppendString(wrpc.AppendString(b, p.Key), p.Value)
}

func decodePair(d *wrpc.Decoder) pair { return pair{d.Text(), d.Text()} }

func TestVectorsPrimitives(t *testing.T) {
	for _, v := range load(t).Primitives {
		t.Run(v.Value, func(t *testing.T) {
			data := unhex(t, v.Hex)
			d := wrpc.NewDecoder(data)
			var got []byte
			var want any
			var decoded any
			switch kind, text, _ := strings.Cut(v.Value, " "); {
			case kind == "u32":
				var n uint32
				if err := json.Unmarshal([]byte(text), &n); err != nil {
					t.Fatal(err)
				}
				got, want, decoded = wrpc.AppendU32(nil, n), n, d.U32()
			case kind == "string":
				s := strings.Trim(text, `"`)
				got, want, decoded = wrpc.AppendString(nil, s), s, d.Text()
			case v.Value == "list<u8> [1,2,255]":
				l := []byte{1, 2, 255}
				got, want, decoded = wrpc.AppendBytes(nil, l), l, d.Bytes()
			case kind == "option":
				o := wrpc.Option[string]{}
				if text == `some("x")` {
					o = wrpc.Some("x")
				}
				got, want, decoded = wrpc.AppendOption(nil, o, wrpc.AppendString), o, wrpc.DecodeOption(d, (*wrpc.Decoder).Text)
			case kind == "list<tuple<string,string>>":
				l := []pair{{"k", "v"}}
				got, want, decoded = wrpc.AppendList(nil, l, appendPair), l, wrpc.DecodeList(d, decodePair)
			case strings.HasPrefix(text, "error.timeout"):
				got, want, decoded = wrpc.AppendCase(nil, 0), uint32(0), d.Case(4)
			case strings.HasPrefix(text, "error.other"):
				got = wrpc.AppendString(wrpc.AppendCase(nil, 3), "x")
				want, decoded = []any{uint32(3), "x"}, []any{d.Case(4), d.Text()}
			case v.Value == "result<_, string> ok":
				got, want, decoded = wrpc.AppendDone(nil, wrpc.Done{}), wrpc.Done{}, wrpc.DecodeDone(d)
			case v.Value == `result<_, string> err("")`:
				r := wrpc.Err[wrpc.Unit]("")
				got, want, decoded = wrpc.AppendDone(nil, r), r, wrpc.DecodeDone(d)
			default:
				t.Fatalf("%q has no case in this test", v.Value)
			}
			if !bytes.Equal(got, data) {
				t.Errorf("encodes as %x, want %x", got, data)
			}
			if diff := cmp.Diff(want, decoded); diff != "" || d.Err() != nil || d.Left() != 0 {
				t.Errorf("decodes with error %v and %d bytes left, -want +got:\n%s", d.Err(), d.Left(), diff)
			}
		})
	}
}
