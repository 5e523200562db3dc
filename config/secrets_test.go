package config

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/wasmcloud/claims"
)

// secretsOptions are those of a backend at a server, with the value of one key at an address.
func secretsOptions(t *testing.T, address string) *SecretsOptions {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the NATS server does not get ready")
	}
	o, err := ReadSecrets("", func(o *SecretsOptions) error {
		o.NATS.Servers, o.Issuers = []string{s.ClientURL()}, []string{claims.Generate(claims.Account).Public()}
		o.DataDir, o.Keys = filepath.Join(t.TempDir(), "data"), map[string]SecretKey{"db": {From: address}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A check makes no file, neither before the first start nor after it.
func TestCheckSecretsLeavesNothing(t *testing.T) {
	o := secretsOptions(t, "static:a value")
	if err := o.CheckSecrets(t.Context()); err != nil {
		t.Errorf("CheckSecrets before the first start = %v, want nil", err)
	}
	if _, err := os.Stat(o.DataDir); !os.IsNotExist(err) {
		t.Errorf("after a check the data folder is there (%v)", err)
	}
	s, err := o.OpenSecrets(t.Context(), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	files := func() (all []string) {
		_ = filepath.WalkDir(o.DataDir, func(path string, _ os.DirEntry, _ error) error {
			all = append(all, path)
			return nil
		})
		return all
	}
	before := len(files())
	if err := o.CheckSecrets(t.Context()); err != nil {
		t.Errorf("CheckSecrets after the first start = %v, want nil", err)
	}
	if after := len(files()); after != before || before < 3 {
		t.Errorf("%d files after a check, want the %d from before", after, before)
	}
}

// With a key to encrypt it with, what a store last said is there at a start while the store is down.
func TestSecretsAtAStartWithoutTheStore(t *testing.T) {
	const value = "canary-of-the-store-7Gq2xWn4"
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, value) }))
	o := secretsOptions(t, store.URL+"/db")
	held := func(within time.Duration) string {
		t.Helper()
		s, err := o.OpenSecrets(t.Context(), slog.New(slog.DiscardHandler), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		p, err := credential.NewPresenter(s.Credentials.Get(keyName("db")), func(m credential.Material) (string, error) { return string(m.Value.Reveal()), nil })
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		lease, err := p.Acquire(ctx)
		if err != nil {
			return ""
		}
		return lease.Value
	}
	o.LastKnownGoodKey = "static:a key of this test with 32 characters and more"
	if got := held(time.Minute); got != value {
		t.Fatalf("with the store the key is %q, want the value", got)
	}
	store.Close()
	if got := held(time.Minute); got != value {
		t.Errorf("without the store the key is %q, want the last good value", got)
	}
	_ = filepath.WalkDir(o.DataDir, func(path string, d os.DirEntry, _ error) error {
		if raw, err := os.ReadFile(path); err == nil && len(raw) > 0 && bytes.Contains(raw, []byte(value)) {
			t.Errorf("%s holds the value in the clear", d.Name())
		}
		return nil
	})
	o.LastKnownGoodKey = ""
	if got := held(time.Second); got != "" {
		t.Errorf("without a key to encrypt with the key is %q, want none", got)
	}
	o.LastKnownGoodKey = "vault://secret/wrap#key"
	if err := o.check(); err == nil {
		t.Error("a key to encrypt with in a store is no problem, want one")
	}
}
