package credential_test

import (
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
)

const clockForward = "wall clock a day forward, or a suspended machine"

// Attempts in half an hour: of a healthy credential with a ttl of 5 min, and of a failing one.
var (
	steady   = [2]int{6, 10}
	retrying = [2]int{29, 48}
)

// kept are the cells of a fault that changes nothing in memory: what was good before is used, and becomes stale.
func kept(class, events string) map[string]cell {
	if events != "" {
		events += " "
	}
	return map[string]cell{
		"cold":    {current: "undecided empty", unknown: "undecided empty", condition: "empty", lost: "all", attempts: retrying, events: events + "failed", acquire: class},
		"fresh":   {current: "accept current", unknown: "reject unknown", condition: "stale", lost: "none", attempts: retrying, events: events + "failed stale", acquire: "first"},
		"stale":   {current: "accept current", unknown: "reject unknown", condition: "stale", lost: "none", attempts: retrying, events: events + "failed", acquire: "first"},
		"overlap": {current: "accept current", previous: "accept previous", unknown: "reject unknown", condition: "stale", lost: "none", attempts: retrying, events: events + "failed stale", acquire: "second"},
	}
}

func fails(name, how string, err error, class string) fault {
	return fault{name: name, how: how, inject: func(b *bed) { b.source.Fail(err) }, want: kept(class, "")}
}

// yields is a fault in what the source says.
func yields(name, value string) fault {
	return fault{name: name, how: "the source yields it", inject: func(b *bed) { b.source.Set(value) }, want: kept("invalid", "")}
}

// eachState returns cells changed in some states.
func eachState(cells map[string]cell, change func(state string, c *cell)) map[string]cell {
	for _, state := range states {
		if c, has := cells[state]; has {
			change(state, &c)
			cells[state] = c
		}
	}
	return cells
}

// well are the cells of a fault that is not felt.
func well() map[string]cell {
	return eachState(kept("first", ""), func(state string, c *cell) {
		c.current, c.unknown, c.condition, c.lost, c.attempts = "accept current", "reject unknown", "fresh", "none", steady
		c.events = map[string]string{"cold": "installed", "stale": "recovered"}[state]
	})
}

// rotated are the cells of a rotation that the fault does not keep from being noticed.
func rotated() map[string]cell {
	return eachState(well(), func(_ string, c *cell) {
		c.previous, c.acquire, c.events, c.attempts = "accept previous", "third", "rotated", [2]int{7, 12}
	})
}

// inStates keeps the cells of some states.
func inStates(cells map[string]cell, only ...string) map[string]cell {
	for state := range cells {
		if !slices.Contains(only, state) {
			delete(cells, state)
		}
	}
	return cells
}

