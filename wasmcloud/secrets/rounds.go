package secrets

import (
	"slices"
	"sync"
	"time"
)

// The times of a round.
const (
	quietRound = 2 * time.Second  // without a request, and it is over
	openRound  = 15 * time.Second // the same while half of a login was handed out: longer than a host waits for an answer
	longRound  = time.Minute      // however many requests there are
	maxRounds  = 1 << 16
)

// rounds remember which version was handed out to whom a moment ago, so that fields that are asked for one by one are of one version.
//
// The requests of one host, for one entity of one application, for fields of one key are a round. All of them get the version that was
// current when the round began. It is over 2 s after its latest request; while one field of a login was handed out more often than the
// other, 15 s after it, because the request for the other is still to come, in whichever order several links ask; after a minute in
// any case, unless half a login is out, which gets another minute. It is over at once when the version is revoked or ends. A round is
// known to one instance of the backend.
type rounds struct {
	mu    sync.Mutex
	all   map[roundKey]*round
	sweep int // at how many to forget what is over
}

type roundKey struct {
	asker
	key string
}

type round struct {
	version     string // fingerprint
	began, last time.Time
	asked       map[string]int // by field, of those that have a partner
}

// choose returns the version for a request for a field of the current version: that, or the one of the round it belongs to.
func (r *rounds) choose(k roundKey, field string, now time.Time, current standing, all []standing, revoked func(standing) bool) standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.all[k]; n != nil && !n.over(now) {
		i := slices.IndexFunc(all, func(v standing) bool { return v.Fingerprint == n.version })
		if i >= 0 && !revoked(all[i]) {
			n.request(field, now)
			return all[i]
		}
	}
	n := &round{version: current.Fingerprint, began: now, asked: make(map[string]int)}
	for _, pair := range partners {
		if (pair[0] == field || pair[1] == field) && has(current.Value, pair[0]) && has(current.Value, pair[1]) {
			n.asked[pair[0]], n.asked[pair[1]] = 0, 0
		}
	}
	n.request(field, now)
	r.keep(k, n, now)
	return current
}

func (r *rounds) keep(k roundKey, n *round, now time.Time) {
	if r.all == nil {
		r.all, r.sweep = make(map[roundKey]*round), 1024
	}
	if len(r.all) >= r.sweep {
		for k, n := range r.all {
			if n.over(now) {
				delete(r.all, k)
			}
		}
		r.sweep = max(1024, 2*len(r.all))
	}
	if len(r.all) < maxRounds { // otherwise it is one request by itself
		r.all[k] = n
	}
}

func (n *round) request(field string, now time.Time) {
	n.last = now
	if _, paired := n.asked[field]; paired {
		n.asked[field]++
	}
}

func (n *round) over(now time.Time) bool {
	idle, age := now.Sub(n.last), now.Sub(n.began)
	if n.half() {
		return idle >= openRound || age >= 2*longRound
	}
	return idle >= quietRound || age >= longRound
}

// half reports whether of a login one field was asked for more often than the other.
func (n *round) half() bool {
	for _, pair := range partners {
		a, first := n.asked[pair[0]]
		b, second := n.asked[pair[1]]
		if first && second && a != b {
			return true
		}
	}
	return false
}
