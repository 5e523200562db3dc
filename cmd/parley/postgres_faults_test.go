package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
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
	p.do(http.StatusCreated, http.MethodPost, "/users", `{"username":"ann","password":"secret"}`)
	for range 3 {
		token := p.do(http.StatusOK, http.MethodPost, "/login", `{"username":"ann","password":"secret"}`).body["sessionToken"].(string)
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

// TestKillLeavesPostgresWhole kills the server while it runs batches that are transactions, signs users up and adds fields: of a batch all is there or nothing, a
// name is of a user who can log in or free, no session is of nobody, every field of an object that was acknowledged is in the schema, and nothing is left open.
func TestKillLeavesPostgresWhole(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	uri := server.Database(t)
	flags := options("--databaseURI="+uri+"&application_name=whole", "--allowCustomObjectId=true")
	p := startServer(t, t.TempDir(), flags...)
	conn, err := pgx.Connect(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	number := func(sql string) (n int) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatalf("%s = %v", sql, err)
		}
		return n
	}
	for round := range 5 {
		var mu sync.Mutex
		acknowledged := map[string]bool{} // what was written
		steps, enough := 0, 10+rand.IntN(40)
		reached := make(chan struct{})
		var writers sync.WaitGroup
		for kind, request := range map[string]func(i int) (method, path, body string){
			"pair": func(i int) (string, string, string) {
				id := fmt.Sprintf("r%dp%d", round, i)
				return http.MethodPost, "/batch", fmt.Sprintf(`{"transaction":true,"requests":[{"method":"POST","path":"/parse/classes/PairA","body":{"objectId":"%s"}},{"method":"POST","path":"/parse/classes/PairB","body":{"objectId":"%s"}}]}`, id, id)
			},
			"user": func(i int) (string, string, string) {
				return http.MethodPost, "/users", fmt.Sprintf(`{"objectId":"r%du%d","username":"r%du%d","password":"secret"}`, round, i, round, i)
			},
			"field": func(i int) (string, string, string) {
				return http.MethodPost, "/classes/Grow", fmt.Sprintf(`{"objectId":"r%df%d","r%df%d":true}`, round, i, round, i)
			},
		} {
			writers.Go(func() {
				for i := 0; ; i++ {
					a, err := p.try(request(i))
					if err != nil {
						return // the server is gone
					}
					mu.Lock()
					if acknowledged[fmt.Sprintf("%s r%d%c%d", kind, round, kind[0], i)] = a.status < 300; a.status >= 300 {
						t.Errorf("%s %d = %d %s", kind, i, a.status, a.text)
					}
					if steps++; steps == enough {
						close(reached)
					}
					mu.Unlock()
				}
			})
		}
		p.await("some writes", func() bool {
			select {
			case <-reached:
				return true
			default:
				return false
			}
		})
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-p.ended
		writers.Wait()
		p = startServer(t, t.TempDir(), flags...)
		for what := range acknowledged {
			kind, id, _ := strings.Cut(what, " ")
			switch kind {
			case "pair":
				p.do(http.StatusOK, http.MethodGet, "/classes/PairA/"+id, "")
				p.do(http.StatusOK, http.MethodGet, "/classes/PairB/"+id, "")
			case "user":
				p.do(http.StatusOK, http.MethodPost, "/login", `{"username":"`+id+`","password":"secret"}`)
			case "field":
				if o := p.do(http.StatusOK, http.MethodGet, "/classes/Grow/"+id, ""); o.body[id] != true {
					t.Errorf("round %d: the object %s = %s, want its field", round, id, o.text)
				}
			}
		}
		for i := 0; ; i++ { // the last one may not have been answered
			name := fmt.Sprintf("r%du%d", round, i)
			if acknowledged["user "+name] {
				continue
			}
			if a, err := p.try(http.MethodPost, "/login", `{"username":"`+name+`","password":"secret"}`); err != nil || a.status != http.StatusOK {
				p.do(http.StatusCreated, http.MethodPost, "/users", `{"username":"`+name+`","password":"secret"}`)
			}
			break
		}
		if n := number(`SELECT count(*) FROM "PairA" a FULL JOIN "PairB" b USING ("objectId") WHERE a."createdAt" IS NULL OR b."createdAt" IS NULL`); n != 0 {
			t.Errorf("round %d: of %d batches there is only a part", round, n)
		}
		if n := number(`SELECT count(*) FROM "_Session" s LEFT JOIN "_User" u ON u."objectId" = s."user" WHERE u."objectId" IS NULL`); n != 0 {
			t.Errorf("round %d: %d sessions are of nobody", round, n)
		}
		p.await("the transactions of the server that was killed to be gone", func() bool {
			return number(`SELECT count(*) FROM pg_stat_activity WHERE application_name = 'whole' AND state LIKE 'idle in transaction%' AND now() - xact_start > interval '1 second'`) == 0
		})
	}
	p.end()
}
