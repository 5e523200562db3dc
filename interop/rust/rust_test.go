// Package rust_test has the Rust client of interop/rust call what Parley serves, serve what Parley calls, and fetch secrets: the other
// end is the code that a wasmCloud 1.9 host is built with. The same with the provider and the secrets backend as they are run is in
// provider_test.go. `make interop-rust` builds the client and runs the tests.
package rust_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/wasmcloud/claims"
	"github.com/parley-backend/parley/wasmcloud/secrets"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// program is the path of the Rust client.
func program(t *testing.T) string {
	t.Helper()
	path := os.Getenv("PARLEY_TEST_RUST")
	if path == "" {
		t.Skip("needs the Rust client: run make interop-rust")
	}
	return path
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// lattice starts a NATS server whose messages are small, so that larger values are sent in several.
func lattice(t *testing.T) string {
	t.Helper()
	s := must(server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, MaxPayload: 1024}))
	go s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not get ready")
	}
	return s.ClientURL()
}

// peer is the Rust client at work.
type peer struct {
	t     *testing.T
	in    io.WriteCloser
	lines chan map[string]any
	asked []byte // last
}

func start(t *testing.T, args ...string) *peer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t), args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	p := &peer{t: t, in: must(cmd.StdinPipe()), lines: make(chan map[string]any, 1024)}
	out := must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(p.lines)
		scanner := bufio.NewScanner(out)
		scanner.Buffer(nil, 16<<20)
		for scanner.Scan() {
			var line map[string]any
			if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
				t.Errorf("the Rust client says %q", scanner.Text())
				continue
			}
			p.lines <- line
		}
	})
	t.Cleanup(func() {
		_ = p.in.Close()
		reading.Wait()
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Errorf("the Rust client ends with %v: %s", err, errs.String())
		}
	})
	if line := p.next(); line["ready"] != true {
		t.Fatalf("the Rust client does not get ready: %v", line)
	}
	return p
}

// next returns what the client says next.
func (p *peer) next() map[string]any {
	p.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case line, more := <-p.lines:
		if !more {
			p.t.Fatal("the Rust client has ended")
		}
		return line
	case <-timer.C:
		p.t.Fatalf("the Rust client says nothing for %v after %.120s", patience, p.asked)
	}
	return nil
}

// do has the client do something and returns what came of it.
func (p *peer) do(op map[string]any) map[string]any {
	p.t.Helper()
	text := append(must(json.Marshal(op)), '\n')
	p.asked = text
	if _, err := p.in.Write(text); err != nil {
		p.t.Fatalf("the Rust client does not listen: %v", err)
	}
	return p.next()
}

