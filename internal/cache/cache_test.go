package cache

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[int](Options{})
		c.Put(c.Begin(), "a", 1)
		steps := []struct {
			after time.Duration
			want  bool
		}{
			{0, true},
			{5*time.Second - 1, true},
			{1, false},
		}
		for _, s := range steps {
			time.Sleep(s.after)
			if v, ok := c.Get("a"); ok != s.want || ok && v != 1 {
				t.Errorf("after %v more: Get(a) = %v, %v, want 1, %v", s.after, v, ok, s.want)
			}
		}
		if _, ok := c.Get("b"); ok {
			t.Error("Get(b) found what was never put")
		}
	})
}

func TestNegativeTTLKeepsNothing(t *testing.T) {
	c := New[int](Options{TTL: -1})
	c.Put(c.Begin(), "a", 1)
	if v, ok := c.Get("a"); ok {
		t.Errorf("Get(a) = %v, true, want nothing", v)
	}
}

func TestInvalidation(t *testing.T) {
	tests := []struct {
		name string
		do   func(c *Cache[int])
	}{
		{"Drop", func(c *Cache[int]) { c.Drop("a") }},
		{"Clear", func(c *Cache[int]) { c.Clear() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := New[int](Options{})
			c.Put(c.Begin(), "a", 1)
			read := c.Begin()
			tt.do(c)
			if v, ok := c.Get("a"); ok {
				t.Errorf("Get(a) = %v, true after the invalidation, want nothing", v)
			}
			c.Put(read, "a", 1) // a read that began before
			if v, ok := c.Get("a"); ok {
				t.Errorf("Get(a) = %v, true from a read older than the invalidation, want nothing", v)
			}
			c.Put(c.Begin(), "a", 2)
			if v, ok := c.Get("a"); !ok || v != 2 {
				t.Errorf("Get(a) = %v, %v after a new read, want 2, true", v, ok)
			}
		})
	}
}

// Readers that race with an invalidation never leave behind what they read before it.
func TestInvalidationRace(t *testing.T) {
	c := New[int](Options{})
	var mu sync.Mutex
	current := 0
	read := func() int { mu.Lock(); defer mu.Unlock(); return current }

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				since := c.Begin()
				c.Put(since, "a", read())
			}
		})
	}
	for i := 1; i <= 2000; i++ {
		mu.Lock()
		current = i
		mu.Unlock()
		c.Drop("a")
		if v, ok := c.Get("a"); ok && v != i {
			t.Fatalf("Get(a) = %v after %v was written and the name dropped", v, i)
		}
	}
	wg.Wait()
}
