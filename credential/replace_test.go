package credential_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/parley-backend/parley/credential"
)

func decoder(t interface{ Fatal(...any) }, field, format string) credential.Decoder {
	d, err := credential.Reference{Scheme: "file", Field: field, Engine: credential.ReferenceOptions{Format: format}}.Decoder()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestReplace(t *testing.T) {
	const document = "{\n\t\"masterKey\" : \"m\\u00e4\", \"n\":1.50,\r\n \"old\": [\"k0\",\"k1\" ,null], \"a\": {\"b\": {}, \"c\":\"\"},\"twice\":\"1\",\"twice\":\"2\"}\n\n"
	for _, test := range []struct {
		field, content, value, want, err string
	}{
		{"", "old\n", "new", "new", ""},
		{"", "", "new", "new", ""},
		{"masterKey", document, "new", "{\n\t\"masterKey\" : \"new\", \"n\":1.50,\r\n \"old\": [\"k0\",\"k1\" ,null], \"a\": {\"b\": {}, \"c\":\"\"},\"twice\":\"1\",\"twice\":\"2\"}\n\n", ""},
		{"/old/1", document, "new", "{\n\t\"masterKey\" : \"m\\u00e4\", \"n\":1.50,\r\n \"old\": [\"k0\",\"new\" ,null], \"a\": {\"b\": {}, \"c\":\"\"},\"twice\":\"1\",\"twice\":\"2\"}\n\n", ""},
		{"/old/2", document, "new", "{\n\t\"masterKey\" : \"m\\u00e4\", \"n\":1.50,\r\n \"old\": [\"k0\",\"k1\" ,\"new\"], \"a\": {\"b\": {}, \"c\":\"\"},\"twice\":\"1\",\"twice\":\"2\"}\n\n", ""},
		{"/a/c", document, "new", "{\n\t\"masterKey\" : \"m\\u00e4\", \"n\":1.50,\r\n \"old\": [\"k0\",\"k1\" ,null], \"a\": {\"b\": {}, \"c\":\"new\"},\"twice\":\"1\",\"twice\":\"2\"}\n\n", ""},
		{"k", `{"k":"old"}`, "\"\\/\x00\n\x1f\x7f€😀<&", `{"k":"\"\\/\u0000\n\u001f` + "\x7f" + `€😀<&"}`, ""},
		{"k", `{"k":"old"}`, "", `{"k":""}`, ""},
		{"k", `{"k":"old"}`, "\xff", "", "credential: invalid: the new value is not UTF-8"},
		{"k", `{"k":"old"`, "new", "", "credential: invalid: not JSON"},
		{"k", ``, "new", "", "credential: invalid: not JSON"},
		{"none", document, "new", "", `credential: missing: the document has no field "none"`},
		{"twice", document, "new", "", `credential: invalid: the document has the field "twice" twice`},
		{"n", document, "new", "", `credential: invalid: the field "n" is not a string`},
		{"old", document, "new", "", `credential: invalid: the field "old" is not a string`},
		{"/a/b", document, "new", "", `credential: invalid: the field "/a/b" is not a string`},
	} {
		content := []byte(test.content)
		got, err := decoder(t, test.field, "").Replace(content, credential.NewSecret(test.value))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if string(got) != test.want || text != test.err {
			t.Errorf("Replace #%s in %q = %q %q, want %q %q", test.field, test.content, got, text, test.want, test.err)
		}
		if string(content) != test.content {
			t.Errorf("Replace #%s changed its input to %q", test.field, content)
		}
	}
	if _, err := decoder(t, "", "json").Replace([]byte(document), credential.NewSecret("new")); !errors.Is(err, credential.ErrNotWritable) {
		t.Errorf("Replace in a group = %v, want ErrNotWritable", err)
	}
}

// What was replaced is what Decode then finds, and replacing it back gives a document in which
// nothing else has changed.
func TestReplaceIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Draw(t, "name")
		if !utf8.ValidString(name) || name == "" {
			name = "name"
		}
		before, after := rapid.StringN(1, -1, -1).Draw(t, "before"), rapid.StringN(1, -1, -1).Draw(t, "after")
		members := rapid.MapOf(rapid.StringMatching(`[a-z]{0,4}`), rapid.StringMatching(`[ -~]{0,9}`)).Draw(t, "members")
		members[name] = before
		content, err := json.MarshalIndent(members, "", rapid.SampledFrom([]string{"", " ", "\t"}).Draw(t, "indent"))
		if err != nil {
			t.Fatal(err)
		}
		pointer := "/" + string(bytes.ReplaceAll(bytes.ReplaceAll([]byte(name), []byte("~"), []byte("~0")), []byte("/"), []byte("~1")))
		d := decoder(t, pointer, "")
		changed, err := d.Replace(content, credential.NewSecret(after))
		if err != nil {
			t.Fatalf("Replace in %s: %v", content, err)
		}
		var version credential.Version
		if err := d.Decode(changed, &version); err != nil || string(version.Value.Reveal()) != after {
			t.Fatalf("Decode(%s) = %q %v, want %q", changed, version.Value.Reveal(), err, after)
		}
		var got map[string]string
		if err := json.Unmarshal(changed, &got); err != nil {
			t.Fatalf("%s: %v", changed, err)
		}
		members[name] = after
		for key, want := range members {
			if got[key] != want {
				t.Fatalf("member %q = %q, want %q", key, got[key], want)
			}
		}
		again, err := d.Replace(changed, credential.NewSecret(after))
		if err != nil || !bytes.Equal(again, changed) {
			t.Fatalf("Replace by the same = %s %v, want %s", again, err, changed)
		}
	})
}
