package credential_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
)

const document = `{"masterKey": "m\u00e4\ud83d\ude00\n\"\\\/", "old": {"keys": ["k0", "k\t1" ], "a/b": "slash", "m~n": "tilde", "": "empty name"},
	"n": 12345678901234567890, "yes": true, "none": null, "twice": "a", "twice": "b", "x:}]\"": "odd name", "half": "\ud800 "}`

func TestDecode(t *testing.T) {
	for _, test := range []struct {
		field, want string
		class       error
	}{
		{"masterKey", "mä😀\n\"\\/", nil},
		{"/masterKey", "mä😀\n\"\\/", nil},
		{"/old/keys/0", "k0", nil},
		{"/old/keys/1", "k\t1", nil},
		{"/old/a~1b", "slash", nil},
		{"/old/m~0n", "tilde", nil},
		{"/old/", "empty name", nil},
		{`x:}]"`, "odd name", nil},
		{"absent", "", credential.Missing},
		{"old/keys", "", credential.Missing}, // a plain name, not a path
		{"/old/keys/2", "", credential.Missing},
		{"/old/keys/00", "", credential.Missing},
		{"/old/keys/-1", "", credential.Missing},
		{"/masterKey/0", "", credential.Missing},
		{"/n/0", "", credential.Missing},
		{"n", "", credential.Invalid},
		{"yes", "", credential.Invalid},
		{"none", "", credential.Invalid},
		{"old", "", credential.Invalid},
		{"/old/keys", "", credential.Invalid},
		{"twice", "", credential.Invalid},
		{"half", "", credential.Invalid},
	} {
		ref := credential.Reference{Scheme: "file", Path: "/x.json", Field: test.field}
		decoder, err := ref.Decoder()
		if err != nil {
			t.Errorf("Decoder of #%s failed: %v", test.field, err)
			continue
		}
		var got credential.Version
		if err := decoder.Decode([]byte(document), &got); !errors.Is(err, test.class) {
			t.Errorf("Decode #%s = %v, want %v", test.field, err, test.class)
		}
		if string(got.Value.Reveal()) != test.want {
			t.Errorf("Decode #%s yields %q, want %q", test.field, got.Value.Reveal(), test.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	decoder, err := credential.Reference{Scheme: "file", Field: "key"}.Decoder()
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"", "{", `{"key": "a"} {}`, `{"key": "a",}`, "\uFEFF{\"key\":\"a\"}", "key", `{"key": 'a'}`, `{"key": "` + "\n" + `"}`} {
		err := decoder.Decode([]byte(content), &credential.Version{})
		if want := "credential: invalid: not JSON"; err == nil || err.Error() != want {
			t.Errorf("Decode(%q) = %v, want %s", content, err, want)
		}
	}
	for _, content := range []string{"[]", `"key"`, "1", "null", "{}", "  {}\n"} {
		if err := decoder.Decode([]byte(content), &credential.Version{}); !errors.Is(err, credential.Missing) {
			t.Errorf("Decode(%q) = %v, want Missing", content, err)
		}
	}
}

// Several members of one document change together.
func TestDecodeGroup(t *testing.T) {
	decoder, err := credential.Reference{Scheme: "file", Engine: credential.ReferenceOptions{Format: "json"}}.Decoder()
	if err != nil {
		t.Fatal(err)
	}
	var got credential.Version
	if err := decoder.Decode([]byte(` {"user":"parley" , "ttl": 3600, "token": null, "tags": ["a"], "password":"p\u0061ss"}`), &got); err != nil {
		t.Fatal(err)
	}
	want := credential.Version{Fields: map[string]credential.Secret{"user": credential.NewSecret("parley"), "password": credential.NewSecret("pass")}}
	if diff := cmp.Diff(want, got, sameSecret); diff != "" {
		t.Errorf("Decode (-want +got):\n%s", diff)
	}
	for _, content := range []string{"[]", "{}", `"a"`, `{"a":1}`, `{"a":"1","a":"2"}`, `{"a":{"b":"c"}}`, `{"\ud800":"c"}`, `{"a":"\ud800"}`} {
		if err := decoder.Decode([]byte(content), &credential.Version{}); !errors.Is(err, credential.Invalid) {
			t.Errorf("Decode(%s) = %v, want Invalid", content, err)
		}
	}
}

func TestDecoderRefuses(t *testing.T) {
	for _, test := range []struct{ field, format, want string }{
		{"", "", ""},
		{"", "raw", ""},
		{"", "json", ""},
		{"a~b", "", ""},
		{"a", "raw", "credential: config: reference file: format raw has no field"},
		{"", "keyset", ""},
		{"a", "lines", ""},
		{"", "xml", `credential: config: reference file: format "xml" is not supported by this source`},
		{"/a~b", "", "credential: config: reference file: the field after # is no JSON pointer: after ~ comes 0 or 1"},
		{"/a~", "", "credential: config: reference file: the field after # is no JSON pointer: after ~ comes 0 or 1"},
	} {
		got := ""
		if _, err := (credential.Reference{Scheme: "file", Field: test.field, Engine: credential.ReferenceOptions{Format: test.format}}).Decoder(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("Decoder of #%s, format %q: %q, want %q", test.field, test.format, got, test.want)
		}
	}
}

// A group is for a Presenter: no one could ever present it as a key.
func TestConfigureRefusesAGroupForAVerifier(t *testing.T) {
	registry := credential.Registry{"file": func(credential.Reference) (credential.Source, error) { return credential.Literal(keyA), nil }}
	for _, test := range []struct {
		present bool
		want    error
	}{{false, credential.Misconfigured}, {true, nil}} {
		cfg := credential.Config{Name: "database", Present: test.present}
		if err := registry.Configure(&cfg, "file:///run/db.json?format=json"); !errors.Is(err, test.want) {
			t.Errorf("Configure with Present=%v = %v, want %v", test.present, err, test.want)
		}
	}
}

func TestOnly(t *testing.T) {
	ref, err := credential.ParseReference("exec:///bin/tool?arg=b&poll=1s&arg=a&env=HOME&arg=b%20c")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "a", "b c"}, ref.List("arg")); diff != "" {
		t.Errorf("List(arg) (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"HOME"}, ref.List("env")); diff != "" {
		t.Errorf("List(env) (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		names []string
		want  string
	}{
		{[]string{"arg*", "env*", "poll"}, ""},
		{[]string{"arg", "env", "poll"}, `credential: config: reference exec: option "arg" is given twice`},
		{[]string{"arg*", "poll"}, `credential: config: reference exec: unknown option "env"`},
		{nil, `credential: config: reference exec: unknown option "env"`},
	} {
		got := ""
		if err := ref.Only(test.names...); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("Only(%q) = %q, want %q", test.names, got, test.want)
		}
	}
}

// FuzzDecode: decoding never panics, agrees with encoding/json about what is JSON and
// what a member is, and changes nothing of its input.
func FuzzDecode(f *testing.F) {
	for _, field := range []string{"masterKey", "/old/keys/1", "x:}]\"", "/", "/old/"} {
		f.Add(field, []byte(document))
	}
	f.Add("a", []byte(`{"a":"\uD83D\uDE00\u0000"}`))
	f.Add("/0/0", []byte(` [[ "a" ],1e5,-0.1,{},[]] `))
	f.Fuzz(func(t *testing.T, field string, content []byte) {
		decoder, err := credential.Reference{Scheme: "file", Field: field}.Decoder()
		if err != nil || field == "" {
			return
		}
		before := string(content)
		var got credential.Version
		err = decoder.Decode(content, &got)
		if string(content) != before {
			t.Error("Decode changed its input")
		}
		if strings.HasPrefix(field, "/") || !utf8.ValidString(before) {
			return
		}
		var whole map[string]any
		if json.Unmarshal(content, &whole) != nil {
			return
		}
		want, isText := whole[field].(string)
		if err == nil && (!isText || string(got.Value.Reveal()) != want) {
			t.Errorf("Decode(%s, %q) = %q, want %q", field, content, got.Value.Reveal(), want)
		}
		if _, there := whole[field]; errors.Is(err, credential.Missing) && there && !strings.Contains(before, `\u`) {
			t.Errorf("Decode(%s, %q) says %v", field, content, err)
		}
	})
}
