package hosttest

// row is one line of the list of features.
type row struct {
	name    string // of the subtest
	feature string // as the list has it
	check   func(*bed)
	why     string // no check, if there is none
}

// rows are all lines of the list, in its order.
var rows = []row{
	{name: "host_data_line", feature: `Read HostData: base64 line with CRLF, LF or no newline, surrounding spaces, >64 KB; unknown fields ignored; empty stdin = clear error and exit code != 0`, check: hostDataLine},
	{name: "host_data_fields", feature: `All 19 HostData fields parsed, defaults for missing ones, otel protocol "Http"/"Grpc"/lower case`, check: hostDataFields},
	{name: "lattice_login", feature: `Lattice connection with none / JWT+seed / empty URL default nats://127.0.0.1:4222`, check: latticeLogin},
	{name: "lattice_rotates", feature: `Lattice credential override by provider config (creds file) and rotation of the lattice connection itself`, check: latticeRotates},
	{name: "health_while_stuck", feature: `Health request answered < 2 s while links are connecting or stuck; {"healthy":false,"message"} on dead link`, check: healthWhileStuck},
	{name: "shutdown", feature: `Shutdown honoured only for own host_id; drain finished before the reply; reply < provider_shutdown_delay (300 ms)`, check: shutdown},
	{name: "link_put", feature: `Link put on the provider-xkey subject (and provider-id subject when no xkeys: hosts < 1.1)`, check: linkPut},
	{name: "link_delete", feature: `Link delete on provider-id subject for source and target role, addressed by link name`, check: linkDelete},
	{name: "config_update", feature: `Config update applied live (whole map), no restart, only changed links reconnect`, check: configUpdate},
	{name: "sealed_secrets", feature: `Sealed link secrets (xkv1 curve box), number-array JSON, String and Bytes kinds, null/absent`, check: sealedSecrets},
	{name: "secrets_first", feature: `Secrets-first for client_jwt/client_seed, config fallback with exactly one warning only if config value is used; no warning for anonymous links`, check: secretsFirst},
	{name: "secrets_only", feature: `Secrets-only link (empty link config) uses its secrets; provider-level HostData.secrets usable as defaults`, check: secretsOnly},
	{name: "login_is_a_pair", feature: `jwt and seed always taken from one source as a pair; seed/jwt mismatch detected before connect`, check: loginIsAPair},
	{name: "default_server", feature: `Link config without cluster_uris keeps the provider default URL (upstream resets to 0.0.0.0:4222); strict-compat switch`, check: defaultServer},
	{name: "config_keys", feature: `Config keys case-insensitive (README spells them upper case); all cluster_uris used as server pool, trimmed, per-URL user info`, check: configKeys},
	{name: "tls", feature: `tls_ca, tls_ca_file, client cert/key, tls_first, server name`, check: tlsLinks},
	{name: "inbox_prefix", feature: `custom_inbox_prefix honoured for request and wRPC replies`, check: inboxPrefix},
	{name: "wire_order", feature: `wRPC serve publish/request: handshake first, results, empty end message`, check: wireOrder},
	{name: "chunks", feature: `wRPC chunked parameters and results at any split, both directions, bodies up to 64 MB limit`, check: chunks},
	{name: "handle_message", feature: `wRPC invoke handle-message: headers source-id, target-id, traceparent; 503 mapped; whole-call timeout; cancel frees inbox`, check: handleMessage},
	{name: "call_errors", feature: `wRPC error path: unknown component, decode error -> handshake + empty results only`, check: callErrors},
	{name: "one_inbox", feature: `One inbox mux subscription per connection; > 15k invocations/s on 2 cores`, check: oneInbox},
	{name: "malformed_input", feature: `Malformed input: truncated LEB128, over-long LEB128, length > limit, invalid UTF-8, option byte 2`, check: malformedInput},
	{name: "publish", feature: `consumer.publish: reply-to, $SYS without headers (both forms), error strings as upstream`, check: publishCalls},
	{name: "request", feature: `consumer.request: honours timeout-ms > 10 s (upstream capped), 0, u32 max; no-responders error; same WIT error texts`, check: requestCalls},
	{name: "link_names", feature: `Per (component, link-name) connections; link-name header selects the connection`, check: linkNames},
	{name: "subscriptions", feature: `Subscriptions with wildcards, queue groups subject|queue, trimmed list, duplicates removed`, check: subscriptions},
	{name: "back_pressure", feature: `Bounded concurrency per link (max_in_flight) with back pressure, optional ordered mode`, check: backPressure},
	{name: "handler_errors", feature: `Handler err(string) surfaced: log, metric, optional NATS error reply or retry policy`, check: handlerErrors},
	{name: "failed_link", feature: `Failed link retried with backoff; health and log say so; link kept`, check: failedLink},
	{name: "link_put_again", feature: `Duplicate link put with changed config or secrets = in-place update; identical = no-op`, check: linkPutAgain},
	{name: "delete_and_put", feature: `Link del followed by link put within grace = make-before-break hand-over, no message lost`, check: deleteAndPut},
	{name: "rotation", feature: `Credential rotation make-before-break: 0 lost, 0 duplicated with queue or private queue group`, check: rotation},
	{name: "queue_refused", feature: `Plain subscriptions use a private queue group; fall back when JWT forbids the queue name; overlap duplicates bounded and counted`, check: queueRefused},
	{name: "rotation_far", feature: `New subscription confirmed (PING/PONG and no permission error) before old is drained`, check: rotationFar},
	{name: "requests_survive", feature: `Requests in flight survive rotation (per-connection in-flight counter)`, check: requestsSurvive},
	{name: "publishes_survive", feature: `Publishes survive rotation and expiry; error returned if a publish could not be confirmed (optional flush mode)`, check: publishesSurvive},
	{name: "renewal", feature: `Expiry-aware renewal: exp parsed, renewal at max(20%,30 s) before exp with jitter; warns for already expired or nbf in future`, check: renewal},
	{name: "store_outage", feature: `Survives store outage past expiry: never CLOSED, recovers when fresh credential appears`, check: storeOutage},
	{name: "revocation", feature: `Revocation handled: rotate to new key without restart; immediate reconnect when revoked`, check: revocation},
	{name: "one_generation", feature: `JWT/seed generation consistency in callbacks`, check: oneGeneration},
	{name: "credential_sources", feature: `Credential sources: link secret, .creds file watch, K8s mounted dir (symlink swap), NATS KV watch, Vault, HTTP, exec; TTL cache, single flight, stale-while-error`, why: "a file is in renewal, store_outage and revocation; the others are tested with the sources themselves"},
	{name: "secrets_unlogged", feature: `Seeds never logged, redacted types, wiped after use; config dump shows fingerprints only`, check: secretsUnlogged},
	{name: "jetstream", feature: `JetStream consumers (consumers JSON as builtin) with ack after successful handling, nak on error, durable hand-over`, check: jetStream},
	{name: "logs_and_traces", feature: `Metrics and OTel traces compatible (service name, endpoints rules, config overrides), JSON logs on stderr`, check: logsAndTraces},
	{name: "archive", feature: `PAR builder and claims signer in Go (multi-arch, gzip), verified by wash inspect / real host`, why: "no behaviour of a running provider: package par"},
	{name: "secrets_backend", feature: `Secrets backend (server side) v1alpha1: server_xkey, get, errors, issuer pinning, field selection, binary values, working revocation, minting of short-lived user JWTs with rotation notification`, why: "no behaviour of a provider: package secrets"},
	{name: "conformance", feature: `Conformance tool: fake host (HostData, links, wRPC component) usable against any provider binary, Rust one included`, why: "this suite"},
	{name: "v2_helper", feature: `v2 helper: translate 1.x link config to v2 workload config; loopback rotating NATS side-car`, why: "no behaviour of a provider of wasmCloud 1.x"},
}
