package rest

import "testing"

// TestClientTimeout gives requests no time at all: what needs the database is answered with code 124, and the master key is not bound.
func TestClientTimeout(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ClientTimeout = 1 })
	for _, c := range []struct {
		method, path, body string
		headers            []string
		code               any
	}{
		{"GET", "/classes/_User", "", nil, 124.0},
		{"POST", "/users", `{"username":"u","password":"p"}`, nil, 124.0},
		{"GET", "/classes/_User", "", master, nil},
		{"GET", "/health", "", nil, nil},
	} {
		if got := w.ask(c.method, c.path, c.body, c.headers...); got.get("code") != c.code {
			t.Errorf("%s %s = %d %s, want code %v", c.method, c.path, got.status, got.text, c.code)
		}
	}
}
