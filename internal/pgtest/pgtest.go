// Package pgtest starts a PostgreSQL server for a test: its own data folder, its own port on the loopback interface,
// gone when the test ends.
//
//	server := pgtest.Start(t, pgtest.Options{})
//	server.Exec(t, "CREATE ROLE parley LOGIN PASSWORD 'secret'")
//	conn, err := pgx.Connect(ctx, server.URI("parley", "secret", "postgres"))
//
// It needs the programs initdb and postgres, from the PATH or from where Debian puts them; a test that has none is skipped.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Variable names the environment variable with the URI of a server that is there already, as its superuser. It is used in
// place of a server of one's own where Options.Own allows that.
const Variable = "PARLEY_TEST_POSTGRES"

// patience is how long a server may take to start or to stop.
const patience = 60 * time.Second

// Options say what kind of server it is.
type Options struct {
	// Auth is how users other than the superuser prove who they are, as pg_hba.conf names it: "trust", "password", "md5";
	// "scram-sha-256" if empty.
	Auth string
	// Settings are set in postgresql.conf, for instance "max_connections": "20".
	Settings map[string]string
	// Files are put beside the data, for settings that name them: "ssl_cert_file": "../server.crt".
	Files map[string]string
	// Own: the test stops or restarts the server, or wants it for itself.
	Own bool
	// connections is max_connections of a server of one's own.
	connections int
}

// Server is a PostgreSQL server.
type Server struct {
	admin url.URL // as its superuser
	own   *process
}

// process is what runs a server of one's own.
type process struct {
	postgres, folder string
	port             int
	command          *exec.Cmd     // nil while it is stopped
	ended            chan struct{} // closed when command has
}

// Start returns a running server. It skips the test if no PostgreSQL is installed. The server is stopped and its data removed
// when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := launch(o)
	t.Cleanup(func() {
		if err := s.end(); err != nil {
			t.Error(err)
		}
	})
	return s.usable(t, err)
}

// errNone says that there is no PostgreSQL.
var errNone = errors.New("no PostgreSQL is installed (Debian: apt-get install postgresql), and " + Variable + " names none that this test may use")

// usable returns the server if there is one.
func (s *Server) usable(t testing.TB, err error) *Server {
	t.Helper()
	switch {
	case errors.Is(err, errNone):
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	return s
}

// shared is the server of all tests of a package.
var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Shared returns a server that is started for the first test which asks, and serves all tests of the package. Its TestMain is
// func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = launch(Options{connections: 200}) })
	return shared.server.usable(t, shared.err)
}

// Main runs the tests of a package and ends the server of [Shared].
func Main(m *testing.M) int {
	code := m.Run()
	if err := shared.server.end(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// schemas counts those of Schema.
var schemas atomic.Int64

// Schema makes an empty schema, which ends with the test, and returns the URI of the superuser with it as the search path.
func (s *Server) Schema(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), schemas.Add(1))
	s.Exec(t, "CREATE SCHEMA "+name)
	t.Cleanup(func() { s.Exec(t, "DROP SCHEMA "+name+" CASCADE") })
	uri := s.admin
	query := uri.Query()
	query.Set("search_path", name)
	uri.RawQuery = query.Encode()
	return uri.String()
}

// launch starts a server; the caller ends it, also after an error.
func launch(o Options) (*Server, error) {
	if text := os.Getenv(Variable); text != "" && !o.Own && o.Auth == "" && len(o.Settings)+len(o.Files) == 0 {
		admin, err := url.Parse(text)
		if err != nil || admin.Host == "" || admin.User == nil {
			return nil, fmt.Errorf("%s is not a URI such as postgres://user:password@host:port/database", Variable)
		}
		return &Server{admin: *admin}, nil
	}
	initdb, postgres := find("initdb"), find("postgres")
	if initdb == "" || postgres == "" {
		return nil, errNone
	}
	folder, err := os.MkdirTemp("", "parley-postgres-") // not t.TempDir: another user must get there
	if err != nil {
		return nil, err
	}
	p := &process{postgres: postgres, folder: folder}
	s := &Server{own: p, admin: url.URL{Scheme: "postgres", Path: "/postgres", RawQuery: "sslmode=disable"}}
	password := rand.Text()
	if err := p.initialize(initdb, password, o); err != nil {
		return s, fmt.Errorf("no database was made: %w", err)
	}
	s.admin.User = url.UserPassword("postgres", password)
	return s, s.anywhere()
}

// anywhere starts the server at a free port.
func (s *Server) anywhere() (err error) {
	for try := 1; ; try++ {
		if s.own.port, err = freePort(); err != nil {
			return err
		}
		s.admin.Host = fmt.Sprintf("127.0.0.1:%d", s.own.port)
		if err = s.start(); err == nil {
			return nil
		}
		if try == 3 { // the port may have been taken meanwhile
			return fmt.Errorf("PostgreSQL did not start: %w", err)
		}
	}
}

// end stops a server of one's own and removes its data.
func (s *Server) end() error {
	if s == nil || s.own == nil {
		return nil
	}
	if err := s.own.stop(syscall.SIGQUIT); err != nil {
		return fmt.Errorf("PostgreSQL did not end: %w", err)
	}
	return os.RemoveAll(s.own.folder)
}

