package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/vault"
)

const (
	keyA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	keyB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	keyC = "cccccccccccccccccccccccccccccccc"
)

func TestMain(m *testing.M) {
	for _, name := range []string{"VAULT_ADDR", "VAULT_TOKEN", "VAULT_NAMESPACE", "VAULT_CACERT", "VAULT_ROLE_ID", "VAULT_SECRET_ID"} {
		_ = os.Unsetenv(name)
	}
	goleak.VerifyTestMain(m)
}

// bed is a Vault to test with, fake or real, and its root user.
type bed struct {
	addr, unseal string
}

// onEach runs a test on the fake and, where there is one, on a real Vault.
func onEach(t *testing.T, test func(t *testing.T, b *bed)) {
	t.Run("Fake", func(t *testing.T) {
		_, b := startFake(t)
		test(t, b)
	})
	t.Run("Real", func(t *testing.T) {
		addr := os.Getenv("PARLEY_TEST_VAULT_ADDR")
		if addr == "" {
			t.Skip("PARLEY_TEST_VAULT_ADDR names no Vault to test with")
		}
		b := &bed{addr: addr, unseal: os.Getenv("PARLEY_TEST_VAULT_UNSEAL")}
		b.call(t, http.MethodPost, "sys/mounts/old", `{"type":"kv","options":{"version":"1"}}`, 204, 400) // 400: it is there
		test(t, b)
	})
}

// call asks the Vault as its root user. It fails unless the status is one of want.
func (b *bed) call(t *testing.T, method, path, body string, want ...int) map[string]any {
	t.Helper()
	request, err := http.NewRequest(method, b.addr+"/v1/"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Vault-Token", "root")
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	_ = json.NewDecoder(response.Body).Decode(&answer)
	for _, status := range append(want, 200, 204) {
		if response.StatusCode == status {
			return answer
		}
	}
	t.Fatalf("%s %s answers %d: %v", method, path, response.StatusCode, answer)
	return nil
}

func (b *bed) put(t *testing.T, path, key string) {
	t.Helper()
	b.call(t, http.MethodPost, "secret/data/"+path, `{"data":{"masterKey":"`+key+`","other":"x"}}`)
}

func (b *bed) seal(t *testing.T) (unseal func()) {
	t.Helper()
	b.call(t, http.MethodPut, "sys/seal", "")
	return func() {
		b.call(t, http.MethodPut, "sys/unseal", `{"key":"`+b.unseal+`"}`)
		for until := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			response, err := http.Get(b.addr + "/v1/sys/health")
			if err == nil {
				_ = response.Body.Close()
				if response.StatusCode == 200 {
					http.DefaultClient.CloseIdleConnections()
					return
				}
			}
			if time.Now().After(until) {
				t.Fatal("Vault does not come back")
			}
		}
	}
}

// open makes the source of a reference; %s in it is the address of the Vault.
func (b *bed) open(t *testing.T, opener credential.Opener, text string) credential.Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("root\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text = strings.NewReplacer("ADDR", b.addr, "TOKEN", path).Replace(text)
	ref, err := credential.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	source, err := opener(ref)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func value(t *testing.T, s credential.Source) string {
	t.Helper()
	payload, err := s.Fetch(t.Context())
	if err != nil {
		t.Fatalf("Fetch failed: %v", err)
	}
	return string(payload.Versions[0].Value.Reveal())
}

// name is a path for a secret of this test.
func name(t *testing.T) string {
	return "parley/" + strings.NewReplacer("/", "-", "=", "-", "#", "-").Replace(t.Name())
}

func TestSource(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		t.Run("Versions", func(t *testing.T) {
			credentialtest.TestSource(t, credentialtest.Harness{Open: func(t *testing.T, value string) credentialtest.Store {
				path := name(t)
				b.put(t, path, value)
				return credentialtest.Store{
					Source: b.open(t, vault.Opener(), "vault://secret/"+path+"?addr=ADDR&token_file=TOKEN#masterKey"),
					Put:    func(t *testing.T, value string) { b.put(t, path, value) },
					Remove: func(t *testing.T) { b.call(t, http.MethodDelete, "secret/data/"+path, "") },
					Break:  func(t *testing.T) func() { return b.seal(t) },
				}
			}})
		})
		t.Run("Plain", func(t *testing.T) {
			credentialtest.TestSource(t, credentialtest.Harness{Open: func(t *testing.T, value string) credentialtest.Store {
				path := "old/" + name(t)
				put := func(t *testing.T, value string) {
					b.call(t, http.MethodPost, path, `{"masterKey":"`+value+`"}`)
				}
				put(t, value)
				return credentialtest.Store{
					Source: b.open(t, vault.Opener(), "vault://"+path+"?addr=ADDR&token_file=TOKEN#masterKey"),
					Put:    put,
					Remove: func(t *testing.T) { b.call(t, http.MethodDelete, path, "") },
					Break:  func(t *testing.T) func() { return b.seal(t) },
				}
			}})
		})
	})
}

