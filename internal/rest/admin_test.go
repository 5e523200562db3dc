package rest

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	w := newWorld(t)
	w.want("before anything was set", w.ask("GET", "/config", ""), 200, `{"params":{}}`)
	for _, c := range []struct{ name, put, public, private string }{
		{"two parameters", `{"params":{"a":1,"b":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}}}`,
			`{"params":{"a":1,"b":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}},"masterKeyOnly":{"a":false,"b":false}}`, ``},
		{"a secret one", `{"params":{"s":"x"},"masterKeyOnly":{"s":true}}`,
			`{"params":{"a":1,"b":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}},"masterKeyOnly":{"a":false,"b":false}}`,
			`{"params":{"a":1,"b":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"},"s":"x"},"masterKeyOnly":{"a":false,"b":false,"s":true}}`},
		{"operators", `{"params":{"a":{"__op":"Increment","amount":2},"b":{"__op":"Delete"}}}`,
			`{"params":{"a":3},"masterKeyOnly":{"a":false,"b":false}}`,
			`{"params":{"a":3,"s":"x"},"masterKeyOnly":{"a":false,"b":false,"s":true}}`},
		{"a secret told", `{"params":{"s":"y"}}`,
			`{"params":{"a":3,"s":"y"},"masterKeyOnly":{"a":false,"b":false,"s":false}}`, ``},
	} {
		w.want(c.name, w.ask("PUT", "/config", c.put, master...), 200, `{"result":true}`)
		equalJSON(t, c.name+", as anybody reads it", w.ask("GET", "/config", "").text, c.public)
		if c.private == "" {
			c.private = c.public
		}
		equalJSON(t, c.name+", as the master reads it", w.ask("GET", "/config", "", master...).text, c.private)
	}
	w.want("params that are no object", w.ask("PUT", "/config", `{"params":5}`, master...), 400, `{"code":107,"error":"params must be an object"}`)
	w.want("without the master key", w.ask("PUT", "/config", `{"params":{}}`), 403, permissionDenied)
}

// equalJSON compares two texts as JSON: the order of members says nothing.
func equalJSON(t *testing.T, what, got, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(got), &a); err != nil {
		t.Errorf("%s = %s: %v", what, got, err)
		return
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s = %s, want %s", what, got, want)
	}
}

const open = `"find":{"*":true},"get":{"*":true},"count":{"*":true},"create":{"*":true},"update":{"*":true},"delete":{"*":true},"addField":{"*":true}`

