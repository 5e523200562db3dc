package rest

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
)

func basic(text string) []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(text)), "X-Parse-Application-Id", ""}
}

var noID = []string{"X-Parse-Application-Id", ""}

// TestWhoAsks presents keys in every place that takes them (contract parse-api.md, 1.2). A route that needs the master key tells
// master from anybody; one that does not tells whether the application was recognised at all.
func TestWhoAsks(t *testing.T) {
	const (
		asMaster = "master"
		asNobody = "nobody"
		refused  = "refused"

		notLogged = "session"
	)
	w := newWorld(t)
	w.ask("POST", "/classes/A", `{"a":1}`, master...)
	_, token := w.signUp("ann")
	for _, c := range []struct {
		name    string
		body    string // of a POST with _method=GET; "" for a GET
		headers []string
		want    string
	}{
		{"id in a header", "", nil, asNobody},
		{"wrong id", "", []string{"X-Parse-Application-Id", "other"}, refused},
		{"no id", "", noID, refused},
		{"master key", "", master, asMaster},
		{"read-only key", "", []string{"X-Parse-Master-Key", "ro"}, asMaster},
		{"wrong master key", "", []string{"X-Parse-Master-Key", "x"}, asNobody},
		{"empty master key", "", []string{"X-Parse-Master-Key", " "}, asNobody},
		{"master key as maintenance key", "", []string{"X-Parse-Maintenance-Key", "mk"}, asNobody},
		{"maintenance key as master key", "", []string{"X-Parse-Master-Key", "mt"}, asNobody},
		{"master key without an id", "", append(noID, master...), refused},
		{"basic", "", basic("app:mk"), asMaster},
		{"basic in another case", "", []string{"Authorization", "bAsIc " + base64.StdEncoding.EncodeToString([]byte("app:mk")), "X-Parse-Application-Id", ""}, asMaster},
		{"basic with a javascript key", "", basic("app:javascript-key=js"), asNobody},
		{"basic without a key", "", basic("app:"), asNobody},
		{"basic without a colon", "", basic("app"), refused},
		{"basic of another application", "", basic("other:mk"), refused},
		{"basic that is no base64", "", []string{"Authorization", "Basic %%%", "X-Parse-Application-Id", ""}, refused},
		{"bearer", "", []string{"Authorization", "Bearer mk", "X-Parse-Application-Id", ""}, refused},
		{"basic beside a header", "", []string{"Authorization", basic("app:mk")[1], "X-Parse-Master-Key", "x"}, asMaster},

		{"id in the body", `{"_ApplicationId":"app"}`, noID, asNobody},
		{"wrong id in the body", `{"_ApplicationId":"other"}`, noID, refused},
		{"id that is a number", `{"_ApplicationId":5}`, noID, refused},
		{"master key in the body", `{"_ApplicationId":"app","_MasterKey":"mk"}`, noID, asMaster},
		{"wrong master key in the body", `{"_ApplicationId":"app","_MasterKey":"x"}`, noID, asNobody},
		{"master key that is a number", `{"_ApplicationId":"app","_MasterKey":5}`, noID, refused},
		{"master key that is null", `{"_ApplicationId":"app","_MasterKey":null}`, noID, asNobody},
		{"session token that is a number", `{"_ApplicationId":"app","_SessionToken":5}`, noID, refused},
		{"installation id that is a list", `{"_ApplicationId":"app","_InstallationId":[]}`, noID, refused},
		{"right key in the header, id in the body", `{"_ApplicationId":"app"}`, append(noID, master...), asMaster},
		{"wrong key in the header, right one in the body", `{"_ApplicationId":"app","_MasterKey":"mk"}`, append([]string{"X-Parse-Master-Key", "x"}, noID...), refused},
		{"other members of the SDK", `{"_ApplicationId":"app","_MasterKey":"mk","_ClientVersion":"js1","_InstallationId":"i","_RevocableSession":"1","_JavaScriptKey":"j","_ContentType":"x","_noBody":true}`, noID, asMaster},
		{"body of a form", `_ApplicationId=app&_MasterKey=mk&_method=GET`, append([]string{"Content-Type", "application/x-www-form-urlencoded"}, noID...), asMaster},
		{"JSON under the name of a form", `{"_ApplicationId":"app","_MasterKey":"mk"}`, append([]string{"Content-Type", "application/x-www-form-urlencoded"}, noID...), asMaster},
		{"JSON under the name of a text", `{"_ApplicationId":"app","_MasterKey":"mk"}`, append([]string{"Content-Type", "text/plain"}, noID...), asMaster},
		{"a multipart body is not read", `{"_ApplicationId":"app","_MasterKey":"mk"}`, append([]string{"Content-Type", "multipart/form-data; boundary=x"}, noID...), refused},
		{"context", `{"_ApplicationId":"app","_context":{"a":1}}`, noID, asNobody},
		{"context as text", `{"_ApplicationId":"app","_context":"{\"a\":1}"}`, noID, asNobody},

		{"session", "", []string{"X-Parse-Session-Token", token}, asNobody},
		{"session in the body", `{"_ApplicationId":"app","_SessionToken":"` + token + `"}`, noID, asNobody},
		{"wrong session", "", []string{"X-Parse-Session-Token", "r:none"}, notLogged},
		{"wrong session of the master", "", append([]string{"X-Parse-Session-Token", "r:none"}, master...), asMaster},
	} {
		ask := func(path string) answer {
			if c.body == "" {
				return w.ask("GET", path, "", c.headers...)
			}
			body := c.body
			if strings.HasPrefix(body, "{") {
				body = strings.TrimSuffix(body, "}") + `,"_method":"get"}`
			}
			return w.ask("POST", path, body, c.headers...)
		}
		class, schemas := ask("/classes/A?keys=a&limit=0"), ask("/schemas/A")
		switch c.want {
		case refused:
			w.want(c.name+", /classes", class, 403, unauthorized)
			w.want(c.name+", /schemas", schemas, 403, unauthorized)
		case notLogged:
			w.want(c.name+", /classes", class, 400, `{"code":209,"error":"Invalid session token"}`)
		case asNobody:
			w.want(c.name+", /classes", class, 200, `{"results":[]}`)
			w.want(c.name+", /schemas", schemas, 403, permissionDenied)
		case asMaster:
			w.want(c.name+", /classes", class, 200, `{"results":[]}`)
			if schemas.status != 200 || schemas.get("className") != "A" {
				t.Errorf("%s, /schemas = %d %s, want the class", c.name, schemas.status, schemas.text)
			}
		}
	}
	for _, bad := range []string{"5", `"x"`, "[1]", "{"} {
		w.want("context "+bad, w.ask("GET", "/classes/A", "", "X-Parse-Cloud-Context", bad), 400, `{"code":107,"error":"Invalid object for context."}`)
	}
	w.want("context in the body", w.ask("POST", "/classes/A", `{"_ApplicationId":"app","_context":5}`, noID...), 400, `{"code":107,"error":"Invalid object for context."}`)
	me := w.ask("POST", "/users/me", `{"_ApplicationId":"app","_method":"GET","_SessionToken":"`+token+`"}`, noID...)
	if me.status != 200 || me.get("username") != "ann" || me.get("sessionToken") != token {
		t.Errorf("me by the body = %d %s", me.status, me.text)
	}
	w.want("_method of a PUT is no method", w.ask("PUT", "/schemas/A", `{"_method":"DELETE"}`), 403, permissionDenied)
	if a := w.ask("POST", "/classes/A", `{"_method":5,"a":1}`); a.status != 201 {
		t.Errorf("_method that is a number = %d %s, want it dropped", a.status, a.text)
	}
}

