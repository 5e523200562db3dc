package credentialtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-backend/parley/credential"
)

// Harness tells the suite how to make a source and what lies behind it. Nil means
// that the source cannot do that.
type Harness struct {
	// Open makes a source whose store holds value, and what changes the store.
	Open func(t *testing.T, value string) Store
	// NoticedWithin is how long a Watcher may take to notice a change: 250 ms if 0.
	NoticedWithin time.Duration
}

// Store is one source and the store behind it.
type Store struct {
	Source credential.Source
	Put    func(t *testing.T, value string) // replaces the value
	Remove func(t *testing.T)               // afterwards the source says Missing or Gone
	Break  func(t *testing.T) (mend func()) // makes it Unavailable or Denied
}

// TestSource checks that a source keeps the promises of credential.Source, and that
// the engine can live on it. Run it on your own source:
//
//	func TestSource(t *testing.T) {
//		credentialtest.TestSource(t, credentialtest.Harness{Open: open})
//	}
func TestSource(t *testing.T, h Harness) {
	if h.NoticedWithin == 0 {
		h.NoticedWithin = 250 * time.Millisecond
	}
	for _, test := range suite {
		t.Run(test.name, func(t *testing.T) { test.run(t, h) })
	}
}

// The values of the suite, marked so that they can be searched for.
const (
	first  = "canary-first-4f1c9d2e77a05b36"
	second = "canary-second-b80d3e51c2f6497a"
)

var suite = []struct {
	name string
	run  func(*testing.T, Harness)
}{
	{"Fetch", testFetch},
	{"Info", testInfo},
	{"OwnSecrets", testOwnSecrets},
	{"Concurrent", testConcurrent},
	{"Canceled", testCanceled},
	{"Put", testPut},
	{"Remove", testRemove},
	{"Break", testBreak},
	{"Watch", testWatch},
	{"WatchEnds", testWatchEnds},
	{"Engine", testEngine},
}

// current returns the value of the version that a payload makes current.
func current(t *testing.T, p credential.Payload) string {
	t.Helper()
	for _, v := range p.Versions {
		if v.State == credential.Current {
			return string(v.Value.Reveal())
		}
	}
	t.Fatalf("Fetch returned no current version among %d", len(p.Versions))
	return ""
}

func fetch(t *testing.T, s credential.Source) string {
	t.Helper()
	payload, err := s.Fetch(t.Context())
	if err != nil {
		t.Fatalf("Fetch failed: %v", err)
	}
	return current(t, payload)
}

func testFetch(t *testing.T, h Harness) {
	s := h.Open(t, first).Source
	for range 2 {
		if got := fetch(t, s); strings.TrimSuffix(got, "\n") != first {
			t.Errorf("Fetch yields %d bytes that are not the value put", len(got))
		}
	}
}

func testInfo(t *testing.T, h Harness) {
	s := h.Open(t, first).Source
	info := s.Info()
	if info.Scheme == "" {
		t.Error("Info().Scheme is empty")
	}
	if text := fmt.Sprintf("%+v", info); leaks(text) {
		t.Error("Info holds the secret")
	}
	_, _ = s.Fetch(t.Context())
	if again := s.Info(); fmt.Sprint(again) != fmt.Sprint(info) {
		t.Errorf("Info changed from %v to %v", info, again)
	}
	for _, format := range []string{"%v", "%+v", "%#v"} {
		if leaks(fmt.Sprintf(format, s)) {
			t.Errorf("the source printed with %s shows the secret", format)
		}
	}
}

// The engine wipes what it gets: two fetches must not share bytes.
func testOwnSecrets(t *testing.T, h Harness) {
	s := h.Open(t, first).Source
	payload, err := s.Fetch(t.Context())
	if err != nil {
		t.Fatalf("Fetch failed: %v", err)
	}
	want := current(t, payload)
	for _, v := range payload.Versions {
		v.Value.Wipe()
	}
	if got := fetch(t, s); got != want {
		t.Error("after the first payload was wiped the second is another")
	}
}

func testConcurrent(t *testing.T, h Harness) {
	s := h.Open(t, first).Source
	want := fetch(t, s)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			payload, err := s.Fetch(t.Context())
			if err != nil {
				t.Errorf("a concurrent Fetch failed: %v", err)
				return
			}
			if string(payload.Versions[0].Value.Reveal()) != want {
				t.Error("a concurrent Fetch yields another value")
			}
		})
	}
	group.Wait()
}

func testCanceled(t *testing.T, h Harness) {
	store := h.Open(t, first)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan error, 1)
	go func() {
		_, err := store.Source.Fetch(ctx)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			unrevealing(t, err)
		}
	case <-time.After(5 * time.Second):
		t.Error("Fetch ignores a canceled context")
	}
}

