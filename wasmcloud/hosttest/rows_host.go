package hosttest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// What a provider reads, and how it lives and ends.

func hostDataLine(b *bed) {
	long := strings.Repeat("x", 128<<10)
	for name, change := range map[string]func(string) string{
		"CRLF":        func(s string) string { return s },
		"LF":          func(s string) string { return strings.TrimSpace(s) + "\n" },
		"no newline":  strings.TrimSpace,
		"white space": func(s string) string { return " \t" + strings.TrimSpace(s) + "  \r\n" },
	} {
		b.Run(name, func(t *testing.T) {
			h := NewHost(t, HostOptions{Server: NewServer(t, ServerOptions{})})
			p := h.Start(ProviderOptions{Launch: b.launch, Line: change, Config: map[string]string{"some_text": long},
				Change: func(data map[string]any) { data["of_the_future"] = map[string]any{"a": []int{1}} }})
			p.AwaitHealth(true)
		})
	}
	for name, line := range map[string]string{"nothing": "", "an empty line": "\r\n", "no base64": "!!!\r\n", "no JSON": "aGVsbG8=\r\n", "a list": "W10=\r\n"} {
		b.Run(name, func(t *testing.T) {
			h := NewHost(t, HostOptions{Server: NewServer(t, ServerOptions{})})
			p := h.Start(ProviderOptions{Launch: b.launch, Line: func(string) string { return line }})
			Eventually(t, "the provider ends", func() bool {
				select {
				case <-p.Ended():
					return true
				default:
					return false
				}
			})
			if p.Err() == nil || strings.TrimSpace(p.Log.String()) == "" {
				t.Errorf("it ended with %v and wrote %q, want an error and why", p.Err(), p.Log)
			}
		})
	}
}

func hostDataFields(b *bed) {
	for name, change := range map[string]func(map[string]any){
		"few": func(data map[string]any) {
			for _, field := range []string{"link_name", "lattice_rpc_user_jwt", "lattice_rpc_user_seed", "cluster_issuers", "config", "secrets", "host_xkey_public_key",
				"provider_xkey_private_key", "default_rpc_timeout_ms", "structured_logging", "log_level", "otel_config", "instance_id"} {
				delete(data, field)
			}
		},
		"null": func(data map[string]any) {
			data["default_rpc_timeout_ms"], data["log_level"] = nil, nil
		},
		"Grpc": func(data map[string]any) { data["otel_config"].(map[string]any)["protocol"] = "Grpc" },
		"grpc": func(data map[string]any) { data["otel_config"].(map[string]any)["protocol"] = "grpc" },
		"http": func(data map[string]any) { data["otel_config"].(map[string]any)["protocol"] = "http" },
		"log":  func(data map[string]any) { data["log_level"] = "critical" },
	} {
		b.Run(name, func(t *testing.T) {
			h := NewHost(t, HostOptions{Server: NewServer(t, ServerOptions{})})
			h.Start(ProviderOptions{Launch: b.launch, Change: change, NoKeys: name == "few"}).AwaitHealth(true)
		})
	}
}

// latticeUser is what the login of the lattice may do: no more than a provider needs.
func latticeUser(c *jwt.UserClaims) {
	c.Sub.Allow.Add("wasmbus.rpc.default.>", "default.messaging-nats.wrpc.>", "default.messaging-nats.wrpc.> default.messaging-nats", "_INBOX.>")
	c.Pub.Allow.Add("default.*.wrpc.>", "_INBOX.>")
}

func latticeLogin(b *bed) {
	for name, o := range map[string]ServerOptions{"none": {}, "JWT": {JWT: true}} {
		b.Run(name, func(t *testing.T) {
			in := &bed{T: t, launch: b.launch}
			lattice := NewServer(t, o)
			options := HostOptions{Server: lattice}
			if o.JWT {
				l := lattice.User(0, latticeUser)
				options.Login = &l
			}
			h, s := NewHost(t, options), NewServer(t, ServerOptions{})
			p := in.start(h, ProviderOptions{Links: []Link{Consumer("echo", "cluster_uris", s.URL())}})
			in.publishes(p, h.Component("echo", Ok), s, "default")
		})
	}
}

