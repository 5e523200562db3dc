//go:build unix

package credential_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-backend/parley/credential"
)

// many makes and starts n credentials for verifying, each with a function of its own that takes the time of delay.
func many(b *testing.B, n int, ttl time.Duration, delay func(i int) time.Duration) *credential.Set {
	b.Helper()
	set := new(credential.Set)
	for i := range n {
		value := fmt.Sprintf("key-of-credential-number-%08d", i)
		source := credential.Func(func(ctx context.Context) (string, error) {
			if delay != nil {
				time.Sleep(delay(i))
			}
			return value, ctx.Err()
		})
		if _, err := credential.New(credential.Config{Name: fmt.Sprint("key-", i), Source: source, TTL: ttl, Set: set}); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(set.Stop)
	return set
}

func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkThousandCredentials measures what a thousand credentials cost in the background. They are fetched once a second for the
// measurement; the metric is for a ttl of one minute, at which each is fetched every 48 s.
func BenchmarkThousandCredentials(b *testing.B) {
	heap := func() (uint64, uint64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, m.StackInuse
	}
	fetches := func(set *credential.Set) (n uint64) {
		for _, c := range set.All() {
			n += c.Status().Counters.Fetches
		}
		return n
	}
	for b.Loop() {
		heapBefore, stackBefore := heap()
		set := many(b, 1000, time.Second, nil)
		if err := set.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		heapAfter, stackAfter := heap()
		b.ReportMetric(float64(heapAfter-heapBefore)/1000, "heap-B/credential")
		b.ReportMetric(float64(stackAfter-stackBefore)/1000, "stack-B/credential")
		time.Sleep(time.Second)
		spent, made := cpu(b), fetches(set)
		time.Sleep(3 * time.Second)
		spent, made = cpu(b)-spent, fetches(set)-made
		each := float64(spent) / float64(made)
		b.ReportMetric(each/1000, "µs/fetch")
		b.ReportMetric(100*each*1000/48/1e9, "%core@ttl=1m")
		set.Stop()
	}
}

// BenchmarkColdStart measures how much longer the start of a hundred credentials takes than the slowest source, 100 ms.
func BenchmarkColdStart(b *testing.B) {
	var over time.Duration
	n := 0
	for b.Loop() {
		set := many(b, 100, time.Hour, func(i int) time.Duration { return time.Duration(i+1) * time.Millisecond })
		began := time.Now()
		if err := set.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		over += time.Since(began) - 100*time.Millisecond
		n++
		set.Stop()
	}
	b.ReportMetric(float64(over.Microseconds())/1000/float64(n), "ms-over-slowest")
}

// BenchmarkVerifyAtExpiry measures single verifications by 200 goroutines, while nothing happens and while the key is refreshed and
// rotated all the time from a slow source.
func BenchmarkVerifyAtExpiry(b *testing.B) {
	for _, test := range []struct {
		name string
		busy bool
	}{{"steady", false}, {"refreshing", true}} {
		b.Run(test.name, func(b *testing.B) {
			c, source := three(b)
			ctx, cancel := context.WithCancel(b.Context())
			var background sync.WaitGroup
			if test.busy {
				source.Delay(30 * time.Millisecond)
				background.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						source.Set(benchKeys[i%2])
						_ = c.Refresh(ctx)
					}
				})
			}
			var mu sync.Mutex
			var all []time.Duration
			b.SetParallelism(100) // on two cores
			b.RunParallel(func(pb *testing.PB) {
				var own []time.Duration
				for pb.Next() {
					began := time.Now()
					if d := c.VerifyContext(ctx, benchKeys[0]); !d.OK() {
						b.Errorf("VerifyContext = %s, want accept", said(d))
						return
					}
					own = append(own, time.Since(began))
				}
				mu.Lock()
				all = append(all, own...)
				mu.Unlock()
			})
			cancel()
			background.Wait()
			slices.Sort(all)
			for name, at := range map[string]float64{"p50-ns": 0.50, "p99-ns": 0.99, "p99.9-ns": 0.999} {
				b.ReportMetric(float64(all[int(at*float64(len(all)-1))]), name)
			}
		})
	}
}