// TestSchemas follows a class through its life, with the answers of the recorded exchanges "schemas".
func TestSchemas(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"unknown", "GET", "/schemas/S", "", 400, `{"code":103,"error":"Class S does not exist."}`},
		{"create", "POST", "/schemas/S", `{"className":"S","fields":{"a":{"type":"String"}},"indexes":{"ix":{"a":1}}}`, 200,
			`{"className":"S","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"a":{"type":"String"},"ACL":{"type":"ACL"}},"classLevelPermissions":{"ACL":{"*":{"read":true,"write":true}},` + open + `,"protectedFields":{"*":[]}},"indexes":{"ix":{"a":1}}}`},
		{"create again", "POST", "/schemas/S", `{}`, 400, `{"code":103,"error":"Class S already exists."}`},
		{"get", "GET", "/schemas/S", "", 200,
			`{"className":"S","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"ACL":{"type":"ACL"},"a":{"type":"String"}},"classLevelPermissions":{"ACL":{"*":{"read":true,"write":true}},` + open + `,"protectedFields":{"*":[]}},"indexes":{"ix":{"a":1},"_id_":{"_id":1}}}`},
		{"no name", "POST", "/schemas", `{}`, 400, `{"code":135,"error":"POST /schemas needs a class name."}`},
		{"two names", "POST", "/schemas/T", `{"className":"U"}`, 400, `{"code":103,"error":"Class name mismatch between U and T."}`},
		{"name in the body", "POST", "/schemas", `{"className":"B"}`, 200,
			`{"className":"B","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"ACL":{"type":"ACL"}},"classLevelPermissions":{"ACL":{"*":{"read":true,"write":true}},` + open + `,"protectedFields":{"*":[]}}}`},
		{"change of a class with protected fields", "PUT", "/schemas/_User", `{"fields":{"nick":{"type":"String"}}}`, 200,
			`{"className":"_User","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"ACL":{"type":"ACL"},"username":{"type":"String"},"password":{"type":"String"},"email":{"type":"String"},"emailVerified":{"type":"Boolean"},"authData":{"type":"Object"},"nick":{"type":"String"}},"classLevelPermissions":{"ACL":{"*":{"read":true,"write":true}},` + open + `,"protectedFields":{"*":["email"]}}}`},
		{"delete", "DELETE", "/schemas/B", "", 200, `{}`},
		{"delete what is gone", "DELETE", "/schemas/B", "", 200, `{}`},
	} {
		a := w.ask(c.method, c.path, c.body, master...)
		if a.status != c.status {
			t.Errorf("%s = %d, want %d", c.name, a.status, c.status)
		}
		equalJSON(t, c.name, a.text, c.want)
	}
	w.ask("POST", "/classes/S", `{"a":"x"}`)
	if a := w.ask("DELETE", "/schemas/S", "", master...); a.status != 400 || a.get("code") != 255.0 {
		t.Errorf("delete of a class with objects = %d %s, want 255", a.status, a.text)
	}
	w.want("purge", w.ask("DELETE", "/purge/S", "", master...), 200, `{}`)
	w.want("delete of an empty class", w.ask("DELETE", "/schemas/S", "", master...), 200, `{}`)
}

// TestHealth tells states and nothing else; a server that is not well answers no requests.
func TestHealth(t *testing.T) {
	for _, c := range []struct {
		state  State
		status int
		retry  string
	}{{Initialized, 503, ""}, {Starting, 503, "1"}, {OK, 200, ""}, {Failed, 503, ""}} {
		w := newWorld(t, func(cfg *Config) { cfg.State = func() State { return c.state } })
		a := w.ask("GET", "/health", "", noID...)
		w.want("health", a, c.status, `{"status":"`+string(c.state)+`"}`)
		if got := a.header.Get("Retry-After"); got != c.retry {
			t.Errorf("Retry-After while %s = %q, want %q", c.state, got, c.retry)
		}
		a = w.ask("GET", "/classes/A", "")
		if c.state == OK {
			w.want("a request", a, 200, `{"results":[]}`)
		} else {
			w.want("a request while "+string(c.state), a, 500, `{"code":1,"error":"Invalid server state: `+string(c.state)+`"}`)
		}
	}
}

func TestServerInfo(t *testing.T) {
	for _, checked := range []bool{false, true} {
		w := newWorld(t, func(c *Config) {
			if checked {
				c.Security = func(context.Context) SecurityReport { return SecurityReport{} }
			}
		})
		want := `{"features":{"globalConfig":{"create":true,"read":true,"update":true,"delete":true},"hooks":{"create":false,"read":false,"update":false,"delete":false},` +
			`"cloudCode":{"jobs":false},"logs":{"level":false,"size":false,"order":false,"until":false,"from":false},` +
			`"push":{"immediatePush":false,"scheduledPush":false,"storedPushData":false,"pushAudiences":true,"localization":true},` +
			`"schemas":{"addField":true,"removeField":true,"addClass":true,"removeClass":true,"clearAllDataFromClass":true,"exportClass":false,"editClassLevelPermissions":true,"editPointerPermissions":true},` +
			`"settings":{"securityCheck":` + map[bool]string{true: "true", false: "false"}[checked] + `}},"parseServerVersion":"9.9.9"}`
		w.want("serverInfo", w.ask("GET", "/serverInfo", "", "X-Parse-Master-Key", "ro"), 200, want)
	}
}

