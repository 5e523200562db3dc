package vault_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/vault"
)

func write(t *testing.T, source credential.Source, value string) (string, error) {
	t.Helper()
	return source.(credential.Writer).Write(t.Context(), credential.NewSecret(value))
}

// Rotate replaces one field of the secret, and keeps the one before for the overlap.
func TestRotate(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		path := name(t)
		b.call(t, http.MethodDelete, "secret/metadata/"+path, "")
		b.call(t, http.MethodPost, "secret/data/"+path, `{"data":{"masterKey":"`+keyA+`","note":"<it's \"ours\">","many":[1,2.50,null],"more":{"masterKey":"`+keyB+`"}}}`)
		c := credentialtest.Start(t, credential.Config{Name: "masterKey", Source: b.open(t, vault.Opener(), "vault://secret/"+path+"?addr=ADDR&token_file=TOKEN#masterKey")})
		r, err := c.Rotate(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		key := string(r.Value.Reveal())
		want := map[string]any{"masterKey": key, "note": `<it's "ours">`, "many": []any{1.0, 2.5, nil}, "more": map[string]any{"masterKey": keyB}}
		stored := b.call(t, http.MethodGet, "secret/data/"+path, "")["data"].(map[string]any)
		if diff := cmp.Diff(want, stored["data"]); diff != "" || r.VersionID != "2" {
			t.Errorf("version %s holds (-want +got):\n%s", r.VersionID, diff)
		}
		if now, before := c.Verify(key), c.Verify(keyA); !now.OK() || now.State != credential.Current || !before.OK() || before.State != credential.Previous {
			t.Errorf("Verify(the new key) = %+v, Verify(the old key) = %+v", now, before)
		}
		if _, err := c.Rotate(t.Context(), false); !errors.Is(err, credential.ErrInOverlap) {
			t.Errorf("Rotate in the overlap = %v, want ErrInOverlap", err)
		}
	})
}

// Version 1 of the engine has no versions to name.
func TestRotatePlain(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		path := "old/" + name(t)
		b.call(t, http.MethodPost, path, `{"masterKey":"`+keyA+`","other":"x"}`)
		c := credentialtest.Start(t, credential.Config{Name: "masterKey", Source: b.open(t, vault.Opener(), "vault://"+path+"?addr=ADDR&token_file=TOKEN#masterKey")})
		r, err := c.Rotate(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"masterKey": string(r.Value.Reveal()), "other": "x"}
		if diff := cmp.Diff(want, b.call(t, http.MethodGet, path, "")["data"]); diff != "" {
			t.Errorf("stored is (-want +got):\n%s", diff)
		}
		if d := c.Verify(keyA); !d.OK() || d.State != credential.Previous {
			t.Errorf("Verify(the old key) = %+v, want Accept as previous", d)
		}
	})
}

// Who changes the secret between our reading and our writing wins, and nothing of it is lost.
func TestWriteBetween(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		path := name(t)
		b.call(t, http.MethodDelete, "secret/metadata/"+path, "")
		b.put(t, path, keyA)
		to, err := url.Parse(b.addr)
		if err != nil {
			t.Fatal(err)
		}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, Transport: &http.Transport{DisableKeepAlives: true}}
		var once sync.Once
		between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/v1/secret/data/") {
				once.Do(func() { b.put(t, path, keyB) })
			}
			proxy.ServeHTTP(w, r)
		}))
		defer between.Close()
		source := (&bed{addr: between.URL}).open(t, vault.Opener(), "vault://secret/"+path+"?addr=ADDR&token_file=TOKEN#masterKey")
		if id, err := write(t, source, keyC); id != "" || !errors.Is(err, credential.Unavailable) {
			t.Errorf("Write = %q, %v; want Unavailable", id, err)
		}
		if got := value(t, source); got != keyB {
			t.Error("what was written between is lost")
		}
		if id, err := write(t, source, keyC); id != "3" || err != nil {
			t.Errorf("the second Write = %q, %v; want version 3", id, err)
		}
	})
}

func TestNotWritable(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		path := name(t)
		b.call(t, http.MethodDelete, "secret/metadata/"+path, "")
		b.put(t, path, keyA)
		for _, test := range []struct {
			reference string
			want      error
		}{
			{"vault://secret/" + path + "?addr=ADDR&token_file=TOKEN&version=1#masterKey", credential.ErrNotWritable},
			{"vault://secret/" + path + "?addr=ADDR&token_file=TOKEN&format=json", credential.ErrNotWritable},
			{"vault://secret/" + path + "?addr=ADDR&token_file=TOKEN#absent", credential.Missing},
			{"vault://secret/" + path + "/absent?addr=ADDR&token_file=TOKEN#masterKey", credential.Missing},
		} {
			id, err := write(t, b.open(t, vault.Opener(), test.reference), keyC)
			if id != "" || !errors.Is(err, test.want) {
				t.Errorf("Write to %s = %q, %v; want %v", test.reference, id, err, test.want)
			}
		}
		b.call(t, http.MethodDelete, "secret/data/"+path, "")
		if _, err := write(t, b.open(t, vault.Opener(), "vault://secret/"+path+"?addr=ADDR&token_file=TOKEN#masterKey"), keyC); !errors.Is(err, credential.Missing) {
			t.Errorf("Write to a deleted secret = %v, want Missing", err)
		}
	})
	_, b := startFake(t)
	if _, err := write(t, b.open(t, vault.Opener(), database), keyC); !errors.Is(err, credential.ErrNotWritable) {
		t.Errorf("Write to an engine that makes its values = %v, want ErrNotWritable", err)
	}
}

// Vault is asked to write with the same care as to read: one new login, then Denied; sealed is Unavailable.
func TestWriteRefused(t *testing.T) {
	f, b := startFake(t)
	b.put(t, "p", keyA)
	source := b.open(t, vault.Opener(), "vault://secret/p?addr=ADDR&token_file=TOKEN&kv=2#masterKey")
	for status, want := range map[int]error{400: credential.Unavailable, 403: credential.Denied, 404: credential.Missing, 405: credential.Unavailable, 503: credential.Unavailable} {
		f.with(func() { f.writes = status })
		if id, err := write(t, source, keyB); id != "" || !errors.Is(err, want) || strings.Contains(err.Error(), "of some kind") {
			t.Errorf("with status %d Write = %q, %v; want %v without the text that came", status, id, err, want)
		}
	}
	f.with(func() { f.writes = 0 })
	if got := value(t, source); got != keyA {
		t.Error("something was written")
	}
}
