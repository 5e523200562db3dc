package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
)

const (
	writers   = 1000  // objects of Writer, which a pointer of each object names
	guarded   = 10000 // objects of Guarded
	roles     = 50    // roles that guard them, one each
	userRoles = 5     // of those the user is in
	inGroup   = 100   // objects with one value of the indexed field, whatever the size of the class
)

// sizes of the classes of the suite growth, and the numbers of connections at the middle one.
var (
	sizes       = []int{1_000, 100_000, 1_000_000}
	connections = []int{1, 10, 100, 1000}
)

// growth are the operations on classes of each size, and with each number of connections.
func growth() []operation {
	var all []operation
	for _, n := range sizes {
		class := fmt.Sprintf("Bench%d", n)
		all = append(all,
			operation{"get " + class, fmt.Sprintf("get by id, of %d objects", n), 0, `"title":`, 1},
			operation{"find " + class, fmt.Sprintf("find 20 of %d objects, each with the one its pointer names", n), 0, `"title":`, 40},
			operation{"count " + class, fmt.Sprintf("count 100 of %d objects", n), 0, `"count":100`, 1},
		)
	}
	for _, n := range connections {
		all = append(all, operation{fmt.Sprintf("get Bench%d %d", sizes[1], n), fmt.Sprintf("get by id, of %d objects", sizes[1]), n, `"title":`, 1})
	}
	for _, n := range sizes {
		all = append(all, operation{fmt.Sprintf("create Bench%d", n), fmt.Sprintf("create beside %d objects", n), 0, `"createdAt"`, 1})
	}
	return all
}

// idOf is the id of the i-th object that was filled in.
func idOf(i int) string { return fmt.Sprintf("o%09d", i) }

// class is one that is filled before the rounds.
type class struct {
	name    string
	objects int
}

// classesOf a suite: what its operations choose from.
func classesOf(o options) []class {
	if o.suite != "growth" {
		return []class{{"Writer", writers}, {"Made", 0}, {"Guarded", guarded}, {"Bench", o.objects}}
	}
	all := []class{{"Writer", writers}}
	for _, n := range sizes {
		all = append(all, class{fmt.Sprintf("Bench%d", n), n})
	}
	return all
}

// postgresWorks returns the requests of both suites. An operation of growth has the name of its class behind its own.
func postgresWorks(classes []class) func(tokens []string) map[string]work {
	return func(tokens []string) map[string]work {
		works := map[string]work{}
		for _, c := range classes {
			switch {
			case c.name == "Bench":
				maps.Copy(works, parseWorks(c.name, "Made", c.objects, tokens))
			case strings.HasPrefix(c.name, "Bench"):
				for name, next := range parseWorks(c.name, c.name, c.objects, tokens) {
					works[name+" "+c.name] = next
				}
			}
		}
		for _, n := range connections {
			middle := fmt.Sprintf("get Bench%d", sizes[1])
			works[fmt.Sprintf("%s %d", middle, n)] = works[middle]
		}
		return works
	}
}

// parseWorks are requests to a class of n objects; creates go to the class made. The first token is that of the user in the roles.
func parseWorks(class, made string, n int, tokens []string) map[string]work {
	get := func(r *rand.Rand, b []byte) []byte {
		return request(b, "GET", "/parse/classes/"+class+"/"+idOf(r.IntN(n)), parleyHeaders, nil)
	}
	find := func(r *rand.Rand, b []byte) []byte {
		return request(b, "GET", "/parse/classes/"+class+"?where="+escape(fmt.Sprintf(`{"grp":%d}`, r.IntN(n/inGroup)))+"&order=score&limit=20&include=writer", parleyHeaders, nil)
	}
	create := func(r *rand.Rand, b []byte) []byte {
		return request(b, "POST", "/parse/classes/"+made, parleyHeaders, object(r.IntN(1<<20), parseDate))
	}
	update := func(r *rand.Rand, b []byte) []byte {
		return request(b, "PUT", "/parse/classes/"+class+"/"+idOf(r.IntN(n)), parleyHeaders, []byte(`{"ratio":{"__op":"Increment","amount":1}}`))
	}
	return map[string]work{
		"get": get, "find": find, "create": create, "update": update, "mixed": mixed(get, find, create, update),
		"count": func(r *rand.Rand, b []byte) []byte {
			return request(b, "GET", "/parse/classes/"+class+"?where="+escape(fmt.Sprintf(`{"grp":%d}`, r.IntN(n/inGroup)))+"&count=1&limit=0", parleyHeaders, nil)
		},
		"login": func(r *rand.Rand, b []byte) []byte {
			return request(b, "POST", "/parse/login", parleyHeaders, fmt.Appendf(nil, `{"username":%q,"password":%q}`, username(r.IntN(users)), password))
		},
		"batch": func(r *rand.Rand, b []byte) []byte {
			body := []byte(`{"requests":[`)
			for range 20 {
				body = append(append(body, `{"method":"POST","path":"/parse/classes/`+made+`","body":`...), object(r.IntN(1<<20), parseDate)...)
				body = append(body, "},"...)
			}
			return request(b, "POST", "/parse/batch", parleyHeaders, append(body[:len(body)-1], "]}"...))
		},
		"guarded": func(r *rand.Rand, b []byte) []byte {
			return request(b, "GET", "/parse/classes/Guarded?where="+escape(fmt.Sprintf(`{"grp":%d}`, r.IntN(10)))+"&order=score&limit=20",
				parleyHeaders+"X-Parse-Session-Token: "+tokens[0]+"\r\n", nil)
		},
	}
}

