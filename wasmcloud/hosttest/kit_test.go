package hosttest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/wasmcloud/hosttest"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// vectors is what a real host says, see testdata/README.md of package claims.
func vectors(t *testing.T) (hostData map[string]any) {
	t.Helper()
	text, err := os.ReadFile("../claims/testdata/hostdata-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		HostData map[string]any `json:"hostdata_json"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v.HostData
}

// captured starts a provider that keeps what it is told and waits for its end.
func captured(t *testing.T, h *hosttest.Host, o hosttest.ProviderOptions) (*hosttest.Provider, map[string]any) {
	t.Helper()
	lines := make(chan string, 8)
	o.Launch = func(ctx context.Context, stdin io.Reader, stderr io.Writer) error {
		line, err := io.ReadAll(stdin)
		lines <- string(line)
		fmt.Fprintln(stderr, "it runs")
		<-ctx.Done()
		return err
	}
	p := h.Start(o)
	line := <-lines
	text, ok := strings.CutSuffix(line, "\r\n")
	data, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		t.Fatalf("the line is %q: %v", line, err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	return p, fields
}

// shape is a value of JSON without its texts and numbers. Secrets are as long as what they hold: their bytes are left out.
func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for name, member := range v {
			m[name] = shape(member)
		}
		return m
	case []any:
		if len(v) > 20 {
			return "many numbers"
		}
		l := []any{}
		for _, member := range v {
			l = append(l, shape(member))
		}
		return l
	case nil:
		return nil
	}
	return fmt.Sprintf("%T", v)
}

// The host data have the fields of a real host's, of the same types, and the links are the same JSON.
func TestHostDataIsThatOfAHost(t *testing.T) {
	s := hosttest.NewServer(t, hosttest.ServerOptions{})
	h := hosttest.NewHost(t, hosttest.HostOptions{Server: s, LogLevel: "info"})
	handler := hosttest.Handler("echo", "cluster_uris", "nats://127.0.0.1:4222", "subscriptions", "wasmcloud.echo,jobs|workers").
		With("client_jwt", hosttest.Secret{Text: "eyJ...jwt"}).With("client_seed", hosttest.Secret{Text: "SUA...seed"})
	_, got := captured(t, h, hosttest.ProviderOptions{
		ID: "nats", Config: map[string]string{"cluster_uris": "nats://127.0.0.1:4222"}, Secrets: map[string]hosttest.Secret{"client_jwt": {Text: "x"}},
		Links: []hosttest.Link{handler, hosttest.Consumer("echo", "cluster_uris", "nats://127.0.0.1:4222")},
	})
	want := vectors(t)
	if diff := cmp.Diff(shape(want), shape(got)); diff != "" {
		t.Errorf("the shape: -want +got:\n%s", diff)
	}
	same := func(of map[string]any) map[string]any {
		all := maps.Clone(of)
		for _, name := range []string{"host_id", "host_xkey_public_key", "provider_xkey_private_key", "instance_id", "lattice_rpc_url"} {
			delete(all, name) // which are made anew
		}
		delete(all["link_definitions"].([]any)[0].(map[string]any), "source_secrets")
		return all
	}
	if diff := cmp.Diff(same(want), same(got)); diff != "" {
		t.Errorf("the values: -want +got:\n%s", diff)
	}
}