var faults = []fault{
	{name: "slow", how: "each fetch takes 4.5 s of its 5 s", inject: func(b *bed) { b.source.Delay(4500 * time.Millisecond) }, want: well()},
	{name: "hangs and ignores its context", how: "a blocked goroutine", inject: func(b *bed) { b.release = b.source.Hang() }, mend: func(b *bed) { b.release() },
		want: eachState(kept("unavailable", "abandoned"), func(_ string, c *cell) { c.attempts = [2]int{1, 1} })},
	{name: "panics", how: "the source panics", inject: func(b *bed) { b.source.Panic("with " + keyA) }, want: kept("unavailable", "")},
	fails("refused connection, 5xx, sealed", "the source says Unavailable", errDown, "unavailable"),
	{name: "429 with Retry-After of 4 min", how: "the source says Unavailable and when to come back",
		inject: func(b *bed) {
			b.source.Fail(&credential.Error{Class: credential.Unavailable, Reason: "busy", RetryAfter: 4 * time.Minute})
		},
		mend: func(b *bed) { b.restore(); sleep(4 * time.Minute) },
		want: eachState(kept("unavailable", ""), func(_ string, c *cell) { c.attempts = [2]int{6, 9} })},
	{name: "up and down each second", how: "every other second the source says Unavailable", inject: func(*bed) {},
		each: func(b *bed, second int) {
			b.source.Fail([]error{errDown, nil}[second%2])
			if second == 2 {
				b.Noticed(credential.Notice{}) // else all readings may come in a second in which it is up
			}
		},
		want: inStates(eachState(well(), func(_ string, c *cell) { c.attempts, c.events = [2]int{6, 65}, "failed recovered" }), "fresh", "overlap")},
	fails("login refused (401, 403)", "the source says Denied", credential.Errorf(credential.Denied, "no"), "denied"),
	fails("missing", "the source says Missing", credential.Errorf(credential.Missing, "none"), "missing"),
	{name: "missing, with OnMissing: Drop", how: "the source says Missing", cfg: credential.Config{OnMissing: credential.Drop},
		inject: func(b *bed) { b.source.Fail(credential.Errorf(credential.Missing, "none")) }, want: dropped("missing")},
	{name: "deleted", how: "the source says Gone", inject: func(b *bed) { b.source.Fail(credential.Errorf(credential.Gone, "deleted")) }, want: dropped("gone")},
	{name: "current version disabled", how: "the source lists it as disabled and no other", inject: func(b *bed) {
		b.source.SetVersions(credential.Version{ID: "v", Value: credential.NewSecret(b.current), State: credential.Disabled})
	}, mend: func(b *bed) { b.putAndRead(b.current) }, want: inStates(eachState(well(), func(_ string, c *cell) {
		c.current, c.unknown, c.lost, c.events, c.acquire = "reject disabled", "undecided empty", "some", "dead_used disabled", "unavailable"
	}), "fresh")},
	{name: "previous version destroyed", how: "the source lists it as revoked", inject: func(b *bed) {
		b.source.SetVersions(credential.Version{ID: "v2", Number: 2, Value: credential.NewSecret(keyB)}, credential.Version{ID: "v1", Number: 1, State: credential.Revoked})
	}, want: inStates(eachState(well(), func(_ string, c *cell) { c.previous, c.events = "reject revoked", "revoked" }), "overlap")},
	yields("empty", ""),
	yields("one newline", "\n"),
	yields("spaces", "   "),
	yields("byte order mark", "\uFEFF"+keyB),
	yields("NUL", keyB+"\x00"),
	yields("not UTF-8", "\xff\xfe\xfd\xfc"+keyB),
	yields("1 MiB", strings.Repeat("x", 1<<20)),
	yields("longer than 64 KiB by one byte", strings.Repeat("x", 64<<10+1)),
	{name: "a good version beside a bad one", how: "the source lists both", inject: func(b *bed) {
		b.source.SetVersions(credential.Version{Value: credential.NewSecret(keyC)}, credential.Version{Value: credential.NewSecret("")})
	}, want: kept("invalid", "")},
	{name: "no version at all", how: "the source lists none", inject: func(b *bed) { b.source.SetVersions() }, want: kept("invalid", "")},
	{name: "the same value under another id", how: "the source yields it with id v9", inject: func(b *bed) {
		b.source.SetVersions(credential.Version{ID: "v9", Number: 9, Value: credential.NewSecret(b.current)})
	}, want: inStates(well(), "fresh", "stale", "overlap")},
	{name: "A, B, A", how: "two readings: another value, and the first again", inject: func(b *bed) {
		b.previous = keyC
		b.putAndRead(keyC)
		b.putAndRead(b.current)
	}, want: inStates(eachState(well(), func(state string, c *cell) {
		c.previous = "accept previous"
		c.events, c.attempts = strings.Join(strings.Fields("flapping "+c.events+" rotated"), " "), [2]int{8, 12}
	}), "fresh", "stale", "overlap")},
	{name: "an older version from a replica that lags", how: "a numbered source yields version 1 after 2", info: credential.Info{Monotonic: true}, inject: func(b *bed) {
		b.source.SetVersions(credential.Version{ID: "v1", Number: 1, Value: credential.NewSecret(keyA)})
	}, want: inStates(kept("unavailable", ""), "overlap")},
	{name: "a notice before the value can be read", how: "version 2 is announced, and stored 2 s later", info: credential.Info{Monotonic: true}, inject: func(b *bed) {
		b.source.Notify(credential.Notice{Number: b.number + 1})
		sleep(2 * time.Second)
		b.previous = b.current
		b.current = keyC
		b.put(keyC)
		sleep(3 * time.Second)
	}, want: inStates(rotated(), "fresh")},
	{name: "a notice of what never comes", how: "version 9 is announced", info: credential.Info{Monotonic: true}, inject: func(b *bed) {
		b.source.Notify(credential.Notice{Number: 9})
	}, want: inStates(eachState(well(), func(_ string, c *cell) { c.attempts = [2]int{steady[0] + 1, steady[1] + 6} }), "fresh", "overlap")},
	{name: clockForward, how: "the wall clock steps by +24 h", inject: func(b *bed) { b.clock.Step(day) }, want: inStates(eachState(well(), func(state string, c *cell) {
		if state == "overlap" {
			c.previous, c.events = "reject retired", "retired"
		}
	}), "fresh", "overlap")},
	{name: "wall clock a day back", how: "the wall clock steps by -24 h", inject: func(b *bed) { b.clock.Step(-day) }, want: inStates(well(), "fresh", "overlap")},
	{name: "the store's clock is 10 min ahead", how: "a rotation, stamped so", inject: stamped(10 * time.Minute), want: inStates(rotated(), "fresh")},
	{name: "the store's clock is 10 min behind", how: "a rotation, stamped so", inject: stamped(-10 * time.Minute), want: inStates(rotated(), "fresh")},
	{name: "unknown keys", how: "twenty others each second", inject: func(*bed) {}, each: func(b *bed, second int) {
		for i := range 20 {
			b.VerifyContext(b.t.Context(), fmt.Sprintf("unknown-key-%d-%d", second, i))
		}
	}, want: inStates(eachState(well(), func(_ string, c *cell) { c.attempts = [2]int{180, 190} }), "fresh", "overlap")},
}

// dropped are the cells of a store that says that there is nothing any more.
func dropped(class string) map[string]cell {
	return eachState(kept(class, ""), func(state string, c *cell) {
		c.unknown, c.acquire = "undecided empty", class
		if state != "cold" {
			c.current, c.condition, c.lost, c.events = "reject disabled", "fresh", "some", "dead_used disabled failed"
		}
		if state == "overlap" {
			c.previous = "reject disabled"
		}
	})
}

func stamped(by time.Duration) func(*bed) {
	return func(b *bed) {
		b.previous, b.current = b.current, keyC
		b.number++
		b.source.SetVersions(credential.Version{ID: "v9", Number: 9, Value: credential.NewSecret(keyC), Created: b.clock.Now().Add(by)})
		_ = b.Refresh(b.t.Context())
		synctest.Wait()
	}
}
