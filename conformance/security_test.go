package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const open = `{"allowClientClassCreation":true}`

// on runs a test against each database.
func on(t *testing.T, options string, test func(t *testing.T, client *http.Client, base string)) {
	for _, uri := range []string{"memory:", "sqlite::memory:"} {
		t.Run(uri, func(t *testing.T) {
			test(t, client(t), newServer(t, options, uri))
		})
	}
}

func master(more ...string) []string {
	return append([]string{"X-Parse-Master-Key", MasterKey}, more...)
}

func find(params string) string { return `{"_method":"GET",` + params + `}` }

// TestAuthDataIsNotGuessed checks that a user whom everybody may read does not lose what its login consists of.
func TestAuthDataIsNotGuessed(t *testing.T) {
	on(t, `{"enforcePrivateUsers":false}`, func(t *testing.T, client *http.Client, base string) {
		call(t, client, base, "POST", "/users", `{"authData":{"anonymous":{"id":"abcdef","pin":"1234"}}}`)
		for _, c := range []struct {
			params, want string
		}{
			{`"where":{"authData.anonymous.id":"abcdef"},"count":1,"limit":0`, `{"count":1,"results":[],"status":"200"}`},
			{`"where":{"authData.anonymous.id":{"$in":["abcdef","x"]}},"count":1,"limit":0`, `{"count":1,"results":[],"status":"200"}`},
			{`"where":{"authData.anonymous.id":{"$regex":"^a"}}`, denied},
			{`"where":{"authData.anonymous.id":{"$gt":"a"}}`, denied},
			{`"where":{"authData.anonymous.id":{"$all":[{"$regex":"^a"}]}}`, denied},
			{`"where":{"$or":[{"username":"x"},{"$nor":[{"authData.anonymous.id":{"$lt":"b"}}]}]}`, denied},
			{`"where":{"authData.anonymous.pin":{"$in":["1233","1234"]}}`, denied},
			{`"where":{"authData.anonymous.pin":"1234"}`, denied},
			{`"where":{"objectId":{"$select":{"key":"objectId","query":{"className":"_User","where":{"authData.anonymous.pin":"1234"}}}}}`, denied},
			{`"order":"authData.anonymous.pin"`, denied},
		} {
			if got := show2(call(t, client, base, "POST", "/users", find(c.params))); got != c.want {
				t.Errorf("find %s = %s, want %s", c.params, got, c.want)
			}
		}
	})
}

const denied = `{"code":119,"error":"Permission denied","status":"400"}`

func show2(r reply) string {
	text, _ := json.Marshal(r)
	return string(text)
}

// TestFailedLoginsCount checks that the lockout cannot be got round by letting a transaction take the count back.
func TestFailedLoginsCount(t *testing.T) {
	on(t, `{"accountLockout":{"threshold":2,"duration":5}}`, func(t *testing.T, client *http.Client, base string) {
		call(t, client, base, "POST", "/users", `{"username":"u","password":"right"}`)
		for _, path := range []string{"/login", "/verifyPassword"} {
			got := call(t, client, base, "POST", "/batch", `{"transaction":true,"requests":[{"method":"POST","path":"/parse`+path+`","body":{"username":"u","password":"wrong"}}]}`)
			if want := `{"code":107,"error":"cannot run POST ` + path + ` in a transaction","status":"400"}`; show2(got) != want {
				t.Errorf("%s in a transaction = %s, want %s", path, show2(got), want)
			}
		}
		for range 3 {
			call(t, client, base, "POST", "/batch", `{"requests":[{"method":"POST","path":"/parse/login","body":{"username":"u","password":"wrong"}}]}`)
		}
		got := call(t, client, base, "POST", "/login", `{"username":"u","password":"right"}`)
		if want := "Your account is locked due to multiple failed login attempts. Please try again after 5 minute(s)"; got.text("error") != want {
			t.Errorf("login after three wrong ones in batches = %s, want %q", show2(got), want)
		}
	})
}