// What is sealed is opened with the keys in the host data: the Bytes of a secret, too.
func TestSecretsAreSealed(t *testing.T) {
	s := hosttest.NewServer(t, hosttest.ServerOptions{})
	h := hosttest.NewHost(t, hosttest.HostOptions{Server: s})
	p, data := captured(t, h, hosttest.ProviderOptions{})
	key, err := nkeys.FromCurveSeed([]byte(data["provider_xkey_private_key"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	sub, err := h.Conn().SubscribeSync(p.PutSubject())
	if err != nil {
		t.Fatal(err)
	}
	if public, _ := key.PublicKey(); p.PutSubject() != "wasmbus.rpc.default."+public+".linkdefs.put" {
		t.Errorf("links are put on %s", p.PutSubject())
	}
	p.PutLink(hosttest.Consumer("echo").With("a", hosttest.Secret{Text: "text"}).With("b", hosttest.Secret{Bytes: []byte{1, 255}}))
	m, err := sub.NextMsg(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var link struct {
		Sealed []int `json:"target_secrets"`
		Peer   any   `json:"source_secrets"`
	}
	if err := json.Unmarshal(m.Data, &link); err != nil || link.Peer != nil {
		t.Fatalf("the link %s: %v", m.Data, err)
	}
	sealed := make([]byte, len(link.Sealed))
	for i, n := range link.Sealed {
		sealed[i] = byte(n)
	}
	plain, err := key.Open(sealed, data["host_xkey_public_key"].(string))
	if want := `{"a":{"kind":"String","value":"text"},"b":{"kind":"Bytes","value":[1,255]}}`; err != nil || string(plain) != want {
		t.Errorf("the secrets are %s, %v, want %s", plain, err, want)
	}
}

// A provider that exits is started again with the links and the config of that moment, the same key, and another instance id.
func TestSupervision(t *testing.T) {
	s := hosttest.NewServer(t, hosttest.ServerOptions{})
	h := hosttest.NewHost(t, hosttest.HostOptions{Server: s})
	lines, exit := make(chan map[string]any, 8), make(chan bool)
	p := h.Start(hosttest.ProviderOptions{Supervise: true, RestartDelay: time.Millisecond, Links: []hosttest.Link{hosttest.Consumer("one")},
		Launch: func(ctx context.Context, stdin io.Reader, _ io.Writer) error {
			line, _ := io.ReadAll(stdin)
			data, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(string(line)))
			var fields map[string]any
			_ = json.Unmarshal(data, &fields)
			lines <- fields
			select {
			case <-ctx.Done():
			case <-exit:
			}
			return errors.New("exit status 1")
		}})
	first := <-lines
	p.PutLink(hosttest.Handler("two"))
	p.DeleteLink(hosttest.Consumer("one"))
	p.UpdateConfig(map[string]string{"a": "b"})
	exit <- true
	second := <-lines
	if first["provider_xkey_private_key"] != second["provider_xkey_private_key"] || first["instance_id"] == second["instance_id"] {
		t.Error("the key is another one, or the instance id is the same")
	}
	links := second["link_definitions"].([]any)
	if len(links) != 1 || links[0].(map[string]any)["target"] != "two" || second["config"].(map[string]any)["a"] != "b" {
		t.Errorf("the second host data have the links %v and the config %v", links, second["config"])
	}
	if p.Starts() != 2 {
		t.Errorf("%d starts, want 2", p.Starts())
	}
	p.Kill()
	select {
	case <-p.Ended():
	default:
		t.Error("it has not ended after Kill")
	}
}

// An executable has the environment that it is given, and nothing else; it is killed.
func TestExecutable(t *testing.T) {
	t.Setenv("HOSTTEST_SECRET", "x")
	var log hosttest.Log
	sh := hosttest.Executable{Path: "/bin/sh", Args: []string{"-c", "read line; echo got $line; env"}, Env: []string{"RUST_LOG=info"}, Dir: t.TempDir()}
	if err := sh.Launch(t.Context(), strings.NewReader("hello\n"), &log); err != nil {
		t.Fatal(err)
	}
	if out := log.String(); !strings.Contains(out, "got hello\n") || !strings.Contains(out, "RUST_LOG=info\n") || strings.Contains(out, "HOSTTEST_SECRET") || strings.Contains(out, "HOME=") {
		t.Errorf("it wrote %q", out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- hosttest.Executable{Path: "/bin/sh", Args: []string{"-c", "echo up; exec sleep 1000"}}.Launch(ctx, strings.NewReader(""), &log)
	}()
	hosttest.Eventually(t, "it runs", func() bool { return strings.Contains(log.String(), "up\n") })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a killed executable ends with %v", err)
	}
}

func TestComponent(t *testing.T) {
	s := hosttest.NewServer(t, hosttest.ServerOptions{})
	h := hosttest.NewHost(t, hosttest.HostOptions{Server: s})
	gate := hosttest.NewGate()
	c := h.Component("echo", gate.Handle)
	conn, err := wrpc.New(s.Connect(), wrpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	call := func(body string) (wrpc.Done, error) {
		f := wrpc.Function{Prefix: "default.echo", Instance: wrpc.HandlerInstance, Name: wrpc.HandleMessageFunction}
		return wrpc.Invoke(t.Context(), conn, f, nats.Header{wrpc.HeaderSource: {"p"}}, wrpc.AppendMessage(nil, wrpc.BrokerMessage{Subject: "x", Body: []byte(body)}), wrpc.DecodeDone)
	}
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := call("held")
			ended <- err
		}()
	}
	hosttest.Eventually(t, "both calls run", func() bool { return c.Most() == 2 })
	gate.Open()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	for _, test := range []struct {
		handle hosttest.Handle
		want   string
	}{
		{hosttest.Ok, "{{}  false} <nil>"},
		{hosttest.Slow(time.Millisecond), "{{}  false} <nil>"},
		{hosttest.Erring("bent"), "{{} bent true} <nil>"},
		{hosttest.Failing, "{{}  false} " + wrpc.ErrNoResult.Error()},
	} {
		c.Behave(test.handle)
		done, err := call("next")
		if got := fmt.Sprint(done, " ", err); got != test.want {
			t.Errorf("a call is %s, want %s", got, test.want)
		}
	}
	if got, want := c.Bodies(), []string{"held", "held", "next", "next", "next", "next"}; !slices.Equal(got, want) {
		t.Errorf("Bodies() = %q, want %q", got, want)
	}
	if d := c.Got()[0]; d.Message.Subject != "x" || d.Header.Get(wrpc.HeaderSource) != "p" {
		t.Errorf("the first call is %v", d)
	}
	c.Stop()
	if _, err := call("nobody"); !errors.Is(err, wrpc.ErrNoServer) {
		t.Errorf("a call of a component that has stopped is %v", err)
	}
}

func TestServer(t *testing.T) {
	s := hosttest.NewServer(t, hosttest.ServerOptions{JWT: true})
	l := s.User(0)
	nc, err := nats.Connect(s.URL(), nats.UserJWTAndSeed(l.JWT, l.Seed), nats.MaxReconnects(-1), nats.ReconnectWait(time.Millisecond), nats.IgnoreAuthErrorAbort())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.SubscribeSync("a.*"); err != nil {
		t.Fatal(err)
	}
	hosttest.Eventually(t, "the subscription", func() bool { return s.Subscriptions("a.*") == 1 })
	if clients := s.Clients(); len(clients) != 1 || clients[0].AuthorizedUser != l.Public {
		t.Errorf("Clients() = %v", clients)
	}
	url := s.URL()
	s.Stop()
	s.Start()
	if s.URL() != url {
		t.Errorf("after a restart it is at %s, and was at %s", s.URL(), url)
	}
	hosttest.Eventually(t, "connected again", func() bool { return s.Subscriptions("a.*") == 1 })
	s.Revoke(l.Public)
	hosttest.Eventually(t, "the revoked user is gone", func() bool { return len(s.Clients()) == 0 })
	for _, l := range []hosttest.Login{l, s.User(-time.Minute)} {
		if nc, err := nats.Connect(s.URL(), nats.UserJWTAndSeed(l.JWT, l.Seed)); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("a revoked or expired user connects: %v, %v", nc, err)
		}
	}
}

func TestProxy(t *testing.T) {
	s := hosttest.NewServer(t, hosttest.ServerOptions{})
	p := hosttest.NewProxy(t, s.Address())
	nc, err := nats.Connect(p.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(time.Millisecond), nats.Timeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	round := func() time.Duration {
		d, err := nc.RTT()
		if err != nil {
			return -1
		}
		return d
	}
	p.Delay(30 * time.Millisecond)
	hosttest.Eventually(t, "the delay", func() bool { return round() >= 60*time.Millisecond })
	p.Delay(0)
	p.Swallow(true)
	if err := nc.FlushTimeout(100 * time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("Flush into a hole = %v", err)
	}
	p.Swallow(false)
	p.Cut()
	hosttest.Eventually(t, "connected again", func() bool { return nc.Stats().Reconnects == 1 && round() >= 0 })
	p.Refuse(true)
	hosttest.Eventually(t, "disconnected", func() bool { return !nc.IsConnected() })
	p.Refuse(false)
	hosttest.Eventually(t, "connected a third time", func() bool { return round() >= 0 })
}

// Two exchanges that differ in their inboxes and ids alone are the same.
func TestCanonical(t *testing.T) {
	exchange := func(host, client, server string) []hosttest.Frame {
		return []hosttest.Frame{
			{Subject: "call." + host, Reply: client, Header: nats.Header{"source-id": {host}}, Data: []byte{1}},
			{Subject: client, Reply: server},
			{Subject: client + ".results", Data: []byte{0}},
			{Subject: server + ".params"},
		}
	}
	first := hosttest.Canonical(exchange("NA", "_INBOX.a", "_INBOX.b"), map[string]string{"NA": "{host}"})
	crossed := exchange("NB", "_INBOX.x.1", "y")
	crossed[2], crossed[3] = crossed[3], crossed[2]
	second := hosttest.Canonical(crossed, map[string]string{"NB": "{host}"})
	want := []string{"call.{host} <- {inbox 1} [source-id={host}] 01", "{inbox 1} <- {inbox 2} [] ", "{inbox 1}.results <-  [] 00", "{inbox 2}.params <-  [] "}
	if diff := cmp.Diff(want, first) + cmp.Diff(want, second); diff != "" {
		t.Errorf("Canonical: -want +got:\n%s", diff)
	}
	s := hosttest.NewServer(t, hosttest.ServerOptions{})
	tap := hosttest.NewTap(t, s)
	if err := s.Connect().Publish("a.b", []byte("x")); err != nil {
		t.Fatal(err)
	}
	hosttest.Eventually(t, "the tap hears it", func() bool { return len(tap.Frames()) == 1 && tap.Frames()[0].Subject == "a.b" })
}
