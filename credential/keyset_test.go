package credential_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
)

// sha returns the SHA-256 of a key in hexadecimal, as a keyset holds it.
func sha(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func jan(n int) time.Time { return time.Date(2026, 1, n, 9, 0, 0, 0, time.UTC) }

func TestKeyset(t *testing.T) {
	sumA := sha256.Sum256([]byte(keyA))
	for _, test := range []struct {
		name, field, content string
		of                   credential.Version
		want                 []credential.Version
	}{
		{"plain", "", `{"keys":[{"id":"a","value":"` + keyA + `"}]}`, credential.Version{}, []credential.Version{{ID: "a", Value: credential.NewSecret(keyA)}}},
		{"hexadecimal", "", ` { "keys" : [ { "sha256" : "` + strings.ToUpper(sha(keyA)) + `" , "id":"a" } ] } `, credential.Version{}, []credential.Version{{ID: "a", Digest: sumA}}},
		{"base64", "", `{"keys":[{"id":"a","sha256":"` + base64.StdEncoding.EncodeToString(sumA[:]) + `"}]}`, credential.Version{}, []credential.Version{{ID: "a", Digest: sumA}}},
		{"base64 of the other alphabet, not padded", "", `{"keys":[{"id":"a","sha256":"` + base64.RawURLEncoding.EncodeToString(sumA[:]) + `"}]}`, credential.Version{}, []credential.Version{{ID: "a", Digest: sumA}}},
		{"every state", "", `{"note":"who may ask: ops","count":6,"keys":[
			{"id":"a","value":"` + keyA + `","state":"current","created":"2026-01-01T09:00:00Z","note":"the app"},
			{"id":"b","value":"` + keyB + `","state":"previous","until":"2026-01-03T10:00:00+01:00"},
			{"id":"c","value":"` + keyC + `","state":"pending"},
			{"id":"d","value":"` + keyD + `","notBefore":"2026-01-02T09:00:00Z","notAfter":"2026-01-04T09:00:00Z"},
			{"id":"e","state":"disabled"},
			{"id":"\u00e4","sha256":"` + sha(keyA) + `","state":"revoked"}]}`, credential.Version{},
			[]credential.Version{
				{ID: "a", Value: credential.NewSecret(keyA), Created: jan(1)},
				{ID: "b", Value: credential.NewSecret(keyB), State: credential.Previous, Until: jan(3)},
				{ID: "c", Value: credential.NewSecret(keyC), State: credential.Pending},
				{ID: "d", Value: credential.NewSecret(keyD), NotBefore: jan(2), NotAfter: jan(4)},
				{ID: "e", State: credential.Disabled},
				{ID: "ä", Digest: sumA, State: credential.Revoked},
			}},
		{"in a field", "/parse/keys", `{"parse":{"keys":{"keys":[{"id":"a","value":"` + keyA + `"}]}},"other":1}`, credential.Version{}, []credential.Version{{ID: "a", Value: credential.NewSecret(keyA)}}},
		{"as text in a field", "keys", `{"keys":"{\"keys\":[{\"id\":\"a\",\"value\":\"` + keyA + `\"}]}"}`, credential.Version{}, []credential.Version{{ID: "a", Value: credential.NewSecret(keyA)}}},
		{"what the store says of all", "", `{"keys":[{"id":"a","value":"` + keyA + `"},{"id":"b","value":"` + keyB + `","notAfter":"2026-01-02T09:00:00Z"}]}`,
			credential.Version{ID: "7", Number: 7, Created: jan(1), NotAfter: jan(3)},
			[]credential.Version{{ID: "a", Number: 7, Value: credential.NewSecret(keyA), NotAfter: jan(3)}, {ID: "b", Number: 7, Value: credential.NewSecret(keyB), NotAfter: jan(2)}}},
	} {
		got, err := decoder(t, test.field, "keyset").Payload([]byte(test.content), test.of)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if diff := cmp.Diff(credential.Payload{Form: credential.Keyset, Versions: test.want}, got, sameSecret); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// A mistake refuses the whole keyset, and is told without a word of it.
func TestKeysetRefuses(t *testing.T) {
	const good = `{"id":"a","value":"` + keyA + `"}`
	one := func(members string) string { return `{"keys":[` + good + `,{` + members + `}]}` }
	value := `,"value":"` + keyB + `"`
	for _, test := range []struct{ content, want string }{
		{``, "not JSON"},
		{`{"keys":[` + good, "not JSON"},
		{`{"keys":[` + good + `]}{}`, "not JSON"},
		{`[` + good + `]`, "keyset: not an object"},
		{`"x"`, "keyset: not an object"},
		{`{}`, "keyset: it has no keys"},
		{`{"count":0}`, "keyset: it has no keys"},
		{`{"keys":[]}`, "keyset: its list of keys is empty"},
		{`{"keys":{}}`, "keyset: its keys are not a list"},
		{`{"keys":null}`, "keyset: its keys are not a list"},
		{`{"keys":[` + good + `],"keys":[` + good + `]}`, "keyset: the same member twice"},
		{`{"keys":[` + good + `],"k\u0065ys":[]}`, "keyset: the same member twice"},
		{`{"keys":[` + good + `],"secret-member":1}`, "keyset: an unknown member"},
		{`{"Keys":[` + good + `]}`, "keyset: an unknown member"},
		{`{"\ud800":1}`, "keyset: an unknown member"},
		{`{"keys":[` + good + `],"count":2}`, "keyset: it has 1 keys, and its count says otherwise"},
		{`{"keys":[` + good + `],"count":1.0}`, "keyset: its count is not a whole number"},
		{`{"keys":[` + good + `],"count":"1"}`, "keyset: its count is not a whole number"},
		{`{"keys":[` + good + `],"count":-1}`, "keyset: its count is not a whole number"},
		{`{"keys":[` + good + `],"note":1}`, "keyset: a note that is not text"},
		{`{"keys":["` + keyA + `"]}`, "keyset: key 1: not an object"},
		{`{"keys":[` + good + `,` + good + `]}`, "keyset: key 2: the id of key 1"},
		{one(`"id":"b","secret":"x"` + value), "keyset: key 2: an unknown member"},
		{one(`"id":"b","ID":"b"` + value), "keyset: key 2: an unknown member"},
		{one(`"id":"b","id":"b"` + value), "keyset: key 2: the same member twice"},
		{one(`"id":"b"` + value + value), "keyset: key 2: the same member twice"},
		{one(value[1:]), "keyset: key 2: it has no id"},
		{one(`"id":""` + value), "keyset: key 2: its id is not text of 1 to 128 bytes that can be printed"},
		{one(`"id":7` + value), "keyset: key 2: its id is not text of 1 to 128 bytes that can be printed"},
		{one(`"id":"a\n"` + value), "keyset: key 2: its id is not text of 1 to 128 bytes that can be printed"},
		{one(`"id":"` + "\xff" + `"` + value), "keyset: key 2: its id is not text of 1 to 128 bytes that can be printed"},
		{one(`"id":"` + strings.Repeat("i", 129) + `"` + value), "keyset: key 2: its id is not text of 1 to 128 bytes that can be printed"},
		{one(`"id":"` + keyB + `"` + value), "keyset: key 2: its id is its value"},
		{one(`"id":"` + keyB + `","sha256":"` + sha(keyB) + `"`), "keyset: key 2: its id is its value"},
		{one(`"id":"` + keyA + `"` + value), "keyset: key 2: its id is the value of a key"},
		{one(`"id":"` + keyD + `"` + value + `},{"id":"d","sha256":"` + sha(keyD) + `","state":"revoked"`), "keyset: key 2: its id is the value of a key"},
		{one(`"id":"b"`), "keyset: key 2: it has neither a value nor its sha256"},
		{one(`"id":"b","state":"pending"`), "keyset: key 2: it has neither a value nor its sha256"},
		{one(`"id":"b","value":""`), "keyset: key 2: its value is not text, or is empty"},
		{one(`"id":"b","value":12345678901234567890`), "keyset: key 2: its value is not text, or is empty"},
		{one(`"id":"b","value":null`), "keyset: key 2: its value is not text, or is empty"},
		{one(`"id":"b","sha256":"` + sha(keyB) + `"` + value), "keyset: key 2: it has both a value and its sha256"},
		{one(`"id":"b","state":"revoked","sha256":"` + sha(keyB) + `"` + value), "keyset: key 2: it has both a value and its sha256"},
		{one(`"id":"b","sha256":""`), "keyset: key 2: its sha256 is not 32 bytes in hexadecimal or base64"},
		{one(`"id":"b","sha256":1`), "keyset: key 2: its sha256 is not 32 bytes in hexadecimal or base64"},
		{one(`"id":"b","sha256":"` + sha(keyB)[:62] + `"`), "keyset: key 2: its sha256 is not 32 bytes in hexadecimal or base64"},
		{one(`"id":"b","sha256":"` + sha(keyB) + `00"`), "keyset: key 2: its sha256 is not 32 bytes in hexadecimal or base64"},
		{one(`"id":"b","sha256":"` + strings.Repeat("0", 64) + `"`), "keyset: key 2: its sha256 is not that of a key"},
		{one(`"id":"b","sha256":"` + strings.Repeat("ff", 32) + `"`), "keyset: key 2: its sha256 is not that of a key"},
		{one(`"id":"b","sha256":"` + sha("") + `"`), "keyset: key 2: its sha256 is not that of a key"},
		{one(`"id":"b","sha256":"` + sha("\n") + `"`), "keyset: key 2: its sha256 is not that of a key"},
		{one(`"id":"b","state":"retired"` + value), "keyset: key 2: its state is none of current, previous, pending, disabled and revoked"},
		{one(`"id":"b","state":true` + value), "keyset: key 2: its state is none of current, previous, pending, disabled and revoked"},
		{one(`"id":"b","created":"yesterday"` + value), "keyset: key 2: its created is not a time as in 2026-01-31T09:00:00Z"},
		{one(`"id":"b","notBefore":1767258000` + value), "keyset: key 2: its notBefore is not a time as in 2026-01-31T09:00:00Z"},
		{one(`"id":"b","notAfter":"2026-01-31"` + value), "keyset: key 2: its notAfter is not a time as in 2026-01-31T09:00:00Z"},
		{one(`"id":"b","notAfter":"2026-02-30T09:00:00Z"` + value), "keyset: key 2: its notAfter is not a time as in 2026-01-31T09:00:00Z"},
		{one(`"id":"b","notAfter":"0001-01-01T00:00:00Z"` + value), "keyset: key 2: its notAfter is not a time as in 2026-01-31T09:00:00Z"},
		{one(`"id":"b","notBefore":"2026-01-31T09:00:00Z","notAfter":"2026-01-31T10:00:00+01:00"` + value), "keyset: key 2: its notAfter is not later than its notBefore"},
		{one(`"id":"b","state":"previous"` + value), "keyset: key 2: a previous key needs to say until when"},
		{one(`"id":"b","state":"previous","until":null` + value), "keyset: key 2: its until is not a time as in 2026-01-31T09:00:00Z"},
		{one(`"id":"b","until":"2026-01-31T09:00:00Z"` + value), "keyset: key 2: only a previous key has an until; of another it is notAfter"},
		{one(`"id":"b","note":{}` + value), "keyset: key 2: a note that is not text"},
	} {
		_, err := decoder(t, "", "keyset").Payload([]byte(test.content), credential.Version{})
		if want := "credential: invalid: " + test.want; err == nil || err.Error() != want {
			t.Errorf("Payload(%s) = %v, want %s", test.content, err, want)
		}
	}
	for _, test := range []struct{ format, field, content, want string }{
		{"keyset", "keys", `{"keys":"no JSON"}`, `credential: invalid: the text in the field "keys" is not JSON`},
		{"keyset", "keys", `{"keys":12}`, `credential: invalid: keyset: not an object`},
		{"keyset", "other", `{"keys":12}`, `credential: missing: the document has no field "other"`},
		{"keyset", "a", `{"a":{},"a":{}}`, `credential: invalid: the document has the field "a" twice`},
		{"keyset", "a", `{"a":"\ud800"}`, `credential: invalid: the field "a" is not a string`},
		{"lines", "a", `{"a":["x"]}`, `credential: invalid: the field "a" is not a string`},
		{"lines", "a", `x`, `credential: invalid: not JSON`},
		{"lines", "", ``, `credential: invalid: no line with a key`},
		{"lines", "", "\n# only a comment\n  \r\n\t# another\n", `credential: invalid: no line with a key`},
		{"lines", "", strings.Repeat("k\n", 20_001), `credential: invalid: more than 20000 lines with keys`},
		{"keyset", "", `{"keys":[` + strings.Repeat("{},", 20_000) + `{}]}`, `credential: invalid: keyset: key 1: it has no id`},
		{"keyset", "", manyKeys(20_001), `credential: invalid: keyset: it has more than 20000 keys`},
	} {
		_, err := decoder(t, test.field, test.format).Payload([]byte(test.content), credential.Version{})
		if err == nil || err.Error() != test.want {
			t.Errorf("Payload of #%s in %.60q = %v, want %s", test.field, test.content, err, test.want)
		}
	}
}

// manyKeys returns a keyset of n keys at rest.
func manyKeys(n int) string {
	var b strings.Builder
	b.WriteString(`{"keys":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"%d","sha256":"%s"}`, i, sha(fmt.Sprintf("api-key-number-%08d", i)))
	}
	b.WriteString(`]}`)
	return b.String()
}

func TestLines(t *testing.T) {
	const content = "# the keys of the app\n\n" + keyA + "\r\n  # and of its tests\n" + keyB + "\n\t\n" + keyC + "#not-a-comment"
	want := credential.Payload{Form: credential.List}
	for _, value := range []string{keyA, keyB, keyC + "#not-a-comment"} {
		want.Versions = append(want.Versions, credential.Version{Number: 3, Created: jan(1), Value: credential.NewSecret(value)})
	}
	quoted, err := json.Marshal(map[string]string{"keys": content})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ field, content string }{{"", content}, {"keys", string(quoted)}} {
		got, err := decoder(t, test.field, "lines").Payload([]byte(test.content), credential.Version{ID: "3", Number: 3, Created: jan(1)})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, sameSecret); diff != "" {
			t.Errorf("Payload of #%s (-want +got):\n%s", test.field, diff)
		}
	}
}

