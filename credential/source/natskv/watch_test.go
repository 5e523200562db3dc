package natskv_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/parley-backend/parley/credential"
)

// watch runs Watch until the test ends.
func watch(t *testing.T, source credential.Source) (notices <-chan credential.Notice, ended <-chan error) {
	t.Helper()
	all, end, done := make(chan credential.Notice, 100), make(chan error, 1), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		end <- source.(credential.Watcher).Watch(ctx, func(n credential.Notice) { all <- n })
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return all, end
}

func expect(t *testing.T, notices <-chan credential.Notice, what string, numbers ...uint64) {
	t.Helper()
	var got []uint64
	for range numbers {
		got = append(got, await(t, notices, what).Number)
	}
	if diff := cmp.Diff(numbers, got); diff != "" {
		t.Errorf("%s: the notices (-want +got):\n%s", what, diff)
	}
}

// A notice names the number that the version has when it is read; what was read already is no news.
func TestWatch(t *testing.T) {
	b := startBed(t, server.Options{JetStream: true})
	kv := b.bucket(t, 5)
	put(t, kv, "master", keyA)
	source := b.open(t, "nats-kv://creds/master")
	versions(t, source)
	put(t, kv, "master", keyB) // before Watch
	notices, _ := watch(t, source)
	expect(t, notices, "a change before Watch", 2)
	put(t, kv, "other", keyC)
	put(t, kv, "master", keyC)
	expect(t, notices, "a change", 4)
	if diff := cmp.Diff([]what{{"4", 4, credential.Current, keyC}, {"2", 2, credential.Previous, keyB}}, versions(t, source)); diff != "" {
		t.Errorf("after the notice (-want +got):\n%s", diff)
	}
	if err := kv.Delete(t.Context(), "master"); err != nil {
		t.Fatal(err)
	}
	expect(t, notices, "a deletion", 5)
	if err := kv.Purge(t.Context(), "master"); err != nil {
		t.Fatal(err)
	}
	expect(t, notices, "a purge", 6)
}

// A connection that comes back is a reason to read again: there may have been changes meanwhile. The watch goes on.
func TestWatchAfterRestart(t *testing.T) {
	b := startBed(t, server.Options{JetStream: true})
	kv := b.bucket(t, 5)
	put(t, kv, "master", keyA)
	source := b.open(t, "nats-kv://creds/master")
	notices, _ := watch(t, source)
	expect(t, notices, "nothing was read yet", 1)
	versions(t, source)
	b.interrupt(t)()
	expect(t, notices, "the connection is back", 0)
	put(t, kv, "master", keyB)
	expect(t, notices, "a change after the restart", 2)
}

// When the bucket goes, so does the watch. A new one on a new bucket knows that its revisions are not those that were read.
func TestWatchLost(t *testing.T) {
	b := startBed(t, server.Options{JetStream: true})
	put(t, b.bucket(t, 5), "master", keyA)
	source := b.open(t, "nats-kv://creds/master")
	versions(t, source)
	notices, ended := watch(t, source)
	put(t, b.bucket(t, 5), "master", keyA) // so that the watch is known to be there
	expect(t, notices, "a change", 2)
	versions(t, source)
	if err := b.js.DeleteKeyValue(t.Context(), "creds"); err != nil {
		t.Fatal(err)
	}
	expect(t, notices, "the bucket is gone", 0)
	if err := await(t, ended, "the watch ends"); !errors.Is(err, credential.Unavailable) {
		t.Errorf("Watch = %v, want Unavailable", err)
	}
	_, ended = watch(t, source)
	if err := await(t, ended, "there is nothing to watch"); !errors.Is(err, credential.Missing) {
		t.Errorf("Watch without a bucket = %v, want Missing", err)
	}
	kv := b.bucket(t, 5)
	notices, _ = watch(t, source)
	expect(t, notices, "the bucket is empty", 0)
	put(t, kv, "master", keyB)
	expect(t, notices, "the first revision of the new bucket", 0)
	if diff := cmp.Diff([]what{{"1", 3, credential.Current, keyB}}, versions(t, source)); diff != "" {
		t.Errorf("the new bucket (-want +got):\n%s", diff)
	}
	put(t, kv, "master", keyC)
	expect(t, notices, "the second revision of the new bucket", 4)
}

// The engine keeps up with a bucket that comes and goes.
func TestEngineWatches(t *testing.T) {
	b := startBed(t, server.Options{JetStream: true})
	put(t, b.bucket(t, 5), "master", keyA)
	events := make(told, 1)
	c, err := credential.New(credential.Config{Name: "masterKey", Source: b.open(t, "nats-kv://creds/master"), Observer: events})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	accepts := func(key string) {
		t.Helper()
		for !c.Verify(key).OK() {
			await(t, events, "the change is noticed")
		}
	}
	accepts(keyA)
	put(t, b.bucket(t, 5), "master", keyB)
	accepts(keyB)
	b.interrupt(t)()
	put(t, b.bucket(t, 5), "master", keyC)
	accepts(keyC)
}

// told is an Observer that tells that there was something.
type told chan credential.Event

func (t told) Observe(e credential.Event) {
	select {
	case t <- e:
	default:
	}
}
