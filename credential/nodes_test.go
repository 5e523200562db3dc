package credential_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// pollers starts n nodes that read one store, each at moments of its own.
func pollers(t *testing.T, n int, source *credentialtest.Source, cfg credential.Config) []*fixture {
	t.Helper()
	cfg.Source, cfg.InstallKey = source, credential.NewSecret("install-key-of-the-cluster")
	nodes := make([]*fixture, n)
	for i := range nodes {
		nodes[i] = start(t, cfg, credential.Info{})
		sleep(7 * time.Second)
	}
	return nodes
}

// I1: nodes that poll a store notice a rotation at different times, and agree all the same: both keys work on each node from the
// moment of the rotation, wherever they are presented first, and the old one ends on all of them at one moment, which
// is that of the rotation plus the overlap, also on a node that started in between.
func TestI1AllNodesAgreeOnTheDeadline(t *testing.T) {
	for _, ask := range []bool{true, false} {
		t.Run(fmt.Sprint("new key presented at once ", ask), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := credentialtest.New(credential.Info{}, keyA)
				first := credential.Version{ID: "v1", Value: credential.NewSecret(keyA), Created: time.Now()}
				source.SetVersions(first)
				cfg := credential.Config{Overlap: 10 * time.Minute, TTL: 5 * time.Minute}
				nodes := pollers(t, 5, source, cfg)
				sleep(3 * time.Minute)

				rotated := time.Now()
				second := credential.Version{ID: "v2", Value: credential.NewSecret(keyB), Created: rotated}
				first.State = credential.Previous
				source.SetVersions(second, first)
				for time.Since(rotated) < 10*time.Minute {
					if len(nodes) == 5 && time.Since(rotated) > 4*time.Minute {
						nodes = append(nodes, pollers(t, 1, source, cfg)...)
					}
					for i, node := range nodes {
						if got := node.VerifyContext(t.Context(), keyA); !got.OK() {
							t.Fatalf("node %d, %v after the rotation: the old key: %s", i, time.Since(rotated), said(got))
						}
						if !ask && time.Since(rotated) < 5*time.Minute {
							continue
						}
						if got := node.VerifyContext(t.Context(), keyB); said(got) != "accept current" {
							t.Fatalf("node %d, %v after the rotation: the new key: %s", i, time.Since(rotated), said(got))
						}
					}
					sleep(min(time.Second, 10*time.Minute-time.Since(rotated)))
				}
				for i, node := range nodes {
					node.expect(t, fmt.Sprintf("node %d at the deadline", i), map[string]string{keyA: "reject retired", keyB: "accept current"})
				}
			})
		})
	}
}

// I2: how long a key may still be accepted after its store has said that it is no more: on a node that polls, ttl and a fetch; on one
// that reaches neither the store nor the bus, until it trusts nothing any more.
func TestI2BoundsWithoutABus(t *testing.T) {
	for _, test := range []struct {
		name  string
		tells func(*credentialtest.Source)
		want  string
	}{
		{"deleted", func(s *credentialtest.Source) { s.Fail(credential.Errorf(credential.Gone, "deleted")) }, "reject disabled"},
		{"revoked", func(s *credentialtest.Source) {
			s.SetVersions(credential.Version{ID: "v2", Value: credential.NewSecret(keyB)}, credential.Version{ID: "v1", Value: credential.NewSecret(keyA), State: credential.Revoked})
		}, "reject revoked"},
		{"unreachable", func(s *credentialtest.Source) { s.Fail(errDown) }, "undecided expired"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := credentialtest.New(credential.Info{}, keyA)
				source.SetVersions(credential.Version{ID: "v1", Value: credential.NewSecret(keyA)})
				source.Delay(4500 * time.Millisecond)
				nodes := pollers(t, 5, source, credential.Config{TTL: 5 * time.Minute, StaleMax: time.Hour})
				sleep(3 * time.Minute)
				test.tells(source)
				bound := 5*time.Minute + 5*time.Second
				if test.name == "unreachable" {
					bound += time.Hour
				}
				sleep(bound)
				for i, node := range nodes {
					for range 3 {
						node.expect(t, fmt.Sprintf("node %d at the bound", i), map[string]string{keyA: test.want})
						sleep(10 * time.Minute)
					}
				}
			})
		})
	}
}
