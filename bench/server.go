package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a process that is measured. It listens on loopback only.
type server struct {
	name    string
	binary  string
	args    []string // {address}, {host} and {port} stand for where to listen
	env     []string
	health  string // path that answers 200 when the server is ready
	address string
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the process has
	log     *os.File
}

// build makes a static, stripped binary of a package of the module in dir.
func build(ctx context.Context, dir, pkg, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s: %w", pkg, err)
	}
	return nil
}

// start returns the time from exec to the first successful health answer.
func (s *server) start(ctx context.Context, dir string) (time.Duration, error) {
	if s.address == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		s.address = l.Addr().String()
		if err := l.Close(); err != nil {
			return 0, err
		}
	}
	log, err := os.OpenFile(filepath.Join(dir, strings.ReplaceAll(s.name, " ", "-")+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	s.log = log
	host, port, _ := net.SplitHostPort(s.address)
	fill := strings.NewReplacer("{address}", s.address, "{host}", host, "{port}", port)
	args := make([]string, len(s.args))
	for i, arg := range s.args {
		args[i] = fill.Replace(arg)
	}
	s.cmd = exec.CommandContext(ctx, s.binary, args...)
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = dir, append(os.Environ(), s.env...), log, log
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		return 0, err
	}
	s.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		cmd.Wait() // how a terminated process ends is its own matter
		close(ended)
	}(s.cmd, s.ended)
	for time.Since(begin) < time.Minute {
		if s.healthy() {
			return time.Since(begin), nil
		}
		select {
		case <-s.ended:
			s.cmd = nil
			return 0, fmt.Errorf("%s ended before it was ready: see %s", s.name, log.Name())
		case <-time.After(500 * time.Microsecond):
		}
	}
	return 0, fmt.Errorf("%s is not ready after a minute", s.name)
}

func (s *server) healthy() bool {
	w, err := dial(s.address)
	if err != nil {
		return false
	}
	defer w.close()
	status, _, err := w.do(request(nil, http.MethodGet, s.health, "", nil))
	return err == nil && status == http.StatusOK
}

// stop ends the process as an operator would, and waits for it.
func (s *server) stop() error {
	if s.cmd == nil {
		return nil
	}
	err := s.cmd.Process.Signal(syscall.SIGTERM)
	<-s.ended
	s.cmd = nil
	return errors.Join(err, s.log.Close())
}

// startTimes starts and stops the server n times; it returns the median.
func (s *server) startTimes(ctx context.Context, dir string, n int) (time.Duration, error) {
	var all []time.Duration
	for range n {
		took, err := s.start(ctx, dir)
		if err != nil {
			return 0, err
		}
		all = append(all, took)
		if err := s.stop(); err != nil {
			return 0, err
		}
	}
	slices.Sort(all)
	return percentile(all, 50), nil
}

// processes are the ids of the server and of those that it started, as the workers of cloud code.
func (s *server) processes() ([]int, error) {
	all := []int{s.cmd.Process.Pid}
	for i := 0; i < len(all); i++ {
		lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", all[i]))
		if err != nil {
			return nil, err
		}
		for _, list := range lists {
			text, err := os.ReadFile(list)
			if err != nil {
				continue // the thread has ended
			}
			for _, field := range strings.Fields(string(text)) {
				pid, err := strconv.Atoi(field)
				if err != nil {
					return nil, err
				}
				all = append(all, pid)
			}
		}
	}
	return all, nil
}

// cpu is what the processes have used so far, user and system.
func (s *server) cpu() (time.Duration, error) {
	all, err := s.processes()
	if err != nil {
		return 0, err
	}
	var ticks int64
	for _, pid := range all {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		// The name of the program, in parentheses, may hold spaces: count from its end. See proc(5), fields 14 and 15.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		for _, field := range fields[11:13] {
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, err
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / 100, nil // USER_HZ
}

// memory is a line of /proc/PID/status, in bytes, of all processes together: VmRSS for now, VmHWM for the most ever, RssAnon for now
// without mapped files.
func (s *server) memory(line string) (int64, error) {
	all, err := s.processes()
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, pid := range all {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, err
		}
		_, rest, found := strings.Cut(string(text), line+":")
		if !found {
			return 0, fmt.Errorf("no %s in /proc", line)
		}
		value, _, _ := strings.Cut(rest, " kB")
		kb, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		if err != nil {
			return 0, err
		}
		sum += kb << 10
	}
	return sum, nil
}
