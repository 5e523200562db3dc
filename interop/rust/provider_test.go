package rust_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud/claims"
	"github.com/parley-backend/parley/wasmcloud/hosttest"
)

// built is a program of this module, as go build makes it.
func built(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/parley-backend/parley/cmd/"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// TestRustAndTheProvider has a component in Rust publish, request and handle messages through the provider that a host starts, over a
// lattice on which most bodies are cut, both ways.
func TestRustAndTheProvider(t *testing.T) {
	program(t)
	lattice := hosttest.NewServer(t, hosttest.ServerOptions{MaxPayload: 1024})
	broker := hosttest.NewServer(t, hosttest.ServerOptions{})
	nc := broker.Connect()
	host := hosttest.NewHost(t, hosttest.HostOptions{Server: lattice})
	provider := host.Start(hosttest.ProviderOptions{
		Launch: hosttest.Executable{Path: built(t, "parley-messaging")}.Launch,
		Links:  []hosttest.Link{hosttest.Consumer("echo", "cluster_uris", broker.URL()), hosttest.Handler("echo", "cluster_uris", broker.URL(), "subscriptions", "in.*,work|workers")},
	}).Await()
	hosttest.Eventually(t, "the link subscribes", func() bool { return broker.Subscriptions("in.*") == 1 && broker.Subscriptions("work") == 1 })
	must(nc.Subscribe("svc", func(m *nats.Msg) { _ = m.Respond(append([]byte("re:"), m.Data...)) }))
	out := must(nc.SubscribeSync("out"))
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	calls := start(t, "call", lattice.URL(), "default."+provider.ID, "echo", "default")
	component := start(t, "serve", lattice.URL(), "default.echo", "default.echo")
	for _, n := range sizes {
		text := hex.EncodeToString(body(n))
		if got := calls.do(map[string]any{"op": "publish", "subject": "out", "body": text, "reply": "back"}); got["ok"] != true {
			t.Fatalf("publish of %d bytes answers %v", n, got)
		}
		if m, err := out.NextMsg(patience); err != nil || !bytes.Equal(m.Data, body(n)) || m.Reply != "back" {
			t.Fatalf("publish of %d bytes: %v arrives (%v)", n, m, err)
		}
		got := calls.do(map[string]any{"op": "request", "subject": "svc", "body": text, "timeout": 30000})
		if got["ok"] != true || got["body"] != hex.EncodeToString([]byte("re:"))+text {
			t.Fatalf("request of %d bytes answers %.200v", n, got)
		}
		for _, subject := range []string{"in.a", "work"} {
			if err := nc.PublishMsg(&nats.Msg{Subject: subject, Reply: "r.s", Data: body(n)}); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{"subject": subject, "body": text, "reply": "r.s", "source-id": provider.ID, "target-id": "echo", "traceparent": nil}
			if diff := cmp.Diff(want, component.next()); diff != "" {
				t.Fatalf("a message of %d bytes on %s (-want +got):\n%s", n, subject, diff)
			}
		}
	}
	for i := range 300 {
		if got := calls.do(map[string]any{"op": "publish", "subject": "row", "body": "00"}); got["ok"] != true {
			t.Fatalf("publish %d of a row answers %v", i, got)
		}
	}
	if got := calls.do(map[string]any{"op": "request", "subject": "nobody", "body": "", "timeout": 30000}); got["err"] == nil {
		t.Errorf("a request that nobody answers is %v, want an error", got)
	}
	if got := start(t, "call", lattice.URL(), "default."+provider.ID, "stranger", "default").do(map[string]any{"op": "publish", "subject": "out", "body": ""}); got["ok"] == true {
		t.Errorf("publish of a component that is not linked answers %v, want a failure", got)
	}
	if _, err := provider.Shutdown(); err != nil {
		t.Errorf("Shutdown = %v", err)
	}
}

// TestRustAndTheBackend fetches secrets of `parley wasmcloud secrets` as a host does.
func TestRustAndTheBackend(t *testing.T) {
	program(t)
	s := hosttest.NewServer(t, hosttest.ServerOptions{})
	issuer := claims.Generate(claims.Account)
	cmd := exec.CommandContext(t.Context(), built(t, "parley"), "wasmcloud", "secrets", "--server", s.URL(), "--name", "shop", "--issuer", issuer.Public(),
		"--dataDir", filepath.Join(t.TempDir(), "data"), "--key", "db=static:a value", "--rule", `{"keys":["db"]}`)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	read := must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan bool, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		line := make([]byte, 512)
		n, _ := read.Read(line)
		ready <- strings.Contains(string(line[:n]), "Parley serves secrets")
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		reading.Wait()
		_ = cmd.Wait() // it was killed
	})
	select {
	case ok := <-ready:
		if !ok {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("the backend does not serve: %s", errs.String())
		}
	case <-time.After(patience):
		t.Fatal("the backend does not get ready")
	}
	token := func(c claims.Claims, by *claims.Key) string { return must(c.Encode(by)) }
	ask := map[string]any{
		"key": "db", "policy": "", "application": "shop",
		"entity": token(claims.Claims{Subject: claims.Generate(claims.Provider).Public(), Provider: &claims.ProviderClaims{Name: "m", TargetHashes: map[string]string{}}}, issuer),
		"host":   token(claims.Claims{Subject: claims.Generate(claims.Host).Public(), Host: &claims.HostClaims{Labels: map[string]string{}}}, claims.Generate(claims.Account)),
	}
	rust := start(t, "secrets", s.URL(), "wasmcloud.secrets", "shop")
	got := rust.do(ask)
	if got["string"] != "a value" || got["binary"] != nil || got["claims"] != nil {
		t.Errorf("the secret is %s", must(json.Marshal(got)))
	}
	ask["key"] = "other"
	if got := rust.do(ask); got["err"] == nil {
		t.Errorf("a key that no rule allows answers %s", must(json.Marshal(got)))
	}
}
