package rest

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCompilePath(t *testing.T) {
	for _, c := range []struct {
		pattern string
		fits    []string
		fitsNot []string
	}{
		{"/login", []string{"/login", "/login/", "/LOGIN"}, []string{"/logins", "/a/login", "/login/x", ""}},
		{"/classes/:class", []string{"/classes/A", "/classes/_User/"}, []string{"/classes", "/classes/", "/classes/A/b"}},
		{"/classes/:class/:id", []string{"/classes/A/b"}, []string{"/classes/A", "/classes/A/b/c"}},
		{"/functions/*path", []string{"/functions/a", "/functions/a/b.c"}, []string{"/functions", "/functions/"}},
		{"/users{/:id}", []string{"/users", "/users/a", "/users/"}, []string{"/users/a/b", "/user"}},
		{"/a{/b{/c}}", []string{"/a", "/a/b", "/a/b/c"}, []string{"/a/c"}},
		{`/a\:b`, []string{"/a:b"}, []string{"/axb", "/a"}},
		{"/a.b", []string{"/a.b"}, []string{"/axb"}},
		{"/:a-:b", []string{"/x-y"}, []string{"/x", "/x/y"}},
		{"/café", []string{"/café", "/CAFÉ/"}, []string{"/caf", "/cafÃ©"}},
		{"*any", []string{"/a", "/a/b"}, []string{""}},
	} {
		re, err := CompilePath(c.pattern)
		if err != nil {
			t.Errorf("CompilePath(%q): %v", c.pattern, err)
			continue
		}
		for _, path := range c.fits {
			if !re.MatchString(path) {
				t.Errorf("%q does not fit %q", c.pattern, path)
			}
		}
		for _, path := range c.fitsNot {
			if re.MatchString(path) {
				t.Errorf("%q fits %q", c.pattern, path)
			}
		}
	}
	for _, bad := range []string{"/:", "/*", "/a(", "/a)", "/[a]", "/a+", "/a?", "/a!", "/{a", "/a}", `/a\`, "/}{", "/:ü", "/\x90"} {
		if re, err := CompilePath(bad); err == nil {
			t.Errorf("CompilePath(%q) = %v, want an error", bad, re)
		}
	}
}

// FuzzCompilePath: a pattern is refused, or it is an expression that fits whole paths only.
func FuzzCompilePath(f *testing.F) {
	for _, seed := range []string{"/login", "/a/:b/*c", "/a{/b}", `/\{`, "/:", "/é/:ü", "/a{b{c}}d", "\x00", "/$^.|"} {
		f.Add(seed, "/login")
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		re, err := CompilePath(pattern)
		if err != nil {
			return
		}
		if !strings.HasPrefix(re.String(), "(?i)^") || !strings.HasSuffix(re.String(), "/?$") {
			t.Fatalf("CompilePath(%q) = %s, want an anchored expression", pattern, re)
		}
		if !strings.ContainsAny(pattern, `:*{}\`) && !re.MatchString(pattern) {
			t.Fatalf("CompilePath(%q) = %s, which does not fit the pattern itself", pattern, re)
		}
		re.MatchString(path)
	})
}

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const tooMany = `{"code":100,"error":"Too many requests."}`

func rule(path string, count int, zone Zone) RateLimit {
	re, err := CompilePath(path)
	if err != nil {
		panic(err)
	}
	return RateLimit{Path: re, Count: count, Window: 10 * time.Second, Zone: zone, IncludeInternal: true}
}

func TestRateLimit(t *testing.T) {
	c := newClock()
	w := newWorld(t, func(cfg *Config) {
		cfg.Now = c.Now
		cfg.RateLimits = []RateLimit{rule("/classes/:class", 2, ZoneIP)}
	})
	for i, left := range []string{"1", "0"} {
		a := w.ask("GET", "/classes/A", "")
		if a.status != 200 || a.header.Get("X-RateLimit-Limit") != "2" || a.header.Get("X-RateLimit-Remaining") != left ||
			a.header.Get("X-RateLimit-Reset") != strconv.FormatInt(c.Now().Add(10*time.Second).Unix(), 10) {
			t.Errorf("request %d = %d, headers %v", i, a.status, a.header)
		}
	}
	c.add(4 * time.Second)
	a := w.ask("GET", "/classes/A", "")
	w.want("the third request", a, http.StatusTooManyRequests, tooMany)
	if a.header.Get("Retry-After") != "6" || a.header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("headers of a refusal: %v", a.header)
	}
	w.want("another class shares the rule", w.ask("GET", "/classes/B", ""), http.StatusTooManyRequests, tooMany)
	w.want("another path", w.ask("GET", "/classes/A/none", ""), 404, `{"code":101,"error":"Object not found."}`)
	w.want("the master key", w.ask("GET", "/classes/A", "", master...), 200, `{"results":[]}`)
	w.want("the maintenance key", w.ask("GET", "/classes/A", "", "X-Parse-Maintenance-Key", "mt"), http.StatusTooManyRequests, tooMany)
	c.add(6 * time.Second)
	w.want("the next window", w.ask("GET", "/classes/A", ""), 200, `{"results":[]}`)
}

func TestRateLimitRules(t *testing.T) {
	for _, c := range []struct {
		name   string
		rule   RateLimit
		first  []string // headers
		second []string
		method string // of the second, GET by default
		status int    // of the second
	}{
		{"same address", rule("/classes/A", 1, ""), nil, nil, "", 429},
		{"loopback is internal", RateLimit{Path: regexp.MustCompile("A"), Count: 1, Window: time.Hour}, nil, nil, "", 200},
		{"other method", RateLimit{Path: regexp.MustCompile("A"), Count: 1, Window: time.Hour, IncludeInternal: true, Methods: MethodsOf([]string{"get"})}, nil, nil, "POST", 201},
		{"same method", RateLimit{Path: regexp.MustCompile("A"), Count: 1, Window: time.Hour, IncludeInternal: true, Methods: MethodsOf([]string{"get", "post"})}, nil, nil, "POST", 429},
		{"master included", RateLimit{Path: regexp.MustCompile("A"), Count: 1, Window: time.Hour, IncludeInternal: true, IncludeMaster: true}, master, master, "", 429},
		{"global", rule("/classes/A", 1, ZoneGlobal), nil, []string{"X-Parse-Session-Token", "bob"}, "", 429},
		{"own session", rule("/classes/A", 1, ZoneSession), []string{"X-Parse-Session-Token", "ann"}, []string{"X-Parse-Session-Token", "ann"}, "", 429},
		{"other session", rule("/classes/A", 1, ZoneSession), []string{"X-Parse-Session-Token", "ann"}, []string{"X-Parse-Session-Token", "bob"}, "", 200},
		{"other session of the same user", rule("/classes/A", 1, ZoneSession), []string{"X-Parse-Session-Token", "ann"}, []string{"X-Parse-Session-Token", "ann2"}, "", 200},
		{"same user", rule("/classes/A", 1, ZoneUser), []string{"X-Parse-Session-Token", "ann"}, []string{"X-Parse-Session-Token", "ann2"}, "", 429},
		{"other user", rule("/classes/A", 1, ZoneUser), []string{"X-Parse-Session-Token", "ann"}, []string{"X-Parse-Session-Token", "bob"}, "", 200},
		{"nobody counts by address", rule("/classes/A", 1, ZoneUser), nil, nil, "", 429},
		{"none at all", rule("/classes/A", 0, ZoneIP), nil, nil, "", 429},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(cfg *Config) { cfg.RateLimits = []RateLimit{c.rule} })
			tokens := map[string]string{}
			if strings.Contains(strings.Join(append(c.first, c.second...), " "), "Session") {
				_, tokens["ann"] = w.signUp("ann")
				tokens["ann2"] = w.ask("POST", "/login", `{"username":"ann","password":"p"}`).get("sessionToken").(string)
				_, tokens["bob"] = w.signUp("bob")
			}
			headers := func(list []string) []string {
				list = append([]string{}, list...)
				for i := range list {
					if token, ok := tokens[list[i]]; ok {
						list[i] = token
					}
				}
				return list
			}
			w.ask("GET", "/classes/A", "", headers(c.first)...)
			method := c.method
			if method == "" {
				method = "GET"
			}
			if a := w.ask(method, "/classes/A", "", headers(c.second)...); a.status != c.status {
				t.Errorf("the second request = %d %s, want %d", a.status, a.text, c.status)
			}
		})
	}
}

// TestRateLimitOfBatches counts every item, and refuses the batch before any of it has run.
func TestRateLimitOfBatches(t *testing.T) {
	limit := rule("/classes/A", 2, ZoneIP)
	limit.Message = "Slower."
	w := newWorld(t, func(cfg *Config) { cfg.RateLimits = []RateLimit{limit} })
	create := `{"method":"POST","path":"/parse/classes/A","body":{"n":1}}`
	w.want("three of two", w.ask("POST", "/batch", `{"requests":[`+create+`,`+create+`,`+create+`]}`), 400, `{"code":100,"error":"Slower."}`)
	w.want("nothing was made", w.ask("GET", "/classes/A?count=1&limit=0", "", master...), 200, `{"results":[],"count":0}`)
	if a := w.ask("POST", "/batch", `{"requests":[`+create+`,`+create+`,`+create+`]}`, master...); a.status != 200 {
		t.Errorf("of the master = %d %s", a.status, a.text)
	}
}

// TestLimiterForgets keeps the counters of present clients only.
func TestLimiterForgets(t *testing.T) {
	c := newClock()
	l := newLimiter(RateLimit{Count: 1, Window: time.Second}, c.Now)
	for i := range 1000 {
		l.take(strconv.Itoa(i))
	}
	c.add(2 * time.Second)
	for i := range 1000 {
		l.take("again" + strconv.Itoa(i%400)) // enough that every shard gets one
	}
	kept := 0
	for i := range l.shards {
		kept += len(l.shards[i].windows)
	}
	if kept != 400 {
		t.Errorf("%d counters are kept of 400 present clients", kept)
	}
}

// TestLimiterConcurrently lets exactly as many through as it should, whoever comes first.
func TestLimiterConcurrently(t *testing.T) {
	l := newLimiter(RateLimit{Count: 50, Window: time.Hour}, time.Now)
	var mu sync.Mutex
	passed := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				if left, _ := l.take("a"); left >= 0 {
					mu.Lock()
					passed++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if passed != 50 {
		t.Errorf("%d requests passed, want 50", passed)
	}
}

func TestRouteAllowList(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.RouteAllowList = []*regexp.Regexp{regexp.MustCompile("^(?:classes/A(?:/.*)?)$"), regexp.MustCompile("^(?:batch)$")}
	})
	w.want("listed", w.ask("GET", "/classes/A", ""), 200, `{"results":[]}`)
	w.want("not listed", w.ask("GET", "/classes/B", ""), 400, denied119)
	w.want("not listed, and no route", w.ask("GET", "/nowhere", ""), 400, denied119)
	w.want("health needs no list", w.ask("GET", "/health", ""), 200, `{"status":"ok"}`)
	w.want("the master key", w.ask("GET", "/classes/B", "", master...), 200, `{"results":[]}`)
	w.want("the maintenance key", w.ask("GET", "/classes/B", "", "X-Parse-Maintenance-Key", "mt"), 200, `{"results":[]}`)
	w.want("in a batch", w.ask("POST", "/batch", `{"requests":[{"method":"GET","path":"/parse/classes/A"},{"method":"GET","path":"/parse/classes/B"}]}`), 400, denied119)
	closed := newWorld(t, func(c *Config) { c.RouteAllowList = []*regexp.Regexp{} })
	w.want("an empty list", closed.ask("GET", "/classes/A", ""), 400, denied119)
}

// TestMaxBodies keeps the large bodies that are in memory at once within bounds, and lets small ones pass.
func TestMaxBodies(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxBodies, c.MaxUploadSize = 200<<10, 150<<10 })
	large := `{"text":"` + strings.Repeat("x", 100<<10) + `"}`
	if a := w.ask("POST", "/classes/A", large); a.status != 201 {
		t.Fatalf("a large body alone: HTTP %d", a.status)
	}
	w.server.bodies.Add(150 << 10) // another request is at work
	a := w.ask("POST", "/classes/A", large)
	w.want("one too many", a, http.StatusServiceUnavailable, `{"error":"too many large requests at once"}`)
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After = %q, want 1", a.header.Get("Retry-After"))
	}
	if a := w.ask("POST", "/classes/A", `{"text":"small"}`); a.status != 201 {
		t.Errorf("a small body beside it: HTTP %d", a.status)
	}
	w.want("larger than any may be", w.ask("POST", "/classes/A", large+large), http.StatusRequestEntityTooLarge, `{"error":"request entity too large"}`)
	w.server.bodies.Add(-150 << 10)
	if n := w.server.bodies.Load(); n != 0 {
		t.Errorf("%d bytes are still counted, want none", n)
	}
}

// TestMaxConcurrent tells the request that is one too many to come back.
func TestMaxConcurrent(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxConcurrent = 2 })
	w.server.gate <- struct{}{}
	w.want("one of two", w.ask("GET", "/classes/A", ""), 200, `{"results":[]}`)
	w.server.gate <- struct{}{}
	a := w.ask("GET", "/classes/A", "")
	w.want("one too many", a, http.StatusServiceUnavailable, `{"error":"too many requests at once"}`)
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After = %q, want 1", a.header.Get("Retry-After"))
	}
	<-w.server.gate
	w.want("afterwards", w.ask("GET", "/classes/A", ""), 200, `{"results":[]}`)
	if len(w.server.gate) != 1 {
		t.Errorf("%d requests are counted, want 1", len(w.server.gate))
	}
}