// what is a version without its value and times.
type what struct {
	ID     string
	Number uint64
	State  credential.State
	Value  string
}

func versions(t *testing.T, s credential.Source) []what {
	t.Helper()
	payload, err := s.Fetch(t.Context())
	if err != nil {
		t.Fatalf("Fetch failed: %v", err)
	}
	var all []what
	for _, v := range payload.Versions {
		all = append(all, what{v.ID, v.Number, v.State, string(v.Value.Reveal())})
	}
	return all
}

// A server that starts within an overlap learns the version before, too.
func TestVersions(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		path := name(t)
		b.call(t, http.MethodDelete, "secret/metadata/"+path, "")
		for i, step := range []struct {
			key  string
			want []what
		}{
			{keyA, []what{{"1", 1, credential.Current, keyA}}},
			{keyA, []what{{"2", 2, credential.Current, keyA}}},
			{keyB, []what{{"3", 3, credential.Current, keyB}, {"2", 2, credential.Previous, keyA}}},
			{keyB, []what{{"4", 4, credential.Current, keyB}, {"2", 2, credential.Previous, keyA}}},
			{keyA, []what{{"5", 5, credential.Current, keyA}, {"4", 4, credential.Previous, keyB}}},
		} {
			b.put(t, path, step.key)
			source := b.open(t, vault.Opener(), "vault://secret/"+path+"?addr=ADDR&token_file=TOKEN#masterKey")
			if diff := cmp.Diff(step.want, versions(t, source)); diff != "" {
				t.Errorf("after %d versions (-want +got):\n%s", i+1, diff)
			}
		}
		pinned := b.open(t, vault.Opener(), "vault://secret/"+path+"?addr=ADDR&token_file=TOKEN&version=3&kv=2#masterKey")
		if diff := cmp.Diff([]what{{"3", 3, credential.Current, keyB}}, versions(t, pinned)); diff != "" {
			t.Errorf("version=3 (-want +got):\n%s", diff)
		}
	})
}

// The current version began when its value did, not when another field changed last.
func TestCreated(t *testing.T) {
	_, b := startFake(t)
	b.put(t, "p", keyA)
	b.put(t, "p", keyB)
	source := b.open(t, vault.Opener(), "vault://secret/p?addr=ADDR&token_file=TOKEN#masterKey")
	before, err := source.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.put(t, "p", keyB)
	after, err := source.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := after.Versions[0].Created, before.Versions[0].Created; want.IsZero() || !got.Equal(want) {
		t.Errorf("Created = %v, want %v", got, want)
	}
}

