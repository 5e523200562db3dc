package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// TestAnythingIsAnswered sends requests that no client means: random methods, paths, parameters and bodies made of what the
// protocol knows. Whatever they are, the answer is JSON (or a page that says there is no such route), it is never an internal
// error, it holds no secret and no word of what is below, and the server goes on. A longer run: -rapid.checks=100000.
func TestAnythingIsAnswered(t *testing.T) {
	for _, uri := range []string{"memory:", "sqlite::memory:"} {
		t.Run(uri, func(t *testing.T) {
			var log lockedBuffer
			options := `{"allowClientClassCreation":true,"allowCustomObjectId":true,"enforcePrivateUsers":false}`
			base := newLoggingServer(t, options, uri, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			http := client(t)
			password := "the-password-of-the-target"
			target := call(t, http, base, "POST", "/users", `{"username":"target","password":"`+password+`","email":"target@example.com","ACL":{"*":{"read":true}}}`)
			other := call(t, http, base, "POST", "/users", `{"username":"other","password":"other"}`)
			call(t, http, base, "POST", "/classes/A", `{"n":1,"s":"text","o":{"a":1},"a":[1,"x",{"b":2}],"d":{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"},"g":{"__type":"GeoPoint","latitude":1,"longitude":2},"objectId":"one"}`)
			call(t, http, base, "POST", "/classes/A", `{"p":{"__type":"Pointer","className":"A","objectId":"one"},"r":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"A","objectId":"one"}]},"objectId":"two"}`)
			secrets := []string{MasterKey, MaintenanceKey, ReadOnlyMasterKey, password, target.text("sessionToken"), "$2a$10$", "$2b$10$", "_hashed_password", "_session_token"}
			internals := []string{"sqlite", "SQLITE", "sqlgen", "goroutine ", ".go:", "runtime error", "interface conversion", "context deadline", "parse.", "query.", "/work", "no such column"}
			token := other.text("sessionToken")
			rapid.Check(t, func(t *rapid.T) {
				request := anyRequest.Draw(t, "request")
				status, body := request.send(t, http, base, token)
				if status == 500 && !strings.Contains(body, "An appName, publicServerURL, and emailAdapter are required") {
					t.Fatalf("%v = %d %s", request, status, body)
				}
				if !json.Valid([]byte(body)) && body != "" && !strings.HasPrefix(body, "<!DOCTYPE html>") && body != "OK" && body != "File not found." {
					t.Fatalf("%v = %d %q, which is not JSON", request, status, body)
				}
				for _, secret := range secrets {
					if strings.Contains(body, secret) && !strings.Contains(request.String(), secret) {
						t.Fatalf("%v tells %q: %s", request, secret, body)
					}
				}
				for _, word := range internals {
					if strings.Contains(body, word) && !strings.Contains(request.String(), word) {
						t.Fatalf("%v tells %q: %s", request, word, body)
					}
				}
			})
			for _, secret := range secrets[:6] {
				if strings.Contains(log.String(), secret) {
					t.Errorf("the log holds the secret %q", secret)
				}
			}
			if strings.Contains(log.String(), "panic") {
				t.Errorf("a handler panicked:\n%s", log.String()[strings.Index(log.String(), "panic"):])
			}
		})
	}
}

// fuzzed is one request of the fuzzer.
type fuzzed struct {
	Method, Path string
	Params       map[string]any
	Body         any
	User         bool
}

func (f fuzzed) String() string {
	text, _ := json.Marshal(f)
	return string(text)
}

func (f fuzzed) send(t *rapid.T, client *http.Client, base, token string) (int, string) {
	values := url.Values{}
	for name, v := range f.Params {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		values.Set(name, strings.Trim(string(text), `"`))
	}
	body, err := json.Marshal(f.Body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(f.Method, base+f.Path+"?"+values.Encode(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Parse-Application-Id", ApplicationID)
	r.Header.Set("Content-Type", "application/json")
	if f.User {
		r.Header.Set("X-Parse-Session-Token", token)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatalf("%v is not answered: %v", f, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

var (
	fuzzPaths = rapid.SampledFrom([]string{
		"/classes/A", "/classes/A/one", "/classes/A/two", "/classes/B", "/classes/_User", "/classes/_Session", "/classes/_Role", "/classes/_Installation",
		"/classes/_Join:r:A", "/classes/_Idempotency", "/classes/a'b", "/classes/%00", "/users", "/users/x", "/users/me", "/sessions", "/sessions/me", "/sessions/x",
		"/roles", "/roles/x", "/installations", "/installations/x", "/push_audiences", "/login", "/loginAs", "/verifyPassword", "/challenge",
		"/requestPasswordReset", "/verificationEmailRequest", "/upgradeToRevocableSession", "/batch", "/schemas", "/schemas/A", "/config", "/events/AppOpened",
		"/aggregate/A", "/purge/A", "/functions/f", "/jobs", "/hooks/functions", "/push", "/files/x", "/files", "/validate_purchase", "/serverInfo", "/security",
		"/health", "/graphql-config", "/cloud_code/jobs", "/scriptlog", "/nothing",
	})
	fuzzMethods = rapid.SampledFrom([]string{"GET", "POST", "POST", "PUT", "DELETE"})
	// The words of the protocol, which reach deeper than random ones.
	fuzzWords = rapid.SampledFrom([]string{
		"n", "s", "o", "a", "d", "g", "p", "r", "o.a", "a.0", "a.0.b", "o.a.b", "p.n", "new", "objectId", "createdAt", "updatedAt", "ACL", "username", "password",
		"email", "emailVerified", "authData", "authData.anonymous", "authData.anonymous.id", "anonymous", "id", "sessionToken", "user", "name", "users", "roles", "_rperm", "_wperm",
		"_hashed_password", "__type", "__op", "className", "iso", "latitude", "longitude", "coordinates", "base64", "objects", "amount", "ops", "key", "object", "query", "where",
		"$eq", "$ne", "$lt", "$gte", "$in", "$nin", "$exists", "$regex", "$options", "$all", "$containedBy", "$or", "$and", "$nor", "$relatedTo", "$inQuery", "$notInQuery", "$select",
		"$dontSelect", "$text", "$search", "$term", "$nearSphere", "$maxDistance", "$geoWithin", "$polygon", "$centerSphere", "$within", "$box", "$geoIntersects", "$point", "$relativeTime",
		"Pointer", "Relation", "Date", "GeoPoint", "Polygon", "File", "Bytes", "Object", "Increment", "Add", "AddUnique", "Remove", "Delete", "Batch", "AddRelation", "RemoveRelation", "SetOnInsert",
		"A", "B", "_User", "_Role", "_Session", "_Join:r:A", "one", "two", "target", "*", "role:x", "", "$", ".", "a..b", "'", "\"", "\\", "\x00", "\u2028", "é", "{}", "[", "null", "2020-01-01T00:00:00.000Z",
		"in 1 day", "^a", "(", "(?=a)b+", "-n", "n,-s", "requests", "transaction", "method", "path", "body", "/parse/classes/A", "/parse/users", "/parse/login", "/parse/batch", "GET", "POST", "PUT", "DELETE",
		"installationId", "deviceToken", "deviceType", "ios", "fields", "classLevelPermissions", "indexes", "type", "challengeData", "_method", "_ApplicationId", "_noBody", "userId", "context", "constructor",
	})
	fuzzParams = rapid.SampledFrom([]string{"where", "where", "where", "order", "limit", "skip", "count", "keys", "excludeKeys", "include", "includeAll", "redirectClassNameForKey", "hint", "explain",
		"comment", "readPreference", "pipeline", "distinct", "username", "password", "userId", "_method", "x"})
	anyRequest = rapid.Custom(func(t *rapid.T) fuzzed {
		f := fuzzed{Method: fuzzMethods.Draw(t, "method"), Path: fuzzPaths.Draw(t, "path"), User: rapid.Bool().Draw(t, "user")}
		f.Params = rapid.MapOfN(fuzzParams, anyJSON(4), 0, 3).Draw(t, "params")
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0: // a find in a POST
			body := rapid.MapOfN(fuzzParams, anyJSON(4), 0, 3).Draw(t, "body")
			body["_method"] = "GET"
			f.Method, f.Body = "POST", body
		case 1:
			f.Body = anyJSON(3).Draw(t, "body")
		default:
			f.Body = rapid.MapOfN(fuzzWords, anyJSON(3), 0, 4).Draw(t, "body")
		}
		return f
	})
)

func anyJSON(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		fuzzWords.AsAny(), fuzzWords.AsAny(), rapid.Bool().AsAny(), rapid.Just(any(nil)),
		rapid.SampledFrom([]any{0.0, 1.0, -1.0, 1.5, 1e308, -1e308, 9007199254740993.0, 2147483648.0, 91.0, 181.0}),
		rapid.Just[any](map[string]any{"__type": "Pointer", "className": "A", "objectId": "one"}),
		rapid.Just[any](map[string]any{"__type": "Date", "iso": "2020-01-01T00:00:00.000Z"}),
		rapid.Just[any](map[string]any{"__type": "GeoPoint", "latitude": 1, "longitude": 2}),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	inner := anyJSON(depth - 1)
	return rapid.OneOf(append(leaves,
		rapid.MapOfN(fuzzWords, inner, 0, 3).AsAny(), rapid.MapOfN(fuzzWords, inner, 0, 3).AsAny(), rapid.MapOfN(fuzzWords, inner, 1, 1).AsAny(),
		rapid.SliceOfN(inner, 0, 4).AsAny(),
		rapid.Custom(func(t *rapid.T) any {
			return map[string]any{"__op": rapid.SampledFrom([]string{"Increment", "Add", "AddUnique", "Remove", "Delete", "AddRelation", "Batch"}).Draw(t, "op"),
				"amount": inner.Draw(t, "amount"), "objects": inner.Draw(t, "objects"), "ops": inner.Draw(t, "ops")}
		}),
		rapid.Custom(func(t *rapid.T) any {
			return map[string]any{"__type": rapid.SampledFrom([]string{"Pointer", "Relation", "Date", "GeoPoint", "Polygon", "File", "Bytes", "Object"}).Draw(t, "type"),
				"className": inner.Draw(t, "className"), "objectId": inner.Draw(t, "objectId"), "iso": inner.Draw(t, "iso"), "coordinates": inner.Draw(t, "coordinates"), "base64": inner.Draw(t, "base64")}
		}),
	)...)
}

// reply is the JSON object of an answer.
type reply map[string]any

func (r reply) text(name string) string {
	text, _ := r[name].(string)
	return text
}

// call sends one request, with headers in pairs, and returns the JSON object of its answer with the status beside it.
func call(t *testing.T, client *http.Client, base, method, path, body string, headers ...string) reply {
	t.Helper()
	r, err := http.NewRequest(method, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Parse-Application-Id", ApplicationID)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := reply{}
	if err := json.Unmarshal(text, &out); err != nil {
		var list []any
		if json.Unmarshal(text, &list) != nil {
			t.Fatalf("%s %s = %d %s, which is not JSON", method, path, answer.StatusCode, text)
		}
		out["list"] = list
	}
	out["status"] = fmt.Sprint(answer.StatusCode)
	return out
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
