package secrets_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/wasmcloud/claims"
	"github.com/parley-backend/parley/wasmcloud/secrets"
)

// creds makes a credentials file, and returns its parts.
func creds(name string) (file, token, seed string) {
	account, user := must(nkeys.CreateAccount()), must(nkeys.CreateUser())
	c := jwt.NewUserClaims(must(user.PublicKey()))
	c.Name = name
	token = must(c.Encode(account))
	raw := must(user.Seed())
	return string(must(jwt.FormatUserConfig(token, raw))), token, string(raw)
}

// TestServes asks for values in every shape in which they are kept.
func TestServes(t *testing.T) {
	file, token, seed := creds("stored")
	file = strings.TrimSuffix(file, "\n") // which the engine cuts off
	document := `{"host":"db","port":5432,"nested":{"list":["a","b"]},"empty":""}`
	b := start(t, map[string]secrets.Key{
		"text":    {Credential: hold(t, keeps(text("7", "a plain value")))},
		"lines":   {Credential: hold(t, keeps(text("1", "one\ntwo\n")))},
		"bytes":   {Credential: hold(t, keeps(text("1", "\x00\xff\r\n")), binary), Kind: secrets.Bytes},
		"base64":  {Credential: hold(t, keeps(text("1", "AP8NCg=="))), Kind: secrets.Base64},
		"json":    {Credential: hold(t, keeps(text("1", document)))},
		"group":   {Credential: hold(t, keeps(fields("1", "user", "u", "password", "p\"")))},
		"creds":   {Credential: hold(t, keeps(text("1", file)))},
		"pair":    {Credential: hold(t, keeps(fields("1", "jwt", token, "seed", seed)))},
		"a/b.c-d": {Credential: hold(t, keeps(text("1", "odd name")))},
	})
	tests := []struct {
		key, field string
		want       string
		binary     bool
		refused    secrets.Code
	}{
		{key: "text", want: "a plain value"},
		{key: "lines", want: "one\ntwo"},
		{key: "bytes", want: "\x00\xff\r\n", binary: true},
		{key: "base64", want: "\x00\xff\r\n", binary: true},
		{key: "json", want: document},
		{key: "json", field: "host", want: "db"},
		{key: "json", field: "port", want: "5432"},
		{key: "json", field: "nested", want: `{"list":["a","b"]}`},
		{key: "json", field: "/nested/list/1", want: "b"},
		{key: "json", field: "empty", want: ""},
		{key: "json", field: "/nested/list/2", refused: secrets.SecretNotFound},
		{key: "json", field: "/nested/list/01", refused: secrets.SecretNotFound},
		{key: "json", field: "nested.list", refused: secrets.SecretNotFound},
		{key: "text", field: "a", refused: secrets.SecretNotFound},
		{key: "group", field: "password", want: `p"`},
		{key: "group", want: `{"password":"p\"","user":"u"}`},
		{key: "group", field: "creds", refused: secrets.SecretNotFound},
		{key: "creds", want: file},
		{key: "creds", field: "jwt", want: token},
		{key: "creds", field: "seed", want: seed},
		{key: "creds", field: "creds", want: file},
		{key: "creds", field: "user", refused: secrets.SecretNotFound},
		{key: "pair", field: "jwt", want: token},
		{key: "pair", field: "seed", want: seed},
		{key: "pair", field: "creds", want: file + "\n"},
		{key: "a/b.c-d", want: "odd name"},
	}
	for _, test := range tests {
		got, err := b.client.Get(t.Context(), test.key, test.field, "")
		if test.refused != "" {
			if !errors.Is(err, test.refused) {
				t.Errorf("Get(%s, %s) = %v, want %v", test.key, test.field, err, test.refused)
			}
			continue
		}
		if err != nil || string(got.Value.Reveal()) != test.want || got.Binary != test.binary {
			t.Errorf("Get(%s, %s) = %q, binary %v, %v; want %q, binary %v", test.key, test.field, got.Value.Reveal(), got.Binary, err, test.want, test.binary)
		}
	}
	if got, _ := b.client.Get(t.Context(), "text", "", ""); got.Version != "7" {
		t.Errorf("Get(text): version %q, want the store's, 7", got.Version)
	}
	if leaks := credentialtest.Leaks(b.log.String(), token, seed, "a plain value"); len(leaks) > 0 {
		t.Errorf("the log holds values: %v", leaks)
	}
	if !strings.Contains(b.log.String(), "entity="+b.provider.Public()) || !strings.Contains(b.log.String(), "key=a/b.c-d") {
		t.Errorf("the log does not tell who read what:\n%s", b.log)
	}
}

