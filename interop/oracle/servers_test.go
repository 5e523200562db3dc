package oracle

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/conformance"
	"github.com/parley-backend/parley/internal/pgtest"
)

// asked names the environment variable that `make oracle` sets: its tests take minutes.
const asked = "PARLEY_TEST_ORACLE"

// binary is the parley that is compared.
const binary = "../../bin/parley"

// patience is how long a server may take to start or to stop.
const patience = 2 * time.Minute

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// needed skips a test where what it needs is not installed.
func needed(t *testing.T) {
	t.Helper()
	if os.Getenv(asked) == "" {
		t.Skip("the comparison with Parse Server is not asked for: run `make oracle`")
	}
	for _, path := range []string{"node_modules/parse-server", binary} {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%v: run `make oracle`", err)
		}
	}
}

// template makes the database that those of Parse Server are copies of: it asks for PostGIS.
var template = struct {
	once sync.Once
	err  error
}{}

// newDatabase makes an empty database that ends with the test, with or without PostGIS.
func newDatabase(t *testing.T, postgis bool) string {
	t.Helper()
	server := pgtest.Shared(t)
	if !postgis {
		return server.Database(t)
	}
	template.once.Do(func() {
		server.Exec(t, "CREATE DATABASE oracle_template")
		ctx := context.Background()
		var conn *pgx.Conn
		if conn, template.err = pgx.Connect(ctx, server.URI("", "", "oracle_template")); template.err != nil {
			return
		}
		_, template.err = conn.Exec(ctx, "CREATE EXTENSION postgis")
		_ = conn.Close(ctx)
	})
	if template.err != nil {
		t.Fatalf("Parse Server needs PostGIS (Debian: apt-get install postgresql-15-postgis-3): %v", template.err)
	}
	name := strings.ToLower(strings.NewReplacer("/", "_", ".", "_", "-", "_").Replace(t.Name()))
	server.Exec(t, "CREATE DATABASE "+name+" TEMPLATE oracle_template")
	t.Cleanup(func() { server.Exec(t, "DROP DATABASE "+name+" WITH (FORCE)") })
	return server.URI("", "", name)
}

// A server is one that runs.
type server struct {
	name  string
	url   string // of its API
	cmd   *exec.Cmd
	input io.Closer // closed to end Parse Server; nil for Parley
	log   *os.File
	ended chan struct{} // closed when the process has
}

// options adds to those of a corpus file the keys that the exchanges are sent with.
func options(t *testing.T, text string, more map[string]any) map[string]any {
	t.Helper()
	all := map[string]any{
		"appId": conformance.ApplicationID, "masterKey": conformance.MasterKey,
		"readOnlyMasterKey": conformance.ReadOnlyMasterKey, "maintenanceKey": conformance.MaintenanceKey,
	}
	for name, value := range more {
		all[name] = value
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// startParseServer starts Parse Server with the options of a corpus file on a database.
func startParseServer(t *testing.T, text, databaseURI string) *server {
	t.Helper()
	everywhere := []string{"0.0.0.0/0", "::/0"}
	all := options(t, text, map[string]any{
		"appName": "app", "databaseURI": databaseURI, "silent": true, "logsFolder": nil,
		"masterKeyIps": everywhere, "readOnlyMasterKeyIps": everywhere, "maintenanceKeyIps": everywhere,
	})
	line, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("server.mjs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", script)
	cmd.Dir, cmd.Env = t.TempDir(), clean(os.Environ()) // it makes a folder for logs where it is started
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{name: "Parse Server", cmd: cmd, input: input}
	s.run(t)
	if _, err := input.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	first := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "http://") {
				first <- lines.Text()
			}
		}
		close(first)
		_, _ = io.Copy(io.Discard, output)
	}()
	select {
	case s.url = <-first:
	case <-time.After(patience):
	}
	if s.url == "" {
		t.Fatalf("Parse Server did not start: %s", s.said(t))
	}
	return s
}

// startParley starts the binary with the options of a corpus file on a database.
func startParley(t *testing.T, text, databaseURI string) *server {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &server{name: "Parley", url: fmt.Sprintf("http://127.0.0.1:%d/parse", port)}
	all := options(t, text, map[string]any{"databaseURI": databaseURI, "serverURL": s.url, "host": "127.0.0.1", "port": port, "dataDir": dir})
	file, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.json")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(binary, "serve", "--config="+path)
	modules, err := filepath.Abs("node_modules") // the SDK for cloud code: the one that Parse Server has
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Env = append(clean(os.Environ()), "NODE_PATH="+modules)
	s.run(t)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if response, err := http.Get(s.url + "/health"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return s
			}
		}
		select {
		case <-s.ended:
		default:
			if time.Now().Before(deadline) {
				continue
			}
		}
		t.Fatalf("Parley did not start: %s", s.said(t))
	}
}

// clean leaves out variables that a server would take for options.
func clean(environ []string) []string {
	var kept []string
	for _, pair := range environ {
		if !strings.HasPrefix(pair, "PARSE_") && !strings.HasPrefix(pair, "PARLEY_") && !strings.HasPrefix(pair, "PORT=") {
			kept = append(kept, pair)
		}
	}
	return kept
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

// run starts the process; it ends with the test.
func (s *server) run(t *testing.T) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	s.log, s.cmd.Stderr, s.ended = log, log, make(chan struct{})
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() { s.stop(t) })
}

// stop ends the process as an operator would, and waits for it.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if s.input != nil {
		_ = s.input.Close()
	} else {
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.ended
		t.Errorf("%s did not end: %s", s.name, s.said(t))
	}
	_ = s.log.Close()
}

// said returns what the process wrote to standard error.
func (s *server) said(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(s.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// newClient opens a connection for each request: an answer that ends its connection must not disturb the next one.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
