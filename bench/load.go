package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// work makes the next request of one client in buf.
type work func(r *rand.Rand, buf []byte) []byte

// sample is one round of one operation on one server.
type sample struct {
	rate     float64       // requests answered per second
	p50, p99 time.Duration // from the first byte sent to the last byte read
	cpu      float64       // CPU seconds of the server, user and system, per 1,000 requests
}

// drive lets clients, each with a connection of its own, send one request after another for a while.
func drive(s *server, next work, clients int, lasting time.Duration) (sample, error) {
	type result struct {
		took []time.Duration
		err  error
	}
	results := make([]result, clients)
	wires := make([]*wire, clients)
	for i := range wires {
		w, err := dial(s.address)
		if err != nil {
			return sample{}, err
		}
		defer w.close()
		wires[i] = w
	}
	cpu, err := s.cpu()
	if err != nil {
		return sample{}, err
	}
	begin := time.Now()
	end := begin.Add(lasting)
	var clientsDone sync.WaitGroup
	for i := range clients {
		clientsDone.Go(func() {
			r := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
			took := make([]time.Duration, 0, 1<<14)
			var buf []byte
			for {
				buf = next(r, buf[:0])
				start := time.Now()
				if start.After(end) {
					break
				}
				status, _, err := wires[i].do(buf)
				if err == nil && status/100 != 2 {
					err = fmt.Errorf("status %d for %.200q", status, buf)
				}
				if err != nil {
					results[i].err = err
					return
				}
				took = append(took, time.Since(start))
			}
			results[i].took = took
		})
	}
	clientsDone.Wait()
	lasted := time.Since(begin)
	after, err := s.cpu()
	if err != nil {
		return sample{}, err
	}
	var all []time.Duration
	for _, r := range results {
		if r.err != nil {
			return sample{}, fmt.Errorf("%s: %w", s.name, r.err)
		}
		all = append(all, r.took...)
	}
	if len(all) == 0 {
		return sample{}, fmt.Errorf("%s: no answer within %v", s.name, lasting)
	}
	slices.Sort(all)
	return sample{
		rate: float64(len(all)) / lasted.Seconds(),
		p50:  percentile(all, 50),
		p99:  percentile(all, 99),
		cpu:  (after - cpu).Seconds() * 1000 / float64(len(all)),
	}, nil
}

// percentile is the smallest value that p % of the sorted values do not exceed.
func percentile[T any](sorted []T, p int) T {
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// median of the samples, each of its values by itself.
func median(samples []sample) sample {
	of := func(value func(sample) float64) float64 {
		values := make([]float64, len(samples))
		for i, s := range samples {
			values[i] = value(s)
		}
		slices.Sort(values)
		return percentile(values, 50)
	}
	return sample{
		rate: of(func(s sample) float64 { return s.rate }),
		p50:  time.Duration(of(func(s sample) float64 { return float64(s.p50) })),
		p99:  time.Duration(of(func(s sample) float64 { return float64(s.p99) })),
		cpu:  of(func(s sample) float64 { return s.cpu }),
	}
}

// spread are the slowest and the fastest round.
func spread(samples []sample) (low, high float64) {
	low, high = samples[0].rate, samples[0].rate
	for _, s := range samples {
		low, high = min(low, s.rate), max(high, s.rate)
	}
	return low, high
}