// TestVersions: current, previous, by id and by fingerprint, and none that has ended.
func TestVersions(t *testing.T) {
	s := keeps(text("one", "value one"))
	key := hold(t, s)
	b := start(t, map[string]secrets.Key{"key": {Credential: key}})
	get := func(version string) string {
		got, err := b.client.Get(t.Context(), "key", "", version)
		var refused *secrets.Error
		if errors.As(err, &refused) {
			return refused.Error()
		}
		return got.Version + ": " + string(got.Value.Reveal())
	}
	check := func(when string, want map[string]string) {
		t.Helper()
		got := map[string]string{}
		for version := range want {
			got[version] = get(version)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Get %s (-want +got):\n%s", when, diff)
		}
	}
	check("at first", map[string]string{"": "one: value one", "current": "one: value one", "one": "one: value one", "previous": "secrets: SecretNotFound"})
	fingerprint := key.Status().Versions[0].Fingerprint
	s.put(nil, text("two", "value two"))
	if err := key.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("after a rotation", map[string]string{"": "two: value two", "previous": "one: value one", "one": "one: value one", fingerprint: "one: value one"})
	s.put(nil, text("two", "value two"), credential.Version{ID: "one", State: credential.Disabled})
	if err := key.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("after the store disabled it", map[string]string{"": "two: value two", "previous": "secrets: SecretNotFound", "one": "secrets: Other: the version is disabled"})
	terms := b.terms(map[string]secrets.Key{"key": {Credential: key}})
	terms.Revoked.Versions = map[string][]string{"key": {"two"}}
	if err := b.backend.Replace(terms); err != nil {
		t.Fatal(err)
	}
	check("after the configuration revoked it", map[string]string{"": "secrets: Other: the version is revoked", "two": "secrets: Other: the version is revoked"})
	if err := b.backend.Replace(b.terms(map[string]secrets.Key{"key": {Credential: key}})); err != nil {
		t.Fatal(err)
	}
	check("after it took that back", map[string]string{"": "two: value two"})
}

