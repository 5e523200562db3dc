// Package pubsubtest has the one suite that every pubsub.Bus passes.
package pubsubtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-backend/parley/pubsub"
)

// patience is how long a condition may take that holds at once on an idle machine.
const patience = 30 * time.Second

// TestBus checks what package pubsub promises. open makes the buses of one installation,
// one for each node, that reach each other or will soon. It is called for each topic, and the
// suite closes the buses before open's own clean-up runs. queue is how many messages wait for
// one subscriber at most.
func TestBus(t *testing.T, queue int, open func(t *testing.T) []pubsub.Bus) {
	for _, topic := range []struct {
		name string
		test func(*testing.T, []pubsub.Bus, int)
	}{
		{"EachSubscriberOnce", eachOnce},
		{"OrderOfAPublisher", order},
		{"OneCallAtATime", oneAtATime},
		{"SlowSubscriber", slow},
		{"StopWaits", stopWaits},
		{"Subjects", subjects},
		{"Large", large},
		{"Close", closing},
		{"Concurrent", concurrent},
	} {
		t.Run(topic.name, func(t *testing.T) {
			buses := open(t)
			t.Cleanup(func() {
				for i, b := range buses {
					if err := b.Close(); err != nil {
						t.Errorf("Close of node %d: %v", i, err)
					}
				}
			})
			topic.test(t, buses, queue)
		})
	}
}

// Eventually waits for a condition, and fails the test if it does not come to hold.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

const probe = "probe "

// inbox is a subscriber that keeps what it gets. Probes it only counts.
type inbox struct {
	sub pubsub.Subscription

	mu     sync.Mutex
	got    []pubsub.Message
	probed map[string]bool
}

func (in *inbox) take(m pubsub.Message) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if bytes.HasPrefix(m.Data, []byte(probe)) {
		in.probed[string(m.Data)] = true
		return
	}
	in.got = append(in.got, m)
}

func (in *inbox) messages() []pubsub.Message {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.got)
}

func (in *inbox) texts() []string {
	var all []string
	for _, m := range in.messages() {
		all = append(all, string(m.Data))
	}
	return all
}

// subscribe makes an inbox on the bus.
func subscribe(t *testing.T, b pubsub.Bus, subject string) *inbox {
	t.Helper()
	in := &inbox{probed: make(map[string]bool)}
	var err error
	if in.sub, err = b.Subscribe(subject, in.take); err != nil {
		t.Fatalf("Subscribe(%s): %v", subject, err)
	}
	return in
}

// connect waits until what each node publishes to the subject reaches all inboxes.
func connect(t *testing.T, buses []pubsub.Bus, subject string, inboxes ...*inbox) {
	t.Helper()
	for i, b := range buses {
		text := probe + strconv.Itoa(i)
		Eventually(t, fmt.Sprintf("node %d reaches all subscribers of %s", i, subject), func() bool {
			if err := b.Publish(t.Context(), subject, []byte(text)); err != nil {
				t.Logf("Publish(%s): %v", subject, err)
			}
			return !slices.ContainsFunc(inboxes, func(in *inbox) bool {
				in.mu.Lock()
				defer in.mu.Unlock()
				return !in.probed[text]
			})
		})
	}
}

func publish(t *testing.T, b pubsub.Bus, subject, text string) {
	t.Helper()
	if err := b.Publish(t.Context(), subject, []byte(text)); err != nil {
		t.Errorf("Publish(%s): %v", subject, err)
	}
}

func eachOnce(t *testing.T, buses []pubsub.Bus, _ int) {
	var inboxes []*inbox
	for _, b := range buses {
		inboxes = append(inboxes, subscribe(t, b, "a.b"), subscribe(t, b, "a.b"))
	}
	connect(t, buses, "a.b", inboxes...)
	for i, b := range buses {
		publish(t, b, "a.b", "from "+strconv.Itoa(i))
	}
	for k, in := range inboxes {
		Eventually(t, "all messages arrive", func() bool { return len(in.messages()) >= len(buses) })
		nodes := make(map[string]bool)
		for _, m := range in.messages() {
			from := slices.Index(stamps("from ", len(buses)), string(m.Data))
			if m.Subject != "a.b" || from < 0 || m.Local != (from == k/2) {
				t.Errorf("subscriber %d of node %d got %+v from node %d", k%2, k/2, m, from)
			}
			nodes[m.Node] = true
		}
		if len(nodes) != len(buses) {
			t.Errorf("the names of %d nodes are %v, want as many", len(buses), nodes)
		}
	}
	// What comes after the next message of each node would have come before it, if it were a duplicate.
	for i, b := range buses {
		publish(t, b, "a.b", "last "+strconv.Itoa(i))
	}
	want := slices.Concat(stamps("from ", len(buses)), stamps("last ", len(buses)))
	slices.Sort(want)
	for k, in := range inboxes {
		Eventually(t, "the last messages arrive", func() bool { return len(in.messages()) >= len(want) })
		got := in.texts()
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("subscriber %d got %q, want %q", k, got, want)
		}
	}
}

