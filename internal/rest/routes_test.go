package rest

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestTable wants every route of the contract, and looks for rows that can never be reached.
func TestTable(t *testing.T) {
	have := map[string]need{}
	for i := range table {
		r := &table[i]
		name := r.method + " " + r.pattern
		if _, twice := have[name]; twice {
			t.Errorf("%s stands in the table twice", name)
		}
		have[name] = r.needs
		if strings.Contains(r.pattern, ":") && strings.HasPrefix(strings.Split(r.pattern, "/")[1], ":") {
			t.Errorf("%s begins with a parameter: the router wants a literal", name)
		}
		if found, _ := newRouter(table).find(r.method, example(r.pattern)); found != r {
			t.Errorf("%s is hidden by %s", name, found.pattern)
		}
		if r.needs == masterWrite && strings.HasPrefix(name, "GET") {
			t.Errorf("%s writes, it is said", name)
		}
	}
	for _, want := range []struct {
		route string
		needs need
	}{
		{"GET /health", nothing}, {"GET /serverInfo", masterKey}, {"POST /batch", anyone}, {"GET /security", masterKey},
		{"GET /classes/:class", anyone}, {"GET /classes/:class/:id", anyone}, {"POST /classes/:class", anyone}, {"PUT /classes/:class/:id", anyone}, {"DELETE /classes/:class/:id", anyone},
		{"GET /aggregate/:class", masterKey}, {"DELETE /purge/:class", masterWrite},
		{"GET /users", anyone}, {"POST /users", anyone}, {"GET /users/:id", anyone}, {"PUT /users/:id", anyone}, {"DELETE /users/:id", anyone}, {"GET /users/me", anyone},
		{"GET /login", anyone}, {"POST /login", anyone}, {"POST /loginAs", anyone}, {"POST /logout", anyone}, {"GET /verifyPassword", anyone}, {"POST /verifyPassword", anyone},
		{"POST /challenge", anyone}, {"POST /requestPasswordReset", anyone}, {"POST /verificationEmailRequest", anyone}, {"POST /upgradeToRevocableSession", anyone},
		{"GET /sessions", anyone}, {"POST /sessions", anyone}, {"GET /sessions/:id", anyone}, {"PUT /sessions/:id", anyone}, {"DELETE /sessions/:id", anyone}, {"GET /sessions/me", anyone},
		{"GET /roles", anyone}, {"POST /roles", anyone}, {"GET /roles/:id", anyone}, {"PUT /roles/:id", anyone}, {"DELETE /roles/:id", anyone},
		{"GET /installations", anyone}, {"POST /installations", anyone}, {"GET /installations/:id", anyone}, {"PUT /installations/:id", anyone}, {"DELETE /installations/:id", anyone},
		{"POST /push", masterWrite}, {"GET /push_audiences", masterKey}, {"POST /push_audiences", masterWrite}, {"GET /push_audiences/:id", masterKey}, {"PUT /push_audiences/:id", masterWrite}, {"DELETE /push_audiences/:id", masterWrite},
		{"POST /functions/*name", anyone}, {"POST /jobs", masterWrite}, {"POST /jobs/:name", masterWrite}, {"DELETE /jobs/:name", masterWrite},
		{"GET /cloud_code/jobs", masterKey}, {"POST /cloud_code/jobs", masterWrite}, {"GET /cloud_code/jobs/data", masterKey}, {"PUT /cloud_code/jobs/:id", masterWrite}, {"DELETE /cloud_code/jobs/:id", masterWrite},
		{"GET /hooks/functions", masterKey}, {"POST /hooks/functions", masterWrite}, {"GET /hooks/functions/:name", masterKey}, {"PUT /hooks/functions/:name", masterWrite},
		{"GET /hooks/triggers", masterKey}, {"POST /hooks/triggers", masterWrite}, {"GET /hooks/triggers/:class/:trigger", masterKey}, {"PUT /hooks/triggers/:class/:trigger", masterWrite},
		{"GET /config", anyone}, {"PUT /config", masterWrite}, {"GET /graphql-config", masterKey}, {"PUT /graphql-config", masterWrite},
		{"GET /schemas", masterKey}, {"POST /schemas", masterWrite}, {"GET /schemas/:class", masterKey}, {"POST /schemas/:class", masterWrite}, {"PUT /schemas/:class", masterWrite}, {"DELETE /schemas/:class", masterWrite},
		{"GET /scriptlog", masterKey}, {"POST /events/:name", anyone}, {"POST /validate_purchase", anyone},
		{"POST /files", anyone}, {"POST /files/*name", anyone}, {"GET /files/:app/*name", nothing}, {"DELETE /files/*name", masterKey},
	} {
		needs, ok := have[want.route]
		if !ok || needs != want.needs {
			t.Errorf("%s needs %d (found: %v), want %d", want.route, needs, ok, want.needs)
		}
		delete(have, want.route)
	}
	for name := range have {
		t.Errorf("%s stands in no table of the contract", name)
	}
	for name := range deeds {
		method, pattern, _ := strings.Cut(name, " ")
		if rt, _ := newRouter(table).find(method, example(pattern)); rt == nil || rt.needs != masterWrite || rt.pattern != pattern {
			t.Errorf("%s is a deed of no route that needs the master key to write", name)
		}
	}
}

