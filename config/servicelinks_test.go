package config

import "testing"

// TestServiceLinks: in a namespace with a service named parley or parse-server, Kubernetes puts these into every container.
func TestServiceLinks(t *testing.T) {
	values, err := Read(Input{Environ: []string{
		"PARLEY_SERVICE_HOST=10.0.0.7", "PARLEY_SERVICE_PORT=1337", "PARLEY_SERVICE_PORT_HTTP=1337", "PARLEY_PORT=tcp://10.0.0.7:1337",
		"PARLEY_PORT_1337_TCP=tcp://10.0.0.7:1337", "PARLEY_PORT_1337_TCP_ADDR=10.0.0.7", "PARLEY_PORT_1337_TCP_PORT=1337", "PARLEY_PORT_1337_TCP_PROTO=tcp",
		"PARSE_SERVER_SERVICE_HOST=10.0.0.8", "PARSE_SERVER_PORT=tcp://10.0.0.8:1337",
	}})
	if err != nil {
		t.Errorf("Read = %v, want the variables ignored", err)
	}
	if got := values.Int("port"); got != 1337 {
		t.Errorf("port = %d, want 1337", got)
	}
	if _, err := Read(Input{Environ: []string{"PARLEY_PORTS=1337"}}); err == nil {
		t.Error("Read took PARLEY_PORTS without a word")
	}
}
