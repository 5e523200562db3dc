package rest

import (
	"regexp"
	"sync"
	"testing"
	"time"
)

const duplicate = `{"code":159,"error":"Duplicate request"}`

func TestIdempotency(t *testing.T) {
	c := newClock()
	w := newWorld(t, func(cfg *Config) {
		cfg.Now = c.Now
		cfg.Idempotency = Idempotency{Paths: []*regexp.Regexp{regexp.MustCompile("^(?:classes/A.*|users.*|functions/.*|jobs/.*|installations.*)$")}, TTL: time.Minute}
	})
	once := func(id string) []string { return []string{"X-Parse-Request-Id", id} }
	first := w.ask("POST", "/classes/A", `{"n":1}`, once("one")...)
	if first.status != 201 {
		t.Fatalf("the first = %d %s", first.status, first.text)
	}
	object := "/classes/A/" + first.get("objectId").(string)
	w.want("the same again", w.ask("POST", "/classes/A", `{"n":1}`, once("one")...), 400, duplicate)
	w.want("the same id elsewhere", w.ask("PUT", object, `{"n":2}`, once("one")...), 400, duplicate)
	w.want("the same id of the master", w.ask("PUT", object, `{"n":2}`, append(once("one"), master...)...), 400, duplicate)
	for what, a := range map[string]answer{
		"another id":             w.ask("PUT", object, `{"n":2}`, once("two")...),
		"without an id":          w.ask("PUT", object, `{"n":2}`),
		"a read":                 w.ask("GET", object, "", once("one")...),
		"a path that is not one": w.ask("POST", "/classes/B", `{}`, once("one")...),
	} {
		if a.status >= 300 {
			t.Errorf("%s = %d %s", what, a.status, a.text)
		}
	}
	w.want("a function that is not there", w.ask("POST", "/functions/f", `{}`, once("three")...), 400, `{"code":141,"error":"Invalid function: \"f\""}`)
	w.want("again", w.ask("POST", "/functions/f", `{}`, once("three")...), 400, duplicate)

	c.add(59 * time.Second)
	w.want("before its time is over", w.ask("POST", "/classes/A", `{}`, once("one")...), 400, duplicate)
	c.add(2 * time.Second)
	if a := w.ask("POST", "/classes/A", `{}`, once("one")...); a.status != 201 {
		t.Errorf("after its time = %d %s, want 201", a.status, a.text)
	}
	w.want("and again", w.ask("POST", "/classes/A", `{}`, once("one")...), 400, duplicate)
	w.want("its class is for the master key only", w.ask("GET", "/classes/_Idempotency", ""), 400, denied119)
}

// TestIdempotencyConcurrently sends one request many times at once: one of them is done.
func TestIdempotencyConcurrently(t *testing.T) {
	w := newWorld(t, func(cfg *Config) { cfg.Idempotency = Idempotency{Paths: []*regexp.Regexp{regexp.MustCompile(".*")}} })
	w.ask("POST", "/classes/A", `{"n":0}`)
	for _, id := range []string{"a", "b", "c"} {
		var mu sync.Mutex
		made, refused := 0, 0
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				a := w.ask("POST", "/classes/A", `{"n":1}`, "X-Parse-Request-Id", id)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case a.status == 201:
					made++
				case a.text == duplicate:
					refused++
				default:
					t.Errorf("a duplicate = %d %s", a.status, a.text)
				}
			})
		}
		wg.Wait()
		if made != 1 || refused != 15 {
			t.Errorf("%d were done and %d refused, want 1 and 15", made, refused)
		}
	}
}
