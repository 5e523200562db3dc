package natsconn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/pubsub"
	"github.com/parley-backend/parley/pubsub/natsbus"
	"github.com/parley-backend/parley/pubsub/pubsubtest"
)

// rotate stores another login and waits until the server has accepted it.
func (f *fixture) rotate(t *testing.T, generation uint64) {
	t.Helper()
	if err := f.key.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	pubsubtest.Eventually(t, fmt.Sprint("generation ", generation), func() bool { return f.Generation() == generation })
}

// one waits until the server has one connection, which is of this user if one is named.
func one(t *testing.T, s *server.Server, user string) {
	t.Helper()
	pubsubtest.Eventually(t, "one connection is left", func() bool {
		clients := must(s.Connz(&server.ConnzOptions{Username: true}))
		return len(clients.Conns) == 1 && (user == "" || clients.Conns[0].AuthorizedUser == user)
	})
}

// A request that began before a hand-over ends on the connection where it began, and so
// does a handler that answers with m.Respond; both keep that connection open.
func TestWhatIsUnderWayKeepsItsConnection(t *testing.T) {
	o := operated(t)
	f := open(t, o.ClientURL(), &minting{operator: o})
	token, seed := o.user(0)
	direct := must(nats.Connect(o.ClientURL(), nats.UserJWTAndSeed(token, seed)))
	defer direct.Close()
	asked := make(chan *nats.Msg, 1)
	must(direct.Subscribe("slow", func(m *nats.Msg) { asked <- m }))
	begun, goOn := make(chan struct{}), make(chan struct{})
	must(f.QueueSubscribe("serve", "q", func(m *nats.Msg) {
		begun <- struct{}{}
		<-goOn
		if err := m.Respond([]byte("served")); err != nil {
			t.Errorf("m.Respond = %v", err)
		}
	}))
	if err := direct.Flush(); err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		if m, err := f.Request(t.Context(), "slow", nil); err != nil || string(m.Data) != "answer" {
			t.Errorf("Request = %v, want an answer", err)
		}
	})
	work.Go(func() {
		if m, err := direct.Request("serve", nil, time.Minute); err != nil || string(m.Data) != "served" {
			t.Errorf("the request to the handler = %v, want an answer", err)
		}
	})
	m := <-asked
	<-begun
	held, release := f.Hold()
	f.rotate(t, 2)
	if held == f.NATS() {
		t.Error("NATS is the connection from before the hand-over")
	}
	if held.IsClosed() {
		t.Error("the connection is closed while it is held")
	}
	if err := m.Respond([]byte("answer")); err != nil {
		t.Error(err)
	}
	close(goOn)
	work.Wait()
	release()
	pubsubtest.Eventually(t, "the first connection is closed", held.IsClosed)
}

// Conn.Respond works when the connection of the message is gone.
func TestRespondAfterTheHandOver(t *testing.T) {
	o := operated(t)
	f := open(t, o.ClientURL(), &minting{operator: o})
	got := make(chan *nats.Msg, 1)
	must(f.Subscribe("later", func(m *nats.Msg) { got <- m }))
	token, seed := o.user(0)
	direct := must(nats.Connect(o.ClientURL(), nats.UserJWTAndSeed(token, seed)))
	defer direct.Close()
	answers := make(chan *nats.Msg, 1)
	must(direct.ChanSubscribe("answers", answers))
	if err := direct.PublishRequest("later", "answers", nil); err != nil {
		t.Fatal(err)
	}
	m, before := <-got, f.NATS()
	f.rotate(t, 2)
	pubsubtest.Eventually(t, "the first connection is closed", before.IsClosed)
	if err := m.Respond(nil); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("m.Respond = %v, want that its connection is closed", err)
	}
	if err := f.Respond(m, []byte("answer")); err != nil {
		t.Error(err)
	}
	if m := <-answers; string(m.Data) != "answer" {
		t.Errorf("the answer = %q", m.Data)
	}
	if err := f.Respond(&nats.Msg{}, nil); !errors.Is(err, nats.ErrMsgNoReply) {
		t.Errorf("Respond to nobody = %v, want %v", err, nats.ErrMsgNoReply)
	}
}

