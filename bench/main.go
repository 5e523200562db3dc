// Command bench measures Parley beside other servers and beside a bare handler that runs the same statements, over HTTP on loopback:
// the same work, the same client, in turns, in one run. It prints the tables of docs/benchmarks.md.
//
//	make bench-peers                                          # a short run, beside PocketBase
//	cd bench && go run . -rounds 9 -seconds 3 -objects 100000 # a longer one
//	make bench-postgres                                       # on PostgreSQL, beside Parse Server
//	cd bench && go run . -suite growth                        # how cost grows with objects and connections
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	rounds, objects, starts, clients int
	seconds                          float64
	suite, ops, dir                  string
	parseServer, postgres            string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "rounds per operation; the tables show medians")
	flag.Float64Var(&o.seconds, "seconds", 1, "length of a round")
	flag.IntVar(&o.objects, "objects", 100000, "objects that get, find and update choose from")
	flag.IntVar(&o.starts, "starts", 10, "starts for the start-up time")
	flag.IntVar(&o.clients, "clients", 16, "connections, where the operation does not say")
	flag.StringVar(&o.suite, "suite", "pocketbase", "what to measure: pocketbase, postgres, growth, cloud")
	flag.StringVar(&o.parseServer, "parse-server", "../interop/oracle", "directory in whose node_modules parse-server is, for all suites but the first")
	flag.StringVar(&o.postgres, "postgres", "", "URI of a PostgreSQL to use, as its superuser; one is started if empty")
	flag.StringVar(&o.ops, "ops", "", "operations to measure, with commas; all by default")
	flag.StringVar(&o.dir, "dir", "", "where to build and keep the data; a directory that is removed by default")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if o.objects < 20*groups {
		return fmt.Errorf("-objects %d: a find needs at least %d to find 20", o.objects, 20*groups)
	}
	dir, err := filepath.Abs(o.dir)
	if o.dir == "" {
		dir, err = os.MkdirTemp("", "parley-bench-")
		defer os.RemoveAll(dir)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	measured, ok := suites[o.suite]
	if !ok {
		return fmt.Errorf("-suite %s: there are %s", o.suite, strings.Join(slices.Sorted(maps.Keys(suites)), ", "))
	}
	peers, end, err := measured.launch(ctx, dir, o)
	defer func() {
		for _, p := range peers {
			err = errors.Join(err, p.stop())
		}
		if end != nil {
			err = errors.Join(err, end())
		}
	}()
	if err != nil {
		return err
	}
	works := make([]map[string]work, len(peers))
	var ids []string
	for i, p := range peers {
		if p.copy != nil {
			if err := p.copy(ctx); err != nil {
				return err
			}
			works[i] = p.works(ids)
			continue
		}
		mine, err := prepare(ctx, p, dir, o.objects)
		if err != nil {
			return fmt.Errorf("preparing %s: %w", p.name, err)
		}
		if i == 0 {
			ids = mine
		}
		works[i] = p.works(mine)
	}
	facts, err := startAll(ctx, peers, dir, o.starts)
	if err != nil {
		return err
	}
	for i, p := range peers {
		if err := verify(p, works[i], measured.operations); err != nil {
			return err
		}
	}
	var tables []table
	for _, op := range measured.operations {
		if o.ops != "" && !strings.Contains(","+o.ops+",", ","+op.name+",") {
			continue
		}
		if op.clients == 0 {
			op.clients = o.clients
		}
		t, err := measure(peers, works, op, o)
		if err != nil {
			return err
		}
		tables = append(tables, t)
	}
	for i, p := range peers {
		if facts[i].peak, err = p.memory("VmHWM"); err != nil {
			return err
		}
		if facts[i].anonymous, err = p.memory("RssAnon"); err != nil {
			return err
		}
	}
	return report(os.Stdout, o, dir, tables, facts)
}

// prepare fills a server. It is stopped afterwards, so that all begin their measured life on a file that is there.
func prepare(ctx context.Context, p *peer, dir string, objects int) ([]string, error) {
	say("filling %s with %d objects", p.name, objects)
	if _, err := p.start(ctx, dir); err != nil {
		return nil, err
	}
	ids, err := p.prepare(ctx, &p.server, objects)
	return ids, errors.Join(err, p.stop())
}

func copyDatabase(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "parley"), "backup", "--databaseURI", "sqlite://"+filepath.Join(dir, "parley-data", "parley.db"), filepath.Join(dir, "bare.db"))
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// fact is what is known of a server besides its speed.
type fact struct {
	name       string
	start      time.Duration
	idle, peak int64 // bytes
	anonymous  int64 // bytes, after all rounds: without the pages of files that are mapped into memory
	binary     int64 // bytes
}

// startAll measures start-up and the memory of an idle server, and leaves all of them running.
func startAll(ctx context.Context, peers []*peer, dir string, starts int) ([]fact, error) {
	facts := make([]fact, len(peers))
	for i, p := range peers {
		say("starting %s %d times", p.name, starts)
		f := &facts[i]
		f.name = p.name
		info, err := os.Stat(p.binary)
		if err != nil {
			return nil, err
		}
		f.binary = info.Size()
		if f.start, err = p.startTimes(ctx, dir, starts); err != nil {
			return nil, err
		}
		if _, err := p.start(ctx, dir); err != nil {
			return nil, err
		}
		time.Sleep(2 * time.Second) // what a start leaves to be done has been done
		if f.idle, err = p.memory("VmRSS"); err != nil {
			return nil, err
		}
	}
	return facts, nil
}

// table is one operation on all servers that offer it.
type table struct {
	operation
	names   []string
	samples [][]sample // per name, per round
}

// measure lets the servers take turns. Who begins changes from round to round; the others stand idle meanwhile.
func measure(peers []*peer, works []map[string]work, op operation, o options) (table, error) {
	say("measuring %s", op.title)
	t := table{operation: op}
	var able []int
	for i, p := range peers {
		if works[i][op.name] != nil {
			able = append(able, i)
			t.names = append(t.names, p.name)
		}
	}
	t.samples = make([][]sample, len(able))
	lasting := time.Duration(o.seconds * float64(time.Second))
	for round := -1; round < o.rounds; round++ { // the first warms up and does not count
		for k := range able {
			k = (k + round + 1) % len(able)
			i := able[k]
			s, err := drive(&peers[i].server, works[i][op.name], op.clients, lasting)
			if err != nil {
				return t, fmt.Errorf("%s: %w", op.title, err)
			}
			if round >= 0 {
				t.samples[k] = append(t.samples[k], s)
			}
		}
	}
	return t, nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