func TestDecoderLimit(t *testing.T) {
	for _, test := range []struct {
		format string
		field  string
		want   int
		whole  bool
	}{{"", "", 64 << 10, true}, {"raw", "", 64 << 10, true}, {"json", "a", 64 << 10, false}, {"json", "", 64 << 10, false}, {"lines", "", 4 << 20, false}, {"lines", "a", 4 << 20, false}, {"keyset", "", 4 << 20, false}} {
		d := decoder(t, test.field, test.format)
		if got := d.Limit(); got != test.want || d.Whole() != test.whole || d.Several() != (test.want > 64<<10) {
			t.Errorf("format %q: Limit = %d, Whole = %v, Several = %v; want %d, %v, %v", test.format, got, d.Whole(), d.Several(), test.want, test.whole, test.want > 64<<10)
		}
		if !d.Several() {
			continue
		}
		if _, err := d.Replace([]byte(`{"a":"b"}`), credential.NewSecret(keyA)); !errors.Is(err, credential.ErrNotWritable) {
			t.Errorf("format %q: Replace = %v, want ErrNotWritable", test.format, err)
		}
		if err := d.Decode([]byte(`{"a":"b"}`), &credential.Version{}); !errors.Is(err, credential.Misconfigured) {
			t.Errorf("format %q: Decode = %v, want Misconfigured", test.format, err)
		}
	}
}

