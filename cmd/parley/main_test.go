package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/parley-backend/parley/credential/credentialtest"
)

// TestMain makes the test binary the command parley, too: scripts and tests run it as their users do.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"parley": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// process is a parley serve of its own.
type process struct {
	t         *testing.T
	cmd       *exec.Cmd
	out, errs *buffer
	url       string // of the mount path
	ended     chan struct{}
	err       error // of Wait, once ended
}

// The keys of servers that tests start. They are canaries, too: no output may hold them.
const (
	appID          = "app"
	masterKey      = "canary-master-7Qd2kVb9ZpXw4LmT"
	readOnlyKey    = "canary-readonly-3RfYh8NcJs6GvBq1"
	maintenanceKey = "canary-maintenance-Kt5WzPe0DxUa2MoF"
	restKey        = "canary-rest-9HjLr4SiCy7EnXg"
)

// canaries are the keys above and those of single tests. Whatever a process of any test writes is searched for them when it ends.
var canaries = []string{masterKey, readOnlyKey, maintenanceKey, restKey, firstKey, secondKey, thirdKey, stolenKey, freshKey, unseenKey}

// Keys that replace one another.
const (
	firstKey  = "canary-first-value-of-the-master-key-5f2c"
	secondKey = "canary-second-value-of-the-master-key-91ab"
	thirdKey  = "canary-third-value-of-the-master-key-cc07"
	stolenKey = "canary-stolen-master-key-1c9e"
	freshKey  = "canary-fresh-master-key-77d0"
)

// spawn starts the command in a folder; env are further variables of the environment. It is killed when the test ends.
func spawn(t *testing.T, dir string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command("parley", args...), out: &buffer{}, errs: &buffer{}, ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.out, p.errs
	p.cmd.Env = append(clean(os.Environ()), env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
		if leaked := credentialtest.Leaks(p.out.String()+p.errs.String(), canaries...); leaked != nil {
			t.Errorf("the output of parley %q holds %q", args, leaked)
		}
	})
	return p
}

// clean leaves out variables that the command would take for options.
func clean(environ []string) []string {
	return slices.DeleteFunc(environ, func(pair string) bool {
		return strings.HasPrefix(pair, "PARSE_") || strings.HasPrefix(pair, "PARLEY_") || strings.HasPrefix(pair, "PORT=")
	})
}

var served = regexp.MustCompile(`serves the Parse API at http://localhost:(\d+)(\S*)`)

// startServer starts a server on a free port and waits until it serves.
func startServer(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := spawn(t, dir, nil, append([]string{"serve", "--host=127.0.0.1", "--port=0"}, args...)...)
	p.await("the server to begin", func() bool {
		m := served.FindStringSubmatch(p.out.String())
		if m != nil {
			p.url = "http://127.0.0.1:" + m[1] + m[2]
		}
		return m != nil
	})
	return p
}

// options are the flags of a server with all keys as literals.
func options(more ...string) []string {
	return append([]string{"--appId=" + appID, "--masterKey=" + masterKey, "--readOnlyMasterKey=" + readOnlyKey,
		"--maintenanceKey=" + maintenanceKey, "--allowClientClassCreation=true"}, more...)
}

// await waits until something is true of a process that still runs.
func (p *process) await(what string, done func() bool) {
	p.t.Helper()
	eventually(p.t, what, func() bool {
		select {
		case <-p.ended:
			p.t.Fatalf("the server ended while waiting for %s: %v\n%s", what, p.err, p.errs)
		default:
		}
		return done()
	})
}

// eventually polls; that a machine is slow is no reason to fail before a minute has passed.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if done() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// end sends SIGTERM, and wants the process to exit with status 0.
func (p *process) end() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if code := p.wait(); code != 0 {
		p.t.Fatalf("exit status after SIGTERM = %d, want 0\n%s", code, p.errs)
	}
}

// wait waits for the end of the process and returns its exit status.
func (p *process) wait() int {
	p.t.Helper()
	eventually(p.t, "the process to end", func() bool {
		select {
		case <-p.ended:
			return true
		default:
			return false
		}
	})
	return p.cmd.ProcessState.ExitCode()
}

// lastLine is the last line on standard error.
func (p *process) lastLine() string {
	lines := strings.Split(strings.TrimRight(p.errs.String(), "\n"), "\n")
	return lines[len(lines)-1]
}

// buffer is a bytes.Buffer for one who writes and one who reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// answer is an answer of the server.
type answer struct {
	status int
	body   map[string]any
	text   string
}

// headers of requests: pairs of name and value.
var asMaster = []string{"X-Parse-Master-Key", masterKey}

// client keeps connections open, as SDKs do.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

func (p *process) try(method, path, body string, headers ...string) (answer, error) {
	r, err := http.NewRequest(method, p.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("X-Parse-Application-Id", appID)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return send(r)
}

func send(r *http.Request) (answer, error) {
	response, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: response.StatusCode, text: string(text)}
	if leaked := credentialtest.Leaks(a.text, masterKey, readOnlyKey, maintenanceKey, restKey); leaked != nil {
		return answer{}, fmt.Errorf("the answer to %s %s holds %q", r.Method, r.URL.Path, leaked)
	}
	_ = json.Unmarshal(text, &a.body) // what is no object has no members
	return a, nil
}

// do sends a request that must be answered, with a status.
func (p *process) do(want int, method, path, body string, headers ...string) answer {
	p.t.Helper()
	a, err := p.try(method, path, body, headers...)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.status != want {
		p.t.Fatalf("%s %s = %d %s, want %d", method, path, a.status, a.text, want)
	}
	return a
}

// write makes a file with mode 0600.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// metricsURL is where the server says that it serves metrics.
func (p *process) metricsURL() string {
	p.t.Helper()
	found := regexp.MustCompile(`http://127\.0\.0\.1:\d+/metrics`).FindString(p.errs.String())
	if found == "" {
		p.t.Fatalf("the log names no address of metrics:\n%s", p.errs)
	}
	return found
}

// metric reads one metric, 0 when it is not there.
func (p *process) metric(name string) (value float64) {
	p.t.Helper()
	r, err := http.NewRequest(http.MethodGet, p.metricsURL(), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	a, err := send(r)
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(a.text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			fmt.Sscan(rest, &value)
		}
	}
	return value
}