// TestKeyAddresses uses right keys from addresses that their lists do not hold.
func TestKeyAddresses(t *testing.T) {
	list := func(entries ...string) auth.IPList {
		l, err := auth.ParseIPList(entries)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	proxies, err := auth.ParseProxies("loopback")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *Config) {
		c.Proxies = proxies
		c.Keys.Master.IPs = list("10.0.0.0/8", "::ffff:192.0.2.1")
		c.Keys.ReadOnly.IPs = list("2001:db8::/32")
		c.Keys.Maintenance.IPs = list()
	})
	for _, c := range []struct {
		key, from string
		status    int
	}{
		{"mk", "10.1.2.3", 200}, {"mk", "::ffff:10.1.2.3", 200}, {"mk", "192.0.2.1", 200}, {"mk", "192.0.2.2", 403}, {"mk", "", 403},
		{"mk", "10.1.2.3, 203.0.113.9", 403}, {"mk", "203.0.113.9, 10.1.2.3", 200},
		{"ro", "2001:db8:5::1", 200}, {"ro", "10.1.2.3", 403}, {"x", "203.0.113.9", 200},
	} {
		headers := []string{"X-Parse-Master-Key", c.key}
		if c.from != "" {
			headers = append(headers, "X-Forwarded-For", c.from)
		}
		for _, path := range []string{"/classes/A", "/health"} { // refused wherever it appears
			if a := w.ask("GET", path, "", headers...); a.status != c.status {
				t.Errorf("%s with %s from %q = %d %s, want %d", path, c.key, c.from, a.status, a.text, c.status)
			}
		}
	}
	w.want("maintenance key from nowhere", w.ask("GET", "/classes/A", "", "X-Parse-Maintenance-Key", "mt"), 403, unauthorized)
	if log := w.log.String(); !strings.Contains(log, "192.0.2.2") || strings.Contains(log, "key=mk") {
		t.Errorf("the log does not name the address, or names the key:\n%s", log)
	}
}

