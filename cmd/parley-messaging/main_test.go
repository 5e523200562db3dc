package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/parley-backend/parley/wasmcloud/messaging"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// What a person sees, and the exit codes.
func TestRunByHand(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var keys strings.Builder
	if err := messaging.WriteHelp(&keys); err != nil || !strings.HasPrefix(keys.String(), "  cluster_uris (") {
		t.Fatalf("WriteHelp = %v, %q, want the keys", err, keys.String())
	}
	for _, test := range []struct {
		name  string
		args  []string
		stdin string
		code  int
		out   string
		errs  string // begins with
	}{
		{name: "help", args: []string{"--help"}, out: about + "\nConfig keys, in any case:\n\n" + keys.String()},
		{name: "version", args: []string{"--version"}, out: "parley-messaging " + version() + "\n"},
		{name: "unknown", args: []string{"serve"}, code: 2, errs: "parley-messaging: there is no \"serve\": see parley-messaging --help\n"},
		{name: "empty", stdin: " \r\n", code: 2, errs: "parley-messaging: there is no host data on the standard input\n\n" + about},
		{name: "not base64", stdin: "hello, world", code: 2, errs: "parley-messaging: the host data is not base64: at byte 5\n"},
		{name: "no provider", stdin: base64.StdEncoding.EncodeToString([]byte("{}")), code: 2, errs: "parley-messaging: the host data names no provider that can be called: provider_key is \"\"\n"},
		{name: "lattice", stdin: base64.StdEncoding.EncodeToString([]byte(`{"provider_key":"p","lattice_rpc_user_jwt":"x"}`)), code: 1, errs: "parley-messaging: the host data has a JWT for the lattice and no seed for it\n"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), test.args, strings.NewReader(test.stdin), &out, &errs, "off")
		if code != test.code || out.String() != test.out || errs.String() != test.errs {
			t.Errorf("%s: run() = %d, want %d\nout:  %q\nwant: %q\nerrs: %q\nwant: %q", test.name, code, test.code, out.String(), test.out, errs.String(), test.errs)
		}
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), nil, null, &out, &errs, ""); code != 2 || errs.String() != about {
		t.Errorf("on a device: run() = %d, %q, want 2 and what it is", code, errs.String())
	}
}

type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// bed is a lattice with one provider.
type bed struct {
	t    *testing.T
	nc   *nats.Conn
	log  *record
	code chan int
}

func serverOf(t *testing.T) *server.Server {
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
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	return s
}

func dial(t *testing.T, url string) *nats.Conn {
	t.Helper()
	closed := make(chan struct{})
	nc, err := nats.Connect(url, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		<-closed
	})
	return nc
}

// start runs the provider as a host does, with more host data.
func start(t *testing.T, more map[string]any) *bed {
	t.Helper()
	s := serverOf(t)
	b := &bed{t: t, nc: dial(t, s.ClientURL()), log: &record{}, code: make(chan int, 1)}
	data := map[string]any{"host_id": "NHOST", "lattice_rpc_url": s.ClientURL(), "provider_key": "nats", "structured_logging": true}
	for key, value := range more {
		data[key] = value
	}
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		b.code <- run(ctx, nil, strings.NewReader(base64.StdEncoding.EncodeToString(text)+"\r\n"), &record{}, b.log, "")
	}()
	t.Cleanup(func() {
		stop()
		<-over
	})
	b.eventually("it answers", func() bool {
		_, err := b.nc.Request("wasmbus.rpc.default.nats.health", nil, time.Second)
		return err == nil
	})
	return b
}

func (b *bed) eventually(what string, is func() bool) {
	b.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("it never happens: %s\n%s", what, b.log)
		}
	}
}

func (b *bed) health() (healthy bool, message string) {
	b.t.Helper()
	m, err := b.nc.Request("wasmbus.rpc.default.nats.health", nil, 2*time.Second) // as long as a host waits
	if err != nil {
		b.t.Fatalf("no answer to health: %v", err)
	}
	var answer struct {
		Healthy bool
		Message string
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		b.t.Fatal(err)
	}
	return answer.Healthy, answer.Message
}

func link(source, target, interfaces string, end string, config map[string]string) map[string]any {
	return map[string]any{"source_id": source, "target": target, "name": "default", "wit_namespace": "wasmcloud", "wit_package": "messaging", "interfaces": []string{interfaces}, end: config}
}

