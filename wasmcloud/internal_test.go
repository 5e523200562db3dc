package wasmcloud

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential"
)

var shown = cmp.Transformer("plain", func(s credential.Secret) string { return string(s.Reveal()) })

func vectorData(t *testing.T) (*HostData, map[string]string) {
	t.Helper()
	text, err := os.ReadFile("testdata/hostdata-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	words := map[string]string{}
	for name, value := range all {
		if word, is := value.(string); is {
			words[name] = word
		}
	}
	d, err := ReadHostData(strings.NewReader(words["stdin_line"]))
	if err != nil {
		t.Fatal(err)
	}
	return d, words
}

// The sealed secrets of the vectors are those of the provider's end of the link.
func TestSealedSecretsOfTheVectors(t *testing.T) {
	d, words := vectorData(t)
	k, err := newKeys(d)
	if err != nil {
		t.Fatal(err)
	}
	if k.public != words["provider_xkey_public"] {
		t.Errorf("the public key is %s, want %s", k.public, words["provider_xkey_public"])
	}
	r := &Runtime{data: d, keys: k}
	if got := r.subjects()[2]; got != words["link_put_subject"] {
		t.Errorf("links are put on %s, want %s", got, words["link_put_subject"])
	}
	want := []Link{
		{
			Key: Key{Role: Source, Component: "echo", Name: "default", Namespace: "wasmcloud", Package: "messaging"}, Interfaces: []string{"handler"},
			Config:  map[string]string{"cluster_uris": "nats://127.0.0.1:4222", "subscriptions": "wasmcloud.echo,jobs|workers"},
			Secrets: map[string]Secret{"client_jwt": credential.NewSecret("eyJ...jwt"), "client_seed": credential.NewSecret("SUA...seed")},
		},
		{
			Key: Key{Role: Target, Component: "echo", Name: "default", Namespace: "wasmcloud", Package: "messaging"}, Interfaces: []string{"consumer"},
			Config: map[string]string{"cluster_uris": "nats://127.0.0.1:4222"},
		},
	}
	var got []Link
	for _, raw := range d.Links {
		definition, err := ParseLink(raw)
		if err != nil {
			t.Fatal(err)
		}
		key, err := definition.Key(d.ProviderID)
		if err != nil {
			t.Fatal(err)
		}
		l, err := k.link(definition, key)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, l)
	}
	if diff := cmp.Diff(want, got, shown); diff != "" {
		t.Errorf("the links (-want +got):\n%s", diff)
	}
}

// What cannot be opened is an error without a word of it; the peer's secrets are not looked at.
func TestSealedSecretsThatCannotBeOpened(t *testing.T) {
	d, words := vectorData(t)
	k, err := newKeys(d)
	if err != nil {
		t.Fatal(err)
	}
	host, err := nkeys.FromCurveSeed([]byte(words["host_xkey_seed"]))
	if err != nil {
		t.Fatal(err)
	}
	seal := func(text string) Bytes {
		sealed, err := host.Seal([]byte(text), k.public)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	own := Key{Role: Source, Component: "echo", Name: "default"}
	const refused = "the link nats->echo: the secrets cannot be opened: they are not sealed by this host for this provider"
	for _, test := range []struct {
		name string
		keys *keys
		box  Bytes
		want string
	}{
		{"too short", k, Bytes("xkv1"), refused},
		{"not sealed at all", k, Bytes(`{"client_seed":{"kind":"String","value":"SUAseed"}}`), refused},
		{"cut off", k, seal(`{}`)[:45], refused},
		{"not JSON", k, seal("SUAseed"), "the link nats->echo: the secrets are malformed: it is not JSON, at byte 1"},
		{"of a kind that is none", k, seal(`{"client_seed":{"kind":"Seed","value":"SUAseed"}}`), `the link nats->echo: the secrets are malformed: a secret is of kind "Seed", not String or Bytes`},
		{"no key", &keys{}, seal("{}"), "the link nats->echo: there are sealed secrets, and the host gave no key for them"},
	} {
		l, err := test.keys.link(&LinkDefinition{SourceID: "nats", Target: "echo", SourceSecrets: test.box}, own)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: link() = %v, %v, want the error %q", test.name, l, err, test.want)
		}
	}
	for name, box := range map[string]Bytes{"null": nil, "empty": {}} {
		if l, err := (&keys{}).link(&LinkDefinition{SourceID: "nats", Target: "echo", SourceSecrets: box, TargetSecrets: Bytes("of the peer")}, own); err != nil || l.Secrets != nil {
			t.Errorf("%s: link() = %v, %v, want no secrets", name, l, err)
		}
	}
	l, err := k.link(&LinkDefinition{SourceID: "nats", Target: "echo", SourceSecrets: seal(`{"client_seed":{"kind":"Bytes","value":[83,85,65]}}`)}, own)
	if diff := cmp.Diff(map[string]Secret{"client_seed": credential.NewSecret("SUA")}, l.Secrets, shown); diff != "" || err != nil {
		t.Errorf("a secret of kind Bytes: %v (-want +got):\n%s", err, diff)
	}
}

