// Command parley-messaging is a provider of wasmcloud:messaging@0.2.0 over NATS for wasmCloud 1.x hosts. A host starts it and tells it
// everything on the standard input; there is nothing to set on the command line.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/parley-backend/parley/credential/source"
	"github.com/parley-backend/parley/credential/source/natskv"
	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/messaging"
	"github.com/parley-backend/parley/wasmcloud/telemetry"
)

const about = `parley-messaging is the NATS messaging provider of Parley for wasmCloud 1.x:
wasmcloud:messaging@0.2.0, with NATS credentials that rotate without losing a
message.

It is not for running by hand. A wasmCloud host starts it, from a provider
archive, and writes its host data to the standard input. The archive is made by
"parley wasmcloud par". What it can be told is in the config and the secrets of
the provider and of its links: see docs/wasmcloud.md.

  parley-messaging --help       print this, and all config keys
  parley-messaging --version    print the version

It exits with 0 after its host has shut it down, with 2 when it was not started
by a host or the host data is malformed, and with 1 when it cannot work.
`

// The exit codes.
const (
	ended    = 0
	failed   = 1
	notBegun = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who asks a second time does not want to wait
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv("RUST_LOG"))
	stop()
	os.Exit(code)
}

// run is main without the process around it. It returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer, rustLog string) int {
	if len(args) > 0 {
		switch args[0] {
		case "--version", "-version", "version", "-V":
			fmt.Fprintln(out, "parley-messaging "+version())
			return ended
		case "--help", "-help", "help", "-h":
			fmt.Fprint(out, about+"\nConfig keys, in any case:\n\n")
			if err := messaging.WriteHelp(out); err != nil {
				return failed
			}
			return ended
		}
		fmt.Fprintf(errs, "parley-messaging: there is no %q: see parley-messaging --help\n", args[0])
		return notBegun
	}
	if byHand(in) {
		fmt.Fprint(errs, about)
		return notBegun
	}
	err := wasmcloud.Run(ctx, wasmcloud.Options{
		New: newProvider, Name: "messaging-nats-provider", Version: version(), Sources: source.All(), Stdin: in, Stderr: errs, RustLog: rustLog,
		Telemetry: telemetry.Opener("nats-messaging-provider"),
	})
	var start *wasmcloud.StartError
	switch {
	case err == nil:
		return ended
	case errors.Is(err, wasmcloud.ErrNoHostData):
		fmt.Fprintf(errs, "parley-messaging: %v\n\n%s", err, about)
		return notBegun
	case errors.As(err, &start):
		fmt.Fprintf(errs, "parley-messaging: %v\n", err)
		return notBegun
	}
	fmt.Fprintf(errs, "parley-messaging: %v\n", err)
	return failed
}

// newProvider makes the provider. What its links are given may be in a bucket of the lattice's own NATS.
func newProvider(r *wasmcloud.Runtime) (wasmcloud.Provider, error) {
	sources := source.All()
	sources["nats-kv"] = natskv.Opener(r.NATS)
	return messaging.New(r, messaging.Options{Sources: sources, Known: wasmcloud.ConfigKeys(), Metrics: r.Telemetry().Metrics}), nil
}

// byHand reports whether a person has started us: a host gives us a pipe.
func byHand(in io.Reader) bool {
	f, is := in.(*os.File)
	if !is {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func version() string {
	if info, known := debug.ReadBuildInfo(); known && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
