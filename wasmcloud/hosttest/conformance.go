package hosttest

import (
	_ "embed"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestOptions describe a run of TestProvider. The zero value tests everything.
type TestOptions struct {
	// Skip are rows that are not tested, by name, each with the reason that is printed.
	Skip map[string]string
}

// TestProvider checks what a provider of wasmcloud:messaging@0.2.0 over NATS does, as a host, components and NATS servers see it, one row
// of the list of features after the other. Each row is a subtest of its name, so -run selects some. It prints which rows it covers,
// and why not the others.
//
//	func TestConformance(t *testing.T) {
//		hosttest.TestProvider(t, hosttest.Executable{Path: "bin/my-provider"}.Launch, hosttest.TestOptions{})
//	}
func TestProvider(t *testing.T, launch Launch, o TestOptions) {
	var covered, others []string
	for _, r := range rows {
		reason := o.Skip[r.name]
		if r.check == nil {
			reason = r.why
		}
		if reason != "" {
			others = append(others, fmt.Sprintf("  %s: %s", r.name, reason))
			continue
		}
		covered = append(covered, fmt.Sprintf("  %s: %s", r.name, r.feature))
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			r.check(&bed{T: t, launch: launch})
		})
	}
	t.Logf("%d of %d rows are covered:\n%s\nnot covered:\n%s", len(covered), len(rows), strings.Join(covered, "\n"), strings.Join(others, "\n"))
}

// ProviderVariable names the executable that Program uses in the place of its own.
const ProviderVariable = "PARLEY_TEST_PROVIDER"

// Program is a Launch of the executable that the environment names in PARLEY_TEST_PROVIDER, or else of what build makes and returns the
// path of.
func Program(t testing.TB, build func() string) Launch {
	t.Helper()
	path := os.Getenv(ProviderVariable)
	if path == "" {
		path = build()
	}
	return Executable{Path: path}.Launch
}

// features is the list of what a provider is to do: a line for each, with its importance and how it is verified.
//
//go:embed testdata/features.tsv
var features string

// bed is what a row is checked on.
type bed struct {
	*testing.T
	launch Launch
}

// lattice starts a server for the lattice and a host on it.
func (b *bed) lattice(o ServerOptions) *Host {
	b.Helper()
	return NewHost(b, HostOptions{Server: NewServer(b, o)})
}

// start starts a provider and waits until it serves.
func (b *bed) start(h *Host, o ProviderOptions) *Provider {
	b.Helper()
	o.Launch = b.launch
	return h.Start(o).Await()
}

// subscribed waits until a provider has subscribed to a subject of a server so many times.
func (b *bed) subscribed(s *Server, subject string, times int) {
	b.Helper()
	Eventually(b, fmt.Sprintf("%d subscriptions to %s", times, subject), func() bool { return s.Subscriptions(subject) == times })
}