// latticeRotates: the login of the lattice comes from a file that changes before the JWT ends.
func latticeRotates(b *bed) {
	lattice, s := NewServer(b, ServerOptions{JWT: true}), NewServer(b, ServerOptions{})
	file := newCreds(b, lattice.User(6*time.Second))
	h := NewHost(b, HostOptions{Server: lattice, Login: &Login{}})
	p := b.start(h, ProviderOptions{Config: map[string]string{"lattice_credentials": file.reference()}, Links: []Link{Consumer("echo", "cluster_uris", s.URL())}})
	echo := h.Component("echo", Ok)
	b.publishes(p, echo, s, "default")
	file.write(lattice.User(0))
	first := time.Now()
	b.publishes(p, echo, s, "default")
	for time.Since(first) < 8*time.Second { // past the end of the first one
		if done, err := echo.Publish(b.Context(), p, "", wrpc.BrokerMessage{Subject: "rotating"}); err != nil || done.Failed {
			b.Fatalf("Publish while the login of the lattice rotates = %v, %v", done, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func healthWhileStuck(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{})
	p := h.Start(ProviderOptions{Launch: b.launch, Links: []Link{Handler("stuck", "cluster_uris", BlackHole(b), "subscriptions", "x"), Consumer("echo", "cluster_uris", s.URL())}})
	Eventually(b, "health that tells of the link that is stuck", func() bool { // links are put at the same time: others may be told of first
		health := p.AwaitHealth(false)
		return strings.Contains(health.Message, "stuck")
	})
	b.publishes(p.Await(), h.Component("echo", Ok), s, "default")
	p.PutLink(Handler("other", "cluster_uris", BlackHole(b), "subscriptions", "x"))
	if _, err := p.Health(); err != nil {
		b.Errorf("health while a link connects to nothing: %v", err)
	}
	p.DeleteLink(Handler("other"))
	p.DeleteLink(Handler("stuck"))
	p.AwaitHealth(true)
}

func shutdown(b *bed) {
	lattice, s := NewServer(b, ServerOptions{}), NewServer(b, ServerOptions{})
	h, other := NewHost(b, HostOptions{Server: lattice, ShutdownDelay: 20 * time.Second}), NewHost(b, HostOptions{Server: lattice})
	p := b.start(h, ProviderOptions{Links: []Link{Handler("echo", "cluster_uris", s.URL(), "subscriptions", "x")}})
	var mu sync.Mutex
	ended := false
	echo := h.Component("echo", func(ctx context.Context, d Delivery) (string, error) {
		text, err := Slow(50*time.Millisecond)(ctx, d)
		mu.Lock()
		defer mu.Unlock()
		ended = true
		return text, err
	})
	b.subscribed(s, "x", 1)
	if m, err := p.RequestShutdown(other.ID, 300*time.Millisecond); err == nil {
		b.Errorf("it answers %q to the shutdown of another host", m.Data)
	}
	if err := s.Connect().Publish("x", []byte("in flight")); err != nil {
		b.Fatal(err)
	}
	Eventually(b, "the component handles", func() bool { return echo.Count() == 1 })
	if _, err := p.RequestShutdown(h.ID, 20*time.Second); err != nil {
		b.Errorf("no answer to the shutdown: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !ended {
		b.Error("it answers before the message that was on its way is handled")
	}
}

func configUpdate(b *bed) {
	h := b.lattice(ServerOptions{})
	first, second, own := NewServer(b, ServerOptions{}), NewServer(b, ServerOptions{}), NewServer(b, ServerOptions{})
	p := b.start(h, ProviderOptions{Config: map[string]string{"cluster_uris": first.URL()}, Links: []Link{
		Handler("echo", "subscriptions", "x"), Handler("apart", "subscriptions", "y", "cluster_uris", own.URL())}})
	echo := h.Component("echo", Ok)
	b.subscribed(first, "x", 1)
	b.subscribed(own, "y", 1)
	before := own.Accepted()
	p.UpdateConfig(map[string]string{"cluster_uris": second.URL()})
	b.subscribed(second, "x", 1)
	b.subscribed(first, "x", 0)
	b.delivers(second, "x", echo)
	if got := own.Accepted(); got != before {
		b.Errorf("%d connections to the server of a link whose config did not change, want %d", got, before)
	}
	if p.Starts() != 1 {
		b.Errorf("it was started %d times", p.Starts())
	}
}

func logsAndTraces(b *bed) {
	var mu sync.Mutex
	paths, bodies := map[string]int{}, &bytes.Buffer{}
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		paths[r.URL.Path]++
		bodies.Write(body)
	}))
	defer collector.Close()
	lattice, s := NewServer(b, ServerOptions{}), NewServer(b, ServerOptions{})
	h := NewHost(b, HostOptions{Server: lattice, Structured: true, LogLevel: "info", OTel: map[string]any{
		"enable_observability": true, "observability_endpoint": collector.URL, "protocol": "Http"}})
	p := b.start(h, ProviderOptions{Links: []Link{Consumer("echo", "cluster_uris", s.URL())}})
	b.publishes(p, h.Component("echo", Ok), s, "default")
	Eventually(b, "traces at the collector", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return paths["/v1/traces"] > 0
	})
	p.Kill()
	mu.Lock()
	if !bytes.Contains(bodies.Bytes(), []byte("nats-messaging-provider")) {
		b.Error("what is collected does not name the service nats-messaging-provider")
	}
	mu.Unlock()
	for line := range strings.Lines(p.Log.String()) {
		if !json.Valid([]byte(line)) {
			b.Errorf("a line of the log is not JSON: %s", line)
		}
	}
}

// creds is a .creds file that changes.
type creds struct {
	b    *bed
	path string
}

func newCreds(b *bed, l Login) *creds {
	b.Helper()
	c := &creds{b: b, path: filepath.Join(b.TempDir(), "user.creds")}
	c.write(l)
	return c
}

func (c *creds) write(l Login) {
	c.b.Helper()
	next := c.path + ".next"
	if err := os.WriteFile(next, []byte(l.Creds()), 0o600); err != nil {
		c.b.Fatal(err)
	}
	if err := os.Rename(next, c.path); err != nil {
		c.b.Fatal(err)
	}
}

func (c *creds) reference() string { return "file://" + c.path }
