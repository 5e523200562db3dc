package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parley-backend/parley/internal/pgtest"
)

// TestKill kills the server under load, twenty times: every write that was acknowledged is there when it runs again.
func TestKill(t *testing.T) {
	t.Parallel()
	killed(t, 20, options()...)
}

// TestKillOnPostgres is the same with a database that outlives the server.
func TestKillOnPostgres(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	killed(t, 8, options("--databaseURI="+server.Database(t)+"&pool_max_conns=8")...)
}

func killed(t *testing.T, rounds int, options ...string) {
	dir := t.TempDir()
	p := startServer(t, dir, options...)
	counter := p.do(http.StatusCreated, http.MethodPost, "/classes/Counter", `{"n":0}`).body["objectId"].(string)
	var added, tried int64 // increments that were acknowledged, and all of them
	for round := range rounds {
		var mu sync.Mutex
		acknowledged := map[string]float64{} // objectId to the number that was written
		var count, increments, attempts atomic.Int64
		enough := int64(20 + rand.IntN(60))
		reached := make(chan struct{})
		var once sync.Once
		var wg sync.WaitGroup
		for writer := range 6 {
			wg.Go(func() {
				for i := 0; ; i++ {
					if writer%3 == 0 {
						attempts.Add(1)
						a, err := p.try(http.MethodPut, "/classes/Counter/"+counter, `{"n":{"__op":"Increment","amount":1}}`)
						if err != nil {
							return // the server is gone
						}
						if a.status == http.StatusOK {
							increments.Add(1)
						}
					} else {
						n := float64(writer*1_000_000 + i)
						a, err := p.try(http.MethodPost, "/classes/Kill", fmt.Sprintf(`{"round":%d,"n":%v}`, round, n))
						if err != nil {
							return
						}
						if a.status == http.StatusCreated {
							mu.Lock()
							acknowledged[a.body["objectId"].(string)] = n
							mu.Unlock()
						}
					}
					if count.Add(1) >= enough {
						once.Do(func() { close(reached) })
					}
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
		wg.Wait()
		added += increments.Load()
		tried += attempts.Load()

		p = startServer(t, dir, options...)
		where := url.QueryEscape(fmt.Sprintf(`{"round":%d}`, round))
		var found struct {
			Results []struct {
				ObjectID string  `json:"objectId"`
				N        float64 `json:"n"`
			} `json:"results"`
		}
		if err := json.Unmarshal([]byte(p.do(http.StatusOK, http.MethodGet, "/classes/Kill?limit=100000&where="+where, "").text), &found); err != nil {
			t.Fatal(err)
		}
		stored := map[string]float64{}
		for _, o := range found.Results {
			stored[o.ObjectID] = o.N
		}
		for id, n := range acknowledged {
			if got, ok := stored[id]; !ok || got != n {
				t.Fatalf("round %d: the acknowledged object %s holds %v (found: %v), want %v", round, id, got, ok, n)
			}
		}
		n := int64(p.do(http.StatusOK, http.MethodGet, "/classes/Counter/"+counter, "").body["n"].(float64))
		if n < added || n > tried {
			t.Fatalf("round %d: the counter holds %d after %d acknowledged increments of %d", round, n, added, tried)
		}
		added = n // what was written without an answer counts from now on
		tried = n
	}
}