// example is a path that a pattern takes.
func example(pattern string) string {
	return regexp.MustCompile(`[:*]\w+`).ReplaceAllString(pattern, "Abc1")
}

// TestEveryRouteIsServed asks every route with every kind of key: it is there, and refuses whom it must.
func TestEveryRouteIsServed(t *testing.T) {
	w := newWorld(t)
	for _, rt := range table {
		path := example(rt.pattern)
		call := func(headers ...string) answer {
			return w.ask(rt.method, path, map[bool]string{true: "", false: "{}"}[rt.method == http.MethodGet], headers...)
		}
		name := rt.method + " " + rt.pattern
		withMaster := call(master...)
		if strings.Contains(withMaster.text, "Cannot "+rt.method) || strings.Contains(withMaster.text, "Internal server error.") {
			t.Errorf("%s with the master key = %d %s", name, withMaster.status, withMaster.text)
		}
		stranger := call("X-Parse-Application-Id", "")
		if rt.needs == nothing {
			if stranger.text == unauthorized {
				t.Errorf("%s asks a stranger for an application id", name)
			}
			continue
		}
		w.want(name+" without an application id", stranger, http.StatusForbidden, unauthorized)
		switch rt.needs {
		case masterKey, masterWrite:
			w.want(name+" without a key", call(), http.StatusForbidden, permissionDenied)
			w.want(name+" with a wrong key", call("X-Parse-Master-Key", "wrong"), http.StatusForbidden, permissionDenied)
			w.want(name+" with the maintenance key", call("X-Parse-Maintenance-Key", "mt"), http.StatusForbidden, permissionDenied)
		}
		readOnly := call("X-Parse-Master-Key", "ro")
		switch {
		case rt.needs == masterWrite:
			w.want(name+" with the read-only key", readOnly, http.StatusBadRequest, denied119)
		case rt.needs == masterKey && rt.method == http.MethodGet:
			if readOnly.text == permissionDenied || readOnly.text == denied119 {
				t.Errorf("%s refuses the read-only key", name)
			}
		}
	}
	for _, missing := range [][2]string{{"GET", "/functions/f"}, {"PATCH", "/classes/A"}, {"GET", "/nowhere"}, {"DELETE", "/classes/A"}, {"GET", "/classes/A/b/c"}, {"GET", "/"}, {"GET", ""}, {"POST", "/users/me/x"}} {
		a := w.ask(missing[0], missing[1], "")
		if a.status != http.StatusNotFound || !strings.HasPrefix(a.text, "<!DOCTYPE html>") || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s %s = %d %s, want a page that says 404", missing[0], missing[1], a.status, a.text)
		}
	}
}

// TestVerboseRefusals tells clients the reason where the server is told to.
func TestVerboseRefusals(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.VerboseErrors = true })
	for _, c := range []struct {
		method, path, key string
		status            int
		want              string
	}{
		{"GET", "/schemas", "", 403, `{"error":"unauthorized: master key is required"}`},
		{"DELETE", "/files/a.txt", "", 403, `{"error":"unauthorized: master key is required"}`},
		{"DELETE", "/files/a.txt", "ro", 403, `{"error":"read-only masterKey isn't allowed to delete a file."}`},
		{"POST", "/files/a.txt", "ro", 403, `{"error":"read-only masterKey isn't allowed to create a file."}`},
		{"GET", "/files/other/a.txt", "", 403, `{"error":"Invalid application ID."}`},
		{"POST", "/schemas/A", "ro", 400, `{"code":119,"error":"read-only masterKey isn't allowed to create a schema."}`},
		{"PUT", "/config", "ro", 400, `{"code":119,"error":"read-only masterKey isn't allowed to update the config."}`},
		{"POST", "/jobs/x", "ro", 400, `{"code":119,"error":"read-only masterKey isn't allowed to run a job."}`},
		{"PUT", "/hooks/functions/f", "ro", 400, `{"code":119,"error":"read-only masterKey isn't allowed to modify a hook."}`},
	} {
		w.want(c.method+" "+c.path+" with "+c.key, w.ask(c.method, c.path, "", "X-Parse-Master-Key", c.key), c.status, c.want)
	}
}
