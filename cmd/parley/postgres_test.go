package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/internal/pgtest"
)

// TestPostgresPasswordRotates serves from PostgreSQL with a password that is in a file, and changes it, in the file and in the database, while clients read
// and write: no request fails, with the password first here or first there.
func TestPostgresPasswordRotates(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	name := "parley_serve"
	server.Exec(t, "CREATE ROLE "+name+" LOGIN PASSWORD '"+firstKey+"'", "CREATE DATABASE "+name+" OWNER "+name)
	dir := t.TempDir()
	path := filepath.Join(dir, "password")
	write(t, path, firstKey)
	p := startServer(t, dir, options("--databaseURI=postgres://"+name+"@"+server.Addr()+"/"+name+"?sslmode=disable&pool_max_conns=4", "--databaseCredentials=file://"+path)...)
	made := p.do(http.StatusCreated, http.MethodPost, "/classes/Kept", `{"n":0}`, asMaster...)
	object := "/classes/Kept/" + made.body["objectId"].(string)

	stop := make(chan struct{})
	var load sync.WaitGroup
	failures := make(chan string, 100)
	increments := make([]int, 4)
	for i := range increments {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if a, err := p.try(http.MethodPut, object, `{"n":{"__op":"Increment","amount":1}}`, asMaster...); err != nil || a.status != http.StatusOK {
					select {
					case failures <- fmt.Sprintf("%d %s %v", a.status, a.text, err):
					default:
					}
					continue
				}
				increments[i]++
			}
		})
	}
	for round, password := range []string{secondKey, thirdKey, firstKey, secondKey} {
		if round%2 == 0 {
			write(t, path, password)
		}
		server.Exec(t, "ALTER ROLE "+name+" PASSWORD '"+password+"'")
		if round%2 == 1 {
			write(t, path, password)
		}
		p.await("the new password to be read", func() bool {
			p.do(http.StatusOK, http.MethodPost, "/keys/databaseCredentials/refresh", "", asMaster...)
			p.do(http.StatusOK, http.MethodGet, object, "", asMaster...)
			return true
		})
	}
	close(stop)
	load.Wait()
	close(failures)
	for failure := range failures {
		t.Errorf("a request failed: %s\n%s", failure, p.errs)
		break
	}
	total := 0
	for _, n := range increments {
		total += n
	}
	if got := p.do(http.StatusOK, http.MethodGet, object, "", asMaster...).body["n"]; got != float64(total) {
		t.Errorf("the object counts %v, want %d: one for each request that was answered 200", got, total)
	}
	// And with no connection left, the next one is made with the password that holds now.
	server.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '"+name+"'")
	a, err := p.try(http.MethodGet, object, "", asMaster...)
	p.end()
	if err != nil || a.status != http.StatusOK {
		t.Errorf("the first request without a connection = %d %s %v, want 200\n%s", a.status, a.text, err, p.errs)
	}
}

// TestCheckLooksAtPostgres asks whether the database lets Parley in, and leaves no table behind.
func TestCheckLooksAtPostgres(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	const name = "parley_check"
	server.Exec(t, "CREATE ROLE "+name+" LOGIN PASSWORD '"+firstKey+"'", "CREATE DATABASE "+name+" OWNER "+name)
	dir := t.TempDir()
	path := filepath.Join(dir, "password")
	for password, want := range map[string]string{firstKey: `the configuration is valid\n\z`, secondKey: `parley: databaseURI: the database does not let Parley in: .*password authentication failed.*\n\z`} {
		write(t, path, password)
		uri := "--databaseURI=postgres://" + name + "@" + server.Addr() + "/" + name + "?sslmode=disable&max=3"
		p := spawn(t, dir, nil, append([]string{"serve", "--check"}, options(uri, "--databaseCredentials=file://"+path)...)...)
		p.wait()
		if text := p.errs.String() + p.out.String(); !regexp.MustCompile("(?s)" + want).MatchString(text) {
			t.Errorf("check says %s, want %s", text, want)
		}
	}
	conn, err := pgx.Connect(t.Context(), server.URI(name, firstKey, name))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var tables int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables); err != nil || tables != 0 {
		t.Errorf("after the check there are %d tables (%v), want none", tables, err)
	}
}

// TestPostgresNodesHearOfClasses: what one server adds to the schema another one that looks once in an hour shows at once, also after its connection was cut.
func TestPostgresNodesHearOfClasses(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	const name = "parley_nodes"
	server.Exec(t, "CREATE ROLE "+name+" LOGIN PASSWORD '"+firstKey+"'", "CREATE DATABASE "+name+" OWNER "+name)
	serve := func(node string) *process {
		uri := "--databaseURI=" + server.URI(name, firstKey, name) + "&application_name=" + node
		return startServer(t, t.TempDir(), options(uri, "--databaseOptions.schemaCacheTtl=3600", "--allowClientClassCreation=true")...)
	}
	one, two := serve("one"), serve("two")
	for round := range 3 {
		class := fmt.Sprint("Told", round)
		one.do(http.StatusCreated, http.MethodPost, "/classes/"+class, `{"n":0}`, asMaster...)
		two.await("the class "+class, func() bool {
			a, err := two.try(http.MethodGet, "/schemas/"+class, "", asMaster...)
			return err == nil && a.status == http.StatusOK
		})
		server.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'two'")
	}
	one.end()
	two.end()
}