// The new key is in use when the old one is revoked: nobody notices. When it is not, the
// connection comes back with the new key as soon as there is one.
func TestRevocation(t *testing.T) {
	o := operated(t)
	source := &minting{operator: o}
	var users []string
	source.change(func(c *jwt.UserClaims) { users = append(users, c.Subject) })
	f := open(t, o.ClientURL(), source)
	pubsubtest.Eventually(t, "connected", func() bool { return f.Generation() == 1 })
	f.rotate(t, 2)
	o.revoke(users[0])
	one(t, o.Server, users[1])
	f.works(t, "the old key is revoked")
	if err := f.Health(); err != nil {
		t.Errorf("Health = %v, want nil", err)
	}
	if n := f.log.count("event=nats_disconnected"); n != 0 {
		t.Errorf("the connection was lost %d times, want never", n)
	}
	source.setDown(true)
	o.revoke(users[1])
	pubsubtest.Eventually(t, "the server has ended the connection", func() bool { return f.Generation() == 0 && f.Health() != nil })
	if err := f.Publish("subject", nil); err != nil {
		t.Errorf("Publish without a connection = %v, want that it waits", err)
	}
	source.setDown(false)
	if err := f.key.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	pubsubtest.Eventually(t, "connected with the third", func() bool { return f.Generation() == 3 })
	t.Logf("connected %v after the new key was stored", time.Since(start).Round(time.Millisecond))
	f.works(t, "the third key")
	pubsubtest.Eventually(t, "healthy", func() bool { return f.Health() == nil })
}

// A new login that the server refuses displaces nothing: not in a hand-over, and not when
// the connection is lost and made again afterwards.
func TestNewLoginIsRefused(t *testing.T) {
	opts := &server.Options{Users: []*server.User{{Username: "a", Password: "the password of a"}}}
	s := run(t, opts)
	source := credentialtest.New(credential.Info{}, "unused")
	source.SetVersions(pair("user", "a", "password", "the password of a"))
	f := open(t, s.ClientURL(), source)
	f.works(t, "at first")
	source.SetVersions(pair("user", "b", "password", "the password of b"))
	_ = f.key.Refresh(t.Context())
	pubsubtest.Eventually(t, "it is told", func() bool { return errors.Is(f.Health(), nats.ErrAuthorization) })
	f.works(t, "refused")
	if got := f.Generation(); got != 1 {
		t.Errorf("Generation = %d, want 1", got)
	}
	if err := f.NATS().ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	f.works(t, "reconnected")
	if err := f.Health(); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("Health = %v, want that the login is refused", err)
	}
	changed := *opts
	changed.Users = append(slices.Clone(opts.Users), &server.User{Username: "b", Password: "the password of b"})
	if err := s.ReloadOptions(&changed); err != nil {
		t.Fatal(err)
	}
	pubsubtest.Eventually(t, "taken over", func() bool { return f.Generation() > 1 && f.Health() == nil })
	one(t, s, "b")
	f.works(t, "taken over")
}

// Feature: a subscription that the new login may not have stops the hand-over.
func TestNewLoginMayNotSubscribe(t *testing.T) {
	o := operated(t)
	source := &minting{operator: o}
	f := open(t, o.ClientURL(), source)
	f.works(t, "at first")
	source.change(func(c *jwt.UserClaims) { c.Sub.Deny.Add("subject") })
	_ = f.key.Refresh(t.Context())
	pubsubtest.Eventually(t, "it is told", func() bool { return errors.Is(f.Health(), nats.ErrPermissionViolation) })
	if got := f.Generation(); got != 1 {
		t.Errorf("Generation = %d, want 1", got)
	}
	f.works(t, "still")
	if err := f.NATS().ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	f.works(t, "reconnected")
	if got := f.Generation(); got != 1 {
		t.Errorf("Generation after a reconnect = %d, want 1", got)
	}
	source.change()
	_ = f.key.Refresh(t.Context())
	pubsubtest.Eventually(t, "taken over", func() bool { return f.Generation() == 3 && f.Health() == nil })
	f.works(t, "taken over")
}

