package wasmcloud_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/wasmcloud"
)

// vectors are testdata/hostdata-vectors.json.
type vectors struct {
	Line       string          `json:"stdin_line"`
	HostData   json.RawMessage `json:"hostdata_json"`
	Source     json.RawMessage `json:"link_source_json"`
	Target     json.RawMessage `json:"link_target_json"`
	PutSubject string          `json:"link_put_subject"`
	HostPublic string          `json:"host_xkey_public"`
	HostSeed   string          `json:"host_xkey_seed"`
	OwnPublic  string          `json:"provider_xkey_public"`
	OwnSeed    string          `json:"provider_xkey_seed"`
	Plain      string          `json:"secrets_plaintext"`
	Sealed     string          `json:"secrets_sealed_hex"`
}

func readVectors(t testing.TB) (v vectors) {
	t.Helper()
	data, err := os.ReadFile("testdata/hostdata-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// plain shows secrets, for comparing.
var plain = cmp.Transformer("plain", func(s credential.Secret) string { return string(s.Reveal()) })

// raw compares JSON by its text.
var raw = cmp.Transformer("raw", func(m json.RawMessage) string { return string(m) })

func encode(json string) string { return base64.StdEncoding.EncodeToString([]byte(json)) }

func wantVector(t testing.TB, v vectors) *wasmcloud.HostData {
	var links struct {
		Links []json.RawMessage `json:"link_definitions"`
	}
	if err := json.Unmarshal(v.HostData, &links); err != nil {
		t.Fatal(err)
	}
	return &wasmcloud.HostData{
		HostID: "NDWUSKGGFDI4FRXK5EBTRECZSVQSSWJHHJOGH6JWG3AUMFFMQ435CDIX", Lattice: "default", LinkName: "default", URL: "nats://127.0.0.1:36881",
		ProviderID: "nats", InstanceID: "6b1b5f0e-6e1f-4f0a-9d0a-000000000001", EnvValues: map[string]string{}, ClusterIssuers: []string{},
		Links: links.Links, Config: map[string]string{"cluster_uris": "nats://127.0.0.1:4222"}, Secrets: map[string]wasmcloud.Secret{"client_jwt": credential.NewSecret("x")},
		HostXKey: v.HostPublic, XKeySeed: credential.NewSecret(v.OwnSeed), RPCTimeout: 2 * time.Second, LogLevel: "info",
		OTel: wasmcloud.OTel{Protocol: "Http", TraceLevel: "info", CAPaths: []string{}},
	}
}

// The line of the vectors is read in every form in which a host may write it.
func TestHostDataLine(t *testing.T) {
	v := readVectors(t)
	want := wantVector(t, v)
	line := strings.TrimSpace(v.Line)
	var object map[string]any
	if err := json.Unmarshal(v.HostData, &object); err != nil {
		t.Fatal(err)
	}
	object["a_field_of_tomorrow"] = map[string]any{"deep": []any{1, nil}}
	unknown, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{
		"as a host writes it":   v.Line,
		"LF":                    line + "\n",
		"no end of the line":    line,
		"spaces around it":      "  \t" + line + "  \r\n",
		"an empty line before":  "\r\n" + line + "\r\n",
		"without the padding":   strings.TrimRight(line, "=") + "\n",
		"something after it":    line + "\r\nnot read",
		"a field it never knew": encode(string(unknown)) + "\r\n",
	} {
		got, err := wasmcloud.ReadHostData(strings.NewReader(in))
		if err != nil {
			t.Errorf("%s: ReadHostData() = %v", name, err)
			continue
		}
		if name == "a field it never knew" { // written with other spaces
			got.Links = want.Links
		}
		if diff := cmp.Diff(want, got, plain, raw); diff != "" {
			t.Errorf("%s: ReadHostData() (-want +got):\n%s", name, diff)
		}
	}
}

// A pipe holds 64 KB: the host writes more only while it is read.
func TestHostDataLargerThanAPipe(t *testing.T) {
	value := strings.Repeat("x", 1<<20)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	written := make(chan error, 1)
	go func() {
		_, err := fmt.Fprintf(w, "%s\r\n", encode(`{"provider_key":"p","config":{"large":"`+value+`"}}`))
		written <- errors.Join(err, w.Close())
	}()
	d, err := wasmcloud.ReadHostData(r)
	if err != nil || <-written != nil {
		t.Fatalf("ReadHostData() = %v", err)
	}
	if d.Config["large"] != value {
		t.Errorf("a config of %d bytes, want %d", len(d.Config["large"]), len(value))
	}
}

func TestHostDataDefaults(t *testing.T) {
	d, err := wasmcloud.ReadHostData(strings.NewReader(encode(`{"env_values":{},"link_definitions":[]}`)))
	if err != nil {
		t.Fatal(err)
	}
	want := &wasmcloud.HostData{
		Lattice: "default", LinkName: "default", URL: "nats://127.0.0.1:4222", InstanceID: d.InstanceID, EnvValues: map[string]string{}, Links: []json.RawMessage{},
		RPCTimeout: 2 * time.Second, LogLevel: "info", OTel: wasmcloud.OTel{Protocol: "Http"},
	}
	if diff := cmp.Diff(want, d, plain, raw); diff != "" {
		t.Errorf("ReadHostData() (-want +got):\n%s", diff)
	}
	if len(d.InstanceID) != 36 {
		t.Errorf("InstanceID = %q, want a UUID", d.InstanceID)
	}
}

// Every field, with a value that is not its default.
func TestHostDataFields(t *testing.T) {
	yes, no := true, false
	got, err := wasmcloud.ReadHostData(strings.NewReader(encode(`{
		"host_id":"NHOST","lattice_rpc_prefix":"lattice","link_name":"other","lattice_rpc_user_jwt":" jwt\n","lattice_rpc_user_seed":" seed\n",
		"lattice_rpc_url":"nats://nats:4222","provider_key":"rust_echo-nats","env_values":{"A":"B"},"instance_id":"id","link_definitions":[{"source_id":"a"}],
		"cluster_issuers":["C"],"config":{"k":"v"},"secrets":{"text":{"kind":"String","value":"é"},"raw":{"kind":"Bytes","value":[0,255, 10]}},
		"host_xkey_public_key":"X","provider_xkey_private_key":"SX","default_rpc_timeout_ms":5000,"structured_logging":true,"log_level":"debug",
		"otel_config":{"enable_observability":true,"enable_traces":true,"enable_metrics":false,"enable_logs":null,"observability_endpoint":"http://o","traces_endpoint":"http://t",
		"metrics_endpoint":"http://m","logs_endpoint":"http://l","protocol":"Grpc","additional_ca_paths":["/ca.pem"],"trace_level":"debug","traces_sampler":"always_on",
		"traces_sampler_arg":"0.5","max_batch_queue_size":7,"concurrent_exports":8}}`)))
	if err != nil {
		t.Fatal(err)
	}
	want := &wasmcloud.HostData{
		HostID: "NHOST", Lattice: "lattice", LinkName: "other", UserJWT: credential.NewSecret("jwt"), UserSeed: credential.NewSecret("seed"),
		URL: "nats://nats:4222", ProviderID: "rust_echo-nats", EnvValues: map[string]string{"A": "B"}, InstanceID: "id", Links: []json.RawMessage{json.RawMessage(`{"source_id":"a"}`)},
		ClusterIssuers: []string{"C"}, Config: map[string]string{"k": "v"},
		Secrets:  map[string]wasmcloud.Secret{"text": credential.NewSecret("é"), "raw": credential.NewSecret([]byte{0, 255, 10})},
		HostXKey: "X", XKeySeed: credential.NewSecret("SX"), RPCTimeout: 5 * time.Second, JSONLogs: true, LogLevel: "debug",
		OTel: wasmcloud.OTel{
			EnableObservability: true, EnableTraces: &yes, EnableMetrics: &no, Endpoint: "http://o", TracesEndpoint: "http://t", MetricsEndpoint: "http://m", LogsEndpoint: "http://l",
			Protocol: "Grpc", CAPaths: []string{"/ca.pem"}, TraceLevel: "debug", TracesSampler: "always_on", TracesSamplerArg: "0.5", MaxBatchQueueSize: 7, ConcurrentExports: 8,
		},
	}
	if diff := cmp.Diff(want, got, plain, raw); diff != "" {
		t.Errorf("ReadHostData() (-want +got):\n%s", diff)
	}
	if !got.OTel.Traces() || got.OTel.Metrics() || !got.OTel.Logs() {
		t.Errorf("wanted: traces %v, metrics %v, logs %v; want true, false, true", got.OTel.Traces(), got.OTel.Metrics(), got.OTel.Logs())
	}
}

func TestHostDataIsWrong(t *testing.T) {
	const secret = "SUAverysecretseed"
	for in, want := range map[string]string{
		"":                       "there is no host data on the standard input",
		" \r\n\n ":               "there is no host data on the standard input",
		"{}":                     "the host data is not base64: at byte 0",
		"bm90!aGVyZQ==":          "the host data is not base64: at byte 4",
		encode("") + "IA==":      "the host data is not a JSON object",
		encode("[]"):             "the host data is not a JSON object",
		encode("{"):              "the host data is malformed: it is not JSON, at byte 1",
		encode(`{"config":{}}x`): "the host data is malformed: it is not JSON, at byte 14",
		encode(`{"host_id":5}`):  "the host data is malformed: host_id is of the wrong type, number",
		encode(`{"config":{"client_seed":["` + secret + `"]}}`):                          "the host data is malformed: config is of the wrong type, array",
		encode(`{"secrets":{"s":"` + secret + `"}}`):                                     "the host data is malformed: a secret is not an object of kind and value",
		encode(`{"secrets":{"s":{"kind":"Text","value":"` + secret + `"}}}`):             `the host data is malformed: a secret is of kind "Text", not String or Bytes`,
		encode(`{"secrets":{"s":{"kind":"Bytes","value":"` + secret + `"}}}`):            "the host data is malformed: the value of a secret of kind Bytes is not an array of numbers",
		encode(`{"secrets":{"s":{"kind":"Bytes","value":[1,256]}}}`):                     "the host data is malformed: the value of a secret of kind Bytes is not an array of numbers",
		encode(`{"secrets":{"s":{"kind":"String","value":["` + secret + `"]}}}`):         "the host data is malformed: the value of a secret of kind String is not a string",
		encode(`{"default_rpc_timeout_ms":-1,"lattice_rpc_user_seed":"` + secret + `"}`): "the host data is malformed: default_rpc_timeout_ms is of the wrong type, number",
	} {
		d, err := wasmcloud.ReadHostData(strings.NewReader(in))
		if err == nil || err.Error() != want {
			t.Errorf("ReadHostData(%.40q) = %v, %v, want the error %q", in, d, err, want)
		}
	}
	if _, err := wasmcloud.ReadHostData(strings.NewReader("")); !errors.Is(err, wasmcloud.ErrNoHostData) {
		t.Errorf("ReadHostData of nothing = %v, want ErrNoHostData", err)
	}
}

func TestHostDataDoesNotPrint(t *testing.T) {
	d, err := wasmcloud.ReadHostData(strings.NewReader(encode(`{"provider_key":"p","config":{"client_seed":"SUAverysecretseed"}}`)))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, d); got != "host data of p" {
			t.Errorf("%s prints %q, want %q", verb, got, "host data of p")
		}
	}
}

func FuzzReadHostData(f *testing.F) {
	v := readVectors(f)
	f.Add([]byte(v.HostData))
	f.Add([]byte(`{"secrets":{"s":{"kind":"Bytes","value":[1,2]}},"default_rpc_timeout_ms":18446744073709551615}`))
	f.Add([]byte(`{"link_definitions":[{"source_secrets":[256]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = wasmcloud.ReadHostData(strings.NewReader(string(data)))
		d, err := wasmcloud.ReadHostData(strings.NewReader(encode(string(data)) + "\r\n"))
		if err != nil {
			return
		}
		if d.Lattice == "" || d.URL == "" || d.InstanceID == "" || d.RPCTimeout < 0 {
			t.Errorf("ReadHostData(%q) has an empty default: %+v", data, *d)
		}
		for _, raw := range d.Links {
			if l, err := wasmcloud.ParseLink(raw); err == nil {
				_, _ = l.Key(d.ProviderID)
			}
		}
	})
}
