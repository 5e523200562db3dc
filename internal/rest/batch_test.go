package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestBatch(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.ServerURL, c.PublicServerURL = "https://inside.example/api", "https://outside.example/public/1/"
		c.BatchLimit = 3
	})
	id := w.ask("POST", "/classes/A", `{"n":1}`).get("objectId").(string)
	batch := func(items ...string) answer {
		return w.ask("POST", "/batch", `{"requests":[`+strings.Join(items, ",")+`]}`)
	}
	for _, c := range []struct {
		name   string
		answer answer
		status int
		want   string
	}{
		{"empty", batch(), 200, `[]`},
		{"answers stand in order", batch(`{"method":"GET","path":"/parse/classes/A/none"}`, `{"method":"DELETE","path":"/parse/classes/A/`+id+`"}`, `{"method":"GET","path":"/parse/classes/B"}`),
			200, `[{"error":{"code":101,"error":"Object not found."}},{"success":{}},{"success":{"results":[]}}]`},
		{"of the server URL", batch(`{"method":"GET","path":"/api/classes/B"}`), 200, `[{"success":{"results":[]}}]`},
		{"of the public URL", batch(`{"method":"GET","path":"/public/1/classes/B"}`), 200, `[{"success":{"results":[]}}]`},
		{"with a trailing slash", batch(`{"method":"GET","path":"/parse/classes/B/"}`), 200, `[{"success":{"results":[]}}]`},
		{"a need is not met", batch(`{"method":"GET","path":"/parse/schemas"}`), 200, `[{"error":{"error":"Permission denied"}}]`},
		{"no list", w.ask("POST", "/batch", `{}`), 400, `{"code":107,"error":"requests must be an array"}`},
		{"no path", batch(`{"method":"GET"}`), 400, `{"code":107,"error":"batch request path must be a string"}`},
		{"path that is a number", batch(`{"method":"GET","path":5}`), 400, `{"code":107,"error":"batch request path must be a string"}`},
		{"an item that is no object", batch(`5`), 400, `{"code":107,"error":"batch request path must be a string"}`},
		{"outside the mount path", batch(`{"method":"GET","path":"/classes/B"}`), 400, `{"code":107,"error":"cannot route batch path /classes/B"}`},
		{"beside the mount path", batch(`{"method":"GET","path":"/parsex/classes/B"}`), 400, `{"code":107,"error":"cannot route batch path /parsex/classes/B"}`},
		{"no route", batch(`{"method":"GET","path":"/parse/nowhere"}`), 400, `{"code":107,"error":"cannot route GET /nowhere"}`},
		{"no method", batch(`{"path":"/parse/classes/B"}`), 400, `{"code":107,"error":"cannot route undefined /classes/B"}`},
		{"nested", batch(`{"method":"POST","path":"/parse/batch","body":{"requests":[]}}`), 400, `{"code":107,"error":"nested batch requests are not allowed"}`},
		{"nested with a slash", batch(`{"method":"POST","path":"/parse/batch/","body":{"requests":[]}}`), 400, `{"code":107,"error":"nested batch requests are not allowed"}`},
		{"nested with a query", batch(`{"method":"POST","path":"/parse/batch?a=1","body":{"requests":[]}}`), 400, `{"code":107,"error":"nested batch requests are not allowed"}`},
		{"nested with slashes", batch(`{"method":"POST","path":"/parse//batch","body":{"requests":[]}}`), 400, `{"code":107,"error":"nested batch requests are not allowed"}`},
		{"too many", batch(`{}`, `{}`, `{}`, `{}`), 400, `{"code":107,"error":"Batch request contains 4 sub-requests, which exceeds the limit of 3."}`},
	} {
		w.want(c.name, c.answer, c.status, c.want)
	}
	w.want("too many, but of the master", w.ask("POST", "/batch", `{"requests":[`+strings.Repeat(`{"method":"GET","path":"/parse/classes/B"},`, 3)+`{"method":"GET","path":"/parse/classes/B"}]}`, master...),
		200, `[`+strings.Repeat(`{"success":{"results":[]}},`, 3)+`{"success":{"results":[]}}]`)
	if a := batch(`{"method":"POST","path":"/parse/classes/Half","body":{"n":1}}`, `{"method":"GET","path":"/parse/nowhere"}`); a.status != 400 {
		t.Errorf("half of a batch = %d %s", a.status, a.text)
	}
	w.want("nothing of a batch that cannot be routed has run", w.ask("GET", "/classes/Half", ""), 200, `{"results":[]}`)
}

// TestBatchConcurrently answers in the order of the requests, with several at work at once.
func TestBatchConcurrently(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	waiting, all := 0, make(chan struct{})
	w.server.routes = newRouter(append([]route{{http.MethodGet, "/meet/:n", anyone, func(_ context.Context, _ *Server, r *request) (*reply, error) {
		mu.Lock()
		if waiting++; waiting == batchWorkers {
			close(all)
		}
		mu.Unlock()
		<-all // nobody answers before so many are here
		return &reply{text: r.params.get("n")}, nil
	}, false}}, table...))
	items, want := []string{}, []map[string]string{}
	for i := range 3 * batchWorkers {
		items = append(items, fmt.Sprintf(`{"method":"GET","path":"/parse/meet/%d"}`, i))
		want = append(want, map[string]string{"success": fmt.Sprint(i)})
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	w.want("many", w.ask("POST", "/batch", `{"requests":[`+strings.Join(items, ",")+`]}`), 200, string(text))
}

// TestBatchTransaction writes all of a batch or nothing.
func TestBatchTransaction(t *testing.T) {
	w := newWorld(t)
	id := w.ask("POST", "/classes/T", `{"n":1}`).get("objectId").(string)
	good := w.ask("POST", "/batch", `{"transaction":true,"requests":[{"method":"POST","path":"/parse/classes/T","body":{"n":2}},{"method":"PUT","path":"/parse/classes/T/`+id+`","body":{"n":{"__op":"Increment","amount":10}}}]}`)
	if good.status != 200 || !strings.Contains(good.text, `"n":11`) {
		t.Errorf("a transaction = %d %s", good.status, good.text)
	}
	bad := w.ask("POST", "/batch", `{"transaction":true,"requests":[{"method":"POST","path":"/parse/classes/T","body":{"n":3}},{"method":"DELETE","path":"/parse/classes/T/`+id+`"},{"method":"PUT","path":"/parse/classes/T/none","body":{"n":1}}]}`)
	w.want("a transaction that fails", bad, 404, `{"code":101,"error":"Object not found."}`)
	w.want("count after it", w.ask("GET", "/classes/T?count=1&limit=0", ""), 200, `{"results":[],"count":2}`)
	if a := w.ask("GET", "/classes/T/"+id, ""); a.get("n") != 11.0 {
		t.Errorf("the object after it = %d %s, want n 11", a.status, a.text)
	}
}