// FuzzKeyset: whatever is in a document, reading it does not panic, changes nothing of it, and yields either an error that
// quotes none of it or keys that encoding/json finds there too, each complete.
func FuzzKeyset(f *testing.F) {
	f.Add("", []byte(`{"count":1,"note":"n","keys":[{"id":"a","value":"`+keyA+`","created":"2026-01-01T09:00:00Z","notBefore":"2026-01-01T09:00:00Z","notAfter":"2026-01-02T09:00:00Z"}]}`))
	f.Add("", []byte(`{"keys":[{"id":"b","sha256":"`+sha(keyB)+`","state":"previous","until":"2026-01-01T09:00:00Z"},{"id":"c","state":"revoked"}]}`))
	f.Add("k", []byte(`{"k":"{\"keys\":[{\"id\":\"a\",\"value\":\"`+keyA+`\"}]}"}`))
	f.Add("/k/0", []byte(`{"k":[{"keys":[{"id":"a","value":"\u0061`+keyA+`","note":""}]}]}`))
	f.Add("", []byte(`{"keys":[{"id":"a","id":"b"},[],1,null,"x"]}`))
	f.Fuzz(func(t *testing.T, field string, content []byte) {
		d, err := credential.Reference{Scheme: "file", Field: field, Engine: credential.ReferenceOptions{Format: "keyset"}}.Decoder()
		if err != nil {
			return
		}
		before := string(content)
		p, err := d.Payload(content, credential.Version{})
		if string(content) != before {
			t.Error("Payload changed its input")
		}
		if err != nil {
			if text := err.Error(); strings.Contains(text, keyA) || !strings.HasPrefix(text, "credential: ") {
				t.Errorf("Payload(%s) = %v", content, err)
			}
			return
		}
		ids := map[string]bool{}
		for _, v := range p.Versions {
			if v.ID == "" || ids[v.ID] || v.Value.Len() > 0 && v.Digest != [32]byte{} {
				t.Errorf("Payload(%s) has version %+v", content, v)
			}
			if v.Value.Len() == 0 && v.Digest == [32]byte{} && v.State != credential.Disabled && v.State != credential.Revoked {
				t.Errorf("Payload(%s) has nothing to verify in version %q", content, v.ID)
			}
			ids[v.ID] = true
		}
		if field != "" {
			return
		}
		var whole struct {
			Keys []struct {
				ID, Value string
			}
		}
		if err := json.Unmarshal(content, &whole); err != nil || len(whole.Keys) != len(p.Versions) {
			t.Fatalf("Payload(%s) has %d keys, encoding/json %d (%v)", content, len(p.Versions), len(whole.Keys), err)
		}
		for i, v := range p.Versions {
			if key := whole.Keys[i]; v.ID != key.ID || strings.ToValidUTF8(string(v.Value.Reveal()), "\uFFFD") != key.Value && !strings.Contains(key.Value, "\uFFFD") {
				t.Errorf("Payload(%s) has key %q in place %d, want %q", content, v.ID, i, key.ID)
			}
		}
	})
}

// The keyset in the documentation is one.
func TestDocumentedKeyset(t *testing.T) {
	text, err := os.ReadFile("../docs/credentials.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "**`format=keyset`**")
	_, rest, _ = strings.Cut(rest, "```json\n")
	keyset, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the documentation has no keyset")
	}
	p, err := decoder(t, "", "keyset").Payload([]byte(keyset), credential.Version{})
	if err != nil || len(p.Versions) != 4 {
		t.Errorf("Payload of the documented keyset = %d keys, %v", len(p.Versions), err)
	}
}