func TestSecurity(t *testing.T) {
	w := newWorld(t)
	w.want("off", w.ask("GET", "/security", "", master...), 409, "{\"error\":\"Enable Parse Server option `security.enableCheck` to run security check.\"}")
	w = newWorld(t, func(c *Config) {
		c.Security = func(context.Context) SecurityReport {
			return SecurityReport{[]SecurityGroup{
				{"Good", []SecurityCheck{{"a", CheckSuccess, "hidden", "hidden"}}},
				{"Bad", []SecurityCheck{{"b", CheckSuccess, "", ""}, {"c", CheckFail, "why", "how"}}},
			}}
		}
	})
	w.want("on", w.ask("GET", "/security", "", master...), 200, `{"report":{"version":"1.0.0","state":"fail","groups":[`+
		`{"name":"Good","state":"success","checks":[{"title":"a","state":"success"}]},`+
		`{"name":"Bad","state":"fail","checks":[{"title":"b","state":"success"},{"title":"c","state":"fail","warning":"why","solution":"how"}]}]}}`)
}

// TestUnconfigured wants the answers of a Parse Server that was not given the feature.
func TestUnconfigured(t *testing.T) {
	w := newWorld(t)
	_, token := w.signUp("ann")
	session := []string{"X-Parse-Session-Token", token}
	for _, c := range []struct {
		method, path, body string
		headers            []string
		status             int
		want               string
	}{
		{"POST", "/functions/hello.world", `{}`, nil, 400, `{"code":141,"error":"Invalid function: \"hello.world\""}`},
		{"POST", "/jobs/x", `{}`, master, 400, `{"code":141,"error":"Invalid job."}`},
		{"GET", "/cloud_code/jobs", "", master, 200, `[]`},
		{"GET", "/cloud_code/jobs/data", "", master, 200, `{"in_use":[],"jobs":[]}`},
		{"PUT", "/cloud_code/jobs/x", `{"job_schedule":{}}`, master, 404, `{"code":101,"error":"Object not found."}`},
		{"GET", "/hooks/functions", "", master, 200, `[]`},
		{"GET", "/hooks/functions/f", "", master, 400, `{"code":143,"error":"no function named: f is defined"}`},
		{"GET", "/hooks/triggers/A/beforeSave", "", master, 400, `{"code":143,"error":"class A does not exist"}`},
		{"POST", "/push", `{}`, master, 400, `{"code":115,"error":"Sending a push requires either \"channels\" or a \"where\" query."}`},
		{"POST", "/push", `{"where":{},"channels":[]}`, master, 400, `{"code":115,"error":"Channels and query can not be set at the same time."}`},
		{"POST", "/push", `{"where":{}}`, master, 400, `{"code":115,"error":"Missing push configuration"}`},
		{"GET", "/scriptlog", "", master, 400, `{"code":115,"error":"Logger adapter is not available"}`},
		{"GET", "/graphql-config", "", master, 200, `{}`},
		{"POST", "/files", `x`, nil, 400, `{"code":122,"error":"Filename not provided."}`},
		{"POST", "/files/a.txt", "any bytes", nil, 400, `{"code":130,"error":"File upload by public is disabled."}`},
		{"POST", "/files/a.txt", `{"base64":"aGk=","_ApplicationId":"app"}`, noID, 400, `{"code":130,"error":"File upload by public is disabled."}`},
		{"POST", "/files/a.txt", "any bytes", session, 400, `{"code":130,"error":"File storage is not configured."}`},
		{"POST", "/files/a.txt", "any bytes", []string{"X-Parse-Master-Key", "ro"}, 403, permissionDenied},
		{"GET", "/files/app/a.txt", "", noID, 404, "File not found."},
		{"GET", "/files/app/metadata/a.txt", "", noID, 200, `{}`},
		{"GET", "/files/other/a.txt", "", noID, 403, permissionDenied},
		{"DELETE", "/files/a.txt", "", nil, 403, permissionDenied},
		{"DELETE", "/files/a.txt", "", master, 400, `{"code":153,"error":"File storage is not configured."}`},
		{"DELETE", "/files/a.txt", "", []string{"X-Parse-Master-Key", "ro"}, 403, permissionDenied},
		{"POST", "/events/AppOpened", `{"at":1}`, nil, 200, `{}`},
		{"POST", "/events/other", `{}`, session, 200, `{}`},
		{"POST", "/validate_purchase", `{}`, nil, 400, `{"code":107,"error":"missing receipt or productIdentifier"}`},
	} {
		w.want(c.method+" "+c.path+" "+strings.Join(c.headers, " "), w.ask(c.method, c.path, c.body, c.headers...), c.status, c.want)
	}
}

