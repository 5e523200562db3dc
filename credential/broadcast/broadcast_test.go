package broadcast_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/broadcast"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/pubsub"
)

// I2: revoked on one node, refused on all in the same moment, and durable on all.
func TestI2RevokedOnAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, nodes := three(t)
		revoke(t, nodes[0], keyA)
		if confirmed, known := nodes[0].Confirmations(t.Context(), "masterKey"); confirmed != 2 || known != 2 {
			t.Errorf("Confirmations = %d of %d, want 2 of 2", confirmed, known)
		}
		synctest.Wait()
		expect(t, "revoked on one", nodes, keyA, "reject revoked")
		for i, n := range nodes {
			if got := len(n.store.saved["masterKey"]); got != 1 {
				t.Errorf("node %d has saved %d revocations, want 1", i, got)
			}
		}
		var messages int
		for _, n := range nodes {
			messages += len(n.link.fresh())
		}
		if messages != 3 {
			t.Errorf("%d messages for a revocation, want 3: itself and two confirmations", messages)
		}
	})
}

// One change of the source, noticed by one node: one message, one fetch on each node.
func TestI9ChangeIsReadOnceByEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, source, nodes := three(t)
		before := source.Fetches()
		source.Set(keyB)
		if err := nodes[1].key.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		expect(t, "one noticed", nodes, keyB, "accept match")
		expect(t, "one noticed", nodes, keyA, "accept match")
		var messages []int
		for _, n := range nodes {
			messages = append(messages, len(n.link.fresh()))
		}
		if fetches := source.Fetches() - before; fetches != 3 || !slices.Equal(messages, []int{0, 1, 0}) {
			t.Errorf("%d fetches and %v messages, want 3 and [0 1 0]", fetches, messages)
		}
		// All notice at the same time, as with a watch: each tells, nobody tells of what was told.
		before = source.Fetches()
		source.Set(keyA + "-2")
		source.Notify(credential.Notice{})
		pass(10 * time.Second)
		total := 0
		for _, n := range nodes {
			total += len(n.link.fresh())
		}
		if fetches := source.Fetches() - before; fetches > 9 || total > 3 {
			t.Errorf("%d fetches and %d messages when all notice, want at most 9 and 3", fetches, total)
		}
		expect(t, "all noticed", nodes, keyA+"-2", "accept match")
	})
}

func TestRefreshOnAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, source, nodes := three(t)
		before := source.Fetches()
		nodes[0].Refresh("masterKey")
		nodes[0].Refresh("nobodysKey")
		pass(time.Second)
		if fetches := source.Fetches() - before; fetches != 2 {
			t.Errorf("%d fetches, want one by each other node", fetches)
		}
		if got := nodes[1].Stats().Unknown; got != 1 {
			t.Errorf("%d messages about an unknown credential, want 1", got)
		}
	})
}

// I2: a node that was cut off learns what it missed: at once if the bus tells of the
// gap, otherwise with the next announcement. What it revoked meanwhile the others learn.
func TestI2CutOffAndBack(t *testing.T) {
	for _, test := range []struct {
		name   string
		gap    bool
		within time.Duration
	}{{"told of the gap", true, 2 * time.Second}, {"not told", false, 2 * time.Minute}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, source, nodes := three(t)
				source.Set(keyB)
				if err := nodes[0].key.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				pass(time.Second)
				nodes[2].link.set(true)
				revoke(t, nodes[0], keyA)
				revoke(t, nodes[2], keyB)
				if confirmed, known := nodes[0].Confirmations(t.Context(), "masterKey"); confirmed != 1 || known != 2 {
					t.Errorf("Confirmations = %d of %d, want 1 of 2", confirmed, known)
				}
				pass(10 * time.Second)
				expect(t, "cut off", nodes[2:], keyA, "accept match")
				expect(t, "cut off", nodes[:2], keyA, "reject revoked")
				expect(t, "cut off", nodes[:2], keyB, "accept match")
				nodes[2].link.set(false)
				if test.gap {
					nodes[2].link.gap()
				}
				pass(test.within)
				expect(t, "back", nodes, keyA, "reject revoked")
				expect(t, "back", nodes, keyB, "reject revoked")
			})
		})
	}
}

// A node that missed a change reads again when it hears what the others have.
func TestMissedChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, source, nodes := three(t)
		nodes[2].link.set(true)
		source.Set(keyB)
		if err := nodes[0].key.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		expect(t, "cut off", nodes[2:], keyB, "reject unknown")
		nodes[2].link.set(false)
		pass(2 * time.Minute)
		expect(t, "back", nodes, keyB, "accept match")
		before := source.Fetches()
		pass(20 * time.Minute)
		if fetches := source.Fetches() - before; fetches != 0 {
			t.Errorf("%d fetches while all agree, want 0", fetches)
		}
	})
}

