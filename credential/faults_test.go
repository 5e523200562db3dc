package credential_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// The fault matrix: what goes wrong with a source or a clock, injected while a credential is cold, fresh, stale or in the overlap
// of a rotation; once as a verifier sees it, once as a presenter does. For half an hour the current value is presented, or
// acquired, each second. docs/fault-matrix.md is printed from this table.

// fault is one row.
type fault struct {
	name, how string
	info      credential.Info
	cfg       credential.Config
	inject    func(*bed)
	each      func(b *bed, second int) // while it lasts
	mend      func(*bed)               // by default the source yields again what it did before
	want      map[string]cell          // by state; a state that is not there has no meaning for the fault
}

// cell is what is seen in one state after half an hour. Of answers "" is "not looked at".
type cell struct {
	current, previous, unknown string // verifying the values that were so before the fault
	condition                  string
	lost                       string // verifications of the current value in the half hour that were not accepted: none, all or some
	attempts                   [2]int // fetches in the half hour, at least and at most
	events                     string // kinds, sorted
	acquire                    string // presenting: the value handed out (first, second), or the class of the error
}

// states are the columns, in the order of a life.
var states = []string{"cold", "fresh", "stale", "overlap"}

// bed is one credential with its source, its clock and what it held before the fault.
type bed struct {
	*fixture
	t                 *testing.T
	state             string
	current, previous string
	number            uint64
	release           func() // of a hanging fetch
	told              int    // events before the fault
}

// put stores a key as the only version.
func (b *bed) put(key string) {
	b.number++
	b.source.SetVersions(credential.Version{ID: fmt.Sprint("v", b.number), Number: b.number, Value: credential.NewSecret(key)})
}

func (b *bed) putAndRead(key string) {
	b.put(key)
	_ = b.Refresh(b.t.Context())
	synctest.Wait()
}

// The reasons for which every fault ends well: the source yields again what it did.
func (b *bed) restore() {
	b.source.Delay(0)
	b.source.SetVersions(credential.Version{ID: fmt.Sprint("v", b.number), Number: b.number, Value: credential.NewSecret(b.current)})
}

const faultLasts = 30 * time.Minute

// meet puts a credential into a state, injects the fault and lets it last. The returned function ends the fault.
func meet(t *testing.T, f *fault, state string, present bool) (*bed, *cell, func()) {
	b := &bed{fixture: &fixture{source: credentialtest.New(f.info, keyA), seen: &credentialtest.Recorder{}, clock: &credentialtest.Clock{}},
		t: t, state: state, current: keyA}
	b.put(keyA)
	if state == "cold" {
		f.inject(b)
	}
	cfg := f.cfg
	cfg.Name, cfg.Source, cfg.Startup, cfg.Present = "masterKey", b.source, credential.Degraded, present
	cfg.Overlap, cfg.Observer, cfg.Wall = 2*time.Hour, b.seen, b.clock.Now
	var err error
	if b.Credential, err = credential.New(cfg); err != nil {
		t.Fatalf("New failed: %v", err)
	}
	t.Cleanup(b.Stop)
	if state != "cold" {
		if err := b.Start(t.Context()); err != nil {
			t.Fatalf("Start failed: %v", err)
		}
		synctest.Wait()
		switch state {
		case "stale":
			b.source.Fail(errDown)
			sleep(10 * time.Minute)
			b.source.Fail(nil)
		case "overlap":
			b.putAndRead(keyB)
			b.current, b.previous = keyB, keyA
		}
		b.told = len(b.seen.Events())
	}
	before := b.source.Fetches()
	switch state {
	case "cold":
		if err := b.Start(t.Context()); err != nil {
			t.Fatalf("Start failed: %v", err)
		}
	default:
		f.inject(b)
	}
	seen := b.use(f, present)
	seen.attempts = [2]int{b.source.Fetches() - before, b.source.Fetches() - before}
	return b, seen, func() {
		if f.mend != nil {
			f.mend(b)
		}
		b.restore()
	}
}

