package hosttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/parley-backend/parley/wasmcloud/par"
)

// Launch runs one instance of a provider: the host's line is on stdin, which then ends, and the instance writes its log to stderr. It
// returns when the instance has ended, with its error, and it kills the instance when ctx ends. A function that calls the provider's
// own main loop is a Launch for tests inside one process.
type Launch func(ctx context.Context, stdin io.Reader, stderr io.Writer) error

// Executable is a Launch of a program.
type Executable struct {
	Path string
	Args []string // a host gives none
	// Env is the whole environment. A host passes on nothing but RUST_LOG and what begins with OTEL_.
	Env []string
	Dir string // the working folder, this process's if empty
}

// Launch starts the program as a host does.
func (e Executable) Launch(ctx context.Context, stdin io.Reader, stderr io.Writer) error {
	cmd := exec.CommandContext(ctx, e.Path, e.Args...)
	cmd.Env = append([]string{}, e.Env...) // not nil, which would pass on everything
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = e.Dir, stdin, stderr, stderr
	cmd.WaitDelay = 5 * time.Second // for what a child of it keeps open
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Archive is a Launch of the program that a provider archive has for this machine, unpacked into dir.
func Archive(path, dir string) (Launch, error) {
	target := par.ThisTarget()
	if target == "" {
		return nil, errors.New("hosttest: wasmCloud has no hosts for this machine")
	}
	program := filepath.Join(dir, "provider")
	f, err := os.OpenFile(program, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(par.Extract(path, target, f, par.Options{}), f.Close()); err != nil {
		return nil, fmt.Errorf("hosttest: %w", err)
	}
	return Executable{Path: program}.Launch, nil
}

// Log is what a provider has written.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