// find returns where a program of PostgreSQL is, the newest one; "" if it is nowhere.
func find(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	newest, path := 0, ""
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for _, folder := range folders {
		version, _ := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil && version > newest {
			newest, path = version, filepath.Join(folder, name)
		}
	}
	return path
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

// initialize makes the data folder.
func (p *process) initialize(initdb, password string, o Options) error {
	secret := filepath.Join(p.folder, "password")
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		return err
	}
	names := []string{p.folder, secret}
	for name, text := range o.Files {
		path := filepath.Join(p.folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
		names = append(names, path)
	}
	command := exec.Command(initdb, "--pgdata", p.data(), "--username", "postgres", "--pwfile", secret,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync", "--no-instructions")
	command.Dir = p.folder
	if err := unprivileged(command, names...); err != nil {
		return err
	}
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if o.Auth == "" {
		o.Auth = "scram-sha-256"
	}
	kind := "host"
	if strings.Contains(o.Auth, "clientcert") {
		kind = "hostssl"
	}
	access := "host replication postgres 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 scram-sha-256\n" + kind + " all all 127.0.0.1/32 " + o.Auth + "\n"
	if err := os.WriteFile(filepath.Join(p.data(), "pg_hba.conf"), []byte(access), 0o600); err != nil {
		return err
	}
	settings := "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"
	if o.connections > 0 {
		settings += fmt.Sprintf("max_connections = %d\n", o.connections)
	}
	for name, value := range o.Settings {
		settings += name + " = '" + strings.ReplaceAll(value, "'", "''") + "'\n"
	}
	return os.WriteFile(filepath.Join(p.data(), "postgresql.auto.conf"), []byte(settings), 0o600)
}

func (p *process) data() string { return filepath.Join(p.folder, "data") }

// start runs the server and returns when it answers.
func (s *Server) start() error {
	p := s.own
	log, err := os.Create(filepath.Join(p.folder, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(p.postgres, "-D", p.data(), "-p", fmt.Sprint(p.port))
	command.Dir, command.Stdout, command.Stderr = p.folder, log, log
	if err := unprivileged(command); err != nil {
		return err
	}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the server ends with the thread that started it: see withUs
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait()
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	p.command, p.ended = command, ended
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.admin.String())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-time.After(20 * time.Millisecond):
			continue
		case <-ended:
		case <-ctx.Done():
			_ = p.stop(syscall.SIGQUIT)
		}
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w\n%s", err, text)
	}
}

// stop ends the process with a signal and waits for it.
func (p *process) stop(signal os.Signal) error {
	if p.command == nil {
		return nil
	}
	_ = p.command.Process.Signal(signal) // it may have ended by itself
	select {
	case <-p.ended:
		p.command = nil
		return nil
	case <-time.After(patience):
		_ = p.command.Process.Kill()
		return fmt.Errorf("not after %v", patience)
	}
}

// URI returns how a user connects: postgres://user:password@host:port/database. An empty user is the superuser, an empty
// database the one that the superuser connects to.
func (s *Server) URI(user, password, database string) string {
	uri := s.admin
	if user != "" {
		uri.User = url.UserPassword(user, password)
	}
	if database != "" {
		uri.Path = "/" + database
	}
	return uri.String()
}

// Addr returns host:port.
func (s *Server) Addr() string { return s.admin.Host }

// Admin returns the name and the password of the superuser.
func (s *Server) Admin() (user, password string) {
	password, _ = s.admin.User.Password()
	return s.admin.User.Username(), password
}

// Exec runs statements as the superuser, each by itself.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.admin.String())
	if err != nil {
		t.Fatalf("connecting as the superuser: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Stop stops a server that is the test's own: connections are closed. Nothing happens if it is stopped already.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.own == nil {
		t.Fatalf("the server that %s names is not stopped: ask for Options.Own", Variable)
	}
	if err := s.own.stop(os.Interrupt); err != nil {
		t.Fatalf("PostgreSQL did not end: %v", err)
	}
}

// Restart stops the server if it runs, and starts it at the same address.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	if err := s.start(); err != nil {
		t.Fatalf("PostgreSQL did not start again: %v", err)
	}
}

// Crash ends the server without a shutdown, and starts it at the same address: it recovers what it acknowledged.
func (s *Server) Crash(t testing.TB) {
	t.Helper()
	if s.own == nil {
		t.Fatalf("the server that %s names is not stopped: ask for Options.Own", Variable)
	}
	if err := s.own.stop(syscall.SIGQUIT); err != nil {
		t.Fatalf("PostgreSQL did not end: %v", err)
	}
	if err := s.start(); err != nil {
		t.Fatalf("PostgreSQL did not start again: %v", err)
	}
}

// databases counts those of Database.
var databases atomic.Int64

// Database makes an empty database, which ends with the test, and returns its URI for the superuser.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), databases.Add(1))
	s.Exec(t, "CREATE DATABASE "+name)
	t.Cleanup(func() { s.Exec(t, "DROP DATABASE "+name+" WITH (FORCE)") })
	return s.URI("", "", name)
}
