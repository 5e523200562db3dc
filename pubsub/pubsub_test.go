package pubsub_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/pubsub"
	"github.com/parley-backend/parley/pubsub/pubsubtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLocal(t *testing.T) {
	const queue = 64
	pubsubtest.TestBus(t, queue, func(*testing.T) []pubsub.Bus {
		return []pubsub.Bus{pubsub.NewLocal(pubsub.LocalConfig{Node: "n1", Queue: queue})}
	})
}

// What a bus upon this one noticed of the network counts for all.
func TestGapCountsForAll(t *testing.T) {
	l := pubsub.NewLocal(pubsub.LocalConfig{})
	defer l.Close()
	one, err := l.Subscribe("one", func(pubsub.Message) {})
	if err != nil {
		t.Fatal(err)
	}
	two, err := l.Subscribe("two", func(pubsub.Message) {})
	if err != nil {
		t.Fatal(err)
	}
	var told atomic.Int32
	defer l.Gaps(func() { told.Add(1) })()
	l.Gap()
	pubsubtest.Eventually(t, "the gap is told", func() bool { return told.Load() == 1 })
	if one.Gaps() != 1 || two.Gaps() != 1 {
		t.Errorf("gaps = %d and %d, want 1 and 1", one.Gaps(), two.Gaps())
	}
}

func FuzzCheckSubject(f *testing.F) {
	for _, s := range []string{"a", "a.b-c_D.9", "", ".", "a..b", "*", "a.>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token, want := 0, len(s) <= 255
		for _, r := range s + "." {
			switch {
			case r == '.':
				want = want && token > 0
				token = 0
			case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_':
				token++
			default:
				want = false
			}
		}
		if got := pubsub.CheckSubject(s) == nil; got != want {
			t.Errorf("CheckSubject(%q) allows it: %v, want %v", s, got, want)
		}
	})
}

func BenchmarkPublish(b *testing.B) {
	for _, subscribers := range []int{0, 1, 10} {
		b.Run(strconv.Itoa(subscribers), func(b *testing.B) {
			l := pubsub.NewLocal(pubsub.LocalConfig{})
			defer l.Close()
			for range subscribers {
				if _, err := l.Subscribe("a.b", func(pubsub.Message) {}); err != nil {
					b.Fatal(err)
				}
			}
			data := []byte("data")
			b.ReportAllocs()
			for b.Loop() {
				if err := l.Publish(context.Background(), "a.b", data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