func TestLogLevel(t *testing.T) {
	for _, test := range []struct {
		host, rust string
		want       slog.Level
	}{
		{"", "", slog.LevelInfo}, {"error", "", slog.LevelError}, {"warn", "", slog.LevelWarn}, {"info", "", slog.LevelInfo}, {"debug", "", slog.LevelDebug},
		{"trace", "", slog.LevelDebug - 4}, {"critical", "", slog.LevelError}, {"Debug", "", slog.LevelDebug}, {"loud", "", slog.LevelInfo},
		{"info", "debug", slog.LevelDebug}, {"debug", "warn,async_nats=trace", slog.LevelWarn}, {"info", "async_nats=trace", slog.LevelInfo},
		{"info", "warn,parley=debug", slog.LevelDebug}, {"info", "some nonsense", slog.LevelInfo}, {"info", "off", slog.Level(100)},
	} {
		if got := logLevel(test.host, test.rust); got != test.want {
			t.Errorf("logLevel(%q, %q) = %v, want %v", test.host, test.rust, got, test.want)
		}
	}
}

func TestLogLines(t *testing.T) {
	for lines, want := range map[bool]string{true: `"level":"INFO","msg":"hello","a":"b"}`, false: `level=INFO msg=hello a=b`} {
		var out bytes.Buffer
		log := slog.New(newLog(&out, slog.LevelInfo, lines))
		log.Debug("not this")
		log.Info("hello", "a", "b")
		if got := strings.TrimSpace(out.String()); !strings.HasSuffix(got, want) || strings.Contains(got, "\n") {
			t.Errorf("newLog(%v) writes %s, want a line that ends with %s", lines, got, want)
		}
	}
}

// While the first job of a link runs, those behind it come down to what counts.
func TestQueueKeepsOrderAndLittle(t *testing.T) {
	key := Key{Component: "a"}
	for _, test := range []struct{ add, want []string }{
		{[]string{"put 1"}, []string{"put 1"}},
		{[]string{"put 1", "put 2"}, []string{"put 2"}},
		{[]string{"put 1", "del"}, []string{"del"}},
		{[]string{"del", "put 1"}, []string{"del", "put 1"}},
		{[]string{"del", "put 1", "put 2"}, []string{"del", "put 2"}},
		{[]string{"del", "put 1", "del"}, []string{"del"}},
		{[]string{"del", "put 1", "del", "put 2"}, []string{"del", "put 2"}},
		{[]string{"put 1", "del", "put 2"}, []string{"del", "put 2"}},
	} {
		q := newQueue(4)
		release, begun := make(chan struct{}), make(chan struct{})
		q.add(key, true, func() { close(begun); <-release })
		<-begun
		var done []string
		var last *job
		for _, what := range test.add {
			last = q.add(key, strings.HasPrefix(what, "put"), func() { done = append(done, what) })
		}
		other := q.add(Key{Component: "b"}, true, func() {})
		<-other.over // another link is not held up
		close(release)
		<-last.over
		q.close()
		q.wait()
		if !slices.Equal(done, test.want) {
			t.Errorf("%v behind a job that runs: done %v, want %v", test.add, done, test.want)
		}
	}
}

func TestQueueRunsNoMoreThanItMay(t *testing.T) {
	q := newQueue(3)
	var mu sync.Mutex
	var now, most int
	for i := range 50 {
		q.add(Key{Component: strings.Repeat("x", i)}, true, func() {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			mu.Lock()
			now--
			mu.Unlock()
		})
	}
	q.wait()
	if most > 3 {
		t.Errorf("%d jobs at once, want at most 3", most)
	}
	q.close()
	late := q.add(Key{}, true, func() { t.Error("a job after close") })
	<-late.over
}

func TestConfigGoesBeforeTheHost(t *testing.T) {
	got := OTel{Endpoint: "http://host", TracesSampler: "always_off", Protocol: "Http"}.With(map[string]string{
		"otel_exporter_otlp_endpoint": "http://config", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t", "Otel_Exporter_Otlp_Metrics_Endpoint": "http://m",
		"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://l", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1",
		"OTEL_BSP_MAX_CONCURRENT_EXPORTS": "3", "otel_bsp_max_queue_size": "4", "other": "x",
	})
	want := OTel{
		Endpoint: "http://config", TracesEndpoint: "http://t", MetricsEndpoint: "http://m", LogsEndpoint: "http://l", Protocol: "Http",
		TracesSampler: "traceidratio", TracesSamplerArg: "0.1", ConcurrentExports: 3, MaxBatchQueueSize: 4,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("With() (-want +got):\n%s", diff)
	}
}

func TestAddressesOfTheLattice(t *testing.T) {
	for in, want := range map[string][]string{
		"nats://127.0.0.1:4222":             {"nats://127.0.0.1:4222"},
		"127.0.0.1:4222":                    {"nats://127.0.0.1:4222"},
		"tls://a:4222, nats://u:p@b:4222 ,": {"tls://a:4222", "nats://b:4222"},
	} {
		if got := servers(in); !slices.Equal(got, want) {
			t.Errorf("servers(%q) = %q, want %q", in, got, want)
		}
	}
}
