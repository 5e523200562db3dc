// Package exec is the source of the reference exec:///path/of/program?arg=…&arg=…: a
// program that prints the secret. There is no shell: the program is named by its whole
// path and gets its arguments one by one, as they are.
//
// The program runs in a process group of its own, which is killed when the time is up
// (10 s unless the option timeout says otherwise), when it prints too much, and when
// something that it left behind holds on to its output. It gets a small environment,
// nothing on its standard input, and what it writes to standard error is dropped:
// programs quote secrets there.
package exec

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/parley-backend/parley/credential"
)

const (
	timeout = 10 * time.Second
	// linger is how long the output may stay open after the program has ended.
	linger = 100 * time.Millisecond
)

// passed are the variables of the environment that a program gets unasked.
var passed = []string{"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"}

// Open makes the source of exec:///path/of/program. The option arg is an argument and
// may be given often; env is the name of a variable of the environment that the program
// gets, too, or * for all of them.
func Open(ref credential.Reference) (credential.Source, error) {
	path := ref.Path
	if ref.Opaque != "" {
		path = ref.Opaque // exec:/path
	}
	switch {
	case ref.Authority != "" && ref.Authority != "localhost":
		return nil, credential.Errorf(credential.Misconfigured, "reference exec: write three slashes before the path: exec:///path")
	case !filepath.IsAbs(path):
		return nil, credential.Errorf(credential.Misconfigured, "reference exec: the path must begin with a slash")
	}
	if err := ref.Only("arg*", "env*"); err != nil {
		return nil, err
	}
	for _, text := range append(ref.List("arg"), ref.List("env")...) {
		if strings.ContainsRune(text, 0) {
			return nil, credential.Errorf(credential.Misconfigured, "reference exec: an option contains a NUL")
		}
	}
	decoder, err := ref.Decoder()
	if err != nil {
		return nil, err
	}
	return &source{path: filepath.Clean(path), args: ref.List("arg"), env: ref.List("env"), decoder: decoder}, nil
}

type source struct {
	path    string
	args    []string
	env     []string
	decoder credential.Decoder
}

// Info shows the program and not its arguments, which may be anything.
func (s *source) Info() credential.Info {
	return credential.Info{Scheme: "exec", Location: s.path, Timeout: timeout}
}

// Fetch runs the program. What its end means is the table statuses.
func (s *source) Fetch(ctx context.Context) (credential.Payload, error) {
	if err := ctx.Err(); err != nil {
		return credential.Payload{}, err
	}
	output, err := s.run(ctx)
	defer clear(output)
	if err != nil {
		return credential.Payload{}, err
	}
	return s.decoder.Payload(output, credential.Version{})
}

// run returns what the program printed. When it returns, the program has ended, and
// nothing of its process group holds its output any more.
func (s *source) run(ctx context.Context) ([]byte, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, credential.Errorf(credential.Unavailable, "%s could not be started: no pipe", s.path)
	}
	defer reader.Close()
	cmd := exec.Command(s.path, s.args...)
	cmd.Stdout, cmd.Env, cmd.Dir = writer, s.environment(), "/"
	group(cmd)
	err = cmd.Start()
	writer.Close()
	if err != nil {
		return nil, s.notStarted(err)
	}
	printed := make(chan output, 1)
	go func() { printed <- read(reader, s.decoder.Limit()) }()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	var out output
	select {
	case out = <-printed:
	case err = <-ended: // and its output is still open
		ended <- err
		out = s.lastWords(cmd, reader, printed)
	case <-ctx.Done():
		kill(cmd)
		_ = reader.SetReadDeadline(time.Now()) // for what left the process group
		out = <-printed
	}
	if out.tooMuch {
		kill(cmd)
	}
	select {
	case err = <-ended:
	case <-ctx.Done(): // it closed its output and goes on
		kill(cmd)
		err = <-ended
	}
	switch {
	case ctx.Err() != nil:
		return out.text, credential.Errorf(credential.Unavailable, "%s was killed when its time was up", s.path)
	case out.tooMuch:
		return out.text, credential.Errorf(credential.Invalid, "%s printed more than %d bytes", s.path, s.decoder.Limit())
	case err != nil:
		return out.text, s.failed(err)
	case out.err != nil:
		return out.text, credential.Errorf(credential.Unavailable, "the output of %s could not be read", s.path)
	}
	return out.text, nil
}

// lastWords reads the rest of what a program printed that has ended while another
// process holds its output open. That one is killed, or left alone if it made a session
// of its own: it is waited for in no case.
func (s *source) lastWords(cmd *exec.Cmd, reader *os.File, printed <-chan output) output {
	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case out := <-printed:
		return out
	case <-timer.C:
	}
	kill(cmd)
	_ = reader.SetReadDeadline(time.Now().Add(linger))
	out := <-printed
	if errors.Is(out.err, os.ErrDeadlineExceeded) {
		out.err = nil // all that the program itself printed has come
	}
	return out
}

type output struct {
	text    []byte
	tooMuch bool
	err     error
}

// read reads to the end, or one byte more than is allowed. One buffer of the right size:
// growing one leaves copies of the secret behind.
func read(from io.Reader, limit int) output {
	buffer := make([]byte, limit+1)
	n, err := io.ReadFull(from, buffer)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return output{text: buffer[:n], tooMuch: n > limit, err: err}
}

func (s *source) environment() []string {
	if slices.Contains(s.env, "*") {
		return os.Environ()
	}
	environment := []string{}
	for _, name := range slices.Concat(passed, s.env) {
		if value, set := os.LookupEnv(name); set {
			environment = append(environment, name+"="+value)
		}
	}
	return environment
}

func (s *source) notStarted(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return credential.Errorf(credential.Misconfigured, "%s: no such program", s.path)
	case errors.Is(err, fs.ErrPermission):
		return credential.Errorf(credential.Denied, "%s may not be run", s.path)
	}
	return credential.Errorf(credential.Unavailable, "%s could not be started", s.path)
}

// statuses are what a program says by its exit status: those of sysexits.h that speak
// of a secret. Every other one means that the program failed.
var statuses = map[int]credential.Class{
	65: credential.Invalid, // EX_DATAERR
	66: credential.Missing, // EX_NOINPUT
	77: credential.Denied,  // EX_NOPERM
}

func (s *source) failed(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return credential.Errorf(credential.Unavailable, "%s could not be waited for", s.path)
	}
	status := exit.ExitCode()
	if status < 0 {
		return credential.Errorf(credential.Unavailable, "%s was ended by a signal", s.path)
	}
	class, known := statuses[status]
	if !known {
		class = credential.Unavailable
	}
	return credential.Errorf(class, "%s ended with status %d", s.path, status)
}