// TestClientKeys needs one of the client keys from everybody who has no better one.
func TestClientKeys(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Keys.Clients = []auth.ClientKey{{Name: "restAPIKey", Verifier: key("rest")}, {Name: "javascriptKey", Verifier: key("js")},
			{Name: "clientKey", Verifier: key("client")}, {Name: "dotNetKey", Verifier: key("net")}}
	})
	for _, c := range []struct {
		headers []string
		status  int
	}{
		{nil, 403},
		{[]string{"X-Parse-REST-API-Key", "rest"}, 200}, {[]string{"X-Parse-REST-API-Key", "js"}, 403}, {[]string{"X-Parse-Javascript-Key", "js"}, 200},
		{[]string{"X-Parse-Client-Key", "client"}, 200}, {[]string{"X-Parse-Windows-Key", "net"}, 200},
		{[]string{"X-Parse-REST-API-Key", "x", "X-Parse-Javascript-Key", "js"}, 200},
		{master, 200}, {[]string{"X-Parse-Master-Key", "x"}, 403}, {[]string{"X-Parse-Maintenance-Key", "mt"}, 200},
		{basic("app:javascript-key=js"), 200}, {basic("app:javascript-key=x"), 403},
	} {
		if a := w.ask("GET", "/classes/A", "", c.headers...); a.status != c.status {
			t.Errorf("with %q = %d %s, want %d", c.headers, a.status, a.text, c.status)
		}
	}
	if a := w.ask("POST", "/classes/A", `{"_ApplicationId":"app","_JavaScriptKey":"js","_method":"GET"}`, noID...); a.status != 200 {
		t.Errorf("javascript key in the body = %d %s, want 200", a.status, a.text)
	}
	w.want("health", w.ask("GET", "/health", ""), 200, `{"status":"ok"}`)
}

