package wasmcloud

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/parley-backend/parley/credential"
)

// HostData is what a host tells a provider that it starts: one line on the standard input, JSON in base64. What the host left
// out has its default. See contract section 1.2 of a wasmCloud 1.x host.
type HostData struct {
	HostID     string // the public nkey N… of the host
	Lattice    string // the first token of its subjects: "default"
	LinkName   string // always "default", and without a use
	UserJWT    credential.Secret
	UserSeed   credential.Secret
	URL        string // of the lattice's NATS: "nats://127.0.0.1:4222"
	ProviderID string // any string; not empty when a host says it
	InstanceID string // a UUID, of this process

	EnvValues      map[string]string
	ClusterIssuers []string

	// Links are those that are known at the start, each for [ParseLink]: one that is malformed spoils no other.
	Links   []json.RawMessage
	Config  map[string]string
	Secrets map[string]Secret

	HostXKey string            // X…, the sender of sealed secrets; empty before wasmCloud 1.1
	XKeySeed credential.Secret // SX…, which opens them

	RPCTimeout time.Duration // of the host: 2 s
	JSONLogs   bool
	LogLevel   string // error, warn, info, debug, trace or critical; "info"
	OTel       OTel
}

// OTel is what the host says of OpenTelemetry. A nil bool is EnableObservability.
type OTel struct {
	EnableObservability bool     `json:"enable_observability"`
	EnableTraces        *bool    `json:"enable_traces"`
	EnableMetrics       *bool    `json:"enable_metrics"`
	EnableLogs          *bool    `json:"enable_logs"`
	Endpoint            string   `json:"observability_endpoint"`
	TracesEndpoint      string   `json:"traces_endpoint"`
	MetricsEndpoint     string   `json:"metrics_endpoint"`
	LogsEndpoint        string   `json:"logs_endpoint"`
	Protocol            string   `json:"protocol"` // Http or Grpc, in any case; Http
	CAPaths             []string `json:"additional_ca_paths"`
	TraceLevel          string   `json:"trace_level"`
	TracesSampler       string   `json:"traces_sampler"`
	TracesSamplerArg    string   `json:"traces_sampler_arg"`
	MaxBatchQueueSize   int      `json:"max_batch_queue_size"`
	ConcurrentExports   int      `json:"concurrent_exports"`
}

// LogValue keeps what the host said out of logs: config may hold secrets as well.
func (d *HostData) LogValue() slog.Value { return slog.StringValue("host data of " + d.ProviderID) }

// String says no more than LogValue.
func (d *HostData) String() string { return "host data of " + d.ProviderID }

// GoString says no more than LogValue.
func (d *HostData) GoString() string { return d.String() }

// ErrNoHostData says that the standard input is empty: no host has started the process.
var ErrNoHostData = errors.New("there is no host data on the standard input")

const maxHostData = 256 << 20 // of base64; a guard against an input that is something else

// ReadHostData reads the line that a host writes. It returns after the end of the line, or of the input. The error is
// ErrNoHostData, or says what is wrong with the line, without anything that is in it.
func ReadHostData(r io.Reader) (*HostData, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	line = bytes.TrimRight(line, "=")
	data := make([]byte, base64.RawStdEncoding.DecodedLen(len(line)))
	n, err := base64.RawStdEncoding.Decode(data, line)
	clear(line)
	if err != nil {
		var at base64.CorruptInputError
		if errors.As(err, &at) {
			return nil, fmt.Errorf("the host data is not base64: at byte %d", int64(at))
		}
		return nil, errors.New("the host data is not base64")
	}
	defer clear(data)
	return parseHostData(data[:n])
}

// readLine returns the first line that is not empty, trimmed.
func readLine(r io.Reader) ([]byte, error) {
	limited := &io.LimitedReader{R: r, N: maxHostData + 1}
	in := bufio.NewReaderSize(limited, 64<<10)
	for {
		line, err := in.ReadBytes('\n')
		if limited.N <= 0 {
			return nil, fmt.Errorf("the host data is longer than %d MB", maxHostData>>20)
		}
		if trimmed := bytes.TrimSpace(line); len(trimmed) > 0 && (err == nil || errors.Is(err, io.EOF)) {
			return trimmed, nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil, ErrNoHostData
		case err != nil:
			return nil, fmt.Errorf("the host data cannot be read: %w", err)
		}
	}
}

// wireHostData is HostData as the host writes it.
type wireHostData struct {
	HostID         string                 `json:"host_id"`
	Lattice        string                 `json:"lattice_rpc_prefix"`
	LinkName       string                 `json:"link_name"`
	UserJWT        string                 `json:"lattice_rpc_user_jwt"`
	UserSeed       string                 `json:"lattice_rpc_user_seed"`
	URL            string                 `json:"lattice_rpc_url"`
	ProviderID     string                 `json:"provider_key"`
	InstanceID     string                 `json:"instance_id"`
	EnvValues      map[string]string      `json:"env_values"`
	ClusterIssuers []string               `json:"cluster_issuers"`
	Links          []json.RawMessage      `json:"link_definitions"`
	Config         map[string]string      `json:"config"`
	Secrets        map[string]SecretValue `json:"secrets"`
	HostXKey       string                 `json:"host_xkey_public_key"`
	XKeySeed       string                 `json:"provider_xkey_private_key"`
	RPCTimeout     *uint64                `json:"default_rpc_timeout_ms"`
	JSONLogs       bool                   `json:"structured_logging"`
	LogLevel       string                 `json:"log_level"`
	OTel           OTel                   `json:"otel_config"`
}

func parseHostData(data []byte) (*HostData, error) {
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return nil, errors.New("the host data is not a JSON object")
	}
	var w wireHostData
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("the host data is malformed: %w", plainly(err))
	}
	text := func(value, otherwise string) string {
		if value == "" {
			return otherwise
		}
		return value
	}
	d := &HostData{
		HostID: w.HostID, Lattice: text(w.Lattice, "default"), LinkName: text(w.LinkName, "default"),
		UserJWT: trimmed(w.UserJWT), UserSeed: trimmed(w.UserSeed), URL: text(w.URL, "nats://127.0.0.1:4222"),
		ProviderID: w.ProviderID, InstanceID: w.InstanceID, EnvValues: w.EnvValues, ClusterIssuers: w.ClusterIssuers,
		Links: w.Links, Config: w.Config, Secrets: opened(w.Secrets), HostXKey: w.HostXKey, XKeySeed: trimmed(w.XKeySeed),
		RPCTimeout: 2 * time.Second, JSONLogs: w.JSONLogs, LogLevel: text(w.LogLevel, "info"), OTel: w.OTel,
	}
	if w.RPCTimeout != nil {
		d.RPCTimeout = time.Duration(min(*w.RPCTimeout, uint64(24*time.Hour/time.Millisecond))) * time.Millisecond
	}
	if d.InstanceID == "" {
		d.InstanceID = newUUID()
	}
	d.OTel.Protocol = text(d.OTel.Protocol, "Http")
	return d, nil
}

// plainly is an error of decoding JSON without any of the values in it.
func plainly(err error) error {
	var wrong *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrong):
		kind := wrong.Value
		if i := bytes.IndexByte([]byte(kind), ' '); i > 0 { // "number 5": the number may be a part of a secret
			kind = kind[:i]
		}
		return fmt.Errorf("%s is of the wrong type, %s", wrong.Field, kind)
	case errors.As(err, &syntax):
		return fmt.Errorf("it is not JSON, at byte %d", syntax.Offset)
	}
	return err
}

func trimmed(s string) credential.Secret { return credential.NewSecret(bytes.TrimSpace([]byte(s))) }

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