// The same with a bound on how many subscriptions there may be.
func TestTooManySubscriptions(t *testing.T) {
	o := operated(t)
	source := &minting{operator: o}
	bound := func(n int64) func(*jwt.UserClaims) {
		return func(c *jwt.UserClaims) { c.Limits.Subs = n }
	}
	source.change(bound(2))
	f := open(t, o.ClientURL(), source)
	f.works(t, "at first")
	must(f.Subscribe("second", func(*nats.Msg) {}))
	if _, err := f.Subscribe("third", func(*nats.Msg) {}); !errors.Is(err, nats.ErrMaxSubscriptionsExceeded) {
		t.Errorf("Subscribe = %v, want %v", err, nats.ErrMaxSubscriptionsExceeded)
	}
	source.change(bound(1))
	_ = f.key.Refresh(t.Context())
	pubsubtest.Eventually(t, "it is told", func() bool { return errors.Is(f.Health(), nats.ErrMaxSubscriptionsExceeded) })
	if got := f.Generation(); got != 1 {
		t.Errorf("Generation = %d, want 1", got)
	}
	f.works(t, "still")
}

func TestSubscribeIsRefused(t *testing.T) {
	o := operated(t)
	source := &minting{operator: o}
	source.change(func(c *jwt.UserClaims) { c.Sub.Deny.Add("secret", "mine other") })
	f := open(t, o.ClientURL(), source)
	pubsubtest.Eventually(t, "connected", func() bool { return f.Generation() == 1 })
	nothing := func(*nats.Msg) {}
	if _, err := f.Subscribe("secret", nothing); !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("Subscribe = %v, want %v", err, nats.ErrPermissionViolation)
	}
	if _, err := f.QueueSubscribe("mine", "other", nothing); !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("QueueSubscribe = %v, want %v", err, nats.ErrPermissionViolation)
	}
	if _, err := f.QueueSubscribe("mine", "own", nothing); err != nil {
		t.Errorf("QueueSubscribe = %v, want none", err)
	}
	if _, err := f.Subscribe("with space", nothing); !errors.Is(err, nats.ErrBadSubject) {
		t.Errorf("Subscribe = %v, want %v", err, nats.ErrBadSubject)
	}
	if _, err := f.QueueSubscribe("mine", "", nothing); !errors.Is(err, nats.ErrBadQueueName) {
		t.Errorf("QueueSubscribe = %v, want %v", err, nats.ErrBadQueueName)
	}
	f.rotate(t, 2) // what was refused before does not matter
	f.Close()
	if _, err := f.Subscribe("mine", nothing); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("Subscribe after Close = %v, want %v", err, nats.ErrConnectionClosed)
	}
}

// The server refuses the queue group of plain subscriptions: they work without, and the
// login is changed in place, or by a hand-over that may deliver twice.
func TestPrivateQueueIsRefused(t *testing.T) {
	for _, duplicates := range []bool{false, true} {
		t.Run(fmt.Sprint("AllowDuplicates ", duplicates), func(t *testing.T) {
			o := operated(t)
			source := &minting{operator: o}
			source.change(func(c *jwt.UserClaims) { c.Sub.Deny.Add("> private.>") })
			f := open(t, o.ClientURL(), source, func(cfg *natsconn.Config) { cfg.AllowDuplicates, cfg.QueuePrefix = duplicates, "private" })
			f.works(t, "at first")
			before := f.NATS()
			f.rotate(t, 2)
			f.works(t, "rotated")
			if same := f.NATS() == before; same == duplicates {
				t.Errorf("the connection is the same: %v, want %v", same, !duplicates)
			}
			one(t, o.Server, "")
			if n := f.log.count("event=nats_queue_refused"); n == 0 {
				t.Error("it is not told that the queue group is refused")
			}
		})
	}
}