func body(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

// sizes of bodies: empty, small, and around and far beyond what one message holds.
var sizes = []int{0, 1, 5, 127, 128, 700, 1000, 1023, 1024, 1025, 3000, 100_000}

// TestRustCalls has Rust call publish and request, as a component's host does.
func TestRustCalls(t *testing.T) {
	program(t)
	url := lattice(t)
	nc := must(nats.Connect(url))
	t.Cleanup(nc.Close)
	conn := must(wrpc.New(nc, wrpc.Options{}))
	t.Cleanup(func() { _ = conn.Drain(context.Background()) })
	function := func(name string) wrpc.Function {
		return wrpc.Function{Prefix: "default.nats", Instance: wrpc.ConsumerInstance, Name: name}
	}
	type call struct {
		Message      wrpc.BrokerMessage
		Source, Link string
	}
	var last call
	must(wrpc.Serve(conn, wrpc.Export[wrpc.BrokerMessage]{Function: function(wrpc.PublishFunction), Decode: wrpc.DecodeMessage,
		Handle: func(_ context.Context, h nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
			switch m.Subject {
			case "refuse":
				return wrpc.AppendDone(nil, wrpc.Err[wrpc.Unit]("max payload size exceeded")), nil
			case "fail":
				return nil, errors.New("the provider fails")
			}
			m.Body = append([]byte{}, m.Body...) // valid until Handle returns
			last = call{m, h.Get(wrpc.HeaderSource), h.Get(wrpc.HeaderLink)}
			return wrpc.AppendDone(nil, wrpc.Done{}), nil
		}}))
	must(wrpc.Serve(conn, wrpc.Export[wrpc.RequestParams]{Function: function(wrpc.RequestFunction), Decode: wrpc.DecodeRequest,
		Handle: func(_ context.Context, h nats.Header, p wrpc.RequestParams) ([]byte, error) {
			if p.TimeoutMillis == 0 {
				return wrpc.AppendReply(nil, wrpc.Err[wrpc.BrokerMessage]("nats request timed out: deadline has elapsed")), nil
			}
			return wrpc.AppendReply(nil, wrpc.Ok[wrpc.BrokerMessage, string](wrpc.BrokerMessage{Subject: fmt.Sprintf("%s.%d", p.Subject, p.TimeoutMillis), Body: p.Body, ReplyTo: wrpc.Some("q")})), nil
		}}))
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	rust := start(t, "call", url, "default.nats", "echo", "second")
	for _, n := range sizes {
		for _, reply := range []any{nil, "_INBOX.abc"} {
			got := rust.do(map[string]any{"op": "publish", "subject": "foo.bar", "body": hex.EncodeToString(body(n)), "reply": reply})
			want := call{wrpc.BrokerMessage{Subject: "foo.bar", Body: body(n)}, "echo", "second"}
			if reply != nil {
				want.Message.ReplyTo = wrpc.Some("_INBOX.abc")
			}
			if diff := cmp.Diff(want, last); diff != "" || got["ok"] != true {
				t.Fatalf("publish of %d bytes answers %v, and this arrives (-want +got):\n%s", n, got, diff)
			}
		}
		got := rust.do(map[string]any{"op": "request", "subject": "svc", "body": hex.EncodeToString(body(n)), "timeout": 4294967295})
		want := map[string]any{"ok": true, "subject": "svc.4294967295", "body": hex.EncodeToString(body(n)), "reply": "q"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("request of %d bytes (-want +got):\n%s", n, diff)
		}
	}
	if got := rust.do(map[string]any{"op": "publish", "subject": "refuse", "body": ""}); got["err"] != "max payload size exceeded" {
		t.Errorf("publish that is refused answers %v", got)
	}
	if got := rust.do(map[string]any{"op": "request", "subject": "svc", "body": "", "timeout": 0}); got["err"] != "nats request timed out: deadline has elapsed" {
		t.Errorf("request that is refused answers %v", got)
	}
	if got := rust.do(map[string]any{"op": "publish", "subject": "fail", "body": ""}); got["fail"] == nil {
		t.Errorf("publish that fails answers %v, want a failure of the call", got)
	}
	// The client may miss the answer of NATS as it may miss any that is quick, and here nobody repeats it.
	if got := start(t, "call", url, "default.nobody", "echo", "default").do(map[string]any{"op": "publish", "subject": "a", "body": "", "within": 5000}); got["fail"] == nil {
		t.Errorf("publish that nobody serves answers %v, want a failure of the call", got)
	}
	// After what failed, what is right works, however quick the answers are.
	for i := range 300 {
		if got := rust.do(map[string]any{"op": "publish", "subject": "foo.bar", "body": "00"}); got["ok"] != true {
			t.Fatalf("publish %d of a row answers %v", i, got)
		}
	}
	if got := rust.do(map[string]any{"op": "publish", "subject": "foo.bar", "body": ""}); got["ok"] != true {
		t.Errorf("publish after failures answers %v", got)
	}
}

// TestRustServes calls handle-message of a component in Rust.
func TestRustServes(t *testing.T) {
	program(t)
	url := lattice(t)
	nc := must(nats.Connect(url))
	t.Cleanup(nc.Close)
	conn := must(wrpc.New(nc, wrpc.Options{}))
	t.Cleanup(func() { _ = conn.Drain(context.Background()) })
	rust := start(t, "serve", url, "default.echo", "default.echo")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	header := nats.Header{wrpc.HeaderSource: {"nats"}, wrpc.HeaderTarget: {"echo"}, "traceparent": {trace}}
	handle := wrpc.Function{Prefix: "default.echo", Instance: wrpc.HandlerInstance, Name: wrpc.HandleMessageFunction}
	invoke := func(m wrpc.BrokerMessage) (wrpc.Done, error) {
		return wrpc.Invoke(ctx, conn, handle, header, wrpc.AppendMessage(nil, m), wrpc.DecodeDone)
	}
	for _, n := range sizes {
		done, err := invoke(wrpc.BrokerMessage{Subject: "a.b", Body: body(n), ReplyTo: wrpc.Some("r.s")})
		if err != nil || done.Failed {
			t.Fatalf("handle-message with %d bytes = %+v, %v", n, done, err)
		}
		want := map[string]any{"subject": "a.b", "body": hex.EncodeToString(body(n)), "reply": "r.s", "source-id": "nats", "target-id": "echo", "traceparent": trace}
		if diff := cmp.Diff(want, rust.next()); diff != "" {
			t.Fatalf("handle-message with %d bytes (-want +got):\n%s", n, diff)
		}
	}
	for i := range 100 { // in several messages, which the server must not miss
		if done, err := invoke(wrpc.BrokerMessage{Subject: "a.b", Body: body(5000)}); err != nil || done.Failed {
			t.Fatalf("handle-message %d of a row = %+v, %v", i, done, err)
		}
		if got := rust.next(); got["body"] != hex.EncodeToString(body(5000)) {
			t.Fatalf("handle-message %d of a row arrives as %.100v", i, got)
		}
	}
	if done, err := invoke(wrpc.BrokerMessage{Subject: "a.refuse"}); err != nil || !done.Failed || done.Err != "the component refuses" {
		t.Errorf("handle-message that is refused = %+v, %v", done, err)
	}
	rust.next()
	if _, err := invoke(wrpc.BrokerMessage{Subject: "a.trap"}); !errors.Is(err, wrpc.ErrNoResult) {
		t.Errorf("handle-message that traps = %v, want %v", err, wrpc.ErrNoResult)
	}
	rust.next()
	if done, err := invoke(wrpc.BrokerMessage{Subject: "a.b"}); err != nil || done.Failed || rust.next()["body"] != "" {
		t.Errorf("handle-message after a trap = %+v, %v", done, err)
	}
}

// fixed is a source of one version.
type fixed credential.Version

func (f fixed) Info() credential.Info { return credential.Info{Scheme: "test"} }

func (f fixed) Fetch(context.Context) (credential.Payload, error) {
	v := credential.Version(f)
	v.Value = credential.NewSecret(v.Value.Reveal())
	return credential.Payload{Versions: []credential.Version{v}}, nil
}

func held(t *testing.T, id string, value []byte, binary bool) *credential.Credential {
	t.Helper()
	c := must(credential.New(credential.Config{Name: id, Source: fixed{ID: id, Value: credential.NewSecret(value)}, Present: true, Binary: binary, TTL: time.Hour}))
	t.Cleanup(c.Stop)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRustSecrets fetches secrets as a host does.
func TestRustSecrets(t *testing.T) {
	program(t)
	s := must(server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true}))
	go s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not get ready")
	}
	conn := must(natsconn.Open(t.Context(), natsconn.Config{Servers: []string{s.ClientURL()}}))
	t.Cleanup(conn.Close)
	issuer, stranger := claims.Generate(claims.Account), claims.Generate(claims.Account)
	provider, host := claims.Generate(claims.Provider), claims.Generate(claims.Host)
	entity := func(by *claims.Key) string {
		return must(claims.Claims{Subject: provider.Public(), Provider: &claims.ProviderClaims{Name: "m", Vendor: "v", TargetHashes: map[string]string{}}}.Encode(by))
	}
	component := must(claims.Claims{Subject: claims.Generate(claims.Component).Public(), Component: &claims.ComponentClaims{Name: "c", Hash: "00"}}.Encode(issuer))
	hostToken := must(claims.Claims{Subject: host.Public(), Host: &claims.HostClaims{Name: "h", Labels: map[string]string{"self_signed": "true"}}}.Encode(claims.Generate(claims.Account)))
	account := must(nkeys.CreateAccount())
	backend := must(secrets.New(secrets.Config{Conn: conn, Name: "parley", MintKey: credential.NewSecret(strings.Repeat("m", 32)), Transit: held(t, "transit", must(secrets.NewTransit()).Reveal(), false)}, secrets.Terms{
		Issuers: []string{issuer.Public()}, Rules: []secrets.Rule{{Keys: []string{"*"}}},
		Keys: map[string]secrets.Key{
			"text":  {Credential: held(t, "7", []byte("a value"), false)},
			"bytes": {Credential: held(t, "8", []byte("\x00\xff\r\n"), true), Kind: secrets.Bytes},
			"json":  {Credential: held(t, "9", []byte(`{"user":"u","password":"p"}`), false)},
			"login": {Mint: &secrets.Mint{Signing: held(t, "s", must(account.Seed()), false)}},
		},
	}))
	if err := backend.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Drain(context.Background()) })
	rust := start(t, "secrets", s.ClientURL(), "wasmcloud.secrets", "parley")
	ask := func(with map[string]any) map[string]any {
		op := map[string]any{"entity": entity(issuer), "host": hostToken, "policy": `{"type":"properties.secret.wasmcloud.dev/v1alpha1","properties":{}}`, "application": "shop"}
		for name, value := range with {
			op[name] = value
		}
		return rust.do(op)
	}
	served := func(version string, text, binary any) map[string]any {
		return map[string]any{"version": version, "string": text, "binary": binary, "claims": nil}
	}
	refused := func(text string) map[string]any {
		return map[string]any{"err": "server error: " + text, "claims": nil}
	}
	for _, test := range []struct {
		name string
		ask  map[string]any
		want map[string]any
	}{
		{"text", map[string]any{"key": "text"}, served("7", "a value", nil)},
		{"text for a component", map[string]any{"key": "text", "entity": component, "policy": "", "application": nil}, served("7", "a value", nil)},
		{"bytes", map[string]any{"key": "bytes"}, served("8", nil, "00ff0d0a")},
		{"a field", map[string]any{"key": "json", "field": "password"}, served("9", "p", nil)},
		{"a version", map[string]any{"key": "text", "version": "7"}, served("7", "a value", nil)},
		{"no such version", map[string]any{"key": "text", "version": "6"}, refused("Secret not found")},
		{"no such key", map[string]any{"key": "none"}, refused("Secret not found")},
		{"a forged entity", map[string]any{"key": "text", "entity": entity(stranger)}, refused("Invalid Entity JWT: its issuer " + stranger.Public() + " is not trusted")},
		{"a policy that is none", map[string]any{"key": "text", "policy": "x"}, refused("Error processing policies: $the policy is not JSON with a type and properties")},
	} {
		if diff := cmp.Diff(test.want, ask(test.ask)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	token, seed := ask(map[string]any{"key": "login", "field": "jwt"}), ask(map[string]any{"key": "login", "field": "seed"})
	text := func(answer map[string]any) credential.Secret {
		s, _ := answer["string"].(string)
		return credential.NewSecret(s)
	}
	if _, err := natsconn.Decode(credential.Material{Fields: map[string]credential.Secret{"jwt": text(token), "seed": text(seed)}}); err != nil {
		t.Errorf("the JWT and the seed of a minted login: %v", err)
	}
	if got := ask(map[string]any{"key": "text", "entity": "x.y.z", "host": hostToken}); !strings.HasPrefix(fmt.Sprint(got["err"]), "server error: Invalid Entity JWT: malformed: ") {
		t.Errorf("an entity that is no JWT: %v", got)
	}
}