// Deleted is refused until it is undeleted; destroyed is refused for good; a version that
// is replaced and then deleted loses its overlap.
func TestDeletedAndDestroyed(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		path := name(t)
		b.call(t, http.MethodDelete, "secret/metadata/"+path, "")
		source := b.open(t, vault.Opener(), "vault://secret/"+path+"?addr=ADDR&token_file=TOKEN#masterKey")
		if _, err := source.Fetch(t.Context()); !errors.Is(err, credential.Missing) {
			t.Errorf("Fetch of nothing = %v, want Missing", err)
		}
		b.put(t, path, keyA)
		c, err := credential.New(credential.Config{Name: "masterKey", Source: source})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer c.Stop()
		check := func(step, key string, verdict credential.Verdict, reason credential.Reason) {
			t.Helper()
			_ = c.Refresh(t.Context())
			if d := c.Verify(key); d.Verdict != verdict || d.Reason != reason {
				t.Errorf("%s: Verify(%.1s…) = %v, %v; want %v, %v", step, key, d.Verdict, d.Reason, verdict, reason)
			}
		}
		b.call(t, http.MethodDelete, "secret/data/"+path, "")
		check("deleted", keyA, credential.Reject, credential.ReasonDisabled)
		if got := c.Status().Class; got != credential.Gone {
			t.Errorf("deleted: the class is %v, want gone", got)
		}
		b.call(t, http.MethodPost, "secret/undelete/"+path, `{"versions":[1]}`)
		check("undeleted", keyA, credential.Accept, credential.ReasonMatch)
		b.put(t, path, keyB)
		check("rotated", keyB, credential.Accept, credential.ReasonMatch)
		check("rotated", keyA, credential.Accept, credential.ReasonMatch)
		b.call(t, http.MethodPost, "secret/delete/"+path, `{"versions":[1]}`)
		check("previous deleted", keyA, credential.Reject, credential.ReasonDisabled)
		check("previous deleted", keyB, credential.Accept, credential.ReasonMatch)
		b.call(t, http.MethodPost, "secret/undelete/"+path, `{"versions":[1]}`)
		check("previous undeleted", keyA, credential.Accept, credential.ReasonMatch)
		b.call(t, http.MethodPost, "secret/destroy/"+path, `{"versions":[1]}`)
		check("previous destroyed", keyA, credential.Reject, credential.ReasonRevoked)
		check("previous destroyed", keyB, credential.Accept, credential.ReasonMatch)
		b.put(t, path, keyC)
		check("rotated again", keyC, credential.Accept, credential.ReasonMatch)
		b.call(t, http.MethodPost, "secret/destroy/"+path, `{"versions":[3]}`)
		check("latest destroyed", keyC, credential.Reject, credential.ReasonRevoked)
		check("latest destroyed", keyB, credential.Reject, credential.ReasonDisabled)
		b.put(t, path, keyC)
		check("written anew", keyC, credential.Reject, credential.ReasonRevoked)
	})
}

// A destroyed version that this server never had is no version at all.
func TestDestroyedBeforeTheStart(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		path := name(t)
		b.call(t, http.MethodDelete, "secret/metadata/"+path, "")
		b.put(t, path, keyA)
		b.call(t, http.MethodPost, "secret/destroy/"+path, `{"versions":[1]}`)
		source := b.open(t, vault.Opener(), "vault://secret/"+path+"?addr=ADDR&token_file=TOKEN#masterKey")
		if _, err := source.Fetch(t.Context()); !errors.Is(err, credential.Gone) {
			t.Errorf("Fetch = %v, want Gone", err)
		}
	})
}

// A secret that was removed with its history and made again begins at version 1. It is not
// taken for an old copy.
func TestMadeAnew(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		path := name(t)
		b.call(t, http.MethodDelete, "secret/metadata/"+path, "")
		b.put(t, path, keyA)
		b.put(t, path, keyB)
		source := b.open(t, vault.Opener(), "vault://secret/"+path+"?addr=ADDR&token_file=TOKEN#masterKey")
		c, err := credential.New(credential.Config{Name: "masterKey", Source: source})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer c.Stop()
		b.call(t, http.MethodDelete, "secret/metadata/"+path, "")
		b.put(t, path, keyC)
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatalf("Refresh failed: %v", err)
		}
		if d := c.Verify(keyC); !d.OK() {
			t.Errorf("Verify(the key of the new secret) = %+v, want Accept", d)
		}
	})
}

