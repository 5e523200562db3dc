package broadcast_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/pubsub"
)

// step is one of a script.
type step struct {
	what    string
	node    int
	seconds int
}

// I2: whatever is revoked on whichever node, whoever is cut off or restarts meanwhile: once
// all can talk they know the same revocations, all of those that any of them knew, and
// then are quiet.
func TestI2NodesConverge(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		count := rapid.IntRange(2, 4).Draw(rt, "nodes")
		script := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{
				what:    rapid.SampledFrom([]string{"revoke", "revoke", "cut", "join", "restart", "wait"}).Draw(rt, "what"),
				node:    rapid.IntRange(0, count-1).Draw(rt, "node"),
				seconds: rapid.IntRange(0, 90).Draw(rt, "seconds"),
			}
		}), 1, 12).Draw(rt, "script")
		synctest.Test(t, func(t *testing.T) {
			bus := pubsub.NewLocal(pubsub.LocalConfig{})
			source := credentialtest.New(credential.Info{}, keyA)
			var nodes []*node
			for i := range count {
				nodes = append(nodes, begin(t, bus, fmt.Sprint("n", i), source, nil, installKey))
			}
			for i, s := range script {
				play(t, bus, source, nodes, fmt.Sprint("v", i), s)
			}
			var want []string
			for _, n := range nodes {
				n.link.set(false)
				want = append(want, ids(n)...)
			}
			slices.Sort(want)
			want = slices.Compact(want)
			pass(3 * time.Minute)
			for i, n := range nodes {
				if got := ids(n); !slices.Equal(got, want) {
					rt.Errorf("node %d knows %v, want %v", i, got, want)
				}
				if saved := len(n.store.saved["masterKey"]); saved != len(want) {
					rt.Errorf("node %d has saved %d revocations, want %d", i, saved, len(want))
				}
				n.link.fresh()
			}
			pass(10 * time.Minute)
			for i, n := range nodes {
				if quiet := len(n.link.fresh()); quiet > 14 {
					rt.Errorf("node %d sent %d messages in ten minutes while all agree, want about one each minute", i, quiet)
				}
				n.stop()
			}
			_ = bus.Close()
		})
	})
}

func play(t *testing.T, bus pubsub.Bus, source credential.Source, nodes []*node, id string, s step) {
	t.Helper()
	n := nodes[s.node]
	switch s.what {
	case "revoke": // as Revoke does with a version that it knows
		tombstone := credential.Tombstone{VersionID: id}
		if err := n.key.Revoked(t.Context(), tombstone); err != nil {
			t.Fatal(err)
		}
		n.Revoked("masterKey", tombstone)
	case "cut", "join":
		n.link.set(s.what == "cut")
	case "restart":
		n.stop()
		nodes[s.node] = begin(t, bus, "again", source, n.store, installKey)
	case "wait":
		pass(time.Duration(s.seconds) * time.Second)
	}
}

func ids(n *node) []string {
	var all []string
	for _, t := range n.key.Tombstones() {
		all = append(all, t.VersionID)
	}
	slices.Sort(all)
	return all
}
