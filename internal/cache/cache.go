// Package cache keeps what was read from the database for a few seconds, so that a request need not read its own user,
// session and roles each time. An invalidation on this node takes effect at once, also against a read that began before it.
package cache

import (
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
)

// Options of a cache; the zero value is the default of Parse Server (options cacheTTL and cacheMaxSize).
type Options struct {
	// TTL is how long a value may be used after it was read; 0 is 5 seconds, negative keeps nothing.
	TTL time.Duration
	// MaxSize is the most values that are kept; 0 is 10,000.
	MaxSize int
}

const (
	defaultTTL     = 5 * time.Second
	defaultMaxSize = 10_000
)

// Cache maps names to values. It is safe for concurrent use.
type Cache[V any] struct {
	ttl     time.Duration
	entries *otter.Cache[string, entry[V]]
	// mu orders a Put and an invalidation; reads go without it.
	mu sync.Mutex
	// epoch counts the invalidations.
	epoch Epoch
}

type entry[V any] struct {
	value V
	until time.Time
}

// New returns an empty cache. It starts no goroutine that has to be stopped: an entry past its time stays until it is
// asked for or the size limit removes it.
func New[V any](o Options) *Cache[V] {
	if o.TTL == 0 {
		o.TTL = defaultTTL
	}
	if o.MaxSize <= 0 {
		o.MaxSize = defaultMaxSize
	}
	return &Cache[V]{
		ttl:     o.TTL,
		entries: otter.Must(&otter.Options[string, entry[V]]{MaximumSize: o.MaxSize}),
	}
}

// Get returns a value that was put no longer ago than the TTL.
func (c *Cache[V]) Get(name string) (value V, ok bool) {
	e, ok := c.entries.GetIfPresent(name)
	if !ok || !time.Now().Before(e.until) {
		return value, false
	}
	return e.value, true
}

// Epoch names the moment before a read, for [Cache.Put].
type Epoch uint64

// Begin is called before the database is read.
func (c *Cache[V]) Begin() Epoch {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch
}

// Put keeps what was read since the epoch began. It does nothing when anything was invalidated in the meantime: the read
// may have seen what the invalidation was about.
func (c *Cache[V]) Put(since Epoch, name string, value V) {
	if c.ttl < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch == since {
		c.entries.Set(name, entry[V]{value: value, until: time.Now().Add(c.ttl)})
	}
}

// Drop forgets one name.
func (c *Cache[V]) Drop(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.entries.Invalidate(name)
}

// Clear forgets everything.
func (c *Cache[V]) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.entries.InvalidateAll()
}
