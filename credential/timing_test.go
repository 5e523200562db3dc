package credential_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/parley-backend/parley/credential"
)

// I12: the time of a verification depends neither on the position of the first wrong byte nor on which version matches. Two
// classes of presented values are verified in random order, a million times each, and compared by Welch's t-test, as dudect does: over
// all samples, and over those below a quantile of them, for what else the machine does only ever adds time. A difference is one
// that shows again and again.
func TestI12TimeTellsNothing(t *testing.T) {
	if os.Getenv("PARLEY_TEST_TIMING") == "" {
		t.Skip("a timed test, for a machine that does nothing else: set PARLEY_TEST_TIMING=1")
	}
	// Each try has a credential of its own: where in memory the versions of one happen to lie makes a difference of its own.
	plain := func() *credential.Credential { c, _ := three(t); return c }
	keyset := func(n int, kind string) func() *credential.Credential {
		return func() *credential.Credential { c, _ := sized(t, n, kind); return c }
	}
	hashed, mixed, many := keyset(3, "hashed"), keyset(4, "mixed"), keyset(manyKeysCount, "hashed")
	keys := make([]string, manyKeysCount)
	for i := range keys {
		keys[i] = apiKey(i)
	}
	for _, test := range []struct {
		name string
		make func() *credential.Credential
		draw draw
		// both: whoever sees a difference presents a key that is accepted, and learns which of the accepted ones it is. Where in memory a
		// version lies may then show, as long as it is less than a nanosecond.
		both bool
	}{
		{"first or last byte wrong", plain, either(wrongAt(benchKeys[0], 0), wrongAt(benchKeys[0], len(benchKeys[0])-1)), false},
		{"first byte wrong or all", plain, either(wrongAt(benchKeys[0], 0), strings.Repeat("x", len(benchKeys[0]))), false},
		{"at rest, first or last byte wrong", hashed, either(wrongAt(apiKey(0), 0), wrongAt(apiKey(0), len(apiKey(0))-1)), false},
		{"the first or the last key matches", hashed, either(apiKey(0), apiKey(2)), true},
		{"a key at rest or a plain one matches", mixed, either(apiKey(0), apiKey(3)), true},
		{"the previous version or the oldest matches", plain, either(benchKeys[1], benchKeys[2]), true},
		// A map finds a key by its salted digest, in a time that is its own: so it is other keys each time.
		{"10,000 at rest, first or last byte wrong", many, func(place []byte, class uint64, r *rand.Rand) {
			copy(place, keys[r.IntN(len(keys))])
			flip := byte(0x80 + r.IntN(0x80)) // never to white space
			place[0] ^= flip * byte(1-class)  // both bytes are written, one of them as it is: what was written a moment ago is read more slowly
			place[len(place)-1] ^= flip * byte(class)
		}, false},
	} {
		for try := 1; ; try++ {
			statistic, apart := timingDifference(test.make(), test.draw)
			fmt.Printf("I12: %s: |t| = %.2f, %.2f ns apart, over 2 x %d samples (try %d)\n", test.name, statistic, apart, timingSamples, try)
			if statistic < 4.5 || test.both && apart < 1 {
				break
			}
			if try == 5 {
				t.Errorf("%s: |t| = %.2f and %.2f ns apart in the last of %d tries, want below 4.5", test.name, statistic, apart, try)
				break
			}
		}
	}
}

const timingSamples = 1_000_000

// wrongAt returns key with another byte in one place.
func wrongAt(key string, at int) string { return key[:at] + string(key[at]^0x40) + key[at+1:] }

// draw puts a value of a class in place, which has the length of every key here.
type draw func(place []byte, class uint64, r *rand.Rand)

// either draws one of two values.
func either(first, second string) draw {
	values := [2]string{first, second}
	return func(place []byte, class uint64, _ *rand.Rand) { copy(place, values[class]) }
}

// timingDifference returns the largest |t| of the croppings, and by how many nanoseconds the means of one verification differ there.
func timingDifference(c *credential.Credential, draw draw) (statistic, apart float64) {
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var samples [2][]float64
	for i := range samples {
		samples[i] = make([]float64, 0, timingSamples+timingSamples/8)
	}
	// Both classes are presented from the same place, for where a string lies makes a difference of its own.
	place := make([]byte, len(apiKey(0)))
	r := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	presented := unsafe.String(&place[0], len(place))
	for range 20_000 { // caches, branch predictors, the clock of the processor
		for class := range uint64(2) {
			draw(place, class, r)
			c.Verify(presented)
		}
	}
	const batch = 8 // verifications in one sample: the clock of the machine is coarse
	for len(samples[0]) < timingSamples || len(samples[1]) < timingSamples {
		bits := r.Uint64()
		for range 64 {
			class := bits & 1
			bits >>= 1
			draw(place, class, r)
			began := time.Now()
			for range batch {
				c.Verify(presented)
			}
			took := time.Since(began)
			if len(samples[class]) < cap(samples[class]) {
				samples[class] = append(samples[class], float64(took))
			}
		}
	}
	all := slices.Sorted(slices.Values(slices.Concat(samples[0], samples[1])))
	for _, quantile := range []float64{0.5, 0.75, 0.9, 0.95, 0.99} {
		limit := all[int(quantile*float64(len(all)-1))]
		a, b := below(samples[0], limit), below(samples[1], limit)
		if t := math.Abs(welch(a, b)); t > statistic {
			ma, _ := moments(a)
			mb, _ := moments(b)
			statistic, apart = t, math.Abs(ma-mb)/batch
		}
	}
	return statistic, apart
}

func below(samples []float64, limit float64) []float64 {
	kept := make([]float64, 0, len(samples))
	for _, s := range samples {
		if s <= limit {
			kept = append(kept, s)
		}
	}
	return kept
}

// welch returns the t statistic of two samples that need not have the same variance.
func welch(a, b []float64) float64 {
	ma, va := moments(a)
	mb, vb := moments(b)
	return (ma - mb) / math.Sqrt(va/float64(len(a))+vb/float64(len(b)))
}

func moments(samples []float64) (mean, variance float64) {
	for _, s := range samples {
		mean += s
	}
	mean /= float64(len(samples))
	for _, s := range samples {
		variance += (s - mean) * (s - mean)
	}
	return mean, variance / float64(len(samples)-1)
}

// The statistic finds what is there and nothing else.
func TestWelch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(mean float64) []float64 {
		samples := make([]float64, 100_000)
		for i := range samples {
			samples[i] = mean + 20*r.NormFloat64()
		}
		return samples
	}
	if got := math.Abs(welch(draw(300), draw(300))); got >= 4.5 {
		t.Errorf("|t| of equal distributions = %.2f, want below 4.5", got)
	}
	if got := math.Abs(welch(draw(300), draw(301))); got < 4.5 {
		t.Errorf("|t| of a difference of a nanosecond = %.2f, want above 4.5", got)
	}
	if a, b := welch([]float64{1, 2, 3}, []float64{2, 4, 6}), -2/math.Sqrt(1./3+4./3); math.Abs(a-b) > 1e-12 {
		t.Errorf("t = %v, want %v", a, b)
	}
}