// The same, but only the new login is refused the queue group.
func TestPrivateQueueIsRefusedLater(t *testing.T) {
	o := operated(t)
	source := &minting{operator: o}
	f := open(t, o.ClientURL(), source)
	f.works(t, "at first")
	source.change(func(c *jwt.UserClaims) { c.Sub.Deny.Add("> parley.>") })
	before := f.NATS()
	f.rotate(t, 2)
	f.works(t, "rotated")
	if f.NATS() != before {
		t.Error("another connection, want a reconnect of the one")
	}
	one(t, o.Server, "")
}

// An account that has room for one connection: it reconnects.
func TestNoRoomForTwo(t *testing.T) {
	o := operated(t, func(_ *server.Options, c *jwt.AccountClaims) { c.Limits.Conn = 1 })
	f := open(t, o.ClientURL(), &minting{operator: o})
	f.works(t, "at first")
	before := f.NATS()
	f.rotate(t, 2)
	f.works(t, "rotated")
	if f.NATS() != before || f.log.count("event=nats_handover") != 0 {
		t.Error("a hand-over, want a reconnect")
	}
	if err := f.Health(); err != nil {
		t.Errorf("Health = %v, want nil", err)
	}
}

// The bus keeps the connection, and tells its subscribers of a gap at each new login.
func TestBusOnAConnectionInPlace(t *testing.T) {
	o := operated(t)
	f := open(t, o.ClientURL(), &minting{operator: o}, inPlace)
	pubsubtest.Eventually(t, "connected", func() bool { return f.Generation() == 1 })
	bus := must(natsbus.New(f.NATS(), natsbus.Config{Node: "one"}))
	defer bus.Close()
	token, seed := o.user(0)
	conn := must(nats.Connect(o.ClientURL(), nats.UserJWTAndSeed(token, seed)))
	defer conn.Close()
	other := must(natsbus.New(conn, natsbus.Config{Node: "other"}))
	defer other.Close()
	var got, gaps atomic.Int32
	sub := must(bus.Subscribe("x", func(pubsub.Message) { got.Add(1) }))
	defer sub.Stop()
	defer bus.Gaps(func() { gaps.Add(1) })()
	for generation := uint64(2); generation < 5; generation++ {
		before := f.NATS()
		pubsubtest.Eventually(t, "the node before is known", func() bool { return gaps.Load() > 0 || generation > 2 })
		seen, missed := got.Load(), gaps.Load()
		f.rotate(t, generation)
		pubsubtest.Eventually(t, "a gap", func() bool { return gaps.Load() > missed })
		pubsubtest.Eventually(t, "the subscription works on", func() bool {
			return other.Publish(t.Context(), "x", nil) == nil && got.Load() > seen
		})
		if f.NATS() != before {
			t.Error("another connection")
		}
	}
}

// Logins of every kind take turns on one connection, with hand-overs and in place.
func TestEveryKindOfLogin(t *testing.T) {
	user := must(nkeysUser())
	s := run(t, &server.Options{
		Users:       []*server.User{{Username: "u", Password: "the password of u"}},
		Nkeys:       []*server.NkeyUser{{Nkey: user.public}},
		AuthTimeout: 0.1, // a change of the kind leaves one attempt unfinished
	})
	for _, in := range []bool{false, true} {
		t.Run(fmt.Sprint("in place ", in), func(t *testing.T) {
			source := credentialtest.New(credential.Info{}, "unused")
			all := []credential.Version{
				pair("user", "u", "password", "the password of u"),
				{Fields: map[string]credential.Secret{"nkey": credential.NewSecret(user.seed)}},
			}
			source.SetVersions(all[0])
			f := open(t, s.ClientURL(), source, func(cfg *natsconn.Config) { cfg.InPlace = in })
			f.works(t, "at first")
			for i := range 4 {
				source.SetVersions(all[(i+1)%2])
				f.rotate(t, uint64(i+2))
				one(t, s, []string{user.public, "u"}[i%2])
				f.works(t, fmt.Sprint("rotated ", i))
			}
		})
	}
}