// TestObjects asks for one object in the ways that only this package knows: its Location, its parameters, its owner.
func TestObjects(t *testing.T) {
	w := newWorld(t)
	made := w.ask("POST", "/classes/A", `{"n":1}`)
	id := made.get("objectId").(string)
	if got, want := made.header.Get("Location"), w.http.URL+"/parse/classes/A/"+id; got != want {
		t.Errorf("Location = %s, want %s", got, want)
	}
	w.want("a parameter of find", w.ask("GET", "/classes/A/"+id+"?where=%7B%7D", ""), 400, `{"code":102,"error":"Improper encode of parameter"}`)
	w.want("an unknown parameter", w.ask("GET", "/classes/A?wher=%7B%7D", ""), 400, `{"code":102,"error":"Invalid parameter for query: wher"}`)
	w.want("parameters in a body and a query", w.ask("POST", "/classes/A?limit=0", `{"_method":"GET","limit":5,"count":1}`), 200, `{"results":[],"count":1}`)
	user, token := w.signUp("ann")
	_, other := w.signUp("bob")
	if a := w.ask("GET", "/users/"+user, "", "X-Parse-Session-Token", token); a.get("sessionToken") != token {
		t.Errorf("oneself = %s, want the session token in it", a.text)
	}
	if a := w.ask("GET", "/users/"+user, "", "X-Parse-Session-Token", other); strings.Contains(a.text, "sessionToken") {
		t.Errorf("somebody else = %s, want no session token", a.text)
	}
	audience := w.ask("POST", "/push_audiences", `{"name":"all","query":"{\"deviceType\":\"ios\"}"}`, master...)
	if audience.status != 201 {
		t.Fatalf("audience = %d %s", audience.status, audience.text)
	}
	for _, path := range []string{"/push_audiences/" + audience.get("objectId").(string), "/push_audiences"} {
		if a := w.ask("GET", path, "", master...); !strings.Contains(a.text, `"query":{"deviceType":"ios"}`) {
			t.Errorf("%s = %s, want the query as JSON", path, a.text)
		}
	}
	public := newWorld(t, func(c *Config) {
		c.ServerURL, c.PublicServerURL = "http://inside/parse", "https://outside.example/parse/"
	})
	made = public.ask("POST", "/classes/A", `{}`)
	if got, want := made.header.Get("Location"), "https://outside.example/parse/classes/A/"+made.get("objectId").(string); got != want {
		t.Errorf("Location behind a public URL = %s, want %s", got, want)
	}
}

// TestObserve tells routes and methods that clients cannot make up.
func TestObserve(t *testing.T) {
	seen := make(chan Observation, 10)
	w := newWorld(t, func(c *Config) { c.Observe = func(o Observation) { seen <- o } })
	for _, c := range []struct{ method, path, body, route, observed string }{
		{"GET", "/classes/Secret/abc", "", "/classes/:class/:id", "GET"},
		{"POST", "/classes/Secret", `{"_method":"get"}`, "/classes/:class", "GET"},
		{"POST", "/classes/Secret", `{"_method":"made-up"}`, "", "other"},
		{"GET", "/made/up", "", "", "GET"},
		{"BREW", "/classes/Secret", "", "", "other"},
	} {
		w.ask(c.method, c.path, c.body)
		if o := <-seen; o.Route != c.route || o.Method != c.observed || o.Status == 0 {
			t.Errorf("%s %s is observed as %+v, want route %q, method %s", c.method, c.path, o, c.route, c.observed)
		}
	}
}