func stamps(prefix string, n int) []string {
	var all []string
	for i := range n {
		all = append(all, prefix+strconv.Itoa(i))
	}
	return all
}

func order(t *testing.T, buses []pubsub.Bus, queue int) {
	var inboxes []*inbox
	for _, b := range buses {
		inboxes = append(inboxes, subscribe(t, b, "order"))
	}
	connect(t, buses, "order", inboxes...)
	each := queue / (2 * len(buses))
	for i, b := range buses {
		go func() {
			for n := range each {
				_ = b.Publish(t.Context(), "order", fmt.Appendf(nil, "%d %d", i, n)) // a loss is seen below
			}
		}()
	}
	for k, in := range inboxes {
		Eventually(t, "all messages arrive", func() bool { return len(in.messages()) >= each*len(buses) })
		next := make([]int, len(buses))
		for _, m := range in.messages() {
			var from, n int
			if _, err := fmt.Sscanf(string(m.Data), "%d %d", &from, &n); err != nil || n != next[from] {
				t.Fatalf("node %d got %q, want number %d of node %d", k, m.Data, next[from], from)
			}
			next[from]++
		}
	}
}

func oneAtATime(t *testing.T, buses []pubsub.Bus, queue int) {
	each := queue / 8
	var active, worst, calls atomic.Int32
	if _, err := buses[0].Subscribe("one", func(pubsub.Message) {
		worst.Store(max(worst.Load(), active.Add(1)))
		calls.Add(1)
		active.Add(-1)
	}); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		go func() {
			for range each {
				_ = buses[0].Publish(t.Context(), "one", []byte("x"))
			}
		}()
	}
	Eventually(t, "all messages arrive", func() bool { return int(calls.Load()) == 4*each })
	if worst.Load() != 1 {
		t.Errorf("%d calls of one handler at a time, want 1", worst.Load())
	}
}

// A subscriber that does not return holds up nobody; it has a gap, and its bus says so.
func slow(t *testing.T, buses []pubsub.Bus, queue int) {
	for i, publisher := range buses {
		subject := "slow-" + strconv.Itoa(i)
		release := make(chan struct{})
		var calls, told atomic.Int32
		end := buses[0].Gaps(func() { told.Add(1) })
		stuck, err := buses[0].Subscribe(subject, func(m pubsub.Message) {
			if !bytes.HasPrefix(m.Data, []byte(probe)) {
				calls.Add(1)
			}
			<-release
		})
		if err != nil {
			t.Fatal(err)
		}
		well := subscribe(t, buses[0], subject)
		connect(t, []pubsub.Bus{publisher}, subject, well)
		sent := 0
		ahead := stuck.Gaps() - well.sub.Gaps() // a gap of the network counts for both
		Eventually(t, "the stuck subscriber has a gap of its own", func() bool {
			for range queue / 4 {
				publish(t, publisher, subject, strconv.Itoa(sent))
				sent++
			}
			Eventually(t, "the other subscriber is served", func() bool { return len(well.messages()) == sent })
			return stuck.Gaps()-well.sub.Gaps() == ahead+1
		})
		Eventually(t, "the gap is told", func() bool { return told.Load() > 0 })
		close(release)
		end()
		stuck.Stop()
		well.sub.Stop()
		if int(calls.Load()) > 2*queue+1 {
			t.Errorf("%d calls after the release, want at most what was queued", calls.Load())
		}
	}
}

