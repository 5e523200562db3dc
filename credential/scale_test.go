package credential_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/parley-backend/parley/credential"
)

const manyKeysCount = 10_000

// apiKey is a key of 58 characters, as generated ones are.
func apiKey(i int) string {
	return fmt.Sprintf("api-key-of-fifty-eight-characters-for-client-%013d", i)
}

// sized returns a credential with n keys on the real clock, every other one at rest where mixed, all where hashed.
func sized(tb testing.TB, n int, kind string) (*credential.Credential, *textSource) {
	tb.Helper()
	entries := make([]string, n)
	for i := range entries {
		if kind == "hashed" || kind == "mixed" && i%2 == 0 {
			entries[i] = hashedKey(fmt.Sprint("key-", i), apiKey(i), "")
		} else {
			entries[i] = plainKey(fmt.Sprint("key-", i), apiKey(i), "")
		}
	}
	source := newText(tb, "keyset", keysetOf(entries...))
	c, err := credential.New(credential.Config{Name: "apiKeys", Kind: credential.API, Source: source, Set: &credential.Set{}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Stop)
	if err := c.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return c, source
}

// I4: a verification allocates nothing also when there are many keys, and when they are at rest.
func TestI4NoAllocationWithManyKeys(t *testing.T) {
	for _, kind := range []string{"plain", "mixed", "hashed"} {
		for _, n := range []int{3, manyKeysCount} {
			c, _ := sized(t, n, kind)
			for name, presented := range map[string]string{"first": apiKey(0), "last": apiKey(n - 1), "unknown": keyD, "absent": "", "long": apiKey(0) + apiKey(0) + apiKey(0)} {
				if got := testing.AllocsPerRun(1000, func() { c.Verify(presented) }); got != 0 {
					t.Errorf("%d keys, %s: Verify(%s): %v allocations, want 0", n, kind, name, got)
				}
			}
			if d := c.Verify(apiKey(n - 1)); !d.OK() || d.VersionID != fmt.Sprint("key-", n-1) {
				t.Errorf("%d keys, %s: Verify of the last = %+v, want Accept", n, kind, d)
			}
		}
	}
}

// What a refresh costs grows with the number of keys and not with its square: a hundred times as many take far less than ten
// thousand times as long. It counts what is allocated, for that does not depend on what else the machine does.
func TestRefreshGrowsWithTheNumberOfKeys(t *testing.T) {
	allocated := func(n int) uint64 {
		c, _ := sized(t, n, "hashed")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if few, many := allocated(100), allocated(manyKeysCount); many > 200*few {
		t.Errorf("a refresh of %d keys allocates %d bytes, one of 100 keys %d", manyKeysCount, many, few)
	}
}

func BenchmarkVerify10kKeys(b *testing.B) {
	for _, kind := range []string{"plain", "mixed", "hashed"} {
		c, _ := sized(b, manyKeysCount, kind)
		keys := make([]string, 1024) // more than one, as clients have; few enough to be in a cache, as what a request brings is
		for i := range keys {
			keys[i] = apiKey(i * (manyKeysCount / len(keys)))
		}
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if !c.Verify(keys[i%len(keys)]).OK() {
					b.Fatal("rejected")
				}
				i++
			}
		})
		b.Run(kind+"/unknown", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Verify(keyD)
			}
		})
	}
}

// BenchmarkVerifyParallel is to be run with -cpu 1,2,…: time per verification should fall as processors are added.
func BenchmarkVerifyParallel(b *testing.B) {
	for _, n := range []int{3, manyKeysCount} {
		for _, kind := range []string{"plain", "hashed"} {
			c, _ := sized(b, n, kind)
			b.Run(fmt.Sprintf("%d/%s", n, kind), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					keys := []string{apiKey(0), apiKey(1), apiKey(n - 1)}
					for i := 0; pb.Next(); i++ {
						c.Verify(keys[i%len(keys)])
					}
				})
			})
		}
	}
}

func BenchmarkVerifyHashed(b *testing.B) {
	for _, kind := range []string{"mixed", "hashed"} {
		c, _ := sized(b, 3, kind)
		b.Run(kind, func(b *testing.B) {
			key := apiKey(2)
			b.ReportAllocs()
			for b.Loop() {
				c.Verify(key)
			}
		})
	}
}

// BenchmarkRefresh10kKeys reads, checks and installs a document of 10,000 keys.
func BenchmarkRefresh10kKeys(b *testing.B) {
	for _, kind := range []string{"plain", "hashed"} {
		b.Run(kind, func(b *testing.B) {
			c, source := sized(b, manyKeysCount, kind)
			b.ReportMetric(float64(len(source.text)), "bytes")
			b.ReportAllocs()
			for b.Loop() {
				began := time.Now()
				if err := c.Refresh(b.Context()); err != nil {
					b.Fatal(err)
				}
				if wait := 110*time.Millisecond - time.Since(began); wait > 0 { // the least time between two fetches is not what is measured
					b.StopTimer()
					time.Sleep(wait)
					b.StartTimer()
				}
			}
		})
	}
}
