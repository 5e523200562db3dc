//go:build unix

package exec_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/exec"
)

const keyA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes the source of a reference.
func open(t *testing.T, text string) credential.Source {
	t.Helper()
	return credentialtest.Open(t, exec.Open, text)
}

// script makes the source of a script and its arguments: what a program may do is
// written shortest that way. The product itself never starts a shell.
func script(t *testing.T, text string, args ...string) credential.Source {
	t.Helper()
	options := url.Values{"arg": append([]string{"-c", text, "tool"}, args...)}
	return open(t, "exec:///bin/sh?"+options.Encode())
}

func TestSource(t *testing.T) {
	credentialtest.TestSource(t, credentialtest.Harness{Open: func(t *testing.T, value string) credentialtest.Store {
		dir := t.TempDir()
		key, down := filepath.Join(dir, "key"), filepath.Join(dir, "down")
		put := func(t *testing.T, value string) {
			if err := os.WriteFile(key, []byte(value+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		put(t, value)
		return credentialtest.Store{
			Source: script(t, `test -e "$2" && { cat "$1" >&2; exit 75; }; test -e "$1" || exit 66; cat "$1"`, key, down),
			Put:    put,
			Remove: func(t *testing.T) {
				if err := os.Remove(key); err != nil {
					t.Fatal(err)
				}
			},
			Break: func(t *testing.T) func() {
				if err := os.WriteFile(down, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				return func() { _ = os.Remove(down) }
			},
		}
	}})
}

// What a program prints, how it ends, and what the engine hears of it: never what was
// written to standard error, and never an argument.
func TestEnds(t *testing.T) {
	for _, test := range []struct {
		script, want, failure string
	}{
		{`echo "` + keyA + `"`, keyA + "\n", ""},
		{`printf %s "` + keyA + `"`, keyA, ""},
		{`echo out; echo err >&2; exit 1`, "", "credential: unavailable: /bin/sh ended with status 1"},
		{`echo out; exit 65`, "", "credential: invalid: /bin/sh ended with status 65"},
		{`exit 66`, "", "credential: missing: /bin/sh ended with status 66"},
		{`exit 75`, "", "credential: unavailable: /bin/sh ended with status 75"},
		{`exit 77`, "", "credential: denied: /bin/sh ended with status 77"},
		{`echo out; kill -9 $$`, "", "credential: unavailable: /bin/sh was ended by a signal"},
		{`head -c 65536 /dev/zero | tr '\0' x`, strings.Repeat("x", 65536), ""},
		{`head -c 65537 /dev/zero | tr '\0' x`, "", "credential: invalid: /bin/sh printed more than 65536 bytes"},
		{`yes ` + keyA, "", "credential: invalid: /bin/sh printed more than 65536 bytes"},
		{`yes ` + keyA + ` | head -c 1000000 >&2; echo ` + keyA, keyA + "\n", ""},
		{`read line || echo nothing to read`, "nothing to read\n", ""},
		{`pwd`, "/\n", ""},
	} {
		payload, err := script(t, test.script).Fetch(t.Context())
		got, failure := "", ""
		if err != nil {
			failure = err.Error()
		} else {
			got = string(payload.Versions[0].Value.Reveal())
		}
		if got != test.want || failure != test.failure {
			t.Errorf("Fetch(%s) = %d bytes, %q; want %d bytes, %q", test.script, len(got), failure, len(test.want), test.failure)
		}
	}
}

func TestField(t *testing.T) {
	source := open(t, "exec:///bin/echo?arg="+url.QueryEscape(`{"masterKey":"`+keyA+`"}`)+"#masterKey")
	payload, err := source.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := string(payload.Versions[0].Value.Reveal()); got != keyA {
		t.Errorf("Fetch = %q, want %q", got, keyA)
	}
}

// Arguments arrive as they are, in their order, whatever a shell would make of them.
func TestArguments(t *testing.T) {
	args := []string{"a b", "", "$HOME", "`id`", ";", "*", "ä", "a+b&c=d", "-n", "'\""}
	source := open(t, "exec:///usr/bin/printf?"+url.Values{"arg": append([]string{"<%s>"}, args...)}.Encode())
	payload, err := source.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(payload.Versions[0].Value.Reveal()), "<"+strings.Join(args, "><")+">"; got != want {
		t.Errorf("the arguments arrive as %s, want %s", got, want)
	}
}

// The environment of the server may hold other secrets: a program gets what it needs.
func TestEnvironment(t *testing.T) {
	t.Setenv("PARLEY_TEST_OTHER_SECRET", "other")
	t.Setenv("PARLEY_TEST_TOKEN", "token")
	t.Setenv("LANG", "C")
	for _, test := range []struct{ options, want string }{
		{"", "C,,,"},
		{"&env=PARLEY_TEST_TOKEN", "C,token,,"},
		{"&env=PARLEY_TEST_TOKEN&env=PARLEY_TEST_OTHER_SECRET&env=PARLEY_TEST_UNSET", "C,token,other,"},
		{"&env=*", "C,token,other,"},
	} {
		source := open(t, "exec:///bin/sh?arg=-c&arg="+url.QueryEscape(`echo "$LANG,$PARLEY_TEST_TOKEN,$PARLEY_TEST_OTHER_SECRET,$PARLEY_TEST_UNSET"`)+test.options)
		payload, err := source.Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(payload.Versions[0].Value.Reveal())); got != test.want {
			t.Errorf("with %q the program sees %s, want %s", test.options, got, test.want)
		}
	}
}

// A program that does not end is killed when its time is up, and everything that it
// started with it.
func TestKilledWithItsGroup(t *testing.T) {
	for name, text := range map[string]string{
		"Hangs":            `sleep 600`,
		"HangsInAChild":    `sleep 600 & wait`,
		"IgnoresSignals":   `trap '' TERM INT HUP; while :; do sleep 1; done`,
		"ClosesItsOutput":  `exec >/dev/null; sleep 600`,
		"PrintsAndHangs":   `echo ` + keyA + `; sleep 600`,
		"GrandchildHolds":  `(sleep 600 & sleep 600 & wait) & wait`,
		"PrintsOnForSlow":  `while :; do echo x; sleep 0.01; done`,
		"BackgroundAndEnd": `sleep 600 >/dev/null & exec sleep 600`,
	} {
		t.Run(name, func(t *testing.T) {
			pids := filepath.Join(t.TempDir(), "pid")
			source := script(t, `echo $$ > "$1"; `+text, pids)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := source.Fetch(ctx)
				done <- err
			}()
			select {
			case err := <-done:
				if want := "credential: unavailable: /bin/sh was killed when its time was up"; err == nil || err.Error() != want {
					t.Errorf("Fetch = %v, want %s", err, want)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("Fetch waits for the program")
			}
			text, err := os.ReadFile(pids)
			if err != nil {
				t.Skipf("the program was killed before its first line: %v", err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			// The group is gone as soon as init has reaped what was left of it.
			for until := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(until) {
					t.Fatal("a process of the group is still alive")
				}
			}
		})
	}
}

// alive reports whether a process of the group still runs; one that is dead and not
// yet reaped does not.
func alive(group int) bool {
	if syscall.Kill(-group, 0) != nil {
		return false
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	if len(stats) == 0 {
		return true // no /proc: wait until the group is gone
	}
	for _, stat := range stats {
		text, _ := os.ReadFile(stat)
		var state string
		var parent, pgrp int
		_, after, _ := strings.Cut(string(text), ") ")
		if _, err := fmt.Sscan(after, &state, &parent, &pgrp); err == nil && pgrp == group && state != "Z" {
			return true
		}
	}
	return false
}

// A program that ends well while something it left behind holds its output open is
// believed at once.
func TestForksThatKeepTheOutputOpen(t *testing.T) {
	for name, text := range map[string]string{
		"InTheGroup":      `sleep 5 & echo ` + keyA,
		"SessionOfItsOwn": `setsid sleep 5 & echo ` + keyA,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // before the sleep ends
			defer cancel()
			payload, err := script(t, text).Fetch(ctx)
			if err != nil {
				t.Fatalf("Fetch failed: %v", err)
			}
			if got := string(payload.Versions[0].Value.Reveal()); got != keyA+"\n" {
				t.Errorf("Fetch = %q, want the key", got)
			}
		})
	}
}

func TestNotStarted(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		"/nowhere/tool": credential.Misconfigured, plain: credential.Denied, filepath.Dir(plain): credential.Denied, plain + "/x": credential.Unavailable,
	} {
		if _, err := open(t, "exec://"+path).Fetch(t.Context()); !errors.Is(err, want) {
			t.Errorf("Fetch(%s) = %v, want %v", path, err, want)
		}
	}
}

func TestOpen(t *testing.T) {
	for _, test := range []struct {
		reference, location string
		want                error
	}{
		{"exec:///usr/bin/tool", "/usr/bin/tool", nil},
		{"exec:/usr/bin/tool?arg=get&arg=key&env=HOME&env=TOKEN&ttl=1m", "/usr/bin/tool", nil},
		{"exec:///usr/bin/tool?arg=" + keyA + "#field", "/usr/bin/tool", nil},
		{"exec:tool", "", credential.Misconfigured},
		{"exec://tool", "", credential.Misconfigured},
		{"exec://host/usr/bin/tool", "", credential.Misconfigured},
		{"exec:///usr/bin/tool?args=x", "", credential.Misconfigured},
		{"exec:///usr/bin/tool?arg=%00", "", credential.Misconfigured},
		{"exec:///usr/bin/tool?format=lines", "/usr/bin/tool", nil},
		{"exec:///usr/bin/tool?format=raw#field", "", credential.Misconfigured},
	} {
		ref, err := credential.ParseReference(test.reference)
		if err != nil {
			t.Errorf("ParseReference(%s) failed: %v", test.reference, err)
			continue
		}
		source, err := exec.Open(ref)
		if !errors.Is(err, test.want) {
			t.Errorf("Open(%s) = %v, want %v", test.reference, err, test.want)
		} else if err == nil {
			info := source.Info()
			if info.Location != test.location || info.Timeout != 10*time.Second {
				t.Errorf("Open(%s) is %+v, want location %s and 10 s", test.reference, info, test.location)
			}
		}
	}
}