// A link whose NATS takes connections and never says a word: health is answered, says which link, other links work, and shutdown is in time.
func TestHealthWithABlackHole(t *testing.T) {
	hole, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	messages := serverOf(t)
	b := start(t, map[string]any{"link_definitions": []any{
		link("nats", "stuck", "handler", "source_config", map[string]string{"cluster_uris": "nats://" + hole.Addr().String(), "subscriptions": "x"}),
		link("nats", "echo", "handler", "source_config", map[string]string{"cluster_uris": messages.ClientURL(), "subscriptions": "orders"}),
	}})
	b.eventually("health tells of the link", func() bool {
		healthy, message := b.health()
		return !healthy && strings.Contains(message, "stuck") && !strings.Contains(message, "echo")
	})
	component, err := wrpc.New(b.nc, wrpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer component.Close()
	got := make(chan wrpc.BrokerMessage, 100)
	if _, err = wrpc.Serve(component, wrpc.Export[wrpc.BrokerMessage]{
		Function: wrpc.Function{Prefix: "default.echo", Instance: wrpc.HandlerInstance, Name: wrpc.HandleMessageFunction}, Decode: wrpc.DecodeMessage,
		Handle: func(_ context.Context, _ nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
			got <- m
			return wrpc.AppendDone(nil, wrpc.Ok[wrpc.Unit, string](wrpc.Unit{})), nil
		},
	}); err != nil {
		t.Fatal(err)
	}
	publisher := dial(t, messages.ClientURL())
	b.eventually("a message comes", func() bool {
		if err := publisher.Publish("orders", []byte("hello")); err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-got:
			return m.Subject == "orders"
		default:
			return false
		}
	})
	answer, err := b.nc.Request("wasmbus.rpc.default.nats.default.shutdown", []byte(`{"host_id":"NHOST"}`), patience)
	if err != nil || string(answer.Data) != "shutting down" {
		t.Errorf("shutdown: %v, %v", answer, err)
	}
	if code := <-b.code; code != 0 {
		t.Errorf("exit code %d, want 0\n%s", code, b.log)
	}
	for line := range strings.Lines(b.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("the log has a line that is not JSON: %s", line)
		}
	}
}

// collector is one of OpenTelemetry.
type collector struct {
	mu    sync.Mutex
	spans []string // trace and name
	names map[string]bool
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var traces collectortraces.ExportTraceServiceRequest
	var metrics collectormetrics.ExportMetricsServiceRequest
	if r.URL.Path == "/v1/traces" {
		err = proto.Unmarshal(body, &traces)
	} else {
		err = proto.Unmarshal(body, &metrics)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range traces.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				c.spans = append(c.spans, hex.EncodeToString(span.TraceId)+" "+hex.EncodeToString(span.ParentSpanId)+" "+span.Name)
			}
		}
	}
	for _, resource := range metrics.ResourceMetrics {
		for _, scope := range resource.ScopeMetrics {
			for _, m := range scope.Metrics {
				c.names[m.Name] = true
			}
		}
	}
}

// The trace of a message goes on in the call of the component; spans and numbers are with the collector before the host has its answer.
func TestTelemetry(t *testing.T) {
	got := &collector{names: map[string]bool{}}
	collecting := httptest.NewServer(got)
	defer collecting.Close()
	messages := serverOf(t)
	b := start(t, map[string]any{
		"config":      map[string]string{"otel_exporter_otlp_endpoint": collecting.URL, "shutdown_timeout_ms": "20000"},
		"otel_config": map[string]any{"enable_traces": true, "enable_metrics": true, "observability_endpoint": "http://127.0.0.1:1", "protocol": "Http"},
		"link_definitions": []any{
			link("nats", "echo", "handler", "source_config", map[string]string{"cluster_uris": messages.ClientURL(), "subscriptions": "orders"}),
		},
	})
	component, err := wrpc.New(b.nc, wrpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer component.Close()
	parents := make(chan string, 100)
	if _, err = wrpc.Serve(component, wrpc.Export[wrpc.BrokerMessage]{
		Function: wrpc.Function{Prefix: "default.echo", Instance: wrpc.HandlerInstance, Name: wrpc.HandleMessageFunction}, Decode: wrpc.DecodeMessage,
		Handle: func(_ context.Context, h nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
			parents <- h.Get("traceparent")
			return wrpc.AppendDone(nil, wrpc.Ok[wrpc.Unit, string](wrpc.Unit{})), nil
		},
	}); err != nil {
		t.Fatal(err)
	}
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	publisher := dial(t, messages.ClientURL())
	var parent string
	b.eventually("a message comes", func() bool {
		if err := publisher.PublishMsg(&nats.Msg{Subject: "orders", Header: nats.Header{"traceparent": {"00-" + trace + "-" + span + "-01"}}}); err != nil {
			t.Fatal(err)
		}
		select {
		case parent = <-parents:
			return true
		default:
			return false
		}
	})
	if !strings.HasPrefix(parent, "00-"+trace+"-") || strings.Contains(parent, span) {
		t.Errorf("the component is called with the trace %s, want a span of %s that is not %s", parent, trace, span)
	}
	if _, err := b.nc.Request("wasmbus.rpc.default.nats.default.shutdown", []byte(`{"host_id":"NHOST"}`), patience); err != nil {
		t.Fatal(err)
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	want := trace + " " + span + " wasmcloud:messaging/handler@0.2.0/handle-message"
	if !slices.Contains(got.spans, want) {
		t.Errorf("the collector has the spans %q, want %q among them", got.spans, want)
	}
	for _, name := range []string{"wasmcloud.call.duration", "wasmcloud.messaging.handled"} {
		if !got.names[name] {
			t.Errorf("the collector has no %s: %v", name, got.names)
		}
	}
}