// TestRules: who may read what, and what a revocation ends.
func TestRules(t *testing.T) {
	value := secrets.Key{Credential: hold(t, keeps(text("1", "the value")))}
	keys := map[string]secrets.Key{"prod/nats": value, "prod/db": value, "test/nats": value}
	b := start(t, keys)
	second := claims.Generate(claims.Account)
	component := claims.Generate(claims.Component)
	ofComponent := must(claims.Claims{Subject: component.Public(), Component: &claims.ComponentClaims{Name: "shop", Hash: "00"}}.Encode(second))
	mine, theirs := b.asks(b.client.Conn), b.asks(b.client.Conn)
	theirs.Entity = ofComponent
	inShop := b.asks(b.client.Conn)
	inShop.Application = "shop-eu"
	both := []string{b.issuer.Public(), second.Public()}
	tests := []struct {
		name  string
		terms secrets.Terms
		want  map[string]string // who, to what it may read
	}{
		{"everything", secrets.Terms{Rules: []secrets.Rule{{Keys: []string{"*"}}}}, map[string]string{"mine": "prod/db prod/nats test/nats", "theirs": "prod/db prod/nats test/nats", "inShop": "prod/db prod/nats test/nats"}},
		{"nothing", secrets.Terms{}, map[string]string{"mine": "", "theirs": "", "inShop": ""}},
		{"by entity", secrets.Terms{Rules: []secrets.Rule{{Entities: []string{component.Public()}, Keys: []string{"prod/*"}}, {Entities: []string{"V*"}, Keys: []string{"*/nats"}}}}, map[string]string{"mine": "prod/nats test/nats", "theirs": "prod/db prod/nats", "inShop": "prod/nats test/nats"}},
		{"by issuer", secrets.Terms{Rules: []secrets.Rule{{Issuers: []string{second.Public()}, Keys: []string{"test/nats"}}}}, map[string]string{"mine": "", "theirs": "test/nats", "inShop": ""}},
		{"by application", secrets.Terms{Rules: []secrets.Rule{{Applications: []string{"shop-*"}, Keys: []string{"prod/db"}}}}, map[string]string{"mine": "", "theirs": "", "inShop": "prod/db"}},
		{"all members", secrets.Terms{Rules: []secrets.Rule{{Entities: []string{"M*"}, Applications: []string{"shop-*"}, Keys: []string{"prod/db"}}}}, map[string]string{"mine": "", "theirs": "", "inShop": ""}},
		{"a revoked entity", secrets.Terms{Rules: []secrets.Rule{{Keys: []string{"*"}}}, Revoked: secrets.Revoked{Entities: []string{component.Public()}}}, map[string]string{"mine": "prod/db prod/nats test/nats", "theirs": "", "inShop": "prod/db prod/nats test/nats"}},
		{"a revoked issuer", secrets.Terms{Rules: []secrets.Rule{{Keys: []string{"*"}}}, Revoked: secrets.Revoked{Issuers: []string{second.Public()}}}, map[string]string{"mine": "prod/db prod/nats test/nats", "theirs": "", "inShop": "prod/db prod/nats test/nats"}},
		{"another host", secrets.Terms{Hosts: []string{claims.Generate(claims.Host).Public()}, Rules: []secrets.Rule{{Keys: []string{"*"}}}}, map[string]string{"mine": "", "theirs": "", "inShop": ""}},
		{"this host", secrets.Terms{Hosts: []string{b.host.Public()}, HostIssuers: []string{b.hostIssuer.Public()}, Rules: []secrets.Rule{{Keys: []string{"*/db"}}}}, map[string]string{"mine": "prod/db", "theirs": "prod/db", "inShop": "prod/db"}},
		{"another host's issuer", secrets.Terms{HostIssuers: []string{second.Public()}, Rules: []secrets.Rule{{Keys: []string{"*"}}}}, map[string]string{"mine": "", "theirs": "", "inShop": ""}},
	}
	clients := map[string]*secrets.Client{"mine": mine, "theirs": theirs, "inShop": inShop}
	for _, test := range tests {
		test.terms.Issuers, test.terms.Keys = both, keys
		if err := b.backend.Replace(test.terms); err != nil {
			t.Fatalf("%s: Replace = %v", test.name, err)
		}
		got := map[string]string{}
		for who, client := range clients {
			var read []string
			for _, key := range []string{"prod/db", "prod/nats", "test/nats"} {
				if _, err := client.Get(t.Context(), key, "", ""); err == nil {
					read = append(read, key)
				}
			}
			got[who] = strings.Join(read, " ")
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: may read (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestMatches: patterns of rules.
func TestMatches(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "a", true}, {"a", "ab", false}, {"*", "", true}, {"*", "anything/at.all", true},
		{"a*", "a", true}, {"a*", "ba", false}, {"*a", "bba", true}, {"*a", "bab", false}, {"a*c", "abbbc", true}, {"a*c*", "acb", true},
		{"a*b*c", "a-c-b", false}, {"a*b*c", "a-b-b-c", true}, {"**", "x", true}, {"a**", "a", true}, {"?", "a", false},
	} {
		if got := secrets.Matches(test.pattern, test.text); got != test.want {
			t.Errorf("matches(%q, %q) = %v, want %v", test.pattern, test.text, got, test.want)
		}
	}
}

// TestTransitRotates: the key that hosts remember still opens after another took its place, and not after its overlap.
func TestTransitRotates(t *testing.T) {
	b := start(t, map[string]secrets.Key{"key": {Credential: hold(t, keeps(text("1", "the value")))}})
	remembered := b.seal(t, b.question())
	again := b.seal(t, b.question())
	first := must(b.client.Conn.Request(t.Context(), "wasmcloud.secrets.v1alpha1.test.server_xkey", nil)).Data
	b.transits.put(nil, credential.Version{ID: "2", Value: must(secrets.NewTransit())})
	if err := b.transit.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := must(b.client.Conn.Request(t.Context(), "wasmcloud.secrets.v1alpha1.test.server_xkey", nil)).Data
	if string(first) == string(second) {
		t.Error("server_xkey answers with the key before")
	}
	const want = `{"secret":{"version":"1","string_secret":"the value","binary_secret":null}}`
	for _, r := range []*raw{remembered, b.seal(t, b.question())} {
		if got := b.ask(t, r); got != want {
			t.Errorf("the answer is %s, want %s", got, want)
		}
	}
	if err := b.transit.Revoke(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	if got := b.ask(t, again); got != `{"error":"DecryptionError"}` {
		t.Errorf("sealed for a revoked key: the answer is %s", got)
	}
}

// TestInvalid: what New refuses, all at once.
func TestInvalid(t *testing.T) {
	conn := connect(t, serve(t, &server.Options{}).ClientURL())
	transit := hold(t, keeps(credential.Version{ID: "1", Value: must(secrets.NewTransit())}))
	value := secrets.Key{Credential: hold(t, keeps(text("1", "the value")))}
	signing := secrets.Key{Mint: &secrets.Mint{Signing: value.Credential}}
	issuer := claims.Generate(claims.Account).Public()
	good := func() (secrets.Config, secrets.Terms) {
		return secrets.Config{Conn: conn, Name: "test", Transit: transit, MintKey: mintKey}, secrets.Terms{Issuers: []string{issuer}, Keys: map[string]secrets.Key{"key": value}}
	}
	for _, test := range []struct {
		name   string
		change func(*secrets.Config, *secrets.Terms)
		want   string
	}{
		{"no name", func(c *secrets.Config, _ *secrets.Terms) { c.Name = "" }, "name is empty"},
		{"a name that is no subject", func(c *secrets.Config, _ *secrets.Terms) { c.Name = "a b" }, "name holds a blank, a *, a > or a control character, which NATS does not carry"},
		{"a topic that is no subject", func(c *secrets.Config, _ *secrets.Terms) { c.Topic = "a..b" }, "topic has an empty part between dots, which NATS does not carry"},
		{"no connection", func(c *secrets.Config, _ *secrets.Terms) { c.Conn = nil }, "a connection and a transit key are needed"},
		{"a negative bound", func(c *secrets.Config, _ *secrets.Terms) { c.InFlight = -1 }, "a bound is negative"},
		{"no issuer", func(_ *secrets.Config, t *secrets.Terms) { t.Issuers = nil }, "issuers: name the account that signs your components and providers, A…: anybody can sign with any other"},
		{"an issuer that is none", func(_ *secrets.Config, t *secrets.Terms) { t.Issuers = []string{"ABC"} }, `issuers: "ABC" is not the public key of an account`},
		{"a key that is no subject", func(_ *secrets.Config, t *secrets.Terms) { t.Keys["a>"] = value }, "keys: the name a> holds a blank, a *, a > or a control character, which NATS does not carry"},
		{"a key without anything", func(_ *secrets.Config, t *secrets.Terms) { t.Keys["key"] = secrets.Key{} }, "keys.key: is either stored or minted, and needs a credential"},
		{"a rule without keys", func(_ *secrets.Config, t *secrets.Terms) { t.Rules = []secrets.Rule{{}} }, "rules[0]: names no keys"},
		{"an empty pattern", func(_ *secrets.Config, t *secrets.Terms) { t.Rules = []secrets.Rule{{Keys: []string{"a", ""}}} }, "rules[0]: holds an empty pattern, which matches nothing"},
		{"a version of no key", func(_ *secrets.Config, t *secrets.Terms) { t.Revoked.Versions = map[string][]string{"other": {"1"}} }, `revoked.versions: there is no key "other"`},
		{"minting without a key", func(c *secrets.Config, t *secrets.Terms) {
			c.MintKey, t.Keys["key"] = credential.Secret{}, signing
		}, "keys.key: minting needs a MintKey of 32 bytes or more"},
		{"a scoped key with permissions", func(_ *secrets.Config, t *secrets.Terms) {
			t.Keys["key"] = secrets.Key{Mint: &secrets.Mint{Signing: value.Credential, Scoped: true, Permissions: secrets.Permissions{PublishAllow: []string{"a"}}}}
		}, "keys.key: a scoped signing key brings the permissions: none can be said here"},
		{"two things", func(c *secrets.Config, t *secrets.Terms) { c.Name, c.Topic = "", "*" }, "topic holds a blank, a *, a > or a control character, which NATS does not carry\nname is empty"},
	} {
		cfg, terms := good()
		test.change(&cfg, &terms)
		_, err := secrets.New(cfg, terms)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: New = %v, want %s", test.name, err, test.want)
		}
	}
	cfg, terms := good()
	b := must(secrets.New(cfg, terms))
	terms.Issuers = nil
	if err := b.Replace(terms); err == nil {
		t.Error("Replace without an issuer succeeds")
	}
	if err := b.Drain(context.Background()); err != nil {
		t.Errorf("Drain of a backend that was not started = %v", err)
	}
}