// TestTransactionsDoNotWaitForThemselves checks that what needs the database beside a transaction is refused in one.
func TestTransactionsDoNotWaitForThemselves(t *testing.T) {
	on(t, open, func(t *testing.T, client *http.Client, base string) {
		for _, request := range []string{
			`{"method":"PUT","path":"/parse/config","body":{"params":{"a":1}}}`,
			`{"method":"POST","path":"/parse/schemas/New","body":{}}`,
			`{"method":"DELETE","path":"/parse/purge/New"}`,
			`{"method":"POST","path":"/parse/loginAs","body":{"userId":"x"}}`,
		} {
			got := call(t, client, base, "POST", "/batch", `{"transaction":true,"requests":[`+request+`]}`, master()...)
			if got["code"] != 107.0 {
				t.Errorf("%s in a transaction = %s, want code 107", request, show2(got))
			}
		}
		// A class and fields that come to be in a transaction do not need that.
		got := call(t, client, base, "POST", "/batch", `{"transaction":true,"requests":[{"method":"POST","path":"/parse/classes/N","body":{"a":1}},{"method":"POST","path":"/parse/classes/N","body":{"b":"x"}}]}`)
		if list, _ := got["list"].([]any); len(list) != 2 {
			t.Errorf("two creates in a transaction = %s, want two answers", show2(got))
		}
	})
}

// TestFrozenFieldsStayWhole checks that no dotted key reaches into a field that its owner may not write.
func TestFrozenFieldsStayWhole(t *testing.T) {
	on(t, open, func(t *testing.T, client *http.Client, base string) {
		user := call(t, client, base, "POST", "/users", `{"username":"u","password":"p"}`)
		session := []string{"X-Parse-Session-Token", user.text("sessionToken")}
		mine := call(t, client, base, "GET", "/sessions/me", "", session...)
		for _, c := range []struct{ path, body, want string }{
			{"/sessions/" + mine.text("objectId"), `{"createdWith.action":"login"}`, `{"code":105,"error":"Invalid key name: createdWith","status":"400"}`},
			{"/sessions/" + mine.text("objectId"), `{"user.objectId":{"__op":"Delete"}}`, `{"code":105,"error":"Invalid key name: user","status":"400"}`},
			{"/users/" + user.text("objectId"), `{"emailVerified.x":{"__op":"Delete"}}`, denied},
			{"/users/" + user.text("objectId"), `{"ACL.*":{"write":true}}`, `{"code":111,"error":"schema mismatch for _User.ACL; expected ACL but got Object","status":"400"}`},
			{"/users/" + user.text("objectId"), `{"_hashed_password":{"__op":"Delete"}}`, `{"code":105,"error":"Invalid field name: _hashed_password.","status":"400"}`},
			{"/users/" + user.text("objectId"), `{"authData.anonymous":{"id":"x"}}`, `{"code":105,"error":"Invalid field name for update: authData.anonymous","status":"400"}`},
		} {
			if got := show2(call(t, client, base, "PUT", c.path, c.body, session...)); got != c.want {
				t.Errorf("PUT %s = %s, want %s", c.body, got, c.want)
			}
		}
		call(t, client, base, "PUT", "/users/"+user.text("objectId"), `{"sessionToken.x":1}`, session...)
		fields, _ := call(t, client, base, "GET", "/schemas/_User", "", master()...)["fields"].(map[string]any)
		if fields["sessionToken"] != nil {
			t.Errorf("a client gave users the field sessionToken: %v", fields["sessionToken"])
		}
	})
}

