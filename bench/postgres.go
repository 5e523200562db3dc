package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// database is a PostgreSQL server on loopback.
type database struct {
	host           string
	port           int
	user, password string
}

// uri of one of its databases.
func (d database) uri(name string) string {
	u := url.URL{Scheme: "postgres", User: url.User(d.user), Host: net.JoinHostPort(d.host, strconv.Itoa(d.port)), Path: "/" + name}
	if d.password != "" {
		u.User = url.UserPassword(d.user, d.password)
	}
	return u.String()
}

// exec runs statements in one of its databases.
func (d database) exec(ctx context.Context, name, sql string) error {
	conn, err := pgx.Connect(ctx, d.uri(name))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%.100s: %w", sql, err)
	}
	return nil
}

// fresh makes an empty database.
func (d database) fresh(ctx context.Context, name string) error {
	if err := d.exec(ctx, "postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
		return err
	}
	return d.exec(ctx, "postgres", "CREATE DATABASE "+name)
}

// openPostgres uses the server that is named, or starts one with the settings that PostgreSQL comes with, apart from the number of
// connections, which is more than the servers' pools take together.
func openPostgres(ctx context.Context, dir, uri string) (database, func() error, error) {
	if uri == "" {
		return startPostgres(ctx, dir)
	}
	c, err := pgx.ParseConfig(uri)
	if err != nil {
		return database{}, nil, err
	}
	return database{host: c.Host, port: int(c.Port), user: c.User, password: c.Password}, nil, nil
}

func startPostgres(ctx context.Context, dir string) (database, func() error, error) {
	d := database{host: "127.0.0.1", user: "postgres"}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return d, nil, err
	}
	d.port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return d, nil, err
	}
	initdb, err := program("initdb")
	if err != nil {
		return d, nil, err
	}
	home, err := os.MkdirTemp("", "parley-bench-postgres-")
	if err != nil {
		return d, nil, err
	}
	data := filepath.Join(home, "data")
	credential, err := nobodySpecial(home)
	if err != nil {
		return d, nil, err
	}
	attributes := &syscall.SysProcAttr{Credential: credential, Pdeathsig: syscall.SIGQUIT}
	setup := exec.CommandContext(ctx, initdb, "-D", data, "-U", d.user, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
	setup.Dir, setup.SysProcAttr = home, attributes
	if out, err := setup.CombinedOutput(); err != nil {
		return d, nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	server := exec.Command(filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data, "-p", strconv.Itoa(d.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=300")
	server.Dir, server.SysProcAttr = home, attributes
	log, err := os.Create(filepath.Join(dir, "postgres.log"))
	if err != nil {
		return d, nil, err
	}
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		return d, nil, err
	}
	end := func() error {
		err := server.Process.Signal(syscall.SIGINT) // fast shutdown
		server.Wait()                                // how it ends is its own matter
		return errors.Join(err, log.Close(), os.RemoveAll(home))
	}
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if err := d.exec(ctx, "postgres", "SELECT 1"); err == nil || time.Since(begin) > time.Minute {
			return d, end, err
		}
	}
}

// program finds a program of PostgreSQL, also where Debian keeps them.
func program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return "", fmt.Errorf("no %s: install PostgreSQL, or name a server with -postgres", name)
	}
	return found[len(found)-1], nil
}

// nobodySpecial is who runs PostgreSQL, which refuses to be root: the user postgres then, who gets the directory.
func nobodySpecial(home string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(home, uid, gid)
}

func launchPostgres(ctx context.Context, dir string, o options) (peers []*peer, end func() error, err error) {
	node, modules, err := nodeAndModules(o)
	if err != nil {
		return nil, nil, err
	}
	say("building")
	if err := errors.Join(
		build(ctx, "..", "./cmd/parley", filepath.Join(dir, "parley")),
		build(ctx, ".", "./peer/pgbare", filepath.Join(dir, "pgbare")),
		copyFile("peer/parseserver/server.js", filepath.Join(dir, "server.js")),
	); err != nil {
		return nil, nil, err
	}
	pg, end, err := openPostgres(ctx, dir, o.postgres)
	if err != nil {
		return nil, end, err
	}
	for _, name := range []string{"bench_parley", "bench_parse_server"} {
		if err := pg.fresh(ctx, name); err != nil {
			return nil, end, err
		}
	}
	classes := classesOf(o)
	theirs := parseServerPeer(dir, node, pg, classes)
	theirs.env = append(theirs.env, "NODE_PATH="+modules)
	return []*peer{parleyOnPostgres(dir, pg, classes), theirs, bareOnPostgres(dir, pg, classes)}, end, nil
}

// nodeAndModules are the program Node.js, and the directory where parse-server is.
func nodeAndModules(o options) (node, modules string, err error) {
	if modules, err = filepath.Abs(filepath.Join(o.parseServer, "node_modules")); err != nil {
		return "", "", err
	}
	if _, err := os.Stat(filepath.Join(modules, "parse-server")); err != nil {
		return "", "", fmt.Errorf("-parse-server: %w (npm ci in that directory installs it)", err)
	}
	node, err = exec.LookPath("node")
	return node, modules, err
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o600)
}

func parleyOnPostgres(dir string, pg database, classes []class) *peer {
	return &peer{
		server: server{
			name: "Parley", binary: filepath.Join(dir, "parley"), health: "/parse/health",
			args: []string{"serve", "--host", "{host}", "--port", "{port}", "--dataDir", filepath.Join(dir, "parley-home"), "--databaseURI", pg.uri("bench_parley")},
			env:  []string{"PARSE_SERVER_APPLICATION_ID=bench", "PARSE_SERVER_MASTER_KEY=" + masterKey},
		},
		prepare: preparePostgres(pg, "bench_parley", classes), works: postgresWorks(classes),
	}
}

func parseServerPeer(dir, node string, pg database, classes []class) *peer {
	return &peer{
		server: server{
			name: "Parse Server", binary: node, health: "/parse/health",
			args: []string{filepath.Join(dir, "server.js"), "{host}", "{port}", pg.uri("bench_parse_server")},
			env:  []string{"NODE_ENV=production", "BENCH_MASTER_KEY=" + masterKey},
		},
		prepare: preparePostgres(pg, "bench_parse_server", classes), works: postgresWorks(classes),
	}
}

// bareOnPostgres reads and writes the database of Parley.
func bareOnPostgres(dir string, pg database, classes []class) *peer {
	return &peer{
		server: server{
			name: "bare handler", binary: filepath.Join(dir, "pgbare"), health: "/health",
			args: []string{"-listen", "{address}", "-db", pg.uri("bench_parley")},
		},
		copy: func(context.Context) error { return nil },
		works: func(ids []string) map[string]work {
			all := postgresWorks(classes)(ids)
			some := map[string]work{}
			for name, next := range all {
				switch op, _, _ := strings.Cut(name, " "); op {
				case "get", "find", "count", "update", "create":
					some[name] = next
				}
			}
			return some
		},
	}
}