// I2: every node restarted, one after the other, the source down: what one of them
// remembers they all know. One starts with an empty store.
func TestI2RestartsWithTheSourceDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, source, nodes := three(t)
		revoke(t, nodes[0], keyA)
		pass(time.Second)
		source.Fail(errors.New("down"))
		for i, n := range nodes {
			n.stop()
			kept := n.store
			if i == 1 {
				kept = nil
			}
			nodes[i] = begin(t, bus, fmt.Sprint("m", i), source, kept, installKey)
			pass(3 * time.Second)
		}
		for i, n := range nodes {
			if d := n.key.Verify(keyA); d.OK() || len(n.key.Tombstones()) != 1 || len(n.store.saved["masterKey"]) != 1 {
				t.Errorf("node %d: %s, knows %d revocations, saved %d; want no accept, 1, 1", i, said(d), len(n.key.Tombstones()), len(n.store.saved["masterKey"]))
			}
			if peers := n.Stats().Peers; peers != 2 {
				t.Errorf("node %d knows %d others, want 2: those before it have said good-bye", i, peers)
			}
		}
		source.Set(keyA)
		pass(2 * time.Minute)
		expect(t, "source back", nodes, keyA, "reject revoked")
	})
}

// I2: a node that was down while a key was revoked, or that died between saving a
// revocation and telling of it, and starts again: once it has caught up it has heard and
// told everything, and that takes no longer than an operator would notice.
func TestI2CaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, source, nodes := three(t)
		source.Set(keyB)
		if err := nodes[0].key.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		nodes[2].stop()
		revoke(t, nodes[0], keyA)
		pass(10 * time.Second)
		kept := nodes[2].store
		twin, err := credential.New(credential.Config{Name: "masterKey", Source: credential.Literal(keyB), InstallKey: installKey, Store: kept})
		if err != nil {
			t.Fatal(err)
		}
		if err := twin.Revoke(t.Context(), twin.Verify(keyB).VersionID); err != nil { // saved, and told to nobody
			t.Fatal(err)
		}
		nodes[2] = begin(t, bus, "again", source, kept, installKey)
		began := time.Now()
		if !nodes[2].CaughtUp(t.Context()) {
			t.Error("not caught up")
		}
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("caught up after %v, want at most 500 ms", took)
		}
		if got := len(nodes[2].key.Tombstones()); got != 2 {
			t.Errorf("caught up, the node knows %d revocations, want 2", got)
		}
		pass(2 * time.Second)
		expect(t, "told", nodes, keyB, "reject revoked")

		alone := pubsub.NewLocal(pubsub.LocalConfig{})
		defer alone.Close()
		only := begin(t, alone, "only", source, nil, installKey)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if only.CaughtUp(ctx) {
			t.Error("a node that is alone has caught up with somebody")
		}
	})
}

// I2: a credential that joins the set while the node runs, as with a reload, catches up soon after Compare: what was revoked of it
// elsewhere before was none of the node's business then.
func TestI2CompareAfterAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, nodes := three(t)
		added := make([]*node, len(nodes))
		add := func(i int) {
			n := nodes[i]
			c, err := credential.New(credential.Config{Name: "restAPIKey", Source: credential.Literal(keyB), InstallKey: installKey, Set: n.set, Store: n.store, Peers: n.Node})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			added[i] = &node{key: c}
		}
		add(0)
		add(1)
		revoke(t, added[0], keyB)
		pass(5 * time.Second)
		add(2)
		nodes[2].Compare()
		pass(2 * time.Second)
		expect(t, "compared", added, keyB, "reject revoked")
	})
}

// A revocation that cannot be saved holds, is not confirmed, and is saved later.
func TestI2UnsavedIsNotConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, nodes := three(t)
		nodes[1].store.fail(errors.New("disk full"))
		revoke(t, nodes[0], keyA)
		if confirmed, known := nodes[0].Confirmations(t.Context(), "masterKey"); confirmed != 1 || known != 2 {
			t.Errorf("Confirmations = %d of %d, want 1 of 2", confirmed, known)
		}
		expect(t, "disk full", nodes, keyA, "reject revoked")
		pass(2 * time.Minute)
		nodes[1].store.fail(nil)
		pass(2 * time.Minute)
		if got := len(nodes[1].store.saved["masterKey"]); got != 1 {
			t.Errorf("saved %d revocations, want 1", got)
		}
		if text := nodes[1].log.String(); !strings.Contains(text, "broadcast_unsaved") {
			t.Errorf("the log does not tell: %s", text)
		}
	})
}