// Several credentials of one Vault share a client: one login serves them all, and a token
// that is refused is replaced once.
func TestAppRole(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		path := name(t)
		b.put(t, path, keyA)
		b.call(t, http.MethodPost, "sys/auth/approle", `{"type":"approle"}`, 400)
		b.call(t, http.MethodPut, "sys/policies/acl/parley", `{"policy":"path \"secret/data/*\" { capabilities = [\"read\"] }"}`)
		b.call(t, http.MethodPost, "auth/approle/role/parley", `{"token_policies":["parley"],"token_ttl":"2s","token_max_ttl":"1h","token_type":"service"}`)
		dir := t.TempDir()
		write := func(name, content string) string {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(content+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		data := func(answer map[string]any, name string) string { return answer["data"].(map[string]any)[name].(string) }
		role := write("role", data(b.call(t, http.MethodGet, "auth/approle/role/parley/role-id", ""), "role_id"))
		secret := write("secret", data(b.call(t, http.MethodPost, "auth/approle/role/parley/secret-id", "{}"), "secret_id"))
		reference := "vault://secret/" + path + "?addr=ADDR&auth=approle&role_id_file=" + role + "&secret_id_file=" + secret
		opener := vault.Opener()
		one, two := b.open(t, opener, reference+"#masterKey"), b.open(t, opener, reference+"#other")
		if got := value(t, one); got != keyA {
			t.Errorf("Fetch = %q, want %q", got, keyA)
		}
		if got := value(t, two); got != "x" {
			t.Errorf("Fetch = %q, want x", got)
		}
		time.Sleep(2500 * time.Millisecond) // the end of a real token cannot be reached otherwise
		if got := value(t, one); got != keyA {
			t.Errorf("after the token's end Fetch = %q, want %q", got, keyA)
		}
		write("secret", "wrong-secret-id")
		time.Sleep(2500 * time.Millisecond)
		_, err := one.Fetch(t.Context())
		if !errors.Is(err, credential.Denied) || strings.Contains(err.Error(), "wrong-secret-id") {
			t.Errorf("with a wrong secret id Fetch = %v, want Denied without it", err)
		}
	})
}

// The token is refused between two fetches, by many credentials at once: one login.
func TestOneLoginForAll(t *testing.T) {
	f, b := startFake(t)
	b.put(t, "p", keyA)
	t.Setenv("VAULT_ADDR", b.addr)
	t.Setenv("VAULT_ROLE_ID", fakeRoleID)
	t.Setenv("VAULT_SECRET_ID", fakeSecretID)
	opener := vault.Opener()
	var sources []credential.Source
	for range 20 {
		sources = append(sources, b.open(t, opener, "vault://secret/p?auth=approle#masterKey"))
	}
	all := func() {
		var group sync.WaitGroup
		for _, s := range sources {
			group.Go(func() {
				if _, err := s.Fetch(t.Context()); err != nil {
					t.Errorf("Fetch failed: %v", err)
				}
			})
		}
		group.Wait()
	}
	all()
	f.with(func() { clear(f.tokens); f.tokens["root"] = &grant{} })
	all()
	f.with(func() {
		if f.logins != 2 || f.highest > 4 {
			t.Errorf("%d logins, %d requests at a time; want 2 and at most 4", f.logins, f.highest)
		}
	})
}

// A login that works and a token that may not read: one new login, then Denied.
func TestDenied(t *testing.T) {
	f, b := startFake(t)
	t.Setenv("VAULT_ROLE_ID", fakeRoleID)
	t.Setenv("VAULT_SECRET_ID", fakeSecretID)
	source := b.open(t, vault.Opener(), "vault://nothing/p?addr=ADDR&auth=approle#masterKey")
	_, err := source.Fetch(t.Context())
	if !errors.Is(err, credential.Denied) || strings.Contains(fmt.Sprintf("%v %#v", err, err), "canary") {
		t.Errorf("Fetch = %v, want Denied without the token", err)
	}
	f.with(func() {
		if f.logins != 2 {
			t.Errorf("%d logins, want 2", f.logins)
		}
	})
}