// TestBodies sends bodies that are not what they should be.
func TestBodies(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxUploadSize = 1000 })
	for _, c := range []struct {
		name, body string
		headers    []string
		status     int
	}{
		{"empty", "", nil, 201},
		{"blank", " \n", nil, 201},
		{"object", `{"a":1}`, nil, 201},
		{"half", `{"a":`, nil, 400},
		{"list", `[{"a":1}]`, nil, 400},
		{"text", `"a"`, nil, 400},
		{"number", `5`, nil, 400},
		{"two objects", `{} {}`, nil, 400},
		{"bytes", "\xff\xfe{}", nil, 400},
		{"deep", strings.Repeat(`{"a":`, 150) + "1" + strings.Repeat("}", 150), nil, 400},
		{"at the limit", `{"a":"` + strings.Repeat("x", 1000-8) + `"}`, nil, 201},
		{"over the limit", `{"a":"` + strings.Repeat("x", 1000-7) + `"}`, nil, 413},
		{"form", "a=x&b=y", []string{"Content-Type", "application/x-www-form-urlencoded"}, 201},
		{"form that cannot be read", "a=%zz", []string{"Content-Type", "application/x-www-form-urlencoded"}, 400},
		{"multipart", "--x\r\n", []string{"Content-Type", "multipart/form-data; boundary=x"}, 201},
	} {
		a := w.ask("POST", "/classes/B"+regexp.MustCompile(`\W`).ReplaceAllString(c.name, ""), c.body, c.headers...)
		if a.status != c.status {
			t.Errorf("%s = %d %s, want %d", c.name, a.status, a.text, c.status)
		}
		if c.status == 400 && (a.get("error") == nil || a.get("code") != nil) {
			t.Errorf("%s = %s, want an error without a code", c.name, a.text)
		}
		if c.status == 413 {
			w.want(c.name, a, 413, `{"error":"request entity too large"}`)
		}
	}
	w.want("malformed", w.ask("POST", "/classes/C", `{"a"}`), 400, w.ask("POST", "/classes/C", `{"a"}`).text)
	if a := w.ask("GET", "/classes/C", `{"where":`); a.status != 200 {
		t.Errorf("the body of a GET = %d %s, want it ignored", a.status, a.text)
	}
}

// TestErrorShapes wants the three shapes of contract parse-api.md, 1.4, and no other.
func TestErrorShapes(t *testing.T) {
	const secret = "a text that no client may read"
	w := newWorld(t)
	fail := func(pattern string, err error) route {
		return route{http.MethodGet, pattern, anyone, func(context.Context, *Server, *request) (*reply, error) { return nil, err }, false}
	}
	w.server.routes = newRouter(append([]route{
		fail("/fail/parse", parse.Errorf(parse.InvalidQuery, "bad")),
		fail("/fail/missing", parse.Errorf(parse.ObjectNotFound, "Object not found.")),
		fail("/fail/internal", parse.Errorf(parse.InternalServerError, "It is said.")),
		fail("/fail/denied", parse.Denied(parse.OperationForbidden, "because of a rule")),
		fail("/fail/refused", &auth.Refusal{Status: 409, Message: "no"}),
		fail("/fail/foreign", fmt.Errorf("sql: %s", secret)),
		{http.MethodGet, "/fail/panic", anyone, func(context.Context, *Server, *request) (*reply, error) { panic(secret) }, false},
	}, table...))
	for _, c := range []struct {
		path   string
		status int
		want   string
	}{
		{"parse", 400, `{"code":102,"error":"bad"}`},
		{"missing", 404, `{"code":101,"error":"Object not found."}`},
		{"internal", 500, `{"code":1,"error":"It is said."}`},
		{"denied", 400, denied119},
		{"refused", 409, `{"error":"no"}`},
		{"foreign", 500, `{"code":1,"message":"Internal server error."}`},
		{"panic", 500, `{"code":1,"message":"Internal server error."}`},
	} {
		a := w.ask("GET", "/fail/"+c.path, "", "X-Request-Id", "request-"+c.path)
		w.want(c.path, a, c.status, c.want)
		if got := a.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
			t.Errorf("%s: content type %q", c.path, got)
		}
		if got := a.header.Get("X-Request-Id"); got != "request-"+c.path {
			t.Errorf("%s: request id %q", c.path, got)
		}
	}
	log := w.log.String()
	for _, want := range []string{"request=request-panic", "request=request-foreign", secret, "request=request-denied", "because of a rule"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not hold %q:\n%s", want, log)
		}
	}
	w.log.b.Reset()
	a := w.ask("POST", "/batch", `{"requests":[{"method":"GET","path":"/parse/fail/panic"},{"method":"GET","path":"/parse/fail/parse"},{"method":"GET","path":"/parse/fail/foreign"}]}`, "X-Request-Id", "of-the-batch")
	w.want("batch", a, 200, `[{"error":{"code":1,"error":"Internal server error."}},{"error":{"code":102,"error":"bad"}},{"error":{"code":1,"error":"Internal server error."}}]`)
	if log := w.log.String(); strings.Count(log, "request=of-the-batch") != 2 {
		t.Errorf("the log names the request of the batch %d times, want 2:\n%s", strings.Count(log, "request=of-the-batch"), log)
	}
	for _, made := range []string{"", strings.Repeat("x", 65), "a b", "a\"b"} {
		if id := w.ask("GET", "/health", "", "X-Request-Id", made).header.Get("X-Request-Id"); id == "" || id == made {
			t.Errorf("request id for %q = %q, want a new one", made, id)
		}
	}
}

