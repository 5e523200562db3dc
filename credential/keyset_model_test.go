package credential_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-backend/parley/credential"
)

// stated is what a keyset says of one key, in the simplest form.
type stated struct {
	state               string // "" if the key is not in it
	hashed              bool
	notBefore, notAfter time.Duration // from the beginning; 0 for none
	until               time.Duration
}

func (s stated) accepted(now time.Duration) bool {
	const skew = time.Minute
	switch s.state {
	case "current":
		return (s.notBefore == 0 || now >= s.notBefore-skew) && (s.notAfter == 0 || now < s.notAfter+skew)
	case "previous":
		return now < s.until
	}
	return false
}

func (s stated) entry(id, value string, began time.Time) string {
	more := fmt.Sprintf(`,"state":%q`, s.state)
	for member, at := range map[string]time.Duration{"notBefore": s.notBefore, "notAfter": s.notAfter, "until": s.until} {
		if at != 0 {
			more += fmt.Sprintf(`,%q:%q`, member, began.Add(at).UTC().Format(time.RFC3339))
		}
	}
	if s.hashed {
		return hashedKey(id, value, more)
	}
	return plainKey(id, value, more)
}

// drawStated draws what a keyset says of a key at a moment.
func drawStated(r *rapid.T, now time.Duration) stated {
	soon := func(name string) time.Duration {
		return now + time.Duration(rapid.IntRange(1, 1500).Draw(r, name))*time.Second
	}
	s := stated{state: rapid.SampledFrom([]string{"", "current", "current", "previous", "pending", "disabled", "revoked"}).Draw(r, "state"), hashed: rapid.Bool().Draw(r, "hashed")}
	switch {
	case s.state == "previous":
		s.until = soon("until")
	case s.state == "current" && rapid.Bool().Draw(r, "bounded"):
		s.notBefore = soon("notBefore")
		s.notAfter = s.notBefore + soon("notAfter") - now
	}
	return s
}

// I6, I8: whatever is stored, and whatever time passes, a key is accepted exactly when the last good keyset says so and no
// good one ever said that it is revoked.
func TestI6KeysetModel(t *testing.T) {
	values := []string{keyA, keyB, keyC, keyD, "eeee-key-of-the-fifth-client-eeeee"}
	rapid.Check(t, func(r *rapid.T) {
		type step struct {
			keys   []stated
			broken int // a way to break the document, 0 for none
			pause  time.Duration
		}
		var steps []step
		now := time.Second
		for range rapid.IntRange(1, 15).Draw(r, "steps") {
			s := step{broken: max(0, rapid.IntRange(-3, 4).Draw(r, "broken")), pause: time.Duration(rapid.IntRange(1, 900).Draw(r, "pause")) * time.Second}
			for range values {
				s.keys = append(s.keys, drawStated(r, now))
			}
			s.keys[0] = stated{state: "current", hashed: s.keys[0].hashed} // a keyset is never empty
			steps = append(steps, s)
			now += s.pause
		}
		var wrong string
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			d := newText(t, "keyset", keysetOf(plainKey("0", keyA, "")))
			f := start(t, credential.Config{Source: d, StaleMax: 1000 * time.Hour}, credential.Info{})
			good := []stated{{state: "current"}, {}, {}, {}, {}}
			revoked := make([]bool, len(values))
			sleep(time.Second)
			for n, s := range steps {
				var entries []string
				for i, k := range s.keys {
					if k.state != "" {
						entries = append(entries, k.entry(fmt.Sprint(i), values[i], began))
					}
				}
				text := keysetOf(entries...)
				switch s.broken {
				case 1:
					text = text[:len(text)-1]
				case 2:
					text = keysetOf(append(entries, entries[0])...)
				case 3:
					text = keysetOf(append(entries, hashedKey("again", keyA, ""))...)
				case 4:
					text = `{"count":99,` + text[1:]
				}
				err := d.try(t, f, text)
				if (err == nil) != (s.broken == 0) && wrong == "" {
					wrong = fmt.Sprintf("step %d: Refresh of %s = %v", n, text, err)
				}
				if s.broken == 0 {
					good = s.keys
				}
				for i := range revoked {
					revoked[i] = revoked[i] || good[i].state == "revoked"
				}
				for _, pause := range []time.Duration{0, s.pause / 2, s.pause - s.pause/2} {
					sleep(pause)
					for i, value := range values {
						got, want := f.Verify(value), good[i].accepted(time.Since(began)) && !revoked[i]
						if got.OK() != want && wrong == "" {
							wrong = fmt.Sprintf("step %d, %v later: Verify of key %d = %+v, want accepted: %v; the keyset is %s", n, pause, i, got, want, text)
						}
					}
				}
			}
		})
		if wrong != "" {
			r.Fatal(wrong)
		}
	})
}
