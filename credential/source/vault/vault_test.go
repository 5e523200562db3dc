package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
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
	if credentialtest.Elsewhere(vaultElsewhere, false) {
		return
	}
	for _, name := range []string{"VAULT_ADDR", "VAULT_TOKEN", "VAULT_NAMESPACE", "VAULT_CACERT", "VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY", "VAULT_TLS_SERVER_NAME", "VAULT_ROLE_ID", "VAULT_SECRET_ID"} {
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
	t.Run("Real", func(t *testing.T) { test(t, realBed(t)) })
}

// realBed is the real Vault; the test is skipped if there is none.
func realBed(t *testing.T) *bed {
	t.Helper()
	addr := os.Getenv("PARLEY_TEST_VAULT_ADDR")
	if addr == "" {
		t.Skip("PARLEY_TEST_VAULT_ADDR names no Vault to test with; make test-backends starts one")
	}
	b := &bed{addr: addr, unseal: os.Getenv("PARLEY_TEST_VAULT_UNSEAL")}
	b.call(t, http.MethodPost, "sys/mounts/old", `{"type":"kv","options":{"version":"1"}}`, 204, 400) // 400: it is there
	return b
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
	path := credentialtest.WriteFile(t, "token", []byte("root\n"))
	return credentialtest.Open(t, opener, strings.NewReplacer("ADDR", b.addr, "TOKEN", path).Replace(text))
}

func value(t *testing.T, s credential.Source) string {
	t.Helper()
	return credentialtest.Value(t, s)
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

// While Vault is sealed the key stays, and the credential recovers by itself.
func TestSealed(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		path := name(t)
		b.put(t, path, keyA)
		c, err := credential.New(credential.Config{Name: "masterKey", Source: b.open(t, vault.Opener(), "vault://secret/"+path+"?addr=ADDR&token_file=TOKEN#masterKey")})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer c.Stop()
		unseal := b.seal(t)
		if err := c.Refresh(t.Context()); !errors.Is(err, credential.Unavailable) {
			t.Errorf("Refresh while sealed = %v, want Unavailable", err)
		}
		if d := c.VerifyContext(t.Context(), keyA); !d.OK() {
			t.Errorf("Verify while sealed = %+v, want Accept", d)
		}
		if d := c.VerifyContext(t.Context(), keyB); d.Verdict != credential.Reject {
			t.Errorf("Verify(a wrong key) while sealed = %+v, want Reject", d)
		}
		unseal()
		for until := time.Now().Add(30 * time.Second); c.Status().Failures > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatal("the credential does not recover")
			}
		}
	})
}

// Version 1 of the engine: each new content is the next version.
func TestPlain(t *testing.T) {
	_, b := startFake(t)
	b.call(t, http.MethodPost, "old/p", `{"masterKey":"`+keyA+`"}`)
	plain := b.open(t, vault.Opener(), "vault://old/p?addr=ADDR&token_file=TOKEN#masterKey")
	for _, step := range []struct {
		key  string
		want uint64
	}{{keyA, 1}, {keyA, 1}, {keyB, 2}, {keyA, 3}} {
		b.call(t, http.MethodPost, "old/p", `{"masterKey":"`+step.key+`"}`)
		if diff := cmp.Diff([]what{{"", step.want, credential.Current, step.key}}, versions(t, plain)); diff != "" {
			t.Errorf("version 1 of the engine (-want +got):\n%s", diff)
		}
	}
}

// FuzzAnswer: whatever Vault says, a fetch ends with a payload that names its versions, or
// with an error that quotes nothing of it.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"data":{"data":{"masterKey":"canary"},"metadata":{"created_time":"2026-01-02T03:04:05.678Z","deletion_time":"","destroyed":false,"version":3}}}`,
		`{"data":{"data":null,"metadata":{"created_time":"","deletion_time":"2026-01-02T03:04:05Z","destroyed":false,"version":1}}}`,
		`{"data":{"data":{"masterKey":"canary"},"metadata":{"version":18446744073709551615}}}`,
		`{"lease_id":"canary","lease_duration":60,"renewable":true,"data":{"path":"secret/","type":"database","masterKey":"canary"},"auth":{"client_token":"t","lease_duration":60}}`,
		`{"lease_id":"canary","lease_duration":9223372036854775807,"data":{"path":"secret/","type":"kv","options":{"version":"2"},"masterKey":"canary"}}`,
		`{"errors":["canary"]}`, `{"data":"canary"}`, `{"data":{"data":[],"metadata":null}}`, `null`, `canary`, ``,
	} {
		f.Add(200, []byte(body))
		f.Add(404, []byte(body))
	}
	var mu sync.Mutex
	var status int
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	f.Cleanup(server.Close)
	f.Setenv("VAULT_ADDR", server.URL)
	f.Setenv("VAULT_TOKEN", "token")
	opener := vault.Opener()
	f.Fuzz(func(t *testing.T, code int, text []byte) {
		mu.Lock()
		status, body = 200+(code%400+400)%400, text
		mu.Unlock()
		for _, options := range []string{"kv=1", "kv=2", "namespace=x"} {
			ref, err := credential.ParseReference("vault://secret/p?" + options + "#masterKey")
			if err != nil {
				t.Fatal(err)
			}
			source, err := opener(ref)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second prolongs what the first got
				payload, err := source.Fetch(t.Context())
				var own *credential.Error
				if err != nil && (!errors.As(err, &own) || strings.Contains(err.Error(), "canary")) {
					t.Errorf("Fetch with %s = %v, which is no error of ours", options, err)
				}
				for _, v := range payload.Versions {
					if v.Number == 0 {
						t.Errorf("Fetch with %s yields a version without number", options)
					}
				}
			}
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
		{"vault://secret/parley?auth=cert&cert_file=/c&key_file=/k&role=parley#masterKey", "https://vault.example:8200/secret/parley", nil},
		{"vault://secret/parley?cert_file=/c&key_file=/k&server_name=vault#masterKey", "https://vault.example:8200/secret/parley", nil},
		{"vault://secret/parley?auth=cert#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?auth=cert&addr=http://127.0.0.1:8200&cert_file=/c&key_file=/k#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?cert_file=/c#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?role=parley#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley", "", credential.Misconfigured},
		{"vault://secret#masterKey", "", credential.Misconfigured},
		{"vault:///parley#masterKey", "", credential.Misconfigured},
		{"vault:secret/parley#masterKey", "", credential.Misconfigured},
		{"vault://secret/../sys/raw#masterKey", "", credential.Misconfigured},
		{"vault://secret/a//b#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?kv=3#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?version=0#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?version=1&kv=1#masterKey", "", credential.Misconfigured},
		{"vault://secret/parley?format=lines#masterKey", "https://vault.example:8200/secret/parley", nil},
		{"vault://secret/parley?format=keyset", "https://vault.example:8200/secret/parley", nil},
		{"vault://secret/parley?format=lines", "", credential.Misconfigured},
		{"vault://secret/parley?format=raw#masterKey", "", credential.Misconfigured},
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