// I2: a disk that hangs holds up no revocation, neither the one it is to save nor those
// that follow, whether they were made now or missed before.
func TestI2HangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, source, nodes := three(t)
		source.Set(keyB)
		if err := nodes[0].key.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		release := make(chan struct{})
		nodes[1].store.mu.Lock()
		nodes[1].store.hang = release
		nodes[1].store.mu.Unlock()
		revoke(t, nodes[0], keyA)
		synctest.Wait()
		expect(t, "the first", nodes, keyA, "reject revoked")
		nodes[1].link.set(true)
		for i := range 40 {
			if err := nodes[0].key.Revoked(t.Context(), credential.Tombstone{VersionID: fmt.Sprint("v", i)}); err != nil {
				t.Fatal(err)
			}
		}
		nodes[1].link.set(false)
		nodes[1].link.gap()
		pass(2 * time.Second)
		if got := len(nodes[1].key.Tombstones()); got != 41 {
			t.Errorf("the node knows %d revocations, want 41", got)
		}
		revoke(t, nodes[2], keyB)
		synctest.Wait()
		expect(t, "the last", nodes, keyB, "reject revoked")
		if confirmed, _ := nodes[2].Confirmations(t.Context(), "masterKey"); confirmed != 1 {
			t.Errorf("%d nodes confirm, want 1: the other has not saved it", confirmed)
		}
		pass(5 * time.Minute) // it sends and hears on
		if peers := nodes[0].Stats().Peers; peers != 2 {
			t.Errorf("%d other nodes are heard, want 2", peers)
		}
		close(release)
		pass(2 * time.Minute)
		nodes[1].store.mu.Lock()
		defer nodes[1].store.mu.Unlock()
		if got := len(nodes[1].store.saved["masterKey"]); got != 42 {
			t.Errorf("saved %d revocations, want 42", got)
		}
	})
}

// A node with another install key changes nothing and is told of once a minute.
func TestAnotherInstallKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, source, nodes := three(t)
		stranger := begin(t, bus, "stranger", source, nil, credential.NewSecret("the install key of somebody else"))
		revoke(t, stranger, keyA)
		stranger.Refresh("masterKey")
		pass(time.Second)
		expect(t, "a stranger's revocation", nodes, keyA, "accept match")
		stats := nodes[0].Stats()
		if stats.Unauthentic < 3 || stats.Peers != 2 {
			t.Errorf("%d unauthentic messages and %d peers, want at least 3 and 2", stats.Unauthentic, stats.Peers)
		}
		if got := strings.Count(nodes[0].log.String(), "another node has another install key"); got != 1 {
			t.Errorf("told %d times in a minute, want 1", got)
		}
		pass(150 * time.Second)
		if got := strings.Count(nodes[0].log.String(), "another node has another install key"); got < 2 || got > 4 {
			t.Errorf("told %d times in 2.5 minutes, want about one each minute", got)
		}
	})
}

// What was said before has no effect when it is said again.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, source, nodes := three(t)
		source.Set(keyB)
		if err := nodes[0].key.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		revoke(t, nodes[0], keyA)
		pass(time.Second)
		recorded := nodes[0].link.fresh()
		if len(recorded) != 2 {
			t.Fatalf("%d messages, want a change and a revocation", len(recorded))
		}
		replay := func() {
			for range 10 {
				for _, data := range recorded {
					if err := bus.Publish(t.Context(), broadcast.Subject, data); err != nil {
						t.Fatal(err)
					}
				}
				pass(time.Second)
			}
		}
		replay()
		if got := nodes[1].Stats().Replayed; got != 20 {
			t.Errorf("%d replays seen, want 20", got)
		}
		// A node that was not there does not know the nonces; the clock tells it.
		pass(5 * time.Minute)
		late := begin(t, bus, "late", source, nil, installKey)
		pass(2 * time.Minute)
		before := source.Fetches()
		replay()
		if stats := late.Stats(); stats.Late != 1 || source.Fetches() != before {
			t.Errorf("%d late notices, %d fetches; want 1 and 0", stats.Late, source.Fetches()-before)
		}
		expect(t, "replayed", append(nodes, late), keyB, "accept match")
	})
}

// More revocations than a message holds, some here and some there.
func TestManyRevocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, nodes := three(t)
		for i := range 900 {
			id := fmt.Sprintf("version-%04d-%s", i, strings.Repeat("x", i%200))
			if err := nodes[i%3].key.Revoked(t.Context(), credential.Tombstone{VersionID: id}); err != nil {
				t.Fatal(err)
			}
		}
		pass(2 * time.Minute)
		messages := 0
		for i, n := range nodes {
			if got := len(n.key.Tombstones()); got != 900 {
				t.Errorf("node %d knows %d revocations, want 900", i, got)
			}
			for _, data := range n.link.fresh() {
				messages++
				if len(data) > 64<<10 {
					t.Errorf("a message of %d bytes", len(data))
				}
			}
		}
		if messages > 150 {
			t.Errorf("%d messages, want at most 150", messages)
		}
		pass(time.Minute)
		for _, n := range nodes {
			n.link.fresh()
		}
		pass(10 * time.Minute)
		messages = 0
		for _, n := range nodes {
			messages += len(n.link.fresh())
		}
		if messages > 3*14 {
			t.Errorf("%d messages in ten minutes while all agree, want one a minute from each", messages)
		}
	})
}

