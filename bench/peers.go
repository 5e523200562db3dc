package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"time"
)

// peer is a server with what it takes to fill it and to work with it.
type peer struct {
	server
	// prepare makes classes, users and n objects on the running server, and returns the ids of the objects.
	prepare func(ctx context.Context, s *server, n int) ([]string, error)
	// works makes the requests of each operation for objects with these ids; what a server does not offer is not there.
	works func(ids []string) map[string]work
	// copy makes the data of a server that gets them from the first one; it has no prepare.
	copy func(ctx context.Context) error
}

const (
	parleyHeaders = "X-Parse-Application-Id: bench\r\n"
	masterKey     = "the master key of the benchmark"
)

func parleyPeer(dir string) *peer {
	home := filepath.Join(dir, "parley-data")
	return &peer{
		server: server{
			name: "Parley", binary: filepath.Join(dir, "parley"), health: "/parse/health",
			args: []string{"serve", "--host", "{host}", "--port", "{port}", "--dataDir", home, "--databaseURI", "sqlite://" + filepath.Join(home, "parley.db")},
			env:  []string{"PARSE_SERVER_APPLICATION_ID=bench", "PARSE_SERVER_MASTER_KEY=" + masterKey},
		},
		prepare: prepareParley,
		works: func(ids []string) map[string]work {
			post := func(path string, body func(r *rand.Rand) []byte) work {
				return func(r *rand.Rand, b []byte) []byte { return request(b, "POST", path, parleyHeaders, body(r)) }
			}
			get := parleyGet(ids)
			find := func(r *rand.Rand, b []byte) []byte {
				return request(b, "GET", "/parse/classes/Bench?where="+escape(fmt.Sprintf(`{"grp":%d}`, r.IntN(groups)))+"&order=score&limit=20", parleyHeaders, nil)
			}
			create := post("/parse/classes/Made", func(r *rand.Rand) []byte { return object(r.IntN(1<<20), parseDate) })
			update := func(r *rand.Rand, b []byte) []byte {
				return request(b, "PUT", "/parse/classes/Bench/"+ids[r.IntN(len(ids))], parleyHeaders, changes(r))
			}
			return map[string]work{
				"get": get, "find": find, "create": create, "update": update, "mixed": mixed(get, find, create, update),
				"login": post("/parse/login", func(r *rand.Rand) []byte {
					return fmt.Appendf(nil, `{"username":%q,"password":%q}`, username(r.IntN(users)), password)
				}),
			}
		},
	}
}

func parleyGet(ids []string) work {
	return func(r *rand.Rand, b []byte) []byte {
		return request(b, "GET", "/parse/classes/Bench/"+ids[r.IntN(len(ids))], parleyHeaders, nil)
	}
}

func parseDate(b []byte, t time.Time) []byte {
	return append(t.AppendFormat(append(b, `{"__type":"Date","iso":"`...), "2006-01-02T15:04:05.000Z"), `"}`...)
}

func prepareParley(ctx context.Context, s *server, n int) ([]string, error) {
	c := caller{base: "http://" + s.address, header: http.Header{"X-Parse-Application-Id": {"bench"}, "X-Parse-Master-Key": {masterKey}}}
	for _, class := range []string{"Bench", "Made"} {
		err := c.call(ctx, "POST", "/parse/schemas/"+class, fmt.Sprintf(`{"className":%q,"fields":{`+
			`"title":{"type":"String"},"body":{"type":"String"},"category":{"type":"String"},"email":{"type":"String"},`+
			`"grp":{"type":"Number"},"score":{"type":"Number"},"ratio":{"type":"Number"},"open":{"type":"Boolean"},"at":{"type":"Date"},"meta":{"type":"Object"}},`+
			`"indexes":{"grp_score":{"grp":1,"score":1}}}`, class), nil)
		if err != nil {
			return nil, err
		}
	}
	for i := range users {
		if err := c.call(ctx, "POST", "/parse/users", fmt.Sprintf(`{"username":%q,"password":%q}`, username(i), password), nil); err != nil {
			return nil, err
		}
	}
	return fill(n, func(from, to int) ([]string, error) {
		body := []byte(`{"requests":[`)
		for i := from; i < to; i++ {
			body = append(body, `{"method":"POST","path":"/parse/classes/Bench","body":`...)
			body = append(append(body, object(i, parseDate)...), "},"...)
		}
		var answers []struct{ Success struct{ ObjectID string } }
		if err := c.call(ctx, "POST", "/parse/batch", string(body[:len(body)-1])+"]}", &answers); err != nil {
			return nil, err
		}
		var ids []string
		for _, a := range answers {
			ids = append(ids, a.Success.ObjectID)
		}
		return ids, nil
	})
}

// alike is PocketBase with those settings of Parley that it has too: no log of requests, synchronous=FULL.
func pocketbasePeer(dir string, alike bool) *peer {
	p := &peer{
		server: server{
			name: "PocketBase", binary: filepath.Join(dir, "pocketbase"), health: "/api/health",
			args: []string{"serve", "--http", "{address}", "--dir", filepath.Join(dir, "pocketbase-data")},
		},
		works: pocketbaseWorks,
	}
	if alike {
		p.name = "PocketBase as Parley"
		p.args[len(p.args)-1] += "-alike"
		p.env = []string{"BENCH_SYNCHRONOUS=FULL"}
	}
	home := p.args[len(p.args)-1]
	p.prepare = func(ctx context.Context, s *server, n int) ([]string, error) {
		return preparePocketbase(ctx, s, home, n, alike)
	}
	return p
}

func pocketbaseWorks(ids []string) map[string]work {
	post := func(path string, body func(r *rand.Rand) []byte) work {
		return func(r *rand.Rand, b []byte) []byte { return request(b, "POST", path, "", body(r)) }
	}
	get := func(r *rand.Rand, b []byte) []byte {
		return request(b, "GET", "/api/collections/bench/records/"+ids[r.IntN(len(ids))], "", nil)
	}
	find := func(r *rand.Rand, b []byte) []byte {
		return request(b, "GET", "/api/collections/bench/records?filter="+escape(fmt.Sprintf("grp=%d", r.IntN(groups)))+"&sort=score&perPage=20&skipTotal=1", "", nil)
	}
	create := post("/api/collections/made/records", func(r *rand.Rand) []byte { return object(r.IntN(1<<20), pocketbaseDate) })
	update := func(r *rand.Rand, b []byte) []byte {
		return request(b, "PATCH", "/api/collections/bench/records/"+ids[r.IntN(len(ids))], "", changes(r))
	}
	return map[string]work{
		"get": get, "find": find, "create": create, "update": update, "mixed": mixed(get, find, create, update),
		"login": post("/api/collections/users/auth-with-password", func(r *rand.Rand) []byte {
			return fmt.Appendf(nil, `{"identity":"%s@example.com","password":%q}`, username(r.IntN(users)), password)
		}),
	}
}

func pocketbaseDate(b []byte, t time.Time) []byte {
	return append(t.AppendFormat(append(b, '"'), "2006-01-02 15:04:05.000Z"), '"')
}

// barePeer reads a copy of Parley's database: the same objects under the same ids.
func barePeer(dir string) *peer {
	return &peer{
		server: server{
			name: "bare handler", binary: filepath.Join(dir, "bare"), health: "/health",
			args: []string{"-listen", "{address}", "-db", filepath.Join(dir, "bare.db")},
		},
		copy:  func(ctx context.Context) error { return copyDatabase(ctx, dir) },
		works: func(ids []string) map[string]work { return map[string]work{"get": parleyGet(ids)} },
	}
}