func testPut(t *testing.T, h Harness) {
	store := h.Open(t, first)
	if store.Put == nil {
		t.Log("the source cannot change")
		if !store.Source.Info().Immutable {
			t.Error("a source that cannot change says so: Info().Immutable")
		}
		return
	}
	before := fetch(t, store.Source)
	store.Put(t, second)
	if got := strings.TrimSuffix(fetch(t, store.Source), "\n"); got != second {
		t.Error("after Put, Fetch does not yield the new value")
	}
	store.Put(t, first)
	if fetch(t, store.Source) != before {
		t.Error("after Put of the first value, Fetch does not yield it")
	}
}

func testRemove(t *testing.T, h Harness) {
	store := h.Open(t, first)
	if store.Remove == nil {
		t.Log("the value cannot be removed")
		return
	}
	fetch(t, store.Source)
	store.Remove(t)
	_, err := store.Source.Fetch(t.Context())
	if !errors.Is(err, credential.Missing) && !errors.Is(err, credential.Gone) {
		t.Errorf("after Remove, Fetch says %v, want Missing or Gone", err)
	}
	unrevealing(t, err)
	if store.Put != nil {
		store.Put(t, second)
		if got := strings.TrimSuffix(fetch(t, store.Source), "\n"); got != second {
			t.Error("after Remove and Put, Fetch does not yield the value")
		}
	}
}

func testBreak(t *testing.T, h Harness) {
	store := h.Open(t, first)
	if store.Break == nil {
		t.Log("the store cannot fail")
		return
	}
	mend := store.Break(t)
	_, err := store.Source.Fetch(t.Context())
	if !errors.Is(err, credential.Unavailable) && !errors.Is(err, credential.Denied) {
		t.Errorf("with the store broken, Fetch says %v, want Unavailable or Denied", err)
	}
	unrevealing(t, err)
	mend()
	if got := strings.TrimSuffix(fetch(t, store.Source), "\n"); got != first {
		t.Error("after the store was mended, Fetch does not yield the value")
	}
}

func testWatch(t *testing.T, h Harness) {
	store := h.Open(t, first)
	watcher, ok := store.Source.(credential.Watcher)
	if !ok || store.Put == nil {
		t.Log("the source does not watch")
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	notices := make(chan credential.Notice, 100)
	ended := make(chan error, 1)
	go func() { ended <- watcher.Watch(ctx, func(n credential.Notice) { notices <- n }) }()
	fetch(t, store.Source)
	for i, value := range []string{second, first, second} {
		store.Put(t, value)
		// Generous: the machine may be busy. What is exact is that the notice
		// comes at all, without a fetch in between.
		timer := time.NewTimer(20 * h.NoticedWithin)
		select {
		case <-notices:
		case <-timer.C:
			t.Fatalf("change %d was not noticed", i+1)
		}
		timer.Stop()
		if got := strings.TrimSuffix(fetch(t, store.Source), "\n"); got != value {
			t.Errorf("change %d was noticed before it can be read", i+1)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Watch returned %v after its context ended, want nil", err)
	}
}

func testWatchEnds(t *testing.T, h Harness) {
	watcher, ok := h.Open(t, first).Source.(credential.Watcher)
	if !ok {
		t.Log("the source does not watch")
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := watcher.Watch(ctx, func(credential.Notice) {}); err != nil {
		t.Errorf("Watch with an ended context returned %v, want nil", err)
	}
}

func testEngine(t *testing.T, h Harness) {
	store := h.Open(t, first)
	recorder := &Recorder{}
	c, err := credential.New(credential.Config{Name: "suite", Source: store.Source, Observer: recorder})
	if err != nil {
		t.Fatalf("New failed: %v", err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatalf("Start failed: %v", err)
	}
	defer c.Stop()
	if d := c.Verify(first); !d.OK() {
		t.Errorf("Verify(the value) = %+v, want Accept", d)
	}
	if d := c.Verify("another-value-altogether"); d.Verdict != credential.Reject {
		t.Errorf("Verify(another value) = %+v, want Reject", d)
	}
	if store.Put != nil {
		store.Put(t, second)
		if d := c.VerifyContext(t.Context(), second); !d.OK() {
			t.Errorf("VerifyContext(the new value) right after Put = %+v, want Accept", d)
		}
		if d := c.Verify(first); !d.OK() || d.State != credential.Previous {
			t.Errorf("Verify(the old value) = %+v, want Accept as previous", d)
		}
	}
	for _, e := range recorder.Events() {
		if leaks(fmt.Sprintf("%+v", e)) {
			t.Errorf("event %v shows the secret", e.Kind)
		}
	}
	if leaks(fmt.Sprintf("%+v", c.Status())) {
		t.Error("the status shows the secret")
	}
}

func unrevealing(t *testing.T, err error) {
	t.Helper()
	for _, format := range []string{"%v", "%+v", "%#v"} {
		if leaks(fmt.Sprintf(format, err)) {
			t.Errorf("the error printed with %s shows the secret", format)
		}
	}
}

func leaks(text string) bool {
	return strings.Contains(text, first) || strings.Contains(text, second)
}