// TestKeysInOtherPlaces checks that a key counts only where the protocol has it, and once.
func TestKeysInOtherPlaces(t *testing.T) {
	base := newServer(t, open, "memory:")
	client := client(t)
	const body = `{"_ApplicationId":"app","_method":"GET",`
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		want                     string // HTTP status
	}{
		{"header", "GET", "/schemas", "", master(), "200"},
		{"empty", "GET", "/schemas", "", []string{"X-Parse-Master-Key", ""}, "403"},
		{"blank", "GET", "/schemas", "", []string{"X-Parse-Master-Key", "  "}, "403"},
		{"twice, the right one first", "GET", "/schemas", "", master("X-Parse-Master-Key", "wrong"), "403"},
		{"twice, the right one last", "GET", "/schemas", "", append([]string{"X-Parse-Master-Key", "wrong"}, master()...), "403"},
		{"the application twice", "GET", "/schemas", "", master("X-Parse-Application-Id", "other"), "403"},
		{"in the query string", "GET", "/schemas?_MasterKey=" + MasterKey + "&masterKey=" + MasterKey, "", nil, "403"},
		{"as the maintenance key", "GET", "/schemas", "", []string{"X-Parse-Maintenance-Key", MasterKey}, "403"},
		{"the maintenance key as master key", "GET", "/schemas", "", []string{"X-Parse-Master-Key", MaintenanceKey}, "403"},
		{"the maintenance key", "GET", "/schemas", "", []string{"X-Parse-Maintenance-Key", MaintenanceKey}, "403"},
		{"body", "POST", "/schemas", body + `"_MasterKey":"` + MasterKey + `"}`, []string{"X-Parse-Application-Id", ""}, "200"},
		{"body beside a wrong header", "POST", "/schemas", body + `"_MasterKey":"` + MasterKey + `"}`, []string{"X-Parse-Application-Id", "", "X-Parse-Master-Key", "wrong"}, "403"},
		{"body beside the application in a header", "POST", "/schemas", body + `"_MasterKey":"` + MasterKey + `"}`, nil, "403"},
		{"body, an array", "POST", "/schemas", body + `"_MasterKey":["` + MasterKey + `"]}`, []string{"X-Parse-Application-Id", ""}, "403"},
		{"body, an object", "POST", "/schemas", body + `"_MasterKey":{"$ne":""}}`, []string{"X-Parse-Application-Id", ""}, "403"},
		{"body, the maintenance key", "POST", "/sessions", body + `"_MaintenanceKey":"` + MaintenanceKey + `"}`, []string{"X-Parse-Application-Id", ""}, "400"},
		{"body, the maintenance key reads internal names", "POST", "/users", body + `"where":{"_failed_login_count":1},"_MaintenanceKey":"` + MaintenanceKey + `"}`, []string{"X-Parse-Application-Id", ""}, "200"},
		{"body, a wrong maintenance key", "POST", "/users", body + `"where":{"_failed_login_count":1},"_MaintenanceKey":"x"}`, []string{"X-Parse-Application-Id", ""}, "400"},
	} {
		r, err := http.NewRequest(c.method, base+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if !(len(c.headers) > 1 && c.headers[0] == "X-Parse-Application-Id" && c.headers[1] == "") {
			r.Header.Set("X-Parse-Application-Id", ApplicationID)
		}
		for i := 0; i < len(c.headers); i += 2 {
			if c.headers[i+1] != "" || c.headers[i] != "X-Parse-Application-Id" {
				r.Header.Add(c.headers[i], c.headers[i+1])
			}
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if got := fmt.Sprint(answer.StatusCode); got != c.want {
			t.Errorf("%s: %s %s = %s, want %s", c.name, c.method, c.path, got, c.want)
		}
	}
}

// TestForwardedAddresses checks that nobody gets the master key to work by claiming to come from this machine.
func TestForwardedAddresses(t *testing.T) {
	for _, c := range []struct {
		options, forwarded, want string
	}{
		{`{"masterKeyIps":["10.0.0.1"]}`, "10.0.0.1", "403"},
		{`{"masterKeyIps":["10.0.0.1"],"trustProxy":1}`, "10.0.0.1", "200"},
		{`{"masterKeyIps":["10.0.0.1"],"trustProxy":1}`, "::ffff:10.0.0.1", "200"},
		{`{"masterKeyIps":["10.0.0.1"],"trustProxy":1}`, "10.0.0.1, 8.8.8.8", "403"},
		{`{"trustProxy":1}`, "127.0.0.1, 8.8.8.8", "403"},
		{`{"trustProxy":"loopback"}`, "127.0.0.1, 8.8.8.8", "403"},
		{`{"trustProxy":"loopback"}`, "127.0.0.1, ::ffff:8.8.8.8", "403"},
		{`{"trustProxy":"loopback"}`, "8.8.8.8", "403"},
	} {
		base := newServer(t, c.options, "memory:")
		if got := call(t, client(t), base, "GET", "/schemas", "", master("X-Forwarded-For", c.forwarded)...).text("status"); got != c.want {
			t.Errorf("with %s and X-Forwarded-For: %s the master key is answered %s, want %s", c.options, c.forwarded, got, c.want)
		}
	}
}

// mutations are requests that change something, each, when the master key sends them.
var mutations = []struct{ method, path, body string }{
	{"POST", "/classes/A", `{"n":2}`},
	{"PUT", "/classes/A/one", `{"n":3}`},
	{"DELETE", "/classes/A/one", ``},
	{"POST", "/users", `{"username":"new","password":"p"}`},
	{"PUT", "/users/${user}", `{"x":1}`},
	{"DELETE", "/users/${user}", ``},
	{"POST", "/users", `{"authData":{"anonymous":{"id":"new"}}}`},
	{"POST", "/sessions", `{"user":{"__type":"Pointer","className":"_User","objectId":"${user}"}}`},
	{"POST", "/roles", `{"name":"new","ACL":{}}`},
	{"POST", "/installations", `{"installationId":"i","deviceType":"ios"}`},
	{"POST", "/push_audiences", `{"name":"a","query":"{}"}`},
	{"POST", "/schemas/New", `{}`},
	{"POST", "/schemas", `{"className":"New"}`},
	{"PUT", "/schemas/A", `{"fields":{"new":{"type":"String"}}}`},
	{"DELETE", "/schemas/Empty", ``},
	{"DELETE", "/purge/A", ``},
	{"PUT", "/config", `{"params":{"a":1}}`},
	{"POST", "/loginAs", `{"userId":"${user}"}`},
	{"POST", "/loginAs?userId=${user}", `{}`},
	{"POST", "/batch", `{"requests":[{"method":"POST","path":"/parse/classes/A","body":{"n":4}},{"method":"PUT","path":"/parse/config","body":{"params":{"a":1}}},{"method":"POST","path":"/parse/loginAs","body":{"userId":"${user}"}}]}`},
	{"POST", "/batch", `{"transaction":true,"requests":[{"method":"POST","path":"/parse/classes/A","body":{"n":5}}]}`},
	{"POST", "/classes/A/one", `{"_method":"PUT","n":6}`},
	{"POST", "/classes/A/one", `{"_method":"DELETE"}`},
	{"POST", "/classes/New", `{"n":1}`},
	{"POST", "/classes/A", `{"unheard":1}`},
}

// TestReadOnlyKeyChangesNothing tries every way to change something with the read-only master key and looks at everything afterwards. That
// each way does change something with the master key shows that the test sees it.
func TestReadOnlyKeyChangesNothing(t *testing.T) {
	on(t, `{"allowClientClassCreation":true,"allowCustomObjectId":true}`, func(t *testing.T, client *http.Client, base string) {
		user := call(t, client, base, "POST", "/users", `{"authData":{"anonymous":{"id":"u"}}}`).text("objectId")
		call(t, client, base, "POST", "/schemas/Empty", `{}`, master()...)
		call(t, client, base, "POST", "/classes/A", `{"objectId":"one","n":1}`)
		before := everything(t, client, base)
		for _, m := range mutations {
			path, body := strings.ReplaceAll(m.path, "${user}", user), strings.ReplaceAll(m.body, "${user}", user)
			got := call(t, client, base, m.method, path, body, "X-Parse-Master-Key", ReadOnlyMasterKey)
			if after := everything(t, client, base); after != before {
				t.Fatalf("%s %s %s with the read-only key (%s) changed something:\n%s", m.method, path, body, show2(got), cmp.Diff(before, after))
			}
			if strings.Contains(show2(got), "sessionToken") {
				t.Errorf("%s %s with the read-only key tells a session token: %s", m.method, path, show2(got))
			}
		}
	})
	for _, m := range mutations {
		client, base := client(t), newServer(t, `{"allowClientClassCreation":true,"allowCustomObjectId":true}`, "memory:")
		user := call(t, client, base, "POST", "/users", `{"authData":{"anonymous":{"id":"u"}}}`).text("objectId")
		call(t, client, base, "POST", "/schemas/Empty", `{}`, master()...)
		call(t, client, base, "POST", "/classes/A", `{"objectId":"one","n":1}`)
		before := everything(t, client, base)
		got := call(t, client, base, m.method, strings.ReplaceAll(m.path, "${user}", user), strings.ReplaceAll(m.body, "${user}", user), master()...)
		if everything(t, client, base) == before {
			t.Errorf("%s %s %s with the master key changed nothing: %s", m.method, m.path, m.body, show2(got))
		}
	}
}

// everything is all that the master key sees of a database.
func everything(t *testing.T, client *http.Client, base string) string {
	t.Helper()
	schemas := call(t, client, base, "GET", "/schemas", "", master()...)
	all := []any{schemas, call(t, client, base, "GET", "/config", "", master()...)}
	for _, name := range []string{"A", "New", "_User", "_Session", "_Role", "_Installation", "_Audience"} {
		all = append(all, call(t, client, base, "GET", "/classes/"+name+"?limit=1000", "", master()...))
	}
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestNothingGrowsWithoutBound sends what is small to send and large to work on.
func TestNothingGrowsWithoutBound(t *testing.T) {
	on(t, open, func(t *testing.T, client *http.Client, base string) {
		call(t, client, base, "POST", "/classes/A", `{"a":1,"o":{}}`)
		many := func(n int, format string) string {
			var b bytes.Buffer
			for i := range n {
				if i > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, format, i)
			}
			return b.String()
		}
		for _, c := range []struct {
			name, body string
			want       string
		}{
			{"a deep key", `{"o` + strings.Repeat(".a", 100_000) + `":1}`, `121 Nested keys should not be more than 128 levels deep`},
			{"a deep value", `{"o":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, ` Too many levels in JSON at position 132`},
			{"thousands of fields", `{` + many(2000, `"f%d":1`) + `}`, `255 Class A cannot have more than 1000 fields.`},
			{"keys", find(`"keys":"` + many(100_000, "a%d") + `"`), `102 Number of keys in keys (100000) exceeds maximum allowed (1000)`},
			{"order", find(`"order":"` + many(100_000, "a%d") + `"`), `102 Number of keys in order (100000) exceeds maximum allowed (1000)`},
			{"include", find(`"include":"` + many(100_000, "a%d") + `"`), `102 Number of keys in include (100000) exceeds maximum allowed (1000)`},
			{"patterns", find(`"where":{"o":{"$all":[` + many(1000, `{"$regex":"(a%d|b){1,900}"}`) + `]}}`), `102 The regular expressions of the query are too large.`},
			{"conditions", find(`"where":` + strings.Repeat(`{"$and":[`, 200) + `{"a":1}` + strings.Repeat(`]}`, 200)), ` Too many levels in JSON at position`},
		} {
			got := call(t, client, base, "POST", "/classes/A", c.body)
			text := strings.TrimPrefix(fmt.Sprint(got["code"], " ", got["error"]), "<nil>")
			if !strings.HasPrefix(text, c.want) {
				t.Errorf("%s: %.300s, want %s", c.name, text, c.want)
			}
		}
		got := call(t, client, base, "POST", "/classes/"+strings.Repeat("C", 256), `{}`)
		if got["code"] != 107.0 {
			t.Errorf("a class with a name of 256 bytes = %.100s, want code 107", show2(got))
		}
	})
}

// TestOneNameOneUser signs the same name up many times at once, and makes the same role many times: one of each comes to be.
func TestOneNameOneUser(t *testing.T) {
	on(t, open, func(t *testing.T, client *http.Client, base string) {
		for _, c := range []struct{ path, body, taken string }{
			{"/users", `{"username":"same","password":"p"}`, "Account already exists for this username."},
			{"/users", `{"username":"%d","password":"p","email":"same@example.com"}`, "Account already exists for this email address."},
			{"/roles", `{"name":"same","ACL":{}}`, "A duplicate value for a field with unique values was provided"},
			{"/classes/Grown", `{"f":%s}`, ""},
		} {
			var wg sync.WaitGroup
			answers := make([]reply, 8)
			for i := range answers {
				body := strings.ReplaceAll(c.body, "%d", fmt.Sprint(i))
				body = strings.ReplaceAll(body, "%s", []string{`1`, `"x"`}[i%2])
				wg.Go(func() { answers[i] = call(t, client, base, "POST", c.path, body) })
			}
			wg.Wait()
			made := 0
			for _, a := range answers {
				switch {
				case a.text("status") == "201":
					made++
				case c.taken != "" && a.text("error") != c.taken, c.taken == "" && a["code"] != 111.0:
					t.Errorf("%s %s = %s, want %q", c.path, c.body, show2(a), c.taken)
				}
			}
			if want := map[bool]int{true: 1, false: 4}[c.taken != ""]; made != want {
				t.Errorf("%s %s made %d objects, want %d", c.path, c.body, made, want)
			}
		}
	})
}

// TestNobodyStaysLoggedIn checks that what takes rights away does so for the next request.
func TestNobodyStaysLoggedIn(t *testing.T) {
	on(t, open, func(t *testing.T, client *http.Client, base string) {
		signUp := func(name string) (id string, session []string) {
			made := call(t, client, base, "POST", "/users", `{"username":"`+name+`","password":"p"}`)
			return made.text("objectId"), []string{"X-Parse-Session-Token", made.text("sessionToken")}
		}
		me := func(session []string) string {
			return call(t, client, base, "GET", "/users/me", "", session...).text("status")
		}
		batch := func(method, path, body string) string {
			return `{"transaction":true,"requests":[{"method":"` + method + `","path":"/parse` + path + `","body":` + body + `}]}`
		}
		for name, end := range map[string]func(id string, session []string){
			"logout": func(_ string, session []string) { call(t, client, base, "POST", "/logout", `{}`, session...) },
			"password": func(id string, session []string) {
				call(t, client, base, "PUT", "/users/"+id, `{"password":"q"}`, session...)
			},
			"password by the master key": func(id string, _ []string) {
				call(t, client, base, "PUT", "/users/"+id, `{"password":"q"}`, master()...)
			},
			"password in a transaction": func(id string, session []string) {
				call(t, client, base, "POST", "/batch", batch("PUT", "/users/"+id, `{"password":"q"}`), session...)
			},
			"deleted": func(id string, session []string) { call(t, client, base, "DELETE", "/users/"+id, ``, session...) },
			"deleted in a transaction": func(id string, session []string) {
				call(t, client, base, "POST", "/batch", batch("DELETE", "/users/"+id, `{}`), session...)
			},
			"purged": func(string, []string) { call(t, client, base, "DELETE", "/purge/_User", ``, master()...) },
		} {
			id, session := signUp(strings.ReplaceAll(name, " ", ""))
			if got := me(session); got != "200" {
				t.Fatalf("%s: the new session is answered %s, want 200", name, got)
			}
			end(id, session)
			if got := me(session); got != "400" {
				t.Errorf("%s: the session is then answered %s, want 400", name, got)
			}
		}

		id, session := signUp("member")
		role := call(t, client, base, "POST", "/roles", `{"name":"r","ACL":{},"users":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"_User","objectId":"`+id+`"}]}}`, master()...).text("objectId")
		secret := call(t, client, base, "POST", "/classes/S", `{"ACL":{"role:r":{"read":true}}}`, master()...).text("objectId")
		read := func() string {
			return call(t, client, base, "GET", "/classes/S/"+secret, "", session...).text("status")
		}
		if got := read(); got != "200" {
			t.Fatalf("a member of the role is answered %s, want 200", got)
		}
		call(t, client, base, "PUT", "/roles/"+role, `{"users":{"__op":"RemoveRelation","objects":[{"__type":"Pointer","className":"_User","objectId":"`+id+`"}]}}`, master()...)
		if got := read(); got != "404" {
			t.Errorf("who is no longer a member is answered %s, want 404", got)
		}
	})
}

// TestSlowQueriesEnd checks that a pattern which takes for ever on each value does not keep the server busy with all of them.
func TestSlowQueriesEnd(t *testing.T) {
	var log lockedBuffer
	base := newLoggingServer(t, open, "sqlite::memory:", slog.New(slog.NewTextHandler(&log, nil)))
	client := client(t)
	for range 3 {
		call(t, client, base, "POST", "/classes/A", `{"s":"`+strings.Repeat("a", 40)+`!"}`)
	}
	got := call(t, client, base, "POST", "/classes/A", find(`"where":{"s":{"$regex":"(?=a)^(a+)+$"}}`))
	if want := `{"code":124,"error":"The regular expression takes too long.","status":"`; !strings.HasPrefix(show2(got), want) {
		t.Errorf("a pattern that takes for ever = %s, want %s…", show2(got), want)
	}
}

// TestReadOnlyKeyReadsNoTokens checks that who may only read does not find what it takes to write as somebody else.
func TestReadOnlyKeyReadsNoTokens(t *testing.T) {
	on(t, open, func(t *testing.T, client *http.Client, base string) {
		token := call(t, client, base, "POST", "/users", `{"username":"u","password":"p"}`).text("sessionToken")
		for _, c := range []struct{ path, body string }{
			{"/sessions", find(`"limit":10`)},
			{"/classes/_Session", find(`"keys":"sessionToken"`)},
			{"/sessions", find(`"where":{"sessionToken":{"$regex":"^r"}}`)},
			{"/sessions", find(`"order":"sessionToken"`)},
			{"/users", find(`"where":{"_perishable_token":{"$regex":"^."}}`)},
			{"/users", find(`"where":{"$or":[{"username":"u"},{"_session_token":{"$gt":""}}]}`)},
			{"/users", find(`"where":{"username":{"$select":{"key":"sessionToken","query":{"className":"_Session","where":{"objectId":{"$ne":"x"}}}}}}`)},
			{"/aggregate/_Session", find(`"distinct":"sessionToken"`)},
			{"/aggregate/_Session", find(`"pipeline":[{"$project":{"x":"$sessionToken"}}]`)},
			{"/aggregate/_Session", find(`"pipeline":[{"$match":{"sessionToken":{"$regex":"^r"}}},{"$count":"n"}]`)},
			{"/aggregate/_Session", find(`"pipeline":[{"$limit":10},{"$group":{"_id":"$sessionToken"}}]`)},
			{"/aggregate/_User", find(`"pipeline":[{"$match":{"_email_verify_token":{"$gt":""}}},{"$count":"n"}]`)},
		} {
			got := show2(call(t, client, base, "POST", c.path, c.body, "X-Parse-Master-Key", ReadOnlyMasterKey))
			if strings.Contains(got, token) || strings.Contains(got, `"n":`) {
				t.Errorf("%s %s with the read-only key = %s, which tells of a token", c.path, c.body, got)
			}
			if asks := strings.Contains(c.body, "where") && !strings.Contains(c.body, "$select") || strings.Contains(c.body, "order") || strings.Contains(c.body, "$match"); asks && got != denied {
				t.Errorf("%s %s with the read-only key = %s, want %s", c.path, c.body, got, denied)
			}
		}
		got := call(t, client, base, "GET", "/sessions", "", master()...)
		if !strings.Contains(show2(got), token) {
			t.Errorf("sessions with the master key = %s, without the token %s", show2(got), token)
		}
	})
}
