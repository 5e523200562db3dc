package parley_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/pubsub"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/memory"
)

const hookMaster = "mk-canary-0123456789"

// receiver is a web server that webhooks call.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []string // bodies
	keys   []string
	answer func(w http.ResponseWriter, r *http.Request)
}

func newReceiver(t *testing.T) *receiver {
	rc := &receiver{}
	rc.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		rc.mu.Lock()
		rc.got = append(rc.got, string(body))
		rc.keys = append(rc.keys, r.Header.Get("X-Parse-Webhook-Key"))
		answer := rc.answer
		rc.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if answer != nil {
			answer(w, r)
			return
		}
		if text, ok := strings.CutPrefix(r.URL.Path, "/say/"); ok {
			io.WriteString(w, text)
		}
	}))
	t.Cleanup(rc.Close)
	return rc
}

// say is a URL that answers a text.
func (rc *receiver) say(text string) string {
	return rc.URL + (&urlPath{"/say/" + text}).String()
}

type urlPath struct{ path string }

func (u *urlPath) String() string {
	var b strings.Builder
	for _, c := range []byte(u.path) {
		if c == '/' || c >= 'a' && c <= 'z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func (rc *receiver) take() (bodies, keys []string) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	bodies, keys = rc.got, rc.keys
	rc.got, rc.keys = nil, nil
	return bodies, keys
}

func hookServer(t *testing.T, change ...func(*parley.Config)) *parley.Server {
	t.Helper()
	cfg := parley.Config{
		AppID: "app", MasterKey: credential.Literal(hookMaster), MaintenanceKey: credential.Literal("mt-canary-0123456789"), ReadOnlyMasterKey: credential.Literal("ro-canary-0123456789"),
		RESTAPIKey: credential.Literal("rest-canary-0123456789"), WebhookKey: credential.Literal("wk-0123456789"),
		Store: memory.New(), AllowClientClassCreation: true, MasterKeyIPs: []string{"0.0.0.0/0"}, MaintenanceKeyIPs: []string{"0.0.0.0/0"},
	}
	for _, f := range change {
		f(&cfg)
	}
	s, err := parley.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// with has a server use a database.
func with(store func() storage.Adapter) func(*parley.Config) {
	return func(c *parley.Config) { c.Store = store() }
}

var restKey = []string{"X-Parse-REST-API-Key", "rest-canary-0123456789"}

func hookAsk(t *testing.T, s http.Handler, method, path, body string, headers ...string) string {
	t.Helper()
	w := ask(t, s, method, path, body, append(headers, restKey...)...)
	return fmt.Sprint(w.Code, " ", w.Body)
}

func (rc *receiver) declare(t *testing.T, s http.Handler, body string) {
	t.Helper()
	if got := hookAsk(t, s, "POST", "/hooks/triggers", body, "X-Parse-Master-Key", hookMaster); !strings.HasPrefix(got, "200 ") {
		t.Fatalf("declaring %s = %s", body, got)
	}
}

func (rc *receiver) function(t *testing.T, s http.Handler, name, url string) {
	rc.declare(t, s, fmt.Sprintf(`{"functionName":%q,"url":%q}`, name, url))
}

func (rc *receiver) trigger(t *testing.T, s http.Handler, class, kind, url string) {
	rc.declare(t, s, fmt.Sprintf(`{"className":%q,"triggerName":%q,"url":%q}`, class, kind, url))
}

// What a function hook answers, and what the client reads.
func TestWebhookFunctions(t *testing.T) { onEach(t, testWebhookFunctions) }

func testWebhookFunctions(t *testing.T, store func() storage.Adapter) {
	s, rc := hookServer(t, with(store)), newReceiver(t)
	for i, c := range []struct{ says, want string }{
		{`{"success":{"ok":1,"d":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}}}`, `200 {"result":{"ok":1,"d":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}}}`},
		{`{"success":null}`, `200 {"result":null}`},
		{`{"success":true}`, `200 {"result":true}`},
		{`{"success":{"__op":"Increment","amount":1}}`, `200 {"result":{"__op":"Increment","amount":1}}`},
		{`{}`, `200 {}`},
		{``, `200 {}`},
		{`{"error":"plain"}`, `400 {"code":141,"error":"plain"}`},
		{`{"error":{"code":77,"error":"bad"}}`, `400 {"code":141,"error":{"code":77,"error":"bad"}}`},
		{`{"error":{"code":77,"message":"bad"}}`, `400 {"code":141,"error":"bad"}`},
		{`hello`, `400 {"code":-1,"error":"Malformed response"}`},
		{`5`, `400 {"code":-1,"error":"Malformed response"}`},
		{`[1]`, `400 {"code":-1,"error":"Malformed response"}`},
		{`{"success":`, `400 {"code":-1,"error":"Malformed response"}`},
	} {
		name := fmt.Sprint("f", i)
		rc.function(t, s, name, rc.say(c.says))
		if got := hookAsk(t, s, "POST", "/functions/"+name, `{"a":1}`); got != c.want {
			t.Errorf("a function whose hook says %s = %s, want %s", c.says, got, c.want)
		}
	}
	if _, keys := rc.take(); len(keys) == 0 || keys[0] != "wk-0123456789" {
		t.Errorf("X-Parse-Webhook-Key = %q, want wk-0123456789", keys)
	}
}

// What trigger hooks answer.
func TestWebhookTriggers(t *testing.T) { onEach(t, testWebhookTriggers) }

func testWebhookTriggers(t *testing.T, store func() storage.Adapter) {
	s, rc := hookServer(t, with(store)), newReceiver(t)
	const mk = "X-Parse-Master-Key"
	rc.trigger(t, s, "A", "beforeSave", rc.say(`{"success":{"a":2,"added":"x","n":{"__op":"Increment","amount":5},"objectId":"zzz","createdAt":"q","className":"W"}}`))
	created := hookAsk(t, s, "POST", "/classes/A", `{"a":1,"gone":true}`)
	if !strings.Contains(created, `"a":2`) || !strings.Contains(created, `"added":"x"`) || !strings.Contains(created, `"n":5`) || strings.Contains(created, "zzz") {
		t.Errorf("POST = %s, want a 2, added x, n 5 and an objectId of the server", created)
	}
	if found := hookAsk(t, s, "GET", "/classes/A", ""); strings.Contains(found, "gone") || !strings.Contains(found, `"added":"x"`) {
		t.Errorf("GET = %s, want what the hook said and nothing else", found)
	}
	for _, c := range []struct{ kind, says, method, path, body, want string }{
		{"beforeSave", `{"error":"no"}`, "POST", "/classes/B", `{"a":1}`, `400 {"code":141,"error":"no"}`},
		{"beforeDelete", `{"error":{"code":1,"error":"no"}}`, "DELETE", "/classes/C/ID", ``, `400 {"code":141,"error":{"code":1,"error":"no"}}`},
		{"beforeFind", `{"error":"no find"}`, "GET", "/classes/D", ``, `400 {"code":141,"error":"no find"}`},
		{"afterFind", `{"success":[{"objectId":"x","a":9,"className":"E","createdAt":"2026-01-01T00:00:00.000Z"}]}`, "GET", "/classes/E", ``,
			`200 {"results":[{"objectId":"x","a":9,"createdAt":"2026-01-01T00:00:00.000Z","className":"E"}]}`},
		{"afterFind", `{"success":[1]}`, "GET", "/classes/F", ``, `400 {"code":-1,"error":"Malformed response"}`},
		{"beforeSave", `{"error":"no user"}`, "POST", "/users", `{"username":"u","password":"p"}`, `400 {"code":141,"error":"no user"}`},
		{"beforeSave", `{"error":"no config"}`, "PUT", "/config", `{"params":{"a":1}}`, `400 {"code":141,"error":"no config"}`},
	} {
		class := strings.TrimPrefix(c.path, "/classes/")
		class, _, _ = strings.Cut(class, "/")
		switch c.path {
		case "/users":
			class = "_User"
		case "/config":
			class = "@Config"
		}
		path := c.path
		if c.method != "POST" && class[0] != '@' {
			id := hookAsk(t, s, "POST", "/classes/"+class, `{"a":1}`)
			path = strings.Replace(path, "ID", strings.Split(id, `"`)[3], 1)
		}
		rc.trigger(t, s, class, c.kind, rc.say(c.says))
		if got := hookAsk(t, s, c.method, path, c.body, mk, hookMaster); got != c.want {
			t.Errorf("%s %s with a %s that says %s = %s, want %s", c.method, path, c.kind, c.says, got, c.want)
		}
	}
}

// The payloads have the members of Parse Server, and no key of anybody.
func TestWebhookPayloads(t *testing.T) { onEach(t, testWebhookPayloads) }

func testWebhookPayloads(t *testing.T, store func() storage.Adapter) {
	s, rc := hookServer(t, with(store)), newReceiver(t)
	for _, class := range []string{"A", "_User"} {
		for _, kind := range []string{"beforeSave", "afterSave", "beforeDelete", "afterDelete", "beforeFind", "afterFind"} {
			rc.trigger(t, s, class, kind, rc.say(`{}`))
		}
	}
	rc.trigger(t, s, "_User", "beforeLogin", rc.say(`{}`))
	rc.trigger(t, s, "_User", "afterLogin", rc.say(`{}`))
	rc.trigger(t, s, "_Session", "afterLogout", rc.say(`{}`))
	rc.trigger(t, s, "@Config", "beforeSave", rc.say(`{}`))
	rc.trigger(t, s, "@Config", "afterSave", rc.say(`{}`))
	rc.function(t, s, "f", rc.say(`{"success":1}`))

	sent := map[string]map[string]any{}
	scan := func(what string, secrets ...string) {
		t.Helper()
		bodies, _ := rc.take()
		if len(bodies) == 0 {
			t.Errorf("%s called no hook", what)
		}
		for _, body := range bodies {
			if strings.HasPrefix(body, `{"triggerName":"beforeSave","object":{"username"`) { // which may look at a new password
				body = strings.Replace(body, `"password":"password-canary"`, `"password":""`, 1)
			}
			for _, secret := range append(secrets, "canary") {
				if strings.Contains(body, secret) {
					t.Errorf("%s sent a secret (%.8s…)", what, secret)
				}
			}
			var m map[string]any
			if err := json.Unmarshal([]byte(body), &m); err != nil {
				t.Errorf("%s sent %s: %v", what, body, err)
			}
			name, _ := m["triggerName"].(string)
			sent[name] = m
		}
	}
	signed := hookAsk(t, s, "POST", "/users", `{"username":"ann","password":"password-canary"}`)
	var user struct{ ObjectID, SessionToken string }
	if err := json.Unmarshal([]byte(signed[4:]), &user); err != nil {
		t.Fatal(signed)
	}
	scan("sign-up", user.SessionToken)
	as := []string{"X-Parse-Session-Token", user.SessionToken, "X-Parse-Installation-Id", "inst", "Cookie", "c=cookie-canary", "Authorization", "Bearer bearer-canary"}
	created := hookAsk(t, s, "POST", "/classes/A", `{"a":1}`, as...)
	id := strings.Split(created, `"`)[3]
	withToken := func(what string) { // the session token of the caller stands in user and nowhere else
		t.Helper()
		bodies, _ := rc.take()
		for _, body := range bodies {
			if strings.Count(body, user.SessionToken) != 1 || !strings.Contains(body, `"sessionToken":"`+user.SessionToken+`"`) || strings.Contains(body, "canary") {
				t.Errorf("%s sent %s", what, strings.ReplaceAll(body, user.SessionToken, "TOKEN"))
			}
			var m map[string]any
			_ = json.Unmarshal([]byte(body), &m)
			name, _ := m["triggerName"].(string)
			sent[name] = m
		}
	}
	withToken("create")
	hookAsk(t, s, "PUT", "/classes/A/"+id, `{"a":2}`, as...)
	withToken("update")
	if got := sent["beforeSave"]; got["original"].(map[string]any)["a"] != 1.0 || got["object"].(map[string]any)["a"] != 2.0 || got["object"].(map[string]any)["className"] != "A" ||
		got["master"] != false || got["installationId"] != "inst" || got["user"].(map[string]any)["username"] != "ann" {
		t.Errorf("beforeSave of an update sent %v", got)
	}
	hookAsk(t, s, "GET", "/classes/A?limit=3&order=-a&keys=a&where="+`%7B%22a%22%3A2%7D`, "", as...)
	withToken("find")
	if got, want := fmt.Sprint(sent["beforeFind"]["query"]), "map[keys:a limit:3 order:-a where:map[a:2]]"; got != want {
		t.Errorf("beforeFind sent the query %s, want %s", got, want)
	}
	if got := sent["afterFind"]["objects"].([]any); len(got) != 1 || got[0].(map[string]any)["objectId"] != id {
		t.Errorf("afterFind sent the objects %v", got)
	}
	hookAsk(t, s, "DELETE", "/classes/A/"+id, "", as...)
	withToken("delete")
	hookAsk(t, s, "POST", "/functions/f", `{"p":1}`, "X-Parse-Cloud-Context", `{"k":1}`)
	scan("a function", user.SessionToken)
	if got, want := fmt.Sprint(sent[""]["params"], sent[""]["context"], sent[""]["functionName"]), "map[p:1] map[k:1]f"; got != want {
		t.Errorf("the function was sent %s, want %s", got, want)
	}
	for _, key := range [][2]string{{"X-Parse-Master-Key", hookMaster}, {"X-Parse-Master-Key", "ro-canary-0123456789"}, {"X-Parse-Maintenance-Key", "mt-canary-0123456789"}} {
		hookAsk(t, s, "POST", "/functions/f", `{}`, key[0], key[1])
		scan("a function with " + key[0])
	}
	hookAsk(t, s, "POST", "/functions/f", `{"_ApplicationId":"app","_MasterKey":"`+hookMaster+`","_JavaScriptKey":"js-canary"}`, "X-Parse-Application-Id", "")
	rc.take()
	hookAsk(t, s, "POST", "/login", `{"username":"ann","password":"password-canary"}`)
	scan("login", user.SessionToken)
	hookAsk(t, s, "POST", "/logout", `{}`, "X-Parse-Session-Token", user.SessionToken)
	bodies, _ := rc.take()
	for _, body := range bodies {
		if strings.Count(body, user.SessionToken) > 1 {
			t.Errorf("logout sent the token more than once")
		}
	}
	hookAsk(t, s, "PUT", "/config", `{"params":{"a":1}}`, "X-Parse-Master-Key", hookMaster)
	scan("the config")
	if got, want := fmt.Sprint(sent["beforeSave"]["object"]), "map[a:1 className:@Config]"; got != want {
		t.Errorf("beforeSave of the config sent %s, want %s", got, want)
	}
}

// A hook that does not behave costs its caller one clear error.
func TestWebhookFaults(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	s := hookServer(t, func(c *parley.Config) {
		c.Webhooks = parley.WebhookOptions{Timeout: 300 * time.Millisecond, MaxAnswer: 1000}
		c.Log = slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))
	})
	rc := newReceiver(t)
	var followed atomic.Bool
	rc.answer = func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			<-r.Context().Done()
		case "/huge":
			io.WriteString(w, `{"success":"`+strings.Repeat("x", 2000)+`"}`)
		case "/500":
			w.WriteHeader(500)
			io.WriteString(w, "<html>internal-text</html>")
		case "/500json":
			w.WriteHeader(500)
			io.WriteString(w, `{"error":"of the hook"}`)
		case "/401":
			w.WriteHeader(401)
		case "/302":
			http.Redirect(w, r, "/followed", http.StatusFound)
		case "/307":
			http.Redirect(w, r, "/followed", http.StatusTemporaryRedirect)
		case "/followed":
			followed.Store(true)
		case "/cut":
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				c.Close()
			}
		case "/half":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"succ`)
		}
	}
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	defer tls.Close()
	tls.Config.ErrorLog = stdlog.New(io.Discard, "", 0) // it complains of our refusal
	for name, c := range map[string]struct{ url, want string }{
		"slow":    {rc.URL + "/slow", `500 {"code":124,"error":"The request was not completed in time."}`},
		"huge":    {rc.URL + "/huge", `400 {"code":141,"error":"The answer of the webhook is too long."}`},
		"five":    {rc.URL + "/500", `400 {"code":141,"error":"The webhook answered with status 500."}`},
		"json":    {rc.URL + "/500json", `400 {"code":141,"error":"of the hook"}`},
		"no":      {rc.URL + "/401", `400 {"code":141,"error":"The webhook answered with status 401."}`},
		"moved":   {rc.URL + "/302", `400 {"code":141,"error":"The webhook answered with status 302."}`},
		"moved7":  {rc.URL + "/307", `400 {"code":141,"error":"The webhook answered with status 307."}`},
		"cut":     {rc.URL + "/cut", `400 {"code":141,"error":"The connection to the webhook was lost."}`},
		"half":    {rc.URL + "/half", `400 {"code":141,"error":"The connection to the webhook was lost."}`},
		"down":    {"http://user:url-password@" + strings.TrimPrefix(down.URL, "http://"), `400 {"code":141,"error":"The webhook cannot be reached."}`},
		"unknown": {tls.URL, `400 {"code":141,"error":"The connection to the webhook was lost."}`},
	} {
		rc.function(t, s, name, c.url)
		got := hookAsk(t, s, "POST", "/functions/"+name, `{}`)
		if strings.HasPrefix(c.want, "500") {
			got = strings.TrimPrefix(got, strings.Split(got, " ")[0])
			c.want = strings.TrimPrefix(c.want, "500")
		}
		if name == "down" && strings.Contains(got, "124") { // the pauses between attempts may have used up the time
			continue
		}
		if got != c.want {
			t.Errorf("%s = %s, want %s", name, got, c.want)
		}
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
	mu.Lock()
	defer mu.Unlock()
	if text := log.String(); strings.Contains(text, "url-password") || strings.Contains(text, "wk-0123456789") {
		t.Errorf("the log has a secret: %s", text)
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

// What is not allowed is neither declared nor called, whatever name it has.
func TestWebhookAllowList(t *testing.T) {
	rc := newReceiver(t)
	store := memory.New()
	open := hookServer(t, func(c *parley.Config) { c.Store = store })
	rc.function(t, open, "stored", rc.say(`{"success":1}`))
	local := strings.Replace(rc.URL, "127.0.0.1", "localhost", 1)
	s := hookServer(t, func(c *parley.Config) {
		c.Store = store
		c.Webhooks.Allow = []string{"hooks.example.com", "*.example.org", "192.0.2.0/24"}
	})
	n := 0
	for url, want := range map[string]string{
		rc.URL:                        `400 {"code":143,"error":"invalid hook declaration"}`,
		"http://evil.example":         `200 `, // its address is looked at when it is called
		"https://hooks.example.com/x": `200 `,
		"https://a.b.example.org/x":   `200 `,
		"http://192.0.2.7/x":          `200 `,
		"http://[::ffff:127.0.0.1]/x": `400 {"code":143,"error":"invalid hook declaration"}`,
		"ftp://hooks.example.com/x":   `400 {"code":143,"error":"invalid hook declaration"}`,
		"nonsense":                    `400 {"code":143,"error":"invalid hook declaration"}`,
		"http://2130706433/":          `200 `, // no address to us, so that it is looked up like a name
	} {
		got := hookAsk(t, s, "POST", "/hooks/functions", fmt.Sprintf(`{"functionName":"f%d","url":%q}`, n, url), "X-Parse-Master-Key", hookMaster)
		n++
		if !strings.HasPrefix(got, want) {
			t.Errorf("declaring %s = %s, want %s…", url, got, want)
		}
	}
	rc.function(t, s, "local", local)
	for name, want := range map[string]string{
		"stored": `400 {"code":141,"error":"Invalid function: \"stored\""}`,
		"local":  `400 {"code":141,"error":"The connection to the webhook was lost."}`,
	} {
		if got := hookAsk(t, s, "POST", "/functions/"+name, `{}`); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	if bodies, _ := rc.take(); len(bodies) != 0 {
		t.Errorf("the receiver was called: %v", bodies)
	}
}

// A receiver that knows one version of the key is shown the one before, during the overlap.
func TestWebhookKeyRotates(t *testing.T) {
	value := atomic.Value{}
	value.Store("wk-first-0123456789")
	rc := newReceiver(t)
	s := hookServer(t, func(c *parley.Config) {
		c.WebhookKey = credential.Func(func(context.Context) (string, error) { return value.Load().(string), nil })
	})
	var knows atomic.Value
	knows.Store("wk-first-0123456789")
	rc.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Parse-Webhook-Key") != knows.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, `{"success":1}`)
	}
	rc.function(t, s, "f", rc.URL)
	call := func(want string, keys ...string) {
		t.Helper()
		if got := hookAsk(t, s, "POST", "/functions/f", `{}`); got != want {
			t.Errorf("f = %s, want %s", got, want)
		}
		if _, got := rc.take(); fmt.Sprint(got) != fmt.Sprint(keys) {
			t.Errorf("the receiver was shown %v, want %v", got, keys)
		}
	}
	call(`200 {"result":1}`, "wk-first-0123456789")
	value.Store("wk-second-0123456789")
	if err := s.Credentials().Get("webhookKey").Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	call(`200 {"result":1}`, "wk-second-0123456789", "wk-first-0123456789")
	knows.Store("wk-second-0123456789")
	call(`200 {"result":1}`, "wk-second-0123456789")
	knows.Store("another")
	call(`400 {"code":141,"error":"The webhook answered with status 401."}`, "wk-second-0123456789", "wk-first-0123456789", "wk-second-0123456789")
}

// A receiver changes the key that it accepts while calls run, before the store does and after it: none is refused.
func TestWebhookKeyRotatesUnderCalls(t *testing.T) {
	var stored, knows atomic.Value
	name := func(version int) string { return fmt.Sprintf("wk-%08d-0123456789", version) }
	stored.Store(name(0))
	knows.Store(name(0))
	rc := newReceiver(t)
	s := hookServer(t, func(c *parley.Config) {
		c.WebhookKey = credential.Func(func(context.Context) (string, error) { return stored.Load().(string), nil })
	})
	var newest atomic.Int64
	rc.answer = func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("X-Parse-Webhook-Key")
		if key != knows.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var version int64
		fmt.Sscanf(key, "wk-%d-", &version)
		newest.Store(max(version, newest.Load()))
		io.WriteString(w, `{"success":1}`)
	}
	rc.function(t, s, "f", rc.URL)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var calls atomic.Int64
	for range 8 {
		all.Go(func() {
			for ctx.Err() == nil {
				if got := hookAsk(t, s, "POST", "/functions/f", `{}`); got != `200 {"result":1}` {
					t.Errorf("f = %s", got)
					return
				}
				calls.Add(1)
			}
		})
	}
	more := func() { // calls run with what is true now
		for before := calls.Load(); calls.Load() < before+50 && !t.Failed(); time.Sleep(time.Millisecond) {
		}
	}
	more()
	refresh := func(version int) {
		stored.Store(name(version))
		if err := s.Credentials().Get("webhookKey").Refresh(t.Context()); err != nil {
			t.Error(err)
		}
	}
	stored.Store(name(1)) // both at the same time: the server learns of it by a refusal
	knows.Store(name(1))
	more()
	refresh(2) // the store first
	more()
	knows.Store(name(2))
	more()
	refresh(3)
	more()
	knows.Store(name(3))
	more()
	stop()
	all.Wait()
	if newest.Load() != 3 {
		t.Errorf("the newest key that was accepted is number %d, want 3", newest.Load())
	}
}

// A hook that is declared on one server runs on the others, and after a restart; cloud code of the same name goes before it.
func TestWebhooksOfSeveralServers(t *testing.T) { onEach(t, testWebhooksOfSeveralServers) }

func testWebhooksOfSeveralServers(t *testing.T, store func() storage.Adapter) {
	bus := pubsub.NewLocal(pubsub.LocalConfig{})
	defer bus.Close()
	rc := newReceiver(t)
	var code cloud.Code
	code.Define("both", func(context.Context, *cloud.FunctionRequest) (any, error) { return "code", nil })
	with := func(c *parley.Config) {
		c.Store, c.Bus, c.InstallKey = store(), bus, credential.NewSecret(strings.Repeat("k", 32))
	}
	a, b := hookServer(t, with), hookServer(t, with, func(c *parley.Config) { c.Cloud, c.Node = &code, "b" })
	rc.function(t, a, "both", rc.say(`{"success":"hook"}`))
	rc.function(t, a, "one", rc.say(`{"success":"hook"}`))
	eventually(t, func() bool { return hookAsk(t, b, "POST", "/functions/one", `{}`) == `200 {"result":"hook"}` })
	if got, want := hookAsk(t, b, "POST", "/functions/both", `{}`), `200 {"result":"code"}`; got != want {
		t.Errorf("both = %s, want %s", got, want)
	}
	restarted := hookServer(t, with)
	if got, want := hookAsk(t, restarted, "POST", "/functions/both", `{}`), `200 {"result":"hook"}`; got != want {
		t.Errorf("both after a restart = %s, want %s", got, want)
	}
	if got, want := hookAsk(t, b, "PUT", "/hooks/functions/one", `{"__op":"Delete"}`, "X-Parse-Master-Key", hookMaster), `200 {}`; got != want {
		t.Errorf("DELETE = %s, want %s", got, want)
	}
	eventually(t, func() bool {
		return hookAsk(t, a, "POST", "/functions/one", `{}`) == `400 {"code":141,"error":"Invalid function: \"one\""}`
	})
}

// In tables that Parse Server made, hooks and schedules work as in those of Parley, beside what it stored.
func TestCloudCodeOfTablesOfParseServer(t *testing.T) {
	uri, rc := handedOver(t), newReceiver(t)
	start := func() *parley.Server {
		var code cloud.Code
		code.Job("tick", func(context.Context, *cloud.JobRequest) error { return nil })
		return hookServer(t, func(c *parley.Config) { c.Store, c.Cloud = openPostgres(t, uri), &code })
	}
	s, mk := start(), []string{"X-Parse-Master-Key", hookMaster}
	const theirs = `{"functionName":"f1","url":"http://127.0.0.1:9/x"}`
	if got, want := hookAsk(t, s, "GET", "/hooks/functions", "", mk...), "200 ["+theirs+"]"; got != want {
		t.Errorf("GET /hooks/functions = %s, want %s", got, want)
	}
	says := rc.say(`{"success":1}`)
	for _, name := range []string{"zzz", "aaa"} {
		rc.function(t, s, name, says)
	}
	rc.trigger(t, s, "Game", "beforeFind", rc.say(`{"error":"not now"}`))
	for _, s := range []*parley.Server{s, start()} {
		got := hookAsk(t, s, "GET", "/hooks/functions", "", mk...)
		for _, hook := range []string{theirs, `{"functionName":"zzz","url":"` + says + `"}`, `{"functionName":"aaa","url":"` + says + `"}`} {
			if strings.Count(got, hook) != 1 {
				t.Errorf("GET /hooks/functions = %s, want %s in it", got, hook)
			}
		}
		if got, want := hookAsk(t, s, "POST", "/functions/aaa", "{}"), `200 {"result":1}`; got != want {
			t.Errorf("aaa = %s, want %s", got, want)
		}
		if got, want := hookAsk(t, s, "GET", "/classes/Game", "", mk...), `400 {"code":141,"error":"not now"}`; got != want {
			t.Errorf("GET Game = %s, want %s", got, want)
		}
	}
	if got, want := hookAsk(t, s, "PUT", "/hooks/functions/f1", `{"url":"`+says+`"}`, mk...), `200 {"functionName":"f1","url":"`+says+`"}`; got != want {
		t.Errorf("PUT f1 = %s, want %s", got, want)
	}
	if got, want := hookAsk(t, s, "POST", "/functions/f1", "{}"), `200 {"result":1}`; got != want {
		t.Errorf("f1 = %s, want %s", got, want)
	}
	if got, want := hookAsk(t, s, "PUT", "/hooks/functions/f1", `{"__op":"Delete"}`, mk...), `200 {}`; got != want {
		t.Errorf("removing f1 = %s, want %s", got, want)
	}
	// A schedule that has never run has no lastRun there.
	created := hookAsk(t, s, "POST", "/cloud_code/jobs", `{"job_schedule":{"jobName":"tick","params":"{}"}}`, mk...)
	if !strings.HasPrefix(created, `201 {"objectId":"`) {
		t.Fatalf("POST /cloud_code/jobs = %s", created)
	}
	runs := func() int {
		return strings.Count(hookAsk(t, s, "GET", `/classes/_JobStatus?where=%7B%22source%22%3A%22schedule%22%2C%22status%22%3A%22succeeded%22%7D`, "", mk...), `"objectId"`)
	}
	eventuallyWithin(t, time.Minute, func() bool { return runs() == 1 }) // schedules are looked at every 15 s
	if got := hookAsk(t, s, "GET", "/cloud_code/jobs", "", mk...); !strings.Contains(got, `"lastRun":`) {
		t.Errorf("GET /cloud_code/jobs = %s, want lastRun in it", got)
	}
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	eventuallyWithin(t, 20*time.Second, holds)
}

func eventuallyWithin(t *testing.T, limit time.Duration, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come about")
		}
	}
}
