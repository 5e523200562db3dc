package messaging

import (
	"context"
	"sync"
)

// gate lets so many through at a time. Those who wait are let in in their order.
type gate struct {
	mu      sync.Mutex
	size    int
	busy    int
	waiting []chan struct{}
	idle    chan struct{} // closed when nobody is in; nil while nobody asks
}

// enter waits until there is room, or returns the error of ctx.
func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	if g.busy < g.size && len(g.waiting) == 0 && ctx.Err() == nil {
		g.busy++
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	g.waiting = append(g.waiting, turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, w := range g.waiting {
		if w == turn {
			g.waiting = append(g.waiting[:i:i], g.waiting[i+1:]...)
			return ctx.Err()
		}
	}
	g.busy-- // it was let in meanwhile
	g.admit()
	return ctx.Err()
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy--
	g.admit()
}

// resize changes how many may be in. Nobody is put out.
func (g *gate) resize(size int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.size = size
	g.admit()
}

func (g *gate) admit() {
	for g.busy < g.size && len(g.waiting) > 0 {
		close(g.waiting[0])
		g.waiting = g.waiting[1:]
		g.busy++
	}
	if g.busy == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// inside is how many are in.
func (g *gate) inside() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.busy
}

// empty waits until nobody is in, or returns the error of ctx.
func (g *gate) empty(ctx context.Context) error {
	g.mu.Lock()
	if g.busy == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
