package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// who connects and returns whom the server takes us for.
func who(t *testing.T, uri string) (string, error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), uri)
	if err != nil {
		return "", err
	}
	defer conn.Close(t.Context())
	var name string
	err = conn.QueryRow(t.Context(), "SELECT current_user").Scan(&name)
	return name, err
}

func TestServer(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{Own: true, Settings: map[string]string{"max_connections": "17"}})
	s.Exec(t, "CREATE ROLE parley LOGIN PASSWORD 'it''s'", "CREATE DATABASE parley OWNER parley")
	if name, err := who(t, s.URI("parley", "it's", "parley")); name != "parley" || err != nil {
		t.Errorf("the login is %q, %v; want parley", name, err)
	}
	if _, err := who(t, s.URI("parley", "its", "parley")); err == nil {
		t.Error("a wrong password is accepted")
	}
	s.Stop(t)
	if _, err := who(t, s.URI("", "", "")); err == nil {
		t.Error("a stopped server answers")
	}
	for range 2 {
		s.Restart(t)
		if name, err := who(t, s.URI("parley", "it's", "")); name != "parley" || err != nil {
			t.Errorf("after a restart the login is %q, %v; want parley", name, err)
		}
	}
	conn, err := pgx.Connect(t.Context(), s.URI("", "", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var most string
	if err := conn.QueryRow(t.Context(), "SHOW max_connections").Scan(&most); most != "17" || err != nil {
		t.Errorf("max_connections = %q, %v; want the setting", most, err)
	}
}

func TestTrust(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{Auth: "trust"})
	s.Exec(t, "CREATE ROLE anyone LOGIN")
	if name, err := who(t, s.URI("anyone", "whatever", "postgres")); name != "anyone" || err != nil {
		t.Errorf("the login is %q, %v; want anyone", name, err)
	}
	if _, err := who(t, s.URI("postgres", "whatever", "postgres")); err == nil {
		t.Error("the superuser needs no password")
	}
}

// A server that is there already is shared.
func TestShared(t *testing.T) {
	own := pgtest.Start(t, pgtest.Options{Own: true})
	t.Setenv(pgtest.Variable, own.URI("", "", ""))
	shared := pgtest.Start(t, pgtest.Options{})
	shared.Exec(t, "CREATE ROLE parley LOGIN PASSWORD 'secret'")
	if name, err := who(t, shared.URI("parley", "secret", "")); name != "parley" || err != nil || shared.Addr() != own.Addr() {
		t.Errorf("the login at %s is %q, %v; want parley at %s", shared.Addr(), name, err, own.Addr())
	}
}
