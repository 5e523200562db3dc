package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report writes the result as Markdown.
func report(w io.Writer, o options, dir string, tables []table, facts []fact) error {
	sync, err := fsync(dir)
	if err != nil {
		return err
	}
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Fprintf(w, "%s, %s/%s, %d processors for servers and client together, write and fsync of 4 KiB: %s ms, load average at the end: %s.\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), milliseconds(sync), strings.Join(strings.Fields(string(load))[:3], " "))
	fmt.Fprintf(w, "%d objects, medians of %d rounds of %g s each; slowest and fastest round in parentheses.\n\n", o.objects, o.rounds, o.seconds)
	fmt.Fprintln(w, "| operation | clients | server | requests/s | p50 ms | p99 ms | server CPU s per 1000 | Parley's throughput | Parley's throughput per CPU second |")
	fmt.Fprintln(w, "|---|--:|---|--:|--:|--:|--:|--:|--:|")
	for _, t := range tables {
		own := median(t.samples[0])
		for k, name := range t.names {
			m := median(t.samples[k])
			low, high := spread(t.samples[k])
			title, clients, rate, work := "", "", "", ""
			if k == 0 {
				title, clients = t.title, fmt.Sprint(t.clients)
			} else {
				rate, work = ratio(own.rate, m.rate), ratio(m.cpu, own.cpu)
			}
			fmt.Fprintf(w, "| %s | %s | %s | %.0f (%.0f-%.0f) | %s | %s | %.3f | %s | %s |\n",
				title, clients, name, m.rate, low, high, milliseconds(m.p50), milliseconds(m.p99), m.cpu, rate, work)
		}
	}
	fmt.Fprintf(w, "\n| server | start to first health answer, median of %d, ms | idle, MB | peak, MB | after the rounds without mapped files, MB | binary, MB |\n|---|--:|--:|--:|--:|--:|\n", o.starts)
	for _, f := range facts {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", f.name, milliseconds(f.start), megabytes(f.idle), megabytes(f.peak), megabytes(f.anonymous), megabytes(f.binary))
	}
	return nil
}

// fsync is what it costs here to have 4 KiB on disk: the median of 50.
func fsync(dir string) (time.Duration, error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var all []time.Duration
	for range 50 {
		begin := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		all = append(all, time.Since(begin))
	}
	slices.Sort(all)
	return percentile(all, 50), nil
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/1e6) }

func megabytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }

// ratio of a to b, "-" where the clock was too coarse for b.
func ratio(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fx", a/b)
}
