package wasmcloud_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/wasmcloud"
)

func TestBytesAreNumbers(t *testing.T) {
	for in, want := range map[string]wasmcloud.Bytes{
		"null": nil, "[]": {}, "[0]": {0}, "[120,107,118,49]": []byte("xkv1"), " [ 1 ,\n2 ] ": {1, 2}, "[255]": {255},
	} {
		var got wasmcloud.Bytes
		if err := json.Unmarshal([]byte(in), &got); err != nil {
			t.Errorf("Unmarshal(%s) = %v", in, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Unmarshal(%s) (-want +got):\n%s", in, diff)
		}
		text, err := json.Marshal(got)
		var again wasmcloud.Bytes
		if err != nil || json.Unmarshal(text, &again) != nil || !bytes.Equal(again, got) || (again == nil) != (got == nil) {
			t.Errorf("Marshal(%v) = %s, %v", got, text, err)
		}
	}
	for _, in := range []string{`"eHZrMQ=="`, "[256]", "[-1]", "[1.5]", "[null]", "{}", "1", "true", `["1"]`, "[[1]]"} {
		var got wasmcloud.Bytes
		if err := json.Unmarshal([]byte(in), &got); err == nil {
			t.Errorf("Unmarshal(%s) = %v, want an error", in, got)
		}
	}
}

func TestSecretValuesBothWays(t *testing.T) {
	for _, test := range []struct {
		text string
		want wasmcloud.SecretValue
	}{
		{`{"kind":"String","value":"text"}`, wasmcloud.SecretValue{Value: credential.NewSecret("text")}},
		{`{"kind":"Bytes","value":[1,2,255]}`, wasmcloud.SecretValue{Bytes: true, Value: credential.NewSecret([]byte{1, 2, 255})}},
	} {
		var got wasmcloud.SecretValue
		if err := json.Unmarshal([]byte(test.text), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got, plain); diff != "" {
			t.Errorf("Unmarshal(%s) (-want +got):\n%s", test.text, diff)
		}
		if back, err := json.Marshal(got); err != nil || string(back) != test.text {
			t.Errorf("Marshal(%s) = %s, %v", test.text, back, err)
		}
	}
}

func TestWhichEndOfALink(t *testing.T) {
	for _, test := range []struct {
		link string
		want wasmcloud.Key
		err  string
	}{
		{link: `{"source_id":"nats","target":"echo","wit_namespace":"wasmcloud","wit_package":"messaging"}`,
			want: wasmcloud.Key{Role: wasmcloud.Source, Component: "echo", Name: "default", Namespace: "wasmcloud", Package: "messaging"}},
		{link: `{"source_id":"echo","target":"nats","name":"second","wit_namespace":"wasmcloud","wit_package":"messaging"}`,
			want: wasmcloud.Key{Role: wasmcloud.Target, Component: "echo", Name: "second", Namespace: "wasmcloud", Package: "messaging"}},
		{link: `{"source_id":"nats","target":"nats"}`, want: wasmcloud.Key{Role: wasmcloud.Source, Component: "nats", Name: "default"}},
		{link: `{"source_id":"a","target":"b","name":"n"}`, err: "the link a->b (n) is not one of the provider nats"},
		{link: `{"source_id":"nats","target":""}`, err: `the link nats-> names a component that cannot be called: ""`},
		{link: `{"source_id":"nats","target":"a b"}`, err: `the link nats->a b names a component that cannot be called: "a b"`},
		{link: `{"source_id":"nats","target":"a.>"}`, err: `the link nats->a.> names a component that cannot be called: "a.>"`},
		{link: `{"source_id":"nats","target":"a..b"}`, err: `the link nats->a..b names a component that cannot be called: "a..b"`},
	} {
		d, err := wasmcloud.ParseLink([]byte(test.link))
		if err != nil {
			t.Errorf("ParseLink(%s) = %v", test.link, err)
			continue
		}
		got, err := d.Key("nats")
		if diff := cmp.Diff(test.want, got); diff != "" || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
			t.Errorf("Key(%s) = %v, want the error %q (-want +got):\n%s", test.link, err, test.err, diff)
		}
	}
}

func TestMalformedLinks(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "a link is not a JSON object",
		"null":                      "a link is not a JSON object",
		"[]":                        "a link is not a JSON object",
		"{":                         "a link is malformed: it is not JSON, at byte 1",
		`{"source_id":1}`:           "a link is malformed: source_id is of the wrong type, number",
		`{"source_config":{"a":1}}`: "a link is malformed: source_config is of the wrong type, number",
		`{"target_secrets":"AAA="}`: "a link is malformed: bytes are not an array of numbers from 0 to 255",
		`{"interfaces":"consumer"}`: "a link is malformed: interfaces is of the wrong type, string",
	} {
		if d, err := wasmcloud.ParseLink([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("ParseLink(%s) = %v, %v, want the error %q", in, d, err, want)
		}
	}
}

func FuzzParseLink(f *testing.F) {
	v := readVectors(f)
	f.Add([]byte(v.Source))
	f.Add([]byte(v.Target))
	f.Add([]byte(`{"name":"","source_secrets":[1, 2],"target_secrets":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := wasmcloud.ParseLink(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		back, err := wasmcloud.ParseLink(again)
		if diff := cmp.Diff(d, back); diff != "" || err != nil {
			t.Errorf("ParseLink of what was written: %v (-want +got):\n%s", err, diff)
		}
	})
}
