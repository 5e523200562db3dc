package rest

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzRequest sends any body and any query to the routes that decode the most: whatever they hold, the answer is a refusal or a
// success, never a failure of the server.
func FuzzRequest(f *testing.F) {
	for _, seed := range []struct{ body, query string }{
		{`{"a":1,"_method":"GET"}`, "where=%7B%22a%22%3A1%7D"}, {`{"requests":[{"method":"POST","path":"/parse/classes/F","body":{"a":1}}]}`, ""},
		{`{"requests":[{"method":"GET","path":"/parse/classes/F?where=%zz"}],"transaction":true}`, "order=-a,b"},
		{`{"_ApplicationId":"app","_context":"{","_MasterKey":[]}`, "limit=x&skip=-1"}, {"a=1&b=%zz", "keys=a.b.c&include=*"},
		{`{"requests":[5,null,{"path":"/parse/"},{"path":"/parse","method":"GET"}]}`, "where=[]"}, {"{\"a\":\"\xff\"}", "count=1&count=2"},
		{`{"username":"u","password":5,"authData":{"anonymous":null}}`, "where={\"$or\":[{}]}"}, {`{"params":{"a":{"__op":"Add","objects":1}}}`, ""},
	} {
		f.Add(seed.body, seed.query)
	}
	f.Fuzz(func(t *testing.T, body, query string) {
		w := newWorld(t)
		for _, c := range []struct{ method, path string }{
			{"POST", "/classes/F"}, {"POST", "/batch"}, {"GET", "/classes/F"}, {"PUT", "/config"}, {"POST", "/schemas/F"}, {"POST", "/login"}, {"POST", "/installations"}, {"POST", "/roles"},
		} {
			r := httptest.NewRequest(c.method, "/parse"+c.path, strings.NewReader(body))
			r.RemoteAddr, r.URL.RawQuery = "127.0.0.1:1", query
			r.Header.Set("X-Parse-Application-Id", "app")
			r.Header.Set("X-Parse-Master-Key", "mk")
			answer := httptest.NewRecorder()
			w.server.ServeHTTP(answer, r)
			if answer.Code >= 500 {
				t.Errorf("%s %s?%q %q = %d %s\n%s", c.method, c.path, query, body, answer.Code, answer.Body, w.log)
			}
		}
	})
}