// TLS with a private CA and a certificate on both sides, before and after the first words
// of the server.
func TestTLS(t *testing.T) {
	authority := credentialtest.NewAuthority(t, "private")
	for _, first := range []bool{false, true} {
		t.Run(fmt.Sprint("first ", first), func(t *testing.T) {
			opts := &server.Options{TLSConfig: authority.ServerConfig(t, "127.0.0.1"), TLS: true, TLSTimeout: 5, TLSHandshakeFirst: first, Authorization: "the token"}
			s := run(t, opts)
			source := credentialtest.New(credential.Info{}, "the token")
			f := open(t, strings.Replace(s.ClientURL(), "nats://", "tls://", 1), source, func(cfg *natsconn.Config) {
				cfg.TLS, cfg.TLSFirst = client(t, authority), first
			})
			f.works(t, "at first")
			before := f.NATS()
			source.SetVersions(credential.Version{ID: "2", Fields: map[string]credential.Secret{"token": credential.NewSecret("the token")}})
			f.rotate(t, 2)
			f.works(t, "rotated")
			if f.NATS() == before {
				t.Error("no hand-over")
			}
			stranger := must(natsconn.Open(t.Context(), natsconn.Config{Servers: []string{s.ClientURL()}, TLSFirst: first}))
			defer stranger.Close()
			if err := stranger.Health(); !errors.Is(err, nats.ErrDisconnected) {
				t.Errorf("Health without a certificate = %v, want %v", err, nats.ErrDisconnected)
			}
		})
	}
}