// A token that we were given is renewed before it ends, and says when to come back.
func TestTokenIsRenewed(t *testing.T) {
	f, b := startFake(t)
	b.put(t, "p", keyA)
	f.with(func() {
		f.tokens["hvs.canary-periodic"] = &grant{ends: time.Now().Add(20 * time.Second), ttl: time.Hour, renewable: true}
	})
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("hvs.canary-periodic"), 0o600); err != nil {
		t.Fatal(err)
	}
	source := b.open(t, vault.Opener(), "vault://secret/p?addr=ADDR&token_file="+path+"#masterKey")
	payload, err := source.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if payload.TTL <= 0 || payload.TTL > 20*time.Second {
		t.Errorf("TTL = %v, want what is left of the token's 20 s", payload.TTL)
	}
	if text := fmt.Sprintf("%+v %#v", source, source); strings.Contains(text, "canary") {
		t.Error("the source shows the token")
	}
	f.with(func() { // the client counts what it was told; so tell it less
		f.tokens["hvs.canary-short"] = &grant{ends: time.Now().Add(2500 * time.Millisecond), ttl: time.Hour, renewable: true}
	})
	if err := os.WriteFile(path, []byte("hvs.canary-short"), 0o600); err != nil {
		t.Fatal(err)
	}
	source = b.open(t, vault.Opener(), "vault://secret/p?addr=ADDR&token_file="+path+"#masterKey")
	value(t, source)
	time.Sleep(1200 * time.Millisecond) // more than half of the 2 s that it was told
	value(t, source)
	f.with(func() {
		if f.renewals == 0 {
			t.Error("the token was not renewed")
		}
	})
}