// I13: nothing on the bus and in the log holds a value, in plain or encoded.
func TestI13NoSecretOnTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, source, nodes := three(t)
		source.Set(keyB)
		nodes[0].Refresh("masterKey")
		if err := nodes[0].key.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		revoke(t, nodes[1], keyA)
		pass(5 * time.Minute)
		for _, n := range nodes {
			n.link.mu.Lock()
			all := string(bytes.Join(n.link.sent, nil)) + n.log.String()
			n.link.mu.Unlock()
			if leaks := credentialtest.Leaks(all, keyA, keyB, string(installKey.Reveal())); len(leaks) > 0 {
				t.Errorf("on the bus or in the log: %q", leaks)
			}
		}
	})
}

func TestLifecycle(t *testing.T) {
	bus := pubsub.NewLocal(pubsub.LocalConfig{})
	defer bus.Close()
	for _, cfg := range []broadcast.Config{{InstallKey: installKey}, {Bus: bus}} {
		if _, err := broadcast.New(cfg); !errors.Is(err, credential.Misconfigured) {
			t.Errorf("New without bus or key = %v, want Misconfigured", err)
		}
	}
	n, err := broadcast.New(broadcast.Config{Bus: bus, InstallKey: installKey})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 { // before Start nobody takes them: it must not wait
		n.Changed("masterKey", credential.Notice{})
	}
	for range 2 {
		if err := n.Start(t.Context(), &credential.Set{}); err != nil {
			t.Errorf("Start: %v", err)
		}
	}
	n.Stop()
	n.Stop()
	if err := n.Start(t.Context(), &credential.Set{}); err == nil {
		t.Error("Start after Stop succeeds")
	}
	closed, err := broadcast.New(broadcast.Config{Bus: bus, InstallKey: installKey})
	if err != nil {
		t.Fatal(err)
	}
	_ = bus.Close()
	if err := closed.Start(t.Context(), &credential.Set{}); !errors.Is(err, pubsub.ErrClosed) {
		t.Errorf("Start on a closed bus = %v, want ErrClosed", err)
	}
	closed.Stop()
}

// Whatever comes over the bus, only what was sealed with the install key does anything.
func FuzzReceive(f *testing.F) {
	bus := pubsub.NewLocal(pubsub.LocalConfig{})
	defer bus.Close()
	n, err := broadcast.New(broadcast.Config{Bus: bus, InstallKey: installKey})
	if err != nil {
		f.Fatal(err)
	}
	var set credential.Set
	if _, err := credential.New(credential.Config{Name: "masterKey", Source: credential.Literal(keyA), Set: &set}); err != nil {
		f.Fatal(err)
	}
	if err := n.Start(context.Background(), &set); err != nil {
		f.Fatal(err)
	}
	defer n.Stop()
	f.Add([]byte(""), false)
	f.Add([]byte("{}"), true)
	f.Add([]byte(`{"kind":"revoked","from":"x","nonce":"1","credential":"masterKey","tombstones":[{"versionId":"v"}]}`), true)
	f.Add([]byte(`{"kind":"revoked","from":"x","nonce":"2","credential":"masterKey","tombstones":[{"mark":"zz"}]}`), true)
	f.Add([]byte(`{"kind":"announced","from":"x","nonce":"3","states":{"masterKey":{"r":"1","c":"2"}}}`), true)
	f.Add([]byte(`{"kind":"tombstones","from":"x","nonce":"4","credential":"masterKey","all":"1"}`), true)
	f.Add([]byte(`{"kind":"changed","from":"x","nonce":"5","credential":"masterKey","time":-9223372036854775808,"number":18446744073709551615}`), true)
	f.Add([]byte(`{"kind":"confirmed","from":"x","nonce":"6","of":"1"}`), true)
	f.Fuzz(func(t *testing.T, body []byte, sealed bool) {
		before := n.Stats()
		data := body
		if sealed {
			data = broadcast.Seal(n, body)
		}
		broadcast.Receive(n, pubsub.Message{Subject: broadcast.Subject, Data: data})
		if after := n.Stats(); !sealed && after.Received != before.Received {
			t.Errorf("%q was taken for authentic", data)
		}
		if got := set.Get("masterKey").Verify(keyA); !got.OK() {
			t.Errorf("after %q the key is refused: %v", body, got.Reason)
		}
	})
}