// Connections are cut while logins change: in the end there is one, with the newest.
func TestConnectionsAreCut(t *testing.T) {
	o := operated(t)
	f := open(t, o.ClientURL(), &minting{operator: o})
	f.works(t, "at first")
	var work sync.WaitGroup
	work.Go(func() {
		for range 20 {
			for _, client := range must(o.Connz(nil)).Conns {
				_ = o.DisconnectClientByID(client.Cid) // it may be gone
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	for range 20 {
		if err := f.key.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
		_, _ = f.QueueSubscribe("other", "q", func(*nats.Msg) {}) // whatever becomes of it
	}
	work.Wait()
	pubsubtest.Eventually(t, "the newest login is in use", func() bool { return f.Generation() == 21 && f.Health() == nil })
	one(t, o.Server, "")
	f.works(t, "in the end")
	got := make(chan struct{}, 100)
	must(f.Subscribe("once", func(*nats.Msg) { got <- struct{}{} }))
	_ = f.Publish("once", nil)
	if err := f.Flush(t.Context()); err != nil && !errors.Is(err, natsconn.ErrUnconfirmed) {
		t.Error(err)
	}
	<-got
	if n := len(got); n > 0 {
		t.Errorf("%d messages too many", n)
	}
}

// Close and Drain in the middle of everything leave nothing behind (goleak), and Drain
// handles what has arrived.
func TestDrain(t *testing.T) {
	o := operated(t)
	f := open(t, o.ClientURL(), &minting{operator: o})
	pubsubtest.Eventually(t, "connected", func() bool { return f.Generation() == 1 })
	var got atomic.Int64
	goOn := make(chan struct{})
	sub := must(f.Subscribe("work", func(*nats.Msg) {
		<-goOn
		got.Add(1)
	}))
	for range 100 {
		if err := f.Publish("work", nil); err != nil {
			t.Fatal(err)
		}
	}
	pubsubtest.Eventually(t, "all have arrived", func() bool { return sub.Pending() == 100 })
	f.rotate(t, 2)
	done := make(chan error)
	go func() { done <- f.Drain(context.Background()) }()
	close(goOn)
	if err := <-done; err != nil {
		t.Errorf("Drain = %v", err)
	}
	if n := got.Load(); n != 100 {
		t.Errorf("%d handled, want 100", n)
	}
	if err := f.Publish("work", nil); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("Publish after Drain = %v, want %v", err, nats.ErrConnectionClosed)
	}
}

func TestDrainIsCutShort(t *testing.T) {
	o := operated(t)
	f := open(t, o.ClientURL(), &minting{operator: o})
	pubsubtest.Eventually(t, "connected", func() bool { return f.Generation() == 1 })
	goOn := make(chan struct{})
	defer close(goOn)
	begun := make(chan struct{}, 1)
	must(f.Subscribe("work", func(*nats.Msg) {
		begun <- struct{}{}
		<-goOn
	}))
	_ = f.Publish("work", nil)
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := f.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Drain = %v, want %v", err, context.Canceled)
	}
}

func TestUnsubscribeAndLimits(t *testing.T) {
	o := operated(t)
	f := open(t, o.ClientURL(), &minting{operator: o})
	pubsubtest.Eventually(t, "connected", func() bool { return f.Generation() == 1 })
	var got atomic.Int64
	begun, goOn := make(chan struct{}, 1), make(chan struct{})
	sub := must(f.Subscribe("work", func(*nats.Msg) {
		begun <- struct{}{}
		<-goOn
		got.Add(1)
	}))
	sub.SetPendingLimits(3, 0)
	for range 10 {
		_ = f.Publish("work", nil)
	}
	<-begun
	pubsubtest.Eventually(t, "seven do not fit", func() bool { return sub.Dropped() == 7 })
	if sub.Subject() != "work" || sub.Pending() != 3 {
		t.Errorf("Subject, Pending = %s, %d, want work, 3", sub.Subject(), sub.Pending())
	}
	if err := sub.Unsubscribe(); err != nil {
		t.Errorf("Unsubscribe = %v", err)
	}
	close(goOn)
	pubsubtest.Eventually(t, "the one that was under way has ended, and the others are dropped", func() bool { return sub.Pending() == 0 })
	if n := got.Load(); n != 1 {
		t.Errorf("%d handled, want 1", n)
	}
	f.rotate(t, 2) // it does not come back
	_ = f.Publish("work", nil)
	f.works(t, "rotated")
	if n := got.Load(); n != 1 {
		t.Errorf("%d handled after Unsubscribe, want 1", n)
	}
	other := must(f.Subscribe("other", func(*nats.Msg) { got.Add(1) }))
	_ = f.Publish("other", nil)
	if err := f.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if err := other.Drain(t.Context()); err != nil || got.Load() != 2 {
		t.Errorf("Drain = %v with %d handled, want 2", err, got.Load())
	}
}

// Flush tells of a loss since the one before, once.
func TestFlush(t *testing.T) {
	o := operated(t)
	f := open(t, o.ClientURL(), &minting{operator: o})
	f.works(t, "at first")
	flush := func(want error) {
		t.Helper()
		if err := f.Flush(t.Context()); !errors.Is(err, want) {
			t.Errorf("Flush = %v, want %v", err, want)
		}
	}
	lose := func() {
		t.Helper()
		if err := f.NATS().ForceReconnect(); err != nil {
			t.Fatal(err)
		}
		pubsubtest.Eventually(t, "connected again", func() bool { return f.NATS().IsConnected() && f.Generation() > 0 })
	}
	flush(nil)
	lose()
	flush(nil) // nothing was published
	_ = f.Publish("subject", nil)
	lose()
	flush(natsconn.ErrUnconfirmed)
	flush(nil)
	_ = f.Publish("subject", nil)
	lose()
	f.rotate(t, 2)
	flush(natsconn.ErrUnconfirmed) // a hand-over does not hide it
	flush(nil)
	o.Shutdown()
	pubsubtest.Eventually(t, "the server is gone", func() bool { return !f.NATS().IsConnected() })
	flush(nats.ErrDisconnected)
}