// use presents or acquires the current value each second of half an hour, and then looks at everything.
func (b *bed) use(f *fault, present bool) *cell {
	var used, lost int
	ctx := b.t.Context()
	acquire := func() string { return "" }
	if present {
		p, err := credential.Present(b.Credential)
		if err != nil {
			b.t.Fatal(err)
		}
		acquire = func() string {
			lease, err := p.Acquire(ctx)
			if err != nil {
				return classOf(err)
			}
			return map[string]string{keyA: "first", keyB: "second", keyC: "third"}[string(lease.Value.Reveal())]
		}
	}
	for began, second := time.Now(), 0; time.Since(began) < faultLasts; second++ {
		if f.each != nil {
			f.each(b, second)
		}
		asked := time.Now()
		used++
		var served bool
		if present {
			got := acquire()
			served = got == "first" || got == "second" || got == "third"
		} else if served = b.VerifyContext(ctx, b.current).OK(); !served {
			lost++
		}
		waited := time.Since(asked)
		switch {
		case served && waited == 0: // nobody waits for what is in memory
		case served && (b.state == "cold" || f.name == clockForward) && waited <= 5*time.Second:
		case !served && waited <= 5100*time.Millisecond: // one fetch, shared
		default:
			b.t.Errorf("second %d: a reader waited %v", second, waited)
		}
		sleep(time.Second)
	}
	events := b.events() // before the last looks, which may cause some
	seen := &cell{events: events, condition: b.Status().Condition.String(), acquire: acquire(), lost: "some", unknown: said(b.Verify(keyD)), current: said(b.Verify(b.current))}
	switch lost {
	case 0:
		seen.lost = "none"
	case used:
		seen.lost = "all"
	}
	if b.previous != "" {
		seen.previous = said(b.Verify(b.previous))
	}
	return seen
}

// events returns the kinds of what was told since the fault was injected.
func (b *bed) events() string {
	kinds := make(map[string]bool)
	for _, e := range b.seen.Events()[b.told:] {
		kinds[e.Kind.String()] = true
	}
	delete(kinds, "started")
	return strings.Join(slices.Sorted(maps.Keys(kinds)), " ")
}

func classOf(err error) string {
	for c := credential.Unavailable; c <= credential.Misconfigured; c++ {
		if errors.Is(err, c) {
			return c.String()
		}
	}
	return err.Error()
}

func TestFaultMatrix(t *testing.T) {
	for i := range faults {
		f := &faults[i]
		t.Run(f.name, func(t *testing.T) {
			if len(f.want) == 0 {
				t.Fatal("no state")
			}
			for _, state := range slices.Sorted(maps.Keys(f.want)) {
				want := f.want[state]
				t.Run(state+"/verify", func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b, got, mend := meet(t, f, state, false)
						got.acquire = want.acquire
						compareCells(t, got, &want)
						mend()
						sleep(66 * time.Second) // the cap of the back-off and a fetch
						if d, s := b.Verify(b.current), b.Status(); !d.OK() || s.Condition != credential.Fresh || s.Suspect {
							t.Errorf("66 s after its end: Verify(current) = %s, %v, %s", said(d), s.Condition, s.LastError)
						}
					})
				})
				t.Run(state+"/present", func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						_, got, mend := meet(t, f, state, true)
						if got.acquire != want.acquire {
							t.Errorf("Acquire yields %s, want %s", got.acquire, want.acquire)
						}
						mend()
					})
				})
			}
		})
	}
}

// compareCells checks what was seen against the row; the number of attempts may lie anywhere between its bounds.
func compareCells(t *testing.T, got, want *cell) {
	t.Helper()
	if n := got.attempts[0]; n >= want.attempts[0] && n <= want.attempts[1] {
		got.attempts = want.attempts
	}
	if *got != *want {
		t.Errorf("after half an hour:\n got %+v\nwant %+v", *got, *want)
	}
}