func stopWaits(t *testing.T, buses []pubsub.Bus, _ int) {
	entered, release := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	sub, err := buses[0].Subscribe("stop", func(pubsub.Message) {
		if calls.Add(1) == 1 {
			close(entered)
			<-release
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		publish(t, buses[0], "stop", "x")
	}
	<-entered
	stopped := make(chan struct{})
	go func() {
		sub.Stop()
		close(stopped)
	}()
	other := subscribe(t, buses[0], "stop")
	Eventually(t, "the bus works on while one Stop waits", func() bool {
		publish(t, buses[0], "stop", "y")
		return len(other.messages()) > 0
	})
	select {
	case <-stopped:
		t.Error("Stop returned while the handler ran")
	default:
	}
	close(release)
	<-stopped
	if calls.Load() != 1 {
		t.Errorf("%d calls, want the one that ran at Stop", calls.Load())
	}
	sub.Stop()
}

func subjects(t *testing.T, buses []pubsub.Bus, _ int) {
	for _, subject := range []string{"", ".", "a.", ".a", "a..b", "a.*", ">", "a b", "ä", "a\x00", string(bytes.Repeat([]byte("a"), 256))} {
		if err := buses[0].Publish(t.Context(), subject, nil); !errors.Is(err, pubsub.ErrSubject) {
			t.Errorf("Publish(%q) = %v, want ErrSubject", subject, err)
		}
		if _, err := buses[0].Subscribe(subject, func(pubsub.Message) {}); !errors.Is(err, pubsub.ErrSubject) {
			t.Errorf("Subscribe(%q) = %v, want ErrSubject", subject, err)
		}
	}
	one, two := subscribe(t, buses[0], "s.one"), subscribe(t, buses[0], "s.two")
	longer := subscribe(t, buses[0], "s.one.more")
	connect(t, buses, "s.one", one)
	connect(t, buses, "s.two", two)
	for _, b := range buses {
		publish(t, b, "s.one", "1")
		publish(t, b, "s.two", "2")
		publish(t, b, "s.nobody", "3")
	}
	want := func(text string) []string { return slices.Repeat([]string{text}, len(buses)) }
	Eventually(t, "both get theirs", func() bool { return len(one.messages()) >= len(buses) && len(two.messages()) >= len(buses) })
	if !slices.Equal(one.texts(), want("1")) || !slices.Equal(two.texts(), want("2")) || len(longer.texts()) != 0 {
		t.Errorf("s.one got %q, s.two got %q, s.one.more got %q", one.texts(), two.texts(), longer.texts())
	}
}

func large(t *testing.T, buses []pubsub.Bus, _ int) {
	in := subscribe(t, buses[0], "large")
	connect(t, buses, "large", in)
	data := bytes.Repeat([]byte{0, 1, 2, 255}, 16<<10)
	for _, b := range buses {
		if err := b.Publish(t.Context(), "large", data); err != nil {
			t.Errorf("Publish of %d bytes: %v", len(data), err)
		}
	}
	Eventually(t, "it arrives", func() bool { return len(in.messages()) >= len(buses) })
	for _, m := range in.messages() {
		if !bytes.Equal(m.Data, data) {
			t.Errorf("%d bytes of node %q differ from what was published", len(m.Data), m.Node)
		}
	}
}

func closing(t *testing.T, buses []pubsub.Bus, _ int) {
	b := buses[0]
	in := subscribe(t, b, "close")
	connect(t, buses, "close", in)
	for range 2 {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := b.Publish(t.Context(), "close", nil); !errors.Is(err, pubsub.ErrClosed) {
		t.Errorf("Publish after Close = %v, want ErrClosed", err)
	}
	if _, err := b.Subscribe("close", func(pubsub.Message) {}); !errors.Is(err, pubsub.ErrClosed) {
		t.Errorf("Subscribe after Close = %v, want ErrClosed", err)
	}
	b.Gaps(func() { t.Error("a gap after Close") })()
	in.sub.Stop()
	for _, other := range buses[1:] {
		publish(t, other, "close", "x")
	}
	if got := in.texts(); len(got) != 0 {
		t.Errorf("after Close a subscriber got %q", got)
	}
}

// Everything at once, for the race detector.
func concurrent(t *testing.T, buses []pubsub.Bus, _ int) {
	var group sync.WaitGroup
	for i := range 8 {
		b := buses[i%len(buses)]
		subject := "c-" + strconv.Itoa(i%2)
		group.Go(func() {
			for range 50 {
				end := b.Gaps(func() {})
				sub, err := b.Subscribe(subject, func(pubsub.Message) {})
				if err != nil {
					t.Errorf("Subscribe: %v", err)
					return
				}
				publish(t, b, subject, "x")
				sub.Stop()
				end()
			}
		})
	}
	group.Wait()
}
