package messaging_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/file"
	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/messaging"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// A login is revoked under load: when the one that was stored before is in use, nothing is lost. When it is stored only just now, the
// connection is lost, as the server ends it, and how long until it is there again is printed.
func TestRevocationLoad(t *testing.T) {
	rate := 1000
	if os.Getenv("PARLEY_TEST_ROTATION_LOAD") == "1" {
		rate = 10_000
	}
	for _, before := range []bool{true, false} {
		name := "the next login in use"
		if !before {
			name = "the next login just stored"
		}
		t.Run(name, func(t *testing.T) {
			o := operated(t)
			first, second := o.user(0), o.user(0, func(c *jwt.UserClaims) { c.Name = "second" })
			path := credentialtest.WriteFile(t, "nats.creds", []byte(first.creds()))
			f := start(t, wasmcloud.Settings{Config: config("cluster_uris", o.ClientURL())}, messaging.Options{Sources: credential.Registry{"file": file.Open}})
			var mu sync.Mutex
			var last time.Time
			var gap time.Duration
			c := f.component("echo", func(wrpc.BrokerMessage) wrpc.Done {
				mu.Lock()
				defer mu.Unlock()
				if !last.IsZero() {
					gap = max(gap, time.Since(last))
				}
				last = time.Now()
				return wrpc.Done{}
			})
			f.put(handler("echo", "default", config("subscriptions", "in|workers", "credentials", "file://"+filepath.ToSlash(path)+"?ttl=1h"), nil))
			direct := o.connect(t)
			stop := make(chan struct{})
			var work sync.WaitGroup
			var sent int
			work.Go(func() { sent = stream(t, direct, "in", rate, stop) })
			eventually(t, "messages come", func() bool { return c.count() > rate/4 })
			replaceFile(t, path, second.creds())
			if before {
				eventually(t, "the login is handed over", func() bool { return f.host.log.count("event=nats_handover") == 1 })
			}
			o.revoke(first.public)
			eventually(t, "the next login is in use", func() bool { return o.names() == "second" })
			seen := c.count()
			eventually(t, "messages come after the revocation", func() bool { return c.count() > seen+rate/4 })
			close(stop)
			work.Wait()
			if before {
				lost, twice := c.exactly(t, sent)
				t.Logf("%d messages, %d lost, %d twice", sent, lost, twice)
				return
			}
			eventually(t, "what was sent has been handled", func() bool { s := f.Stats()[0]; return s.Received == s.Handled })
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.got) != len(c.bodies) {
				t.Errorf("%d messages came twice, want none", len(c.got)-len(c.bodies))
			}
			mu.Lock()
			defer mu.Unlock()
			t.Logf("%d messages, %d lost; none for %v", sent, sent-len(c.bodies), gap.Round(time.Millisecond))
		})
	}
}
