package credential_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-backend/parley/credential"
)

// bad are values that must never be installed.
var bad = []string{"", "\n", " ", "\t\n", "\uFEFFkey-with-a-mark", "key\x00with-nul", "two\nlines", " leading", "trailing ", "key\r\n\n", "\xff\xfe\xfd",
	strings.Repeat("x", 64<<10+1), "short", "equal-to-the-key-of-another-role"}

// model is the engine in its simplest form: what each key is, and until when.
type model struct {
	current string
	until   map[string]time.Time // previous keys
	overlap time.Duration
}

func (m *model) put(key string, now time.Time) {
	m.expire(now)
	if key == m.current {
		return
	}
	m.until[m.current] = now.Add(m.overlap)
	delete(m.until, key)
	m.current = key
	for len(m.until) > 2 {
		oldest := ""
		for k, u := range m.until {
			if oldest == "" || u.Before(m.until[oldest]) {
				oldest = k
			}
		}
		delete(m.until, oldest)
	}
}

func (m *model) expire(now time.Time) {
	for k, u := range m.until {
		if !now.Before(u) {
			delete(m.until, k)
		}
	}
}

func (m *model) accepts(key string, now time.Time) bool {
	m.expire(now)
	_, previous := m.until[key]
	return key == m.current || previous
}

// I6: after any sequence of good and bad readings, failures and passing time, the live
// set is that of the good readings alone.
func TestI6OnlyGoodReadingsCount(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		keys := []string{keyA, keyB, keyC, keyD}
		steps := rapid.SliceOfN(rapid.IntRange(0, len(keys)+len(bad)+4), 1, 40).Draw(r, "steps")
		pauses := rapid.SliceOfN(rapid.IntRange(1, 400), len(steps), len(steps)).Draw(r, "seconds")
		var wrong string
		synctest.Test(t, func(t *testing.T) {
			var set credential.Set
			other, err := credential.New(credential.Config{Name: "other", Set: &set, Source: credential.Literal("equal-to-the-key-of-another-role")})
			if err != nil {
				t.Fatal(err)
			}
			defer other.Stop()
			f := start(t, credential.Config{Set: &set, MinLength: 8, Overlap: 10 * time.Minute}, credential.Info{})
			m := &model{current: keyA, until: map[string]time.Time{}, overlap: 10 * time.Minute}
			for i, step := range steps {
				sleep(time.Duration(pauses[i]) * time.Second)
				switch {
				case step < len(keys):
					f.source.Set(keys[step])
					_ = f.Refresh(t.Context())
					m.put(keys[step], time.Now())
				case step < len(keys)+len(bad):
					// A good version beside a bad one does not save the reading.
					f.source.SetVersions(credential.Version{Value: credential.NewSecret(bad[step-len(keys)])}, credential.Version{Value: credential.NewSecret(keyD)})
					if f.Refresh(t.Context()) == nil {
						wrong = fmt.Sprintf("step %d: Refresh took %.20q", i, bad[step-len(keys)])
					}
				default:
					f.source.Fail([]error{errDown, credential.Errorf(credential.Missing, "none"), credential.Errorf(credential.Denied, "no"), fmt.Errorf("boom"), credential.Errorf(credential.Invalid, "bad")}[step-len(keys)-len(bad)])
					_ = f.Refresh(t.Context())
				}
				synctest.Wait()
				for _, key := range keys {
					if got, want := f.Verify(key).OK(), m.accepts(key, time.Now()); got != want && wrong == "" {
						wrong = fmt.Sprintf("step %d (%d): Verify(%.4s) accepts: %v, want %v", i, step, key, got, want)
					}
				}
				for _, value := range bad {
					if len(value) > 1000 {
						continue // longer than anything installed; hashing it takes the time of this test
					}
					if f.Verify(value).OK() || f.Verify(strings.TrimSpace(value)).OK() {
						wrong = fmt.Sprintf("step %d: Verify(%.20q) accepts", i, value)
					}
				}
			}
		})
		if wrong != "" {
			r.Fatal(wrong)
		}
	})
}

// FuzzPayload: whatever bytes a source yields, what is accepted afterwards is either the
// key from before or exactly those bytes less one newline, and those are fit for an
// HTTP header.
func FuzzPayload(f *testing.F) {
	for _, value := range append(bad[:len(bad):len(bad)], keyB, keyB+"\n", keyB+"\r\n", "ünïcödé-key-that-is-long") {
		f.Add([]byte(value[:min(len(value), 1000)]))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		c, err := credential.New(credential.Config{Name: "key", Source: credential.Literal(string(value))})
		if err != nil {
			if strings.Contains(err.Error(), string(value)) && len(value) > 8 {
				t.Errorf("the error quotes the value")
			}
			return
		}
		want := bytes.TrimSuffix(value, []byte("\n"))
		if len(want) < len(value) {
			want = bytes.TrimSuffix(want, []byte("\r"))
		}
		if !c.Verify(string(want)).OK() {
			t.Errorf("installed, and Verify of it = %+v", c.Verify(string(want)))
		}
		if c.Verify("").OK() || c.Verify(" ").OK() || len(bytes.TrimSpace(want)) != len(want) || bytes.ContainsAny(want, "\x00\n\r") {
			t.Errorf("installed what no header can carry: %q", want)
		}
	})
}
