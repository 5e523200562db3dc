package pgtest

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"testing"
)

// Replica returns a server that follows this one by streaming replication, with its users and passwords. It ends with the test. The server is one of
// the test's own (Options.Own); the test is skipped where pg_basebackup is not installed.
func (s *Server) Replica(t testing.TB) *Server {
	t.Helper()
	backup := find("pg_basebackup")
	if backup == "" {
		t.Skip("pg_basebackup is not installed (Debian: apt-get install postgresql)")
	}
	if s.own == nil {
		t.Fatalf("the server that %s names is not copied: ask for Options.Own", Variable)
	}
	r, err := s.follow(backup)
	t.Cleanup(func() {
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// follow copies the data folder and starts the copy; the caller ends it, also after an error.
func (s *Server) follow(backup string) (*Server, error) {
	folder, err := os.MkdirTemp("", "parley-replica-")
	if err != nil {
		return nil, err
	}
	r := &Server{admin: s.admin, own: &process{postgres: s.own.postgres, folder: folder}}
	from := url.URL{Scheme: "postgres", User: s.admin.User, Host: s.admin.Host, RawQuery: "sslmode=disable"}
	command := exec.Command(backup, "--pgdata", r.own.data(), "--dbname", from.String(), "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
	command.Dir = folder
	if err := unprivileged(command, folder); err != nil {
		return r, err
	}
	if out, err := command.CombinedOutput(); err != nil {
		return r, fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	return r, r.anywhere()
}
