package vault_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/vault"
)

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
		b.call(t, http.MethodPut, "sys/leases/revoke-prefix/auth/approle", "{}")
		if got := value(t, one); got != keyA {
			t.Errorf("after the token was revoked Fetch = %q, want %q", got, keyA)
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

// The certificate that we show is a login, too, and rotates with its files.
func TestCertificate(t *testing.T) {
	authority := credentialtest.NewAuthority(t, "test")
	f := newFake()
	f.versions["p"] = []entry{{data: map[string]any{"masterKey": keyA}, created: time.Now()}}
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = authority.ServerConfig(t, "vault.internal")
	server.StartTLS()
	t.Cleanup(server.Close)
	b := &bed{addr: server.URL}
	cert, key := authority.Issue(t, "parley")
	t.Setenv("VAULT_CACERT", credentialtest.WriteFile(t, "ca.pem", authority.CA))
	t.Setenv("VAULT_CLIENT_CERT", credentialtest.WriteFile(t, "cert.pem", cert))
	t.Setenv("VAULT_CLIENT_KEY", credentialtest.WriteFile(t, "key.pem", key))
	t.Setenv("VAULT_TLS_SERVER_NAME", "vault.internal")
	for reference, want := range map[string]error{
		"vault://secret/p?addr=ADDR&auth=cert#masterKey":                            nil,
		"vault://secret/p?addr=ADDR&auth=cert&role=parley#masterKey":                nil,
		"vault://secret/p?addr=ADDR&auth=cert&role=other#masterKey":                 credential.Denied,
		"vault://secret/p?addr=ADDR&token_file=TOKEN#masterKey":                     nil,
		"vault://secret/p?addr=ADDR&auth=cert&server_name=other.internal#masterKey": credential.Unavailable,
	} {
		if _, err := b.open(t, vault.Opener(), reference).Fetch(t.Context()); !errors.Is(err, want) {
			t.Errorf("Fetch of %s = %v, want %v", reference, err, want)
		}
	}
	other, otherKey := authority.Issue(t, "other")
	for name, content := range map[string][]byte{"VAULT_CLIENT_CERT": other, "VAULT_CLIENT_KEY": otherKey} {
		if err := os.WriteFile(os.Getenv(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.open(t, vault.Opener(), "vault://secret/p?addr=ADDR&auth=cert#masterKey").Fetch(t.Context()); !errors.Is(err, credential.Denied) {
		t.Errorf("with the certificate of somebody else Fetch = %v, want Denied", err)
	}
}

// A token that cannot be prolonged serves to its end where nothing hangs on it: a login may be dear.
func TestTokenServesToItsEnd(t *testing.T) {
	f, b := startFake(t)
	b.put(t, "p", keyA)
	f.with(func() { f.ttl, f.frozen = 2*time.Second, true })
	t.Setenv("VAULT_ROLE_ID", fakeRoleID)
	t.Setenv("VAULT_SECRET_ID", fakeSecretID)
	source := b.open(t, vault.Opener(), "vault://secret/p?addr=ADDR&auth=approle#masterKey")
	asked := time.Now()
	value(t, source)
	var ends time.Time
	f.with(func() { ends = f.tokens["hvs.canary-token-1"].ends })
	for time.Until(ends) > -100*time.Millisecond {
		logins := 0
		value(t, source)
		f.with(func() { logins = f.logins })
		if age := time.Since(asked); age < f.ttl && logins != 1 { // a client counts from the moment of asking
			t.Fatalf("a new login when the token was %v old at most, want none before %v", age, f.ttl)
		}
	}
	f.with(func() {
		if f.logins != 2 {
			t.Errorf("%d logins, want a second one after the end", f.logins)
		}
	})
}