// TestPaths writes the same path in many ways.
func TestPaths(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/classes/A", "/classes/A/", "//classes/A", "/classes//A", "/classes/A//", "///classes///A"} {
		w.want(path, w.ask("GET", path, ""), 200, `{"results":[]}`)
	}
	get := func(path string) answer {
		r, err := http.NewRequest("GET", w.http.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Parse-Application-Id", "app")
		return w.send(r)
	}
	w.want("two slashes before the mount path", get("//parse/health"), 200, `{"status":"ok"}`)
	for _, path := range []string{"/", "/parsex/health", "/health", "/Parse/health"} {
		if a := get(path); a.status != 404 || !strings.Contains(a.text, "Cannot GET "+path) {
			t.Errorf("%s = %d %s, want a page that says 404", path, a.status, a.text)
		}
	}
	if a := get("/%3Cscript%3E"); strings.Contains(a.text, "<script>") {
		t.Errorf("the page repeats what it was sent: %s", a.text)
	}
	root := newWorld(t, func(c *Config) { c.MountPath = "/" })
	r, _ := http.NewRequest("GET", root.http.URL+"/health", nil)
	w.want("mounted at the root", root.send(r), 200, `{"status":"ok"}`)
}

// TestCORS lets pages of other origins use the API.
func TestCORS(t *testing.T) {
	for _, c := range []struct {
		allow        []string
		origin, want string
		vary         string
	}{
		{nil, "https://a.example", "*", ""},
		{[]string{"https://a.example"}, "https://b.example", "https://a.example", ""},
		{[]string{"https://a.example", "https://b.example"}, "https://b.example", "https://b.example", "Origin"},
		{[]string{"https://a.example", "https://b.example"}, "https://c.example", "https://a.example", "Origin"},
	} {
		w := newWorld(t, func(cfg *Config) { cfg.AllowOrigin, cfg.AllowHeaders = c.allow, []string{"X-Mine"} })
		for _, method := range []string{"GET", "OPTIONS"} {
			a := w.ask(method, "/classes/A", "", "Origin", c.origin)
			if got := a.header.Get("Access-Control-Allow-Origin"); got != c.want || a.header.Get("Vary") != c.vary {
				t.Errorf("%s of %s, allowed %q: origin %q, vary %q, want %q, %q", method, c.origin, c.allow, got, a.header.Get("Vary"), c.want, c.vary)
			}
			if a.header.Get("Access-Control-Allow-Methods") != "GET,PUT,POST,DELETE,OPTIONS" || !strings.HasSuffix(a.header.Get("Access-Control-Allow-Headers"), ", Cache-Control, X-Mine") ||
				a.header.Get("Access-Control-Expose-Headers") != "X-Parse-Job-Status-Id, X-Parse-Push-Status-Id" {
				t.Errorf("%s: headers %v", method, a.header)
			}
		}
		w.want("OPTIONS without any key", w.ask("OPTIONS", "/classes/A", "", noID...), 200, "OK")
	}
}
