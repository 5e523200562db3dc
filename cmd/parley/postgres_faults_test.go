package main

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/internal/pgtest"
)

// TestPostgresIsBusy: who gets no connection in time is told to come back, by 503; the session of a client is not said to have ended. Then all goes on.
func TestPostgresIsBusy(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	uri := server.Database(t)
	p := startServer(t, t.TempDir(), options("--databaseURI="+uri, "--databaseOptions.maxPoolSize=1", "--databaseOptions.waitQueueTimeoutMS=300")...)
	p.do(http.StatusCreated, http.MethodPost, "/classes/Slow", `{"n":1}`)
	token := p.do(http.StatusCreated, http.MethodPost, "/users", `{"username":"ann","password":"secret"}`).body["sessionToken"].(string)
	conn, err := pgx.Connect(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `BEGIN; LOCK TABLE "Slow" IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	done := make(chan answer, 1)
	go func() {
		a, _ := p.try(http.MethodGet, "/classes/Slow", "")
		done <- a
	}()
	want := `{"code":1,"error":"The database is busy. Try again later."}`
	var a answer
	p.await("the only connection to be in use", func() bool {
		a, err = p.try(http.MethodGet, "/users", "", asMaster...)
		return err == nil && a.status != http.StatusOK
	})
	if a.status != http.StatusServiceUnavailable || a.text != want {
		t.Errorf("a find without a free connection = %d %s, want 503 %s", a.status, a.text, want)
	}
	for path, headers := range map[string][]string{"/users/me": {"X-Parse-Session-Token", token}, "/login?username=ann&password=secret": nil} {
		if a, err := p.try(http.MethodGet, path, "", headers...); err != nil || a.status != http.StatusServiceUnavailable || a.text != want {
			t.Errorf("GET %s without a free connection = %d %s %v, want 503 %s", path, a.status, a.text, err, want)
		}
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if a := <-done; a.status != http.StatusOK {
		t.Errorf("the request that had the connection = %d %s, want 200", a.status, a.text)
	}
	p.do(http.StatusOK, http.MethodGet, "/users/me", "", "X-Parse-Session-Token", token)
	p.end()
}

// TestPostgresReplicaIsServed: with a replica and a login of its own that rotates, reads come from it by default, those of sessions and users from the
// database; a query may ask for PRIMARY. It reads on when its login was replaced.
func TestPostgresReplicaIsServed(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t, pgtest.Options{Own: true})
	const name = "parley_replicated"
	primary.Exec(t, "CREATE ROLE reader LOGIN PASSWORD '"+firstKey+"'", "CREATE ROLE reader2 LOGIN PASSWORD '"+secondKey+"'", "CREATE DATABASE "+name)
	follower := primary.Replica(t)
	owner := primary.URI("", "", name)
	script := func(uri, sql string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), uri)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	script(owner, "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader, reader2")
	dir := t.TempDir()
	path := filepath.Join(dir, "login")
	write(t, path, `{"username":"reader","password":"`+firstKey+`"}`)
	p := startServer(t, dir, options("--databaseURI="+owner, "--databaseReplicaURI=postgres://"+follower.Addr()+"/"+name+"?sslmode=disable", "--databaseReplicaCredentials=file://"+path+"?format=json",
		"--databaseOptions.readPreference=SECONDARY", "--databaseOptions.maxStalenessSeconds=86400")...)
	p.do(http.StatusCreated, http.MethodPost, "/classes/Kept", `{"n":0}`)
	count := func(query string) float64 {
		n, _ := p.do(http.StatusOK, http.MethodGet, "/classes/Kept?limit=0&count=1"+query, "").body["count"].(float64)
		return n
	}
	readers := func(user string) (n int) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), follower.URI("", "", name))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", user).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	p.await("the replica to be read from", func() bool { return count("") == 1 && readers("reader") > 0 })
	p.do(http.StatusCreated, http.MethodPost, "/users", `{"username":"first","password":"secret"}`)
	follower.Exec(t, "SELECT pg_wal_replay_pause()")
	total := 1.0
	p.await("the replica to be behind", func() bool {
		p.do(http.StatusCreated, http.MethodPost, "/classes/Kept", `{"n":1}`)
		total++
		return count("") < total && count("&readPreference=PRIMARY") == total
	})
	// Who signs up, logs in and asks who it is does not notice.
	token := p.do(http.StatusCreated, http.MethodPost, "/users", `{"username":"ann","password":"secret"}`).body["sessionToken"].(string)
	for range 3 {
		token = p.do(http.StatusOK, http.MethodPost, "/login", `{"username":"ann","password":"secret"}`).body["sessionToken"].(string)
		me := p.do(http.StatusOK, http.MethodGet, "/users/me", "", "X-Parse-Session-Token", token)
		if me.body["username"] != "ann" {
			t.Errorf("the user = %s, want ann", me.text)
		}
		p.do(http.StatusOK, http.MethodGet, "/sessions/me", "", "X-Parse-Session-Token", token)
	}
	follower.Exec(t, "SELECT pg_wal_replay_resume()")
	write(t, path, `{"username":"reader2","password":"`+secondKey+`"}`)
	p.await("the new login to read, and the old one to be gone", func() bool {
		p.do(http.StatusOK, http.MethodPost, "/keys/databaseReplicaCredentials/refresh", "", asMaster...)
		return count("") == total && readers("reader2") > 0 && readers("reader") == 0
	})
	p.end()
}
