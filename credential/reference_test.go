package credential_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
)

func ptr[T any](v T) *T { return &v }

var sameSecret = cmp.Comparer(func(a, b credential.Secret) bool { return string(a.Reveal()) == string(b.Reveal()) })

func TestParseReference(t *testing.T) {
	for _, test := range []struct {
		text string
		want credential.Reference
	}{
		{"env:MASTER_KEY", credential.Reference{Scheme: "env", Opaque: "MASTER_KEY"}},
		{"file:///run/secrets/master", credential.Reference{Scheme: "file", Path: "/run/secrets/master"}},
		{"FILE:///run/a%20b", credential.Reference{Scheme: "file", Path: "/run/a b"}},
		{"{file:///run/key}", credential.Reference{Scheme: "file", Path: "/run/key"}},
		{"vault://secret/parse?version=3&ttl=1m#masterKey", credential.Reference{Scheme: "vault", Authority: "secret", Path: "/parse", Field: "masterKey",
			Options: map[string]string{"version": "3"}, Engine: credential.ReferenceOptions{TTL: ptr(time.Minute)}}},
		{"https://store.example:8443/v1/key#/data/value", credential.Reference{Scheme: "https", Authority: "store.example:8443", Path: "/v1/key", Field: "/data/value"}},
		{"static:any ?thing#at all:%zz", credential.Reference{Scheme: "static", Value: credential.NewSecret("any ?thing#at all:%zz")}},
		{"cred:master?ttl=90&min_ttl=1s&max_ttl=1h&stale_max=0&neg_ttl=5s&overlap=1h30m&timeout=3s&startup=lazy&on_missing=retain&trim=none&format=raw", credential.Reference{Scheme: "cred", Opaque: "master",
			Engine: credential.ReferenceOptions{TTL: ptr(90 * time.Second), MinTTL: ptr(time.Second), MaxTTL: ptr(time.Hour), StaleMax: ptr(time.Duration(0)), NegativeTTL: ptr(5 * time.Second),
				Overlap: ptr(90 * time.Minute), Timeout: ptr(3 * time.Second), Startup: ptr(credential.Lazy), OnMissing: ptr(credential.Retain), Trim: ptr(credential.TrimNone), Format: "raw"}}},
	} {
		got, err := credential.ParseReference(test.text)
		if err != nil {
			t.Errorf("ParseReference(%s) failed: %v", test.text, err)
		}
		if diff := cmp.Diff(test.want, got, sameSecret); diff != "" {
			t.Errorf("ParseReference(%s) (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "credential: config: not a reference: it has no scheme"},
		{"secret", "credential: config: not a reference: it has no scheme"},
		{"9p:secret", "credential: config: not a reference: it has no scheme"},
		{"env:", "credential: config: reference env: nothing follows the scheme"},
		{"file://", "credential: config: reference file: nothing follows the scheme"},
		{"https://user:secret@host/path", "credential: config: reference https: a user or password before the host is not allowed"},
		{"env:secret%zz", "credential: config: reference env: wrongly escaped"},
		{"env:secret#", "credential: config: reference env: the field after # is empty or wrongly escaped"},
		{"env:secret%00", "credential: config: reference env: contains a control character"},
		{"env:secret?ttl=1m&ttl=2m", `credential: config: reference env: option "ttl" is given twice`},
		{"env:secret?ttl=-1m", `credential: config: reference env: option "ttl" has a value that is not understood`},
		{"env:secret?ttl=soon", `credential: config: reference env: option "ttl" has a value that is not understood`},
		{"env:secret?startup=never", `credential: config: reference env: option "startup" has a value that is not understood`},
		{"env:secret?on_missing=revoke", `credential: config: reference env: option "on_missing" has a value that is not understood`},
		{"env:secret?trim=all", `credential: config: reference env: option "trim" has a value that is not understood`},
		{"env:secret?format=yaml", `credential: config: reference env: option "format" has a value that is not understood`},
		{"env:secret?ttl=%zz", "credential: config: reference env: the options are wrongly escaped"},
	} {
		_, err := credential.ParseReference(test.text)
		if err == nil || err.Error() != test.want {
			t.Errorf("ParseReference(%s) = %v, want %s", test.text, err, test.want)
		}
		if !errors.Is(err, credential.Misconfigured) {
			t.Errorf("ParseReference(%s) is not Misconfigured", test.text)
		}
	}
}

func TestIsReference(t *testing.T) {
	for text, want := range map[string]bool{
		"a-plain-key": false, "user:password": false, "key:with:colons": false, "": false, "http:": false, "{json: true}": false, "://": false, "1a://b": false,
		"env:NAME": true, "ENV:NAME": true, "file:///p": true, "unknown://x": true, "{vault://a/b/c}": true, "static:x": true, "exec:": true,
		"postgres://u:p@h/db": false, "Postgres://u:p@h/db": false,
	} {
		if got := credential.IsReference(text, "postgres"); got != want {
			t.Errorf("IsReference(%s) = %v, want %v", text, got, want)
		}
	}
}

// A text becomes a literal, a source, or an error; what looks like a reference is never
// taken for a secret.
func TestConfigure(t *testing.T) {
	registry := credential.Registry{"env": func(ref credential.Reference) (credential.Source, error) {
		return credential.Literal("from " + ref.Opaque), ref.Plain()
	}}
	for _, test := range []struct {
		text string
		want string // the value accepted, or "" for Misconfigured
	}{
		{keyA, keyA},
		{"postgres://u:p@h/db", "postgres://u:p@h/db"},
		{"env:NAME?ttl=1m", "from NAME"},
		{"env:NAME#field", ""},
		{"valt://secret/parse#masterKey", ""},
		{"file:///run/key", ""},
		{"exec:rm", ""},
	} {
		cfg := credential.Config{Name: "masterKey"}
		err := registry.Configure(&cfg, test.text, "postgres")
		if test.want == "" {
			if !errors.Is(err, credential.Misconfigured) || cfg.Source != nil {
				t.Errorf("Configure(%s) = %v, want Misconfigured", test.text, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("Configure(%s) failed: %v", test.text, err)
			continue
		}
		c, err := credential.New(cfg)
		if err != nil {
			t.Errorf("New after Configure(%s) failed: %v", test.text, err)
		} else if !c.Verify(test.want).OK() {
			t.Errorf("after Configure(%s), %q is not accepted", test.text, test.want)
		}
	}
	err := registry.Configure(&credential.Config{Name: "masterKey"}, "valt://secret/parse")
	if want := `credential masterKey: config: unknown scheme "valt": known are env`; err == nil || err.Error() != want {
		t.Errorf("Configure = %v, want %s", err, want)
	}
}

func TestApply(t *testing.T) {
	ref, err := credential.ParseReference("env:X?ttl=0&overlap=0&stale_max=2h&timeout=1s&startup=degraded&on_missing=drop&trim=none")
	if err != nil {
		t.Fatal(err)
	}
	cfg := credential.Config{MinTTL: time.Second}
	ref.Engine.Apply(&cfg)
	want := credential.Config{TTL: credential.None, Overlap: credential.None, StaleMax: 2 * time.Hour, FetchTimeout: time.Second, MinTTL: time.Second,
		Startup: credential.Degraded, OnMissing: credential.Drop, Trim: credential.TrimNone}
	if diff := cmp.Diff(want, cfg, sameSecret); diff != "" {
		t.Errorf("Apply (-want +got):\n%s", diff)
	}
}

// FuzzParseReference: parsing never panics, a parsed reference parses again from its
// printed form, and no error quotes more than the scheme and the names of options.
func FuzzParseReference(f *testing.F) {
	for _, text := range []string{"env:MASTER_KEY", "file:///run/secrets/master?overlap=30m", "vault://secret/parse?version=3&ttl=1m#masterKey", "{file:///run/key}",
		"https://user:secret@host/path", "static:%zz?#", "env:secret%00", "env:?ttl=1&ttl=2", "a://b#c#d", "file:%2e%2e/x", "x:/y//z?=&=#%23"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ref, err := credential.ParseReference(text)
		if err != nil {
			if !errors.Is(err, credential.Misconfigured) {
				t.Errorf("ParseReference(%q) = %v, want Misconfigured", text, err)
			}
			return
		}
		if ref.Scheme == "static" {
			if !strings.HasSuffix(ref.String(), "REDACTED") {
				t.Errorf("%q prints as %s", text, ref)
			}
			return
		}
		again, err := credential.ParseReference(ref.String())
		if err != nil {
			t.Fatalf("%q prints as %s, which does not parse: %v", text, ref, err)
		}
		if again.Scheme != ref.Scheme || again.Authority != ref.Authority || again.Path != ref.Path || again.Opaque != ref.Opaque || again.Field != ref.Field {
			t.Errorf("%q parses as %#v, and from its printed form as %#v", text, ref, again)
		}
	})
}
