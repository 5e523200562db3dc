package rest

import (
	"context"
	"strings"
)

// handler answers one request. It returns a reply, or an error of package parse or auth for reply.go to encode.
type handler func(ctx context.Context, s *Server, r *request) (*reply, error)

// need is which key a route asks for.
type need uint8

const (
	anyone      need = iota // ACLs and class-level permissions decide
	masterKey               // the master key, or the read-only one
	masterWrite             // the master key; the read-only one is told 119
	nothing                 // not even an application id
)

// route is one row of the table in routes.go.
type route struct {
	method  string
	pattern string // segments; ":name" takes one segment, "*name" all that follow
	needs   need
	handle  handler
	// once: the route honours X-Parse-Request-Id.
	once bool
}

// deeds say what the read-only master key may not do on the routes that need the master key to write, for the log and for
// clients of a server with verbose errors. A route that is not named is called by its method and pattern.
var deeds = map[string]string{
	"POST /schemas": "create a schema", "POST /schemas/:class": "create a schema", "PUT /schemas/:class": "update a schema", "DELETE /schemas/:class": "delete a schema",
	"DELETE /purge/:class": "purge a schema", "PUT /config": "update the config",
	"POST /push": "send push notifications",
	"POST /jobs": "run a job", "POST /jobs/:name": "run a job",
	"POST /hooks/functions": "create a hook", "PUT /hooks/functions/:name": "modify a hook",
	"POST /hooks/triggers": "create a hook", "PUT /hooks/triggers/:class/:trigger": "modify a hook",
	"PUT /graphql-config": "update the GraphQL config",
}

func (rt *route) deed() string {
	name := rt.method + " " + rt.pattern
	if d, ok := deeds[name]; ok {
		return d
	}
	return name
}

// router finds the route of a method and a path. Routes are grouped by their first segment, which is always literal.
type router map[string][]compiled

type compiled struct {
	*route
	segments []string
}

func newRouter(table []route) router {
	r := make(router)
	for i := range table {
		segments := strings.Split(strings.Trim(table[i].pattern, "/"), "/")
		r[segments[0]] = append(r[segments[0]], compiled{&table[i], segments})
	}
	return r
}

// find returns the first route that fits, and the values of its parameters.
func (r router) find(method, path string) (*route, params) {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	for _, c := range r[segments[0]] {
		if c.method != method {
			continue
		}
		if p, ok := c.match(segments); ok {
			return c.route, p
		}
	}
	return nil, params{}
}

func (c compiled) match(segments []string) (p params, ok bool) {
	for i, want := range c.segments {
		switch {
		case want[0] == '*' && i < len(segments):
			p.set(want[1:], strings.Join(segments[i:], "/"))
			return p, true
		case i >= len(segments):
			return params{}, false
		case want[0] == ':':
			if segments[i] == "" {
				return params{}, false
			}
			p.set(want[1:], segments[i])
		case want != segments[i]:
			return params{}, false
		}
	}
	return p, len(segments) == len(c.segments)
}

// params are the values of the parameters of a route; none has more than two.
type params struct {
	names, values [2]string
	n             int
}

func (p *params) set(name, value string) {
	p.names[p.n], p.values[p.n] = name, value
	p.n++
}

func (p *params) get(name string) string {
	for i := range p.n {
		if p.names[i] == name {
			return p.values[i]
		}
	}
	return ""
}