// A token that is refused, and no other: Denied, with the file read again for a new one.
func TestTokenIsReplaced(t *testing.T) {
	f, b := startFake(t)
	b.put(t, "p", keyA)
	path := filepath.Join(t.TempDir(), "token")
	put := func(token string) {
		f.with(func() { clear(f.tokens); f.tokens[token] = &grant{} })
		if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("hvs.canary-one")
	source := b.open(t, vault.Opener(), "vault://secret/p?addr=ADDR&token_file="+path+"#masterKey")
	value(t, source)
	put("hvs.canary-two")
	if got := value(t, source); got != keyA {
		t.Errorf("with a new token in the file Fetch = %q, want %q", got, keyA)
	}
	f.with(func() { clear(f.tokens) })
	if _, err := source.Fetch(t.Context()); !errors.Is(err, credential.Denied) {
		t.Errorf("with a dead token Fetch = %v, want Denied", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Fetch(t.Context()); !errors.Is(err, credential.Denied) {
		t.Errorf("without a token Fetch = %v, want Denied", err)
	}
}

func TestKubernetes(t *testing.T) {
	f, b := startFake(t)
	b.put(t, "p", keyA)
	path := filepath.Join(t.TempDir(), "jwt")
	if err := os.WriteFile(path, []byte(fakeJWT), 0o600); err != nil {
		t.Fatal(err)
	}
	source := b.open(t, vault.Opener(), "vault://secret/p?addr=ADDR&auth=kubernetes&role=parley&namespace=team/a&jwt_file="+path+"#masterKey")
	if got := value(t, source); got != keyA {
		t.Errorf("Fetch = %q, want %q", got, keyA)
	}
	f.with(func() {
		if got := f.header.Get("X-Vault-Namespace") + "|" + f.header.Get("X-Vault-Request") + "|" + f.header.Get("X-Vault-Token"); got != "team/a|true|hvs.canary-token-1" {
			t.Errorf("the headers are %s", got)
		}
	})
	other := b.open(t, vault.Opener(), "vault://secret/p?addr=ADDR&auth=kubernetes&role=other&jwt_file="+path+"#masterKey")
	if _, err := other.Fetch(t.Context()); !errors.Is(err, credential.Denied) || strings.Contains(err.Error(), fakeJWT) {
		t.Errorf("with a wrong role Fetch = %v, want Denied without the token", err)
	}
}

func TestStatus(t *testing.T) {
	f, b := startFake(t)
	for status, want := range map[int]error{
		400: credential.Unavailable, 403: credential.Denied, 412: credential.Unavailable, 429: credential.Unavailable, 472: credential.Unavailable,
		473: credential.Unavailable, 500: credential.Unavailable, 502: credential.Unavailable, 503: credential.Unavailable,
	} {
		source := b.open(t, vault.Opener(), "vault://secret/p?addr=ADDR&token_file=TOKEN#masterKey")
		f.with(func() { f.status = status })
		if _, err := source.Fetch(t.Context()); !errors.Is(err, want) || strings.Contains(err.Error(), "of some kind") {
			t.Errorf("status %d: %v, want %v without the text that came", status, err, want)
		}
	}
}

func TestField(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		path := name(t)
		b.put(t, path, keyA)
		for field, want := range map[string]error{"other": nil, "/other": nil, "absent": credential.Missing} {
			source := b.open(t, vault.Opener(), "vault://secret/"+path+"?addr=ADDR&token_file=TOKEN#"+field)
			if _, err := source.Fetch(t.Context()); !errors.Is(err, want) {
				t.Errorf("Fetch #%s = %v, want %v", field, err, want)
			}
		}
		payload, err := b.open(t, vault.Opener(), "vault://secret/"+path+"?addr=ADDR&token_file=TOKEN&format=json").Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for name, field := range payload.Versions[0].Fields {
			got[name] = string(field.Reveal())
		}
		if diff := cmp.Diff(map[string]string{"masterKey": keyA, "other": "x"}, got); diff != "" {
			t.Errorf("the group (-want +got):\n%s", diff)
		}
	})
}

// A fetch waits for its turn no longer than its context.
func TestCanceledWhileWaiting(t *testing.T) {
	_, b := startFake(t)
	source := b.open(t, vault.Opener(), "vault://secret/p?addr=ADDR&token_file=TOKEN#masterKey")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 {
		if _, err := source.Fetch(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Fetch = %v, want canceled", err)
		}
	}
}

func TestOpen(t *testing.T) {
	for _, test := range []struct {
		reference, location string
		want                error
	}{
		{"vault://secret/parley#masterKey", "https://vault.example:8200/secret/parley", nil},
		{"vault://secret/a/b?version=3&kv=2&ttl=1m#masterKey", "https://vault.example:8200/secret/a/b", nil},
		{"vault://secret/parley?namespace=team/a#masterKey", "https://vault.example:8200/team/a/secret/parley", nil},
		{"vault://secret/parley?addr=http://127.0.0.1:8200/#masterKey", "http://127.0.0.1:8200/secret/parley", nil},
		{"vault://secret/parley?addr=http://vault:8200&allow_http=vault#masterKey", "http://vault:8200/secret/parley", nil},
		{"vault://database/creds/parley?format=json", "https://vault.example:8200/database/creds/parley", nil},
		{"vault://secret/parley?auth=kubernetes&role=parley#masterKey", "https://vault.example:8200/secret/parley", nil},
		{"vault://secret/parley", "", credential.Misconfigured},
		{"vault://secret#masterKey", "", credential.Misconfigured},
		{"vault:///parley#masterKey", "", credential.Misconfigured},
		{"vault:secret/parley#masterKey", "", credential.Misconfigured},
		{"vault://secret/../sys/raw#masterKey", "", credential.Misconfigured},
		{"vault://secret/a//b#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?kv=3#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?version=0#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?version=1&kv=1#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?format=lines#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?token=root#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?auth=ldap#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?auth=kubernetes#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?role_id_file=/r#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?token_file=t#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?addr=http://vault:8200#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?addr=https://vault:8200/path#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?addr=vault:8200#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?addr=#masterKey", "", credential.Misconfigured},
	} {
		t.Setenv("VAULT_ADDR", "https://vault.example:8200")
		ref, err := credential.ParseReference(test.reference)
		if err != nil {
			t.Errorf("ParseReference(%s) failed: %v", test.reference, err)
			continue
		}
		source, err := vault.Opener()(ref)
		if !errors.Is(err, test.want) {
			t.Errorf("Open(%s) = %v, want %v", test.reference, err, test.want)
		} else if err == nil && source.Info().Location != test.location {
			t.Errorf("Open(%s) reads %s, want %s", test.reference, source.Info().Location, test.location)
		}
	}
}
