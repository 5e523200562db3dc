package postgres

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/parley-backend/parley/internal/pgtest"
	"github.com/parley-backend/parley/schema"
)

// patience is how long something may take that is certain to happen.
const patience = time.Minute

// watch starts to watch, and returns what tells of each change; it ends with the test.
func watch(t *testing.T, db *DB) <-chan struct{} {
	t.Helper()
	told := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { db.Watch(ctx, func() { told <- struct{}{} }) })
	t.Cleanup(func() {
		cancel()
		watching.Wait()
	})
	return told
}

func await(t *testing.T, told <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-told:
	case <-time.After(patience):
		t.Fatalf("%s was not told", what)
	}
}

// TestWatch: what one node changes the other is told, and not what it changed itself; after its connection was cut it is told, since it may have missed something.
func TestWatch(t *testing.T) {
	server := pgtest.Shared(t)
	uri := server.Schema(t)
	a, b := open(t, Config{URI: uri}), open(t, Config{URI: uri + "&application_name=listener"})
	told := watch(t, b)
	await(t, told, "the beginning")
	save(t, a, thing())
	await(t, told, "a new class")
	for range 3 {
		kill(t, server, "listener")
		save(t, a, thing())
		await(t, told, "a connection that was cut")
	}
	for len(told) > 0 { // a change that was both heard and caught up with
		<-told
	}
	save(t, b, schema.New("Own"))
	if err := a.DropClass(t.Context(), "Thing"); err != nil {
		t.Fatal(err)
	}
	await(t, told, "a class that was removed")
	select {
	case <-told:
		t.Error("two changes were told, want one: that of the other node")
	default:
	}
}

// TestWatchWithoutServer: a server that is away is looked for until it is back.
func TestWatchWithoutServer(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Own: true})
	db := open(t, Config{URI: server.URI("", "", "")})
	told := watch(t, db)
	await(t, told, "the beginning")
	server.Stop(t)
	server.Restart(t)
	await(t, told, "the server that is back")
}

// TestWatchWithoutListening makes no connection.
func TestWatchWithoutListening(t *testing.T) {
	uri := pgtest.Shared(t).Schema(t)
	a, b := open(t, Config{URI: uri}), open(t, Config{URI: uri, NoListen: true})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		b.Watch(ctx, func() { t.Error("something was told") })
		close(ended)
	}()
	save(t, a, thing())
	cancel()
	<-ended
}
