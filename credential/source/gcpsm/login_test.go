package gcpsm_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-backend/parley/credential"
)

// A token is used until it is refused; then there is one new login, with what the file of
// credentials holds now.
func TestLoginAnew(t *testing.T) {
	f := startFake(t)
	f.add(keyA, time.Hour)
	source := f.source(t, "")
	want := told{"1", 1, credential.Current, keyA}
	fetched(t, source, want)
	fetched(t, source, want)
	f.with(func() { clear(f.tokens) })
	fetched(t, source, want)
	if f.logins != 2 {
		t.Errorf("%d logins, want 2", f.logins)
	}
	f.ttl = -time.Second // tokens that end at once
	f.with(func() { clear(f.tokens) })
	if err := fails(t, source, "credential: denied: "+strings.TrimPrefix(f.addr, "http://")+" answered with status 401"); !errors.Is(err, credential.Denied) {
		t.Errorf("class = %v, want denied", err.Class)
	}
	f.ttl = time.Hour
	fetched(t, source, want)
}

func TestLoginRefused(t *testing.T) {
	for _, test := range []struct {
		status int
		want   string
		class  credential.Class
	}{
		{400, "credential: denied: the login was answered with status 400", credential.Denied},
		{401, "credential: denied: the login was answered with status 401", credential.Denied},
		{429, "credential: unavailable: the login was answered with status 429", credential.Unavailable},
		{503, "credential: unavailable: the login was answered with status 503", credential.Unavailable},
	} {
		f := startFake(t)
		f.add(keyA, time.Hour)
		source := f.source(t, "")
		f.loginStatus = test.status
		if err := fails(t, source, test.want); err.Class != test.class || err.RetryAfter != 30*time.Second {
			t.Errorf("status %d: class %v, RetryAfter %v; want %v, 30s", test.status, err.Class, err.RetryAfter, test.class)
		}
		f.with(func() { f.loginStatus = 0 })
		fetched(t, source, told{"1", 1, credential.Current, keyA})
	}
}

func TestCredentialsFile(t *testing.T) {
	f := startFake(t)
	f.add(keyA, time.Hour)
	dir := t.TempDir()
	path := filepath.Join(dir, "account.json")
	source := open(t, "gcpsm://my-project/parley?endpoint="+f.addr+"&credentials_file="+path)
	fails(t, source, "credential: denied: "+path+": the credentials cannot be read")
	for content, reason := range map[string]string{
		`canary`: "the content is not a kind of credentials that is known",
		`{"type":"canary","private_key":"canary"}`:          "the content is not a kind of credentials that is known",
		`{"type":"external_account","audience":"a canary"}`: "the credentials cannot be used",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		fails(t, source, "credential: denied: "+path+": "+reason)
	}
	if err := os.WriteFile(path, accountFile("http://127.0.0.1:1/token"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, source, "credential: unavailable: the login did not succeed")
	if err := os.WriteFile(path, accountFile(f.addr+"/token"), 0o600); err != nil {
		t.Fatal(err)
	}
	fetched(t, source, told{"1", 1, credential.Current, keyA})

	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
	fetched(t, open(t, "gcpsm://my-project/parley?endpoint="+f.addr), told{"1", 1, credential.Current, keyA})
}

// Where no file says how to log in, the metadata server of the machine does.
func TestMetadataServer(t *testing.T) {
	f := startFake(t)
	f.add(keyA, time.Hour)
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(f.addr, "http://"))
	fetched(t, open(t, "gcpsm://my-project/parley?endpoint="+f.addr), told{"1", 1, credential.Current, keyA})
	if f.logins != 1 {
		t.Errorf("%d logins, want 1", f.logins)
	}
}

// A login that hangs ends with the context of who asks; another one waits for it and no more are begun.
func TestLoginHangs(t *testing.T) {
	f := startFake(t)
	f.add(keyA, time.Hour)
	source := f.source(t, "")
	f.mu.Lock() // the fake answers nobody
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := source.Fetch(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Fetch = %v, want the context's end", err)
		}
		cancel()
	}
	f.mu.Unlock()
	fetched(t, source, told{"1", 1, credential.Current, keyA})
	if f.logins != 1 {
		t.Errorf("%d logins, want 1", f.logins)
	}
}
