package hosttest_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/parley-backend/parley/credential/source"
	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/hosttest"
	"github.com/parley-backend/parley/wasmcloud/messaging"
)

// inProcess runs Parley's provider in this process, where the race detector and goleak see it.
func inProcess(ctx context.Context, stdin io.Reader, stderr io.Writer) error {
	err := wasmcloud.Run(ctx, wasmcloud.Options{
		Stdin: stdin, Stderr: stderr, Sources: source.All(),
		New: func(r *wasmcloud.Runtime) (wasmcloud.Provider, error) {
			return messaging.New(r, messaging.Options{Sources: source.All()}), nil
		},
	})
	if err != nil {
		fmt.Fprintln(stderr, err)
	}
	return err
}

// Parley's provider in this process, or the executable that PARLEY_TEST_PROVIDER names, against the list of features.
func TestConformance(t *testing.T) {
	launch, o := hosttest.Launch(inProcess), hosttest.TestOptions{Skip: map[string]string{"logs_and_traces": "the executable sends them, and is tested beside it"}}
	if path := os.Getenv(hosttest.ProviderVariable); path != "" {
		launch, o = hosttest.Executable{Path: path}.Launch, hosttest.TestOptions{}
	}
	hosttest.TestProvider(t, launch, o)
}
