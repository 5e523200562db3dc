package claims_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/wasmcloud/claims"
)

// fixed is a key whose seed is one byte 32 times: what it signs is the same in every run.
func fixed(t testing.TB, kind claims.Kind, b byte) *claims.Key {
	t.Helper()
	raw := append([]byte{18<<3 | byte(kind)>>5, byte(kind) & 31 << 3}, bytes.Repeat([]byte{b}, 32)...)
	k, err := claims.ParseSeed([]byte(claims.Seal(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func vectorJWT(t testing.TB) (token, subject string) {
	t.Helper()
	data, err := os.ReadFile("testdata/hostdata-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		JWT     string `json:"provider_claims_jwt"`
		Subject string `json:"provider_service_public"`
	}
	if err := json.Unmarshal(data, &v); err != nil || v.JWT == "" {
		t.Fatalf("the vectors hold %q: %v", v.JWT, err)
	}
	return v.JWT, v.Subject
}

func vectorClaims(subject string) claims.Claims {
	return claims.Claims{
		ID: "AAAAAAAAAAAAAAAAAAAAAA", Issuer: "ADFJHLAXAUMHA4OWPOB4P7YO72AQR2HMIUYFOXLXE2DZGM633K7HZVXK", Subject: subject, IssuedAt: time.Unix(1700000000, 0).UTC(),
		Provider: &claims.ProviderClaims{
			Name: "messaging-nats", Vendor: "example", Version: "0.1.0",
			TargetHashes: map[string]string{"x86_64-linux": "A8076D3D28D21E02012B20EAF7DBF75409A6277134439025F282E368E3305ABF"},
		},
	}
}

// The claims of the vectors are read, and written again in the same bytes up to the signature, whose key is not known.
func TestVector(t *testing.T) {
	token, subject := vectorJWT(t)
	want := vectorClaims(subject)
	got, err := claims.Decode(token)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Decode: %v, -want +got:\n%s", err, diff)
	}
	issuer := fixed(t, claims.Account, 3)
	again, err := got.Encode(issuer)
	if err != nil {
		t.Fatal(err)
	}
	cut := func(token string) string {
		parts := strings.Split(token, ".")
		body, _ := base64.RawURLEncoding.DecodeString(parts[1])
		return parts[0] + string(body)
	}
	if got, want := cut(again), strings.ReplaceAll(cut(token), want.Issuer, issuer.Public()); got != want {
		t.Errorf("Encode = %s, want %s", got, want)
	}
}

func TestKeys(t *testing.T) {
	for kind, prefix := range map[claims.Kind]nkeys.PrefixByte{
		claims.Account: nkeys.PrefixByteAccount, claims.Cluster: nkeys.PrefixByteCluster, claims.Host: nkeys.PrefixByteServer,
		claims.Operator: nkeys.PrefixByteOperator, claims.User: nkeys.PrefixByteUser, claims.Component: 0, claims.Provider: 0,
	} {
		k := claims.Generate(kind)
		seed := k.Seed().Reveal()
		again, err := claims.ParseSeed(append(append([]byte(" \n"), seed...), "\r\n"...))
		if err != nil || again.Public() != k.Public() || again.Kind() != kind || k.Kind() != kind {
			t.Errorf("%v: ParseSeed of its seed = %v, %v, want %v", kind, again, err, k)
			continue
		}
		gotKind, public, err := claims.ParsePublic(k.Public())
		if err != nil || gotKind != kind || claims.FormatPublic(kind, public) != k.Public() {
			t.Errorf("ParsePublic(%s) = %v, %v, want %v", k, gotKind, err, kind)
		}
		if !ed25519.Verify(public, []byte("data"), k.Sign([]byte("data"))) {
			t.Errorf("%v: its signature does not verify", kind)
		}
		if k.Public()[:1] != kind.Letter() || string(seed[:1]) != "S" || string(seed[1:2]) != kind.Letter() || len(k.Public()) != 56 || len(seed) != 58 {
			t.Errorf("%v: the keys begin with %q and %q, want %s", kind, k.Public()[:1], seed[:2], kind.Letter())
		}
		if kind == claims.Component || kind == claims.Provider {
			continue // which nkeys does not know
		}
		theirs, err := nkeys.FromSeed(seed)
		if err != nil {
			t.Errorf("%v: nkeys does not read the seed: %v", kind, err)
			continue
		}
		if public, _ := theirs.PublicKey(); public != k.Public() || nkeys.Prefix(public) != prefix {
			t.Errorf("%v: the public key is %s, and %s to nkeys", kind, k.Public(), public)
		}
		if signed, _ := theirs.Sign([]byte("data")); !bytes.Equal(signed, k.Sign([]byte("data"))) {
			t.Errorf("%v: nkeys signs otherwise", kind)
		}
	}
	if got := claims.Kind(1).String() + claims.Kind(1).Letter(); got != "unknown?" {
		t.Errorf("a kind that is none is %s, want unknown?", got)
	}
}

func TestKeysRefused(t *testing.T) {
	_, subject := vectorJWT(t)
	seed := string(claims.Generate(claims.Provider).Seed().Reveal())
	curve, _ := nkeys.CreateCurveKeys()
	curvePublic, _ := curve.PublicKey()
	curveSeed, _ := curve.Seed()
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "it has 0 letters in place of 56"},
		{"a line break", subject + "\n", "it has 57 letters in place of 56"},
		{"a line break within", subject[:55] + "\n", "it is not base32"},
		{"lower case", strings.ToLower(subject), "it is not base32"},
		{"another letter", subject[:20] + swap(subject[20]) + subject[21:], "its checksum is wrong"},
		{"another kind", "A" + subject[1:], "its checksum is wrong"},
		{"a curve key", curvePublic, "its first letter is none of a key that signs"},
	} {
		if _, _, err := claims.ParsePublic(test.text); !errors.Is(err, claims.ErrKey) || err.Error() != "claims: no key: "+test.want {
			t.Errorf("%s: ParsePublic = %v, want %s", test.name, err, test.want)
		}
	}
	for _, test := range []struct{ name, text, want string }{
		{"empty", " ", "it has 0 letters in place of 58"},
		{"a public key", subject, "it has 56 letters in place of 58"},
		{"another letter", seed[:20] + swap(seed[20]) + seed[21:], "its checksum is wrong"},
		{"the last bits", seed[:57] + string(seed[57]+1), "it is not base32"},
		{"a curve key", string(curveSeed), "it is not a seed that signs"},
	} {
		_, err := claims.ParseSeed([]byte(test.text))
		if !errors.Is(err, claims.ErrKey) || err.Error() != "claims: no key: "+test.want {
			t.Errorf("%s: ParseSeed = %v, want %s", test.name, err, test.want)
		}
		if leaked := credentialtest.Leaks(fmt.Sprint(err), seed); leaked != nil {
			t.Errorf("%s: the error holds the seed", test.name)
		}
	}
}

func swap(b byte) string {
	if b == 'A' {
		return "B"
	}
	return "A"
}

func TestKeyDoesNotPrint(t *testing.T) {
	k := claims.Generate(claims.Account)
	seed := string(k.Seed().Reveal())
	var out strings.Builder
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("key", "key", k, "seed", k.Seed())
	fmt.Fprintf(&out, "%v %+v %#v %s %+v %x", k, k, k, k.Seed(), *k, k)
	text, _ := json.Marshal(map[string]any{"key": k})
	out.Write(text)
	if leaked := credentialtest.Leaks(out.String(), seed); leaked != nil {
		t.Error("it prints its seed")
	}
	k.Wipe()
	if string(k.Seed().Reveal()) == seed {
		t.Error("the seed is still there after Wipe")
	}
}

func TestEncodeIsDecoded(t *testing.T) {
	account, operator := claims.Generate(claims.Account), claims.Generate(claims.Operator)
	issued, later := time.Unix(1700000000, 0).UTC(), time.Unix(1800000000, 0).UTC()
	for _, test := range []struct {
		issuer *claims.Key
		c      claims.Claims
	}{
		{account, claims.Claims{Subject: claims.Generate(claims.Component).Public(), NotBefore: issued, Expires: later, Component: &claims.ComponentClaims{
			Name: "echo", Hash: "AB", Tags: []string{"a"}, Revision: 2, Version: "1.0.0", CallAlias: "x/y"}}},
		{account, claims.Claims{Subject: claims.Generate(claims.Provider).Public(), Provider: &claims.ProviderClaims{
			Name: "p", Vendor: "v", TargetHashes: map[string]string{}, ConfigSchema: json.RawMessage(`{"a":1}`)}}},
		{account, claims.Claims{Subject: claims.Generate(claims.Host).Public(), Host: &claims.HostClaims{Name: "h", Labels: map[string]string{"self_signed": "true"}}}},
		{operator, claims.Claims{Subject: account.Public(), Account: &claims.AccountClaims{Name: "a", ValidSigners: []string{"x"}}}},
		{operator, claims.Claims{Subject: operator.Public()}},
	} {
		test.c.IssuedAt, test.c.ID = issued, "id"
		token, err := test.c.Encode(test.issuer)
		if err != nil {
			t.Errorf("Encode(%v): %v", test.c, err)
			continue
		}
		test.c.Issuer = test.issuer.Public()
		got, err := claims.Decode(token)
		if diff := cmp.Diff(test.c, got); err != nil || diff != "" {
			t.Errorf("Decode: %v, -want +got:\n%s", err, diff)
		}
	}
}

// An ID and a time are filled in, an empty map is an object, and the same claims are the same bytes.
func TestEncodeFillsIn(t *testing.T) {
	account, provider := fixed(t, claims.Account, 3), fixed(t, claims.Provider, 4)
	c := claims.Claims{Subject: provider.Public(), IssuedAt: time.Unix(1700000000, 0), Provider: &claims.ProviderClaims{Name: "a", Vendor: "b"}}
	first, err := c.Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	second, _ := c.Encode(account)
	if first != second {
		t.Error("the same claims are other bytes")
	}
	body, _ := base64.RawURLEncoding.DecodeString(strings.Split(first, ".")[1])
	got, _ := claims.Decode(first)
	want := `{"iat":1700000000,"iss":"` + account.Public() + `","jti":"` + got.ID + `","sub":"` + provider.Public() +
		`","wascap":{"name":"a","rev":0,"target_hashes":{},"vendor":"b"},"wascap_revision":3}`
	if string(body) != want || len(got.ID) != 26 {
		t.Errorf("Encode = %s, want %s", body, want)
	}
	c.IssuedAt = time.Time{}
	now, err := c.Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := claims.Decode(now); time.Since(got.IssuedAt) > time.Hour || time.Since(got.IssuedAt) < -time.Minute {
		t.Errorf("it was issued at %v", got.IssuedAt)
	}
}

func TestEncodeRefuses(t *testing.T) {
	provider := claims.Generate(claims.Provider)
	for _, test := range []struct {
		issuer  *claims.Key
		subject string
		want    string
	}{
		{claims.Generate(claims.Account), "x", "claims: malformed: the subject: claims: no key: it has 1 letters in place of 56"},
		{provider, provider.Public(), "claims: not an issuer that is accepted: the key of one provider does not sign for one provider"},
		{claims.Generate(claims.Account), claims.Generate(claims.User).Public(), "claims: not an issuer that is accepted: the key of one account does not sign for one user"},
	} {
		if token, err := (claims.Claims{Subject: test.subject}).Encode(test.issuer); err == nil || err.Error() != test.want {
			t.Errorf("Encode(%s) = %q, %v, want %s", test.subject, token, err, test.want)
		}
	}
	long := claims.Claims{Subject: provider.Public(), Provider: &claims.ProviderClaims{Name: strings.Repeat("x", claims.MaxToken)}}
	if _, err := long.Encode(claims.Generate(claims.Account)); !errors.Is(err, claims.ErrMalformed) {
		t.Errorf("Encode of too much = %v, want malformed", err)
	}
}

// sign signs any header and payload.
func sign(k *claims.Key, header, payload string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	return signed + "." + base64.RawURLEncoding.EncodeToString(k.Sign([]byte(signed)))
}

func TestDecodeRefuses(t *testing.T) {
	const header = `{"typ":"jwt","alg":"Ed25519"}`
	account, provider := claims.Generate(claims.Account), claims.Generate(claims.Provider)
	body := func(members string) string {
		return `{"iat":1,"iss":"` + account.Public() + `","jti":"x","sub":"` + provider.Public() + `",` + members + `}`
	}
	good := sign(account, header, body(`"wascap_revision":3`))
	if _, err := claims.Decode(good); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	for _, test := range []struct {
		name, token string
		want        error
	}{
		{"nothing", "", claims.ErrMalformed},
		{"two parts", parts[0] + "." + parts[1], claims.ErrMalformed},
		{"four parts", good + ".x", claims.ErrMalformed},
		{"too long", strings.Repeat("x", claims.MaxToken+1), claims.ErrMalformed},
		{"padding", good + "==", claims.ErrMalformed},
		{"a line break", good + "\n", claims.ErrMalformed},
		{"no signature", parts[0] + "." + parts[1] + ".", claims.ErrSignature},
		{"short signature", good[:len(good)-6], claims.ErrSignature},
		{"the signature of another", sign(claims.Generate(claims.Account), header, body(`"wascap_revision":3`)), claims.ErrSignature},
		{"other claims", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(body(`"wascap_revision":3,"exp":1`))) + "." + parts[2], claims.ErrSignature},
		{"another algorithm", sign(account, `{"typ":"jwt","alg":"none"}`, body(`"wascap_revision":3`)), claims.ErrMalformed},
		{"another type", sign(account, `{"typ":"JWT","alg":"Ed25519"}`, body(`"wascap_revision":3`)), claims.ErrMalformed},
		{"more header", sign(account, `{"typ":"jwt","alg":"Ed25519","crit":["x"]}`, body(`"wascap_revision":3`)), claims.ErrMalformed},
		{"two headers", sign(account, header+header, body(`"wascap_revision":3`)), claims.ErrMalformed},
		{"no header", sign(account, `null`, body(`"wascap_revision":3`)), claims.ErrMalformed},
		{"no claims", sign(account, header, `[]`), claims.ErrMalformed},
		{"two claims", sign(account, header, `{}{}`), claims.ErrMalformed},
		{"no subject", sign(account, header, `{"iss":"`+account.Public()+`","wascap_revision":3}`), claims.ErrMalformed},
		{"no issuer", sign(account, header, `{"sub":"`+provider.Public()+`","wascap_revision":3}`), claims.ErrMalformed},
		{"an old revision", sign(account, header, body(`"wascap_revision":2`)), claims.ErrMalformed},
		{"an end that is no number", sign(account, header, body(`"wascap_revision":3,"exp":"never"`)), claims.ErrMalformed},
		{"an end that is too late", sign(account, header, body(`"wascap_revision":3,"exp":18446744073709551615`)), claims.ErrMalformed},
		{"claims of a list", sign(account, header, body(`"wascap_revision":3,"wascap":[]`)), claims.ErrMalformed},
		{"an issuer of another kind", sign(provider, header, strings.ReplaceAll(body(`"wascap_revision":3`), account.Public(), provider.Public())), claims.ErrIssuer},
	} {
		if got, err := claims.Decode(test.token); !errors.Is(err, test.want) || !cmp.Equal(got, claims.Claims{}) {
			t.Errorf("%s: Decode = %v, %v, want %v", test.name, got, err, test.want)
		}
	}
}