// preparePostgres makes classes, users and roles through the API, and the objects with the database's own means: the same in both
// databases. In place of ids it returns the session token of the user who is in the roles.
func preparePostgres(pg database, name string, classes []class) func(ctx context.Context, s *server, n int) ([]string, error) {
	return func(ctx context.Context, s *server, _ int) ([]string, error) {
		c := caller{base: "http://" + s.address, header: http.Header{"X-Parse-Application-Id": {"bench"}, "X-Parse-Master-Key": {masterKey}}}
		fields := `"title":{"type":"String"},"body":{"type":"String"},"category":{"type":"String"},"email":{"type":"String"},` +
			`"grp":{"type":"Number"},"score":{"type":"Number"},"ratio":{"type":"Number"},"open":{"type":"Boolean"},"at":{"type":"Date"},"meta":{"type":"Object"}`
		for _, made := range classes {
			class, size := made.name, made.objects
			more := ""
			if strings.HasPrefix(class, "Bench") {
				more = `,"writer":{"type":"Pointer","targetClass":"Writer"}`
			}
			err := c.call(ctx, "POST", "/parse/schemas/"+class, fmt.Sprintf(`{"className":%q,"fields":{%s%s},"indexes":{"%s_grp_score":{"grp":1,"score":1}}}`, class, fields, more, strings.ToLower(class)), nil)
			if err != nil {
				return nil, err
			}
			if err := pg.exec(ctx, name, filling(class, size)); err != nil {
				return nil, err
			}
		}
		if err := pg.exec(ctx, name, "VACUUM ANALYZE"); err != nil {
			return nil, err
		}
		return prepareUsers(ctx, c)
	}
}

// filling is the statement that fills a class with objects like those of [object].
func filling(class string, n int) string {
	columns, values := "", ""
	switch {
	case strings.HasPrefix(class, "Bench"):
		columns, values = `,"writer"`, fmt.Sprintf(`,'o'||lpad((i%%%d)::text,9,'0')`, writers)
	case class == "Guarded":
		columns, values = `,"_rperm","_wperm"`, fmt.Sprintf(`,ARRAY['role:role'||(i/10%%%d)],ARRAY[]::text[]`, roles)
	}
	group := max(1, n/inGroup)
	if class == "Guarded" {
		group = 10
	}
	return fmt.Sprintf(`INSERT INTO %q ("objectId","createdAt","updatedAt","title","body","category","email","grp","score","ratio","open","at","meta"%s)
SELECT 'o'||lpad(i::text,9,'0'), '2026-01-01'::timestamptz + i*interval '1 second', '2026-01-01'::timestamptz + i*interval '1 second',
 'title of object '||i, 'some text of a usual length, as people write it: not too long, not too short', 'category '||i%%20, 'person'||i||'@example.com',
 i%%%d, i::bigint*7919%%100003, i%%977/8.0, i%%2=0, '2026-01-01'::timestamptz + i*interval '1 second',
 jsonb_build_object('level', i%%9, 'tags', '["a","b","c"]'::jsonb, 'nested', '{"deep":"value"}'::jsonb)%s
FROM generate_series(0, %d) i`, class, columns, group, values, n-1)
}

func prepareUsers(ctx context.Context, c caller) ([]string, error) {
	for i := range users {
		if err := c.call(ctx, "POST", "/parse/users", fmt.Sprintf(`{"username":%q,"password":%q}`, username(i), password), nil); err != nil {
			return nil, err
		}
	}
	var first struct{ ObjectID, SessionToken string }
	if err := c.call(ctx, "POST", "/parse/login", fmt.Sprintf(`{"username":%q,"password":%q}`, username(0), password), &first); err != nil {
		return nil, err
	}
	for i := range roles {
		member := ""
		if i < userRoles {
			member = fmt.Sprintf(`,"users":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"_User","objectId":%q}]}`, first.ObjectID)
		}
		if err := c.call(ctx, "POST", "/parse/roles", fmt.Sprintf(`{"name":"role%d","ACL":{"*":{"read":true}}%s}`, i, member), nil); err != nil {
			return nil, err
		}
	}
	return []string{first.SessionToken}, nil
}
