package credential_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// ledger is a source that feeds a model of the engine with each of its answers: the model knows what was read, and when.
type ledger struct {
	mu      sync.Mutex
	key     string // the answer
	err     error
	revoked map[string]bool
	current string
	until   map[string]time.Time // of what was replaced
	read    time.Time            // the latest answer that counts as a reading
	overlap time.Duration
	trusted time.Duration
	jumps   bool // of the wall clock, are to be expected
}

func (l *ledger) Info() credential.Info { return credential.Info{Scheme: "ledger"} }

func (l *ledger) Fetch(ctx context.Context) (credential.Payload, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.err != nil {
		if l.err == credential.Gone {
			l.current, l.until, l.read = "", map[string]time.Time{}, now
		}
		return credential.Payload{}, l.err
	}
	l.read = now
	if l.key != l.current {
		l.expire(now)
		if l.current != "" && !l.revoked[l.current] {
			l.until[l.current] = now.Add(l.overlap)
		}
		delete(l.until, l.key)
		for len(l.until) > 2 && !l.jumps { // a jump may have ended others, which makes room
			oldest := ""
			for key, until := range l.until {
				if oldest == "" || until.Before(l.until[oldest]) {
					oldest = key
				}
			}
			delete(l.until, oldest)
		}
		l.current = l.key
	}
	return credential.Payload{Versions: []credential.Version{{Value: credential.NewSecret(l.key)}}}, ctx.Err()
}

func (l *ledger) expire(now time.Time) {
	for key, until := range l.until {
		if !now.Before(until) {
			delete(l.until, key)
		}
	}
}

// accepts says what the engine must: an answer may only ever be yes where the model's is, and a no of the engine about the
// current key, unrevoked, is wrong in any case.
func (l *ledger) accepts(key string) (yes, current bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.expire(now)
	_, previous := l.until[key]
	current = key == l.current && !l.revoked[key]
	return (current || previous) && !l.revoked[key] && !l.read.IsZero() && now.Sub(l.read) <= l.trusted, current
}

// I1, I2, I5, I8, I11: whatever happens to a source, to the clock and at the hands of an operator, in whatever order, exactly that is
// accepted which the readings, the revocations and the passing of time allow; and when the wall clock jumps, never more
// than that, and never a rejection of the current key.
func TestI11AnyOrderOfEvents(t *testing.T) {
	keys := []string{keyA, keyB, keyC, keyD}
	rapid.Check(t, func(r *rapid.T) {
		jumps := rapid.Bool().Draw(r, "jumps")
		steps := rapid.SliceOfN(rapid.IntRange(0, 99), 1, 60).Draw(r, "steps")
		pauses := rapid.SliceOfN(rapid.IntRange(1, 5000), len(steps), len(steps)).Draw(r, "seconds")
		var wrong []string
		synctest.Test(t, func(t *testing.T) {
			l := &ledger{key: keyA, revoked: map[string]bool{}, until: map[string]time.Time{}, overlap: 40 * time.Minute, trusted: 65 * time.Minute, jumps: jumps}
			clock := &credentialtest.Clock{}
			c, err := credential.New(credential.Config{Name: "key", Source: l, Overlap: l.overlap, Wall: clock.Now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Stop)
			if err := c.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			var done []string
			for i, step := range steps {
				what := l.act(t, c, clock, step, jumps)
				done = append(done, fmt.Sprintf("%s, %d s", what, pauses[i]))
				synctest.Wait()
				for range 2 { // after the step, and after the pause
					for _, key := range keys {
						want, current := l.accepts(key)
						d := c.Verify(key)
						switch {
						case d.OK() && !want, !d.OK() && want && !jumps, d.Verdict == credential.Reject && current && d.Reason != credential.ReasonUnknown && !l.gone():
							wrong = append(wrong, fmt.Sprintf("Verify(%.4s) = %s, the model says %v (current: %v)", key, said(d), want, current))
						}
					}
					if len(wrong) > 0 {
						wrong = append(wrong, "after "+strings.Join(done, "; "))
						return
					}
					sleep(time.Duration(pauses[i]) * time.Second)
				}
			}
		})
		if len(wrong) > 0 {
			r.Fatal(strings.Join(wrong, "\n"))
		}
	})
}

func (l *ledger) gone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current == ""
}

func (l *ledger) set(key string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if key != "" {
		l.key = key
	}
	l.err = err
}

// act does one thing and names it.
func (l *ledger) act(t *testing.T, c *credential.Credential, clock *credentialtest.Clock, step int, jumps bool) string {
	keys := []string{keyA, keyB, keyC, keyD}
	key := keys[step%len(keys)]
	switch kind := step / 4; {
	case kind < 8:
		l.set(key, nil)
		if kind < 5 {
			_ = c.Refresh(t.Context())
			return fmt.Sprintf("read %.4s", key)
		}
		return fmt.Sprintf("store %.4s", key)
	case kind < 12:
		l.set("", []error{errDown, credential.Errorf(credential.Missing, "none"), credential.Errorf(credential.Denied, "no"), context.DeadlineExceeded}[step%4])
		return "fail"
	case kind == 12:
		l.set("", credential.Gone)
		return "gone"
	case kind < 15:
		l.set("", nil)
		return "mend"
	case kind == 15:
		if id := c.Verify(key).VersionID; id != "" && c.Revoke(t.Context(), id) == nil {
			l.mu.Lock()
			l.revoked[key] = true
			delete(l.until, key)
			l.mu.Unlock()
		}
		return fmt.Sprintf("revoke %.4s", key)
	case kind < 18:
		c.VerifyContext(t.Context(), key)
		return fmt.Sprintf("present %.4s", key)
	case kind < 22 && jumps:
		by := []time.Duration{24 * time.Hour, -24 * time.Hour, 50 * time.Minute, -50 * time.Minute}[step%4]
		clock.Step(by)
		return fmt.Sprint("clock ", by)
	}
	_ = c.Refresh(t.Context())
	return "refresh"
}

// I11: with the wall clock set back between rotations, the version that was replaced first is the one that makes room.
func TestI11OldestMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{Overlap: 10 * time.Minute}, credential.Info{})
		f.rotate(t, keyB)
		sleep(time.Minute)
		f.rotate(t, keyC)
		sleep(time.Minute)
		f.clock.Step(-day)
		f.rotate(t, keyD)
		f.expect(t, "three rotations", map[string]string{keyA: "reject retired", keyB: "accept previous", keyC: "accept previous", keyD: "accept current"})
	})
}