func TestPolicy(t *testing.T) {
	account, provider := claims.Generate(claims.Account), claims.Generate(claims.Provider)
	token, err := claims.Claims{Subject: provider.Public(), NotBefore: time.Unix(1000, 0), Expires: time.Unix(2000, 0)}.Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	at := func(s int64) func() time.Time { return func() time.Time { return time.Unix(s, 0) } }
	for _, test := range []struct {
		name string
		p    claims.Policy
		want error
	}{
		{"all is well", claims.Policy{Issuers: []string{account.Public()}, Kinds: []claims.Kind{claims.Provider}, Now: at(1500)}, nil},
		{"nothing is asked", claims.Policy{Now: at(1000)}, nil},
		{"too early", claims.Policy{Now: at(999)}, claims.ErrNotYet},
		{"too late", claims.Policy{Now: at(2000)}, claims.ErrExpired},
		{"the clock", claims.Policy{}, claims.ErrExpired},
		{"another issuer", claims.Policy{Issuers: []string{claims.Generate(claims.Account).Public()}, Now: at(1500)}, claims.ErrIssuer},
		{"another kind", claims.Policy{Kinds: []claims.Kind{claims.Component, claims.Host}, Now: at(1500)}, claims.ErrKind},
	} {
		if c, err := test.p.Verify(token); !errors.Is(err, test.want) || (err == nil) != (c.Subject == provider.Public()) {
			t.Errorf("%s: Verify = %v, %v, want %v", test.name, c, err, test.want)
		}
	}
	if _, err := (claims.Policy{}).Verify("x"); !errors.Is(err, claims.ErrMalformed) {
		t.Errorf("Verify(x) = %v, want malformed", err)
	}
}

