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

// TestBatchReadsSoMuch counts what the finds of a batch return, over all of them.
func TestBatchReadsSoMuch(t *testing.T) {
	var read reading
	page := results(make([]any, maxBatchRead/4))
	for range 4 {
		if err := read.admit(page); err != nil {
			t.Fatalf("admit = %v, want nil up to %d objects", err, maxBatchRead)
		}
	}
	for _, small := range []*reply{empty(), results(nil), {}, {text: "OK"}} {
		if err := read.admit(small); err != nil {
			t.Errorf("admit(%v) = %v, want nil", small, err)
		}
	}
	if err := read.admit(results(make([]any, 1))); err == nil || err.Error() != "140 The requests of a batch may not find more than 100000 objects together." {
		t.Errorf("admit of one object more = %v, want 140", err)
	}
}
