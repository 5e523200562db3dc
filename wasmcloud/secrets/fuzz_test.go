package secrets

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential"
)

// FuzzOpen: whatever is sent, opening it is an answer and no panic.
func FuzzOpen(f *testing.F) {
	seed, err := NewTransit()
	if err != nil {
		f.Fatal(err)
	}
	transit, err := DecodeTransit(credential.Material{Value: seed})
	if err != nil {
		f.Fatal(err)
	}
	own, _ := nkeys.CreateCurveKeys()
	public, _ := own.PublicKey()
	sealed, _ := own.Seal([]byte(`{"key":"k","context":{"application":{"policy":""}}}`), transit.Public)
	f.Add(public, sealed)
	f.Add("", []byte(nil))
	f.Add("X", []byte("xkv1"))
	f.Add(public, append([]byte("xkv1"), make([]byte, 41)...))
	f.Fuzz(func(t *testing.T, sender string, data []byte) {
		if !isCurveKey(sender) {
			return
		}
		text, refused := open(data, sender, []Transit{transit})
		if (text == nil) == (refused == nil) && len(data) > sealOverhead {
			t.Errorf("open = %d bytes and %v", len(text), refused)
		}
	})
}

// FuzzRequest: a request is read or refused, and what was read is within bounds.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"key":"k","field":null,"version":"1","context":{"entity_jwt":"a.b.c","host_jwt":"","application":{"name":null,"policy":"{}"}}}`))
	f.Add([]byte(`{"key":7}`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`{"key":"\u0000"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, refused := parseRequest(text)
		if refused != nil {
			if refused.Code != InvalidRequest {
				t.Errorf("refused with %v", refused)
			}
			return
		}
		if r.Key == "" || len(r.Key) > maxName || len(value(r.Field)) > maxName {
			t.Errorf("a request for the key %q", r.Key)
		}
		_ = r.checkPolicy()
	})
}

// FuzzField: any value has a field or not.
func FuzzField(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,"two"]}}`), "/a/b/1")
	f.Add([]byte("-----BEGIN NATS USER JWT-----\nx\n------END NATS USER JWT------\n"), "jwt")
	f.Add([]byte(`"text"`), "a")
	f.Fuzz(func(t *testing.T, content []byte, name string) {
		m := credential.Material{Value: credential.NewSecret(content)}
		raw, refused := field(m, name)
		if name == "" && !bytes.Equal(raw, content) {
			t.Errorf("the whole of %q is %q", content, raw)
		}
		if refused != nil && raw != nil {
			t.Errorf("refused with %q", raw)
		}
		if !bytes.Equal(m.Value.Reveal(), content) {
			t.Errorf("reading a field changed the value")
		}
	})
}

// FuzzNumbers: bytes are numbers in JSON and back.
func FuzzNumbers(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		text, err := json.Marshal(numbers(append([]byte{}, data...)))
		if err != nil {
			t.Fatal(err)
		}
		var back numbers
		if err := json.Unmarshal(text, &back); err != nil || !bytes.Equal(back, data) {
			t.Errorf("%v is %s is %v, %v", data, text, back, err)
		}
		_ = json.Unmarshal(data, &back)
	})
}
