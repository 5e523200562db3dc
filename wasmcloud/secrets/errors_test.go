package secrets_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/wasmcloud/claims"
	"github.com/parley-backend/parley/wasmcloud/secrets"
)

const canary = "canary-Fq81mZx0-the-value-that-nobody-may-see"

// TestEveryError asks in every way that is refused, and sees the answer on the wire. No answer and no log holds the value.
func TestEveryError(t *testing.T) {
	down := keeps()
	down.put(credential.Errorf(credential.Unavailable, "%s is what a store might say", canary))
	missing := keeps()
	missing.put(credential.Errorf(credential.Missing, "no such thing"))
	rotated := keeps(text("one", canary))
	key := hold(t, rotated)
	rotated.put(nil, text("two", canary+"2"))
	if err := key.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := key.Revoke(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	b := start(t, map[string]secrets.Key{
		"key":     {Credential: key},
		"down":    {Credential: hold(t, down)},
		"missing": {Credential: hold(t, missing)},
		"bytes":   {Credential: hold(t, keeps(text("1", "\xff\xfe\x00"+canary)), binary)},
		"base64":  {Credential: hold(t, keeps(text("1", canary+"!"))), Kind: secrets.Base64},
		"late":    {Credential: hold(t, keeps(text("1", canary)))},
		"huge":    {Credential: hold(t, keeps(text("1", strings.Repeat("x", 60<<10))), binary), Kind: secrets.Bytes},
	}, func(_ *secrets.Config, terms *secrets.Terms) {
		for _, name := range []string{"key", "down", "missing", "nothing", "bytes", "base64", "late", "huge"} {
			terms.Rules = append(terms.Rules, secrets.Rule{Keys: []string{name}})
		}
		terms.Rules = terms.Rules[1:] // not everything
		terms.Revoked.Versions = map[string][]string{"late": {"1"}}
	})
	sealed := func(with ...func(map[string]any)) func() *raw {
		return func() *raw { return b.seal(t, b.question(with...)) }
	}
	header := func(change func(nats.Header)) func() *raw {
		return func() *raw {
			r := b.seal(t, b.question())
			change(r.header)
			return r
		}
	}
	body := func(change func([]byte) []byte) func() *raw {
		return func() *raw {
			r := b.seal(t, b.question())
			r.payload = change(r.payload)
			return r
		}
	}
	other := newLattice()
	tests := []struct {
		name string
		ask  func() *raw
		want string
	}{
		{"no headers", func() *raw { r := b.seal(t, b.question()); r.header = nil; return r }, `"InvalidHeaders"`},
		{"two host keys", header(func(h nats.Header) { h["WasmCloud-Host-Xkey"] = append(h["WasmCloud-Host-Xkey"], "X") }), `"InvalidHeaders"`},
		{"an empty host key", header(func(h nats.Header) { h.Set("WasmCloud-Host-Xkey", "") }), `"InvalidXKey"`},
		{"a host key that is none", header(func(h nats.Header) { h.Set("WasmCloud-Host-Xkey", "XABC") }), `"InvalidXKey"`},
		{"a host key that is too long", header(func(h nats.Header) { h.Set("WasmCloud-Host-Xkey", strings.Repeat("X", 5000)) }), `"InvalidXKey"`},
		{"a host key of another kind", header(func(h nats.Header) { h.Set("WasmCloud-Host-Xkey", b.issuer.Public()) }), `"InvalidXKey"`},
		{"nothing", body(func([]byte) []byte { return nil }), `"InvalidPayload"`},
		{"in clear", body(func([]byte) []byte { return []byte(b.question()) }), `"InvalidPayload"`},
		{"too short", body(func(p []byte) []byte { return p[:44] }), `"InvalidPayload"`},
		{"too large", body(func(p []byte) []byte { return append(p, make([]byte, 64<<10)...) }), `"InvalidPayload"`},
		{"damaged", body(func(p []byte) []byte { p[len(p)-1] ^= 1; return p }), `"DecryptionError"`},
		{"by another host", header(func(h nats.Header) { h["WasmCloud-Host-Xkey"] = b.seal(t, "").header["WasmCloud-Host-Xkey"] }), `"DecryptionError"`},
		{"no JSON", func() *raw { return b.seal(t, "key") }, `"InvalidRequest"`},
		{"another JSON", func() *raw { return b.seal(t, `{"key":[]}`) }, `"InvalidRequest"`},
		{"no key", sealed(member("key", "")), `"InvalidRequest"`},
		{"a key that is too long", sealed(member("key", strings.Repeat("k", 1025))), `"InvalidRequest"`},
		{"a key over two lines", sealed(member("key", "key\nforged=record")), `"InvalidRequest"`},

		{"no entity", sealed(inContext("entity_jwt", "")), `{"InvalidEntityJWT":"malformed: it has 1 parts in place of 3"}`},
		{"a forged entity", sealed(inContext("entity_jwt", b.signed(b.stranger))), `{"InvalidEntityJWT":"its issuer ` + b.stranger.Public() + ` is not trusted"}`},
		{"an entity with another's signature", sealed(inContext("entity_jwt", swap(b.entity(), b.signed(b.stranger)))), `{"InvalidEntityJWT":"the signature is not that of the issuer"}`},
		{"an entity that has ended", sealed(inContext("entity_jwt", b.entity(func(c *claims.Claims) { c.Expires = time.Unix(1, 0) }))), `{"InvalidEntityJWT":"expired at 1970-01-01T00:00:01Z"}`},
		{"an entity of tomorrow", sealed(inContext("entity_jwt", b.entity(func(c *claims.Claims) { c.NotBefore = time.Unix(4102444800, 0) }))), `{"InvalidEntityJWT":"not valid yet, but at 2100-01-01T00:00:00Z"}`},
		{"a host in the place of an entity", sealed(inContext("entity_jwt", b.hostToken())), `{"InvalidEntityJWT":"the subject is not of a kind that is accepted: host"}`},
		{"no host", sealed(inContext("host_jwt", "x.y")), `{"InvalidHostJWT":"malformed: it has 2 parts in place of 3"}`},
		{"an entity in the place of a host", sealed(inContext("host_jwt", b.entity())), `{"InvalidHostJWT":"the subject is not of a kind that is accepted: provider"}`},
		{"a host that has ended", sealed(inContext("host_jwt", b.hostToken(func(c *claims.Claims) { c.Expires = time.Unix(1, 0) }))), `{"InvalidHostJWT":"expired at 1970-01-01T00:00:01Z"}`},
		{"another lattice", sealed(inContext("entity_jwt", other.entity())), `{"InvalidEntityJWT":"its issuer ` + other.issuer.Public() + ` is not trusted"}`},

		{"a policy that is none", sealed(inContext("application", map[string]any{"name": "a", "policy": "{"})), `{"PolicyError":"the policy is not JSON with a type and properties"}`},
		{"a policy of another type", sealed(inContext("application", map[string]any{"name": "a", "policy": `{"type":"x","properties":{}}`})), `{"PolicyError":"the type of the policy is not properties.secret.wasmcloud.dev/v1alpha1"}`},
		{"no rule", sealed(member("key", "another")), `"Unauthorized"`},
		{"no such key", sealed(member("key", "nothing")), `"SecretNotFound"`},
		{"no such version", sealed(member("version", "nine")), `"SecretNotFound"`},
		{"no such field", sealed(member("field", "jwt")), `"SecretNotFound"`},
		{"nothing in the store", sealed(member("key", "missing")), `"SecretNotFound"`},
		{"the store is down", sealed(member("key", "down")), `{"UpstreamError":"the source of the key does not supply it: unavailable"}`},
		{"a revoked version", sealed(member("version", "one")), `{"Other":"the version is revoked"}`},
		{"a version that the configuration revokes", sealed(member("key", "late")), `{"Other":"the version is revoked"}`},
		{"bytes as text", sealed(member("key", "bytes")), `{"Other":"the value is not text: its kind is to be bytes"}`},
		{"text as base64", sealed(member("key", "base64")), `{"Other":"the value is not base64"}`},
	}
	named := map[secrets.Code]bool{secrets.EncryptionError: true} // TestAnswerCannotBeSealed
	for _, test := range tests {
		got := b.ask(t, test.ask())
		if want := `{"error":` + test.want + `}`; got != want {
			t.Errorf("%s: the answer is %s, want %s", test.name, got, want)
		}
		var e secrets.Error
		if err := e.UnmarshalJSON([]byte(test.want)); err != nil {
			t.Errorf("%s: UnmarshalJSON(%s) = %v", test.name, test.want, err)
		}
		named[e.Code] = true
		if !errors.Is(&e, e.Code) {
			t.Errorf("%s: errors.Is(%v, %v) is false", test.name, &e, e.Code)
		}
	}
	for _, code := range secrets.Codes() {
		if !named[code] {
			t.Errorf("no request is answered with %s", code)
		}
	}
	for _, o := range b.observed(t, len(tests)) {
		if !slices.Contains(secrets.Codes(), secrets.Code(o.Outcome)) {
			t.Errorf("Observe: outcome %q, want the name of an error", o.Outcome)
		}
	}
	if leaks := credentialtest.Leaks(b.log.String(), canary); len(leaks) > 0 {
		t.Errorf("the log holds the value: %v", leaks)
	}
	if strings.Contains(b.log.String(), "\nforged=record") {
		t.Error("the log holds a record that was forged")
	}
	// After all that, what is right is answered.
	if got, want := b.ask(t, b.seal(t, b.question())), fmt.Sprintf(`{"secret":{"version":"two","string_secret":"%s2","binary_secret":null}}`, canary); got != want {
		t.Errorf("the answer is %s, want %s", got, want)
	}
}

// swap puts the signature of one token under another.
func swap(token, other string) string {
	return token[:strings.LastIndexByte(token, '.')] + other[strings.LastIndexByte(other, '.'):]
}

// TestAnswerCannotBeSealed: without randomness nothing is answered but that.
func TestAnswerCannotBeSealed(t *testing.T) {
	b := start(t, map[string]secrets.Key{"key": {Credential: hold(t, keeps(text("1", canary)))}}, func(c *secrets.Config, _ *secrets.Terms) {
		secrets.SetRandom(c, io.LimitReader(nil, 0))
	})
	if got, want := b.ask(t, b.seal(t, b.question())), `{"error":"EncryptionError"}`; got != want {
		t.Errorf("the answer is %s, want %s", got, want)
	}
}

// TestErrorsOnTheWire: both forms of errors, as hosts write and read them.
func TestErrorsOnTheWire(t *testing.T) {
	withText := []secrets.Code{secrets.InvalidEntityJWT, secrets.InvalidHostJWT, secrets.UpstreamError, secrets.PolicyError, secrets.Other}
	for _, code := range secrets.Codes() {
		e := &secrets.Error{Code: code, Text: "why"}
		got := string(must(e.MarshalJSON()))
		want, back := `"`+string(code)+`"`, secrets.Error{Code: code}
		if slices.Contains(withText, code) {
			want, back.Text = `{"`+string(code)+`":"why"}`, "why"
		}
		if got != want {
			t.Errorf("MarshalJSON(%s) = %s, want %s", code, got, want)
		}
		var read secrets.Error
		if err := read.UnmarshalJSON([]byte(got)); err != nil || !cmp.Equal(read, back) {
			t.Errorf("UnmarshalJSON(%s) = %+v, %v; want %+v", got, read, err, back)
		}
	}
	for _, text := range []string{`7`, `{}`, `{"A":"a","B":"b"}`, `{"A":7}`} {
		var e secrets.Error
		if e.UnmarshalJSON([]byte(text)) == nil {
			t.Errorf("UnmarshalJSON(%s) = %+v, want an error", text, e)
		}
	}
}