// What decodes encodes, with another key, to what decodes the same.
func FuzzDecode(f *testing.F) {
	token, _ := vectorJWT(f)
	f.Add(token)
	f.Add("")
	account := fixed(f, claims.Account, 3)
	for _, body := range []string{
		`{"iss":"` + account.Public() + `","sub":"` + fixed(f, claims.Component, 4).Public() + `","wascap_revision":3,"wascap":{"hash":"x","tags":null,"rev":null},"nbf":-5,"exp":9223372036854775807}`,
		`{"iss":"` + account.Public() + `","sub":"` + fixed(f, claims.Host, 4).Public() + `","wascap_revision":3,"wascap":{"labels":{"a":"b"}}}`,
	} {
		f.Add(sign(account, `{"typ":"jwt","alg":"Ed25519"}`, body))
	}
	f.Fuzz(func(t *testing.T, token string) {
		// A mutated token has a wrong signature at best: what follows the check of it is fuzzed by signing what came.
		if parts := strings.Split(token, "."); len(parts) == 3 {
			if body, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
				token = sign(account, `{"typ":"jwt","alg":"Ed25519"}`, strings.ReplaceAll(string(body), "ADFJHLAXAUMHA4OWPOB4P7YO72AQR2HMIUYFOXLXE2DZGM633K7HZVXK", account.Public()))
			}
		}
		c, err := claims.Decode(token)
		if err != nil {
			if !errors.Is(err, claims.ErrMalformed) && !errors.Is(err, claims.ErrSignature) && !errors.Is(err, claims.ErrIssuer) {
				t.Errorf("Decode = %v, want one of its errors", err)
			}
			return
		}
		again, err := c.Encode(account)
		if err != nil {
			return // only accounts sign here
		}
		got, err := claims.Decode(again)
		c.Issuer = account.Public()
		if c.ID == "" {
			got.ID = ""
		}
		if err != nil || !got.Expires.Equal(c.Expires) || got.Subject != c.Subject || got.Issuer != c.Issuer || got.ID != c.ID {
			t.Errorf("Decode(Encode(%v)) = %v, %v", c, got, err)
		}
	})
}
