package wasmcloud

import "sync"

// queue runs what is to be done for links: for one link one thing after the other, for different links at the same time, but
// for no more than a number of them.
type queue struct {
	slots chan struct{}

	mu     sync.Mutex
	work   sync.WaitGroup
	chains map[Key]*chain
	closed bool
}

// chain is what is to be done for one link. While the first runs, at most two wait.
type chain struct {
	waiting []*job
}

// job puts or deletes a link.
type job struct {
	put  bool
	do   func()
	over chan struct{} // closed when it is done, or when a later one stands for it
}

func newQueue(parallel int) *queue {
	return &queue{slots: make(chan struct{}, parallel), chains: make(map[Key]*chain)}
}

// add has a job done after those that were added for the same link. What counts is how the link ends up, so what waits is no
// more than a deletion and a put, or one of them: a flood of messages for a link that is being connected takes no memory.
func (q *queue) add(k Key, put bool, do func()) *job {
	j := &job{put: put, do: do, over: make(chan struct{})}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		close(j.over)
		return j
	}
	c, busy := q.chains[k]
	if !busy {
		c = &chain{}
		q.chains[k] = c
		q.work.Go(func() { q.run(k, c) })
	}
	keep := 0
	if put && len(c.waiting) > 0 && !c.waiting[0].put { // a deletion before a put is a hand-over
		keep = 1
	}
	for _, before := range c.waiting[keep:] {
		close(before.over)
	}
	c.waiting = append(c.waiting[:keep], j)
	return j
}

func (q *queue) run(k Key, c *chain) {
	for {
		q.slots <- struct{}{}
		q.mu.Lock()
		if len(c.waiting) == 0 {
			delete(q.chains, k)
			q.mu.Unlock()
			<-q.slots
			return
		}
		j := c.waiting[0]
		c.waiting = c.waiting[1:]
		q.mu.Unlock()
		j.do()
		close(j.over)
		<-q.slots
	}
}

// close drops what waits, and takes nothing more. What runs ends by itself: wait for it.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, c := range q.chains {
		for _, j := range c.waiting {
			close(j.over)
		}
		c.waiting = nil
	}
}

func (q *queue) wait() { q.work.Wait() }
